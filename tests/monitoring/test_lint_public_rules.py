"""Rules that people really run: nothing crashes, syntax is judged as promtool judges it, and alarms stay few.

The numbers are what was found when every error and a sample of the warnings had been read by a person; a change of them
is to be read again.
"""

from __future__ import annotations

import gzip
import subprocess
import tarfile
from collections import Counter
from pathlib import Path

import pytest
import yaml

from mainstay.kernel.finding import Severity
from mainstay.monitoring.lint.checks import CHECKS
from mainstay.monitoring.lint.fixes import mended
from monitoring.linting import flaws_of
from programs import need
from shared_data import shared


def _kube() -> dict[str, str]:
    files = {}
    with tarfile.open(shared("alerts_k8s_grafana/kube_prometheus_prometheusrules.tar.gz")) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                files[Path(member.name).name] = file.read().decode()
    return files


def _awesome() -> dict[str, str]:
    """The collection's own YAML as one rule file an exporter."""
    files = {}
    with gzip.open(shared("alerts_k8s_grafana/awesome_prometheus_alerts_rules.yml.gz")) as file:
        groups = yaml.safe_load(file)["groups"]
    for service in (service for group in groups for service in group["services"]):
        for exporter in service["exporters"]:
            rules = [{"alert": "".join(word.capitalize() for word in rule["name"].split()), "expr": rule["query"],
                      **({"for": rule["for"]} if rule.get("for") else {}), "labels": {"severity": rule["severity"]},
                      "annotations": {"summary": rule["name"], "description": rule["description"]}}
                     for rule in exporter.get("rules") or ()]
            if rules:
                text = yaml.safe_dump({"groups": [{"name": exporter["slug"], "rules": rules}]}, sort_keys=False)
                files[f"{len(files):03}.yaml"] = text
    return files


def _counted(files: dict[str, str]) -> dict[Severity, Counter[str]]:
    out: dict[Severity, Counter[str]] = {severity: Counter() for severity in Severity}
    for name, text in files.items():
        for flaw in flaws_of(text, name=name):
            finding = flaw.finding(CHECKS[flaw.code].severity)
            assert 1 <= finding.where.line <= len(text.splitlines())
            assert finding.where.column <= len(finding.source) + 1
            out[finding.severity][finding.code] += 1
    return out


def test_kube_prometheus_has_two_errors_and_they_are_true():
    # Both are integration!~`.*`, which no series has: the rule was made from an empty list of integrations.
    found = _counted(_kube())
    assert found[Severity.ERROR] == {"matches-nothing": 2}
    # Labels that the expression drops are asked for, and `or vector(0)` stands beside `sum by (cluster)`.
    assert found[Severity.WARNING] == {"template-label": 5, "zero-with-labels": 7}


def test_awesome_prometheus_alerts_has_eighteen_errors_and_they_are_true():
    found = _counted(_awesome())
    assert found[Severity.ERROR] == {"never-matches": 12, "count-never-zero": 3, "ratio-always-one": 2,
                                     "promql-syntax": 1}
    few = {code: count for code, count in found[Severity.WARNING].items()
           if code not in ("no-runbook", "no-for", "causes-only")}
    assert sum(few.values()) <= 20, few


def test_promtool_refuses_the_files_that_have_refusing_errors_and_no_other(tmp_path):
    promtool = need("promtool")
    files = _awesome()
    refused = set()
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    ran = subprocess.run([promtool, "check", "rules", *sorted(str(tmp_path / name) for name in files)],
                         capture_output=True, text=True, check=False)
    for line in ran.stderr.splitlines():
        refused |= {name for name in files if f"{name}: " in line}
    ours = {name for name, text in files.items()
            if any(flaw.code in ("promql-syntax", "promql-type", "template-function", "template-syntax",
                                 "template-variable") for flaw in flaws_of(text))}
    assert ours == refused
    assert len(refused) == 1


@pytest.mark.parametrize("which", ["kube", "awesome"])
def test_mending_public_rules_leaves_rules_that_can_be_read(which):
    files = _kube() if which == "kube" else _awesome()
    made = 0
    for text in files.values():
        changed, count = mended(text, flaws_of)
        made += count
        before, after = (list(yaml.safe_load_all(one)) for one in (text, changed))
        assert len(before) == len(after)
        grave = {"not-yaml", "promql-syntax", "promql-type"}
        assert not grave & {flaw.code for flaw in flaws_of(changed)}
    assert made > 0


def test_promtools_own_rule_files_are_judged_without_a_crash():
    # Origin: prometheus/prometheus cmd/promtool/testdata.
    seen = Counter()
    with tarfile.open(shared("prometheus/promtool_testdata.tar.gz")) as archive:
        for member in archive:
            if member.name.endswith((".yml", ".yaml")) and (file := archive.extractfile(member)) is not None:
                found = {flaw.code for flaw in flaws_of(file.read().decode(), name=member.name)}
                seen[Path(member.name).name] = len(found)
                if member.name.endswith("prometheus-rules.lint.yml"):
                    assert "duplicate-alert" in found
                if member.name.endswith("rules_duplicates.yml"):
                    assert "duplicate-record" in found
                if member.name.endswith("rules_extrafields.yml"):
                    assert "unknown-field" in found
    assert len(seen) > 20
