"""The source of ready-made numbers that other tests lean on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mainstay.adapters.memory import MemorySource, query_text
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.ports import Condition, CountRequest, EventQuery, GaugeQuery, PromQuery, Spender
from mainstay.kernel.quantity import Span
from mainstay.kernel.series import slots

T0 = datetime(2026, 1, 1, tzinfo=UTC)
SLOT = int(T0.timestamp())
HOUR = Span(T0, T0 + timedelta(hours=1))
ALL, ERRORS = PromQuery("requests"), PromQuery("errors")


def counts(*values: float | None) -> object:
    return slots(T0, [0] * len(values), values)


def test_bad_over_total_is_counted_per_slot_and_a_gap_in_either_is_a_gap() -> None:
    source = MemorySource({"requests": counts(10, 20, None, 5), "errors": counts(1, None, 1, 0)})
    reading, = source.count([CountRequest(ALL, HOUR, bad=ERRORS)])
    series = reading.series
    assert (series.span, series.bad.tolist()[:4], series.total.tolist()[:4]) == (HOUR, [1, 0, 0, 0], [10, 0, 0, 5])
    assert series.known.tolist()[:5] == [True, False, False, True, False]
    assert reading.asked == ("requests", "errors")


def test_good_is_turned_into_bad() -> None:
    source = MemorySource({"requests": counts(10), "good": counts(9)})
    reading, = source.count([CountRequest(ALL, HOUR, good=PromQuery("good"))])
    assert (reading.series.bad_sum, reading.series.total_sum) == (1, 10)


def test_longer_slots_add_up() -> None:
    source = MemorySource({"requests": counts(1, 2, 3), "errors": counts(0, 1, 0)})
    reading, = source.count([CountRequest(ALL, HOUR, bad=ERRORS, step=3600)])
    assert (reading.series.bad.tolist(), reading.series.total.tolist()) == ([1], [6])


def test_a_gauge_is_answered_by_its_own_series() -> None:
    series = slots(T0, [1, 0], [5, 5])
    reading, = MemorySource({"up": series}).count([CountRequest(GaugeQuery("up", "==", 1), HOUR)])
    assert (reading.series.bad_sum, reading.series.total_sum) == (1, 10)


def test_conditions_are_named_as_people_write_them() -> None:
    query = EventQuery((Condition("status", ">=", (500.0,)), Condition("method", "in", ("GET", "HEAD")),
                        Condition("user", "absent")))
    assert query_text(query) == "status >= 500 and method in GET, HEAD and user absent"
    assert query_text(EventQuery()) == ""


def test_an_unknown_query_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidInput, match="nothing") as refused:
        MemorySource({"requests": counts(1)}).count([CountRequest(PromQuery("nothing"), HOUR)])
    assert "requests" in refused.value.way_out


def test_a_breakdown_groups_by_label_within_the_span_and_sums_the_rest() -> None:
    def spender(path: str, status: str, by_slot: dict[int, float]) -> Spender:
        return Spender({"path": path, "status": status}, sum(by_slot.values()), by_slot)

    late = SLOT + 7200
    source = MemorySource({}, {"errors": [
        spender("/a", "500", {SLOT: 1, late: 100}), spender("/a", "503", {SLOT: 4}), spender("/b", "500", {SLOT: 3}),
        spender("/c", "500", {SLOT + 300: 2}), spender("/d", "500", {late: 9})]})
    found = source.breakdown(CountRequest(ALL, HOUR, bad=ERRORS), ["path"], limit=1)
    assert [(s.labels, s.bad) for s in found] == [({"path": "/a"}, 5), ({"path": "(other)"}, 5)]
    assert found[1].by_slot == {SLOT: 3, SLOT + 300: 2}
