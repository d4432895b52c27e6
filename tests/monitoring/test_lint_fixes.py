"""Every mend holds: the finding is gone, promtool-readable text stays, comments and quotes stay."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from mainstay.monitoring.lint.checks import CHECKS
from mainstay.monitoring.lint.fixes import mended
from monitoring.linting import codes, flaws_of, of_alert
from programs import need

FIXED = {
    "ratio-always-one": ('rate(a{c="5"}[5m]) / rate(a[5m]) > 0.1',
                         'sum without (c) (rate(a{c="5"}[5m])) / sum without (c) (rate(a[5m])) > 0.1'),
    "outage-blind": ('1 - sum(rate(a{c!~"5.."}[5m])) / sum(rate(a[5m])) > 0.1',
                     '1 - (sum(rate(a{c!~"5.."}[5m])) or 0 * sum(rate(a[5m]))) / sum(rate(a[5m])) > 0.1'),
    "never-matches": ('a{w="1h"} > 1 and a{w="5m"} > 1', 'a{w="1h"} > 1 and ignoring (w) a{w="5m"} > 1'),
    "plain-regex": ('up{job=~"api"} == 0', 'up{job="api"} == 0'),
    "anchored-twice": ('up{job=~"^api-.*$"} == 0', 'up{job=~"api-.*"} == 0'),
    "le-lost": ("histogram_quantile(0.9, sum by (job) (rate(x_bucket[5m]))) > 1",
                "histogram_quantile(0.9, sum by (job, le) (rate(x_bucket[5m]))) > 1"),
    "quantile-range": ("histogram_quantile(95, sum by (le) (rate(x_bucket[5m]))) > 1",
                       "histogram_quantile(0.95, sum by (le) (rate(x_bucket[5m]))) > 1"),
    "le-text": ('rate(x_bucket{le="1"}[5m]) > 1', 'rate(x_bucket{le=~"1(\\\\.0)?"}[5m]) > 1'),
    "irate-in-alert": ("irate(x_total[5m]) > 1", "rate(x_total[5m]) > 1"),
    "bool-in-alert": ("up == bool 0", "up == 0"),
    "promql-syntax": ('up{job=~"a\\.b\\.c"} == 0', 'up{job=~"a\\\\.b\\\\.c"} == 0'),
}


def test_every_check_that_says_it_fixes_has_a_test_here():
    assert {code for code, check in CHECKS.items() if check.fixes} == set(FIXED) | {"template-text"}


def _styles(expr: str) -> dict[str, str]:
    quoted = expr.replace("\\", "\\\\").replace('"', '\\"')
    rule = "groups:\n- name: g # kept\n  rules:\n  - alert: A\n    expr: {}\n    # the last comment\n"
    return {"literal": of_alert(expr), "single": rule.format("'" + expr + "'"), "double": rule.format(f'"{quoted}"'),
            "plain": rule.format(expr)}


@pytest.mark.parametrize("style", ["literal", "single", "double", "plain"])
@pytest.mark.parametrize("code", FIXED)
def test_a_mend_is_what_it_says_and_the_finding_is_gone(code, style):
    before, after = FIXED[code]
    text = _styles(before)[style]
    assert code in codes(text)
    changed, made = mended(text, flaws_of)
    assert made >= 1
    assert yaml.safe_load(changed)["groups"][0]["rules"][0]["expr"].strip() == after
    assert code not in codes(changed)
    assert [line for line in changed.splitlines() if "#" in line] == [line for line in text.splitlines() if "#" in line]
    assert mended(changed, flaws_of) == (changed, 0)


def test_every_mended_rule_is_a_rule_to_promtool(tmp_path):
    promtool = need("promtool")
    for code, (before, _) in FIXED.items():
        file = tmp_path / f"{code}.yaml"
        file.write_text(mended(of_alert(before), flaws_of)[0], encoding="utf-8")
    ended = subprocess.run([promtool, "check", "rules", *map(str, tmp_path.iterdir())], capture_output=True, text=True,
                           check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_template_without_braces_gets_them():
    text = of_alert("up == 0", "    annotations: {summary: 'on $labels.job'}\n")
    changed, made = mended(text, flaws_of)
    assert (made, "'on {{ $labels.job }}'" in changed) == (1, True)


def test_several_mends_in_one_text_are_made_together():
    text = of_alert('histogram_quantile(95, sum by (job) (rate(x_bucket{job=~"api"}[5m]))) > 1')
    changed, made = mended(text, flaws_of)
    assert made == 3
    assert 'histogram_quantile(0.95, sum by (job, le) (rate(x_bucket{job="api"}[5m]))) > 1' in changed


def test_a_ratio_that_other_series_are_joined_to_is_left_to_a_person():
    text = of_alert('rate(a{c="5"}[5m]) / rate(a[5m]) > 0.1 and rate(a[5m]) > 1')
    assert "ratio-always-one" in codes(text)
    assert mended(text, flaws_of) == (text, 0)


def test_an_and_of_two_windows_fires_once_it_is_mended(tmp_path):
    # Origin of the answer: `promtool test rules`; unmended the alert never fires.
    promtool = need("promtool")
    test = """rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series: [{series: 'a{w="1h"}', values: '2x10'}, {series: 'a{w="5m"}', values: '2x10'}]
    alert_rule_test: [{eval_time: 5m, alertname: Tested, exp_alerts: [{exp_labels: {w: 1h}}]}]
"""
    text = of_alert(FIXED["never-matches"][0])
    (tmp_path / "test.yaml").write_text(test, encoding="utf-8")
    codes_of_runs = []
    for rules in (text, mended(text, flaws_of)[0]):
        (tmp_path / "rules.yaml").write_text(rules, encoding="utf-8")
        codes_of_runs.append(subprocess.run([promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True,
                                            check=False).returncode)
    assert codes_of_runs == [1, 0]


@pytest.mark.parametrize(("code", "errors", "fires"), [("ratio-always-one", "1", False), ("outage-blind", None, True)])
def test_a_mended_alert_does_what_was_meant(tmp_path, code, errors, fires):
    # 1 error in 1,000 requests must not page above 10 %; a total outage must. Origin of the answer: promtool.
    promtool = need("promtool")
    series = [('a{c="5"}', "0+1x60"), ('a{c="2"}', "0+1000x60")] if errors else \
        [('a{c="500"}', "0+100x60")]
    inputs = ", ".join(f"{{series: '{name}', values: '{values}'}}" for name, values in series)
    expected = "[{exp_labels: {}}]" if fires else "[]"
    (tmp_path / "test.yaml").write_text(f"""rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series: [{inputs}]
    alert_rule_test: [{{eval_time: 30m, alertname: Tested, exp_alerts: {expected}}}]
""", encoding="utf-8")
    outcomes = []
    text = of_alert(FIXED[code][0])
    for rules in (text, mended(text, flaws_of)[0]):
        (tmp_path / "rules.yaml").write_text(rules, encoding="utf-8")
        outcomes.append(subprocess.run([promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True,
                                       check=False).returncode)
    assert outcomes == [1, 0]
