"""`mainstay runbook audit`: every fact of runs in order, and whether each says what it said."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NotFound
from mainstay.kernel.journal import Fact, FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Cell, Next, Text, View, table
from mainstay.kernel.wording import many
from mainstay.runbook.chain import Broken, broken
from mainstay.runbook.run import KINDS


@dataclass(frozen=True)
class AuditRequest:
    """What is wanted, of which run."""

    what: str = arg("show the facts, or verify that none was changed", "show", positional=True,
                    choices=("show", "verify"))
    name: str = arg("a run, such as RB-7; all when left out", "", positional=True)
    expect: str = arg("the last seal of that run as it was noted elsewhere", "", value="SEAL")


@dataclass(frozen=True, slots=True)
class AuditLine:
    """A fact of a run; `seq` is its place in the journal."""

    seq: int
    run: str
    number: int
    at: datetime
    kind: str
    actor: str
    data: Mapping[str, Any]
    seal: str


@dataclass(frozen=True, slots=True)
class Audited:
    """The facts, and those that do not hold.

    Args:
        seals: the last seal of each run: noted elsewhere, it also shows a chain that was made anew whole.
    """

    facts: tuple[AuditLine, ...]
    broken: tuple[Broken, ...]
    runs: int
    checked: int
    seals: Mapping[str, str]
    verified: bool


def audit(world: World, request: AuditRequest) -> Audited:
    """Show every act of a run with who did it, or verify that no row was edited."""
    by_run: dict[str, list[Fact]] = {}
    subject = request.name or None
    for fact in world.journal.facts(FactQuery(kinds=KINDS, subject=subject)):
        by_run.setdefault(fact.subject, []).append(fact)
    if subject is not None and not by_run:
        raise NotFound(f'no run is named "{subject}"', "mainstay runbook status --all")
    wrong = [one for run, facts in by_run.items() for one in broken(run, facts)]
    seals = {run: str(facts[-1].data.get("seal", "")) for run, facts in by_run.items()}
    if request.expect and subject is not None and not seals[subject].startswith(request.expect):
        last = by_run[subject][-1]
        wrong.append(Broken(subject, len(by_run[subject]) - 1, last.seq,
                            f"the last seal is {seals[subject]}, not {request.expect}"))
    # A run's number tells of one that was taken away whole.
    numbers = sorted(int(run.partition("-")[2]) for run in by_run if run.startswith("RB-"))
    if subject is None and numbers and len(numbers) != numbers[-1]:
        missing = sorted(set(range(1, numbers[-1])) - set(numbers))
        wrong += [Broken(f"RB-{number}", 0, 0, "the whole run is missing") for number in missing]
    shown = () if request.what == "verify" else tuple(
        _line(fact) for facts in by_run.values() for fact in facts)
    return Audited(shown, tuple(wrong), len(by_run), sum(map(len, by_run.values())), seals, request.what == "verify")


def _line(fact: Fact) -> AuditLine:
    data = {name: value for name, value in fact.data.items() if name not in ("seal", "n", "plan")}
    return AuditLine(fact.seq, fact.subject, int(fact.data.get("n", -1)), fact.at, fact.kind, fact.actor, data,
                     str(fact.data.get("seal", "")))


_MOST = 500
_TOLD = ("step", "state", "choice", "why", "error", "text", "worker", "hash")


def audit_view(found: Audited) -> View:
    """Whether all holds, then a row a fact."""
    verdict = Text(f"Every one of {many(found.checked, 'fact')} of {many(found.runs, 'run')} says what it said.",
                   "good") if not found.broken else \
        Text(f"{many(len(found.broken), 'fact')} of {found.checked} {'does' if len(found.broken) == 1 else 'do'} "
             "not hold.", "bad")
    blocks = [verdict]
    rows = [(str(one.number), one.run, Cell(f"{one.at:%Y-%m-%d %H:%M:%S} UTC", at=one.at),
             one.kind.partition(".")[2].replace("-", " "), one.actor, _told(one.data)) for one in found.facts[-_MOST:]]
    bad = [(one.run, str(one.number), str(one.seq or "–"), Cell(one.why, "bad")) for one in found.broken]
    tables = [table("What does not hold", ("run", "fact>", "journal>", "why"), bad)] if bad else []
    tables += [table("Facts", ("#>", "run", "at", "what", "who", "with"), rows)] if rows else []
    seals = [table("Last seals", ("run", "seal"), list(found.seals.items())[-_MOST:])] if found.verified else []
    commands = ("mainstay runbook audit verify",) if not found.verified else ("mainstay runbook audit show",)
    return View("Audit", (*blocks, *tables, *seals, Next(commands)))


def _told(data: Mapping[str, Any]) -> str:
    said = [f"{name} {_short(name, str(data[name]))}" for name in _TOLD if data.get(name)]
    return " · ".join(said)


def _short(name: str, text: str) -> str:
    return text[:12] if name == "hash" else " ".join(text[:80].split())


AUDIT = Operation(
    "runbook", "audit", AuditRequest, audit, audit_view, catalog="unused",
    exit_code=lambda found: 1 if found.broken else 0,
    exit_codes=((0, "every fact holds"), (1, "a fact was changed, taken away or put between"),
                (2, "there is no such run")),
    examples=("mainstay runbook audit show RB-7", "mainstay runbook audit verify",
              "mainstay runbook audit verify RB-7 --expect 3f9c0a77"))
