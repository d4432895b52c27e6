"""A flaw: what a check found, before it is a finding with file, line and column."""

from __future__ import annotations

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Finding, Position, Severity
from mainstay.monitoring.lint.written import Source, Written


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a text: `text[start:end]` becomes `new`."""

    text: Written
    start: int
    end: int
    new: str


@dataclass(frozen=True, slots=True)
class Flaw:
    """What a check found.

    Args:
        at: a text and the letter in it, or a line and column of the file.
        edits: what mends it; empty where only a person can.
        severity: where it differs from the check's own.
    """

    code: str
    source: Source
    at: tuple[Written, int] | tuple[int, int]
    message: str
    mend: str = ""
    edits: tuple[Edit, ...] = ()
    severity: Severity | None = None

    def place(self) -> tuple[int, int]:
        """Line and column."""
        first, second = self.at
        return first.place(second) if isinstance(first, Written) else (first, second)

    def finding(self, severity: Severity) -> Finding:
        """The finding, at the severity given unless the flaw has its own."""
        line, column = self.place()
        lines = self.source.lines
        shown = lines[line - 1] if 0 < line <= len(lines) else ""
        return Finding(self.code, Position(self.source.file, line, column), self.message, self.mend, shown,
                       self.severity or severity)
