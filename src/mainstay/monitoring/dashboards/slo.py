"""The dashboard of a service's objectives: where each stands, and of the chosen ones how fast what is left goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.quantity import format_duration, plain, short_duration
from mainstay.monitoring.chain import BAD, SERVICE_LABEL, TOTAL
from mainstay.monitoring.dashboards.board import (
    COLUMNS,
    Board,
    Column,
    Link,
    Mark,
    Panel,
    Query,
    Section,
    Step,
    Variable,
    Word,
    uid_of,
)
from mainstay.monitoring.dashboards.readings import Gauges, Readings, Scope, chosen, exhaustion, with_budget
from mainstay.monitoring.dashboards.watched import Watched
from mainstay.monitoring.rulefile import number
from mainstay.stats.budget import BurnAlert

HOUR = timedelta(hours=1)
POINTS = 240
"""Moments of a panel whose queries look back over days: each of them adds up as many sums as its window has slots."""
LEFT_STEPS = (Step(None, "red"), Step(0, "orange"), Step(0.25, "green"))
"""Below 0 the promise is broken, below a quarter left it is at risk: as Mainstay's own four states."""
STATES = (Word(None, 0, "○ violated", "red"), Word(0, 0.25, "◐ at risk", "orange"),
          Word(0.25, None, "● healthy", "green"))
_FIRING = 'alertstate="firing"'
_BURN_STEPS = (Step(None, "green"), Step(1, "orange"))


def slo_board(service: str, watched: Sequence[Watched], readings: Readings, page: str = "") -> Board:
    """The dashboard of one service's objectives.

    Args:
        watched: all of that service.
        page: address of Mainstay's own pages, for links; empty makes none.
    """
    scope = Scope({SERVICE_LABEL: service, readings.label: "$slo"})
    everything = Scope({SERVICE_LABEL: service})
    grouped = _groups(watched) if readings.grouped else {}
    narrowed = Scope({**scope.labels, **{label: f"${variable}" for label, variable in grouped.items()}})
    sections = [_overview(service, watched, readings, everything)]
    sections.append(_chosen(watched, readings, scope))
    if budgets := with_budget(watched):
        sections += _burning(budgets, readings, scope)
    sections.append(_events(readings, scope, service))
    if grouped and budgets:
        sections.append(_by_group(budgets, readings, narrowed, tuple(grouped)))
    names = tuple(one.name for one in watched)
    variables = [Variable("slo", "objective", choices=names, several=True, all_at_first=False)]
    variables += [Variable(variable, label, f"label_values({TOTAL}{chosen(everything, '')}, {label})")
                  for label, variable in grouped.items()]
    return Board(
        "slo", service, f"SLO · {service}" if service else "SLO",
        f"What {service or 'the objectives'} promise, what is left of each error budget, and how fast it goes. "
        "Written by Mainstay from the catalog: change the objective, not this dashboard.",
        tuple(sections), tuple(variables), (alert_mark(scope, readings),) if readings.grouped else (),
        _links(watched, page, service), since="now-7d")


def alert_mark(scope: Scope, readings: Readings) -> Mark:
    """Stretches in which an alert of the objectives fires."""
    return Mark("Alerts", f"ALERTS{chosen(scope, readings.label, _FIRING)}", "red",
                "{{alertname}}", "{{slo}} {{severity}}", "alertname,slo,severity")


def _groups(watched: Sequence[Watched]) -> Mapping[str, str]:
    """Labels that objectives are grouped by, each with the name of its variable."""
    return {label: f"group_{label}" for label in dict.fromkeys(label for one in watched for label in one.groups)}


def _links(watched: Sequence[Watched], page: str, service: str) -> tuple[Link, ...]:
    found = [Link("Mainstay", f"{page}/slo/show?name=${{slo}}")] if page else []
    runbooks = dict.fromkeys(one.runbook.replace("$service", service).replace("$slo", "${slo}")
                             for one in watched if one.runbook)
    return (*found, *(Link("Runbook", url) for url in runbooks))


# -- all objectives ---------------------------------------------------------------------------------------------------


