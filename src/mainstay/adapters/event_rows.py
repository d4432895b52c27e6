"""Rows of event files as one SELECT: fields, conditions, why a row is no event, which copy of a repeated row it is."""
# SQL is put together here from expressions of our own; words of the user get in as bound values only.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainstay.adapters.event_fields import Value
from mainstay.adapters.event_formats import Shape, literal, unknown_field
from mainstay.adapters.event_sums import LAST_MOMENT, OUT_OF_TIME, no_time
from mainstay.kernel.errors import InvalidInput, MissingExtra
from mainstay.kernel.ports import Condition, FileSet

try:
    import duckdb
except ModuleNotFoundError as error:
    raise MissingExtra("reading event files", "events") from error

__all__ = ["Rows", "duckdb", "first_line"]

_OPERATORS = {"==": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


class Rows:
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
        """Columns `event`, `moment`, `weight`, `bad_weight`, `copy` (1 unless repeated), those that were asked for, and
        unless rows are counted once by a key those of the format; with `numbered` also `row` and `raw`, and in place of
        `event` the reason `why` it is none."""
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
        judged = (f"SELECT *, {self._judged(numbered)} FROM (SELECT *{renamed}{text} "
                  f"FROM (SELECT *{values} FROM ({named})))")
        if not self._unique:
            return f"SELECT *, 1 AS copy FROM ({judged})"
        complete = " AND ".join(["event", *(f"{name} IS NOT NULL" for name in self._unique)])
        kept = ", ".join(["event", "moment", "weight", "bad_weight", *self._columns.values()])
        order = ", ".join(["moment", *self._columns.values()])
        copy = f"row_number() OVER (PARTITION BY event, {', '.join(self._unique)} ORDER BY {order})"
        return f"SELECT {kept}, CASE WHEN {complete} THEN {copy} ELSE 1 END AS copy FROM ({judged})"

    def _judged(self, reasons: bool) -> str:
        """Whether a row is an `event`, or with `reasons` `why` it is none; a text for every row costs too much."""
        faults = [("unfit IS NOT NULL", "unfit"),
                  ("moment IS NULL", literal(no_time(self.shape.time_from))),
                  (f"NOT (moment >= 0 AND moment < {LAST_MOMENT})", literal(OUT_OF_TIME))]
        if self.shape.weight:
            faults.append(("(weight IS NULL OR NOT (weight >= 0 AND isfinite(weight)))",
                           "'the number of events is missing or below zero'"))
        if self.shape.bad_weight:
            faults.append(("(bad_weight IS NULL OR NOT (bad_weight >= 0 AND bad_weight <= weight))",
                           "'the number of bad events is missing, below zero or above all'"))
        if reasons:
            return f"CASE {' '.join(f'WHEN {fault} THEN {reason}' for fault, reason in faults)} END AS why"
        # Never null: where a comparison is, the fault that something is missing holds.
        return f"NOT ({' OR '.join(fault for fault, _ in faults)}) AS event"


def _demand(condition: Condition, holds: bool, what: str) -> None:
    if not holds:
        raise InvalidInput(f'a condition on "{condition.field}" with {condition.operator} has '
                           f"{len(condition.values)} values", f"{condition.operator} takes {what}")


def _check_pattern(pattern: str) -> None:
    try:
        duckdb.execute("SELECT regexp_matches('', $pattern)", {"pattern": pattern}).fetchone()
    except duckdb.Error as error:
        raise InvalidInput(f'"{pattern}" is not a regular expression: {first_line(error)}',
                           "mend it; the syntax is that of RE2") from error


def first_line(error: Exception) -> str:
    """What DuckDB says, without the query it repeats."""
    return str(error).partition("\n")[0]
