"""Variables in the texts of a runbook: where one may stand, and how its value gets there.

A text is split into words and variables once, as it was declared. Values are put in afterwards and are never looked at
again: a label that says `${secrets.token}` or `$(reboot)` stays those very characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput

SPACES = ("inputs", "labels", "steps", "secrets")
"""Where values come from."""

LONGEST = 16_384
"""Characters of a value that is put in; Linux takes no argument beyond 128 KiB."""

_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_NAME = re.compile(r"(inputs|labels|secrets)\.([A-Za-z0-9_][A-Za-z0-9_.-]*)|steps\.([a-z0-9][a-z0-9-]*)\.output")


@dataclass(frozen=True, slots=True)
class Variable:
    """A place for a value: `inputs.zone`, `steps.find.output`."""

    space: str
    name: str

    def __str__(self) -> str:
        return f"{self.space}.{self.name}" + (".output" if self.space == "steps" else "")


@dataclass(frozen=True, slots=True)
class Value:
    """What stands in a variable's place.

    Args:
        value: a text, number or boolean; None while it is not known yet (a step that has not run).
        option_like: it may begin with `-` where programs look for options.
        trusted: one of a declared list, so that it may say which host is called.
    """

    value: str | int | float | bool | None
    option_like: bool = False
    trusted: bool = False

    @property
    def text(self) -> str:
        """As it is written."""
        return str(self.value).lower() if isinstance(self.value, bool) else str(self.value)


Lookup = Callable[[Variable], Value]
Parts = tuple[str | Variable, ...]


class Misplaced(InvalidInput):
    """A text with variables cannot be used; `variable` is the one that is wrong, as written."""

    def __init__(self, message: str, way_out: str, variable: str = "", code: str = "misplaced-variable") -> None:
        super().__init__(message, way_out)
        self.variable, self.finding = variable, code


def parts(text: str) -> Parts:
    """The text as words and variables; `$${` stands for `${`.

    Raises:
        Misplaced: something looks like a variable and is none.
    """
    if "${" not in text:
        return (text,) if text else ()
    out: list[str | Variable] = []
    at = 0
    for found in _VARIABLE.finditer(text):
        out.append(text[at:found.start()])
        at = found.end()
        if found[0] == "$${":
            out.append("${")
            continue
        name = _NAME.fullmatch(found[1] or "")
        if name is None or not found[0].endswith("}"):
            raise Misplaced(f"{found[0]} is no variable",
                            "write ${inputs.NAME}, ${labels.NAME}, ${steps.NAME.output} or ${secrets.NAME}; "
                            "$${ for the signs themselves", found[0], "unknown-variable")
        out.append(Variable("steps", name[3]) if name[3] else Variable(name[1], name[2]))
    out.append(text[at:])
    return tuple(one for one in out if one != "")


def variables(value: Any) -> tuple[Variable, ...]:
    """The variables in a text, or in all texts of a JSON value or an act's fields, in their order."""
    if isinstance(value, str):
        return tuple(one for one in parts(value) if isinstance(one, Variable))
    if isinstance(value, Mapping):
        return tuple(one for item in value.values() for one in variables(item))
    if isinstance(value, list | tuple):
        return tuple(one for item in value for one in variables(item))
    return ()


# -- putting values in ---------------------------------------------------------------------------------------------


def argument(text: str, lookup: Lookup) -> str:
    """One element of an argument list.

    Raises:
        Misplaced: it would begin with `-` by a value that may not, or holds what no argument can.
    """
    split = parts(text)
    whole, lead = _join(split, lookup)
    if lead is not None and whole.startswith("-") and not lead.option_like:
        raise Misplaced(f'"{_short(whole)}" would be read as an option', "declare the input with option_like: true, or "
                        "put a -- or an option's name before it", code="option-like")
    return whole


def plain(text: str, lookup: Lookup) -> str:
    """A text that nothing reads as more than text: an environment variable, a standard input, a question."""
    return _join(parts(text), lookup)[0]


def one_line(text: str, lookup: Lookup) -> str:
    """A text of one line: a header, a unit's name.

    Raises:
        Misplaced: a value brings another line.
    """
    whole = plain(text, lookup)
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in whole):
        raise Misplaced(f'"{_short(whole)}" holds a line break or a control character', "give a value of one line",
                        code="unsafe-value")
    return whole


