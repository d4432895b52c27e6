"""The wrong rules of the documents Mainstay was asked to do right are found, each by its name and at its rule."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mainstay.kernel.document import read_documents
from mainstay.monitoring.lint.exposition import read_page
from mainstay.monitoring.lint.flaw import Flaw
from mainstay.monitoring.lint.judging import judge
from mainstay.monitoring.lint.pages import Threshold, judge_page
from mainstay.monitoring.lint.query import Settings
from mainstay.monitoring.lint.rulefile import read_rules
from mainstay.monitoring.lint.written import Source
from monitoring.linting import flaws_of, of_alert

_TEXT = (Path(__file__).parent / "seed_rules.yaml").read_text(encoding="utf-8")


def _expected() -> list[tuple[str, str]]:
    out, waiting = [], ""
    for line in _TEXT.splitlines():
        if found := re.match(r"\s*# finds: (.*)", line):
            waiting = found[1]
        if named := re.match(r"\s*- (?:alert|record): (\S+)", line):
            out += [(named[1], code) for code in waiting.split()]
            waiting = ""
    return out


def _by_rule() -> dict[str, set[str]]:
    source = Source("seeds", _TEXT)
    documents, _ = read_documents(_TEXT, "seeds")
    file = read_rules(source, documents)
    lines = [(rule.lines[0], rule.name.text) for rule in file.rules]
    found: dict[str, set[str]] = {}
    for flaw in judge([file], Settings()):
        # A claim may stand in a comment above its rule.
        line = flaw.place()[0]
        name = next((name for first, name in reversed(lines) if first <= line), lines[0][1])
        found.setdefault(name, set()).add(flaw.code)
    return found


FOUND = _by_rule()


@pytest.mark.parametrize(("rule", "code"), _expected())
def test_a_seeds_mistake_is_found(rule, code):
    assert code in FOUND[rule]


def test_every_kind_of_seed_mistake_is_expected():
    assert len({code for _, code in _expected()}) >= 15


def test_a_claim_that_is_right_is_left_alone():
    assert "wrong-claim" not in FOUND["MediumBurn"]


@pytest.mark.parametrize("expr", [
    "x:burnrate5m > (14.4 * 0.001) and x:burnrate1h4m > (14.4 * 0.001)",  # Pyrra's own windows for 30 days
    "max(slo:sli_error:ratio_rate5m > (14.4 * 0.001)) without (sloth_window)\n"
    "and ignoring (sloth_window) max(slo:sli_error:ratio_rate1h > (14.4 * 0.001)) without (sloth_window)",
    'slo_error{window="1h"} > 14.4 * 0.001 and ignoring (window) slo_error{window="5m"} > 14.4 * 0.001'])
def test_two_windows_are_left_alone_however_their_names_say_them(expr):
    assert not {"single-window", "unreachable-burn", "never-matches"} & {flaw.code for flaw in flaws_of(of_alert(expr))}


def test_a_gauge_named_total_is_found():
    page = read_page(Source("page", "# HELP toil_total Hours.\n# TYPE toil_total gauge\ntoil_total 3\n"))
    assert [flaw.code for flaw in judge_page(page, (), 100)] == ["metric-total-name"]


def test_buckets_that_miss_the_objectives_thresholds_are_found():
    # The document's buckets and its objectives of 200 ms and 300 ms.
    bounds = ("0.01", "0.05", "0.1", "0.5", "1", "5", "10", "+Inf")
    text = "# HELP wait_seconds Wait.\n# TYPE wait_seconds histogram\n" + "".join(
        f'wait_seconds_bucket{{le="{bound}"}} 1\n' for bound in bounds) + "wait_seconds_sum 1\nwait_seconds_count 1\n"
    thresholds = [Threshold("fast", "wait_seconds", 0.2), Threshold("most", "wait_seconds", 0.3),
                  Threshold("all", "wait_seconds", 1.0)]
    flaws = list(judge_page(read_page(Source("page", text)), thresholds, 100))
    assert [flaw.code for flaw in flaws] == ["bucket-misses-objective"] * 2


def test_a_second_document_is_dropped_by_prometheus_and_found():
    # Sloth's examples/_gen/multifile.yml: two documents, of which promtool counts the first's rules only.
    group = "groups:\n- name: {}\n  rules:\n  - {{record: 'a:b', expr: sum(up)}}\n"
    text = group.format("a") + "---\n" + group.format("b")
    found = [flaw for flaw in flaws_of(text) if flaw.code == "second-document"]
    assert [flaw.place() for flaw in found] == [(6, 1)]
    assert "1 rule of this one is dropped" in found[0].message


def test_documents_of_prometheusrule_objects_are_all_read():
    one = ("apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {{name: {0}}}\nspec:\n  groups:\n"
           "  - name: g\n    rules:\n    - {{record: 'a:{0}', expr: sum(up)}}\n")
    found: list[Flaw] = flaws_of(one.format("x") + "---\n" + one.format("y"))
    assert {flaw.code for flaw in found} == set()
