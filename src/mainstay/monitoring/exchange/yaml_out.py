"""Values as YAML that people read and review: keys in the order given, exact decimals, texts of many lines as blocks.

PyYAML's writer is not used: it writes YAML 1.1, in which `1e3` is a word, and every other reader takes it for a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from mainstay.kernel.quantity import plain, short_duration

Value = Any
"""What can be written: mappings, sequences, texts, numbers, flags, durations; an empty mapping, sequence or None is
left out of a mapping."""


def yaml_document(value: Mapping[str, Value], comment: str = "") -> str:
    """One document, without `---`, ending in a line break."""
    head = "".join(f"# {line}\n" if line else "#\n" for line in comment.splitlines())
    return head + "\n".join(_mapping(value, "")) + "\n"


def yaml_file(documents: Iterable[Mapping[str, Value]], comment: str = "") -> str:
    """Documents as one file."""
    head = "".join(f"# {line}\n" if line else "#\n" for line in comment.splitlines())
    return head + "---\n".join(yaml_document(one) for one in documents)


def kept(value: Value) -> bool:
    """Whether the value says anything: not None, not an empty mapping, sequence or text."""
    return value is not None and not (isinstance(value, (Mapping, Sequence)) and not value)


def _mapping(value: Mapping[str, Value], indent: str) -> Iterable[str]:
    for key, item in value.items():
        name = f"{indent}{_line(key)}:"
        if isinstance(item, Mapping) and item:
            yield name
            yield from _mapping(item, indent + "  ")
        elif isinstance(item, Sequence) and not isinstance(item, str) and item:
            yield name
            yield from _sequence(item, indent + "  ")
        else:
            yield f"{name} {_scalar(item, indent)}"


def _sequence(value: Sequence[Value], indent: str) -> Iterable[str]:
    for item in value:
        if isinstance(item, Mapping) and item:
            first, *rest = _mapping(item, indent + "  ")
            yield f"{indent}- {first[len(indent) + 2:]}"
            yield from rest
        elif isinstance(item, Sequence) and not isinstance(item, str) and item:
            raise AssertionError("a list of lists stands in no format that is written here")
        else:
            yield f"{indent}- {_scalar(item, indent)}"


_PLAIN = re.compile(r"[A-Za-z/][\w./()%-]*(?: [A-Za-z0-9(][\w./()%-]*)*", re.ASCII)
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_SPECIAL = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_BLOCK = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]*")


def _scalar(value: Value, indent: str) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case Decimal():
            return plain(value)
        case int():
            return str(value)
        case float():
            return plain(Decimal(repr(value)))
        case timedelta():
            return short_duration(value)
        case str():
            return _text(value, indent)
        case _:
            return json.dumps(value)


def _text(value: str, indent: str) -> str:
    """A text on one line, or as a block where it has several and a block can hold them unchanged."""
    if "\n" not in value or not _BLOCK.fullmatch(value) or value[0] in " \n" or value.endswith("\n\n"):
        return _line(value)
    lines = value.removesuffix("\n").split("\n")
    if any(not line.strip() and line for line in lines) or lines[-1] == "":
        return _line(value)
    mark = "|" if value.endswith("\n") else "|-"
    return mark + "\n" + "\n".join(f"{indent}  {line}" if line else "" for line in lines)


def _line(value: str) -> str:
    """A text on one line: bare where no reader takes it for anything else; with quotes in it, such as a query, in
    single quotes, where nothing needs an escape.
    """
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if '"' in value and "\n" not in value and _BLOCK.fullmatch(value):
        return "'" + value.replace("'", "''") + "'"
    # JSON's strings are YAML's double-quoted ones, but for signs that YAML forbids or takes for the end of a line.
    return _SPECIAL.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
