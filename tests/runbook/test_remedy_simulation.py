"""What a rule would have done over alerts that really were."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from mainstay.kernel.alert_history import Activation
from mainstay.kernel.journal import Fact
from mainstay.kernel.quantity import Span
from mainstay.runbook.remedy import Circumstances, HostCheck, OnSchedule, Remediation, Verification
from mainstay.runbook.remedy_simulation import (
    Assumed,
    Replay,
    Trouble,
    of_activations,
    of_alert_facts,
    of_schedule,
    of_zone_facts,
    replayed,
    runs_per_step,
)
from runbook.remedies import MINUTE, T0, rule

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPAN = Span(T0, T0 + 7 * DAY)
LABELS = {"alertname": "Down", "service": "web"}


def _trouble(begins: timedelta, lasts: timedelta | None, service: str = "web", key: str = "") -> Trouble:
    began = T0 + begins
    return Trouble(key or f"{service}@{begins}", {**LABELS, "service": service}, began,
                   None if lasts is None else began + lasts)


def _play(one: Remediation, *troubles: Trouble, helps: bool = True, takes: timedelta = MINUTE) -> Replay:
    return replayed(one, sorted(troubles, key=lambda trouble: trouble.began), SPAN, Assumed(takes, helps, 15 * MINUTE))


def test_where_it_helps_trouble_is_as_long_as_the_run_and_a_person_has_no_work() -> None:
    found = _play(rule(), _trouble(HOUR, 40 * MINUTE), _trouble(DAY, 20 * MINUTE))
    assert found.counts == {"started": 2, "verified": 2}
    assert (found.trouble_seconds, found.would_seconds) == (3600, 120)
    assert (found.saved_minutes, found.person_minutes) == (58, 30)
    assert [(one.kind, one.at - T0) for one in found.decisions] == [
        ("started", HOUR), ("verified", HOUR + 3 * MINUTE), ("started", DAY), ("verified", DAY + 3 * MINUTE)]


def test_where_it_does_not_help_its_limits_hold_it_and_a_person_is_told() -> None:
    found = _play(rule(attempts=2, stop_after=9), _trouble(HOUR, 10 * HOUR), helps=False)
    assert found.counts == {"started": 2, "failed": 2, "limited": 1, "escalated": 1}
    assert found.limits == {"attempts": 1}
    assert found.saved_minutes == 0


def test_trouble_that_was_over_before_the_run_ended_is_not_counted_as_saved() -> None:
    found = _play(rule(), _trouble(HOUR, timedelta(seconds=30)))
    assert found.saved_minutes == 0
    assert found.counts["verified"] == 1


def test_a_rule_that_only_observes_is_played_as_if_it_acted() -> None:
    assert _play(rule(mode="observe"), _trouble(HOUR, HOUR)).counts["started"] == 1


def test_trouble_that_is_still_on_lasts_to_the_end_of_the_span() -> None:
    found = _play(rule(), _trouble(7 * DAY - HOUR, None))
    assert (found.trouble_seconds, found.would_seconds) == (3600, 60)


def test_only_trouble_that_began_within_the_span_is_played() -> None:
    assert _play(rule(), _trouble(-HOUR, 2 * HOUR), _trouble(8 * DAY, HOUR)).troubles == 0


def test_a_storm_meets_the_share_of_the_fleet() -> None:
    found = _play(rule(share=0.1, fleet=30), *(_trouble(HOUR, 5 * HOUR, f"host-{n}") for n in range(30)))
    assert found.counts["started"] == 3
    assert found.limits == {"share": 27}


def _at(minutes: float) -> datetime:
    return T0 + minutes * MINUTE


def test_alerts_that_nobody_heard_of_or_that_never_fired_trigger_nothing() -> None:
    found = of_activations([
        Activation(LABELS, _at(0), _at(1), _at(5), _at(5)), Activation(LABELS, _at(10), None, _at(11), _at(11)),
        Activation(LABELS, _at(20), _at(21), None, _at(25), muted=True),
        Activation({"alertname": "Up"}, _at(30), _at(31), None, _at(35))], rule())
    assert [(one.began, one.ended) for one in found] == [(_at(1), _at(5))]


def _fact(seq: int, kind: str, subject: str, **data: object) -> Fact:
    return Fact(seq, kind, subject, _at(seq), data, "", "system", _at(seq))


def test_the_journals_alerts_are_read_with_what_was_muted_and_then_heard() -> None:
    found = of_alert_facts([
        _fact(1, "alert.opened", "A-1", muted="", labels=LABELS),
        _fact(2, "alert.opened", "A-2", muted="silence S-1", labels=LABELS),
        _fact(3, "alert.closed", "A-1"), _fact(4, "alert.heard", "A-2", was="silence S-1"),
        _fact(5, "alert.opened", "A-3", muted="inhibited", labels=LABELS), _fact(6, "alert.closed", "A-3")], rule())
    assert [(one.key, one.began, one.ended) for one in found] == [("A-1", _at(1), _at(3)), ("A-2", _at(4), None)]


def test_a_budgets_zones_are_stretches_of_trouble() -> None:
    found = of_zone_facts([
        _fact(1, "slo.zone-entered", "web", zone="caution"), _fact(2, "slo.zone-entered", "web", zone="frozen"),
        _fact(3, "slo.zone-entered", "db", zone="frozen"), _fact(4, "slo.zone-entered", "web", zone="exhausted"),
        _fact(5, "slo.zone-entered", "web", zone="healthy")], "web", ("frozen", "exhausted"))
    assert [(one.began, one.ended, one.labels["slo"]) for one in found] == [(_at(2), _at(5), "web")]


NIGHTLY = OnSchedule(None, 210)
ROOM = HostCheck("memory", "<", 0.9)


def _rounds(one: Remediation, *, helps: bool = True, span: Span = SPAN) -> Replay:
    return replayed(one, of_schedule(one, span), span, Assumed(MINUTE, helps, 15 * MINUTE))


def test_a_schedule_is_replayed_at_its_moments_and_has_no_trouble_that_could_be_shorter() -> None:
    found = _rounds(rule(when=NIGHTLY, target="cache", inputs={}, verify=Verification(checks=(ROOM,), hold=MINUTE)))
    assert [(one.at - T0).days for one in found.decisions if one.kind == "started"] == list(range(7))
    assert {one.at.strftime("%H:%M") for one in found.decisions if one.kind == "started"} == {"03:30"}
    assert (found.troubles, found.counts["verified"], found.person_minutes) == (7, 7, 105)
    assert (found.trouble_seconds, found.would_seconds, found.saved_minutes) == (0, 0, 0)
    unproven = _rounds(rule(when=NIGHTLY, target="cache", inputs={}))
    assert (unproven.counts, unproven.person_minutes) == ({"started": 7}, 105), "it ran, and nothing would verify it"


def test_a_scheduled_run_after_one_that_failed_is_tried_at_the_next_moment_until_the_rule_stops() -> None:
    checked = Verification(checks=(ROOM,), within=5 * MINUTE)
    found = _rounds(rule(when=NIGHTLY, target="cache", inputs={}, attempts=1, stop_after=3, verify=checked),
                    helps=False)
    assert (found.counts["started"], found.counts["stopped"], found.counts["escalated"]) == (3, 1, 7)


def test_a_condition_on_a_schedule_is_taken_to_hold_each_time_it_comes_round() -> None:
    held = rule(when=OnSchedule(15 * MINUTE), target="cache", inputs={}, attempts=100, flaps=1_000, cool_down=HOUR,
                condition=Circumstances(checks=(HostCheck("memory", ">", 0.9),)))
    day = Span(T0, T0 + DAY)
    found = _rounds(held, span=day)
    assert found.troubles == 96
    begun = [one.at for one in found.decisions if one.kind == "started"]
    assert min(after - before for before, after in pairwise(begun)) >= HOUR, "it rests in between"
    assert found.counts["verified"] > 10
    assert "verified" not in _rounds(held, helps=False, span=day).counts


def test_runs_are_counted_per_step_for_a_picture() -> None:
    found = _play(rule(), _trouble(HOUR, HOUR), _trouble(DAY, HOUR), _trouble(DAY + HOUR, HOUR, "db"))
    times, runs = runs_per_step(found, SPAN, DAY)
    assert (len(times), runs) == (7, (1, 2, 0, 0, 0, 0, 0))
