"""Pyrra's objects in and out, and its rules. Expected rules were worked out by hand from Pyrra's documentation."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st

from mainstay.kernel.finding import errors_of
from mainstay.kernel.ports import GaugeQuery, PromQuery
from mainstay.kernel.quantity import Target
from mainstay.monitoring.exchange.form import Bundle
from mainstay.monitoring.exchange.promql import same_promql
from mainstay.monitoring.exchange.pyrra_model import absent_after, burn_windows
from mainstay.monitoring.exchange.pyrra_rules import pyrra_style
from mainstay.monitoring.rulefile import AlertRule, RecordingRule, Rule, RuleGroup, rule_file
from mainstay.monitoring.spec import Extra, alerting_of
from monitoring.objectives import alerting, counter, objective
from monitoring.taken import bundle_of, codes, given, lost, take, trees
from programs import need

RATIO = """apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata:
  name: shop-errors
  labels: {pyrra.dev/team: web}
  annotations: {pyrra.dev/dashboard: "https://grafana/d/shop"}
spec:
  target: "99"
  window: 4w
  description: Orders go through.
  indicator:
    ratio:
      errors: {metric: 'http_requests_total{job="shop",code=~"5.."}'}
      total: {metric: 'http_requests_total{job="shop"}'}
  alerting:
    name: ShopBurn
    severities: {fastBurn: page, mediumBurn: page, slowBurn: mail, longTermBurn: mail}
"""
HEAD = RATIO.partition("  indicator:")[0]
LATENCY = HEAD + """  indicator:
    latency:
      success: {metric: 'http_seconds_bucket{job="shop",le="0.3"}'}
      total: {metric: 'http_seconds_count{job="shop"}'}
      grouping: [handler]
"""
NATIVE = HEAD + """  indicator:
    latencyNative:
      latency: 200ms
      total: {metric: 'http_seconds{job="shop"}'}
"""
GAUGE = HEAD + """  indicator:
    bool_gauge: {metric: 'probe_success{job="shop"}'}
  alerting: {burnrates: false, absent: false}
