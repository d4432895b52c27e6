"""A word made up for the tests of the doors: `mainstay tea brew`."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from mainstay.app import Application, Settings, WordEntry
from mainstay.kernel.errors import InvalidInput, NoData
from mainstay.kernel.finding import Finding, InvalidFiles, Position
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Cell, Next, Pairs, Text, View, state_cell, table


@dataclass(frozen=True, slots=True)
class Brew:
    """What to brew."""

    leaves: tuple[str, ...] = arg("the leaves, or - for standard input", (), positional=True)
    minutes: float = arg("how long it stands", 3.5, short="m")
    cup: str = arg("which cup", "mug", choices=("mug", "bowl", "glass"))
    sugar: int | None = arg("lumps of sugar", None, env="TEA_SUGAR")
    milk: bool = arg("with milk", False)
    saucer: bool = arg("on a saucer", True)
    note: tuple[str, ...] = arg("something to remember", ())
    since: datetime | None = arg("brewed since", None)
    cooled_for: timedelta = arg("how long it cooled", timedelta(minutes=1))


@dataclass(frozen=True, slots=True)
class Brewed:
    """What was brewed."""

    leaves: tuple[str, ...]
    minutes: float
    cup: str
    sugar: int | None
    milk: bool
    saucer: bool
    note: tuple[str, ...]
    since: datetime | None
    cooled_seconds: float
    now: datetime
    actor: str


def brew(world: World, request: Brew) -> Brewed:
    """Brews tea and says how it is.

    Nothing is poured; the cup is only described.

    Args:
        world: not shown in help.
    """
    world.progress("brewing")
    return Brewed(request.leaves, request.minutes, request.cup, request.sugar, request.milk, request.saucer,
                  request.note, request.since, request.cooled_for.total_seconds(), world.clock.now(), world.actor)


def brewed_view(result: Brewed) -> View:
    """The tea as people see it."""
    return View("Tea", (
        Text("tea · " + (", ".join(result.leaves) or "no leaves")),
        Text(f"{result.minutes:g} minutes in a {result.cup}", "quiet"),
        Pairs((("strength", (Cell("99.970 %"), Cell("target 99.9 %"), state_cell("healthy"))),
               ("left", (Cell("30.0 % drunk", bar=0.3),)))),
        table("", ["leaf", "grams>"], [[leaf, "2"] for leaf in result.leaves],
              empty="no leaves were named: mainstay tea brew assam"),
        Next(("mainstay tea drink", "mainstay tea brew assam")),
    ))


@dataclass(frozen=True, slots=True)
class Drink:
    """How to fail."""

    how: str = arg("what goes wrong", positional=True, choices=(
        "empty", "hot", "files", "bug", "interrupt", "muffled", "spent", "flood"))


@dataclass(frozen=True, slots=True)
class Wash:
    """What to wash."""

    cups: tuple[str, ...] = arg("the cups", positional=True)


def wash(world: World, request: Wash) -> int:
    """Washes cups and counts them."""
    return len(request.cups)


def drink(world: World, request: Drink) -> Mapping[str, Any]:
    """Drinks, and fails as asked."""
    match request.how:
        case "empty":
            raise NoData("the cup is empty", "mainstay tea brew")
        case "hot":
            raise InvalidInput("the tea is too hot", "wait")
        case "files":
            raise InvalidFiles([Finding("too-sweet", Position("tea.yaml", 2, 8), "sugar is too much", "write 1",
                                        "sugar: 12")])
        case "bug":
            raise KeyError("spoon")
        case "interrupt":
            raise KeyboardInterrupt
        case "muffled":
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise RuntimeError("Query interrupted") from None
        case _:
            return {"how": request.how, "lines": 100_000 if request.how == "flood" else 1}


def _drunk_view(result: Mapping[str, Any]) -> View:
    return View("", tuple(Text("drunk") for _ in range(result["lines"])))


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation("tea", "brew", Brew, brew, brewed_view, examples=("mainstay tea brew assam --minutes 4",),
              catalog="unused"),
    Operation("tea", "drink", Drink, drink, _drunk_view,
              exit_code=lambda result: 1 if result["how"] == "spent" else 0,
              exit_codes=((0, "done"), (1, "the pot is spent"), (2, "too hot"), (3, "the cup is empty"))),
    Operation("tea", "wash", Wash, wash, lambda cups: View("", (Text(f"{cups} washed"),)), doors=("cli",)),
    Operation("tea", "steep", Brew, brew, brewed_view, doors=("http",)),
)


@dataclass(frozen=True, slots=True)
class _Closes:
    closed: list[bool] = field(default_factory=list)

    def close(self) -> None:
        self.closed.append(True)


SEEN: list[Settings] = []
"""The settings of every world that was built."""


def build_world(settings: Settings) -> Any:
    """A world with a clock, and stores that can only be closed."""
    SEEN.append(settings)
    now = settings.as_of or datetime(2026, 5, 1, 12, tzinfo=UTC)
    return SimpleNamespace(clock=SimpleNamespace(now=lambda: now), progress=settings.progress, actor="somebody",
                           journal=_Closes(), ledger=_Closes())


TEA = Application((WordEntry("tea", "Tea, made up for tests.", "doors.toy"),),
                  (WordEntry("kettle", "Puts the kettle on.", "doors.toy_house"),), build_world)
