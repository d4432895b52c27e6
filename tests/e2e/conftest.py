"""A browser, and pages that have complained of nothing, for the tests that look at a server's pages.

A module that opens pages says which server by a fixture `room`, whose `server` is one of `e2e.live`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from programs import need

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
             "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, one for all tests of a module."""
    chromium = need("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What pages complain of; a test takes out what it has expected, and at its end nothing is left."""
    found: list[str] = []
    yield found
    assert found == []


@pytest.fixture
def open_page(browser: Any, room: Any, complaints: list[str]) -> Iterator[Any]:
    """Opens a path of the room's server in a window of its own."""
    contexts: list[Any] = []

    def open_one(path: str, *, width: int = 1200, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text)
                if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(room.server.url + path)
        return page

    yield open_one
    for context in contexts:
        context.close()
