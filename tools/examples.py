"""Writes the examples that are made from others: `tools/examples.py`; with `--check` it only says what is stale.

prometheus-sli-queries.promql   the queries of examples/slo-prometheus.yaml
grafana-slo-dashboard.json      its SLO dashboard
toil-tracking-dashboard.json    the dashboard of toil, which no catalog changes
"""

from __future__ import annotations

import sys
from pathlib import Path

from mainstay.app import grammar
from mainstay.kernel.catalog import load
from mainstay.kernel.objective import Objective
from mainstay.monitoring.dashboards.drawing import text
from mainstay.monitoring.dashboards.readings import Recorded
from mainstay.monitoring.dashboards.slo import slo_board
from mainstay.monitoring.dashboards.toil import toil_board
from mainstay.monitoring.dashboards.watched import watch
from mainstay.monitoring.queries import collection, questions_of

FOLDER = Path(__file__).parents[1] / "examples"


def made() -> dict[Path, str]:
    """Every made example, by its path."""
    catalog, findings = load([FOLDER / "slo-prometheus.yaml"], grammar())
    objectives = catalog.of(Objective)
    watched, left = watch(objectives, catalog, recorded=True)
    questions, unanswered = questions_of(objectives, catalog)
    if wrong := (*findings, *left, *unanswered):
        raise SystemExit(f"examples/slo-prometheus.yaml: {wrong}")
    return {
        FOLDER / "prometheus-sli-queries.promql": collection(questions, objectives),
        FOLDER / "grafana-slo-dashboard.json": text(slo_board("payment-api", watched, Recorded())),
        FOLDER / "toil-tracking-dashboard.json": text(toil_board()),
    }


def main() -> int:
    """Write what is stale, or with `--check` name it."""
    stale = [path for path, wanted in made().items()
             if not path.exists() or path.read_text(encoding="utf-8") != wanted]
    for path in stale:
        if "--check" in sys.argv:
            sys.stdout.write(f"{path.name} is stale: run tools/examples.py\n")
        else:
            path.write_text(made()[path], encoding="utf-8")
            sys.stdout.write(f"{path.name} written\n")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
