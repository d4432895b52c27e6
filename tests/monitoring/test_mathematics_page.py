"""The tables of docs/explain/mathematics.md about alerts, recomputed."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from mainstay.kernel.quantity import Target, parse_duration, short_duration
from mainstay.monitoring.rulefile import number
from mainstay.monitoring.spec import LowTraffic
from mainstay.monitoring.tiers import chosen
from mainstay.stats.budget import burn_alerts
from monitoring.test_gate import HOURS, PAGE, binomial_tail, first_count
from slo.test_mathematics_page import number as written
from slo.test_mathematics_page import rows


def test_tiers_for_other_windows_are_those_of_the_code():
    for row in rows("T, target"):
        window, target = re.fullmatch(r"(\d+) d, ([\d.]+) %", row[0]).groups()  # type: ignore[union-attr]
        length, promise = timedelta(days=int(window)), Target.percent(target)
        alerts = burn_alerts(promise, length, chosen(length, promise))
        assert row[1] == " · ".join(f"{short_duration(one.tier.long)} {number(one.factor)}" for one in alerts)
        assert all(parse_duration(part.split()[0]) < length for part in row[1].split(" · "))


def test_the_gates_figures_are_those_of_the_code():
    low = LowTraffic("wilson")
    for row in rows("events an hour at 99.9 %"):
        events = int(written(row[0]))
        plain, gated = int(PAGE.threshold * events) + 1, first_count(PAGE, low, events)
        assert [int(written(cell)) for cell in row[1:3]] == [plain, gated]
        for cell, least in zip(row[3:], (plain, gated), strict=True):
            assert written(cell) == pytest.approx(binomial_tail(events, 0.001, least) * HOURS, rel=0.03, abs=1e-9)


def test_the_gate_ends_where_the_page_says():
    low = LowTraffic("wilson")
    needed = [first_count(PAGE, low, events) == int(PAGE.threshold * events) + 1 for events in range(640, 760)]
    assert all(needed[695 - 640:])
