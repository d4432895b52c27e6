"""A made-up work log to try things on: six engineers of two teams, a year by default. Standard library only.

The same seed gives the same log on every machine. Toil grows a little in the last third, descriptions are worded as
people word them, and some days are not logged.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, NamedTuple

from mainstay.stats.dice import Dice

DAYS = 90


class _Chore(NamedTuple):
    category: str
    wordings: tuple[str, ...]
    minutes: tuple[int, int]
    weight: int
    automatable: bool
    interrupt: bool


_CHORES = (
    _Chore("deployment", ("Manual deployment of checkout", "manual deploy of checkout", "Deploying checkout by hand"),
           (20, 45), 9, True, False),
    _Chore("remediation", ("Restart hung api workers", "restarted hung api worker 3",
                           "Restarting the hung API workers"), (10, 25), 8, True, True),
    _Chore("access", ("Grant database access", "granting database access for a new colleague"), (10, 20), 5, True,
           True),
    _Chore("certificates", ("Rotate TLS certificates", "rotated tls certs on web03"), (30, 60), 2, True, False),
    _Chore("scaling", ("Grow the orders database disk", "grow orders database disks"), (30, 75), 3, True, True),
    _Chore("data", ("Fix a stuck export by hand",), (30, 90), 3, False, True),
    _Chore("tickets", ("Answer questions in the support channel", "answered questions in support channel"),
           (15, 40), 7, False, True),
)
_TEAMS = {"ana": "platform", "ben": "platform", "chris": "platform", "dina": "orders", "eli": "orders", "fay": "orders"}
_OTHER = (("engineering", "features", "Build the next feature", (60, 180)),
          ("engineering", "reliability", "Load test the checkout", (30, 120)),
          ("meeting", "planning", "Planning", (30, 60)), ("oncall", "pages", "On call", (30, 90)),
          ("incident", "outage", "Work on an incident", (30, 120)))


def sample_lines(last: date, seed: int, days: int = DAYS) -> Iterator[dict[str, Any]]:
    """The lines of the log, as read_entry takes them, by day.

    Args:
        last: the last day; Saturdays and Sundays have no lines.
    """
    dice = Dice(seed)
    picks = [chore for chore in _CHORES for _ in range(chore.weight)]
    for back in range(days - 1, -1, -1):
        day = last - timedelta(days=back)
        if day.weekday() >= 5:
            continue
        busier = 1 if back < days // 3 else 0
        for engineer, team in _TEAMS.items():
            if dice.share() < 0.06:
                continue  # not logged
            head = {"date": day.isoformat(), "engineer": engineer, "team": team}
            for _ in range(5 + dice.below(3) + 2 * busier):
                chore = dice.one_of(picks)
                yield head | {
                    "type": "toil", "category": chore.category, "description": dice.one_of(chore.wordings),
                    "duration_hours": _hours(dice, chore.minutes), "automatable": chore.automatable, "automated": False,
                    "interrupt": chore.interrupt}
            for kind, category, text, minutes in _OTHER:
                if kind == "engineering" or dice.share() < 0.3:
                    yield head | {"type": kind, "category": category, "description": text,
                                  "duration_hours": _hours(dice, minutes), "automatable": False, "automated": False,
                                  "interrupt": kind in ("incident", "oncall")}


def _hours(dice: Dice, minutes: tuple[int, int]) -> float:
    """Five-minute steps, as people log."""
    low, high = minutes
    return round((low + 5 * dice.below((high - low) // 5 + 1)) / 60, 4)
