"""What a remediation does about trouble, and what it never does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mainstay.kernel.actuation import Metric
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.wallclock import WeeklyHours
from mainstay.runbook.remedy import (
    ActCheck,
    Called,
    Circumstances,
    HostCheck,
    Hours,
    Throttle,
    Verification,
    filled,
)
from mainstay.runbook.remedy_decision import (
    Checked,
    Desk,
    Judged,
    Resume,
    Surroundings,
    Tick,
    Triggered,
    decide,
    to_judge,
)
from mainstay.runbook.remedy_state import Phase, Remedies, fold
from runbook.remedies import MINUTE, T0, Trouble, rule

HOUR = timedelta(hours=1)


# -- the way through -----------------------------------------------------------------------------------------------


def test_an_alert_starts_the_runbook_with_inputs_from_its_labels() -> None:
    trouble = Trouble(rule())
    trouble.fires("web")
    started = trouble.last("started")
    assert (started.data["runbook"], started.data["inputs"], started.data["target"]) == (
        "restart-service", {"service": "web"}, "web")
    assert started.actor == "automation:restart"


def test_health_must_last_the_whole_window_before_it_counts_as_verified() -> None:
    trouble = Trouble(rule())
    alert = trouble.fires()
    trouble.runs()
    trouble.passes(MINUTE)
    assert trouble.resolves(alert) == ["cleared", "healthy"]
    assert trouble.passes(2 * MINUTE - timedelta(seconds=1)) == []
    assert trouble.passes(timedelta(seconds=1)) == ["verified"]
    assert not trouble.state.cases


def test_an_alert_that_comes_back_within_the_window_begins_the_window_anew() -> None:
    trouble = Trouble(rule())
    first = trouble.fires()
    trouble.runs()
    trouble.resolves(first)
    trouble.passes(MINUTE)
    second = trouble.fires()
    assert trouble.kinds()[-2:] == ["joined", "unhealthy"]
    trouble.passes(MINUTE)
    trouble.resolves(second)
    assert trouble.passes(2 * MINUTE - timedelta(seconds=1)) == []
    assert trouble.passes(timedelta(seconds=1)) == ["verified"]


def test_a_run_that_does_not_help_is_tried_again_after_the_cool_down_and_then_a_person_is_told_what_was_tried() -> None:
    trouble = Trouble(rule(attempts=2))
    trouble.fires()
    trouble.runs()
    assert trouble.passes(5 * MINUTE) == ["failed"]
    assert trouble.passes(5 * MINUTE) == ["started"]
    trouble.runs(outcome="failed", said="exit 1")
    assert trouble.kinds()[-3:] == ["failed", "limited", "escalated"]
    assert trouble.last("limited").data["limit"] == "attempts"
    assert trouble.last("escalated").data["tried"] == [
        "2026-03-02 10:05:00 UTC attempt 1: it was not healthy within 5 m",
        "2026-03-02 10:10:00 UTC attempt 2: exit 1"]


def test_nothing_is_started_again_while_a_person_has_it_however_often_it_is_said() -> None:
    trouble = Trouble(rule(attempts=1))
    trouble.fires()
    trouble.runs(outcome="failed")
    assert trouble.case().phase is Phase.LEFT
    again = trouble.fires()
    assert trouble.passes(24 * HOUR) == []
    assert trouble.case().phase is Phase.LEFT
    trouble.resolves("A-1")
    assert trouble.resolves(again) == ["cleared", "ended"]


def test_an_alert_that_is_over_before_the_next_attempt_needs_none() -> None:
    trouble = Trouble(rule())
    alert = trouble.fires()
    trouble.runs(outcome="failed")
    assert trouble.resolves(alert) == ["cleared", "ended"]
    assert trouble.passes(HOUR) == []


def test_a_run_whose_end_nobody_knows_is_never_repeated() -> None:
    trouble = Trouble(rule())
    trouble.fires()
    assert trouble.runs(outcome="unknown") == ["escalated"]
    assert trouble.passes(24 * HOUR) == []


def test_a_run_that_takes_too_long_keeps_its_target_and_a_person_is_told_once() -> None:
    trouble = Trouble(rule(run=10 * MINUTE))
    trouble.fires()
    assert trouble.passes(10 * MINUTE) == ["overdue"]
    assert trouble.passes(HOUR) == []
    assert trouble.state.busy == {"web": "REM-1"}
    assert trouble.runs() == ["ran"]


def test_a_rule_that_observes_says_what_it_would_do_and_does_nothing() -> None:
    trouble = Trouble(rule(mode="observe"))
    alert = trouble.fires()
    assert trouble.kinds() == ["triggered", "observed"]
    assert trouble.last("observed").data["inputs"] == {"service": "web"}
    assert trouble.passes(HOUR) == []
    assert trouble.resolves(alert) == ["cleared", "ended"]


def test_a_rule_that_asks_starts_a_run_that_needs_approval_and_a_refusal_pages_nobody() -> None:
    trouble = Trouble(rule(mode="approve"))
    trouble.fires()
    assert trouble.last("started").data["approval"] is True
    assert trouble.runs(outcome="declined", said="ben declined it") == ["skipped"]


def test_an_approval_that_nobody_gives_is_a_persons_business() -> None:
    trouble = Trouble(rule(mode="approve"))
    trouble.fires()
    assert trouble.runs(outcome="expired") == ["escalated"]


def test_what_never_ends_by_itself_is_verified_by_checks_alone() -> None:
    trouble = Trouble(rule(when=Called(), verify=Verification(checks=(HostCheck("cpu", "<", 0.5),), hold=MINUTE)))
    trouble.tell(Triggered("restart", "call-1", {"service": "web"}))
    trouble.runs()
    trouble.tell(Checked("REM-1", True))
    assert trouble.passes(MINUTE) == [], "time alone proves nothing"
    assert trouble.tell(Checked("REM-1", True)) == ["verified"]


def test_a_run_that_nothing_verifies_ends_without_being_called_verified() -> None:
    trouble = Trouble(rule(when=Called()))
    trouble.tell(Triggered("restart", "call-1", {"service": "web"}))
    assert trouble.runs() == ["ran", "ended"]
    assert len(trouble.state.track("restart", "web").starts) == 1, "its attempt still counts"


def test_checks_that_break_or_cannot_be_told_begin_the_window_anew() -> None:
    trouble = Trouble(rule(verify=Verification(checks=(HostCheck("cpu", "<", 0.5),), hold=2 * MINUTE)))
    alert = trouble.fires()
    trouble.runs()
    trouble.resolves(alert)
    assert trouble.tell(Checked("REM-1", True)) == ["healthy"]
    trouble.passes(MINUTE)
    assert trouble.tell(Checked("REM-1", None, "prometheus is down")) == ["unhealthy"]
    trouble.tell(Checked("REM-1", True))
    trouble.passes(MINUTE)
    assert trouble.tell(Checked("REM-1", True, anew=True)) == ["unhealthy", "healthy"], "nobody looked meanwhile"
    trouble.passes(2 * MINUTE - timedelta(seconds=1))
    assert trouble.tell(Checked("REM-1", True)) == []
    trouble.passes(timedelta(seconds=1))
    assert trouble.tell(Checked("REM-1", True)) == ["verified"]


# -- limits --------------------------------------------------------------------------------------------------------


def test_defect_9_attempts_are_counted_for_each_target() -> None:
    trouble = Trouble(rule(attempts=1))
    trouble.fires("web")
    trouble.runs("web", "failed")
    trouble.fires("db")
    assert trouble.last("started").data["target"] == "db", "another target has attempts of its own"


def test_defect_9_an_action_that_crashes_counts() -> None:
    trouble = Trouble(rule(attempts=2, stop_after=99))
    trouble.fires()
    for _ in range(10):
        if trouble.case().phase is Phase.RUNNING:
            trouble.runs(outcome="failed", said="it raised")
        trouble.passes(5 * MINUTE)
    assert trouble.kinds("started") == ["started"] * 2
    assert trouble.last("escalated")


def test_defect_9_only_verified_health_makes_the_attempts_count_from_nothing() -> None:
    trouble = Trouble(rule(attempts=2, stop_after=99))
    for wanted in (1, 2):
        alert = trouble.fires()
        trouble.runs()
        trouble.passes(5 * MINUTE)
        assert len(trouble.state.track("restart", "web").starts) == wanted, "it ran, and it did not help"
        trouble.resolves(alert)
        trouble.passes(5 * MINUTE)
    trouble = Trouble(rule(attempts=2))
    trouble.resolves(trouble.fires())
    trouble.runs()
    trouble.passes(2 * MINUTE)
    assert trouble.kinds()[-1] == "verified"
    assert trouble.state.track("restart", "web").starts == ()


def test_defect_9_counted_attempts_expire() -> None:
    trouble = Trouble(rule(attempts=1, within=HOUR))
    alert = trouble.fires()
    trouble.runs(outcome="failed")
    trouble.resolves(alert)
    trouble.passes(HOUR - MINUTE)
    alert = trouble.fires()
    assert trouble.kinds()[-1] == "escalated"
    trouble.resolves(alert)
    trouble.passes(MINUTE)
    trouble.fires()
    assert trouble.kinds()[-1] == "started"


def test_defect_10_a_labels_value_stays_one_value_whatever_stands_in_it() -> None:
    trouble = Trouble(rule())
    trouble.fires("x; touch pwned $(id)")
    assert trouble.last("started").data["inputs"] == {"service": "x; touch pwned $(id)"}


def test_no_more_targets_are_worked_on_at_once_than_may_be_and_the_next_follows_when_one_is_verified() -> None:
    trouble = Trouble(rule(concurrent=1))
    first = trouble.fires("web")
    trouble.fires("db")
    assert trouble.case("db").why == "restart works on 1 targets, as many as it may"
    trouble.runs("web")
    trouble.resolves(first)
    trouble.passes(MINUTE)
    assert trouble.case("db").phase is Phase.WAITING, "web is not verified yet"
    trouble.passes(2 * MINUTE)
    assert trouble.case("db").phase is Phase.RUNNING


def test_two_rules_never_work_on_one_target_at_once() -> None:
    trouble = Trouble(rule("restart"), rule("scale"))
    trouble.fires("web")
    assert trouble.kinds("started") == ["started"]
    assert trouble.state.case_of("scale", "web").why == "REM-1 works on web"  # type: ignore[union-attr]


def test_a_rule_touches_no_more_than_its_share_of_the_fleet() -> None:
    trouble = Trouble(rule(share=0.25, fleet=8, within=HOUR))
    for target in ("a", "b", "c"):
        trouble.fires(target)
    assert trouble.kinds("started") == ["started"] * 2
    assert trouble.last("limited").data["why"] == "2 of 8 targets were touched within 1 h, and 2 may be"
    assert trouble.state.cases["REM-3"].phase is Phase.LEFT


def test_a_rule_stops_after_failures_in_a_row_until_a_person_resumes_it() -> None:
    trouble = Trouble(rule(stop_after=2, attempts=1))
    for target in ("a", "b"):
        trouble.fires(target)
        trouble.runs(target, "failed")
    assert trouble.last("stopped").data["failures"] == 2
    trouble.fires("c")
    assert trouble.last("escalated").data["why"] == "restart stopped after 2 failures in a row"
    trouble.tell(Resume("restart"))
    trouble.fires("d")
    assert trouble.kinds()[-1] == "started"
    with pytest.raises(NotFound, match="restrat"):
        trouble.tell(Resume("restrat"))


def test_what_breaks_again_and_again_though_it_is_healed_is_a_persons_business() -> None:
    trouble = Trouble(rule(flaps=2, flap_within=6 * HOUR, cool_down=MINUTE))
    for _ in range(2):
        trouble.resolves(trouble.fires())
        trouble.runs()
        trouble.passes(10 * MINUTE)
    trouble.fires()
    assert trouble.last("escalated").data["why"] == "web was healed 2 times within 6 h and breaks again"


def test_a_target_rests_between_two_runs() -> None:
    trouble = Trouble(rule(cool_down=5 * MINUTE))
    trouble.resolves(trouble.fires())
    trouble.runs()
    trouble.passes(2 * MINUTE)
    trouble.fires()
    assert trouble.case().why == "web rests until 10:07:00 UTC"
    assert trouble.passes(5 * MINUTE - timedelta(seconds=1)) == []
    assert trouble.passes(timedelta(seconds=1)) == ["started"]


def test_a_target_under_experiment_is_left_alone() -> None:
    trouble = Trouble(rule())
    trouble.around = Surroundings({"web": "experiment run-1"})
    trouble.fires()
    assert trouble.kinds() == ["triggered", "skipped"]
    assert trouble.last("skipped").data["why"] == "experiment run-1 acts on web"


def test_a_target_under_experiment_is_waited_for_where_the_rule_says_so_but_not_for_ever() -> None:
    trouble = Trouble(rule(locked="wait", wait=10 * MINUTE))
    trouble.around = Surroundings({"web": "experiment run-1"})
    trouble.fires()
    trouble.passes(5 * MINUTE)
    trouble.around = Surroundings()
    assert trouble.passes(MINUTE) == ["started"]
    trouble = Trouble(rule(locked="wait", wait=10 * MINUTE))
    trouble.around = Surroundings({"web": "experiment run-1"})
    trouble.fires()
    assert trouble.passes(10 * MINUTE)[-1] == "escalated"
    assert trouble.last("escalated").data["why"] == "it waited for 10 m: experiment run-1 acts on web"


# -- conditions and throttles --------------------------------------------------------------------------------------


def test_outside_its_hours_a_rule_leaves_it_to_people() -> None:
    office = Hours("Europe/Berlin", (WeeklyHours(frozenset(range(5)), 9 * 60, 17 * 60),))
    trouble = Trouble(rule(condition=Circumstances(office)))
    trouble.fires()
    assert trouble.kinds()[-1] == "started", "11:00 in Berlin on a Monday"
    trouble = Trouble(rule(condition=Circumstances(replace(office, outside=True))))
    trouble.fires()
    assert trouble.kinds()[-1] == "skipped"


def test_a_condition_is_asked_before_it_begins_and_what_cannot_be_told_is_not_taken_for_yes() -> None:
    busy = Circumstances(checks=(ActCheck(Metric("prom", "cpu", ">", 80)),))
    for judged, then in ((Judged(True), "started"), (Judged(False, "it is 12"), "skipped"),
                         (Judged(None, "prom is down"), "escalated")):
        trouble = Trouble(rule(condition=busy))
        trouble.fires()
        assert [one.id for one in to_judge(trouble.rules, trouble.state, trouble.now)] == ["REM-1"]
        assert trouble.kinds()[-1] == "waits"
        trouble.around = Surroundings(judged={"REM-1": judged})
        trouble.tell(Tick())
        assert trouble.kinds()[-1] == then


def test_once_within_takes_the_first_of_a_group_and_not_the_next_ones() -> None:
    trouble = Trouble(rule(throttle=Throttle("once_within", 10 * MINUTE, group_by=("cluster",))))
    trouble.fires("a", cluster="eu")
    trouble.fires("b", cluster="eu")
    trouble.fires("c", cluster="us")
    assert [fact.data["target"] for fact in trouble.facts if fact.kind == "remedy.started"] == ["a", "c"]
    trouble.passes(20 * MINUTE)
    trouble.fires("d", cluster="eu")
    assert trouble.last("triggered").data["target"] == "d"


def test_once_after_waits_for_its_time_and_drops_what_is_over_by_then() -> None:
    trouble = Trouble(rule(throttle=Throttle("once_after", 2 * MINUTE)))
    alert = trouble.fires()
    trouble.passes(MINUTE)
    assert trouble.resolves(alert) == ["cleared", "ended"]
    trouble.passes(5 * MINUTE)
    trouble.fires()
    assert trouble.passes(2 * MINUTE) == ["started"]


def test_accumulate_within_begins_when_enough_of_a_group_came_in_time() -> None:
    trouble = Trouble(rule(throttle=Throttle("accumulate_within", 10 * MINUTE, 3)))
    for _ in range(2):
        trouble.resolves(trouble.fires())
        trouble.passes(6 * MINUTE)
    trouble.resolves(trouble.fires())
    assert trouble.kinds("started") == [], "three, but not within ten minutes"
    trouble.passes(MINUTE)
    trouble.fires()
    assert trouble.kinds("started") == ["started"]


# -- several at once -----------------------------------------------------------------------------------------------


def test_what_was_followed_before_is_not_followed_again() -> None:
    trouble = Trouble(rule(attempts=5))
    event = Triggered("restart", "A-1", {"service": "web"}, 7)
    trouble.tell(event)
    trouble.runs(outcome="failed")
    trouble.resolves("A-1")
    assert trouble.tell(event) == []


def test_of_two_who_decide_at_once_both_want_the_same_key() -> None:
    trouble = Trouble(rule(concurrent=1))
    keys = []
    for target in ("web", "db"):
        desk = Desk(trouble.rules, trouble.state.clone(), T0)
        decide(desk, Triggered("restart", f"A-{target}", {"service": target}, 1))
        keys.append(desk.facts[0].key)
    assert keys[0] == keys[1], "so the journal refuses one of them, and it looks again"


def test_state_is_a_fold_over_facts_and_a_copy_of_it_is_its_own() -> None:
    trouble = Trouble(rule(concurrent=1, attempts=2), rule("scale"))
    before = trouble.state.clone()
    trouble.fires("web")
    trouble.fires("db")
    trouble.runs("web", "failed")
    trouble.passes(HOUR)
    again = fold(trouble.facts)
    for name in Remedies().__dict__:
        assert getattr(again, name) == getattr(trouble.state, name), name
    assert not before.cases


def test_a_trigger_without_the_label_that_names_the_target_is_passed_over_and_said() -> None:
    trouble = Trouble(rule())
    trouble.tell(Triggered("restart", "A-1", {"alertname": "Down"}, 1))
    assert trouble.last("passed").data["why"] == 'its target is unknown: there is no labels.service'


def test_a_rule_that_is_no_longer_declared_leaves_its_cases() -> None:
    trouble = Trouble(rule(concurrent=1))
    trouble.fires("web")
    trouble.fires("db")
    trouble.rules = {}
    trouble.passes(MINUTE)
    assert trouble.case("db").phase is Phase.LEFT
    assert trouble.runs("web") == ["skipped"]


# -- labels in texts -----------------------------------------------------------------------------------------------


def test_labels_are_filled_into_texts_and_their_values_are_not_read_again() -> None:
    assert filled("cache-${labels.zone}", {"zone": "${labels.zone}"}) == "cache-${labels.zone}"
    with pytest.raises(InvalidInput, match=r"no labels\.zone"):
        filled("${labels.zone}", {"service": "web"})
    with pytest.raises(InvalidInput, match="line break"):
        filled("${labels.zone}", {"zone": "a\nb"})
