"""Matchers: labels compared as Alertmanager compares them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, Protocol, TypeVar, cast

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.reader import Reader

_MATCHER = re.compile(r'\s*([a-zA-Z_][\w.:/-]*)\s*(=~|!~|!=|=)\s*"?(.*?)"?\s*')


@dataclass(frozen=True, slots=True)
class Matcher:
    """A label compared as Alertmanager compares it: a label that is absent is the empty text."""

    label: str
    operator: Literal["=", "!=", "=~", "!~"]
    value: str

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels fit; regular expressions are anchored at both ends."""
        found = labels.get(self.label, "")
        match self.operator:
            case "=":
                return found == self.value
            case "!=":
                return found != self.value
            case "=~":
                return re.fullmatch(self.value, found) is not None
            case "!~":
                return re.fullmatch(self.value, found) is None

    def __str__(self) -> str:
        return f'{self.label}{self.operator}"{self.value}"'


Matchers = tuple[Matcher, ...]


class Labelled(Protocol):
    """Whatever has labels: an alert, for example."""

    @property
    def labels(self) -> Mapping[str, str]:
        """By name."""


T = TypeVar("T", bound=Labelled)


def fitting(things: Iterable[T], matchers: Iterable[Matcher]) -> Iterator[T]:
    """Those that every matcher holds for, in their order; looked for as they are asked for."""
    found = iter(things)
    for matcher in matchers:
        found = _held(found, matcher)
    return found


def _held(things: Iterator[T], matcher: Matcher) -> Iterator[T]:
    # One after another through 100,000 alerts: a call each would cost ten times what the comparison does.
    label, value = matcher.label, matcher.value
    match matcher.operator:
        case "=":
            return (one for one in things if one.labels.get(label, "") == value)
        case "!=":
            return (one for one in things if one.labels.get(label, "") != value)
        case "=~":
            fits = re.compile(value).fullmatch
            return (one for one in things if fits(one.labels.get(label, "")) is not None)
        case "!~":
            fits = re.compile(value).fullmatch
            return (one for one in things if fits(one.labels.get(label, "")) is None)


def parse_matcher(text: str) -> Matcher:
    """`severity="page"`, `service=~web|api`, `env!=test` as a matcher.

    Raises:
        InvalidInput: no label or no operator, or a broken regular expression.
    """
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise InvalidInput(f'"{text}" is not a matcher', 'write LABEL="value", or =~, != and !~ in between')
    operator = cast(Literal["=", "!=", "=~", "!~"], found[2])
    if operator in ("=~", "!~"):
        try:
            re.compile(found[3])
        except re.error as error:
            raise InvalidInput(f'"{found[3]}" is not a regular expression: {error}',
                               "check brackets and stars") from None
    return Matcher(found[1], operator, found[3])


def read_matchers(reader: Reader, key: str) -> Matchers:
    """The field as a list of matchers; a mistaken one is reported."""
    out = []
    for text in reader.texts(key):
        try:
            out.append(parse_matcher(text))
        except InvalidInput as error:
            reader.report("invalid-value", f"{reader.field(key)}: {error.message}", error.way_out, key)
    return tuple(out)
