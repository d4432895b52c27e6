"""The head of every document: its name, title, labels, and what annotations add to an OpenSLO objective."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position, did_you_mean
from mainstay.kernel.objective import Dependency, Review
from mainstay.kernel.quantity import Period, Target
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


@dataclass(frozen=True, slots=True)
class Additions:
    """What OpenSLO has no field for, from `mainstay/…` annotations."""

    owner: str = ""
    rationale: str = ""
    sla: Target | None = None
    dependencies: tuple[Dependency, ...] = ()
    policy: str = ""
    review: Review | None = None


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


_ANNOTATIONS = ("owner", "rationale", "sla", "depends-on", "policy", "review-every", "review-last")


def read_annotations(reader: Reader, meta: Metadata) -> Additions:
    """The `mainstay/…` annotations, checked like fields of their own."""
    notes = _annotations(reader) if meta.annotations else None
    if notes is None:
        return Additions()
    for key in meta.annotations:
        known = key.removeprefix("mainstay/")
        if known != key and known not in _ANNOTATIONS:
            notes.report("unknown-field", f"annotation {key} is unknown{did_you_mean(known, _ANNOTATIONS)}",
                         "known: " + ", ".join(f"mainstay/{one}" for one in _ANNOTATIONS), key)
    every = notes.parsed("mainstay/review-every", parse_period)
    last = notes.parsed("mainstay/review-last", parse_date)
    dependencies = notes.parsed("mainstay/depends-on", lambda text: parse_dependencies(text, meta.origin))
    return Additions(meta.annotations.get("mainstay/owner", ""), meta.annotations.get("mainstay/rationale", ""),
                     notes.target("mainstay/sla"), dependencies or (), meta.annotations.get("mainstay/policy", ""),
                     Review(every, last) if every is not None else None)


def _annotations(reader: Reader) -> Reader | None:
    head = reader.child("metadata")
    return head.child("annotations") if head is not None else None


def parse_dependencies(text: str, where: Position) -> tuple[Dependency, ...]:
    """`auth=99.99, db` as dependencies.

    Raises:
        InvalidInput: a promise without a service, or one that is not a target.
    """
    out = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        service, _, promise = part.partition("=")
        if not service.strip():
            raise InvalidInput(f'"{part}" names no service', "write SERVICE=99.9")
        out.append(Dependency(service.strip(), Target.percent(promise) if promise else None, "", where))
    return tuple(out)


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
