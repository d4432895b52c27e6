"""Help texts, made from what the operations say of themselves: plain, 80 columns, the same when piped."""

from __future__ import annotations

import importlib
import re
import textwrap
import types
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Union, get_args, get_origin

from mainstay.app import Application, WordEntry
from mainstay.doors.commands import EVERYWHERE, SHELLS, command_line, flag_name, placeholder
from mainstay.kernel.operation import Argument, Operation, arguments
from mainstay.kernel.quantity import format_duration

WIDTH = 80
_EXIT_CODES = """exit codes
  0    done
  2    what was asked cannot be done: the message says why and the way out
  3    nothing was measured, so nothing can be said
  70   a bug of Mainstay; --debug prints the traceback
  130  interrupted
Commands add their own, such as 1 for a spent budget; their --help says so."""


def main_help(application: Application) -> str:
    """`mainstay --help`: knows only names and summaries, loads no word."""
    rows = [(entry.name, entry.summary) for entry in application.words]
    house = [(entry.name, entry.summary) for entry in application.house]
    house.append(("completion", "Prints the completion script of bash, zsh or fish."))
    parts = ["mainstay – the whole SRE practice in one tool",
             "usage: mainstay WORD VERB [ARGUMENTS] [--json]"]
    if rows:
        parts.append(_listed("words", rows))
    parts += [_listed("commands", house), _EXIT_CODES, "next: mainstay WORD --help · mainstay WORD VERB --help"]
    return "\n\n".join(parts) + "\n"


def word_help(entry: WordEntry, operations: Sequence[Operation[Any, Any]]) -> str:
    """`mainstay slo --help`: the word's verbs and its card."""
    parts = [f"mainstay {entry.name} – {entry.summary}",
             f"usage: mainstay {entry.name} VERB [ARGUMENTS] [--json]",
             _listed("verbs", [(operation.verb, operation.summary) for operation in operations])]
    card = (importlib.import_module(entry.module.removesuffix(".operations")).__doc__ or "").strip().splitlines()[1:]
    if any(card):
        parts.append("\n".join(["the word", *_card(card)]))
    parts.append(f"next: mainstay {entry.name} VERB --help")
    return "\n\n".join(parts) + "\n"


def _card(lines: Sequence[str]) -> list[str]:
    """The card's `Name: text` entries, each wrapped under its own text."""
    entries = re.findall(r"^(\w+):\s+(.*(?:\n\s+.*)*)", "\n".join(line for line in lines if line.strip()), re.MULTILINE)
    column = max((len(name) for name, _ in entries), default=0) + 3
    return [line for name, text in entries
            for line in textwrap.wrap(" ".join(text.split()), WIDTH, initial_indent=f"  {name + ':':<{column - 1}}",
                                      subsequent_indent=" " * (column + 1))]


def operation_help(operation: Operation[Any, Any]) -> str:
    """`mainstay slo report --help`: usage, arguments, flags, examples, exit codes."""
    name = command_line(operation)
    own = arguments(operation.request)
    positional = [a for a in own if a.positional]
    flags = [a for a in own if not a.positional]
    usage = " ".join([name, *(_placeholder(a) for a in positional),
                      *(_flag(a) for a in flags if a.required),
                      *(["[OPTIONS]"] if any(not a.required for a in flags) else [])])
    parts = [textwrap.fill(f"{name} – {operation.summary}", WIDTH, subsequent_indent="  "), f"usage: {usage}"]
    about = _rest_of_docstring(operation)
    if about:
        parts.append(about)
    if positional:
        parts.append(_listed("arguments", [(_placeholder(a).strip("[]"), _explained(a)) for a in positional]))
    if flags:
        parts.append(_listed("options", [(_with_short(a), _explained(a)) for a in flags]))
    parts.append(_listed("on every command", [(_with_short(a), _explained(a)) for a in EVERYWHERE]))
    if operation.examples:
        parts.append("\n".join(["examples", *(f"  {example}" for example in operation.examples)]))
    parts.append(_listed("exit codes", [(str(code), meaning) for code, meaning in operation.exit_codes]))
    return "\n\n".join(parts) + "\n"


