"""The numbers of docs/explain/mathematics.md, recomputed from its own tables."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mainstay.kernel.quantity import Target
from mainstay.stats import budget
from mainstay.stats.budget import Tally

PAGE = (Path(__file__).parents[2] / "docs" / "explain" / "mathematics.md").read_text(encoding="utf-8")
T999 = Target.percent("99.9")


def rows(first_heading: str) -> list[list[str]]:
    """The rows of the table whose first column has that heading."""
    found, inside = [], False
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] == first_heading:
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not set(line) <= set("|-"):
            found.append(cells)
    assert found, f"the page has a table that begins with {first_heading}"
    return found


def number(text: str) -> float:
    match = re.search(r"-?[\d,]*\.?\d+", text)
    assert match, text
    return float(match[0].replace(",", ""))


def row_of(first_heading: str, name: str) -> list[str]:
    return next(row for row in rows(first_heading) if row[0].startswith(name))


def test_the_tiers_are_those_of_the_code() -> None:
    alerts = budget.burn_alerts(T999, timedelta(days=30))
    written = rows("tier (T = 30 d, 99.9 %)")
    assert len(written) == len(alerts)
    for row, alert in zip(written, alerts, strict=True):
        assert row[0] == alert.tier.severity
        assert [number(cell) for cell in row[1:]] == pytest.approx([
            alert.tier.long / timedelta(hours=1), alert.short / timedelta(minutes=1), float(alert.tier.spends * 100),
            float(alert.factor), float(alert.threshold * 100), alert.exhausts_in / timedelta(hours=1)])


def test_the_factors_over_other_windows_are_those_of_the_code() -> None:
    for row in rows("T"):
        alerts = budget.burn_alerts(T999, timedelta(days=number(row[0])))
        assert [number(cell) for cell in row[1:]] == pytest.approx([float(a.factor) for a in alerts], abs=5e-4)


def test_the_detection_times_are_those_of_the_code() -> None:
    alerts = budget.burn_alerts(T999, timedelta(days=30))
    for row in rows("r at 99.9 %"):
        for cell, alert in zip(row[1:], alerts, strict=False):
            found = budget.detection_time(alert, number(row[0]) / 100)
            assert found is not None
            assert number(cell) == pytest.approx(found.total_seconds())


def test_the_consumptions_are_those_of_the_code() -> None:
    spent = [budget.consumption(Tally(3, 9999), T999), budget.consumption(Tally(45, 43_200), T999),
             budget.burn_rate(Decimal("0.0015"), Target.percent("99.95"))]
    assert [number(row[1]) for row in rows("objective")] == pytest.approx([share * 100 for share in spent], abs=0.05)


def test_the_requests_needed_are_those_of_the_code() -> None:
    for row in rows("target"):
        if "min" in row[1]:
            continue
        target = Target.percent(row[0].removesuffix(" %"))
        first = budget.burn_alerts(target, timedelta(days=30))[0]
        assert number(row[1]) == budget.requests_so_one_failure_does_not_page(first)
        assert number(row[2]) == budget.requests_so_one_failure_costs_at_most(target, Decimal("0.1"))


def test_the_chance_of_a_false_page_is_that_of_the_code() -> None:
    chance = budget.chance_of_false_page(100, 0.001, budget.burn_alerts(T999, timedelta(days=30))[0])
    assert f"{chance * 100:.3f} % of the hours" in PAGE
    assert f"{chance * 720:.1f} false" in PAGE


def test_the_downtimes_are_those_of_the_code() -> None:
    written = [row for row in rows("target") if "min" in row[1]]
    assert len(written) == 5
    for row in written:
        for cell, window in zip(row[1:], budget.acceptable_downtime(Target.percent(row[0].removesuffix(" %"))),
                                strict=True):
            edges = [number(edge) for edge in cell.split("–")]
            assert edges[0] == pytest.approx(window.least / timedelta(minutes=1))
            assert edges[-1] == pytest.approx(window.most / timedelta(minutes=1))


def test_the_composites_are_those_of_the_code() -> None:
    nine9, nine95, nine99 = (Target.percent(text) for text in ("99.9", "99.95", "99.99"))
    expected = [budget.in_series([nine9.ratio] * 4), budget.in_parallel([Decimal("0.99")] * 2),
                budget.dependency_ceiling([nine99, nine95]), budget.weighted([(0.5, 0.6), (0.4, 0.4)]),
                budget.sla_buffer(nine95, nine9).share]
    assert [number(row[1]) for row in rows("together")] == pytest.approx([float(e) * 100 for e in expected], abs=5e-5)


def test_the_openslo_fortnight_is_solved_in_closed_form() -> None:
    # Background 1 % of 336,000 requests and 99 % of the attack's, against 5 % of both; minutes likewise.
    requests = (0.05 * 336_000 - 0.01 * 336_000) / (0.99 - 0.05)
    ratio_minutes = (0.05 - 0.01) * 20_160 / (0.99 - 0.01)
    written = {row[0]: row[1] for row in rows("method") if "spent" not in row[1] and any(c.isdigit() for c in row[1])}
    assert number(written["Occurrences"]) == -(-requests // 1)
    assert written["Timeslices of 1 min"] == f"{int(0.05 * 20_160) // 60} h {int(0.05 * 20_160) % 60} m"
    hours, minutes = divmod(-(-ratio_minutes // 1), 60)
    assert written["RatioTimeslices of 1 min"] == f"{hours:.0f} h {minutes:.0f} m"


def test_the_two_hours_of_hundredfold_traffic_are_21_8_percent() -> None:
    slots, hot = 30 * 288, 24
    assert f"{hot * 100 / (slots - hot + hot * 100) * 100:.1f} %" in PAGE
    assert f"{hot / slots * 100:.1f} %" in PAGE
