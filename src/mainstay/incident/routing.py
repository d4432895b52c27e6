"""Where an alert goes: the first route of the tree that fits it best, and the group it belongs to there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from mainstay.incident.ongoing import Key
from mainstay.incident.spec import Route

_LONGEST_GROUP = 300


def route_of(tree: Route, labels: Mapping[str, str]) -> Route:
    """The deepest route that fits, by the first child that does at every fork; the root fits everything."""
    for child in tree.routes:
        for matcher in child.matchers:
            if not matcher.holds(labels):
                break
        else:
            return route_of(child, labels)
    return tree


def group_of(route: Route, key: Key, labels: Mapping[str, str]) -> str:
    """The group's name: the same whenever alerts with equal values come this way; without `group_by` the key's own."""
    if route.group_by is None:
        return _bounded(f"{_marked(key.service, '/{')}/{key.key}")
    values = ",".join([f"{name}={_marked(labels.get(name, ''), ',')}" for name in route.group_by])
    # Whether it pages is part of the name, or an alert that should would join an incident that pages nobody.
    return _bounded(f"{route.policy or 'all'}{'' if route.page else ' quiet'}{{{values}}}")


def _marked(text: str, ends: str) -> str:
    """The text with a backslash before what would end it in a group's name, so that no two groups have the same."""
    for sign in ("\\", *ends):
        text = text.replace(sign, "\\" + sign)
    return text


def _bounded(name: str) -> str:
    """The name, cut where it is too long for the key of a timer, and then told apart by a hash of the whole."""
    if len(name) <= _LONGEST_GROUP:
        return name
    return f"{name[:_LONGEST_GROUP - 17]}…{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def with_service(labels: Mapping[str, str], key: Key, severity: str) -> dict[str, str]:
    """The labels that matchers see: the sender's, with service and severity where it did not say them as labels."""
    return {"service": key.service, **({"severity": severity} if severity else {}), **labels}