def _overview(service: str, watched: Sequence[Watched], readings: Readings, scope: Scope) -> Section:
    budgets = with_budget(watched)
    queries = [Query(readings.target(watched, scope), "target", instant=True),
               Query(readings.sli(watched, scope), "measured", instant=True)]
    if budgets:
        queries += [Query(readings.left(budgets, scope), "state", instant=True),
                    Query(readings.left(budgets, scope), "budget left", instant=True),
                    Query(readings.burn(budgets, scope, HOUR), "burn, 1h", instant=True),
                    Query(exhaustion(readings, budgets, scope), "spent in", instant=True)]
    target = Link("Show this objective", f"/d/{uid_of('slo', service)}?var-slo=${{__value.text}}&${{__url_time_range}}")
    table = Panel(
        "table", "Where every objective stands",
        "One row an objective. The state is that of the budget: violated when more than all of it is spent, at risk "
        "when more than three quarters are. A click on a name chooses it below." + _trailing(watched, readings),
        tuple(queries), COLUMNS, min(4 + len(watched), 12), rising="budget left" if budgets else "",
        hidden=(SERVICE_LABEL,),
        columns=(Column(readings.label, link=target), Column("state", words=STATES),
                 Column("target", "percentunit"), Column("measured", "percentunit", decimals=_digits(watched)),
                 Column("budget left", "percentunit", LEFT_STEPS, decimals=1),
                 Column("burn, 1h", "short", _BURN_STEPS, decimals=2), Column("spent in", "s", decimals=1)))
    if not budgets:
        return Section("All objectives", (table,))
    history = Panel(
        "state-timeline", "When a promise was at risk, or broken",
        "The state of each objective along the time shown; a gap is no data.",
        (Query(readings.left(budgets, scope), f"{{{{{readings.label}}}}}"),), COLUMNS,
        min(4 + len(watched), 12), steps=LEFT_STEPS, words=STATES, points=POINTS)
    return Section("All objectives", (table, history))


def _trailing(watched: Sequence[Watched], readings: Readings) -> str:
    said = [f"{one.name} ({short_duration(one.window)})" for one in watched if one.trailing]
    if not said or not readings.grouped:
        return ""
    return (" PromQL cannot start at a calendar's first day: " + ", ".join(said)
            + " show the last days of that number instead; Mainstay's own page has the calendar's.")


def _digits(watched: Sequence[Watched]) -> int:
    """As many decimals of a percentage as the strictest target needs, and one more."""
    return max(len(plain(one.target.ratio * 100).partition(".")[2]) for one in watched) + 1


# -- the chosen ones --------------------------------------------------------------------------------------------------


def _chosen(watched: Sequence[Watched], readings: Readings, scope: Scope) -> Section:
    name = f"{{{{{readings.label}}}}}"
    budgets, digits = with_budget(watched), _digits(watched)
    now = [Panel("stat", "Measured", "Share of good events in the objective's window." + _promises(watched),
                 (Query(readings.sli(watched, scope), name),), 6 if budgets else COLUMNS, 4, "percentunit",
                 decimals=digits, empty="no data")]
    if budgets:
        now += [
            Panel("stat", "Budget left", "Share of the error budget that is left; below 0 % more failed than allowed.",
                  (Query(readings.left(budgets, scope), name),), 6, 4, "percentunit", LEFT_STEPS, decimals=1,
                  empty="no data"),
            Panel("stat", "Burn, last hour", "How many times faster than allowed the budget is spent. At 1 it lasts "
                  "exactly one window; it is a multiple, not a share.",
                  (Query(readings.burn(budgets, scope, HOUR), name),), 6, 4, "short", _BURN_STEPS, decimals=2,
                  empty="no data"),
            Panel("stat", "Spent in", "Until the budget is spent, if the burn of the last hour goes on: what is left × "
                  "window / burn. Said only while more is spent than allowed.",
                  (Query(exhaustion(readings, budgets, scope), name),), 6, 4, "s", decimals=1,
                  empty="not at this burn")]
    lines = [Panel("timeseries", "Measured over time", "Share of good events in the objective's window that ends at "
                   "each moment; the dashed line is the target.",
                   (Query(readings.sli(watched, scope), name),
                    Query(readings.target(watched, scope), f"{name} target", dashed=True)),
                   12 if budgets else COLUMNS, unit="percentunit", most=1, decimals=digits, points=POINTS)]
    if budgets:
        lines.append(Panel("timeseries", "Budget left over time", "Share of the budget left at each moment. It grows "
                           "when old failures leave a rolling window.",
                           (Query(readings.left(budgets, scope), name),), 12, unit="percentunit", steps=LEFT_STEPS,
                           most=1, decimals=1, points=POINTS))
    return Section("$slo", (*now, *lines))


def _promises(watched: Sequence[Watched]) -> str:
    shown = [f"{one.name} promises {one.promise}" for one in watched[:8]]
    return " " + "; ".join(shown) + ("." if len(watched) <= 8 else f"; and {len(watched) - 8} more.")


# -- burn against the tiers -------------------------------------------------------------------------------------------

_Rung = tuple[BurnAlert, tuple[Watched, ...]]


def _burning(watched: Sequence[Watched], readings: Readings, scope: Scope) -> list[Section]:
    """One panel a tier: its long and its short window, and the factor above which both must burn."""
    rungs: list[list[_Rung]] = []
    for nth in range(max(len(one.tiers) for one in watched)):
        alerts: dict[BurnAlert, list[Watched]] = {}
        for one in watched:
            if nth < len(one.tiers) and readings.knows(one.tiers[nth].tier.long) \
                    and readings.knows(one.tiers[nth].short):
                alerts.setdefault(_told_apart(one.tiers[nth]), []).append(one)
        if alerts:
            rungs.append([(alert, tuple(members)) for alert, members in alerts.items()])
    if not rungs:
        return []
    panels = tuple(_rung(rung, len(watched), readings, scope, width)
                   for rung, width in zip(rungs, widths(len(rungs)), strict=True))
    return [Section("Burn against the alerts", panels)]


