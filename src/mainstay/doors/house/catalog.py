"""`mainstay check`: every mistake of a catalog at once, and what it declares."""

from __future__ import annotations

import re

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import MainstayError
from mainstay.kernel.finding import Severity, errors_of
from mainstay.kernel.objective import DataSource
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Block, Code, Next, Text, View, table


@dataclass(frozen=True)
class CheckRequest:
    """How thoroughly."""

    sources: bool = arg("also ask every declared source whether it answers", False)
    hints: bool = arg("also show hints, such as files that were left alone", False)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A finding: code, severity, place, message, what to write instead."""

    code: str
    severity: str
    file: str
    line: int
    column: int
    message: str
    mend: str
    shown: str


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """A source that was asked: what it said it is, or why it did not answer."""

    name: str
    answers: bool
    says: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The catalog: its files, what it declares by kind, what is wrong."""

    files: tuple[str, ...]
    declared: dict[str, int]
    findings: tuple[Mistake, ...]
    sources: tuple[SourceAnswer, ...]
    valid: bool


def check(world: World, request: CheckRequest) -> Checked:
    """Check the catalog: every mistake at once, with its line."""
    declared = {kind.__name__: len(names) for kind, names in world.catalog.resources.items() if names}
    # A hint that says what to do is the answer where nothing is declared, and noise where something is.
    wanted = [one for one in world.findings
              if one.severity is not Severity.HINT or request.hints or (one.mend and not declared)]
    asked = tuple(_ask(world, source) for source in world.catalog.of(DataSource)) if request.sources else ()
    return Checked(
        world.catalog.files, dict(sorted(declared.items())),
        tuple(Mistake(one.code, str(one.severity), one.where.file, one.where.line, one.where.column, one.message,
                      one.mend, one.render()) for one in sorted(wanted, key=lambda one: one.where)),
        asked, not errors_of(world.findings) and all(one.answers for one in asked))


def _ask(world: World, source: DataSource) -> SourceAnswer:
    try:
        return SourceAnswer(source.name, True, world.source(source.name).probe())
    except MainstayError as error:
        return SourceAnswer(source.name, False, f"{error.message}; {error.way_out}" if error.way_out else error.message)


def checked_view(found: Checked) -> View:
    """The findings as they stand in the files, then what is declared."""
    what = ", ".join(_counted(kind, count) for kind, count in found.declared.items())
    blocks: list[Block] = [Code("\n\n".join(one.shown for one in found.findings))] if found.findings else []
    errors = sum(one.severity == "error" for one in found.findings)
    warnings = sum(one.severity == "warning" for one in found.findings)
    head = f"{_counted('file', len(found.files))}: {what or 'nothing is declared'}"
    if errors:
        blocks.append(Text(f"{head} · {_counted('error', errors)}, {_counted('warning', warnings)}", "bad"))
    else:
        tail = f"no error, {_counted('warning', warnings)}" if warnings else "no mistake"
        blocks.append(Text(f"{head} · {tail}", "good"))
    if found.sources:
        blocks.append(table("Sources", ("source", "answers", "says"),
                            [(one.name, "yes" if one.answers else "no", one.says) for one in found.sources]))
    if not found.declared and found.valid:
        blocks.append(Text("Write an objective (docs/guides/slo.md shows how), or name its folder: -c DIR", "quiet"))
        return View("Catalog", (*blocks, Next(("mainstay slo try LOG",))))
    following = [command for kind, command in _SHOWN_BY.items() if kind in found.declared] or ["mainstay slo report"]
    return View("Catalog", (*blocks, Next(tuple(following) if found.valid else ())))


_SHOWN_BY = {"Objective": "mainstay slo report", "Rotation": "mainstay oncall who", "Experiment": "mainstay chaos list"}
"""Kind of resource → the command that shows what it declares."""

_UNCOUNTED = {"Person": ("person", "people"), "Channels": ("channels", "channels"),
              "Holidays": ("holidays", "holidays"), "Diagnostics": ("diagnostics", "diagnostics")}
"""Kinds whose name is no singular that takes an s."""


def _counted(kind: str, count: int) -> str:
    """`ErrorBudgetPolicy`, 2 as `2 error budget policies`."""
    if kind in _UNCOUNTED:
        return f"{count} {_UNCOUNTED[kind][count != 1]}"
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()
    return f"{count} {words}" if count == 1 else f"{count} " + re.sub(r"(?<=[^aeiou])y$", "ie", words) + "s"


CHECK = Operation(
    "", "check", CheckRequest, check, checked_view, exit_code=lambda found: 0 if found.valid else 2, catalog="any",
    exit_codes=((0, "no error (warnings do not count)"), (2, "a mistake in the catalog, or a source that is silent")),
    examples=("mainstay check", "mainstay check -c slos --sources", "mainstay check --json"))

OPERATIONS = (CHECK,)
