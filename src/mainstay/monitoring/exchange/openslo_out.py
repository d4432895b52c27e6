"""OpenSLO v1 and v2alpha, out: what the SDK's own rules take, checked field by field against them.

Sources: github.com/OpenSLO/OpenSLO README and enhancements/v2alpha.md; github.com/OpenSLO/go-sdk pkg/openslo.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from mainstay.kernel.objective import Indicator, Objective
from mainstay.kernel.quantity import CalendarWindow, RequestWindow, RollingWindow, short_duration
from mainstay.monitoring.exchange.alert_groups import tier_policy
from mainstay.monitoring.exchange.catalog_writer import (
    Mapped,
    beyond_openslo,
    file_of,
    openslo_document,
    service_document,
    source_document,
    without_empty,
)
from mainstay.monitoring.exchange.form import Bundle, Composition, Given, Loss
from mainstay.monitoring.exchange.taking import nominal_length
from mainstay.monitoring.exchange.yaml_out import yaml_file
from mainstay.monitoring.spec import DEFAULT, Alerting, alerting_of, tiers_of
from mainstay.stats.budget import Tier

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MONDAY = datetime(2024, 1, 1)  # noqa: DTZ001  (a wall clock: a Monday that starts a year)
NO_SERVICE = "unassigned"
"""Every OpenSLO objective belongs to a service; one without is put here."""


def write_v1(bundle: Bundle) -> Given:
    """The bundle as OpenSLO v1 documents: one file a service, one each for sources and alert policies."""
    losses: list[Loss] = []
    files = _documents(bundle, losses)
    return Given(tuple((name, yaml_file(some)) for name, some in files.items()), tuple(losses))


def write_v2(bundle: Bundle) -> Given:
    """The same in v2alpha, which knows no display names, no lists as labels and no months."""
    losses: list[Loss] = []
    files = _documents(bundle, losses)
    return Given(tuple((name, yaml_file(_v2(one, losses) for one in some)) for name, some in files.items()),
                 tuple(losses))


def _documents(bundle: Bundle, losses: list[Loss]) -> dict[str, list[Mapped]]:
    files: dict[str, list[Mapped]] = {}
    if bundle.sources:
        files["sources.yaml"] = [source_document(one) for one in bundle.sources]
    for service in bundle.services:
        files.setdefault(file_of(service.name), []).append(service_document(service))
    policies: dict[str, list[Mapped]] = {}
    kinds = {one.name: one.type for one in bundle.sources}
    composed: dict[str, Composition] = {}
    for composition in bundle.compositions:
        parts = _parts(composition, bundle)
        if parts is None:
            losses.append(Loss(f"journey {composition.name}", "OpenSLO composes objectives of one SLO by weights, "
                               f"and has no {composition.combine} over others", composition.origin))
        else:
            composed |= dict.fromkeys((one.name for one in parts), composition)
    whole: dict[str, Mapped] = {}
    for objective in bundle.objectives:
        document = _slo(objective, kinds, losses)
        if (names := _policies_of(objective, bundle, policies, losses)):
            document["spec"]["alertPolicies"] = [{"alertPolicyRef": name} for name in names]
        part_of = composed.get(objective.name)
        if part_of is None:
            files.setdefault(file_of(objective.service or NO_SERVICE), []).append(document)
        elif part_of.name in whole:
            whole[part_of.name]["spec"]["objectives"].append(_part(document, objective))
        else:
            whole[part_of.name] = _composite(document, objective, part_of)
            files.setdefault(file_of(objective.service or NO_SERVICE), []).append(whole[part_of.name])
    for declared in bundle.declarations:
        policies.setdefault(declared.name, [{
            "apiVersion": "openslo/v1", "kind": declared.kind,
            "metadata": {"name": declared.name.partition("/")[2].replace("/", "-")}, "spec": dict(declared.spec)}])
    if policies:
        files["alerts.yaml"] = [one for some in policies.values() for one in some]
    return files


# -- objectives -------------------------------------------------------------------------------------------------------


def _slo(objective: Objective, kinds: dict[str, str], losses: list[Loss]) -> Mapped:
    for what in beyond_openslo(objective):
        losses.append(Loss(f"{objective.name}: {what}", "OpenSLO has no field for it", objective.origin))
    for other in objective.windows[1:]:
        losses.append(Loss(f"{objective.name}: window {other.window}", "an OpenSLO objective has one window",
                           objective.origin))
    if isinstance(objective.window, RequestWindow):
        losses.append(Loss(f"{objective.name}: window {objective.window}", "an OpenSLO window is a length of time; "
                           "30d is written", objective.origin))
        objective = replace(objective, windows=(replace(objective.windows[0],
                                                        window=RollingWindow(timedelta(days=30))),))
    if not objective.service:
        losses.append(Loss(f"{objective.name}: no service", f"OpenSLO needs one; {NO_SERVICE} is written",
                           objective.origin))
    if not _LABEL.fullmatch(objective.name):
        losses.append(Loss(f"{objective.name}: its name", "an OpenSLO name is a DNS label: a-z, 0-9, - and at most 63 "
                           "characters; validators refuse it", objective.origin))
    one = replace(objective, windows=objective.windows[:1], service=objective.service or NO_SERVICE)
    if isinstance(one.window, CalendarWindow) and one.window.anchor is None:
        anchored = one.window._replace(anchor=_MONDAY)
        one = replace(one, windows=(replace(one.windows[0], window=anchored),))
    document = openslo_document(one)
    if isinstance(one.indicator, Indicator):
        inline = document["spec"]["indicator"]
        # The SDK demands a name of every inline object.
        document["spec"]["indicator"] = {"metadata": inline.get("metadata", {"name": one.name}), "spec": inline["spec"]}
        _typed(inline["spec"], kinds)
    return document


def _typed(spec: Mapped, kinds: dict[str, str]) -> None:
    """The type of each metric's source, as validators like to see it."""
    ratio = spec.get("ratioMetric", {})
    for metric in (spec.get("thresholdMetric"), *(ratio.get(key) for key in ("good", "bad", "total", "raw"))):
        if metric is None:
            continue
        source = metric["metricSource"]
        name = source.get("metricSourceRef")
        kind = kinds.get(name, "events" if "where" in source["spec"] else "prometheus")
        metric["metricSource"] = without_empty({
            "metricSourceRef": name, "type": {"prometheus": "Prometheus"}.get(kind, kind)}) | {"spec": source["spec"]}


