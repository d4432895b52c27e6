"""Conditions on events as people write them: `>=500`, `=~^/api`, `status>=500`."""

from __future__ import annotations

import re

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.ports import Condition

_OPERATORS = (">=", "<=", "!=", "==", "=~", "!~", ">", "<", "=")


def condition(field: str, text: str) -> Condition:
    """`>=500`, `!=429`, `=~^/api`, `GET` as a condition on the field; no operator means equality.

    Raises:
        InvalidInput: an operator without a value, an order against a word, or a broken regular expression.
    """
    raw = text.strip()
    operator = next((op for op in _OPERATORS if raw.startswith(op)), "")
    value = raw[len(operator):].strip()
    operator = {"": "==", "=": "=="}.get(operator, operator)
    if not value:
        raise InvalidInput(f'"{raw}" compares with nothing', "write an operator and a value, such as >=500")
    if operator in ("=~", "!~"):
        try:
            re.compile(value)
        except re.error as error:
            raise InvalidInput(f'"{value}" is not a regular expression: {error}', "check brackets and stars") from None
        return Condition(field, operator, (value,))
    if operator in ("==", "!="):
        return Condition(field, operator, (_number(value) if _is_number(value) else value,))
    if not _is_number(value):
        raise InvalidInput(f'"{value}" is not a number', f"write a number behind {operator}")
    return Condition(field, operator, (_number(value),))


_DECIMAL = re.compile(r"-?(\d+(\.\d*)?|\.\d+)")


def _is_number(text: str) -> bool:
    return _DECIMAL.fullmatch(text) is not None


def _number(text: str) -> float:
    return float(text)


def parse_where(text: str) -> Condition:
    """`status>=500`, `ParentID=root`, `path=~^/api` as a condition: what the command line takes.

    Raises:
        InvalidInput: no field, no operator, or no value.
    """
    found = re.match(r"\s*([A-Za-z_@][\w.@\-/ ]*?)\s*(>=|<=|!=|==|=~|!~|>|<|=)", text)
    if found is None:
        raise InvalidInput(f'"{text}" is not a condition', "write FIELD OPERATOR VALUE, such as status>=500")
    return condition(found[1], text[found.start(2):])
