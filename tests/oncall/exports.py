"""Exports of other tools, made from what their public documentation says, and who is on call by that documentation.

Each `*_who` is a reading of the tool's own words with plain zone arithmetic, hour by hour; it knows nothing of ours.
"""

# ruff: noqa: DTZ001  (wall-clock times have no zone of their own)

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
YEAR = timedelta(days=365)
NEW_YORK, BERLIN = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin")
Who = Callable[[datetime], str | None]


def hours() -> Iterator[datetime]:
    """Every hour of the year after NOW, at half past, where no hand-off of the exports falls."""
    at = NOW + timedelta(minutes=30)
    while at < NOW + YEAR:
        yield at
        at += timedelta(hours=1)


def _local(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


# -- PagerDuty: REST API, "Get a schedule" ---------------------------------------------------------------------------


def _user(name: str) -> dict[str, Any]:
    return {"user": {"id": f"P{name.upper()}", "type": "user_reference", "summary": name}}


def pagerduty() -> dict[str, Any]:
    """Weekly turns all day, covered on weekdays from nine to five by daily turns; an override on top."""
    return {"schedule": {
        "id": "PI7DH85", "name": "Web Primary", "time_zone": "America/New_York",
        "schedule_layers": [
            {"name": "Office", "start": "2026-02-02T09:00:00-05:00", "end": None,
             "rotation_virtual_start": "2026-02-02T09:00:00-05:00", "rotation_turn_length_seconds": 86400,
             "users": [_user("dora"), _user("emil"), _user("fay")],
             "restrictions": [{"type": "weekly_restriction", "start_day_of_week": day,
                               "start_time_of_day": "09:00:00", "duration_seconds": 28800} for day in range(1, 6)]},
            {"name": "Always", "start": "2026-02-02T09:00:00-05:00", "end": None,
             "rotation_virtual_start": "2026-01-05T09:00:00-05:00", "rotation_turn_length_seconds": 604800,
             "users": [_user("ana"), _user("ben"), _user("chloe")], "restrictions": []}],
        "overrides_subschedule": {"rendered_schedule_entries": [
            {"start": "2026-05-01T10:00:00-04:00", "end": "2026-05-02T10:00:00-04:00", **_user("zoe")}]}}}


def pagerduty_who(at: datetime) -> str | None:
    """By the documentation: the override, else the layer on top, else the other; turns by the wall clock."""
    wall = _local(at, NEW_YORK)
    if datetime(2026, 5, 1, 10) <= wall < datetime(2026, 5, 2, 10):
        return "zoe"
    if wall.weekday() < 5 and 9 <= wall.hour < 17:
        return ("dora", "emil", "fay")[(wall - datetime(2026, 2, 2, 9)).days % 3]
    return ("ana", "ben", "chloe")[(wall - datetime(2026, 1, 5, 9)).days // 7 % 3]


# -- GoAlert: GraphQL schema -----------------------------------------------------------------------------------------


def goalert() -> dict[str, Any]:
    """A weekly rotation by night and on weekends, a daily one by day, a replacement and a temporary schedule."""
    users = [{"id": name * 3, "name": name} for name in ("ana", "ben", "chloe", "dora", "emil")]
    weekdays, weekend = [False, *[True] * 5, False], [True, *[False] * 5, True]
    return {"data": {
        "users": {"nodes": users},
        "rotations": {"nodes": [
            # 2026-03-04 lies in the first day's turn since 09:00; whoever is active then is said by the index.
            {"id": "r-day", "name": "Day", "timeZone": "Europe/Berlin", "type": "daily", "shiftLength": 1,
             "start": "2026-03-01T09:00:00+01:00", "activeUserIndex": 1, "userIDs": ["anaanaana", "benbenben"]},
            {"id": "r-week", "name": "Week", "timeZone": "Europe/Berlin", "type": "weekly", "shiftLength": 1,
             "start": "2026-03-02T09:00:00+01:00", "activeUserIndex": 0,
             "userIDs": ["chloechloechloe", "doradoradora"]},
        ]},
        "schedules": {"nodes": [{
            "id": "s-1", "name": "Shop", "timeZone": "Europe/Berlin",
            "targets": [
                {"target": {"id": "r-day", "type": "rotation", "name": "Day"},
                 "rules": [{"start": "08:00", "end": "18:00", "weekdayFilter": weekdays}]},
                {"target": {"id": "r-week", "type": "rotation", "name": "Week"},
                 "rules": [{"start": "18:00", "end": "08:00", "weekdayFilter": weekdays},
                           {"start": "08:00", "end": "08:00", "weekdayFilter": weekend}]}],
            "temporarySchedules": [{"start": "2026-12-24T00:00:00Z", "end": "2026-12-27T00:00:00Z", "shifts": [
                {"userID": "emilemilemil", "start": "2026-12-24T00:00:00Z", "end": "2026-12-26T00:00:00Z"}]}]}]},
        "userOverrides": {"nodes": [{
            "id": "o-1", "start": "2026-06-01T00:00:00Z", "end": "2026-06-15T00:00:00Z", "addUserID": "emilemilemil",
            "removeUserID": "chloechloechloe", "target": {"id": "s-1", "type": "schedule"}}]}}}


def goalert_who(at: datetime) -> str | None:
    """By the documentation: the temporary schedule replaces everything; rules by the wall clock; then overrides."""
    if datetime(2026, 12, 24, tzinfo=UTC) <= at < datetime(2026, 12, 27, tzinfo=UTC):
        return "emil" if at < datetime(2026, 12, 26, tzinfo=UTC) else None
    wall = _local(at, BERLIN)
    if wall.weekday() < 5 and 8 <= wall.hour < 18:
        # Active at the export (4 March, 13:00 in Berlin) is ben, and his turn began at nine that day.
        return ("ben", "ana")[(wall - datetime(2026, 3, 4, 9)).days % 2]
    who = ("chloe", "dora")[(wall - datetime(2026, 3, 2, 9)).days // 7 % 2]
    covered = datetime(2026, 6, 1, tzinfo=UTC) <= at < datetime(2026, 6, 15, tzinfo=UTC)
    return "emil" if who == "chloe" and covered else who


# -- LinkedIn oncall: API documentation of teams and events ----------------------------------------------------------

_SECOND_OF_WEEK = {"monday": 86_400}


def linkedin() -> dict[str, Any]:
    """Weekly turns from Monday at six in the evening, filled in as events with their instants."""
    events, wall, people = [], datetime(2026, 2, 16, 18), ("ana", "ben", "chloe", "dora")
    for number in range(56):
        begin, end = wall + timedelta(weeks=number), wall + timedelta(weeks=number + 1)
        events.append({"id": number, "team": "web", "role": "primary", "user": people[number % 4],
                       "full_name": people[number % 4].title(), "schedule_id": 1,
                       "start": int(begin.replace(tzinfo=NEW_YORK).timestamp()),
                       "end": int(end.replace(tzinfo=NEW_YORK).timestamp())})
    return {"name": "web", "scheduling_timezone": "America/New_York", "events": events, "rosters": {"web": {
        "users": [{"name": name, "in_rotation": True} for name in people], "schedules": [{
            "id": 1, "role": "primary", "roster": "web", "auto_populate_threshold": 365, "advanced_mode": 0,
            "timezone": "America/New_York", "events": [
                {"start": _SECOND_OF_WEEK["monday"] + 18 * 3600, "duration": 604_800}]}]}}}


def linkedin_who(at: datetime) -> str | None:
    """The event that holds the moment."""
    return next((str(one["user"]) for one in linkedin()["events"] if one["start"] <= at.timestamp() < one["end"]), None)


# -- Grafana OnCall: HTTP API, "OnCall shifts" and "Schedules" -------------------------------------------------------


def grafana() -> dict[str, Any]:
    """Twelve hours of every weekday by weekly turns over a round-the-clock rotation, and one override."""
    return {
        "users": {"results": [{"id": f"U{name}", "username": name, "email": f"{name}@example.com"}
                              for name in ("alfa", "bravo", "charlie", "delta", "echo")]},
        "schedules": {"results": [{"id": "S1", "name": "EMEA", "type": "web", "time_zone": "Europe/Berlin",
                                   "shifts": ["O1", "O2", "O3"]}]},
        "on_call_shifts": {"results": [
            {"id": "O1", "name": "weekdays", "type": "rolling_users", "level": 2, "start": "2026-03-02T08:00:00",
             "duration": 43_200, "frequency": "weekly", "interval": 1, "week_start": "MO",
             "by_day": ["MO", "TU", "WE", "TH", "FR"], "rolling_users": [["Ualfa"], ["Ubravo"], ["Ucharlie"]],
             "start_rotation_from_user_index": 1},
            {"id": "O2", "name": "always", "type": "rolling_users", "level": 1, "start": "2026-03-01T12:00:00",
             "duration": 86_400, "frequency": "daily", "interval": 1, "rolling_users": [["Udelta"], ["Ualfa"]],
             "start_rotation_from_user_index": 0},
            {"id": "O3", "name": "cover", "type": "override", "start": "2026-07-01T08:00:00", "duration": 7200,
             "time_zone": "UTC", "users": ["Uecho"]}]}}


def grafana_who(at: datetime) -> str | None:
    """By the documentation: the override, else the higher level, else the lower one; all by the wall clock."""
    if datetime(2026, 7, 1, 8, tzinfo=UTC) <= at < datetime(2026, 7, 1, 10, tzinfo=UTC):
        return "echo"
    wall = _local(at, BERLIN)
    if wall.weekday() < 5 and 8 <= wall.hour < 20:
        return ("bravo", "charlie", "alfa")[(wall - datetime(2026, 3, 2, 8)).days // 7 % 3]
    return ("delta", "alfa")[(wall - datetime(2026, 3, 1, 12)).days % 2]