"""
ALL = {"ratio": RATIO, "latency": LATENCY, "native": NATIVE, "gauge": GAUGE}


# -- reading and writing ----------------------------------------------------------------------------------------------


def test_a_ratio_becomes_two_counters_and_an_alerting():
    bundle = bundle_of("pyrra", RATIO)
    (one,), (settings_,) = bundle.objectives, bundle.alertings
    assert one.indicator.bad == counter('http_requests_total{job="shop",code=~"5.."}')
    assert (one.target.ratio, one.window.length) == (Decimal("0.99"), timedelta(days=28))
    assert one.labels == {"team": "web"}
    assert settings_.annotations == {"dashboard": "https://grafana/d/shop"}
    assert settings_.by_severity == {"page": Extra({"severity": "page"}), "ticket": Extra({"severity": "mail"})}
    assert settings_.absent_for == timedelta(minutes=10)  # 14 × 1 % of an hour in an outage, and two minutes `for`


def test_each_kind_of_indicator_is_counted():
    latency = bundle_of("pyrra", LATENCY)
    assert latency.objectives[0].indicator.good == counter('http_seconds_bucket{job="shop",le="0.3"}')
    assert latency.alertings[0].group_by == ("handler",)
    assert bundle_of("pyrra", NATIVE).objectives[0].indicator.total == PromQuery(
        'histogram_count(sum(increase(http_seconds{job="shop"}[$window])))')
    gauge = bundle_of("pyrra", GAUGE)
    assert gauge.objectives[0].indicator.good == PromQuery('sum(sum_over_time(probe_success{job="shop"}[$window]))')
    assert (gauge.alertings[0].tiers, gauge.alertings[0].absent_for) == ((), None)


@pytest.mark.parametrize("kind", ALL)
def test_an_object_comes_back_as_it_was(kind):
    taken = take("pyrra", ALL[kind])
    written = given("pyrra", taken.bundle)
    assert (lost(taken), lost(written)) == ([], [])
    assert trees(written) == trees(ALL[kind])


def test_what_is_lost_is_named_with_its_place():
    text = RATIO.replace("labels: {pyrra.dev/team: web}", "namespace: monitoring\n  labels: {role: alert-rules}")
    text = text.replace("  window: 4w", "  window: 4w\n  performanceOverAccuracy: true")
    text = text.replace("name: ShopBurn", "absentName: Gone")
    taken = take("pyrra", text)
    assert lost(taken) == ["metadata.namespace", "metadata.labels.role", "spec.alerting.absentName",
                           "spec.performanceOverAccuracy"]
    assert [one.where.line for one in taken.losses] == [5, 6, 18, 11]


def test_a_group_that_the_rules_set_themselves_is_lost():
    taken = take("pyrra", LATENCY.replace("[handler]", "[service, handler]"))
    assert lost(taken) == ["spec.indicator.latency.grouping: service"]
    assert taken.bundle.alertings[0].group_by == ("handler",)


@pytest.mark.parametrize(("old", "new", "code"), [
    ('target: "99"', 'target: "0.99"', "invalid-value"),
    ('target: "99"', "target: most", "invalid-value"),
    ("window: 4w", "window: 1M", "invalid-value"),
    ('{metric: \'http_requests_total{job="shop"}\'}', "{metric: sum(http_requests_total)}", "not-a-selector"),
    ('{metric: \'http_requests_total{job="shop"}\'}', "{metric: 'http_requests_total{job='}", "not-promql"),
    ('{metric: \'http_requests_total{job="shop"}\'}', '{metric: \'http_requests_total{job="shop",code=~"5.."}\'}',
     "same-query"),
    ("    ratio:", "    latency: {success: {metric: a_bucket}, total: {metric: a_count}}\n    ratio:", "one-of"),
    ("  name: shop-errors", "  name: '!'", "invalid-name")])
def test_a_mistake_is_found(old, new, code):
    assert code in codes("pyrra", RATIO.replace(old, new))


def test_a_latency_needs_its_bucket():
    assert codes("pyrra", LATENCY.replace(',le="0.3"', "")) == ["no-bucket"]
    assert codes("pyrra", LATENCY.replace('le="0.3"', 'le="fast"')) == ["no-bucket"]


def test_what_pyrra_cannot_measure_is_not_written():
    share = objective("share", total=GaugeQuery("ratio", share="bad"))
    summed = objective("summed", total=PromQuery("sum(increase(a[$window]))"), bad=PromQuery("sum(b)"))
    written = given("pyrra", Bundle((share, summed, replace(objective("plain"), service=""))))
    assert [name for name, _ in written.files] == ["plain.yaml"]
    assert lost(written)[:2] == ["share", "summed"]


@st.composite
def _objects(draw: st.DrawFn) -> str:
    name = draw(st.text("abcdef", min_size=1, max_size=5))
    matchers = ",".join(f'{key}{draw(st.sampled_from(("=", "!=", "=~", "!~")))}"{draw(st.text("xyz.", max_size=3))}"'
                        for key in draw(st.lists(st.sampled_from(("job", "zone", "verb")), unique=True)))
    inside = f"{{{matchers}}}" if matchers else ""
    more = f"{{{matchers},code=~\"5..\"}}" if matchers else '{code=~"5.."}'
    bucket = f"{{{matchers},le=\"1\"}}" if matchers else '{le="1"}'
    indicator = draw(st.sampled_from((
        f"ratio: {{errors: {{metric: 'm{more}'}}, total: {{metric: 'm{inside}'}}",
        f"latency: {{success: {{metric: 'm_bucket{bucket}'}}, total: {{metric: 'm_count{inside}'}}",
        f"latencyNative: {{latency: {draw(st.integers(1, 5000))}ms, total: {{metric: 'm{inside}'}}",
        f"bool_gauge: {{metric: 'm{inside}'")))
    groups = draw(st.lists(st.sampled_from(("path", "host")), unique=True))
    indicator += (f", grouping: [{', '.join(groups)}]" if groups else "") + "}"
    target = Decimal(draw(st.integers(1000, 99_999))).scaleb(-3)
    window = draw(st.sampled_from(("1w", "2w", "4w", "30d", "12w")))
    off = draw(st.sampled_from(("", "  alerting: {burnrates: false}\n", "  alerting: {name: X, absent: false}\n")))
    return (f"apiVersion: pyrra.dev/v1alpha1\nkind: ServiceLevelObjective\nmetadata: {{name: {name}}}\nspec:\n"
            f'  target: "{target.normalize():f}"\n  window: {window}\n  indicator: {{{indicator}}}\n{off}')


@settings(max_examples=80, deadline=None)
@hypothesis_given(_objects())
def test_any_object_comes_back_as_it_was(text):
    taken = take("pyrra", text)
    assert not errors_of(taken.findings)
    assert lost(taken) == []
    written = given("pyrra", taken.bundle)
    assert lost(written) == []
    before, after = trees(text)[0], trees(written)[0]
    for tree in (before, after):
        kind, = tree["spec"]["indicator"]
        latency = tree["spec"]["indicator"][kind].get("latency", "")
        # 1000ms and 1s are one.
        tree["spec"]["indicator"][kind]["latency"] = latency.replace("000ms", "s")
    assert after == before


# -- rules ------------------------------------------------------------------------------------------------------------


def groups_of(text: str) -> tuple[RuleGroup, ...]:
    bundle = bundle_of("pyrra", text)
    catalog = bundle.catalog()
    (file,) = pyrra_style([(one, alerting_of(one, catalog)) for one in bundle.objectives], catalog)
    return file.groups


def rules_of(text: str) -> list[Rule]:
    return [rule for group in groups_of(text) for rule in group.rules]


def test_windows_shrink_with_the_objectives_and_factors_stay():
    # Pyrra, its documentation of multi burn rates: those of four weeks, as shares of the window, to whole minutes.
    assert [(one.short, one.long, one.hold, one.factor) for one in burn_windows(timedelta(days=28))] == [
        (timedelta(minutes=5), timedelta(hours=1), timedelta(minutes=2), 14),
        (timedelta(minutes=30), timedelta(hours=6), timedelta(minutes=15), 7),
        (timedelta(hours=2), timedelta(days=1), timedelta(hours=1), 2),
        (timedelta(hours=6), timedelta(days=4), timedelta(hours=3), 1)]
    minute = timedelta(minutes=1)
    assert burn_windows(timedelta(days=7))[0][1:4] == (minute, 15 * minute, minute)


@pytest.mark.parametrize(("target", "after"), [("99", 10), ("99.9", 3), ("99.5", 6)])
def test_absent_data_is_said_as_soon_as_an_outage_would_page(target, after):
    assert absent_after(timedelta(days=28), Target.percent(target)) == timedelta(minutes=after)


def test_groups_have_pyrras_names_and_intervals():
    assert [(group.name, group.interval.total_seconds()) for group in groups_of(RATIO)] == [
        ("shop-errors-increase", 150.0), ("shop-errors", 30.0), ("shop-errors-generic", 30.0)]
    assert [group.name for group in groups_of(LATENCY)] == ["shop-errors-increase", "shop-errors"]
    assert groups_of(RATIO.replace("4w", "12w"))[0].interval == timedelta(minutes=4)
    assert groups_of(RATIO.replace("4w", "1d"))[0].interval == timedelta(seconds=30)


@pytest.mark.parametrize(("text", "record", "expected"), [
    (RATIO, "http_requests:increase4w", 'sum by (code) (increase(http_requests_total{job="shop"}[4w]))'),
    (RATIO, "http_requests:burnrate5m", 'sum(rate(http_requests_total{code=~"5..",job="shop"}[5m])) / '
                                        'sum(rate(http_requests_total{job="shop"}[5m]))'),
    (RATIO, "http_requests:burnrate4d", 'sum(rate(http_requests_total{code=~"5..",job="shop"}[4d])) / '
                                        'sum(rate(http_requests_total{job="shop"}[4d]))'),
    (RATIO, "pyrra_objective", "0.99"),
    (RATIO, "pyrra_window", "2419200"),
    (RATIO, "pyrra_availability", '1 - sum(http_requests:increase4w{code=~"5..",job="shop",slo="shop-errors"} or '
                                  'vector(0)) / sum(http_requests:increase4w{job="shop",slo="shop-errors"})'),
    (RATIO, "pyrra_requests:rate5m", 'sum(rate(http_requests_total{job="shop"}[5m]))'),
    (RATIO, "pyrra_errors:rate5m", 'sum(rate(http_requests_total{code=~"5..",job="shop"}[5m])) or vector(0)'),
    (LATENCY, "http_seconds:burnrate1h",
     '(sum by (handler) (rate(http_seconds_count{job="shop"}[1h])) - '
     'sum by (handler) (rate(http_seconds_bucket{job="shop",le="0.3"}[1h]))) / '
     'sum by (handler) (rate(http_seconds_count{job="shop"}[1h]))'),
    (NATIVE, "http_seconds:burnrate6h", '1 - histogram_fraction(0, 0.2, sum(rate(http_seconds{job="shop"}[6h])))'),
    (NATIVE, "pyrra_availability", 'sum(http_seconds:increase4w{job="shop",le="0.2",slo="shop-errors"} or vector(0)) / '
                                   'sum(http_seconds:increase4w{job="shop",le="",slo="shop-errors"})'),
    (GAUGE, "probe_success:burnrate2h", '(sum(count_over_time(probe_success{job="shop"}[2h])) - '
                                        'sum(sum_over_time(probe_success{job="shop"}[2h]))) / '
                                        'sum(count_over_time(probe_success{job="shop"}[2h]))'),
    (GAUGE, "probe_success:count4w", 'sum by (__name__, job) (count_over_time(probe_success{job="shop"}[4w]))'),
    (GAUGE, "pyrra_availability", 'sum(probe_success:sum4w{job="shop",slo="shop-errors"}) / '
                                  'sum(probe_success:count4w{job="shop",slo="shop-errors"})')])
def test_each_record_has_pyrras_name_and_expression(text, record, expected):
    found = [rule for rule in rules_of(text) if isinstance(rule, RecordingRule) and rule.record == record]
    assert same_promql(found[0].expr, expected)
    assert found[0].labels["slo"] == "shop-errors"
    assert found[0].labels["team"] == "web"


def test_a_histogram_is_recorded_twice_told_apart_by_le():
    both = [rule for rule in rules_of(LATENCY) if isinstance(rule, RecordingRule)
            and rule.record == "http_seconds:increase4w"]
    assert [rule.labels.get("le") for rule in both] == [None, "0.3"]


def test_four_alerts_with_pyrras_labels_and_one_on_absent_data():
    alerts = [rule for rule in rules_of(RATIO) if isinstance(rule, AlertRule)]
    absent, fast, *rest = alerts
    assert (absent.alert, absent.expr, absent.hold) == (
        "SLOMetricAbsent", 'absent(http_requests_total{job="shop"}) == 1', timedelta(minutes=10))
    assert same_promql(fast.expr, 'http_requests:burnrate5m{job="shop",slo="shop-errors"} > (14 * (1-0.99)) and '
                                  'http_requests:burnrate1h{job="shop",slo="shop-errors"} > (14 * (1-0.99))')
    assert fast.labels == {"exhaustion": "2d", "job": "shop", "long": "1h", "severity": "page", "short": "5m",
                           "slo": "shop-errors", "team": "web"}
    assert fast.annotations == {"dashboard": "https://grafana/d/shop"}
    assert [(one.alert, one.labels["severity"], one.labels["exhaustion"]) for one in rest] == [
        ("ShopBurn", "page", "4d"), ("ShopBurn", "mail", "2w"), ("ShopBurn", "mail", "4w")]


def test_alerts_that_are_off_are_not_there():
    assert not [rule for rule in rules_of(GAUGE) if isinstance(rule, AlertRule)]


def test_promtool_finds_nothing_wrong_with_pyrras_style(tmp_path):
    promtool = need("promtool")
    for kind, text in ALL.items():
        (tmp_path / f"{kind}.yaml").write_text(rule_file(groups_of(text)), encoding="utf-8")
    ended = subprocess.run([promtool, "check", "rules", *map(str, sorted(tmp_path.glob("*.yaml")))],
                           capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_an_alerting_of_mainstays_own_is_named_where_pyrra_has_no_word():
    own = objective(service="")
    written = given("pyrra", Bundle((own,), alertings=(alerting(labels={"a": "b"}),)))
    assert lost(written) == ['alerting "test": budget_spent', 'alerting "test": labels', "checkout: absent_for"]
