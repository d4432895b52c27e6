"""The completion scripts of bash, zsh and fish, written by cyclopts from the same fields that are parsed."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import cyclopts

from mainstay.app import Application
from mainstay.doors.commands import EVERYWHERE, flag_name, only_operation
from mainstay.kernel.operation import Argument, Operation, arguments

_PREFIX = "everywhere_"


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


def _signed(operation: Operation[Any, Any]) -> Callable[..., None]:
    """A function whose signature has the request's fields and the flags of every command."""
    parameters = [_parameter(a, a.name) for a in arguments(operation.request)]
    parameters += [_parameter(a, _PREFIX + a.name) for a in EVERYWHERE]
    # Python wants positional parameters first; the request's order within each side stays.
    parameters.sort(key=lambda p: p.kind)

    def command(*_: Any, **__: Any) -> None:
        raise AssertionError("a signature to be completed, never called")

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
        # `--no-x` makes sense only where x is on by default.
        negative=None if argument.type is bool and argument.default is True else "",
    )]
    if many:
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
