"""What should have been told: bursts by the stated rule, incidents as people recorded them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.kernel.journal import Batch, Fact, FactQuery, NewFact
from mainstay.kernel.series import Series
from mainstay.monitoring.truth import allowed_events, bursts, incidents, measured
from slo.worlds import NOW, objective

BUDGET = Decimal("0.01")
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
START = datetime(2026, 3, 1, tzinfo=UTC)


def history(step: int = 300, days: float = 2, each: float = 100) -> Series:
    slots = int(days * 86_400 / step)
    return Series(int(START.timestamp()), step, np.zeros(slots), np.full(slots, each), np.ones(slots, dtype=np.bool_))


def lose(series: Series, after: timedelta, count: float, lasts: timedelta) -> None:
    first = int(after.total_seconds()) // series.step
    series.bad[first:first + max(1, int(lasts.total_seconds()) // series.step)] = count


def found(series: Series, least: str = "0.02") -> list[tuple[timedelta, timedelta]]:
    allowed = allowed_events(series, BUDGET, 30 * DAY)
    return [(one.start - START, one.end - START) for one in bursts(series, BUDGET, allowed, Decimal(least))]


def test_a_burst_spends_its_share_of_the_whole_windows_budget() -> None:
    series = history()
    lose(series, timedelta(hours=3), 100, 10 * MINUTE)
    allowed = allowed_events(series, BUDGET, 30 * DAY)
    assert allowed == pytest.approx(30 * 288 * 100 * 0.01)
    (burst,) = bursts(series, BUDGET, allowed, Decimal("0.02"))
    assert (burst.start - START, burst.end - START) == (timedelta(hours=3), timedelta(hours=3, minutes=10))
    assert burst.spent == pytest.approx(200 / 8640)
    assert found(series, "0.024") == []


def test_slots_less_than_an_hour_apart_are_one_burst_and_others_are_two() -> None:
    series = history()
    for hours in (3.0, 3.9, 8.0):
        lose(series, timedelta(hours=hours), 100, 10 * MINUTE)
    assert found(series) == [(timedelta(hours=3), timedelta(hours=3, minutes=60)),
                             (timedelta(hours=8), timedelta(hours=8, minutes=10))]


def test_what_the_budget_allows_is_no_burst_however_long_it_lasts() -> None:
    series = history()
    lose(series, timedelta(0), 2, 2 * DAY)  # exactly twice the allowed rate, all the time
    assert found(series, "0.0001") == []
    lose(series, timedelta(0), 3, 2 * DAY)
    assert found(series) == [(timedelta(0), 2 * DAY)]


def test_in_fine_slots_the_edges_are_where_the_failures_are() -> None:
    series = history(step=30, each=10)
    lose(series, timedelta(hours=3, minutes=1, seconds=30), 10, 11 * MINUTE)
    assert found(series) == [(timedelta(hours=3, minutes=1, seconds=30), timedelta(hours=3, minutes=12, seconds=30))]


def test_samples_rarer_than_slots_leave_nothing_unmeasured() -> None:
    minutely = history(step=30, each=2)
    minutely.known[1::2] = False
    minutely.total[1::2] = 0
    assert measured(minutely) == measured(history()) == 2 * DAY
    assert allowed_events(minutely, BUDGET, 30 * DAY) == pytest.approx(30 * 1440 * 2 * 0.01)
    minutely.known[:2880] = False
    assert measured(minutely) == DAY


def test_a_history_without_traffic_has_no_burst_and_no_budget() -> None:
    assert allowed_events(history(each=0), BUDGET, 30 * DAY) == 0
    assert found(history(each=0)) == []


def facts(*new: NewFact) -> list[Fact]:
    journal = MemoryJournal(FakeClock(NOW))
    journal.commit(Batch(new))
    return list(journal.facts(FactQuery(kinds=("incident.",))))


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def told(*new: NewFact) -> list[tuple[str, float, float]]:
    series = history()
    lose(series, timedelta(hours=3), 100, 10 * MINUTE)
    episodes = incidents(facts(*new), objective("web", service="shop"), series, 8640)
    return [(one.name, (one.start - START) / timedelta(hours=1), (one.end - START) / timedelta(hours=1))
            for one in episodes]


def test_incidents_last_as_recorded_until_resolved_or_an_hour() -> None:
    assert told(
        NewFact("incident.recorded", "INC-1", at(3), {"service": "shop", "until": at(3.5).isoformat()}),
        NewFact("incident.opened", "INC-2", at(6), {}), NewFact("incident.resolved", "INC-2", at(6.2), {}),
        NewFact("incident.opened", "INC-3", at(9), {"services": ["shop", "api"]})) == [
            ("INC-1", 3, 3.5), ("INC-2", 6, 6.2), ("INC-3", 9, 10)]


def test_other_services_other_objectives_and_other_times_are_not_it() -> None:
    assert told(
        NewFact("incident.recorded", "a", at(3), {"service": "api"}),
        NewFact("incident.opened", "b", at(3), {"objective": "another"}),
        NewFact("incident.recorded", "c", at(-5), {"service": "shop"}),
        NewFact("incident.recorded", "d", at(50), {"service": "shop"})) == []


def test_overlapping_incidents_are_one_episode() -> None:
    assert told(
        NewFact("incident.recorded", "a", at(3), {"until": at(4).isoformat()}),
        NewFact("incident.recorded", "b", at(3.5), {"until": at(5).isoformat()})) == [("a, b", 3, 5)]


def test_an_incident_knows_what_it_spent() -> None:
    series = history()
    lose(series, timedelta(hours=3), 100, 10 * MINUTE)
    (one,) = incidents(facts(NewFact("incident.recorded", "a", at(3), {})), objective("web"), series, 8640)
    assert one.spent == pytest.approx(200 / 8640)
