"""Objectives for tests of rules, without files."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.finding import Position
from mainstay.kernel.objective import Indicator, IndicatorType, Objective, ObjectiveWindow
from mainstay.kernel.ports import EventQuery, GaugeQuery, PromQuery
from mainstay.kernel.quantity import RollingWindow, Target, Window
from mainstay.monitoring.rules import Plan, plan
from mainstay.monitoring.spec import Alerting

HERE = Position("test.yaml")
MONTH = RollingWindow(timedelta(days=30))
_Query = EventQuery | PromQuery | GaugeQuery


def counter(text: str) -> PromQuery:
    """A counter's selector."""
    return PromQuery(text, counter=True)


def objective(name: str = "checkout", target: str = "99.9", window: Window = MONTH, *, total: _Query | None = None,
              bad: PromQuery | None = None, **more: Any) -> Objective:
    """An objective over a job's requests, unless other queries are given."""
    good, derived = more.pop("good", None), more.pop("derived", None)
    if total is None:
        total = counter(f'http_requests_total{{job="{name}"}}')
        if good is None and derived is None:
            bad = counter(f'http_requests_total{{job="{name}",code=~"5.."}}')
    indicator = Indicator(name, HERE, IndicatorType.CUSTOM, "prom", total, bad, good, derived)
    more.setdefault("service", "shop")
    return Objective(name, HERE, indicator=indicator,
                     windows=(ObjectiveWindow(window, Target.percent(target)),), **more)


def alerting(**fields: Any) -> Alerting:
    """An alerting about everything."""
    return Alerting("test", HERE, **fields)


def planned(one: Objective, how: Alerting | None = None) -> Plan:
    """Its rules."""
    return plan(one, how if how is not None else alerting(), Catalog())


def expression(made: Plan, name: str) -> str:
    """The expression of the rule that records this, or of the alert with this tier."""
    (found,) = [rule.expr for rule in made.rules
                if name in (getattr(rule, "record", ""), rule.labels.get("tier", ""))]
    return found
