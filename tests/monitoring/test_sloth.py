"""Sloth's files in and out, and its rules. Expected rules were worked out by hand from Sloth's documentation."""

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
from mainstay.monitoring.exchange.form import Bundle
from mainstay.monitoring.exchange.promql import same_promql
from mainstay.monitoring.exchange.sloth_rules import sloth_style
from mainstay.monitoring.rulefile import AlertRule, RecordingRule, rule_file
from mainstay.monitoring.rules import mainstay_style
from mainstay.monitoring.spec import Extra, alerting_of
from mainstay.stats.budget import TIERS
from monitoring.objectives import alerting, counter, objective
from monitoring.taken import bundle_of, codes, given, lost, take, trees
from programs import need

SHOP = """version: prometheus/v1
service: shop
labels: {owner: web, tier: "1"}
slos:
  - name: checkout
    objective: 99.9
    description: Orders go through.
    labels: {journey: buy}
    sli:
      events:
        error_query: sum(rate(http_requests_total{job="shop",code=~"5.."}[{{.window}}]))
        total_query: sum(rate(http_requests_total{job="shop"}[{{.window}}]))
    alerting:
      name: ShopErrors
      labels: {category: availability}
      annotations: {summary: "Orders fail"}
      page_alert: {labels: {severity: pageteam}}
      ticket_alert: {disable: true}
  - name: speed
    objective: 95
    labels: {journey: look}
    sli:
      events:
        error_query: |
          (
            sum(rate(http_seconds_count{job="shop"}[{{.window}}]))
            -
            sum(rate(http_seconds_bucket{job="shop",le="0.3"}[{{.window}}]))
          )
        total_query: sum(rate(http_seconds_count{job="shop"}[{{.window}}]))
    alerting:
      page_alert: {disable: true}
      ticket_alert: {disable: true}
"""
WINDOWS = """apiVersion: sloth.slok.dev/v1
kind: AlertWindows
spec:
  sloPeriod: 1w
  page:
    quick: {errorBudgetPercent: 8, shortWindow: 5m, longWindow: 1h}
    slow: {errorBudgetPercent: 12.5, shortWindow: 30m, longWindow: 6h}
  ticket:
    quick: {errorBudgetPercent: 20, shortWindow: 2h, longWindow: 1d}
    slow: {errorBudgetPercent: 42, shortWindow: 6h, longWindow: 3d}
"""
ONE = """version: prometheus/v1
service: shop
slos:
  - name: checkout
    objective: 99.9
    sli: {events: {error_query: ERROR, total_query: TOTAL}}
    alerting: {name: A}
"""


def one(error: str, total: str = "sum(rate(all_total[{{.window}}]))") -> str:
    return ONE.replace("ERROR", repr(error)).replace("TOTAL", repr(total))


def merged(tree: dict) -> dict:
    """The document as Sloth sees it: the group's labels are each SLO's."""
    out = dict(tree)
    out["slos"] = [{**slo, "labels": {**tree.get("labels", {}), **slo.get("labels", {})}} for slo in tree["slos"]]
    out.pop("labels", None)
    return out


# -- reading ----------------------------------------------------------------------------------------------------------


def test_a_file_becomes_objectives_with_counters():
    bundle = bundle_of("sloth", SHOP)
    checkout, speed = bundle.objectives
    assert [one.name for one in bundle.objectives] == ["shop-checkout", "shop-speed"]
    assert checkout.target.ratio == Decimal("0.999")
    assert checkout.window.length == timedelta(days=30)
    assert checkout.labels == {"owner": "web", "tier": "1", "journey": "buy"}
    assert checkout.indicator.bad == counter('http_requests_total{job="shop",code=~"5.."}')
    assert speed.indicator.good == counter('http_seconds_bucket{job="shop",le="0.3"}')
    assert speed.indicator.total == counter('http_seconds_count{job="shop"}')
    paged, quiet = bundle.alertings
    assert paged.tiers == TIERS[:2]
    assert (paged.alert_name, paged.labels) == ("ShopErrors", {"category": "availability"})
    assert paged.by_severity == {"page": Extra({"severity": "pageteam"})}
    assert (quiet.objectives, quiet.tiers, quiet.budget_spent, quiet.absent_for) == (("shop-speed",), (), (), None)
    assert lost(take("sloth", SHOP)) == []


