"""What a span of alert history amounts to: volume, noise, storms, hours, and who acted. Pure.

How the words are meant, here and wherever the audit is shown:

* an *alert* is a name with a severity (and, for burn-rate alerts, an objective and a tier); an *instance* is one set of
  labels of it; a *firing* is one stretch of an instance that fired, counted where it began inside the span;
* a firing *repeats* when the same instance fired before in the span;
* an instance *flaps* when it fires at least `flap_least` times, each within `flap_gap` of the end of the one before;
* a firing was *resolved before seen* when it ended within `short`: nobody had a chance to look;
* it was *acted on* when a person recorded something about the alert, its objective or its service from five minutes
  before it began to half an hour after it ended; where fewer than three such acts are recorded in the span, that an
  alert has none says nothing, and is unknown;
* it was *after hours* when it began outside of Monday to Friday, `office` hours, in the zone;
* a *storm* is `storm` or more firings of different instances that begin within `storm_within`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta

from mainstay.kernel.alert_history import Activation, AlertRule
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import Span, zone_named

BEFORE, AFTER = timedelta(minutes=5), timedelta(minutes=30)
"""How far around a firing something recorded counts as acting on it: on-call acknowledges in minutes, writes later."""
FEWEST_ACTS = 3
"""Acts below which a team plainly does not record what it does."""
ALWAYS = 0.9
"""Share of the span from which on an alert counts as always firing."""
BY_DESIGN = frozenset({"watchdog", "deadmansswitch", "deadmanssnitch", "heartbeat"})
"""Alerts that are meant to fire all the time, so that silence is noticed; the mixins call theirs Watchdog."""
IDENTITY = ("alertname", "severity", "slo", "tier")
"""The labels that make an alert; the others tell its instances apart."""


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """What the audit holds the history against; see the module's text.

    Args:
        zones: where people are; the first one decides what is after hours in the tables.
        office: the first hour and the one after the last, 0..24.
        team: labels that say whose an alert is, the first that is there.
    """

    short: timedelta = timedelta(minutes=5)
    flap_gap: timedelta = timedelta(minutes=15)
    flap_least: int = 3
    storm: int = 10
    storm_within: timedelta = timedelta(minutes=5)
    zones: tuple[str, ...] = ("UTC",)
    office: tuple[int, int] = (9, 17)
    team: tuple[str, ...] = ("team", "owner", "service", "namespace", "job")


@dataclass(frozen=True, slots=True)
class Act:
    """Something a person did about alerts: what it names (objective, service, alert), from when to when."""

    who: str
    what: str
    names: frozenset[str]
    span: Span


@dataclass(frozen=True, slots=True)
class Firing:
    """One firing, with what the audit found out about it.

    Args:
        held: how long its condition was seen to hold: what `for` is compared with.
        run: which run of flapping of its instance it is part of, from 1 on; 0 for none.
        length: how long it fired; None where its end is not known.
        acted: None where nothing says so and too little is recorded to conclude from that.
    """

    alert: tuple[str, ...]
    labels: Mapping[str, str]
    began: datetime
    fired: datetime
    ended: datetime | None
    held: timedelta
    length: timedelta | None
    fresh: bool
    told: bool
    repeat: bool
    run: int
    short: bool
    after_hours: bool
    acted: bool | None

    @property
    def flapping(self) -> bool:
        """Whether it is part of a run that flaps."""
        return self.run > 0


@dataclass(frozen=True, slots=True)
class AlertFigures:
    """One alert over the span; the field names are its stable JSON. Shares are 0..1.

    Args:
        hold_seconds, keep_seconds: `for` and `keep_firing_for` of its rule; None where the rules are not known.
        firing_seconds: together over all instances, within the span.
        share_of_time: of the span, in which any instance fired.
        short_after_hours: of the short ones, those that began after hours.
        unacted: firings that somebody was told of and nobody acted on; None where acting is not recorded.
        pending_only: times its condition held for less than `for`.
    """

    name: str
    severity: str
    team: str
    firings: int
    instances: int
    firing_seconds: float
    share_of_time: float
    repeats: int
    flapping: int
    short: int
    short_after_hours: int
    after_hours: int
    unacted: int | None
    pending_only: int
    always: bool
    by_design: bool
    hold_seconds: float | None
    keep_seconds: float | None
    per_day: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TeamFigures:
    """One team's share: firings, those of paging severity, the after-hours share by zone."""

    team: str
    firings: int
    pages: int
    flapping: int
    short: int
    unacted: int | None
    after_hours: dict[str, float]


