"""When a rule's schedule comes round, across midnight, weeks and changes of clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.kernel.quantity import Span
from mainstay.runbook.remedy import OnSchedule
from mainstay.runbook.remedy_schedule import last_moment, moments


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("when", "now", "last"), [
    (OnSchedule(timedelta(minutes=15)), "2026-03-02T10:14:59", "2026-03-02T10:00"),
    (OnSchedule(timedelta(minutes=15)), "2026-03-02T10:15:00", "2026-03-02T10:15"),
    (OnSchedule(timedelta(hours=7)), "2026-03-02T23:00:00", "2026-03-02T21:00"),
    (OnSchedule(timedelta(hours=7)), "2026-03-03T00:00:00", "2026-03-03T00:00"),
    (OnSchedule(None, 210), "2026-03-02T03:29:59", "2026-03-01T03:30"),
    (OnSchedule(None, 210), "2026-03-02T03:30:00", "2026-03-02T03:30"),
    # Saturdays alone, asked on a Friday.
    (OnSchedule(None, 210, frozenset({5})), "2026-03-06T12:00:00", "2026-02-28T03:30"),
    # 02:30 does not exist in New York on 2026-03-08: the first instant after the gap, 03:00 EDT.
    (OnSchedule(None, 150, zone="America/New_York"), "2026-03-08T12:00:00", "2026-03-08T07:00"),
    # 01:30 comes twice on 2026-11-01: the first of the two.
    (OnSchedule(None, 90, zone="America/New_York"), "2026-11-01T12:00:00", "2026-11-01T05:30"),
])
def test_the_last_moment_up_to_now(when: OnSchedule, now: str, last: str) -> None:
    assert last_moment(when, _at(now)) == _at(last)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda one: one.replace(tzinfo=UTC)),  # noqa: DTZ001
       st.integers(0, 24 * 60 - 1), st.sets(st.integers(0, 6), min_size=1),
       st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]))
def test_it_lies_within_eight_days_and_asked_at_itself_it_is_itself(now: datetime, at: int, days: set[int],
                                                                   zone: str) -> None:
    when = OnSchedule(None, at, frozenset(days), zone)
    found = last_moment(when, now)
    assert timedelta(0) <= now - found < timedelta(days=8)
    assert last_moment(when, found) == found


SCHEDULES = st.one_of(
    st.integers(300, 24 * 3600).map(lambda seconds: OnSchedule(timedelta(seconds=seconds))),
    st.builds(lambda at, days, zone: OnSchedule(None, at, frozenset(days), zone), st.integers(0, 24 * 60 - 1),
              st.sets(st.integers(0, 6), min_size=1),
              st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"])))
BEGINS = st.datetimes(datetime(2011, 12, 20), datetime(2030, 1, 1)).map(lambda one: one.replace(tzinfo=UTC))  # noqa: DTZ001


@given(SCHEDULES, BEGINS, st.integers(1, 20 * 24 * 60))
def test_the_moments_of_a_span_are_those_that_a_server_would_have_found_one_after_the_other(
        when: OnSchedule, begins: datetime, minutes: int) -> None:
    span = Span(begins, begins + timedelta(minutes=minutes))
    found = list(moments(when, span))
    backwards, at = [], span.end - timedelta(microseconds=1)
    while (moment := last_moment(when, at)) >= span.start:
        backwards.append(moment)
        at = moment - timedelta(microseconds=1)
    assert found == backwards[::-1]
