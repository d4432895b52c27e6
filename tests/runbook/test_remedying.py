"""Remediation as a server does it: from an alert to a run to proof, through reactions and the journal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mainstay.followed import anything_to_follow
from mainstay.incident.intake import AlertEvent
from mainstay.incident.lifecycle import Status
from mainstay.incident.operations.desk import desk_of
from mainstay.kernel import locks
from mainstay.kernel.actuation import Act, Command, Ending, Metric, Outcome
from mainstay.kernel.journal import Batch, NewFact
from mainstay.reactions import REACTIONS, react
from mainstay.runbook.lifecycle import State
from mainstay.runbook.operations.desk import approve, reject
from mainstay.runbook.operations.remedying import Remediator
from runbook.worlds import CATALOG, MINUTE, SECOND, T0, Place

HOUR = timedelta(hours=1)


def _failing(act: Act) -> Outcome | None:
    return Outcome(Ending.FAILED, error="exit 1") if isinstance(act, Command) else None


def test_from_an_alert_to_a_run_to_proof_to_an_incident_that_is_over() -> None:
    place = Place()
    place.fires()
    assert place.actuator.done == [Command(("restart", "web"), folder=place.actuator.done[0].folder)]  # type: ignore[union-attr]
    [run] = place.runs.values()
    assert (run.state, run.by, run.via, run.incident) == (
        State.SUCCEEDED, "automation:restart", "remediation restart", "INC-1")
    place.passes(MINUTE)
    place.resolves()
    assert place.remedies()[-1] == "healthy"
    place.passes(2 * MINUTE)
    assert place.remedies() == ["triggered", "started", "ran", "cleared", "healthy", "verified"]
    [incident] = place.incidents
    assert incident.status is Status.RESOLVED
    assert place.notes("INC-1") == ["restart on web: runs restart-service, attempt 1 (REM-1)",
                                    "restart on web: verified: healthy again, 3 m after it was triggered, "
                                    "with 1 attempt (REM-1)"]


def test_what_did_not_help_becomes_an_alert_of_its_own_that_says_what_was_tried_and_ends_with_the_trouble() -> None:
    place = Place(CATALOG.replace("mode: act", "mode: act\n  limits: {attempts: 2, cool_down: 1m}"), answers=_failing)
    place.fires()
    place.passes(2 * MINUTE)
    assert place.remedies() == ["triggered", "started", "failed", "started", "failed", "limited", "escalated"]
    [opened] = place.facts("alert.opened", source="runbook")
    assert opened.data["severity"] == "SEV2"
    assert opened.data["summary"] == "web: restart leaves it to you, for 2 attempts on web within 1 h"
    assert opened.data["annotations"]["tried"].count("restart failed: exit 1") == 2
    assert len(place.incidents) == 2
    place.resolves()
    assert {one.status for one in place.incidents} == {Status.RESOLVED}
    assert place.remedies()[-1] == "ended"


def test_the_alert_of_an_escalation_triggers_no_rule() -> None:
    greedy = CATALOG.replace('alertname="Down"', 'alertname!=""').replace("mode: act",
                                                                        "mode: act\n  limits: {attempts: 1}")
    place = Place(greedy, answers=_failing)
    place.fires()
    place.passes(HOUR, MINUTE)
    assert place.remedies("triggered") == ["triggered"]


def test_a_silenced_alert_triggers_nothing_until_it_is_heard() -> None:
    place = Place()
    place.world.journal.commit(Batch([NewFact("slo.maintenance-planned", "swap", T0, {
        "until": (T0 + HOUR).isoformat(), "services": ["web"], "objectives": [], "reason": "disks"}, key="plan:1")]))
    place.round()
    place.fires()
    assert place.remedies() == []
    place.clock.set(T0 + HOUR + SECOND)
    desk_of(place.world).ring("test")
    place.round()
    assert place.remedies("started") == ["started"]


def test_a_rule_that_observes_writes_down_what_it_would_do_and_runs_nothing() -> None:
    place = Place(CATALOG.replace("mode: act", "mode: observe"))
    place.fires()
    place.passes(MINUTE)
    assert place.remedies() == ["triggered", "observed"]
    assert not place.runs
    assert place.notes("INC-1") == [
        "restart on web: would run restart-service, if it were not to observe only (REM-1)"]


def test_a_rule_that_asks_runs_once_somebody_approves_the_very_plan() -> None:
    place = Place(CATALOG.replace("mode: act", "mode: approve"))
    place.fires()
    place.passes(MINUTE)
    [run] = place.runs.values()
    assert (run.state, place.actuator.done) == (State.AWAITING, [])
    ana = replace(place.world, actor="ana")
    approve(ana, run.id, run.hash)
    place.round()
    assert len(place.actuator.done) == 1
    assert place.remedies()[-1] == "ran"


def test_a_run_that_somebody_rejects_is_left_to_them() -> None:
    place = Place(CATALOG.replace("mode: act", "mode: approve"))
    place.fires()
    ana = replace(place.world, actor="ana")
    reject(ana, "RB-1", "not now")
    place.passes(MINUTE)
    assert place.remedies() == ["triggered", "started", "skipped"]
    assert len(place.incidents) == 1, "whoever rejects it knows"


def test_what_is_over_before_anybody_approves_it_is_not_mended_any_more() -> None:
    place = Place(CATALOG.replace("mode: act", "mode: approve"))
    place.fires()
    place.resolves()
    place.passes(MINUTE)
    [run] = place.runs.values()
    assert (run.state, place.actuator.done) == (State.CANCELLED, [])
    assert place.remedies() == ["triggered", "started", "cleared", "skipped", "ended"]


def test_an_alert_that_was_over_before_anybody_followed_it_triggers_nothing() -> None:
    place = Place()
    for firing in (True, False):
        desk_of(place.world).do(AlertEvent(place.clock.now(), firing, "Down/web", "web", "critical",
                                           {"alertname": "Down", "service": "web"}, "down", "test"))
    place.passes(MINUTE)
    assert place.remedies() == []


def test_a_rule_that_is_declared_later_is_not_triggered_by_alerts_from_before() -> None:
    without = Place(CATALOG.partition("---\napiVersion: mainstay/v1\nkind: Remediation")[0])
    without.fires()
    assert not anything_to_follow(without.world.journal), "what nobody can follow was passed over"
    later = Place(journal=without.world.journal, clock=without.clock)
    later.passes(MINUTE)
    assert later.remedies() == []
    later.fires("db")
    assert "triggered" in later.remedies(), "from now on it is"


def test_an_approval_that_is_not_given_in_time_is_told() -> None:
    place = Place(CATALOG.replace("mode: act", "mode: approve"))
    place.fires()
    place.passes(25 * HOUR, HOUR / 4)
    assert "overdue" in place.remedies()
    assert place.remedies()[-1] == "escalated"


def test_a_target_under_experiment_is_left_alone_and_one_that_is_worked_on_is_locked_until_it_is_proven() -> None:
    place = Place()
    taken = locks.take(place.world.journal, ["web"], "experiment run-1", T0, HOUR)
    place.fires()
    assert place.remedies() == ["triggered", "skipped"]
    locks.free(place.world.journal, taken, T0)
    place.resolves()
    place.fires()
    place.passes(MINUTE)
    lock = locks.held(place.world.journal, "web", place.clock.now())
    assert lock is not None
    assert lock.holder == "remediation REM-2"
    place.resolves()
    place.passes(3 * MINUTE)
    assert place.remedies()[-1] == "verified"
    assert locks.held(place.world.journal, "web", place.clock.now()) is None


def test_a_runbook_that_refuses_its_inputs_is_an_attempt_that_failed() -> None:
    place = Place(CATALOG.replace("mode: act", "mode: act\n  limits: {attempts: 1}"))
    place.fires("x; touch pwned")
    place.passes(MINUTE)
    assert not place.actuator.done
    assert "no name" in place.facts("remedy.failed")[0].data["why"]
    assert place.remedies()[-1] == "escalated"


def test_a_run_is_begun_once_however_often_the_server_is_killed_between() -> None:
    place = Place()
    place.fires()
    for _ in range(3):
        place.another().round()
    assert len(place.runs) == 1
    lost = Place()
    lost.round()

    desk_of(lost.world).do(AlertEvent(T0, True, "Down/web", "web", "critical",
                                      {"alertname": "Down", "service": "web"}, "down", "test"))
    react(lost.world)
    assert (lost.remedies(), dict(lost.runs)) == (["triggered", "started"], {}), "killed before the run was begun"
    lost.another().round()
    assert len(lost.runs) == 1


def test_reactions_that_are_followed_twice_trigger_once() -> None:
    place = Place(CATALOG, answers=_failing)
    place.fires()
    place.resolves()
    before = place.remedies()
    for fact in place.facts("alert."):
        for one in REACTIONS:
            if one.when == fact.kind:
                one.then(place.world, fact)
    assert place.remedies() == before


# -- checks and schedules ------------------------------------------------------------------------------------------


CHECKED = CATALOG.replace("verify: {within: 5m, for: 2m}", """\
verify: {within: 5m, for: 2m, every: 10s, checks: [{query: {promql: 'up{job="${labels.service}"}', is: "> 0"}}]}
""")


def test_checks_are_asked_over_the_whole_window_with_the_alerts_labels() -> None:
    up = [Outcome(Ending.SUCCEEDED, "1")]
    place = Place(CHECKED, answers=lambda act: up[0] if isinstance(act, Metric) else None)
    place.fires()
    place.passes(20 * SECOND)
    place.resolves()
    place.passes(100 * SECOND)
    assert place.remedies()[-1] == "healthy"
    assert next(act.query for act in place.actuator.done if isinstance(act, Metric)) == 'up{job="web"}'
    up[0] = Outcome(Ending.FAILED, "0", error="0 is not > 0")
    place.passes(10 * SECOND)
    assert place.remedies()[-1] == "unhealthy"
    up[0] = Outcome(Ending.SUCCEEDED, "1")
    place.passes(110 * SECOND)
    assert place.remedies()[-1] == "healthy"
    place.passes(30 * SECOND)
    assert place.remedies()[-1] == "verified"


def test_a_server_that_was_away_looks_at_the_whole_window_anew() -> None:
    place = Place(CHECKED)
    place.fires()
    place.resolves()
    place.passes(100 * SECOND)
    place.clock.set(place.clock.now() + HOUR)
    place.remediator = Remediator()
    place.round()
    assert place.remedies()[-2:] == ["unhealthy", "healthy"]
    place.passes(2 * MINUTE)
    assert place.remedies()[-1] == "verified"


HEALER = """\
apiVersion: mainstay/v1
kind: Remediation
metadata: {name: heal, service: shop}
spec:
  preset: auto-healer
  with: {unit: shop.service, memory: "> 80%"}
  mode: act
  verify: {for: 2m}
