"""Whatever is written, lint answers with findings and never with a crash."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.monitoring.lint.exposition import looks_like_page, read_page
from mainstay.monitoring.lint.fixes import mended
from mainstay.monitoring.lint.pages import judge_page
from mainstay.monitoring.lint.written import Source
from monitoring.linting import flaws_of, of_alert, of_rules

_PIECES = ("sum", " by (le)", "(", ")", "rate", "histogram_quantile", "{", "}", 'a="b"', 'le="1"', 'job=~"^x$"', "[5m]",
           "[30d]", "[5m:]", "x_total", "x_bucket", "burn_rate", " / ", " - ", " and ", " or ", " unless ", " > ",
           " < bool ", " on (a) ", " ignoring (b) ", "group_left(c)", "vector(0)", "absent", "0.05", "14.4", "99",
           "1e999", "NaN", "offset 5m", "@ 5", '"', "'", "\\", "#", "\n", "{{ $labels.x }}", "é", " ", "-", "^", "|=")


@given(st.lists(st.sampled_from(_PIECES), max_size=14).map("".join))
@settings(max_examples=300, deadline=None)
def test_any_expression_gets_findings_at_places_that_exist(expr):
    text = of_alert(expr)
    for flaw in flaws_of(text):
        line, column = flaw.place()
        assert line >= 1
        assert column >= 1
        assert flaw.message
    mended(text, flaws_of)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(("groups", "rules", "name", "alert", "record", "expr", "for", "labels",
                                         "interval", "annotations", "spec", "kind", "items")), inner, max_size=4),
                    max_leaves=12))
@settings(max_examples=200, deadline=None)
def test_any_shape_of_a_rule_file_gets_findings(shape):
    flaws_of(json.dumps({"groups": shape}))
    flaws_of(json.dumps({"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "spec": shape}))


@given(st.text(alphabet='# TYPEHLUN{}=,"\\\n ab_total1.e+-Inf', max_size=80))
@settings(max_examples=300, deadline=None)
def test_any_page_gets_findings(text):
    looks_like_page(text)
    for strict in (False, True):
        page = read_page(Source("page", text, yaml=False), open_metrics=strict)
        for flaw in judge_page(page, (), 3):
            assert flaw.place()[0] >= 1


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_template_gets_findings(text):
    flaws_of(of_rules(json.dumps({"alert": "A", "expr": "up == 0", "annotations": {"summary": text}})))
