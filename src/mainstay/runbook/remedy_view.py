"""Remediations, replays and proofs as people see them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from mainstay.kernel.quantity import Span, format_duration
from mainstay.kernel.view import (
    Block,
    Cell,
    Chart,
    Column,
    Entry,
    Line,
    Next,
    Table,
    Text,
    Timeline,
    Tone,
    View,
    cells,
    table,
)
from mainstay.kernel.wording import many
from mainstay.runbook.remedy_reading import Acted, DecisionReading, Proven, Remedied, RemedyReading, Simulated
from mainstay.runbook.remedy_simulation import Replay, runs_per_step

_TONES: Mapping[str, Tone] = {
    "verified": "good", "failed": "bad", "escalated": "bad", "overdue": "bad", "limited": "warn", "stopped": "bad",
    "started": "strong", "observed": "plain", "skipped": "quiet", "passed": "quiet", "ended": "quiet"}
_BARS = 60
"""Steps of a picture."""


class _Said(NamedTuple):
    """A decision of a replay as a line."""

    at: datetime
    kind: str
    said: str


def _timeline(title: str, told: Sequence[DecisionReading | _Said], empty: str) -> Timeline:
    return Timeline(tuple(Entry(one.at, one.said, _TONES.get(one.kind, "plain")) for one in told), title, empty)


# -- rules ---------------------------------------------------------------------------------------------------------


def rules_table(found: Remedied) -> Table:
    """A row a rule, with its counters."""
    counted = ("triggered", "started", "verified", "failed", "escalated")
    columns = (Column("remediation"), Column("mode"), Column("when"), Column("runs", gives_way=1),
               Column("triggered", right=True, gives_way=2), Column("begun", right=True, gives_way=4),
               Column("verified", right=True), Column("failed", right=True),
               Column("to people", right=True, gives_way=3))
    return Table(columns, tuple(
        (Cell(one.name, link=f"runbook/remedies?name={one.name}"), _mode(one), *cells(
            one.when, one.runbook, *(str(one.counts.get(kind, 0)) for kind in counted))) for one in found.remedies),
        empty="None is declared: write a document of kind Remediation.")


def cases_table(found: Remedied) -> Table:
    """A row a case that is open."""
    return table("In hand", ("case", "remediation", "target", "is", "attempts>", "since", "why"), [
        (one.id, one.rule, one.target, one.phase, str(one.attempts),
         Cell(f"{one.since:%-d %b %H:%M} UTC", at=one.since),
         Cell(one.why, link=f"runbook/status?name={one.run}" if one.run else "")) for one in found.cases])


def decisions_timeline(found: Remedied) -> Timeline:
    """What was decided last."""
    return _timeline("Last decisions", found.decisions, "None in the last 30 days.")


def remedies_view(found: Remedied) -> View:
    """Rules with their counters, what they have in hand, what they decided last."""
    blocks: list[Block] = [rules_table(found)]
    if found.cases:
        blocks.append(cases_table(found))
    if found.decisions:
        blocks.append(decisions_timeline(found))
    first = found.remedies[0].name if found.remedies else ""
    stopped = [one.name for one in found.remedies if one.stopped]
    commands = (*(f"mainstay runbook resume {name}" for name in stopped[:1]),
                *((f"mainstay runbook simulate {first}", f"mainstay runbook prove {first}") if first else ()))
    counted = Text(f"{many(len(found.remedies), 'remediation')}, counted over 30 days.", "quiet")
    return View("Remediations", (counted, *blocks, *((Next(commands),) if commands else ())))


def _mode(one: RemedyReading) -> Cell:
    if one.stopped:
        return Cell("○ stopped", "bad")
    return Cell({"observe": "◐ observes", "approve": "◐ asks", "act": "● acts"}[one.mode],
                "good" if one.mode == "act" else "warn")


def acted_view(found: Acted) -> View:
    """What was decided at once."""
    return View("Decided", (_timeline("", found.decisions, "Nothing: the same trouble is in hand already."),))


# -- a replay ------------------------------------------------------------------------------------------------------


_ROWS = (("runs", "started"), ("verified", "verified"), ("failed", "failed"), ("left to people", "escalated"),
         ("stopped", "stopped"), ("did not count", "passed"), ("left alone", "skipped"))


def simulated_view(found: Simulated) -> View:
    """What would have been, as a table, a picture and a list."""
    helps, fails = found.if_it_helps, found.if_it_does_not
    span = Span(found.start, found.end)
    read = f"Read {found.said}: {found.start:%-d %b %Y} to {found.end:%-d %b %Y}, {format_duration(span.length)}."
    if not helps.troubles:
        return View(f"Replay of {found.rule}", (Text(read, "quiet"), Text("Nothing triggered it in that time.")))
    rows = [(title, str(helps.counts.get(kind, 0)), str(fails.counts.get(kind, 0))) for title, kind in _ROWS
            if helps.counts.get(kind, 0) or fails.counts.get(kind, 0)]
    rows += [(f"held by {limit}", str(helps.limits.get(limit, 0)), str(fails.limits.get(limit, 0)))
             for limit in sorted({*helps.limits, *fails.limits})]
    rows += [("trouble, in all", _long(helps.would_seconds), _long(fails.would_seconds)),
             ("less than it was by", _long(helps.saved_minutes * 60), _long(fails.saved_minutes * 60)),
             ("people's time saved", _long(helps.person_minutes * 60), _long(fails.person_minutes * 60))]
    takes = "as measured on " + many(found.takes_measured, "run") if found.takes_measured else "assumed"
    verdict = f"{found.rule} would have been triggered {many(helps.troubles, 'time')}" + (
        f", and would have saved people {_long(helps.person_minutes * 60)} if it helps." if helps.person_minutes else
        ".")
    return View(f"Replay of {found.rule}", (
        Text(read, "quiet"), Text(verdict, "strong"),
        table("", ("", "if it helps>", "if it does not>"), rows), _picture(helps, fails, span),
        _timeline(f"The first {found.shown} decisions, if it helps" if len(helps.decisions) > found.shown
                  else "Decisions, if it helps", [_Said(one.at, one.kind, _line(one.target, one.kind, one.said))
                                                  for one in helps.decisions[:found.shown]], ""),
        Text(f"A run of {found.runbook} takes {_long(found.takes_seconds)}, {takes}; a person needs "
             f"{_long(found.person_minutes_each * 60)}. Taken for so: " + "; ".join(found.assumed) + ".", "quiet"),
        Next((f"mainstay runbook prove {found.rule}", f"mainstay runbook remedies {found.rule}"))))


def _line(target: str, kind: str, said: str) -> str:
    return f"{target}: {kind}" + (f", {said}" if said else "")


def _long(seconds: float) -> str:
    return format_duration(timedelta(seconds=seconds)) if seconds > 0 else "–"


def _picture(helps: Replay, fails: Replay, span: Span) -> Chart:
    step = max(span.length / _BARS, timedelta(minutes=1))
    times, well = runs_per_step(helps, span, step)
    _, badly = runs_per_step(fails, span, step)
    return Chart(f"Runs, per {format_duration(step)}", times,
                 (Line("if it helps", well, "good"), Line("if it does not", badly, "bad")))


# -- a proof -------------------------------------------------------------------------------------------------------


def proof_view(found: Proven) -> View:
    """What was looked at, and what broke if anything did."""
    proof = found.proof
    looked = Text(f"{', '.join(found.rules)}: {many(proof.targets, 'target')}, every order of {proof.depth} events; "
                  f"{proof.states:,} states that differ, {proof.steps:,} decisions.", "quiet")
    if proof.breach is not None:
        steps = table("The shortest way there", ("", "event"), [(str(at + 1), one)
                                                               for at, one in enumerate(proof.breach.path)])
        return View("Proof", (looked, Text(f"○ {proof.breach.invariant} breaks: {proof.breach.said}.", "bad"), steps))
    if not proof.complete:
        return View("Proof", (looked, Text("◐ Nothing broke, but not everything was looked at.", "warn")))
    return View("Proof", (looked, Text(
        "✓ Nothing breaks: concurrency, one run a target, attempts, share of the fleet, locks, cool-down, flapping, "
        "stop after failures, proof of health, and nothing is lost.", "good")))
