"""Watching an incident that is thought to be over: for twice as long as it lasted, and then somebody is asked to close.

A new alert begins the watch anew. Source: the incident workflow of the reference, "monitor for 2x incident duration".
"""

from __future__ import annotations

from datetime import timedelta

from mainstay.incident import paging
from mainstay.incident.act import Act
from mainstay.incident.lifecycle import Status
from mainstay.kernel.journal import Timer

TIMES = 2
"""How many times as long as the incident had lasted it is watched."""


def begin(act: Act, incident: str) -> None:
    """From now on it is watched."""
    length = TIMES * (act.now - act.state.incidents[incident].opened)
    act.set_timer(f"stable:{incident}", length, incident, {"seconds": length / timedelta(seconds=1)})


def end(act: Act, incident: str) -> None:
    """It is no longer thought to be over."""
    act.clear_timers(f"stable:{incident}")


def over(act: Act, timer: Timer) -> None:
    """It was watched for long enough: whoever has it is asked to resolve it, or told that it is not over."""
    one = act.state.incidents.get(timer.subject)
    if one is None or one.status is not Status.MONITORING:
        return
    act.record("incident.close-asked", one.id, {"seconds": timer.data["seconds"], "firing": one.firing})
    title = f"{one.firing} of its alerts fire still" if one.firing else "it has been quiet: resolve it?"
    paging.tell(act, one, ("commander",), f"stable:{one.id}:{timer.due.isoformat()}", title, "monitored long enough")
