"""What every command has, and how its parts are named; knows no parser, so that help stays light."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mainstay.app import WordEntry
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.operation import Argument, Operation, arg, arguments

SHELLS = ("bash", "zsh", "fish")
"""The shells that completion is made for."""


@dataclass(frozen=True, slots=True)
class Everywhere:
    """The flags that every command has."""

    json: bool = arg("print the result as JSON, errors as JSON on standard error", False)
    catalog: str | None = arg("the folder that declares services and objectives; ./mainstay, else .", None,
                              short="c", env="MAINSTAY_CATALOG", value="FOLDER")
    store: str | None = arg("where facts and measurements are kept: sqlite:///FILE or postgresql://…; a file in "
                            "the state folder of the user", None, env="MAINSTAY_STORE", value="URL")
    as_of: datetime | None = arg("answer as of this moment: 2026-05-01 or 2026-05-01T12:00:00Z", None)
    utc: bool = arg("times in UTC, not in the zone of this terminal", False)
    no_color: bool = arg("no colour, as with NO_COLOR set", False)
    debug: bool = arg("print a traceback when something fails", False)


EVERYWHERE = arguments(Everywhere)
_TAKES_VALUE = frozenset(flag for a in EVERYWHERE if a.type is not bool
                         for flag in (f"--{a.name.replace('_', '-')}", f"-{a.short}" if a.short else "") if flag)


def flag_name(argument: Argument) -> str:
    """`--burn-rate` for the field `burn_rate`."""
    return "--" + (argument.flag or argument.name.replace("_", "-"))


def placeholder(argument: Argument) -> str:
    """`KIND` for the argument `kind`: how help and messages call it."""
    return argument.name.upper().replace("_", "-")


def split_leading(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The flags written before the command, and the rest: `mainstay --json slo report`."""
    rest = list(argv)
    leading: list[str] = []
    while rest and rest[0].startswith("-") and rest[0] != "--":
        flag = rest.pop(0)
        leading.append(flag)
        if flag in _TAKES_VALUE and rest:
            leading.append(rest.pop(0))
    return leading, rest


def command_line(operation: Operation[Any, Any]) -> str:
    """`mainstay slo report`."""
    return " ".join(part for part in ("mainstay", operation.word, operation.verb) if part)


def only_operation(entry: WordEntry) -> Operation[Any, Any]:
    """The operation of a house command."""
    (operation,) = entry.operations()
    return operation
