"""`slo suggest`, `slo attribute`, `slo journey`, `slo downtime`, `slo review`, `slo reviewed`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from mainstay.kernel.condition import parse_where
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NoData
from mainstay.kernel.journal import Batch, Fact, FactQuery, NewFact
from mainstay.kernel.objective import Objective
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import FileSet, GaugeQuery, Survey, World
from mainstay.kernel.quantity import Period, Span, Target, format_duration, format_share, parse_duration
from mainstay.kernel.series import Series
from mainstay.kernel.view import Block, Cell, Column, Next, Pairs, Table, Text, View, cells, table
from mainstay.kernel.wording import count, many, percent
from mainstay.slo import attribution, suggestion
from mainstay.slo.grammar import promises
from mainstay.slo.journeys import JourneyReading, reading_of
from mainstay.slo.maintenance import outside
from mainstay.slo.operations.measuring import Measured, history, measure, request_for
from mainstay.slo.operations.standings import choose, judge
from mainstay.slo.spec import Journey
from mainstay.stats.budget import acceptable_downtime

# -- suggest ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SuggestRequest:
    """Whose history, or which files."""

    name: str = arg("the objective whose history to look at", "", positional=True)
    files: tuple[str, ...] = arg("look at these logs instead", (), local_only=True, flag="from", value="FILE")
    bad: tuple[str, ...] = arg("with --from: an event is bad when all of these hold", ("status>=500",),
                               value="CONDITION")
    window: str = arg("the window a target is to hold in", "30d", value="WINDOW")
    wanted: str = arg("a target you have in mind, to be tried too", "", value="PERCENT")
    days: int = arg("how many days of history to look at", 90)


@dataclass(frozen=True, slots=True)
class Tried:
    """One candidate: the shares of past windows that kept it, and kept it with a fifth of the budget to spare."""

    target: float
    kept: float
    kept_with_margin: float
    failures_allowed: float


@dataclass(frozen=True, slots=True)
class Suggested:
    """The target that the history supports; ratios 0..1. None when it supports none."""

    of: str
    recommended: float | None
    candidates: tuple[Tried, ...]
    windows: int
    best: float | None
    worst: float | None
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


def suggest(world: World, request: SuggestRequest) -> Suggested:
    """Propose a target from history, with the reasons and what speaks against it."""
    length = parse_duration(request.window)
    wanted = Target.percent(request.wanted) if request.wanted else None
    if bool(request.name) == bool(request.files):
        raise InvalidInput("say whose history to look at: an objective's, or --from files", "mainstay slo suggest NAME")
    series, dependencies = _history_of(world, request)
    found = suggestion.suggest(series, length, dependencies=dependencies, wanted=wanted)
    return Suggested(
        request.name or ", ".join(request.files), float(found.recommended.ratio) if found.recommended else None,
        tuple(Tried(float(one.target.ratio), one.kept, one.kept_with_margin, one.failures_allowed)
              for one in found.candidates), found.windows, found.best, found.worst, found.reasons, found.warnings)


def _history_of(world: World, request: SuggestRequest) -> tuple[Series, list[Target]]:
    if request.files:
        bad = tuple(parse_where(text) for text in request.bad)
        return world.survey(Survey(FileSet(request.files), bad)).series, []
    objective = choose(world, (request.name,))[0]
    now = world.clock.now()
    measured = measure(world, [objective], now)[0]
    series = history(world, measured, Span(now - timedelta(days=request.days), now))
    return series, [promise for _, promise in promises(objective, world.catalog)]


def suggested_view(found: Suggested) -> View:
    """The recommended target, why, and every candidate's record."""
    head = Text(f"{found.of}: promise {found.recommended * 100:g} %", "good") if found.recommended is not None else \
        Text(f"{found.of}: the history supports no target yet", "warn")
    rows = [(Cell(f"{one.target * 100:g} %", "strong" if one.target == found.recommended else "plain"),
             percent(one.kept * 100, 0), percent(one.kept_with_margin * 100, 0), count(round(one.failures_allowed)))
            for one in found.candidates]
    return View("Target suggestion", (
        head, *(Text(reason) for reason in found.reasons), *(Text(warning, "warn") for warning in found.warnings),
        table(f"Tried on {many(found.windows, 'past window')}",
              ("target>", "kept in>", "with room in>", "failures allowed>"), rows),
        Next(("mainstay slo downtime", "mainstay check"))))


