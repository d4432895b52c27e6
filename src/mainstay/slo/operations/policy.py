"""`slo gate`, `slo policy`, `slo enforce`: what a budget allows, what is due, and making it so."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import Batch, NewFact
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import State
from mainstay.kernel.view import Block, Cell, Next, Pairs, Text, View, cells, state_cell, table
from mainstay.kernel.wording import percent
from mainstay.slo.lifecycle import facts_of, zone_named
from mainstay.slo.operations.standings import Judged, choose, judge
from mainstay.slo.policy import frozen_in, transition, zone_of

# -- gate ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GateRequest:
    """Which budgets must allow the change, and of what kind it is."""

    names: tuple[str, ...] = arg("objectives; all when none is named", (), positional=True)
    service: str = arg("only objectives of this service", "", value="SERVICE")
    scope: str = arg("what is about to change; a freeze of another scope does not stop it", "", value="SCOPE")
    max_spent: float = arg("also stop when more than this percentage is spent", 100.0)
    offline: bool = arg("answer from the ledger, without asking the sources", False)


@dataclass(frozen=True, slots=True)
class GateEntry:
    """One objective at the gate."""

    name: str
    service: str
    status: State
    consumption_percent: float | None
    frozen: tuple[str, ...]
    passes: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether the change may go ahead: `open`, `closed` or `unknown` (no data)."""

    verdict: str
    generated_at: datetime
    objectives: tuple[GateEntry, ...]
    consumption_percent: float | None


def gate(world: World, request: GateRequest) -> Gate:
    """Ask whether the error budgets allow a change: 0 open, 1 closed, 3 no data.

    An objective without data does not pass silently: the gate then says 3, and the caller decides.
    """
    if not request.max_spent > 0:
        raise InvalidInput(f"--max-spent {request.max_spent:g} would stop every change", "write a percentage above 0")
    judged = judge(world, choose(world, request.names, request.service), refresh=not request.offline)
    entries = tuple(_gate_entry(one, request) for one in judged)
    closed = [one for one in entries if not one.passes and one.consumption_percent is not None]
    frozen = [one for one in entries if one.frozen and not one.passes]
    blind = [one for one in entries if one.consumption_percent is None]
    verdict = "closed" if closed or frozen else "unknown" if blind else "open"
    spent = [one.consumption_percent for one in entries if one.consumption_percent is not None]
    return Gate(verdict, world.clock.now(), entries, max(spent, default=None))


def _gate_entry(one: Judged, request: GateRequest) -> GateEntry:
    spent = one.standing.consumption_percent
    # What is recorded as frozen, and what the policy freezes at this consumption even if nobody enforced it yet.
    scopes = set(one.record.frozen)
    if one.standing.spent is not None:
        scopes |= set(frozen_in(one.policy, zone_of(one.policy, one.standing.spent)))
    stopping = tuple(sorted(scope for scope in scopes if not request.scope or scope in (request.scope, "all-changes")))
    if stopping:
        passes, reason = False, f"frozen: {', '.join(stopping)}"
    elif spent is None:
        passes, reason = False, "no data"
    elif round(spent, 7) > request.max_spent or round(spent, 7) >= 100:
        passes, reason = False, f"{spent:,.1f} % of the budget is spent"
    else:
        passes, reason = True, f"{100 - spent:,.1f} % of the budget is left"
    return GateEntry(one.objective.name, one.objective.service, one.standing.status, spent, stopping, passes, reason)


def gate_view(found: Gate) -> View:
    """The gate's answer, what closes it first."""
    says = {"open": Text("The gate is open: every budget allows the change.", "good"),
            "closed": Text("The gate is closed.", "bad"),
            "unknown": Text("The gate cannot say: an objective has no data.", "warn")}[found.verdict]
    rows = [(one.name, state_cell(one.status), Cell(one.reason, "plain" if one.passes else "bad"))
            for one in sorted(found.objectives, key=lambda one: (one.passes, one.name))]
    closed = [one.name for one in found.objectives if not one.passes]
    return View("Gate", (says, table("", ("objective", "status", "because"), rows),
                         Next(_next_of(found, closed))))


