"""The verbs of the word incident, each loaded when it is asked for: one verb must not pay for the others."""

from __future__ import annotations

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
"""Every verb in the order of help, with the room below this one and the name of its operation there."""
