"""What a history of alerts amounts to, and what is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.kernel.alert_history import Activation, AlertRule
from mainstay.kernel.quantity import Span
from mainstay.monitoring.audit import (
    Act,
    Figures,
    Firing,
    Yardsticks,
    after_hours,
    audited,
    firings_of,
    rule_of,
    storms,
)
from mainstay.monitoring.audit_advice import Suggestion, advice, holding_on, saved, waiting

T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""A Monday morning."""
MINUTE = timedelta(minutes=1)
SPAN = Span(T0, T0 + timedelta(days=30))
YARD = Yardsticks()


def at(minutes: float) -> datetime:
    return T0 + MINUTE * minutes


def on(start: float, length: float | None, name: str = "HighCpu", *, hold: float = 0, **labels: str) -> Activation:
    """An alert whose condition holds from that minute on, evaluated every minute, with `for` of so many minutes."""
    ended = None if length is None else at(start + length)
    last = at(start + length - 1) if length is not None else SPAN.end
    return Activation({"alertname": name, "severity": "page", **labels}, at(start), at(start + hold), ended, last)


def figures(history: Sequence[Activation], acts: Sequence[Act] = (), rules: Sequence[AlertRule] | None = None,
            yard: Yardsticks = YARD) -> Figures:
    return audited(history, acts, rules, SPAN, yard)


def advised(found: Figures, kind: str) -> list[Suggestion]:
    return [one for one in advice(found) if one.kind == kind]


def act(who: str, start: float, *names: str) -> Act:
    return Act(who, "incident.recorded", frozenset(names), Span(at(start), at(start)))


# -- firings ------------------------------------------------------------------------------------------------------


def test_a_firing_counts_where_it_began_inside_the_span_and_its_time_where_it_touches_it() -> None:
    found = figures([on(-60, 90), on(100, 30), on(200, None)])
    one = found.alerts[0]
    assert (one.firings, one.repeats) == (2, 1)
    assert one.firing_seconds == pytest.approx((30 + 30 + 30 * 1440 - 200 - 1) * 60, abs=120)


def test_a_condition_that_did_not_hold_long_enough_fired_nothing() -> None:
    waited = Activation({"alertname": "Slow", "severity": "page"}, at(5), None, at(8), at(7))
    found = figures([waited])
    assert (found.alerts[0].firings, found.alerts[0].pending_only, found.firings) == (0, 1, ())


def test_three_firings_close_to_each_other_flap_and_two_do_not() -> None:
    assert [one.flapping for one in figures([on(0, 3), on(10, 3)]).firings] == [False, False]
    assert [one.flapping for one in figures([on(0, 3), on(10, 3), on(28, 3), on(100, 3)]).firings] == [
        True, True, True, False]


def test_instances_flap_each_for_itself() -> None:
    spread = [on(minute, 3, instance=f"node{minute}") for minute in (0, 10, 20)]
    assert figures(spread).alerts[0].flapping == 0


lengths = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=25)


def _history(pairs: Sequence[tuple[int, int]]) -> list[Activation]:
    out, start = [], 0
    for length, gap in pairs:
        out.append(on(start, length))
        start += length + gap
    return out


@settings(deadline=None)
@given(lengths)
def test_flapping_is_what_its_definition_says(pairs: list[tuple[int, int]]) -> None:
    history = _history(pairs)
    found = firings_of(history, (), SPAN, YARD)
    for index, one in enumerate(found):
        low = high = index
        while low and found[low].fired - (found[low - 1].ended or T0) <= YARD.flap_gap:
            low -= 1
        while high + 1 < len(found) and found[high + 1].fired - (found[high].ended or T0) <= YARD.flap_gap:
            high += 1
        assert one.flapping == (high - low + 1 >= YARD.flap_least)


def test_a_firing_whose_end_nobody_told_is_not_short_and_lasts_no_longer_than_it_was_seen() -> None:
    told = Activation({"alertname": "Down", "severity": "page"}, at(5), at(5), None, at(5))
    found = figures([told])
    assert (found.alerts[0].short, found.alerts[0].firing_seconds, found.firings[0].length) == (0, 0, None)


# -- hours, people, teams -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("moment", "zone", "expected"), [
    (datetime(2026, 3, 2, 8, 59, tzinfo=UTC), "UTC", True),
    (datetime(2026, 3, 2, 9, 0, tzinfo=UTC), "UTC", False),
    (datetime(2026, 3, 2, 17, 0, tzinfo=UTC), "UTC", True),
    (datetime(2026, 3, 7, 12, 0, tzinfo=UTC), "UTC", True),  # a Saturday
    (datetime(2026, 3, 2, 8, 0, tzinfo=UTC), "Europe/Berlin", False),  # 9 o'clock there in winter
    (datetime(2026, 3, 30, 7, 0, tzinfo=UTC), "Europe/Berlin", False),  # and in summer, a day after the change
    (datetime(2026, 3, 30, 6, 59, tzinfo=UTC), "Europe/Berlin", True),
    (datetime(2026, 3, 6, 23, 30, tzinfo=UTC), "Asia/Tokyo", True),  # Saturday there already
])
def test_after_hours_is_told_by_the_clock_on_the_wall(moment: datetime, zone: str, expected: bool) -> None:
    assert after_hours(moment, zone, (9, 17)) is expected