def _next_of(found: Gate, closed: list[str]) -> tuple[str, ...]:
    """Who closed it; or, where nothing was measured, whether the sources answer."""
    if found.verdict == "unknown":
        return ("mainstay check --sources",)
    return (f"mainstay slo attribute {closed[0]}",) if closed else ("mainstay slo report",)


GATE = Operation(
    "slo", "gate", GateRequest, gate, gate_view,
    exit_code=lambda found: {"open": 0, "closed": 1, "unknown": 3}[found.verdict],
    exit_codes=((0, "every budget allows the change"), (1, "a budget is spent or changes are frozen"),
                (2, "the catalog, a flag or a source is wrong"), (3, "an objective has no data")),
    examples=("mainstay slo gate", "mainstay slo gate --service checkout --scope features",
              "mainstay slo gate checkout-availability --max-spent 75 --json"))


# -- policy -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PolicyRequest:
    """Which objectives."""

    names: tuple[str, ...] = arg("objectives; all when none is named", (), positional=True)
    offline: bool = arg("answer from the ledger, without asking the sources", False)


@dataclass(frozen=True, slots=True)
class ZoneReading:
    """A zone of a policy: where it begins and what holds in it."""

    name: str
    spent_percent: float
    meaning: str
    actions: tuple[str, ...]
    current: bool


@dataclass(frozen=True, slots=True)
class PolicyReading:
    """One objective under its policy."""

    name: str
    policy: str
    zone: str
    recorded_zone: str
    consumption_percent: float | None
    frozen: tuple[str, ...]
    zones: tuple[ZoneReading, ...]


@dataclass(frozen=True, slots=True)
class Policies:
    """Objectives under their policies."""

    objectives: tuple[PolicyReading, ...]


def policy(world: World, request: PolicyRequest) -> Policies:
    """Show each objective's policy: its zones, which one the budget is in, what it means now."""
    judged = judge(world, choose(world, request.names), refresh=not request.offline)
    return Policies(tuple(_policy_reading(one) for one in judged))


def _policy_reading(one: Judged) -> PolicyReading:
    spent = one.standing.spent
    current = zone_of(one.policy, spent).name if spent is not None else ""
    zones = tuple(ZoneReading(zone.name, zone.edge * 100, zone.meaning,
                              tuple(type(action).__name__.lower() for action in zone.actions), zone.name == current)
                  for zone in one.policy.zones)
    return PolicyReading(one.objective.name, one.policy.name, current, one.record.zone,
                         one.standing.consumption_percent, tuple(sorted(one.record.frozen)), zones)


def policies_view(found: Policies) -> View:
    """Each policy with the current zone marked."""
    blocks = []
    for one in found.objectives:
        zone = one.zone or "unknown (no data)"
        here = f"{one.name}: {percent(one.consumption_percent)} spent, zone {zone}, policy {one.policy}"
        if one.frozen:
            here += f"; frozen: {', '.join(one.frozen)}"
        blocks.append(table(here, ("", "zone", "from>", "what holds"), [
            ("▸" if zone.current else "", Cell(zone.name, "strong" if zone.current else "plain"),
             f"{zone.spent_percent:g} %", zone.meaning) for zone in one.zones]))
    return View("Budget policies", (*blocks, Next(("mainstay slo enforce",))))


POLICY = Operation(
    "slo", "policy", PolicyRequest, policy, policies_view,
    exit_codes=((0, "shown"), (2, "the catalog, a flag or a source is wrong")),
    examples=("mainstay slo policy", "mainstay slo policy checkout-availability --json"))


# -- enforce ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EnforceRequest:
    """Which objectives, and whether to act."""

    names: tuple[str, ...] = arg("objectives; all when none is named", (), positional=True)
    dry_run: bool = arg("say what would be recorded, and record nothing", False)
    offline: bool = arg("answer from the ledger, without asking the sources", False)
    stale_ok: bool = arg("leave out objectives whose source does not answer", False)


