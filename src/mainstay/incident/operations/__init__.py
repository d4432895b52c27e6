"""The verbs of the word incident, each loaded when it is asked for: one verb must not pay for the others."""

from __future__ import annotations

import importlib
from typing import Any

from mainstay.kernel.operation import Operation

VERBS: dict[str, tuple[str, str]] = {
    "open": ("acting", "OPEN"), "list": ("looking", "LIST"), "show": ("looking", "SHOW"), "ack": ("acting", "ACK"),
    "note": ("acting", "NOTE"), "role": ("acting", "ROLE"), "status": ("acting", "STATUS"),
    "update": ("acting", "UPDATE"), "resolve": ("acting", "RESOLVE"), "merge": ("acting", "MERGE"),
    "diagnose": ("diagnose", "DIAGNOSE"), "statuspage": ("statuspage", "STATUSPAGE"),
    "alerts": ("alerts", "ALERTS"), "silence": ("alerts", "SILENCE"), "page": ("page", "PAGE"),
    "postmortem": ("postmortem", "POSTMORTEM"), "postmortems": ("postmortem", "POSTMORTEMS"),
    "actions": ("actions", "ACTIONS"), "action": ("actions", "ACTION"), "stats": ("stats", "STATS"),
    "simulate": ("simulate", "SIMULATE"),
}
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