def test_the_share_after_hours_is_said_for_each_zone_and_team() -> None:
    yard = Yardsticks(zones=("UTC", "America/New_York"))
    found = figures([on(0, 10, team="a"), on(60, 10, team="b")], yard=yard)
    assert found.after_hours == {"UTC": 0.0, "America/New_York": 1.0}
    assert [(one.team, one.firings, one.pages, one.after_hours["UTC"]) for one in found.teams] == [
        ("a", 1, 1, 0.0), ("b", 1, 1, 0.0)]


def test_where_nobody_recorded_anything_acting_is_unknown_and_not_zero() -> None:
    assert figures([on(0, 10)]).alerts[0].unacted is None
    assert not advised(figures([on(60 * n, 10) for n in range(20)]), "delete")


def test_an_act_belongs_to_the_alert_it_names_at_about_that_time() -> None:
    history = [on(0, 10, service="web"), on(600, 10, service="web"), on(600, 10, service="db")]
    found = figures(history, [act("ann", 20, "web"), act("bob", 3000, "x"), act("bob", 3001, "x")])
    assert [one.acted for one in found.firings] == [True, False, False]
    assert [(one.person, one.acts) for one in found.people] == [("bob", 2), ("ann", 1)]


def test_what_told_nobody_is_not_held_against_anybody() -> None:
    muted = Activation({"alertname": "X", "severity": "page"}, at(0), at(0), at(10), at(9), muted=True)
    assert figures([muted], [act("ann", 5000 + n, "other") for n in range(3)]).alerts[0].unacted == 0


def test_a_page_is_not_held_to_be_useless_for_noise_that_waiting_takes_away() -> None:
    noise = [on(600 * n + 10 * k, 4, service="web") for n in range(10) for k in range(4)]
    real = [on(600 * n + 300, 120, service="web") for n in range(10)]
    acts = [act("ann", 600 * n + 310, "web") for n in range(8)]
    found = figures([*noise, *real], acts)
    assert found.alerts[0].unacted == 42
    assert [one.kind for one in advice(found)] == ["for", "keep_firing_for"]
    ignored = figures([*noise, *real], [acts[0], act("bob", 9, "x"), act("bob", 10, "x")])
    assert advice(ignored)[0].kind == "demote"


# -- storms -------------------------------------------------------------------------------------------------------


def test_a_storm_is_many_instances_at_once_and_says_what_they_share() -> None:
    history = [on(60 + n % 4, 30, "Down", instance=f"n{n}", cluster="eu1") for n in range(12)]
    history += [on(600 + 20 * n, 5, "Down", instance=f"n{n}", cluster="eu1") for n in range(12)]
    (storm,) = figures(history).storms
    assert (storm.start, storm.end, storm.firings) == (at(60), at(63), 12)
    assert storm.together == ("alertname=Down", "cluster=eu1")


def test_one_instance_that_flaps_is_no_storm() -> None:
    assert storms(figures([on(n * 0.3, 0.1) for n in range(30)]).firings, YARD) == ()


@settings(deadline=None)
@given(st.lists(st.integers(0, 400), max_size=60))
def test_every_crowded_stretch_is_inside_a_storm_and_storms_do_not_overlap(starts: list[int]) -> None:
    history = [on(start, 1, instance=str(index)) for index, start in enumerate(starts)]
    found = figures(history)
    for one in found.firings:
        inside = [other for other in found.firings if one.fired <= other.fired <= one.fired + YARD.storm_within]
        if len(inside) >= YARD.storm:
            assert any(storm.start <= one.fired and inside[-1].fired <= storm.end for storm in found.storms)
    assert all(first.end < second.start for first, second in zip(found.storms, found.storms[1:], strict=False))
    assert all(storm.firings >= YARD.storm for storm in found.storms)


# -- advice -------------------------------------------------------------------------------------------------------


def _fires_with(history: Sequence[Activation], hold: timedelta, keep: timedelta = timedelta()) -> int:
    """How often the alert would have fired: Prometheus' rule played again minute by minute."""
    truth = {moment for one in history
             for moment in (one.began + MINUTE * n for n in range(int((one.last_seen - one.began) / MINUTE) + 1))}
    fired, active, kept, count = False, None, None, 0
    end = max(one.last_seen for one in history) + timedelta(hours=3)
    moment = min(one.began for one in history)
    while moment <= end:
        if moment in truth:
            active, kept = active or moment, None
            if not fired and moment - active >= hold:
                fired, count = True, count + 1
        elif fired and keep:
            kept = kept or moment
            if moment - kept >= keep:
                fired, active = False, None
        else:
            fired, active = False, None
        moment += MINUTE
    return count


