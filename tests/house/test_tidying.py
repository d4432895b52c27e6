"""Full collections wait for a calm moment, though not for ever."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from mainstay.doors.house.tidying import AT_THE_LATEST, CALM, Tidying, give_back, share_memory


@dataclass
class Server:
    taken: int = 0
    now: float = 0.0
    tidying: Tidying = field(init=False)

    def __post_init__(self) -> None:
        self.tidying = Tidying(lambda: self.taken, lambda: self.now)

    def look(self, taken: int = 0) -> bool:
        """Whether a full collection was made, after so much more came in since the last look."""
        full = gc.get_stats()[2]["collections"]
        self.now, self.taken = self.now + CALM, self.taken + taken
        self.tidying.look()
        return bool(gc.get_stats()[2]["collections"] > full)


@pytest.fixture
def server() -> Iterator[Server]:
    gc.collect()
    one = Server()
    yield one
    one.tidying.end()


def untidy() -> None:
    """As much as Python itself would begin a full collection for."""
    for _ in range(20):
        gc.collect(1)


def test_a_storm_is_not_stopped_and_the_calm_after_it_is_used(server: Server) -> None:
    untidy()
    full = gc.get_stats()[2]["collections"]
    circles = [[] for _ in range(200_000)]  # type: list[list[object]]
    for one in circles:
        one.append(one)
    assert gc.get_stats()[2]["collections"] == full, "Python makes none by itself"
    assert [server.look(100), server.look(1), server.look(), server.look()] == [False, False, True, False]


def test_a_storm_puts_it_off_for_an_hour_at_most(server: Server) -> None:
    untidy()
    looks = [server.look(1) for _ in range(int(AT_THE_LATEST / CALM) + 2)]
    assert looks.index(True) == int(AT_THE_LATEST / CALM)
    assert looks.count(True) == 1


def test_where_nothing_was_made_nothing_is_looked_for(server: Server) -> None:
    assert not server.look()


def test_a_server_that_ends_leaves_python_as_it_was() -> None:
    before = gc.get_threshold()
    Server().tidying.end()
    assert gc.get_threshold() == before


def test_memory_is_shared_and_given_back_or_left_alone_where_the_system_does_so_itself() -> None:
    share_memory()
    give_back()