def _told_apart(alert: BurnAlert) -> BurnAlert:
    """The alert without what depends on the target: two targets share a factor, and so a panel's line."""
    return alert._replace(threshold=Decimal(0), tier=alert.tier._replace(hold=timedelta(0), spends=Decimal(0)))


def _rung(rung: Sequence[_Rung], everyone: int, readings: Readings, scope: Scope, width: int) -> Panel:
    queries, says = [], []
    for alert, members in rung:
        long, short = short_duration(alert.tier.long), short_duration(alert.short)
        within = scope if len(members) == everyone else Scope(scope.labels, tuple(one.name for one in members))
        name = f"{{{{{readings.label}}}}}"
        queries += [Query(readings.burn(members, within, alert.tier.long), f"{name} {long}"),
                    Query(readings.burn(members, within, alert.short), f"{name} {short}"),
                    Query(readings.bound(within, alert.factor), f"{_does(alert)} above {_factor(alert)}",
                          dashed=True)]
        says.append(f"{_does(alert).capitalize()} when the last {long} and the last {short} both burn above "
                    f"{_factor(alert)}; a full budget lasts {format_duration(alert.exhausts_in)} at that burn")
    first = rung[0][0]
    long, short = short_duration(first.tier.long), short_duration(first.short)
    title = f"{long} and {short}: {_does(first)} above {_factor(first)}" if len(rung) == 1 else f"{long} and {short}"
    return Panel("timeseries", title, ". ".join(says) + ".", tuple(queries), width, unit="short", least=0, decimals=2,
                 points=POINTS)


def _does(alert: BurnAlert) -> str:
    return "pages" if alert.tier.severity == "page" else "tickets"


def _factor(alert: BurnAlert) -> str:
    return number(alert.factor) if alert.factor == round(alert.factor, 3) else f"{float(alert.factor):.4g}"


def widths(count: int, most: int = 4) -> list[int]:
    """Widths of so many panels in lines of at most `most`, every line filled."""
    out: list[int] = []
    while count:
        line = min(count, most)
        share = COLUMNS // line
        out += [share] * (line - 1) + [COLUMNS - share * (line - 1)]
        count -= line
    return out


# -- events and groups ------------------------------------------------------------------------------------------------


def _events(readings: Readings, scope: Scope, service: str) -> Section:
    name = f"{{{{{readings.label}}}}}"
    if isinstance(readings, Gauges):
        frozen = readings.read("changes_frozen", scope)
        events = readings.read("window_events", scope)
        bad = f"{events} * (1 - {readings.read('sli_ratio', scope)})"
        return Section("Events", (
            Panel("timeseries", "Events in the window", "What was counted in the objective's window, and what of it "
                  "was bad.", (Query(events, f"{name} all"), Query(bad, f"{name} bad")), 16, unit="short", least=0),
            Panel("stat", "Changes frozen", "1 while the budget policy stops changes.", (Query(frozen, name),), 8,
                  words=(Word(0, 1, "no", "green"), Word(1, None, "frozen", "red")), empty="no data")))
    matchers = chosen(scope, readings.label)
    firing = chosen(scope, readings.label, _FIRING)
    kept = f"sum by (service, {readings.label})"
    return Section("Events", (
        Panel("timeseries", "Bad events", "Bad events of the five minutes that end at each moment.",
              (Query(f"{kept} ({BAD}{matchers})", name),), 8, unit="short", least=0),
        Panel("timeseries", "All events", "Events of the five minutes that end at each moment: how much the shares "
              "above stand on.", (Query(f"{kept} ({TOTAL}{matchers})", name),), 8, unit="short", least=0),
        Panel("stat", "Alerts firing", f"Alerts of the chosen objectives of {service or 'this dashboard'} that fire.",
              (Query(f"count by (alertname) (ALERTS{firing})", "{{alertname}}"),), 8,
              steps=(Step(None, "green"), Step(1, "red")), empty="none")))


def _by_group(watched: Sequence[Watched], readings: Readings, scope: Scope, labels: tuple[str, ...]) -> Section:
    members = [one for one in watched if one.groups]
    within = scope if len(members) == len(watched) else Scope(scope.labels, tuple(one.name for one in members))
    name = " ".join([f"{{{{{readings.label}}}}}", *(f"{{{{{label}}}}}" for label in labels)])
    told = ", ".join(labels)
    return Section(f"By {told}", (
        Panel("bargauge", f"Budget left by {told}", "A service may keep its promise on the whole while one part of it "
              "breaks it; the lowest is who to look at.",
              (Query(readings.left(members, within, labels), name, instant=True),), 12, 8, "percentunit", LEFT_STEPS,
              least=0, most=1, decimals=1),
        Panel("timeseries", f"Burn of the last hour by {told}", "Who spends the budget now.",
              (Query(readings.burn(members, within, HOUR, labels), name),), 12, 8, "short", least=0, decimals=2)))

