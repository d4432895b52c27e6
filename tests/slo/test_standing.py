"""Where objectives stand: every figure of a report against the truth added up slot by slot."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.doors.as_json import encode
from mainstay.kernel.quantity import Target
from mainstay.slo.operations.measuring import measure
from mainstay.slo.operations.standings import REPORT, ReportRequest, choose, report
from mainstay.slo.standing import Standing
from slo.worlds import DAYS, HOURS, MINUTES, NOW, SLOT, Events, Room, busy_month, objective, room

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu")
END = datetime(2026, 4, 12, tzinfo=UTC)
"""Behind the changes to summer time of 2026: 8 March in New York, 29 March in Berlin."""


@cache
def _random_history() -> Events:
    random = np.random.default_rng(20260320)
    events = Events(END - 140 * DAYS, END)
    total = random.integers(0, 60, events.count)
    events.put("requests", total).put("errors", random.binomial(total, 0.004))
    events.known = random.random(events.count) > 0.02
    return events


WINDOWS = ("1h", "1d", "7d", "30d", "90d", "day", "week", "month", "quarter")


@cache
def _held_anew() -> Room:
    """A room of its own for the test that declares other windows in it."""
    return _held.__wrapped__("UTC")


@cache
def _held(zone: str) -> Room:
    """All windows at once on the whole history, filled once."""
    main, *others = WINDOWS
    here = room(_random_history(), objective(window=main, windows=[(one, 99.5) for one in others], zone=zone), now=END)
    for now in (END - 41 * DAYS, END):
        measure(here.world, choose(here.world, ()), now)
    return here


def _start(window: str, zone: str, now: datetime) -> datetime:
    """The first moment of the window, by the calendar of the zone and nothing of ours."""
    if window[0].isdigit():
        return now - int(window[:-1]) * {"h": HOURS, "d": DAYS}[window[-1]]
    local = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    match window:
        case "week":
            local -= local.weekday() * DAYS
        case "month":
            local = local.replace(day=1)
        case "quarter":
            local = local.replace(day=1, month=(local.month - 1) // 3 * 3 + 1)
        case _:
            pass
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


MOMENTS = st.one_of(
    st.integers(0, 40 * 86_400).map(lambda seconds: END - timedelta(seconds=seconds)),
    st.integers(0, 40).map(lambda days: END - days * DAYS),
    st.integers(0, 40 * 288).map(lambda slots: END - slots * 5 * MINUTES),
    st.integers(-120, 120).map(lambda minutes: datetime(2026, 3, 29, 1, 0, tzinfo=UTC) + minutes * MINUTES),
    st.integers(-120, 120).map(lambda minutes: datetime(2026, 3, 31, 22, 0, tzinfo=UTC) + minutes * MINUTES))


@settings(max_examples=80, deadline=None)
@given(now=MOMENTS, zone=st.sampled_from(ZONES))
def test_every_window_is_the_sum_over_its_slots(now: datetime, zone: str) -> None:
    here, events = _held(zone), _random_history()
    here.clock.set(now)

    found = report(here.world, ReportRequest(offline=True)).objectives[0]

    end = datetime.fromtimestamp(int(now.timestamp()) // SLOT * SLOT, UTC)
    for window, name in zip(found.windows, WINDOWS, strict=True):
        start = _start(name, zone, end)
        bad, total = events.between("errors", start, end), events.between("requests", start, end)
        assert (window.start, window.end) == (start, end), name
        assert (window.total - window.good, window.total) == (bad, total), name
        assert window.sli == pytest.approx((total - bad) / total) if total else window.sli is None


@settings(max_examples=60, deadline=None)
@given(now=MOMENTS, count=st.integers(1, 400_000))
def test_a_window_of_events_is_the_shortest_stretch_that_holds_them(now: datetime, count: int) -> None:
    here, events = _held_anew(), _random_history()
    here.clock.set(now)
    here.declares(objective(window=f"{count} requests"))

    window = report(here.world, ReportRequest(offline=True)).objectives[0].windows[0]

    end = datetime.fromtimestamp(int(now.timestamp()) // SLOT * SLOT, UTC)
    last = events.at(end)
    total = np.where(events.known, events.counts["requests"], 0)[:last][::-1].cumsum()
    back = int(np.searchsorted(total, count)) + 1
    assert window.total == total[back - 1] >= count
    assert window.start == end - back * 5 * MINUTES


def test_a_window_of_more_events_than_there_are_holds_all_of_them() -> None:
    here = room(busy_month(10), objective(window="10000000 requests"))

    assert only(here).total == 10 * 288 * 100


def only(here: Room) -> Standing:
    return report(here.world, ReportRequest()).objectives[0]


@pytest.mark.parametrize("moment", ["2026-03-20T12:00:00", "2026-03-20T12:04:59", "2026-03-20T00:00:00",
                                    "2026-03-20T00:04:00"])
def test_the_slot_that_is_not_over_does_not_count(moment: str) -> None:
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    here = room(Events(now - 9 * DAYS, now + DAYS).steady("requests", 10).steady("errors", 1),
                objective(window="7d"), now=now)

    assert only(here).total == 7 * 288 * 10


# -- verdicts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spent", "status"), [
    (0, "healthy"), (0.75, "healthy"), (0.76, "at_risk"), (1.0, "at_risk"), (1.001, "violated"), (7.0, "violated")])
def test_the_status_follows_what_is_spent(spent: float, status: str) -> None:
    events = busy_month(each=1000)
    here = room(events.add("errors", NOW - 2 * HOURS, spent * 0.01 * 7 * 288 * 1000), objective(window="7d"))

    found = only(here)

    assert found.status == status
    assert found.consumption_percent == pytest.approx(spent * 100)
    assert found.remaining_percent == pytest.approx(100 - spent * 100)
    assert found.budget.left == pytest.approx((1 - spent) * 0.01 * 7 * 288 * 1000, abs=1e-6)


def test_what_is_overspent_is_not_hidden() -> None:
    here = room(busy_month().add("errors", NOW - HOURS, 100, slots=12), objective(target=99.99, window="7d"))

    assert only(here).remaining_percent == pytest.approx(100 - 1200 / (201600 * 0.0001) * 100)


def test_each_window_is_judged_by_its_own_target() -> None:
    here = room(busy_month().add("errors", NOW - HOURS, 1, slots=12),
                objective(target=99.99, window="7d", windows=(("1h", 98), ("1d", 99.9))))

    assert [(one.target, one.status) for one in only(here).windows] == [
        (0.9999, "at_risk"), (0.98, "healthy"), (0.999, "healthy")], "the main window burns a hundred times too fast"
    assert [one.consumption_percent for one in only(here).windows] == pytest.approx(
        [12 / 201600 / 0.0001 * 100, 50, 12 / 28800 / 0.001 * 100])


def test_the_agreement_behind_the_objective_has_an_allowance_of_its_own() -> None:
    here = room(busy_month().add("errors", NOW - HOURS, 50, slots=12),
                objective(target=99.9, window="7d", sla=Target.percent(99)))

    found = only(here)

    assert found.status == "violated"
    assert (found.sla.target, found.sla.status) == (0.99, "healthy")
    assert found.sla.consumption_percent == pytest.approx(600 / 2016 * 100)


def test_burn_rates_are_the_share_of_bad_events_over_the_budget() -> None:
    here = room(busy_month().add("errors", NOW - HOURS, 20, slots=12), objective(target=99, window="30d"))

    assert only(here).burn_rates == {
        "5m": pytest.approx(20), "30m": pytest.approx(20), "1h": pytest.approx(20), "2h": pytest.approx(10),
        "6h": pytest.approx(20 / 6), "1d": pytest.approx(20 / 24), "3d": pytest.approx(20 / 72)}


def test_a_burn_window_without_events_is_no_data() -> None:
    events = busy_month()
    events.counts["requests"][events.at(NOW - 2 * HOURS):] = 0
    burn = only(room(events, objective())).burn_rates

    assert (burn["1h"], burn["2h"]) == (None, None)
    assert burn["6h"] == 0


def test_little_traffic_is_warned_of_with_the_number_that_is_needed() -> None:
    """At 99.9 % one failure an hour pages below 1 / (14.4 × 0.001) = 69.4 requests (SRE Workbook, ch. 5)."""
    few = only(room(busy_month(each=4), objective(target=99.9)))
    enough = only(room(busy_month(each=6), objective(target=99.9)))

    assert few.warnings == ("low traffic: 48 events an hour; below 70 an hour one failure alone looks like a page",)
    assert enough.warnings == ()


def test_a_history_of_two_hours_is_not_taken_for_little_traffic() -> None:
    here = room(busy_month(each=10).forget(NOW - 40 * DAYS, NOW - 2 * HOURS), objective(target=99.9))

    assert only(here).warnings == ()


def test_a_spent_budget_says_so() -> None:
    here = room(busy_month().add("errors", NOW - HOURS, 100, slots=12), objective(target=99.9, window="7d"))

    assert only(here).exhaustion.state == "exhausted"
    assert only(here).exhaustion.hours == 0


def test_a_steady_burn_of_half_the_allowed_speed_never_spends_the_budget() -> None:
    here = room(Events(NOW - 40 * DAYS, NOW).steady("requests", 1000).steady("errors", 5), objective(target=99))

    found = only(here).exhaustion

    assert (found.state, found.hours, found.chance, found.horizon_hours) == ("not_within", None, 0, 720)


def test_a_steady_burn_above_the_allowed_speed_spends_a_month_before_it_ends() -> None:
    """On 20 March, 12:00, at twice the allowed speed since the 15th: 5.5 of 31 days' budget × 2 are spent."""
    events = Events(NOW - 40 * DAYS, NOW).steady("requests", 1000)
    begun = datetime(2026, 3, 1, tzinfo=UTC)
    events.put("errors", np.where(np.arange(events.count) >= events.at(begun), 15.0, 0.0))
    events.forget(NOW - 40 * DAYS, begun)
    here = room(events, objective(target=99, window="month"))

    found = only(here).exhaustion

    # 1.5 times the allowed speed: spent after 31 / 1.5 = 20.67 days of the month, 19.5 of which are over.
    assert found.state == "within"
    assert found.hours == pytest.approx((31 / 1.5 - 19.5) * 24, abs=12)