def json_value(value: Any, lookup: Lookup) -> Any:
    """A JSON value; a text that is one variable alone becomes its value, with its type."""
    if isinstance(value, str):
        split = parts(value)
        if len(split) == 1 and isinstance(split[0], Variable):
            found = lookup(split[0])
            return value if found.value is None else found.value
        return _join(split, lookup)[0]
    if isinstance(value, Mapping):
        return {key: json_value(item, lookup) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item, lookup) for item in value]
    return value


_HOST = re.compile(r"[A-Za-z0-9.\-\[\]:]*")


def url(text: str, lookup: Lookup) -> str:
    """An address; values are percent-encoded, so that none adds a part, and none climbs out of its path.

    Raises:
        Misplaced: a value would say which host is called without being one of a declared list.
    """
    out, before = "", ""
    for part in parts(text):
        if isinstance(part, str):
            out, before = out + part, before + part
            continue
        found = lookup(part)
        if not _past_host(before):
            if not found.trusted or found.value is None or not _HOST.fullmatch(found.text):
                raise Misplaced(f"${{{part}}} would say which host is called",
                                "give the input a list of allowed values", f"${{{part}}}", "variable-host")
            out, before = out + found.text, before + found.text
        else:
            out, before = out + (f"${{{part}}}" if found.value is None else quote(_sound(part, found), safe="")), \
                before + "x"
    if not {".", ".."}.isdisjoint(urlsplit(out).path.split("/")):
        raise Misplaced(f'"{_short(out)}" climbs out of its path', "give a value that is no . or ..",
                        code="path-escape")
    return out


def _past_host(text: str) -> bool:
    _, marked, rest = text.partition("://")
    return bool(marked) and any(sign in rest for sign in "/?#")


def promql(text: str, lookup: Lookup) -> str:
    """A query; a value stands inside double quotes and is written so that it cannot leave them."""
    out = ""
    for part in parts(text):
        if isinstance(part, str):
            out += part
            continue
        if not _in_quotes(out):
            raise Misplaced(f"${{{part}}} stands outside of double quotes",
                            f'write it as the value of a label: job="${{{part}}}"', f"${{{part}}}", "variable-in-query")
        found = lookup(part)
        out += f"${{{part}}}" if found.value is None else \
            _sound(part, found).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return out


def _in_quotes(text: str) -> bool:
    """Whether a place behind this part of a query lies inside double quotes; PromQL also knows ' and ` and #."""
    quote_sign, escaped, comment = "", False, False
    for sign in text:
        if comment:
            comment = sign != "\n"
        elif escaped:
            escaped = False
        elif quote_sign:
            escaped = sign == "\\" and quote_sign != "`"
            quote_sign = "" if sign == quote_sign else quote_sign
        elif sign in "\"'`":
            quote_sign = sign
        else:
            comment = sign == "#"
    return quote_sign == '"'


def literal(text: str, what: str) -> None:
    """Raises Misplaced where a variable stands in a text that takes none, such as a program's name."""
    if found := variables(text):
        raise Misplaced(f"{what} takes no variable", "write it out", f"${{{found[0]}}}", "variable-not-here")


def _join(split: Parts, lookup: Lookup) -> tuple[str, Value | None]:
    """The whole text, and the value that its first character comes from, if it comes from one."""
    out = ""
    lead: Value | None = None
    for part in split:
        if isinstance(part, str):
            out += part
            continue
        found = lookup(part)
        piece = f"${{{part}}}" if found.value is None else _sound(part, found)
        if not out and piece:
            lead = found
        out += piece
    return out, lead


def _sound(variable: Variable, found: Value) -> str:
    text = found.text
    if "\0" in text:
        raise Misplaced(f"the value of {variable} holds a NUL", "give a text without it", f"${{{variable}}}",
                        "unsafe-value")
    if len(text) > LONGEST:
        raise Misplaced(f"the value of {variable} has {len(text):,} characters", f"give at most {LONGEST:,}",
                        f"${{{variable}}}", "unsafe-value")
    return text


def _short(text: str) -> str:
    shown = text.replace("\n", "⏎").replace("\0", "␀")
    return shown if len(shown) <= 60 else shown[:59] + "…"
