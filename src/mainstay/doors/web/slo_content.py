"""The overview and the objective page, filled from what the operations found. Words and numbers as in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote

from mainstay.doors.web.pages import Page, PageQuery
from mainstay.doors.web.slo_pages import (
    BurnWindow,
    Choice,
    Fact,
    ObjectivePage,
    ObjectiveRow,
    OverviewPage,
    Policy,
    StateCount,
    Todo,
    Zone,
)
from mainstay.kernel.catalog import Resource
from mainstay.kernel.errors import NotFound
from mainstay.kernel.objective import Objective
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import SLOT, State, format_share
from mainstay.kernel.view import Cell, Chart, Code, Mark, Pairs, Table, Tone, cells, table
from mainstay.kernel.wording import burn_words, count, percent
from mainstay.monitoring.alerts_view import AlertReading, note_of, state_words
from mainstay.monitoring.operations.alerts import past
from mainstay.slo.operations.policy import PolicyReading, PolicyRequest, policy
from mainstay.slo.operations.show import Shown, ShowRequest, budget_chart, causes_table, exhaustion_text, show
from mainstay.slo.operations.standings import Report
from mainstay.slo.standing import Standing
from mainstay.slo.view import exhausts, verdict, windows_table, worst_first

_TONES: dict[State, Tone] = {"healthy": "good", "at_risk": "warn", "violated": "bad", "no_data": "quiet"}
MARKS = 12
"""Alerts marked on a chart: more cannot be told apart."""
_ORDER: tuple[State, ...] = ("violated", "at_risk", "no_data", "healthy")


def link_to(name: str) -> str:
    """The address of an objective's page."""
    return f"slo/show?name={quote(name)}"


def resource_link(resource: Resource) -> str:
    """The page of a declared thing; empty when it has none."""
    return link_to(resource.name) if isinstance(resource, Objective) else ""


def pages(latest: Callable[[World], Report], alerts: Callable[[World], tuple[AlertReading, ...]],
          on_call: Callable[[World], Table | None] = lambda _: None) -> tuple[Page, ...]:
    """The hand-made pages of the word.

    Args:
        latest: the newest report, computed at most a short while ago.
        alerts: how the alerts stand, judged at most a short while ago.
        on_call: who has which pager now; nothing where nobody takes turns.
    """
    def home(world: World, query: PageQuery) -> OverviewPage:
        return replace(overview(latest(world), query), on_call=on_call(world))

    return (Page("/", "Overview", "overview.html", home, word="slo"),
            Page("/slo/show", "Objective", "objective.html",
                 lambda world, query: objective_page(world, query, alerts(world)), word="slo", listed=False))


# -- overview -----------------------------------------------------------------------------------------------------


def overview(found: Report, query: PageQuery) -> OverviewPage:
    """Every objective, worst first."""
    standings = found.objectives
    wanted = query.get("state")
    counts = tuple(StateCount(state, number, "/" if wanted == state else f"/?state={state}", wanted == state)
                   for state in _ORDER if (number := sum(one.status == state for one in standings)))
    rows = tuple(_row(one) for one in worst_first(standings) if not wanted or one.status == wanted)
    stale = sorted(one.name for one in standings if one.stale)
    worst: State = next((state for state in _ORDER if any(one.status == state for one in standings)), "no_data")
    simulated = [one.simulated_until for one in standings if one.simulated_until is not None]
    says = verdict(standings).text
    if simulated:
        says += f" History before {max(simulated):%-d %b %H:%M} UTC is simulated."
    return OverviewPage(
        says, worst, counts, rows, found.generated_at,
        stale=f"Stale: {', '.join(stale[:3])}{' and more' if len(stale) > 3 else ''}" if stale else "",
        empty="The catalog declares no objective. Start with: mainstay slo try LOG")


