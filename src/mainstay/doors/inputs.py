"""From what came over HTTP to an operation's request: nothing unknown, nothing doubled, nothing of another type."""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any, Union, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.operation import Argument, arguments

MAX_FIELDS = 200


@functools.cache  # working the type hints out costs more than the rest of a request; there is one entry an operation
def known(request: type) -> Mapping[str, Argument]:
    """Every argument of a request by its name."""
    return {argument.name: argument for argument in arguments(request)}


def offered(request: type) -> tuple[Argument, ...]:
    """The arguments a stranger may give: those that are not for the command line alone."""
    return tuple(argument for argument in known(request).values() if not argument.local_only)


def takes_many(argument: Argument) -> bool:
    """Whether the argument is a list, so that it may stand several times."""
    return any(get_origin(part) in (tuple, list, frozenset, set) or part in (tuple, list)
               for part in alternatives(argument.type))


def takes_flag(argument: Argument) -> bool:
    """Whether the argument is yes or no."""
    return bool in alternatives(argument.type)


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the type itself."""
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def from_query(request: type, query: bytes) -> dict[str, Any]:
    """The fields of a query string or a form, by name; lists where the argument takes many.

    Raises:
        InvalidInput: a field stands twice, or there are too many.
    """
    try:
        pairs = parse_qsl(query.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:  # UnicodeDecodeError is one
        raise InvalidInput(f"the query cannot be read: {error}", "send name=value pairs in UTF-8") from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        argument = known(request).get(name)
        if argument is not None and takes_many(argument):
            fields.setdefault(name, []).append(value)
        elif name in fields:
            raise InvalidInput(f'"{name}" is given twice', "give it once")
        else:
            fields[name] = value
    return fields


def from_json(body: bytes) -> dict[str, Any]:
    """The fields of a JSON object. Raises InvalidInput when the body is none."""
    try:
        fields = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the body is not JSON: {error}", 'send an object such as {"name": "checkout"}') from None
    if not isinstance(fields, dict):
        raise InvalidInput("the body is not a JSON object", 'send an object such as {"name": "checkout"}')
    return fields


def read_request(request: type, fields: Mapping[str, Any]) -> Any:
    """The fields as the operation's request.

    Raises:
        InvalidInput: an unknown field, one for the command line only, a missing one, a value of the wrong type,
            a value outside the choices, or a number that is not finite.
    """
    open_names = [argument.name for argument in offered(request)]
    for name, value in fields.items():
        argument = known(request).get(name)
        if argument is None:
            raise InvalidInput(f'unknown field "{_shown(name)}"{did_you_mean(name, open_names)}',
                               f"known: {', '.join(open_names)}" if open_names else "this takes no fields")
        if argument.local_only:
            raise InvalidInput(f'"{name}" is offered on the command line only',
                               "run the command on the machine where the file is")
        _check_choice(argument, value)
    try:
        read: Any = msgspec.convert(dict(fields), type=request, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(_said(str(error)), "see /api/v1/openapi.json for the fields and their types") from None
    for name in fields:
        value = getattr(read, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidInput(f'"{name}" is not a finite number', "write a number such as 99.9")
    return read


def _check_choice(argument: Argument, value: Any) -> None:
    if not argument.choices:
        return
    given: Sequence[Any] = value if isinstance(value, list) else [value]
    for one in given:
        if one is not None and str(one) not in argument.choices:
            raise InvalidInput(f'"{argument.name}" cannot be "{_shown(one)}"{did_you_mean(str(one), argument.choices)}',
                               f"choose one of: {', '.join(argument.choices)}")


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _said(error: str) -> str:
    """msgspec's message in our words: `Expected `int`, got `str` - at `$.n`` is about the field "n"."""
    what, _, where = error.partition(" - at `$.")
    name = where.rstrip("`")
    what = what.replace("`", '"')
    return f'"{name}": {what[0].lower()}{what[1:]}' if name else what[0].lower() + what[1:]
