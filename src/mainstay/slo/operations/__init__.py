"""The verbs of the word slo, each loaded when it is asked for: one verb must not pay for the others."""

from __future__ import annotations

VERBS: dict[str, tuple[str, str]] = {
    "try": ("try_log", "TRY"), "report": ("standings", "REPORT"), "show": ("show", "SHOW"), "gate": ("policy", "GATE"),
    "suggest": ("questions", "SUGGEST"), "attribute": ("questions", "ATTRIBUTE"), "journey": ("questions", "JOURNEY"),
    "policy": ("policy", "POLICY"), "enforce": ("policy", "ENFORCE"), "downtime": ("questions", "DOWNTIME"),
    "review": ("questions", "REVIEW"), "reviewed": ("questions", "REVIEWED"), "recompute": ("upkeep", "RECOMPUTE"),
    "export-metrics": ("upkeep", "EXPORT_METRICS")}
"""Every verb in the order of help, with the room below this one and the name of its operation there."""
