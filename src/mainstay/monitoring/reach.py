"""Can an alert trip, and does it cry wolf: what is wrong with an alerting before it runs, with the arithmetic. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.method import Occurrences
from mainstay.kernel.objective import FreshWithin, Indicator, Objective, PerSecond
from mainstay.kernel.ports import PromQuery
from mainstay.kernel.quantity import RollingWindow, short_duration
from mainstay.monitoring.alerts import percent, tier_name
from mainstay.monitoring.counting import counter_selector
from mainstay.monitoring.rulefile import number
from mainstay.monitoring.spec import Alerting, tiers_for
from mainstay.monitoring.tiers import length_for_burn
from mainstay.stats.budget import (
    BurnAlert,
    burn_alerts,
    chance_of_false_page,
    requests_so_one_failure_does_not_page,
)

_FEWEST_SCRAPES = 4
"""Scrapes in five minutes below which one that fails leaves too little to count from."""

_MATCHER = re.compile(r'([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\')')
_SELECTOR = re.compile(r"(?P<metric>[a-zA-Z_:][\w:]*)?\s*(?:\{(?P<inside>.*)\})?", re.DOTALL)
_MONTH_HOURS = 720


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that makes an alert useless or noisy.

    Args:
        code: as a finding carries it.
        weight: `error` where no rule should be written at all.
        tier: which alert it is about; empty for all of the objective.
    """

    code: str
    objective: str
    weight: Literal["error", "warning"]
    message: str
    mend: str
    tier: str = ""


def faults(objective: Objective, alerting: Alerting, indicator: Indicator,
           hourly: float | None = None) -> Iterator[Fault]:
    """All that is wrong with how this objective would alert.

    Args:
        hourly: events an hour, as measured; None when nobody measured.
    """
    if objective.target.budget == 0:
        return
    window = length_for_burn(objective.window)
    burns = burn_alerts(objective.target, window, tiers_for(alerting, objective))
    for burn in burns:
        yield from _tier_faults(objective, burn, window)
    if not burns and alerting.tiers is None:
        yield Fault("window-too-short", objective.name, "warning",
                    f"a window of {short_duration(window)} leaves no time to warn in; only its budget alerts are made",
                    "choose a window of at least 10h, or write tiers of your own")
    yield from _retention(objective, alerting, burns)
    yield from _sampling(objective, alerting, indicator)
    yield from _groups(objective, alerting, indicator)
    yield from _parts(objective, indicator)
    if hourly is not None and alerting.low_traffic is None and isinstance(objective.method, Occurrences):
        yield from _noise(objective, burns, hourly)


def _tier_faults(objective: Objective, burn: BurnAlert, window: timedelta) -> Iterator[Fault]:
    name, long = tier_name(burn), short_duration(burn.tier.long)
    sum_ = (f"{number(burn.factor)} = {percent(burn.tier.spends)} × {short_duration(window)} / {long}")
    budget = percent(objective.target.budget)
    if burn.tier.long >= window:
        yield Fault("window-not-longer", objective.name, "error",
                    f"{name} of {objective.name} looks back {long}, no less than the objective's window of "
                    f"{short_duration(window)}", "choose a shorter long window", name)
        return
    if burn.threshold >= 1:
        yield Fault("alert-never-trips", objective.name, "error",
                    f"{name} of {objective.name} can never trip: factor {sum_}, and {number(burn.factor)} × {budget} = "
                    f"{percent(burn.threshold)} of all events would have to fail",
                    f"spend less than {_rounded(burn.tier.spends / burn.threshold, ROUND_FLOOR)} in {long}, or leave "
                    "out tiers:", name)
    if burn.factor < 1:
        yield Fault("alert-while-kept", objective.name, "error",
                    f"{name} of {objective.name} fires while the promise is kept: factor {sum_} is below 1",
                    f"spend at least {_rounded(burn.tier.spends / burn.factor, ROUND_CEILING)} in {long}, or leave "
                    "out tiers:", name)


def _rounded(share: Decimal, how: str) -> str:
    """To three digits, in the direction in which what is recommended works."""
    return percent(share.quantize(Decimal(1).scaleb(share.adjusted() - 2), how).normalize())


def _retention(objective: Objective, alerting: Alerting, burns: tuple[BurnAlert, ...]) -> Iterator[Fault]:
    if alerting.retention is None:
        return
    rolling = [one.window.length for one in objective.windows if isinstance(one.window, RollingWindow)]
    needed = max([*rolling, *(burn.tier.long for burn in burns)], default=timedelta(0))
    if alerting.retention < needed:
        yield Fault("retention-too-short", objective.name, "warning",
                    f"{objective.name} looks back {short_duration(needed)} and Prometheus keeps "
                    f"{short_duration(alerting.retention)}: its oldest {short_duration(needed - alerting.retention)} "
                    "would be missing",
                    f"set --storage.tsdb.retention.time to more than {short_duration(needed)}, or evaluate these rules "
                    "where samples are kept longer")


