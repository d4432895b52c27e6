"""`toil entries` and `toil withdraw`: the rows that every figure comes from, and taking back one that is wrong."""

from __future__ import annotations

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NotAllowed, NotFound
from mainstay.kernel.journal import Batch, FactQuery, NewFact
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.toil.answers import Row, Rows, Withdrawn
from mainstay.toil.entry import TYPES, Entry
from mainstay.toil.ledger import WITHDRAWN
from mainstay.toil.operations.book import book_of
from mainstay.toil.privacy import OTHERS, check_person, check_team, teams_shown, viewer
from mainstay.toil.spec import policy_of
from mainstay.toil.tally import stretch_of, wording_of
from mainstay.toil.tasks import group
from mainstay.toil.view import rows_view, withdrawn_view

MOST = 1_000
"""Rows in one answer."""


@dataclass(frozen=True)
class EntriesRequest:
    """Which rows."""

    days: int = arg("of the last so many days, today included", 30)
    team: str = arg("of one team", "", value="NAME")
    engineer: str = arg("of one person: your own, unless you may see everybody's", "", value="NAME")
    type: str = arg("of one kind of work", "", choices=TYPES)
    category: str = arg("of one category", "", value="NAME")
    task: str = arg("of one task, however it was worded", "", value="TASK")
    everyone: bool = arg("name single people; leads may, and tokens with the scope approve", False)
    top: int = arg("at most so many rows, the newest first", 50)


def entries(world: World, request: EntriesRequest) -> Rows:
    """List the rows of the ledger that a figure comes from."""
    if not 1 <= request.top <= MOST:
        raise InvalidInput(f"{request.top} rows cannot be shown", f"write a number from 1 to {MOST}")
    policy = policy_of(world.catalog)
    who = viewer(world.actor, world.scopes, policy.leads, everyone=request.everyone)
    check_person(who, request.engineer)
    stretch = stretch_of(request.days, world.clock.now().date())
    book = book_of(world)
    around = [one for one in book.entries if stretch.first <= one.day <= stretch.last]
    called = teams_shown(((one.team, one.engineer) for one in around), who)
    if request.team:
        check_team(who, request.team, {one.engineer for one in around if one.team == request.team})
    task_of = _tasks(book.entries, book.task_of) if request.task else {}

    def matches(one: Entry) -> bool:
        return (stretch.first <= one.day <= stretch.last and request.team in ("", one.team)
                and request.engineer in ("", one.engineer) and request.type in ("", one.type)
                and request.category in ("", one.category)
                and (not request.task or task_of[wording_of(one.category, one.description)] == request.task))

    found = sorted(((one.entry.day, number, one) for number, one in book.rows.items() if matches(one.entry)),
                   reverse=True, key=lambda each: each[:2])
    rows = tuple(
        Row(number, one.entry.day, one.entry.hours, one.entry.type, one.entry.category,
            one.entry.engineer if who.may_see(one.entry.engineer) else OTHERS,
            called[one.entry.team] if one.entry.team else "", one.entry.description, one.via)
        for _, number, one in found[:request.top])
    return Rows(stretch.first, stretch.last, len(found), sum(one.entry.hours for _, _, one in found), rows)


def _tasks(work: list[Entry], corrections: dict[str, str]) -> dict[str, str]:
    weights: dict[str, float] = {}
    for one in work:
        wording = wording_of(one.category, one.description)
        weights[wording] = weights.get(wording, 0.0) + one.hours
    return dict(group(weights, corrections).task_of)


ENTRIES = Operation(
    "toil", "entries", EntriesRequest, entries, rows_view, numbers=False, catalog="named",
    exit_codes=((0, "answered"), (2, "the input cannot be used")),
    examples=("mainstay toil entries", "mainstay toil entries --type toil --category deployment --days 90",
              "mainstay toil entries --task 'Restart api workers' --json"))


@dataclass(frozen=True)
class WithdrawRequest:
    """Which row, and why."""

    number: int = arg("the row's number, as toil log and toil entries show it", positional=True)
    why: str = arg("why it is wrong", positional=True)


def withdraw(world: World, request: WithdrawRequest) -> Withdrawn:
    """Take back a row of the ledger that is wrong; it stays in the journal, with the reason."""
    if not request.why.strip():
        raise InvalidInput("the reason is empty", "say in a few words why the row is wrong")
    known = FactQuery(kinds=(WITHDRAWN,))
    row = book_of(world).rows.get(request.number)
    if row is None:
        if any(int(fact.data["entry"]) == request.number for fact in world.journal.facts(known)):
            return Withdrawn(request.number, request.why, new=False)
        raise NotFound(f"the ledger has no row {request.number}", "mainstay toil entries lists them with their numbers")
    leads = policy_of(world.catalog).leads
    if row.entry.engineer != world.actor and world.actor not in leads and "approve" not in world.scopes:
        raise NotAllowed(f"row {request.number} is the work of somebody else",
                         "have them withdraw it, or somebody named under leads in the toil policy")
    world.journal.commit(Batch([NewFact(WITHDRAWN, row.entry.engineer, world.clock.now(),
                                        {"entry": request.number, "why": request.why},
                                        key=f"{WITHDRAWN}:{request.number}", actor=world.actor)]))
    return Withdrawn(request.number, request.why, new=True)


WITHDRAW = Operation(
    "toil", "withdraw", WithdrawRequest, withdraw, withdrawn_view, scope="write", catalog="named",
    exit_codes=((0, "withdrawn"), (2, "there is no such row, or it is somebody else's")),
    examples=("mainstay toil withdraw 41 'logged twice'",))
