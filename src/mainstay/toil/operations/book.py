"""The ledger as it stands, and the work that a question is about; what all verbs share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.ports import World
from mainstay.toil.answers import Origin
from mainstay.toil.entry import Read
from mainstay.toil.ledger import KINDS, Book, fold
from mainstay.toil.privacy import Viewer, check_person, viewer
from mainstay.toil.spec import ToilPolicy, policy_of
from mainstay.toil.tally import Stretch, Tally, demand_work, stretch_of, tally

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

    @property
    def about(self) -> str:
        """Whose work it is, in a few words."""
        return self.origin.source


def book_of(world: World) -> Book:
    """The ledger."""
    return fold(world.journal.facts(FactQuery(kinds=KINDS)), policy_of(world.catalog).team_of)


def work_of(world: World, question: Question) -> Found:
    """The work that a question is about.

    Raises:
        NoData: there is none; the message says where there is some.
        NotFound: no such team or engineer.
        NotAllowed: it would show the figures of one person to somebody else.
    """
    policy = policy_of(world.catalog)
    who = viewer(world.actor, world.scopes, policy.leads, everyone=question.everyone)
    stretch = stretch_of(question.days, world.clock.now().date())
    book = book_of(world)
    read = None
    if question.logs:
        every, read = _from_files(world, question.logs, stretch)
    else:
        every = tally(book.entries, stretch)
    demand_work(every)
    check_person(who, question.engineer)
    chosen = _chosen(every, question)
    if question.team:
        people = {cell.engineer for cell in chosen.cells}
        if len(people) == 1:
            check_person(who, next(iter(people)))
    origin = Origin(question.logs or "ledger", stretch.first, stretch.last, chosen.entries, every.outside, read,
                    0 if question.logs else book.unreadable)
    return Found(chosen, origin, policy, who, book.task_of)


def _from_files(world: World, path: str, stretch: Stretch) -> tuple[Tally, Read]:
    # A lazy start: the quick reader's msgspec is no business of the verbs that read the ledger alone.
    from mainstay.toil.scan import scan  # noqa: PLC0415  (a lazy start)

    texts = world.texts.read(path, ENDINGS)
    if len(texts) != 1:
        raise InvalidInput(f"{path} is a folder", "name one work log; mainstay toil import takes several")
    if texts[0].text.lstrip()[:1] not in ("{", ""):
        raise InvalidInput(f"{path} is not a work log of one JSON object a line",
                           f"mainstay toil import {path} reads CSV and ticket exports into the ledger")
    return scan(texts[0].text, path, stretch)


def _chosen(every: Tally, question: Question) -> Tally:
    """The part of a team or a person."""
    for name, wanted, known in (("team", question.team, {cell.team for cell in every.cells}),
                                ("engineer", question.engineer, {cell.engineer for cell in every.cells})):
        if wanted and wanted not in known:
            # People are not named to those who may not see them.
            hint = did_you_mean(wanted, known) if name == "team" else ""
            raise NotFound(f'no work of the {name} "{wanted}" is logged in these days{hint}',
                           "look further back: --days 365")
    if not question.team and not question.engineer:
        return every
    return every.of(lambda cell: (not question.team or cell.team == question.team)
                    and (not question.engineer or cell.engineer == question.engineer))


def about(question: Question) -> str:
    """Whose work is asked about, in a few words: empty for everybody's."""
    return question.engineer or (f"team {question.team}" if question.team else "")