def test_labels_that_the_rules_set_themselves_go_to_the_severities():
    text = SHOP.replace("labels: {category: availability}", "labels: {severity: high, category: availability}")
    assert bundle_of("sloth", text).alertings[0].labels == {"category": "availability"}
    assert bundle_of("sloth", text).alertings[0].by_severity["page"].labels == {"severity": "pageteam"}
    text = text.replace("page_alert: {labels: {severity: pageteam}}", "page_alert: {}")
    assert bundle_of("sloth", text).alertings[0].by_severity["page"].labels == {"severity": "high"}


def test_windows_of_another_file_hold_for_all():
    bundle = bundle_of("sloth", WINDOWS + "---\n" + SHOP)
    assert {one.window.length for one in bundle.objectives} == {timedelta(days=7)}
    assert [(tier.long, tier.spends) for tier in bundle.alertings[0].tiers] == [
        (timedelta(hours=1), Decimal("0.08")), (timedelta(hours=6), Decimal("0.125"))]


def test_a_short_window_that_is_no_twelfth_is_lost_by_name():
    taken = take("sloth", WINDOWS.replace("shortWindow: 5m", "shortWindow: 2m"))
    assert lost(taken) == ["spec.page.quick.shortWindow"]
    assert str(taken.losses[0].where) == "given.yaml:6:49"


@pytest.mark.parametrize(("error", "bad"), [
    ("sum by (cluster) (rate(bad_total[{{.window}}]))", counter("bad_total")),
    ("sum(rate(bad_total[{{ .window }}]) ) by (cluster)", counter("bad_total"))])
def test_groups_that_both_queries_keep_are_the_alertings(error, bad):
    bundle = bundle_of("sloth", one(error, "sum by (cluster) (rate(all_total[{{.window}}]))"))
    assert bundle.alertings[0].group_by == ("cluster",)
    assert bundle.objectives[0].indicator.bad == bad


def test_an_expression_counts_where_it_can():
    bundle = bundle_of("sloth", one("sum(rate(a[{{.window}}])) + sum(rate(b[{{.window}}]))"))
    assert bundle.objectives[0].indicator.bad == PromQuery(
        "sum(increase(a[$window])) + sum(increase(b[$window]))")
    assert bundle.objectives[0].indicator.total == counter("all_total") or bundle.objectives[0].indicator.total == \
        PromQuery("sum(increase(all_total[$window]))")
    taken = take("sloth", one("sum(rate(a[{{.window}}])) * 2"))
    assert lost(taken) == ["slos[0].sli.events.total_query"]


def test_a_raw_ratio_is_a_share_or_taken_apart():
    raw = ONE.replace("sli: {events: {error_query: ERROR, total_query: TOTAL}}",
                      "sli: {raw: {error_ratio_query: 'RATIO'}}")
    share = bundle_of("sloth", raw.replace("RATIO", "avg_over_time(errors:ratio[{{.window}}])"))
    assert share.objectives[0].indicator.total == GaugeQuery("avg_over_time(errors:ratio[$window])", share="bad")
    apart = take("sloth", raw.replace("RATIO", "sum(rate(a[{{.window}}])) / sum(rate(b[{{.window}}]))"))
    assert apart.bundle.objectives[0].indicator.bad == counter("a")
    assert lost(apart) == ["slos[0].sli.raw.error_ratio_query"]


def test_plugins_are_lost_by_name():
    text = SHOP.replace("slos:\n", "slo_plugins: {chain: [{id: sloth.dev/core/debug/v1}]}\nslos:\n", 1).replace(
        """      events:
        error_query: sum(rate(http_requests_total{job="shop",code=~"5.."}[{{.window}}]))
        total_query: sum(rate(http_requests_total{job="shop"}[{{.window}}]))
""", "      plugin: {id: shop_availability, options: {job: shop}}\n")
    taken = take("sloth", text)
    assert lost(taken) == ["slo_plugins.chain[0] sloth.dev/core/debug/v1", "slos[0].sli.plugin shop_availability"]
    assert "is not taken" in taken.losses[1].why
    assert [one.name for one in taken.bundle.objectives] == ["shop-speed"]


def test_names_in_capitals_are_lost_by_name():
    taken = take("sloth", SHOP.replace("service: shop", "service: Shop").replace("name: checkout", "name: CheckOut"))
    assert taken.bundle.objectives[0].name == "shop-checkout"
    assert lost(taken) == ["service Shop", "slos[0].name CheckOut"]


# -- mistakes ---------------------------------------------------------------------------------------------------------


