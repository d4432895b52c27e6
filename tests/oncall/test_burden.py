"""What the pager costs people: cases K7 and K8, true hours over changes of clocks, everybody's own night."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.kernel.finding import Position
from mainstay.kernel.journal import Fact
from mainstay.kernel.quantity import Span
from mainstay.kernel.wallclock import EVERY_DAY, WeeklyHours
from mainstay.oncall.burden import (
    Calendars,
    Page,
    burden_score,
    in_shifts,
    load_of,
    page,
    pages_of,
    stretches_of,
    warnings_of,
)
from mainstay.oncall.roster import Roster, Shift
from mainstay.oncall.spec import Holidays, Person
from oncall.rotations import NEW_YORK, rotation, utc

_PEOPLE = {"ana": Person("ana", Position(""), zone=NEW_YORK),
           "ben": Person("ben", Position(""), zone="Asia/Tokyo", holidays=(date(2026, 3, 4),), calendars=("jp",))}
_CALENDARS = Calendars(_PEOPLE, {"jp": Holidays("jp", Position(""), (date(2026, 3, 5),))})
_PAUSE = timedelta(minutes=15)


def _page(at: str, who: str = "ana", incident: str = "INC-1", severity: str = "SEV2") -> Page:
    return page(utc(at), who, incident, severity, _CALENDARS)


def _fact(seq: int, kind: str, subject: str, at: str, data: Mapping[str, Any]) -> Fact:
    return Fact(seq, kind, subject, utc(at), data, "", "system", utc(at))


def _paged(seq: int, at: str, channel: str, to: str = "ana", **more: Any) -> Fact:
    return _fact(seq, "incident.paged", "INC-1", at, {
        "to": to, "channel": channel, "loop": 0, "step": 0, "reason": "opened", **more})


def test_the_burden_of_two_incidents_one_of_them_a_p1_after_hours_is_35():
    assert burden_score([("SEV2", False), ("P1", True)]) == 35  # K8


def test_four_p1_after_hours_reach_the_cap_of_100():
    assert burden_score([("SEV1", True)] * 4) == 100  # K8: 4 × 30 = 120, capped


def test_one_page_over_three_channels_counts_once():
    facts = [_fact(1, "incident.opened", "INC-1", "2026-03-02T15:00Z", {"severity": "SEV1"}),
             _paged(2, "2026-03-02T15:00Z", "slack"), _paged(3, "2026-03-02T15:00Z", "email"),
             _paged(4, "2026-03-02T15:05Z", "webhook"), _paged(5, "2026-03-02T15:15Z", "slack", step=1)]
    found = pages_of(facts, _CALENDARS)
    assert [(one.channels, one.severity) for one in found] == [
        (("slack", "email", "webhook"), "SEV1"), (("slack",), "SEV1")]  # K7: the next step is a page of its own


def test_pages_are_split_at_the_hand_off_which_is_the_incoming_persons():
    roster = Roster(rotation("UTC", "2026-03-02T09:00", "1d", ["ana", "ben"]))
    shifts = {"web": roster.shifts(Span(utc("2026-03-02T09:00Z"), utc("2026-03-04T09:00Z")))}
    found = in_shifts([_page("2026-03-03T08:59Z"), _page("2026-03-03T09:00Z", "ben"),
                       _page("2026-03-03T09:00Z", "ana")], shifts)
    assert [one.shift for one in found] == [utc("2026-03-02T09:00Z"), utc("2026-03-03T09:00Z"), None]


@pytest.mark.parametrize(("at", "who", "after", "night", "weekend"), [
    ("2026-03-02T14:00Z", "ana", False, None, False),                    # 09:00 in New York
    ("2026-03-02T13:59Z", "ana", True, None, False),                     # 08:59
    ("2026-03-02T22:00Z", "ana", True, None, False),                     # 17:00
    ("2026-03-03T03:00Z", "ana", True, date(2026, 3, 2), False),         # 22:00, the night of the 2nd
    ("2026-03-03T11:59Z", "ana", True, date(2026, 3, 2), False),         # 06:59, still the night of the 2nd
    ("2026-03-02T14:00Z", "ben", True, date(2026, 3, 2), False),         # 23:00 in Tokyo at the same moment
    ("2026-03-07T15:00Z", "ana", True, None, True),                      # Saturday
    ("2026-03-04T02:00Z", "ben", True, None, True),                      # his holiday, 11:00
    ("2026-03-05T02:00Z", "ben", True, None, True)])                     # a holiday of his calendar
def test_night_weekend_and_after_hours_are_by_the_persons_own_clock_at_the_time_of_the_page(
        at, who, after, night, weekend):
    one = _page(at, who)
    assert (one.after_hours, one.night, one.weekend) == (after, night, weekend)


def test_nights_on_call_have_the_hours_that_they_have():
    # A10: the night of 31 October is 13 h, that of 7 March 11 h.
    roster = Roster(rotation(NEW_YORK, "2026-03-01T00:00", "1w", ["ana"],
                             restrictions=(WeeklyHours(EVERY_DAY, 21 * 60, 9 * 60),)))
    for start, end, hours in (("2026-11-01T00:00Z", "2026-11-01T20:00Z", 13),
                              ("2026-03-08T01:00Z", "2026-03-08T20:00Z", 11)):
        span = Span(utc(start), utc(end))
        load = load_of("ana", [], stretches_of("ana", {"night": roster.shifts(span)}, span), _CALENDARS, _PAUSE)
        assert load.hours == timedelta(hours=hours)
        assert load.night_hours == timedelta(hours=hours - 3)  # 21–22 and 07–09 are no night


def test_two_pagers_at_once_are_one_hour_an_hour():
    span = Span(utc("2026-03-02T00:00Z"), utc("2026-03-09T00:00Z"))
    whole = [Shift(span.start, span.end, "ana", "web", "rotation")]
    late = [Shift(utc("2026-03-05T00:00Z"), span.end, "ana", "db", "rotation")]
    assert stretches_of("ana", {"web": whole, "db": late}, span) == [span]


def test_pages_close_together_are_one_interruption_and_one_night_woken():
    pages = [_page(f"2026-03-03T06:{minute:02}Z", incident=f"INC-{minute}") for minute in (0, 10, 24, 39, 59)]
    load = load_of("ana", pages, [], _CALENDARS, _PAUSE)
    assert (load.pages, load.interruptions, load.nights, load.sleep, load.worst_night) == (5, 3, 5, 1, 5)


def test_limits_that_are_passed_are_said_each_once():
    shift = Shift(utc("2026-03-02T14:00Z"), utc("2026-03-09T13:00Z"), "ana", "web", "rotation")
    pages = in_shifts([_page(f"2026-03-03T06:{minute:02}Z", incident=f"INC-{minute}")
                       for minute in (0, 1, 2, 3, 4, 5)], {"web": [shift]})
    found = warnings_of(pages, {"web": [shift]}, {"web": ["ana", "ben"], "db": [f"p{n}" for n in range(9)],
                                                  "ok": [f"p{n}" for n in range(8)]})
    assert sorted((one.kind, one.who) for one in found) == [
        ("day", "ana"), ("night", "ana"), ("shift", "ana"), ("size", "db"), ("size", "web")]
    two = warnings_of(pages[:2], {"web": [shift]}, {})
    assert two == [], "two pages in a night, two incidents in twelve hours and five a day are within the limits"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 60 * 24 * 30 - 1), max_size=30), st.sampled_from(("1d", "1w", "12h")))
def test_nothing_is_lost_every_page_is_in_one_load_and_all_hours_in_one_persons(minutes: list[int], turn: str):
    start = datetime(2026, 3, 1, tzinfo=UTC)
    span = Span(start, start + timedelta(days=30))
    roster = Roster(rotation(NEW_YORK, "2026-02-20T09:00", turn, ["ana", "ben"]))
    shifts = {"web": roster.shifts(span)}
    pages = in_shifts(sorted((page(at, roster.who(at).who or "", f"I{at}", "SEV3", _CALENDARS)
                              for at in (start + timedelta(minutes=minute) for minute in minutes)),
                             key=lambda one: one.at), shifts)
    loads = [load_of(who, [one for one in pages if one.who == who], stretches_of(who, shifts, span), _CALENDARS, _PAUSE)
             for who in ("ana", "ben")]
    assert sum(one.pages for one in loads) == len(minutes)
    assert sum((one.hours for one in loads), timedelta()) == span.length
    assert all(one.pager == "web" for one in pages)
    assert all(one.night_hours <= one.hours and one.weekend_hours <= one.hours for one in loads)
    assert all(one.interruptions <= one.pages and one.sleep <= one.nights for one in loads)


def test_what_a_channel_is_sent_is_nobodys_page():
    facts = [_fact(1, "incident.opened", "INC-1", "2026-03-02T15:00Z", {"severity": "SEV1"}),
             _paged(2, "2026-03-02T15:00Z", "slack"),
             _paged(3, "2026-03-02T15:00Z", "slack", "#ops", **{"is": "channel"})]
    assert [one.who for one in pages_of(facts, _CALENDARS)] == ["ana"]
