"""The pages of runbooks: what is declared and goes on, one to work through, and one run, live."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from mainstay.doors.web.pages import BEGUN, Page, PageQuery
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NotFound
from mainstay.kernel.operation import Operation
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import Cell, Table, Tone, table
from mainstay.kernel.wording import many
from mainstay.runbook.operations.approving import APPROVE, REJECT
from mainstay.runbook.operations.desk import runs_of
from mainstay.runbook.operations.looking import (
    ListRequest,
    RunbookReading,
    ShowRequest,
    list_runbooks,
    show,
    taken_back,
)
from mainstay.runbook.operations.running import ANSWER, UNDO
from mainstay.runbook.reading import RunReading, read_run, said
from mainstay.runbook.rendering import sections, shown_act
from mainstay.runbook.spec import Runbook, Step
from mainstay.runbook.view import SIGNS, headline, lasted, minutes, runs_table

_STATES: Mapping[str, str] = {"good": "healthy", "warn": "at-risk", "bad": "violated"}
_LATEST = 20


@dataclass(frozen=True, slots=True)
class RunbooksPage:
    """Runs that go on, those that wait for a person first; then what is declared."""

    verdict: str
    tone: Tone
    going_on: Table
    runbooks: Table
    over: Table


@dataclass(frozen=True, slots=True)
class StepShown:
    """A step as people work through it.

    Args:
        text: what is typed or looked at, to be copied; empty for a question alone.
        when: under which conditions, in words.
        lasting: why it cannot be taken back.
    """

    name: str
    title: str
    text: str
    when: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    check: str
    undo: str
    lasting: str
    optional: bool


@dataclass(frozen=True, slots=True)
class SectionShown:
    """A heading and its steps."""

    title: str
    steps: tuple[StepShown, ...]


@dataclass(frozen=True, slots=True)
class RunbookPage:
    """A runbook to work through: check boxes are kept by the browser, and nobody else sees them."""

    name: str
    title: str
    about: RunbookReading
    description: str
    triggers: tuple[str, ...]
    inputs: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    sections: tuple[SectionShown, ...]
    escalation: tuple[str, ...]
    runs: Table | None
    plan: str
    run: str
    by_hand: str


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step of a run. `log` is shown open while it runs, and where it failed."""

    name: str
    title: str
    sign: str
    state: str
    tone: Tone
    took: str
    does: str
    said: str
    log: str
    left_out: int
    open: bool


@dataclass(frozen=True, slots=True)
class RunPage:
    """One run.

    Args:
        may_approve: what stands against whoever looks approving it; empty when nothing does.
    """

    run: RunReading
    state: str
    verdict: str
    title: str
    facts: tuple[tuple[str, str], ...]
    steps: tuple[StepRow, ...]
    awaiting: bool
    may_approve: str
    undoable: bool
    audit: str
    planned: datetime


def runbook_pages() -> tuple[Page, ...]:
    """The hand-made pages of the word."""
    acts: Mapping[str, Operation[Any, Any]] = {"approve": APPROVE, "reject": REJECT, "answer": ANSWER, "undo": UNDO}
    return (Page("/runbook", "Runbooks", "runbooks.html", runbooks_page, word="runbook"),
            Page("/runbook/show", "Runbook", "runbook.html", runbook_page, word="runbook", listed=False),
            Page("/runbook/status", "Run", "run.html", run_page, word="runbook", listed=False, forms=acts))


def link_to(name: str) -> str:
    """The address of a runbook's page."""
    return f"runbook/show?name={quote(name)}"


# -- the list ------------------------------------------------------------------------------------------------------


def runbooks_page(world: World, query: PageQuery) -> RunbooksPage:  # noqa: ARG001  (a page's content)
    """Runs that go on, and runbooks."""
    runs = [read_run(run) for run in runs_of(world).caught_up().values()]
    going_on = [run for run in reversed(runs) if not run.over]
    waiting = [run for run in going_on if run.state in ("awaiting_approval", "waiting")]
    found = list_runbooks(world, ListRequest()).runbooks
    verdict = "No run goes on." if not going_on else f"{many(len(going_on), 'run')} going on" + (
        f", {len(waiting)} of them {'waits' if len(waiting) == 1 else 'wait'} for a person." if waiting else ".")
    rows = [(Cell(one.name, link=link_to(one.name)), one.title or "–", one.service or "–",
             ", ".join(one.alerts) or "–",
             "–" if one.success is None else f"{one.success * 100:.0f} % of {one.runs}", lasted(one.seconds),
             minutes(one.manual_minutes), f"{one.saved_hours:.1f} h") for one in found]
    return RunbooksPage(
        verdict, "good" if not going_on else "warn", runs_table([*waiting, *(one for one in going_on
                                                                             if one not in waiting)], "", ""),
        table("Runbooks", ("runbook", "what", "service", "for alerts", "succeeded>", "takes>", "by hand>", "saved>"),
              rows, empty="None is declared. Draft one from an incident: mainstay runbook suggest INC-1"),
        runs_table([run for run in reversed(runs) if run.over][:_LATEST], "Runs that are over", "None yet."))


