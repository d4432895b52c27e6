"""The formats of other tools: how each is recognised, and the room that reads it. One line a format."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mainstay.kernel.catalog import read_file
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document, Node
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Finding, InvalidFiles, did_you_mean, errors_of
from mainstay.kernel.ports import World


@dataclass(frozen=True, slots=True)
class Said:
    """What was taken of one document.

    Args:
        name: of the experiment, as ours would be called.
        title: as theirs is called.
        yaml: ours, as YAML; empty where theirs is run as it is, or nothing of it can be said.
        findings: what is wrong with it, what is missing to run it, and what could not be said as it is, each with its
            place; an error where nothing can be run.
        runs: whether `mainstay chaos run` takes the file as it is.
    """

    name: str
    title: str
    yaml: str = ""
    findings: tuple[Finding, ...] = ()
    runs: bool = False


@dataclass(frozen=True, slots=True)
class Format:
    """A format of another tool.

    Args:
        name: what `--from` calls it.
        tool: what people call the tool.
        recognised: whether the document is of it.
        room, reader: the module below `mainstay.chaos` and its function: (world, document) → what was said.
    """

    name: str
    tool: str
    recognised: Callable[[Document], bool]
    room: str
    reader: str

    def read(self, world: World, document: Document) -> Said:
        """What the document says."""
        take: Callable[[World, Document], Said] = getattr(importlib.import_module(f"mainstay.chaos.{self.room}"),
                                                          self.reader)
        return take(world, document)


def _toolkit(document: Document) -> bool:
    value = document.root.value
    return isinstance(value, dict) and "apiVersion" not in value and \
        ("method" in value or "steady-state-hypothesis" in value)


def _of(group: str) -> Callable[[Document], bool]:
    """Whether the document's apiVersion is of that group."""
    def recognised(document: Document) -> bool:
        value = document.root.value
        version = value.get("apiVersion") if isinstance(value, dict) else None
        return version is not None and str(version.value).startswith(f"{group}/")
    return recognised


def _pumba(document: Document) -> bool:
    return bool(_COMMAND.match(document.root.written or ""))


def _policy(document: Document) -> bool:
    value = document.root.value
    return isinstance(value, dict) and "scenarios" in value and "apiVersion" not in value


FORMATS: Mapping[str, Format] = {one.name: one for one in (
    Format("chaostoolkit", "Chaos Toolkit", _toolkit, "operations.toolkit_check", "said_by_toolkit"),
    Format("chaos-mesh", "Chaos Mesh", _of("chaos-mesh.org"), "operations.manifests_in", "said_by_chaos_mesh"),
    Format("litmus", "Litmus", _of("litmuschaos.io"), "operations.manifests_in", "said_by_litmus"),
    Format("powerfulseal", "PowerfulSeal", _policy, "operations.manifests_in", "said_by_powerfulseal"),
    Format("pumba", "pumba", _pumba, "operations.manifests_in", "said_by_pumba"))}
"""Every format, in the order in which they are tried."""


def is_file(name: str) -> bool:
    """Whether it is meant as a path: names of experiments have no ending of a file and no slash."""
    return "/" in name or name.endswith((".yaml", ".yml", ".json"))


def quickly(file: str) -> list[Document]:
    """The document of a JSON file without its places: nothing where it is of another kind or holds any mistake.

    Whoever finds something to say about it reads it again with `documents_of`, which takes longer and knows the places.
    """
    if not file.endswith(".json"):
        return []
    try:
        with open(file, encoding="utf-8") as opened:
            value = json.load(opened, object_pairs_hook=_once_each)
    except (OSError, ValueError, RecursionError):
        return []
    return [Document(file, _node(value), ())]


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _node(value: Any) -> Node:
    match value:
        case dict():
            return Node({key: _node(one) for key, one in value.items()}, 1, 1, dict.fromkeys(value, (1, 1)))
        case list():
            return Node([_node(one) for one in value], 1, 1)
    return Node(value, 1, 1, written="" if value is None else str(value))


_COMMAND = re.compile(r"\s*(?:sudo\s+)?(?:\S*/)?pumba\s")
"""How a command line of pumba begins, which is one line and no document."""


def lines_of(file: str) -> list[Document]:
    """Command lines of pumba: the text itself, or those of a script; nothing where there is none. A line that ends in a
    backslash goes on, as in a shell."""
    if _COMMAND.match(file):
        return [Document("command line", Node(file, 1, 1, written=file), ())]
    if not file.endswith((".sh", ".bash", ".txt")):
        return []
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []  # whoever reads it as a document says why it cannot be read
    found: list[Document] = []
    begun, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun if parts else number
        parts.append(line.removesuffix("\\"))
        if not line.endswith("\\"):
            whole, parts = " ".join(parts), []
            if _COMMAND.match(whole):
                found.append(Document(file, Node(whole, begun, 1, written=whole), ()))
    return found


def documents_of(file: str) -> list[Document]:
    """The documents of a file.

    Raises:
        InvalidFiles: it is neither YAML nor JSON.
        InvalidInput: there is none in it.
    """
    documents, findings = read_file(Path(file), file)
    if wrong := errors_of(findings):
        raise InvalidFiles(wrong)
    documents = [one for one in documents if one.root.value is not None]  # `---` twice in a row is no document
    if not documents:
        raise InvalidInput(f"{file} is empty", "name a file that another tool wrote")
    return documents


def format_of(document: Document, wanted: str = "auto") -> Format:
    """The format the document is of, or the one that was named.

    Raises:
        InvalidInput: it is of none that is known.
    """
    if wanted != "auto":
        return FORMATS[wanted]
    for one in FORMATS.values():
        if one.recognised(document):
            return one
    value = document.root.value
    kind = str(value["kind"].value) if isinstance(value, dict) and "kind" in value else ""
    raise InvalidInput(f"{document.file} is of no format that is known" + did_you_mean(kind, FORMATS),
                       "known: " + ", ".join(one.tool for one in FORMATS.values()))
