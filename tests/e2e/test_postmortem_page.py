"""A post-mortem written in a browser whose scripts are off, on a real server; what was refused keeps what was typed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from e2e.browsing import follow
from e2e.live import Serving, serving
from incident import story
from mainstay.adapters.clock import SystemClock
from mainstay.adapters.store import open_store
from mainstay.kernel.journal import Batch, NewFact
from programs import need

pytestmark = pytest.mark.server("chromium")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
EDITOR = "/incident/postmortem?name=INC-1"


def _lived_through(folder: Path) -> None:
    """The recorded incident, as if it had ended two hours ago."""
    store = open_store(f"sqlite:///{folder}/mainstay.db", SystemClock())
    shift = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2) - story.at("15:08")
    for fact in story.recorded():
        data = dict(fact.data)
        if "due" in data:
            data["due"] = (datetime.fromisoformat(data["due"]) + shift).isoformat()
        store.journal.commit(Batch([NewFact(fact.kind, fact.subject, fact.at + shift, data, fact.key, fact.actor)]))
    store.journal.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    need("chromium")
    folder = tmp_path_factory.mktemp("postmortem")
    _lived_through(folder)
    with serving(folder, "-c", str(story.EXAMPLE)) as running:
        yield running


@pytest.fixture
def browser() -> Iterator[Any]:
    chromium = need("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


def _page(browser: Any, server: Serving, path: str = EDITOR, **more: Any) -> Any:
    page = browser.new_context(java_script_enabled=False, **more).new_page()
    page.goto(server.url + path)
    return page


def _write(page: Any, section: str, text: str) -> None:
    page.locator(f"#w-{section}").fill(text)
    follow(page, page.locator(f"form#{section} button"))


def test_a_post_mortem_is_written_and_taken_to_review_by_clicking(browser: Any, server: Serving) -> None:
    page = _page(browser, server, "/incident/postmortems")
    assert "INC-1" in page.locator("#answer").inner_text()
    follow(page, page.get_by_role("link", name="INC-1"))
    assert page.locator("h1").inner_text() == "checkout answers 500 to 9 % of requests"

    follow(page, page.get_by_role("button", name="Take it to review"))
    refusal = page.locator(".refusal").inner_text()
    assert 'section "summary" is empty' in refusal
    assert "there is no action item" in refusal

    for section in page.locator("form.write label:has(.empty-yet)").all():
        assert section.inner_text().endswith("missing")
    for key in ("summary", "users", "cause", "trigger", "whys", "factors", "detection", "resolution", "went-well",
                "went-poorly", "lucky"):
        _write(page, key, f"- what is to be said of {key}\r\n- and <b>more</b>")
    assert page.locator(".empty-yet").count() == 0
    assert page.locator("#w-cause").input_value() == "- what is to be said of cause\n- and <b>more</b>"

    page.locator("#add-text").fill("alert on the use of the pool")
    page.locator("#add-due").fill("soon")
    follow(page, page.get_by_role("button", name="Add"))
    assert '"soon" is no due date' in page.locator(".refusal").inner_text()
    assert page.locator("#add-text").input_value() == "alert on the use of the pool"
    page.locator("#add-due").fill("14d")
    follow(page, page.get_by_role("button", name="Add"))
    follow(page, page.get_by_role("button", name="Take it to review"))
    assert "AI-1 has no owner" in page.locator(".refusal").inner_text()
    page.locator("#AI-1-owner").fill("ben")
    follow(page, page.get_by_role("button", name="Set"))
    follow(page, page.get_by_role("button", name="Take it to review"))
    assert page.locator(".refusal").count() == 0
    follow(page, page.get_by_role("button", name="Publish it"))
    assert "Published." in page.locator("main").inner_text()
    assert page.locator("textarea").count() == 0
    assert page.locator("#cause + div li").all_inner_texts() == ["what is to be said of cause", "and <b>more</b>"]


def test_who_writes_what_another_wrote_meanwhile_keeps_what_was_typed_and_sees_the_other_text(
        browser: Any, server: Serving, tmp_path: Path) -> None:
    _lived_through(tmp_path)
    with serving(tmp_path, "-c", str(story.EXAMPLE)) as other:
        mine, theirs = _page(browser, other), _page(browser, other)
        _write(theirs, "cause", "their words")
        _write(mine, "cause", "my words")
        assert "written by somebody else meanwhile" in mine.locator("form#cause .refusal").inner_text()
        assert mine.locator("#w-cause").input_value() == "my words"
        assert "their words" in mine.locator("form#cause details").inner_text()
        follow(mine, mine.locator("form#cause button"))
        assert mine.locator(".refusal").count() == 0
        assert mine.locator("#w-cause").input_value() == "my words"
        _write(mine, "factors", "Ana should have known.")
        assert "blames" in mine.locator("form#factors .finding").inner_text()


def test_nobody_verifies_their_own_work_on_the_page_of_action_items(browser: Any, server: Serving,
                                                                    tmp_path: Path) -> None:
    _lived_through(tmp_path)
    with serving(tmp_path, "-c", str(story.EXAMPLE)) as other:
        page = _page(browser, other)
        page.locator("#add-text").fill("alert on the use of the pool")
        page.locator("#add-owner").fill("ben")
        follow(page, page.get_by_role("button", name="Add"))
        page.goto(other.url + "/incident/actions")
        follow(page, page.get_by_role("button", name="Done"))
        follow(page, page.get_by_role("button", name="Verify"))
        assert "cannot verify it" in page.locator("#AI-1 .refusal").inner_text()
        follow(page, page.get_by_role("button", name="Open again"))
        assert "open, no date yet" in page.locator("#AI-1").inner_text()


def test_a_form_of_another_site_writes_nothing(server: Serving) -> None:
    with server.client as client:
        before = client.get("/api/v1/incident/postmortems", params={"name": "INC-1"}).json()["postmortem"]["sections"]
        sent = {"act": "write", "name": "INC-1", "section": "cause", "seen": "0", "text": "x"}
        assert client.post(EDITOR, data=sent).status_code == 403
        assert client.post(EDITOR, data={**sent, "csrf": "guessed"}).status_code == 403
        assert client.post("/incident/actions", data={"act": "write"}).status_code in (400, 403)
        after = client.get("/api/v1/incident/postmortems", params={"name": "INC-1"}).json()["postmortem"]["sections"]
        assert before == after


@pytest.mark.parametrize("path", [EDITOR, "/incident/actions", "/incident/postmortems", "/incident/stats"])
def test_a_phone_needs_no_sideways_scrolling(browser: Any, server: Serving, path: str) -> None:
    page = browser.new_context(viewport={"width": 360, "height": 800}).new_page()
    page.goto(server.url + path)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
