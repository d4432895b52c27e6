"""Locks on targets: a target is acted on by one thing at a time, be it an experiment, a runbook or a rollout.

A lock is two facts, so that whoever looks later sees who held what. It ends by itself, so that a holder that was
killed holds nothing for ever; who works longer takes it again before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict
from mainstay.kernel.journal import AlreadyRecorded, Batch, Fact, FactQuery, Journal, NewFact

TAKEN, FREED = "target.locked", "target.freed"


@dataclass(frozen=True, slots=True)
class Lock:
    """A target that somebody acts on.

    Args:
        holder: what acts on it, as people can look it up: `experiment run-…`, `runbook run-…`.
        turn: how many locks the target had before this one and its renewals; makes each a fact of its own.
    """

    target: str
    holder: str
    since: datetime
    until: datetime
    turn: int


class Locked(Conflict):
    """Something else acts on the target; nothing was begun."""

    code = "target-locked"


def held(journal: Journal, target: str, now: datetime) -> Lock | None:
    """The lock on the target that holds at that time, or None."""
    last = _last(journal, target)
    if last is None or last.kind == FREED:
        return None
    lock = _of(last)
    return lock if lock.until > now else None


def all_held(journal: Journal, now: datetime) -> tuple[Lock, ...]:
    """Every lock that holds at that time, by target."""
    latest = {fact.subject: fact for fact in journal.facts(FactQuery(kinds=(TAKEN, FREED)))}
    locks = (_of(fact) for fact in latest.values() if fact.kind == TAKEN)
    return tuple(sorted((lock for lock in locks if lock.until > now), key=lambda lock: lock.target))


def take(journal: Journal, targets: Sequence[str], holder: str, now: datetime, length: timedelta) -> tuple[Lock, ...]:
    """The locks on all the targets, or on none; a lock that the holder has already is prolonged.

    Raises:
        Locked: something else holds one; says what, and until when.
    """
    facts = []
    for target in dict.fromkeys(targets):
        last = _last(journal, target)
        holds = last is not None and last.kind == TAKEN and _of(last).until > now
        if last is not None and holds and _of(last).holder != holder:
            other = _of(last)
            raise Locked(f"{other.holder} acts on {target} until {other.until:%H:%M:%S} UTC at the latest",
                         "wait until it has ended, or stop it")
        turn = 0 if last is None else int(last.data["turn"]) + 1
        facts.append(NewFact(TAKEN, target, now, {"holder": holder, "until": (now + length).isoformat(), "turn": turn},
                             key=f"{TAKEN}:{target}:{turn}"))
    try:
        return tuple(_of(fact) for fact in journal.commit(Batch(facts, fresh=True)))
    except AlreadyRecorded:
        raise Locked("something else began to act on " + ", ".join(targets) + " a moment ago",
                     "wait until it has ended, or stop it") from None


def free(journal: Journal, locks: Sequence[Lock], now: datetime) -> None:
    """The targets can be acted on again; one that another has taken meanwhile stays with that one."""
    facts = []
    for lock in locks:
        last = _last(journal, lock.target)
        if last is not None and last.kind == TAKEN and _of(last).holder == lock.holder:
            turn = int(last.data["turn"]) + 1
            facts.append(NewFact(FREED, lock.target, now, {"holder": lock.holder, "turn": turn},
                                 # The key is that of the next lock: of freeing and taking anew only one is recorded.
                                 key=f"{TAKEN}:{lock.target}:{turn}"))
    if facts:
        journal.commit(Batch(facts))


def _last(journal: Journal, target: str) -> Fact | None:
    query = FactQuery(kinds=(TAKEN, FREED), subject=target, newest_first=True, limit=1)
    return next(iter(journal.facts(query)), None)


def _of(fact: Fact) -> Lock:
    return Lock(fact.subject, str(fact.data["holder"]), fact.at, datetime.fromisoformat(str(fact.data["until"])),
                int(fact.data["turn"]))
