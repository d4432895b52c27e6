"""`mainstay chaos check`: what is wrong with experiments, ours and other tools', and what is missing to run them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mainstay.chaos.operations.formats import FORMATS, documents_of, quickly
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Finding, InvalidFiles, Severity, errors_of
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Block, Cell, Code, Next, Text, View, table
from mainstay.kernel.wording import many


@dataclass(frozen=True)
class CheckRequest:
    """What to look at."""

    files: tuple[str, ...] = arg("files, ours or another tool's; the catalog of -c when left out", (),
                                 positional=True, local_only=True)
    allow_python: bool = arg("functions of Python modules may be called", False)


@dataclass(frozen=True, slots=True)
class Checked:
    """One file.

    Args:
        form: `experiment`, `catalog`, or the other tool's name.
        findings: what is wrong, and what is missing here.
    """

    file: str
    form: str
    title: str
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many of them keep it from running."""
        return len(errors_of(self.findings))


@dataclass(frozen=True, slots=True)
class Checks:
    """Every file."""

    files: tuple[Checked, ...]


def check(world: World, request: CheckRequest) -> Checks:
    """Check experiments: every mistake at its line, and what is missing here to run them."""
    if not request.files:
        if not world.catalog.files:
            raise InvalidInput("say what to check", "mainstay chaos check FILE, or the catalog with -c DIR")
        return Checks((Checked(world.catalog.root, "catalog", "", world.findings),))
    return Checks(tuple(one for file in request.files for one in _checked(world, file, request)))


def _checked(world: World, file: str, request: CheckRequest) -> Iterator[Checked]:
    for document in quickly(file):
        one = next((each for each in FORMATS.values() if each.recognised(document)), None)
        said = one.read(world, document) if one is not None else None
        if one is not None and said is not None and not said.findings:
            yield Checked(file, one.tool, said.title, ())
            return
    try:
        documents = documents_of(file)
    except InvalidFiles as error:
        yield Checked(file, "unreadable", "", error.findings)
        return
    others = [(document, one) for document in documents
              for one in [next((each for each in FORMATS.values() if each.recognised(document)), None)]]
    if all(one is None for _, one in others):
        yield _ours(world, file, documents[0].lines if documents else (), allowed=request.allow_python)
        return
    for document, one in others:
        if one is None:
            continue
        said = one.read(world, document)
        kept = tuple(found for found in said.findings
                     if not (request.allow_python and found.code == "calls-python"))
        yield Checked(file, one.tool, said.title, kept)


def _ours(world: World, file: str, lines: Sequence[str], *, allowed: bool) -> Checked:
    from mainstay.chaos.operations.missing import missing_here  # noqa: PLC0415  (a lazy start: others' need none)

    try:
        there = world.under(world, world.catalog_at(file if "/" in file else f"./{file}"))
    except InvalidFiles as error:
        return Checked(file, "experiment", "", error.findings)
    titles, findings = missing_here(there, lines, allowed=allowed)
    if not titles:
        raise InvalidInput(f"{file} declares no experiment", "name the folder with -c, and the experiment by its name")
    return Checked(file, "experiment", ", ".join(titles), findings)


def check_view(found: Checks) -> View:
    """A row a file, then every finding with its line."""
    return View("Check", tuple(_blocks(found)))


def _blocks(found: Checks) -> Iterator[Block]:
    wrong = sum(one.errors for one in found.files)
    yield Text(f"{many(len(found.files), 'file')}: " + ("all of them can be run here." if not wrong else
                                                         f"{many(wrong, 'mistake')} or missing part"
                                                         + ("." if wrong == 1 else "s.")), "bad" if wrong else "good")
    rows = [(one.file, one.form, one.title, Cell(f"{one.errors} errors" if one.errors else "ok",
                                                 tone="bad" if one.errors else "good"),
             str(sum(finding.severity is Severity.WARNING for finding in one.findings))) for one in found.files]
    yield table("Files", ("file", "form", "title", "is", "warnings>"), rows)
    for one in found.files:
        for finding in one.findings:
            if finding.severity is not Severity.HINT:
                yield Code(finding.render())
    yield Next(("mainstay chaos run FILE",) if not wrong else ("mainstay chaos check FILE",))


CHECK = Operation(
    "chaos", "check", CheckRequest, check, check_view, catalog="named", doors=("cli",),
    as_json=lambda found: {"files": [{"file": one.file, "form": one.form, "title": one.title,
                                      "findings": [finding.as_dict() for finding in one.findings]}
                                     for one in found.files]},
    numbers=False, exit_code=lambda found: 1 if any(one.errors for one in found.files) else 0,
    exit_codes=((0, "all of them can be run here"), (1, "there are mistakes, or something is missing here"),
                (2, "a file cannot be read, or the catalog of -c holds mistakes")),
    examples=("mainstay chaos check -c shop", "mainstay chaos check experiment.json other.yaml --json"))
