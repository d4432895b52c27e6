"""What the objectives of services lost over a stretch of time, from the ledger: other words are handed it as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.objective import Objective
from mainstay.kernel.ports import Clock, Spending, World
from mainstay.kernel.quantity import SLOT, Span
from mainstay.kernel.series import Series, floor_slot
from mainstay.slo.operations.measuring import history
from mainstay.slo.operations.standings import Judged, judge


@dataclass(frozen=True, slots=True)
class _Then:
    """A clock that shows a moment in the past and runs like another."""

    moment: datetime
    clock: Clock

    def now(self) -> datetime:
        """That moment."""
        return self.moment

    def monotonic(self) -> float:
        """The other clock's."""
        return self.clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """The other clock's."""
        self.clock.sleep(seconds)


def spent_between(world: World, services: Sequence[str], span: Span,
                  offline: bool = False) -> tuple[Spending, ...]:
    """What every objective of these services lost over the span, in whole slots, beside the budget of its window.

    Unless `offline`, sources are asked for what the ledger lacks; one that does not answer leaves its objectives with
    what is known.
    """
    chosen = [one for one in world.catalog.of(Objective) if one.service in services]
    if not chosen:
        return ()
    start = datetime.fromtimestamp(floor_slot(span.start), UTC)
    end = datetime.fromtimestamp(floor_slot(span.end + timedelta(seconds=SLOT - 1)), UTC)
    # The slot in which it ended counts whole; one that is not over yet was not measured, and `until` says so.
    end = min(end, datetime.fromtimestamp(floor_slot(world.clock.now()), UTC))
    then = replace(world, clock=_Then(max(end, start), world.clock))
    whole = Span(start, max(end, start))

    def asked(*, refresh: bool) -> tuple[Spending, ...]:
        return tuple(_spending(one, history(world, one.measured, whole))
                     for one in judge(then, chosen, refresh=refresh, stale_ok=True))

    found = asked(refresh=False)
    return found if offline or all(one.until == whole.end for one in found) else asked(refresh=True)


def _spending(one: Judged, lost: Series) -> Spending:
    objective, budget = one.objective, one.standing.budget
    known = [index for index, there in enumerate(lost.known.tolist()) if there]
    until = datetime.fromtimestamp(lost.start + (known[-1] + 1) * lost.step, UTC) if known else None
    allowed = budget.allowed if budget is not None else 0.0
    share = lost.bad_sum / allowed if until is not None and allowed > 0 else \
        0.0 if until is not None and not lost.bad_sum else None
    return Spending(objective.name, objective.service, float(objective.target.ratio), str(objective.window),
                    lost.bad_sum, lost.total_sum, allowed, share, until,
                    budget.unit if budget is not None else "events")
