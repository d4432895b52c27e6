"""What people hear of an incident that they know of: alerts that joined it, and that it goes on.

By a route's `interval` and `repeat`, as they were when the incident opened. What is silenced or inhibited is not told.
"""

from __future__ import annotations

from datetime import timedelta

from mainstay.incident import paging
from mainstay.incident.act import Act
from mainstay.incident.lifecycle import Phase, Status
from mainstay.incident.ongoing import Incident
from mainstay.kernel.journal import Timer
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.wording import many


def joined(act: Act, incident: str) -> None:
    """An alert has joined: with what joins within the interval, whoever has the incident is told of it."""
    one = act.state.incidents[incident]
    if one.interval is not None and one.grown == 1:
        act.set_timer(f"grow:{incident}", timedelta(seconds=one.interval), incident)


def grown(act: Act, timer: Timer) -> None:
    """Alerts joined an open incident: whoever has it hears how many, or the first step where nobody answered."""
    one = _open(act, timer)
    if one is None or not one.grown:
        return
    count = one.grown
    act.record("incident.grown", one.id, {"alerts": count})
    # While it escalates, people are paged anyway, and each page leads to all of its alerts.
    if one.policy and one.phase in (Phase.ACKNOWLEDGED, Phase.EXHAUSTED) and not paging.hushed(act, one):
        since = act.now - timedelta(seconds=one.interval or 0.0)
        paging.tell_holder(act, one.id, f"{many(count, 'more alert')} since {since:%H:%M} UTC")


def repeat(act: Act, incident: str) -> None:
    """It is open: it is paged anew after its route's `repeat`, if that has one."""
    one = act.state.incidents[incident]
    if one.repeat is not None and one.policy:
        act.set_timer(f"repeat:{incident}", timedelta(seconds=one.repeat), incident)


def repeated(act: Act, timer: Timer) -> None:
    """It still goes on: whoever has it hears so; where nobody answered, it is paged from the first step again."""
    one = _open(act, timer)
    if one is None:
        return
    repeat(act, one.id)
    if one.phase not in (Phase.ACKNOWLEDGED, Phase.EXHAUSTED) or paging.hushed(act, one):
        return
    act.record("incident.repeated", one.id, {"seconds": (act.now - one.opened).total_seconds()})
    if one.phase is Phase.EXHAUSTED:
        paging.begin(act, one.id, "it goes on, and nobody answered")
    else:
        paging.tell_holder(act, one.id, f"it goes on, since {format_duration(act.now - one.opened)}")


def _open(act: Act, timer: Timer) -> Incident | None:
    one = act.state.incidents.get(timer.subject)
    return one if one is not None and one.status is not Status.RESOLVED else None
