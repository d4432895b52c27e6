"""Rule files that carry an objective: what a burn-rate alert and its records say together, and what says nothing."""

from __future__ import annotations

import tarfile
from datetime import timedelta
from decimal import Decimal

import pytest

from mainstay.kernel.finding import errors_of
from mainstay.kernel.objective import Indicator, Objective
from mainstay.kernel.ports import GaugeQuery, PromQuery
from mainstay.kernel.quantity import RollingWindow, Target
from mainstay.stats.budget import TIERS, Tier
from monitoring.taken import bundle_of, codes, in_catalog, lost, take
from shared_data import shared

ROWS = (("critical", "1h", "5m", "14.40", "2m"), ("critical", "6h", "30m", "6.00", "15m"),
        ("warning", "1d", "2h", "3.00", "1h"), ("warning", "3d", "6h", "1.00", "3h"))


def alerts(share: str = "http:burnrate{0}", budget: str = "0.00100") -> str:
    """The four alerts in the form that slo-libsonnet prints."""
    out = ""
    for severity, long, short, factor, hold in ROWS:
        sides = " and ".join(f"sum({share.format(one)}) > ({factor} * {budget})" for one in (long, short))
        out += (f"    - alert: Burning\n      expr: '{sides}'\n      for: {hold}\n"
                f"      labels: {{severity: {severity}, long: {long}, short: {short}}}\n"
                "      annotations: {summary: too fast, runbook_url: 'http://r'}\n")
    return out


