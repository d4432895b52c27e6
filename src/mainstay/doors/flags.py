"""A command line as an operation's request: each field of the request is a flag or an argument.

Parsed here and not by a library, because every command pays for its parser: reading what the fields already say of
themselves takes a millisecond, importing cyclopts 25 (docs/decisions/0013). What it takes is what people are used to
from other commands: `--name value`, `--name=value`, `-n value`, `-n=value`, `-nvalue`, flags and arguments in any
order, everything behind `--` an argument, a lone `-` standard input.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, get_args, get_origin

from mainstay.doors.commands import EVERYWHERE, Everywhere, command_line, flag_name, placeholder
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.operation import Argument, Operation, arguments
from mainstay.kernel.quantity import parse_duration, parse_moment


class _Flag(NamedTuple):
    """One way to write a flag: the field it fills; `alone` is what it says without a value, where it may stand so."""

    field: str
    alone: str | None


class _Said(NamedTuple):
    """A value for a field: its text, and how whoever wrote it calls the place: `--cup`, `KIND`, `env TEA_SUGAR`."""

    text: str
    place: str


def parse(operation: Operation[Any, Any], tokens: Sequence[str]) -> tuple[Any, Everywhere]:
    """The request and the flags of every command.

    Raises:
        InvalidInput: an unknown flag, a value that does not fit, something missing or said twice.
    """
    help = f"{command_line(operation)} --help"
    own = arguments(operation.request)
    everywhere = {"everywhere " + a.name: a for a in EVERYWHERE}
    fields = {a.name: a for a in own} | everywhere
    said = _sorted(tokens, fields, help)
    read = {name: _read(fields[name], said.get(name) or _from_environment(fields[name]), help) for name in fields}
    return (operation.request(**{a.name: read[a.name] for a in own}),
            Everywhere(**{a.name: read[name] for name, a in everywhere.items()}))


def _sorted(tokens: Sequence[str], fields: Mapping[str, Argument], help: str) -> dict[str, list[_Said]]:
    """What was said of each field."""
    flags = _flags(fields)
    said: dict[str, list[_Said]] = {}
    loose: list[str] = []
    rest = list(reversed(tokens))
    while rest:
        word = rest.pop()
        if word == "--":
            loose += reversed(rest)
            break
        if not _is_flag(word):
            loose.append(word)
            continue
        written, text = _apart(word, flags)
        if written not in flags:
            raise InvalidInput(f"unknown option: {written}{did_you_mean(written, flags)}", help)
        flag = flags[written]
        if text is not None and flag.alone == "false":
            raise InvalidInput(f"{written} takes no value", help)
        if text is None:
            text = flag.alone if flag.alone or not rest or _is_flag(rest[-1]) else rest.pop()
        if text is None:
            raise InvalidInput(f"parameter {written} requires an argument", help)
        said.setdefault(flag.field, []).append(_Said(text, written))
    for name, argument in fields.items():
        if argument.positional and loose:
            many = get_origin(argument.type) is tuple
            taken, loose = (loose, []) if many else (loose[:1], loose[1:])
            said[name] = [_Said(text, placeholder(argument)) for text in taken]
    if loose:
        raise InvalidInput(f'"{loose[0]}" is one argument too many', help)
    return said


def _flags(fields: Mapping[str, Argument]) -> dict[str, _Flag]:
    """Every way a flag may be written."""
    flags: dict[str, _Flag] = {}
    for field, argument in fields.items():
        if argument.positional:
            continue
        flag = _Flag(field, "true" if argument.type is bool else None)
        flags[flag_name(argument)] = flag
        if argument.short:
            flags[f"-{argument.short}"] = flag
        if argument.default is True:
            # `--no-x` makes sense only where x is on by default.
            flags["--no-" + flag_name(argument)[2:]] = _Flag(field, "false")
    return flags


def _is_flag(word: str) -> bool:
    """Whether the word is one; `-` is standard input and `-2` a number."""
    if not word.startswith("-") or word == "-":
        return False
    try:
        float(word)
    except ValueError:
        return True
    return False


def _apart(word: str, flags: Mapping[str, object]) -> tuple[str, str | None]:
    """The flag and what is written together with it."""
    written, equals, text = word.partition("=")
    if not equals and not word.startswith("--") and word[:2] in flags and len(word) > 2:
        return word[:2], word[2:]
    return written, text if equals else None


def _from_environment(argument: Argument) -> list[_Said]:
    text = os.environ.get(argument.env) if argument.env else None
    return [] if text is None else [_Said(text, f"env {argument.env}")]


def _read(argument: Argument, said: Sequence[_Said], help: str) -> Any:
    """The field's value. Raises InvalidInput when it is missing, said twice, or does not fit."""
    if not said:
        if argument.required:
            name = placeholder(argument) if argument.positional else flag_name(argument)
            raise InvalidInput(f"parameter {name} requires an argument", help)
        return argument.default
    kinds = [kind for kind in get_args(argument.type) if kind not in (type(None), ...)] or [argument.type]
    values = [_value(kinds[0], argument.choices, one, help) for one in said]
    if get_origin(argument.type) is tuple:
        return tuple(values)
    if len(values) > 1:
        raise InvalidInput(f"parameter {said[0].place} specified multiple times", help)
    return values[0]


def _value(kind: Any, choices: Sequence[str], said: _Said, help: str) -> Any:
    if choices and said.text not in choices:
        known = ", ".join(f'"{choice}"' for choice in choices)
        raise InvalidInput(f'invalid value "{said.text}" for {said.place}. Choose from: {known}'
                           f"{did_you_mean(said.text, choices)}", help)
    try:
        return _READ[kind](said.text)
    except ValueError:
        raise InvalidInput(f'invalid value for {said.place}: "{said.text}" is not {_WANTED[kind]}', help) from None


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _yes_or_no(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


_READ: dict[Any, Callable[[str], Any]] = {
    str: str, int: int, float: _number, bool: _yes_or_no, datetime: parse_moment, timedelta: parse_duration}
"""How a text becomes a value of that type; moments and durations say themselves what is wrong with them."""
_WANTED = {int: "a whole number", float: "a number", bool: "true or false"}