def _parts(composition: Composition, bundle: Bundle) -> list[Objective] | None:
    """The parts of a composite, when one SLO can hold them all."""
    known = {one.name: one for one in bundle.objectives}
    parts = [known[name] for name, _ in composition.parts if name in known]
    if composition.combine != "composite" or len(parts) != len(composition.parts):
        return None
    alike = {(one.service, tuple(item.window for item in one.windows), type(one.method)) for one in parts}
    return parts if len(alike) == 1 and all(
        one.weight == weight for one, (_, weight) in zip(parts, composition.parts, strict=True)) else None


def _composite(document: Mapped, objective: Objective, composition: Composition) -> Mapped:
    spec: Mapped = document["spec"]
    head: Mapped = {key: value for key, value in document["metadata"].items() if key not in ("name", "displayName")}
    whole = without_empty({"description": composition.description}) | {
        key: value for key, value in spec.items() if key not in ("indicator", "description", "objectives")}
    return {**document, "metadata": {"name": composition.name} | head,
            "spec": whole | {"objectives": [_part(document, objective)]}}


def _part(document: Mapped, objective: Objective) -> Mapped:
    target: Mapped = document["spec"]["objectives"][0]
    return {"displayName": objective.title or objective.name} | target | {"indicator": document["spec"]["indicator"]}


# -- alerts -----------------------------------------------------------------------------------------------------------


def _policies_of(objective: Objective, bundle: Bundle, written: dict[str, list[Mapped]],
                 losses: list[Loss]) -> list[str]:
    """The names of the objective's policies; those not yet written are added."""
    declared = {one.name for one in bundle.declarations}
    names = [name.replace("/", "-") for name in objective.alert_policies if f"AlertPolicy/{name}" in declared]
    alerting = alerting_of(objective, bundle.catalog())
    length = nominal_length(objective.window)
    if alerting is DEFAULT or length is None:
        return names
    for tier in tiers_of(alerting):
        name = tier_policy(alerting.name, tier, short_duration(tier.long))
        factor = tier.spends * Decimal(int(length.total_seconds())) / Decimal(int(tier.long.total_seconds()))
        made = _policy(name, tier, factor.normalize(), alerting)
        if written.setdefault(name, [made]) != [made]:
            # The same tier of another window has another factor.
            name += f"-of-{short_duration(length)}"
            made = _policy(name, tier, factor.normalize(), alerting)
            written.setdefault(name, [made])
        names.append(name)
    for severity in sorted({tier.severity for tier in tiers_of(alerting)}):
        written.setdefault(f"target {severity}", [{
            "apiVersion": "openslo/v1", "kind": "AlertNotificationTarget", "metadata": {"name": severity},
            "spec": {"target": severity}}])
    known = {one.what for one in losses}
    losses += [one for one in _alerting_losses(alerting) if one.what not in known]
    return names