@dataclass(frozen=True, slots=True)
class PersonFigures:
    """What one person recorded: acts, and those after hours in the first zone."""

    person: str
    acts: int
    after_hours: int


@dataclass(frozen=True, slots=True)
class Storm:
    """Many alerts at once. `together`: labels that all of them share, the most telling first."""

    start: datetime
    end: datetime
    firings: int
    alerts: tuple[str, ...]
    together: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """The whole span."""

    firings: tuple[Firing, ...]
    alerts: tuple[AlertFigures, ...]
    teams: tuple[TeamFigures, ...]
    people: tuple[PersonFigures, ...]
    storms: tuple[Storm, ...]
    severities: dict[str, int]
    after_hours: dict[str, float]
    acting_known: bool
    never_fired: tuple[str, ...] = ()


PAGING = frozenset({"page", "critical", "high", "emergency", "p1", "sev1"})
"""Severities that wake somebody, as the mixins, Sloth and paging tools name them."""


def audited(history: Sequence[Activation], acts: Sequence[Act], rules: Sequence[AlertRule] | None, span: Span,
            yard: Yardsticks) -> Figures:
    """The figures of the span.

    Args:
        rules: what is in force, to know what never fired; None where that is not known.
    """
    firings = firings_of(history, acts, span, yard)
    fresh = [one for one in firings if one.fresh]
    alerts = _by_alert(firings, history, rules or (), span, yard)
    fired = {one.labels["alertname"] for one in firings}
    # A burn-rate alert that is quiet does its work; that it can fire, a backtest shows.
    quiet = tuple(sorted({rule.name for rule in rules or () if "slo" not in rule.labels} - fired))
    known = len(acts) >= FEWEST_ACTS
    return Figures(
        tuple(firings), alerts, _teams(fresh, yard, known), _people(acts, yard), storms(fresh, yard),
        dict(Counter(one.labels.get("severity", "none") for one in fresh).most_common()),
        {zone: _share(fresh, zone, yard) for zone in yard.zones}, known, quiet)


# -- firings ------------------------------------------------------------------------------------------------------


def identity(labels: Mapping[str, str]) -> tuple[str, ...]:
    """What makes an alert: its name and severity, and the objective and tier where it is about one."""
    return tuple(labels.get(name, "") for name in IDENTITY)


def title(key: tuple[str, ...]) -> str:
    """An alert's name for people; the objective and tier where the name does not say them."""
    name, _, slo, tier = key
    more = [part for part in (slo, tier) if part and part not in name]
    return " · ".join([name, *more])


def firings_of(history: Iterable[Activation], acts: Sequence[Act], span: Span, yard: Yardsticks) -> list[Firing]:
    """Every firing that touches the span, by when it began."""
    instances: dict[tuple[tuple[str, str], ...], list[Activation]] = {}
    for one in history:
        if one.fired is not None and one.fired < span.end and (one.ended or one.last_seen) >= span.start:
            instances.setdefault(tuple(sorted(one.labels.items())), []).append(one)
    by_name = _by_name(acts)
    out: list[Firing] = []
    for those in instances.values():
        those.sort(key=lambda one: one.fired or one.began)
        runs = _runs(those, yard)
        before = False
        for one, run in zip(those, runs, strict=True):
            assert one.fired is not None, "only what fired was kept"
            fresh = one.fired >= span.start
            length = None if one.ended is None else one.ended - one.fired
            acted = _acted(one, by_name) or (False if len(acts) >= FEWEST_ACTS else None)
            out.append(Firing(
                identity(one.labels), one.labels, one.began, one.fired, one.ended, one.last_seen - one.began, length,
                fresh, not one.muted, fresh and before, run, length is not None and length < yard.short,
                after_hours(one.fired, yard.zones[0], yard.office), acted))
            before = before or fresh
    return sorted(out, key=lambda one: (one.fired, one.alert))


