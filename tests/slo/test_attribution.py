"""Who spent the budget: conservation of the loss, and cases divided by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.kernel.quantity import Span
from mainstay.kernel.series import slots
from mainstay.slo.attribution import Attribution, Fact, by_cause, by_label

START = datetime(2026, 3, 1, tzinfo=UTC)


def at(slot: float, end: float | None = None) -> Span:
    first = START + timedelta(minutes=5 * slot)
    return Span(first, first if end is None else START + timedelta(minutes=5 * end))


def lost_to(found: Attribution) -> dict[str, float]:
    return {part.key.subject if isinstance(part.key, Fact) else str(part.key): part.bad for part in found.parts}


def fact(subject: str, span: Span, weight: float = 1.0) -> Fact:
    return Fact("incident", subject, span, weight=weight)


# -- by cause


def test_what_is_lost_above_the_background_belongs_to_the_fact_of_that_time() -> None:
    bad = [1.0] * 100
    bad[10:13] = [101.0] * 3
    found = by_cause(slots(START, bad, [1000.0] * 100), [fact("INC-1", at(10, 13))])
    assert lost_to(found) == {"INC-1": pytest.approx(300), "background": pytest.approx(100)}


def test_a_burst_nobody_knows_a_reason_for_is_unexplained() -> None:
    bad = [0.0] * 100
    bad[50] = 40
    found = by_cause(slots(START, bad, [1000.0] * 100), [fact("INC-1", at(10, 13))])
    assert lost_to(found) == {"unexplained": 40}


def test_an_odd_failure_now_and_then_is_background() -> None:
    bad = [0.0] * 50
    bad[7], bad[31], bad[32] = 1, 1, 1
    assert lost_to(by_cause(slots(START, bad, [200.0] * 50), [])) == {"background": 3}


def test_a_fact_is_not_charged_for_the_noise_of_its_time() -> None:
    bad = np.random.default_rng(1).poisson(0.4, 2880).astype(float)
    found = lost_to(by_cause(slots(START, bad, [100.0] * 2880), [fact("long and harmless", at(288, 576))]))
    assert found["background"] / bad.sum() > 0.95


def test_a_fact_is_charged_for_what_it_adds_to_the_noise() -> None:
    random = np.random.default_rng(2)
    bad = random.poisson(0.4, 2880) + np.where(np.arange(2880) // 288 == 1, random.poisson(1.0, 2880), 0)
    found = lost_to(by_cause(slots(START, bad.astype(float), [100.0] * 2880), [fact("INC", at(288, 576))]))
    assert found["INC"] == pytest.approx(288, rel=0.15)


def test_overlapping_facts_share_by_what_each_loses_where_it_is_alone() -> None:
    bad = [0.0] * 100
    bad[10], bad[11], bad[12] = 30, 40, 10
    facts = [fact("heavy", at(10, 12)), fact("light", at(11, 13))]
    found = lost_to(by_cause(slots(START, bad, [1000.0] * 100), facts))
    assert found == {"heavy": pytest.approx(30 + 30), "light": pytest.approx(10 + 10)}


def test_overlapping_facts_that_are_never_alone_share_by_weight_and_time() -> None:
    bad = [0.0, 60.0, 0.0]
    facts = [fact("a", at(1, 2), weight=2), fact("b", at(1, 2)), fact("half", at(1, 1.5), weight=2)]
    found = lost_to(by_cause(slots(START, bad, [1000.0] * 3), facts))
    assert found == {"a": pytest.approx(30), "b": pytest.approx(15), "half": pytest.approx(15)}


def test_a_fact_that_costs_nothing_alone_leaves_the_loss_to_the_other() -> None:
    bad = [0.0, 0.0, 50.0, 50.0]
    facts = [fact("harmless", at(1, 3)), fact("harmful", at(2, 4))]
    assert lost_to(by_cause(slots(START, bad, [1000.0] * 4), facts)) == {"harmful": pytest.approx(100)}


def test_a_moment_without_length_explains_the_slot_that_holds_it() -> None:
    found = by_cause(slots(START, [0.0, 9.0, 0.0], [10.0] * 3), [fact("deploy", at(1.5))])
    assert lost_to(found) == {"deploy": 9}


def test_nothing_lost_has_no_parts() -> None:
    assert by_cause(slots(START, [0.0], [10.0]), [fact("INC", at(0, 1))]) == Attribution(0.0, ())
    assert by_cause(slots(START, [], []), [fact("INC", at(0, 1))]) == Attribution(0.0, ())
    assert by_label(0, []) == Attribution(0.0, ())


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[int], list[int | None], list[Fact]]:
    totals = draw(st.lists(st.none() | st.integers(0, 1000), min_size=1, max_size=60))
    bad = [draw(st.integers(0, total)) if total else 0 for total in totals]
    facts = []
    for number in range(draw(st.integers(0, 5))):
        first = draw(st.floats(-5, 65))
        facts.append(fact(f"F{number}", at(first, first + draw(st.floats(0, 30))), draw(st.floats(0.1, 10))))
    return bad, totals, facts


@given(cases())
def test_the_parts_add_up_to_the_loss_exactly(case: tuple[list[int], list[int | None], list[Fact]]) -> None:
    bad, totals, facts = case
    found = by_cause(slots(START, bad, totals), facts)
    assert found.lost == sum(bad)
    assert math.fsum(part.bad for part in found.parts) == found.lost
    assert math.fsum(part.share for part in found.parts) == pytest.approx(1 if sum(bad) else 0, abs=1e-12)
    assert all(part.bad > 0 for part in found.parts)


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_the_facts_does_not_matter(case: tuple[list[int], list[int | None], list[Fact]],
                                                random: object) -> None:
    bad, totals, facts = case
    series = slots(START, bad, totals)
    shuffled = list(facts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = lost_to(by_cause(series, facts)), lost_to(by_cause(series, shuffled))
    assert {key: round(bad, 6) for key, bad in one.items() if bad > 1e-6} == {
        key: round(bad, 6) for key, bad in other.items() if bad > 1e-6}


# -- by label


def test_what_the_spenders_leave_over_is_unexplained() -> None:
    found = by_label(10, [({"path": "/a"}, 2), ({"path": "/b"}, 5)])
    assert [(part.key, part.bad, part.share) for part in found.parts] == [
        ({"path": "/b"}, 5, 0.5), ({"path": "/a"}, 2, 0.2), ("unexplained", 3, pytest.approx(0.3))]


def test_spenders_of_more_than_was_lost_are_reduced_in_proportion() -> None:
    found = by_label(6, [({"path": "/a"}, 4), ({"path": "/b"}, 8)])
    assert [part.bad for part in found.parts] == [pytest.approx(4), pytest.approx(2)]
    assert math.fsum(part.bad for part in found.parts) == 6


def test_the_semicomplete_log_by_request() -> None:
    found = by_label(3, [({"request": "OPTIONS /projects/xdotool/"}, 1), ({"request": "GET /misc/Title.php.txt"}, 2)])
    assert [part.bad for part in found.parts] == [2, 1]


@given(st.integers(1, 10**6), st.lists(st.integers(0, 10**5), max_size=30))
def test_labels_add_up_to_the_loss_exactly(lost: int, spent: list[int]) -> None:
    found = by_label(lost, [({"key": str(number)}, bad) for number, bad in enumerate(spent)])
    assert math.fsum(part.bad for part in found.parts) == lost