def _row(one: Standing) -> ObjectiveRow:
    left = None if one.remaining_percent is None else one.remaining_percent / 100
    burn = one.burn_rates.get("1h")
    note = "changes frozen" if one.frozen else ""
    if one.stale and one.measured_until is not None:
        note = f"stale since {one.measured_until:%H:%M}"
    elif not note and one.exhaustion.state == "within":
        note = f"spent in about {exhausts(one)}"
    return ObjectiveRow(
        one.name, one.service, link_to(one.name), one.status, f"{one.promise} over {one.window}",
        "" if one.sli is None else format_share(one.sli, one.promise), left,
        "no data" if left is None else f"{left * 100:.0f} %", "" if burn is None else burn_words(burn),
        burn_note="" if burn is None else "last 1 h", burn_tone=_burn_tone(burn), spark=one.spark, note=note)


def _burn_tone(burn: float | None) -> Tone:
    return "plain" if burn is None or burn < 1 else "bad" if burn >= 14.4 else "warn"


# -- one objective ------------------------------------------------------------------------------------------------


def objective_page(world: World, query: PageQuery, alerts: Sequence[AlertReading] = ()) -> ObjectivePage:
    """One objective, top to bottom; its alerts as they stand, and on the chart since when they fired."""
    name = query.get("name")
    if not name:
        raise NotFound("no objective was named", "choose one on the overview")
    found = show(world, ShowRequest(name, offline=True))
    reading = policy(world, PolicyRequest((name,), offline=True)).objectives[0]
    objective = world.catalog.get(Objective, name)
    one = found.standing
    promise = found.description or f"{one.promise} of {one.method} are good, over {one.window}."
    stale = f"stale since {one.measured_until:%-d %b %H:%M} UTC" if one.stale and one.measured_until else ""
    return ObjectivePage(
        name=one.name, service=one.service, owner=one.owner, promise=promise, state=one.status,
        verdict=_verdict(found), facts=_facts(found), budget=_with_alerts(world, found),
        burn=_burn(found, alerts, world.clock.now()), spenders=causes_table(found), policy=_policy(found, reading),
        todo=_todo(found),
        definition=_definition(found, objective), source=Code("\n".join(found.counted), title="Counted"),
        worst=table("Worst five minutes", ("from", "bad>", "of>", "share>"), [
            (f"{slot.start:%-d %b %H:%M} UTC", count(slot.bad), count(slot.total),
             f"{slot.bad / slot.total * 100:.1f} %") for slot in found.worst_slots], empty="no slot lost anything"),
        windows=tuple(Choice(f"{each.window}: {each.target * 100:g} %", "") for each in one.windows[1:]),
        measured_at=one.measured_until, stale=stale)


def _verdict(found: Shown) -> str:
    one = found.standing
    if one.sli is None:
        return "No data: nothing was measured in this window."
    says = f"{format_share(one.sli, one.promise)} against {one.promise}"
    if one.simulated_until is not None:
        says += f"; history before {one.simulated_until:%-d %b %H:%M} UTC is simulated"
    return says + "."


def _facts(found: Shown) -> tuple[Fact, ...]:
    one = found.standing
    if one.budget is None or one.consumption_percent is None or one.remaining_percent is None:
        return (Fact("Spent", "no data"),)
    tone = _TONES[one.status]
    unit = one.budget.unit
    facts = [
        Fact("Spent", percent(one.consumption_percent),
             f"{count(round(one.budget.spent, 1))} of {count(round(one.budget.allowed, 1))} {unit}", tone,
             one.consumption_percent / 100),
        Fact("Left", percent(one.remaining_percent), f"{count(round(one.budget.left, 1))} {unit}"),
        Fact("Runs out", exhausts(one), exhaustion_text(found))]
    if one.sla is not None:
        facts.append(Fact("SLA", f"{one.sla.target * 100:g} %",
                          f"{percent(one.sla.consumption_percent)} of its allowance spent", _TONES[one.sla.status]))
    return tuple(facts)


def _with_alerts(world: World, found: Shown) -> Chart:
    """The budget over time, marked where an alert fired."""
    chart, name = budget_chart(found), found.standing.name
    if not chart.times:
        return chart
    fired = past(world, name, chart.times[0])
    marks = [Mark(max(one.fired or one.began, chart.times[0]), f"alert {one.labels['tier']} fired", "bad",
                  "monitoring", one.ended or chart.times[-1]) for one in fired[-MARKS:]]
    return replace(chart, marks=tuple(sorted((*chart.marks, *marks), key=lambda mark: mark.at)))


