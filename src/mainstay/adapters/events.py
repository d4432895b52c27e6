"""Files of events through DuckDB: a survey of files named on the spot, and a Source over files named in a catalog.

One SELECT reads the files once and sums them into slots; nothing is held but sums, so memory does not grow with the
files. What the formats are is in `event_formats`; how files are made safe to read, in `event_files`.
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
from mainstay.adapters.event_formats import Shape, Value, literal, shape_of, unknown_field
from mainstay.adapters.event_recognition import FORMATS
from mainstay.adapters.event_sums import (
    LAST_MOMENT,
    NOT_SAID,
    OUT_OF_TIME,
    SAMPLES,
    SHOWN,
    by_day,
    dense,
    moment,
    no_time,
)
from mainstay.kernel.errors import InvalidInput, MissingExtra, NoData
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
from mainstay.kernel.quantity import SLOT, zone_named
from mainstay.kernel.series import Series, gap

try:
    import duckdb
except ModuleNotFoundError as error:
    raise MissingExtra("reading event files", "events") from error

__all__ = ["FORMATS", "EventSource", "survey"]

_MEMORY = "256MB"
"""What DuckDB may hold before it moves sums to disk; with interpreter and buffers the process stays < 400 MB."""
_OPERATORS = {"==": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_BAD_BY_DEFAULT = Survey(FileSet(())).bad
_LEFT_OUT, _REPEATED, _REJECTED = -1, -2, -3
"""What stands in the place of a slot for rows that have none."""
_MOST_AT_ONCE = 3_000_000
"""Durations that are sorted in memory; more are counted by their rounding first."""
_OTHER = "(other)"


class _Rows:
    """The rows of one file set as a SELECT that a question adds its columns to.

    Conditions become SQL with bound values; a field reaches the text only as the expression its format gives.
    """

    def __init__(self, shape: Shape, files: FileSet) -> None:
        self.shape = shape
        self.files = files
        self.values: dict[str, Any] = {}
        self._raws: dict[str, str] = {}
        self._columns: dict[str, str] = {}
        self.doubtful: dict[str, Value] = {}
        self._unique = tuple(self.column(name) for name in (files.unique_by or shape.unique_by))
        self.counted = self.where(files.where)

    def has(self, field: str) -> bool:
        """Whether the rows are known to have the field."""
        return field in self.shape.fields

    def column(self, field: str) -> str:
        """The name that the field's value has in `select`, where it is computed once for every row."""
        return self._named(self._value(field))

    def late(self, field: str) -> str:
        """The field's value as an expression over `select`, for use where few rows need it."""
        return self.column(field) if self._unique else self._value(field).inline

    def _value(self, field: str) -> Value:
        value = self.shape.fields.get(field)
        if value is None:
            if self.shape.elsewhere is None:
                raise unknown_field(field, self.shape.fields)
            value = self.shape.elsewhere(field)
            self.doubtful[field] = value
        return value

    def _named(self, value: Value) -> str:
        raw = self._raws.setdefault(value.raw, f"r{len(self._raws)}")
        return self._columns.setdefault(value.made(raw), f"f{len(self._columns)}")

    @property
    def lost(self) -> str:
        """How many events of a bad row were bad."""
        return "bad_weight" if self.shape.bad_weight else "weight"

    def bound(self, value: str | float) -> str:
        """The value as a parameter."""
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f"${name}"

    def where(self, conditions: Sequence[Condition]) -> str:
        """True for the rows that satisfy every condition, false for the others; a null satisfies none but `absent`."""
        if not conditions:
            return "TRUE"
        return f"coalesce({' AND '.join(self._holds(condition) for condition in conditions)}, FALSE)"

    def _holds(self, condition: Condition) -> str:
        value = self.column(condition.field)
        operator, wanted = condition.operator, condition.values
        if operator in ("present", "absent"):
            _demand(condition, not wanted, "no value")
            return f"({value} IS {'NOT ' if operator == 'present' else ''}NULL)"
        if operator in ("in", "not in"):
            _demand(condition, bool(wanted), "at least one value")
            any_of = " OR ".join(self._compared(value, "==", one) for one in wanted)
            return f"({any_of})" if operator == "in" else f"({value} IS NOT NULL AND NOT coalesce({any_of}, FALSE))"
        _demand(condition, len(wanted) == 1, "exactly one value")
        if operator in ("=~", "!~"):
            _check_pattern(str(wanted[0]))
            found = f"regexp_matches(CAST({value} AS VARCHAR), {self.bound(str(wanted[0]))})"
            return found if operator == "=~" else f"(NOT {found})"
        if operator not in _OPERATORS:
            raise InvalidInput(f'"{operator}" is not an operator',
                               "write one of: ==, !=, <, <=, >, >=, in, not in, =~, !~, present, absent")
        return self._compared(value, operator, wanted[0])

    def _compared(self, value: str, operator: str, wanted: str | float) -> str:
        if isinstance(wanted, str):
            return f"(CAST({value} AS VARCHAR) {_OPERATORS[operator]} {self.bound(wanted)})"
        number = f"TRY_CAST({value} AS DOUBLE)"
        if operator == "!=":
            return f"({value} IS NOT NULL AND {number} IS DISTINCT FROM {self.bound(float(wanted))})"
        return f"({number} {_OPERATORS[operator]} {self.bound(float(wanted))})"

    def select(self, *, numbered: bool = False) -> str:
        """Columns `why` (NULL for an event), `event`, `moment`, `weight`, `bad_weight`, `copy` (1 unless repeated),
        those that were asked for, and unless rows are counted once by a key those of the format; with `numbered` also
        `row` and `raw`."""
        shape = self.shape
        whole = numbered or bool(self.doubtful)
        moment = self._named(shape.fields["time"])
        weight = self._named(shape.weight) if shape.weight else "1"
        bad_weight = self._named(shape.bad_weight) if shape.bad_weight else "NULL"
        raws = "".join(f", {raw} AS {name}" for raw, name in self._raws.items())
        values = "".join(f", {value} AS {name}" for value, name in self._columns.items())
        named = f"SELECT *, {shape.unfit} AS unfit{raws} FROM ({shape.origin(whole)})"
        renamed = f", {moment} AS moment, {weight} AS weight, {bad_weight} AS bad_weight"
        text = f", {shape.raw} AS raw" if numbered else ""
        judged = (f"SELECT *, {self._why()} AS why FROM (SELECT *{renamed}{text} "
                  f"FROM (SELECT *{values} FROM ({named})))")
        if not self._unique:
            return f"SELECT *, why IS NULL AS event, 1 AS copy FROM ({judged})"
        complete = " AND ".join(["why IS NULL", *(f"{name} IS NOT NULL" for name in self._unique)])
        kept = ", ".join(["why", "moment", "weight", "bad_weight", *self._columns.values()])
        order = ", ".join(["moment", *self._columns.values()])
        copy = f"row_number() OVER (PARTITION BY why IS NULL, {', '.join(self._unique)} ORDER BY {order})"
        return (f"SELECT {kept}, why IS NULL AS event, CASE WHEN {complete} THEN {copy} ELSE 1 END AS copy "
                f"FROM ({judged})")

    def _why(self) -> str:
        reasons = ["WHEN unfit IS NOT NULL THEN unfit",
                   f"WHEN moment IS NULL THEN {literal(no_time(self.shape.time_from))}",
                   f"WHEN NOT (moment >= 0 AND moment < {LAST_MOMENT}) THEN {literal(OUT_OF_TIME)}"]
        if self.shape.weight:
            reasons.append("WHEN weight IS NULL OR NOT (weight >= 0 AND isfinite(weight)) "
                           "THEN 'the number of events is missing or below zero'")
        if self.shape.bad_weight:
            reasons.append("WHEN bad_weight IS NULL OR NOT (bad_weight >= 0 AND bad_weight <= weight) "
                           "THEN 'the number of bad events is missing, below zero or above all'")
        return f"CASE {' '.join(reasons)} END"


