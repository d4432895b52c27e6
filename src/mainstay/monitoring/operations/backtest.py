"""`monitoring backtest`: hold alert policies against what happened, before they wake anybody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

import numpy as np

from mainstay.kernel.catalog import Grammar, load
from mainstay.kernel.condition import parse_where
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NoData
from mainstay.kernel.finding import InvalidFiles, errors_of
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.method import Occurrences, counted, step_of
from mainstay.kernel.objective import Objective, ledger_key, resolved
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import CountRequest, FileSet, Survey, World
from mainstay.kernel.quantity import SLOT, Span, Target, format_duration, parse_duration, parse_moment, short_duration
from mainstay.kernel.series import Series, floor_slot
from mainstay.kernel.wording import many
from mainstay.monitoring.backtest import Judgement, Score, Truth, explained, judge, longest_tail
from mainstay.monitoring.backtest_view import (
    Backtested,
    BurnPoint,
    EpisodeShown,
    PageShown,
    PolicyShown,
    ScoreShown,
    Spread,
    TierShown,
    backtest_view,
)
from mainstay.monitoring.evaluation import Policy
from mainstay.monitoring.grammar import GRAMMAR
from mainstay.monitoring.policies import OWN, PRESETS, policy_of, preset, share_of_budget
from mainstay.monitoring.spec import DEFAULT, Alerting, alerting_of, tiers_for
from mainstay.monitoring.tiers import chosen, length_for_burn
from mainstay.monitoring.truth import APART, HOT, LEAST, Episode, allowed_events, bursts, incidents, measured
from mainstay.stats.compliance import Running, moments

POINTS = 180
_FINE = "30s"
_ALONE = Grammar(GRAMMAR.forms)
"""A policy's file is judged by itself: the objectives that it names stand elsewhere."""


@dataclass(frozen=True)
class BacktestRequest:
    """Which history, which policies, and what counts as trouble."""

    name: str = arg("the objective; its ledger is the history", "", positional=True)
    policy: tuple[str, ...] = arg(
        f"policies to compare: {OWN} (the objective's alerting), the name of an alerting, or a preset: "
        + ", ".join(PRESETS) + "; all presets beside its own when left out", (), short="p")
    policy_file: tuple[str, ...] = arg("files of kind Alerting to compare as well", (), local_only=True)
    since: str = arg("the history from this moment", "", flag="from")
    until: str = arg("the history up to this moment", "", flag="to")
    step: str = arg("ask the objective's source anew, in slots of this length such as 30s, instead of the ledger", "")
    files: tuple[str, ...] = arg("take the history from these logs, spans or tables instead of an objective", (),
                                 local_only=True)
    target: str = arg("of the files, in percent", "99.9", short="t", local_only=True)
    window: str = arg("of the files: the window of the budget", "30d", short="w", local_only=True)
    bad: tuple[str, ...] = arg("of the files: an event is bad when all of these hold", ("status>=500",),
                               local_only=True)
    where: tuple[str, ...] = arg("of the files: count only events for which all of these hold", (), local_only=True)
    format: str = arg("of the files, when it is not recognised", "auto", local_only=True)
    truth: str = arg("what should have been told: incidents (of the journal), or threshold:2 for bursts that spent at "
                     "least 2 % of the budget; incidents where any is recorded, else threshold:2", "")


@dataclass(frozen=True, slots=True)
class _History:
    """What is judged."""

    name: str
    origin: str
    series: Series
    target: Target
    window: timedelta
    objective: Objective | None


