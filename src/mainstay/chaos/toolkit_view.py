"""How a journal of the Chaos Toolkit looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import Block, Cell, Next, Text, View, table
from mainstay.kernel.wording import many


def journal_view(journal: Mapping[str, Any]) -> View:
    """The verdict, the steady states, what was done."""
    return View(str(journal["experiment"].get("title", "")), tuple(_blocks(journal)))


def _blocks(journal: Mapping[str, Any]) -> Iterator[Block]:
    states = journal["steady_states"]
    yield Text(f"Chaos Toolkit experiment · {_activities(len(journal['run']))}, "
               f"{many(len(journal['rollbacks']), 'rollback')}, {format_duration(journal['duration'])}", "quiet")
    deviated = journal["deviated"]
    before = states["before"]
    yield Text("It deviated: the steady state was not there after it." if deviated else
               "The steady state was not there before; nothing was done." if before is not None
               and not before["steady_state_met"] else f"It is {journal['status']}.",
               "good" if journal["status"] == "completed" and not deviated else "bad")
    rows = []
    for stage in ("before", "after"):
        for probe in (states[stage] or {}).get("probes", ()):
            rows.append((stage, str(probe["activity"].get("name")), _met(probe), _output(probe)))
    missed = sum(not state["steady_state_met"] for state in states["during"])
    if states["during"]:
        rows.append(("during", f"all probes, {len(states['during'])} times",
                     Cell(f"{missed} missed" if missed else "held", tone="bad" if missed else "good"), ""))
    yield table("The steady state", ("when", "probe", "", "heard"), rows, empty="it has no hypothesis")
    activities = [(kind, str(one["activity"].get("name")), _status(one), format_duration(one.get("duration", 0.0)),
                   _output(one)) for kind in ("run", "rollbacks") for one in journal[kind]]
    yield table("What was done", ("", "activity", "", "took>", "heard"), activities, empty="nothing")
    yield Next(("mainstay chaos run FILE --json > journal.json",))


def _activities(count: int) -> str:
    return "1 activity" if count == 1 else f"{count} activities"


def _met(probe: Mapping[str, Any]) -> Cell:
    met = probe.get("tolerance_met")
    return Cell("held" if met else "missed", tone="good" if met else "bad")


def _status(one: Mapping[str, Any]) -> Cell:
    status = str(one.get("status"))
    return Cell(status, tone="good" if status == "succeeded" else "bad")


def _output(one: Mapping[str, Any]) -> str:
    if one.get("exception"):
        return str(one["exception"][-1])[:80]
    output = one.get("output")
    if isinstance(output, dict) and "status" in output:
        return str(output["status"])
    text = "" if output is None else str(output)
    return text if len(text) <= 60 else text[:59] + "…"
