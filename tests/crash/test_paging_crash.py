"""kill -9 at every boundary of paging: no page is lost, none goes out after an acknowledgement, none twice unawares.

The matrix is printed with `-s`. CI kills at every few boundaries; MAINSTAY_CRASH=full kills at each of the more than
300 that the story has, with one and two workers, on both stores, with clocks that jump.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crash.pager import STORY
from crash.telling import FULL, KILLED, Teller, is_sqlite, telling, urls
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.store import open_store
from mainstay.kernel.journal import FactQuery

__all__ = ["urls"]

_AFTER_A_RESTART = 61.0
"""Seconds until the killed one is back: longer than a lease."""


@pytest.fixture(scope="module")
def teller() -> Iterator[Teller]:
    with telling("pager.py") as process:
        yield process


@dataclass(frozen=True)
class Told:
    """How a story ended: keys as the provider took them, and how many it had when an alert was acknowledged."""

    sent: list[str]
    acks: dict[str, int]
    pages: Counter[str]
    late: list[str]

    @property
    def twice(self) -> int:
        return sum(count - 1 for count in Counter(self.sent).values())


def told(teller: Teller, url: str, folder: Path, kill: int, jump: float = _AFTER_A_RESTART,
         workers: int = 1) -> Told:
    """Tell the story with one kill, and go on after it."""
    folder.mkdir()
    if teller.tell(folder, url=url, workers=workers, kill=kill, jump=0) == KILLED:
        assert teller.tell(folder, url=url, workers=workers, kill=0, jump=jump) == 0
    acks = dict(line.split() for line in (folder / "acks").read_text().splitlines())
    store = open_store(url, FakeClock())
    acknowledged = {fact.subject: fact.seq for fact in store.journal.facts(
        FactQuery(kinds=("incident.acknowledged",), newest_first=True))}
    late = [fact.key for fact in store.journal.facts(FactQuery(kinds=("incident.paged",)))
            if fact.seq > acknowledged.get(fact.subject, fact.seq)]
    pages = Counter(f"{fact.subject} {fact.data['loop']} {fact.data['step']} {fact.data['to']} {fact.data['channel']}"
                    for fact in store.journal.facts(FactQuery(kinds=("incident.paged",))))
    store.close()
    return Told((folder / "sent").read_text().splitlines(), {key: int(count) for key, count in acks.items()}, pages,
                late)


def check(found: Told, undisturbed: Told, workers: int, *, moved: bool = False) -> None:
    """What must hold whatever happened.

    Two workers may each have a page in their hands when somebody acknowledges, or when a lease ends under them: the
    clock of the story runs by minutes while they send.
    """
    incident_of = {"a": "INC-1", "b": "INC-2", "c": "INC-3", "d": "INC-4"}
    assert found.late == [], "no page is decided after the acknowledgement is committed"
    for key, before in found.acks.items():
        late = [one for one in found.sent[before:] if one.startswith(f"page:{incident_of[key]}:")]
        assert len(late) <= workers - 1, f"sent after {key} was acknowledged"
    if workers == 1:
        assert found.twice <= 1, "only the page that was being sent may go twice"
    decided = set(found.pages)
    assert max(found.pages.values()) == 1, "no page was decided twice"
    answered = {"INC-1", "INC-2", "INC-4"}
    for page in undisturbed.pages:
        incident, loop, step = page.split()[:3]
        if incident not in answered or (loop, step) == ("0", "0"):
            assert page in decided, f"lost: {page}"
    # Whatever was decided and not answered before it could be sent, was sent.
    for page in decided:
        if page.split()[0] not in answered or (page.split()[1:3] == ["0", "0"] and not moved):
            assert any(_is_of(one, page) for one in found.sent), f"decided and never sent: {page}"


def _is_of(key: str, page: str) -> bool:
    what, incident, _, loop, step, to, channel, *_ = [*key.split(":"), "", "", "", ""]
    return what == "page" and page == f"{incident} {loop} {step} {to} {channel}"


@pytest.mark.parametrize(("jump", "workers", "every"), [
    (_AFTER_A_RESTART, 1, 9), (3_600.0, 1, 43), (-1_200.0, 1, 47), (_AFTER_A_RESTART, 2, 37)],
    ids=["one worker", "clock an hour ahead", "clock twenty minutes back", "two workers"])
def test_a_kill_at_any_boundary_loses_no_page_and_sends_none_after_an_acknowledgement(
        teller: Teller, urls: Iterator[str], tmp_path: Path, jump: float, workers: int, every: int):
    url = next(urls)
    undisturbed = told(teller, url, tmp_path / "calm", 0)
    assert undisturbed.twice == 0
    boundaries = int((tmp_path / "calm" / "passed").read_text())
    assert boundaries > 300
    twice = points = 0
    step = 1 if FULL else every * (1 if is_sqlite(url) else 4)
    for kill in range(1, boundaries + 1, step):
        found = told(teller, next(urls), tmp_path / f"kill{kill}", kill, jump, workers)
        check(found, undisturbed, workers, moved=jump < 0)
        points, twice = points + 1, twice + found.twice
    print(f"\n{points} kills over {boundaries} boundaries, {workers} worker(s), clock {jump:+.0f} s: "
          f"0 lost, 0 after an acknowledgement, {twice} sent twice under the same key")


def test_the_story_pages_everybody_it_should(teller: Teller, tmp_path: Path):
    found = told(teller, f"sqlite:///{tmp_path}/m.db", tmp_path / "calm", 0)
    steps = {" ".join(page.split()[:4]) for page in found.pages}
    assert steps == {"INC-1 0 0 ana", "INC-1 0 1 ben", "INC-1 0 1 lead", "INC-2 0 0 ana", "INC-2 0 1 ben",
                     "INC-2 0 1 lead", "INC-3 0 0 ana", "INC-3 0 1 ben", "INC-3 0 1 lead", "INC-3 1 0 ana",
                     "INC-3 1 1 ben", "INC-3 1 1 lead", "INC-4 0 0 ana", "INC-4 0 1 ben", "INC-4 0 1 lead"}
    assert len(STORY) == len((tmp_path / "calm" / "done").read_text().splitlines())
