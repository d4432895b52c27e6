"""The command line, the API, the calendar and the page say the same, and let nobody in who may not read."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.store import open_store
from mainstay.app import MAINSTAY
from mainstay.doors.as_json import encode
from mainstay.doors.front import ServerSettings
from mainstay.doors.http import build_app
from mainstay.doors.security import TokenStore
from mainstay.doors.web.oncall_content import on_call_table, pages
from mainstay.kernel.catalog import load
from mainstay.kernel.ports import World
from mainstay.oncall.grammar import GRAMMAR
from mainstay.oncall.operations.asking import SHIFTS, ShiftsRequest, shifts
from mainstay.oncall.operations.changing import OverrideRequest, override
from oncall.rotations import utc
from toy_server import Client

NOW = utc("2026-03-04T12:00Z")

_CATALOG = """
apiVersion: mainstay/v1
kind: Rotation
metadata: {name: office}
spec:
  timezone: ZONE
  start: "2026-02-23T09:00"
  turn: 1d
  members: [ana, ben, {who: chloe, from: "2026-03-10T00:00"}]
  restrictions: [{days: [mon, tue, wed, thu, fri], from: "09:00", to: "17:00"}]
---
apiVersion: mainstay/v1
kind: Rotation
metadata: {name: rest}
spec: {timezone: ZONE, start: "2026-02-23T02:30", turn: 1w, members: [dora, nobody]}
---
apiVersion: mainstay/v1
kind: Schedule
metadata: {name: web}
spec: {layers: [office, rest]}
"""


def _world(folder: Path, zone: str = "America/New_York") -> World:
    (folder / "rota.yaml").write_text(_CATALOG.replace("ZONE", zone))
    catalog, findings = load([folder], GRAMMAR)
    assert not findings
    clock = FakeClock(NOW)
    store = open_store(f"sqlite:///{folder}/s.db", clock)

    def nothing(_: object) -> Any:
        raise AssertionError("not asked")

    return World(clock, catalog, store.journal, store.ledger, nothing, nothing, actor="lead")


def _client(world: World, settings: ServerSettings | None = None) -> Client:
    on_call, = (word for word in MAINSTAY.words if word.name == "oncall")
    app = build_app(on_call.operations(), lambda actor: replace(world, actor=actor),
                    settings or ServerSettings(catalog="shop"), pages())
    return Client(app)


def _events(text: str) -> list[tuple[str, str, str]]:
    """The events of a calendar by a reading of the lines themselves."""
    lines = text.replace("\r\n ", "").split("\r\n")
    found: list[tuple[str, str, str]] = []
    event: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        event = {} if line == "BEGIN:VEVENT" else {**event, name: value}
        if line == "END:VEVENT":
            start, end = (datetime.strptime(event[key], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                          for key in ("DTSTART", "DTEND"))
            found.append((str(start), str(end), event["X-MAINSTAY-WHO"]))
    return found


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"])
@pytest.mark.parametrize("name", ["office", "rest", "web"])
def test_command_api_and_calendar_give_the_same_answers(tmp_path: Path, zone: str, name: str):
    world = _world(tmp_path, zone)
    override(world, OverrideRequest("office", "zoe", "2026-03-12T08:00", "2026-03-12T20:00"))
    client = _client(world)
    # The feed goes from four weeks before to half a year after now, and shifts are whole in it.
    feed = _events(client.get(f"/api/v1/oncall/ical/{name}.ics").text)
    start, end = feed[0][0], feed[-1][1]
    request = ShiftsRequest(name, datetime.fromisoformat(start).isoformat(), datetime.fromisoformat(end).isoformat())
    said = json.loads(encode(SHIFTS.as_json(shifts(world, request))))  # type: ignore[misc]
    asked = client.get("/api/v1/oncall/shifts", params={"rotation": name, "since": start, "until": end}).json()
    assert asked == said
    held = [(str(datetime.fromisoformat(one["start"])), str(datetime.fromisoformat(one["end"])), one["who"])
            for one in said if one["who"] is not None]
    assert feed == held
    for one in said[::7]:
        middle = datetime.fromisoformat(one["start"]) + timedelta(seconds=1)
        answer = client.get("/api/v1/oncall/who", params={"names": name, "at": middle.isoformat()}).json()
        assert answer["on_call"][0]["who"] == one["who"]


def test_a_subscription_needs_a_token_once_there_is_one_and_reading_is_enough(tmp_path: Path):
    tokens = TokenStore(tmp_path / "tokens.json")
    token = tokens.create("calendar", ["read"], now=NOW)
    client = _client(_world(tmp_path), ServerSettings(catalog="shop", token_file=tmp_path / "tokens.json"))
    address = "/api/v1/oncall/ical/web"
    assert client.get(address).status_code == 401
    assert client.get(f"{address}?token=mst_00000000_wrong").status_code == 401
    basic = base64.b64encode(f"me:{token}".encode()).decode()
    for found in (client.get(f"{address}?token={token}"),
                  client.get(address, headers={"Authorization": f"Basic {basic}"}),
                  client.get(address, headers={"Authorization": f"Bearer {token}"})):
        assert found.status_code == 200
        assert found.headers["content-type"].startswith("text/calendar")
    assert client.get(address, headers={"Authorization": "Basic ?"}).status_code == 401
    writing = tokens.create("writer", ["write"], now=NOW)
    assert client.get(f"{address}?token={writing}").status_code == 403


def test_the_feed_of_a_person_is_theirs_alone_and_a_wrong_name_says_so(tmp_path: Path):
    client = _client(_world(tmp_path))
    assert {who for *_, who in _events(client.get("/api/v1/oncall/ical/all?person=ben").text)} == {"ben"}
    for wrong in ("/api/v1/oncall/ical/wbe", "/api/v1/oncall/ical/all?person=bne"):
        answer = client.get(wrong)
        assert answer.status_code == 404
        assert "did you mean" in answer.json()["error"]["message"]


# -- the page --------------------------------------------------------------------------------------------------------


def test_the_calendar_names_people_marks_overrides_and_says_where_nobody_is(tmp_path: Path):
    world = _world(tmp_path)
    override(world, OverrideRequest("office", "zoe", "2026-03-05T10:00", "2026-03-05T14:00"))
    text = _client(world).get("/oncall?view=week&day=2026-03-05").text
    assert "On call: 2 Mar – 8 Mar 2026" in text
    assert "zoe (override)" in text
    assert 'class="shift uncovered' in text
    assert ">nobody<" in text
    assert text.count("<title>") >= 5, "every bar says in words what it is"
    assert 'aria-label="web: ' in text
    assert 'class="today"' in text


def test_a_month_is_the_weeks_that_it_touches_and_a_week_with_a_change_of_clocks_is_whole(tmp_path: Path):
    client = _client(_world(tmp_path))
    assert client.get("/oncall?view=month&day=2026-03-05").text.count('class="rota"') == 6
    week = client.get("/oncall?view=week&day=2026-03-08").text
    widths = [float(width) for width in re.findall(r'<svg x="[\d.]+%" width="([\d.]+)%"', week)]
    assert sum(widths) == pytest.approx(100, abs=0.01)
    assert widths[6] < widths[0], "the day on which clocks are set forward has 23 hours"
    assert client.get("/oncall?day=soon").status_code == 400


def test_the_forms_of_the_calendar_act_and_need_its_token(tmp_path: Path):
    client = _client(_world(tmp_path))
    page = client.get("/oncall")
    csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)
    assert csrf
    sent = {"csrf": csrf[1], "rotation": "office", "who": "zoe", "since": "2026-03-05T10:00",
            "until": "2026-03-05T14:00", "replaces": "", "note": ""}
    cookie = page.headers["set-cookie"].partition(";")[0]
    refused = client.post("/oncall/override", data={**sent, "csrf": "wrong"}, headers={"Cookie": cookie})
    assert refused.status_code == 403
    done = client.post("/oncall/override", data=sent, headers={"Cookie": cookie})
    assert "O-1 is in force" in done.text
    assert "zoe (override)" in client.get("/oncall?day=2026-03-05").text


def test_an_empty_catalog_says_what_would_fill_the_page_and_the_overview_leaves_it_out(tmp_path: Path):
    world = _world(tmp_path)
    assert on_call_table(world) is not None
    (tmp_path / "rota.yaml").write_text("apiVersion: mainstay/v1\nkind: Person\nmetadata: {name: ana}\nspec: {}\n")
    bare = replace(world, catalog=load([tmp_path], GRAMMAR)[0])
    assert on_call_table(bare) is None
    assert "declares no rotation" in _client(bare).get("/oncall").text
