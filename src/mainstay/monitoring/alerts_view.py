"""How alerts stand, as people see them. Pure; numbers are rounded here only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import Block, Cell, Column, Next, Table, Text, Tone, View, cells
from mainstay.kernel.wording import burn_words, many

Shown = Literal["firing", "pending", "inactive", "no_data", "useless"]

SIGNS: Mapping[Shown, tuple[str, str, Tone]] = {
    "firing": ("▲", "firing", "bad"), "pending": ("◐", "pending", "warn"), "inactive": ("●", "quiet", "good"),
    "no_data": ("–", "no data", "quiet"), "useless": ("×", "of no use", "warn"),
}
"""Sign, word and colour of each state, the same in every face."""
ORDER: tuple[Shown, ...] = ("firing", "pending", "useless", "no_data", "inactive")


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """How a Prometheus' own rules see the alert: `firing`, `pending` or `inactive`, since when."""

    source: str
    state: Literal["firing", "pending", "inactive"]
    since: datetime | None


@dataclass(frozen=True, slots=True)
class AlertReading:
    """One tier of one objective; the field names are its stable JSON. Burns are multiples; None is no data.

    Args:
        factor: the burn above which both windows trip it.
        fires_at: when a pending alert will have held for `hold_seconds`.
        stale: nothing was measured lately, so the state is that of `measured_until`.
        faults: why the tier is of no use for the target and window.
        elsewhere: what the rules of a Prometheus say, where they were asked.
    """

    objective: str
    service: str
    owner: str
    tier: str
    severity: str
    long: str
    short: str
    state: Shown
    since: datetime | None
    factor: float
    long_burn: float | None
    short_burn: float | None
    hold_seconds: float
    fires_at: datetime | None
    measured_until: datetime | None
    stale: bool
    faults: tuple[str, ...]
    elsewhere: Elsewhere | None

    @property
    def differs(self) -> bool:
        """Whether a Prometheus sees it otherwise."""
        return self.elsewhere is not None and self.state in ("firing", "pending", "inactive") \
            and self.elsewhere.state != self.state


def urgent_first(alerts: Sequence[AlertReading]) -> list[AlertReading]:
    """Firing pages first, then by state, severity, and how near the factor both windows burn."""
    return sorted(alerts, key=lambda one: (ORDER.index(one.state), one.severity != "page", -nearness(one),
                                           one.objective, one.tier))


def nearness(one: AlertReading) -> float:
    """The slower of both burns as a share of the factor: at 1 it trips."""
    if one.long_burn is None or one.short_burn is None:
        return 0.0
    return min(one.long_burn, one.short_burn) / one.factor


def verdict(alerts: Sequence[AlertReading]) -> Text:
    """One sentence: does something fire?"""
    if not alerts:
        return Text("No objective has burn-rate alerts.", "quiet")
    said = {state: _names([one for one in urgent_first(alerts) if one.state == state]) for state in ORDER}
    parts = [f"{said[state]}" for state in ("firing", "pending") if said[state]]
    quiet = sum(one.state == "inactive" for one in alerts)
    if not parts:
        parts.append(f"No alert fires; {quiet} of {len(alerts)} are quiet")
    parts += [said[state] for state in ("no_data", "useless") if said[state]]
    tone: Tone = "bad" if said["firing"] else "warn" if said["pending"] else "good" if quiet else "quiet"
    return Text(". ".join(parts) + ".", tone)


def _names(those: Sequence[AlertReading]) -> str:
    """`2 alerts firing: checkout, cart`; empty for none."""
    if not those:
        return ""
    names = list(dict.fromkeys(one.objective for one in those))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{many(len(those), 'alert')} {SIGNS[those[0].state][1]}: {', '.join(names[:3])}{more}"


def state_words(one: AlertReading) -> str:
    """`▲ firing`."""
    sign, word, _ = SIGNS[one.state]
    return f"{sign} {word}"


def since_words(one: AlertReading, now: datetime) -> str:
    """`14 Mar 09:05, 43 m` for what fires or is pending; a dash for what never did."""
    if one.state == "useless" or one.since is None:
        return "–"
    return f"{one.since:%-d %b %H:%M}, {format_duration(round(max((now - one.since).total_seconds(), 1)))}"


