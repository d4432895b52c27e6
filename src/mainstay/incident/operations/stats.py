"""`mainstay incident stats`: how long incidents take, with what has not ended yet counted as what it is."""

from __future__ import annotations

from datetime import datetime

from mainstay.incident.measures import KINDS, Measure, Measures, cases_of, grouped, measures
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import format_duration, parse_duration
from mainstay.kernel.view import Cell, Column, Next, Table, Text, Tone, View, cells
from mainstay.kernel.wording import many, span_words


@dataclass(frozen=True)
class StatsRequest:
    """Which incidents, and how they are taken together."""

    last: str = arg("incidents that opened in this time", "90d")
    by: str = arg("what they have in common", "service", choices=("service", "severity"))
    service: str = arg("only incidents of this service", "")
    seed: int = arg("of the resampling behind the intervals: the same seed gives the same figures", 1)


@dataclass(frozen=True, slots=True)
class Stats:
    """The figures."""

    start: datetime
    at: datetime
    by: str
    all: Measures
    groups: tuple[Measures, ...]


def stats(world: World, request: StatsRequest) -> Stats:
    """Measure how long incidents take: to acknowledge, to resolve, and from one to the next."""
    now = world.clock.now()
    start = now - parse_duration(request.last)
    cases = [one for one in cases_of(world.journal.facts(FactQuery(kinds=KINDS, since=start)))
             if one.opened >= start and (not request.service or request.service in one.services)]
    groups = grouped(cases, "severity" if request.by == "severity" else "service")
    if request.service and request.by == "service":
        groups = {request.service: cases} if cases else {}
    return Stats(start, now, request.by, measures(cases, now, seed=request.seed),
                 tuple(measures(those, now, name, request.seed) for name, those in groups.items()))


_DIRECTIONS: dict[str, tuple[str, Tone]] = {
    "improving": ("▼ faster", "good"), "degrading": ("▲ slower", "bad"), "stable": ("stable", "plain"),
    "insufficient_data": ("too few weeks", "quiet")}


def stats_view(found: Stats) -> View:
    """All of them, then each group."""
    whole = found.all
    head = Text(span_words(found.start, found.at), "quiet")
    if not whole.count:
        return View("Incident figures", (head, Text("No incident opened in this time.", "good"),
                                         Next(("mainstay incident stats --last 365d",))))
    unanswered = whole.acknowledge.censored
    verdict = Text(f"{many(whole.count, 'incident')}; of {whole.acknowledge.count} that paged, {unanswered} "
                   f"{'was' if unanswered == 1 else 'were'} not acknowledged by anybody.",
                   "bad" if unanswered else "strong")
    rows = [_row("all", whole), *(_row(one.group, one) for one in found.groups)] \
        if len(found.groups) > 1 else [_row(one.group, one) for one in found.groups] or [_row("all", whole)]
    notes = [Text("Median, and in brackets the interval that holds it 19 times in 20. What has not ended yet counts as "
                  "at least so long, never as zero; where most have not ended there is no median yet.", "quiet")]
    if whole.acknowledged_by_machine or whole.healed:
        notes.append(Text(f"Apart from what people did: {whole.acknowledged_by_machine} acknowledged by a machine, "
                          f"{whole.healed} over when their alerts were.", "quiet"))
    return View("Incident figures", (
        head, verdict,
        Table((Column(found.by), Column("incidents", right=True), Column("to acknowledge", right=True),
               Column("not yet", right=True, gives_way=2), Column("to resolve", right=True),
               Column("open", right=True, gives_way=3), Column("between", right=True, gives_way=4),
               Column("trend", gives_way=1)), tuple(cells(*row) for row in rows)),
        *notes, Next((f"mainstay incident list --last {(found.at - found.start).days}d",))))


def _row(name: str, one: Measures) -> tuple[str | Cell, ...]:
    said, tone = _DIRECTIONS[one.direction]
    return (Cell(name, tone="strong" if name == "all" else "plain"), f"{one.count:,}", _told(one.acknowledge),
            Cell(f"{one.acknowledge.censored:,}", tone="warn" if one.acknowledge.censored else "plain"),
            _told(one.resolve), f"{one.resolve.censored:,}", _told(one.between), Cell(said, tone=tone))


def _told(one: Measure) -> str:
    if one.count == 0:
        return "–"
    if one.median is None:
        return f"not yet ({format_duration(one.low)} or more)" if one.low is not None else "not yet"
    if one.low is None:
        return format_duration(one.median)
    range_ = f"{format_duration(one.low)} – {format_duration(one.high)}" if one.high is not None \
        else f"{format_duration(one.low)} or more"
    return f"{format_duration(one.median)} ({range_})"


STATS = Operation(
    "incident", "stats", StatsRequest, stats, stats_view,
    as_json=lambda found: {"generated_at": found.at, "from": found.start, "by": found.by, "all": found.all,
                           "groups": found.groups},
    exit_codes=((0, "measured"), (2, "a flag is wrong")),
    examples=("mainstay incident stats", "mainstay incident stats --last 365d --by severity --json"))
