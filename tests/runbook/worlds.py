"""A whole world in memory for remediation: alerts in, reactions, rounds of a server, runs that are driven."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from catalogs import PAGED, faultless
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryActuator
from mainstay.app import grammar
from mainstay.incident.intake import AlertEvent
from mainstay.incident.ongoing import Incident
from mainstay.incident.operations.desk import desk_of
from mainstay.kernel.actuation import Act, Outcome
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.journal import Fact, FactQuery, Journal
from mainstay.kernel.workload import Workload
from mainstay.reactions import react
from mainstay.runbook.operations.desk import runs_of
from mainstay.runbook.operations.driving import Driver
from mainstay.runbook.operations.remedying import Remediator
from mainstay.runbook.run import Run
from memory_world import memory_world

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)

CATALOG = """\
apiVersion: mainstay/v1
kind: Runbook
metadata: {name: restart-service, service: shop}
spec:
  inputs: [{name: service, type: name}]
  targets: ["${inputs.service}"]
  manual_minutes: 12
  steps: [{name: restart, command: [restart, "${inputs.service}"]}]
---
""" + PAGED + """\
---
apiVersion: mainstay/v1
kind: Remediation
metadata: {name: restart, service: shop}
spec:
  mode: act
  when: {alert: [alertname="Down"]}
  target: ${labels.service}
  runbook: restart-service
  inputs: {service: "${labels.service}"}
  verify: {within: 5m, for: 2m}
"""


def declared(text: str, folder: Path | None = None) -> Catalog:
    """The catalog of that text, without mistakes; in a folder that stays, where one is given."""
    return faultless(text, grammar(), folder)


class Place:
    """A world, its clock, and one server in it."""

    def __init__(self, text: str = CATALOG, *, answers: Callable[[Act], Outcome | None] = lambda _: None,
                 journal: Journal | None = None, clock: FakeClock | None = None,
                 usage: Callable[[str, Workload | None], float] = lambda *_: 0.1, folder: Path | None = None) -> None:
        self.clock = clock or FakeClock(T0)
        self.actuator = MemoryActuator(answers)
        self.world = memory_world(self.clock, declared(text, folder), journal, actuator=lambda: self.actuator,
                                  usage=usage)
        self.remediator = Remediator()

    def fires(self, service: str = "web", *, firing: bool = True, name: str = "Down", severity: str = "critical",
              ) -> None:
        """A sender says that the alert fires, or that it is over."""
        desk_of(self.world).do(AlertEvent(self.clock.now(), firing, f"{name}/{service}", service, severity,
                                          {"alertname": name, "service": service}, f"{service} is {name}", "test"))
        self.round()

    def resolves(self, service: str = "web") -> None:
        """The alert is over."""
        self.fires(service, firing=False)

    def round(self, *, drive: bool = True) -> None:
        """One round of the server: reactions, remediation, and the runs that can go on."""
        react(self.world)
        self.remediator.round(self.world)
        if drive:
            for run in list(runs_of(self.world).caught_up().values()):
                if not run.over:
                    Driver(self.world, run.id, "test-driver").drive()
            self.remediator.round(self.world)
        react(self.world)

    def passes(self, length: timedelta, step: timedelta = 10 * SECOND) -> None:
        """So long a time goes by, with a round every so often."""
        end = self.clock.now() + length
        while self.clock.now() < end:
            self.clock.set(min(self.clock.now() + step, end))
            self.round()

    def facts(self, *kinds: str, **data: object) -> list[Fact]:
        """Recorded facts of those kinds with those data."""
        return [fact for fact in self.world.journal.facts(FactQuery(kinds=kinds))
                if all(fact.data.get(key) == value for key, value in data.items())]

    def remedies(self, *wanted: str) -> list[str]:
        """Facts of remediation, by kind."""
        kinds = [fact.kind.partition(".")[2] for fact in self.facts("remedy.")]
        return [one for one in kinds if not wanted or one in wanted]

    @property
    def runs(self) -> Mapping[str, Run]:
        """Every run."""
        return runs_of(self.world).caught_up()

    @property
    def incidents(self) -> list[Incident]:
        """Every incident."""
        state = desk_of(self.world).caught_up()
        return [state.incidents[name] for name in state.incidents.keys()]  # noqa: SIM118  (a table of layers)

    def notes(self, incident: str) -> list[str]:
        """What was written into an incident."""
        return [str(fact.data["text"]) for fact in self.world.journal.facts(FactQuery(kinds=("incident.noted",),
                                                                                     subject=incident))]

    def another(self) -> Place:
        """A second server on the same journal and clock."""
        other = Place.__new__(Place)
        other.clock, other.actuator, other.remediator = self.clock, self.actuator, Remediator()
        other.world = replace(self.world)
        return other
