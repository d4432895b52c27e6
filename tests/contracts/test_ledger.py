"""What every ledger promises, asked of every store."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mainstay.adapters.clock import SystemClock
from mainstay.adapters.memory import MemoryLedger
from mainstay.adapters.store import open_store
from mainstay.adapters.store_ledger import SLOTS, pack, unpack
from mainstay.kernel.quantity import SLOT, Span
from mainstay.kernel.series import Series, gap, merged, slots

from .conftest import Opened

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOON = T0 + timedelta(hours=12)
DAY = timedelta(days=1)
SLOT_LENGTH = timedelta(seconds=SLOT)


def same(one: Series, other: Series) -> bool:
    return (one.start, len(one)) == (other.start, len(other)) and all(
        np.array_equal(a, b) for a, b in ((one.bad, other.bad), (one.total, other.total), (one.known, other.known)))


def full(start: datetime, count: int, bad: float = 1.0, total: float = 10.0) -> Series:
    return slots(start, [bad] * count, [total] * count)


# -- slots --------------------------------------------------------------------------------------------------------


def test_what_was_written_reads_back_with_gaps_and_zeros_told_apart(opened: Opened) -> None:
    series = slots(T0, [0, 0, 0, 2], [5, None, 0, 2.5])
    assert opened.ledger.write({"checkout": series}, NOON) == {"checkout": 3}
    assert same(opened.again().ledger.read(["checkout"], series.span)["checkout"], series)


def test_an_unknown_key_reads_as_gaps(opened: Opened) -> None:
    span = Span(T0, T0 + 4 * SLOT_LENGTH)
    assert same(opened.ledger.read(["nobody"], span)["nobody"], gap(int(T0.timestamp()), 4))


def test_a_span_within_slots_is_widened_to_whole_ones(opened: Opened) -> None:
    opened.ledger.write({"a": full(T0, 3)}, NOON)
    span = Span(T0 + timedelta(seconds=299), T0 + timedelta(seconds=300, microseconds=1))
    found = opened.ledger.read(["a"], span)["a"]
    assert (found.start, len(found), found.total_sum) == (int(T0.timestamp()), 2, 20.0)


def test_a_reading_over_the_ends_of_what_is_known_and_over_days_is_exact(opened: Opened) -> None:
    series = full(NOON, 3 * SLOTS)
    opened.ledger.write({"a": series, "b": full(T0, 1)}, NOON)
    span = Span(T0 - DAY, T0 + 6 * DAY)
    found = opened.ledger.read(["a", "b"], span)
    assert same(found["a"], series.cut(int(span.start.timestamp()), int(span.end.timestamp())))
    assert found["b"].total_sum == 10.0


def test_keys_of_one_ledger_do_not_touch_each_other(opened: Opened) -> None:
    opened.ledger.write({"a": full(T0, 2, 1, 10)}, NOON)
    opened.ledger.write({"b": full(T0, 2, 2, 20), "A": full(T0, 1, 3, 30), "ä/{le='1'}": full(T0, 1, 4, 40)}, NOON)
    found = opened.ledger.read(["A", "ä/{le='1'}", "b", "a"], Span(T0, T0 + DAY))
    assert {key: series.bad_sum for key, series in found.items()} == {"A": 3, "ä/{le='1'}": 4, "b": 4, "a": 2}


# -- corrections --------------------------------------------------------------------------------------------------


def test_a_late_correction_replaces_known_slots_and_leaves_the_others(opened: Opened) -> None:
    first, late = slots(T0, [0, 1, 2, 0], [5, 5, 5, None]), slots(T0, [0, 4, 0, 1], [5, 5, None, 1])
    opened.ledger.write({"a": first}, NOON)
    assert opened.ledger.write({"a": late}, NOON) == {"a": 2}
    assert same(opened.ledger.read(["a"], first.span)["a"], merged(first, late))


def test_a_gap_never_replaces_a_known_slot(opened: Opened) -> None:
    opened.ledger.write({"a": full(T0, 3)}, NOON)
    assert opened.ledger.write({"a": gap(int(T0.timestamp()), 3)}, NOON) == {"a": 0}
    assert opened.ledger.read(["a"], Span(T0, T0 + DAY))["a"].total_sum == 30


def test_a_zero_over_a_gap_is_a_change(opened: Opened) -> None:
    opened.ledger.write({"a": slots(T0, [0, 0], [None, 1])}, NOON)
    assert opened.ledger.write({"a": slots(T0, [0], [0])}, NOON) == {"a": 1}


def test_writing_the_same_again_changes_nothing(opened: Opened) -> None:
    series = full(T0, SLOTS + 7)
    assert opened.ledger.write({"a": series}, NOON) == {"a": SLOTS + 7}
    assert opened.ledger.write({"a": series, "b": full(T0, 1)}, NOON) == {"a": 0, "b": 1}


def test_writing_nothing_is_nothing(opened: Opened) -> None:
    assert opened.ledger.write({}, NOON) == {}
    assert opened.ledger.write({"a": gap(0, 0)}, NOON) == {"a": 0}
    assert opened.ledger.extent(["a"]) == {}


def test_only_a_day_that_changed_gets_a_new_revision(store_url: str) -> None:
    def revisions() -> list[tuple[int, int]]:
        with store._database.reading() as connection:
            rows = connection.rows("SELECT revision, recorded_at FROM ledger_days ORDER BY day")
        return [(revision, recorded_at // 1_000_000 - int(NOON.timestamp())) for revision, recorded_at in rows]

    with open_store(store_url, SystemClock()) as store:
        store.ledger.write({"a": full(T0, 2 * SLOTS)}, NOON)
        store.ledger.write({"a": full(T0, 2 * SLOTS)}, NOON + timedelta(seconds=1))
        assert revisions() == [(1, 0), (1, 0)]
        store.ledger.write({"a": full(T0 + DAY, 1, bad=2)}, NOON + timedelta(seconds=2))
        assert revisions() == [(1, 0), (2, 2)]


# -- sums ---------------------------------------------------------------------------------------------------------


def test_day_sums_are_the_sums_of_the_slots(opened: Opened) -> None:
    series = slots(NOON, [0.0, 0.5] * SLOTS, [1.0, None] * SLOTS)
    opened.ledger.write({"a": series, "other": full(T0, 1)}, NOON)
    sums = opened.ledger.day_sums(["a", "nobody"], Span(T0 - DAY, T0 + 9 * DAY))
    assert sums["a"].days.tolist() == [(T0 + i * DAY).timestamp() for i in range(3)]
    assert sums["a"].bad.tolist() == [0.0] * 3
    assert sums["a"].total.tolist() == sums["a"].known.tolist() == [72.0, 144.0, 72.0]
    assert [len(column) for column in (sums["nobody"].days, sums["nobody"].bad)] == [0, 0]


def test_day_sums_cover_every_day_the_span_touches_and_no_other(opened: Opened) -> None:
    opened.ledger.write({"a": full(T0, 4 * SLOTS)}, NOON)
    touched = opened.ledger.day_sums(["a"], Span(NOON + DAY, T0 + 2 * DAY + timedelta(microseconds=1)))["a"]
    assert touched.days.tolist() == [(T0 + DAY).timestamp(), (T0 + 2 * DAY).timestamp()]
    assert opened.ledger.day_sums(["a"], Span(NOON, T0 + DAY))["a"].days.tolist() == [T0.timestamp()]


def test_day_sums_follow_a_correction(opened: Opened) -> None:
    opened.ledger.write({"a": full(T0, SLOTS)}, NOON)
    opened.ledger.write({"a": full(T0, 1, bad=5, total=50)}, NOON)
    sums = opened.ledger.day_sums(["a"], Span(T0, T0 + DAY))["a"]
    assert (sums.bad[0], sums.total[0], sums.known[0]) == (SLOTS + 4, 10 * SLOTS + 40, SLOTS)


def test_day_sums_read_no_slots(store_url: str) -> None:
    with open_store(store_url, SystemClock()) as store:
        store.ledger.write({"a": full(T0, SLOTS)}, NOON)
        store._database.write(lambda connection, _: [connection.run("DELETE FROM ledger_slots")], None)
        assert store.ledger.read(["a"], Span(T0, T0 + DAY))["a"].total.sum() == 0
        assert store.ledger.day_sums(["a"], Span(T0, T0 + DAY))["a"].total.tolist() == [10.0 * SLOTS]


# -- extent -------------------------------------------------------------------------------------------------------


def test_extent_runs_from_the_first_to_behind_the_last_known_slot(opened: Opened) -> None:
    opened.ledger.write({"a": slots(T0, [0, 0, 0, 0], [None, 1, None, None]), "empty": gap(0, 3)}, NOON)
    one = Span(T0 + SLOT_LENGTH, T0 + 2 * SLOT_LENGTH)
    assert opened.ledger.extent(["a", "empty", "nobody"]) == {"a": one}
    opened.ledger.write({"a": slots(T0 + 9 * DAY, [0, 0, 0], [1, 0, None])}, NOON)
    assert opened.ledger.extent(["a"]) == {"a": Span(one.start, T0 + 9 * DAY + 2 * SLOT_LENGTH)}


# -- all stores alike ---------------------------------------------------------------------------------------------


counts = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 255.0, 256.0, 65_535.0, 65_536.0, 2.0**32 - 1, 2.0**32,
                                               2.0**53, 0.1]), st.integers(0, 5).map(float))
writes = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(-400, 400), st.lists(counts, max_size=30)),
                  max_size=4)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=writes)
def test_a_durable_ledger_answers_as_the_one_in_memory(
        store_url: str, writes: list[tuple[str, int, list[float | None]]]) -> None:
    plain = MemoryLedger()
    keys, span = ["a", "b"], Span(T0 - 2 * DAY, T0 + 3 * DAY)
    with open_store(store_url, SystemClock()) as store:
        store._database.write(lambda connection, _: [
            [connection.run(f"DELETE FROM {table}")
             for table in ("ledger_days", "ledger_slots", "ledger_series")]], None)
        for key, offset, values in writes:
            series = slots(T0 + offset * SLOT_LENGTH, [(value or 0.0) / 2 for value in values], values)
            assert store.ledger.write({key: series}, NOON) == plain.write({key: series}, NOON)
        read, expected_read = store.ledger.read(keys, span), plain.read(keys, span)
        assert all(same(read[key], expected_read[key]) for key in keys)
        sums, expected = store.ledger.day_sums(keys, span), plain.day_sums(keys, span)
        for key in keys:
            assert np.array_equal(sums[key].days, expected[key].days)
            assert np.array_equal(sums[key].known, expected[key].known)
            assert np.allclose(sums[key].total, expected[key].total, rtol=1e-15)
        assert store.ledger.extent(keys) == plain.extent(keys)


columns = hnp.arrays(np.float64, (3, SLOTS), elements=st.sampled_from([0.0, 1.0, 255.0, 256.0, 65_536.0, 2.0**32, 0.1]))


@settings(max_examples=40, deadline=None)
@given(bad=columns, total=columns, known=hnp.arrays(np.bool_, (3, SLOTS)))
def test_packing_loses_nothing(bad: np.ndarray, total: np.ndarray, known: np.ndarray) -> None:
    days = unpack(pack(bad, total, known))
    assert np.array_equal(days.bad, bad)
    assert np.array_equal(days.total, total)
    assert np.array_equal(days.known, known)


def test_a_day_of_counts_packs_to_two_bytes_a_slot_and_fewer() -> None:
    total = np.full((1, SLOTS), 3_000.0)
    content, = pack(np.zeros((1, SLOTS)), total, np.ones((1, SLOTS), dtype=np.bool_))
    assert len(content) == 1 + 2 * SLOTS


# -- several at once ----------------------------------------------------------------------------------------------


def test_many_keys_are_written_in_one_go(opened: Opened) -> None:
    many = {f"k{i}": full(T0 + i * SLOT_LENGTH, 2 * SLOTS, i % 3) for i in range(1_100)}
    assert set(opened.ledger.write(many, NOON).values()) == {2 * SLOTS}
    found = opened.ledger.read(list(many), Span(T0, T0 + 7 * DAY))
    assert all(found[key].bad_sum == series.bad_sum for key, series in many.items())


WRITER = """
import sys
from datetime import UTC, datetime, timedelta
from mainstay.adapters.clock import SystemClock
from mainstay.adapters.store import open_store
from mainstay.kernel.series import slots
start = datetime(2026, 1, 1, tzinfo=UTC)
with open_store(sys.argv[1], SystemClock()) as store:
    for i in range(int(sys.argv[2]), 200, 2):
        at = start + timedelta(seconds=300 * i)
        store.ledger.write({"shared": slots(at, [1], [i + 1]), f"own{i}": slots(at, [0], [1])}, start)
"""


def test_two_processes_that_write_slots_of_one_day_lose_none(store_url: str) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, store_url, offset]) for offset in ("0", "1")]
    assert [writer.wait() for writer in writers] == [0, 0]
    with open_store(store_url, SystemClock()) as store:
        shared = store.ledger.read(["shared"], Span(T0, T0 + 200 * SLOT_LENGTH))["shared"]
        assert shared.total.tolist() == list(range(1, 201))
        assert len(store.ledger.extent([f"own{i}" for i in range(200)])) == 200