SUGGEST = Operation(
    "slo", "suggest", SuggestRequest, suggest, suggested_view, catalog="any",
    exit_code=lambda found: 0 if found.windows else 3,
    exit_codes=((0, "suggested"), (2, "the input cannot be used"), (3, "nothing was measured")),
    examples=("mainstay slo suggest checkout-availability", "mainstay slo suggest --from access.log.gz --window 7d"))


# -- attribute ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AttributeRequest:
    """Whose loss, and how to divide it."""

    name: str = arg("the objective", positional=True)
    by: tuple[str, ...] = arg("divide by these fields or labels of the events", (), value="FIELD")
    last: str = arg("look at this stretch instead of the objective's window, such as 7d", "", value="DURATION")
    top: int = arg("how many groups to name", 10)
    offline: bool = arg("answer from the ledger, without asking the sources", False)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the loss: bad events, their share of all that was lost (0..1), and of the window's budget."""

    what: str
    kind: str
    bad: float
    share: float
    budget_percent: float


@dataclass(frozen=True, slots=True)
class Attributed:
    """What was lost, by cause and by label; the parts of each add up to all of it."""

    name: str
    start: datetime
    end: datetime
    lost: float
    consumption_percent: float | None
    by_cause: tuple[Share, ...]
    by_label: tuple[Share, ...]
    labels: tuple[str, ...]
    warnings: tuple[str, ...]


CAUSES = ("incident.", "deployment.", "experiment.", "flag.")
"""Kinds of facts that may explain a loss."""


def attribute(world: World, request: AttributeRequest) -> Attributed:
    """Say who spent the budget: by recorded cause, and by endpoint, status or label.

    Causes are incidents, deployments, experiments and flag flips in the journal; what they leave over is background or
    unexplained, and the parts add up to all that was lost.
    """
    objective = choose(world, (request.name,))[0]
    judged = judge(world, [objective], refresh=not request.offline)[0]
    main = judged.standing.windows[0]
    span = Span(main.end - parse_duration(request.last), main.end) if request.last else Span(main.start, main.end)
    series = history(world, judged.measured, span)
    if series.total_sum <= 0:
        raise NoData(f'"{objective.name}" has no data in this stretch', "mainstay slo report shows what was measured")
    facts = causes(world.journal.facts(FactQuery(kinds=CAUSES)), objective, span)
    budget = series.total_sum * float(objective.target.budget)
    by_cause = attribution.by_cause(series, facts)
    by_label: tuple[Share, ...] = ()
    warnings: list[str] = []
    if request.by:
        if isinstance(judged.measured.indicator.total, GaugeQuery) or judged.measured.indicator.derived is not None:
            raise InvalidInput(f'"{objective.name}" judges samples, not events: there are no labels to divide by',
                               "leave out --by")
        found = attribution.by_label(by_cause.lost, _spenders(world, judged.measured, span, request))
        by_label = tuple(share_of(part, budget) for part in found.parts)
    return Attributed(objective.name, span.start, span.end, by_cause.lost,
                      by_cause.lost / budget * 100 if budget else None,
                      tuple(share_of(part, budget) for part in by_cause.parts), by_label, request.by, tuple(warnings))


def _spenders(world: World, measured: Measured, span: Span, request: AttributeRequest,
              ) -> Iterable[tuple[dict[str, str], float]]:
    """Labels and what they lost in the span, planned work left out as the budget leaves it out."""
    source = world.source(measured.indicator.source)
    bad: dict[tuple[tuple[str, str], ...], float] = {}
    for part in outside(span, measured.left_out):
        asked = request_for(measured.indicator, measured.objective.method, part)
        for one in source.breakdown(asked, request.by, request.top):
            key = tuple(one.labels.items())
            bad[key] = bad.get(key, 0.0) + one.bad
    most = sorted(bad.items(), key=lambda item: (-item[1], item[0]))[:request.top]
    return [(dict(labels), lost) for labels, lost in most]


