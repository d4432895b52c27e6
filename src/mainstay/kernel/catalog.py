"""The catalog: a folder of YAML documents as one frozen, cross-checked object.

The kernel knows no word. Each word hands in its `Form`s (how a document is recognised and read) and this module
loads the files, finds names that stand twice, and follows references.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document, Node, read_documents
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import Finding, Position, Severity, did_you_mean
from mainstay.kernel.reader import Reader

MAX_FILE_BYTES = 16 * 1024 * 1024
"""A larger YAML file is a mistake (a dump, a log): refused before it is parsed."""


@runtime_checkable
class Resource(Protocol):
    """Anything declared: it has a name and a place."""

    @property
    def name(self) -> str:
        """What others refer to it by; unique within its type."""
        ...

    @property
    def origin(self) -> Position:
        """Where it is declared."""
        ...


@dataclass(frozen=True, slots=True)
class Reference:
    """A resource names another: `kind` is the type that must carry `name`."""

    kind: type
    name: str
    where: Position
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """One shape of document a word can read.

    Args:
        title: how people name it, e.g. `openslo/v1 SLO`; a list form is recognised by its root key: `slos:`.
        api_version, kind: what the document says of itself; both empty when `root_key` recognises it.
        root_key: the top-level key that makes a document of this form when it says no apiVersion.
        shared: whether others use this apiVersion too, so that another kind of it is left alone in a folder.
        read: the document as resources; mistakes go into the reader's findings.
    """

    title: str
    read: Callable[[Reader], Iterable[Resource]]
    api_version: str = ""
    kind: str = ""
    root_key: str = ""
    shared: bool = False


R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything declared, by type and name.

    Args:
        doubtful: while a catalog with mistakes is checked, the names that it leaves out because of them: of mistaken
            documents, and of what refers to these or to nothing. That such a name is missing is no mistake of its own.
    """

    resources: Mapping[type, Mapping[str, Resource]] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    root: str = ""
    doubtful: frozenset[str] = frozenset()

    def of(self, kind: type[R]) -> tuple[R, ...]:
        """Every resource of that type, by name."""
        return tuple(self.resources.get(kind, {}).values())  # type: ignore[arg-type]

    def find(self, kind: type[R], name: str) -> R | None:
        """The resource of that type and name, or None."""
        return self.resources.get(kind, {}).get(name)  # type: ignore[return-value]

    def get(self, kind: type[R], name: str) -> R:
        """The resource of that type and name.

        Raises:
            NotFound: nothing carries the name; says what is close.
        """
        found = self.find(kind, name)
        if found is None:
            known = self.resources.get(kind, {})
            what = kind.__name__.lower()
            raise NotFound(f'no {what} is named "{name}"{did_you_mean(name, known)}',
                           "known: " + ", ".join(sorted(known)) if known else f"the catalog declares no {what}")
        return found


@dataclass(frozen=True, slots=True)
class Grammar:
    """What the words can read and how their resources refer to each other and are checked together."""

    forms: tuple[Form, ...]
    links: tuple[Callable[[Resource], Iterable[Reference]], ...] = ()
    checks: tuple[Callable[[Catalog], Iterable[Finding]], ...] = ()

    def __add__(self, other: Grammar) -> Grammar:
        return Grammar(self.forms + other.forms, self.links + other.links, self.checks + other.checks)


def read_file(path: Path, shown: str) -> tuple[list[Document], list[Finding]]:
    """The documents of one file, refusing what cannot be YAML."""
    where = Position(shown)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            return [], [Finding("too-large", where, "the file has more than 16 MiB",
                                "a catalog file stays under 16 MiB")]
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return [], [Finding("not-text", where, f"this is not UTF-8 text (byte {error.start})", "save it as UTF-8")]
    except OSError as error:
        return [], [Finding("unreadable", where, f"cannot be read: {error.strerror}", "check the path and its rights")]
    return read_documents(text, shown)


_NOT_OURS = frozenset({"node_modules", "site-packages", "__pycache__"})


def find_files(root: Path) -> list[Path]:
    """Every YAML file below the folder, sorted; not hidden ones, installed packages, or links that leave it."""
    top = root.resolve()
    found: list[Path] = []
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _NOT_OURS
                            and not Path(folder, name, "pyvenv.cfg").exists())
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith(".") or path.suffix not in (".yaml", ".yml"):
                continue
            # A pipe or socket of that name would be waited for without end.
            if path.is_file() and path.resolve().is_relative_to(top):
                found.append(path)
    return found