@dataclass(frozen=True, slots=True)
class Passage:
    """An objective that passed from one zone to another, and what that made due."""

    name: str
    from_zone: str
    to_zone: str
    consumption_percent: float
    due: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Enforced:
    """What was recorded (or, in a dry run, would be).

    Args:
        left_out: objectives that nothing was decided about: no data, or none that is fresh.
        problems: those of them whose source could not be asked, each with what it said.
    """

    passages: tuple[Passage, ...]
    unchanged: int
    left_out: tuple[str, ...]
    recorded: bool
    problems: dict[str, str]


def enforce(world: World, request: EnforceRequest) -> Enforced:
    """Judge budgets against their policies; record notices, reviews, freezes and incidents.

    Passing into a worse zone makes its actions due once; leaving it lifts its freezes. Without data nothing changes.
    """
    judged = judge(world, choose(world, request.names), refresh=not request.offline, stale_ok=request.stale_ok)
    passages: list[Passage] = []
    facts: list[NewFact] = []
    left_out: list[str] = []
    for one in judged:
        spent = one.standing.spent
        if spent is None or one.standing.stale:
            left_out.append(one.objective.name)
            continue
        made = _passage(one, spent, world.clock.now())
        if made is not None:
            passages.append(made[0])
            facts += made[1]
    if facts and not request.dry_run:
        world.journal.commit(Batch([replace(fact, actor=world.actor) for fact in facts]))
    return Enforced(tuple(passages), len(judged) - len(passages) - len(left_out), tuple(left_out),
                    bool(facts) and not request.dry_run,
                    {one.objective.name: one.measured.problem for one in judged if one.measured.problem})


def _passage(one: Judged, spent: float, now: datetime) -> tuple[Passage, list[NewFact]] | None:
    before, after = zone_named(one.policy, one.record.zone), zone_of(one.policy, spent)
    frozen = one.record.frozen.keys()
    settled = one.record.by_policy <= set(frozen_in(one.policy, after)) <= frozen
    if before == after and settled:
        return None
    if not one.record.zone and after == one.policy.zones[0] and settled:
        return None  # a budget that was always fine needs no record
    passed = transition(one.policy, before, after)
    facts = facts_of(one.objective.name, one.policy, one.record, after, passed, spent, now)
    due = tuple(f"{fact.kind.removeprefix('slo.')}: {_about(fact)}" for fact in facts[1:])
    return Passage(one.objective.name, one.record.zone or one.policy.zones[0].name, after.name, spent * 100, due), facts


def _about(fact: NewFact) -> str:
    return " · ".join(str(value) for key, value in fact.data.items() if key != "zone")


def enforced_view(found: Enforced) -> View:
    """What passed and what is due."""
    rows = [(one.name, cells(f"{one.from_zone} → {one.to_zone}", percent(one.consumption_percent)))
            for one in found.passages]
    head = Text("Nothing passed into another zone." if not found.passages else
                "Recorded." if found.recorded else "This would be recorded:", "plain" if found.passages else "good")
    due = [(one.name, text) for one in found.passages for text in one.due]
    blocks: list[Block] = [head]
    if rows:
        blocks.append(Pairs(tuple(rows)))
    if due:
        blocks.append(table("Due", ("objective", "what"), due))
    if found.left_out:
        blocks.append(Text(f"Left out, no fresh data: {', '.join(found.left_out)}", "warn"))
    return View("Policies enforced", (*blocks, Next(("mainstay slo gate",))))


ENFORCE = Operation(
    "slo", "enforce", EnforceRequest, enforce, enforced_view, scope="write",
    exit_codes=((0, "judged, and recorded what was due"), (2, "the catalog, a flag or a source is wrong")),
    examples=("mainstay slo enforce --dry-run", "mainstay slo enforce"))
