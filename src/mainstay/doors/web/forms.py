"""An operation's arguments as the fields of a form, filled in with what was typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from mainstay.doors.inputs import alternatives, offered, takes_flag, takes_many
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.operation import Argument


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form.

    Args:
        kind: `text`, `number`, `choice` or `many` (several texts).
        values: what was typed; one value, several for `many`.
        placeholder: the default, shown while nothing is typed.
    """

    name: str
    label: str
    help: str
    kind: Literal["text", "number", "choice", "many"]
    required: bool
    values: tuple[str, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    placeholder: str = ""


def clean(request: type, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields without those left empty: a browser sends every field of a form, typed into or not."""
    many = {argument.name for argument in offered(request) if takes_many(argument)}
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        if name in many:
            if filled := [one for one in value if one.strip()]:
                kept[name] = filled
        elif value.strip():
            kept[name] = value
    return kept


def draw_fields(request: type, given: Mapping[str, Any]) -> tuple[Field, ...]:
    """A field for every argument, with what was typed."""
    return tuple(_field(argument, given.get(argument.name)) for argument in offered(request))


def _field(argument: Argument, given: Any) -> Field:
    values = tuple(str(one) for one in given) if isinstance(given, list) else () if given is None else (str(given),)
    label, default = argument.name.replace("_", " "), _said(argument.default)
    common = (argument.name, label, argument.help)
    choices = argument.choices or tuple(str(one) for part in alternatives(argument.type)
                                        if get_origin(part) is Literal for one in get_args(part))
    if takes_flag(argument):
        asked = (("", f"as usual ({default})"), ("true", "yes"), ("false", "no"))
        return Field(*common, "choice", argument.required, values, asked)
    if choices and not takes_many(argument):
        first = () if argument.required else (("", f"as usual ({default})" if default else "any"),)
        return Field(*common, "choice", argument.required, values, first + tuple((one, one) for one in choices))
    if takes_many(argument):
        return Field(*common, "many", argument.required, values)
    number = set(alternatives(argument.type)) & {int, float}
    return Field(*common, "number" if number else "text", argument.required, values, placeholder=default)


def _said(default: Any) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return "" if default is None or default == () else str(default)
