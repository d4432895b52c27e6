"""Every query of every panel, asked of a real Prometheus that holds the shop's metrics, has an answer, and a true one.

No Grafana takes part: its variables are filled in as its documentation says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mainstay.app import grammar
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.finding import Position
from mainstay.kernel.objective import Objective
from mainstay.monitoring.dashboards.board import Board
from mainstay.monitoring.dashboards.drawing import drawn
from mainstay.monitoring.dashboards.readings import Gauges, Recorded
from mainstay.monitoring.dashboards.signals import signals_of
from mainstay.monitoring.dashboards.watched import watch
from mainstay.monitoring.operations.dashboards import boards_of
from mainstay.monitoring.queries import questions_of
from mainstay.monitoring.spec import Alerting
from monitoring.grafana_variables import filled, values_of
from monitoring.shop_in_prometheus import END, LAST, START, Shop, shop_in_prometheus

ROOT = Path(__file__).parents[2]
CATALOG, _ = load([ROOT / "examples" / "shop" / "monitoring"], grammar())
_BY_CLUSTER = Alerting("by-cluster", Position(""), services=("api",), group_by=("cluster",))
GROUPED = replace(CATALOG, resources={**CATALOG.resources, Alerting: {"by-cluster": _BY_CLUSTER}})
EVERY_KIND = ("slo", "operations", "service", "debugging", "toil")


def more_series() -> Iterator[str]:
    """Alerts as a Prometheus writes them, hours of work as the toil ledger will, and Mainstay's own gauges."""
    worked = [("toil", "deploys", "ada", "true", 0.5), ("toil", "tickets", "bo", "false", 0.2),
              ("engineering", "features", "ada", "false", 1.0), ("engineering", "features", "cy", "false", 0.7)]
    gauges = [("objective_ratio", ""), ("sli_ratio", ""), ("error_budget_remaining_ratio", ""), ("window_events", ""),
              ("changes_frozen", ""), *(("burn_rate", f',window="{window}"')
                                        for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d"))]
    for now in range(START, END + 1, 60):
        for one in CATALOG.of(Objective):
            if now > END - 3000:
                yield (f'ALERTS{{alertname="SLOBudgetBurn",alertstate="firing",slo="{one.name}",'
                       f'service="{one.service}",severity="page"}} 1 {now}')
            for name, labels in gauges:
                value = {"burn_rate": 3.5, "changes_frozen": 0, "window_events": 1000}.get(name, 0.75)
                yield f'mainstay_slo_{name}{{objective="{one.name}",service="{one.service}"{labels}}} {value} {now}'
        for kind, category, who, automatable, hours in worked:
            yield (f'work_hours_total{{type="{kind}",category="{category}",engineer="{who}",'
                   f'automatable="{automatable}"}} {(now - START) / 3600 * hours} {now}')


@pytest.fixture(scope="module", params=["plain", "grouped"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Catalog, Shop]]:
    catalog = {"plain": CATALOG, "grouped": GROUPED}[request.param]
    with shop_in_prometheus(tmp_path_factory.mktemp("shop"), catalog, "\n".join(more_series())) as served:
        yield catalog, served


def boards(catalog: Catalog, readings: Recorded | Gauges) -> list[Board]:
    watched, left = watch(catalog.of(Objective), catalog, recorded=readings.grouped)
    assert left == ()
    made, missing = boards_of(watched, {one.service for one in watched}, EVERY_KIND, readings,
                              "https://mainstay.example.com")
    assert missing == []
    return made


def asked(model: dict[str, Any], shop: Shop, choose: str) -> Iterator[tuple[str, str, list[dict]]]:
    """Every panel's every query with what Prometheus answers, and every mark's."""
    values = values_of(model, choose)
    for panel in model["panels"]:
        for target in panel.get("targets", []):
            expr = filled(target["expr"], values)
            answer = shop.instant(expr) if target.get("instant") else shop.range(expr, END - 3600, END, 120)
            yield f"{model['title']} / {panel['title']} / {target['refId']}", expr, answer
    for mark in model.get("annotations", {}).get("list", []):
        expr = filled(mark["expr"], values)
        yield f"{model['title']} / {mark['name']}", expr, shop.range(expr, END - 3600, END, 60)


def numbers(answer: list[dict]) -> list[float]:
    return [float(value) for series in answer
            for _, value in (series["values"] if "values" in series else [series["value"]])]


@pytest.mark.parametrize("readings", [Recorded(), Gauges()], ids=["rules", "metrics"])
@pytest.mark.parametrize("choose", ["all", "several"])
def test_every_query_of_every_panel_has_an_answer(shop, readings, choose):
    catalog, served = shop
    empty, odd = [], []
    for board in boards(catalog, readings):
        for where, expr, answer in asked(drawn(board), served, choose):
            if not answer:
                empty.append(f"{where}\n{expr}")
            elif not any(math.isfinite(value) for value in numbers(answer)):
                odd.append(f"{where}\n{expr}\n{answer[:1]}")
    assert empty == []
    assert odd == []


def test_who_chooses_one_objective_sees_no_other(shop):
    catalog, served = shop
    answered = 0
    for board in boards(catalog, Recorded()):
        values = values_of(drawn(board), "first")
        for query in (query for panel in board.panels() for query in panel.queries if "$slo" in query.expr):
            seen = {series["metric"].get("slo") for series in served.instant(filled(query.expr, values))} - {None}
            assert seen <= set(values["slo"])
            answered += bool(seen)
    assert answered > 20


def test_every_variable_has_something_to_choose(shop):
    catalog, served = shop
    for board in boards(catalog, Recorded()):
        for variable in board.variables:
            if variable.query:
                selector, _, label = variable.query.removeprefix("label_values(").removesuffix(")").rpartition(", ")
                assert served.label_values(selector, label), variable


def test_every_query_of_the_collection_is_answered(shop):
    catalog, served = shop
    questions, left = questions_of(catalog.of(Objective), catalog)
    assert left == ()
    empty = {f"{one.objective}/{one.name}" for one in questions if not served.instant(one.promql)}
    # What asks whether an alert's condition holds has an answer only while it does.
    assert {name for name in empty if "/alert-" not in name} == set()
    assert {f"{one.name}/alert-page-1h" for one in catalog.of(Objective)} & empty == set()


@pytest.mark.parametrize(("objective", "service", "bad", "total", "budget"), [
    ("web-availability", "web", "failed", "requests", 0.001),
    ("web-latency", "web", "slow", "requests", 0.01),
    ("api-availability", "api", "failed", "requests", 0.0005),
    ("orders-placed", "api", "lost", "calls", 0.005),
])
def test_what_is_left_is_what_truly_was(shop, objective, service, bad, total, budget):
    # The truth is counted where the requests are made up. Of the very first slot Prometheus has not seen all: less
    # than 1 % of what there is.
    catalog, served = shop
    (board,) = [one for one in boards(catalog, Recorded()) if one.uid == f"mainstay-slo-{service}"]
    (panel,) = [one for one in board.panels() if one.title == "Budget left"]
    (answer,) = served.instant(filled(panel.queries[0].expr, {"slo": [objective]}), LAST)
    share = served.truth[service][bad] / served.truth[service][total]
    assert float(answer["value"][1]) == pytest.approx(1 - share / budget, rel=0.01)


def test_errors_are_seen_when_nothing_ever_succeeded(shop):
    # `rate(bad) / rate(all)` without sum is 1 whatever happens, and 1 - ok / all is empty in a total outage.
    catalog, served = shop
    watched, _ = watch(catalog.of(Objective), catalog, recorded=True)
    (web,) = [one for one in watched if one.name == "web-availability"]
    (flow,) = [flow for flow in signals_of([web]).flows if flow.objective == "web-availability"]
    (answer,) = served.instant(filled(flow.error_share(), {}))
    assert float(answer["value"][1]) == pytest.approx(3 / 36)
