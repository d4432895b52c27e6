"""What is gathered while other tools' documents are read: mistakes, losses, and names that a catalog takes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.document import Document
from mainstay.kernel.finding import Finding, Position
from mainstay.kernel.quantity import CalendarWindow, Period, RollingWindow, Window
from mainstay.kernel.reader import Reader
from mainstay.monitoring.exchange.form import Bundle, Loss, Taken


class Taking:
    """The mistakes and losses of one reading; every reader of its documents adds to them."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.losses: list[Loss] = []

    def reader(self, document: Document) -> Reader:
        """The document's root, apiVersion and kind asked for."""
        reader = Reader(document, document.root, "", self.findings)
        reader.ignore("apiVersion", "kind")
        return reader

    def lose(self, reader: Reader, key: str, why: str) -> None:
        """The field is allowed and read, and is lost where it is written."""
        reader.ignore(key)
        if reader.has(key):
            self.losses.append(Loss(reader.field(key), why, reader.where_of(key)))

    def lose_all(self, reader: Reader, keys: Iterable[str], why: str) -> None:
        """The same for several fields."""
        for key in keys:
            self.lose(reader, key, why)

    def note(self, what: str, why: str, where: Position) -> None:
        """A loss that is not one field."""
        self.losses.append(Loss(what, why, where))

    def name(self, reader: Reader, key: str, given: str | None = None) -> str:
        """The field's text as a name that a catalog takes; a name that had to change is a loss."""
        written = given if given is not None else reader.text(key, required=True, default="")
        name = catalog_name(written)
        if written and not name:
            reader.report("invalid-name", f'"{written}" cannot be a name', "use letters, digits, - . _", key)
        elif name != written:
            self.note(reader.field(key), f'a catalog takes lower-case names: "{written}" is named {name}',
                      reader.where_of(key))
        return name

    def taken(self, bundle: Bundle) -> Taken:
        """What came of it."""
        return Taken(bundle, tuple(self.losses), tuple(self.findings))


def catalog_name(text: str) -> str:
    """The text as RFC 1123 takes it: lower case, other characters as `-`; empty when nothing is left."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.strip().lower()).strip("-._")[:253].rstrip("-._")


def text_at(document: Document, *path: str) -> str:
    """The text at the path of keys, or nothing: what a format is recognised by."""
    node = document.root
    for key in path:
        if not isinstance(node.value, dict) or key not in node.value:
            return ""
        node = node.value[key]
    return node.value if isinstance(node.value, str) else ""


def has_at(document: Document, key: str) -> bool:
    """Whether the document's root has the key."""
    return isinstance(document.root.value, dict) and key in document.root.value


_DAYS = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 30, Period.QUARTER: 90, Period.YEAR: 365}


def nominal_length(window: Window) -> timedelta | None:
    """How long the window is, a month taken as 30 days as factors of burn rates are; None for a number of events."""
    match window:
        case RollingWindow(length):
            return length
        case CalendarWindow(period, _, count):
            return timedelta(days=_DAYS[period] * count)
        case _:
            return None


def spends(factor: Decimal, long: timedelta, window: timedelta) -> Decimal:
    """Share of the window's budget that goes in `long` at that burn rate: factor × long / window, exact where it can
    be.
    """
    share = factor * Decimal(repr(long.total_seconds())) / Decimal(repr(window.total_seconds()))
    return share.normalize()