def _runs(those: Sequence[Activation], yard: Yardsticks) -> list[int]:
    """For each firing of one instance, in order, which run of flapping it is part of; 0 for none."""
    runs = [0] * len(those)
    start = 0
    for index in range(1, len(those) + 1):
        ended = those[index - 1].ended
        fired = those[index].fired if index < len(those) else None
        if ended is not None and fired is not None and fired - ended <= yard.flap_gap:
            continue
        if index - start >= yard.flap_least:
            runs[start:index] = [max(runs) + 1] * (index - start)
        start = index
    return runs


def after_hours(moment: datetime, zone: str, office: tuple[int, int]) -> bool:
    """Whether the moment lies outside of Monday to Friday, office hours, on the zone's wall clock."""
    local = moment.astimezone(zone_named(zone))
    return local.weekday() >= 5 or not office[0] <= local.hour < office[1]


def _by_name(acts: Sequence[Act]) -> dict[str, list[Act]]:
    out: dict[str, list[Act]] = {}
    for act in acts:
        for name in act.names:
            out.setdefault(name, []).append(act)
    return out


def _acted(one: Activation, acts: Mapping[str, Sequence[Act]]) -> bool:
    end = one.ended or one.last_seen
    names = {one.labels.get(label, "") for label in ("alertname", "slo", "service", "job", "namespace", "instance")}
    return any(act.span.start <= end + AFTER and act.span.end >= one.began - BEFORE
               for name in names if name for act in acts.get(name, ()))


# -- figures ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Gathered:
    """One alert's firings and what else is known of it."""

    firings: list[Firing] = field(default_factory=list)
    pending_only: int = 0


def _by_alert(firings: Sequence[Firing], history: Iterable[Activation], rules: Sequence[AlertRule], span: Span,
              yard: Yardsticks) -> tuple[AlertFigures, ...]:
    gathered: dict[tuple[str, ...], _Gathered] = {}
    for firing in firings:
        gathered.setdefault(firing.alert, _Gathered()).firings.append(firing)
    for one in history:
        if one.fired is None:
            gathered.setdefault(identity(one.labels), _Gathered()).pending_only += 1
    found = [_figures(key, one, rule_of(key, rules), span, yard) for key, one in gathered.items()]
    return tuple(sorted(found, key=lambda one: (-one.firings, -one.firing_seconds, one.name, one.severity)))


def rule_of(key: tuple[str, ...], rules: Sequence[AlertRule]) -> AlertRule | None:
    """The rule that makes the alert: of its name, and of its severity, objective and tier where the rule says them."""
    wanted = dict(zip(IDENTITY[1:], key[1:], strict=True))
    return next((rule for rule in rules if rule.name == key[0] and all(
        "{{" in rule.labels.get(name, value) or rule.labels.get(name, value) == value
        for name, value in wanted.items())), None)


