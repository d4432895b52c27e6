"""The page of remediations: what they have in hand, what they decided last, and a person's hand on one that stopped."""

from __future__ import annotations

from collections.abc import Sequence

from mainstay.doors.web.pages import Page, PageQuery
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.ports import World
from mainstay.kernel.view import Table, Timeline, Tone
from mainstay.kernel.wording import many
from mainstay.runbook.operations.remedies import RESUME, RemediesRequest, remedies
from mainstay.runbook.remedy_reading import Remedied
from mainstay.runbook.remedy_view import cases_table, decisions_timeline, rules_table


@dataclass(frozen=True, slots=True)
class RemediesPage:
    """Rules, or one of them.

    Args:
        name: of the one rule; empty for all.
        stopped: rules that do nothing until somebody resumes them.
    """

    name: str
    verdict: str
    tone: Tone
    stopped: tuple[str, ...]
    rules: Table
    cases: Table | None
    decisions: Timeline


def remedy_pages() -> tuple[Page, ...]:
    """The hand-made page."""
    return (Page("/runbook/remedies", "Remediations", "remedies.html", remedies_page, word="runbook",
                 forms={"resume": RESUME}),)


def remedies_page(world: World, query: PageQuery) -> RemediesPage:
    """What the rules have in hand and decided."""
    found = remedies(world, RemediesRequest(query.get("name")))
    stopped = tuple(one.name for one in found.remedies if one.stopped)
    verdict, tone = _verdict(found, stopped)
    return RemediesPage(query.get("name"), verdict, tone, stopped, rules_table(found),
                        cases_table(found) if found.cases else None, decisions_timeline(found))


def _verdict(found: Remedied, stopped: Sequence[str]) -> tuple[str, Tone]:
    going_on = sum(one.phase != "left" for one in found.cases)
    left = len(found.cases) - going_on
    rest = f" {many(left, 'target')} left to people or only observed." if left else ""
    if stopped:
        return f"{', '.join(stopped)} stopped after failures in a row and waits for a person.{rest}", "bad"
    if going_on:
        return f"{many(going_on, 'target')} being seen to.{rest}", "warn"
    return f"Nothing is being seen to.{rest}", "good"
