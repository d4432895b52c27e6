"""The room that knows all others: which words there are, and how a world is built for an operation.

Importing it loads no word and no adapter, so that `mainstay --help` stays light.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from mainstay.kernel.operation import Operation
from mainstay.kernel.ports import World


@dataclass(frozen=True, slots=True)
class WordEntry:
    """A word of Mainstay, or a command of the house such as `check`, known before anything of it is loaded.

    Args:
        name: the word (`slo`), or for the house the command itself (`check`).
        summary: one line: for a word the first line of its card, for a command its operation's summary.
        module: dotted path of the module that ends in `OPERATIONS`.
    """

    name: str
    summary: str
    module: str

    def operations(self) -> tuple[Operation[Any, Any], ...]:
        """The verbs of the word, or the one operation of a house command; loads the module."""
        offered: tuple[Operation[Any, Any], ...] = importlib.import_module(self.module).OPERATIONS
        if all(operation.word for operation in offered):
            return offered
        return tuple(operation for operation in offered if not operation.word and operation.verb == self.name)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a door knows before a world is built.

    Args:
        catalog: the folder that declares; None when nobody said: `mainstay` below the current folder, else the folder.
        catalog_use: whether the operation reads it, and whether mistakes in it stop the run.
        store: where facts and slots are kept: `sqlite:///path` or `postgresql://…`.
        as_of: the moment the world's clock shows, for reports in the past; None is the present.
        actor: who asks.
        progress: told a sentence during long work.
    """

    catalog: str | None
    store: str
    catalog_use: Literal["unused", "checked", "any"] = "checked"
    as_of: datetime | None = None
    actor: str = "system"
    progress: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Application:
    """What the doors offer.

    Args:
        words: each a command group, a route and a guide.
        house: commands that belong to no word, such as `check` and `serve`.
        build_world: called once an operation is about to run.
    """

    words: tuple[WordEntry, ...]
    house: tuple[WordEntry, ...]
    build_world: Callable[[Settings], World]


def build_world(settings: Settings) -> World:
    """The world of one run: the catalog read, the store and the sources ready to be opened."""
    raise AssertionError(f"no word is listed, so nothing can ask for a world ({settings.store})")


MAINSTAY = Application(words=(), house=(), build_world=build_world)
"""Mainstay itself: its words in the order of the loop, then the commands of the house."""
