"""What a catalog can hold of remediation, and what is checked across rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mainstay.kernel.actuation import Metric
from mainstay.kernel.catalog import Catalog, Form, Grammar, Reference, Resource
from mainstay.kernel.finding import Finding, Severity, did_you_mean
from mainstay.kernel.objective import DataSource, Objective
from mainstay.kernel.workload import Workload
from mainstay.runbook.remedy import ActCheck, BudgetCheck, HostCheck, OnBudget, Remediation
from mainstay.runbook.remedy_forms import FORM, read_remediation
from mainstay.runbook.spec import Runbook


def links(resource: Resource) -> Iterator[Reference]:
    """The runbook, objectives, sources and workloads that a rule names."""
    if not isinstance(resource, Remediation):
        return
    yield Reference(Runbook, resource.runbook, resource.origin)
    if isinstance(resource.when, OnBudget):
        yield Reference(Objective, resource.when.objective, resource.origin)
    for check in (*resource.condition.checks, *resource.verify.checks):
        match check:
            case ActCheck(Metric(source=source)) if source:
                yield Reference(DataSource, source, resource.origin)
            case BudgetCheck(objective):
                yield Reference(Objective, objective, resource.origin)
            case HostCheck(workload=workload) if workload:
                yield Reference(Workload, workload, resource.origin)


def inputs_fit(catalog: Catalog) -> Iterable[Finding]:
    """A rule gives its runbook the inputs that it has, and all that it must have."""
    for rule in catalog.of(Remediation):
        book = catalog.find(Runbook, rule.runbook)
        if book is None:
            continue
        known = {one.name: one for one in book.inputs}
        for name in rule.inputs:
            if name not in known:
                yield Finding("undeclared-input", rule.origin,
                              f'{rule.name} gives {book.name} the input "{name}", which it has not'
                              f"{did_you_mean(name, known)}", "its inputs: " + (", ".join(known) or "none"))
        for name, one in known.items():
            if one.required and one.default is None and name not in rule.inputs:
                yield Finding("missing-input", rule.origin, f"{rule.name} runs {book.name} without its input {name}",
                              f"add inputs: {{{name}: ${{labels.{name}}}}}")


def verified(catalog: Catalog) -> Iterable[Finding]:
    """A rule that acts should know whether it helped."""
    for rule in catalog.of(Remediation):
        # What is held against its own condition shows at the next look whether it helped.
        if not rule.verify.checks and not (rule.ends and rule.verify.over) and not rule.held:
            yield Finding("unverified", rule.origin, f"{rule.name} never knows whether it helped: its trigger has no "
                          "end, and nothing is checked", "add verify: checks:", "", Severity.WARNING)


GRAMMAR = Grammar((Form(FORM, read_remediation, "mainstay/v1", "Remediation"),), (links,), (inputs_fit, verified))
