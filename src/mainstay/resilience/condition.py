"""Which ends of a call are meant: raised errors, returned results, and what `&`, `|` and `~` make of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _never(_end: object) -> bool:
    return False


class Condition:
    """A question about how a call ended: with an error, or with a result.

    `a | b` holds where either does, `a & b` where both do. `~a` turns a condition round among the ends it speaks of:
    `~raised(ValueError)` means every *error* but that one, and still no result. Ends that are no `Exception`
    (cancellation, Ctrl-C, exit) are never asked about: they say nothing about the dependency.
    """

    __slots__ = ("of_error", "of_result", "sees_errors", "sees_results")

    def __init__(self, of_error: Callable[[Exception], bool] | None = None,
                 of_result: Callable[[Any], bool] | None = None) -> None:
        self.of_error = of_error or _never
        self.of_result = of_result or _never
        self.sees_errors, self.sees_results = of_error is not None, of_result is not None

    def holds(self, error: BaseException | None, result: object) -> bool:
        """Whether a call that ended so is meant; `result` counts only when there is no error."""
        if error is None:
            return self.sees_results and self.of_result(result)
        return isinstance(error, Exception) and self.of_error(error)

    def __or__(self, other: Condition) -> Condition:
        return Condition(_either(self.of_error, other.of_error) if self.sees_errors or other.sees_errors else None,
                         _either(self.of_result, other.of_result) if self.sees_results or other.sees_results else None)

    def __and__(self, other: Condition) -> Condition:
        return Condition(_both(self.of_error, other.of_error) if self.sees_errors and other.sees_errors else None,
                         _both(self.of_result, other.of_result) if self.sees_results and other.sees_results else None)

    def __invert__(self) -> Condition:
        return Condition(_not(self.of_error) if self.sees_errors else None,
                         _not(self.of_result) if self.sees_results else None)


def raised(*kinds: type[Exception]) -> Condition:
    """The call raised one of these errors, or of their subclasses; any error when none is named."""
    wanted = kinds or (Exception,)
    return Condition(lambda error: isinstance(error, wanted))


def raised_where(question: Callable[[Exception], bool]) -> Condition:
    """The call raised an error for which the question is true: `raised_where(lambda e: e.status == 503)`."""
    return Condition(question)


def returned(question: Callable[[Any], bool]) -> Condition:
    """The call returned something for which the question is true: `returned(lambda answer: answer.status >= 500)`."""
    return Condition(None, question)


NEVER = Condition()
TRANSIENT = raised(ConnectionError, TimeoutError)
"""Errors that may be gone at the next try. A `ValueError` or `KeyError` is not: it is a mistake, and stays one."""


def _either(one: Callable[[Any], bool], other: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda end: one(end) or other(end)


def _both(one: Callable[[Any], bool], other: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda end: one(end) and other(end)


def _not(one: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda end: not one(end)
