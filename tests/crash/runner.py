"""A story of two runs of a runbook, told by a process that can be killed at every write and every act.

The first run does all its steps; the second fails at the last and is taken back. Acts are lines in a file that outlives
whoever writes them: what was really done. Where nobody saw a step end, a person looks at that file and answers truly.
Its orders hold `times` beside: how often it was killed before.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from crash.boundaries import Asked, Boundaries, Watched, append, lines, tell_as_asked
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.store import open_store
from mainstay.kernel.actuation import Act, Command, Ending, Outcome, Prepared, Watch
from mainstay.kernel.errors import Conflict
from mainstay.kernel.ports import World
from mainstay.runbook.operations.desk import Order, answer, approve, begin, runs_of
from mainstay.runbook.operations.driving import LEASE, Driver
from mainstay.runbook.run import Run
from runbook.books import T0, world

SPEC = """\
  inputs: [{name: last, allowed: [works, fails]}]
  approval: {needed: 1}
  targets: [checkout]
  steps:
    - {name: once, command: [act, once], undo: {command: [back, once]}}
    - {name: often, command: [act, often], idempotent: true, undo: {command: [back, often], idempotent: true}}
    - {name: ask, ask: 'Go on?'}
    - {name: seen, command: [act, seen], verify: {command: [look, seen]}, undo: {command: [back, seen]}}
    - {name: optional, command: [act, optional], required: false, irreversible: it is a message}
    - {name: last, command: [act, '${inputs.last}'], undo: {command: [back, last]}}
"""


class System:
    """What is acted on: a file with a line for every act that was done."""

    def __init__(self, file: Path, boundaries: Boundaries) -> None:
        self._file, self._boundaries = file, boundaries
        self.run = ""

    def secret(self, env: str, file: str) -> str:
        raise AssertionError("no step has one")

    def prepare(self, act: Act) -> Prepared:
        return Prepared()

    def carry_out(self, act: Act, watch: Watch) -> Outcome:
        assert isinstance(act, Command)
        said = f"{self.run} {' '.join(act.argv)}"
        if act.argv[0] == "look":
            return Outcome(Ending.SUCCEEDED if f"{self.run} act {act.argv[1]}" in lines(self._file) else Ending.FAILED)
        self._boundaries.here()
        append(self._file, said)
        self._boundaries.here()
        return Outcome(Ending.FAILED, error="it broke") if act.argv[1] == "fails" else Outcome(Ending.SUCCEEDED, "done")


def tell(asked: Asked) -> int:
    """Go through the story from wherever it is; how many boundaries were passed."""
    folder = Path(asked["folder"])
    boundaries = Boundaries(int(asked["kill"]))
    clock = FakeClock(T0)
    store = open_store(asked["url"], clock)
    clock.advance(LEASE * 2 * int(asked["times"]))  # whoever comes back comes back after the lease
    system = System(folder / "done", boundaries)
    made = world(SPEC, system, journal=Watched(store.journal, boundaries), clock=clock)
    for last in ("works", "fails"):
        one = begin(made, Order("fix", {"last": last}, key=last))
        system.run = one.id
        _through(made, one.id, folder, f"w-{os.getpid()}")
    store.close()
    return boundaries.passed


def _through(made: World, name: str, folder: Path, worker: str) -> None:
    while not (one := runs_of(made).run(name)).over:
        if one.state == "awaiting_approval":
            approve(replace(made, actor="ben"), name, one.hash)
        elif one.question is not None:
            _answer(made, one, folder)
        else:
            driven = Driver(made, name, worker).drive()
            assert not driven.held_by, driven.held_by


def _answer(made: World, one: Run, folder: Path) -> None:
    assert one.question is not None
    step = one.question.step
    if one.question.about == "step":
        choice = "yes"
    else:
        act = one.plan.step(step).act
        assert isinstance(act, Command)
        argv = [one.plan.inputs["last"] if word == "${inputs.last}" else word for word in act.argv]
        was_done = f"{one.id} {' '.join(map(str, argv))}" in lines(folder / "done")
        choice = ("failed" if argv[1] == "fails" else "succeeded") if was_done else "again"
        append(folder / "asked", f"{one.id} {step} {choice}")
    try:
        answer(made, one.id, choice)
    except Conflict:
        return


if __name__ == "__main__":
    tell_as_asked(tell)