def _policy(name: str, tier: Tier, factor: Decimal, alerting: Alerting) -> Mapped:
    condition = {"kind": "AlertCondition", "metadata": {"name": name}, "spec": {
        "severity": tier.severity, "condition": {
            "kind": "burnrate", "op": "gt", "threshold": factor, "lookbackWindow": tier.long,
            "alertAfter": tier.hold or "0m"}}}
    return {"apiVersion": "openslo/v1", "kind": "AlertPolicy", "metadata": {"name": name}, "spec": {
        "alertWhenBreaching": True, "alertWhenResolved": False, "alertWhenNoData": alerting.absent_for is not None,
        "conditions": [condition], "notificationTargets": [{"targetRef": tier.severity}]}}


def _alerting_losses(alerting: Alerting) -> Iterator[Loss]:
    said: Iterable[tuple[str, bool, str]] = (
        ("the short windows", True, "an OpenSLO condition looks back over one window"),
        ("budget_spent", bool(alerting.budget_spent), "OpenSLO has burn rates alone"),
        ("absent_for", alerting.absent_for not in (None, DEFAULT.absent_for), "OpenSLO says that, not how long"),
        ("group_by", bool(alerting.group_by), "OpenSLO has no groups"),
        ("low_traffic", alerting.low_traffic is not None, "OpenSLO has no gate"),
        ("runbook", bool(alerting.runbook), "OpenSLO alerts have no annotations"),
        ("labels", bool(alerting.labels), "OpenSLO alerts have no labels"),
        ("annotations", bool(alerting.annotations), "OpenSLO alerts have no annotations"),
        ("by_severity", bool(alerting.by_severity), "OpenSLO alerts have no labels"),
        ("alert_name", bool(alerting.alert_name), "OpenSLO leaves names to its implementations"),
        ("interval, scrape, retention", (alerting.interval, alerting.scrape, alerting.retention)
         != (DEFAULT.interval, DEFAULT.scrape, DEFAULT.retention), "OpenSLO leaves them to its implementations"))
    for what, lost, why in said:
        if lost:
            yield Loss(f"alerting {alerting.name}: {what}", why, alerting.origin)


# -- v2alpha ----------------------------------------------------------------------------------------------------------

_RENAMED = {"indicator": "sli", "indicatorRef": "sliRef", "service": "serviceRef"}


def _v2(document: Mapped, losses: list[Loss]) -> Mapped:
    name = document["metadata"]["name"]
    head = dict(document["metadata"])
    if (title := head.pop("displayName", None)):
        losses.append(Loss(f"{name}: displayName {title}", "v2alpha has no display names"))
    spec = document.get("spec", {})
    if document["kind"] == "SLO":
        spec = {_RENAMED.get(key, key): _v2_indicator(value) if key == "indicator" else value
                for key, value in spec.items()}
        spec["timeWindow"] = [_v2_window(one, name, losses) for one in spec["timeWindow"]]
        spec["objectives"] = [{_RENAMED.get(key, key): _v2_indicator(value) if key == "indicator" else value
                               for key, value in one.items()} for one in spec["objectives"]]
    return {"apiVersion": "openslo.com/v2alpha", "kind": document["kind"], "metadata": head, "spec": spec}


def _v2_indicator(inline: Mapped) -> Mapped:
    spec = dict(inline["spec"])
    for key in ("thresholdMetric", "ratioMetric"):
        if key in spec:
            spec[key] = _flat(spec[key]) if key == "thresholdMetric" else {
                part: _flat(value) if isinstance(value, dict) else value for part, value in spec[key].items()}
    return inline | {"spec": spec}


def _flat(metric: Mapped) -> Mapped:
    source = metric["metricSource"]
    return without_empty({"dataSourceRef": source.get("metricSourceRef")}) | {"spec": source["spec"]}


def _v2_window(window: Mapped, name: str, losses: list[Loss]) -> Mapped:
    written = str(window["duration"])
    found = re.fullmatch(r"(\d+)([MQY])", written)
    if found is None:
        return window
    days = int(found[1]) * {"M": 30, "Q": 90, "Y": 365}[found[2]]
    losses.append(Loss(f"{name}: duration {written}", f"v2alpha has no months; {days}d is written"))
    return window | {"duration": f"{days}d"}
