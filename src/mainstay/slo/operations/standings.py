"""`slo report` and what all verbs share: choosing objectives, judging them, reading the record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NotFound
from mainstay.kernel.finding import InvalidFiles, did_you_mean, errors_of
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.objective import Objective
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import ServiceStanding, World
from mainstay.kernel.view import Next, Text, View
from mainstay.kernel.wording import many
from mainstay.slo.lifecycle import RECORD_KINDS, Record, records
from mainstay.slo.operations.exclusion import LATE
from mainstay.slo.operations.measuring import Measured, measure
from mainstay.slo.policy import PRESETS, TEMPLATE, Policy, zone_of
from mainstay.slo.spec import ErrorBudgetPolicy
from mainstay.slo.standing import Standing, standing_of
from mainstay.slo.view import notes, standings_table, verdict, worst_first

STALE_AFTER = LATE + timedelta(minutes=10)
"""A source that gave nothing for this long is stale: two slots beyond what may be late."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An objective with its measured holdings, its standing, its policy and its record."""

    measured: Measured
    standing: Standing
    policy: Policy
    record: Record

    @property
    def objective(self) -> Objective:
        """The objective itself."""
        return self.measured.objective


def choose(world: World, names: Sequence[str], service: str = "") -> list[Objective]:
    """The objectives of these names (all when none is given), of one service when it is.

    Raises:
        NotFound: a name or a service that the catalog does not have, or a catalog without objectives.
        InvalidFiles: the operation took any catalog, and this one has mistakes.
    """
    if wrong := errors_of(world.findings):
        raise InvalidFiles(wrong)
    declared = world.catalog.of(Objective)
    if not declared:
        raise NotFound("the catalog declares no objective",
                       "write one (docs/guides/slo.md shows how), or name its folder: -c DIR")
    chosen = [world.catalog.get(Objective, name) for name in names] or list(declared)
    if service:
        services = {one.service for one in declared}
        if service not in services:
            raise NotFound(f'no objective is of service "{service}"{did_you_mean(service, services)}',
                           "known: " + ", ".join(sorted(filter(None, services))))
        chosen = [one for one in chosen if one.service == service]
    return chosen


def policy_for(world: World, objective: Objective) -> Policy:
    """The policy that the objective names, or its service has, or the template."""
    if objective.policy:
        declared = world.catalog.find(ErrorBudgetPolicy, objective.policy)
        return declared.policy if declared is not None else PRESETS[objective.policy]
    for policy in world.catalog.of(ErrorBudgetPolicy):
        if policy.service and policy.service == objective.service:
            return policy.policy
    return TEMPLATE


def judge(world: World, objectives: Sequence[Objective], *, refresh: bool = True, stale_ok: bool = False,
          ) -> list[Judged]:
    """Every objective measured and judged at the clock's now."""
    now = world.clock.now()
    measured = measure(world, objectives, now, refresh=refresh, stale_ok=stale_ok)
    known = records(world.journal.facts(FactQuery(kinds=RECORD_KINDS)))
    out = []
    for one in measured:
        policy = policy_for(world, one.objective)
        record = known.get(one.objective.name, Record())
        stale = bool(one.problem) or (one.holdings.until is not None and now - one.holdings.until > STALE_AFTER)
        warnings = (*one.warnings, *((one.problem,) if one.problem else ()))
        standing = standing_of(one.objective, one.holdings, now, zone=record.zone, frozen=bool(record.frozen),
                               warnings=warnings, stale=stale)
        if not standing.zone and standing.spent is not None:
            standing = standing.in_zone(zone_of(policy, standing.spent).name)
        out.append(Judged(one, standing, policy, record))
    return out


# -- slo report ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReportRequest:
    """Which objectives."""

    names: tuple[str, ...] = arg("objectives; all when none is named", (), positional=True)
    service: str = arg("only objectives of this service", "", value="SERVICE")
    offline: bool = arg("answer from the ledger, without asking the sources", False)
    stale_ok: bool = arg("a source that does not answer marks its objectives stale instead of ending the run", False)


@dataclass(frozen=True, slots=True)
class Report:
    """Where the objectives stand; the field names are its stable JSON."""

    generated_at: datetime
    objectives: tuple[Standing, ...]


def report(world: World, request: ReportRequest) -> Report:
    """Say where every objective stands: budget left, burn, time to exhaustion.

    Sources are asked for what the ledger lacks; everything is then computed from the ledger.
    """
    judged = judge(world, choose(world, request.names, request.service), refresh=not request.offline,
                   stale_ok=request.stale_ok)
    return Report(world.clock.now(), tuple(one.standing for one in judged))


def standing_of_services(world: World, services: Sequence[str], *, fresh: bool = False) -> tuple[ServiceStanding, ...]:
    """How every objective of these services stands, the worst first; from the ledger alone unless it is to be fresh.

    Raises:
        SourceUnavailable: it is to be fresh, and a source does not answer.
    """
    wanted = set(services)
    chosen = [one for one in world.catalog.of(Objective) if one.service in wanted]
    judged = {one.objective.name: one for one in judge(world, chosen, refresh=fresh)} if chosen else {}
    return tuple(ServiceStanding(
        one.name, one.service, one.status, one.window, one.spent, one.burn_rates.get("1h"),
        tuple(each.service for each in judged[one.name].objective.dependencies))
        for one in worst_first(tuple(one.standing for one in judged.values())))


def report_view(found: Report) -> View:
    """The report, worst first."""
    standings = found.objectives
    worst = worst_first(standings)[0].name
    commands = ("mainstay check --sources", f"mainstay slo show {worst}") if report_exit(found) else \
        (f"mainstay slo show {worst}", f"mainstay slo attribute {worst}")
    head = Text(f"{many(len(standings), 'objective')} at {found.generated_at:%-d %b %Y %H:%M} UTC", "quiet")
    return View("Objectives", (head, verdict(standings), standings_table(standings), *notes(standings),
                               Next(commands)))


def report_exit(found: Report) -> int:
    """3 when nothing at all could be measured."""
    return 3 if found.objectives and all(one.status == "no_data" for one in found.objectives) else 0


REPORT = Operation(
    "slo", "report", ReportRequest, report, report_view, exit_code=report_exit,
    exit_codes=((0, "reported"), (2, "the catalog, a flag or a source is wrong"), (3, "no objective has any data")),
    examples=("mainstay slo report", "mainstay slo report --service checkout --json",
              "mainstay slo report checkout-availability --as-of 2026-03-01"))