def causes(facts: Iterable[Fact], objective: Objective, span: Span) -> list[attribution.Fact]:
    """The recorded facts that may explain a loss of the objective: its service's, or everybody's, within the span.

    A fact lasts from `at` to its `until`; a deployment without an end is held against for an hour.
    """
    out = []
    for fact in facts:
        services = fact.data.get("services") or ([fact.data["service"]] if fact.data.get("service") else [])
        if services and objective.service not in services and fact.subject != objective.name:
            continue
        if fact.data.get("objective", objective.name) != objective.name:
            continue  # opened by another objective's budget
        until = fact.data.get("until")
        end = datetime.fromisoformat(until) if until else fact.at + timedelta(hours=1)
        if end <= span.start or fact.at >= span.end:
            continue
        weight = float(fact.data.get("weight", 1.0))
        if weight > 0:
            kind = fact.kind.split(".")[0]
            out.append(attribution.Fact(kind, fact.subject, Span(fact.at, end), str(fact.data.get("text", "")), weight))
    return out


def share_of(part: attribution.Part, budget: float) -> Share:
    """A part of an attribution as a report shows it, beside the window's budget (bad events allowed)."""
    spent = part.bad / budget * 100 if budget else 0.0
    match part.key:
        case attribution.Fact(kind, subject, _, text):
            return Share(f"{subject}: {text}" if text else subject, kind, part.bad, part.share, spent)
        case str(word):
            return Share(word, "rest", part.bad, part.share, spent)
        case labels:
            return Share(" · ".join(str(value) for value in labels.values()), "label", part.bad, part.share, spent)


def attributed_view(found: Attributed) -> View:
    """Who spent it."""
    head = (f"{found.name}: {count(found.lost)} bad events lost, {percent(found.consumption_percent)} of the budget, "
            f"{format_duration(found.end - found.start)} up to {found.end:%-d %b %H:%M} UTC")
    blocks: list[Block] = [Text(head)]
    blocks.append(table("By cause", ("what", "kind", "bad>", "of the loss", "of the budget>"),
                        [_share_row(one) for one in found.by_cause], empty="nothing was lost"))
    if found.labels:
        blocks.append(table("By " + ", ".join(found.labels), ("what", "kind", "bad>", "of the loss", "of the budget>"),
                            [_share_row(one) for one in found.by_label], empty="nothing was lost"))
    more = () if found.labels else (f"mainstay slo attribute {found.name} --by path",)
    return View("Attribution", (*blocks, Next((*more, "mainstay record incident SERVICE --text WHAT"))))


def _share_row(one: Share) -> tuple[str | Cell, ...]:
    return (one.what, one.kind, count(round(one.bad, 1)), Cell(percent(one.share * 100), bar=one.share),
            percent(one.budget_percent))


ATTRIBUTE = Operation(
    "slo", "attribute", AttributeRequest, attribute, attributed_view,
    exit_codes=((0, "attributed"), (2, "the input cannot be used"), (3, "no data")),
    examples=("mainstay slo attribute checkout-availability",
              "mainstay slo attribute checkout-availability --by path --by status --last 7d"))


# -- journey ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JourneyRequest:
    """Which journeys."""

    names: tuple[str, ...] = arg("journeys; all when none is named", (), positional=True)
    offline: bool = arg("answer from the ledger, without asking the sources", False)


@dataclass(frozen=True, slots=True)
class Journeys:
    """Journeys, each with its steps."""

    journeys: tuple[JourneyReading, ...]


def journey(world: World, request: JourneyRequest) -> Journeys:
    """Say what users meet who take every step of a journey: promised, and measured."""
    declared = [world.catalog.get(Journey, name) for name in request.names] or list(world.catalog.of(Journey))
    if not declared:
        raise InvalidInput("the catalog declares no journey", "add a document of kind: Journey (docs/guides/slo.md)")
    needed = {step.objective for one in declared for step in one.steps if step.objective}
    objectives = [world.catalog.get(Objective, name) for name in sorted(needed)]
    judged = judge(world, objectives, refresh=not request.offline) if objectives else []
    standings = {one.objective.name: one.standing for one in judged}
    return Journeys(tuple(reading_of(one, standings) for one in declared))


