"""Schedules of other tools give the same answers for a year; calendars say what the command line says."""

# ruff: noqa: DTZ001  (wall-clock times have no zone of their own)

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.adapters.clock import FakeClock
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.quantity import Span
from mainstay.oncall.calendar import Feed, as_csv, as_ical, uid, whole_shifts
from mainstay.oncall.exchange import goalert, grafana, icalendars, linkedin, pagerduty
from mainstay.oncall.exchange.taken import Asked, Taken, differences, name_of
from mainstay.oncall.exchange.writing import as_yaml
from mainstay.oncall.grammar import GRAMMAR
from mainstay.oncall.operations.importing import ImportRequest, import_schedules
from mainstay.oncall.roster import Roster, Shift, layered
from mainstay.oncall.spec import Override, Rotation, Schedule
from memory_world import memory_world
from oncall import exports
from oncall.rotations import NEW_YORK, override, rotation, utc
from shared_data import shared

icalendar = pytest.importorskip("icalendar")

_ASKED = Asked(exports.NOW)
_TOOLS: list[tuple[str, Any, Any, exports.Who]] = [
    ("pagerduty", pagerduty, exports.pagerduty, exports.pagerduty_who),
    ("goalert", goalert, exports.goalert, exports.goalert_who),
    ("linkedin", linkedin, exports.linkedin, exports.linkedin_who),
    ("grafana", grafana, exports.grafana, exports.grafana_who)]


def _loaded(taken: Taken, folder: Path) -> Callable[[str, Span], list[Shift]]:
    """The taken schedules written as YAML, read back as a catalog, and asked."""
    (folder / "taken.yaml").write_text(as_yaml(taken.rotations, taken.schedules, taken.people.values()))
    catalog, findings = load([folder], GRAMMAR)
    assert [one.render() for one in findings if one.code != "unreachable"] == [], "exports name nobody's contacts"

    def ask(name: str, span: Span) -> list[Shift]:
        schedule = catalog.find(Schedule, name)
        names = schedule.layers if schedule is not None else (name,)
        return layered([Roster(catalog.get(Rotation, layer)) for layer in names], span)

    return ask


@pytest.mark.parametrize(("title", "room", "export", "who"), _TOOLS, ids=[tool[0] for tool in _TOOLS])
def test_every_hour_of_a_year_has_the_person_that_the_other_tool_has(title, room, export, who, tmp_path):
    document = json.loads(json.dumps(export()))
    assert room.recognised(document)
    assert [name for name, other, *_ in _TOOLS if other.recognised(document)] == [title], "no other reader wants it"
    taken = room.take(document, _ASKED)
    name = taken.schedules[0].name if taken.schedules else taken.rotations[0].name
    ask = _loaded(taken, tmp_path)
    shifts = ask(name, Span(exports.NOW, exports.NOW + exports.YEAR))
    at = 0
    wrong = []
    for moment in exports.hours():
        while shifts[at].end <= moment:
            at += 1
        if shifts[at].who != who(moment):
            wrong.append((moment, shifts[at].who, who(moment)))
    assert wrong == []


def test_layers_listed_bottom_first_are_put_right_by_the_final_schedule():
    document = exports.pagerduty()
    schedule = document["schedule"]
    entries = []
    at = exports.NOW
    while at < exports.NOW + timedelta(days=20):
        who = str(exports.pagerduty_who(at + timedelta(minutes=30)))
        entries.append({"start": at.isoformat(), "end": (at + timedelta(hours=1)).isoformat(),
                        "user": {"id": f"P{who.upper()}", "summary": who}})
        at += timedelta(hours=1)
    schedule["final_schedule"] = {"rendered_schedule_entries": entries}
    straight = pagerduty.take(document, _ASKED)
    assert differences(straight, _ASKED) == []
    schedule["schedule_layers"].reverse()
    turned = pagerduty.take(document, _ASKED)
    assert differences(turned, _ASKED) == []
    assert any("bottom first" in note for note in turned.notes)


def test_a_hand_off_in_the_skipped_hour_is_listed_as_a_difference_that_is_explained():
    # linkedin/oncall makes 02:30 on 8 March 2026 in New York 06:30Z (A3); we take 07:00Z.
    people = ("ana", "ben")
    walls = [datetime(2026, 3, 1, 2, 30) + timedelta(days=number) for number in range(30)]

    def theirs(wall: datetime) -> float:
        return utc("2026-03-08T06:30Z").timestamp() if wall == datetime(2026, 3, 8, 2, 30) else wall.replace(
            tzinfo=exports.NEW_YORK).timestamp()

    events = [{"team": "web", "role": "primary", "user": people[number % 2], "start": theirs(wall),
               "end": theirs(wall + timedelta(days=1))} for number, wall in enumerate(walls)]
    taken = linkedin.take({"name": "web", "scheduling_timezone": NEW_YORK, "events": events}, _ASKED)
    (one,) = differences(taken, _ASKED)
    assert (one.start, one.end, one.theirs, one.ours) == (
        utc("2026-03-08T06:30Z"), utc("2026-03-08T07:00Z"), "ben", "ana")
    assert one.why
    assert taken.rotations[0].overrides == ()