def backtest(world: World, request: BacktestRequest) -> Backtested:
    """Try alert policies on history: what they would have told, missed and cried wolf about.

    For each tier and each policy: precision, recall, time to detect, time to reset, budget spent when it told, and how
    many pages there would have been. The history is the objective's ledger, its source asked anew in finer slots, or
    files of events.
    """
    if bool(request.name) == bool(request.files):
        raise InvalidInput("name one objective, or files of events",
                           "mainstay monitoring backtest NAME, or --files access.log --target 99.9")
    history = _of_files(world, request) if request.files else _of_objective(world, request)
    series = history.series
    if series.total_sum <= 0:
        raise NoData(f'"{history.name}" has no history in this stretch', _way_out(request))
    policies = _policies(world, request, history)
    allowed = allowed_events(series, history.target.budget, history.window)
    kind, rule, episodes = _truth(world, request, history, allowed)
    world.progress(f"judging {len(policies)} policies over {many(len(series), 'slot')}")
    truth = Truth.of(series, episodes, allowed)
    judgements = judge(series, policies, truth)
    return Backtested(
        name=history.name, origin=history.origin, target=float(history.target.ratio),
        window_seconds=history.window.total_seconds(), start=series.span.start, end=series.span.end,
        step_seconds=series.step, measured_share=min(1.0, measured(series) / series.span.length),
        events=series.total_sum, bad=series.bad_sum, truth_kind=kind, truth_rule=rule,
        episodes=tuple(_episode(one, judgements) for one in episodes),
        policies=tuple(_policy(one, history.target.budget) for one in judgements),
        unexplained_pages=_unexplained(judgements[0], truth),
        burn_over_time=_burn(series, history.target), notes=tuple(_notes(history, policies)))


def _way_out(request: BacktestRequest) -> str:
    if request.files:
        return "check --where, --from, --to and the files"
    if request.step:
        return "the source has nothing there; --from and --to choose another stretch"
    return (f"mainstay slo report {request.name} fills the ledger; --step {_FINE} asks the source itself; "
            "--from and --to choose another stretch")


# -- history ------------------------------------------------------------------------------------------------------


def _of_files(world: World, request: BacktestRequest) -> _History:
    window = parse_duration(request.window)
    if window < timedelta(hours=1):
        raise InvalidInput(f"a budget over {request.window} leaves no time to warn in", "write a window such as 30d")
    survey = Survey(FileSet(request.files, request.format, where=tuple(parse_where(one) for one in request.where)),
                    tuple(parse_where(one) for one in request.bad), step=_step(request.step or _FINE))
    found = world.survey(survey)
    name = request.files[0] if len(request.files) == 1 else many(len(request.files), "file")
    origin = f"{found.format} · {many(found.lines, 'line')}: {found.parsed:,} read, {found.rejected:,} rejected"
    span = _span(request, found.series.span) if len(found.series) else None
    series = found.series if span is None else _cut(found.series, span)
    return _History(name, origin, series, Target.percent(request.target), window, None)


def _step(text: str) -> int:
    seconds = parse_duration(text).total_seconds()
    if seconds != int(seconds) or seconds < 1 or SLOT % int(seconds):
        raise InvalidInput(f"slots of {text} do not add up to five minutes", "write 10s, 15s, 30s, 1m or 5m")
    return int(seconds)


def _of_objective(world: World, request: BacktestRequest) -> _History:
    if wrong := errors_of(world.findings):
        raise InvalidFiles(wrong)
    objective = world.catalog.get(Objective, request.name)
    length = length_for_burn(objective.window)
    if request.step:
        series, origin = _asked(world, request, objective, length)
    else:
        indicator = resolved(objective, world.catalog)
        key = ledger_key(indicator, objective.method)
        extent = world.ledger.extent([key]).get(key)
        if extent is None:
            raise NoData(f'the ledger knows nothing of "{objective.name}"', _way_out(request))
        span = _span(request, extent)
        series = _cut(world.ledger.read([key], span)[key], span)
        origin = "the ledger, slots of five minutes"
    return _History(objective.name, origin, series, objective.target, length, objective)


def _asked(world: World, request: BacktestRequest, objective: Objective, length: timedelta) -> tuple[Series, str]:
    """The history as the source tells it now, in slots as fine as asked for and as the method allows."""
    indicator = resolved(objective, world.catalog)
    if indicator.derived is not None:
        raise InvalidInput(f'"{objective.name}" judges slices of time by what arrived in them, which only the ledger '
                           "holds", "leave out --step")
    if not indicator.source:
        raise InvalidInput(f'no source says where "{objective.name}" is counted', "name one in its indicator")
    step = min(_step(request.step), step_of(objective.method))
    now = datetime.fromtimestamp(floor_slot(world.clock.now()), UTC)
    span = _span(request, Span(now - length, now))
    world.progress(f"asking {indicator.source} for slots of {step} s")
    reading = world.source(indicator.source).count(
        [CountRequest(indicator.total, span, indicator.bad, indicator.good, step)])[0]
    exact = isinstance(objective.method, Occurrences)
    series = reading.series if exact else counted(reading.series, objective.method)
    return _known_part(series), f"{indicator.source}, slots of {short_duration(timedelta(seconds=series.step))}"


