"""Where an alert goes: the first route of the tree that fits it best, and the group it belongs to there."""

from __future__ import annotations

from collections.abc import Mapping

from mainstay.incident.spec import Route
from mainstay.incident.state import Key


def route_of(tree: Route, labels: Mapping[str, str]) -> Route:
    """The deepest route that fits, by the first child that does at every fork; the root fits everything."""
    for child in tree.routes:
        if all(matcher.holds(labels) for matcher in child.matchers):
            return route_of(child, labels)
    return tree


def group_of(route: Route, key: Key, labels: Mapping[str, str]) -> str:
    """The group's name: the same whenever alerts with equal values come this way; without `group_by` the key's own."""
    if route.group_by is None:
        return f"{key.service}/{key.key}"
    values = ",".join(f"{name}={labels.get(name, '')}" for name in route.group_by)
    return f"{route.policy or 'all'}{{{values}}}"


def with_service(labels: Mapping[str, str], key: Key, severity: str) -> dict[str, str]:
    """The labels that matchers see: the sender's, with service and severity where it did not say them as labels."""
    return {"service": key.service, **({"severity": severity} if severity else {}), **labels}
