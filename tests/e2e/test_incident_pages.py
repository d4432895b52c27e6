"""The pages of incidents in a real browser, on a real server: what a person clicks from opening to resolving."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from command import mainstay
from e2e.browsing import PATIENCE, follow
from e2e.live import Serving, serving, until

pytestmark = pytest.mark.server("chromium")

PLAN = """
apiVersion: openslo/v1
kind: Service
metadata: {name: checkout, displayName: Checkout}
spec: {description: Takes orders}
---
apiVersion: mainstay/v1
kind: Person
metadata: {name: ana}
spec: {timezone: Europe/Berlin, contacts: {terminal: ana}}
---
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana]}], fallback: [person:ana]}
"""


@dataclass
class Room:
    """A server with a plan, and a page that has complained of nothing."""

    server: Serving
    folder: Path

    def command(self, *words: str) -> None:
        """The same as somebody at another terminal would type."""
        assert mainstay(self.folder, *words, "-c", "plan").code == 0


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "plan.yaml").write_text(PLAN)
    with serving(tmp_path, "-c", "plan", "--every", "1h") as server:
        yield Room(server, tmp_path)


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_an_incident_is_opened_acknowledged_noted_updated_and_resolved_by_clicking(
        open_page: Any, room: Room, script: bool):
    page = open_page("/incident/open", java_script_enabled=script)
    page.get_by_label("title").fill("checkout answers 500")
    page.get_by_label("severity").fill("SEV1")
    page.get_by_label("service").first.fill("checkout")
    follow(page, page.get_by_role("button", name="Open"))
    page.goto(room.server.url + "/incident")
    assert "1 incident open, 1 of them nobody's." in page.locator(".verdict").text_content()
    follow(page, page.get_by_role("link", name="checkout answers 500"))
    assert page.locator(".roles .missing").count() == 4
    follow(page, page.get_by_role("button", name="Acknowledge", exact=True))
    assert page.locator(".verdict").text_content().split() == ["SEV1", "Investigating;", "local", "has", "it."]
    page.get_by_label("What happens").fill("restarted the cache <b>")
    follow(page, page.get_by_role("button", name="Write a note"))
    page.get_by_text("local: restarted the cache <b>").wait_for()
    page.get_by_label("What happens").fill("Orders fail; a fix is on its way.")
    follow(page, page.get_by_role("button", name="Post as update"))
    page.get_by_text("Stakeholders were last told: Orders fail").wait_for()
    page.get_by_label("Who has it").fill("ana")
    follow(page, page.get_by_role("button", name="Give the role"))
    assert page.locator(".roles .missing").count() == 3
    follow(page, page.get_by_role("button", name="Identified"))
    follow(page, page.get_by_role("button", name="Resolve"))
    assert page.locator(".verdict").text_content().split() == ["SEV1", "Resolved."]
    assert page.get_by_role("button", name="Acknowledge").count() == 0
    page.goto(room.server.url + "/status")
    assert "All components are healthy." in page.locator(".verdict").text_content()
    assert page.get_by_text("Orders fail; a fix is on its way.").count() == 1
    assert page.get_by_text("restarted the cache").count() == 0, "notes are not public"


def test_a_refused_form_says_why_and_keeps_what_was_typed(open_page: Any, room: Room, complaints: list[str]):
    room.command("incident", "open", "checkout answers 500", "--service", "checkout")
    page = open_page("/incident/show?name=INC-1")
    page.evaluate("document.querySelector('#text').removeAttribute('required')")
    page.evaluate("document.querySelector('.write [name=name]').value = 'INC-9'")
    page.get_by_label("What happens").fill("a long note")
    with page.expect_navigation(timeout=PATIENCE) as answered:
        page.get_by_role("button", name="Write a note").click()
    assert answered.value.status == 404
    assert "INC-9" in page.locator(".refusal").text_content()
    assert page.get_by_label("What happens").input_value() == "a long note"
    until(lambda: page.wait_for_timeout(50) or complaints or None, 30, lambda: "the browser does not complain of a 404")
    assert len(complaints) == 1
    assert "404" in complaints.pop()


def test_what_somebody_does_elsewhere_shows_at_once_and_leaves_what_is_typed_alone(open_page: Any, room: Room):
    room.command("incident", "open", "checkout answers 500", "--service", "checkout", "--severity", "SEV1")
    page = open_page("/incident/show?name=INC-1")
    page.get_by_label("What happens").fill("half a sentence")
    room.command("incident", "ack", "INC-1", "--by", "ana")
    page.get_by_text("Investigating; ana has it.").wait_for(timeout=PATIENCE)
    assert page.get_by_label("What happens").input_value() == "half a sentence"


def test_what_somebody_reads_stays_in_its_place_when_a_line_comes_in_above_it(open_page: Any, room: Room):
    room.command("incident", "open", "checkout answers 500", "--service", "checkout", "--severity", "SEV1")
    for number in range(12):
        room.command("incident", "note", "INC-1", f"note {number}")
    page = open_page("/incident/show?name=INC-1", reduced_motion="reduce")
    page.set_viewport_size({"width": 1200, "height": 300})
    place = "[...document.querySelectorAll('.timeline li')].find((one) => one.innerText.endsWith('note 3'))"
    page.evaluate(f"{place}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    before = page.evaluate(f"{place}.getBoundingClientRect().top")
    room.command("incident", "note", "INC-1", "a new one")
    page.get_by_text("a new one").wait_for(timeout=PATIENCE)
    assert abs(page.evaluate(f"{place}.getBoundingClientRect().top") - before) < 2


def test_the_time_to_the_next_update_counts_down(open_page: Any, room: Room):
    from playwright.sync_api import expect

    room.command("incident", "open", "checkout answers 500", "--severity", "SEV1")
    page = open_page("/incident/show?name=INC-1")
    first = page.locator(".verdict-box .ticking").nth(1).text_content()
    assert first.startswith("in 14:")
    expect(page.locator(".verdict-box .ticking").nth(1)).not_to_have_text(first, timeout=PATIENCE)
    assert page.locator(".verdict-box .ticking").nth(1).text_content() < first


@pytest.mark.parametrize("path", ["/incident", "/incident/show?name=INC-1", "/status"])
def test_a_phone_needs_no_sideways_scrolling(open_page: Any, room: Room, path: str):
    room.command("incident", "open", "a" * 60 + " answers 500", "--service", "checkout", "--severity", "SEV1")
    room.command("incident", "update", "INC-1", "b" * 80)
    page = open_page(path, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
