"""The pages of runbooks in a real browser, on a real server: worked through, approved, followed live, answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command import mainstay
from e2e.browsing import PATIENCE, follow
from e2e.live import Serving, serving
from programs import need

pytestmark = pytest.mark.server("chromium")

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
             "--disable-component-update", "--disable-sync"]
BOOK = """
apiVersion: mainstay/v1
kind: Runbook
metadata: {name: drain-zone, displayName: Take a zone out, service: checkout}
spec:
  triggers: [{alert: HighErrors}]
  inputs: [{name: zone, allowed: [a, b]}]
  approval: {needed: 1}
  steps:
    - {name: drain, title: Take it out, command: [sh, -c, 'echo "draining $1"; sleep 4', sh, "${inputs.zone}"],
       undo: {command: [echo, fill]}}
    - {name: sure, ask: {question: Do errors fall?, choices: [yes, no], stops: [no]}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, Path]]:
    folder = tmp_path_factory.mktemp("pages")
    (folder / "plan").mkdir()
    (folder / "plan" / "book.yaml").write_text(BOOK)
    with serving(folder, "-c", "plan", "--every", "1h") as live:
        yield live, folder


@pytest.fixture
def page(server: tuple[Serving, Path]) -> Iterator[Any]:
    chromium = need("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        context = browser.new_context(viewport={"width": 1200, "height": 900},
                                      permissions=["clipboard-read", "clipboard-write"])
        opened = context.new_page()
        complaints: list[str] = []
        opened.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        yield opened
        context.close()
        browser.close()
    assert complaints == []


def test_a_runbook_is_worked_through_with_checks_and_copies(server: tuple[Serving, Path], page: Any):
    page.goto(f"{server[0].url}/runbook")
    follow(page, page.get_by_role("link", name="drain-zone"))
    page.get_by_label("Take it out").check()
    page.get_by_role("button", name="Copy").first.click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith("sh -c ")
    page.reload()
    assert page.get_by_label("Take it out").is_checked()
    assert not page.get_by_label("Do errors fall?").is_checked()


def test_a_run_is_approved_followed_and_answered_without_reloading(server: tuple[Serving, Path], page: Any):
    live, folder = server
    asked = mainstay(folder, "runbook", "run", "drain-zone", "--input", "zone=b", "--detach", "--json", "-c", "plan")
    run = json.loads(asked.out)["id"]
    page.goto(f"{live.url}/runbook/status?name={run}")
    assert "awaits 1 approval" in page.locator(".verdict").text_content()
    follow(page, page.get_by_role("button", name="Approve"))
    page.get_by_text("draining b", exact=True).wait_for(timeout=PATIENCE)
    page.get_by_role("heading", name="Do errors fall?").wait_for(timeout=PATIENCE)
    follow(page, page.get_by_role("button", name="Yes"))
    page.locator(".verdict", has_text="succeeded").wait_for(timeout=PATIENCE)
    follow(page, page.get_by_role("link", name="Every act, in the audit"))
    assert page.get_by_text("says what it said").count() == 1


def test_whoever_asked_for_a_run_is_told_that_somebody_else_approves_it(server: tuple[Serving, Path], page: Any):
    page.goto(f"{server[0].url}/runbook/run?name=drain-zone&input=zone%3Da")
    follow(page, page.get_by_role("button", name="Run"))
    follow(page, page.get_by_role("link", name="RB-").first)
    assert page.get_by_role("button", name="Approve").is_disabled()
    assert page.get_by_text("You asked for this run").count() == 1
