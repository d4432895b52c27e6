"""The tables of docs/explain/alerting.md, computed; `--update` writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from mainstay.kernel.quantity import Target, format_duration, plain
from mainstay.kernel.series import Series
from mainstay.monitoring.backtest import Score, Truth, judge
from mainstay.monitoring.chance import false_alarms
from mainstay.monitoring.design import Plan, Sight, Wish, plan_of, rule_of, sight
from mainstay.monitoring.evaluation import Policy
from mainstay.monitoring.policies import PRESETS, preset, rule_for
from mainstay.monitoring.spec import LowTraffic
from mainstay.monitoring.truth import allowed_events, bursts
from mainstay.stats.budget import TIERS, burn_alerts

PAGE = Path(__file__).parents[2] / "docs" / "explain" / "alerting.md"
T999, MONTH = Target.percent("99.9"), timedelta(days=30)
BUSY = Wish(T999, MONTH, 1e6, timedelta(minutes=15), 0.1)


def words(seconds: float | timedelta | None) -> str:
    return "never" if seconds is None else format_duration(seconds)


def seen(one: Sight | None) -> list[str]:
    return ["never", "–"] if one is None else [words(one.after), f"{one.spent * 100:.1f} %"]


def tiers() -> list[list[str]]:
    out = [["tier", "windows", "f", "f·b", "for", "full outage", "spent", "10 % fail", "spent", "0.2 % fail", "spent",
            "quiet after a full outage"]]
    for tier in TIERS:
        rule = rule_of(BUSY, tier, None)
        full = sight(BUSY, rule, 1.0)
        assert full is not None
        assert rule.short is not None
        out.append([rule.tier, f"{words(rule.long)}, {words(rule.short)}", f"{float(rule.threshold) * 1000:g}×",
                    f"{float(rule.threshold) * 100:g} %", words(rule.hold), *seen(full), *seen(sight(BUSY, rule, 0.1)),
                    *seen(sight(BUSY, rule, 0.002)), words(full.reset)])
    return out


def reach() -> list[list[str]]:
    out = [["factor", "dead for targets of and below", "at 99 %", "at 95 %", "at 90 %", "at 80 %"]]
    for factor in (Decimal("14.4"), Decimal(6), Decimal(3), Decimal(1)):
        row = [f"{factor:g}×", f"{float(1 - 1 / factor) * 100:.2f} %" if factor > 1 else "none"]
        for target in (99, 95, 90, 80):
            threshold = factor * Target.percent(target).budget
            row.append(f"{float(threshold) * 100:g} %" if threshold < 1 else "never")
        out.append(row)
    return out


def traffic() -> list[list[str]]:
    out = [["requests an hour", "failures that trip", "a look is above", "independent looks a month",
            "false pages a month", "failures with the gate", "false pages with it", "full outage pages within"]]
    alert = burn_alerts(T999, MONTH, TIERS[:1])[0]
    for per_hour in (60, 100, 200, 500, 1_000, 10_000):
        open_rule, gated = rule_for(alert, None), rule_for(alert, LowTraffic("beta-binomial"))
        plain_one, with_gate = (false_alarms(rule, per_hour / 3600, 0.001) for rule in (open_rule, gated))
        full = sight(replace(BUSY, traffic=per_hour / 3600), gated, 1.0)
        assert full is not None
        out.append([f"{per_hour:,}", f"{plain_one.least}", one_in(plain_one.chance),
                    f"{plain_one.looks:,.0f}" if plain_one.chance > 1e-9 else "–", rate(plain_one.a_month),
                    f"{with_gate.least}", rate(with_gate.a_month), words(full.surely)])
    return out


def one_in(chance: float) -> str:
    return f"1 in {1 / chance:,.0f}" if chance > 1e-9 else "< 1 in a billion"


def rate(a_month: float) -> str:
    return f"{a_month:.2g}" if a_month >= 0.001 else "< 0.001"


def designs() -> list[list[str]]:
    out = [["target", "window", "events an hour", "tiers (long window: factor)", "gate", "full outage pages within",
            "false pages a month"]]
    for target, days, per_hour in (("99.9", 30, 100_000), ("99.9", 30, 100), ("99.9", 30, 6), ("99.99", 30, 100_000),
                                   ("99.9", 7, 10_000), ("99.9", 365, 10_000), ("95", 30, 1_000), ("50", 7, 1_000)):
        plan = plan_of(Wish(Target.percent(target), timedelta(days=days), per_hour / 3600, timedelta(minutes=15), 0.1))
        out.append([f"{target} %", f"{days} d", f"{per_hour:,}", *(told(plan) if plan else ("impossible", *"–––"))])
    return out


def told(plan: Plan) -> tuple[str, ...]:
    tiers_told = ", ".join(f"{words(rung.tier.long)}: {float(rung.factor):.3g}×" for rung in plan.rungs)
    gate = f"{plan.low_traffic.gate} {plain(plan.low_traffic.confidence * 100)} %" if plan.low_traffic else "none"
    return tiers_told, gate, words(plan.quickest), rate(plan.false_pages)


def year() -> Series:
    """The year of the page: no chance in it, so that the table is the same everywhere."""
    slots = 365 * 2880
    total, share, at = np.full(slots, 50.0), np.full(slots, 0.0001), 2880
    for percent in (100, 50, 10, 5, 2, 1, 0.5, 0.3, 0.2):
        for minutes in (2, 10, 60, 360, 1440):
            if percent / 100 * minutes / 43.2 <= 1:
                share[at:at + 2 * minutes] = percent / 100
                at += 3 * 2880
    assert at < slots
    return Series(0, 30, total * share, total, np.ones(slots, dtype=np.bool_))


def policies() -> list[list[str]]:
    out = [["policy", "pages a month", "precision", "recall of the pages", "with tickets", "paged after, median",
            "95 %", "spent by then", "quiet after"]]
    series = year()
    allowed = allowed_events(series, T999.budget, MONTH)
    truth = Truth.of(series, bursts(series, T999.budget, allowed), allowed)
    own = Policy("Mainstay", "", tuple(rule_for(alert, None) for alert in burn_alerts(T999, MONTH)))
    both = [own, *(preset(name, T999, MONTH) for name in PRESETS)]
    everything = [Policy(one.name, "", tuple(replace(rule, severity="page") for rule in one.rules)) for one in both]
    for judged, all_told in zip(judge(series, both, truth), judge(series, everything, truth), strict=True):
        out.append([judged.policy.name, *policy_row(judged.pages, all_told.pages)])
    return out


def policy_row(pages: Score, told_of: Score) -> list[str]:
    assert pages.detection is not None
    assert pages.spent is not None
    assert pages.reset is not None
    return [f"{pages.per_month:.1f}", f"{(pages.precision or 0) * 100:.0f} %", f"{pages.found} of {pages.episodes}",
            f"{told_of.found} of {told_of.episodes}", words(pages.detection[0]), words(pages.detection[1]),
            f"{pages.spent[0] * 100:.1f} %", words(pages.reset[0])]


TABLES: dict[str, Callable[[], list[list[str]]]] = {
    "tiers": tiers, "reach": reach, "traffic": traffic, "designs": designs, "policies": policies}


def as_markdown(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


@pytest.mark.parametrize("name", TABLES)
def test_the_table_is_what_the_code_computes(name: str, request: pytest.FixtureRequest) -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, mark, behind = text.partition(f"<!-- table: {name} -->\n")
    assert mark, f"the page has a place for {name}"
    written = behind.lstrip("\n").split("\n\n", 1)[0] if behind.lstrip("\n").startswith("|") else ""
    computed = as_markdown(TABLES[name]())
    if request.config.getoption("--update"):
        rest = behind.lstrip("\n").removeprefix(written).lstrip("\n")
        PAGE.write_text(f"{before}{mark}\n{computed}\n\n{rest}", encoding="utf-8")
        return
    assert written == computed, "pytest tests/monitoring/test_alerting_page.py --update writes it"


def test_every_place_of_the_page_is_filled() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("<!-- table:")] == [
        f"<!-- table: {name} -->" for name in TABLES]
