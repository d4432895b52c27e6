"""`monitoring audit`: what alerts did in the last days, which of it was noise, and what to change."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from mainstay.kernel.alert_history import Activation, AlertPlace, AlertRule, AlertsRead
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError, NoData
from mainstay.kernel.finding import InvalidFiles, errors_of
from mainstay.kernel.journal import Fact, FactQuery
from mainstay.kernel.objective import DataSource, Objective
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span, parse_duration, zone_named
from mainstay.kernel.view import Code, View
from mainstay.monitoring.audit import (
    Act,
    Yardsticks,
    audited,
)
from mainstay.monitoring.audit_advice import advice, saved
from mainstay.monitoring.audit_view import Audit, audit_markdown, audit_view, definitions
from mainstay.monitoring.conditions import alerts_on, tier_name
from mainstay.monitoring.lifecycle import BEGAN, ENDED, activations
from mainstay.monitoring.spec import alerting_of, tiers_of

ACTS = ("incident.", "alert.", "oncall.", "runbook.")
"""Facts that say somebody acted, when a person recorded them: incidents, acknowledgements, silences, runbooks."""
_NAMES = ("service", "objective", "alert", "alertname", "slo")


@dataclass(frozen=True)
class AuditRequest:
    """Which history, how far back, and the yardsticks."""

    days: int = arg("how many days back from now", 30)
    source: tuple[str, ...] = arg("a declared Prometheus whose ALERTS are read; every declared one when nothing is "
                                  "named", ())
    prometheus: str = arg("the URL of a Prometheus that no catalog declares", "", local_only=True)
    alertmanager: str = arg("the URL of an Alertmanager: what it holds now", "", local_only=True)
    payloads: str = arg("files of webhook payloads or /api/v2/alerts answers, one JSON value a line", "",
                        local_only=True, flag="from")
    by: tuple[str, ...] = arg("labels that say whose an alert is, the first that is there", ())
    zone: tuple[str, ...] = arg("time zones of the people who are on call", ())
    hours: str = arg("office hours, Monday to Friday", "9-17")
    short: str = arg("a firing over within this was resolved before seen", "5m")
    flap_gap: str = arg("firings of one instance that follow each other within this flap", "15m")
    recorded_only: bool = arg("only what this server recorded of its own alerts; ask no other place", False)
    markdown: bool = arg("the report for the monthly review, as Markdown", False)


def audit(world: World, request: AuditRequest) -> Audit:
    """Audit what alerts did: volume, flapping, storms, hours, who acted; and what to change.

    Reads what this server recorded of its own alerts, and the ALERTS series of a Prometheus, an Alertmanager, or logs
    of webhook payloads.
    """
    if wrong := errors_of(world.findings):
        raise InvalidFiles(wrong)
    if not 1 <= request.days <= 400:
        raise InvalidInput(f"--days {request.days} is not a number of days an audit can look at", "write 1 to 400")
    now = world.clock.now()
    span, yard = Span(now - timedelta(days=request.days), now), _yardsticks(request)
    reads, problems = _read(world, request, span)
    held = [read.held for read in reads if read.held is not None]
    if not held:
        raise _nothing(reads, problems, request)
    history = [one for read in reads for one in read.activations]
    rules = _rules(reads)
    seen = Span(min(one.start for one in held), max(one.end for one in held))
    found = audited(history, acts_in(world.journal.facts(FactQuery(kinds=ACTS)), seen), rules, seen, yard)
    suggestions = advice(found)
    firings = sum(one.fresh for one in found.firings)
    result = Audit(
        now, seen.start, seen.end, tuple(read.said for read in reads), firings,
        sum(one.flapping for one in found.firings if one.fresh), sum(one.short for one in found.firings if one.fresh),
        sum(1 for one in found.firings if one.fresh and one.told and not one.acted) if found.acting_known else None,
        min(firings, saved(suggestions)), found.severities, found.after_hours, found.alerts, found.teams, found.people,
        found.storms, found.never_fired, rules is not None, suggestions, problems,
        tuple(f"{where}: {why}" for read in reads for where, why in read.rejected),
        sum(read.rejections for read in reads), definitions(yard), None)
    return result.with_markdown(audit_markdown(result)) if request.markdown else result


def _yardsticks(request: AuditRequest) -> Yardsticks:
    zones = request.zone or ("UTC",)
    for zone in zones:
        zone_named(zone)
    start, _, end = request.hours.partition("-")
    if not (start.isdigit() and end.isdigit() and 0 <= int(start) < int(end) <= 24):
        raise InvalidInput(f'"{request.hours}" are not office hours', "write the first and the last hour, such as 9-17")
    usual = Yardsticks()
    return Yardsticks(parse_duration(request.short), parse_duration(request.flap_gap), zones=zones,
                      office=(int(start), int(end)), team=request.by or usual.team)


# -- reading ------------------------------------------------------------------------------------------------------


def _read(world: World, request: AuditRequest, span: Span) -> tuple[list[AlertsRead], dict[str, str]]:
    """Every history that was asked for; a declared Prometheus that nobody named and that is down is only said."""
    places = [AlertPlace("source", name) for name in request.source]
    places += [AlertPlace("prometheus", request.prometheus)] if request.prometheus else []
    places += [AlertPlace("alertmanager", request.alertmanager)] if request.alertmanager else []
    places += [AlertPlace("payloads", request.payloads)] if request.payloads else []
    named = bool(places)
    if not named and not request.recorded_only:
        places = [AlertPlace("source", one.name) for one in world.catalog.of(DataSource) if one.type == "prometheus"]
    reads: list[AlertsRead] = []
    problems: dict[str, str] = {}
    for place in places:
        world.progress(f"reading the alerts of {place.address}")
        try:
            reads.append(world.alerts(place).read(span))
        except MainstayError as error:
            if named:
                raise
            problems[place.address] = error.message
    # What our own rules made a Prometheus fire would count twice beside our own record.
    if not request.prometheus and not any(_ours(read.activations) for read in reads):
        own = _journal(world, span)
        if own.held is not None or not reads:
            reads.insert(0, own)
    return reads, problems


def _ours(found: Iterable[Activation]) -> bool:
    return any("slo" in one.labels and "tier" in one.labels for one in found)


def _journal(world: World, span: Span) -> AlertsRead:
    """What this server itself recorded of its burn-rate alerts."""
    facts = list(world.journal.facts(FactQuery(kinds=(BEGAN, ENDED))))
    found = tuple(one for one in activations(facts, span.end) if one.began < span.end
                  and (one.ended or one.last_seen) >= span.start)
    held = Span(max(facts[0].at, span.start) if found else span.start, span.end) if found else None
    rules = tuple(AlertRule(f"{objective.name} {tier_name(alert.tier)}", {"slo": objective.name}, alert.tier.hold,
                            timedelta(), "")
                  for objective in world.catalog.of(Objective)
                  for alert in alerts_on(objective, tiers_of(alerting_of(objective, world.catalog)))
                  if not alert.faults) if found else None
    return AlertsRead(f"the journal: {len(found)} firings of burn-rate alerts", found, held, rules)


def _rules(reads: Iterable[AlertsRead]) -> tuple[AlertRule, ...] | None:
    """The rules in force, where at least one place knows them."""
    known = [read.rules for read in reads if read.rules is not None]
    return tuple(rule for rules in known for rule in rules) if known else None


def acts_in(facts: Iterable[Fact], span: Span) -> tuple[Act, ...]:
    """What people did in the span. What the machinery records by itself is nobody's act."""
    out = []
    for fact in facts:
        if fact.actor == "system":
            continue
        until = datetime.fromisoformat(fact.data["until"]) if fact.data.get("until") else fact.at
        if fact.at >= span.end or until < span.start:
            continue
        names = {str(fact.data[name]) for name in _NAMES if fact.data.get(name)}
        out.append(Act(fact.actor, fact.kind, frozenset({fact.subject, *names}), Span(fact.at, until)))
    return tuple(out)