def test_mistakes_say_what_and_where_all_at_once():
    text = one("sum(rat(bad_total[{{.window}}]))", "sum(rate(all_total[5m]))").replace("99.9", "0").replace(
        "alerting: {name: A}", "alerting: {page_alert: {disable: true}}")
    found = errors_of(take("sloth", text).findings)
    assert [one.code for one in found] == ["invalid-value", "not-promql", "no-window", "missing-field"]
    assert found[1].render().splitlines() == [
        "given.yaml:6:38: error: slos[0].sli.events.error_query is not PromQL: unknown function with name 'rat' "
        "[not-promql]",
        "  6 |     sli: {events: {error_query: 'sum(rat(bad_total[{{.window}}]))', "
        "total_query: 'sum(rate(all_total[5m]))'}}",
        "    |                                      ^", "  mend: write it as Prometheus reads it"]


def test_the_caret_finds_the_word_within_a_block():
    text = ONE.replace("sli: {events: {error_query: ERROR, total_query: TOTAL}}", """sli:
      events:
        error_query: |
          sum(
            rat(bad_total[{{.window}}])
          )
        total_query: sum(rate(all_total[{{.window}}]))""")
    (found,) = errors_of(take("sloth", text).findings)
    assert (found.where.line, found.where.column) == (10, 13)


@pytest.mark.parametrize(("change", "code"), [
    (("service: shop", "service: s"), "invalid-name"),
    (("- name: checkout", "- name: '-checkout'"), "invalid-name"),
    (("objective: 99.9", "objective: 101"), "invalid-value"),
    (("version: prometheus/v1", "version: prometheus/v2"), "unknown-value"),
    (("labels: {owner: web", "labels: {'owner-of': web"), "invalid-name"),
    (("labels: {owner: web", "labels: {owner: ''"), "invalid-value"),
    (("- name: speed", "- name: checkout"), "duplicate-name"),
    (("      name: ShopErrors\n", ""), "missing-field")])
def test_a_mistake_is_found(change, code):
    assert codes("sloth", SHOP.replace(*change, 1)) == [code]


def test_the_same_query_twice_and_no_or_two_indicators_are_mistakes():
    assert codes("sloth", one("sum(rate(all_total[{{.window}}]))")) == ["same-query"]
    assert codes("sloth", ONE.replace("{events: {error_query: ERROR, total_query: TOTAL}}", "{}")) == ["one-of"]


def test_an_unknown_field_is_a_warning_with_its_like_and_a_loss():
    taken = take("sloth", SHOP.replace("page_alert:", "page_allert:", 1))
    assert [(one.code, str(one.severity)) for one in taken.findings] == [("unknown-field", "warning")]
    assert 'did you mean "page_alert"?' in taken.findings[0].message
    assert lost(taken) == ["slos[0].alerting.page_allert"]


# -- writing ----------------------------------------------------------------------------------------------------------


def test_a_file_comes_back_as_it_was():
    written = given("sloth", bundle_of("sloth", SHOP))
    assert lost(written) == []
    (before,), (after,) = trees(SHOP), trees(written)
    for old, new in zip(before["slos"], after["slos"], strict=True):
        for key in ("error_query", "total_query"):
            assert same_promql(old["sli"]["events"].pop(key), new["sli"]["events"].pop(key))
    assert merged(after) == merged(before)


def test_the_kubernetes_kind_comes_back_but_for_what_is_lost():
    text = """apiVersion: sloth.slok.dev/v1
kind: PrometheusServiceLevel
metadata: {name: shop-slos, namespace: monitoring}
spec:
  service: shop
  labels: {owner: web}
  slos:
    - name: checkout
      objective: 99.9
      sli:
        raw: {errorRatioQuery: "errors:ratio{job='shop'} / scalar(max_over_time(x[{{.window}}]))"}
      alerting:
        name: ShopErrors
        pageAlert: {annotations: {dashboard: "http://x"}}
"""
    taken = take("sloth", text)
    assert sorted(lost(taken)) == ["metadata.name", "metadata.namespace"]
    (before,), (after,) = trees(text), trees(given("sloth-k8s", taken.bundle))
    assert after["metadata"] == {"name": "shop"}
    assert {key: value for key, value in after.items() if key != "metadata"} == \
        {key: value for key, value in before.items() if key != "metadata"}


