"""Rotations drawn at random say what a slow and plain model of the form says, which shares no line with ours.

The model is a reading of the issue's form and of the frozen conventions of time; it counts every turn from the first.
"""

# ruff: noqa: DTZ001  (wall-clock times have no zone of their own)

from __future__ import annotations

import calendar
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mainstay.adapters.clock import FakeClock
from mainstay.kernel.catalog import load
from mainstay.oncall.grammar import GRAMMAR
from mainstay.oncall.operations.asking import ShiftsRequest, shifts
from memory_world import memory_world

_ZONES = ("UTC", "America/New_York", "Europe/Dublin", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia",
          "America/Santiago", "Asia/Kathmandu", "America/Havana", "Antarctica/Troll", "Asia/Beirut")
_FIRST, _LAST = datetime(2011, 1, 1), datetime(2013, 6, 1)  # Apia had no 30 December 2011
_TURNS = ("90m", "1h", "5h", "12h", "1d", "2d", "1w", "2w", "1mo", "3mo")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMES = ("ana", "ben", "chloe", "dora")
_ORDERS = ("ana", "ana ben", "ana ben chloe dora", "ben ana ana", "ana nobody ben", "dora ben chloe ben ana", "nobody")
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


# -- time: UTC and the wall, both naive ------------------------------------------------------------------------------


def _offset(zone: str, at: datetime) -> timedelta:
    return at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) - at


@cache
def _steady(zone: str) -> tuple[tuple[datetime, datetime, timedelta], ...]:
    """Stretches in which the zone's clocks do not change, found by looking."""
    found, begin, at = [], _FIRST - 40 * _DAY, _FIRST - 40 * _DAY
    while at < _LAST + 800 * _DAY:
        following = at + timedelta(hours=3)
        if _offset(zone, following) != _offset(zone, begin):
            while _offset(zone, at) == _offset(zone, begin):
                at += _MINUTE
            found.append((begin, at, _offset(zone, begin)))
            begin = following = at
        at = following
    return (*found, (begin, at, _offset(zone, begin)))


def _shown(zone: str, wall: datetime) -> datetime:
    """The first instant at which the clock on the wall shows that time, or a later one."""
    return next(max(begin, wall - offset) for begin, end, offset in _steady(zone) if end + offset > wall)


# -- the model -------------------------------------------------------------------------------------------------------


