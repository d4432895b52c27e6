"""`mainstay runbook simulate` and `prove`: what a rule would have done, and what it can never do, before it is let."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from mainstay.kernel.alert_history import AlertPlace
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span, format_duration, parse_duration
from mainstay.runbook.operations.looking import measures_of
from mainstay.runbook.remedy import Called, OnBudget, OnSchedule, Remediation
from mainstay.runbook.remedy_reading import Proven, Simulated
from mainstay.runbook.remedy_search import Scope, search
from mainstay.runbook.remedy_simulation import (
    ALERT_FACTS,
    BUDGET_FACTS,
    Assumed,
    Trouble,
    of_activations,
    of_alert_facts,
    of_schedule,
    of_zone_facts,
    replayed,
)
from mainstay.runbook.remedy_view import proof_view, simulated_view
from mainstay.runbook.spec import Runbook

_BY_HAND = timedelta(minutes=15)
"""What a person needs where nobody said or measured: to be paged, to look, to type the command, to see that it helped.
An assumption, and said as one."""


_ANY_AGE = timedelta(days=3653)
_MOST_MOMENTS = 50_000
"""Of a schedule that are replayed: every minute of a month, within some ten seconds."""


@dataclass(frozen=True)
class SimulateRequest:
    """Which rule, over which alerts."""

    rule: str = arg("the remediation", positional=True)
    replay: str = arg("over the alerts of the last so long", "30d", value="DURATION")
    events: str = arg("logs of Alertmanager's webhook payloads instead of the journal", "", value="FILE",
                      local_only=True)
    source: str = arg("a declared Prometheus that remembers alerts, instead of the journal", "", value="NAME")
    takes: str = arg("how long a run takes; the median of its runbook's runs", "", value="DURATION")
    decisions: int = arg("show so many decisions", 20)


def simulate(world: World, request: SimulateRequest) -> Simulated:
    """Show what a remediation would have done over alerts that were, or at its schedule."""
    rule = world.catalog.get(Remediation, request.rule)
    if isinstance(rule.when, Called):
        raise InvalidInput(f"{rule.name} is called by name, and nobody knows when it would have been",
                           "let it observe for a while: mode: observe")
    now = world.clock.now()
    span = Span(now - parse_duration(request.replay), now)
    troubles, said, span = _troubles(world, rule, request, span)
    takes, measured = _takes(world, rule, request.takes)
    each = _each(world, rule)
    helps, fails = (replayed(rule, troubles, span, Assumed(takes, well, each)) for well in (True, False))
    assumed = ["nothing else held a lock"]
    if rule.condition.checks:
        # Of the past nobody asked; for a schedule this is the most that it could have done.
        often = " each time it came round, but for the time in which a run that helps is verified" if rule.held else ""
        assumed.append(f"its condition held{often}: " + "; ".join(map(str, rule.condition.checks)))
    if rule.mode == "approve":
        assumed.append("each run was approved at once")
    if rule.saved is None and _declared_minutes(world, rule) is None:
        assumed.append(f"a person needs {format_duration(each)} each time: declare saves, or manual_minutes of "
                       f"{rule.runbook}")
    return Simulated(rule.name, rule.mode, rule.runbook, span.start, span.end, said, takes.total_seconds(), measured,
                     each.total_seconds() / 60, tuple(assumed), helps, fails, max(request.decisions, 0))


def _troubles(world: World, rule: Remediation, request: SimulateRequest, span: Span,
              ) -> tuple[list[Trouble], str, Span]:
    if request.events and request.source:
        raise InvalidInput("--events and --source are two histories", "name one")
    if isinstance(rule.when, OnSchedule):
        return _moments(rule, request, span), "its schedule", span
    if isinstance(rule.when, OnBudget):
        if request.events or request.source:
            raise InvalidInput(f"{rule.name} is triggered by a budget, which the journal alone remembers",
                               "leave --events and --source out")
        facts = world.journal.facts(FactQuery(kinds=BUDGET_FACTS, subject=rule.when.objective, until=span.end))
        return of_zone_facts(facts, rule.when.objective, rule.when.zones), "the journal", span
    if not request.events and not request.source:
        found = of_alert_facts(world.journal.facts(FactQuery(kinds=ALERT_FACTS, until=span.end)), rule)
        return found, "the journal", span
    if request.source:
        read = world.alerts(AlertPlace("source", request.source)).read(span)
        return of_activations(read.activations, rule), read.said, span
    # A file is of its own time, whatever the date is today.
    read = world.alerts(AlertPlace("payloads", request.events)).read(Span(span.end - _ANY_AGE, span.end))
    if read.activations and all(one.last_seen < span.start for one in read.activations):
        ends = [one.ended or one.last_seen for one in read.activations]
        span = Span(read.activations[0].began, max(ends) + timedelta(hours=1))
    return of_activations(read.activations, rule), read.said, span


def _moments(rule: Remediation, request: SimulateRequest, span: Span) -> list[Trouble]:
    if request.events or request.source:
        raise InvalidInput(f"{rule.name} is triggered by a schedule, which needs no history",
                           "leave --events and --source out")
    assert isinstance(rule.when, OnSchedule), "it was asked"
    often = span.length / (rule.when.every or timedelta(days=1))
    if often > _MOST_MOMENTS:
        raise InvalidInput(f"{rule.name} comes round {often:,.0f} times in {format_duration(span.length)}, more than "
                           f"the {_MOST_MOMENTS:,} that are replayed", "replay a shorter time: --replay 1d")
    return of_schedule(rule, span)


def _takes(world: World, rule: Remediation, said: str) -> tuple[timedelta, int]:
    if said:
        return parse_duration(said), 0
    book = world.catalog.get(Runbook, rule.runbook)
    did = measures_of(world, book)
    if did.seconds is None:
        return timedelta(minutes=1), 0
    return timedelta(seconds=did.seconds), did.succeeded


def _declared_minutes(world: World, rule: Remediation) -> float | None:
    return measures_of(world, world.catalog.get(Runbook, rule.runbook)).manual_minutes


def _each(world: World, rule: Remediation) -> timedelta:
    if rule.saved is not None:
        return rule.saved
    minutes = _declared_minutes(world, rule)
    return _BY_HAND if minutes is None else timedelta(minutes=minutes)


SIMULATE = Operation(
    "runbook", "simulate", SimulateRequest, simulate, simulated_view,
    exit_code=lambda found: 0 if found.if_it_helps.troubles else 3,
    exit_codes=((0, "replayed"), (2, "the rule or a flag cannot be used"), (3, "nothing triggered it in that time")),
    examples=("mainstay runbook simulate restart-cache", "mainstay runbook simulate restart-cache --replay 90d --json",
              "mainstay runbook simulate restart-cache --source prometheus --takes 45s",
              "mainstay runbook simulate restart-cache --events payloads.jsonl"))


# -- prove ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ProveRequest:
    """Which rule, and how far is looked."""

    rule: str = arg("the remediation; all of them together when left out", "", positional=True)
    targets: int = arg("so many targets, 1 to 4", 2)
    depth: int = arg("so many events one after the other, 1 to 12", 5)


def prove(world: World, request: ProveRequest) -> Proven:
    """Search every order of events for one that breaks the limits of a remediation."""
    rules = (world.catalog.get(Remediation, request.rule),) if request.rule else world.catalog.of(Remediation)
    if not rules:
        raise InvalidInput("the catalog declares no remediation", "declare one: kind: Remediation")
    if not 1 <= request.targets <= 4 or not 1 <= request.depth <= 12:
        raise InvalidInput(f"{request.targets} targets and {request.depth} events are outside what can be searched",
                           "give 1 to 4 targets and 1 to 12 events")
    scope = Scope(tuple(replace(one, mode="act") for one in rules), request.targets, request.depth)
    return Proven(tuple(one.name for one in rules), search(scope))


PROVE = Operation(
    # On the command line alone: a deep search takes a processor for minutes.
    "runbook", "prove", ProveRequest, prove, proof_view, doors=("cli",),
    exit_code=lambda found: 1 if found.proof.breach is not None else 0 if found.proof.complete else 4,
    exit_codes=((0, "nothing breaks"), (1, "a limit breaks"), (2, "a flag cannot be used"),
                (4, "too much to look at: give fewer targets or events")),
    examples=("mainstay runbook prove restart-cache", "mainstay runbook prove --targets 3 --depth 4 --json"))