def _demand(condition: Condition, holds: bool, what: str) -> None:
    if not holds:
        raise InvalidInput(f'a condition on "{condition.field}" with {condition.operator} has '
                           f"{len(condition.values)} values", f"{condition.operator} takes {what}")


def _check_pattern(pattern: str) -> None:
    try:
        duckdb.execute("SELECT regexp_matches('', $pattern)", {"pattern": pattern}).fetchone()
    except duckdb.Error as error:
        raise InvalidInput(f'"{pattern}" is not a regular expression: {_first_line(error)}',
                           "mend it; the syntax is that of RE2") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


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
        message = _first_line(error).replace(str(self.opened.folder), "")
        return InvalidInput(f"{', '.join(self.opened.names[:5])} cannot be read: {message}",
                            "check that the files are whole, or name their format")

    def rows(self, *, every: bool = False) -> _Rows:
        """A fresh SELECT over the files; with `every` nothing is left out and repeated rows are not looked for."""
        if every:
            return _Rows(replace(self.shape, unique_by=()), replace(self.files, unique_by=(), where=()))
        return _Rows(self.shape, self.files)

    def run(self, ask: Callable[[_Rows], str], *, every: bool = False) -> duckdb.DuckDBPyConnection:
        """The answer to a question about the rows; once more over mended files when their bytes are awkward.

        Args:
            ask: the text of the query, built on the rows it is given.
        """
        rows = self.rows(every=every)
        text = ask(rows)
        self._check_doubtful(rows)
        try:
            return self.connection.execute(text, rows.values or None)
        except duckdb.OutOfMemoryException as error:
            raise InvalidInput(f"the question needs more than {_MEMORY} of memory: {_first_line(error)}",
                               "ask by fewer fields") from error
        except duckdb.Error as error:
            if self.shape.mend is None or isinstance(error, duckdb.BinderException):
                raise self._unreadable(error) from error
        self.shape = self.shape.mend()
        return self.run(ask, every=every)

    def _check_doubtful(self, rows: _Rows) -> None:
        """A field that the first rows do not have must be in some later one: else it is a slip of the pen."""
        for name, value in rows.doubtful.items():
            text = f"SELECT 1 FROM ({self.shape.origin(True)}) WHERE {value.inline} IS NOT NULL LIMIT 1"
            try:
                found = self.connection.execute(text).fetchone()
            except duckdb.Error:
                if self.shape.mend is None:
                    raise
                self.shape = self.shape.mend()
                self._check_doubtful(_again(rows, self.shape))
                return
            if found is None:
                raise unknown_field(name, self.shape.fields)

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
        def ask(rows: _Rows) -> str:
            return (f'SELECT "row", why, left(CAST(raw AS VARCHAR), {SHOWN}) '
                    f"FROM ({rows.select(numbered=True)}) WHERE why IS NOT NULL LIMIT {SAMPLES}")

        # Only in the order of the file are the first ones the first.
        self.connection.execute("SET preserve_insertion_order = true")
        answer = self.run(ask, every=True)
        found = [(int(row), str(why), str(raw or "")) for row, why, raw in answer.fetchall()]
        if self.shape.counted:
            found += self.shape.counted.samples
        return tuple(sorted(found)[:SAMPLES])


