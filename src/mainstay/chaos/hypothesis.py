"""What a steady state is: probes, and what their answers may be.

Tolerances are those of the Chaos Toolkit, with its rules to the letter, and the comparators of Litmus. What a probe
heard is a JSON value: an HTTP answer is `{status, headers, body, seconds}`, a process `{status, stdout, stderr}`.
Source of the rules: the Chaos Toolkit's open API, "Tolerance"; Litmus, "Probes", comparators.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from decimal import Decimal, InvalidOperation
from typing import Any

from mainstay.chaos import jsonpath
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position, did_you_mean
from mainstay.kernel.probing import Ask


@dataclass(frozen=True, slots=True)
class Exactly:
    """Equal to it. A whole number also looks into `status` of what was heard."""

    value: bool | int | float | str


@dataclass(frozen=True, slots=True)
class Listed:
    """Of exactly two values: between them, both included. Of any other number: one of them."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """A number from low to high, both included; of a target, where it names a field of what was heard."""

    low: float
    high: float
    target: str = ""


@dataclass(frozen=True, slots=True)
class Matches:
    """A regular expression is found in it."""

    pattern: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class AtPath:
    """A JSON path finds something in it.

    Args:
        count: how many it must find; None is at least one.
        expect: what exactly it must find, in order; None leaves that open. It counts before `count`.
    """

    path: str
    expect: tuple[Any, ...] | None = None
    count: int | None = None
    target: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparator of Litmus.

    Args:
        type: `int`, `float` or `string`.
        criteria: one of `COMPARATORS[type]`.
    """

    type: str
    criteria: str
    value: tuple[str, ...]
    target: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """Another probe is asked with the value heard as its argument `value`; what it returns decides."""

    ask: Ask


Tolerance = Exactly | Listed | Between | Matches | AtPath | Compared | Asked

_NUMBERS = ("==", "!=", "<=", ">=", "<", ">", "oneOf", "between")
COMPARATORS: Mapping[str, tuple[str, ...]] = {
    "int": _NUMBERS, "float": _NUMBERS,
    "string": ("equal", "notEqual", "contains", "matches", "notMatches", "oneOf")}
"""Litmus: what each type can be compared by."""


def within(tolerance: Tolerance, value: Any) -> bool:
    """Whether what was heard is tolerated. A value of a kind that cannot be compared is not."""
    match tolerance:
        case Exactly(wanted):
            return _same(_status_of(value) if _is_whole(wanted) else value, wanted)
        case Listed(values):
            return _listed(values, value)
        case Between(low, high, target):
            number = _decimal(_at(value, target))
            return number is not None and Decimal(str(low)) <= number <= Decimal(str(high))
        case Matches(pattern, target):
            found = _at(value, target)
            return isinstance(found, str) and re.search(pattern, found) is not None
        case AtPath():
            return _at_path(tolerance, value)
        case Compared():
            return _compared(tolerance, _at(value, tolerance.target))
        case Asked():
            raise AssertionError("another probe has to be asked first, and its answer decides")


HEARD: Mapping[str, str] = {
    "http": "{status, headers, body, seconds}", "health": "{status, headers, body, seconds}",
    "process": "{status, stdout, stderr}", "tcp": "true or false", "query": "a number, or a list of several",
    "objective": "{state, spent, burn}"}
"""What probes of each type are heard as."""

_TEXTS: Mapping[str, tuple[str, ...]] = {
    "http": ("body",), "health": ("body",), "process": ("stdout", "stderr"), "objective": ("state",)}
_FIGURES: Mapping[str, tuple[str, ...]] = {
    "http": ("status", "seconds", "body"), "health": ("status", "seconds", "body"),
    "process": ("status", "stdout", "stderr"), "objective": ("spent", "burn")}


def can_hold(tolerance: Tolerance, kind: str) -> bool:
    """Whether any answer of a probe of this type is tolerated at all; one of Python may answer anything."""
    match tolerance:
        case Between(low, high) if low > high:
            return False
        case _ if kind == "tcp":
            return within(tolerance, True) or within(tolerance, False)
        case Exactly(value) if kind == "query":
            return isinstance(value, int | float)
        case Listed(values) if kind == "query":
            numbers = [value for value in values if isinstance(value, int | float)]
            return bool(numbers) and (len(values) != 2 or (len(numbers) == 2 and numbers[0] <= numbers[1]))
        case Matches() if kind == "query":
            return False
        case Exactly(value) if kind in _TEXTS:
            return kind != "objective" and _is_whole(value)
        case Listed(values) if kind in _TEXTS:
            return kind != "objective" and any(isinstance(value, int | float) for value in values)
        case Matches(_, target) if kind in _TEXTS:
            return target in _TEXTS[kind]
        case Between(_, _, target) if kind in _TEXTS:
            return target in _FIGURES[kind]
        case Compared("int" | "float", _, _, target) if kind in _TEXTS:
            return target in _FIGURES[kind]
    return True