def test_no_data_is_a_value_everywhere() -> None:
    here = room(busy_month().forget(NOW - 40 * DAYS, NOW), objective(windows=(("month", 99),), sla=Target.percent(95)))

    found = json.loads(encode(report(here.world, ReportRequest())))["objectives"][0]

    assert found["status"] == "no_data"
    for key in ("sli", "consumption_percent", "remaining_percent", "budget", "measured_until"):
        assert found[key] is None, key
    assert set(found["burn_rates"].values()) == {None}
    assert found["exhaustion"]["state"] == "unknown"
    assert [one["sli"] for one in found["windows"]] == [None, None]
    assert found["sla"]["consumption_percent"] is None
    assert found["sla"]["status"] == "no_data"


def test_an_hour_without_requests_is_no_data_and_not_a_perfect_hour() -> None:
    here = room(busy_month(each=0), objective(window="1h"))

    assert (only(here).status, only(here).sli) == ("no_data", None)


def test_a_report_without_any_data_ends_with_three() -> None:
    blind = room(busy_month().forget(NOW - 40 * DAYS, NOW), objective())
    seeing = room(busy_month(), objective())

    assert REPORT.exit_code(report(blind.world, ReportRequest())) == 3
    assert REPORT.exit_code(report(seeing.world, ReportRequest())) == 0


