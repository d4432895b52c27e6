"""What import writes reads again as the same resources, in YAML that any reader takes the same way."""

from __future__ import annotations

import tempfile
from dataclasses import fields, is_dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.app import grammar
from mainstay.kernel.catalog import load
from mainstay.kernel.document import read_documents
from mainstay.kernel.finding import Position, errors_of
from mainstay.kernel.method import Occurrences, RatioTimeslices, Timeslices
from mainstay.kernel.objective import (
    DataSource,
    Dependency,
    Indicator,
    IndicatorType,
    Objective,
    ObjectiveWindow,
    PrometheusDetails,
    Review,
    Service,
)
from mainstay.kernel.ports import Condition, EventQuery, GaugeQuery, PromQuery
from mainstay.kernel.quantity import CalendarWindow, Period, RequestWindow, RollingWindow, Target
from mainstay.monitoring.exchange.catalog_writer import catalog_files, objective_document
from mainstay.monitoring.exchange.form import Bundle
from mainstay.monitoring.exchange.yaml_out import yaml_document
from mainstay.monitoring.spec import Alerting, Extra, LowTraffic
from mainstay.stats.budget import Tier

HERE = Position("here.yaml")
_NAMES = st.text("abcdefgh0123", min_size=1, max_size=8)
_TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=30)
_LABELS = st.dictionaries(_NAMES, _TEXTS, max_size=2)
_TARGETS = st.integers(1, 99_999_999).map(lambda part: Target.percent(Decimal(part).scaleb(-6)))
_LENGTHS = st.sampled_from([timedelta(minutes=5), timedelta(hours=36), timedelta(days=7), timedelta(days=30)])
_WINDOWS = st.one_of(
    st.builds(RollingWindow, _LENGTHS), st.builds(RequestWindow, st.integers(1, 10**9)),
    st.builds(CalendarWindow, st.sampled_from([Period.MONTH, Period.QUARTER, Period.YEAR]),
              st.sampled_from(["UTC", "Europe/Berlin"]), st.integers(1, 3),
              st.sampled_from([None, datetime(2026, 1, 5, 6, 30)])))  # noqa: DTZ001  (wall clock)
_SELECTORS = st.sampled_from(['a_total{b="c",d=~"5..|\\\\d"}', "a_total", "a:b{c='d'}"])
_EXPRESSIONS = st.sampled_from(["sum(increase(a[$window])) - b", "1 - (a\n/\nb)\n", "x # {{ not: yaml }}", "a > 3"])
_METHODS = st.sampled_from([Occurrences(), Timeslices(timedelta(minutes=1), Target.percent("95")),
                            RatioTimeslices(timedelta(minutes=5)),
                            Timeslices(timedelta(minutes=10), Target.percent("99"), "bad")])


@st.composite
def indicators(draw: st.DrawFn, name: str) -> tuple[Indicator, tuple[str, float] | None]:
    own = draw(st.sampled_from([name, "other"]))
    source, described = draw(st.sampled_from(["", "prom"])), draw(_TEXTS).strip()
    kind = draw(st.sampled_from(["counters", "expressions", "mixed", "share", "gauge", "events"]))
    made = Indicator(own, HERE, IndicatorType.CUSTOM, source, PromQuery("a", True), description=described)
    side = draw(st.sampled_from(["good", "bad"]))
    if kind == "share":
        return replace(made, total=GaugeQuery(draw(_EXPRESSIONS).strip(), share=side)), None
    if kind == "gauge":
        comparison = (draw(st.sampled_from(["<", "<=", ">", ">="])), draw(st.sampled_from([0.25, 3.0, -1.5])))
        return replace(made, total=GaugeQuery(draw(_EXPRESSIONS).strip(), *comparison)), comparison
    if kind == "events":
        where = (Condition("status", ">=", (500.0,)), Condition("path", "=~", ("^/api",)))
        return replace(made, source="", total=EventQuery(where[1:]), **{side: EventQuery(where)}), None
    first = PromQuery(draw(_SELECTORS), True) if kind != "expressions" else PromQuery(draw(_EXPRESSIONS).strip())
    second = PromQuery(draw(_SELECTORS), True) if kind == "counters" else PromQuery(draw(_EXPRESSIONS).strip())
    return replace(made, total=first, **{side: second}), None


@st.composite
def objectives(draw: st.DrawFn) -> Objective:
    name = draw(_NAMES)
    indicator, comparison = draw(indicators(name))
    target = draw(_TARGETS)
    windows = (ObjectiveWindow(draw(_WINDOWS), target),)
    if draw(st.booleans()):
        windows = (*windows, ObjectiveWindow(draw(_WINDOWS), draw(st.sampled_from([target, Target.percent("50")]))))
    review = draw(st.sampled_from([None, Review(Period.MONTH, date(2026, 5, 1)), Review(Period.WEEK, None, ("a",))]))
    depends = draw(st.sampled_from([(), (Dependency("db", Target.percent("99.99"), "", HERE),),
                                    (Dependency("db", None, "it all stops", HERE),)]))
    return Objective(
        name, HERE, "shop", indicator, windows, draw(_METHODS), draw(_TEXTS).strip(), draw(_TEXTS).strip(),
        draw(_TEXTS).strip(), draw(_TEXTS).strip(), draw(st.sampled_from([None, Target.percent("0.0000001")])), depends,
        draw(st.sampled_from(["", "template"])), review, (), draw(_LABELS), comparison=comparison)


