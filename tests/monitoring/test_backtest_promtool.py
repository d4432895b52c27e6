"""The same alerts through the real promtool: it fires and is quiet at the same evaluations as the backtest says."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from mainstay.kernel.quantity import plain
from mainstay.kernel.series import Series
from mainstay.monitoring.evaluation import History, Rule, firings
from programs import need

STEP = 30
SLOTS = 480
MINUTE = timedelta(minutes=1)

RULES = (
    Rule("fast", "page", 12 * MINUTE, MINUTE, Decimal("0.05"), MINUTE),
    Rule("slow", "page", 60 * MINUTE, 5 * MINUTE, Decimal("0.013"), timedelta(0)),
    Rule("alone", "ticket", 30 * MINUTE, None, Decimal("0.03"), 5 * MINUTE),
)


def history(seed: int) -> Series:
    """Four hours: quiet, a sharp outage, a mild trouble, stretches without data and without traffic."""
    random = np.random.default_rng(seed)
    total = random.integers(20, 200, SLOTS).astype(float)
    share = np.full(SLOTS, 0.001)
    share[100:125], share[240:300], share[400:404] = 0.6, 0.04, 1.0
    total[180:184] = 0
    bad = random.binomial(total.astype(np.int64), share).astype(float)
    known = np.ones(SLOTS, dtype=np.bool_)
    known[260:270] = False
    return Series(0, STEP, np.where(known, bad, 0), np.where(known, total, 0), known)


def expression(rule: Rule) -> str:
    """The share in each window, from one sample a slot at the slot's end.

    promtool 2's ranges hold both their ends, so a range is a second shorter than the window and holds its samples only.
    """
    parts = []
    for length in (rule.long, rule.short):
        if length is not None:
            range_ = f"[{int(length.total_seconds()) - 1}s]"
            parts.append(f"sum_over_time(bad{range_}) / (sum_over_time(total{range_}) > 0) > {plain(rule.threshold)}")
    return " and ".join(parts)


def values(column: np.ndarray, known: np.ndarray) -> str:  # type: ignore[type-arg]
    # The sample at 0 s is before the first slot; the sample of slot i is at its end.
    return " ".join(["_", *(f"{value:g}" if there else "_" for value, there in zip(column, known, strict=True))])


def firing_at(rule: Rule, series: Series) -> set[int]:
    """Every evaluation at which the backtest says that the rule fires."""
    fired = firings(History(series, timedelta(seconds=STEP)), rule)
    out: set[int] = set()
    for index, (began, ended) in enumerate(zip(fired.began.tolist(), fired.ended.tolist(), strict=True)):
        still = fired.open and index == len(fired) - 1
        out |= set(range(began, ended + (STEP if still else 0), STEP))
    return out


@pytest.mark.server("prometheus")
@pytest.mark.parametrize("seed", [1, 2])
def test_promtool_fires_at_the_same_evaluations(seed: int, tmp_path: Path) -> None:
    promtool, series = need("promtool"), history(seed)
    rules = "\n".join(f"      - alert: {rule.tier}\n        expr: {expression(rule)}\n"
                      f"        for: {int(rule.hold.total_seconds())}s" for rule in RULES)
    (tmp_path / "rules.yaml").write_text(f"groups:\n  - name: test\n    interval: {STEP}s\n    rules:\n{rules}\n")
    checks = []
    for rule in RULES:
        firing = firing_at(rule, series)
        assert firing, "a rule that never fires would compare nothing"
        for at in range(0, SLOTS * STEP + 1, STEP):
            expected = "[{}]" if at in firing else "[]"
            checks.append(f"      - {{eval_time: {at}s, alertname: {rule.tier}, exp_alerts: {expected}}}")
    (tmp_path / "test.yaml").write_text(
        f"rule_files: [rules.yaml]\nevaluation_interval: {STEP}s\ntests:\n  - interval: {STEP}s\n    input_series:\n"
        f"      - {{series: bad, values: '{values(series.bad, series.known)}'}}\n"
        f"      - {{series: total, values: '{values(series.total, series.known)}'}}\n"
        "    alert_rule_test:\n" + "\n".join(checks) + "\n")
    ended = subprocess.run([promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True,
                           check=False)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-3000:]
