"""Can an alert trip, does it cry wolf: what is said, and that what is fine is left alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mainstay.kernel.method import Timeslices
from mainstay.kernel.objective import Indicator, Objective
from mainstay.kernel.ports import PromQuery
from mainstay.kernel.quantity import Target
from mainstay.monitoring.reach import Fault, faults
from mainstay.monitoring.spec import Alerting, LowTraffic
from monitoring.objectives import alerting, counter, objective


def said(one: Objective, how: Alerting | None = None, hourly: float | None = None) -> dict[str, Fault]:
    assert isinstance(one.indicator, Indicator)
    return {fault.code: fault for fault in faults(one, how or alerting(), one.indicator, hourly)}


def test_nothing_is_said_of_what_is_fine():
    assert said(objective(), alerting(retention=timedelta(days=30)), hourly=100_000) == {}


def test_one_failure_that_pages_is_told_with_the_traffic_it_would_need():
    # Field note, §3.1: 69 requests an hour at 99.9 %, and 35 false pages a month at 50.
    fault = said(objective(), hourly=50)["one-failure-pages"]
    assert "= 70 would be needed" in fault.message
    assert "page 35 times in 30 days for nothing" in fault.message
    assert said(objective(), alerting(low_traffic=LowTraffic("wilson")), hourly=50) == {}


@pytest.mark.parametrize(("good", "total", "exceeds"), [
    ('http_total{job="a",code!~"5.."}', 'http_total{job="a"}', False),
    ('http_total{job="a",code="200"}', 'http_total{job="a",code!~"4.."}', False),
    ('http_total{job="a"}', 'http_total{job="a",code!~"4.."}', True),
    ('http_total{job="a",code="404"}', 'http_total{job="a",code!~"4.."}', True),
    ('http_bucket{job="a",le="1"}', 'http_count{job="a"}', False),
    ('sum(http_total{code="200"})', 'sum(http_total{job="a"})', True),
])
def test_good_that_can_exceed_total_is_told(good, total, exceeds):
    one = objective(good=counter(good), total=counter(total))
    assert ("part-exceeds-total" in said(one)) is exceeds


def test_groups_that_a_query_aggregates_away_are_told():
    lost = objective(total=PromQuery("sum(rate(a[$window]))"), bad=PromQuery("sum(rate(b[$window]))"))
    assert said(lost, alerting(group_by=("cluster",)))["group-lost"].weight == "error"
    kept = objective(total=PromQuery("sum by (cluster) (rate(a[$window]))"),
                     bad=PromQuery("sum by (cluster) (rate(b[$window]))"))
    assert said(kept, alerting(group_by=("cluster",))) == {}


def test_slices_shorter_than_a_scrape_are_told():
    one = objective(method=Timeslices(timedelta(seconds=10), Target.percent("99")))
    assert "slice-below-scrape" in said(one)
