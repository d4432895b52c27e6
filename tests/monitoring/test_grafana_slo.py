"""Grafana SLO in and out: Terraform's language, its JSON, and the plugin's API say the same objectives."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from mainstay.kernel.document import Document, read_documents
from mainstay.kernel.finding import Position, errors_of
from mainstay.kernel.method import RatioTimeslices
from mainstay.kernel.objective import Indicator, Objective
from mainstay.kernel.ports import EventQuery, GaugeQuery, PromQuery
from mainstay.kernel.quantity import CalendarWindow, Period, RollingWindow, Target
from mainstay.monitoring.exchange.form import Bundle, Taken
from mainstay.monitoring.exchange.grafana_slo import fits_terraform, read_terraform, split
from mainstay.monitoring.exchange.hcl import read_hcl
from mainstay.monitoring.spec import Alerting, Extra
from mainstay.stats.budget import TIERS
from monitoring.taken import again, bundle_of, codes, given, in_catalog, lost, take, trees, unplaced

RATIO = """ratio {
      success_metric  = "http_total{code!~\\"5..\\"}"
      total_metric    = "http_total"
      group_by_labels = ["cluster"]
    }
    type = "ratio\""""


def slo(query: str = RATIO, *, objectives: str = 'value = 0.995\n    window = "30d"', more: str = "") -> str:
    return f"""resource "grafana_slo" "web" {{
  name        = "Web answers"
  description = "the shop answers"
  query {{
    {query}
  }}
  objectives {{
    {objectives}
  }}
  destination_datasource {{
    uid = "grafanacloud-prom"
  }}
  label {{
    key   = "service_name"
    value = "web"
  }}
  label {{
    key   = "team"
    value = "shop"
  }}
  {more}
}}
"""


def terraform(text: str) -> Taken:
    documents, findings = read_hcl(text, "main.tf")
    assert findings == []
    assert all(fits_terraform(one) for one in documents)
    return read_terraform(documents)


def one(text: str) -> tuple[Objective, Indicator]:
    taken = terraform(text)
    assert not errors_of(taken.findings), "\n".join(found.render() for found in taken.findings)
    (objective,) = taken.bundle.objectives
    assert isinstance(objective.indicator, Indicator)
    return objective, objective.indicator


ALERTING = """alerting {
    label {
      key = "a"
      value = "b"
    }
    fastburn {
      annotation {
        key   = "name"
        value = "burning"
      }
    }
    slowburn {}
  }"""


def test_a_ratio_becomes_good_and_total() -> None:
    objective, indicator = one(slo())
    assert (objective.name, objective.title, objective.service) == ("web-answers", "Web answers", "web")
    assert objective.labels == {"team": "shop"}
    assert (objective.target, objective.window) == (Target.percent("99.5"), RollingWindow(timedelta(days=30)))
    assert (indicator.good, indicator.total) == (PromQuery('http_total{code!~"5.."}', True),
                                                 PromQuery("http_total", True))


def test_alerts_are_grafanas_own_burns_over_the_window() -> None:
    (alerting,) = terraform(slo(more=ALERTING)).bundle.alertings
    assert alerting.group_by == ("cluster",)
    # 14.4, 6, 3 and 1 over 30 days are the workbook's shares (Grafana, "Configure burn-rate notifications").
    assert [(tier.long, tier.spends) for tier in alerting.tiers or ()] == [(tier.long, tier.spends) for tier in TIERS]
    assert alerting.labels == {"a": "b"}
    assert alerting.by_severity == {"page": Extra({}, {"name": "burning"})}
    (silent,) = terraform(slo()).bundle.alertings
    assert (silent.tiers, silent.budget_spent, silent.absent_for) == ((), (), None)
    (month,) = terraform(slo(more=ALERTING, objectives='value = 0.9\n    window = "28d"')).bundle.alertings
    assert month.tiers is not None
    assert round(month.tiers[0].spends, 6) == Decimal("0.021429")


