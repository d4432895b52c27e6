"""The calendar of who is on call, and who is now on the overview, filled from what the operations found."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal, cast
from urllib.parse import quote, urlencode

from mainstay.doors.web.oncall_pages import TONES, Asked, Bar, CalendarPage, Day, Made, Now, Row, Week
from mainstay.doors.web.pages import Page, PageQuery
from mainstay.doors.web.slo_pages import Choice
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span, format_duration, zone_named
from mainstay.kernel.view import Cell, Table, table
from mainstay.kernel.wallclock import instant_of, local_of
from mainstay.kernel.wording import many
from mainstay.oncall.changes import MadeOverride
from mainstay.oncall.operations.asking import WhoRequest, duty_of, pagers_of, who
from mainstay.oncall.operations.duty import Duty
from mainstay.oncall.roster import Shift
from mainstay.oncall.spec import Person, Rotation, Schedule
from mainstay.oncall.view import moment, moment_cell, person

_DAY = timedelta(days=1)


def pages() -> tuple[Page, ...]:
    """The hand-made page of the word."""
    return (Page("/oncall", "calendar", "oncall.html", calendar_page, word="oncall"),)


def on_call_table(world: World) -> Table | None:
    """Who has which pager now, for the overview; nothing where the catalog declares no rotation."""
    if not world.catalog.of(Rotation):
        return None
    found = who(world, WhoRequest(tuple(pagers_of(world))))
    return table("On call now", ("pager", "who", "until", "then"), [
        (Cell(one.name, link=f"oncall/shifts?rotation={quote(one.name)}"), person(one.who, via=one.via),
         moment_cell(one.until) if one.until is not None else "–",
         person(one.then) if one.until is not None else "–") for one in found.on_call])


def calendar_page(world: World, query: PageQuery) -> CalendarPage:
    """A week or a month of every pager."""
    if not world.catalog.of(Rotation):
        return CalendarPage("On call", "", False, "UTC", (), (), (), (), table("", (), ()), (), (), "",
                            empty="The catalog declares no rotation. docs/guides/oncall.md shows how to write one, and "
                            "mainstay oncall import FILE -o DIR takes one over from another tool.")
    duty, now = duty_of(world), world.clock.now()
    names = pagers_of(world)
    zone_name = query.get("zone") or duty.rosters(names[0])[0].rotation.zone
    zone = zone_named(zone_name)
    view = "month" if query.get("view") == "month" else "week"
    first = _first_day(query.get("day"), view, local_of(now, zone).date())
    mondays = [first - timedelta(days=first.weekday())]
    while (following := mondays[-1] + timedelta(weeks=1)) < _following(first, view, +1):
        mondays.append(following)
    span = Span(_midnight(mondays[0], zone), _midnight(mondays[-1] + timedelta(weeks=1), zone))
    tones = _tones(world, duty, names, span)
    weeks = tuple(_week(duty, names, (monday, zone, now), tones) for monday in mondays)
    listed = [(name, one) for name in names for one in duty.shifts(name, span)]
    gaps = [one for _, one in listed if one.who is None]
    verdict = f"Nobody is on call in {many(len(gaps), 'gap')}." if gaps else "Somebody is on call all the time."
    shifts = table("", ("pager", "from", "to", "on call", "length>"), [
        (name, moment_cell(one.start), moment_cell(one.end), person(one.who, via=one.via),
         format_duration(one.length)) for name, one in listed], empty="the span is empty")
    rotations = tuple(one.name for one in world.catalog.of(Rotation))
    people = tuple(sorted({one.name for one in world.catalog.of(Person)} | set(tones)))
    return CalendarPage(
        _title(first, view), verdict, bool(gaps), zone_name, _views(view, first, query), _moves(view, first, query),
        tuple(_now(world, name) for name in names), weeks, shifts, rotations, people,
        f"/api/v1/oncall/ical/{quote(names[0])}",
        tuple(Asked(one.id, f"{one.who} asks {one.asked} to take {one.rotation} from", one.span, one.back)
              for one in duty.changes.waiting(now)),
        tuple(map(_made, duty.changes.ahead(now))))


def _made(one: MadeOverride) -> Made:
    over = one.override
    whom = f", in place of {over.replaces}" if over.replaces else ""
    note = f" ({over.note})" if over.note else ""
    return Made(one.id, f"{one.rotation}: {over.who or 'nobody'}{whom}, from", over.span, f"{note}, by {one.by}",
                over.note.removeprefix("swap ") if over.via == "swap" else "")


def _first_day(asked: str, view: str, today: date) -> date:
    try:
        day = date.fromisoformat(asked) if asked else today
    except ValueError:
        raise InvalidInput(f'"{asked}" is not a day', "write 2026-03-02") from None
    if not 1971 < day.year < 2999:
        raise InvalidInput(f'"{asked}" is too far away', "write a year from 1972 to 2998")
    return day.replace(day=1) if view == "month" else day - timedelta(days=day.weekday())


def _following(first: date, view: str, step: int) -> date:
    if view == "week":
        return first + timedelta(weeks=step)
    months = first.year * 12 + first.month - 1 + step
    return date(months // 12, months % 12 + 1, 1)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return instant_of(datetime(day.year, day.month, day.day), zone)  # noqa: DTZ001  (wall clock)


def _share(at: datetime, span: Span) -> float:
    return round((at - span.start) / span.length * 100, 4)


def _title(first: date, view: str) -> str:
    if view == "month":
        return f"{first:%B %Y}"
    last = first + timedelta(days=6)
    return f"{first:%-d %b} – {last:%-d %b %Y}"


def _address(query: PageQuery, view: str, day: date) -> str:
    kept = {"view": view, "day": day.isoformat()}
    if query.get("zone"):
        kept["zone"] = query.get("zone")
    return f"oncall?{urlencode(kept)}"


def _views(view: str, first: date, query: PageQuery) -> tuple[Choice, ...]:
    return tuple(Choice(name, _address(query, name, first), name == view) for name in ("week", "month"))


def _moves(view: str, first: date, query: PageQuery) -> tuple[Choice, ...]:
    back, ahead = _following(first, view, -1), _following(first, view, +1)
    today = f"oncall?view={view}" + (f"&zone={quote(query.get('zone'))}" if query.get("zone") else "")
    return (Choice("← earlier", _address(query, view, back)), Choice("today", today),
            Choice("later →", _address(query, view, ahead)))


def _week(duty: Duty, names: list[str], known: tuple[date, tzinfo, datetime], tones: dict[str, int]) -> Week:
    monday, zone, now = known
    span = Span(_midnight(monday, zone), _midnight(monday + timedelta(weeks=1), zone))
    days = []
    for day in (monday + _DAY * number for number in range(7)):
        left, right = (_share(_midnight(one, zone), span) for one in (day, day + _DAY))
        month = f" {day:%b}" if day.day == 1 else ""
        days.append(Day(left, round(right - left, 4), f"{day:%a}", f"{day.day}{month}", day.weekday() >= 5))
    return Week(tuple(days), tuple(_row(duty, name, span, tones) for name in names),
                _share(now, span) if span.holds(now) else None)


def _now(world: World, name: str) -> Now:
    held = who(world, WhoRequest((name,))).on_call[0]
    schedule = world.catalog.find(Schedule, name)
    layers = ", ".join(schedule.layers) if schedule is not None and len(schedule.layers) > 1 else ""
    return Now(name, held.who or "", held.until, layers)


def _tones(world: World, duty: Duty, names: list[str], span: Span) -> dict[str, int]:
    """A colour for everybody, the same on every page as long as the catalog is."""
    people = dict.fromkeys(who for one in world.catalog.of(Rotation) for who in one.members if who is not None)
    people |= dict.fromkeys(one.who for name in names for one in duty.shifts(name, span) if one.who is not None)
    return {who: number % TONES for number, who in enumerate(people)}


def _row(duty: Duty, name: str, span: Span, tones: dict[str, int]) -> Row:
    shifts = duty.shifts(name, span)
    says = "; ".join(_says(one) for one in shifts)
    return Row(name, tuple(_bar(one, span, tones) for one in shifts), f"{name}: {says}",
               f"oncall/shifts?{urlencode({'rotation': name, 'since': _iso(span.start), 'until': _iso(span.end)})}")


def _iso(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _says(one: Shift) -> str:
    via = f" ({one.via})" if one.via in ("override", "swap") else ""
    return f"{one.who or 'nobody'}{via} from {moment(one.start)} to {moment(one.end)}"


def _bar(one: Shift, span: Span, tones: dict[str, int]) -> Bar:
    left, right = _share(one.start, span), _share(one.end, span)
    kind = cast(Literal["rotation", "override", "swap", "uncovered"], "uncovered" if one.who is None else one.via)
    return Bar(left, round(right - left, 4), one.who or "nobody", kind, tones.get(one.who or "", 0), _says(one))