def _one(history: Sequence[Activation]) -> tuple[Figures, list[Firing]]:
    found = figures(history)
    return found, [one for one in found.firings if one.fresh]


@settings(deadline=None)
@given(lengths)
def test_a_for_takes_away_exactly_what_playing_the_rule_again_says(pairs: list[tuple[int, int]]) -> None:
    history = _history(pairs)
    found, fresh = _one(history)
    suggested = waiting(found.alerts[0], fresh, 0.8)
    if suggested is None:
        return
    hold = timedelta(minutes=int(suggested.write.removeprefix("for: +").removesuffix("m")))
    assert _fires_with(history, hold) == len(history) - suggested.saves
    assert suggested.delays == len(history) - suggested.saves


@settings(deadline=None)
@given(lengths)
def test_a_keep_firing_for_joins_exactly_what_playing_the_rule_again_says(pairs: list[tuple[int, int]]) -> None:
    history = _history(pairs)
    found, fresh = _one(history)
    suggested = holding_on(found.alerts[0], fresh, 0.8)
    if suggested is None:
        return
    keep = timedelta(minutes=int(suggested.write.removeprefix("keep_firing_for: ").removesuffix("m")))
    assert _fires_with(history, timedelta(), keep) == len(history) - suggested.saves


def test_a_for_is_the_shortest_that_takes_away_enough_and_says_what_it_costs() -> None:
    history = [on(600 * n + 10 * k, 4, hold=2) for n in range(10) for k in range(4)]
    history += [on(600 * n + 300, 120, hold=2) for n in range(10)]
    rule = AlertRule("HighCpu", {"severity": "page"}, 2 * MINUTE, timedelta(), "x")
    (one,) = advised(figures(history, rules=[rule]), "for")
    assert (one.write, one.saves, one.of, one.delays, one.delay_seconds) == ("for: 5m", 40, 50, 10, 180)


def test_a_page_that_is_always_over_before_anybody_looks_becomes_a_ticket() -> None:
    (one,) = advised(figures([on(600 * n, 2) for n in range(8)]), "demote")
    assert one.write == "severity: ticket"


def test_an_alert_nobody_ever_acted_on_may_go_and_one_somebody_acted_on_may_not() -> None:
    ignored = [on(600 * n, 30, "Noise", service="a") for n in range(6)]
    useful = [on(600 * n + 100, 30, "Useful", service="b") for n in range(6)]
    acts = [act("ann", 600 * n + 105, "b") for n in range(6)]
    assert [one.alert for one in advised(figures([*ignored, *useful], acts), "delete")] == ["Noise"]


def test_what_always_fires_is_to_be_mended_unless_it_is_meant_to() -> None:
    found = figures([on(-10, None, "CertExpires"), on(-10, None, "Watchdog")])
    assert [(one.alert, one.kind) for one in advice(found)] == [("CertExpires", "mend")]
    assert {one.name: (one.always, one.by_design) for one in found.alerts} == {
        "CertExpires": (True, False), "Watchdog": (True, True)}


def test_alerts_that_begin_together_are_grouped_and_one_that_only_follows_is_held_back() -> None:
    both = [on(600 * n + late, 60, name) for n in range(6) for late, name in ((0, "Db"), (1, "Api"))]
    (group,) = advised(figures(both), "group")
    assert (group.alert, group.others) == ("Api", ("Db",)) or (group.alert, group.others) == ("Db", ("Api",))
    follows = [on(600 * n, 60, "Node") for n in range(12)] + [on(600 * n + 1, 60, "Pod") for n in range(4)]
    (held,) = advised(figures(follows), "inhibit")
    assert (held.alert, held.others, held.saves) == ("Pod", ("Node",), 4)


def test_savings_of_one_alert_are_counted_once() -> None:
    found = advice(figures([on(600 * n + 10 * k, 4) for n in range(10) for k in range(4)]))
    assert len(found) > 1
    assert saved(found) == max(one.saves for one in found) == 40


def test_what_never_fired_is_told_where_the_rules_are_known() -> None:
    rules = [AlertRule("HighCpu", {}, MINUTE, timedelta(), "x"), AlertRule("Never", {}, MINUTE, timedelta(), "x"),
             AlertRule("Burn", {"slo": "web"}, MINUTE, timedelta(), "x")]
    assert figures([on(0, 10)], rules=rules).never_fired == ("Never",)


def _rule(labels: Mapping[str, str]) -> AlertRule:
    return AlertRule("Burn", labels, MINUTE, timedelta(), "x")


def test_a_rule_is_found_by_name_and_by_the_labels_it_sets() -> None:
    page, ticket = _rule({"severity": "page"}), _rule({"severity": "ticket"})
    assert rule_of(("Burn", "ticket", "", ""), [page, ticket]) is ticket
    assert rule_of(("Burn", "page", "web", "page-1h"), [_rule({"severity": "{{ $labels.severity }}"})]) is not None
    assert rule_of(("Other", "page", "", ""), [page]) is None