def _sampling(objective: Objective, alerting: Alerting, indicator: Indicator) -> Iterator[Fault]:
    scrape = alerting.scrape
    if scrape * _FEWEST_SCRAPES > timedelta(minutes=5):
        yield Fault("scrape-too-rare", objective.name, "warning",
                    f"five minutes hold {timedelta(minutes=5) / scrape:.3g} scrapes of {short_duration(scrape)}: one "
                    f"that fails leaves {objective.name} too little to count from",
                    f"scrape at least every {short_duration(timedelta(minutes=5) / _FEWEST_SCRAPES)}")
    derived, method = indicator.derived, objective.method
    slice_ = derived.slice if isinstance(derived, PerSecond | FreshWithin) \
        else None if isinstance(method, Occurrences) else method.length
    if slice_ is not None and slice_ < scrape:
        yield Fault("slice-below-scrape", objective.name, "warning",
                    f"{objective.name} judges slices of {short_duration(slice_)}, and counters are seen every "
                    f"{short_duration(scrape)}: neighbouring slices would share what they see",
                    f"choose slices of {short_duration(scrape)} or more")


def _groups(objective: Objective, alerting: Alerting, indicator: Indicator) -> Iterator[Fault]:
    for query in (indicator.total, indicator.bad, indicator.good):
        if not isinstance(query, PromQuery) or query.counter:
            continue
        for label in alerting.group_by:
            if not re.search(rf"\b{label}\b", query.text) and re.search(r"\b(sum|avg|max|min|count)\b", query.text):
                yield Fault("group-lost", objective.name, "error",
                            f'{objective.name} is told apart by "{label}", which its query aggregates away: '
                            f"{query.text}", f"add {label} to its by (…), or name a counter alone")


def _parts(objective: Objective, indicator: Indicator) -> Iterator[Fault]:
    """Good events that need not be among the total: the total leaves out what good lets in."""
    for name, part in (("good", indicator.good), ("bad", indicator.bad)):
        total = indicator.total
        if not (isinstance(part, PromQuery) and isinstance(total, PromQuery) and part.counter and total.counter):
            continue
        one, whole = _selected(part.text), _selected(total.text)
        if one is None or whole is None or one[0] != whole[0]:
            continue
        missing = sorted(whole[1] - one[1] - {
            matcher for matcher in whole[1] for own in one[1] if own[0] == matcher[0] and own[1] == "="
            and _lets_in(matcher, own[2])})
        if missing:
            written = ", ".join(label + operator + f'"{value}"' for label, operator, value in missing)
            yield Fault("part-exceeds-total", objective.name, "warning",
                        f"{name} of {objective.name} counts events that its total leaves out: the total asks for "
                        f"{written}, and {name} does not, so it can exceed it",
                        f"add {written} to {name}")


def _lets_in(matcher: tuple[str, str, str], value: str) -> bool:
    _, operator, wanted = matcher
    try:
        found = re.fullmatch(wanted, value) is not None if operator in ("=~", "!~") else wanted == value
    except re.error:
        return False
    return found if operator in ("=", "=~") else not found


def _selected(text: str) -> tuple[str, frozenset[tuple[str, str, str]]] | None:
    """A selector's metric and matchers; None for what is no selector."""
    found = _SELECTOR.fullmatch(counter_selector(text).strip())
    if found is None:
        return None
    matchers = frozenset((name, operator, value[1:-1]) for name, operator, value in
                         _MATCHER.findall(found["inside"] or ""))
    return found["metric"] or "", matchers


def _noise(objective: Objective, burns: tuple[BurnAlert, ...], hourly: float) -> Iterator[Fault]:
    for burn in burns:
        if burn.faults or burn.tier.severity != "page":
            continue
        events = hourly * (burn.tier.long / timedelta(hours=1))
        needed = requests_so_one_failure_does_not_page(burn)
        if events < needed:
            looks = _MONTH_HOURS / (burn.tier.long / timedelta(hours=1))
            chance = chance_of_false_page(round(events), float(objective.target.budget), burn) * looks
            yield Fault("one-failure-pages", objective.name, "warning",
                        f"{tier_name(burn)} of {objective.name}: one failure alone pages, since {events:,.0f} events "
                        f"come in {short_duration(burn.tier.long)} and 1 / ({number(burn.factor)} × "
                        f"{percent(objective.target.budget)}) = {needed:,} would be needed; a service that fails as "
                        f"often as it may would page {chance:.2g} times in 30 days for nothing",
                        "add low_traffic: {gate: wilson, confidence: 95%}", tier_name(burn))


