"""`monitoring import` and `monitoring export`: between other tools' files and the catalog, every loss by name."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field, fields, replace
from pathlib import Path

from mainstay.kernel.catalog import read_file
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import Finding, InvalidFiles, Position, did_you_mean, errors_of
from mainstay.kernel.objective import (
    AlertDeclaration,
    DataSource,
    Indicator,
    Objective,
    PrometheusDetails,
    Service,
    resolved,
)
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Block, Code, Next, Text, View, table
from mainstay.kernel.wording import many
from mainstay.monitoring.exchange import FORMATS
from mainstay.monitoring.exchange.catalog_writer import catalog_files
from mainstay.monitoring.exchange.form import Bundle, Composition, Format, Given, Loss, Taken
from mainstay.monitoring.exchange.hcl import read_hcl
from mainstay.monitoring.operations.folder import refuse_what_is_there, write_files
from mainstay.monitoring.spec import Alerting

READ = tuple(one.name for one in FORMATS if one.read is not None)
"""What `--from` takes beside `auto`."""
WRITTEN = tuple(one.name for one in FORMATS if one.write is not None)
"""What `--to` takes."""


@dataclass(frozen=True, slots=True)
class LossRow:
    """A loss as JSON shows it; `where` is `file:line:column`, empty for a loss in writing."""

    what: str
    why: str
    where: str


def _in_order(losses: Iterable[Loss]) -> list[Loss]:
    """By their places in the files, those without one last."""
    return sorted(losses, key=lambda one: (one.where is None, one.where or Position(""), one.what))


def _rows(losses: Iterable[Loss]) -> tuple[LossRow, ...]:
    return tuple(LossRow(one.what, one.why, str(one.where) if one.where is not None else "") for one in losses)


# -- import -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ImportRequest:
    """Which files, of which tool, and where the catalog goes."""

    files: tuple[str, ...] = arg("the other tool's files: YAML, JSON, Terraform", positional=True, local_only=True)
    format: str = arg("the files' format; auto asks every format", "auto", flag="from", choices=("auto", *READ))
    out: str = arg("the folder to write the catalog to; without it the catalog is shown", "", short="o",
                      local_only=True)
    prometheus: str = arg("the address of the Prometheus that is asked; written as a data source", "",
                          local_only=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """How much of one format was read."""

    format: str
    title: str
    files: tuple[str, ...]
    documents: int


@dataclass(frozen=True, slots=True)
class Imported:
    """What was read, what it became, and what was lost on the way.

    Args:
        written: paths of the files that were written; empty when they are only shown.
        catalog: the files' texts by name.
    """

    read: tuple[Kind, ...]
    objectives: tuple[str, ...]
    services: tuple[str, ...]
    alertings: tuple[str, ...]
    losses: tuple[LossRow, ...]
    warnings: tuple[Finding, ...]
    out: str
    written: tuple[str, ...]
    catalog: dict[str, str] = field(default_factory=dict)


def _write(folder: str, given: Given) -> tuple[str, ...]:
    """The files below a folder in which there was nothing; their paths as people read them."""
    write_files(folder, dict(given.files), lambda _: False)
    return tuple(os.path.join(folder, name) for name, _ in given.files)


def import_files(world: World, request: ImportRequest) -> Imported:
    """Read other tools' objectives and write them as a catalog, naming every loss.

    Nothing is written when a file holds a mistake, or when the folder already holds something.
    """
    if not request.files:
        raise InvalidInput("no file was named", "mainstay monitoring import slos.yaml -o mainstay")
    if request.out:
        refuse_what_is_there(request.out)
    documents, findings = _documents(request.files)
    sorted_out = _by_format(documents, request.format, findings)
    taken = []
    for one, some in sorted_out.items():
        assert one.read is not None, "only formats that read were asked"
        world.progress(f"reading {many(len(some), 'document')} of {one.title}")
        taken.append(one.read(some))
    bundle, losses = _together(taken, request.prometheus)
    findings += [finding for one in taken for finding in one.findings]
    findings += _doubled(bundle, documents)
    findings += _unusable(bundle, documents)
    if errors_of(findings):
        raise InvalidFiles(sorted(set(errors_of(findings)), key=lambda one: one.where))
    if not (bundle.objectives or losses):
        raise InvalidInput("the files declare no objective", "name files that do")
    given = catalog_files(bundle, _origin_comment(sorted_out))
    written = _write(request.out, given) if request.out else ()
    return Imported(
        tuple(Kind(one.name, one.title, tuple(dict.fromkeys(document.file for document in some)), len(some))
              for one, some in sorted_out.items()),
        tuple(one.name for one in bundle.objectives), tuple(one.name for one in bundle.services),
        tuple(one.name for one in bundle.alertings), _rows(_in_order((*losses, *given.losses))),
        tuple(sorted(findings, key=lambda one: one.where)), request.out, written, dict(given.files))


def _documents(files: Sequence[str]) -> tuple[list[Document], list[Finding]]:
    documents: list[Document] = []
    findings: list[Finding] = []
    for name in dict.fromkeys(files):
        path = Path(name)
        if path.is_dir():
            raise InvalidInput(f"{name} is a folder", f"name the files in it, such as {name}/*.yaml")
        read, wrong = read_terraform(path, name) if path.suffix == ".tf" else read_file(path, name)
        findings += wrong
        documents += [one for document in read for one in _apart(document)]
    return documents, findings


def read_terraform(path: Path, shown: str) -> tuple[list[Document], list[Finding]]:
    """A file in Terraform's own language; its JSON form is read as any other JSON."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return read_file(path, shown)  # which says what is wrong with it
    return read_hcl(text, shown)