class _Model:
    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec, self.zone = spec, str(spec["timezone"])
        self.until = self._at(spec["until"]) if "until" in spec else None

    def _at(self, text: str) -> datetime:
        return _shown(self.zone, datetime.fromisoformat(text))

    def begin(self, number: int) -> datetime:
        """When that turn begins."""
        every, unit = re.fullmatch(r"(\d+)(\D+)", self.spec["turn"]).groups()  # type: ignore[union-attr]
        count, start = number * int(every), datetime.fromisoformat(self.spec["start"])
        if unit in ("m", "h"):
            return _shown(self.zone, start) + count * (_MINUTE if unit == "m" else 60 * _MINUTE)
        if unit in ("d", "w"):
            return _shown(self.zone, start + count * _DAY * (7 if unit == "w" else 1))
        year, month = divmod(start.year * 12 + start.month - 1 + count, 12)
        day = min(start.day, calendar.monthrange(year, month + 1)[1])
        return _shown(self.zone, start.replace(year=year, month=month + 1, day=day))

    def covered(self, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """What the restrictions leave of a stretch, day by day; neighbours may overlap."""
        if not self.spec.get("restrictions"):
            return [(begin, end)] if begin < end else []
        found, day = [], begin.date() - 3 * _DAY
        while day <= end.date() + 3 * _DAY:
            found += [(max(begin, first), min(end, last)) for first, last in self._windows(day)]
            day += _DAY
        return [(first, last) for first, last in found if first < last]

    def _windows(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        for hours in self.spec["restrictions"]:
            if _DAYS[day.weekday()] in hours.get("days", _DAYS):
                first, last = (datetime.combine(day, time.fromisoformat(hours[key])) for key in ("from", "to"))
                yield _shown(self.zone, first), _shown(self.zone, last if last > first else last + _DAY)

    def turns(self, end: datetime) -> list[tuple[datetime, datetime, str]]:
        """Who is on call by turns alone, from the first turn on."""
        found: list[tuple[datetime, datetime, str]] = []
        members = [one if isinstance(one, dict) else {"who": one} for one in self.spec["members"]]
        place = number = 0
        while (first := self.begin(number)) < min(end, self.until or end):
            last = self.begin(number + 1)
            number += 1
            covered = self.covered(first, min(last, self.until or last))
            if not covered and self.spec.get("empty_turns") != "count":
                continue
            for step in range(len(members)):
                one = members[(place + step) % len(members)]
                if ("from" not in one or self._at(one["from"]) <= first) and (
                        "until" not in one or last <= self._at(one["until"])):
                    place += step + 1
                    found += [(*part, one["who"]) for part in covered]
                    break
        return [one for one in found if one[2] != "nobody"]

    def shifts(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime, str | None, str]]:
        turns = self.turns(end)
        laid = [(self._at(one["from"]), self._at(one["to"]), one["who"], one.get("replaces"))
                for one in self.spec.get("overrides", ())]
        cuts = sorted({start, end, *(at for one in (*turns, *laid) for at in one[:2] if start < at < end)})
        found: list[tuple[datetime, datetime, str | None, str]] = []
        for first, last in pairwise(cuts):
            who: str | None = next((one[2] for one in turns if one[0] <= first < one[1]), None)
            via = "rotation"
            for begin, finish, name, replaces in laid:
                if begin <= first < finish and replaces in (None, who):
                    who, via = None if name == "nobody" else name, "override"
            via = via if who is not None else "gap"
            if found and found[-1][2:] == (who, via):
                found[-1] = (found[-1][0], last, who, via)
            else:
                found.append((first, last, who, via))
        return found


# -- rotations at random ---------------------------------------------------------------------------------------------


@st.composite
def _rotations(draw: st.DrawFn) -> tuple[dict[str, Any], datetime, datetime]:
    zone = draw(st.sampled_from(_ZONES))
    changes = [end for _, end, _ in _steady(zone) if _FIRST < end < _LAST] or [_FIRST]

    def near(least: int = -3 * 24 * 60, most: int = 3 * 24 * 60) -> datetime:
        """A time of the wall, mostly in the hours around a change of clocks."""
        close = st.integers(-90, 90) | st.integers(least, most).map(lambda minutes: minutes // 30 * 30)
        at = draw(st.sampled_from(changes))
        return at + _offset(zone, at) + timedelta(minutes=draw(close))

    start, turn = near(), draw(st.sampled_from(_TURNS))
    if draw(st.booleans()):
        start = start.replace(month=draw(st.sampled_from((1, 8, 10, 12))), day=31)
    length = timedelta(days={"m": 2, "h": 6, "d": 20, "w": 90, "mo": 400}[re.sub(r"\d", "", turn)])
    clock = st.tuples(st.integers(0, 23), st.sampled_from((0, 30, 59))).map(lambda one: f"{one[0]:02}:{one[1]:02}")
    hours = st.fixed_dictionaries({"from": clock, "to": clock | st.just("00:00")}, optional={
        "days": st.lists(st.sampled_from(_DAYS), min_size=1, max_size=6, unique=True)})
    who, later = st.sampled_from((*_NAMES, "nobody")), timedelta(minutes=draw(st.integers(1, 40_000)))
    some: list[Any] = draw(st.sampled_from(_ORDERS)).split()
    spec: dict[str, Any] = {"timezone": zone, "start": start.isoformat(), "turn": turn, "members": some}
    if draw(st.booleans()):
        spec |= {"restrictions": draw(st.lists(hours, min_size=1, max_size=3)),
                 "empty_turns": draw(st.sampled_from(("skip", "count")))}
    if draw(st.integers(0, 4)) == 0:
        spec["until"] = (start + later).isoformat()
    names = [one for one in some if one != "nobody"]
    if draw(st.booleans()):
        some[0] = {"who": some[0], draw(st.sampled_from(("from", "until"))): (start + later).isoformat()}
    made = []
    for _ in range(draw(st.integers(0, 4))):
        begin = start + timedelta(minutes=draw(st.integers(-600, int(length / _MINUTE)))) if made else near()
        finish = begin + timedelta(minutes=draw(st.sampled_from((45, 600, 3_000, 20_000))))
        if _shown(zone, begin) < _shown(zone, finish):
            replaces = {"replaces": draw(st.sampled_from(names))} if names and draw(st.booleans()) else {}
            made.append({"from": begin.isoformat(), "to": finish.isoformat(), "who": draw(who), **replaces})
    since = _shown(zone, start) + timedelta(minutes=draw(st.integers(-2_000, int(length / _MINUTE))))
    return spec | {"overrides": made}, since, since + length / 2


_MISSING_DAY = {"timezone": "Pacific/Apia", "start": "2011-12-28T00:00", "turn": "1d", "members": list(_NAMES)}


@settings(max_examples=100, deadline=None)
@example((_MISSING_DAY, datetime(2011, 12, 28), datetime(2012, 1, 9)))
@given(_rotations())
def test_a_rotation_at_random_says_what_the_plain_model_says(drawn: tuple[dict[str, Any], datetime, datetime]):
    spec, start, end = drawn
    with TemporaryDirectory() as folder:
        (Path(folder) / "rota.yaml").write_text(json.dumps({
            "apiVersion": "mainstay/v1", "kind": "Rotation", "metadata": {"name": "web"}, "spec": spec}))
        catalog, findings = load([Path(folder)], GRAMMAR)
    assert not findings
    world = memory_world(FakeClock(start.replace(tzinfo=UTC)), catalog)
    asked = ShiftsRequest("web", f"{start.isoformat()}Z", f"{end.isoformat()}Z")
    said = [(one.start.replace(tzinfo=None), one.end.replace(tzinfo=None), one.who, one.via)
            for one in shifts(world, asked).shifts]
    assert said == _Model(spec).shifts(start, end)