@st.composite
def alertings(draw: st.DrawFn) -> Alerting:
    tiers = draw(st.sampled_from([None, (), (Tier("page", timedelta(hours=1), Decimal("0.02"), timedelta(0)),
                                             Tier("ticket", timedelta(days=3), Decimal(1) / 7, timedelta(hours=3)))]))
    plain = _TEXTS.map(lambda text: text.replace("$", "").replace("{{", ""))
    return Alerting(
        draw(_NAMES), HERE, (), draw(st.sampled_from([(), ("shop",)])), draw(st.sampled_from([(), ("cluster",)])),
        tiers, draw(st.sampled_from([(), (Decimal("0.5"),), (Decimal("0.75"), Decimal(1))])),
        draw(st.sampled_from([None, timedelta(minutes=15), timedelta(hours=1)])),
        draw(st.sampled_from([timedelta(seconds=30), timedelta(minutes=1)])), timedelta(seconds=15),
        draw(st.sampled_from([None, timedelta(days=15)])),
        draw(st.sampled_from([None, LowTraffic("wilson"), LowTraffic("beta-binomial", Decimal("0.99"))])),
        draw(st.sampled_from(["", "https://runbooks/$service/$slo"])), {"team": draw(plain)}, {"note": draw(plain)},
        draw(st.sampled_from(["", "Burns"])),
        draw(st.sampled_from([{}, {"page": Extra({"severity": "high"}, {"a": "b"})}])))


def bare(value: object) -> object:
    """The value without places, dataclasses as tuples."""
    if isinstance(value, Position):
        return None
    if is_dataclass(value):
        return (type(value).__name__, *((one.name, bare(getattr(value, one.name))) for one in fields(value)))
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items()}
    return tuple(map(bare, value)) if isinstance(value, tuple) and not hasattr(value, "_fields") else value


def loaded(bundle: Bundle) -> tuple[dict[type, dict[str, object]], list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in catalog_files(bundle, "From a test").files:
            Path(folder, name).write_text(text, encoding="utf-8")
        catalog, findings = load([folder], grammar())
    return ({kind: {name: bare(one) for name, one in some.items()} for kind, some in catalog.resources.items()},
            [one.render() for one in errors_of(findings)])


def without_comparison(pairs: object) -> list[object]:
    assert isinstance(pairs, tuple)
    return [pair for pair in pairs if pair[0] != "comparison"]


SOURCE = DataSource("prom", HERE, "prometheus", PrometheusDetails("http://prometheus:9090", headers={"X-Scope": "a"},
                                                                  token_env="TOKEN", timeout=timedelta(seconds=5)))
POLICY = Service("shop", HERE, "The shop", "sells: things", "web team")


@settings(max_examples=250, deadline=None)
@given(objectives())
def test_an_objective_reads_again_as_it_was(one):
    bundle = Bundle((one,), (POLICY,), (SOURCE,))
    found, errors = loaded(bundle)
    losses = objective_document(one)[1]
    assert errors == []
    assert found[Service]["shop"] == bare(POLICY)
    assert found[DataSource]["prom"] == bare(SOURCE)
    if not losses:
        # OpenSLO says the comparison beside the indicator, the native form within it; the indicator has it either way.
        assert without_comparison(found[Objective][one.name]) == without_comparison(bare(one))


@settings(max_examples=80, deadline=None)
@given(alertings())
def test_an_alerting_reads_again_as_it_was(one):
    found, errors = loaded(Bundle(services=(POLICY,), alertings=(one,)))
    assert errors == []
    assert found[Alerting][one.name] == bare(one)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_TEXTS, st.one_of(
    _TEXTS, st.booleans(), st.integers(-10**6, 10**6), st.lists(_TEXTS, max_size=3),
    st.lists(st.dictionaries(_NAMES, _TEXTS, min_size=1, max_size=2), max_size=2)), max_size=4))
def test_every_reader_of_yaml_takes_it_the_same_way(tree):
    text = yaml_document(tree)
    (read,), findings = read_documents(text, "x.yaml") if tree else ((None,), [])
    assert findings == []
    assert tree == {} or read.root.plain() == tree
    assert (yaml.safe_load(text) or {}) == tree


@pytest.mark.parametrize("word", ["1e3", "012", "0o12", "0x1f", "on", "no", "null", "~", "1.10", "2026-01-01", "1:30",
                                  "- a", "a: b", "a #b", "&a", "*a", "!a", "%a", "@a", "'a'", "", " a", "a ", "y", "="])
def test_a_text_that_looks_like_something_else_stays_a_text(word):
    text = yaml_document({"a": word, word: "a"} if word else {"a": word})
    assert yaml.safe_load(text)["a"] == word
    (document,), _ = read_documents(text, "x.yaml")
    assert document.root.plain()["a"] == word


def test_targets_are_written_out_exactly():
    one = Objective("a", HERE, "", Indicator("a", HERE, IndicatorType.CUSTOM, "", PromQuery("t", True),
                                             PromQuery("b", True)),
                    (ObjectiveWindow(RollingWindow(timedelta(days=30)), Target.percent("99.95")),))
    assert "targetPercent: 99.95\n" in catalog_files(Bundle((one,))).files[0][1]


def test_what_only_the_native_form_says_is_written_in_it():
    one = Objective("a", HERE, "", Indicator("a", HERE, IndicatorType.CUSTOM, "", PromQuery("t", True),
                                             PromQuery("b", True)),
                    (ObjectiveWindow(RollingWindow(timedelta(days=30)), Target.percent("99.9")),
                     ObjectiveWindow(RollingWindow(timedelta(days=7)), Target.percent("99"), "ticket")))
    document, losses = objective_document(one)
    assert (document["apiVersion"], losses) == ("mainstay/v1", [])