def _apart(document: Document) -> Iterator[Document]:
    """A list of documents (Kubernetes' `List`, a JSON array) taken apart; an empty document is none."""
    root = document.root
    items = root.value.get("items") if isinstance(root.value, dict) else root
    kind = root.value.get("kind") if isinstance(root.value, dict) else None
    is_list = isinstance(root.value, list) or (kind is not None and str(kind.value).endswith("List"))
    if is_list and items is not None and isinstance(items.value, list):
        yield from (replace(document, root=item) for item in items.value)
    elif root.value is not None:
        yield document


def _by_format(documents: Sequence[Document], asked: str, findings: list[Finding]) -> dict[Format, list[Document]]:
    readers = [one for one in FORMATS if one.read is not None and asked in ("auto", one.name)]
    found: dict[Format, list[Document]] = {}
    for document in documents:
        fitting = next((one for one in readers if one.fits(document)), None)
        if fitting is not None:
            found.setdefault(fitting, []).append(document)
            continue
        other = next((one for one in FORMATS if one.read is not None and one.fits(document)), None)
        said = f"; it is of {other.title}, --from {other.name}" if other is not None else ""
        wanted = "of no format that is read here" if asked == "auto" else f"not of the format {asked}"
        findings.append(document.finding(
            "unknown-form", document.root, f"this document is {wanted}{said}",
            "formats: " + ", ".join(READ) if asked == "auto" else "leave --from out, and every format is asked"))
    return found


def _together(taken: Iterable[Taken], prometheus: str) -> tuple[Bundle, list[Loss]]:
    """Everything as one bundle: a service that several files are about is one; without a source, the given one."""
    services: dict[str, Service] = {}
    objectives: list[Objective] = []
    sources: dict[str, DataSource] = {}
    alertings: list[Alerting] = []
    compositions: list[Composition] = []
    losses: list[Loss] = []
    for one in taken:
        objectives += one.bundle.objectives
        alertings += one.bundle.alertings
        compositions += one.bundle.compositions
        losses += one.losses
        for service in one.bundle.services:
            services.setdefault(service.name, service)
        for source in one.bundle.sources:
            sources.setdefault(source.name, source)
    if prometheus:
        if not prometheus.startswith(("http://", "https://")):
            raise InvalidInput(f'"{prometheus}" is not an address', "write --prometheus http://HOST:9090")
        where = objectives[0].origin if objectives else None
        if where is not None:
            sources.setdefault("prometheus", DataSource("prometheus", where, "prometheus",
                                                        PrometheusDetails(prometheus)))
            objectives = [_asked_at(one, "prometheus") for one in objectives]
    return Bundle(tuple(objectives), tuple(services.values()), tuple(sources.values()), tuple(alertings),
                  tuple(compositions)), losses