def journeys_view(found: Journeys) -> View:
    """Each journey, then its steps."""
    blocks: list[Block] = []
    for one in found.journeys:
        promised = f"promised {format_share(one.promised, digits=3)}" if one.promised is not None else ""
        target = f"target {one.target * 100:g} %" if one.target is not None else ""
        given = "no data" if one.sli is None else format_share(one.sli, digits=3)
        blocks.append(Pairs(((one.name, cells(given, promised, target, f"{one.combine}, {len(one.steps)} steps")),)))
        blocks.append(table("", ("step", "objective", "promised>", "now>", "budget spent>"), [
            (step.name, step.objective or "–", "–" if step.promised is None else f"{step.promised * 100:g} %",
             "no data" if step.sli is None else format_share(step.sli, digits=3),
             percent(step.consumption_percent)) for step in one.steps]))
        blocks += [Text(warning, "warn") for warning in one.warnings]
    return View("Journeys", (*blocks, Next(("mainstay slo report",))))


JOURNEY = Operation(
    "slo", "journey", JourneyRequest, journey, journeys_view,
    exit_code=lambda found: 3 if all(one.sli is None and one.promised is None for one in found.journeys) else 0,
    exit_codes=((0, "shown"), (2, "the input cannot be used"), (3, "no step has data or a promise")),
    examples=("mainstay slo journey", "mainstay slo journey checkout --json"))


# -- downtime -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DowntimeRequest:
    """For which targets."""

    targets: tuple[str, ...] = arg("targets in percent", ("99", "99.5", "99.9", "99.95", "99.99", "99.999"),
                                   positional=True)


@dataclass(frozen=True, slots=True)
class DowntimeRow:
    """A target's acceptable downtime in seconds, per named window, from its shortest to its longest form."""

    target: float
    windows: dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class DowntimeTable:
    """Acceptable downtime per target and window."""

    targets: tuple[DowntimeRow, ...]


def downtime(world: World, request: DowntimeRequest) -> DowntimeTable:  # noqa: ARG001  (needs nothing of the world)
    """Say how long a service may be down per day, week, month, quarter and year at a target."""
    return DowntimeTable(tuple(
        DowntimeRow(float(target.ratio), {one.window: (one.least.total_seconds(), one.most.total_seconds())
                                          for one in acceptable_downtime(target)})
        for target in map(Target.percent, request.targets)))


def downtime_view(found: DowntimeTable) -> View:
    """Targets down, windows across."""
    windows = list(found.targets[0].windows) if found.targets else []
    rows = [[f"{row.target * 100:.6g} %", *(_range(*row.windows[name]) for name in windows)] for row in found.targets]
    # In a narrow terminal the quarter goes first, then the week and the day: the month and the year are asked for most.
    given = {"calendar quarter": 3, "1 week": 2, "1 day": 1}
    headings = [Column("target", True), *(Column(name, True, given.get(name.partition(",")[0], 0)) for name in windows)]
    return View("Acceptable downtime", (Table(tuple(headings), tuple(cells(*row) for row in rows)),
                                        Next(("mainstay slo suggest NAME",))))


def _range(least: float, most: float) -> str:
    low, high = format_duration(least), format_duration(most)
    return low if low == high else f"{low} – {high}"


DOWNTIME = Operation(
    "slo", "downtime", DowntimeRequest, downtime, downtime_view, catalog="unused",
    exit_codes=((0, "shown"), (2, "a target is not a percentage")),
    examples=("mainstay slo downtime", "mainstay slo downtime 99.9 99.95 --json"))


# -- reviews ------------------------------------------------------------------------------------------------------

_LENGTH = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 30, Period.QUARTER: 91, Period.YEAR: 365}


@dataclass(frozen=True)
class ReviewRequest:
    """Which reviews."""

    within: int = arg("list reviews due within this many days", 90)


@dataclass(frozen=True, slots=True)
class Due:
    """A review: when it is due, in how many days (negative: overdue), who takes part."""

    objective: str
    owner: str
    every: str
    last: date | None
    due: date
    in_days: int
    participants: tuple[str, ...]
    agenda: tuple[str, ...]
    asked_by_policy: str


