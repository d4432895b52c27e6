"""What can only be said of an alerting with numbers at hand: how much traffic there is, which buckets exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta

from mainstay.kernel.errors import MainstayError
from mainstay.kernel.objective import ledger_key
from mainstay.kernel.ports import CountRequest, PromQuery, Source, World
from mainstay.kernel.quantity import SLOT, Span
from mainstay.monitoring.counting import counter_selector
from mainstay.monitoring.reach import Fault
from mainstay.monitoring.rules import Plan

_LOOK_BACK = timedelta(days=7)
_LE = re.compile(r'\s*,?\s*le\s*=~?\s*"(?P<bound>(?:\\.|[^"\\])*)"')


def measured_traffic(world: World, plans: Sequence[Plan], *, ask: bool) -> dict[str, float]:
    """Events an hour of each objective over the last seven days, for those that anybody measured.

    Args:
        ask: the sources; else the ledger answers.
    """
    now = world.clock.now()
    span = Span(now - _LOOK_BACK, now)
    counted = [plan for plan in plans if plan.groups]
    if not ask:
        keys = {plan.objective.name: ledger_key(plan.indicator, plan.objective.method) for plan in counted}
        series = world.ledger.read(list(keys.values()), span)
        return {name: per_hour for name, key in keys.items()
                if (per_hour := _per_hour(series[key].total.sum(), series[key].known.sum())) is not None}
    found = {}
    for plan in counted:
        if not isinstance(plan.indicator.total, PromQuery):
            continue
        request = CountRequest(plan.indicator.total, span, plan.indicator.bad, plan.indicator.good)
        (reading,) = _source(world, plan).count([request])
        if (per_hour := _per_hour(reading.series.total.sum(), reading.series.known.sum())) is not None:
            found[plan.objective.name] = per_hour
    return found


def _per_hour(events: float, slots: float) -> float | None:
    return float(events) / float(slots) * 3600 / SLOT if slots else None


def _source(world: World, plan: Plan) -> Source:
    return world.source(plan.indicator.source)


def source_faults(world: World, plans: Sequence[Plan]) -> list[Fault]:
    """Thresholds at which no histogram has a bucket, so that the objective counts nothing as good.

    Raises:
        MainstayError: the source does not answer.
    """
    return [fault for plan in plans if plan.groups for fault in _bucket_faults(world, plan)]


def _bucket_faults(world: World, plan: Plan) -> Iterator[Fault]:
    indicator, now = plan.indicator, world.clock.now()
    for part in (indicator.good, indicator.bad):
        if not isinstance(part, PromQuery) or not part.counter or not isinstance(indicator.total, PromQuery):
            continue
        selector = counter_selector(part.text)
        bound = _LE.search(selector)
        if bound is None:
            continue
        without = PromQuery(selector[:bound.start()] + selector[bound.end():], counter=True)
        request = CountRequest(indicator.total, Span(now - timedelta(hours=1), now), bad=without)
        spenders = _source(world, plan).breakdown(request, ("le",), 200)
        known = [spender.labels["le"] for spender in spenders]
        if known and not any(re.fullmatch(bound["bound"].replace("\\\\", "\\"), le) for le in known):
            buckets = ", ".join(sorted(set(known), key=_bucket))
            yield Fault("no-such-bucket", plan.objective.name, "error",
                        f"{plan.objective.name} counts at le={bound['bound']}, and the histogram has no bucket there: "
                        f"{buckets}", "move the threshold to a bucket, or give the histogram a bucket at the threshold")


def _bucket(le: str) -> float:
    try:
        return float(le)
    except ValueError:
        raise MainstayError(f'a histogram has a bucket le="{le}", which is no number',
                            "look at what exposes it") from None
