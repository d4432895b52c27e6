"""Small facts, timers and messages for the suites of journals and stores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mainstay.kernel.journal import FactQuery, Journal, NewFact, NewMessage, NewTimer

T0 = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=30)


def fact(subject: str = "checkout", *, kind: str = "slo.zone-entered", key: str = "", at: datetime = T0,
         **data: object) -> NewFact:
    return NewFact(kind, subject, at, data, key)


def timer(key: str = "t", due: datetime = T0, **data: object) -> NewTimer:
    return NewTimer(key, due, "incident.escalate", "INC-1", data)


def message(key: str = "m", channel: str = "slack", not_before: datetime = T0, **data: object) -> NewMessage:
    return NewMessage(key, channel, data, not_before)


def subjects(journal: Journal, query: FactQuery = FactQuery()) -> list[str]:  # noqa: B008 - frozen
    return [found.subject for found in journal.facts(query)]


PRODUCER = """
import sys
from datetime import UTC, datetime
from mainstay.adapters.clock import SystemClock
from mainstay.adapters.store import open_store
from mainstay.kernel.journal import Batch, NewFact
url, name, many = sys.argv[1], sys.argv[2], int(sys.argv[3])
at = datetime(2026, 1, 1, tzinfo=UTC)
with open_store(url, SystemClock()) as store:
    for i in range(many):
        store.journal.commit(Batch(facts=[NewFact("a.b", name, at, {"i": i}), NewFact("a.b", "both", at, key=f"k{i}")]))
"""
"""A program that commits a fact of its own and one shared by key, again and again: URL, name, how often."""
