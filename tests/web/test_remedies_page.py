"""The page of remediations as it arrives, before any script runs; a button on it resumes what stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mainstay.app import MAINSTAY
from mainstay.doors.front import ServerSettings
from mainstay.doors.http import build_app
from mainstay.doors.security import TokenStore
from mainstay.doors.web.remedy_content import remedy_pages
from mainstay.kernel.actuation import Act, Ending, Outcome
from runbook.worlds import CATALOG, MINUTE, T0, Place
from toy_server import Client
from web.test_pages import Outline

OPERATIONS = next(word for word in MAINSTAY.words if word.name == "runbook").operations()
NASTY = "<script>alert(1)</script>"
BOLD = CATALOG.replace("{name: service, type: name}", "{name: service}")


def _fails(_: Act) -> Outcome | None:
    return Outcome(Ending.FAILED, error="exit 1")


def _served(place: Place) -> Client:
    return Client(build_app(OPERATIONS, lambda actor: replace(place.world, actor=actor),
                            ServerSettings(catalog="shop"), remedy_pages()))


@pytest.fixture
def stopped() -> Place:
    place = Place(BOLD.replace("mode: act", "mode: act\n  limits: {attempts: 1, stop_after: 1}"), answers=_fails)
    place.fires(NASTY)
    place.passes(MINUTE)
    return place


def _no_rules() -> Place:
    return Place(CATALOG.partition("---\napiVersion: mainstay/v1\nkind: Remediation")[0])


@pytest.mark.parametrize("query", ["", "?name=restart"])
def test_the_page_is_well_formed_and_readable_by_ear(stopped: Place, query: str) -> None:
    answer = _served(stopped).get(f"/runbook/remedies{query}")
    outline = Outline(answer.text)
    assert answer.status_code == 200
    assert outline.open == []
    assert outline.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    assert all("style" not in attributes for _, attributes in outline.tags)
    assert NASTY not in answer.text, "what an alert says is no markup"


def test_the_page_says_what_stopped_and_a_button_resumes_it(stopped: Place) -> None:
    client = _served(stopped)
    text = client.get("/runbook/remedies").text
    assert "restart stopped after failures in a row and waits for a person. 1 target left to people" in text
    form = text.split('action="/runbook/remedies"')[1].split("</form>")[0]
    fields = {one["name"]: one.get("value") for one in Outline(f"<form>{form.split('>', 1)[1]}</form>").all("input")}
    assert client.post("/runbook/remedies", data=fields).status_code == 303, "the page is shown again"
    assert "waits for a person" not in client.get("/runbook/remedies").text
    [resumed] = stopped.facts("remedy.resumed")
    assert resumed.data["by"] == "local"


def test_without_a_rule_the_page_says_how_to_have_one() -> None:
    text = _served(_no_rules()).get("/runbook/remedies").text
    assert "Nothing is being seen to." in text
    assert "kind Remediation" in text


def test_an_unknown_rule_is_not_found() -> None:
    assert _served(_no_rules()).get("/runbook/remedies?name=no-such").status_code == 404


def test_a_webhook_with_a_token_triggers_a_rule(tmp_path: Path) -> None:
    place = Place(CATALOG.replace('when: {alert: [alertname="Down"]}', "when: {called: true}"))
    token = TokenStore(tmp_path / "tokens.json").create("hook", ["write"], now=T0)
    client = Client(build_app(OPERATIONS, lambda actor: replace(place.world, actor=actor),
                              ServerSettings(token_file=tmp_path / "tokens.json"), remedy_pages()))
    hook = {"name": "restart", "label": ["service=web"]}
    assert client.post("/api/v1/runbook/trigger", json=hook).status_code == 401
    answer = client.post("/api/v1/runbook/trigger", json=hook, headers={"Authorization": f"Bearer {token}"})
    assert [one["kind"] for one in answer.json()["decisions"]] == ["triggered", "started"]
