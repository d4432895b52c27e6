"""`monitoring alerts`: every objective's tiers as they stand, judged from the ledger; and the record of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta

from mainstay.kernel.alert_history import Activation, AlertPlace
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import MainstayError
from mainstay.kernel.finding import InvalidFiles, errors_of
from mainstay.kernel.journal import Batch, Fact, FactQuery, NewFact
from mainstay.kernel.objective import DataSource, Objective, ledger_key, resolved
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span, short_duration
from mainstay.kernel.series import Series, floor_slot
from mainstay.monitoring.alerts_view import AlertReading, Elsewhere, alerts_view
from mainstay.monitoring.chain import SEVERITY_LABEL, SLO_LABEL, TIER_LABEL
from mainstay.monitoring.conditions import alerts_on, burns, changes, measured_until, tier_name
from mainstay.monitoring.lifecycle import (
    BEGAN,
    ENDED,
    Firing,
    Standing,
    activations,
    ended,
    facts_of,
    followed,
    recorded,
)
from mainstay.monitoring.spec import alerting_of, tiers_of
from mainstay.stats.budget import BurnAlert
from mainstay.stats.compliance import Running

HISTORY = timedelta(days=30)
"""How far back the ledger is judged the first time, so that a page and an audit have something to show."""
STALE = timedelta(minutes=25)
"""A ledger whose last slot is older than this gets no fresh data: two slots beyond what may come late."""
KEPT = 2 * HISTORY
"""How much of the record a server keeps at hand."""
SLOT = timedelta(minutes=5)
LOOK_BACK = timedelta(minutes=10)
"""How much of a Prometheus' own alerts is read to know how they stand now."""

Planned = Mapping[str, Sequence[Span]]
"""Planned work by objective: slots in it say nothing."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An alert followed through the ledger. `until` is the end of the last measured slot; None without any."""

    objective: Objective
    alert: BurnAlert
    before: Standing
    standing: Standing
    firings: tuple[Firing, ...]
    burns: tuple[float | None, float | None]
    until: datetime | None

    @property
    def tier(self) -> str:
        """The tier's name."""
        return tier_name(self.alert.tier)


@dataclass(slots=True)
class Watch:
    """What is remembered from one round to the next, so that a round reads only what is new.

    Args:
        through: up to where each alert is judged, and how it stood there.
        known: how each alert stood when something was last recorded of it.
        facts: what was recorded of alerts, in order; enough of it for `KEPT`.
        seq: up to which fact the journal is read.
    """

    through: dict[tuple[str, str], tuple[datetime, Standing]] = field(default_factory=dict)
    known: dict[tuple[str, str], Standing] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    seq: int = 0

    def catch_up(self, world: World) -> bool:
        """Read what was recorded since the last time, also by others; whether there was anything."""
        fresh = list(world.journal.facts(FactQuery(kinds=(BEGAN, ENDED), after=self.seq)))
        if not fresh:
            return False
        self.known |= recorded(fresh)
        self.seq = fresh[-1].seq
        oldest = world.clock.now() - KEPT
        firing = {key for key, standing in self.known.items() if standing.state == "firing"}
        self.facts = [one for one in (*self.facts, *fresh)
                      if one.at >= oldest or (one.subject, one.data.get("tier")) in firing]
        return True

    def past(self, since: datetime, now: datetime) -> tuple[Activation, ...]:
        """The recorded alerts that were on since then, by when they began."""
        return _on_since(activations(self.facts, now), since)


# -- judging ------------------------------------------------------------------------------------------------------


def judge(world: World, objectives: Sequence[Objective], watch: Watch | None = None,
          planned: Planned | None = None) -> list[Judged]:
    """Every alert that can trip, followed from where it was last recorded to now. Records nothing, asks no source."""
    watch = watch or Watch()
    now = world.clock.now()
    watch.catch_up(world)
    planned = _planned_by_facts(world) if planned is None else planned
    out: list[Judged] = []
    for start, those in _by_reach(world, objectives, watch, now).items():
        keys = {one.name: ledger_key(resolved(one, world.catalog), one.method) for one, _ in those}
        end = datetime.fromtimestamp(floor_slot(now), UTC)
        slots = world.ledger.read(list(dict.fromkeys(keys.values())), Span(start, end))
        for objective, alerts in those:
            series = slots[keys[objective.name]].without(planned.get(objective.name, ()))
            out += _judge_one(objective, alerts, series, watch, now)
    return out


_Wanted = tuple[Objective, tuple[BurnAlert, ...]]


