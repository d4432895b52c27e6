"""Tiers for any window and target: every factor can be passed, none is passed while the promise is kept."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from mainstay.kernel.quantity import CalendarWindow, Period, RequestWindow, RollingWindow, Target
from mainstay.monitoring.alerts import short_window
from mainstay.monitoring.rulefile import number
from mainstay.monitoring.tiers import chosen, length_for_burn
from mainstay.stats.budget import TIERS, burn_alerts

TARGETS = ("50", "75", "83.3", "90", "93.05", "95", "99", "99.5", "99.9", "99.95", "99.99", "99.999", "99.9999")


@pytest.mark.parametrize("days", [0.5, 1, 2, 3, 5, 7, 10, 14, 21, 27, 28, 29, 30, 31, 45, 60, 90, 180, 365])
@pytest.mark.parametrize("target", TARGETS)
def test_no_tier_is_out_of_reach_and_none_trips_on_budget(days, target):
    promise, window = Target.percent(target), timedelta(days=days)
    alerts = burn_alerts(promise, window, chosen(window, promise))
    assert alerts, "some tier there always is"
    for alert in alerts:
        assert not alert.faults
        assert alert.factor >= 1
        assert alert.threshold <= Decimal("0.9")
        assert alert.tier.spends <= Decimal("0.5")
    factors = [alert.factor for alert in alerts]
    assert factors == sorted(set(factors), reverse=True), "a longer window is always the more sensitive one"
    assert [alert.tier.long for alert in alerts] == sorted({alert.tier.long for alert in alerts})
    assert any(alert.tier.severity == "page" for alert in alerts)


def test_thirty_days_are_the_workbook():
    assert chosen(timedelta(days=30), Target.percent("99.9")) == TIERS


def test_seven_days_are_not_the_workbook_multiplied_out():
    # Field note, §3.1: 7 d rescaled is 3.36, 1.4, 0.7, 0.233, of which two trip while the promise is kept.
    alerts = burn_alerts(Target.percent("99.9"), timedelta(days=7), chosen(timedelta(days=7), Target.percent("99.9")))
    assert [number(alert.factor) for alert in alerts] == ["15.12", "6.16", "3.08", "1.05"]


def test_too_short_a_window_has_no_tier():
    assert chosen(timedelta(hours=6), Target.percent("99.9")) == ()


def test_windows_without_a_length_are_held_against_a_usual_one():
    assert length_for_burn(CalendarWindow(Period.QUARTER)) == timedelta(days=90)
    assert length_for_burn(RequestWindow(1000)) == timedelta(days=30)
    assert length_for_burn(RollingWindow(timedelta(days=9))) == timedelta(days=9)


def test_short_windows_are_a_twelfth_in_whole_five_minutes():
    minutes = {15: 5, 60: 5, 90: 10, 360: 30, 1440: 120, 4320: 360, 960: 80}
    assert {long: short_window(timedelta(minutes=long)) / timedelta(minutes=1) for long in minutes} == minutes
