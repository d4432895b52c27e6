"""`mainstay/v1 Alerting`: how objectives alert, as a team writes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from mainstay.kernel.catalog import Form
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.metadata import read_metadata
from mainstay.kernel.quantity import SLOT, parse_duration
from mainstay.kernel.reader import Reader
from mainstay.monitoring.alerts import unknown_variables
from mainstay.monitoring.spec import DEFAULT, Alerting, Extra, LowTraffic
from mainstay.stats.budget import TIERS, Tier, share_of_percent

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OURS = ("slo", "service", "severity", "tier", "alertname")
_SLOT = timedelta(seconds=SLOT)
_HOLDS = {tier.long: tier.hold for tier in TIERS}


def read_alerting(reader: Reader) -> Iterator[Alerting]:
    """mainstay/v1 Alerting."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    before = len(spec.findings)
    alerting = Alerting(
        meta.name, meta.origin, spec.texts("objectives"), spec.texts("services"), _label_names(spec, "group_by"),
        _tiers(spec), _shares(spec), _absent_for(spec), spec.parsed("interval", _interval) or DEFAULT.interval,
        spec.parsed("scrape", _scrape) or DEFAULT.scrape, spec.duration("retention"), _low_traffic(spec),
        spec.text("runbook", default=""), _labels(spec), spec.labels("annotations"),
        spec.text("alert_name", default=""), _by_severity(spec))
    _check_text(spec, "runbook", alerting.runbook)
    _check_annotations(spec)
    spec.done()
    if meta.name and len(spec.findings) == before:
        yield alerting


def _check_annotations(reader: Reader) -> None:
    annotations = reader.child("annotations")
    for key, text in reader.labels("annotations").items():
        if annotations is not None:
            _check_name(annotations, key)
            _check_text(annotations, key, text)


def _by_severity(spec: Reader) -> dict[str, Extra]:
    """What pages, or tickets, carry beside the rest."""
    child = spec.child("by_severity")
    if child is None:
        return {}
    out = {}
    for severity in ("page", "ticket"):
        one = child.child(severity)
        if one is None:
            continue
        out[severity] = Extra(one.labels("labels"), one.labels("annotations"))
        labels = one.child("labels")
        for key in out[severity].labels:
            if labels is not None:
                _check_name(labels, key)
        _check_annotations(one)
        one.done()
    child.done()
    return out


def _label_names(spec: Reader, key: str) -> tuple[str, ...]:
    names = spec.texts(key)
    for name in names:
        if not _LABEL.fullmatch(name) or name in _OURS:
            spec.report("invalid-name", f'{spec.field(key)}: "{name}" cannot tell groups apart',
                        "name a label of the metrics, such as cluster", key)
    return names


def _labels(spec: Reader) -> dict[str, str]:
    labels = spec.labels("labels")
    child = spec.child("labels")
    for key in labels:
        if child is None:
            continue
        if key in _OURS:
            child.report("invalid-name", f'{child.field(key)}: the label "{key}" is set by the rules themselves',
                         "call it something else", key)
        _check_name(child, key)
    return labels


def _check_name(reader: Reader, key: str) -> None:
    if not _LABEL.fullmatch(key):
        reader.report("invalid-name", f'"{key}" is not a name of a label or annotation in Prometheus',
                      "use letters, digits and _", key)


def _check_text(reader: Reader, key: str, text: str) -> None:
    for written, known in unknown_variables(text):
        reader.report("unknown-variable", f'{reader.field(key)}: nobody fills in "{written}"',
                      "known here: " + ", ".join(f"${name}" for name in known), key)


def _percent(what: str) -> Callable[[str], Decimal]:
    def parse(text: str) -> Decimal:
        share = share_of_percent(text, what)
        if share == 0:
            raise InvalidInput(f"{what} {text} is nothing", "write a percentage above 0")
        return share.normalize()
    return parse


def _shares(spec: Reader) -> tuple[Decimal, ...]:
    if not spec.has("budget_spent"):
        spec.ignore("budget_spent")
        return DEFAULT.budget_spent
    shares = []
    for text in spec.texts("budget_spent"):
        try:
            shares.append(_percent("share")(text))
        except InvalidInput as error:
            spec.report("invalid-value", f"{spec.field('budget_spent')}: {error.message}", error.way_out,
                        "budget_spent")
    return tuple(dict.fromkeys(shares))


def _absent_for(spec: Reader) -> timedelta | None:
    if spec.text("absent_for") == "never":
        return None
    return spec.duration("absent_for") or DEFAULT.absent_for


def _interval(text: str) -> timedelta:
    length = parse_duration(text)
    if length < timedelta(seconds=1) or _SLOT % length:
        raise InvalidInput(f"five minutes are no whole number of {text}: windows could not be put together exactly",
                           "write 10s, 15s, 20s, 30s, 1m or 5m")
    return length


def _scrape(text: str) -> timedelta:
    length = parse_duration(text)
    if length < timedelta(seconds=1) or length > _SLOT:
        raise InvalidInput(f"scrapes every {text} do not fill five minutes", "write 15s, 30s or 1m")
    return length


def _low_traffic(spec: Reader) -> LowTraffic | None:
    child = spec.child("low_traffic")
    if child is None:
        return None
    gate: Literal["wilson", "beta-binomial"] = "beta-binomial" \
        if child.text("gate", one_of=("wilson", "beta-binomial"), default="wilson") == "beta-binomial" else "wilson"
    confidence = child.parsed("confidence", _confidence)
    child.done()
    return LowTraffic(gate) if confidence is None else LowTraffic(gate, confidence)


def _confidence(text: str) -> Decimal:
    share = share_of_percent(text, "confidence")
    if not Decimal("0.5") <= share <= Decimal("0.999999"):
        raise InvalidInput(f"a confidence of {text} decides nothing", "write a percentage such as 95%")
    return share.normalize()


def _tiers(spec: Reader) -> tuple[Tier, ...] | None:
    if not spec.has("tiers"):
        spec.ignore("tiers")
        return None
    tiers: list[Tier] = []
    for child in spec.children("tiers"):
        severity = child.text("severity", one_of=("page", "ticket"), required=True)
        long, spends = child.parsed("long", _long, required=True), child.parsed("spends", _percent("share"),
                                                                               required=True)
        hold = child.parsed("for", _hold)
        child.done()
        if severity is None or long is None or spends is None:
            continue
        if any((tier.severity, tier.long) == (severity, long) for tier in tiers):
            child.report("duplicate-name", f"{child.path} is a second {severity} tier over this long window",
                         "keep one of the two")
            continue
        tiers.append(Tier("page" if severity == "page" else "ticket", long, spends,
                          hold if hold is not None else _HOLDS.get(long, long / 24)))
    return tuple(sorted(tiers, key=lambda tier: tier.long))


def _hold(text: str) -> timedelta:
    return timedelta(0) if text.strip() in ("0", "0s") else parse_duration(text)


def _long(text: str) -> timedelta:
    length = parse_duration(text)
    if length <= _SLOT or length % _SLOT:
        raise InvalidInput(f"a long window of {text} is not made of five-minute sums",
                           "write whole five minutes, longer than five: 15m, 1h, 3d")
    return length


FORMS = (Form("mainstay/v1 Alerting", read_alerting, "mainstay/v1", "Alerting"),)
