"""Findings: what is wrong in the user's files, where, and what to write instead. All of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput


class Severity(StrEnum):
    """How much a finding matters: an error refuses the file, a warning and a hint do not."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file. Lines and columns count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake in one place.

    Args:
        code: stable, kebab-case, e.g. `unknown-field`; documented in the reference.
        source: the text of the line, for the caret; empty when the file has no such line.
        mend: what to write instead.
        hidden: the line holds a secret and is not shown: what a check prints ends in logs that others read.
    """

    code: str
    where: Position
    message: str
    mend: str = ""
    source: str = ""
    severity: Severity = Severity.ERROR
    hidden: bool = False

    def render(self) -> str:
        """The finding as people read it: place, message, the line with a caret, the mend."""
        lines = [f"{self.where}: {self.severity}: {self.message} [{self.code}]"]
        if self.source:
            number = str(self.where.line)
            # A tab before the caret must stay a tab or the caret drifts away from its column.
            indent = "".join("\t" if c == "\t" else " " for c in self.source[: self.where.column - 1])
            lines.append(f"  {number} | {self.source}")
            lines.append(f"  {' ' * len(number)} | {indent}^")
        if self.mend:
            lines.append(f"  mend: {self.mend}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, object]:
        """The finding as `--json` prints it."""
        return {
            "code": self.code, "severity": str(self.severity), "file": self.where.file,
            "line": self.where.line, "column": self.where.column,
            "message": self.message, "mend": self.mend,
        }


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean "x"?)`, or the empty string when nothing known is close."""
    from difflib import get_close_matches  # noqa: PLC0415  (a lazy start: only a slip of the pen needs it)

    close = get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f' (did you mean "{close[0]}"?)' if close else ""


def errors_of(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that refuse a file, in the order of their places."""
    return tuple(sorted((f for f in findings if f.severity is Severity.ERROR), key=lambda f: f.where))


class InvalidFiles(InvalidInput):
    """The user's files hold mistakes; `findings` has every one of them."""

    code = "invalid-files"

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=lambda f: f.where))
        count = len(self.findings)
        super().__init__("\n\n".join(f.render() for f in self.findings)
                         + f"\n\n{count} finding{'s' if count != 1 else ''}")
