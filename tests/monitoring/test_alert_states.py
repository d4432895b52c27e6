"""`monitoring alerts`, and what a server records: judged from the ledger, over restarts, gaps and changed catalogs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mainstay.kernel.alert_history import Activation, AlertPlace, AlertRule, AlertsRead
from mainstay.kernel.errors import SourceUnavailable
from mainstay.kernel.objective import Objective
from mainstay.kernel.quantity import Span
from mainstay.monitoring.alerts_view import AlertReading, metrics_text
from mainstay.monitoring.operations.alerts import AlertsRequest, Watch, alerts, elsewhere, readings, record_alerts
from mainstay.slo.operations.standings import ReportRequest, report
from mainstay.slo.operations.upkeep import RecomputeRequest, recompute
from slo.worlds import NOW, Events, Room, busy_month, objective, room

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def failing(since: datetime, until: datetime, share: float = 0.5, now: datetime = NOW) -> Events:
    """A quiet month of 100 events a slot, half of which fail from then to then."""
    events = busy_month(now=now)
    slots = int((until - since).total_seconds()) // 300
    return events.add("errors", since, 100 * share, slots=slots)


def measured(events: Events, *declared: Objective, now: datetime = NOW) -> Room:
    """A room whose ledger holds what the source has."""
    it = room(events, *(declared or (objective(target=99),)), now=now)
    report(it.world, ReportRequest())
    return it


def state(it: Room, tier: str = "page-1h") -> AlertReading:
    return next(one for one in alerts(it.world, AlertsRequest()).alerts if one.tier == tier)


def recorded(it: Room, tier: str = "page-1h") -> list[tuple[str, datetime]]:
    return [(fact.kind.removeprefix("monitoring.alert-"), fact.at)
            for fact in it.facts("monitoring.") if fact.data["tier"] == tier]


def test_an_alert_fires_when_both_windows_burn_above_the_factor_for_the_hold() -> None:
    # 50 % of errors against 1 %: the hour passes 14.4 % at 18 minutes (w·f·b/r = 17.3), seen at the fourth slot's end.
    it = measured(failing(NOW - HOUR, NOW))
    found = state(it)
    assert (found.state, found.since) == ("firing", NOW - HOUR + 22 * MINUTE)
    assert (found.long_burn, found.short_burn, found.factor) == (pytest.approx(50), pytest.approx(50), 14.4)
    assert state(it, "ticket-1d").state == "inactive"


def test_a_pending_alert_says_when_it_will_fire() -> None:
    it = measured(failing(NOW - 20 * MINUTE, NOW))
    found = state(it)
    assert (found.state, found.since, found.fires_at) == ("pending", NOW, NOW + 2 * MINUTE)


def test_a_server_records_when_it_began_and_when_it_ended() -> None:
    it, watch = measured(failing(NOW - 3 * HOUR, NOW - 2 * HOUR)), Watch()
    record_alerts(it.world, watch)
    began, ended = recorded(it)
    assert began == ("began", NOW - 3 * HOUR + 22 * MINUTE)
    assert ended == ("ended", NOW - 2 * HOUR + 5 * MINUTE), "the short window is clean one slot later"


def test_a_restart_records_nothing_twice_and_nothing_else() -> None:
    it = measured(failing(NOW - 3 * HOUR, NOW))
    record_alerts(it.world, Watch())
    before = it.facts("monitoring.")
    for _ in range(3):
        record_alerts(it.world, Watch())
    assert it.facts("monitoring.") == before
    assert state(it).state == "firing"


def test_round_by_round_the_same_is_recorded_as_at_once() -> None:
    events = failing(NOW - 5 * HOUR, NOW - 4 * HOUR)
    events.add("errors", NOW - 2 * HOUR, 60, slots=6)
    at_once = measured(events)
    record_alerts(at_once.world, Watch())

    step_by_step, watch = measured(events, now=NOW - 6 * HOUR), Watch()
    while step_by_step.clock.now() <= NOW:
        report(step_by_step.world, ReportRequest())
        record_alerts(step_by_step.world, watch)
        step_by_step.clock.advance(MINUTE)
    said = [(fact.kind, fact.subject, fact.at, fact.data["tier"]) for fact in at_once.facts("monitoring.")]
    assert said
    assert sorted((fact.kind, fact.subject, fact.at, fact.data["tier"])
                  for fact in step_by_step.facts("monitoring.")) == sorted(said)


def test_a_source_that_is_down_neither_begins_nor_ends_an_alert() -> None:
    it, watch = measured(failing(NOW - HOUR, NOW)), Watch()
    record_alerts(it.world, watch)
    it.source.down = SourceUnavailable("nobody answers")
    it.clock.advance(3 * HOUR)
    record_alerts(it.world, watch)
    assert [kind for kind, _ in recorded(it)] == ["began"]
    found = state(it)
    assert (found.state, found.stale, found.measured_until) == ("firing", True, NOW)


def test_after_an_outage_of_the_source_the_record_has_what_happened_meanwhile() -> None:
    later = NOW + 4 * HOUR
    it, watch = measured(failing(NOW + HOUR, NOW + 2 * HOUR, now=later)), Watch()
    record_alerts(it.world, watch)
    assert recorded(it) == []
    it.clock.set(later)
    report(it.world, ReportRequest())
    record_alerts(it.world, watch)
    assert recorded(it) == [("began", NOW + HOUR + 22 * MINUTE), ("ended", NOW + 2 * HOUR + 5 * MINUTE)]


def test_slots_that_nobody_measured_leave_the_alert_as_it_was() -> None:
    events = failing(NOW - HOUR, NOW - 20 * MINUTE).forget(NOW - 20 * MINUTE, NOW)
    it = measured(events)
    found = state(it)
    assert (found.state, found.measured_until) == ("firing", NOW - 20 * MINUTE)


def test_planned_work_says_nothing() -> None:
    it = measured(failing(NOW - HOUR, NOW))
    judged = record_alerts(it.world, Watch(), {"web": [Span(NOW - 2 * HOUR, NOW)]})
    assert {one.standing.state for one in judged} == {"inactive"}
    assert recorded(it) == []


def test_of_two_servers_one_ends_the_alert_that_only_the_other_saw_begin() -> None:
    later = NOW + 2 * HOUR
    events = busy_month(now=later)
    it, first = measured(events), Watch()
    record_alerts(it.world, first)
    events.add("errors", NOW - HOUR, 50, slots=12)
    recompute(it.world, RecomputeRequest())
    record_alerts(it.world, Watch())
    assert [kind for kind, _ in recorded(it)] == ["began"], "by counts that came late, which the first did not have"
    assert next(one.standing.state for one in record_alerts(it.world, first) if one.tier == "page-1h") == "firing"
    it.clock.set(later)
    report(it.world, ReportRequest())
    record_alerts(it.world, first)
    assert recorded(it)[1:] == [("ended", NOW + 5 * MINUTE)]


def test_an_alert_that_another_server_ended_and_that_fires_still_begins_anew() -> None:
    it, first = measured(failing(NOW - HOUR, NOW + HOUR, now=NOW + HOUR)), Watch()
    declared = it.world.catalog
    record_alerts(it.world, first)
    it.declares()
    record_alerts(it.world, Watch())
    assert [kind for kind, _ in recorded(it)] == ["began", "ended"], "an older catalog there has no such objective"
    it.clock.set(NOW + HOUR)
    report(replace(it.world, catalog=declared), ReportRequest())
    record_alerts(replace(it.world, catalog=declared), first)
    assert [kind for kind, _ in recorded(it)] == ["began", "ended", "began"]


def test_an_alert_whose_objective_is_no_longer_declared_ends() -> None:
    it = measured(failing(NOW - HOUR, NOW))
    record_alerts(it.world, Watch())
    it.declares()
    record_alerts(it.world, Watch())
    assert [kind for kind, _ in recorded(it)] == ["began", "ended"]


def test_a_tier_that_can_never_trip_says_so_and_is_not_judged() -> None:
    it = measured(failing(NOW - HOUR, NOW, 1.0), objective(target=90))
    found = state(it)
    assert (found.state, found.faults) == ("useless", ("it can never trip: more than every event would have to fail",))


def test_without_data_an_alert_is_in_no_state() -> None:
    it = room(busy_month(), objective(target=99))
    assert {one.state for one in alerts(it.world, AlertsRequest()).alerts} == {"no_data"}


def test_the_gauges_say_one_state_of_each_alert() -> None:
    it = measured(failing(NOW - HOUR, NOW))
    text = metrics_text(alerts(it.world, AlertsRequest()).alerts)
    assert ('mainstay_alert_state{objective="web",service="shop",severity="page",tier="page-1h",state="firing"} 1'
            in text.splitlines())
    assert sum(line.endswith(" 1") for line in text.splitlines()) == 4
    assert metrics_text(()) == ""


# -- beside a Prometheus ------------------------------------------------------------------------------------------


class Theirs:
    """A Prometheus' rules as a history in memory."""

    def __init__(self, read: AlertsRead | SourceUnavailable) -> None:
        self._read = read

    def read(self, _: Span) -> AlertsRead:
        if isinstance(self._read, SourceUnavailable):
            raise self._read
        return self._read