@dataclass(frozen=True, slots=True)
class Gathered:
    """What stands in files and folders, before anybody knows what it means.

    Args:
        documents: each, and whether its file was named rather than found in a folder.
        findings: why a file could not be read.
    """

    root: str
    files: tuple[str, ...]
    documents: tuple[tuple[Document, bool], ...]
    findings: tuple[Finding, ...]


def gather(paths: Sequence[str | os.PathLike[str]]) -> Gathered:
    """The documents of the files and folders.

    Raises:
        InvalidInput: one of them is not there.
    """
    documents: list[tuple[Document, bool]] = []
    findings: list[Finding] = []
    files: list[str] = []
    seen: set[Path] = set()
    for given in paths:
        path = Path(given)
        named = not path.is_dir()
        if not path.exists():
            raise InvalidInput(f"there is no file or folder {path}", "name the folder that holds the catalog")
        for file in [path] if named else find_files(path):
            shown = str(file) if named else os.path.join(str(path), str(file.relative_to(path.resolve())))
            shown = os.path.normpath(shown)
            if (real := file.resolve()) in seen:
                continue
            seen.add(real)
            files.append(shown)
            read, wrong = read_file(file, shown)
            documents += [(one, named) for document in read for one in _apart(document)]
            findings += wrong
    return Gathered(str(paths[0]) if paths else "", tuple(files), tuple(documents), tuple(findings))


def load(paths: Sequence[str | os.PathLike[str]], grammar: Grammar) -> tuple[Catalog, list[Finding]]:
    """Everything that the files and folders declare, and every mistake in them.

    A file of a shape nobody reads (a Compose file, a rule file) is left alone with a hint when it was found in a
    folder, and is an error when it was named.
    """
    return understood(gather(paths), grammar)


def understood(gathered: Gathered, grammar: Grammar) -> tuple[Catalog, list[Finding]]:
    """What was gathered, as `load` gives it; where there is no document, the same by any grammar."""
    findings = list(gathered.findings)
    unread = bool(findings)
    declared: list[Resource] = []
    broken: set[str] = set()
    for document, named in gathered.documents:
        before = len(findings)
        declared += _read_document(document, grammar, findings, named=named)
        if any(f.severity is Severity.ERROR for f in findings[before:]):
            broken |= set(_names_in(document.root))
    catalog = Catalog(_index(declared, findings), gathered.files, gathered.root)
    # What a mistaken document declares may be missing; one mistake must not be told again wherever it is referred to.
    if not unread:
        dangling = list(_dangling(catalog, grammar))
        findings += (f for name, f in dangling if name not in broken)
        sound = _sound(catalog, grammar, broken | {name for name, _ in dangling})
        for check in grammar.checks:
            findings += check(sound)
    lines = {document.file: document.lines for document, _ in gathered.documents}
    return catalog, [_with_source(f, lines) for f in findings]


def _apart(document: Document) -> list[Document]:
    """A list of documents (as OpenSLO's own tools write them) taken apart; any other document as it is."""
    items = document.root.value
    if isinstance(items, list) and items and all(isinstance(item.value, dict) and "apiVersion" in item.value
                                                 for item in items):
        return [replace(document, root=item) for item in items]
    return [document]


