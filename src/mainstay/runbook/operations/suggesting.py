"""`mainstay runbook suggest`: a runbook drafted from what people did in an incident."""

from __future__ import annotations

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NotFound
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Code, View
from mainstay.runbook.drafting import draft, story
from mainstay.runbook.spec import Runbook


@dataclass(frozen=True)
class SuggestRequest:
    """Which incident."""

    incident: str = arg("the incident, such as INC-12", positional=True)


@dataclass(frozen=True, slots=True)
class Suggested:
    """A draft.

    Args:
        alerts: of the incident; known: runbooks that are declared for one of them.
        steps: how many were found in what people noted.
    """

    incident: str
    yaml: str
    alerts: tuple[str, ...]
    known: tuple[str, ...]
    steps: int
    manual_minutes: float | None


def suggest(world: World, request: SuggestRequest) -> Suggested:
    """Draft a runbook from an incident: its alerts, and the commands that people noted."""
    facts = list(world.journal.facts(FactQuery(kinds=("incident.",), subject=request.incident)))
    if not facts:
        raise NotFound(f'no incident is named "{request.incident}"', "mainstay incident list --last 30d")
    names = dict.fromkeys(str(alert) for fact in facts if fact.kind in ("incident.opened", "incident.joined")
                          for alert in fact.data.get("alerts") or ())
    alerts = [fact for name in names for fact in world.journal.facts(FactQuery(kinds=("alert.opened",), subject=name))]
    told = story(request.incident, facts, alerts)
    known = tuple(book.name for book in world.catalog.of(Runbook)
                  if {one.alert for one in book.triggers} & set(told.alerts))
    return Suggested(request.incident, draft(told), tuple(told.alerts), known, len(told.did), told.minutes)


def suggest_view(found: Suggested) -> View:
    """The draft alone, so that it can be written to a file."""
    known = f"# Runbooks for its alerts: {', '.join(found.known)}\n" if found.known else ""
    return View("Draft", (Code(known + found.yaml, "yaml"),))


SUGGEST = Operation(
    "runbook", "suggest", SuggestRequest, suggest, suggest_view,
    exit_codes=((0, "drafted"), (2, "there is no such incident")),
    examples=("mainstay runbook suggest INC-12 > mainstay/runbooks/restart-checkout.yaml",))