def _labels(tier: str) -> Mapping[str, str]:
    return {"alertname": "BudgetBurn", "slo": "web", "tier": tier, "severity": "page"}


def test_what_a_prometheus_says_otherwise_stands_beside() -> None:
    it = measured(failing(NOW - HOUR, NOW))
    on = Activation(_labels("page-6h"), NOW - HOUR, NOW - 50 * MINUTE, None, NOW)
    rules = tuple(AlertRule("BudgetBurn", _labels(tier), MINUTE, timedelta(), "x") for tier in ("page-1h", "page-6h"))
    read = AlertsRead("prometheus", (on,), None, rules)

    def opened(place: AlertPlace) -> Theirs:
        assert place == AlertPlace("source", "counts")
        return Theirs(read)

    world = replace(it.world, alerts=opened)
    found = {one.tier: one for one in alerts(world, AlertsRequest(compare=True)).alerts}
    assert (found["page-1h"].state, found["page-1h"].elsewhere.state) == ("firing", "inactive")  # type: ignore[union-attr]
    assert found["page-1h"].differs
    assert (found["page-6h"].elsewhere.state, found["page-6h"].differs) == ("firing", False)  # type: ignore[union-attr]
    assert found["ticket-1d"].elsewhere is None, "no rule of theirs is about it"


def test_a_prometheus_that_cannot_be_compared_with_is_named_and_stops_nothing() -> None:
    it = measured(failing(NOW - HOUR, NOW))
    world = replace(it.world, alerts=lambda _: Theirs(SourceUnavailable("connection refused")))
    assert elsewhere(world) == ({}, {"counts": "connection refused"})
    assert alerts(world, AlertsRequest(compare=True)).problems == {"counts": "connection refused"}


def test_readings_hold_every_tier_of_every_objective() -> None:
    declared = [objective("a", target=99), objective("b", target=99.9)]
    it = measured(busy_month(), *declared)
    found = readings(it.world, declared, record_alerts(it.world, Watch()), {})
    assert [(one.objective, one.tier) for one in found] == [
        (name, tier) for name in ("a", "b") for tier in ("page-1h", "page-6h", "ticket-1d", "ticket-3d")]
