"""The ledger as it stands, and the work that a question is about; what all verbs share."""

from __future__ import annotations

import gc
from datetime import date
from itertools import chain

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.ports import World
from mainstay.toil.answers import Origin
from mainstay.toil.automated import Automated, automated
from mainstay.toil.entry import Read
from mainstay.toil.ledger import KINDS, Book, fold
from mainstay.toil.privacy import Viewer, check_person, check_team, viewer
from mainstay.toil.spec import ToilPolicy, policy_of
from mainstay.toil.tally import EVERYTHING, Part, Stretch, Tally, demand_work, stretch_of, tally

ENDINGS = (".jsonl", ".ndjson", ".json", ".log", ".csv")
WHOLE = Stretch(date(2000, 1, 1), date(2099, 12, 31))
"""Every day that an entry may have."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which work is asked about.

    Args:
        logs: a work log to read instead of the ledger.
        everyone: figures of single people were asked for.
    """

    days: int
    logs: str = ""
    team: str = ""
    engineer: str = ""
    everyone: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The work, and what it is held against."""

    tally: Tally
    origin: Origin
    policy: ToilPolicy
    who: Viewer
    task_of: dict[str, str]
    saved: tuple[Automated, ...] = ()


def book_of(world: World) -> Book:
    """The ledger."""
    return fold(world.journal.facts(FactQuery(kinds=KINDS)), policy_of(world.catalog).team_of)


def work_of(world: World, question: Question, *, saved_is_enough: bool = False) -> Found:
    """The work that a question is about.

    Args:
        saved_is_enough: nobody need have logged anything, where programs saved work.

    Raises:
        NoData: there is none; the message says where there is some.
        NotFound: no such team or engineer.
        NotAllowed: it would show the figures of one person to somebody else.
    """
    policy = policy_of(world.catalog)
    who = viewer(world.actor, world.scopes, policy.leads, everyone=question.everyone)
    stretch = stretch_of(question.days, world.clock.now().date())
    # Of a log nothing is corrected, and no store is opened: it is somebody's file, not the ledger.
    book = Book() if question.logs else book_of(world)
    check_person(who, question.engineer)
    read, part = None, Part(question.team, question.engineer)
    if question.logs:
        chosen, read = _from_files(world, question.logs, stretch, part)
    else:
        chosen = tally(book.entries, stretch, part)
    if not chosen.cells and part != EVERYTHING and chosen.began is not None:
        # Neither teams nor people are named to somebody who may not see them.
        raise NotFound(f"no work of {about(question)} is logged from {stretch.first} to {stretch.last}",
                       "look further back: --days 365")
    everything = part == EVERYTHING
    saved = automated([one for one in book.saved.values() if stretch.first <= one.day <= stretch.last],
                      [one for one in book.recovered.values() if stretch.first <= one.day <= stretch.last]) \
        if everything else []
    if not (saved and saved_is_enough):
        demand_work(chosen)
    if question.team:
        check_team(who, question.team, {cell.engineer for cell in chosen.cells})
    origin = Origin(question.logs or "ledger", stretch.first, stretch.last, chosen.entries, chosen.outside, read,
                    0 if question.logs else book.unreadable)
    return Found(chosen, origin, policy, who, book.task_of, tuple(saved))


def _from_files(world: World, path: str, stretch: Stretch, part: Part) -> tuple[Tally, Read]:
    # A lazy start: the quick reader's msgspec is no business of the verbs that read the ledger alone.
    from mainstay.toil.scan import scan  # noqa: PLC0415  (a lazy start)

    pieces = world.texts.pieces(path)
    first = next(pieces, "")
    if first.lstrip()[:1] not in ("{", ""):
        raise InvalidInput(f"{path} is not a work log of one JSON object a line",
                           f"mainstay toil import {path} reads CSV and ticket exports into the ledger")
    collecting = gc.isenabled()
    # Millions of small objects that all stay: looking for cycles among them would cost more than reading the log.
    gc.disable()
    try:
        return scan(chain((first,), pieces), path, stretch, part)
    finally:
        if collecting:
            gc.enable()


def about(question: Question) -> str:
    """Whose work is asked about, in a few words: empty for everybody's."""
    return question.engineer or (f"team {question.team}" if question.team else "")
