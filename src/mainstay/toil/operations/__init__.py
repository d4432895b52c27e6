"""The verbs of the word toil, each loaded when it is asked for: one verb must not pay for the others."""

from __future__ import annotations

VERBS: dict[str, tuple[str, str]] = {
    "log": ("logging", "LOG"), "start": ("logging", "START"), "stop": ("logging", "STOP"),
    "import": ("importing", "IMPORT"), "entries": ("rows", "ENTRIES"),
    "withdraw": ("rows", "WITHDRAW"), "report": ("reporting", "REPORT"), "candidates": ("deciding", "CANDIDATES"),
    "group": ("logging", "GROUP"), "roi": ("deciding", "ROI"), "trend": ("reporting", "TREND"),
    "decide": ("deciding", "DECIDE"), "export-metrics": ("publishing", "EXPORT_METRICS"),
    "digest": ("publishing", "DIGEST")}
"""Every verb in the order of help, with the room below this one and the name of its operation there."""
