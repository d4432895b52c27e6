"""What pages hear of when another process records something: a command, or a second server on the same store."""

from __future__ import annotations

import pytest

from incident.plans import T0
from mainstay.adapters.clock import FakeClock
from mainstay.doors.house.rounds import Rounds
from mainstay.doors.sse import Feed
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.journal import Batch, NewFact
from memory_world import memory_world


class Told(Feed):
    """A feed with one page, which keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.topics: set[str] = set()

    listeners = 1  # type: ignore[assignment]

    def publish(self, topic: str) -> None:
        self.topics.add(topic)


@pytest.mark.parametrize(("kind", "subject", "topics"), [
    ("incident.noted", "INC-1", {"incident", "INC-1"}), ("action.reminded", "AI-1", {"incident", "action"}),
    ("chaos.ended", "EXP-1", {"chaos", "EXP-1"}), ("gameday.begun", "drill", {"chaos", "drill", "gameday"}),
    ("oncall.override-made", "O-1", {"oncall"}), ("oncall.swap-requested", "W-1", {"oncall"}),
    ("toil.logged", "ana", {"toil"}), ("house.reacted", "reactions", set()),
])
def test_a_page_hears_of_what_another_process_recorded(kind: str, subject: str, topics: set[str]) -> None:
    clock = FakeClock(T0)
    world, feed = memory_world(clock, Catalog()), Told()
    rounds = Rounds(lambda: world, feed)
    rounds._round()
    world.journal.commit(Batch([NewFact(kind, subject, T0)]))
    rounds._round()
    rounds.end()
    assert feed.topics == topics
