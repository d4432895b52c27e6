"""Worlds in which runbooks run: text that declares them, memory stores, an actuator that remembers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import catalogs
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryActuator
from mainstay.kernel.actuation import Act, Actuator, Command, Ending, Outcome, Prepared
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.finding import Finding, errors_of
from mainstay.kernel.journal import FactQuery, Journal
from mainstay.kernel.ports import World
from mainstay.runbook.grammar import GRAMMAR
from mainstay.runbook.operations.desk import Order, answer, approve, begin, runs_of
from mainstay.runbook.operations.driving import Driver
from mainstay.runbook.run import Run
from mainstay.runbook.spec import Runbook
from mainstay.slo.grammar import GRAMMAR as SLO
from memory_world import memory_world

T0 = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
HEAD = "apiVersion: mainstay/v1\nkind: Runbook\nmetadata: {name: fix, service: checkout}\nspec:\n"


GRAMMARS = GRAMMAR + SLO


def declared(text: str) -> tuple[Catalog, list[Finding]]:
    """What the text declares, and what is wrong with it."""
    return catalogs.declared(text, GRAMMARS)


def catalog(spec: str, head: str = HEAD, folder: Path | None = None) -> Catalog:
    """A catalog with the runbook `fix` of that spec, its lines indented by two."""
    return catalogs.faultless(head + spec, GRAMMARS, folder)


def book(spec: str, head: str = HEAD) -> Runbook:
    """The runbook of that spec."""
    return catalog(spec, head).of(Runbook)[0]


def findings(spec: str, head: str = HEAD) -> list[Finding]:
    """What is wrong with the runbook of that spec."""
    return list(errors_of(declared(head + spec)[1]))


def steps(*names: str, **more: str) -> str:
    """Steps that run `do NAME` and are undone by `undo NAME`; a keyword adds lines to the step of that name."""
    out = "  steps:\n"
    for name in names:
        out += f"    - name: {name}\n      command: [do, {name}]\n"
        extra = more.get(name, "")
        if "undo:" not in extra and "irreversible" not in extra and "no-undo" not in extra:
            out += f"      undo: {{command: [undo, {name}]}}\n"
        out += "".join(f"      {line}\n" for line in extra.replace("no-undo", "").split("\n") if line)
    return out


def world(declares: Catalog | str, actuator: Actuator | None = None, *, actor: str = "ana",
          journal: Journal | None = None, clock: FakeClock | None = None) -> World:
    """A world with that catalog (or the runbook `fix` of that spec)."""
    time = clock or FakeClock(T0)
    used = actuator or MemoryActuator()
    return memory_world(time, catalog(declares) if isinstance(declares, str) else declares, journal, actor=actor,
                        actuator=lambda: used, scopes=frozenset({"read", "write", "approve"}))


def fails(*names: str, ending: Ending = Ending.FAILED) -> Callable[[Act], Outcome | None]:
    """Answers under which the commands that end in one of these names fail: `do b`, `undo a`."""
    def answer_to(act: Act) -> Outcome | None:
        if isinstance(act, Command) and " ".join(act.argv) in names:
            return Outcome(ending, error="it broke")
        return None

    return answer_to


def acts(made: World) -> list[str]:
    """The commands that were done, in their order."""
    actuator = made.actuator()
    assert isinstance(actuator, MemoryActuator)
    return [" ".join(one.argv) for one in actuator.done if isinstance(one, Command)]


def ordered(made: World, *, inputs: Mapping[str, Any] | None = None, labels: Mapping[str, str] | None = None,
            **more: Any) -> Run:
    """A run of `fix`, not driven yet."""
    return begin(made, Order("fix", inputs or {}, labels or {}, **more))


def drive(made: World, name: str, worker: str = "w1") -> Run:
    """The run after it was driven as far as it goes."""
    Driver(made, name, worker).drive()
    return runs_of(made).run(name)


def run(made: World, **more: Any) -> Run:
    """A run of `fix`, driven as far as it goes."""
    return drive(made, ordered(made, **more).id)


def as_(made: World, actor: str) -> World:
    """The same world for somebody else."""
    return replace(made, actor=actor)


def states(one: Run) -> dict[str, str]:
    """Every step's state."""
    return {name: str(step.state) for name, step in one.steps.items()}


def undos(one: Run) -> dict[str, str]:
    """What became of taking each step back, of those where anything did."""
    return {name: str(step.undo) for name, step in one.steps.items() if step.undo}


def kinds(made: World, name: str) -> list[str]:
    """The run's facts by kind, output aside."""
    return [fact.kind.partition(".")[2] for fact in made.journal.facts(FactQuery(kinds=("runbook.",), subject=name))
            if fact.kind != "runbook.output"]


__all__ = ["HEAD", "T0", "Prepared", "Sequence", "acts", "answer", "approve", "as_", "book", "catalog", "declared",
           "drive", "fails", "findings", "kinds", "ordered", "run", "runs_of", "states", "steps", "undos", "world"]
