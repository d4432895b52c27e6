"""What `mainstay serve` does when something happens to an incident: pages hear of it, and a new one is diagnosed.

It follows the journal, so it does not matter who recorded it: this server, a command, another server. Two servers on
one store each tell their own pages; an incident is diagnosed by the first that begins to.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

from mainstay.doors.house.engine import Worker
from mainstay.doors.sse import Feed
from mainstay.incident.ongoing import Incident
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.operations.diagnose import diagnose
from mainstay.kernel import locks
from mainstay.kernel.errors import MainstayError
from mainstay.kernel.journal import Fact, FactQuery
from mainstay.kernel.ports import World

log = logging.getLogger("mainstay.rounds")
EVERY = 0.3
"""Seconds between two looks at the journal."""

AT_ONCE = 4
WAITING = 40
"""Incidents that may wait to be diagnosed. In a storm of thousands the worst come first and the rest are left out: the
command and the page do it when somebody asks."""

_FRESH = timedelta(minutes=2)
"""An incident that opened longer ago, while nothing ran, is not diagnosed any more: what holds now is not why it
opened."""

_AT_MOST = timedelta(seconds=15)
"""How long an incident is left to a server that began to diagnose it: longer than that takes."""

WATCHED = ("incident.", "alert.", "postmortem.", "action.", "chaos.", "matrix.", "monkey.", "gameday.", "oncall.",
           "toil.")
"""Of incidents and what is around them the list and each page hears; of all else the pages that are about it."""

_EXPERIMENTS = frozenset(("chaos", "matrix", "monkey", "gameday"))
_OF_ONE_PAGE = frozenset(("oncall", "toil"))


class Rounds(Worker):
    """Follows the journal. `world` is asked anew each round, for the catalog may have changed."""

    def __init__(self, world: Callable[[], World], feed: Feed) -> None:
        super().__init__("mainstay-rounds", self._round)
        self._world, self._feed = world, feed
        self._name = f"server {secrets.token_hex(8)}"
        self._seen: int | None = None
        self._waiting: set[str] = set()
        self._doctors = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="mainstay-diagnose")

    def end(self) -> None:
        """Finish what is being diagnosed; each takes a few seconds at most."""
        super().end()
        self._doctors.shutdown(wait=True, cancel_futures=True)

    def _round(self) -> float:
        world = self._world()
        head = world.journal.head()
        if self._seen is None:
            self._seen = head
            since = world.clock.now() - _FRESH
            self._diagnose(world, [one for one in desk_of(world).caught_up().open_incidents() if one.opened >= since])
        elif head > self._seen:
            self._follow(world, head)
        return EVERY

    def _follow(self, world: World, head: int) -> None:
        changed: dict[str, None] = {}
        opened: list[str] = []
        # While no page is open, nobody hears of a storm's every alert.
        kinds = WATCHED if self._feed.listeners else ("incident.opened",)
        for fact in world.journal.facts(FactQuery(kinds=kinds, after=self._seen or 0)):
            changed |= dict.fromkeys(_topics_of(fact))
            if fact.kind == "incident.opened":
                opened.append(fact.subject)
            head = max(head, fact.seq)
        self._seen = head
        for topic in changed:
            self._feed.publish(topic)
        incidents = desk_of(world).caught_up().incidents
        self._diagnose(world, [one for name in opened if (one := incidents.get(name)) is not None])

    def _diagnose(self, world: World, opened: Sequence[Incident]) -> None:
        for one in sorted(opened, key=lambda one: one.severity.rank):
            if len(self._waiting) >= WAITING:
                log.warning("%d incidents opened at once: %s and the rest are diagnosed when somebody asks",
                            len(opened), one.id)
                return
            self._waiting.add(one.id)
            self._doctors.submit(self._examine, replace(world, actor="system"), one)

    def _examine(self, world: World, one: Incident) -> None:
        try:
            # Of two servers that hear of it in the same third of a second, one looks.
            locks.take(world.journal, [f"diagnosis {one.id}"], self._name, world.clock.now(), _AT_MOST)
            known = FactQuery(kinds=("incident.diagnosed",), subject=one.id, limit=1)
            if next(iter(world.journal.facts(known)), None) is None:
                diagnose(world, one)
        except locks.Locked as other:
            log.debug("%s is diagnosed elsewhere: %s", one.id, other.message)
        except MainstayError as error:
            log.error("%s could not be diagnosed: %s", one.id, error.message)
        except Exception:
            log.exception("%s could not be diagnosed", one.id)
        finally:
            self._waiting.discard(one.id)


def _topics_of(fact: Fact) -> tuple[str, ...]:
    """What pages that show it listen to."""
    word = fact.kind.partition(".")[0]
    if word in _OF_ONE_PAGE:
        return (word,)
    return ("chaos", fact.subject, word) if word in _EXPERIMENTS else \
        ("incident", fact.subject if word == "incident" else word)
