"""examples/08-chaos: its catalog holds no mistake, and its experiments would do what the guide says."""

from __future__ import annotations

from pathlib import Path

from mainstay.app import grammar
from mainstay.chaos.spec import Experiment
from mainstay.kernel.catalog import load
from mainstay.kernel.workload import Workload

FOLDER = Path(__file__).parents[2] / "examples" / "08-chaos" / "catalog"


def test_the_catalog_of_the_example_holds_no_mistake_and_no_warning():
    catalog, findings = load([FOLDER], grammar())
    assert [finding.render() for finding in findings] == []
    assert [one.name for one in catalog.of(Experiment)] == ["auth-paused", "cache-in-trouble"]
    assert {one.name for one in catalog.of(Workload)} == {"web", "api", "auth", "cache", "orders"}
