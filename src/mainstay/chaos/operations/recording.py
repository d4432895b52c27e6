"""What a run writes into the journal: in order, durable before an act, and never waited for on the way out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mainstay.chaos.operations.planning import Options, Plan
from mainstay.chaos.state import Run, after
from mainstay.chaos.toolkit import ToolkitExperiment
from mainstay.kernel.errors import Conflict
from mainstay.kernel.journal import AlreadyRecorded, Batch, Fact, FactQuery, NewFact, Pending
from mainstay.kernel.ports import World

FLUSH, LONGEST_FLUSH = 2.0, 10.0
"""Seconds of samples that a killed run may lose: at first, when somebody watches the charts grow, and later on."""

_GROWS = 30.0
"""In between a run writes each time that it has grown older by a thirtieth. So charts grow while somebody looks on, and
a run of any length has at most 48 such facts more than one that would write every ten seconds."""

_TRIES = 100


class Recorder:
    """The facts of one run. `run` is the run as they tell it."""

    def __init__(self, world: World, accepted: Mapping[str, Any]) -> None:
        self._world = world
        self._pending: list[Pending[tuple[Fact, ...]]] = []
        self._samples: list[list[Any]] = []
        self._began = self._flushed = world.clock.monotonic()
        self.run = self._accept(accepted)

    @classmethod
    def of_plan(cls, world: World, plan: Plan, options: Options) -> Recorder:
        """The book of a run of that plan."""
        return cls(world, {
            "experiment": plan.experiment, "target": plan.target, "service": plan.service,
            "seed": options.seed, "title": plan.title, "probes": list(plan.probes), "notes": list(plan.notes),
            "seconds": plan.seconds, "reference": options.reference})

    @classmethod
    def of_toolkit(cls, world: World, experiment: ToolkitExperiment, reference: str = "") -> Recorder:
        """The book of a run of an experiment of the Chaos Toolkit."""
        return cls(world, {
            "experiment": experiment.origin.file, "target": "", "service": "", "seed": 0, "title": experiment.title,
            "probes": [{"name": one.name, "tolerance": ""} for one in experiment.probes], "notes": [], "seconds": None,
            "reference": reference})

    def _accept(self, accepted: Mapping[str, Any]) -> Run:
        """A run with an id of its own, which is given once even when two begin at once."""
        for _ in range(_TRIES):
            last = self._world.journal.facts(FactQuery(kinds=("chaos.accepted",), newest_first=True, limit=1))
            number = 1 + max((int(fact.data["number"]) for fact in last), default=0)
            fact = NewFact("chaos.accepted", f"EXP-{number}", self._world.clock.now(), {
                "number": number, "process": f"{os.uname().nodename}:{os.getpid()}", **accepted},
                           key=f"chaos:EXP-{number}", actor=self._world.actor)
            try:
                self._world.journal.commit(Batch([fact], fresh=True))
            except AlreadyRecorded:
                continue
            return after(Run(fact.subject, "", "", "", "", 0, "", ()), fact)
        raise Conflict("too many runs begin at once", "run it again")

    def record(self, event: str, data: Mapping[str, Any]) -> None:
        """Recorded in order, without waiting for it."""
        fact = NewFact(f"chaos.{event}", self.run.id, self._world.clock.now(), data, actor=self._world.actor)
        self.run = after(self.run, fact)
        self._pending.append(self._world.journal.submit(Batch([fact])))

    def explain(self) -> None:
        """What the budget lost meanwhile can be explained by this experiment, as `mainstay record experiment` does."""
        applied = [fault for fault in self.run.faults if fault.applied is not None]
        if not applied or not self.run.service:
            return
        kinds = ", ".join(dict.fromkeys(f"{fault.kind} on {fault.workload}" for fault in applied))
        first = min(fault.applied for fault in applied if fault.applied is not None)
        self._pending.append(self._world.journal.submit(Batch([NewFact(
            "experiment.recorded", self.run.id, first, {
                "service": self.run.service, "text": f"{self.run.experiment}: {kinds}",
                "until": self._world.clock.now().isoformat()},
            key=f"experiment:{self.run.id}", actor=self._world.actor)])))

    def sampled(self, row: list[Any]) -> None:
        """One more answer, recorded with others every few seconds."""
        self._samples.append(row)
        now = self._world.clock.monotonic()
        if now - self._flushed >= min(max(FLUSH, (now - self._began) / _GROWS), LONGEST_FLUSH):
            self.flush()

    def flush(self) -> None:
        """Every sample so far is on its way into the journal."""
        self._flushed = self._world.clock.monotonic()
        if self._samples:
            samples, self._samples = self._samples, []
            self.record("measured", {"samples": samples})
        self._pending = [one for one in self._pending if not _settled(one)]

    def durable(self) -> None:
        """Everything recorded so far is durable."""
        pending, self._pending = self._pending, []
        for one in pending:
            one.result()


def _settled(pending: Pending[tuple[Fact, ...]]) -> bool:
    """Whether it is durable; raises what kept it from being."""
    try:
        pending.result(0)
    except TimeoutError:
        return False
    return True
