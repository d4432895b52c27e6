"""How often chance makes an alert fire, beside simulations of a service that just keeps its promise."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.kernel.series import Series
from mainstay.monitoring.chance import MONTH, false_alarms, trips_at
from mainstay.monitoring.evaluation import History, Rule, firings
from mainstay.monitoring.gate import gate_open
from mainstay.monitoring.gating import least_failures, passes
from mainstay.monitoring.spec import LowTraffic
from mainstay.stats.budget import BurnAlert, Tier, binomial_tail

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
FAST = Rule("page-1h", "page", HOUR, 5 * MINUTE, Decimal("0.0144"))


def simulated(rule: Rule, per_hour: float, share: float, months: int, step: int = 60) -> float:
    """Firings a month of a service that fails that share of its requests, both by chance."""
    random = np.random.default_rng(7)
    slots = int(months * MONTH / step)
    total = random.poisson(per_hour * step / 3600, slots)
    bad = random.binomial(total, share)
    series = Series(0, step, bad.astype(float), total.astype(float), np.ones(slots, dtype=np.bool_))
    return len(firings(History(series, timedelta(seconds=step)), rule)) / months


def test_two_failures_within_an_hour_are_counted_in_closed_form() -> None:
    """At 100 requests an hour that fail once in 1,000, two failures within an hour trip 14.4×. They come as a Poisson
    process of 0.1 an hour, so a pair begins λ(1 - exp(-λ)) times an hour, whatever the short window says.
    """
    without_fluctuation = 720 * 0.1 * (1 - math.exp(-0.1))
    assert false_alarms(FAST, 100 / 3600, 0.001).a_month == pytest.approx(without_fluctuation, rel=0.02)


def test_one_look_is_the_binomial_tail() -> None:
    """0.464 % of the hours: the figure of docs/explain/mathematics.md, for exactly 100 requests."""
    assert binomial_tail(100, 2, 0.001) == pytest.approx(0.00464, abs=5e-6)
    found = false_alarms(FAST, 100 / 3600, 0.001)
    assert found.least == 2
    assert found.chance == pytest.approx(0.00464, rel=0.04)  # over hours that are busier and quieter than the average
    assert found.looks == pytest.approx(found.a_month / found.chance)
    assert found.looks > 720, "overlapping looks are worth more than one an hour"


@pytest.mark.parametrize(("rule", "per_hour", "share", "months"), [
    (FAST, 100, 0.001, 120), (FAST, 50, 0.001, 40), (replace(FAST, long=6 * HOUR, short=30 * MINUTE,
                                                            threshold=Decimal("0.006")), 100, 0.001, 120),
    (replace(FAST, threshold=Decimal("0.1")), 60, 0.01, 120)])
def test_the_rate_of_false_alarms_is_the_simulated_one(rule: Rule, per_hour: float, share: float, months: int) -> None:
    expected = false_alarms(rule, per_hour / 3600, share).a_month
    seen = simulated(rule, per_hour, share, months)
    # Four standard deviations of a Poisson count, and what the grain of a minute and fluctuating short windows change.
    assert seen == pytest.approx(expected, abs=4 * math.sqrt(expected / months), rel=0.12)


def test_where_failures_are_as_frequent_as_evaluations_the_rate_is_a_bound() -> None:
    """Between two evaluations a condition may begin and end unseen; the count of beginnings does not know that."""
    lax = replace(FAST, threshold=Decimal("0.36"))
    assert 0 < simulated(lax, 120, 0.25, 60) < false_alarms(lax, 120 / 3600, 0.25).a_month


def test_a_hold_makes_false_alarms_only_rarer() -> None:
    held = replace(FAST, hold=2 * MINUTE)
    assert simulated(held, 100, 0.001, 60) <= simulated(FAST, 100, 0.001, 60)
    assert false_alarms(held, 100 / 3600, 0.001).a_month == false_alarms(FAST, 100 / 3600, 0.001).a_month


def test_busy_services_are_not_woken_by_chance() -> None:
    assert false_alarms(FAST, 10_000 / 3600, 0.001).a_month < 1e-9


# -- the gate, over many windows at once ------------------------------------------------------------------------


def burn(threshold: Decimal) -> BurnAlert:
    tier = Tier("page", HOUR, Decimal("0.02"), timedelta(0))
    return BurnAlert(tier, threshold * 1000, threshold, HOUR / 12, HOUR, ())


gates = st.builds(LowTraffic, st.sampled_from(["wilson", "beta-binomial"]),
                  st.sampled_from([Decimal("0.5"), Decimal("0.95"), Decimal("0.99"), Decimal("0.99999")]))
thresholds = st.sampled_from([Decimal("0.0144"), Decimal("0.006"), Decimal("0.001"), Decimal("0.3"), Decimal("0.9")])


@settings(max_examples=300, deadline=None)
@given(gates, thresholds, st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20_000)), min_size=1, max_size=20))
def test_the_gate_over_arrays_is_the_gate_of_the_rules(low, threshold, windows) -> None:
    bad = np.array([float(failed) for failed, _ in windows])
    total = np.array([float(failed + fine) + 1 for failed, fine in windows])
    assert passes(low, threshold, bad, total).tolist() == [
        gate_open(burn(threshold), low, b, t) for b, t in zip(bad.tolist(), total.tolist(), strict=True)]


@settings(max_examples=200, deadline=None)
@given(gates, thresholds, st.integers(1, 3_000))
def test_the_fewest_failures_that_open_the_gate_are_found_by_trying(low, threshold, total) -> None:
    tried = next((k for k in range(total + 1) if gate_open(burn(threshold), low, float(k), float(total))), total + 1)
    assert least_failures(low, threshold, total) == tried


def test_what_trips_an_alert_lies_above_its_threshold_and_opens_its_gate() -> None:
    gated = replace(FAST, gate=LowTraffic("beta-binomial"))
    assert trips_at(FAST, 100) == 2
    assert trips_at(gated, 100) == 4
    assert trips_at(gated, 10_000) == trips_at(FAST, 10_000) == 145
