"""Whatever stands in a field, reading another tool's document ends in findings and never in a crash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from mainstay.kernel.document import Document, Node
from mainstay.monitoring.exchange.hcl import read_hcl
from monitoring import test_grafana_slo as grafana
from monitoring import test_mixin as mixin
from monitoring import test_nobl9 as nobl9
from monitoring import test_openslo_in as openslo
from monitoring import test_openslo_out as openslo_out
from monitoring import test_slok as slok
from monitoring.taken import documents, format_named

WRITTEN = {
    "openslo": openslo_out.CANONICAL + openslo.POLICY + openslo.CONDITION + "---\n" + openslo.slo(
        more="  alertPolicies: [{alertPolicyRef: oncall}]\n"),
    "openslo-v1alpha": openslo.V1ALPHA,
    "openslo-v2alpha": openslo.V2,
    "nobl9": nobl9.slo(more="  alertPolicies: [fast]\n  anomalyConfig: {noData: {alertAfter: 1h}}\n") + nobl9.AGENT
    + nobl9.policy("[{measurement: budgetDrop, value: 0.1, alertingWindow: 1h}]") + nobl9.COMPOSITE,
    "grafana-slo-api": grafana.API,
    "slok": slok.slo(more="    alerting: {burnRateAlerts: {enabled: true}}\n") + slok.slo("pay")
    + slok.composition("WEIGHTED_ROUTES", slok.ROUTES),
    "mixin": mixin.rules(mixin.alerts(), mixin.record(mixin.SHARE)),
}
INSTEAD: tuple[tuple[object, str], ...] = (
    (None, ""), ("", ""), ("word", "word"), ("${x}", "${x}"), (-1, "-1"), (0, "0"), (1e300, "1e300"), (True, "true"),
    ([], ""), ({}, ""), ([Node("x", 1, 1, written="x")], ""), ({"x": Node("y", 1, 1, written="y")}, ""),
    ([Node({}, 1, 1)], ""))


def places(node: Node) -> Iterator[Node]:
    """Every node below, the node itself left out."""
    children = node.value.values() if isinstance(node.value, dict) else node.value \
        if isinstance(node.value, list) else ()
    for child in children:
        yield child
        yield from places(child)


def changed(node: Node, place: Node, value: object, written: str) -> Node:
    """The tree with another value at that place."""
    if node is place:
        return replace(node, value=value, written=written, keys=dict.fromkeys(value, (1, 1))  # type: ignore[arg-type]
                       if isinstance(value, dict) else {})
    if isinstance(node.value, dict):
        return replace(node, value={key: changed(one, place, value, written) for key, one in node.value.items()})
    if isinstance(node.value, list):
        return replace(node, value=[changed(one, place, value, written) for one in node.value])
    return node


def read_all(name: str, some: list[Document]) -> None:
    read = format_named(name).read
    assert read is not None
    for index, document in enumerate(some):
        for place in places(document.root):
            for value, written in INSTEAD:
                other = replace(document, root=changed(document.root, place, value, written))
                taken = read([*some[:index], other, *some[index + 1:]])
                for finding in taken.findings:
                    assert finding.render()


@pytest.mark.parametrize("name", list(WRITTEN))
def test_anything_in_any_field_is_read_without_a_crash(name: str) -> None:
    read_all(name, documents(WRITTEN[name]))


def test_anything_in_any_field_of_terraform_is_read_without_a_crash() -> None:
    some, findings = read_hcl(grafana.slo(more=grafana.ALERTING), "main.tf")
    assert not findings
    read_all("grafana-slo", some)
