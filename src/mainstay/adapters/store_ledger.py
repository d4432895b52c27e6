"""The ledger in SQL: one row of slots and one of sums a key and UTC day.

A day's slots are packed as small as they are exact: a column of whole numbers takes one, two or four bytes a slot, one
of zeros nothing, anything else eight. A day of a service is 300 to 900 bytes that way; measured beside zlib level 1
over the same numbers it is about as small and several times faster to read (`bench/ledger.py` prints both).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy as np

from mainstay.adapters.record import micros_of
from mainstay.adapters.store_database import Connection, Database, Row
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.ports import DaySums
from mainstay.kernel.quantity import SLOT, Span
from mainstay.kernel.series import BoolArray, FloatArray, Series

DAY = 86_400
SLOTS = DAY // SLOT
"""Slots in a day: 288."""

_DAYS_AT_ONCE = 2_000
"""Days merged at a time; 2,000 of them unpacked take 10 MB."""

_MANY = 5_000
"""Keys in one statement at most."""

# How a column is kept, by its code: the narrowest that holds every value exactly.
_WIDTHS: tuple[tuple[str, float], ...] = (("", 0), ("<u1", 2**8 - 1), ("<u2", 2**16 - 1), ("<u4", 2**32 - 1))
_FLOAT = len(_WIDTHS)
_TYPES = (*(name for name, _ in _WIDTHS), "<f8")


@dataclass(frozen=True, slots=True, eq=False)
class _Days:
    """Unpacked days: one row each, 288 columns; bad and total are 0 where not known."""

    bad: FloatArray
    total: FloatArray
    known: BoolArray


def pack(bad: FloatArray, total: FloatArray, known: BoolArray) -> list[bytes]:
    """Days as bytes: a head (bad's code + 8 × total's code + 128 when all slots are known), known bits, bad, total."""
    heads = _codes(bad) + 8 * _codes(total) + np.where(known.all(1), 128, 0)
    packed: list[bytes] = [b""] * len(heads)
    for head in np.unique(heads):
        rows = np.flatnonzero(heads == head)
        parts = [np.full((len(rows), 1), head, dtype=np.uint8)]
        if head < 128:
            parts.append(np.packbits(known[rows], axis=1))
        for column, code in ((bad, head % 8), (total, head // 8 % 8)):
            if code:
                parts.append(np.ascontiguousarray(column[rows].astype(_TYPES[code])).view(np.uint8))
        for row, content in zip(rows, np.hstack(parts), strict=True):
            packed[row] = content.tobytes()
    return packed


def _codes(column: FloatArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    largest = column.max(1)
    codes = np.searchsorted([limit for _, limit in _WIDTHS], largest)
    whole = (column >= 0).all(1) & (column == np.floor(column)).all(1)
    return np.where(whole, codes, _FLOAT)


def unpack(packed: Sequence[bytes]) -> _Days:
    """The days of those bytes, in order."""
    days = _Days(np.zeros((len(packed), SLOTS)), np.zeros((len(packed), SLOTS)),
                 np.ones((len(packed), SLOTS), dtype=np.bool_))
    heads = np.fromiter((content[0] for content in packed), np.int64, len(packed))
    for head in np.unique(heads):
        rows = np.flatnonzero(heads == head)
        content = np.frombuffer(b"".join([packed[row] for row in rows.tolist()]), np.uint8).reshape(len(rows), -1)
        at = 1
        if head < 128:
            days.known[rows] = np.unpackbits(content[:, at:at + SLOTS // 8], axis=1)
            at += SLOTS // 8
        for column, code in ((days.bad, head % 8), (days.total, head // 8 % 8)):
            if code:
                size = SLOTS * np.dtype(_TYPES[code]).itemsize
                column[rows] = np.ascontiguousarray(content[:, at:at + size]).view(_TYPES[code])
                at += size
    return days


# -- the SQL ------------------------------------------------------------------------------------------------------


# Read with `{among}` for "one of these", which each database says in its own words.
_NUMBERS = "SELECT key, series FROM ledger_series WHERE key {among}"
_LAST_NUMBER = "SELECT coalesce(max(series), 0) FROM ledger_series"
_ADD_KEY = "INSERT INTO ledger_series (key, series) VALUES (:key, :series)"
_SLOTS = "SELECT series, day, slots FROM ledger_slots WHERE series {among} AND day >= :first AND day < :last"
_SUMS = ("SELECT series, day, bad, total, known FROM ledger_days"
         " WHERE series {among} AND day >= :first AND day < :last ORDER BY series, day")
_ENDS = ("SELECT s.series, s.day, s.slots FROM ledger_slots s JOIN"
         " (SELECT series, min(day) AS lowest, max(day) AS highest FROM ledger_days WHERE series {among}"
         " GROUP BY series) e ON s.series = e.series AND s.day IN (e.lowest, e.highest)"
         " ORDER BY s.series, s.day")
_PUT_SUMS = (
    "INSERT INTO ledger_days (series, day, bad, total, known, revision, recorded_at)"
    " VALUES (:series, :day, :bad, :total, :known, 1, :recorded_at) ON CONFLICT (series, day) DO UPDATE SET"
    " bad = excluded.bad, total = excluded.total, known = excluded.known, revision = ledger_days.revision + 1,"
    " recorded_at = excluded.recorded_at")
_PUT_SLOTS = ("INSERT INTO ledger_slots (series, day, slots) VALUES (:series, :day, :slots)"
              " ON CONFLICT (series, day) DO UPDATE SET slots = excluded.slots")


@dataclass(frozen=True, slots=True)
class _Entries:
    """What one call writes."""

    series: Mapping[str, Series]
    recorded_at: int


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    """Some days of some series, given: `keys[i]` and `numbers[i]` say whose row i is, `day[i]` of which day."""

    keys: list[str]
    numbers: list[int]
    day: list[int]
    given: _Days


class SqlLedger:
    """The ledger on SQLite or PostgreSQL. Every method may be called from any thread."""

    def __init__(self, database: Database, let_go: Callable[[], None]) -> None:
        self._database = database
        self._let_go = let_go

    def write(self, entries: Mapping[str, Series], recorded_at: datetime) -> dict[str, int]:
        """Replace the known slots of each key by the given ones, durably and all or none.

        Returns:
            How many slots changed value (from a gap counts), by key. A day where none did keeps its revision.
        Raises:
            StoreUnavailable: the database failed, and nothing was written.
        """
        assert all(series.step == SLOT for series in entries.values()), "the ledger keeps five-minute slots"
        if not entries:
            return {}
        return self._database.write(self._write, _Entries(entries, micros_of(recorded_at)))

    def _write(self, connection: Connection, calls: Sequence[_Entries]) -> list[dict[str, int]]:
        answers = []
        for call in calls:
            changed = dict.fromkeys(call.series, 0)
            numbers = _numbers(connection, list(call.series), add=True)
            for chunk in _chunks(call.series, numbers):
                for key, count in zip(chunk.keys, _merge(connection, chunk, call.recorded_at), strict=True):
                    changed[key] += count
            answers.append(changed)
        return answers

    def read(self, keys: Sequence[str], span: Span) -> dict[str, Series]:
        """The slots of each key over the span, widened to whole slots; gaps where nothing was written."""
        start, end = _whole(span, SLOT)
        first, last = start // DAY, -(-end // DAY)
        names = list(dict.fromkeys(keys))
        shape = (len(names), last - first, SLOTS)
        bad, total, known = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.bool_)
        with self._database.reading() as connection:
            numbers = _numbers(connection, names)
            rows = list(_ranged(connection, _SLOTS, numbers.values(), first, last))
        if rows:
            place = {numbers[name]: index for index, name in enumerate(names) if name in numbers}
            where = ([place[series] for series, _, _ in rows], [day - first for _, day, _ in rows])
            days = unpack([slots for _, _, slots in rows])
            bad[where], total[where], known[where] = days.bad, days.total, days.known
        cut = slice((start - first * DAY) // SLOT, (end - first * DAY) // SLOT)
        return {name: Series(start, SLOT, bad[index].reshape(-1)[cut], total[index].reshape(-1)[cut],
                             known[index].reshape(-1)[cut]) for index, name in enumerate(names)}

    def day_sums(self, keys: Sequence[str], span: Span) -> dict[str, DaySums]:
        """Sums of the UTC days that the span touches and that have known slots; reads no slots."""
        start, end = _whole(span, DAY)
        with self._database.reading() as connection:
            numbers = _numbers(connection, keys)
            rows = list(_ranged(connection, _SUMS, numbers.values(), start // DAY, end // DAY))
        table = np.fromiter(chain.from_iterable(rows), np.float64, 5 * len(rows)).reshape(-1, 5)
        series, days, bad, total, known = (np.ascontiguousarray(column) for column in table.T)
        order = sorted(numbers.values())
        starts, ends = (np.searchsorted(series, order, side) for side in ("left", "right"))
        parts = {number: slice(first, last) for number, first, last in zip(order, starts, ends, strict=True)}
        nothing = slice(0, 0)
        return {key: DaySums(days[part] * DAY, bad[part], total[part], known[part])
                for key in keys for part in (parts.get(numbers.get(key, 0), nothing),)}

    def extent(self, keys: Sequence[str]) -> dict[str, Span]:
        """From the first to behind the last known slot, for the keys that have any."""
        with self._database.reading() as connection:
            numbers = _numbers(connection, keys)
            rows = list(_among(connection, _ENDS, sorted(numbers.values())))
        known = unpack([packed for _, _, packed in rows]).known
        ends: dict[int, tuple[int, int]] = {}
        for (series, day, _), slots in zip(rows, known, strict=True):
            places = np.flatnonzero(slots)
            first = ends.get(series, (day * DAY + int(places[0]) * SLOT, 0))[0]
            ends[series] = (first, day * DAY + (int(places[-1]) + 1) * SLOT)
        return {key: Span(datetime.fromtimestamp(ends[number][0], UTC), datetime.fromtimestamp(ends[number][1], UTC))
                for key, number in numbers.items() if number in ends}

    def close(self) -> None:
        """Let go of the store."""
        self._let_go()


def _whole(span: Span, step: int) -> tuple[int, int]:
    micros = step * 1_000_000
    return micros_of(span.start) // micros * step, -(-micros_of(span.end) // micros) * step


def _among(connection: Connection, statement: str, values: Sequence[Any], **more: int) -> Iterator[Row]:
    """What the statement finds for these values, asked for in parts."""
    asked = statement.format(among=connection.dialect.among("values"))
    for start in range(0, len(values), _MANY):
        yield from connection.rows(asked, {"values": connection.dialect.each(values[start:start + _MANY]), **more})


def _numbers(connection: Connection, keys: Sequence[str], *, add: bool = False) -> dict[str, int]:
    numbers: dict[str, int] = dict(_among(connection, _NUMBERS, keys))
    unknown = [key for key in keys if key not in numbers] if add else []
    if unknown:
        last = connection.value(_LAST_NUMBER)
        numbers.update((key, last + 1 + index) for index, key in enumerate(unknown))
        connection.run_each(_ADD_KEY, [{"key": key, "series": numbers[key]} for key in unknown])
    return numbers


def _ranged(connection: Connection, statement: str, numbers: Iterable[int], first: int, last: int) -> Iterator[Row]:
    return _among(connection, statement, sorted(numbers), first=first, last=last)


def _chunks(entries: Mapping[str, Series], numbers: Mapping[str, int]) -> Iterator[_Chunk]:
    rows: list[tuple[str, int, FloatArray, FloatArray, BoolArray]] = []
    for key, series in entries.items():
        first, last = series.start // DAY, -(-series.end // DAY)
        whole = series.cut(first * DAY, last * DAY)
        known = whole.known.reshape(-1, SLOTS)
        bad, total = (np.where(known, column.reshape(-1, SLOTS), 0.0) for column in (whole.bad, whole.total))
        for index in np.flatnonzero(known.any(1)):
            rows.append((key, first + int(index), bad[index], total[index], known[index]))
            if len(rows) == _DAYS_AT_ONCE:
                yield _chunk(rows, numbers)
                rows = []
    if rows:
        yield _chunk(rows, numbers)


def _chunk(rows: Sequence[tuple[str, int, FloatArray, FloatArray, BoolArray]], numbers: Mapping[str, int]) -> _Chunk:
    keys, day, bad, total, known = zip(*rows, strict=True)
    return _Chunk(list(keys), [numbers[key] for key in keys], list(day),
                  _Days(np.stack(bad), np.stack(total), np.stack(known)))


def _merge(connection: Connection, chunk: _Chunk, recorded_at: int) -> list[int]:
    """Lay the given days over the recorded ones; how many slots changed, by row."""
    place = {key: index for index, key in enumerate(zip(chunk.numbers, chunk.day, strict=True))}
    shape = chunk.given.known.shape
    bad, total, known = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.bool_)
    recorded = [(place[series, day], slots) for series, day, slots in _ranged(
        connection, _SLOTS, set(chunk.numbers), min(chunk.day), max(chunk.day) + 1) if (series, day) in place]
    if recorded:
        where = [index for index, _ in recorded]
        days = unpack([slots for _, slots in recorded])
        bad[where], total[where], known[where] = days.bad, days.total, days.known
    given = chunk.given
    changed = given.known & (~known | (given.bad != bad) | (given.total != total))
    counts = np.count_nonzero(changed, axis=1)
    bad, total = np.where(given.known, given.bad, bad), np.where(given.known, given.total, total)
    known |= given.known
    rows = np.flatnonzero(counts)
    if len(rows):
        names = [{"series": chunk.numbers[row], "day": chunk.day[row]} for row in rows]
        sums = zip(bad[rows].sum(1).tolist(), total[rows].sum(1).tolist(),
                   np.count_nonzero(known[rows], axis=1).tolist(), strict=True)
        connection.run_each(_PUT_SUMS, [{**name, "bad": b, "total": t, "known": k, "recorded_at": recorded_at}
                                        for name, (b, t, k) in zip(names, sums, strict=True)])
        connection.run_each(_PUT_SLOTS, [{**name, "slots": slots} for name, slots in zip(
            names, pack(bad[rows], total[rows], known[rows]), strict=True)])
    return [int(count) for count in counts]