def _asked_at(objective: Objective, source: str) -> Objective:
    indicator = objective.indicator
    if isinstance(indicator, str) or indicator.source:
        return objective
    return replace(objective, indicator=replace(indicator, source=source))


def _doubled(bundle: Bundle, documents: Sequence[Document]) -> Iterator[Finding]:
    """Names that stand twice: each would silently win over the other in rules."""
    lines = {document.file: document.lines for document in documents}
    for some in (bundle.objectives, bundle.alertings):
        first: dict[str, Objective | Alerting] = {}
        for one in some:
            if one.name not in first:
                first[one.name] = one
                continue
            known = lines.get(one.origin.file, ())
            source = known[one.origin.line - 1] if one.origin.line <= len(known) else ""
            yield Finding("duplicate-name", one.origin, f'{type(one).__name__.lower()} "{one.name}" is declared twice, '
                          f"first at {first[one.name].origin}", "rename one of the two", source)


def _unusable(bundle: Bundle, documents: Sequence[Document]) -> Iterator[Finding]:
    lines = {document.file: document.lines for document in documents}
    for one in bundle.objectives:
        if any(window.target.budget == 0 for window in one.windows):
            known = lines.get(one.origin.file, ())
            source = known[one.origin.line - 1] if one.origin.line <= len(known) else ""
            yield Finding("no-budget", one.origin, f'"{one.name}" promises 100 %, which leaves no error budget: the '
                          "first failure breaks it for a whole window", "promise what users notice, such as 99.9",
                          source)


def _origin_comment(found: dict[Format, list[Document]]) -> str:
    return "\n".join(f"From {one.title}: " + ", ".join(dict.fromkeys(os.path.basename(document.file)
                                                                     for document in some))
                     for one, some in found.items())


def imported_view(found: Imported) -> View:
    """What was read, what it became, what was lost."""
    read = "; ".join(f"{many(one.documents, 'document')} of {one.title} in {many(len(one.files), 'file')}"
                     for one in found.read)
    became = ", ".join(many(number, noun) for number, noun in (
        (len(found.objectives), "objective"), (len(found.services), "service"), (len(found.alertings), "alerting"))
        if number)
    verdict = f"{became or 'no objective'}, {_lost_words(found.losses)}."
    blocks: list[Block] = [Text(read), Text(verdict, "warn" if found.losses else "good")]
    if found.losses:
        blocks.append(losses_table(found.losses))
    blocks += [Code(one.render()) for one in found.warnings]
    if not found.written:
        blocks += [Code(text, "yaml", name) for name, text in found.catalog.items()]
        files = " ".join(shlex.quote(file) for one in found.read for file in one.files)
        blocks.append(Next((f"mainstay monitoring import {files} -o mainstay",)))
        return View("import", tuple(blocks))
    blocks.append(Text("Written: " + ", ".join(found.written), "quiet"))
    blocks.append(Next((f"mainstay check -c {found.out}", f"mainstay monitoring rules -c {found.out} -o rules")))
    return View("import", tuple(blocks))


def _lost_words(losses: Sequence[LossRow]) -> str:
    return "nothing lost" if not losses else "1 loss" if len(losses) == 1 else f"{len(losses):,} losses"


def _imported_json(found: Imported) -> dict[str, object]:
    return {one.name: getattr(found, one.name) for one in fields(found)} \
        | {"warnings": [one.as_dict() for one in found.warnings]}


def losses_table(losses: Sequence[LossRow]) -> Block:
    """What is lost, where it stood, and why."""
    if any(one.where for one in losses):
        return table("Lost", ("what", "where", "why"), [(one.what, one.where, one.why) for one in losses])
    return table("Lost", ("what", "why"), [(one.what, one.why) for one in losses])


