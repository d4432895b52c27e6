"""Frozen conventions, A1–A15. The instants were computed with IANA data; where peers differ is noted beside them."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.kernel.quantity import Span
from mainstay.kernel.wallclock import EVERY_DAY, WeeklyHours
from mainstay.oncall.roster import Roster, Shift, layered
from mainstay.oncall.spec import Override, Stay
from oncall.rotations import NEW_YORK, override, rotation, shifts, told, utc

_OFFICE = (WeeklyHours(frozenset(range(5)), 9 * 60, 17 * 60),)
_MICROSECOND = timedelta(microseconds=1)


def test_weekly_turns_keep_the_wall_clock_when_summer_begins():
    found = shifts(rotation(NEW_YORK, "2026-03-02T09:00", "1w", "ABC"), "2026-03-02T14:00Z", "2026-03-20T00:00Z")
    assert told(found) == ["03-02T14:00 A", "03-09T13:00 B", "03-16T13:00 C"]
    assert found[0].length == timedelta(hours=167)


def test_weekly_turns_keep_the_wall_clock_when_summer_ends():
    found = shifts(rotation(NEW_YORK, "2026-10-26T09:00", "1w", "ABC"), "2026-10-26T13:00Z", "2026-11-10T00:00Z")
    assert told(found) == ["10-26T13:00 A", "11-02T14:00 B", "11-09T14:00 C"]
    assert found[0].length == timedelta(hours=169)


def test_a_hand_off_in_the_skipped_hour_is_the_first_instant_after_it():
    # GoAlert says the same; linkedin/oncall 06:30Z; zoneinfo and RFC 5545's DTSTART 07:30Z; its RRULE drops the shift.
    found = shifts(rotation(NEW_YORK, "2026-03-06T02:30", "1d", "ABC"), "2026-03-07T07:30Z", "2026-03-09T12:00Z")
    assert [s.start for s in found] == [utc("2026-03-07T07:30Z"), utc("2026-03-08T07:00Z"), utc("2026-03-09T06:30Z")]
    assert [one.length for one in found[:2]] == [timedelta(hours=23, minutes=30)] * 2


def test_a_hand_off_in_the_repeated_hour_is_its_first_occurrence():
    one = rotation(NEW_YORK, "2026-10-30T01:30", "1d", "ABC")
    found = shifts(one, "2026-10-31T05:30Z", "2026-11-02T12:00Z")
    assert [s.start for s in found] == [utc("2026-10-31T05:30Z"), utc("2026-11-01T05:30Z"), utc("2026-11-02T06:30Z")]
    second_pass = Roster(one).who(utc("2026-11-01T06:15Z"))
    assert second_pass.who == found[1].who, "the incoming person stays: no A-B-A-B"


def test_at_the_instant_of_the_hand_off_only_the_incoming_person_is_on_call():
    roster = Roster(rotation("UTC", "2026-01-01T09:00", "1d", ["ana", "ben"]))
    handoff = utc("2026-01-02T09:00Z")
    assert roster.who(handoff).who == "ben"
    assert roster.who(handoff - _MICROSECOND).who == "ana"


def test_nights_have_the_hours_that_they_have():
    nights = rotation(NEW_YORK, "2026-03-01T00:00", "1w", ["ana"],
                      restrictions=(WeeklyHours(EVERY_DAY, 21 * 60, 9 * 60),))
    spring = shifts(nights, "2026-03-07T12:00Z", "2026-03-09T00:00Z")
    autumn = shifts(nights, "2026-10-31T15:00Z", "2026-11-01T23:00Z")
    assert [one.length for one in spring if one.start == utc("2026-03-08T02:00Z")] == [timedelta(hours=11)]
    assert [one.length for one in autumn if one.start == utc("2026-11-01T01:00Z")] == [timedelta(hours=13)]


def test_the_weekend_gap_is_as_long_as_it_was():
    found = shifts(rotation("Europe/London", "2026-03-23T09:00", "1w", ["ana"], restrictions=_OFFICE),
                   "2026-03-23T09:00Z", "2026-03-30T16:00Z")
    weekend = max((one for one in found if one.who is None), key=lambda one: one.length)
    assert (weekend.start, weekend.end) == (utc("2026-03-27T17:00Z"), utc("2026-03-30T08:00Z"))
    assert weekend.length == timedelta(hours=63)


def test_turns_nobody_is_needed_in_use_up_nobodys_turn():
    # goalert#55: a calendar index makes the same 4 of 14 people never serve.
    names = [f"p{number}" for number in range(14)]
    found = shifts(rotation("UTC", "2026-01-05T00:00", "1d", names, restrictions=_OFFICE),
                   "2026-01-05T00:00Z", "2026-04-13T00:00Z")
    assert Counter(one.who for one in found if one.who) == dict.fromkeys(names, 5)


def test_hour_turns_count_hours_and_not_the_wall_clock():
    found = shifts(rotation(NEW_YORK, "2026-10-31T20:00", "2h", "AB"), "2026-11-01T00:00Z", "2026-11-01T12:00Z")
    assert {one.length for one in found} == {timedelta(hours=2)}


def test_a_month_begins_on_its_last_day_when_it_has_no_31st():
    found = shifts(rotation("UTC", "2026-01-31T09:00", "1mo", "ABC"), "2026-01-31T09:00Z", "2026-04-01T00:00Z")
    assert told(found) == ["01-31T09:00 A", "02-28T09:00 B", "03-31T09:00 C"]


def test_nobody_can_take_a_turn():
    found = shifts(rotation("UTC", "2026-01-01T00:00", "1d", ["ana", None]), "2026-01-01T00:00Z", "2026-01-03T00:00Z")
    assert told(found) == ["01-01T00:00 ana", "01-02T00:00 -"]


def test_before_the_first_hand_off_nobody_is_on_call():
    assert told(shifts(rotation("UTC", "2026-01-02T00:00", "1d", ["ana"]), "2026-01-01T00:00Z", "2026-01-02T12:00Z")) \
        == ["01-01T00:00 -", "01-02T00:00 ana"]


# -- overrides -------------------------------------------------------------------------------------------------------


def test_a_later_override_lies_on_top_and_taking_it_away_uncovers_the_earlier():
    earlier = override("2026-01-02T08:00Z", "2026-01-02T16:00Z", "B")
    later = override("2026-01-02T12:00Z", "2026-01-02T20:00Z", "C")
    base = rotation("UTC", "2026-01-01T00:00", "1w", ["A"])
    day = Span(utc("2026-01-02T00:00Z"), utc("2026-01-03T00:00Z"))
    assert told(Roster(base, (earlier, later)).shifts(day)) == [
        "01-02T00:00 A", "01-02T08:00 B", "01-02T12:00 C", "01-02T20:00 A"]
    assert told(Roster(base, (earlier,)).shifts(day)) == ["01-02T00:00 A", "01-02T08:00 B", "01-02T16:00 A"]


def test_an_override_that_replaces_somebody_leaves_others_alone():
    one = rotation("UTC", "2026-01-01T09:00", "1d", ["ana", "ben"],
                   overrides=(override("2026-01-02T00:00Z", "2026-01-02T18:00Z", "dora", "ana"),))
    assert told(shifts(one, "2026-01-01T09:00Z", "2026-01-03T09:00Z")) == [
        "01-01T09:00 ana", "01-02T00:00 dora", "01-02T09:00 ben"]


def test_an_override_without_a_name_to_replace_covers_a_gap_too():
    one = rotation("UTC", "2026-03-23T09:00", "1w", ["ana"], restrictions=_OFFICE,
                   overrides=(override("2026-03-24T16:00Z", "2026-03-24T20:00Z", "dora"),))
    assert told(shifts(one, "2026-03-24T09:00Z", "2026-03-25T00:00Z")) == [
        "03-24T09:00 ana", "03-24T16:00 dora", "03-24T20:00 -"]


def test_an_override_can_take_somebody_away():
    one = rotation("UTC", "2026-01-01T00:00", "1w", ["ana"],
                   overrides=(override("2026-01-02T00:00Z", "2026-01-02T06:00Z", None),))
    found = shifts(one, "2026-01-02T00:00Z", "2026-01-02T12:00Z")
    assert [(s.who, s.via) for s in found] == [(None, "gap"), ("ana", "rotation")]


# -- layers and hand-offs --------------------------------------------------------------------------------------------


def test_the_first_layer_in_which_somebody_is_on_call_answers():
    day = Roster(rotation("UTC", "2026-03-23T00:00", "1w", ["ana"], restrictions=_OFFICE))
    rest = Roster(rotation("UTC", "2026-03-23T00:00", "1w", ["zoe"]))
    found = layered((day, rest), Span(utc("2026-03-23T00:00Z"), utc("2026-03-24T00:00Z")))
    assert told(found) == ["03-23T00:00 zoe", "03-23T09:00 ana", "03-23T17:00 zoe"]


def test_the_next_hand_off_is_when_somebody_else_begins():
    roster = Roster(rotation("UTC", "2026-01-01T00:00", "1w", ["ana", "ana", "ben"]))
    assert roster.next_handoff(utc("2026-01-03T00:00Z")) == utc("2026-01-15T00:00Z")
    assert Roster(rotation("UTC", "2026-01-01T00:00", "1w", ["ana"])).next_handoff(utc("2026-01-03T00:00Z")) is None


_PEOPLE = ("ana", "ben", "cem", None)


@st.composite
def _overridden(draw: st.DrawFn) -> Roster:
    hours = st.integers(0, 24 * 20)
    many = draw(st.lists(st.tuples(hours, st.integers(1, 60), st.sampled_from(_PEOPLE), st.sampled_from(_PEOPLE)),
                         max_size=8))
    first = utc("2026-03-20T00:00Z")
    made = tuple(Override(Span(first + timedelta(hours=begin), first + timedelta(hours=begin + length)), who, replaces)
                 for begin, length, who, replaces in many)
    restrictions = draw(st.sampled_from(((), _OFFICE)))
    turn = draw(st.sampled_from(("7h", "1d", "3d", "1w")))
    return Roster(rotation("Europe/Berlin", "2026-03-18T08:00", turn, _PEOPLE[:3], restrictions=restrictions), made)


@settings(max_examples=60, deadline=None)
@given(_overridden(), st.integers(0, 24 * 20 * 60))
def test_every_moment_lies_in_one_shift_and_asking_for_it_gives_that_shift(roster: Roster, minute: int):
    span = Span(utc("2026-03-19T00:00Z"), utc("2026-04-12T00:00Z"))
    found = roster.shifts(span)
    assert_covers(found, span)
    moment = span.start + timedelta(minutes=minute)
    (holder,) = [one for one in found if one.start <= moment < one.end]
    assert roster.who(moment).who == holder.who
    # The slow reading of the rule: the base, then every override in turn.
    who = Roster(roster.rotation).who(moment).who
    for one in roster.overrides:
        if one.span.holds(moment) and one.replaces in (None, who):
            who = one.who
    assert holder.who == who
    following = roster.next_handoff(moment)
    assert following is None or following > moment


def assert_covers(found: list[Shift], span: Span) -> None:
    """Every moment of the span is in exactly one shift, and neighbours differ."""
    assert (found[0].start, found[-1].end) == span
    assert all(one.start < one.end for one in found)
    assert all(before.end == after.start and (before.who, before.via) != (after.who, after.via)
               for before, after in itertools.pairwise(found))


# -- members who come and go -----------------------------------------------------------------------------------------


def _stays(**dates: tuple[str | None, str | None]) -> tuple[Stay, ...]:
    return tuple(Stay(utc(start) if start else None, utc(end) if end else None) for start, end in dates.values())


def test_somebody_who_joins_is_fitted_in_and_the_others_keep_their_order():
    before = rotation("UTC", "2026-01-01T00:00", "1d", "ABC")
    joined = rotation("UTC", "2026-01-01T00:00", "1d", "ADBC", stays=_stays(
        A=(None, None), D=("2026-01-04T00:00Z", None), B=(None, None), C=(None, None)))
    assert told(shifts(joined, "2026-01-01T00:00Z", "2026-01-04T00:00Z")) == told(
        shifts(before, "2026-01-01T00:00Z", "2026-01-04T00:00Z")), "what was planned before stays"
    after = told(shifts(joined, "2026-01-04T00:00Z", "2026-01-12T00:00Z"))
    assert "".join(line[-1] for line in after) == "ADBCADBC"


def test_somebody_who_leaves_is_passed_over_and_never_paged_after_the_day():
    one = rotation("UTC", "2026-01-01T00:00", "1w", "ABC", stays=_stays(
        A=(None, None), B=(None, "2026-01-12T00:00Z"), C=(None, None)))
    # B's turn of 8 January would end on the 15th, behind the day B leaves: C has it.
    assert told(shifts(one, "2026-01-01T00:00Z", "2026-02-05T00:00Z")) == [
        "01-01T00:00 A", "01-08T00:00 C", "01-15T00:00 A", "01-22T00:00 C", "01-29T00:00 A"]


def test_when_everybody_has_left_nobody_is_on_call_and_that_shows():
    one = rotation("UTC", "2026-01-01T00:00", "1d", "A", stays=_stays(A=(None, "2026-01-02T00:00Z")))
    assert told(shifts(one, "2026-01-01T00:00Z", "2026-01-04T00:00Z")) == ["01-01T00:00 A", "01-02T00:00 -"]


def test_a_rotation_ends_when_it_says_so():
    one = rotation("UTC", "2026-01-01T00:00", "1d", "AB", until=datetime.fromisoformat("2026-01-02T12:00"))
    assert told(shifts(one, "2026-01-01T00:00Z", "2026-01-04T00:00Z")) == [
        "01-01T00:00 A", "01-02T00:00 B", "01-02T12:00 -"]


def test_fourteen_people_on_weekdays_serve_equally_and_by_the_calendar_they_would_not():
    # GoAlert #55: with turns counted by the calendar four of the fourteen never serve.
    people = [f"p{number}" for number in range(14)]
    for counts_empty, wanted in ((False, {5}), (True, {7})):
        one = rotation("UTC", "2026-01-05T00:00", "1d", people, counts_empty=counts_empty,
                       restrictions=(WeeklyHours(frozenset(range(5)), 0, 24 * 60),))
        days = [shift for shift in shifts(one, "2026-01-05T00:00Z", "2026-04-13T00:00Z") if shift.who]
        served = Counter(shift.who for shift in days)
        assert set(served.values()) == wanted
        assert len(served) == (10 if counts_empty else 14)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-20, 60), st.integers(1, 90)), min_size=1, max_size=6),
       st.sampled_from(("12h", "1d", "1w")), st.integers(0, 60 * 24 * 60 - 1))
def test_people_who_come_and_go_leave_no_overlap_and_are_never_on_call_outside_their_time(
        terms: list[tuple[int, int]], turn: str, minute: int):
    first = utc("2026-03-20T00:00Z")
    stays = tuple(Stay(first + timedelta(days=begin), first + timedelta(days=begin + length))
                  for begin, length in terms)
    people = [f"p{number}" for number in range(len(terms))]
    roster = Roster(rotation("Europe/Berlin", "2026-03-20T08:00", turn, people, stays=stays))
    span = Span(first, first + timedelta(days=60))
    found = roster.shifts(span)
    assert_covers(found, span)
    for shift in found:
        if shift.who is not None:
            stay = stays[people.index(shift.who)]
            assert stay.start is not None
            assert stay.end is not None
            assert stay.start <= shift.start
            assert shift.end <= stay.end
    moment = first + timedelta(minutes=minute)
    (holder,) = [one for one in found if one.start <= moment < one.end]
    assert Roster(roster.rotation).who(moment).who == holder.who
