"""A request's fields as flags and arguments of a command, parsed by cyclopts."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import cyclopts

from mainstay.app import Application
from mainstay.doors.commands import EVERYWHERE, Everywhere, command_line, flag_name, only_operation
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.operation import Argument, Operation, arguments
from mainstay.kernel.quantity import parse_duration
from mainstay.kernel.reader import parse_moment

_PREFIX = "everywhere_"
# cyclopts takes a lone `-` for an unknown flag; here it is standard input. No argument can hold a NUL.
_STDIN = "\0stdin"


def parse(operation: Operation[Any, Any], tokens: Sequence[str]) -> tuple[Any, Everywhere]:
    """The request and the flags of every command.

    Raises:
        InvalidInput: an unknown flag, a value that does not fit, something missing.
    """
    app = cyclopts.App(name=command_line(operation), help_flags=[], version_flags=[])
    app.default(_signed(operation))
    try:
        _, bound, *_ = app.parse_args([_STDIN if word == "-" else word for word in tokens],
                                      exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        raise InvalidInput(_said(error), f"{command_line(operation)} --help") from None
    given = {name: _restored(value) for name, value in bound.arguments.items()}
    everywhere = {name.removeprefix(_PREFIX): value for name, value in given.items() if name.startswith(_PREFIX)}
    return (operation.request(**{name: value for name, value in given.items() if not name.startswith(_PREFIX)}),
            Everywhere(**everywhere))


def completion_script(application: Application, shell: str) -> str:
    """The script that completes `mainstay` in that shell; loads every word."""
    root = cyclopts.App(name="mainstay", help="The whole SRE practice in one tool.", help_format="plaintext")
    for entry in application.words:
        group = cyclopts.App(name=entry.name, help=entry.summary)
        for operation in (operation for operation in entry.operations() if "cli" in operation.doors):
            group.command(_signed(operation), name=operation.verb, help=operation.summary)
        root.command(group)
    for entry in application.house:
        root.command(_signed(only_operation(entry)), name=entry.name, help=entry.summary)
    return root.generate_completion(prog_name="mainstay", shell=shell)  # type: ignore[arg-type]


_READ: dict[Any, Callable[[str], Any]] = {datetime: parse_moment, timedelta: parse_duration}


def _signed(operation: Operation[Any, Any]) -> Callable[..., None]:
    """A function whose signature has the request's fields and the flags of every command."""
    parameters = [_parameter(a, a.name) for a in arguments(operation.request)]
    parameters += [_parameter(a, _PREFIX + a.name) for a in EVERYWHERE]
    # Python wants positional parameters first; the request's order within each side stays.
    parameters.sort(key=lambda p: p.kind)

    def command(*_: Any, **__: Any) -> None:
        raise AssertionError("the command line only binds")

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {}
    command.__doc__ = operation.summary
    return command


def _parameter(argument: Argument, name: str) -> inspect.Parameter:
    many = argument.positional and get_origin(argument.type) is tuple
    hint: Any = _with_choices(argument.type, argument.choices)
    if many:
        hint = get_args(hint)[0]
    annotation = Annotated[hint, cyclopts.Parameter(
        name=None if argument.positional else
        [flag_name(argument)] + ([f"-{argument.short}"] if argument.short else []),
        help=argument.help,
        env_var=argument.env or None,
        # `--no-x` makes sense only where x is on by default.
        negative=None if argument.type is bool and argument.default is True else "",
        converter=_converter(argument.type),
        required=argument.required,
    )]
    if many:
        # `*logs`, because cyclopts ends a tuple at the first flag, and `a.log --json b.log` means both logs.
        return inspect.Parameter(name, inspect.Parameter.VAR_POSITIONAL, annotation=annotation)
    kind = inspect.Parameter.POSITIONAL_ONLY if argument.positional else inspect.Parameter.KEYWORD_ONLY
    default = inspect.Parameter.empty if argument.required else argument.default
    return inspect.Parameter(name, kind, annotation=annotation, default=default)


def _with_choices(hint: Any, choices: tuple[str, ...]) -> Any:
    """The hint with its `str` narrowed to the choices, also inside `str | None` and `tuple[str, ...]`."""
    if not choices:
        return hint
    narrowed: Any = Literal[choices]
    if hint is str:
        return narrowed
    inner = tuple(narrowed if part is str else part for part in get_args(hint))
    if get_origin(hint) in (types.UnionType, Union):
        return Union[inner]  # noqa: UP007  (the members are values here)
    return get_origin(hint)[inner]


def _converter(hint: Any) -> Callable[..., Any] | None:
    for kind, read in _READ.items():
        if hint is kind or kind in get_args(hint):
            return lambda _, tokens, read=read: read(tokens[0].value)
    return None


def _restored(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_restored(item) for item in value)
    return "-" if isinstance(value, str) and value == _STDIN else value


def _said(error: cyclopts.CycloptsError) -> str:
    """The parser's message, in the house's form: lower case, the guess in brackets, no full stop at its end."""
    text = str(error).strip().replace(_STDIN, "-")
    text = re.sub(r'\. Did you mean "?(.+?)"?\?$', r' (did you mean "\1"?)', text)
    return (text[:1].lower() + text[1:]).removesuffix(".")
