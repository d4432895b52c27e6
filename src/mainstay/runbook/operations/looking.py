"""`mainstay runbook list | show | check`: what is declared, how it did, and what is worth saying about it."""

from __future__ import annotations

import shutil

from mainstay.kernel.actuation import Command
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Finding, Severity
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Block, Cell, Code, Next, Pairs, Text, View, cells, table
from mainstay.kernel.wording import many
from mainstay.runbook.forms import FORM
from mainstay.runbook.measures import Measures, measured
from mainstay.runbook.operations.desk import runs_of
from mainstay.runbook.reading import RunReading, read_run, said
from mainstay.runbook.rendering import markdown
from mainstay.runbook.run import Run
from mainstay.runbook.spec import Runbook, Step, takes_itself_back
from mainstay.runbook.view import lasted, measures_rows, minutes, runs_table


@dataclass(frozen=True)
class ListRequest:
    """Which runbooks."""

    service: str = arg("only runbooks of this service", "")
    alert: str = arg("only runbooks for this alert", "")


@dataclass(frozen=True, slots=True)
class RunbookReading:
    """A runbook as it is read; the field names are its stable JSON.

    Args:
        version: changes whenever anything that a run does changes.
        success: share of runs that succeeded, 0..1; null without runs.
        seconds: the median run that succeeded; null without any.
        manual_minutes: how long a person needs, measured on `manual_measured` runs by hand, else as declared.
    """

    name: str
    title: str
    service: str
    owner: str
    severity: str
    form: str
    version: str
    file: str
    alerts: tuple[str, ...]
    steps: int
    approvals_needed: int
    runs: int
    success: float | None
    seconds: float | None
    manual_minutes: float | None
    manual_measured: int
    saved_hours: float


@dataclass(frozen=True, slots=True)
class Listed:
    """Runbooks."""

    runbooks: tuple[RunbookReading, ...]


def measures_of(world: World, book: Runbook) -> Measures:
    """How the runbook did in all its runs."""
    return measured(_runs(world, book), book.manual_minutes)


def _runs(world: World, book: Runbook) -> list[Run]:
    return [run for run in runs_of(world).caught_up().values() if run.runbook == book.name]


def read_book(world: World, book: Runbook) -> RunbookReading:
    """The runbook as it is read."""
    did = measures_of(world, book)
    return RunbookReading(
        book.name, book.title, book.service, book.owner, book.severity, book.form, book.version, book.origin.file,
        tuple(one.alert for one in book.triggers if one.alert), len(book.steps), book.approval.needed, did.runs,
        did.success, did.seconds, did.manual_minutes, did.manual_measured, did.saved_hours)


def list_runbooks(world: World, request: ListRequest) -> Listed:
    """List runbooks with their success, their time, and the time that people need without them."""
    return Listed(tuple(
        read_book(world, book) for book in world.catalog.of(Runbook)
        if (not request.service or book.service == request.service)
        and (not request.alert or request.alert in [one.alert for one in book.triggers])))


def list_view(found: Listed) -> View:
    """A row a runbook."""
    rows = [(Cell(one.name, link=f"runbook/show?name={one.name}"), one.service or "–", ", ".join(one.alerts) or "–",
             str(one.steps), "–" if one.success is None else f"{one.success * 100:.0f} % of {one.runs}",
             lasted(one.seconds), minutes(one.manual_minutes), f"{one.saved_hours:.1f} h") for one in found.runbooks]
    first = found.runbooks[0].name if found.runbooks else ""
    return View("Runbooks", (
        Text(f"{many(len(found.runbooks), 'runbook')}.", "quiet"),
        table("", ("runbook", "service", "for alerts", "steps>", "succeeded>", "takes>", "by hand>", "saved>"), rows,
              empty="None is declared. Draft one from an incident: mainstay runbook suggest INC-1"),
        *((Next((f"mainstay runbook show {first}", f"mainstay runbook plan {first}")),) if first else ())))


LIST = Operation("runbook", "list", ListRequest, list_runbooks, list_view,
                 exit_codes=((0, "listed"), (2, "a flag is wrong")),
                 examples=("mainstay runbook list", "mainstay runbook list --alert HighLatency --json"))


# -- show ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShowRequest:
    """Which runbook, and how."""

    name: str = arg("the runbook", positional=True)
    markdown: bool = arg("print it as a Markdown document for people", False)