def test_windows_come_back_in_a_file_of_their_own():
    written = given("sloth", bundle_of("sloth", WINDOWS + "---\n" + SHOP.replace("{disable: true}", "{}").replace(
        "    alerting:\n      page_alert: {}", "    alerting:\n      name: Slow\n      page_alert: {}")))
    assert [name for name, _ in written.files] == ["windows.yaml", "shop.yaml"]
    assert trees(written.files[0][1]) == trees(WINDOWS)


def test_periods_that_one_run_cannot_have_go_to_folders():
    a, b = bundle_of("sloth", SHOP).objectives
    week = replace(b, windows=(replace(b.windows[0], window=type(b.window)(timedelta(days=7))),))
    written = given("sloth", Bundle((a, week)))
    assert [name for name, _ in written.files] == ["30d-1/shop.yaml", "1w-2/windows.yaml", "1w-2/shop.yaml"]


def test_what_sloth_cannot_say_is_named():
    spoken = objective(owner="web", title="Checkout")
    written = given("sloth", Bundle((spoken,), alertings=(alerting(absent_for=timedelta(minutes=5)),)))
    assert lost(written) == ["checkout: title", "checkout: owner", 'alerting "test": budget_spent',
                             'alerting "test": absent_for']


_WORDS = st.text("abcdefghij", min_size=2, max_size=6)
_LABELS = st.dictionaries(_WORDS, st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=8),
                          max_size=3)


@st.composite
def _slos(draw: st.DrawFn) -> str:
    names = draw(st.lists(_WORDS, min_size=1, max_size=3, unique=True))
    lines = []
    for name in names:
        metric = draw(_WORDS)
        target = Decimal(draw(st.integers(1, 99_999))).scaleb(-3)
        kind = draw(st.sampled_from(("bad", "good", "raw")))
        total = f"sum(rate({metric}_total[{{{{.window}}}}]))"
        error = f"sum(rate({metric}_bad[{{{{.window}}}}]))"
        sli: dict[str, object] = {"events": {"error_query": error, "total_query": total}}
        if kind == "good":
            sli = {"events": {"error_query": f"({total} - {error})", "total_query": total}}
        if kind == "raw":
            sli = {"raw": {"error_ratio_query": f"avg_over_time({metric}[{{{{.window}}}}])"}}
        alerts = {key: draw(st.sampled_from(({"disable": True}, {}, {"labels": draw(_LABELS)})))
                  for key in ("page_alert", "ticket_alert")}
        alerts = {key: {k: v for k, v in value.items() if v} for key, value in alerts.items()}
        alerts = {key: value for key, value in alerts.items() if value}
        off = [value.get("disable") for value in alerts.values()] == [True, True]
        lines.append({"name": name, "objective": float(target), "labels": draw(_LABELS), "sli": sli,
                      "alerting": ({} if off else {"name": draw(_WORDS), "labels": draw(_LABELS)}) | alerts})
    import yaml
    return yaml.safe_dump({"version": "prometheus/v1", "service": draw(_WORDS), "slos": lines}, allow_unicode=True)


@settings(max_examples=60, deadline=None)
@hypothesis_given(_slos())
def test_any_file_without_a_loss_comes_back_as_it_was(text):
    taken = take("sloth", text)
    assert not errors_of(taken.findings)
    assert lost(taken) == []
    written = given("sloth", taken.bundle)
    assert lost(written) == []
    (before,), (after,) = trees(text), trees(written)
    for tree in (before, after):
        for slo in tree["slos"]:
            slo["sli"] = {f"{kind}.{key}": "".join(query.split()) for kind, part in slo["sli"].items()
                          for key, query in part.items()}
            slo["alerting"] = {key: value for key, value in slo["alerting"].items() if value}
    assert merged(after) == merged(before)


# -- rules ------------------------------------------------------------------------------------------------------------

ID = '{sloth_id="shop-checkout",sloth_service="shop",sloth_slo="checkout"}'
RATIO = ('(sum(rate(http_requests_total{{job="shop",code=~"5.."}}[{0}]))) '
         '/ (sum(rate(http_requests_total{{job="shop"}}[{0}])))')


def rules_of(text: str) -> tuple[list[RecordingRule], list[AlertRule]]:
    bundle = bundle_of("sloth", text)
    catalog = bundle.catalog()
    files = sloth_style([(one, alerting_of(one, catalog)) for one in bundle.objectives], catalog)
    rules = [rule for file in files for group in file.groups for rule in group.rules]
    return ([rule for rule in rules if isinstance(rule, RecordingRule)],
            [rule for rule in rules if isinstance(rule, AlertRule)])