def _burn(found: Shown, alerts: Sequence[AlertReading], now: datetime) -> tuple[BurnWindow, ...]:
    known = {(one.severity, one.long): one for one in alerts if one.objective == found.standing.name}
    return tuple(BurnWindow(
        alert.long, "no data" if alert.long_burn is None else burn_words(alert.long_burn),
        None if alert.long_burn is None else alert.long_burn / alert.factor, f"{alert.factor:g}×", alert.severity,
        alert.firing if one is None else one.state == "firing", "" if one is None else _alert_words(one, now))
        for alert in found.alerts if not alert.faults for one in (known.get((alert.severity, alert.long)),))


def _alert_words(one: AlertReading, now: datetime) -> str:
    """`▲ firing since 14:03`, `◐ pending, fires in 1 m`; nothing while it is quiet."""
    notes = note_of(one, now)
    if one.state in ("firing", "pending"):
        since = f" since {one.since:%-d %b %H:%M} UTC" if one.since and one.state == "firing" else ""
        return f"{state_words(one)}{since}" + (f", {notes}" if notes else "")
    return notes


def _policy(found: Shown, reading: PolicyReading) -> Policy:
    edges = [zone.spent_percent for zone in reading.zones] + [float("inf")]
    zones = tuple(Zone(zone.name, f"from {zone.spent_percent:g} % spent" if zone.spent_percent else
                       f"below {edges[index + 1]:g} % spent", _zone_tone(index, len(reading.zones)), zone.current)
                  for index, zone in enumerate(reading.zones))
    current = next((zone for zone in reading.zones if zone.current), None)
    meaning = f"{current.name}: {current.meaning}" if current else "No data, so no zone holds."
    frozen = (f"Frozen: {', '.join(found.frozen)}.",) if found.frozen else ()
    return Policy(reading.policy, zones, meaning, frozen)


def _zone_tone(index: int, zones: int) -> Tone:
    return "good" if index == 0 else "bad" if index == zones - 1 else "warn"


def _todo(found: Shown) -> tuple[Todo, ...]:
    name = found.standing.name
    todo = []
    if any(alert.firing for alert in found.alerts):
        todo.append(Todo("It burns now: find what changed", f"slo/attribute?name={quote(name)}",
                         f"mainstay slo attribute {name} --last 6h"))
    todo.append(Todo("See who spent the budget", f"slo/attribute?name={quote(name)}",
                     f"mainstay slo attribute {name} --by path"))
    todo.append(Todo("Ask whether a change may go ahead", f"slo/gate?names={quote(name)}", f"mainstay slo gate {name}"))
    todo.append(Todo("Write down what happened", "", f"mainstay record incident {found.standing.service or 'SERVICE'} "
                     "--text WHAT --from TIME --to TIME"))
    return tuple(todo)


def _definition(found: Shown, objective: Objective) -> Pairs:
    one = found.standing
    rows: list[tuple[str, tuple[Cell, ...]]] = [
        ("promise", cells(f"{one.promise} over {one.window}")), ("method", cells(one.method)),
        ("slots", cells(f"Σbad / Σtotal over {SLOT // 60}-minute slots, exact")),
        ("declared in", cells(str(objective.origin)))]
    if found.rationale:
        rows.append(("why", cells(found.rationale)))
    if objective.exclusions:
        rows.append(("left out", cells("; ".join(objective.exclusions))))
    rows += [("depends on", cells(f"{dependency.service} ({dependency.promise or 'no promise stated'})"))
             for dependency in objective.dependencies]
    rows += [("maintenance", cells(text)) for text in found.excluded]
    if len(one.windows) > 1:
        rows += [(row[0].text, row[1:]) for row in windows_table(one.windows).rows]
    return Pairs(tuple(rows))