def _again(rows: _Rows, shape: Shape) -> _Rows:
    out = _Rows(shape, replace(rows.files, where=(), unique_by=()))
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

    Raises:
        NoData: the files are empty.
        InvalidInput: files that cannot be read, a field that is not there, a format that fits less than half of them.
    """
    with _reading(survey.files) as reader:
        reader.run(lambda rows: _sums(rows, survey))
        ask = reader.connection.execute
        lines, rejected, repeated, left_out = (int(value or 0) for value in ask(
            f"SELECT sum(rows), sum(rows) FILTER (slot = {_REJECTED}), sum(rows) FILTER (slot = {_REPEATED}), "
            f"sum(rows) FILTER (slot = {_LEFT_OUT}) FROM sums").fetchall()[0])
        if reader.shape.counted:
            lines = reader.shape.counted.lines
            rejected += reader.shape.counted.rejected
        if not lines:
            raise NoData("the files hold no rows: " + ", ".join(reader.opened.names[:5]), "name files that hold events")
        reader.refuse_misfit(lines, rejected)
        slots = ask("SELECT slot, sum(total) AS total, sum(bad) AS bad, min(first) AS first, max(last) AS last "
                    "FROM sums WHERE slot >= 0 GROUP BY slot ORDER BY slot").fetchnumpy()
        series = dense(slots, SLOT, sampled=reader.shape.sampled)
        empty = len(series) == 0
        return Surveyed(
            format=reader.shape.format, lines=lines, parsed=lines - rejected, rejected=rejected,
            rejected_samples=reader.rejects() if rejected else (), repeated=repeated, left_out=left_out,
            first=None if empty else moment(slots["first"].min()),
            last=None if empty else moment(slots["last"].max()),
            total=series.total_sum, bad=series.bad_sum, by_day=by_day(series),
            spenders=_spenders(reader, survey), latency=_latency(reader, survey), series=series)


def _sums(rows: _Rows, survey: Survey) -> str:
    """The one pass: rows summed by slot (or what else became of them), and the bad ones by who they belong to."""
    bad = _bad(rows, survey)
    keys = [rows.late(name) for name in survey.spenders_by if rows.has(name)]
    timed, slow = "0", "0"
    if rows.has("duration"):
        timed = f"count({rows.column('duration')})"
        if survey.latency is not None:
            slow = f"count(*) FILTER ({rows.column('duration')} > {rows.bound(float(survey.latency))})"
    slot = (f"CASE WHEN NOT event THEN {_REJECTED} WHEN copy > 1 THEN {_REPEATED} WHEN NOT {rows.counted} "
            f"THEN {_LEFT_OUT} ELSE CAST(floor(moment / {SLOT}) AS INTEGER) END")
    named = ", ".join(f"CAST({key} AS VARCHAR)" for key in keys)
    # One text of all keys: a row that is not bad then costs the grouping next to nothing.
    spender = f"CASE WHEN bad AND slot >= 0 THEN CAST(to_json([{named}]) AS VARCHAR) END" if keys else "NULL"
    total, lost = ("sum(weight)", f"sum({rows.lost}) FILTER (bad)") if rows.shape.weight \
        else ("count(*)", "count(*) FILTER (bad)")
    return (f"CREATE OR REPLACE TEMP TABLE sums AS SELECT slot, {spender} AS spender, count(*) AS rows, "
            f"{total} AS total, {lost} AS bad, min(moment) AS first, max(moment) AS last, {timed} AS timed, "
            f"{slow} AS slow FROM (SELECT *, {slot} AS slot, {bad} AS bad FROM ({rows.select()})) GROUP BY ALL")


def _bad(rows: _Rows, survey: Survey) -> str:
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
                               "say what is bad, or how slow is too slow; the fields are: "
                               + ", ".join(sorted(rows.shape.fields)))
        conditions = (Condition("duration", ">", (float(survey.latency),)),)
    return rows.where(conditions)


def _spenders(reader: _Reader, survey: Survey) -> tuple[tuple[tuple[str, ...], float], ...]:
    known = [name for name in survey.spenders_by if name in reader.shape.fields]
    found = reader.connection.execute(
        "SELECT spender, sum(bad) AS lost FROM sums WHERE spender IS NOT NULL GROUP BY spender "
        f"ORDER BY lost DESC, spender LIMIT {int(survey.top)}").fetchall()
    out = []
    for spender, lost in found:
        values = dict(zip(known, json.loads(spender), strict=True))
        out.append((tuple(values.get(name) or NOT_SAID for name in survey.spenders_by), float(lost)))
    return tuple(out)


def _latency(reader: _Reader, survey: Survey) -> Latency | None:
    if "duration" not in reader.shape.fields:
        return None
    total, slow = (int(value or 0) for value in
                   reader.connection.execute("SELECT sum(timed), sum(slow) FROM sums WHERE slot >= 0").fetchall()[0])
    if not total:
        return None
    good = None if survey.latency is None else float(total - slow)
    few = total <= _MOST_AT_ONCE
    return Latency(good, float(total), *(_percentiles if few else _percentiles_of_many)(reader, total))


def _durations(reader: _Reader) -> tuple[str, str, dict[str, Any]]:
    rows = reader.rows()
    duration = rows.column("duration")
    return (duration, f"FROM ({rows.select()}) WHERE event AND copy = 1 AND {rows.counted} AND {duration} IS NOT NULL",
            rows.values)


def _percentiles(reader: _Reader, _: int) -> list[float]:
    # quantile_disc takes element ceil(p · n); these three p times any n below 2**53 round to the right side.
    duration, events, values = _durations(reader)
    found = reader.connection.execute(f"SELECT quantile_disc({duration}, [0.5, 0.95, 0.99]) {events}",
                                      values or None).fetchall()[0]
    return [float(value) for value in found[0]]


def _percentiles_of_many(reader: _Reader, total: int) -> list[float]:
    """The same numbers without holding every duration: rounded ones are counted first (rounding keeps the order),
    then only those that share their rounding with a wanted one."""
    duration, events, values = _durations(reader)
    ask = reader.connection.execute
    rounded = (f"CASE WHEN {duration} < 1 THEN CAST({duration} * 10000 AS INTEGER) "
               f"ELSE 10000 + CAST(least({duration}, 1e7) * 10 AS INTEGER) END")
    steps = ask(f"SELECT {rounded} AS step, count(*) AS n {events} GROUP BY step ORDER BY step",
                values or None).fetchnumpy()
    below = np.cumsum(steps["n"])
    ranks = [-(-total * percent // 100) for percent in (50, 95, 99)]
    wanted = np.searchsorted(below, ranks)
    near = ask(f"SELECT {rounded} AS step, {duration} AS value, count(*) AS n {events} AND step IN "
               f"({', '.join(str(int(steps['step'][at])) for at in set(wanted))}) "
               "GROUP BY ALL ORDER BY value", values or None).fetchnumpy()
    out = []
    for rank, at in zip(ranks, wanted, strict=True):
        here = near["step"] == steps["step"][at]
        rest = rank - int(below[at]) + int(steps["n"][at])
        out.append(float(near["value"][here][int(np.searchsorted(np.cumsum(near["n"][here]), rest))]))
    return out


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
                return _readings(reader, answer.fetchnumpy(), requests, _counts(reader.rows(), requests, step))
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
    warnings = (f"{rejected:,} of {lines:,} lines were rejected",) if rejected else ()
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


def _total_and_bad(rows: _Rows, request: CountRequest) -> tuple[str, str]:
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


def _counts(rows: _Rows, requests: Sequence[CountRequest], step: int) -> str:
    columns = []
    for index, request in enumerate(requests):
        total, bad = _total_and_bad(rows, request)
        columns += [f"sum({total}) AS total{index}", f"sum({bad}) AS bad{index}"]
    return (f"SELECT CASE WHEN event THEN CAST(floor(moment / {int(step)}) AS INTEGER) END AS slot, count(*) AS rows, "
            f"count(*) FILTER (NOT event) AS misfits, {', '.join(columns)} FROM ({rows.select()}) "
            f"GROUP BY ALL ORDER BY slot NULLS LAST")


def _losses(rows: _Rows, request: CountRequest, by: Sequence[str]) -> str:
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
