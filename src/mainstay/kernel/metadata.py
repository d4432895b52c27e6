"""The head of every document: its name, title, labels and annotations; and how periods and dates are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from datetime import date

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position
from mainstay.kernel.quantity import Period
from mainstay.kernel.reader import Reader

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?")
"""RFC 1123 with the dots and underscores that real catalogs use."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """`metadata:` of a document; `name` is empty when it was missing or unusable, which is reported."""

    name: str
    origin: Position
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    service: str = ""
    owner: str = ""


def read_metadata(reader: Reader, *, checked: bool = True) -> Metadata:
    """The document's `metadata:`. Without a usable name the rest is still read, so that every mistake is found.

    Args:
        checked: whether the name must follow RFC 1123; OpenSLO's own alert examples do not.
    """
    meta = reader.child("metadata", required=True)
    if meta is None:
        return Metadata("", reader.where)
    name = meta.text("name", required=True, default="")
    title = meta.text("displayName", default="")
    labels = _labels(meta)
    annotations = meta.labels("annotations")
    service, owner = meta.text("service", default=""), meta.text("owner", default="")
    meta.done()
    if name and checked and not _NAME.fullmatch(name):
        meta.report("invalid-name", f'"{name}" cannot be a name',
                    "use a-z, 0-9, - . _, starting and ending with a letter or digit", "name")
        name = ""
    return Metadata(name, meta.where_of("name"), title, labels, annotations, service, owner)


def _labels(meta: Reader) -> dict[str, str]:
    """Labels; OpenSLO lets a label have several values, which are kept joined by commas."""
    child = meta.child("labels")
    if child is None:
        return {}
    out = {}
    for key, node in child.entries():
        items = node.value if isinstance(node.value, list) else [node]
        out[key] = ",".join("" if item.value is None else str(item.value) for item in items)
    return out


_PERIOD_WORDS = {"daily": Period.DAY, "weekly": Period.WEEK, "monthly": Period.MONTH, "quarterly": Period.QUARTER,
                 "yearly": Period.YEAR, "annually": Period.YEAR}


def parse_period(text: str) -> Period:
    """`quarter` or `Quarterly` as a period.

    Raises:
        InvalidInput: neither.
    """
    word = text.strip().lower()
    if word in _PERIOD_WORDS:
        return _PERIOD_WORDS[word]
    try:
        return Period(word)
    except ValueError:
        raise InvalidInput(f'"{text}" is not a period', "write week, month, quarter or year") from None


def parse_date(text: str) -> date:
    """`2026-10-15` as a date.

    Raises:
        InvalidInput: not a date.
    """
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(f'"{text}" is not a date', "write 2026-10-15") from None
