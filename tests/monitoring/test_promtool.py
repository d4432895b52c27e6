"""Everything generated passes the real promtool, and fires when arithmetic says it must."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mainstay.kernel.method import RatioTimeslices, Timeslices
from mainstay.kernel.objective import FreshWithin, PerSecond
from mainstay.kernel.ports import GaugeQuery, PromQuery
from mainstay.kernel.quantity import CalendarWindow, Period, RequestWindow, RollingWindow, Target
from mainstay.monitoring import chain
from mainstay.monitoring.rulefile import rule_file
from mainstay.monitoring.spec import LowTraffic
from monitoring.objectives import alerting, counter, objective, planned
from monitoring.promtool import Case, check, expressions, firing

pytestmark = pytest.mark.server("prometheus")

MINUTE = timedelta(minutes=1)
REQUESTS = 'http_requests_total{job="checkout",code="200"}'
ERRORS = 'http_requests_total{job="checkout",code="500"}'

KINDS = {
    "counters": objective(),
    "good instead of bad": objective(good=counter('http_requests_total{job="checkout",code!~"5.."}'),
                                     total=counter('http_requests_total{job="checkout"}')),
    "an expression with $window": objective(
        total=PromQuery("sum(increase(a_total[$window]))"), bad=PromQuery("sum(increase(b_total[$window])) # why")),
    "a gauge with a bound": objective(total=GaugeQuery("queue_depth", "<=", 100.0)),
    "a gauge that is a share": objective(total=GaugeQuery('probe_success{job="x"}', share="good")),
    "timeslices of a minute": objective(method=Timeslices(MINUTE, Target.percent("99"))),
    "timeslices of an hour, idle ones good": objective(
        method=Timeslices(timedelta(hours=1), Target.percent("99"), "good")),
    "ratio timeslices, idle ones bad": objective(method=RatioTimeslices(5 * MINUTE, "bad")),
    "throughput": objective(total=counter("done_total"), derived=PerSecond(0.5, MINUTE)),
    "freshness": objective(total=counter("done_total"), derived=FreshWithin(timedelta(minutes=10), MINUTE)),
    "a calendar month": objective(window=CalendarWindow(Period.MONTH)),
    "a million requests": objective(window=RequestWindow(1_000_000)),
    "a week": objective(window=RollingWindow(timedelta(days=7))),
    "ninety days": objective(window=RollingWindow(timedelta(days=90))),
    "half of everything": objective(target="50"),
}
HOW = {
    "plain": alerting(), "by cluster": alerting(group_by=("cluster", "region")),
    "little traffic": alerting(low_traffic=LowTraffic("wilson")),
    "little traffic, scattered": alerting(low_traffic=LowTraffic("beta-binomial")),
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_objective_gives_rules_without_fault(kind, how, tmp_path):
    made = planned(KINDS[kind], HOW[how])
    assert made.groups, made.without
    assert made.evaluations <= 12
    assert "SUCCESS" in check(rule_file(made.groups), tmp_path)


def test_a_total_outage_from_the_first_second_pages(tmp_path):
    # No series of good requests exists: 1 - ok/total would be empty and nobody would be told.
    made = planned(objective())
    case = Case({ERRORS: "0+100x60"}, ((firing("page-1h"), "2m", (0,)), (firing("page-1h"), "5m", (1,)),
                                       (f"{chain.BAD} / {chain.TOTAL}", "10m", (1,))))
    expressions(made.groups, Case(case.series, tuple((f"sum({e})", t, v) for e, t, v in case.values)), tmp_path)


def test_no_series_of_errors_is_no_error_and_not_no_data(tmp_path):
    made = planned(objective())
    expressions(made.groups, Case({REQUESTS: "0+100x60"}, (
        (f"sum({chain.BAD})", "10m", (0,)), (f"sum({chain.TOTAL})", "10m", (1000,)),
        (firing("page-1h"), "20m", (0,)), (firing("absent"), "20m", (0,)))), tmp_path)


def test_an_outage_after_a_clean_day_pages_as_fast_as_the_formula_says(tmp_path):
    # Workbook, ch. 5: long × threshold / share = 60 m × 0.0144 = 52 s at a full outage; then `for` (2 m), and the
    # next evaluation. 20 requests a second; from 2 h on all fail.
    made = planned(objective())
    series = {REQUESTS: "0+600x240 144000x60", ERRORS: "0x240 600+600x60"}
    expressions(made.groups, Case(series, (
        (firing("page-1h"), "122m30s", (0,)), (firing("page-1h"), "123m30s", (1,)),
        (f"sum({chain.HOUR_TOTAL})", "120m", (72000,)), (f"sum({chain.HOUR_BAD})", "125m", (6000,)))), tmp_path)


def test_ten_percent_errors_page_when_the_hour_has_seen_enough_of_them(tmp_path):
    # 60 m × 0.0144 / 0.1 = 8.64 m, 2 m hold: 10.64 m.
    made = planned(objective())
    series = {REQUESTS: "0+600x240 144540+540x60", ERRORS: "0x240 60+60x60"}
    expressions(made.groups, Case(series, (
        (firing("page-1h"), "130m", (0,)), (firing("page-1h"), "131m30s", (1,)))), tmp_path)


def test_a_page_ends_soon_after_the_trouble(tmp_path):
    # The short window lets go after short × (1 - threshold / share), 4.9 m after a full outage.
    made = planned(objective())
    series = {REQUESTS: "0+600x240 144000x20 144600+600x60", ERRORS: "0x240 600+600x20 12600x60"}
    expressions(made.groups, Case(series, (
        (firing("page-1h"), "130m", (1,)), (firing("page-1h"), "136m", (0,)))), tmp_path)


def test_clusters_are_judged_apart(tmp_path):
    made = planned(objective(), alerting(group_by=("cluster",)))
    series = {'http_requests_total{job="checkout",code="200",cluster="a"}': "0+100x60",
              'http_requests_total{job="checkout",code="200",cluster="b"}': "0+100x20 2000x40",
              'http_requests_total{job="checkout",code="500",cluster="b"}': "0x20 100+100x40"}
    expressions(made.groups, Case(series, (
        ('count(ALERTS{tier="page-1h",alertstate="firing",cluster="b"}) or vector(0)', "20m", (1,)),
        (firing("page-1h"), "20m", (1,)))), tmp_path)


def test_data_that_stops_is_told(tmp_path):
    made = planned(objective())
    expressions(made.groups, Case({REQUESTS: "0+100x20 stale"}, (
        (firing("absent"), "10m", (0,)), (firing("absent"), "40m", (1,)))), tmp_path)


def test_one_cluster_that_stops_is_told(tmp_path):
    made = planned(objective(), alerting(group_by=("cluster",)))
    series = {'http_requests_total{job="checkout",code="200",cluster="a"}': "0+100x120",
              'http_requests_total{job="checkout",code="200",cluster="b"}': "0+100x20 stale"}
    expressions(made.groups, Case(series, (
        ('count(ALERTS{tier="absent",alertstate="firing",cluster="b"}) or vector(0)', "40m", (1,)),
        (firing("absent"), "40m", (1,)))), tmp_path)


def test_a_spent_budget_is_told(tmp_path):
    made = planned(objective())
    # 1 % of all fails against 0.1 %: the share is above any part of the budget.
    series = {REQUESTS: "0+990x60", ERRORS: "0+10x60"}
    expressions(made.groups, Case(series, (
        (f"round(sum({chain.LEFT}), 0.000001)", "20m", (-9,)), (firing("budget-75"), "20m", (1,)),
        (firing("budget-100"), "20m", (1,)))), tmp_path)


def test_a_restart_within_the_five_minutes_is_no_loss(tmp_path):
    made = planned(objective())
    series = {REQUESTS: "0+100x9 0+100x30"}
    expressions(made.groups, Case(series, ((f"round(sum({chain.TOTAL}), 50)", "10m30s", (1000,)),)), tmp_path)


def test_an_error_series_that_is_born_late_counts_from_its_first_sample(tmp_path):
    made = planned(objective())
    series = {REQUESTS: "0+100x60", ERRORS: "_x20 0+1x40"}
    expressions(made.groups, Case(series, ((f"sum({chain.BAD})", "12m", (4,)), (f"sum({chain.BAD})", "20m", (10,)))),
                tmp_path)


def test_slices_are_counted_one_each(tmp_path):
    # Slices of a minute, bad below 99 %: from minute 5 on every slice is bad. Slices of ten: one event each.
    minutes = planned(objective(method=Timeslices(MINUTE, Target.percent("99"))))
    series = {REQUESTS: "0+90x10 900+90x60", ERRORS: "0x10 10+10x60"}
    expressions(minutes.groups, Case(series, (
        (f"sum({chain.BAD})", "20m10s", (5,)), (f"sum({chain.TOTAL})", "20m10s", (5,)))), tmp_path)
    tens = planned(objective(method=Timeslices(10 * MINUTE, Target.percent("99"))))
    expressions(tens.groups, Case(series, (
        (f"sum({chain.TOTAL})", "24m", (0,)), (f"sum({chain.TOTAL})", "30m", (1,)), (f"sum({chain.BAD})", "30m", (1,)),
        (f"sum({chain.HOUR_TOTAL})", "35m", (3,)))), tmp_path)


def test_a_gauge_is_judged_sample_by_sample(tmp_path):
    made = planned(objective(total=GaugeQuery("queue_depth", "<=", 100.0)))
    # Ten samples up to 8 m: four within the bound, five beyond it (`x4` repeats four times more), one no number.
    series = {"queue_depth": "50x10 200x4 NaN NaN 50x40"}
    expressions(made.groups, Case(series, (
        (f"sum({chain.TOTAL})", "8m10s", (9,)), (f"sum({chain.BAD})", "8m10s", (5,)))), tmp_path)


def test_throughput_and_freshness_are_rules_too(tmp_path):
    slow = planned(objective(total=counter("done_total"), derived=PerSecond(1.0, MINUTE)))
    series = {"done_total": "0+60x20 1200+6x30"}
    expressions(slow.groups, Case(series, (
        (f"sum({chain.BAD})", "10m", (0,)), (f"sum({chain.BAD})", "20m", (5,)), (f"sum({chain.TOTAL})", "20m", (5,)))),
        tmp_path)
    fresh = planned(objective(total=counter("done_total"), derived=FreshWithin(5 * MINUTE, MINUTE)))
    series = {"done_total": "0+1x10 10x60"}
    expressions(fresh.groups, Case(series, (
        (f"sum({chain.BAD})", "9m", (0,)), (f"sum({chain.BAD})", "20m", (5,)))), tmp_path)
