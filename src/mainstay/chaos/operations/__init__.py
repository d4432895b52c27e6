"""The verbs of the word chaos, each loaded when it is asked for: one verb must not pay for the others."""

from __future__ import annotations

VERBS: dict[str, tuple[str, str]] = {
    "list": ("looking", "LIST"), "check": ("checking", "CHECK"), "plan": ("running", "PLAN"),
    "run": ("running", "RUN"), "start": ("starting", "START"), "status": ("looking", "STATUS"),
    "report": ("looking", "REPORT"), "abort": ("stopping", "ABORT"), "recover": ("stopping", "RECOVER"),
    "doctor": ("looking", "DOCTOR"), "proxy": ("proxying", "PROXY"),
    "import": ("exchanging", "IMPORT"), "export": ("exchanging", "EXPORT"),
    "matrix": ("matrix", "MATRIX"), "find": ("minimal", "FIND"), "monkey": ("monkey", "MONKEY"),
    "gameday": ("gameday", "GAMEDAY")}
"""Every verb in the order of help, with the room below this one and the name of its operation there."""