def _nothing(reads: Iterable[AlertsRead], problems: dict[str, str], request: AuditRequest) -> NoData:
    said = "; ".join([*(read.said for read in reads), *(f"{name}: {why}" for name, why in problems.items())])
    rejected = [why for read in reads for _, why in read.rejected]
    way = ("mainstay serve records its alerts; or name a history: --source NAME, --prometheus URL, --alertmanager URL, "
           "--from FILE")
    if request.payloads:
        way = "--days looks further back, --as-of from an earlier moment"
    return NoData(f"no alert is known of the last {request.days} days" + (f" ({said})" if said else "")
                  + (f"; {rejected[0]}" if rejected else ""), way)


def view_of(found: Audit) -> View:
    """The report for people, or the Markdown alone where that was asked for."""
    return View("Audit of alerts", (Code(found.markdown, "markdown"),)) if found.markdown else audit_view(found)


AUDIT = Operation(
    "monitoring", "audit", AuditRequest, audit, view_of,
    exit_codes=((0, "audited"), (2, "a flag, a file or a source is wrong"), (3, "there is no history of alerts")),
    examples=("mainstay monitoring audit", "mainstay monitoring audit --source production --zone Europe/Berlin",
              "mainstay monitoring audit --from 'alerts-*.jsonl' --days 31 --markdown > audit.md",
              "mainstay monitoring audit --prometheus http://localhost:9090 --days 7 --json"))
