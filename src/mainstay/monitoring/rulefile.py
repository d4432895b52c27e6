"""Prometheus rules as values, and the files that hold them: one YAML document each, the same bytes every time.

A style of rules is a function from objectives and alertings to `RuleGroup`s; whatever made them, they are written here.

Sources: Prometheus documentation, "Defining recording rules" and "Alerting rules"; prometheus-operator API reference,
`PrometheusRule`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import plain

GENERATED = "# Written by `mainstay monitoring rules`; change the catalog, not this file."
"""The first line of every file that the word writes: how it knows its own files again."""


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """A series that Prometheus computes.

    Args:
        record: the name of the series.
        labels: added to what the expression gives.
        about: the objective it belongs to; not written, but what comparing two rule sets goes by.
    """

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)
    about: str = ""


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A condition that fires while its expression gives anything.

    Args:
        hold: how long the condition must last before it fires: `for`.
        about: the objective it belongs to; not written.
    """

    alert: str
    expr: str
    hold: timedelta = timedelta(0)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    about: str = ""


Rule = RecordingRule | AlertRule


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that are evaluated one after the other, every `interval`; None leaves that to the server."""

    name: str
    rules: tuple[Rule, ...]
    interval: timedelta | None = None


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A file of groups. `name` is its path below the folder it is written to, without an ending: `checkout`."""

    name: str
    groups: tuple[RuleGroup, ...]


# -- YAML -----------------------------------------------------------------------------------------------------------

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*(?::[A-Za-z0-9_]+)*(?: [A-Za-z0-9_.()-]+)*")
_MOST_DIGITS = 15
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def prometheus_duration(length: timedelta) -> str:
    """A length as Prometheus reads and shows it: `5m`, `5m30s`, `1h30m`, `0s`."""
    rest = length // timedelta(milliseconds=1)
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def number(value: Decimal) -> str:
    """A decimal as text, exact where its digits end, else to fifteen of them: `0.0144`."""
    if len(value.normalize().as_tuple().digits) <= _MOST_DIGITS:
        return plain(value)
    return plain(value.quantize(Decimal(1).scaleb(value.adjusted() - _MOST_DIGITS + 1)).normalize())


def yaml_text(text: str) -> str:
    """A text as a YAML scalar on one line: bare where no reader can take it for anything else, else in quotes.

    JSON's strings are YAML's double-quoted scalars; YAML 1.1 words such as `on` are quoted for old readers.
    """
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\x7f").replace("\x85", "\\N") \
        .replace("\u2028", "\\L").replace("\u2029", "\\P")


def _expression(text: str, indent: str) -> str:
    """An expression as a block that needs no escapes: queries are read by people."""
    lines = text.strip("\n").split("\n")
    if any("\t" in line or line != line.rstrip() for line in lines) or lines[0][:1] == " ":
        return yaml_text(text)
    return "|-\n" + "\n".join(f"{indent}  {line}" if line else "" for line in lines)


def _mapping(name: str, pairs: Mapping[str, str], indent: str) -> Iterable[str]:
    if pairs:
        yield f"{indent}{name}:"
        yield from (f"{indent}  {yaml_text(key)}: {yaml_text(value)}" for key, value in pairs.items())


def _rule(rule: Rule, indent: str) -> Iterable[str]:
    inner = indent + "  "
    if isinstance(rule, RecordingRule):
        yield f"{indent}- record: {yaml_text(rule.record)}"
        yield f"{inner}expr: {_expression(rule.expr, inner)}"
        yield from _mapping("labels", rule.labels, inner)
        return
    yield f"{indent}- alert: {yaml_text(rule.alert)}"
    yield f"{inner}expr: {_expression(rule.expr, inner)}"
    if rule.hold:
        yield f"{inner}for: {prometheus_duration(rule.hold)}"
    yield from _mapping("labels", rule.labels, inner)
    yield from _mapping("annotations", rule.annotations, inner)


def _groups(groups: Sequence[RuleGroup], indent: str) -> Iterable[str]:
    yield f"{indent}groups:"
    for group in groups:
        yield f"{indent}  - name: {yaml_text(group.name)}"
        if group.interval is not None:
            yield f"{indent}    interval: {prometheus_duration(group.interval)}"
        yield f"{indent}    rules:"
        for rule in group.rules:
            yield from _rule(rule, indent + "      ")


def rule_file(groups: Sequence[RuleGroup]) -> str:
    """The groups as a rule file of Prometheus: one document, since promtool and Prometheus read only the first."""
    return "\n".join((GENERATED, *_groups(groups, ""))) + "\n"


# -- objects of the operator ------------------------------------------------------------------------------------------

_MOST_NAME = 253
_MOST_LABEL = 63


def object_name(text: str) -> str:
    """The text as a Kubernetes object's name (RFC 1123 subdomain): lower case letters, digits, `-` and `.`."""
    name = re.sub(r"[^a-z0-9.-]+", "-", text.lower())
    name = re.sub(r"-*\.[-.]*", ".", name)[:_MOST_NAME].strip("-.")
    return name or "rules"


def label_value(text: str) -> str:
    """The text as a Kubernetes label's value: at most 63 letters, digits, `-`, `_` and `.`, no sign at either end."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:_MOST_LABEL].strip("-_.")


def prometheus_rule(name: str, groups: Sequence[RuleGroup], labels: Mapping[str, str], namespace: str = "") -> str:
    """The groups as a `PrometheusRule` of monitoring.coreos.com/v1, which the operator hands to its Prometheus.

    Args:
        labels: of the object, by which a Prometheus' ruleSelector picks it.
    """
    lines = [GENERATED, "apiVersion: monitoring.coreos.com/v1", "kind: PrometheusRule", "metadata:",
             f"  name: {yaml_text(object_name(name))}"]
    if namespace:
        lines.append(f"  namespace: {yaml_text(object_name(namespace))}")
    lines += _mapping("labels", {key: label_value(value) for key, value in labels.items()}, "  ")
    return "\n".join((*lines, "spec:", *_groups(groups, "  "))) + "\n"
