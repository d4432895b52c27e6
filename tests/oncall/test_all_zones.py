"""Every IANA zone, every change of its clocks from 2000 to 2037, every quarter of an hour a hand-off may fall on.

Many changes are alike (the same offsets, the same time of day): each kind is tried once, which leaves some hundreds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest

from mainstay.kernel.quantity import Span
from mainstay.kernel.wallclock import instant_of, local_of
from mainstay.oncall.roster import Roster
from oncall.rotations import rotation
from oncall.test_roster import assert_covers

_HOUR = timedelta(hours=1)
_QUARTERS = [timedelta(minutes=15 * number) for number in range(96)]


@cache
def _changes() -> tuple[tuple[str, datetime], ...]:
    """One (zone, instant) a kind of change: the same offsets before and after at the same time of day."""
    kinds: dict[tuple[timedelta, timedelta, str], tuple[str, datetime]] = {}
    for name in sorted(available_timezones()):
        if name in ("Factory", "localtime"):
            continue
        zone = ZoneInfo(name)
        at, end = datetime(2000, 1, 1, tzinfo=UTC), datetime(2037, 12, 31, tzinfo=UTC)
        before = at.astimezone(zone).utcoffset()
        while at < end:
            later = at + timedelta(days=7)
            after = later.astimezone(zone).utcoffset()
            if after != before:
                change = _between(at, later, zone)
                old, new = (change - _HOUR).astimezone(zone).utcoffset(), change.astimezone(zone).utcoffset()
                assert old is not None
                assert new is not None
                kinds.setdefault((old, new, f"{(change + old):%H:%M}"), (name, change))
                before = after
            at = later
    return tuple(kinds.values())


def _between(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    old = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == old else (low, middle)
    return high.replace(microsecond=0)


def test_there_are_changes_of_every_kind():
    offsets = {(change - _HOUR).astimezone(ZoneInfo(zone)).utcoffset() for zone, change in _changes()}
    assert len(_changes()) > 150
    assert len(offsets) > 30
    assert any(zone == "Pacific/Apia" for zone, _ in _changes()), "the day that Samoa left out"


@pytest.mark.parametrize("turn", ["1d", "1w", "12h"])
def test_turns_cover_all_time_in_order_across_every_change_of_clocks(turn: str):
    for name, change in _changes():
        zone = ZoneInfo(name)
        around = Span(change - timedelta(days=3), change + timedelta(days=3))
        midnight = local_of(change, zone).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=7)
        for quarter in _QUARTERS:
            roster = Roster(rotation(name, (midnight + quarter).isoformat(), turn, "ABC"))
            found = roster.shifts(around)
            assert_covers(found, around)
            handoff = roster.next_handoff(change - timedelta(seconds=1))
            assert handoff is not None
            assert handoff > change - timedelta(seconds=1)
            assert roster.who(handoff).start == handoff
            assert roster.who(change).who == next(one.who for one in found if one.start <= change < one.end)


def test_a_wall_time_is_read_back_unless_clocks_skipped_it():
    skipped = 0
    for name, change in _changes():
        zone = ZoneInfo(name)
        day = local_of(change, zone).replace(hour=0, minute=0, second=0)
        for quarter in _QUARTERS:
            wall = day + quarter
            instant = instant_of(wall, zone)
            if local_of(instant, zone) != wall:
                assert instant == change, "the first instant after the gap"
                skipped += 1
            else:
                assert instant == min(one for one in (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
                                                      for fold in (0, 1)) if local_of(one, zone) == wall)
    assert skipped > 100