@dataclass(frozen=True, slots=True)
class Reviews:
    """Reviews due, the most pressing first; and objectives that nobody planned to review."""

    today: date
    due: tuple[Due, ...]
    unplanned: tuple[str, ...]


def review(world: World, request: ReviewRequest) -> Reviews:
    """List the reviews that are due, by calendar or because a policy asked."""
    today = world.clock.now().date()
    facts = list(world.journal.facts(FactQuery(kinds=("slo.reviewed", "slo.review-due"))))
    held: dict[str, date] = {}
    asked: dict[str, Fact] = {}
    for fact in facts:
        if fact.kind == "slo.reviewed":
            held[fact.subject] = fact.at.date()
            asked.pop(fact.subject, None)
        else:
            asked[fact.subject] = fact
    due: list[Due] = []
    unplanned: list[str] = []
    for one in world.catalog.of(Objective):
        reason = asked.get(one.name)
        if one.review is None and reason is None:
            unplanned.append(one.name)
            continue
        due.append(_due(one, held.get(one.name), reason, today))
    shown = sorted((one for one in due if one.in_days <= request.within), key=lambda one: (one.due, one.objective))
    return Reviews(today, tuple(shown), tuple(sorted(unplanned)))


def _due(one: Objective, held: date | None, reason: Fact | None, today: date) -> Due:
    plan = one.review
    last = max(filter(None, (held, plan.last if plan else None)), default=None)
    by_plan = None if plan is None else today if last is None else last + timedelta(days=_LENGTH[plan.every])
    by_policy = None if reason is None else reason.at.date() + timedelta(days=7)
    when = min(day for day in (by_plan, by_policy) if day is not None)
    return Due(one.name, one.owner, str(plan.every) if plan else "when a policy asks", last, when, (when - today).days,
               plan.participants if plan else (), plan.agenda if plan else (),
               str(reason.data.get("what", "")) if reason else "")


def reviews_view(found: Reviews) -> View:
    """What is due, overdue first."""
    rows = [(Cell(one.objective, "strong"), one.owner or "–", one.every, f"{one.last or 'never'}",
             Cell(f"{one.due}", "bad" if one.in_days < 0 else "warn" if one.in_days <= 7 else "plain"),
             f"{-one.in_days} days overdue" if one.in_days < 0 else "today" if one.in_days == 0
             else f"in {one.in_days} days", one.asked_by_policy) for one in found.due]
    blocks: list[Block] = [table("", ("objective", "owner", "every", "last", "due", "", "asked by the policy"), rows,
                                 empty="no review is due")]
    if found.unplanned:
        blocks.append(Text(f"Nobody planned to review: {', '.join(found.unplanned)} "
                           "(add review: {every: quarter})", "warn"))
    return View("Reviews due", (*blocks, Next(("mainstay slo reviewed NAME --note …",))))


REVIEW = Operation(
    "slo", "review", ReviewRequest, review, reviews_view,
    exit_codes=((0, "listed"), (2, "the catalog is wrong")),
    examples=("mainstay slo review", "mainstay slo review --within 14 --json"))


@dataclass(frozen=True)
class ReviewedRequest:
    """Which objective was reviewed, and what came of it."""

    name: str = arg("the objective that was reviewed", positional=True)
    note: str = arg("what was decided", "")


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The review as recorded."""

    name: str
    at: datetime
    note: str


def reviewed(world: World, request: ReviewedRequest) -> Reviewed:
    """Record that an objective was reviewed, and what was decided."""
    objective = choose(world, (request.name,))[0]
    now = world.clock.now()
    world.journal.commit(Batch([NewFact("slo.reviewed", objective.name, now, {"note": request.note},
                                        actor=world.actor)]))
    return Reviewed(objective.name, now, request.note)


REVIEWED = Operation(
    "slo", "reviewed", ReviewedRequest, reviewed,
    lambda found: View("Reviewed", (Text(f"Recorded: {found.name} was reviewed at {found.at:%Y-%m-%d %H:%M} UTC.",
                                         "good"), Next(("mainstay slo review",)))),
    scope="write", exit_codes=((0, "recorded"), (2, "no such objective")),
    examples=("mainstay slo reviewed checkout-availability --note 'target stays, latency objective added'",))

