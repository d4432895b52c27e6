"""`mainstay chaos import` and `export`: experiments and journals of other tools."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mainstay.chaos.operations.finding import run_named
from mainstay.chaos.operations.formats import FORMATS, documents_of, format_of, is_file, lines_of
from mainstay.chaos.spec import Experiment
from mainstay.chaos.toolkit import read
from mainstay.chaos.toolkit_out import document_of, journal_of
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput
from mainstay.kernel.finding import Finding, InvalidFiles, Severity, errors_of
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Block, Cell, Code, Next, Text, View, table
from mainstay.kernel.wording import many

# -- import --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ImportRequest:
    """What another tool wrote."""

    files: tuple[str, ...] = arg("files of another tool, or a command line of pumba", positional=True, local_only=True)
    source: str = arg("the tool they are from; auto looks at them", "auto", choices=("auto", *FORMATS), flag="from")
    output: str = arg("write what is ours, as YAML, into this folder", "", short="o", local_only=True)
    force: bool = arg("replace files that are there already", False)


@dataclass(frozen=True, slots=True)
class Imported:
    """One experiment that was taken.

    Args:
        runs: whether `mainstay chaos run` takes the file as it is.
        yaml: ours; empty where theirs is run as it is, or nothing of it can be said.
        written: where it was written; empty when it was not.
    """

    file: str
    tool: str
    name: str
    title: str
    runs: bool
    yaml: str
    written: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Imports:
    """Everything that was taken."""

    experiments: tuple[Imported, ...]


def import_(world: World, request: ImportRequest) -> Imports:
    """Take experiments of other tools: what runs here, what is missing, what cannot be said."""
    found: list[Imported] = []
    for file in request.files:
        for document in lines_of(file) or documents_of(file):
            chosen = format_of(document, request.source)
            said = chosen.read(world, document)
            found.append(Imported(file, chosen.tool, said.name, said.title, said.runs, said.yaml, "", said.findings))
    return Imports(tuple(_written(request, found) if request.output else found))


def _written(request: ImportRequest, found: Sequence[Imported]) -> list[Imported]:
    """The same with where each was written. Nothing is written before all of it is known to have a place."""
    places: dict[Path, Imported] = {}
    for one in found:
        target = Path(request.output) / f"{one.name}.yaml"
        first = places.setdefault(target, one)
        if one.yaml and first.yaml not in ("", one.yaml):
            raise Conflict(f"{first.file} and {one.file} both hold an experiment called {one.name}",
                           "import them into two folders, or rename one")
        places[target] = one if one.yaml else first
    try:
        for target, one in places.items():
            if one.yaml and target.exists() and not request.force and target.read_text(encoding="utf-8") != one.yaml:
                raise Conflict(f"{target} is there already and says something else", "use another folder, or --force")
        for target, one in places.items():
            if one.yaml:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(one.yaml, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{request.output} cannot be written: {error.strerror}", "name another folder") from None
    return [replace(one, written=str(Path(request.output) / f"{one.name}.yaml")) if one.yaml else one for one in found]


def import_view(found: Imports) -> View:
    """A row each, then what is missing, then the YAML that was not written."""
    return View("Import", tuple(_import_blocks(found.experiments)))


def _import_blocks(found: Sequence[Imported]) -> Iterator[Block]:
    able = sum(not errors_of(one.findings) for one in found)
    yield Text(f"{many(len(found), 'experiment')}: {able} can be run here.", "good" if able == len(found) else "warn")
    rows = [(one.file, one.tool, one.title or one.name,
             Cell("as it is" if one.runs else "as ours" if one.yaml else "no",
                  tone="plain" if not errors_of(one.findings) else "warn"),
             str(len(errors_of(one.findings))), one.written) for one in found]
    yield table("Taken", ("file", "tool", "experiment", "runs", "missing>", "written to"), rows)
    for one in found:
        for finding in one.findings:
            if finding.severity is not Severity.HINT:
                yield Code(finding.render())
        if one.yaml and not one.written:
            yield Code(one.yaml, "yaml", one.name)
    yield Next(("mainstay chaos run FILE", "mainstay chaos check FILE"))


IMPORT = Operation(
    "chaos", "import", ImportRequest, import_, import_view, catalog="named", doors=("cli",),
    as_json=lambda found: {"experiments": [{
        "file": one.file, "tool": one.tool, "name": one.name, "title": one.title, "runs": one.runs, "yaml": one.yaml,
        "written": one.written, "findings": [finding.as_dict() for finding in one.findings]}
        for one in found.experiments]},
    numbers=False, exit_code=lambda found: 1 if any(errors_of(one.findings) for one in found.experiments) else 0,
    exit_codes=((0, "taken, and all of it can be run here"), (1, "taken, and something is missing or wrong"),
                (2, "a file cannot be read, or is of no format that is known")),
    examples=("mainstay chaos import experiment.json",
              "mainstay chaos import a.json b.yaml --from chaostoolkit --json",
              "mainstay chaos import 'pumba netem --duration 1m delay --time 100 api' -o experiments"))


# -- export --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExportRequest:
    """What to give another tool."""

    what: str = arg("an experiment of the catalog, a run, or a file of the Chaos Toolkit", positional=True,
                    local_only=True)
    to: str = arg("whose format; Chaos Mesh's for workloads in Kubernetes", "chaostoolkit",
                  choices=("chaostoolkit", "chaos-mesh"))
    output: str = arg("write it into this file; it is printed when left out", "", short="o", local_only=True)
    force: bool = arg("replace a file that is there already", False)


@dataclass(frozen=True, slots=True)
class Exported:
    """A document of the Chaos Toolkit, or manifests of Chaos Mesh.

    Args:
        form: `experiment`, `journal` or `manifests`.
        notes: what it cannot say as ours does.
    """

    form: str
    text: str
    notes: tuple[str, ...] = ()
    file: str = ""


def export(world: World, request: ExportRequest) -> Exported:
    """Give an experiment, or the journal of a run, to whoever reads the Chaos Toolkit's formats."""
    notes: tuple[str, ...] = ()
    form = "experiment"
    if (wrong := errors_of(world.findings)) and (request.to == "chaos-mesh" or world.catalog.find(
            Experiment, request.what) is not None):
        raise InvalidFiles(wrong)
    if request.to == "chaos-mesh":
        from mainstay.chaos.operations import manifests_out  # noqa: PLC0415  (a lazy start: others need none of it)

        form = "manifests"
        text, notes = manifests_out.manifests(world, world.catalog.get(Experiment, request.what))
        return _put(request, Exported(form, text, notes))
    if is_file(request.what):
        (document, *_) = documents_of(request.what)
        experiment, findings = read(document)
        if wrong := errors_of(findings):
            raise InvalidFiles(wrong)
        content: object = experiment.raw
    elif (declared := world.catalog.find(Experiment, request.what)) is not None:
        content, notes = document_of(declared, world.catalog.root)
    else:
        run = run_named(world, request.what)
        form, content = "journal", journal_of(run)
    text = json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n"
    return _put(request, Exported(form, text, notes))


def _put(request: ExportRequest, found: Exported) -> Exported:
    if not request.output:
        return found
    target = Path(request.output)
    if target.exists() and not request.force:
        raise Conflict(f"{target} is there already", "name another file, or --force")
    try:
        target.write_text(found.text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{target} cannot be written: {error.strerror}", "name another file") from None
    return Exported(found.form, found.text, found.notes, str(target))


def export_view(found: Exported) -> View:
    """The document, or where it was written."""
    notes = [Text(note, "warn") for note in found.notes]
    shown: Block = Text(f"Written to {found.file}.", "good") if found.file else Code(
        found.text, "yaml" if found.form == "manifests" else "json")
    return View("Export", (*notes, shown))


EXPORT = Operation(
    "chaos", "export", ExportRequest, export, export_view, catalog="any", doors=("cli",),
    numbers=False, exit_codes=((0, "given"), (2, "there is nothing of that name, or it cannot be written")),
    examples=("mainstay chaos export auth-slow -c shop -o auth-slow.json", "mainstay chaos export EXP-3 --json",
              "mainstay chaos export api-pods --to chaos-mesh -o api-pods.yaml"))
