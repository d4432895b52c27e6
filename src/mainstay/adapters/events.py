"""Files of events through DuckDB: a survey of files named on the spot, and a Source over files named in a catalog.

The files are read as they are asked and summed into slots; what is held beyond sums, DuckDB moves to disk, so memory
does not grow with the files. `event_files` makes files safe to read, `event_formats` says what their rows are (with
`event_fields` for times, durations and usual names, `event_records` for files whose lines are not events), `event_rows`
asks about them.
"""
# SQL is put together here from expressions of our own; words of the user get in as bound values or `literal` only.

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mainstay.adapters.event_files import opened
from mainstay.adapters.event_formats import Shape, listed, literal, shape_of, unknown_field
from mainstay.adapters.event_recognition import FORMATS
from mainstay.adapters.event_rows import Rows, duckdb, first_line
from mainstay.adapters.event_sums import NOT_SAID, SAMPLES, SHOWN, by_day, dense, moment
from mainstay.kernel.errors import InvalidInput, NoData
from mainstay.kernel.ports import (
    Condition,
    CountRequest,
    EventQuery,
    FileSet,
    Latency,
    Reading,
    Spender,
    Survey,
    Surveyed,
)
from mainstay.kernel.quantity import zone_named
from mainstay.kernel.series import Series, gap

__all__ = ["FORMATS", "EventSource", "survey"]

_MEMORY = "256MB"
"""What DuckDB may hold before it moves sums to disk; with interpreter and buffers the process stays < 400 MB."""
_BAD_BY_DEFAULT = Survey(FileSet(())).bad
_SPENDERS_BY_DEFAULT = Survey(FileSet(())).spenders_by
_LEFT_OUT, _REPEATED, _REJECTED = -1, -2, -3
"""What stands in the place of a slot for rows that have none."""
_OTHER = "(other)"


