"""What a plan and a run of our own look like; runs of other tools' experiments are told without it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mainstay.chaos.operations.planning import Plan
from mainstay.chaos.state import Run
from mainstay.chaos.view import by_hand, figures, picture, run_blocks, settings_words, share_words
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import Block, Cell, Next, Table, Text, View, table
from mainstay.kernel.wording import many


def plan_view(found: Plan) -> View:
    """What would be done, and why it would not."""
    return View(f"Plan of {found.experiment}", (*_plan_blocks(found),
                                                Next((f"mainstay chaos run {found.experiment}",))))


def _plan_blocks(found: Plan) -> Iterator[Block]:
    yield Text(f"{found.experiment} on {found.target} · {many(len(found.faults), 'fault')}, at most "
               f"{format_duration(found.seconds)}", "quiet")
    if found.refusals:
        yield Text("It would not be started.", "bad")
        for refusal in found.refusals:
            yield Text(refusal)
    else:
        yield Text("It would be started.", "good")
    yield from plan_tables(found)
    for note in found.notes:
        yield Text(note, "quiet")


def plan_tables(found: Plan) -> Iterator[Table]:
    """What would be put in, what must hold, and what that may cost."""
    rows = [(one.kind, one.workload + (f" → {one.dependency}" if one.dependency else ""), settings_words(one.settings),
             share_words(one.share), Cell(one.mechanism or "none", tone="plain" if one.mechanism else "bad"),
             one.healing, "; ".join(one.does) or one.problem) for one in found.faults]
    yield table("Faults", ("fault", "on", "settings", "share>", "by", "healed by", "does"), rows)
    yield table("What must hold", ("probe", "tolerated"), [(one["name"], one["tolerance"]) for one in found.probes])
    if found.prices:
        prices = [(one.objective, Cell({True: "yes", False: "no", None: "–"}[one.affordable],
                                     tone="bad" if one.affordable is False else "plain"),
                 one.sentence.partition(": ")[2]) for one in found.prices]
        yield table("What it may cost", ("objective", "can pay", "how it is reckoned"), prices)


def run_view(run: Run, rollback: Sequence[str]) -> View:
    """The verdict first; what people do by hand where a fault did not come out."""
    return View(f"Run {run.id}", (*run_blocks(run), picture(run), *by_hand(run, rollback),
                                  Next((f"mainstay chaos report {run.id}",))))


def run_json(run: Run) -> dict[str, Any]:
    """The run and its figures."""
    return {"run": run, "figures": figures(run)}
