"""All that the word reads, how its resources refer to each other, and what is checked across them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_FLOOR, Decimal

from mainstay.kernel.catalog import Catalog, Grammar
from mainstay.kernel.errors import NotFound
from mainstay.kernel.finding import Finding, Position, Severity, did_you_mean
from mainstay.kernel.objective import DataSource, Indicator, Objective, resolved
from mainstay.kernel.ports import EventQuery, GaugeQuery
from mainstay.kernel.quantity import Target, plain
from mainstay.slo import native, older_forms, openslo
from mainstay.slo.openslo_alerts import check_references
from mainstay.slo.policy import PRESETS
from mainstay.slo.spec import ErrorBudgetPolicy, links
from mainstay.stats.budget import dependency_ceiling


def promises(objective: Objective, catalog: Catalog) -> list[tuple[str, Target]]:
    """What each dependency promises: as written, or the strictest objective the catalog has for that service."""
    out = []
    for dependency in objective.dependencies:
        promise = dependency.promise
        if promise is None:
            own = [one.target for one in catalog.of(Objective) if one.service == dependency.service]
            promise = min(own, key=lambda target: target.ratio) if own else None
        if promise is not None:
            out.append((dependency.service, promise))
    return out


def _check(catalog: Catalog) -> Iterator[Finding]:
    policies = {policy.name for policy in catalog.of(ErrorBudgetPolicy)} | set(PRESETS)
    for objective in catalog.of(Objective):
        yield from _check_target(objective)
        yield from _check_dependencies(objective, catalog)
        if objective.policy and objective.policy not in policies | catalog.doubtful:
            yield Finding("unknown-reference", objective.origin,
                          f'no policy is named "{objective.policy}"{did_you_mean(objective.policy, policies)}',
                          "declare it, or write one of: " + ", ".join(sorted(policies)))
        try:
            indicator = resolved(objective, catalog)
        except NotFound:
            continue  # reported as a dangling reference
        yield from _check_indicator(objective, indicator, catalog)
    for source in catalog.of(DataSource):
        if source.details is None and source.type not in ("prometheus", "events"):
            yield Finding("source-not-asked", source.origin, f'data source type "{source.type}" cannot be asked; '
                          "its objectives will have no data", "use type Prometheus or events", "", Severity.WARNING)


def _check_target(objective: Objective) -> Iterator[Finding]:
    for one in objective.windows:
        if one.target.budget == 0:
            yield Finding("no-budget", objective.origin, f'"{objective.name}" promises 100 %, which leaves no error '
                          "budget: the first failure breaks it for a whole window",
                          "promise what users notice, such as 99.9")


def _check_dependencies(objective: Objective, catalog: Catalog) -> Iterator[Finding]:
    known = promises(objective, catalog)
    if not known:
        return
    ceiling = dependency_ceiling(promise for _, promise in known)
    if objective.target.ratio > ceiling:
        product = " × ".join(f"{plain(promise.ratio * 100)} %" for _, promise in known)
        yield Finding("above-dependencies", objective.origin,
                      f'"{objective.name}" promises {objective.target}, more than what it depends on allows: '
                      f"{product} = {_percent(ceiling)}",
                      f"promise at most {_percent(ceiling)}, or make a dependency optional", "", Severity.WARNING)


def _percent(ratio: Decimal) -> str:
    # Rounded down, so that what is recommended can be kept.
    return f"{plain((ratio * 100).quantize(Decimal('0.0001'), ROUND_FLOOR))} %"


def _check_indicator(objective: Objective, indicator: Indicator, catalog: Catalog) -> Iterator[Finding]:
    if isinstance(indicator.total, GaugeQuery) and not (indicator.total.operator or indicator.total.share):
        yield Finding("missing-field", objective.origin, f'"{objective.name}" uses the threshold metric '
                      f'"{indicator.name}" and does not say op and value', "add op: lte and value: … to its objective")
    source = catalog.find(DataSource, indicator.source)
    if source is None:
        if not indicator.source and not catalog.doubtful:
            yield Finding("no-source", objective.origin, f'nothing says where "{objective.name}" is counted; there '
                          "will be no data", "name a DataSource", "", Severity.WARNING)
        return
    wanted = "events" if isinstance(indicator.total, EventQuery) else "prometheus"
    if source.details is not None and source.type != wanted:
        where: Position = indicator.origin
        speaks = "conditions on events" if wanted == "events" else "PromQL"
        yield Finding("wrong-source", where, f'"{indicator.name}" is written as {speaks}, but its source '
                      f'"{source.name}" is of type {source.type}', f"name a source of type {wanted}")


GRAMMAR = Grammar(openslo.FORMS + native.FORMS + older_forms.FORMS, (links,), (_check, check_references))
"""The word's part of what the catalog can hold."""
