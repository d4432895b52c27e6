"""An experiment on a system in memory, played on a clock that is only told to move."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.adapters.memory_faults import MemoryInjector, MemoryProber, MemorySystem
from mainstay.chaos.operations.engine import execute
from mainstay.chaos.operations.hands import Hands, PlayedHands
from mainstay.chaos.operations.planning import Options
from mainstay.chaos.spec import GRAMMAR, Experiment
from mainstay.chaos.state import Run
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.faults import Injector
from mainstay.kernel.finding import Finding, errors_of
from mainstay.slo.grammar import GRAMMAR as SLO
from memory_world import memory_world

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)

WORKLOADS = """
apiVersion: mainstay/v1
kind: Workload
metadata: {name: api, service: api}
spec: {address: "127.0.0.1:8080", health: /healthz, experiments: true, dependencies: [{name: auth}]}
---
apiVersion: mainstay/v1
kind: Workload
metadata: {name: auth}
spec: {address: "127.0.0.1:8081", health: /healthz, experiments: true}
"""

SLOW = """
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: auth-slow}
spec:
  target: api
  hypothesis: {title: the api answers, probes: [{name: api answers, type: health}]}
  faults: [{kind: dependency-slow, dependency: auth, settings: {latency: 200ms}}]
  duration: 30s
  stabilise: 10s
"""


def declared(*texts: str) -> tuple[Catalog, list[Finding]]:
    """What the texts declare, and what is wrong with them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "catalog.yaml")
        file.write_text("\n---\n".join(texts), encoding="utf-8")
        return load([file], GRAMMAR + SLO)


def catalog_of(*texts: str) -> Catalog:
    catalog, findings = declared(WORKLOADS, *texts)
    assert not errors_of(findings), "\n".join(finding.render() for finding in findings)
    return catalog


def codes(*texts: str) -> list[str]:
    return [finding.code for finding in errors_of(declared(*texts)[1])]


class Played:
    """A world in memory with one experiment declared."""

    def __init__(self, *texts: str, unbearable: Mapping[str, float] | None = None, limp: float = 0.0,
                 injector: Callable[[MemorySystem], Injector] = MemoryInjector) -> None:
        self.clock = FakeClock(NOW)
        self.system = MemorySystem(self.clock, unbearable or {}, limp)
        self.injector = injector(self.system)
        self.journal = MemoryJournal(self.clock)
        self.catalog = catalog_of(*texts)
        self.said: list[str] = []
        self.world = memory_world(
            self.clock, self.catalog, self.journal, injector=lambda: self.injector,
            prober=lambda: MemoryProber(self.system), actor="ana", progress=self.said.append)

    @property
    def experiment(self) -> Experiment:
        (one,) = self.catalog.of(Experiment)
        return one

    def run(self, hands: Hands | None = None, **options: object) -> Run:
        return execute(self.world, self.experiment, replace(Options(), **options),  # type: ignore[arg-type]
                       hands or PlayedHands(self.clock))

    def kinds(self) -> Sequence[str]:
        from mainstay.kernel.journal import FactQuery

        return [fact.kind for fact in self.journal.facts(FactQuery())]