def _by_reach(world: World, objectives: Sequence[Objective], watch: Watch, now: datetime,
              ) -> dict[datetime, list[_Wanted]]:
    """The objectives with their alerts, by the day from which on slots of them are needed: one reading a day."""
    out: dict[datetime, list[_Wanted]] = {}
    for objective in objectives:
        alerts = tuple(one for one in alerts_on(objective, tiers_of(alerting_of(objective, world.catalog)))
                       if not one.faults)
        if not alerts:
            continue
        need = min(_start(objective, one, watch, now)[0] - one.tier.long for one in alerts)
        day = need.replace(hour=0, minute=0, second=0, microsecond=0)
        out.setdefault(day, []).append((objective, alerts))
    return out


def _start(objective: Objective, alert: BurnAlert, watch: Watch, now: datetime) -> tuple[datetime, Standing]:
    """From where on the alert is still to be judged, and how it stood there: as remembered, else as recorded."""
    key = objective.name, tier_name(alert.tier)
    standing = watch.known.get(key, Standing())
    remembered = watch.through.get(key)
    # Another server may have recorded otherwise, of counts that came late for example: what is recorded holds.
    if remembered is not None and (remembered[1].state == "firing") == (standing.state == "firing"):
        return remembered
    return max(standing.since or now - HISTORY, now - HISTORY), standing


def _judge_one(objective: Objective, alerts: Iterable[BurnAlert], series: Series, watch: Watch, now: datetime,
               ) -> list[Judged]:
    running, until = Running.of(series), measured_until(series)
    out = []
    for alert in alerts:
        after, start = _start(objective, alert, watch, now)
        before = watch.known.get((objective.name, tier_name(alert.tier)), Standing())
        # What the last slot said is good until the next one could say otherwise.
        good = after if until is None else min(now, until + SLOT)
        standing, firings = followed(start, changes(alert, series, running, after), alert.tier.hold, good)
        out.append(Judged(objective, alert, before, standing, firings,
                          burns(alert, objective, running, until or now), until))
    return out


def _planned_by_facts(world: World) -> Planned:
    """Planned work as the journal has it."""
    out: dict[str, list[Span]] = {}
    for fact in world.journal.facts(FactQuery(kinds=("slo.maintenance-excluded",))):
        out.setdefault(fact.subject, []).append(Span(fact.at, datetime.fromisoformat(fact.data["until"])))
    return out


# -- recording ----------------------------------------------------------------------------------------------------


def record_alerts(world: World, watch: Watch, planned: Planned | None = None) -> list[Judged]:
    """Judge every alert and record what began and ended since; for a server's schedule.

    Repeating it records nothing twice, and after a pause it records what it missed, at the times it happened.
    """
    judged = judge(world, world.catalog.of(Objective), watch, planned)
    facts: list[NewFact] = []
    for one in judged:
        tier, objective = one.alert.tier, one.objective
        facts += facts_of(objective.name, one.tier, one.before, one.firings, {
            "severity": tier.severity, "service": objective.service, "owner": objective.owner,
            "hold_seconds": tier.hold.total_seconds(), "factor": float(one.alert.factor), "long_burn": one.burns[0],
            "short_burn": one.burns[1]})
    alive = {(one.objective.name, one.tier) for one in judged}
    facts += [ended(name, tier, standing.since, world.clock.now(), "it is no longer declared")
              for (name, tier), standing in watch.known.items()
              if standing.state == "firing" and standing.since is not None and (name, tier) not in alive]
    if facts:
        world.journal.commit(Batch(facts))
        watch.catch_up(world)
    for one in judged:
        if one.until is not None:
            watch.through[one.objective.name, one.tier] = one.until, one.standing
    return judged


# -- what a Prometheus itself says --------------------------------------------------------------------------------


def elsewhere(world: World, names: Iterable[str] = ()) -> tuple[dict[tuple[str, str], Elsewhere], dict[str, str]]:
    """How the Prometheus sources' own rules see the alerts, by objective and tier; and why some could not say.

    Args:
        names: the sources to ask; every declared Prometheus when there is none.
    """
    now = world.clock.now()
    asked = list(names) or [one.name for one in world.catalog.of(DataSource) if one.type == "prometheus"]
    found: dict[tuple[str, str], Elsewhere] = {}
    problems: dict[str, str] = {}
    for name in asked:
        try:
            read = world.alerts(AlertPlace("source", name)).read(Span(now - LOOK_BACK, now))
        except MainstayError as error:
            problems[name] = error.message
            continue
        for rule in read.rules or ():
            if key := _names(rule.labels):
                found.setdefault(key, Elsewhere(name, "inactive", None))
        for one in read.activations:
            if one.ended is None and (key := _names(one.labels)):
                found[key] = Elsewhere(name, "firing" if one.fired else "pending", one.fired or one.began)
    return found, problems


