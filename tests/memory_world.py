"""A world in memory that has no source and no file, for tests of words that need neither."""

from __future__ import annotations

from typing import Any

from mainstay.adapters.memory import MemoryJournal, MemoryLedger
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import NotFound
from mainstay.kernel.journal import Journal
from mainstay.kernel.ports import Clock, Source, Survey, Surveyed, World


def memory_world(clock: Clock, catalog: Catalog, journal: Journal | None = None, **more: Any) -> World:
    """The world of that clock and catalog; `more` are its other ports."""
    return World(clock, catalog, MemoryJournal(clock) if journal is None else journal, MemoryLedger(), no_source,
                 no_survey, **more)


def no_source(name: str) -> Source:
    """No source is declared.

    Raises:
        NotFound: always.
    """
    raise NotFound(f"no source is named {name}")


def no_survey(asked: Survey) -> Surveyed:
    """There are no files.

    Raises:
        NotFound: always.
    """
    raise NotFound(f"no files {asked.files.paths}")