def note_of(one: AlertReading, now: datetime) -> str:
    """What is worth knowing beside the state: time left of `for`, staleness, another opinion, a fault."""
    return "; ".join((*one.faults, *((left_of_hold(one, now),) if one.fires_at else ()), *_doubts(one)))


def left_of_hold(one: AlertReading, now: datetime) -> str:
    """`fires in 12 m 3 s` for a pending alert, else how long its condition must hold: `after 15 m`."""
    if one.fires_at is None:
        return f"after {format_duration(one.hold_seconds)}"
    left = math.ceil((one.fires_at - now).total_seconds())
    return f"fires in {format_duration(left)}" if left > 0 else "fires with the next slot"


def doubts(one: AlertReading) -> str:
    """Staleness, and what a Prometheus says otherwise."""
    return "; ".join(_doubts(one))


def _doubts(one: AlertReading) -> list[str]:
    notes = []
    if one.stale and one.measured_until is not None:
        notes.append(f"stale since {one.measured_until:%-d %b %H:%M}")
    if one.differs and one.elsewhere is not None:
        since = f" since {one.elsewhere.since:%-d %b %H:%M}" if one.elsewhere.since else ""
        notes.append(f"the rules of {one.elsewhere.source} say {SIGNS[one.elsewhere.state][1]}{since}")
    return notes


def alerts_table(alerts: Sequence[AlertReading], now: datetime) -> Table:
    """The alerts, what fires first."""
    rows = [cells(
        Cell(one.objective, "strong", link=f"slo/show?name={one.objective}"), one.severity,
        f"{one.long} / {one.short}", Cell(state_words(one), SIGNS[one.state][2]), since_words(one, now),
        burn_words(one.long_burn), burn_words(one.short_burn), f"{one.factor:.3g}×",
        format_duration(one.hold_seconds), Cell(note_of(one, now), "quiet")) for one in urgent_first(alerts)]
    columns = (Column("objective"), Column("severity", gives_way=4), Column("windows"), Column("state"),
               Column("since", gives_way=1), Column("burn long", True), Column("burn short", True),
               Column("fires above", True), Column("for", True, gives_way=3), Column("", gives_way=2))
    return Table(columns, tuple(rows), empty="the catalog declares no objective: docs/guides/slo.md shows how")


def alerts_view(now: datetime, alerts: Sequence[AlertReading], problems: Mapping[str, str]) -> View:
    """What was read, whether something fires, every alert, and what to run next."""
    until = [one.measured_until for one in alerts if one.measured_until is not None]
    read = f"{many(len(alerts), 'alert')} at {now:%-d %b %Y %H:%M} UTC"
    read += f", measured until {min(until):%-d %b %H:%M}" if until else ""
    blocks: list[Block] = [Text(read, "quiet"), verdict(alerts), alerts_table(alerts, now)]
    blocks += [Text(f"{name} cannot be compared with: {why}", "warn") for name, why in problems.items()]
    firing = [one for one in urgent_first(alerts) if one.state in ("firing", "pending")]
    blank = all(one.state in ("no_data", "useless") for one in alerts)
    blocks.append(Next((f"mainstay slo attribute {firing[0].objective} --last 6h",) if firing else
                       ("mainstay slo report",) if blank else ("mainstay monitoring audit",)))
    return View("Alerts", tuple(blocks))


# -- as a gauge ---------------------------------------------------------------------------------------------------

_GAUGE = "mainstay_alert_state"


def metrics_text(alerts: Sequence[AlertReading]) -> str:
    """Every alert as gauges in the Prometheus text format: 1 for the state it is in, 0 for the others.

    An alert without data, or of no use, is in none of the states.
    """
    lines = []
    for one in alerts:
        for state in ("inactive", "pending", "firing"):
            labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in (
                ("objective", one.objective), ("service", one.service), ("severity", one.severity),
                ("tier", one.tier), ("state", state)))
            lines.append(f"{_GAUGE}{{{labels}}} {int(one.state == state)}")
    if not lines:
        return ""
    return "\n".join((f"# HELP {_GAUGE} 1 for the state the burn-rate alert is in, 0 for the others.",
                      f"# TYPE {_GAUGE} gauge", *lines)) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