def _known_part(series: Series) -> Series:
    """Without what lies before the first and behind the last measured slot."""
    known = np.flatnonzero(series.known)
    if not len(known):
        return series.cut(series.start, series.start)
    return series.cut(series.start + int(known[0]) * series.step, series.start + (int(known[-1]) + 1) * series.step)


def _span(request: BacktestRequest, known: Span) -> Span:
    start = parse_moment(request.since) if request.since else known.start
    end = parse_moment(request.until) if request.until else known.end
    if start >= end:
        raise InvalidInput(f"the history would end ({end:%Y-%m-%d %H:%M}) before it begins ({start:%Y-%m-%d %H:%M})",
                           "write --from before --to")
    return Span(start, end)


def _cut(series: Series, span: Span) -> Series:
    step = series.step
    first, last = floor_slot(span.start, step), -(-int(span.end.timestamp()) // step) * step
    return _known_part(series.cut(max(first, series.start), min(last, series.end)))


# -- policies and truth -------------------------------------------------------------------------------------------


def _policies(world: World, request: BacktestRequest, history: _History) -> list[Policy]:
    target, window = history.target, history.window
    names = request.policy or ((OWN,) if request.policy_file else (OWN, *PRESETS))
    found = [_named(world, name, history) for name in names]
    for path in request.policy_file:
        catalog, findings = load([path], _ALONE)
        if wrong := errors_of(findings):
            raise InvalidFiles(wrong)
        declared = catalog.of(Alerting)
        if not declared:
            raise InvalidInput(f"{path} declares no Alerting", "mainstay monitoring design prints one")
        found += [policy_of(one, one.tiers or chosen(window, target), target, window) for one in declared]
    twice = {one.name for one in found if sum(other.name == one.name for other in found) > 1}
    if twice:
        raise InvalidInput(f"two policies are called {', '.join(sorted(twice))}", "give each a name of its own")
    return found


def _named(world: World, name: str, history: _History) -> Policy:
    target, window, objective = history.target, history.window, history.objective
    if name == OWN:
        alerting = alerting_of(objective, world.catalog) if objective is not None else DEFAULT
        tiers = tiers_for(alerting, objective) if objective is not None else chosen(window, target)
        return policy_of(alerting, tiers, target, window)
    declared = world.catalog.find(Alerting, name)
    if declared is not None:
        return policy_of(declared, declared.tiers or chosen(window, target), target, window)
    return preset(name, target, window)


def _truth(world: World, request: BacktestRequest, history: _History, allowed: float,
           ) -> tuple[str, str, tuple[Episode, ...]]:
    """What kind of truth, in words, and its episodes."""
    told = request.truth.strip()
    kind, _, share = told.partition(":")
    if kind not in ("", "incidents", "threshold") or (share and kind != "threshold"):
        raise InvalidInput(f'"{told}" is not a truth', "write incidents, or threshold:2 for 2 % of the budget")
    if kind in ("", "incidents"):
        if kind and history.objective is None:
            raise InvalidInput("incidents are recorded for objectives, not for files", "write --truth threshold:2")
        if history.objective is not None:
            facts = world.journal.facts(FactQuery(kinds=("incident.",)))
            found = incidents(facts, history.objective, history.series, allowed)
            if found or kind:
                words = many(len(found), "incident") if found else "no incident"
                return "incidents", f"{words} of the journal", found
    least = _least(share) if share else LEAST
    found = bursts(history.series, history.target.budget, allowed, least)
    rule = (f"{many(len(found), 'burst') if found else 'no burst'} that spent at least {float(least * 100):g} % of the "
            f"budget: slots of five minutes above {HOT}× the allowed rate, at most {format_duration(APART)} apart")
    return "bursts", rule, found


def _least(text: str) -> Decimal:
    try:
        share = Decimal(text.strip().removesuffix("%")) / 100
    except InvalidOperation:
        share = Decimal(0)
    if not 0 < share <= 10:
        raise InvalidInput(f'"{text}" is not a share of the budget', "write a percentage above 0, such as threshold:2")
    return share


def _notes(history: _History, policies: Sequence[Policy]) -> Iterator[str]:
    series = history.series
    shortest = min((rule.short or rule.long for policy in policies for rule in policy.rules), default=timedelta(0))
    if shortest < timedelta(seconds=series.step):
        yield f"windows shorter than the history's slots of {series.step} s are judged over whole slots"
    if series.step > policies[0].interval.total_seconds():
        way = f"; --step {_FINE} asks the source in finer ones" if history.objective is not None else ""
        yield f"evaluated once a slot of {format_duration(series.step)}, so times are that coarse{way}"
    length = series.span.length
    longest = max((rule.long for policy in policies for rule in policy.rules), default=timedelta(0))
    if length < longest:
        yield f"the longest window, {format_duration(longest)}, is longer than the history and saw only a part"


# -- results ------------------------------------------------------------------------------------------------------


def _policy(one: Judgement, budget: Decimal) -> PolicyShown:
    tiers = tuple(TierShown(rule.tier, rule.severity, short_duration(rule.long),
                            short_duration(rule.short) if rule.short else "", float(share_of_budget(rule, budget)),
                            float(rule.threshold), rule.hold.total_seconds(), rule.faults, _score(score))
                  for rule, score in one.tiers)
    return PolicyShown(one.policy.name, one.policy.title, _score(one.pages), _score(one.tickets), tiers)


def _score(score: Score) -> ScoreShown:
    return ScoreShown(score.alerts, score.per_month, score.right, score.precision, score.found, score.recall,
                      *(None if two is None else Spread(*two) for two in (score.detection, score.reset, score.spent)))


def _episode(one: Episode, judgements: Sequence[Judgement]) -> EpisodeShown:
    start, end = int(one.start.timestamp()), int(one.end.timestamp())
    told: dict[str, float | None] = {}
    for each in judgements:
        fired = each.paged
        first = int(np.searchsorted(fired.ended, start, side="right"))
        within = first < len(fired) and int(fired.began[first]) < end + longest_tail(each.policy)
        told[each.policy.name] = max(0.0, float(fired.began[first]) - start) if within else None
    return EpisodeShown(one.start, one.end, one.name, one.spent, told)


def _unexplained(one: Judgement, truth: Truth) -> tuple[PageShown, ...]:
    """The pages that no episode stands behind, with what was lost from an hour before until they ended."""
    fired = one.paged
    wrong = np.flatnonzero(~explained(fired, longest_tail(one.policy), truth))
    lost, _ = truth.bad.between(fired.began[wrong] - 3600, fired.ended[wrong])
    return tuple(PageShown(datetime.fromtimestamp(int(fired.began[i]), UTC),
                           datetime.fromtimestamp(int(fired.ended[i]), UTC), bad,
                           bad / truth.allowed if truth.allowed else 0.0)
                 for i, bad in zip(wrong, lost.tolist(), strict=True))


def _burn(series: Series, target: Target) -> tuple[BurnPoint, ...]:
    """The burn over an hour: of each part of the history the highest, so that no spike is lost between points."""
    every = max(series.step, SLOT)
    at = moments(Span(series.span.start + timedelta(seconds=every), series.span.end), timedelta(seconds=every))
    if not len(at):
        return ()
    bad, total = Running.of(series).between(at - 3600, at)
    burn = np.where(total > 0, bad / np.maximum(total, 1e-300) / float(target.budget), np.nan)
    out = []
    for part in np.array_split(np.arange(len(at)), min(POINTS, len(at))):
        known = burn[part][~np.isnan(burn[part])]
        out.append(BurnPoint(datetime.fromtimestamp(int(at[part[-1]]), UTC),
                             float(known.max()) if len(known) else None))
    return tuple(out)


BACKTEST = Operation(
    "monitoring", "backtest", BacktestRequest, backtest, backtest_view,
    exit_codes=((0, "done"), (2, "the input cannot be used"), (3, "there is no history")),
    examples=("mainstay monitoring backtest checkout-availability",
              "mainstay monitoring backtest checkout-availability --policy own --policy sloth --step 30s",
              "mainstay monitoring backtest checkout-availability --policy-file alerting.yaml --truth incidents",
              "mainstay monitoring backtest --files access.log.gz --target 99.9 --truth threshold:5 --json"),
    catalog="any")
