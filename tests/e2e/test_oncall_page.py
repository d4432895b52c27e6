"""The calendar of who is on call in a real browser: phones, themes, keys, and an override made by its form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.store import open_store
from mainstay.app import MAINSTAY
from mainstay.doors.front import Hooks, ServerSettings
from mainstay.doors.http import build_app
from mainstay.doors.web.oncall_content import pages
from mainstay.kernel.catalog import load
from mainstay.kernel.ports import World
from mainstay.oncall.grammar import GRAMMAR
from oncall.rotations import utc
from programs import need
from toy_server import running

pytestmark = pytest.mark.server("chromium")
_EXAMPLE = Path(__file__).parents[2] / "examples" / "05-on-call" / "rota.yaml"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    catalog, _ = load([_EXAMPLE], GRAMMAR)
    clock = FakeClock(utc("2026-11-25T20:00Z"))
    store = open_store(f"sqlite:///{tmp_path}/s.db", clock)
    nothing: Any = None
    world = World(clock, catalog, store.journal, store.ledger, nothing, nothing)
    settings, hooks = ServerSettings(port=0, catalog="shop"), Hooks()
    on_call, = (word for word in MAINSTAY.words if word.name == "oncall")
    app = build_app(on_call.operations(), lambda actor: replace(world, actor=actor), settings, pages(),
                    hooks)
    with running(app, settings, hooks) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = need("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=[
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield found
        found.close()


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_week_and_a_month_fit_and_complain_of_nothing(browser: Any, url: str, width: int, scheme: str):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme,
                                  timezone_id="Europe/Berlin")
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("request", lambda request: asked.append(request.url))
    for view in ("week", "month"):
        page.goto(f"{url}/oncall?view={view}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        wide = [box["width"] for box in (one.bounding_box() for one in page.locator(".rota-bars").all()) if box]
        assert wide
        assert max(wide) <= width
    assert page.locator(".rota-now time").first.text_content() == "26 Nov, 10:00", "the viewer's zone, here Berlin"
    assert said == []
    assert all(one.startswith(url) for one in asked)
    context.close()


def test_an_override_is_made_with_the_keyboard_and_shown(browser: Any, url: str):
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    page.goto(f"{url}/oncall")
    page.locator("#o-rotation").select_option("web-primary")
    page.locator("#o-who").focus()
    page.keyboard.type("dora")
    page.locator("#o-since").fill("2026-11-26T18:00")
    page.locator("#o-until").fill("2026-11-27T02:00")
    page.locator("#o-until").press("Enter")
    page.wait_for_selector("text=O-1 is in force")
    page.goto(f"{url}/oncall?day=2026-11-26")
    assert "dora (override)" in page.locator(".rota").first.inner_text()
    context.close()


def test_a_swap_waits_on_the_page_until_it_is_accepted_there_and_can_be_withdrawn(browser: Any, url: str):
    context = browser.new_context(viewport={"width": 360, "height": 800})
    page = context.new_page()
    page.goto(f"{url}/oncall")
    for field, value in (("who", "ana"), ("ask", "ben"), ("since", "2026-12-21T09:00"), ("until", "2026-12-23T09:00")):
        page.locator(f"#s-{field}").fill(value)
    page.locator("#s-rotation").select_option("web-primary")
    page.locator("#s-until").press("Enter")
    page.wait_for_selector("text=W-1 is requested")
    page.goto(f"{url}/oncall")
    assert "ana asks ben to take web-primary" in page.locator(".rota-asked").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("text=Accept W-1").click()
    page.wait_for_selector("text=W-1 is accepted")
    page.goto(f"{url}/oncall")
    assert "web-primary: ben, in place of ana" in page.locator(".rota-asked").inner_text()
    page.locator("text=Withdraw W-1").click()
    page.wait_for_selector("text=W-1 is withdrawn")
    page.goto(f"{url}/oncall")
    assert page.locator(".rota-asked").count() == 0
    context.close()
