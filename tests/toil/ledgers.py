"""Worlds with a ledger of toil: memory stores, a clock that a test sets, and work that a test writes down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from mainstay.adapters.clock import FakeClock
from mainstay.app import MAINSTAY
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import Batch, FactQuery
from mainstay.kernel.ports import TextFile, World
from mainstay.toil.entry import Entry
from mainstay.toil.ledger import logged_fact
from mainstay.toil.spec import ToilPolicy
from memory_world import memory_world

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
TODAY = NOW.date()
DAY = timedelta(days=1)
EVERYTHING = frozenset({"read", "write", "approve"})
TOIL = next(word for word in MAINSTAY.words if word.name == "toil")


class Files:
    """Texts that a test wrote down, by name."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = dict(texts)

    def read(self, path: str, endings: Sequence[str]) -> list[TextFile]:
        if path not in self.texts:
            raise InvalidInput(f"there is no file or folder {path}")
        return [TextFile(path, self.texts[path])]

    def pieces(self, path: str) -> Iterator[str]:
        text = self.read(path, ())[0].text
        yield from (text[at:at + 50] for at in range(0, len(text), 50))

    def write(self, path: str, text: str) -> None:
        self.texts[path] = text


def work(days_ago: int = 0, hours: float = 1.0, type: str = "toil", **more: Any) -> Entry:
    base = Entry(TODAY - days_ago * DAY, hours, type, "deployment", "ana", "platform", "Deploy by hand", True)
    return replace(base, **more)


def world(entries: Sequence[Entry] = (), *, texts: Mapping[str, str] | None = None, actor: str = "lea",
          scopes: frozenset[str] = EVERYTHING, policy: ToilPolicy | None = None) -> World:
    made = memory_world(FakeClock(NOW), Catalog({ToilPolicy: {policy.name: policy}} if policy else {}), actor=actor,
                        texts=Files(texts or {}), scopes=scopes)
    if entries:
        made.journal.commit(Batch([logged_fact(one, key="", actor=one.engineer) for one in entries]))
    return made


def facts(made: World, *kinds: str) -> list[Any]:
    return list(made.journal.facts(FactQuery(kinds=kinds)))


def weeks_of(shares: Sequence[float], hours: float = 40.0, engineer: str = "ana") -> list[Entry]:
    """Whole weeks that end with last Sunday, each with this share of toil."""
    monday = TODAY - timedelta(days=TODAY.weekday()) - len(shares) * 7 * DAY
    out = []
    for index, share in enumerate(shares):
        for weekday in range(5):
            day: date = monday + timedelta(days=7 * index + weekday)
            each = hours / 5
            out.append(Entry(day, each * share, "toil", "deployment", engineer, "platform", "Deploy by hand", True))
            out.append(Entry(day, each * (1 - share), "engineering", "features", engineer, "platform", "Build"))
    return [one for one in out if one.hours > 0]