def test_an_slo_has_seventeen_rules_under_sloths_names():
    records, alerts = rules_of(SHOP.replace("ticket_alert: {disable: true}", "ticket_alert: {}", 1))
    mine = [rule for rule in records if rule.labels["sloth_id"] == "shop-checkout"]
    assert [rule.record for rule in mine] == [
        *(f"slo:sli_error:ratio_rate{window}" for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")),
        "slo:objective:ratio", "slo:error_budget:ratio", "slo:time_period:days", "slo:current_burn_rate:ratio",
        "slo:period_burn_rate:ratio", "slo:period_error_budget_remaining:ratio", "sloth_slo_info"]
    assert len(mine) + len(alerts) == 17


@pytest.mark.parametrize(("record", "expected"), [
    ("slo:sli_error:ratio_rate5m", RATIO.format("5m")),
    ("slo:sli_error:ratio_rate3d", RATIO.format("3d")),
    ("slo:sli_error:ratio_rate30d", f"sum_over_time(slo:sli_error:ratio_rate5m{ID}[30d]) / ignoring(sloth_window) "
                                    f"count_over_time(slo:sli_error:ratio_rate5m{ID}[30d])"),
    ("slo:objective:ratio", "vector(0.999)"),
    ("slo:error_budget:ratio", "vector(1 - 0.999)"),
    ("slo:time_period:days", "vector(30)"),
    ("slo:current_burn_rate:ratio", f"slo:sli_error:ratio_rate5m{ID} / on(sloth_id, sloth_slo, sloth_service) "
                                    f"group_left slo:error_budget:ratio{ID}"),
    ("slo:period_burn_rate:ratio", f"slo:sli_error:ratio_rate30d{ID} / on(sloth_id, sloth_slo, sloth_service) "
                                   f"group_left slo:error_budget:ratio{ID}"),
    ("slo:period_error_budget_remaining:ratio", f"1 - slo:period_burn_rate:ratio{ID}"),
    ("sloth_slo_info", "vector(1)")])
def test_each_record_has_sloths_expression_and_labels(record, expected):
    (rule,) = [rule for rule in rules_of(SHOP)[0]
               if rule.record == record and rule.labels["sloth_id"] == "shop-checkout"]
    assert same_promql(rule.expr, expected)
    own = {"sloth_id": "shop-checkout", "sloth_service": "shop", "sloth_slo": "checkout", "owner": "web", "tier": "1",
           "journey": "buy"}
    assert {key: rule.labels[key] for key in own} == own


def test_an_alert_asks_both_pairs_of_windows_with_exact_numbers():
    (alert,) = rules_of(SHOP)[1]

    def above(window: str, factor: str) -> str:
        return f"max(slo:sli_error:ratio_rate{window}{ID} > ({factor} * 0.001)) without (sloth_window)"

    assert same_promql(alert.expr, f"({above('5m', '14.4')} and {above('1h', '14.4')}) or "
                                   f"({above('30m', '6')} and {above('6h', '6')})")
    assert "14.4 * 0.001)" in alert.expr
    assert alert.alert == "ShopErrors"
    assert alert.labels == {"sloth_severity": "page", "category": "availability", "severity": "pageteam"}
    assert alert.annotations == {
        "summary": "Orders fail",
        "title": "(page) {{$labels.sloth_service}} {{$labels.sloth_slo}} SLO error budget burn rate is too fast."}
    assert not alert.hold


def test_another_period_has_its_own_windows_and_factors():
    records, alerts = rules_of(WINDOWS + "---\n" + SHOP)
    assert "slo:sli_error:ratio_rate1w" in [rule.record for rule in records]
    assert "(13.44 * 0.001)" in alerts[0].expr  # 8 % of 168 hours in one hour


def test_promtool_finds_nothing_wrong_with_sloths_style(tmp_path):
    promtool = need("promtool")
    bundle = bundle_of("sloth", WINDOWS + "---\n" + SHOP)
    catalog = bundle.catalog()
    pairs = [(one, alerting_of(one, catalog)) for one in bundle.objectives]
    for index, style in enumerate((sloth_style, mainstay_style)):
        for file in style(pairs, catalog):
            (tmp_path / f"{index}-{file.name}.yaml").write_text(rule_file(file.groups), encoding="utf-8")
    ended = subprocess.run([promtool, "check", "rules", *map(str, sorted(tmp_path.glob("*.yaml")))],
                           capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "duplicate" not in ended.stdout + ended.stderr
