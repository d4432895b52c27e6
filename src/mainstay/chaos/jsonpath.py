"""The part of JSONPath that tolerances use, read once and matched against plain JSON values.

`$`, `.name`, `..name`, `['name']`, `['a','b']`, `[0]`, `[-1]`, `[1:3]`, `[*]`, `.*`, and filters `[?(@.x == 1)]` with
`==`, `=`, `!=`, `<`, `<=`, `>`, `>=`, or `[?(@.x)]` for what is there, joined by `and`, `or`, `not` (`&&`, `||`, `!`).
Source: S. Goessner, "JSONPath", 2007; RFC 9535.

A filter asks the members of a list, as there. The Chaos Toolkit reads paths with jsonpath2, whose filters ask what they
stand behind: `$.items[*][?(@.ok=true)]`. So an object is asked itself first, and its members when it says no.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from mainstay.kernel.errors import InvalidInput

Step = Callable[[Any], Iterator[Any]]

_NAME = r"[A-Za-z_À-ÿ][\w\-]*"
_DOTTED = re.compile(rf"(\.\.?)({_NAME}|\*)")
_DEEP_BRACKET = re.compile(r"\.\.(?=\[)")
_WORDS = re.compile(r"""\[\s*((?:'[^']*'|"[^"]*")(?:\s*,\s*(?:'[^']*'|"[^"]*"))*)\s*\]""")
_WORD = re.compile(r"""'([^']*)'|"([^"]*)\"""")
_INDICES = re.compile(r"\[\s*(-?\d+(?:\s*,\s*-?\d+)*)\s*\]")
_SLICE = re.compile(r"\[\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(-?\d+)?\s*)?\]")
_STAR = re.compile(r"\[\s*\*\s*\]")
_OR = re.compile(r"\s*\|\|\s*|\s+or\s+")
_AND = re.compile(r"\s*&&\s*|\s+and\s+")
_NOT = re.compile(r"not\b\s*|!(?!=)\s*")
_OPERATORS = ("==", "!=", "<=", ">=", "=", "<", ">")


def compiled(path: str) -> Callable[[Any], list[Any]]:
    """What finds every value at the path, in the document's order.

    Raises:
        InvalidInput: not a path of this kind; says where it stops being one.
    """
    steps = _steps(path.strip(), "$")

    def find(value: Any) -> list[Any]:
        found = [value]
        for step in steps:
            found = [inner for one in found for inner in step(one)]
        return found

    return find


def _steps(text: str, root: str) -> list[Step]:
    if not text.startswith(root):
        raise InvalidInput(f'"{text}" is not a JSON path', f"start it with {root}, such as $.items[0].status")
    place, steps = len(root), list[Step]()
    while place < len(text):
        if (end := _end_of_filter(text, place)) > 0:
            # Behind `..` every value comes by itself, and as a member of what holds it: once is enough.
            steps.append(_filtered(text[place:end], members=bool(steps) and steps[-1] is _deep))
            place = end
            continue
        for pattern, make in _READ:
            if (found := pattern.match(text, place)) is not None:
                steps.append(make(found))
                place = found.end()
                break
        else:
            raise InvalidInput(f'"{text}" is not a JSON path from "{text[place:]}" on',
                               "write names, [n], [*], ['name'], .. or a filter [?(@.x==1)]")
    return steps


def _named(names: tuple[str, ...]) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            yield from (value[name] for name in names if name in value)
    return step


def _all(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _deep(value: Any) -> Iterator[Any]:
    """The value and everything below it."""
    yield value
    for inner in _all(value):
        yield from _deep(inner)


def _dotted(found: re.Match[str]) -> Step:
    one = _all if found[2] == "*" else _named((found[2],))
    if found[1] == ".":
        return one
    return lambda value: (inner for each in _deep(value) for inner in one(each))


def _quoted(found: re.Match[str]) -> Step:
    return _named(tuple(first or second for first, second in _WORD.findall(found[1])))


def _indexed(found: re.Match[str]) -> Step:
    places = [int(part) for part in found[1].split(",")]

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from (value[place] for place in places if -len(value) <= place < len(value))
    return step


def _sliced(found: re.Match[str]) -> Step:
    start, stop, by = (int(part) if part else None for part in found.groups())
    if by == 0:
        raise InvalidInput("a slice of a JSON path steps by 0", "write [start:end]")

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[start:stop:by]
    return step


def _end_of_filter(text: str, place: int) -> int:
    """Behind the bracket that closes the filter which begins there; 0 when none does."""
    if not re.match(r"\[\s*\?", text[place:]):
        return 0
    for index, depth in _depths(text[place:]):
        if depth == 0:
            return place + index + 1
    return 0


def _depths(text: str) -> Iterator[tuple[int, int]]:
    """Each character's place outside quotes, with how many brackets are open behind it."""
    depth, quote = 0, ""
    for index, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
            continue
        quote = sign if sign in "'\"" else ""
        depth += (sign in "[(") - (sign in "])")
        if not quote:
            yield index, depth


def _filtered(text: str, *, members: bool) -> Step:
    holds = _condition(text[1:-1].strip().removeprefix("?"))

    def step(value: Any) -> Iterator[Any]:
        if not members and not isinstance(value, list) and holds(value):
            yield value
        else:
            yield from (each for each in _all(value) if holds(each))
    return step


def _condition(text: str) -> Callable[[Any], bool]:
    condition = text.strip()
    for word, decide in ((_OR, any), (_AND, all)):
        parts = _parts(condition, word)
        if len(parts) > 1:
            return _joined([_condition(part) for part in parts], decide)
    if (negated := _NOT.match(condition)) is not None:
        inner = _condition(condition[negated.end():])
        return lambda value: not inner(value)
    closed = next((index for index, depth in _depths(condition) if depth == 0), -1)
    if condition.startswith("(") and closed == len(condition) - 1:
        return _condition(condition[1:-1])
    return _comparison(condition)


def _joined(conditions: list[Callable[[Any], bool]], decide: Callable[[Iterator[bool]], bool]) -> Callable[[Any], bool]:
    return lambda value: decide(one(value) for one in conditions)


def _parts(condition: str, word: re.Pattern[str]) -> list[str]:
    """What stands between the words, outside quotes and brackets."""
    parts, begun = list[str](), 0
    for index, depth in _depths(condition):
        if depth == 0 and index >= begun and (found := word.match(condition, index)) is not None:
            parts.append(condition[begun:index])
            begun = found.end()
    return [*parts, condition[begun:]]


def _comparison(condition: str) -> Callable[[Any], bool]:
    left, operator, right = _split(condition)
    inner = _steps(left, "@")
    compare = _COMPARE[operator]
    wanted = _literal(right) if operator else None

    def holds(value: Any) -> bool:
        values = [value]
        for one in inner:
            values = [below for each in values for below in one(each)]
        return any(compare(each, wanted) for each in values)

    return holds


def _split(condition: str) -> tuple[str, str, str]:
    """`@.price < 10` apart; a condition without an operator asks whether something is there."""
    for index, depth in _depths(condition):
        for operator in _OPERATORS:
            if depth == 0 and condition.startswith(operator, index):
                return condition[:index].strip(), operator, condition[index + len(operator):].strip()
    return condition, "", ""


def _literal(text: str) -> Any:
    raw = text.strip()
    if raw and raw[0] in "'\"":
        return raw[1:-1]
    try:
        return json.loads(raw)
    except json.JSONDecodeError:
        raise InvalidInput(f"{raw} in a JSON path is no value", "write a number, true, false, null or 'text'") from None


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def safe(one: Any, other: Any) -> bool:
        return compare(one, other) if _comparable(one, other) else False
    return safe


def _comparable(one: Any, other: Any) -> bool:
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (one, other))
    return numbers or (isinstance(one, str) and isinstance(other, str))


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "": lambda _one, _other: True, "=": lambda one, other: bool(one == other),
    "==": lambda one, other: bool(one == other), "!=": lambda one, other: bool(one != other),
    "<": _ordered(lambda one, other: bool(one < other)), "<=": _ordered(lambda one, other: bool(one <= other)),
    ">": _ordered(lambda one, other: bool(one > other)), ">=": _ordered(lambda one, other: bool(one >= other))}

_READ: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Step]], ...] = (
    (_DOTTED, _dotted), (_DEEP_BRACKET, lambda _: _deep), (_STAR, lambda _: _all), (_WORDS, _quoted),
    (_INDICES, _indexed), (_SLICE, _sliced))
