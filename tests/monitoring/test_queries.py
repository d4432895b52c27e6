"""The collection of queries, and the examples made from it, which a real Prometheus takes."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import promql_parser
import pytest

from mainstay.app import grammar
from mainstay.kernel.catalog import load
from mainstay.kernel.objective import Objective
from mainstay.monitoring.queries import Question, collection, questions_of
from monitoring.grafana_variables import filled, values_of
from servers.prometheus import Server, prometheus

ROOT = Path(__file__).parents[2]
CATALOG, _ = load([ROOT / "examples" / "slo-prometheus.yaml"], grammar())
MADE = ("prometheus-sli-queries.promql", "grafana-slo-dashboard.json", "toil-tracking-dashboard.json")


def questions() -> dict[str, Question]:
    return {f"{one.objective}/{one.name}": one for one in questions_of(CATALOG.of(Objective), CATALOG)[0]}


def example(name: str) -> str:
    return (ROOT / "examples" / name).read_text(encoding="utf-8")


def queries_of(name: str) -> Iterator[str]:
    """Every query of an example, as it would be sent."""
    text = example(name)
    if name.endswith(".promql"):
        yield from (block for block in text.split("\n\n")
                    if any(not line.startswith("#") for line in block.split("\n")))
        return
    model = json.loads(text)
    for choose in ("all", "several"):
        values = values_of(model, choose)
        for panel in model["panels"]:
            yield from (filled(target["expr"], values) for target in panel.get("targets", []))
        yield from (filled(mark["expr"], values) for mark in model.get("annotations", {}).get("list", []))


def test_the_made_examples_are_current():
    ended = subprocess.run([sys.executable, "tools/examples.py", "--check"], cwd=ROOT, text=True, capture_output=True,
                           check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_the_tool_makes_every_made_example():
    assert {path.name for path in runpy.run_path(str(ROOT / "tools" / "examples.py"))["made"]()} == set(MADE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with prometheus(tmp_path_factory.mktemp("prometheus")) as running:
        yield running


@pytest.mark.parametrize("name", MADE)
def test_a_real_prometheus_takes_every_query_of_an_example(name, server):
    asked = list(queries_of(name))
    assert len(asked) > 15
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        refused = [(query, answer.text) for query in asked
                   if (answer := client.post("/api/v1/query", data={"query": query})).status_code != 200]
    assert refused == []


def test_every_block_is_one_query_with_its_comment():
    blocks = list(queries_of("prometheus-sli-queries.promql"))
    assert len(blocks) == len(questions())
    for block, (name, one) in zip(blocks, questions().items(), strict=True):
        first, *rest = block.split("\n")
        assert first == f"# {name}"
        assert "\n".join(line for line in rest if not line.startswith("# ")).strip() == one.promql.strip()
        promql_parser.parse(block)


def test_comments_are_not_wider_than_a_page():
    comments = [line for line in example("prometheus-sli-queries.promql").split("\n") if line.startswith("#")]
    assert max(map(len, comments)) <= 118


@pytest.mark.parametrize(("tier", "factor", "spends"), [
    # SRE Workbook, ch. 5, and the one-day row of Sloth and the mixins.
    ("page-1h", "14.4", "2 %"), ("page-6h", "6", "5 %"), ("ticket-1d", "3", "10 %"), ("ticket-3d", "1", "10 %")])
def test_alerts_hold_a_multiple_against_the_workbooks_factor(tier, factor, spends):
    one = questions()[f"payment-api-availability/alert-{tier}"]
    assert one.promql.count(f" / 0.0005 > {factor}") == 2
    assert "\nand\n" in one.promql
    assert f"spends {spends} of the budget" in one.asks


def test_a_latency_counts_events_at_its_threshold_and_takes_no_quantile():
    promql = questions()["payment-api-latency/bad-5m"].promql
    assert 'le="0.3"' in promql
    assert "quantile" not in promql


def test_the_same_objectives_give_the_same_text():
    assert collection(list(questions().values()), CATALOG.of(Objective)) == example("prometheus-sli-queries.promql")
