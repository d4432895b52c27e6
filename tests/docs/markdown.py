"""What a document shows between its fences: YAML that must load, and console sessions that must still happen so.

    <!-- runs in: examples/01-first-slo -->     the console blocks are run, in order, in a copy of that folder
    ```yaml                                     a YAML block whose first line is `# PATH.yaml` is written there first
    # mainstay/shop.yaml
    …
    ```
    ```console
    $ mainstay check                            typed; what follows is what it prints
    …                                           alone on a line: any lines
    ```

`pytest tests/docs --update` writes what is printed now, and keeps what still fits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from scenarios.transcript import Step, Transcript, parse, renewed

REPO = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_RUNS_IN = re.compile(r"^<!-- runs in: (\S+) -->$", re.MULTILINE)
_FILE = re.compile(r"# (\S+\.yaml)\n")
_ANY_LINES = {"…": "<lines>"}
_SHOWN = {lines: dots for dots, lines in _ANY_LINES.items()}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line of the document it starts on."""

    language: str
    text: str
    line: int


def documents() -> list[Path]:
    """Every document of the repository that people read."""
    return sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md"), *(REPO / "examples").rglob("*.md")])


def blocks(text: str, language: str) -> list[Block]:
    """The fenced blocks of that language."""
    return [Block(found[1], found[2], text.count("\n", 0, found.start()) + 1)
            for found in _FENCE.finditer(text) if found[1] == language]


def folder_of(text: str) -> Path | None:
    """The folder in whose copy the document's console blocks run; None when the document only shows them."""
    found = _RUNS_IN.search(text)
    return REPO / found[1] if found else None


def session(text: str) -> Transcript:
    """The document's files and console blocks as one transcript."""
    files = tuple((named[1], block.text) for block in blocks(text, "yaml") if (named := _FILE.match(block.text)))
    steps: list[Step] = []
    for block in blocks(text, "console"):
        steps += parse(block.text).steps
    return Transcript((), files, tuple(Step(one.command, tuple(_ANY_LINES.get(line, line) for line in one.output))
                                       for one in steps))


def with_printed(text: str, printed: list[Step]) -> str:
    """The document with what is printed now, where it no longer fits."""
    left = list(printed)

    def anew(found: re.Match[str]) -> str:
        if found[1] != "console":
            return found[0]
        lines: list[str] = []
        for shown in parse(found[2]).steps:
            expected = Step(shown.command, tuple(_ANY_LINES.get(line, line) for line in shown.output))
            lines += [f"$ {shown.command}", *(_SHOWN.get(line, line) for line in renewed(expected, left.pop(0)).output)]
        return "```console\n" + "\n".join(lines) + "\n```"

    return _FENCE.sub(anew, text)