"""


def test_the_auto_healer_restarts_when_memory_is_beyond_its_bound_and_verifies_that_it_is_below() -> None:
    memory = [0.5]
    place = Place(HEALER, usage=lambda *_: memory[0])
    place.passes(3 * MINUTE)
    assert place.remedies() == [], "a look that finds nothing is no fact"
    memory[0] = 0.9
    place.passes(MINUTE)
    assert place.remedies("triggered", "started", "ran") == ["triggered", "started", "ran"]
    place.passes(2 * MINUTE)
    memory[0] = 0.3
    place.passes(4 * MINUTE)
    assert place.remedies()[-1] == "verified"
    place.passes(10 * MINUTE)
    assert place.remedies("triggered") == ["triggered"]


def test_what_comes_round_is_done_once_by_however_many_servers() -> None:
    nightly = CATALOG.replace('when: {alert: [alertname="Down"]}', "when: {every: 1h}") \
        .replace("target: ${labels.service}", "target: db").replace("service: \"${labels.service}\"", "service: db") \
        .replace("verify: {within: 5m, for: 2m}", "limits: {attempts: 9, cool_down: 0}")
    place = Place(nightly)
    place.round()
    other = place.another()
    other.round()
    for _ in range(3 * 60):
        place.clock.set(place.clock.now() + MINUTE)
        place.round()
        other.round()
    assert place.remedies("started") == ["started"] * 3
    assert len(place.runs) == 3


@pytest.mark.parametrize("zone", ["exhausted", "frozen"])
def test_a_budgets_zone_triggers_a_rule_until_it_is_left(zone: str) -> None:
    rule = CATALOG.replace('when: {alert: [alertname="Down"]}',
                           "when: {budget: {objective: web, zones: [exhausted, frozen]}}") \
        .replace("target: ${labels.service}", "target: ${labels.slo}") \
        .replace('service: "${labels.service}"', 'service: "${labels.slo}"') + """\
---
apiVersion: mainstay/v1
kind: Objective
metadata: {name: web, service: shop}
spec: {indicator: {type: availability, source: logs}, target: 99, window: 30d}
---
apiVersion: openslo/v1
kind: DataSource
metadata: {name: logs}
spec: {type: events, connectionDetails: {paths: ["x.jsonl"], format: json}}
"""
    place = Place(rule)

    def enters(zone: str) -> None:
        place.world.journal.commit(Batch([NewFact("slo.zone-entered", "web", place.clock.now(), {
            "zone": zone, "from": "", "spent": 1.0, "meaning": ""}, key=f"zone:{place.clock.now()}")]))
        place.round()

    enters(zone)
    assert place.remedies("started") == ["started"]
    place.passes(MINUTE)
    enters("healthy")
    place.passes(3 * MINUTE)
    assert place.remedies()[-1] == "verified"