@pytest.mark.parametrize(("text", "kind", "part", "total", "groups"), [
    ('sum(rate(ok{a="/"}[$__rate_interval])) / sum(rate(all[$__rate_interval]))', "good", 'ok{a="/"}', "all", ()),
    ("sum by (a, b) (rate(ok[5m])) / (sum by (a, b) (rate(all[5m])))", "good", "ok", "all", ("a", "b")),
    ("1 - (sum(rate(bad[1m])) / sum(rate(all[1m])))", "bad", "bad", "all", ()),
    ("1 - (sum(rate(bad[1m])) or 0 * sum(rate(all[1m]))) / sum(rate(all[1m]))", "bad", "bad", "all", ()),
])
def test_a_freeform_ratio_of_counters_is_split(text: str, kind: str, part: str, total: str,
                                               groups: tuple[str, ...]) -> None:
    found = split(text)
    assert found is not None
    assert (found.kind, found.part, found.total, found.groups) == (kind, PromQuery(part, True), PromQuery(total, True),
                                                                   groups)


@pytest.mark.parametrize("text", ["sum(rate(a[1m])) / sum(rate(b[1m])) * 100", "a / b", "up", "a / b / c",
                                  "sum by (x) (rate(a[1m])) / sum(rate(b[1m]))"])
def test_another_freeform_query_is_a_share_and_said(text: str) -> None:
    assert split(text) is None
    taken = terraform(slo(f'freeform {{\n query = "{text}"\n }}\n type = "freeform"'))
    (objective,) = taken.bundle.objectives
    assert isinstance(objective.indicator, Indicator)
    assert objective.indicator.total == GaugeQuery(text, share="good")
    assert "resource.grafana_slo.web[0].query[0].freeform[0].query" in lost(taken)


def test_losses_have_their_lines() -> None:
    taken = terraform(slo(more='folder_uid = grafana_folder.x.uid\n  uuid = "u"\n  search_expression = "s"'))
    assert [(loss.what.rsplit(".", 1)[1], loss.where.line) for loss in taken.losses if loss.where] == [
        ("uuid", 28), ("folder_uid", 27), ("search_expression", 29), ("uid", 17)]


def test_queries_of_another_source_are_kept_whole_and_named() -> None:
    taken = terraform(slo('grafana_queries {\n grafana_queries = jsonencode([{refId : "a"}])\n }\n'
                          ' type = "grafana_queries"'))
    assert "resource.grafana_slo.web[0].query[0].grafana_queries" in lost(taken)
    assert len(taken.bundle.objectives) == 1


@pytest.mark.parametrize(("text", "code"), [
    (slo(objectives='value = 99.5\n    window = "30d"'), "invalid-value"),
    (slo(objectives='value = 0.9\n    window = "month"'), "invalid-value"),
    (slo(objectives='value = 0.9\n    window = "1x"'), "invalid-value"),
    (slo(objectives="value = 0.9"), "missing-field"), (slo('type = "ratio"'), "missing-field"),
    (slo('type = "rato"'), "unknown-value"), (slo(more="colour = 1"), "unknown-field"),
    (slo(RATIO.replace("success_metric", "sucess_metric")), "unknown-field"),
    (slo('freeform {\n query = var.q\n }\n type = "freeform"'), "invalid-value"),
    (slo().replace('"Web answers"', "var.name"), "invalid-name"),
    (slo(more="alerting {\n fastburns {}\n }"), "unknown-field"),
])
def test_a_mistake_is_found_with_its_caret(text: str, code: str) -> None:
    found = errors_of(terraform(text).findings)
    assert code in [one.code for one in found]
    assert all("^" in one.render() for one in found)


