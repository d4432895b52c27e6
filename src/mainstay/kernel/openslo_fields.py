"""Fields of OpenSLO's SLO that more than one word reads: targets, budgeting methods, calendars, lengths of windows.

Source: OpenSLO specification v1, kind `SLO`.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.method import Method, Occurrences, RatioTimeslices, Timeslices, step_of
from mainstay.kernel.quantity import Target, Window, parse_duration, parse_window, zone_named
from mainstay.kernel.reader import Reader

METHODS = ("Occurrences", "Timeslices", "RatioTimeslices")


def read_target(one: Reader) -> Target | None:
    """The target of an objective, which stands either in `target` or in `targetPercent`."""
    if one.has("target") == one.has("targetPercent"):
        one.ignore("target", "targetPercent")
        one.report("one-of", f"{one.path} needs target or targetPercent" + (", not both" if one.has("target") else ""),
                   "write target: 0.999 or targetPercent: 99.9")
        return None
    one.ignore("target", "targetPercent")
    if one.has("targetPercent"):
        return one.target("targetPercent")
    return one.parsed("target", lambda text: ratio_target(text, "targetPercent"))


def ratio_target(text: str, percent: str = "") -> Target:
    """`0.999` as a target.

    Args:
        percent: the field beside it that takes per cent, if there is one, for whoever wrote per cent.

    Raises:
        InvalidInput: not a number above 0 and at most 1.
    """
    try:
        ratio = Decimal(text)
    except InvalidOperation:
        raise InvalidInput(f'"{text}" is not a number', "write a ratio such as 0.999") from None
    if not ratio.is_finite() or not 0 < ratio <= 1:
        raise InvalidInput(f"target {text} is outside 0..1",
                           "write a ratio such as 0.999" + (f", or {percent}: {text}" if percent else ""))
    return Target.percent(ratio.scaleb(2))


def slice_length(text: str) -> timedelta:
    """`5m`, or a bare number of minutes (`timeSliceWindow`).

    Raises:
        InvalidInput: not a length of time.
    """
    return parse_duration(f"{text}m" if text.isdigit() else text)


def read_method(one: Reader, name: str) -> Method:
    """The budgeting method of that name with the slices that an objective declares for it."""
    length = one.parsed("timeSliceWindow", slice_length, required=name != "Occurrences")
    share = one.parsed("timeSliceTarget", ratio_target, required=name == "Timeslices")
    method: Method = Occurrences()
    if length is not None and name == "RatioTimeslices":
        method = RatioTimeslices(length)
    elif length is not None and share is not None and name == "Timeslices":
        method = Timeslices(length, share)
    try:
        step_of(method)
    except InvalidInput as error:
        one.report("invalid-value", error.message, error.way_out, "timeSliceWindow")
    return method


def read_calendar(calendar: Reader | None) -> tuple[str, datetime | None]:
    """A calendar's zone and the wall-clock time at which its periods start; UTC and None where there is no calendar."""
    if calendar is None:
        return "UTC", None
    zone = calendar.parsed("timeZone", lambda text: str(zone_named(text))) or "UTC"
    anchor = calendar.parsed("startTime", wall_time)
    calendar.done()
    return zone, anchor


def wall_time(text: str) -> datetime:
    """`2022-01-01 12:00:00` as a wall-clock time without zone.

    Raises:
        InvalidInput: not one.
    """
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=None)
    except ValueError:
        raise InvalidInput(f'"{text}" is not a wall-clock time', 'write "2026-01-01 00:00:00"') from None


def window_of(text: str, *, rolling: bool, zone: str) -> Window:
    """A window's `duration`.

    Raises:
        InvalidInput: not one; where minutes were meant to be months, that is said.
    """
    try:
        return parse_window(text, rolling=rolling, zone=zone)
    except InvalidInput as error:
        if found := re.fullmatch(r"\s*(\d{1,2})m\s*", text):
            raise InvalidInput(error.message, f"m is minutes: write {found[1]}M for months") from None
        raise
