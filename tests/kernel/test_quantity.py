"""Ratios, durations and windows: exact, and at home in every time zone."""

# ruff: noqa: DTZ001  (wall clocks have no zone)
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.quantity import (
    CalendarWindow,
    Period,
    RequestWindow,
    RollingWindow,
    Target,
    calendar_span,
    format_duration,
    format_share,
    parse_duration,
    parse_window,
    plain,
    short_duration,
    window_length,
    zone_named,
)

# -- targets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("written", "budget"), [
    ("90", "0.1"), ("99", "0.01"), ("99.9", "0.001"), ("99.99", "0.0001"), ("99.999", "0.00001"), ("99.95", "0.0005"),
    ("99.5%", "0.005"), (" 99.9 % ", "0.001"), ("100", "0"), ("50", "0.5"),
])
def test_a_target_leaves_its_budget_to_the_last_digit(written: str, budget: str) -> None:
    assert Target.percent(written).budget == Decimal(budget)


@given(st.integers(10**4, 10**15))
def test_target_and_budget_make_one(digits: int) -> None:
    target = Target.percent(Decimal(digits).scaleb(-13))
    assert target.ratio + target.budget == 1


@pytest.mark.parametrize("written", ["0", "-1", "100.0000001", "120", "abc", "", "%", "NaN", "sNaN", "Infinity",
                                     "1e999", "1e-999999", "1e-999999999999999999", "99." + "9" * 40])
def test_what_cannot_be_promised_is_refused(written: str) -> None:
    with pytest.raises(InvalidInput):
        Target.percent(written)


def test_equal_targets_are_equal_however_they_are_written() -> None:
    assert Target.percent("99.90") == Target.percent(99.9) == Target.percent("99.9%")
    assert str(Target.percent("99.90")) == "99.9 %"


@pytest.mark.parametrize(("target", "shown"), [("99.9", "99.95 %"), ("99.99", "99.950 %"), ("95", "99.95 %")])
def test_a_share_has_one_digit_more_than_its_target(target: str, shown: str) -> None:
    assert format_share(0.9995, Target.percent(target)) == shown


def test_a_decimal_is_shown_without_exponent_and_trailing_zeros() -> None:
    assert [plain(Decimal(text)) for text in ("1E-7", "100", "0.500")] == ["0.0000001", "100", "0.5"]


# -- durations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("written", "seconds"), [
    ("300ms", 0.3), ("1s", 1), ("5m", 300), ("1h", 3600), ("30d", 2592000), ("4w", 2419200), ("1h30m", 5400),
    ("1.5h", 5400), ("1d12h", 129600), (" 5m ", 300),
])
def test_a_duration_is_read(written: str, seconds: float) -> None:
    assert parse_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["", "5", "5 m", "m", "-5m", "5x", "0s", "0.0000001ms", "1M", "1Q", "1Y", "5m!",
                                     "1e3s", "999999999999999d", "9" * 500 + "s", "36526d"])
def test_what_is_no_length_of_time_is_refused(written: str) -> None:
    with pytest.raises(InvalidInput):
        parse_duration(written)


@given(st.integers(1, 36525 * 86400 * 1000).map(lambda ms: timedelta(milliseconds=ms)))
def test_the_short_form_reads_back_exactly(length: timedelta) -> None:
    assert parse_duration(short_duration(length)) == length


@pytest.mark.parametrize(("seconds", "shown"), [
    (0, "0 ms"), (0.25, "250 ms"), (1, "1 s"), (9.5, "9.5 s"), (43 * 60 + 12, "43 m 12 s"),
    (3 * 86400 + 11 * 3600, "3 d 11 h"), (86400, "1 d"), (3600, "1 h"), (86399.7, "1 d"), (-90, "-1 m 30 s"),
    (0.9999, "1 s"), (9.96, "10 s"),
])
def test_a_duration_is_said_as_people_say_it(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown


@given(st.floats(0, 1e9))
def test_a_duration_as_people_say_it_is_right_to_its_second_unit(seconds: float) -> None:
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    words = format_duration(seconds).split()
    read = sum(float(count) * units[unit] for count, unit in zip(words[::2], words[1::2], strict=True))
    # What is left out is less than one of the unit below the two largest; the ends are rounded.
    assert abs(read - seconds) <= max(0.5, 0.05 * seconds)


# -- windows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("written", "window"), [
    ("30d", RollingWindow(timedelta(days=30))), ("4w", RollingWindow(timedelta(days=28))),
    ("5m", RollingWindow(timedelta(minutes=5))), ("month", CalendarWindow(Period.MONTH)),
    ("week", CalendarWindow(Period.WEEK)), ("1M", CalendarWindow(Period.MONTH)),
    ("2Q", CalendarWindow(Period.QUARTER, periods=2)), ("1Y", CalendarWindow(Period.YEAR)),
    ("1000000 requests", RequestWindow(1_000_000)), ("10k events", RequestWindow(10_000)),
    ("1M requests", RequestWindow(1_000_000)),
])
def test_a_window_is_read(written: str, window: object) -> None:
    assert parse_window(written) == window