def answers(value: Any) -> bool:
    """Whether what a probe that decides on another's value returned says yes."""
    return bool(value)


def said(tolerance: Tolerance) -> str:
    """The tolerance in a few words, for reports."""
    match tolerance:
        case Exactly(value):
            return str(value).lower() if isinstance(value, bool) else str(value)
        case Listed(values) if len(values) == 2:
            return f"{values[0]} to {values[1]}"
        case Listed(values):
            return "one of " + ", ".join(map(str, values))
        case Between(low, high, target):
            return f"{_of(target)}{low:g} to {high:g}" if high != float("inf") else f"{_of(target)}at least {low:g}"
        case Matches(pattern, target):
            return f"{_of(target)}matches {pattern}"
        case AtPath(path, expect, count, target):
            wanted = "" if expect is None and count is None else f" {count} times" if expect is None \
                else " is " + ", ".join(map(str, expect))
            return f"{_of(target)}{path}{wanted}"
        case Compared(_, criteria, values, target):
            return f"{_of(target)}{criteria} {', '.join(values)}"
        case Asked():
            return "another probe says yes"


def _of(target: str) -> str:
    return f"{target} " if target else ""


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _status_of(value: Any) -> Any:
    return value["status"] if isinstance(value, dict) and "status" in value else value


def _same(value: Any, wanted: Any) -> bool:
    # As in Python, where the Chaos Toolkit decides: 1 and true are equal, and so are 1 and 1.0.
    return bool(value == wanted)


def _listed(values: Sequence[Any], value: Any) -> bool:
    if isinstance(value, dict) and "status" in value:
        return value["status"] in values
    if len(values) == 2:
        try:
            return bool(values[0] <= value <= values[1])
        except TypeError:
            return False
    return value in values


def _at(value: Any, target: str) -> Any:
    return value.get(target, value) if target and isinstance(value, dict) else value


def _decimal(value: Any) -> Decimal | None:
    if not isinstance(value, str | int | float):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return None if number.is_nan() else number


def _at_path(tolerance: AtPath, value: Any) -> bool:
    document = _at(value, tolerance.target)
    if isinstance(document, bytes):
        document = document.decode("utf-8", "replace")
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except ValueError:
            return tolerance.count == 0 or tolerance.expect == ()
    found = jsonpath.compiled(tolerance.path)(document)
    if tolerance.expect is not None:
        return found == list(tolerance.expect)
    return len(found) == tolerance.count if tolerance.count is not None else bool(found)


def _compared(tolerance: Compared, value: Any) -> bool:
    if tolerance.type == "string":
        return _texts(tolerance.criteria, tolerance.value, value if isinstance(value, str) else json.dumps(value))
    numbers = [_decimal(text.strip()) for text in tolerance.value]
    seen = _decimal(value.strip() if isinstance(value, str) else value)
    if seen is None or not numbers or None in numbers:
        return False
    wanted = [number for number in numbers if number is not None]
    match tolerance.criteria:
        case "oneOf":
            return seen in wanted
        case "between":
            return len(wanted) == 2 and wanted[0] <= seen <= wanted[1]
        case "==":
            return seen == wanted[0]
        case "!=":
            return seen != wanted[0]
        case "<":
            return seen < wanted[0]
        case "<=":
            return seen <= wanted[0]
        case ">":
            return seen > wanted[0]
        case _:
            return seen >= wanted[0]


def _texts(criteria: str, wanted: Sequence[str], value: str) -> bool:
    match criteria:
        case "equal":
            return value == wanted[0]
        case "notEqual":
            return value != wanted[0]
        case "contains":
            return wanted[0] in value
        case "matches":
            return re.search(wanted[0], value) is not None
        case "notMatches":
            return re.search(wanted[0], value) is None
        case _:
            return value in wanted


# -- reading ------------------------------------------------------------------------------------------------------