def test_hours_that_goalert_counts_on_the_wall_clock_are_said():
    document = exports.goalert()
    document["data"]["rotations"]["nodes"][0] |= {"type": "hourly", "shiftLength": 12}
    assert any("wall clock" in note for note in goalert.take(document, _ASKED).notes)


@pytest.mark.parametrize(("room", "document"), [
    (pagerduty, {"schedule": {"name": "x", "time_zone": "Mars/Base", "schedule_layers": []}}),
    (pagerduty, {"schedule": {"name": "x", "time_zone": "UTC", "schedule_layers": "none"}}),
    (goalert, {"data": {"schedules": {"nodes": [{"name": "x", "timeZone": "UTC", "targets": [
        {"target": {"id": "gone", "type": "rotation"}, "rules": [
            {"start": "00:00", "end": "00:00", "weekdayFilter": [True] * 7}]}]}]}}}),
    (linkedin, {"name": "x", "events": [{"user": "ana", "role": "p", "start": "soon", "end": 3}]}),
    (grafana, {"schedules": [], "on_call_shifts": []}),
    (grafana, {"schedules": [{"name": "x", "shifts": ["1"]}], "on_call_shifts": [
        {"id": "1", "name": "s", "type": "rolling_users", "frequency": "daily", "duration": 0,
         "start": "2026-01-01T00:00:00", "rolling_users": [["u"]]}]})])
def test_an_export_that_cannot_be_used_says_why(room, document):
    with pytest.raises(InvalidInput):
        room.take(document, _ASKED)


@pytest.mark.parametrize(("export", "path", "value"), [
    (exports.pagerduty, ("schedule", "schedule_layers", 0, "users", 0), 7),
    (exports.pagerduty, ("schedule", "schedule_layers", 0, "start"), "0001-01-01T00:00:00Z"),
    (exports.pagerduty, ("schedule", "schedule_layers", 0, "rotation_turn_length_seconds"), 10**30),
    (exports.goalert, ("data", "rotations", "nodes", 0, "activeUserIndex"), "soon"),
    (exports.goalert, ("data", "rotations", "nodes", 0, "shiftLength"), 10**8),
    (exports.goalert, ("data", "schedules", "nodes", 0, "targets", 0, "target"), ["r-day"]),
    (exports.goalert, ("data", "userOverrides", "nodes", 0, "start"), 0),
    (exports.linkedin, ("rosters", "web", "users"), 5),
    (exports.grafana, ("on_call_shifts", "results", 0, "rolling_users"), 3)])
def test_an_export_with_something_else_where_its_tool_has_a_value_is_refused_and_no_bug(
        export: Callable[[], Any], path: tuple[Any, ...], value: object, tmp_path: Path):
    document = export()
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (tmp_path / "export.json").write_text(json.dumps(document))
    world = memory_world(FakeClock(exports.NOW), Catalog())
    with pytest.raises(InvalidInput):
        import_schedules(world, ImportRequest(str(tmp_path / "export.json"), ahead="30d"))


# -- calendars -------------------------------------------------------------------------------------------------------


def _read(text: str) -> list[tuple[datetime, datetime, str]]:
    """What a generic reader, the icalendar library, finds in a calendar."""
    (calendar,) = icalendar.Calendar.from_ical(text, multiple=True)
    return [(event["DTSTART"].dt.astimezone(UTC), event["DTEND"].dt.astimezone(UTC),
             str(event["SUMMARY"]).partition(" on call: ")[0]) for event in calendar.walk("VEVENT")]


@pytest.mark.parametrize(("start", "first", "instants"), [
    ("2026-03-06T02:30", "2026-03-07T07:30Z", ["2026-03-07T07:30Z", "2026-03-08T07:00Z", "2026-03-09T06:30Z"]),  # A3
    ("2026-10-30T01:30", "2026-10-31T05:30Z", ["2026-10-31T05:30Z", "2026-11-01T05:30Z", "2026-11-02T06:30Z"])])  # A4
