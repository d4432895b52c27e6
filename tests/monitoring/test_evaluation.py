"""Alerts over a history, beside a plain evaluator that goes from moment to moment as Prometheus does."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.kernel.quantity import Target
from mainstay.kernel.series import Series
from mainstay.monitoring.evaluation import Firings, History, Rule, firings, together
from mainstay.monitoring.spec import LowTraffic
from monitoring import slow

TARGET = Target.percent(99)
MINUTE = timedelta(minutes=1)


def series(bad: list[float], total: list[float | None], step: int = 60, start: int = 0) -> Series:
    known = np.array([value is not None for value in total], dtype=np.bool_)
    return Series(start, step, np.where(known, np.array(bad, dtype=float), 0.0),
                  np.array([0.0 if value is None else float(value) for value in total]), known)


def pairs(fired: Firings) -> list[tuple[int, int]]:
    return list(zip(fired.began.tolist(), fired.ended.tolist(), strict=True))


@st.composite
def histories(draw: st.DrawFn) -> Series:
    step = draw(st.sampled_from([30, 60, 300]))
    slots = draw(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.booleans()), min_size=1, max_size=90))
    # Quiet stretches between troubles, or every window would always be above.
    spread = draw(st.integers(1, 6))
    bad, total = [], []
    for index, (failing, fine, known) in enumerate(slots):
        failed = failing if index // 10 % spread == 0 else 0
        bad.append(float(failed) if known else 0.0)
        total.append(float(failed + fine) if known else None)
    return series(bad, total, step, draw(st.integers(0, 20)) * step)


rules = st.builds(
    Rule, st.just("page-x"), st.just("page"), st.integers(1, 40).map(lambda n: n * MINUTE),
    st.one_of(st.none(), st.integers(1, 10).map(lambda n: n * MINUTE)),
    st.sampled_from([Decimal("0.01"), Decimal("0.144"), Decimal("0.25"), Decimal("0.5"), Decimal("0.9")]),
    st.sampled_from([timedelta(0), 2 * MINUTE, 5 * MINUTE, timedelta(seconds=45)]),
    st.sampled_from([None, LowTraffic("wilson"), LowTraffic("beta-binomial"),
                     LowTraffic("beta-binomial", Decimal("0.999"))]))


@settings(max_examples=250, deadline=None)
@given(histories(), rules, st.sampled_from([15, 30, 60, 120, 300]))
def test_firings_are_exactly_those_of_a_plain_evaluator(history: Series, rule: Rule, interval: int) -> None:
    fast = firings(History(history, timedelta(seconds=interval)), rule)
    expected, still_open = slow.firings(history, rule, interval, TARGET)
    assert pairs(fast) == expected
    assert fast.open == still_open


def test_a_hold_is_counted_from_the_first_evaluation_at_which_the_condition_held() -> None:
    rule = Rule("page-1m", "page", MINUTE, None, Decimal("0.5"), 2 * MINUTE)
    history = series([0, 1, 1, 1, 1, 0, 0], [1] * 7)
    # It holds at 120 s … 300 s; two minutes later it fires; at 360 s it does not hold any more.
    assert pairs(firings(History(history, MINUTE), rule)) == [(240, 360)]


def test_a_condition_that_breaks_off_starts_its_hold_anew() -> None:
    rule = Rule("page-1m", "page", MINUTE, None, Decimal("0.5"), 2 * MINUTE)
    history = series([1, 1, 0, 1, 1, 0, 1, 1, 1, 1], [1] * 10)
    assert pairs(firings(History(history, MINUTE), rule)) == [(540, 600)]


def test_an_alert_that_still_fires_when_the_history_ends_is_open() -> None:
    rule = Rule("page-1m", "page", MINUTE, None, Decimal("0.5"))
    fired = firings(History(series([0, 1, 1], [1] * 3), MINUTE), rule)
    assert pairs(fired) == [(120, 180)]
    assert fired.open


def test_a_window_without_events_trips_nothing_and_ends_what_fired() -> None:
    rule = Rule("page-1m", "page", 2 * MINUTE, MINUTE, Decimal("0.5"))
    history = series([1, 0, 1], [1, None, 1])
    assert pairs(firings(History(history, MINUTE), rule)) == [(60, 120), (180, 180)]


def test_a_share_that_is_just_the_threshold_is_not_above_it() -> None:
    # 0.29 × 100 is 28.999999999999996 in binary: a product would call 29 of 100 more than 0.29.
    rule = Rule("page-1m", "page", MINUTE, None, Decimal("0.29"))
    assert not len(firings(History(series([29], [100]), MINUTE), rule))
    assert len(firings(History(series([30], [100]), MINUTE), rule))


def test_crumbs_of_sums_of_fractions_are_no_events() -> None:
    # 0.1 + 0.2 - 0.3 is not zero in binary; a window in which nothing was counted must stay empty.
    bad = [0.1, 0.2, 0.3] * 50 + [0.0] * 50
    fired = firings(History(series(bad, bad), MINUTE), Rule("page-1m", "page", 3 * MINUTE, None, Decimal("0.01")))
    assert pairs(fired) == [(60, 153 * 60)]


def test_rules_together_fire_while_any_of_them_does() -> None:
    one = Firings(np.array([10, 50]), np.array([20, 60]), False)
    other = Firings(np.array([20, 55, 90]), np.array([30, 57, 95]), True)
    both = together([one, other])
    assert pairs(both) == [(10, 30), (50, 60), (90, 95)]
    assert both.open
    assert not together([one]).open
    assert len(together([])) == 0


@pytest.mark.parametrize(("step", "interval", "evaluations"), [(30, 30, 20), (30, 60, 10), (300, 30, 2), (60, 90, 5)])
def test_rules_are_evaluated_at_the_interval_in_whole_slots(step: int, interval: int, evaluations: int) -> None:
    history = History(series([0] * (600 // step), [1] * (600 // step), step), timedelta(seconds=interval))
    assert history.count == evaluations