def tolerance_of(raw: Any) -> Tolerance:
    """A tolerance from its plain JSON value: `200`, `true`, `[1, 5]`, `{type: regex, pattern: …}`, `{type: int, …}`.

    Raises:
        InvalidInput: it is none, or its pattern or path cannot be read. A tolerance of type `probe` is read where
            probes are: it is refused here.
    """
    match raw:
        case bool() | int() | float() | str():
            return Exactly(raw)
        case list() if raw:
            return Listed(tuple(raw))
        case dict():
            return _typed(raw)
    raise InvalidInput("this is not a tolerance", "write 200, true, a text, [low, high], or {type: …}")


def _typed(raw: Mapping[str, Any]) -> Tolerance:
    kind, target = raw.get("type"), str(raw.get("target") or "")
    match kind:
        case "regex":
            return Matches(_pattern(raw.get("pattern")), target)
        case "jsonpath":
            return _path(raw, target)
        case "range":
            return _range(raw.get("range"), target)
        case "int" | "float" | "string":
            return _comparator(str(kind), raw, target)
    known = ("regex", "jsonpath", "range", "probe", *COMPARATORS)
    raise InvalidInput(f'"{kind}" is not a type of tolerance{did_you_mean(str(kind), known)}',
                       "write one of: " + ", ".join(known))


def _pattern(pattern: Any) -> str:
    if not isinstance(pattern, str):
        raise InvalidInput("a tolerance of type regex needs a pattern", "write pattern: ^ok")
    try:
        re.compile(pattern)
    except re.error as error:
        raise InvalidInput(f'"{pattern}" is not a regular expression: {error}', "check brackets and stars") from None
    return pattern


def _path(raw: Mapping[str, Any], target: str) -> AtPath:
    path, count, expect = raw.get("path"), raw.get("count"), raw.get("expect")
    if not isinstance(path, str) or not path.strip():
        raise InvalidInput("a tolerance of type jsonpath needs a path", "write path: $.status")
    jsonpath.compiled(path)
    if count is not None and not _is_whole(count):
        raise InvalidInput(f"count is {count}", "write how many the path must find, such as 1")
    wanted = None if "expect" not in raw else tuple(expect) if isinstance(expect, list) else (expect,)
    return AtPath(path, wanted, count, target)


def _range(ends: Any, target: str) -> Between:
    if not isinstance(ends, list) or len(ends) != 2 or \
            not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        raise InvalidInput("a tolerance of type range needs a range of two numbers", "write range: [200, 299]")
    return Between(float(ends[0]), float(ends[1]), target)


def _comparator(kind: str, raw: Mapping[str, Any], target: str) -> Compared:
    criteria, value = str(raw.get("criteria", "")), raw.get("value")
    if criteria not in COMPARATORS[kind]:
        raise InvalidInput(f'{kind} cannot be compared by "{criteria}"{did_you_mean(criteria, COMPARATORS[kind])}',
                           "write criteria: and one of " + ", ".join(COMPARATORS[kind]))
    parts = value if isinstance(value, list) else \
        str(value).strip("[] ").split(",") if criteria in ("oneOf", "between") else [value]
    wanted = tuple(str(part).strip() for part in parts)
    if value is None or (criteria == "between" and len(wanted) != 2):
        raise InvalidInput(f"{criteria} has nothing to compare with", "write value: 5, or value: [1, 5]")
    if kind != "string" and any(_decimal(one) is None for one in wanted):
        raise InvalidInput(f"{', '.join(wanted)} is no number", f"write value: as {kind}")
    if criteria in ("matches", "notMatches"):
        _pattern(wanted[0])
    return Compared(kind, criteria, wanted, target)


# -- probes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """How an objective stands by the ledger; heard as `{state, spent, burn}`, shares as 0..1."""

    objective: str


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that holds while the system is well.

    Args:
        ask: what is asked, or an objective whose standing is looked up.
        faster: seconds within which it must be answered; None does not mind.
        workload: at whose address it is asked; empty is the experiment's target, where the question says none.
        where: where it is written; None where it was not read from a file.
    """

    name: str
    ask: Ask | Standing
    tolerance: Tolerance
    faster: float | None = None
    workload: str = ""
    where: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What holds before, during and after.

    Args:
        every: seconds from one round of asking to the next while it is watched.
        misses: how often in a row a probe may miss before that counts as a breach; 0 is never.
    """

    title: str = ""
    probes: tuple[Probe, ...] = ()
    every: float = 1.0
    misses: int = 0
