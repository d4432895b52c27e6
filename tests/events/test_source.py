"""Files of events as a Source: counts per slot for many indicators in one pass, and who the bad events belong to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.adapters.events import EventSource
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.ports import Condition, CountRequest, EventQuery, FileSet, GaugeQuery, PromQuery
from mainstay.kernel.quantity import Span

Write = Callable[..., str]
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = Span(START, START + timedelta(hours=1))
ERRORS = EventQuery((Condition("status", ">=", (500.0,)),))


def events(*rows: tuple[float, int, str]) -> str:
    return "".join(json.dumps({"time": START.timestamp() + at, "status": status, "path": path, "took": 10}) + "\n"
                   for at, status, path in rows)


def test_bad_and_total_are_counted_per_slot_and_gaps_told_from_zeros(write: Write) -> None:
    source = EventSource(FileSet((write(events((600, 200, "/a"), (610, 500, "/a"), (1799, 200, "/b"))),)))
    (reading,) = source.count([CountRequest(EventQuery(), HOUR, bad=ERRORS)])
    series = reading.series
    assert (series.start, series.step, len(series)) == (int(START.timestamp()), 300, 12)
    assert list(series.total) == [0, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert list(series.bad) == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert list(series.known) == [False, False, True, True, True, True] + [False] * 6
    assert reading.warnings == ()
    assert "status" in reading.asked[0]


def test_many_indicators_of_different_steps_are_read_together(write: Write) -> None:
    source = EventSource(FileSet((write(events(*((second, 200 + 300 * (second % 7 == 0), "/a" if second % 2 else "/b")
                                                 for second in range(0, 3600, 10)))),)))
    only_a = EventQuery((Condition("path", "==", ("/a",)),))
    readings = source.count([CountRequest(EventQuery(), HOUR, bad=ERRORS),
                             CountRequest(only_a, HOUR, bad=ERRORS, step=60),
                             CountRequest(EventQuery(), HOUR, bad=ERRORS, step=3600)])
    assert [len(reading.series) for reading in readings] == [12, 60, 1]
    assert [reading.series.total_sum for reading in readings] == [360, 0, 360]
    assert readings[0].series.bad_sum == readings[2].series.bad_sum == len(range(0, 3600, 70))


def test_good_events_say_the_same_as_bad_ones(write: Write) -> None:
    path = write(events((0, 200, "/a"), (1, 500, "/a"), (2, 404, "/b"))
                 + json.dumps({"time": START.timestamp()}) + "\n")
    total = EventQuery((Condition("status", "present"),))
    good = EventQuery((Condition("status", "<", (500.0,)),))
    by_bad, by_good = EventSource(FileSet((path,))).count([CountRequest(total, HOUR, bad=ERRORS),
                                                          CountRequest(total, HOUR, good=good)])
    assert np.array_equal(by_bad.series.bad, by_good.series.bad)
    assert (by_good.series.total_sum, by_good.series.bad_sum) == (3, 1)


def test_an_event_of_which_nothing_is_known_is_not_good(write: Write) -> None:
    path = write(events((0, 200, "/a")) + json.dumps({"time": START.timestamp()}) + "\n")
    (reading,) = EventSource(FileSet((path,))).count([CountRequest(
        EventQuery(), HOUR, good=EventQuery((Condition("status", "<", (500.0,)),)))])
    assert (reading.series.total_sum, reading.series.bad_sum) == (2, 1)


def test_the_conditions_of_the_file_set_hold_for_every_request(write: Write) -> None:
    files = FileSet((write(events((0, 500, "/health"), (1, 500, "/a"), (2, 200, "/a"), (2, 200, "/a"))),),
                    where=(Condition("path", "!=", ("/health",)),), unique_by=("time", "path"))
    (reading,) = EventSource(files).count([CountRequest(EventQuery(), HOUR, bad=ERRORS)])
    assert (reading.series.total_sum, reading.series.bad_sum) == (2, 1)


def test_rejected_lines_are_warned_of(write: Write) -> None:
    path = write(events((0, 200, "/a"), (1, 200, "/a")) + "broken\n")
    (reading,) = EventSource(FileSet((path,))).count([CountRequest(EventQuery(), HOUR, bad=ERRORS)])
    assert reading.warnings == ("1 of 3 lines was rejected",)
    assert reading.series.total_sum == 2


def test_empty_files_are_a_gap_with_a_warning(write: Write) -> None:
    (reading,) = EventSource(FileSet((write(""),))).count([CountRequest(EventQuery(), HOUR, bad=ERRORS)])
    assert not reading.series.known.any()
    assert len(reading.series) == 12
    assert "empty" in reading.warnings[0]


def test_a_file_that_grew_is_read_anew(write: Write) -> None:
    path = write(events((0, 200, "/a")))
    source = EventSource(FileSet((path,)))
    request = CountRequest(EventQuery(), HOUR, bad=ERRORS)
    before = source.count([request])[0].series.total_sum
    with Path(path).open("a") as out:
        out.write(events((5, 500, "/a")))
    assert (before, source.count([request])[0].series.total_sum) == (1, 2)


@pytest.mark.parametrize("request_", [
    CountRequest(PromQuery("up"), HOUR, bad=ERRORS), CountRequest(GaugeQuery("up"), HOUR),
    CountRequest(EventQuery(), HOUR, bad=PromQuery("up")), CountRequest(EventQuery(), HOUR),
    CountRequest(EventQuery(), HOUR, bad=ERRORS, good=ERRORS),
    CountRequest(EventQuery((Condition("nope", "==", (1.0,)),)), HOUR, bad=ERRORS),
])
def test_what_files_of_events_cannot_be_asked_is_refused(write: Write, request_: CountRequest) -> None:
    with pytest.raises(InvalidInput):
        EventSource(FileSet((write(events((0, 200, "/a"))),))).count([request_])


def test_a_breakdown_names_the_greatest_and_sums_the_others(write: Write) -> None:
    rows = [(second, 500, f"/{name}") for name, count in (("a", 5), ("b", 3), ("c", 2), ("d", 1))
            for second in range(0, count * 300, 300)]
    source = EventSource(FileSet((write(events(*rows, (0, 200, "/a"))),)))
    found = source.breakdown(CountRequest(EventQuery(), HOUR, bad=ERRORS), ["path", "status"], limit=2)
    assert [(dict(one.labels), one.bad) for one in found] == [
        ({"path": "/a", "status": "500"}, 5), ({"path": "/b", "status": "500"}, 3),
        ({"path": "(other)", "status": "(other)"}, 3)]
    assert found[0].by_slot == {int(START.timestamp()) + 300 * index: 1 for index in range(5)}
    (all_of_it,) = source.breakdown(CountRequest(EventQuery(), HOUR, bad=ERRORS), [])
    assert (all_of_it.labels, all_of_it.bad) == ({}, 11)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.integers(-600, 4200), st.sampled_from([200, 404, 500, 503]),
                               st.sampled_from(["/a", "/b", "/c"])), min_size=1, max_size=60),
       limit=st.integers(1, 4))
def test_counts_and_breakdown_lose_nothing(tmp_path: Path, rows: list[tuple[int, int, str]], limit: int) -> None:
    path = tmp_path / "x.log"
    path.write_text(events(*rows))
    source = EventSource(FileSet((str(path),)))
    request = CountRequest(EventQuery(), HOUR, bad=ERRORS)
    (reading,) = source.count([request])
    inside = [(at, status) for at, status, _ in rows if 0 <= at < 3600]
    assert reading.series.total_sum == len(inside)
    by_slot: Counter[int] = Counter()
    for spender in source.breakdown(request, ["path"], limit):
        assert spender.bad == sum(spender.by_slot.values())
        by_slot.update({slot: int(count) for slot, count in spender.by_slot.items()})
    assert by_slot == Counter(reading.series.start + at // 300 * 300 for at, status in inside if status >= 500)
