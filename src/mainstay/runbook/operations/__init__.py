"""The verbs of the word runbook, each loaded when it is asked for: one verb must not pay for the others."""

from __future__ import annotations

VERBS: dict[str, tuple[str, str]] = {
    "list": ("looking", "LIST"), "show": ("looking", "SHOW"), "check": ("looking", "CHECK"),
    "plan": ("running", "PLAN"), "run": ("running", "RUN"), "status": ("running", "STATUS"),
    "approve": ("approving", "APPROVE"), "reject": ("approving", "REJECT"), "answer": ("running", "ANSWER"),
    "undo": ("running", "UNDO"), "audit": ("auditing", "AUDIT"), "suggest": ("suggesting", "SUGGEST"),
    "remedies": ("remedies", "REMEDIES"), "simulate": ("simulating", "SIMULATE"), "prove": ("simulating", "PROVE"),
    "trigger": ("remedies", "TRIGGER"), "resume": ("remedies", "RESUME")}
"""Every verb in the order of help, with the room below this one and the name of its operation there."""