def test_a_target_of_a_hundred_percent_is_spent_by_the_first_failure() -> None:
    clean = only(room(busy_month(), objective(target=100)))
    failed = only(room(busy_month().add("errors", NOW - HOURS, 1), objective(target=100)))

    assert (clean.status, clean.consumption_percent) == ("healthy", 0)
    assert failed.status == "violated"
    assert json.loads(encode(failed))["consumption_percent"] is None, "infinite has no JSON form"


# -- keys that others rely on -------------------------------------------------------------------------------------

REPORT_KEYS = ["name", "service", "status", "target", "window", "method", "good", "total", "sli", "consumption_percent",
               "remaining_percent", "budget", "burn_rates", "exhaustion"]
"""As the requirements list them; more may follow, none may go."""


def test_the_json_of_a_report_keeps_its_keys() -> None:
    found = json.loads(encode(report(room(busy_month(), objective()).world, ReportRequest())))

    assert list(found) == ["generated_at", "objectives"]
    assert list(found["objectives"][0])[: len(REPORT_KEYS)] == REPORT_KEYS
    assert list(found["objectives"][0]["burn_rates"]) == ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
    assert found["objectives"][0]["status"] in ("healthy", "at_risk", "violated", "no_data")
    assert found["generated_at"] == "2026-03-20T12:00:00Z"
