"""`toil report` and `toil trend`: how much of the work is toil, where it sits, where it is heading."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.toil.answers import Group, Report, TrendAnswer
from mainstay.toil.candidates import Asked, candidates, grouped
from mainstay.toil.entry import Rejected, parse_day
from mainstay.toil.operations.book import Found, Question, about, work_of
from mainstay.toil.privacy import shown
from mainstay.toil.share import DIMENSIONS, Dimension, summary
from mainstay.toil.trend import scaling_of, trend_of, weekly
from mainstay.toil.view import report_view, trend_view

_DEFAULT_BY: tuple[Dimension, ...] = ("type", "team", "category", "week")


@dataclass(frozen=True)
class ReportRequest:
    """Which work, and what to sort it by."""

    days: int = arg("of the last so many days, today included", 30)
    by: tuple[str, ...] = arg("what to sort the work by; type, team, category and week", (), choices=DIMENSIONS)
    team: str = arg("the work of one team", "", value="NAME")
    engineer: str = arg("the work of one person: your own, unless you may see everybody's", "", value="NAME")
    everyone: bool = arg("name single people; leads may, and tokens with the scope approve", False)
    logs: str = arg("a work log of JSON lines instead of the ledger", "", value="FILE", local_only=True)


def report(world: World, request: ReportRequest) -> Report:
    """Say how much of the work is toil, against the line, and where it sits."""
    question = Question(request.days, request.logs, request.team, request.engineer, request.everyone)
    found = work_of(world, question, saved_is_enough=True)
    rules = found.policy.rules
    chosen = [one for one in DIMENSIONS if one in request.by] or \
        [*_DEFAULT_BY, *(("engineer",) if request.everyone else ())]
    groups = tuple(Group(by, tuple(shown(found.tally, by, rules, found.who))) for by in chosen)
    best = candidates(found.tally, grouped(found.tally, found.task_of),
                      Asked(3, efforts=found.policy.efforts, hourly_cost=rules.hourly_cost))
    return Report(found.origin, about(question), summary(found.tally, rules), groups,
                  trend_of(weekly(found.tally), 7), tuple(best), found.saved)


REPORT = Operation(
    "toil", "report", ReportRequest, report, report_view, numbers=False,
    exit_code=lambda found: int(found.summary.state == "violated"),
    exit_codes=((0, "toil is below the line"), (1, "toil is at the line or above"), (2, "the input cannot be used"),
                (3, "no work is logged in these days")),
    examples=("mainstay toil report", "mainstay toil report --days 90 --team platform --by week --by category",
              "mainstay toil report --by engineer --everyone",
              "mainstay toil report --logs work.jsonl --days 365 --json"))


# -- trend ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrendRequest:
    """Which work, and what to look ahead to."""

    days: int = arg("of the last so many days, in whole weeks", 365)
    team: str = arg("the work of one team", "", value="NAME")
    engineer: str = arg("the work of one person: your own, unless you may see everybody's", "", value="NAME")
    everyone: bool = arg("look at any person; leads may, and tokens with the scope approve", False)
    services: tuple[str, ...] = arg("how many services there were from a day on: 2026-01-01=40; the toil policy's", (),
                                    value="DAY=COUNT")
    at_services: float | None = arg("say how much toil that many services would bring", None, value="COUNT")
    seed: int = arg("of the shuffles that test a change of level", 1)
    logs: str = arg("a work log of JSON lines instead of the ledger", "", value="FILE", local_only=True)


def trend(world: World, request: TrendRequest) -> TrendAnswer:
    """Say where toil is heading, when its level changed, and whether it grows with the services."""
    question = Question(request.days, request.logs, request.team, request.engineer, request.everyone)
    found = work_of(world, question)
    if request.at_services is not None and request.at_services <= 0:
        raise InvalidInput(f"{request.at_services:g} services cannot be looked at", "write a number above 0")
    periods = weekly(found.tally)
    services = _services(request, found)
    return TrendAnswer(found.origin, about(question), found.policy.line, trend_of(periods, 7, request.seed),
                       scaling_of(periods, services, request.at_services), bool(services))


def _services(request: TrendRequest, found: Found) -> Mapping[date, float]:
    out = dict(found.policy.services)
    for text in request.services:
        day, _, count = text.partition("=")
        try:
            number = float(count)
            if not 0 < number < 1e9:
                raise ValueError(count)
            out[parse_day(day.strip())] = number
        except (ValueError, Rejected):
            raise InvalidInput(f'"{text}" is not a day and a count', "write --services 2026-01-01=40") from None
    return out


TREND = Operation(
    "toil", "trend", TrendRequest, trend, trend_view, numbers=False,
    exit_codes=((0, "answered"), (2, "the input cannot be used"), (3, "no work is logged in these days")),
    examples=("mainstay toil trend", "mainstay toil trend --team platform --days 180 --json",
              "mainstay toil trend --services 2026-01-01=40 --services 2026-06-01=55 --at-services 80"))