# -- one runbook ---------------------------------------------------------------------------------------------------


def runbook_page(world: World, query: PageQuery) -> RunbookPage:
    """One runbook, to work through or to run."""
    book = world.catalog.get(Runbook, query.get("name"))
    found = show(world, ShowRequest(book.name))
    one = found.runbook
    facts = [(name, value) for name, value in (
        ("Service", one.service), ("Owner", one.owner), ("Severity", one.severity),
        ("Needs", many(one.approvals_needed, "approval") if one.approvals_needed else ""),
        ("By hand", minutes(one.manual_minutes) if one.manual_minutes is not None else ""),
        ("Takes", lasted(one.seconds) if one.seconds is not None else ""),
        ("Succeeded", "" if one.success is None else f"{one.success * 100:.0f} % of {many(one.runs, 'run')}"),
        ("Saved", f"{one.saved_hours:.1f} h" if one.saved_hours else ""), ("Version", one.version)) if value]
    asked = [("name", book.name), *(("input", f"{each.name}={'' if each.default is None else each.default}")
                                    for each in book.inputs)]
    link = urlencode(asked)
    return RunbookPage(
        book.name, book.title or book.name, one, book.description,
        tuple(_when(each.alert, each.threshold, each.runbook, each.ended) for each in book.triggers),
        tuple((f"Input {each.name}", each.description or each.type) for each in book.inputs), tuple(facts),
        tuple(SectionShown(each.title, tuple(_step(book.step(name)) for name in each.steps))
              for each in sections(book)),
        tuple(f"after {format_duration(each.after)}: {each.to}" for each in book.escalation),
        runs_table(found.runs, "Last runs", "") if found.runs else None,
        f"runbook/plan?{link}" + (f"&{BEGUN}=true" if any(each.default is None for each in book.inputs) else ""),
        f"runbook/run?{link}", f"runbook/run?{link}&by_hand=true")


def _when(alert: str, threshold: str, runbook: str, ended: str) -> str:
    return f"alert {alert}" + (f": {threshold}" if threshold else "") if alert else f"{runbook} {ended or 'ended'}"


def _step(step: Step) -> StepShown:
    shown = shown_act(step)
    return StepShown(
        step.name, step.title or (said(step.act).removeprefix("ask: ") if shown is None else step.name),
        shown[0] if shown is not None else "",
        tuple(f"{each.value} {each.operator.replace('_', ' ')} {', '.join(each.against)}" for each in step.when),
        step.links, said(step.verify) if step.verify is not None else "",
        taken_back(step) if step.changes and step.reversible else "", step.irreversible, not step.required)


# -- one run -------------------------------------------------------------------------------------------------------


def run_page(world: World, query: PageQuery) -> RunPage:
    """One run, live."""
    if not query.get("name"):
        raise NotFound("no run was named", "choose one on the list of runbooks")
    known = runs_of(world).run(query.get("name"))
    run = read_run(known)
    facts = [(name, value) for name, value in (
        ("Asked for by", run.by + (f", {run.via}" if run.via else "")), ("Because", run.reason),
        ("Incident", run.incident), ("Acts on", ", ".join(run.targets)), ("Plan", run.plan[:12]),
        ("Approved by", ", ".join(one.by for one in run.approvals)), ("Took", lasted(run.seconds)
                                                                       if run.seconds is not None else "")) if value]
    facts += [(f"{kind} {name}", str(value)) for kind, given in (("Label", run.labels), ("Input", run.inputs))
              for name, value in given.items()]
    tone = SIGNS[run.state][1]
    return RunPage(
        run, _STATES.get(tone, "no-data"), headline(run), str(known.data.get("title") or run.runbook), tuple(facts),
        tuple(_rows(run)), run.state == "awaiting_approval", _against(world, run, known.plan.approval.by),
        not run.over or (run.state == "succeeded" and run.reversible),
        f"runbook/audit?what=show&name={quote(run.id)}", run.planned)


def _rows(run: RunReading) -> list[StepRow]:
    rows = []
    for step in run.steps:
        sign, tone = SIGNS[step.state]
        undo = {"": "", "not_reversible": "not reversible", "undone": "taken back"}.get(step.undo, f"undo {step.undo}")
        told = "; ".join(one for one in (step.error or step.note, undo, step.undo_error) if one)
        busy = step.state in ("running", "failed", "timed_out", "unknown") or step.undo in ("running", "failed")
        rows.append(StepRow(step.name, step.title, sign, step.state.replace("_", " "), tone, lasted(step.seconds),
                            step.does, told, step.log.rstrip("\n"), step.left_out, busy))
    return rows


def _against(world: World, run: RunReading, named: tuple[str, ...]) -> str:
    if "approve" not in world.scopes:
        return "Your token may not approve."
    if world.actor == run.by:
        return "You asked for this run, so somebody else must approve it."
    if named and world.actor not in named:
        return f"{', '.join(named)} may approve it."
    return "You approved it." if world.actor in [one.by for one in run.approvals] else ""
