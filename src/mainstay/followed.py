"""Which facts something follows from, and how far they were followed; known without loading what follows.

`reactions.py` is the table itself. Most commands record nothing that it follows, and must not pay for it.
"""

from __future__ import annotations

from mainstay.kernel.journal import FactQuery, Journal

REACTED = "house.reacted"
"""How far the facts have been followed is itself a fact."""

KINDS = (
    "slo.notice-due", "slo.incident-due", "slo.maintenance-planned", "slo.zone-entered", "postmortem.drafted",
    "page.sent", "incident.resolved", "alert.opened", "alert.heard", "alert.closed", "runbook.ended",
    "runbook.escalated", "remedy.observed", "remedy.started", "remedy.failed", "remedy.skipped", "remedy.escalated",
    "remedy.overdue", "remedy.verified", "remedy.ended", "weakness.found", "oncall.swap-requested",
    "oncall.swap-accepted", "oncall.swap-declined", "oncall.swap-withdrawn")
"""Every kind in the table of reactions, which a test holds to it."""


def followed_through(journal: Journal) -> int:
    """The number of the last fact that was followed, 0 before the first."""
    last = next(iter(journal.facts(FactQuery(kinds=(REACTED,), newest_first=True, limit=1))), None)
    return int(last.data["through"]) if last is not None else 0


def anything_to_follow(journal: Journal) -> bool:
    """Whether a fact waits to be followed."""
    waiting = journal.facts(FactQuery(kinds=KINDS, after=followed_through(journal), limit=1))
    return next(iter(waiting), None) is not None