@dataclass(frozen=True, slots=True)
class StepShown:
    """A step as it is declared."""

    name: str
    title: str
    does: str
    undo: str
    required: bool
    idempotent: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A runbook whole; `document` is it as Markdown."""

    runbook: RunbookReading
    steps: tuple[StepShown, ...]
    runs: tuple[RunReading, ...]
    document: str
    measures: Measures
    as_document: bool


_LAST_RUNS = 10


def show(world: World, request: ShowRequest) -> Shown:
    """Show a runbook whole: what it does and how it did; or as a document for people."""
    book = world.catalog.get(Runbook, request.name)
    runs = tuple(read_run(run) for run in reversed(_runs(world, book)[-_LAST_RUNS:]))
    return Shown(read_book(world, book), tuple(
        StepShown(step.name, step.title, said(step.act), taken_back(step), step.required, step.idempotent)
        for step in book.steps), runs, markdown(book), measures_of(world, book), request.markdown)


def taken_back(step: Step) -> str:
    """How a declared step is taken back, in words."""
    if step.undo is not None:
        return said(step.undo)
    if takes_itself_back(step.act):
        return "what was there before"
    return "–" if not step.changes else f"irreversible: {step.irreversible}" if step.irreversible else "not reversible"


def show_view(found: Shown) -> View:
    """The runbook."""
    if found.as_document:
        return View(found.runbook.name, (Code(found.document, "markdown"),))
    one = found.runbook
    facts = [(name, cells(value)) for name, value in (
        ("service", one.service), ("owner", one.owner), ("severity", one.severity), ("alerts", ", ".join(one.alerts)),
        ("version", one.version), ("file", one.file)) if value]
    blocks: list[Block] = [Pairs((*facts, *measures_rows(found.measures))),
                           table("Steps", ("step", "does", "taken back by", ""), [
                               (step.name, step.title + (": " if step.title else "") + step.does, step.undo,
                                "" if step.required else "optional") for step in found.steps])]
    if found.runs:
        blocks.append(runs_table(found.runs, "Last runs", ""))
    return View(one.title or one.name, (*blocks, Next((
        f"mainstay runbook plan {one.name}", f"mainstay runbook show {one.name} --markdown"))))


SHOW = Operation("runbook", "show", ShowRequest, show, show_view,
                 exit_codes=((0, "shown"), (2, "there is no such runbook")),
                 examples=("mainstay runbook show drain-zone",
                           "mainstay runbook show drain-zone --markdown > drain-zone.md"))


# -- check ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CheckRequest:
    """Which runbooks."""

    name: str = arg("one runbook; all when left out", "", positional=True)


@dataclass(frozen=True, slots=True)
class Checked:
    """What is wrong (errors, which refuse the files) and what is worth saying about runbooks."""

    runbooks: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """Findings that refuse a file."""
        return sum(one.severity is Severity.ERROR for one in self.findings)


def check(world: World, request: CheckRequest) -> Checked:
    """Check runbooks: every mistake with its line, and what could not be done or taken back."""
    books = world.catalog.of(Runbook) if not request.name else (world.catalog.get(Runbook, request.name),)
    worth = [one for book in books for one in _worth_saying(book)]
    mistakes = [one for one in world.findings if one.severity is not Severity.HINT]
    return Checked(len(books), (*mistakes, *worth))


def _worth_saying(book: Runbook) -> list[Finding]:
    out = []
    for step in book.steps:
        # The older form has no words for taking back; each of its steps is asked for before.
        if not step.reversible and not step.irreversible and book.form == FORM:
            out.append(Finding("not-reversible", step.where, f"nothing says how {step.name} is taken back",
                               "add undo:, irreversible: WHY, or changes: false",
                               severity=Severity.WARNING))
        for act in (step.act, step.undo, step.verify):
            if isinstance(act, Command) and shutil.which(act.argv[0]) is None and "/" not in act.argv[0]:
                out.append(Finding("no-program", step.where, f"this host has no program {act.argv[0]}",
                                   "install it where runs are driven", severity=Severity.WARNING))
    if book.manual_minutes is None:
        out.append(Finding("no-manual-time", book.origin, f"nobody said how long {book.name} takes by hand, so what it "
                           "saves is not counted", "add manual_minutes:, or run it once with --by-hand",
                           severity=Severity.WARNING))
    return out


def check_view(found: Checked) -> View:
    """The findings as they are rendered everywhere."""
    head = Text(f"{many(found.runbooks, 'runbook')}: {many(found.errors, 'mistake')}, "
                f"{len(found.findings) - found.errors} worth a look.", "bad" if found.errors else "good")
    shown = "\n\n".join(one.render() for one in found.findings)
    return View("Check", (head, *((Code(shown),) if shown else ())))


CHECK = Operation(
    "runbook", "check", CheckRequest, check, check_view, catalog="any",
    as_json=lambda found: {"runbooks": found.runbooks, "errors": found.errors,
                           "findings": [one.as_dict() for one in found.findings]},
    exit_code=lambda found: 1 if found.errors else 0,
    exit_codes=((0, "no mistakes"), (1, "mistakes were found"), (2, "there is no such runbook")),
    examples=("mainstay runbook check", "mainstay runbook check drain-zone -c mainstay"))