@pytest.mark.parametrize("written", ["", "0d", "fortnight", "30", "7m", "1s", "300ms", "0 requests", "-1d", "1.5d",
                                     "9999d", "121M", "99999999999M", "9" * 5000 + " requests"])
def test_an_unknown_window_is_refused_with_the_known_ones(written: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_window(written)
    assert caught.value.way_out


def test_days_and_weeks_are_the_calendar_s_when_they_do_not_roll() -> None:
    assert parse_window("1d", rolling=False, zone="Asia/Kolkata") == CalendarWindow(Period.DAY, "Asia/Kolkata")
    with pytest.raises(InvalidInput):
        parse_window("5h", rolling=False)


@pytest.mark.parametrize("name", ["", "Mars/Base", "../../etc/passwd", "\0", "Europe"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="is not a time zone"):
        zone_named(name)


# -- calendar -----------------------------------------------------------------------------------------------------

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata")
ANCHORS = (None, datetime(2020, 1, 31), datetime(2024, 2, 29, 12, 30), datetime(2021, 5, 15, 2, 15),
           datetime(2030, 12, 31, 23, 59))
MOMENTS = st.datetimes(datetime(1995, 1, 1), datetime(2040, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))
WINDOWS = st.builds(CalendarWindow, st.sampled_from(Period), st.sampled_from(ZONES), st.integers(1, 5),
                    st.sampled_from(ANCHORS))


@given(WINDOWS, MOMENTS)
def test_the_period_of_a_moment_holds_it(window: CalendarWindow, now: datetime) -> None:
    assert calendar_span(window, now).holds(now)


@given(WINDOWS, MOMENTS)
def test_periods_tile_time_without_gap_or_overlap(window: CalendarWindow, now: datetime) -> None:
    here = calendar_span(window, now)
    assert calendar_span(window, here.end).start == here.end
    assert calendar_span(window, here.start - timedelta(microseconds=1)).end == here.start


@given(WINDOWS, MOMENTS, st.floats(0, 0.999999))
def test_every_moment_of_a_period_has_the_same_period(window: CalendarWindow, now: datetime, part: float) -> None:
    here = calendar_span(window, now)
    assert calendar_span(window, here.start + here.length * part) == here


def _turns(local: datetime) -> dict[Period, object]:
    """What each period is called at a wall clock; it turns where the name changes."""
    return {Period.DAY: local.date(), Period.WEEK: local.isocalendar()[:2], Period.MONTH: (local.year, local.month),
            Period.QUARTER: (local.year, (local.month - 1) // 3), Period.YEAR: local.year}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("year", [2011, 2024])  # Apia skipped the whole of 2011-12-30
def test_periods_begin_where_the_wall_clock_says(zone: str, year: int) -> None:
    # The outside answer: every half hour of the year asked for its wall clock (zoneinfo).
    first, step = datetime(year, 1, 1, tzinfo=UTC), timedelta(minutes=30)
    moments = [first + index * step for index in range(-1, 366 * 48)]
    names = [_turns(moment.astimezone(ZoneInfo(zone))) for moment in moments]
    for period in Period:
        walked = [moment for moment, name, before in zip(moments[1:], names[1:], names, strict=False)
                  if name[period] != before[period]]
        ours, moment = [], moments[0]
        while (moment := calendar_span(CalendarWindow(period, zone), moment).end) <= moments[-1]:
            ours.append(moment)
        assert ours == walked, period


@pytest.mark.parametrize(("zone", "day", "hours"), [
    ("Europe/Berlin", datetime(2026, 3, 29, 12), 23), ("Europe/Berlin", datetime(2026, 10, 25, 12), 25),
    ("America/New_York", datetime(2026, 3, 8, 12), 23), ("America/New_York", datetime(2026, 11, 1, 12), 25),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 18), 23.5), ("Asia/Kolkata", datetime(2026, 3, 29, 12), 24),
])
def test_the_day_the_clocks_change_is_as_long_as_it_was(zone: str, day: datetime, hours: float) -> None:
    window = CalendarWindow(Period.DAY, zone)
    assert window_length(window, day.replace(tzinfo=UTC)) == timedelta(hours=hours)


def test_a_month_that_starts_on_the_31st_starts_on_the_last_day_of_a_shorter_one() -> None:
    window = CalendarWindow(Period.MONTH, anchor=datetime(2020, 1, 31))
    assert calendar_span(window, datetime(2026, 3, 1, tzinfo=UTC)).start == datetime(2026, 2, 28, tzinfo=UTC)
    assert calendar_span(window, datetime(2026, 3, 1, tzinfo=UTC)).end == datetime(2026, 3, 31, tzinfo=UTC)


@pytest.mark.parametrize("window", [parse_window("10Y"), parse_window("520w", rolling=False), parse_window("40Q")])
def test_the_longest_windows_stay_in_the_calendar(window: CalendarWindow) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert calendar_span(window, now).holds(now)
