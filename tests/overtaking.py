"""A journal on which somebody else is quicker: for tests of what two processes do at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mainstay.kernel.journal import Batch, Fact, FactQuery, Journal


class Between:
    """A second process's view of a journal; what it decides can be overtaken.

    `before_commit` is called once, right before its next commit stands: after it was decided, before it is recorded.
    `after_reading` is called once, when it has next looked for facts: they are what was there before.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.before_commit: Callable[[], object] | None = None
        self.after_reading: Callable[[], object] | None = None
        self.commits = 0

    def commit(self, batch: Batch) -> tuple[Fact, ...]:
        self.commits += 1
        assert self.commits < 200, "it goes on for ever"
        first, self.before_commit = self.before_commit, None
        if first is not None:
            first()
        return self._journal.commit(batch)

    def facts(self, query: FactQuery) -> Iterator[Fact]:
        found = list(self._journal.facts(query))
        first, self.after_reading = self.after_reading, None
        if first is not None:
            first()
        return iter(found)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)
