"""What is measured on histories equals the closed forms of the SRE Workbook, ch. 5, to one evaluation."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from mainstay.kernel.quantity import Target
from mainstay.kernel.series import Series
from mainstay.monitoring.backtest import detected_after, reset_after, spent_at
from mainstay.monitoring.evaluation import History, Rule, firings
from mainstay.monitoring.policies import preset

STEP = 30
HOUR = timedelta(hours=1)
MONTH = timedelta(days=30)


def outage(rule: Rule, begins: int, share: float, lasts: int, per_slot: float = 1e6) -> History:
    """A clean time, errors at one share, and a clean time again; slots numbered from zero."""
    slots = begins + lasts + int((rule.short or rule.long).total_seconds()) // STEP + 20
    total = np.full(slots, per_slot)
    bad = np.zeros(slots)
    bad[begins:begins + lasts] = per_slot * share
    return History(Series(0, STEP, bad, total, np.ones(slots, dtype=np.bool_)), timedelta(seconds=STEP))


def test_random_incidents_are_detected_and_let_go_when_the_formulas_say() -> None:
    random = np.random.default_rng(20_261_128)
    tried = 0
    while tried < 400:
        target = Target.percent(str(random.choice(["90", "99", "99.5", "99.9", "99.95", "99.99"])))
        window = timedelta(days=int(random.choice([7, 28, 30, 90])))
        choice = preset(str(random.choice(["workbook", "sloth"])), target, window).rules
        rule = choice[int(random.integers(len(choice)))]
        if rule.long > 6 * HOUR or rule.threshold >= 1:
            continue
        share = float(rule.threshold) + (1 - float(rule.threshold)) * float(random.random()) ** 2
        after, quiet = detected_after(rule, share), reset_after(rule, share)
        if after is None or quiet is None:
            continue
        tried += 1
        long = int(rule.long.total_seconds()) // STEP
        begins, lasts = int(random.integers(long, 2 * long)), long + int(random.integers(0, 50))
        fired = firings(outage(rule, begins, share, lasts), rule)
        assert len(fired) == 1
        seen = int(fired.began[0]) - begins * STEP
        assert after.total_seconds() <= seen <= after.total_seconds() + STEP + 1e-6
        seen = int(fired.ended[0]) - (begins + lasts) * STEP
        assert quiet.total_seconds() - 1e-6 <= seen <= quiet.total_seconds() + STEP


@pytest.mark.parametrize(("tier", "share", "seconds"), [
    (0, 1.0, 51.84), (1, 1.0, 129.6), (0, 0.1, 518.4), (1, 0.1, 1296)])
def test_the_published_detection_times(tier: int, share: float, seconds: float) -> None:
    """99.9 % over 30 days: 52 s and 2.16 min in a full outage, 8.64 and 21.6 min at 10 % errors."""
    rule = preset("workbook", Target.percent("99.9"), MONTH).rules[tier]
    after = detected_after(rule, share)
    assert after is not None
    assert after.total_seconds() == pytest.approx(seconds)


def test_a_share_below_the_threshold_is_never_detected() -> None:
    rule = preset("workbook", Target.percent("99.9"), MONTH).rules[0]
    assert detected_after(rule, 0.0144) is None
    assert reset_after(rule, 0.0144) is None
    assert not len(firings(outage(rule, 150, 0.0144, 200), rule))


def test_a_full_outage_is_let_go_five_minutes_after_it() -> None:
    rule = preset("workbook", Target.percent("99.9"), MONTH).rules[0]
    quiet = reset_after(rule, 1.0)
    assert quiet is not None
    assert quiet.total_seconds() == pytest.approx(300 * (1 - 0.0144))


def test_when_a_tier_trips_its_share_of_the_budget_is_spent() -> None:
    for rule, share in zip(preset("sloth", Target.percent("99.9"), MONTH).rules, (0.02, 0.05, 0.1, 0.1), strict=True):
        after = detected_after(rule, 0.5)
        assert after is not None
        assert spent_at(after, 0.5, Decimal("0.001"), MONTH) == pytest.approx(share)
