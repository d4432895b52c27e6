"""The verbs of the word toil, each loaded when it is asked for: one verb must not pay for the others."""

from __future__ import annotations

import importlib
from typing import Any

from mainstay.kernel.operation import Operation

VERBS = {
    "log": ("logging", "LOG"), "start": ("logging", "START"), "stop": ("logging", "STOP"),
    "import": ("importing", "IMPORT"), "report": ("reporting", "REPORT"), "candidates": ("deciding", "CANDIDATES"),
    "group": ("logging", "GROUP"), "roi": ("deciding", "ROI"), "trend": ("reporting", "TREND"),
    "decide": ("deciding", "DECIDE"), "export-metrics": ("publishing", "EXPORT_METRICS"),
    "digest": ("publishing", "DIGEST")}
"""Every verb in the order of help, with the room and the name of its operation."""


def operation(verb: str) -> Operation[Any, Any]:
    """The operation of that verb, which is one of VERBS."""
    room, name = VERBS[verb]
    found: Operation[Any, Any] = getattr(importlib.import_module(f"{__name__}.{room}"), name)
    return found


def __getattr__(name: str) -> Any:
    if name == "OPERATIONS":
        return tuple(operation(verb) for verb in VERBS)
    raise AttributeError(f"module {__name__} has no attribute {name}")
