"""Beginning an experiment over HTTP and from its page: who may, what is shown before, what is answered."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from chaos.test_starting import CALLING, Room
from mainstay.app import MAINSTAY
from mainstay.chaos.operations.finding import runs_of
from mainstay.doors.front import Act, Hooks, ServerSettings
from mainstay.doors.http import build_app
from mainstay.doors.openapi import describe
from mainstay.doors.web.chaos_content import chaos_pages
from mainstay.kernel.journal import Batch, NewFact
from toy_server import Client
from web.test_pages import Outline

OPERATIONS = next(word for word in MAINSTAY.words if word.name == "chaos").operations()


def served(room: Room, acts: list[Act] | None = None) -> Client:
    acts = [] if acts is None else acts
    return Client(build_app(OPERATIONS, lambda actor: replace(room.world, actor=actor), ServerSettings(catalog="shop"),
                            chaos_pages(), Hooks(audit=acts.append)))


def token_of(text: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', text)
    assert found is not None
    return found[1]


def test_beginning_over_http_answers_with_the_run_and_where_it_can_be_followed() -> None:
    room, acts = Room(), list[Act]()
    client = served(room, acts)
    csrf = token_of(client.get("/chaos/start?name=auth-slow").text)
    answer = client.post("/api/v1/chaos/start", json={"experiment": "auth-slow", "reference": "pipeline 12"},
                         headers={"X-CSRF-Token": csrf})
    assert (answer.status_code, answer.json()["run"]) == (202, "EXP-1"), answer.text
    assert answer.headers["location"] == "/api/v1/chaos/report?run=EXP-1"
    assert client.get(answer.headers["location"]).json()["run"]["reference"] == "pipeline 12"
    assert [f"{act.operation}: {act.outcome}" for act in acts] == ["chaos start: begun", "chaos start: done (exit 0)"]
    assert acts[0].actor == runs_of(room.world)["EXP-1"].by
    assert "202" in describe(OPERATIONS)["paths"]["/api/v1/chaos/start"]["post"]["responses"]


def test_the_page_shows_what_would_be_done_and_its_button_leads_to_the_run() -> None:
    room = Room()
    client = served(room)
    assert 'href="/chaos/start?name=auth-slow"' in client.get("/chaos").text
    page = client.get("/chaos/start?name=auth-slow")
    outline = Outline(page.text)
    assert outline.open == []
    for words in ("Blast radius", "100 %", "Error budget", "dependency-slow", "Begin it now"):
        assert words in page.text
    assert "disabled" not in page.text
    done = client.post("/chaos/start?name=auth-slow", data={
        "csrf": token_of(page.text), "act": "start", "experiment": "auth-slow"}, follow_redirects=False)
    assert (done.status_code, done.headers["location"]) == (303, "/chaos/show?name=EXP-1")
    assert "passed" in client.get(done.headers["location"]).text


def test_what_forbids_it_stands_on_the_page_and_in_the_answer() -> None:
    room = Room()
    client = served(room)
    csrf = token_of(client.get("/chaos/start?name=auth-slow").text)
    room.journal.commit(Batch([NewFact("incident.opened", "INC-1", room.clock.now(), {"service": "api"})]))
    page = client.get("/chaos/start?name=auth-slow").text
    assert "INC-1 is open on api" in page
    assert "disabled" in page
    answer = client.post("/api/v1/chaos/start", json={"experiment": "auth-slow"}, headers={"X-CSRF-Token": csrf})
    assert (answer.status_code, "INC-1 is open" in answer.json()["error"]["message"]) == (403, True)
    form = client.post("/chaos/start?name=auth-slow", data={"csrf": csrf, "act": "start", "experiment": "auth-slow"})
    assert (form.status_code, "INC-1 is open" in form.text) == (403, True)
    assert room.commands == []


@pytest.mark.parametrize(("body", "status", "says"), [
    ({"experiment": "auth-slwo"}, 404, "auth-slow"), ({"experiment": "toolkit.json"}, 400, "is a file"),
    ({"experiment": "auth-slow", "duration": "-3s"}, 400, "-3s"),
    ({"experiment": "auth-slow", "by": "somebody"}, 400, "by"), ({}, 400, "experiment")])
def test_what_cannot_be_begun_is_refused_and_no_process_is(body: dict[str, str], status: int, says: str) -> None:
    room = Room()
    client = served(room)
    csrf = token_of(client.get("/chaos/start?name=auth-slow").text)
    answer = client.post("/api/v1/chaos/start", json=body, headers={"X-CSRF-Token": csrf})
    assert (answer.status_code, says in answer.text) == (status, True), answer.text
    assert room.commands == []


def test_a_python_probe_is_left_to_a_terminal() -> None:
    client = served(Room(CALLING))
    assert "only mainstay chaos run --allow-python" in client.get("/chaos/start?name=auth-slow").text
