"""All that the word reads, how its resources refer to each other, and what is checked across them."""

from __future__ import annotations

from collections.abc import Iterator

from mainstay.incident import channels
from mainstay.incident.forms import FORMS
from mainstay.incident.spec import EscalationPolicy, Route, Routing
from mainstay.kernel.catalog import Catalog, Grammar
from mainstay.kernel.finding import Finding, Severity, did_you_mean


def check(catalog: Catalog) -> Iterator[Finding]:
    """One routing, whose routes name policies that exist; policies that always reach somebody."""
    policies = {one.name for one in catalog.of(EscalationPolicy)}
    routings = catalog.of(Routing)
    for extra in routings[1:]:
        yield Finding("duplicate-routing", extra.origin, f'"{extra.name}" is a second routing, beside '
                      f'"{routings[0].name}"', "put its routes into the first one's tree")
    for routing in routings[:1]:
        for name in dict.fromkeys(_policies_of(routing.route)):
            if name and name not in policies:
                yield Finding("unknown-reference", routing.origin,
                              f'no escalation policy is named "{name}"{did_you_mean(name, policies)}',
                              "declare it, or write one of: " + (", ".join(sorted(policies)) or "none is declared"))
    for policy in catalog.of(EscalationPolicy):
        if not policy.fallback and all(to.kind == "rotation" for step in policy.steps for to in step.addressees):
            yield Finding("no-fallback", policy.origin, f'"{policy.name}" has no fallback: when nobody is on call, '
                          "everybody who takes turns is paged", "add fallback: [person:NAME]", "", Severity.WARNING)


def _policies_of(route: Route) -> Iterator[str]:
    yield route.policy
    for child in route.routes:
        yield from _policies_of(child)


GRAMMAR = Grammar(FORMS, (), (check, channels.check))
