"""Chaos monkeys, game days and found causes as people see them. Pure: knows no terminal and no HTML."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from mainstay.chaos.gameday import GameDayState
from mainstay.chaos.monkey import STRIKES, Choice, Strike
from mainstay.kernel.view import Block, Cell, Next, Text, Tone, View, table
from mainstay.kernel.wording import many

_TONES: dict[str, Tone] = {"strikes": "warn", "drawn": "plain", "not drawn": "quiet", "outside its hours": "quiet",
                           "holiday": "quiet"}
_STEPS: dict[str, Tone] = {"passed": "good", "failed": "bad", "aborted": "warn", "invalid": "warn"}


class Happened(Protocol):
    """Something of a monkey's history."""

    @property
    def at(self) -> datetime:
        """When."""
        ...

    @property
    def experiment(self) -> str:
        """Of which experiment."""
        ...

    @property
    def what(self) -> str:
        """Begun, refused, spared."""
        ...

    @property
    def by(self) -> str:
        """Who let it look."""
        ...

    @property
    def run(self) -> str:
        """What it became."""
        ...

    @property
    def status(self) -> str:
        """How that ended."""
        ...

    @property
    def why(self) -> str:
        """Why it was refused."""
        ...


class Looked(Protocol):
    """What came of a look of a chaos monkey."""

    @property
    def monkey(self) -> str:
        """Its name."""
        ...

    @property
    def at(self) -> datetime:
        """The look."""
        ...

    @property
    def went(self) -> bool:
        """Whether it was told to go."""
        ...

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What became of each experiment."""
        ...

    @property
    def history(self) -> tuple[Strike, ...]:
        """What it began before."""
        ...

    @property
    def until(self) -> datetime | None:
        """Of a simulation: its end."""
        ...

    @property
    def expected(self) -> float | None:
        """Of a simulation: how many a week."""
        ...

    @property
    def run(self) -> str:
        """What was begun."""
        ...

    @property
    def status(self) -> str:
        """How it ended."""
        ...

    @property
    def problem(self) -> str:
        """Why it was refused."""
        ...

    @property
    def dry_run(self) -> bool:
        """Whether the server only writes down what it would begin."""
        ...

    @property
    def past(self) -> Sequence[Happened]:
        """Its history."""
        ...


def monkey_view(found: Looked) -> View:
    """What it did or would do, and what held it back."""
    rows = [(Cell(f"{one.at:%a %-d %b %H:%M}", at=one.at), one.experiment,
             Cell(one.outcome, _TONES.get(one.outcome, "bad")),
             f"{one.drawn:.3f} of {one.probability:g}", Cell(one.why, "quiet")) for one in found.choices]
    last = found.history[-1] if found.history else None
    blocks: list[Block] = [
        Text(f"{found.monkey} · " + (f"last began {last.experiment} on {last.at:%a %-d %b %H:%M} UTC" if last
                                     else "has begun nothing yet"), "quiet"), Text(*_verdict(found)),
        table("", ("look", "experiment", "outcome", "drawn", "why"), rows,
              empty="nothing is drawn in this time")]
    if found.past:
        blocks.append(table("Before", ("at", "experiment", "what", "by", "run", "why"), [
            (Cell(f"{one.at:%a %-d %b %H:%M}", at=one.at), one.experiment, one.what, one.by,
             f"{one.run} {one.status}".strip() or "–", one.why) for one in found.past]))
    if found.until is None:
        serves = "only writes down what it would begin; dry_run: false lets it" if found.dry_run else \
            "begins what it draws"
        blocks.append(Text(f"mainstay serve {serves}.", "quiet"))
    return View("Chaos monkey", (*blocks, Next(_next(found))))


def _verdict(found: Looked) -> tuple[str, Tone]:
    struck = [one for one in found.choices if one.outcome == STRIKES]
    if found.until is not None:
        return (f"Until {found.until:%a %-d %b} it would begin {many(len(struck), 'experiment')}, "
                f"{found.expected or 0:.1f} a week; nothing was touched."), "strong"
    if found.problem:
        return f"{struck[0].experiment} was drawn and not begun: {found.problem}", "bad"
    if found.run:
        tone: Tone = "good" if found.status == "passed" else "bad"
        return f"Began {struck[0].experiment}: {found.run} {found.status}.", tone
    if struck:
        return f"It would begin {struck[0].experiment}; nothing was touched.", "strong"
    return "It begins nothing at this look.", "strong"


def _next(found: Looked) -> tuple[str, ...]:
    if found.run:
        return (f"mainstay chaos report {found.run}",)
    if found.until is None and not found.went:
        return (f"mainstay chaos monkey {found.monkey} --go", f"mainstay chaos monkey {found.monkey} --simulate 30d")
    return (f"mainstay chaos monkey {found.monkey}",)


class Shown(Protocol):
    """A game day with its summary."""

    @property
    def day(self) -> GameDayState:
        """As it stands."""
        ...

    @property
    def written(self) -> str:
        """Where the summary was put."""
        ...


def gameday_view(found: Shown) -> View:
    """Where it stands, who is next, the steps, the notes."""
    day = found.day
    stands = "closed" if day.closed else f"goes on since {day.begun:%H:%M} UTC" if day.begun else "not begun"
    coming = day.next_step
    verdict = f"{day.title}: {stands}."
    if day.begun and not day.closed:
        verdict += f" Step {coming.number} is {coming.starts}'s: go or no-go?" if coming else " Every step is done."
    rows = [(f"{one.number}", one.experiment, one.starts, one.expect,
             Cell(one.status or one.state, _STEPS.get(one.status, "plain")), one.run, one.why) for one in day.steps]
    blocks: list[Block] = [Text(verdict, "strong"),
                           table("", ("step", "experiment", "starts", "expected", "state", "run", "why"), rows)]
    if day.notes:
        blocks.append(table("Notes", ("at", "by", "step", "note"), [
            (Cell(f"{one.at:%H:%M}", at=one.at), one.by, f"{one.step or '–'}", one.text) for one in day.notes]))
    if found.written:
        blocks.append(Text(f"The summary is in {found.written}.", "good"))
    return View(f"Game day {day.name}", (*blocks, Next(_steps_next(day))))


def _steps_next(day: GameDayState) -> tuple[str, ...]:
    command = f"mainstay chaos gameday {day.name}"
    if day.begun is None or day.closed is not None:
        return (f"{command} --begin",)
    if day.next_step is None:
        return (f"{command} --close --summary {day.name}.md",)
    return (f"{command} --step {day.next_step.number} --go", f"{command} --step {day.next_step.number} --no-go WHY")


class Cause(Protocol):
    """What the finder found."""

    @property
    def experiment(self) -> str:
        """Whose hypothesis broke."""
        ...

    @property
    def faults(self) -> Sequence[str]:
        """The smallest set, a sentence each; empty when it did not break."""
        ...

    @property
    def confidence(self) -> float:
        """How sure."""
        ...

    @property
    def checked(self) -> bool:
        """Whether anything smaller was seen not to break it."""
        ...

    @property
    def runs(self) -> Sequence[str]:
        """What was run."""
        ...

    @property
    def questions(self) -> int:
        """Sets that were asked about."""
        ...

    @property
    def written(self) -> str:
        """Where the regression experiment was put."""
        ...

    @property
    def yaml(self) -> str:
        """It."""
        ...

    @property
    def filed(self) -> bool:
        """Whether an incident is opened about it."""
        ...


def cause_view(found: Cause) -> View:
    """The smallest cause, how sure, and the experiment that keeps it."""
    cost = f"{many(found.questions, 'question')}, {many(len(found.runs), 'run')}"
    if not found.faults:
        return View("Cause", (Text(f"{found.experiment}: the hypothesis held with every fault in ({cost}).", "good"),
                              Next((f"mainstay chaos report {found.runs[-1]}",) if found.runs else ())))
    rest = ", and anything smaller held." if found.checked else "; whether less would do was not settled."
    blocks: list[Block] = [
        Text(f"{found.experiment}: {many(len(found.faults), 'fault')} {'is' if len(found.faults) == 1 else 'are'} "
             f"enough.", "strong"), table("", ("the smallest that breaks it",), [(one,) for one in found.faults]),
        Text(f"{cost}; every answer right with at least {found.confidence * 100:.0f} %{rest}", "quiet")]
    if found.written:
        blocks.append(Text(f"Kept as {found.written}; among the files of the catalog it can be run.", "good"))
    if found.filed:
        blocks.append(Text("An incident of the lowest severity keeps it: mainstay incident list", "good"))
    return View("Cause", (*blocks, Next((f"mainstay chaos run {found.experiment}-minimal",) if found.written else
                                        (f"mainstay chaos find {found.experiment} -o regression.yaml",))))
