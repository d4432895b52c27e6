"""Facts of remediation as sentences, the same in every place that shows them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mainstay.kernel.journal import Data, Fact, NewFact
from mainstay.kernel.quantity import format_duration, short_duration
from mainstay.kernel.wallclock import DAYS
from mainstay.kernel.wording import many
from mainstay.runbook.remedy import Called, OnAlert, OnBudget, OnSchedule, When


def _started(data: Data) -> str:
    return f"runs {data['runbook']}, attempt {data['attempt']}" + (
        ", once somebody approves" if data["approval"] else "")


def _verified(data: Data) -> str:
    after = format_duration(float(data["seconds"]))
    return f"verified: healthy again, {after} after it was triggered, with {many(int(data['attempts']), 'attempt')}"


_SAID: Mapping[str, Callable[[Data], str]] = {
    "triggered": lambda data: f"triggered by {data['key']}",
    "joined": lambda data: f"{data['key']} triggers it too",
    "cleared": lambda data: f"{data['key']} is over",
    "passed": lambda data: f"{data['key']} does not count: {data['why']}",
    "observed": lambda data: f"would run {data['runbook']}, if it were not to observe only",
    "started": _started,
    "ran": lambda _: "the run succeeded; whether it helped is being looked at",
    "healthy": lambda _: "healthy again, not yet for long enough",
    "verified": _verified,
    "failed": lambda data: f"attempt {data['attempt']} failed: {data['why']}",
    "limited": lambda data: f"the limit {data['limit']} holds it: {data['why']}",
    "escalated": lambda data: f"left to people after {many(int(data['attempts']), 'attempt')}: {data['why']}",
    "stopped": lambda data: f"stopped after {many(int(data['failures']), 'failure')} in a row",
    "resumed": lambda _: "resumed",
}


def told_of(fact: Fact | NewFact) -> str:
    """What the fact says, with rule, target and case; of those that people are told, no two of a case say the same."""
    data, kind = fact.data, fact.kind.partition(".")[2]
    said = _SAID[kind](data) if kind in _SAID else f"{kind}: {data['why']}"
    head = f"{data['rule']} on {data['target']}" if data.get("target") else str(data["rule"])
    return f"{head}: {said}" + (f" ({fact.subject})" if fact.subject != data["rule"] else "")


def said_when(when: When) -> str:
    """What triggers a rule, in words."""
    match when:
        case OnAlert(matchers):
            return "by alerts " + ", ".join(map(str, matchers))
        case OnBudget(objective, zones):
            return f"when the budget of {objective} is in {' or '.join(zones)}"
        case OnSchedule(every=every) if every is not None:
            return f"every {short_duration(every)}"
        case OnSchedule(at=at, zone=zone, days=days):
            named = "" if len(days) == len(DAYS) else " on " + " ".join(DAYS[day] for day in sorted(days))
            return f"at {(at or 0) // 60:02}:{(at or 0) % 60:02} {zone}{named}"
        case Called():
            return "when it is called"
