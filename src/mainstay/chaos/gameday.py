"""Game days: several people, a plan of experiments in order, a decision before each, and what was learned.

What happened is facts; the state of a game day is their fold, so that everybody sees the same and a crash loses
nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput, NotAllowed
from mainstay.kernel.finding import Position, did_you_mean
from mainstay.kernel.journal import Fact
from mainstay.kernel.wording import many

BEGUN, DECIDED, RAN, NOTED, CLOSED = (
    "gameday.begun", "gameday.decided", "gameday.ran", "gameday.noted", "gameday.closed")


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One experiment of the plan.

    Args:
        starts: the role that decides go or no-go and starts it.
        expect: what people think will happen, written down before.
        go_if: what must be true before it, a sentence each.
    """

    experiment: str
    where: Position
    starts: str
    expect: str = ""
    go_if: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GameDay:
    """A game day as declared.

    Args:
        roles: who holds each.
        on: when it is to be, for the invitation.
        chat: where people talk meanwhile.
    """

    name: str
    origin: Position
    roles: Mapping[str, tuple[str, ...]]
    steps: tuple[PlannedStep, ...]
    title: str = ""
    on: datetime | None = None
    chat: str = ""
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that somebody wrote down; the field names are stable JSON, as of all below."""

    at: datetime
    by: str
    text: str
    step: int


@dataclass(frozen=True, slots=True)
class StepState:
    """How a step stands: `waiting`, `go`, `no-go`, or how its run ended.

    Args:
        number: from 1.
        by, why: who decided, and what was said.
        run: the run's id, once it ran.
    """

    number: int
    experiment: str
    starts: str
    expect: str
    state: str = "waiting"
    by: str = ""
    why: str = ""
    run: str = ""
    status: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class GameDayState:
    """A game day as its facts tell it."""

    name: str
    title: str
    steps: tuple[StepState, ...]
    notes: tuple[Note, ...] = ()
    begun: datetime | None = None
    closed: datetime | None = None

    @property
    def next_step(self) -> StepState | None:
        """The first step that nobody decided on or that was to go and did not run yet; None when all are done."""
        return next((one for one in self.steps if one.state in ("waiting", "go")), None)


def state_of(day: GameDay, facts: Iterable[Fact]) -> GameDayState:
    """The fold of the facts of this game day since it was last begun."""
    fresh = GameDayState(day.name, day.title or day.name, tuple(
        StepState(number, one.experiment, one.starts, one.expect) for number, one in enumerate(day.steps, 1)))
    found = fresh
    for fact in facts:
        if fact.subject == day.name:
            found = _after(replace(fresh, begun=fact.at) if fact.kind == BEGUN else found, fact)
    return found


def _after(state: GameDayState, fact: Fact) -> GameDayState:
    data = fact.data
    number = int(data.get("step", 0))
    match fact.kind:
        case "gameday.decided":
            return _step(state, number, state="go" if data["go"] else "no-go", by=str(data["by"]),
                         why=str(data.get("why", "")), at=fact.at)
        case "gameday.ran":
            return _step(state, number, state="ran", run=str(data["run"]), status=str(data["status"]))
        case "gameday.noted":
            return replace(state, notes=(*state.notes, Note(fact.at, str(data["by"]), str(data["text"]), number)))
        case "gameday.closed":
            return replace(state, closed=fact.at)
        case _:
            return state


def _step(day: GameDayState, number: int, **changes: Any) -> GameDayState:
    # A plan that was shortened since leaves facts of steps that are no more; they change nothing.
    return replace(day, steps=tuple(replace(one, **changes) if one.number == number else one for one in day.steps))


def may_decide(day: GameDay, state: GameDayState, number: int, person: str) -> StepState:
    """The step, when this person may decide on it now.

    Raises:
        InvalidInput: there is no such step.
        Conflict: the day is closed, not begun, or another step comes first.
        NotAllowed: the person does not hold the role that starts it.
    """
    step = next((one for one in state.steps if one.number == number), None)
    if step is None:
        raise InvalidInput(f"{day.name} has no step {number}", f"its steps are 1 to {len(state.steps)}")
    if state.begun is None or state.closed is not None:
        raise Conflict(f"{day.name} is {'closed' if state.closed else 'not begun'}",
                       f"begin it with mainstay chaos gameday {day.name} --begin")
    if state.next_step is None or state.next_step.number != number:
        expected = f"step {state.next_step.number} comes next" if state.next_step else "every step is done"
        raise Conflict(f"step {number} cannot be decided on: {expected}",
                       f"look with mainstay chaos gameday {day.name}")
    holders = day.roles.get(step.starts, ())
    if person not in holders:
        raise NotAllowed(f"{person or 'nobody'} does not hold the role {step.starts}",
                         f"it is {', '.join(holders) or 'nobody'} who starts step {number}"
                         + did_you_mean(person, holders))
    return step


def summary(day: GameDay, state: GameDayState) -> str:
    """The document that is left: Markdown."""
    lines = [f"# Game day: {state.title}", ""]
    if day.purpose:
        lines += [day.purpose, ""]
    if state.begun is not None:
        until = f" to {state.closed:%H:%M}" if state.closed is not None else ", still open"
        lines += [f"{state.begun:%A, %-d %B %Y, %H:%M}{until} UTC", ""]
    lines += ["| role | who |", "|---|---|", *(f"| {role} | {', '.join(who)} |" for role, who in day.roles.items()), ""]
    outcomes = [_came_out(one) for one in state.steps]
    counted = ", ".join(f"{outcomes.count(word)} {word}" for word in ("held", "broke", "skipped", "open"))
    lines += [f"Of {many(len(outcomes), 'step')}: {counted}.", "", "## Steps", ""]
    for one in state.steps:
        lines += _told(one)
        lines += [f"- {note.at:%H:%M} {note.by}: {note.text}" for note in state.notes if note.step == one.number]
        lines.append("")
    others = [note for note in state.notes if not 1 <= note.step <= len(state.steps)]
    if others:
        lines += ["## Notes", "", *(f"- {note.at:%H:%M} {note.by}: {note.text}" for note in others), ""]
    todo = [one for one in state.steps if _came_out(one) == "broke"]
    if todo:
        lines += ["## To mend", "", *(f"- [ ] {one.experiment}: {one.status} in {one.run}" for one in todo), ""]
    return "\n".join(lines)


def _told(one: StepState) -> list[str]:
    why, who = f", {one.why}" if one.why else "", f" ({one.by})" if one.by else ""
    lines = [f"### {one.number}. {one.experiment}", "", f"- started by: {one.starts}{who}"]
    if one.expect:
        lines.append(f"- expected: {one.expect}")
    return [*lines, f"- run: {one.run}, {one.status}" if one.state == "ran" else f"- decided: {one.state}{why}"]


def _came_out(one: StepState) -> str:
    if one.state == "no-go":
        return "skipped"
    if one.state != "ran":
        return "open"
    return "held" if one.status == "passed" else "broke"