def record(expr: str, labels: str = "{job: web}", share: str = "http:burnrate") -> str:
    return "".join(f"    - record: {share}{window}\n      expr: '{expr.replace('5m', window)}'\n"
                   f"      labels: {labels}\n" for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d"))


SHARE = 'sum(rate(http_total{job="web",code=~"5.."}[5m])) / sum(rate(http_total{job="web"}[5m]))'


def rules(*parts: str) -> str:
    return "groups:\n- name: slo\n  rules:\n" + "".join(parts)


def one(text: str) -> tuple[Objective, Indicator]:
    (objective,) = bundle_of("mixin", text).objectives
    assert isinstance(objective.indicator, Indicator)
    return objective, objective.indicator


def test_an_alert_and_its_records_are_an_objective_with_its_tiers() -> None:
    text = rules(alerts(), record(SHARE))
    objective, indicator = one(text)
    assert (objective.name, objective.title, objective.labels) == ("http", "Burning", {"job": "web"})
    assert (objective.target, objective.window) == (Target.percent("99.9"), RollingWindow(timedelta(days=30)))
    assert (indicator.bad, indicator.total) == (PromQuery('http_total{job="web",code=~"5.."}', True),
                                                PromQuery('http_total{job="web"}', True))
    (alerting,) = bundle_of("mixin", text).alertings
    # The factors of the libraries are the workbook's shares over 30 days, and so is `for`.
    assert alerting.tiers == TIERS
    assert (alerting.runbook, alerting.annotations, alerting.alert_name) == (
        "http://r", {"summary": "too fast"}, "Burning")
    assert lost(take("mixin", text)) == ["alert Burning: the window of its budget"]


@pytest.mark.parametrize(("budget", "target"), [("(1-0.99900)", "99.9"), ("0.010000", "99"), ("(1 - 0.95)", "95")])
def test_a_budget_is_written_in_several_ways(budget: str, target: str) -> None:
    assert one(rules(alerts(budget=budget), record(SHARE)))[0].target == Target.percent(target)


def test_two_pairs_in_one_alert_are_two_tiers() -> None:
    expr = ("(l:rate1h{a=\"x\"} > (14.4*0.01) and l:rate5m{a=\"x\"} > (14.4*0.01)) or "
            "(l:rate3d{a=\"x\"} > (0.01) and l:rate6h{a=\"x\"} > (0.01))")
    text = rules(f"    - alert: A\n      expr: '{expr}'\n      labels: {{severity: critical}}\n",
                 record('1 - (sum(rate(fast{a="x"}[5m])) / sum(rate(all{a="x"}[5m])))', "{a: x}", "l:rate"))
    (alerting,) = bundle_of("mixin", text).alertings
    assert alerting.tiers == (Tier("page", timedelta(hours=1), Decimal("0.02"), timedelta()),
                              Tier("page", timedelta(days=3), Decimal("0.1"), timedelta()))
    assert one(text)[1].good == PromQuery('fast{a="x"}', True)


def test_a_share_of_sums_is_counted_by_both_sides() -> None:
    share = "(sum(rate(slow[5m])) + sum(rate(failed[5m]))) / sum(rate(all[5m]))"
    _, indicator = one(rules(alerts(), record(share)))
    assert indicator.bad == PromQuery("(sum(increase(slow[$window])) + sum(increase(failed[$window])))")
    assert indicator.total == PromQuery("sum(increase(all[$window]))")


def test_a_share_that_is_no_ratio_is_only_averaged_and_said() -> None:
    text = rules(alerts(), record("avg_over_time(share[5m])"))
    assert one(text)[1].total == GaugeQuery("avg_over_time(share[$window])", share="bad")
    assert "record http:burnrate5m" in lost(take("mixin", text))


def test_records_of_several_labels_are_objectives_of_their_own() -> None:
    text = rules(alerts(), record(SHARE, "{verb: read}"), record(SHARE, "{verb: write}"))
    bundle = bundle_of("mixin", text)
    assert [one.name for one in bundle.objectives] == ["http-read", "http-write"]
    assert bundle.alertings[0].objectives == ("http-read", "http-write")
    assert "alert Burning: the sum over 2 records" in lost(take("mixin", text))


def test_alerts_on_the_same_records_by_label_are_told_apart() -> None:
    text = rules(alerts('http:burnrate{0}{{slo="a"}}'), alerts('http:burnrate{0}{{slo="b"}}'),
                 record(SHARE, "{slo: a}"), record(SHARE, "{slo: b}"))
    assert [one.name for one in bundle_of("mixin", text).objectives] == ["http-a", "http-b"]


def test_what_carries_no_objective_is_named_with_its_place() -> None:
    text = rules("    - alert: Down\n      expr: up == 0\n", "    - record: x:rate5m\n      expr: rate(x[5m])\n")
    taken = take("mixin", text)
    assert taken.bundle.objectives == ()
    assert [(loss.what, loss.where.line) for loss in taken.losses if loss.where] == [
        ("alert Down", 4), ("record x:rate5m", 6)]


def test_an_alert_whose_share_nobody_records_is_named() -> None:
    taken = take("mixin", rules(alerts()))
    assert taken.bundle.objectives == ()
    assert lost(taken) == ["alert Burning"]


def test_what_the_alerts_of_one_objective_do_not_share_is_lost_by_name() -> None:
    text = rules(alerts(), record(SHARE)).replace("summary: too fast", "summary: slowly", 1)
    assert "alert Burning: annotations.summary" in lost(take("mixin", text))
    odd = rules(alerts(), record(SHARE)).replace("burnrate5m) >", "burnrate10m) >", 1)
    assert "alert Burning: its short window" in lost(take("mixin", odd))


@pytest.mark.parametrize(("text", "code"), [
    ("groups: [{rules: [{alert: a}]}]", "missing-field"), ("groups: [{rules: [{expr: a}]}]", "one-of"),
    ("groups: [{rules: [{alert: a, expr: b, for: soon}]}]", "invalid-value"),
    ("groups: [{rules: [{alert: a, expr: b, sererity: x}]}]", "unknown-field"),
    ("groups: [{rulez: []}]", "unknown-field"),
])
def test_a_mistake_is_found(text: str, code: str) -> None:
    assert code in codes("mixin", text)


def test_what_slo_libsonnet_prints_is_read_too() -> None:
    text = "alerts:\n" + alerts().replace("\n    ", "\n").removeprefix("    ") + "recordingrule:\n" + \
        record(SHARE).replace("\n    ", "\n").removeprefix("    ")
    assert one(text)[0].name == "http"
    assert not errors_of(in_catalog(bundle_of("mixin", text))[1])


def test_the_apiserver_alerts_of_kube_prometheus_are_read() -> None:
    # prometheus-operator/kube-prometheus manifests: `KubeAPIErrorBudgetBurn` promises 99 % of reads and of writes.
    with tarfile.open(shared("alerts_k8s_grafana/kube_prometheus_prometheusrules.tar.gz")) as archive:
        texts = [file.read().decode() for one in archive.getmembers() if one.isfile()
                 and (file := archive.extractfile(one)) is not None]
    taken = take("mixin", "\n---\n".join(texts))
    assert not errors_of(taken.findings)
    assert [(one.name, str(one.target)) for one in taken.bundle.objectives] == [
        ("apiserver_request-read", "99 %"), ("apiserver_request-write", "99 %")]
    (alerting,) = taken.bundle.alertings
    assert (alerting.tiers, alerting.group_by) == (TIERS, ("cluster",))
    # 139 alerts and 95 records: four alerts and two times seven records carry the objectives, every other is named.
    assert sum(what.startswith("alert ") and ":" not in what for what in lost(taken)) == 139 - 4
    assert sum(what.startswith("record ") for what in lost(taken)) == 95 - 14
    assert not errors_of(in_catalog(taken.bundle)[1])
