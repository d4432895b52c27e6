"""The real promtool: rule files checked, and rules tested over written series."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mainstay.monitoring.rulefile import RuleGroup, rule_file
from programs import need


def check(text: str, folder: Path) -> str:
    """What `promtool check rules` says of the file; fails when it finds fault."""
    file = folder / "rules.yml"
    file.write_text(text, encoding="utf-8")
    done = subprocess.run([need("promtool"), "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Case:
    """Written series, and what must come of them.

    Args:
        series: promtool's notation by series: `x{job="a"}` → `0+10x20`.
        values: (expression, time, values in any order).
    """

    series: Mapping[str, str]
    values: tuple[tuple[str, str, tuple[float, ...]], ...] = ()
    step: str = "30s"


def expressions(groups: Sequence[RuleGroup], case: Case, folder: Path) -> None:
    """Run the rules over the case with promtool; fails with what promtool says.

    Values are compared as what the sum of their samples gives, so that labels need not be written out.
    """
    need("promtool")
    (folder / "rules.yml").write_text(rule_file(groups), encoding="utf-8")
    test = {
        "rule_files": ["rules.yml"], "evaluation_interval": case.step,
        "tests": [{
            "interval": case.step,
            "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
            "promql_expr_test": [
                {"expr": expr, "eval_time": at, "exp_samples": [{"labels": "", "value": value} for value in values]}
                for expr, at, values in case.values]}]}
    (folder / "test.yml").write_text(json.dumps(test), encoding="utf-8")
    done = subprocess.run([need("promtool"), "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def firing(tier: str) -> str:
    """1 while the alert of that tier fires, 0 while it does not: what `expressions` can compare."""
    return f'count(ALERTS{{tier="{tier}",alertstate="firing"}}) or vector(0)'