def _read_document(document: Document, grammar: Grammar, findings: list[Finding], *, named: bool) -> Iterator[Resource]:
    root = document.root
    if not isinstance(root.value, dict) and not named:
        findings.append(_hint(document, root, "not a document of Mainstay; left alone"))
        return
    if not isinstance(root.value, dict):
        findings.append(document.finding("not-a-mapping", root, "a document must be a mapping",
                                         "start with apiVersion:"))
        return
    api, kind = (_word(root.value.get(key)) for key in ("apiVersion", "kind"))
    for form in grammar.forms:
        recognised = (form.api_version, form.kind) == (api, kind) if form.kind else \
            not api and form.root_key in root.value
        if recognised:
            reader = Reader(document, root, "", findings)
            if form.kind:
                reader.ignore("apiVersion", "kind")
            yield from form.read(reader)
            return
    if "apiVersion" not in root.value and not named:
        findings.append(_hint(document, root, "not a document of Mainstay; left alone"))
        return
    ours = sorted({form.api_version for form in grammar.forms if form.api_version})
    if api not in ours and not named:
        findings.append(_hint(document, root, f"apiVersion {api} is not read by Mainstay; left alone"))
        return
    if api in ours and not named and any(form.shared for form in grammar.forms if form.api_version == api):
        findings.append(_hint(document, root, f"{api} {kind} is not read by Mainstay; left alone"))
        return
    if api in ours:
        kinds = [form.kind for form in grammar.forms if form.api_version == api]
        at = root.value.get("kind", root)
        findings.append(document.finding("unknown-kind", at, f'{api} has no kind "{kind}"{did_you_mean(kind, kinds)}',
                                         "known kinds: " + ", ".join(sorted(kinds))))
        return
    at = root.value.get("apiVersion", root)
    shapes = ours + [f"{form.root_key}:" for form in grammar.forms if form.root_key]
    message = f'no form is known for apiVersion "{api}"{did_you_mean(api, ours)}' if api else \
        "the document does not say its apiVersion"
    findings.append(document.finding("unknown-form", at, message, "known: " + ", ".join(shapes)))


def _hint(document: Document, node: Node, message: str) -> Finding:
    return Finding("left-alone", Position(document.file, node.line, node.column), message, severity=Severity.HINT)


def _names_in(node: Node) -> Iterator[str]:
    """Every value of a field `name` in the document."""
    if isinstance(node.value, list):
        for item in node.value:
            yield from _names_in(item)
    elif isinstance(node.value, dict):
        for key, item in node.value.items():
            if key == "name" and not isinstance(item.value, (dict, list)):
                yield item.written
            else:
                yield from _names_in(item)


def _word(node: Node | None) -> str:
    return node.value if node is not None and isinstance(node.value, str) else ""


def _index(declared: Iterable[Resource], findings: list[Finding]) -> dict[type, dict[str, Resource]]:
    index: dict[type, dict[str, Resource]] = {}
    for resource in declared:
        names = index.setdefault(type(resource), {})
        if resource.name in names:
            first = names[resource.name].origin
            what = type(resource).__name__.lower()
            findings.append(Finding("duplicate-name", resource.origin,
                                    f'{what} "{resource.name}" is declared twice, first at {first}',
                                    "rename one of the two"))
            continue
        names[resource.name] = resource
    return index


def _dangling(catalog: Catalog, grammar: Grammar) -> Iterator[tuple[str, Finding]]:
    """The references that lead nowhere: the name asked for, and the finding."""
    for names in catalog.resources.values():
        for resource in names.values():
            for link in grammar.links:
                for reference in link(resource):
                    if reference.optional or catalog.find(reference.kind, reference.name) is not None:
                        continue
                    known = catalog.resources.get(reference.kind, {})
                    what = reference.kind.__name__.lower()
                    mend = f"declare the {what}" + (f", or write one of: {', '.join(sorted(known))}" if known else "")
                    message = f'no {what} is named "{reference.name}"{did_you_mean(reference.name, known)}'
                    yield reference.name, Finding("unknown-reference", reference.where, message, mend)


def _sound(catalog: Catalog, grammar: Grammar, doubtful: set[str]) -> Catalog:
    """The catalog without what is named so, and without what needs any of that."""
    left = {kind: {name: one for name, one in names.items() if name not in doubtful}
            for kind, names in catalog.resources.items()}
    out = set(doubtful)
    fallen = bool(doubtful)
    while fallen:
        fallen = False
        for names in left.values():
            for resource in list(names.values()):
                if any(not reference.optional and reference.name not in left.get(reference.kind, {})
                       for link in grammar.links for reference in link(resource)):
                    del names[resource.name]
                    out.add(resource.name)
                    fallen = True
    return replace(catalog, resources=left, doubtful=frozenset(out)) if out else catalog


def _with_source(finding: Finding, lines: Mapping[str, tuple[str, ...]]) -> Finding:
    """Give findings made without a document at hand (duplicates, references) their line for the caret."""
    known = lines.get(finding.where.file, ())
    if finding.source or finding.hidden or finding.where.line > len(known):
        return finding
    return replace(finding, source=known[finding.where.line - 1])