def test_a_generic_reader_finds_the_instants_of_hand_offs_around_a_change_of_clocks(start, first, instants):
    roster = Roster(rotation(NEW_YORK, start, "1d", "ABC"))
    span = Span(utc(first), utc(instants[-1]) + timedelta(hours=1))
    text = as_ical(Feed("web", span.start, [("web", one) for one in whole_shifts(roster.shifts, span)]))
    assert [begin for begin, _, _ in _read(text)] == [utc(one) for one in instants]
    assert "RRULE" not in text
    assert all(line.endswith("Z") for line in text.split("\r\n") if line.startswith(("DTSTART", "DTEND")))


def test_an_event_keeps_its_identity_when_somebody_else_takes_it_and_wherever_one_looks_from():
    roster = Roster(rotation("UTC", "2026-03-02T09:00", "1w", "ABC"))
    swapped = Roster(roster.rotation, (override("2026-03-09T09:00Z", "2026-03-16T09:00Z", "Z"),))
    spans = [Span(utc(f"2026-03-{day:02}T12:00Z"), utc("2026-04-10T00:00Z")) for day in (3, 10, 12)]
    told = [{uid("web", one.start): one.who for one in whole_shifts(asked.shifts, span)}
            for asked in (roster, swapped) for span in spans]
    assert set(told[0]) >= set(told[1]) == set(told[2])
    assert set(told[3]) == set(told[0])
    assert told[0] != told[3]


def test_a_shift_without_end_is_cut_at_months_so_that_it_is_the_same_whenever_it_is_exported():
    roster = Roster(rotation("UTC", "2020-01-01T00:00", "1w", "A"))
    monday, later = (whole_shifts(roster.shifts, Span(utc(f"2026-03-{day}T00:00Z"), utc("2026-05-01T00:00Z")))
                     for day in (10, 20))
    assert monday == later
    assert [one.start for one in monday] == [utc("2026-03-01T00:00Z"), utc("2026-04-01T00:00Z")]


def test_lines_are_folded_at_75_octets_and_texts_are_escaped():
    who = "ä; b, c\\ " + "長" * 60
    shift = Shift(utc("2026-01-01T00:00Z"), utc("2026-01-02T00:00Z"), who, "web", "rotation")
    text = as_ical(Feed("web", shift.start, [("web", shift)]))
    assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
    assert _read(text)[0][2] == who


def test_a_name_that_a_spreadsheet_would_run_is_quoted():
    shift = Shift(utc("2026-01-01T00:00Z"), utc("2026-01-02T00:00Z"), "=1+1", "web", "rotation")
    assert ",'=1+1," in as_csv(Feed("web", shift.start, [("web", shift)]))


