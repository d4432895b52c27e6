"""slo-generator's objectives and shared configuration, in and out."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from mainstay.kernel.ports import GaugeQuery
from mainstay.monitoring.exchange.form import Bundle
from monitoring.objectives import counter, objective
from monitoring.taken import bundle_of, codes, given, lost, take, trees

ONE = """apiVersion: sre.google.com/v2
kind: ServiceLevelObjective
metadata:
  name: shop-errors
  labels: {service_name: shop, feature_name: pay, slo_name: errors}
spec:
  description: Orders go through.
  backend: prometheus
  method: good_bad_ratio
  service_level_indicator:
    filter_good: http_requests_total{code!~"5.."}
    filter_valid: http_requests_total
  goal: 0.999
"""
CONFIG = """backends:
  prometheus: {url: http://prometheus:9090}
error_budget_policies:
  default:
    steps:
      - {name: 1 hour, window: 3600, burn_rate_threshold: 9, alert: true, message_alert: page, message_ok: fine}
      - {name: 12 hours, window: 43200, burn_rate_threshold: 3, alert: true, message_alert: page, message_ok: fine}
      - {name: 28 days, window: 2419200, burn_rate_threshold: 1, alert: false, message_alert: freeze, message_ok: fine}
"""
BOTH = CONFIG + "---\n" + ONE


def changed(method: str, **fields: str) -> str:
    head, _, rest = ONE.partition("  method:")
    said = "".join(f"    {key}: {value}\n" for key, value in fields.items())
    return f"{head}  method: {method}\n  service_level_indicator:\n{said}  goal{rest.partition('  goal')[2]}"


def test_an_objective_is_asked_at_the_backend_over_the_policys_longest_step():
    bundle = bundle_of("slo-generator", BOTH)
    (one,) = bundle.objectives
    assert (one.name, one.service, one.target.ratio) == ("shop-errors", "shop", Decimal("0.999"))
    assert one.window.length == timedelta(days=28)
    assert one.indicator.good == counter('http_requests_total{code!~"5.."}')
    assert one.indicator.source == "prometheus"
    assert [source.details.url for source in bundle.sources] == ["http://prometheus:9090"]
    hour, half_day = bundle.alertings[0].tiers
    assert (hour.long, half_day.long) == (timedelta(hours=1), timedelta(hours=12))
    # 9 times over one of 672 hours.
    assert abs(hour.spends - Decimal(9) / 672) < Decimal("1e-27")


def test_what_is_lost_of_a_configuration_is_named():
    taken = take("slo-generator", BOTH.replace("backends:\n", "backends:\n  datadog: {api_key: x}\n", 1))
    assert lost(taken) == [
        "backends.datadog", "error_budget_policies.default: names and messages of its steps",
        "error_budget_policies.default.steps[0]", "error_budget_policies.default.steps[1]"]


def test_without_the_configuration_four_weeks_are_taken_and_said():
    taken = take("slo-generator", ONE)
    assert taken.bundle.objectives[0].window.length == timedelta(days=28)
    assert lost(taken) == ["spec.error_budget_policy default"]


def test_another_backends_objective_is_lost_by_name():
    taken = take("slo-generator", ONE.replace("backend: prometheus", "backend: datadog"))
    assert taken.bundle.objectives == ()
    assert lost(taken) == ["spec.backend datadog"]


def test_a_distribution_cut_is_a_bucket_and_its_count():
    text = changed("distribution_cut", expression='http_seconds_bucket{job="a"}', threshold_bucket="0.25")
    one = bundle_of("slo-generator", text).objectives[0].indicator
    assert (one.good, one.total) == (counter('http_seconds_bucket{job="a",le="0.25"}'),
                                     counter('http_seconds_count{job="a"}'))
    whole = changed("distribution_cut", expression="http_seconds_bucket", threshold_bucket="1")
    assert bundle_of("slo-generator", whole).objectives[0].indicator.good == counter(
        'http_seconds_bucket{le=~"1(\\\\.0)?"}')


def test_a_query_is_a_share_or_taken_apart():
    share = changed("query_sli", expression="avg_over_time(up[window])")
    assert bundle_of("slo-generator", share).objectives[0].indicator.total == GaugeQuery(
        "avg_over_time(up[$window])", share="good")
    apart = take("slo-generator", changed("query_sli", expression="sum(rate(a[window])) / sum(rate(b[window]))"))
    assert apart.bundle.objectives[0].indicator.good == counter("a")
    assert "spec.service_level_indicator.expression" in lost(apart)


@pytest.mark.parametrize(("text", "code"), [
    (ONE.replace("goal: 0.999", "goal: 99.9"), "invalid-value"),
    (ONE.replace("method: good_bad_ratio", "method: good_bad"), "unknown-value"),
    (ONE.replace("    filter_valid: http_requests_total\n", ""), "one-of"),
    (ONE.replace("filter_valid: http_requests_total", "filter_valid: sum(http_requests_total)"), "not-a-selector"),
    (changed("distribution_cut", expression="http_seconds_sum", threshold_bucket="1"), "no-bucket"),
    (changed("query_sli", expression="sum(rat(a[window]))"), "not-promql")])
def test_a_mistake_is_found(text, code):
    assert codes("slo-generator", text) == [code]


@pytest.mark.parametrize("text", [
    ONE,
    changed("good_bad_ratio", filter_good="good_total", filter_bad="bad_total"),
    changed("distribution_cut", expression='http_seconds_bucket{job="a"}', threshold_bucket="0.25"),
    changed("distribution_cut", expression="http_seconds_bucket", threshold_bucket="1"),
    changed("query_sli", expression="avg_over_time(up[window])")])
def test_an_objective_comes_back_as_it_was(text):
    taken = take("slo-generator", CONFIG + "---\n" + text)
    written = given("slo-generator", taken.bundle)
    assert lost(written) == []
    assert [one for one in trees(written) if "kind" in one] == trees(text)


def test_a_policy_comes_back_but_for_its_messages():
    (config,) = [one for one in trees(given("slo-generator", bundle_of("slo-generator", BOTH))) if "backends" in one]
    assert config["backends"] == {"prometheus": {"url": "http://prometheus:9090"}}
    assert [(step["window"], step["burn_rate_threshold"], step["alert"])
            for step in config["error_budget_policies"]["default"]["steps"]] == [
        (3600, 9, True), (43200, 3, True), (2419200, 1, False)]


def test_errors_by_total_are_asked_so_that_a_missing_series_is_no_outage_of_data():
    written = given("slo-generator", Bundle((objective(service=""),)))
    tree = next(one for one in trees(written) if one.get("kind"))
    assert tree["spec"]["method"] == "query_sli"
    assert tree["spec"]["service_level_indicator"]["expression"] == (
        '1 - (sum(increase(http_requests_total{job="checkout",code=~"5.."}[window])) or 0 * '
        'sum(increase(http_requests_total{job="checkout"}[window]))) / '
        'sum(increase(http_requests_total{job="checkout"}[window]))')


