"""What an experiment may cost of the error budget, before it costs it; and whether the hour and the incidents allow it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from mainstay.chaos.spec import Hours, Spend
from mainstay.chaos.state import WEAKNESS
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Fact
from mainstay.kernel.ports import ServiceStanding, Spending
from mainstay.kernel.quantity import Span, format_duration, zone_named
from mainstay.kernel.wallclock import hours_in, local_of


@dataclass(frozen=True, slots=True)
class Damage:
    """What is going to happen, at worst.

    Args:
        share: the blast radius, 0..1.
        seconds: how long it is there.
        impact: share of the hit that fails.
    """

    share: float
    seconds: float
    impact: float = 1.0


@dataclass(frozen=True, slots=True)
class Price:
    """The damage as one objective counts it; the field names are stable JSON.

    Args:
        rate: events a second, as in the last measured hour.
        predicted: events that would be lost at worst.
        allowed: what the objective's window allows.
        left: of these, before; None where that was not measured.
        keep: what must be left.
        affordable: None where nothing can be said.
    """

    objective: str
    rate: float
    predicted: float
    allowed: float
    left: float | None
    keep: float
    affordable: bool | None

    @property
    def sentence(self) -> str:
        """The arithmetic."""
        if self.left is None:
            return f"{self.objective}: nothing was measured, so nothing can be predicted"
        return (f"{self.objective}: {self.rate:.3g}/s would lose {self.predicted:,.3g} events at worst; "
                f"{self.left:,.3g} of {self.allowed:,.3g} are left, {self.keep:,.3g} must stay")


def price(standing: ServiceStanding, spending: Spending | None, damage: Damage, spend: Spend,
          measured: timedelta) -> Price:
    """What the damage costs the objective.

    Args:
        spending: of the objective over a recent stretch of the length `measured`.
    """
    if spending is None or standing.spent is None or not spending.total:
        return Price(standing.objective, 0.0, 0.0, 0.0, None, 0.0, None)
    rate = spending.total / measured.total_seconds()
    # Where time is counted, a slice is lost whole however few are hit in it.
    share = 1.0 if spending.unit == "slices" else damage.share * damage.impact
    predicted = rate * damage.seconds * share
    left = spending.allowed * (1 - standing.spent)
    keep = spending.allowed * spend.keep
    return Price(standing.objective, rate, predicted, spending.allowed, left, keep, left - predicted >= keep)


def closed_until(hours: Hours, now: datetime, length: timedelta) -> str:
    """Why the experiment may not run from now for so long, and when it may; empty when it may."""
    if not hours.weekly:
        return ""
    zone = zone_named(hours.zone)
    ahead = hours_in(hours.weekly, zone, Span(now, now + timedelta(days=15)))
    fitting = [span for span in ahead if span.end - span.start >= length]
    if fitting and fitting[0].start <= now:
        return ""
    open_hours = ", ".join(map(str, hours.weekly)) + f" {hours.zone}"
    if not fitting:
        return f"it takes {format_duration(length)}, and is allowed {open_hours}: it never fits"
    return (f"it is allowed {open_hours}, and takes {format_duration(length)}; the next time is "
            f"{local_of(fitting[0].start, zone):%a %-d %b %H:%M} {hours.zone}")


def open_incidents(facts: Iterable[Fact], services: Sequence[str]) -> tuple[str, ...]:
    """Incidents on any of the services that are not over, in the order in which they opened."""
    found: dict[str, bool] = {}
    for fact in facts:
        match fact.kind:
            case "incident.opened" if concerns(fact, services):
                found[fact.subject] = True
            case "incident.reopened" if fact.subject in found:
                found[fact.subject] = True
            case "incident.resolved" | "incident.merged" if fact.subject in found:
                found[fact.subject] = False
    return tuple(name for name, is_open in found.items() if is_open)


def concerns(fact: Fact, services: Sequence[str]) -> bool:
    """Whether an incident that opened is about one of the services; pages that only test the pager are not.

    Nor is a weakness that is to be mended: nothing is broken yet, and only an experiment proves that it is mended.
    """
    data = fact.data
    if data.get("test", False) or str(data.get("group", "")).startswith(WEAKNESS):
        return False
    return bool(({data.get("service", ""), *data.get("services", ())} - {""}) & set(services))
