"""The page of toil as it arrives, before any script runs; a tap on it is an entry in the ledger."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mainstay.doors.front import ServerSettings
from mainstay.doors.http import build_app
from mainstay.doors.web.pages import PageQuery
from mainstay.doors.web.toil_content import toil_page, toil_pages
from mainstay.kernel.journal import Batch, NewFact
from toil.ledgers import TODAY, TOIL, facts, weeks_of, work, world
from toy_server import Client
from web.test_pages import Outline

OPERATIONS = TOIL.operations()
NASTY = work(2, description="<script>alert(1)</script>", category='"><b>')


def served(entries=(), **more):
    made = world(entries, actor="local", **more)
    return made, Client(build_app(OPERATIONS, lambda actor: replace(made, actor=actor), ServerSettings(catalog="shop"),
                                  toil_pages()))


@pytest.mark.parametrize("entries", [(), [*weeks_of([0.2] * 6 + [0.5] * 6), NASTY]], ids=["empty", "full"])
@pytest.mark.parametrize("query", ["", "?range=90d", "?team=platform", "?team=nobody"])
def test_the_page_is_well_formed_and_readable_by_ear(entries, query):
    answer = served(entries)[1].get(f"/toil{query}")
    outline = Outline(answer.text)
    assert answer.status_code == 200
    assert outline.open == []
    assert outline.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    identities = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    assert all("style" not in attributes for _, attributes in outline.tags)
    drawn = [one for one in outline.all("svg") if "preserveAspectRatio".lower() not in one]
    assert all(one.get("aria-labelledby") or one.get("aria-hidden") for one in drawn)


def test_what_people_typed_is_no_markup():
    assert "<script>alert" not in served([NASTY])[1].get("/toil").text


def test_the_page_says_the_share_and_offers_the_recent_tasks():
    text = served(weeks_of([0.6] * 6))[1].get("/toil").text
    assert "60.0 % of the work is toil: at the line of 50 % or above." in text
    assert "Deploy by hand" in text
    assert "Worth automating first" in text


def test_an_empty_ledger_says_what_fills_it():
    text = served()[1].get("/toil").text
    assert "No work is logged." in text
    assert "mainstay toil log" in text


def test_what_programs_saved_is_shown_before_anybody_logged_anything():
    made, client = served()
    made.journal.commit(Batch([NewFact("toil.saved", "RB-1", made.clock.now(), {
        "hours": 0.2, "task": "Restart a service", "runbook": "restart-service", "service": "shop"})]))
    text = client.get("/toil").text
    assert "1 run of runbooks saved 0.20 h" in text
    assert "mainstay toil log" in text
    told = client.get("/api/v1/toil/report").json()
    assert (told["summary"]["state"], told["saved"][0]["hours"]) == ("no_data", 0.2)


def filled(text: str, act: str) -> dict[str, str | None]:
    """What a browser would send of the page's first form that does this, its buttons left out."""
    form = next(one for one in text.split("<form")[1:] if f'name="act" value="{act}"' in one).split("</form>")[0]
    return {one["name"]: one.get("value") for one in Outline(f"<form{form}</form>").all("input")}


def test_a_tap_is_an_entry_and_leads_back_to_the_page_which_says_so():
    made, client = served([work(3, description="Grant access", category="access", engineer="local")])
    answer = client.post("/toil?range=90d", data=filled(client.get("/toil").text, "log") | {"duration": "15m"},
                         follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/toil?range=90d")
    last = facts(made, "toil.logged")[-1]
    assert (last.subject, last.data["duration_hours"], last.data["date"]) == ("local", 0.25, TODAY.isoformat())
    assert f"You logged 0.25 h of Grant access on {TODAY:%-d %b}." in client.get("/toil").text


def test_what_was_logged_by_a_slip_of_the_finger_is_taken_back_where_it_was_tapped():
    made, client = served()
    client.post("/toil", data=filled(client.get("/toil").text, "log") | {"description": "Reboot", "duration": "1h"})
    client.post("/toil", data=filled(client.get("/toil").text, "withdraw"))
    assert [one.data["entry"] for one in facts(made, "toil.withdrawn")] == [facts(made, "toil.logged")[-1].seq]
    assert "You logged" not in client.get("/toil").text


def test_a_length_that_is_none_is_refused_on_the_page_and_nothing_is_logged():
    made, client = served()
    answer = client.post("/toil", data=filled(client.get("/toil").text, "log")
                         | {"description": "Reboot", "duration": "soon"})
    assert answer.status_code == 400
    assert "soon" in answer.text
    assert facts(made, "toil.logged") == []


def test_the_timer_is_started_and_stopped_on_the_page():
    made, client = served()
    client.post("/toil", data=filled(client.get("/toil").text, "start") | {"description": "Rotate keys"})
    text = client.get("/toil").text
    assert "Rotate keys, since" in text
    made.clock.sleep(1800)
    client.post("/toil", data=filled(text, "stop"))
    assert [one.kind for one in facts(made, "toil.started", "toil.stopped")] == ["toil.started", "toil.stopped"]


def test_who_may_not_write_cannot_tap():
    page = toil_page(world([work(1)], scopes=frozenset({"read"})), PageQuery({}, "30d"))
    assert not page.may_log
    assert toil_page(world([work(1)]), PageQuery({}, "30d")).may_log


def test_the_api_logs_and_reports():
    made, client = served()
    page = client.get("/toil").text
    token = page.split('name="csrf" value="')[1].split('"')[0]
    done = client.post("/api/v1/toil/log", json={"duration": "1h", "description": "Deploy"},
                       headers={"X-CSRF-Token": token})
    assert done.status_code == 200, done.text
    assert client.get("/api/v1/toil/report").json()["summary"]["total_toil_hours"] == 1
    assert client.get("/api/v1/toil/report?everyone=true&by=engineer").status_code == 200
    assert client.get("/api/v1/toil/report?logs=/etc/passwd").status_code == 400
    assert facts(made, "toil.logged")[0].subject == "local"
