"""The gate for little traffic: fewer false pages, no lost outage, the same decisions where traffic is not little."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from mainstay.kernel.quantity import Target
from mainstay.monitoring.gate import failures_needed, gate_open, gate_promql, wilson_lower, z_of
from mainstay.monitoring.spec import LowTraffic
from mainstay.stats.budget import BurnAlert, burn_alerts, chance_of_false_page
from monitoring.recording import asked
from servers.history import START
from servers.prometheus import prometheus

T999 = Target.percent("99.9")
TIERS = burn_alerts(T999, timedelta(days=30))
PAGE = TIERS[0]
GATES = (LowTraffic("wilson"), LowTraffic("beta-binomial"), LowTraffic("wilson", Decimal("0.99")))
HOURS = 720


def first_count(burn: BurnAlert, low: LowTraffic, events: int) -> int:
    """The fewest failures at which the tier's long window trips through the gate."""
    return next(bad for bad in range(events + 1) if bad / events > float(burn.threshold)
                and gate_open(burn, low, bad, events))


def binomial_tail(events: int, share: float, least: int) -> float:
    """P(at least so many failures), exactly; the complement keeps the sum short."""
    below, term = 0.0, (1 - share) ** events
    for bad in range(least):
        below += term
        term *= (events - bad) / (bad + 1) * share / (1 - share)
    return 1 - below


@pytest.mark.parametrize("low", GATES, ids=str)
def test_at_100_requests_an_hour_there_is_less_than_a_false_page_in_ten_months(low):
    plain = chance_of_false_page(100, 0.001, PAGE) * HOURS
    assert plain == pytest.approx(3.3, abs=0.05), "field note, §3.1: 0.464 % of the hours"
    assert binomial_tail(100, 0.001, first_count(PAGE, low, 100)) * HOURS <= 0.1


@pytest.mark.parametrize("low", GATES, ids=str)
@pytest.mark.parametrize("burn", TIERS, ids=lambda burn: f"{burn.tier.severity} {burn.tier.long}")
def test_from_ten_thousand_requests_an_hour_decisions_are_those_without_a_gate(burn, low):
    for hourly in (10_000, 25_000, 1_000_000):
        events = int(hourly * (burn.tier.long / timedelta(hours=1)))
        line = int(events * burn.threshold)
        for bad in range(max(line - 200, 0), line + 200):
            # What trips the tier passes the gate; what does not trip it is no matter.
            assert bad / events <= float(burn.threshold) or gate_open(burn, low, bad, events)


@pytest.mark.parametrize("low", GATES, ids=str)
@pytest.mark.parametrize("hourly", [60, 100, 600])
def test_a_full_outage_pages_within_fifteen_minutes(low, hourly):
    for minute in range(1, 16):
        bad = hourly * minute // 60
        if bad / hourly > float(PAGE.threshold) and gate_open(PAGE, low, bad, hourly):
            break
    else:
        pytest.fail("never")
    hold, scrape, evaluation = 2, 0.5, 0.5
    assert minute + hold + scrape + evaluation <= 15


def test_the_gate_asks_for_no_less_when_there_is_more_traffic():
    for low in GATES[::2]:
        needed = [failures_needed(PAGE, low, events) for events in range(1, 3000)]
        assert needed == sorted(needed), "more events never need fewer failures: there is no jump where the gate ends"


def test_at_full_strength_the_gate_is_wilsons_lower_bound():
    # Solving the bound for the failures gives the score test; both must part at the same count.
    q, z = float(PAGE.threshold), float(z_of(GATES[0]))
    for events in range(5, 60):
        fade = 1 - events * q / 10
        for bad in range(2, events):
            bound = wilson_lower(bad - 0.5 * fade, events, z * fade)
            assert (bound > q) == gate_open(PAGE, GATES[0], bad, events), (bad, events)


def test_one_failure_alone_never_trips_while_traffic_is_little():
    assert not any(gate_open(PAGE, low, 1, events) for low in GATES for events in range(1, 690))


def test_a_simulated_year_of_luck_pages_hardly_ever():
    # 60 years at 100 requests an hour, each failing once in 1,000, looked at every minute. An alert's beginning counts.
    draw = np.random.Generator(np.random.PCG64(7))
    minutes = 60 * 24 * 365 * 60
    total = draw.poisson(100 / 60, minutes)
    bad = draw.binomial(total, 0.001)
    sums = [np.concatenate([[0], np.cumsum(column)]) for column in (bad, total)]

    def window(length: int) -> tuple[np.ndarray, np.ndarray]:
        # Both windows end at the same minutes, from the first full hour on.
        return tuple(column[60:] - column[60 - length:len(column) - length] for column in sums)  # type: ignore[return-value]

    (long_bad, long_total), (short_bad, short_total) = window(60), window(5)
    line = float(PAGE.threshold)
    tripped = (long_bad > line * long_total) & (short_bad > line * short_total)
    needed = np.array([failures_needed(PAGE, GATES[0], events) for events in range(long_total.max() + 1)])
    gated = tripped & (long_bad > needed[long_total])
    months = minutes / 60 / HOURS
    assert _beginnings(tripped) / months > 3
    assert _beginnings(gated) / months <= 0.1


def _beginnings(active: np.ndarray) -> int:
    return int((active[1:] & ~active[:-1]).sum())


@pytest.mark.server("prometheus")
@pytest.mark.parametrize("low", GATES, ids=str)
def test_prometheus_decides_as_python_does(low, tmp_path: Path):
    cases = [(bad, events) for events in (3, 30, 69, 100, 300, 690, 695, 1000, 10_000)
             for line in [events * 144 // 10_000]
             for bad in sorted({1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, line, line + 1})
             if bad <= events]
    lines = [f'# TYPE {name} gauge\n' + "\n".join(f'{name}{{case="{at}"}} {case[which]} {START}'
                                                  for at, case in enumerate(cases))
             for which, name in enumerate(("bad", "total"))]
    with prometheus(tmp_path, backfill="\n".join([*lines, "# EOF", ""])) as server:
        for burn in TIERS:
            said = asked(server.url, gate_promql(burn, low, "bad", "total"), START)
            opened = {int(dict(labels)["case"]) for labels in said}
            assert opened == {at for at, case in enumerate(cases) if gate_open(burn, low, *case)}