IMPORT = Operation(
    "monitoring", "import", ImportRequest, import_files, imported_view,
    exit_codes=((0, "the catalog was written or shown; losses are listed"), (2, "the files cannot be used")),
    examples=("mainstay monitoring import sloth/*.yaml -o mainstay",
              "mainstay monitoring import pyrra.yaml --prometheus http://prometheus:9090 -o mainstay",
              "mainstay monitoring import slos.yaml --json"),
    doors=("cli",), catalog="unused", as_json=_imported_json)


# -- export -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExportRequest:
    """Which objectives, for which tool, and where its files go."""

    to: str = arg("the format to write", choices=WRITTEN)
    names: tuple[str, ...] = arg("objectives to export; all of the catalog without any", (), positional=True)
    out: str = arg("the folder to write the files to; without it they are shown", "", short="o", local_only=True)


@dataclass(frozen=True, slots=True)
class Exported:
    """The files of the other tool, and what of the catalog they cannot say.

    Args:
        asked: the objectives that were named; none when all were meant.
    """

    format: str
    title: str
    catalog: str
    asked: tuple[str, ...]
    objectives: tuple[str, ...]
    losses: tuple[LossRow, ...]
    out: str
    written: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)


def export(world: World, request: ExportRequest) -> Exported:
    """Write the catalog's objectives as another tool's files, naming every loss."""
    format = next(one for one in FORMATS if one.name == request.to)
    assert format.write is not None, "only formats that are written are offered"
    chosen = _chosen(world, request.names)
    if request.out:
        refuse_what_is_there(request.out)
    services = {one.service for one in chosen}
    bundle = Bundle(chosen, tuple(one for one in world.catalog.of(Service) if one.name in services),
                    _sources_of(world, chosen), world.catalog.of(Alerting),
                    declarations=world.catalog.of(AlertDeclaration))
    given = format.write(bundle)
    written = _write(request.out, given) if request.out else ()
    return Exported(format.name, format.title, world.catalog.root, request.names,
                    tuple(one.name for one in chosen), _rows(given.losses), request.out, written, dict(given.files))


def _chosen(world: World, names: Sequence[str]) -> tuple[Objective, ...]:
    """The objectives by name, or all, with their indicators inline."""
    known = {one.name: one for one in world.catalog.of(Objective)}
    for name in names:
        if name not in known:
            raise NotFound(f'no objective is named "{name}"{did_you_mean(name, known)}',
                           "known: " + ", ".join(sorted(known)) if known else "the catalog declares no objective")
    chosen = [known[name] for name in names] if names else list(known.values())
    if not chosen:
        raise InvalidInput("the catalog declares no objective", "name its folder with -c")
    return tuple(replace(one, indicator=resolved(one, world.catalog)) for one in chosen)


def _sources_of(world: World, chosen: Iterable[Objective]) -> tuple[DataSource, ...]:
    named = {one.indicator.source for one in chosen if isinstance(one.indicator, Indicator)}
    return tuple(one for one in world.catalog.of(DataSource) if one.name in named)


def exported_view(found: Exported) -> View:
    """What was read, what was written, what is lost."""
    blocks: list[Block] = [Text(f"{found.catalog} · {many(len(found.objectives), 'objective')}"),
                           Text(f"{many(len(found.files), 'file')} of {found.title}, {_lost_words(found.losses)}.",
                                "warn" if found.losses else "good")]
    if found.losses:
        blocks.append(losses_table(found.losses))
    if not found.written:
        blocks += [Code(text, "yaml", name) for name, text in found.files.items()]
        names = "".join(f" {name}" for name in found.asked)
        blocks.append(Next((f"mainstay monitoring export{names} --to {found.format} -o {found.format}",)))
    else:
        blocks.append(Text("Written: " + ", ".join(found.written), "quiet"))
    return View("export", tuple(blocks))


EXPORT = Operation(
    "monitoring", "export", ExportRequest, export, exported_view,
    exit_codes=((0, "the files were written or shown; losses are listed"), (2, "the input cannot be used")),
    examples=("mainstay monitoring export --to sloth -o sloth",
              "mainstay monitoring export checkout-availability --to pyrra"),
    doors=("cli", "http", "page"))