API = json.dumps({"slos": [{
    "uuid": "u", "name": "Web answers", "description": "the shop answers", "readOnly": False,
    "query": {"type": "ratio", "ratio": {"successMetric": {"prometheusMetric": 'http_total{code!~"5.."}'},
                                         "totalMetric": {"prometheusMetric": "http_total"},
                                         "groupByLabels": ["cluster"]}},
    "objectives": [{"value": 0.995, "window": "30d"}], "destinationDatasource": {"uid": "grafanacloud-prom"},
    "labels": [{"key": "service_name", "value": "web"}, {"key": "team", "value": "shop"}],
    "alerting": {"fastBurn": {"annotations": [{"key": "name", "value": "burning"}]}, "slowBurn": {},
                 "labels": [{"key": "a", "value": "b"}]}}]}, indent=1)


def test_the_api_says_the_same_as_terraform() -> None:
    assert unplaced(bundle_of("grafana-slo-api", API)) == unplaced(terraform(slo(more=ALERTING)).bundle)
    assert codes("grafana-slo-api", API.replace('"window"', '"windows"')) == ["missing-field", "unknown-field"]


@pytest.mark.parametrize("format", ["grafana-slo", "grafana-slo-api"])
def test_what_was_read_is_written_and_read_again(format: str) -> None:
    bundle = terraform(slo(more=ALERTING)).bundle
    assert given(format, bundle).losses == ()
    assert unplaced(again(format, bundle)) == unplaced(bundle)


def test_the_written_body_is_the_one_that_was_read() -> None:
    (body,) = trees(given("grafana-slo-api", bundle_of("grafana-slo-api", API)))
    read = json.loads(API)["slos"][0]
    for own in ("uuid", "readOnly"):
        del read[own]
    assert body == read


@pytest.mark.parametrize("query", [
    'freeform {\n query = "1 - (sum(rate(bad[1m])) / sum(rate(all[1m])))"\n }\n type = "freeform"',
    'freeform {\n query = "(temp) <= bool 5"\n }\n type = "freeform"',
])
def test_what_is_no_ratio_of_good_is_freeform_and_reads_again(query: str) -> None:
    bundle = terraform(slo(query)).bundle
    assert given("grafana-slo", bundle).losses == ()
    assert unplaced(again("grafana-slo", bundle)) == unplaced(bundle)


def test_terraform_takes_no_text_for_an_expression() -> None:
    bundle = terraform(slo()).bundle
    odd = replace(bundle, objectives=(replace(bundle.objectives[0], description="costs ${x}"),))
    (_, text), = given("grafana-slo", odd).files
    assert "costs $${x}" in text
    assert again("grafana-slo", odd).objectives[0].description == "costs ${x}"


def test_a_terraform_file_beside_other_resources_is_recognised_by_its_slos() -> None:
    documents, _ = read_hcl('resource "grafana_folder" "x" {\n title = "t"\n}\n' + slo(), "main.tf")
    assert len(read_terraform(documents).bundle.objectives) == 1
    other: list[Document] = read_documents("resource: {grafana_folder: {}}", "x.yaml")[0]
    assert not fits_terraform(other[0])


def test_the_catalog_reads_what_is_imported() -> None:
    _, findings = in_catalog(take("grafana-slo-api", API).bundle)
    assert not errors_of(findings), findings


def test_what_grafana_cannot_say_is_named() -> None:
    objective = terraform(slo()).bundle.objectives[0]
    indicator = objective.indicator
    assert isinstance(indicator, Indicator)
    month = replace(objective.windows[0], window=CalendarWindow(Period.MONTH))
    bundle = Bundle((
        replace(objective, name="events", indicator=replace(indicator, total=EventQuery(), good=EventQuery())),
        replace(objective, name="month", windows=(month,)),
        replace(objective, name="sliced", method=RatioTimeslices(timedelta(minutes=1)), owner="team", description="")),
        alertings=(Alerting("all", Position(""), tiers=TIERS[:1]),))
    assert lost(given("grafana-slo", bundle)) == [
        "events: the whole objective", "month: the whole objective", "sliced: method RatioTimeslices",
        "sliced: no description", "sliced: owner", "alerting all: tiers for 30d", "alerting all: hold",
        "alerting all: budget_spent", "alerting all: absent_for"]