@st.composite
def _rotas(draw: st.DrawFn) -> tuple[Roster, Span]:
    zone = draw(st.sampled_from((NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata")))
    start = datetime(2026, 2, 2, draw(st.integers(0, 23)), draw(st.sampled_from((0, 30))))
    people = [f"p{number}" for number in range(draw(st.integers(2, 6)))]
    made = [Override(Span(begin, begin + timedelta(hours=draw(st.integers(1, 40)))), draw(st.sampled_from(people)))
            for begin in draw(st.lists(st.integers(0, 24 * 300), max_size=2).map(
                lambda hours: [utc("2026-02-04T00:00Z") + timedelta(hours=hour) for hour in hours]))]
    turn = draw(st.sampled_from(("1d", "1w", "2w")))
    roster = Roster(rotation(zone, start.isoformat(), turn, people), made)
    return roster, Span(roster.turn_start(1), roster.turn_start(1) + timedelta(days=340))


@settings(max_examples=12, deadline=None)
@given(_rotas())
def test_what_is_exported_and_imported_again_says_the_same(rota: tuple[Roster, Span]):
    roster, span = rota
    held = whole_shifts(roster.shifts, span)
    text = as_ical(Feed("web", span.start, [("web", one) for one in held], roster.rotation.zone))
    assert _read(text) == [(one.start, one.end, one.who) for one in held]
    asked = Asked(span.start + timedelta(days=1), timedelta(days=330))
    taken = icalendars.take(text, asked, "web")
    assert [one for one in differences(taken, asked) if not one.why] == []


def test_an_hour_that_somebody_stood_in_for_is_no_change_of_clocks_however_near_one_is():
    # Clocks are set forward on 8 March 2026; an hour's cover that night, and one in the month after it.
    stood_in = (override("2026-03-08T08:00Z", "2026-03-08T09:00Z", "zoe"),
                override("2026-03-25T15:00Z", "2026-03-25T16:00Z", "zoe"),
                override("2026-03-26T15:00Z", "2026-03-26T16:00Z", None))
    roster = Roster(rotation(NEW_YORK, "2026-02-02T09:00", "1w", ["ana", "ben", "cleo"], overrides=stood_in))
    span = Span(utc("2026-02-02T14:00Z"), utc("2026-06-01T13:00Z"))
    held = [("web", one) for one in whole_shifts(roster.shifts, span)]
    taken = icalendars.take(as_ical(Feed("web", span.start, held, "UTC", {"web": NEW_YORK})), Asked(span.start), "web")
    found, = taken.rotations
    assert found.members == ("ana", "ben", "cleo")
    assert [(one.span, one.who) for one in found.overrides] == [(one.span, one.who) for one in stood_in]
    assert differences(taken, Asked(span.start)) == []


def test_recurring_events_of_three_people_become_a_rotation_of_three():
    # Made by hand after RFC 5545; 09:00 to 09:00 in Berlin, exact lengths, so that DST weeks overlap by an hour.
    events = "".join(
        f"BEGIN:VEVENT\r\nUID:{who}\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:On Call - {who} - Web\r\n"
        f"DTSTART;TZID=Europe/Berlin:202603{day:02}T090000\r\nDTEND;TZID=Europe/Berlin:202603{day + 7:02}T090000\r\n"
        f"RRULE:FREQ=WEEKLY;INTERVAL=3\r\nEND:VEVENT\r\n" for who, day in (("ana", 2), ("ben", 9), ("chloe", 16)))
    text = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{events}END:VCALENDAR\r\n"
    taken = icalendars.take(text, _ASKED, "web")
    (found,) = taken.rotations
    assert (found.zone, str(found.turn), found.members, found.overrides) == (
        "Europe/Berlin", "1w", ("ana", "ben", "chloe"), ())
    assert all(one.why for one in differences(taken, _ASKED))


def _calendar(*events: str, head: str = "") -> str:
    inner = "".join(f"BEGIN:VEVENT\nUID:{number}\nDTSTAMP:20260101T000000Z\n{event}\nEND:VEVENT\n"
                    for number, event in enumerate(events))
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{head}{inner}END:VCALENDAR\n".replace("\n", "\r\n")


def test_days_without_a_zone_are_of_the_zone_that_the_calendar_names_and_as_long_as_clocks_make_them():
    # As Google exports a week of whole days: dates without a zone, the calendar's own zone in its head.
    text = _calendar(*(
        f"SUMMARY:{who}\nDTSTART;VALUE=DATE:202603{day:02}\nDTEND;VALUE=DATE:202603{day + 7:02}\n"
        "RRULE:FREQ=WEEKLY;INTERVAL=3" for who, day in (("Ana", 2), ("Ben", 9), ("Chloe", 16))),
        head="X-WR-TIMEZONE:America/New_York\n")
    taken = icalendars.take(text, _ASKED, "web")
    found, = taken.rotations
    assert (found.zone, str(found.turn), found.members, found.overrides) == (
        NEW_YORK, "1w", ("ana", "ben", "chloe"), ())
    assert differences(taken, _ASKED) == []


def test_a_length_in_whole_days_is_by_the_calendar_and_one_in_hours_passes():
    def ends(length: str) -> list[datetime]:
        text = _calendar(f"SUMMARY:Ana\nDTSTART;TZID={NEW_YORK}:20260306T090000\nDURATION:{length}\n"
                         "RRULE:FREQ=WEEKLY;COUNT=2")
        return [one.end for one in icalendars.take(text, _ASKED, "web").truth["web"]]

    # Clocks are set forward on 8 March 2026 (RFC 5545, 3.3.6: a nominal duration in days or weeks).
    assert ends("P3D") == [utc("2026-03-09T13:00Z"), utc("2026-03-16T13:00Z")]
    assert ends("PT50H") == [utc("2026-03-08T16:00Z"), utc("2026-03-15T15:00Z")]


def test_a_first_week_in_which_clocks_change_makes_the_others_no_shorter_and_that_is_said():
    # By RFC 5545 every week of Ana's would have the 167 hours of her first one, and nobody would be on call after it.
    text = _calendar(*(
        f"SUMMARY:{who}\nDTSTART;TZID={NEW_YORK}:202603{day:02}T090000\n"
        f"DTEND;TZID={NEW_YORK}:202603{day + 7:02}T090000\n"
        "RRULE:FREQ=WEEKLY;INTERVAL=2" for who, day in (("Ana", 2), ("Ben", 9))))
    taken = icalendars.take(text, _ASKED, "web")
    found, = taken.rotations
    assert (str(found.turn), found.members, found.overrides) == ("1w", ("ana", "ben"), ())
    assert sum("clocks change" in note for note in taken.notes) == 1


def test_the_night_of_a_change_of_clocks_says_nothing_about_the_hours_of_other_nights():
    text = _calendar(*(f"SUMMARY:{who}\nDTSTART;TZID={NEW_YORK}:202603{day:02}T220000\nDURATION:PT10H\n"
                       "RRULE:FREQ=DAILY;INTERVAL=2;COUNT=60" for who, day in (("Ana", 2), ("Ben", 3))))
    taken = icalendars.take(text, _ASKED, "web")
    found, = taken.rotations
    assert (str(found.turn), found.members, found.overrides) == ("1d", ("ana", "ben"), ())
    assert [(one.start, one.end) for one in differences(taken, _ASKED)] == [
        (utc("2026-03-08T12:00Z"), utc("2026-03-08T13:00Z"))]


def test_calendars_of_other_programs_are_read_or_refused_with_a_reason():
    archive = shared("oncall/icalendar_tests_calendars.tar.gz")
    read = refused = 0
    with tarfile.open(archive) as files:
        for member in files.getmembers():
            if not member.isfile():
                continue
            file = files.extractfile(member)
            assert file is not None
            text = io.TextIOWrapper(file, encoding="utf-8", errors="replace").read()
            dated = re.search(r"BEGIN:VEVENT.*?DTSTART[^:]*:(\d{8})", text, re.DOTALL)
            now = datetime.fromisoformat(dated[1]) if dated else datetime(2015, 9, 1)
            try:
                taken = icalendars.take(text, Asked(now.replace(tzinfo=UTC), timedelta(days=30)), "x")
            except InvalidInput:
                refused += 1
            else:
                assert taken.rotations
                read += 1
    assert read + refused > 100
    assert read >= 20, (read, refused)


@pytest.mark.parametrize(("text", "name"), [
    ("Web Primary (EU)", "web-primary-eu"), ("ana@example.com", "ana"), ("Ana Díaz", "ana-diaz"), ("Groß", "gross"),
    ("  ", "unnamed")])
def test_names_become_what_a_catalog_takes(text, name):
    assert name_of(text) == name


def test_two_accounts_of_one_name_stay_two_people_and_that_is_said(tmp_path: Path):
    document = exports.pagerduty()
    layer = document["schedule"]["schedule_layers"][1]
    layer["users"] = [{"user": {"id": identity, "type": "user_reference", "summary": "Ana Reyes"}}
                      for identity in ("P1", "P2", "P1")]
    taken = pagerduty.take(document, _ASKED)
    assert taken.rotations[1].members == ("ana-reyes", "ana-reyes-2", "ana-reyes")
    assert any("ana-reyes-2" in note for note in taken.notes)
    _loaded(taken, tmp_path)


def test_names_in_other_letters_and_accounts_called_nobody_are_people_all_the_same(tmp_path: Path):
    document = exports.pagerduty()
    layer = document["schedule"]["schedule_layers"][1]
    names = ["李雷", "Иван", "Nobody", "李雷"]
    layer["users"] = [{"user": {"type": "user_reference", "summary": name}} for name in names]
    taken = pagerduty.take(document, _ASKED)
    assert taken.rotations[1].members == ("unnamed", "unnamed-2", "nobody-2", "unnamed")
    assert [taken.people[name].title for name in ("unnamed", "unnamed-2")] == ["李雷", "Иван"]
    ask = _loaded(taken, tmp_path)
    held = ask(taken.rotations[1].name, Span(exports.NOW, exports.NOW + timedelta(days=60)))
    assert None not in {one.who for one in held}


def test_rotations_of_two_zones_in_one_calendar_come_back_each_with_its_own():
    zones = {"here": NEW_YORK, "there": "Europe/Berlin"}
    span = Span(utc("2026-11-29T00:00Z"), utc("2027-06-01T00:00Z"))
    rosters = {name: Roster(replace(rotation(zone, "2026-11-02T09:00", "1w", ["ana", "ben", "cleo"]), name=name))
               for name, zone in zones.items()}
    held = [(name, one) for name, roster in rosters.items() for one in whole_shifts(roster.shifts, span)]
    taken = icalendars.take(as_ical(Feed("both", span.start, held, "UTC", zones)), Asked(span.start), "both")
    assert {one.name: one.zone for one in taken.rotations} == zones
    assert {one.name: one.start.hour for one in taken.rotations} == {"here": 9, "there": 9}
