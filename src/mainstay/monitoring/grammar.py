"""All that the word reads, how its resources refer to each other, and what is checked across them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mainstay.kernel.catalog import Catalog, Grammar, Reference, Resource
from mainstay.kernel.errors import NotFound
from mainstay.kernel.finding import Finding, Severity
from mainstay.kernel.objective import Objective, Service, resolved
from mainstay.kernel.ports import EventQuery
from mainstay.monitoring import native
from mainstay.monitoring.alert_policies import policies_of
from mainstay.monitoring.reach import faults
from mainstay.monitoring.spec import DEFAULT, Alerting, alerting_of


def links(resource: Resource) -> Iterable[Reference]:
    """The objectives that an alerting names. A service need not be declared: an objective that names it is enough."""
    if isinstance(resource, Alerting):
        for name in resource.objectives:
            yield Reference(Objective, name, resource.origin)


def check(catalog: Catalog) -> Iterator[Finding]:
    """Two alertings about one objective, services nobody has, and alerts that could not trip or would cry wolf."""
    yield from _about_the_same(catalog)
    services = {one.service for one in catalog.of(Objective)} | {one.name for one in catalog.of(Service)}
    for alerting in catalog.of(Alerting):
        for name in alerting.services:
            if name not in services:
                yield Finding("unknown-reference", alerting.origin, f'no service is named "{name}"',
                              "write one of: " + ", ".join(sorted(services - {""})))
    for objective in catalog.of(Objective):
        policies = policies_of(objective, catalog)
        for where, message, mend in policies.troubles if policies is not None else ():
            yield Finding("alert-policy", where, message, mend, "", Severity.WARNING)
        alerting = alerting_of(objective, catalog)
        if alerting is DEFAULT:
            continue  # nobody asked for alerts; `monitoring rules` says the same when somebody does
        try:
            indicator = resolved(objective, catalog)
        except NotFound:
            continue  # reported as a dangling reference
        if isinstance(indicator.total, EventQuery):
            continue
        for fault in faults(objective, alerting, indicator):
            yield Finding(fault.code, alerting.origin, fault.message, fault.mend, "", Severity.WARNING)


def _about_the_same(catalog: Catalog) -> Iterator[Finding]:
    """Alertings of equal rank that name the same objective or service, or both name nothing: which holds?"""
    first: dict[tuple[str, str], Alerting] = {}
    for alerting in catalog.of(Alerting):
        named = [("objective", name) for name in alerting.objectives]
        named += [("service", name) for name in alerting.services]
        for what in named or [("every objective", "")]:
            if what in first:
                whom = f'{what[0]} "{what[1]}"' if what[1] else "every objective that no other names"
                yield Finding("alerting-twice", alerting.origin, f'"{alerting.name}" and "{first[what].name}" '
                              f"({first[what].origin}) both say how {whom} alerts", "keep it in one of the two")
            first.setdefault(what, alerting)


GRAMMAR = Grammar(native.FORMS, (links,), (check,))
"""The word's part of what the catalog can hold."""
