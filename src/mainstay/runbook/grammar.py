"""What the word runbook can read, and what is checked across runbooks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mainstay.kernel.actuation import Metric, Wait
from mainstay.kernel.catalog import Catalog, Form, Grammar, Reference, Resource
from mainstay.kernel.finding import Finding
from mainstay.kernel.objective import DataSource, Objective
from mainstay.runbook.forms import FORM, read_runbook
from mainstay.runbook.older_form import FORM as OLDER
from mainstay.runbook.older_form import read_incident_runbook
from mainstay.runbook.remedy_grammar import GRAMMAR as REMEDIATION
from mainstay.runbook.spec import Runbook


def links(resource: Resource) -> Iterator[Reference]:
    """The sources, objectives and runbooks that a runbook names."""
    if not isinstance(resource, Runbook):
        return
    for step in resource.steps:
        for act in (step.act, step.verify):
            metric = act.metric if isinstance(act, Wait) else act if isinstance(act, Metric) else None
            if metric is not None and metric.source:
                yield Reference(DataSource, metric.source, step.where)
            if isinstance(act, Wait) and act.objective:
                yield Reference(Objective, act.objective, step.where)
    for trigger in resource.triggers:
        if trigger.runbook:
            yield Reference(Runbook, trigger.runbook, trigger.where)


def rings(catalog: Catalog) -> Iterable[Finding]:
    """Runbooks that start each other without end."""
    starts = {book.name: tuple(trigger.runbook for trigger in book.triggers if trigger.runbook)
              for book in catalog.of(Runbook)}
    for book in catalog.of(Runbook):
        for trigger in book.triggers:
            if trigger.runbook and (way := _way(starts, trigger.runbook, book.name)) is not None:
                yield Finding("trigger-ring", trigger.where, " starts when ".join(
                    [book.name, *(f"{one} ends, which" for one in way[:-1]), f"{way[-1]} ends"]),
                    "take one of the triggers away")


def _way(starts: Mapping[str, tuple[str, ...]], at: str, to: str) -> list[str] | None:
    """The runbooks from one to another along their triggers, or None."""
    waiting, seen = [[at]], {at}
    while waiting:
        way = waiting.pop(0)
        if way[-1] == to:
            return way
        for other in starts.get(way[-1], ()):
            if other not in seen:
                seen.add(other)
                waiting.append([*way, other])
    return None


GRAMMAR = Grammar((Form(FORM, read_runbook, "mainstay/v1", "Runbook"),
                   Form(OLDER, read_incident_runbook, "runbook/v1", "IncidentRunbook")), (links,), (rings,)) \
    + REMEDIATION
