"""The head of every document: its name, title, labels, and what annotations add to an OpenSLO objective."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position, did_you_mean
from mainstay.kernel.quantity import Period, Target
from mainstay.kernel.reader import Reader
from mainstay.slo.spec import Dependency, Review

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?")
"""RFC 1123 with the dots and underscores that real catalogs use."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """`metadata:` of a document."""

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


def read_metadata(reader: Reader, *, checked: bool = True) -> Metadata | None:
    """The document's `metadata:`; a finding when it has no usable name.

    Args:
        checked: whether the name must follow RFC 1123; OpenSLO's own alert examples do not.
    """
    meta = reader.child("metadata", required=True)
    if meta is None:
        return None
    name = meta.text("name", required=True)
    title = meta.text("displayName", default="")
    labels = _labels(meta)
    annotations = meta.labels("annotations")
    service, owner = meta.text("service", default=""), meta.text("owner", default="")
    meta.done()
    if name is None:
        return None
    if checked and not _NAME.fullmatch(name):
        meta.report("invalid-name", f'"{name}" cannot be a name',
                    "use a-z, 0-9, - . _, starting and ending with a letter or digit", "name")
        return None
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
    found = {key.removeprefix("mainstay/"): value for key, value in meta.annotations.items()
             if key.startswith("mainstay/")}
    for key in found:
        if key not in _ANNOTATIONS:
            reader.report("unknown-field", f"annotation mainstay/{key} is unknown{did_you_mean(key, _ANNOTATIONS)}",
                          "known: " + ", ".join(f"mainstay/{known}" for known in _ANNOTATIONS), "metadata")
    try:
        sla = Target.percent(found["sla"]) if "sla" in found else None
        review = None
        if "review-every" in found:
            last = found.get("review-last")
            review = Review(parse_period(found["review-every"]), parse_date(last) if last else None)
        return Additions(found.get("owner", ""), found.get("rationale", ""), sla,
                         parse_dependencies(found.get("depends-on", ""), meta.origin), found.get("policy", ""), review)
    except InvalidInput as error:
        reader.report("invalid-value", f"an annotation mainstay/…: {error.message}", error.way_out, "metadata")
        return Additions()


def parse_dependencies(text: str, where: Position) -> tuple[Dependency, ...]:
    """`auth=99.99, db` as dependencies."""
    out = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        service, _, promise = part.partition("=")
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
