"""The questions of an objective as PromQL to paste: indicator, budget, burn, alerts, exhaustion. Pure.

The counting ones work on any Prometheus that scrapes the counters; the others read the two sums that the rules record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.method import Method
from mainstay.kernel.objective import Objective
from mainstay.kernel.quantity import format_duration, plain, short_duration
from mainstay.monitoring.chain import BAD, SERVICE_LABEL, SLO_LABEL, TOTAL
from mainstay.monitoring.counting import NotCountable, Sampling, counts
from mainstay.monitoring.dashboards.readings import Recorded, Scope, exhaustion
from mainstay.monitoring.dashboards.watched import LeftOut, Watched, watch
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
    found: list[Question] = []
    more: list[LeftOut] = []
    for one in watched:
        alerting = alerting_of(by_name[one.name], catalog)
        try:
            found += _questions(one, by_name[one.name].method, Sampling(alerting.scrape, alerting.group_by))
        except NotCountable as reason:
            more.append(LeftOut(one.name, str(reason)))
    return tuple(found), (*left, *more)


def _questions(one: Watched, method: Method, sampling: Sampling) -> Iterator[Question]:
    readings, scope = Recorded(), Scope({SERVICE_LABEL: one.service, SLO_LABEL: one.name} if one.service
                                        else {SLO_LABEL: one.name})
    length = short_duration(one.window)
    last = f"the last {length}" if not one.trailing else f"the last {length}, as near as PromQL comes to a calendar's"
    raw = counts(one.indicator, method, sampling)

    def question(name: str, asks: str, promql: str) -> Question:
        return Question(one.name, name, asks, promql)

    yield question("bad-5m", f"Bad events of the last five minutes; 0 while nothing is bad. Recorded as {BAD}.", raw.bad)
    yield question("total-5m", f"Events of the last five minutes. Recorded as {TOTAL}.", raw.total)
    yield question("sli-5m", "Share of good events of the last five minutes, straight from the counters.",
                   f"1 - ({raw.bad}) / (({raw.total}) > 0)")
    yield question("sli", f"Share of good events of {last}: Σbad / Σtotal, never a mean of ratios.",
                   readings.sli([one], scope))
    yield question("budget-spent", "Share of the error budget spent; above 1 when overspent.",
                   f"{readings.share(one.window, _matchers(scope))} / {plain(one.target.budget)}")
    yield question("budget-left", "Share of the error budget left; negative when overspent, never cut off at 0.",
                   readings.left([one], scope))
    for window in sorted({window for alert in one.tiers for window in (alert.short, alert.tier.long)}
                         | {timedelta(hours=1)}):
        yield question(f"burn-{short_duration(window)}", f"How many times faster than allowed the budget was spent in "
                       f"the last {short_duration(window)}: a multiple, 1 lasts exactly {length}.",
                       readings.burn([one], scope, window))
    for alert in one.tiers:
        yield question(f"{alert.tier.severity}-{short_duration(alert.tier.long)}", _says(alert),
                       _both(one, alert, readings, scope))
    yield question("exhausted-in", f"Seconds until the budget is spent at the burn of the last hour: left × {length} / "
                   "burn. No answer while that burn is allowed.", exhaustion(readings, [one], scope))


def _matchers(scope: Scope) -> str:
    return "{" + ",".join(f'{label}="{value}"' for label, value in scope.labels.items()) + "}"


def _says(alert: BurnAlert) -> str:
    long, short = short_duration(alert.tier.long), short_duration(alert.short)
    return (f"Answers while the {alert.tier.severity} alert's condition holds: the last {long} and the last {short} both "
            f"burn above {plain(alert.factor.normalize())}. That spends {plain(alert.tier.spends * 100)} % of the "
            f"budget in {long}, and all of it in {format_duration(alert.exhausts_in)}.")


def _both(one: Watched, alert: BurnAlert, readings: Recorded, scope: Scope) -> str:
    factor = plain(alert.factor.normalize())
    long, short = (readings.burn([one], scope, window) for window in (alert.tier.long, alert.short))
    return f"{long} > {factor}\nand\n{short} > {factor}"


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
    for word in text.split():
        if len(line) + 1 + len(word) > _WIDTH:
            yield line
            line = "#"
        line += f" {word}"
    yield line
