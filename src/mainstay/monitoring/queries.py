"""The questions of an objective as PromQL to paste: indicator, budget, burn, alerts, exhaustion. Pure.

The counting ones work on any Prometheus that scrapes the counters; the others read the two sums that the rules record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.objective import Objective
from mainstay.kernel.quantity import format_duration, plain, short_duration
from mainstay.monitoring.alerts import tier_name
from mainstay.monitoring.chain import BAD, SERVICE_LABEL, SLO_LABEL, TOTAL, selector
from mainstay.monitoring.dashboards.readings import Recorded, Scope, exhaustion
from mainstay.monitoring.dashboards.signals import signals_of
from mainstay.monitoring.dashboards.watched import LeftOut, Watched, watch
from mainstay.monitoring.rulefile import RecordingRule, number
from mainstay.monitoring.rules import Plan, plan
from mainstay.monitoring.spec import alerting_of
from mainstay.stats.budget import BurnAlert


@dataclass(frozen=True, slots=True)
class Question:
    """One question and the PromQL that answers it.

    Args:
        name: unique within its objective: `budget-left`.
        asks: what the value is, in a sentence with its unit.
    """

    objective: str
    name: str
    asks: str
    promql: str


def questions_of(objectives: Sequence[Objective], catalog: Catalog) -> tuple[tuple[Question, ...], tuple[LeftOut, ...]]:
    """The questions of every objective that Prometheus can answer for, and those it cannot."""
    watched, left = watch(objectives, catalog, recorded=True)
    by_name = {one.name: one for one in objectives}
    found = [question for one in watched
             for question in _questions(one, plan(by_name[one.name], alerting_of(by_name[one.name], catalog), catalog))]
    return tuple(found), left


def _questions(one: Watched, made: Plan) -> Iterator[Question]:
    labels = {SERVICE_LABEL: one.service, SLO_LABEL: one.name} if one.service else {SLO_LABEL: one.name}
    readings, scope = Recorded(), Scope(labels)
    length = short_duration(one.window)
    last = f"the last {length}" if not one.trailing else f"the last {length}, as near as PromQL comes to a calendar's"
    recorded = {rule.record: rule.expr for rule in made.rules if isinstance(rule, RecordingRule)}
    bad, total = recorded[BAD], recorded[TOTAL]

    def question(name: str, asks: str, promql: str) -> Question:
        return Question(one.name, name, asks, promql)

    yield question("bad-5m", f"Bad events of the last five minutes; 0 while nothing is bad. Recorded as {BAD}.", bad)
    yield question("total-5m", f"Events of the last five minutes. Recorded as {TOTAL}.", total)
    flows = signals_of([one]).flows
    yield question("sli-5m", "Share of good events of the last five minutes, from what is counted: as near as rate "
                   "comes, quick to read." if flows else "Share of good events of the last five minutes.",
                   f"1 - {flows[0].error_share('5m')}" if flows else f"1 - (\n{bad}\n) / ((\n{total}\n) > 0)")
    yield question("sli", f"Share of good events of {last}: Σbad / Σtotal, never a mean of ratios.",
                   f"1 - {readings.share(one.window, selector(labels))}")
    yield question("budget-spent", "Share of the error budget spent; above 1 when overspent.",
                   f"{readings.share(one.window, selector(labels))}\n/ {plain(one.target.budget)}")
    yield question("budget-left", "Share of the error budget left; negative when overspent, never cut off at 0.",
                   readings.left([one], scope))
    for window in sorted({window for alert in one.tiers for window in (alert.short, alert.tier.long)}
                         | {timedelta(hours=1)}):
        yield question(f"burn-{short_duration(window)}", f"How many times faster than allowed the budget was spent in "
                       f"the last {short_duration(window)}: a multiple, 1 lasts exactly {length}.",
                       readings.burn([one], scope, window))
    for alert in one.tiers:
        factor = number(alert.factor)
        long, short = (readings.burn([one], scope, window) for window in (alert.tier.long, alert.short))
        yield question(f"alert-{tier_name(alert)}", _says(alert), f"{long} > {factor}\nand\n{short} > {factor}")
    yield question("exhausted-in", f"Seconds until the budget is spent at the burn of the last hour: left × {length} / "
                   "burn. No answer while that burn is allowed.", exhaustion(readings, [one], scope))


def _says(alert: BurnAlert) -> str:
    long, short = short_duration(alert.tier.long), short_duration(alert.short)
    return (f"Answers while the {alert.tier.severity} alert's condition holds: the last {long} and the last {short} "
            f"both burn above {number(alert.factor)}. That spends {number(alert.tier.spends * 100)} % of the "
            f"budget in {long}, and all of it in {format_duration(alert.exhausts_in)}.")


# -- as a file --------------------------------------------------------------------------------------------------------

_WIDTH = 118


def collection(questions: Sequence[Question], objectives: Sequence[Objective]) -> str:
    """The questions as a `.promql` file: one block a question, its comment above it, so that a block can be pasted
    whole. The same bytes every time.
    """
    said = {one.name: one for one in objectives}
    lines = ["# Written by `mainstay monitoring queries`; change the catalog, not this file.",
             "# Each block is one query with its comment, to be pasted whole. Those over slo:… need the rules of",
             "# `mainstay monitoring rules`; those over counters work at once.", ""]
    current = ""
    for question in questions:
        if question.objective != current:
            current = question.objective
            one = said[current]
            of = f" of {one.service}" if one.service else ""
            lines += [f"# {'=' * (_WIDTH - 2)}", f"# {current}{of}: {one.target} over {one.window}",
                      f"# {'=' * (_WIDTH - 2)}", ""]
        lines += [f"# {question.objective}/{question.name}", *_comment(question.asks), question.promql, ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _comment(text: str) -> Iterator[str]:
    line = "#"
    for word in (part.replace("\0", " ") for part in text.replace(" %", "\0%").split()):
        if len(line) + 1 + len(word) > _WIDTH:
            yield line
            line = "#"
        line += f" {word}"
    yield line