def _figures(key: tuple[str, ...], one: _Gathered, rule: AlertRule | None, span: Span, yard: Yardsticks,
             ) -> AlertFigures:
    fresh = [firing for firing in one.firings if firing.fresh]
    stretches = [(max(firing.fired, span.start), min(firing.ended or firing.began + firing.held, span.end))
                 for firing in one.firings]
    lasted = [max(end - start, timedelta()) for start, end in stretches]
    share = _union(stretches) / span.length if span.length else 0.0
    days = max(1, -(-int(span.length.total_seconds()) // 86_400))
    per_day = [0] * days
    for firing in fresh:
        per_day[min((firing.fired - span.start) // timedelta(days=1), days - 1)] += 1
    told = [firing for firing in fresh if firing.told]
    known = any(firing.acted is False for firing in one.firings) or all(firing.acted for firing in one.firings)
    return AlertFigures(
        title(key), key[1] or "none", team_of(one.firings[0].labels, yard) if one.firings else "",
        len(fresh), len({tuple(sorted(firing.labels.items())) for firing in one.firings}),
        sum(lasted, timedelta()).total_seconds(), share, sum(firing.repeat for firing in fresh),
        sum(firing.flapping for firing in fresh), sum(firing.short for firing in fresh),
        sum(firing.short and firing.after_hours for firing in fresh), sum(firing.after_hours for firing in fresh),
        sum(not firing.acted for firing in told) if known else None, one.pending_only, share >= ALWAYS,
        key[0].lower() in BY_DESIGN, None if rule is None else rule.hold.total_seconds(),
        None if rule is None else rule.keep.total_seconds(), tuple(per_day))


def _union(stretches: Sequence[tuple[datetime, datetime]]) -> timedelta:
    """How long any of the stretches lasted."""
    together, reached = timedelta(), None
    for start, end in sorted(stretches):
        if reached is None or start > reached:
            together += max(end - start, timedelta())
            reached = max(start, end)
        elif end > reached:
            together += end - reached
            reached = end
    return together


def team_of(labels: Mapping[str, str], yard: Yardsticks) -> str:
    """Whose the alert is, by the first label that says it."""
    return next((labels[name] for name in yard.team if labels.get(name)), "nobody")


def _teams(fresh: Sequence[Firing], yard: Yardsticks, known: bool) -> tuple[TeamFigures, ...]:
    by_team: dict[str, list[Firing]] = {}
    for one in fresh:
        by_team.setdefault(team_of(one.labels, yard), []).append(one)
    out = [TeamFigures(
        team, len(those), sum(is_page(one.labels.get("severity", "")) for one in those),
        sum(one.flapping for one in those), sum(one.short for one in those),
        sum(one.told and not one.acted for one in those) if known else None,
        {zone: _share(those, zone, yard) for zone in yard.zones}) for team, those in by_team.items()]
    return tuple(sorted(out, key=lambda one: (-one.firings, one.team)))


def is_page(severity: str) -> bool:
    """Whether the severity wakes somebody."""
    return severity.lower() in PAGING


def _share(fresh: Sequence[Firing], zone: str, yard: Yardsticks) -> float:
    return sum(after_hours(one.fired, zone, yard.office) for one in fresh) / len(fresh) if fresh else 0.0


def _people(acts: Sequence[Act], yard: Yardsticks) -> tuple[PersonFigures, ...]:
    by_person: dict[str, list[Act]] = {}
    for act in acts:
        by_person.setdefault(act.who, []).append(act)
    out = [PersonFigures(who, len(those), sum(after_hours(act.span.start, yard.zones[0], yard.office)
                                              for act in those)) for who, those in by_person.items()]
    return tuple(sorted(out, key=lambda one: (-one.acts, one.person)))


def storms(fresh: Sequence[Firing], yard: Yardsticks) -> tuple[Storm, ...]:
    """The storms, by when they began. A storm goes on as long as each stretch of `storm_within` holds enough."""
    ordered = sorted(fresh, key=lambda one: one.fired)
    instances = [frozenset(one.labels.items()) for one in ordered]
    out: list[Storm] = []
    inside: Counter[frozenset[tuple[str, str]]] = Counter()
    left, first, last = 0, -1, -1
    for right, one in enumerate(ordered):
        inside[instances[right]] += 1
        while one.fired - ordered[left].fired > yard.storm_within:
            inside[instances[left]] -= 1
            if not inside[instances[left]]:
                del inside[instances[left]]
            left += 1
        if len(inside) < yard.storm:
            continue
        if first >= 0 and left <= last:
            last = right
            continue
        if first >= 0:
            out.append(_storm(ordered[first: last + 1]))
        first, last = left, right
    if first >= 0:
        out.append(_storm(ordered[first: last + 1]))
    return tuple(out)


def _storm(those: Sequence[Firing]) -> Storm:
    shared = set(those[0].labels.items()).intersection(*(one.labels.items() for one in those[1:]))
    together = tuple(f"{name}={value}" for name, value in sorted(shared) if name not in ("severity", "prometheus"))
    names = Counter(title(one.alert) for one in those)
    return Storm(those[0].fired, those[-1].fired, len(those), tuple(name for name, _ in names.most_common()), together)
