"""The verbs of the word oncall, each loaded when it is asked for: one verb must not pay for the others."""

from __future__ import annotations

VERBS: dict[str, tuple[str, str]] = {
    "who": ("asking", "WHO"), "shifts": ("asking", "SHIFTS"), "gaps": ("asking", "GAPS"),
    "override": ("changing", "OVERRIDE"), "swap": ("changing", "SWAP_VERB"), "handoff": ("changing", "HANDOFF"),
    "health": ("measuring", "HEALTH"), "propose": ("proposing", "PROPOSE"),
    "export": ("exporting", "EXPORT"), "import": ("importing", "IMPORT"),
}
"""Every verb in the order of help, with the room below this one and the name of its operation there."""