class _Reader:
    """A file set that has been opened: DuckDB, the shape of the files, and what to do when they are awkward."""

    def __init__(self, files: FileSet, folder: Path) -> None:
        zone_named(files.zone)
        inputs, spill = folder / "inputs", folder / "spill"
        inputs.mkdir()
        self.connection = duckdb.connect(config={
            "memory_limit": _MEMORY, "temp_directory": str(spill), "autoinstall_known_extensions": False,
            "autoload_known_extensions": False, "preserve_insertion_order": False})
        try:
            self.connection.execute(f"SET TimeZone = {literal(files.zone)}")
            # Without a file behind __main__ DuckDB takes the process for a notebook and draws on standard output.
            self.connection.execute("SET enable_progress_bar = false")
            self.files = files
            self.opened = opened(files.paths, inputs)
            self.shape = shape_of(self.opened, files, self._describe)
        except BaseException:
            self.connection.close()
            raise

    def _describe(self, query: str) -> list[tuple[str, str]]:
        try:
            return [(str(row[0]), str(row[1])) for row in self.connection.execute(f"DESCRIBE {query}").fetchall()]
        except duckdb.Error as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> InvalidInput:
        message = first_line(error).replace(str(self.opened.folder), "")
        return InvalidInput(f"{', '.join(self.opened.names[:5])} cannot be read: {message}",
                            "check that the files are whole, or name their format")

    def rows(self, *, every: bool = False) -> Rows:
        """A fresh SELECT over the files; with `every` nothing is left out and repeated rows are not looked for."""
        if every:
            return Rows(replace(self.shape, unique_by=()), replace(self.files, unique_by=(), where=()))
        return Rows(self.shape, self.files)

    def run(self, ask: Callable[[Rows], str], *, every: bool = False) -> duckdb.DuckDBPyConnection:
        """The answer to a question about the rows; once more over mended files when their bytes are awkward.

        Args:
            ask: the text of the query, built on the rows it is given.
        """
        rows = self.rows(every=every)
        text = ask(rows)
        self._check_doubtful(rows)
        try:
            return self.execute(text, rows.values or None)
        except duckdb.Error as error:
            if self.shape.mend is None or isinstance(error, duckdb.BinderException):
                raise self._unreadable(error) from error
        self.shape = self.shape.mend()
        return self.run(ask, every=every)

    def execute(self, text: str, values: Mapping[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        """The answer of DuckDB. Raises InvalidInput when it takes too much memory, else what DuckDB raises."""
        try:
            return self.connection.execute(text, values)
        except duckdb.OutOfMemoryException as error:
            raise InvalidInput(f"the question needs more than {_MEMORY} of memory: {first_line(error)}",
                               "ask by fewer fields") from error

    def _check_doubtful(self, rows: Rows) -> None:
        """A field that the first rows do not have must be in some later one: else it is a slip of the pen."""
        for name, value in rows.doubtful.items():
            text = f"SELECT 1 FROM ({self.shape.origin(True)}) WHERE {value.inline} IS NOT NULL LIMIT 1"
            try:
                found = self.connection.execute(text).fetchone()
            except duckdb.Error as error:
                if self.shape.mend is None:
                    raise self._unreadable(error) from error
                self.shape = self.shape.mend()
                self._check_doubtful(_again(rows, self.shape))
                return
            if found is None:
                raise unknown_field(name, self.shape.fields)

    def told(self, text: str) -> str:
        """A query with the files as the user calls them."""
        for name, file in zip(self.opened.names, self.opened.files, strict=True):
            text = text.replace(str(file), name)
        return text

    def refuse_misfit(self, lines: int, rejected: int) -> None:
        """Raise when the format fits less than half of the lines: then it is not the format."""
        if (lines - rejected) * 2 >= lines:
            return
        samples = self.rejects()
        first = f'; line {samples[0][0]} is rejected as {samples[0][1]}: "{samples[0][2][:80]}"' if samples else ""
        raise InvalidInput(f"only {lines - rejected:,} of {lines:,} lines fit the format {self.shape.format}{first}",
                           "name the format or the fields that hold the time; the formats are: " + ", ".join(FORMATS))

    def rejects(self) -> tuple[tuple[int, str, str], ...]:
        """The first rejected rows: number in the whole input, reason, text."""
        def ask(rows: Rows) -> str:
            return (f'SELECT "row", why, left(CAST(raw AS VARCHAR), {SHOWN}) '
                    f"FROM ({rows.select(numbered=True)}) WHERE why IS NOT NULL LIMIT {SAMPLES}")

        # Only in the order of the file are the first ones the first.
        self.connection.execute("SET preserve_insertion_order = true")
        answer = self.run(ask, every=True)
        found = [(int(row), str(why), str(raw or "")) for row, why, raw in answer.fetchall()]
        if self.shape.counted:
            found += self.shape.counted.samples
        return tuple(sorted(found)[:SAMPLES])


def _again(rows: Rows, shape: Shape) -> Rows:
    out = Rows(shape, replace(rows.files, where=(), unique_by=()))
    for name in rows.doubtful:
        out.column(name)
    return out


@contextmanager
def _reading(files: FileSet) -> Iterator[_Reader]:
    with tempfile.TemporaryDirectory(prefix="mainstay-events-") as folder:
        reader = _Reader(files, Path(folder))
        try:
            yield reader
        finally:
            reader.connection.close()


# -- the survey ---------------------------------------------------------------------------------------------------


def survey(survey: Survey) -> Surveyed:
    """What the files hold: every line counted as parsed or rejected, the events summed by slot, day and spender.

    Rows count once by `unique_by` before `where` is applied. Files without a status are judged by what is bad in their
    format (spans: status ERROR; samples: value 0), else by the latency asked for: a slow event is a bad one. A table
    that says itself how many were bad (`fields` with `total` and `bad`) is believed.

    Beyond our own names, `fields` knows `total` (or `weight`): how many events a row stands for, and `bad`: how many of
    them were bad; a duration may carry its unit (`duration` → `cost:ms`; s, ms, us, ns). Lines that are wholly empty
    are no lines. A record of spans, samples or snapshots counts as one line, whatever the file's own lines are.

    Raises:
        NoData: the files are empty.
        InvalidInput: files that cannot be read, a field that is not there, a format that fits less than half of them.
    """
    with _reading(survey.files) as reader:
        seen = _Seen(reader, survey)
        slots = seen.by_slot()
        lines, rejected, repeated, left_out = (int(slots["rows"][chosen].sum()) for chosen in (
            slice(None), *(slots["slot"] == number for number in (_REJECTED, _REPEATED, _LEFT_OUT))))
        if reader.shape.counted:
            lines = reader.shape.counted.lines
            rejected += reader.shape.counted.rejected
        if not lines:
            raise NoData("the files hold no rows: " + ", ".join(reader.opened.names[:5]), "name files that hold events")
        reader.refuse_misfit(lines, rejected)
        events = {name: column[slots["slot"] >= 0] for name, column in slots.items()}
        series = dense(events, survey.step, sampled=reader.shape.sampled)
        empty = len(series) == 0
        return Surveyed(
            format=reader.shape.format, lines=lines, parsed=lines - rejected, rejected=rejected,
            rejected_samples=reader.rejects() if rejected else (), repeated=repeated, left_out=left_out,
            first=None if empty else moment(events["first"].min()),
            last=None if empty else moment(events["last"].max()),
            total=series.total_sum, bad=series.bad_sum, by_day=by_day(series),
            spenders=_spenders(seen), latency=_latency(seen), series=series)


class _Seen:
    """The rows of the files as a survey sees them, to be asked several questions.

    Columns of Parquet cost little to read, so every question reads those it needs. Lines are taken apart once only, and
    copies looked for once: then the little that matters of every row stays in a table, which DuckDB may spill.
    """

    def __init__(self, reader: _Reader, survey: Survey) -> None:
        self.reader = reader
        self.survey = survey
        self.counted = "slot >= 0"
        """Holds for a row that is an event and counts."""
        self._kept = reader.shape.format != "parquet" or bool(reader.files.unique_by)
        if self._kept:
            reader.run(lambda rows: f"CREATE TEMP TABLE events AS {_events(rows, survey)}")

    def ask(self, question: Callable[[str], str]) -> duckdb.DuckDBPyConnection:
        """The answer to a question about a relation with the columns of `_events`."""
        if self._kept:
            return self.reader.execute(question("events"))
        return self.reader.run(lambda rows: question(f"({_events(rows, self.survey)})"))

    def by_slot(self) -> Mapping[str, Any]:
        """Rows, events, bad ones, and the first and last moment, by slot or by what else became of the rows."""
        total, lost = ("sum(weight)", "coalesce(sum(lost) FILTER (bad), 0)") if self.reader.shape.weight \
            else ("count(*)", "count(*) FILTER (bad)")
        slots = self.ask(lambda events: (
            f"SELECT slot, count(*) AS rows, {total} AS total, {lost} AS bad, min(moment) AS first, "
            f"max(moment) AS last FROM {events} GROUP BY slot ORDER BY slot")).fetchnumpy()
        if (slots["slot"] >= 0).all():
            # Later questions then need not read the time.
            self.counted = "TRUE"
        return slots


def _events(rows: Rows, survey: Survey) -> str:
    """What a survey needs of every row; `spender` of the bad ones only."""
    bad = _bad(rows, survey)
    keys = [rows.late(name) for name in _spender_fields(rows.shape, survey)]
    slot = (f"CASE WHEN NOT event THEN {_REJECTED} WHEN copy > 1 THEN {_REPEATED} WHEN NOT {rows.counted} "
            f"THEN {_LEFT_OUT} ELSE CAST(floor(moment / {int(survey.step)}) AS INTEGER) END")
    named = ", ".join(f"CAST({key} AS VARCHAR)" for key in keys)
    spender = f"CASE WHEN bad THEN CAST(to_json([{named}]) AS VARCHAR) END" if keys else "NULL"
    weighed = f", weight, {rows.lost} AS lost" if rows.shape.weight else ""
    duration = f", {rows.column('duration')} AS duration" if rows.has("duration") else ""
    return (f"SELECT {slot} AS slot, bad, {spender} AS spender, moment{weighed}{duration} "
            f"FROM (SELECT *, {bad} AS bad FROM ({rows.select()}))")


def _bad(rows: Rows, survey: Survey) -> str:
    """Whether a row is bad; of a table that counts itself, whether its bad ones are asked for."""
    conditions = survey.bad
    by_default = conditions == _BAD_BY_DEFAULT
    if by_default and rows.shape.bad_weight:
        return "bad_weight > 0"
    if by_default and rows.shape.bad:
        conditions = rows.shape.bad
    elif by_default and not rows.has("status"):
        if survey.latency is None or not rows.has("duration"):
            raise InvalidInput("the files have no status, so nothing says which events are bad",
                               "say what is bad (--bad 'FIELD=VALUE') or how slow is too slow (--latency 300ms); the "
                               "fields are: " + listed(rows.shape.fields))
        conditions = (Condition("duration", ">", (float(survey.latency),)),)
    return rows.where(conditions)


def _spender_fields(shape: Shape, survey: Survey) -> list[str]:
    """The usual ones as far as the files have them; those that were asked for must be there."""
    usual = survey.spenders_by == _SPENDERS_BY_DEFAULT
    return [name for name in survey.spenders_by if not usual or name in shape.fields]


def _spenders(seen: _Seen) -> tuple[tuple[tuple[str, ...], float], ...]:
    survey, shape = seen.survey, seen.reader.shape
    known = _spender_fields(shape, survey)
    lost = "sum(lost)" if shape.weight else "count(*)"
    found = seen.ask(lambda events: (
        f"SELECT spender, {lost} AS lost FROM {events} WHERE bad AND {seen.counted} AND spender IS NOT NULL "
        f"GROUP BY spender ORDER BY lost DESC, spender LIMIT {int(survey.top)}")).fetchall()
    out = []
    for spender, lost_here in found:
        values = dict(zip(known, json.loads(spender), strict=True))
        out.append((tuple(values.get(name) or NOT_SAID for name in survey.spenders_by), float(lost_here)))
    return tuple(out)


def _latency(seen: _Seen) -> Latency | None:
    """Of every event that has a duration; a row counts once, whatever it weighs.

    The percentiles are exact without holding or sorting durations: rounded ones are counted first (rounding keeps the
    order), then only those that share their rounding with a wanted one.
    """
    if "duration" not in seen.reader.shape.fields:
        return None
    threshold = seen.survey.latency
    slow = "0" if threshold is None else f"count(*) FILTER (duration > {_double(threshold)})"
    # With a condition that a duration is there, DuckDB would make each of them once more; so they are counted instead.
    steps = seen.ask(lambda events: (
        f"SELECT {_ROUNDED} AS step, count(duration) AS n, {slow} AS slow, min(duration) AS low, max(duration) AS high "
        f"FROM {events} WHERE {seen.counted} GROUP BY step HAVING n > 0 ORDER BY step")).fetchnumpy()
    below = np.cumsum(steps["n"])
    if not len(below):
        return None
    total = int(below[-1])
    ranks = [-(-total * percent // 100) for percent in (50, 95, 99)]
    wanted = np.searchsorted(below, ranks)
    lows, highs = steps["low"], steps["high"]
    near: Mapping[str, Any] = {"value": lows, "n": steps["n"]}
    if any(lows[at] < highs[at] for at in wanted):
        chosen = " OR ".join(f"duration BETWEEN {_double(lows[at])} AND {_double(highs[at])}" for at in set(wanted))
        near = seen.ask(lambda events: (
            f"SELECT duration AS value, count(*) AS n FROM {events} WHERE {seen.counted} AND ({chosen}) "
            "GROUP BY value ORDER BY value")).fetchnumpy()
    p50, p95, p99 = (_value_at(near, float(lows[at]), float(highs[at]), rank - int(below[at]) + int(steps["n"][at]))
                     for rank, at in zip(ranks, wanted, strict=True))
    good = None if threshold is None else float(total - int(steps["slow"].sum()))
    return Latency(good, float(total), p50, p95, p99)


_ROUNDED = ("CASE WHEN duration < 1 THEN CAST(greatest(duration, -1e5) * 10000 AS INTEGER) "
            "ELSE 10000 + CAST(least(duration, 1e7) * 10 AS INTEGER) END")
"""Tenths of milliseconds, from a second on tenths of seconds; all below -1e5 s is one step, as is all above 1e7 s."""


def _double(number: float) -> str:
    # A plain number with a point would be read as a decimal, which has fewer digits.
    return f"CAST('{float(number)!r}' AS DOUBLE)"


def _value_at(counted: Mapping[str, Any], low: float, high: float, rank: int) -> float:
    """The value of that rank, from 1, among the counted values from low to high."""
    within = (counted["value"] >= low) & (counted["value"] <= high)
    return float(counted["value"][within][int(np.searchsorted(np.cumsum(counted["n"][within]), rank))])


# -- the source ---------------------------------------------------------------------------------------------------


class EventSource:
    """A Source over files of events; they are read anew at every call, so files may grow.

    A slot between the first and the last event of the files was measured, and is a zero where it saw nothing (a gap
    where events are samples); what lies before and behind is a gap. Spans are widened to whole slots.
    """

    def __init__(self, files: FileSet) -> None:
        self._files = files

    def count(self, requests: Sequence[CountRequest]) -> list[Reading]:
        """One reading a request, in order, all from one pass over the files.

        Raises:
            InvalidInput: a query that is not about events, a field that is not there, files that cannot be read.
        """
        if not requests:
            return []
        step = math.gcd(*(request.step for request in requests))
        try:
            with _reading(self._files) as reader:
                answer = reader.run(lambda rows: _counts(rows, requests, step))
                asked = reader.told(_counts(reader.rows(), requests, step))
                return _readings(reader, answer.fetchnumpy(), requests, asked)
        except NoData as error:
            return [Reading(_over(gap(0, 0), request), (error.message,)) for request in requests]

    def probe(self) -> str:
        """The format and number of the files. Raises InvalidInput when there are none that can be read."""
        with _reading(self._files) as reader:
            count = len(reader.opened.names)
            return f"{reader.shape.format}, {count} file{'s' if count != 1 else ''}"

    def breakdown(self, request: CountRequest, by: Sequence[str], limit: int = 50) -> list[Spender]:
        """Who the bad events belong to, the greatest first; what is beyond the limit is summed under `(other)`.

        Raises:
            InvalidInput: as `count`.
        """
        with _reading(self._files) as reader:
            reader.run(lambda rows: _losses(rows, request, by))
            ask = reader.connection.execute
            keys = ", ".join(f"k{index}" for index in range(len(by)))
            group = f"GROUP BY {keys} ORDER BY sum(bad) DESC, {keys}" if by else ""
            greatest = f"SELECT {keys + ',' if by else ''} sum(bad) AS lost FROM losses {group} LIMIT {int(limit)}"
            same = " AND ".join(["TRUE", *(f"losses.k{i} = greatest.k{i}" for i in range(len(by)))])
            named = ", ".join([*(f"greatest.k{i}" for i in range(len(by))), "slot", "sum(losses.bad)"])
            found = ask(f"SELECT {named} FROM losses LEFT JOIN ({greatest}) AS greatest ON {same} "
                        f"WHERE losses.bad > 0 GROUP BY ALL ORDER BY slot").fetchall()
        lost: dict[tuple[str, ...], dict[int, float]] = {}
        for *key, slot, bad in found:
            name = tuple(_OTHER if part is None else str(part) for part in key)
            lost.setdefault(name, {})[int(slot) * request.step] = float(bad)
        spenders = [Spender(dict(zip(by, name, strict=True)), sum(slots.values()), slots)
                    for name, slots in lost.items()]
        others = (_OTHER,) * len(by)
        return sorted(spenders, key=lambda one: (bool(by) and tuple(one.labels.values()) == others, -one.bad,
                                                 tuple(one.labels.values())))


def _readings(reader: _Reader, table: Mapping[str, Any], requests: Sequence[CountRequest], asked: str) -> list[Reading]:
    step = math.gcd(*(request.step for request in requests))
    lines, rejected = int(table["rows"].sum()), int(table["misfits"].sum())
    if reader.shape.counted:
        lines, rejected = reader.shape.counted.lines, rejected + reader.shape.counted.rejected
    reader.refuse_misfit(lines, rejected)
    warnings = (f"{rejected:,} of {lines:,} lines {'was' if rejected == 1 else 'were'} rejected",) if rejected else ()
    numbers = table["slot"]
    events = ~np.ma.getmaskarray(numbers)
    out = []
    for index, request in enumerate(requests):
        slots = {"slot": np.asarray(numbers[events]), "total": np.ma.filled(table[f"total{index}"], 0)[events],
                 "bad": np.ma.filled(table[f"bad{index}"], 0)[events]}
        series = dense(slots, step, sampled=False)
        if reader.shape.sampled:
            series.known[:] = series.total > 0
        out.append(Reading(_over(series, request), warnings, (asked,)))
    return out


def _events_of(query: object, what: str) -> EventQuery:
    if not isinstance(query, EventQuery):
        raise InvalidInput(f"{what} is not a question about events", "files of events are asked with conditions")
    return query


def _total_and_bad(rows: Rows, request: CountRequest) -> tuple[str, str]:
    total = f"(event AND copy = 1 AND {rows.counted} AND {rows.where(_events_of(request.total, 'total').where)})"
    if (request.bad is None) == (request.good is None):
        raise InvalidInput("an indicator over events says either which are bad or which are good",
                           "give exactly one of the two")
    if request.bad is not None:
        weight = rows.lost
        chosen = rows.where(_events_of(request.bad, "bad").where)
    else:
        if rows.shape.bad_weight:
            raise InvalidInput("the files say how many events were bad, so good events cannot be picked from them",
                               "ask for the bad ones")
        weight, chosen = "weight", f"NOT {rows.where(_events_of(request.good, 'good').where)}"
    return f"CASE WHEN {total} THEN weight ELSE 0 END", f"CASE WHEN {total} AND {chosen} THEN {weight} ELSE 0 END"


def _counts(rows: Rows, requests: Sequence[CountRequest], step: int) -> str:
    columns = []
    for index, request in enumerate(requests):
        total, bad = _total_and_bad(rows, request)
        columns += [f"sum({total}) AS total{index}", f"sum({bad}) AS bad{index}"]
    return (f"SELECT CASE WHEN event THEN CAST(floor(moment / {int(step)}) AS INTEGER) END AS slot, count(*) AS rows, "
            f"count(*) FILTER (NOT event) AS misfits, {', '.join(columns)} FROM ({rows.select()}) "
            f"GROUP BY ALL ORDER BY slot NULLS LAST")


def _losses(rows: Rows, request: CountRequest, by: Sequence[str]) -> str:
    _, bad = _total_and_bad(rows, request)
    keys = "".join(f", coalesce(CAST({rows.column(name)} AS VARCHAR), '{NOT_SAID}') AS k{index}"
                   for index, name in enumerate(by))
    start, end = _edges(request)
    return (f"CREATE OR REPLACE TEMP TABLE losses AS SELECT CAST(floor(moment / {int(request.step)}) AS INTEGER) AS "
            f"slot{keys}, sum({bad}) AS bad FROM ({rows.select()}) "
            f"WHERE event AND moment >= {start} AND moment < {end} GROUP BY ALL")


def _edges(request: CountRequest) -> tuple[int, int]:
    step = request.step
    return (math.floor(request.span.start.timestamp() / step) * step,
            math.ceil(request.span.end.timestamp() / step) * step)


def _over(series: Series, request: CountRequest) -> Series:
    start, end = _edges(request)
    if not len(series):
        return gap(start, (end - start) // request.step, request.step)
    return (series.coarser(request.step) if series.step != request.step else series).cut(start, end)
