"""What to change, with the numbers behind it: delete, demote, wait (`for`), hold on (`keep_firing_for`), group. Pure.

Every suggestion is computed from the firings themselves. `for` of F takes away exactly the firings whose condition held
for less than F and makes the others later by F less the present `for`; `keep_firing_for` of K joins exactly the firings
of one instance that begin within K of the end of the one before and makes each joined stretch end K later. Savings of
several suggestions for one alert overlap, so that the sum counts the largest of each alert.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import format_duration, short_duration
from mainstay.monitoring.audit import AlertFigures, Figures, Firing, is_page, title

Kind = Literal["delete", "demote", "for", "keep_firing_for", "group", "inhibit", "mend"]

LADDER = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 20, 30, 60, 120))
"""Lengths worth writing into a rule; a page that waits longer than half an hour is no page."""
LONGEST_PAGE = timedelta(minutes=30)
FEWEST = 3
"""Firings below which nothing is concluded from an alert."""
MOST = 0.8
"""Share that counts as nearly all: of the noise to be taken away, of firings that nobody acted on, of firings that come
together."""
TOGETHER = timedelta(minutes=2)
"""Two alerts that begin within this of each other begin together: two evaluations at the usual minute."""
MOST_NAMES = 60
"""Alerts compared pair by pair: those with most firings."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One change; the field names are its stable JSON.

    Args:
        write: the line of the rule, where there is one: `for: 10m`.
        saves: firings of the span that would not have been.
        of: firings of the alert in the span.
        delays: firings that stay and would be told later (or end later), and by how many seconds.
        loses: firings somebody acted on that would be gone.
    """

    alert: str
    severity: str
    kind: Kind
    write: str
    why: str
    saves: int
    of: int
    delays: int = 0
    delay_seconds: float = 0.0
    loses: int = 0
    others: tuple[str, ...] = ()


def advice(found: Figures, share: float = MOST) -> tuple[Suggestion, ...]:
    """What to change, what saves most first.

    Args:
        share: of the noise that a `for` or `keep_firing_for` must take away, 0..1.
    """
    by_alert: dict[str, list[Firing]] = {}
    for one in found.firings:
        if one.fresh:
            by_alert.setdefault(_key(one), []).append(one)
    out: list[Suggestion] = []
    for alert in found.alerts:
        firings = by_alert.get(f"{alert.name}\0{alert.severity}", [])
        out += _of_alert(alert, firings, share)
    out += _grouping(by_alert)
    return tuple(sorted(out, key=lambda one: (not one.saves, -one.saves, one.alert, one.kind)))



def saved(suggestions: Iterable[Suggestion]) -> int:
    """Firings that would not have been if all were followed; the largest saving of each alert counts."""
    most: dict[tuple[str, str], int] = {}
    for one in suggestions:
        key = one.alert, one.severity
        most[key] = max(most.get(key, 0), one.saves)
    return sum(most.values())


def _key(firing: Firing) -> str:
    return f"{title(firing.alert)}\0{firing.alert[1] or 'none'}"


# -- one alert ----------------------------------------------------------------------------------------------------


def _of_alert(alert: AlertFigures, firings: Sequence[Firing], share: float) -> list[Suggestion]:
    if alert.by_design:
        return []
    out: list[Suggestion] = []
    if alert.always:
        why = (f"it fired {alert.share_of_time * 100:.0f} % of the time: repair what it says, raise its threshold, or "
               "delete it")
        out.append(Suggestion(alert.name, alert.severity, "mend", "", why, 0, alert.firings))
        return out
    if alert.firings < FEWEST:
        return out
    hold = waiting(alert, firings, share)
    told = [one for one in firings if one.told]
    if len(told) >= FEWEST and all(one.acted is False for one in told):
        out.append(Suggestion(alert.name, alert.severity, "delete", "",
                              f"it fired {alert.firings} times and nobody ever acted on it", alert.firings,
                              alert.firings))
    elif is_page(alert.severity) and (why := _needs_nobody(alert, firings, hold, share)):
        out.append(Suggestion(alert.name, alert.severity, "demote", "severity: ticket", why, alert.firings,
                              alert.firings, loses=sum(bool(one.acted) for one in firings)))
    out += [one for one in (hold, holding_on(alert, firings, share)) if one is not None]
    return out


def _needs_nobody(alert: AlertFigures, firings: Sequence[Firing], hold: Suggestion | None, share: float) -> str:
    """Why nobody need be woken by what is left when the rule waits longer; empty where somebody may have to."""
    if (hold is not None and hold.saves == hold.of) or (hold is None and alert.short >= share * alert.firings):
        return f"{alert.short} of {alert.firings} were over before anybody could look"
    # Noise that waiting takes away is no reason: the page may be worth having for the rest.
    longest = timedelta() if hold is None else timedelta(seconds=hold.delay_seconds + (alert.hold_seconds or 0))
    rest = [one for one in firings if one.told and (one.ended is None or one.held >= longest)]
    ignored = sum(one.acted is False for one in rest)
    return f"nobody acted on {ignored} of {len(rest)}" if len(rest) >= FEWEST and ignored >= share * len(rest) else ""


def waiting(alert: AlertFigures, firings: Sequence[Firing], share: float) -> Suggestion | None:
    """The shortest `for` that takes away so much of the noise: what flapped or was over before anybody could look."""
    noise = [one for one in firings if (one.flapping or one.short) and not one.acted]
    if len(noise) < FEWEST:
        return None
    now, kept = timedelta(seconds=alert.hold_seconds or 0), timedelta(seconds=alert.keep_seconds or 0)
    for step in LADDER:
        if step <= now or (is_page(alert.severity) and step > LONGEST_PAGE):
            continue
        gone = [one for one in firings if one.ended is not None and one.held - kept < step]
        quieter = sum(one.held - kept < step for one in noise)
        if quieter < share * len(noise):
            continue
        stay, later = len(firings) - len(gone), step - now
        lost = sum(bool(one.acted) for one in gone)
        why = f"takes away {len(gone)} of {len(firings)} firings, {quieter} of {len(noise)} noisy ones; " + (
            f"the other {stay} come {format_duration(later)} later" if stay else "none is left")
        if lost:
            why += f"; {lost} that somebody acted on would be gone"
        plus = "" if alert.hold_seconds is not None else "+"  # its rule is not known here, so neither is its `for`
        return Suggestion(alert.name, alert.severity, "for", f"for: {plus}{short_duration(step)}", why, len(gone),
                          len(firings), stay, later.total_seconds(), lost)
    return None


def holding_on(alert: AlertFigures, firings: Sequence[Firing], share: float) -> Suggestion | None:
    """The shortest `keep_firing_for` that joins so much of the flapping."""
    gaps = _gaps(firings)
    flapping = [gap for gap, flaps in gaps if flaps]
    if len(flapping) < FEWEST - 1:
        return None
    now = timedelta(seconds=alert.keep_seconds or 0)
    for step in LADDER:
        if step <= now or step > LONGEST_PAGE:
            continue
        if sum(gap <= step for gap in flapping) < share * len(flapping):
            continue
        joined = sum(gap <= step for gap, _ in gaps)
        stretches = len(firings) - joined
        why = (f"joins {joined} of {len(firings)} firings to the one before; the {stretches} that remain end "
               f"{format_duration(step - now)} later")
        return Suggestion(alert.name, alert.severity, "keep_firing_for", f"keep_firing_for: {short_duration(step)}",
                          why, joined, len(firings), stretches, (step - now).total_seconds())
    return None


def _gaps(firings: Sequence[Firing]) -> list[tuple[timedelta, bool]]:
    """From the end of each firing to the next of the same instance, and whether both are of one run of flapping."""
    last: dict[frozenset[tuple[str, str]], Firing] = {}
    out = []
    for one in firings:
        instance = frozenset(one.labels.items())
        before = last.get(instance)
        if before is not None and before.ended is not None:
            out.append((one.fired - before.ended, 0 < one.run == before.run))
        last[instance] = one
    return out


# -- alerts that come together ------------------------------------------------------------------------------------


def _grouping(by_alert: Mapping[str, Sequence[Firing]]) -> list[Suggestion]:
    """Alerts whose firings begin with another's: one notice for both, or the lesser held back by the greater."""
    ranked = sorted((key for key, those in by_alert.items() if len(those) >= FEWEST),
                    key=lambda key: (-len(by_alert[key]), key))[:MOST_NAMES]
    starts = {key: [one.fired for one in by_alert[key]] for key in ranked}
    out: list[Suggestion] = []
    taken: set[str] = set()
    for index, one in enumerate(ranked):
        if one in taken:
            continue
        partners = [(other, _together(starts[other], starts[one]), _together(starts[one], starts[other]))
                    for other in ranked[index + 1:] if other not in taken]
        alike = [other for other, there, here in partners if there >= MOST and here >= MOST]
        if alike:
            taken.update((one, *alike))
            saves = sum(len(starts[other]) for other in alike)
            names = tuple(_name(other)[0] for other in alike)
            begin = "begins" if len(names) == 1 else "begin"
            out.append(Suggestion(
                *_name(one), "group", "", f"{', '.join(names[:4])} {begin} with it within {format_duration(TOGETHER)}: "
                "one notice for all of them", saves, len(starts[one]) + saves, others=names))
        follows = [other for other, there, here in partners if there >= MOST > here]
        for other in follows:
            taken.add(other)
            share = _together(starts[other], starts[one])
            out.append(Suggestion(
                *_name(other), "inhibit", "", f"{share * 100:.0f} % of its firings come with {_name(one)[0]}, which "
                "also fires without it: hold it back while that one fires", round(share * len(starts[other])),
                len(starts[other]), others=(_name(one)[0],)))
    return out


def _together(some: Sequence[datetime], others: Sequence[datetime]) -> float:
    """Share of some firings that begin within TOGETHER of one of the others."""
    near = 0
    for moment in some:
        at = bisect.bisect_left(others, moment - TOGETHER)
        near += at < len(others) and others[at] <= moment + TOGETHER
    return near / len(some)


def _name(key: str) -> tuple[str, str]:
    name, severity = key.split("\0")
    return name, severity