def _rest_of_docstring(operation: Operation[Any, Any]) -> str:
    """The docstring's second paragraph on, up to the sections that speak to programmers."""
    lines = textwrap.dedent("\n".join((operation.run.__doc__ or "").strip().splitlines()[1:])).strip().splitlines()
    kept: list[str] = []
    for line in lines:
        if line.strip() in ("Args:", "Returns:", "Raises:", "Source:"):
            break
        kept.append(line)
    paragraphs = "\n".join(kept).strip().split("\n\n")
    return "\n\n".join(textwrap.fill(" ".join(p.split()), WIDTH) for p in paragraphs if p.strip())


def _placeholder(argument: Argument) -> str:
    many = get_origin(argument.type) is tuple
    text = placeholder(argument)
    if many:
        text = text.removesuffix("S") + "…"
    return text if argument.required else f"[{text}]"


def _flag(argument: Argument) -> str:
    name = flag_name(argument)
    if argument.type is bool:
        return "--no-" + name[2:] if argument.default is True else name
    if argument.choices:
        return f"{name} {'|'.join(argument.choices)}" if len(argument.choices) <= 3 else f"{name} CHOICE"
    return f"{name} {argument.value or _metavar(argument.type)}"


def _metavar(hint: Any) -> str:
    inner = [part for part in get_args(hint) if part not in (type(None), ...)] \
        if get_origin(hint) in (types.UnionType, Union, tuple) else [hint]
    named = {int: "N", float: "NUMBER", str: "TEXT"}.get(inner[0])
    return named or {"datetime": "MOMENT", "timedelta": "DURATION", "Decimal": "NUMBER"}.get(
        getattr(inner[0], "__name__", ""), "VALUE")


def _with_short(argument: Argument) -> str:
    return (f"-{argument.short}, " if argument.short else "    ") + _flag(argument)


def _explained(argument: Argument) -> str:
    notes = []
    if argument.choices and len(argument.choices) > 3:
        notes.append("one of " + ", ".join(filter(None, argument.choices)))
    if get_origin(argument.type) is tuple and not argument.positional:
        notes.append("may be repeated")
    if argument.default is True:
        notes.append("on unless said")
    elif argument.default not in (None, False, "", ()):
        default = argument.default
        shown = default if isinstance(default, tuple) else (default,)
        notes.append("default " + " ".join(format_duration(one) if isinstance(one, timedelta) else str(one)
                                           for one in shown))
    if argument.env:
        notes.append(f"env {argument.env}")
    return argument.help + (f" ({'; '.join(notes)})" if notes else "")


def _listed(heading: str, rows: Sequence[tuple[str, str]]) -> str:
    """A heading over names with explanations, the explanations aligned and wrapped."""
    column = min(max((len(name) for name, _ in rows), default=0), 26) + 2
    lines = [heading]
    for name, text in rows:
        wrapped = textwrap.wrap(text, WIDTH - 2 - column, break_long_words=False, break_on_hyphens=False) or [""]
        first = f"  {name:<{column}}"
        if len(name) + 2 > column:
            lines.append(f"  {name}")
            first = " " * (column + 2)
        lines.append((first + wrapped[0]).rstrip())
        lines += [" " * (column + 2) + line for line in wrapped[1:]]
    return "\n".join(lines)


def completion_help() -> str:
    """`mainstay completion --help`."""
    return ("mainstay completion – Prints the completion script of bash, zsh or fish.\n\n"
            f"usage: mainstay completion {'|'.join(SHELLS)}\n\n"
            + "\n".join(["examples",
                         "  mainstay completion bash > ~/.local/share/bash-completion/completions/mainstay",
                         "  mainstay completion zsh > ~/.zfunc/_mainstay",
                         "  mainstay completion fish > ~/.config/fish/completions/mainstay.fish"]) + "\n\n"
            + _listed("exit codes", [("0", "done"), ("2", "the shell is not one of the three")]) + "\n")