def _names(labels: Mapping[str, str]) -> tuple[str, str] | None:
    """Which of our alerts the labels mean: the objective, and the tier, or failing that the severity."""
    slo, tier = labels.get(SLO_LABEL), labels.get(TIER_LABEL) or labels.get(SEVERITY_LABEL)
    return (slo, tier) if slo and tier else None


# -- the verb -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AlertsRequest:
    """Which objectives."""

    names: tuple[str, ...] = arg("objectives; all when none is named", (), positional=True)
    compare: bool = arg("also ask each Prometheus source how its own rules see it", False)


@dataclass(frozen=True, slots=True)
class Alerts:
    """How the alerts stand. `problems`: sources that could not be compared with, and why."""

    generated_at: datetime
    alerts: tuple[AlertReading, ...]
    problems: dict[str, str]


def alerts(world: World, request: AlertsRequest) -> Alerts:
    """Show every objective's burn-rate alerts: firing, pending or quiet, and since when.

    Answers from the ledger as it is; `mainstay slo report` brings it up to date, and so does a running server.
    """
    if wrong := errors_of(world.findings):
        raise InvalidFiles(wrong)
    objectives = [world.catalog.get(Objective, name) for name in request.names] or list(world.catalog.of(Objective))
    theirs, problems = elsewhere(world) if request.compare else ({}, {})
    return Alerts(world.clock.now(), readings(world, objectives, judge(world, objectives), theirs), problems)


def readings(world: World, objectives: Sequence[Objective], judged: Sequence[Judged],
             theirs: Mapping[tuple[str, str], Elsewhere]) -> tuple[AlertReading, ...]:
    """Every tier of the objectives, those that can never trip with what is wrong with them."""
    now = world.clock.now()
    by_key = {(one.objective.name, one.tier): one for one in judged}
    out = []
    for objective in objectives:
        for alert in alerts_on(objective, tiers_of(alerting_of(objective, world.catalog))):
            name = tier_name(alert.tier)
            found = by_key.get((objective.name, name))
            reading = _useless(objective, alert) if found is None else _reading(found, now)
            seen = theirs.get((objective.name, name)) or theirs.get((objective.name, alert.tier.severity))
            out.append(replace(reading, elsewhere=seen))
    return tuple(out)


def _useless(objective: Objective, alert: BurnAlert) -> AlertReading:
    tier = alert.tier
    return AlertReading(
        objective.name, objective.service, objective.owner, tier_name(tier), tier.severity,
        short_duration(tier.long), short_duration(alert.short), "useless", None, float(alert.factor), None, None,
        tier.hold.total_seconds(), None, None, False, alert.faults, None)


def _reading(one: Judged, now: datetime) -> AlertReading:
    nothing = one.until is None or (one.burns[0] is None and one.standing.state == "inactive")
    pending = one.standing.state == "pending" and one.standing.tripped is not None
    return replace(
        _useless(one.objective, one.alert), state="no_data" if nothing else one.standing.state,
        since=one.standing.since, long_burn=one.burns[0], short_burn=one.burns[1],
        fires_at=one.standing.tripped + one.alert.tier.hold if pending and one.standing.tripped else None,
        measured_until=one.until, stale=one.until is not None and now - one.until > STALE, faults=())


def past(world: World, objective: str, since: datetime) -> tuple[Activation, ...]:
    """The recorded alerts of one objective that were on since then, by when they began."""
    facts = world.journal.facts(FactQuery(kinds=(BEGAN, ENDED), subject=objective))
    return _on_since(activations(facts, world.clock.now()), since)


def _on_since(fired: Iterable[Activation], since: datetime) -> tuple[Activation, ...]:
    return tuple(one for one in fired if one.ended is None or one.ended >= since)


ALERTS = Operation(
    "monitoring", "alerts", AlertsRequest, alerts,
    lambda found: alerts_view(found.generated_at, found.alerts, found.problems),
    exit_code=lambda found: 3 if all(one.state in ("no_data", "useless") for one in found.alerts) else 0,
    exit_codes=((0, "shown"), (2, "the catalog or a flag is wrong"), (3, "no alert has any data")),
    examples=("mainstay monitoring alerts", "mainstay monitoring alerts checkout-availability --compare --json"),
    doors=("cli", "http"))
