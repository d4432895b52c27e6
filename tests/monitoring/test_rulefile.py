"""Files of rules: any text survives YAML, names suit Kubernetes, and the same rules are the same bytes."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mainstay.monitoring.rulefile import (
    AlertRule,
    RecordingRule,
    RuleGroup,
    label_value,
    object_name,
    prometheus_duration,
    prometheus_rule,
    rule_file,
    yaml_text,
)

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("\t\"'\\{}:#-&*!|>%@` "), max_size=40)


@given(TEXT)
def test_any_text_survives(text):
    assert yaml.safe_load(f"key: {yaml_text(text)}\n")["key"] == text


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.just("\n"), min_size=1, max_size=60))
def test_any_expression_survives(text):
    text = text.strip("\n") or "x"
    groups = [RuleGroup("g", (RecordingRule("a:b", text),))]
    assert yaml.safe_load(rule_file(groups))["groups"][0]["rules"][0]["expr"] == text


@pytest.mark.parametrize("word", ["on", "No", "true", "null", "~", "1.0", "0x1", "012", "1e3", "", "a: b", "- a", "?",
                                  "2026-01-01", "a #b", "=", "page:", ".inf", "12:30:45", "a\tb", " a", "a "])
def test_words_that_yaml_takes_for_something_else_are_quoted(word):
    assert yaml.safe_load(f"key: {yaml_text(word)}\n")["key"] == word


@pytest.mark.parametrize(("length", "text"), [
    (timedelta(0), "0s"), (timedelta(minutes=5), "5m"), (timedelta(seconds=330), "5m30s"),
    (timedelta(hours=36), "1d12h"), (timedelta(milliseconds=1500), "1s500ms")])
def test_durations_are_written_as_prometheus_shows_them(length, text):
    assert prometheus_duration(length) == text


@given(TEXT)
def test_names_of_objects_are_names_of_objects(text):
    # RFC 1123 subdomain, as Kubernetes checks it.
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", object_name(text))
    assert re.fullmatch(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", label_value(text))


def test_an_object_holds_what_the_file_holds():
    rules = (RecordingRule("a:b", "sum(x)\n/ 3", {"slo": "c"}),
             AlertRule("Burn", "a:b > 1", timedelta(minutes=2), {"severity": "page"}, {"summary": 'Köln: "x"'}))
    groups = [RuleGroup("g", rules, timedelta(seconds=30))]
    made = yaml.safe_load(prometheus_rule("My Shop", groups, {"app": "a b"}, "ops"))
    assert made["apiVersion"] == "monitoring.coreos.com/v1"
    assert made["metadata"] == {"name": "my-shop", "namespace": "ops", "labels": {"app": "a-b"}}
    assert made["spec"] == yaml.safe_load(rule_file(groups))
    assert made["spec"]["groups"][0]["rules"][1]["for"] == "2m"


def test_a_file_is_one_document():
    text = rule_file([RuleGroup(name, (RecordingRule("a:b", "x"),)) for name in ("one", "two")])
    assert len(list(yaml.safe_load_all(text))) == 1
