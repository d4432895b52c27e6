"""Every page that a filled server links to: opened in a real browser, held to what each page has to be."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest

from command import mainstay
from e2e.live import Serving, serving

pytestmark = pytest.mark.server("chromium")

LONG, UNBROKEN, MARKUP, TURNED = ("a name that somebody typed without ever thinking of how wide a page is " * 3,
                                  "x" * 180, "<script>alert('x')</script>", "שירות התשלומים الدفع 🔥")


def _yaml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


PLAN = f"""
apiVersion: openslo/v1
kind: Service
metadata: {{name: checkout, displayName: {_yaml(UNBROKEN)}}}
spec: {{description: Takes orders}}
---
apiVersion: mainstay/v1
kind: Person
metadata: {{name: ana, displayName: {_yaml(TURNED)}}}
spec: {{timezone: Europe/Berlin, contacts: {{terminal: ana}}}}
---
apiVersion: mainstay/v1
kind: Rotation
metadata: {{name: primary}}
spec: {{timezone: Europe/Berlin, start: "2026-03-02T09:00", turn: 12h, members: [ana, nobody]}}
---
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {{name: web}}
spec: {{steps: [{{page: [person:ana]}}], fallback: [person:ana]}}
---
apiVersion: mainstay/v1
kind: Runbook
metadata: {{name: drain, displayName: {_yaml(UNBROKEN)}, service: checkout}}
spec:
  description: {_yaml(MARKUP)}
  inputs: [{{name: zone, allowed: [a, b]}}]
  approval: {{needed: 1}}
  steps:
    - {{name: look, title: {_yaml(LONG)}, command: [echo, {_yaml(UNBROKEN)}], changes: false}}
    - {{name: sure, ask: {{question: {_yaml(MARKUP)}, choices: [yes, no], stops: [no]}}}}
---
apiVersion: mainstay/v1
kind: Remediation
metadata: {{name: drain-when-down, service: checkout}}
spec: {{mode: observe, when: {{alert: ['alertname="Down"']}}, target: checkout, runbook: drain, inputs: {{zone: a}},
        limits: {{attempts: 2, within: 1h}}, verify: {{within: 5m, for: 1m}}}}
---
apiVersion: mainstay/v1
kind: Workload
metadata: {{name: api}}
spec: {{address: "127.0.0.1:9", health: /healthz, process: {{pid: {{file: api.pid}}}}, experiments: true}}
---
apiVersion: mainstay/v1
kind: Experiment
metadata: {{name: api-paused, displayName: {_yaml(UNBROKEN)}}}
spec:
  target: api
  hypothesis: {{probes: [{{name: {_yaml(LONG[:80])}, type: health}}]}}
  faults: [{{kind: process-pause}}]
  duration: 5s
"""
EACH = 2
"""Pages of one address with different queries that are opened; the others look the same."""

LOOK = (Path(__file__).parent / "look.js").read_text()


@dataclass(frozen=True)
class Opened:
    """A page as it came without a browser."""

    path: str
    title: str


@pytest.fixture(scope="module", params=["filled", "empty"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("pages")
    (folder / "plan").mkdir()
    if request.param == "filled":
        _fill(folder)
    with serving(folder, "-c", "plan", "--every", "1h") as live:
        yield live


def _fill(folder: Path) -> None:
    (folder / "plan" / "plan.yaml").write_text(PLAN)
    (folder / "work.jsonl").write_text("".join(json.dumps({
        "date": f"2026-{month:02}-{day:02}", "duration_hours": 1, "type": kind, "engineer": "ana", "team": team,
        "category": MARKUP, "description": what}) + "\n"
        for month in range(9, 12) for day in range(1, 28, 3) for kind, team, what in
        (("toil", "a&b", UNBROKEN), ("engineering", "platform", LONG), ("incident", "platform", MARKUP))))

    def done(*words: str) -> None:
        answer = mainstay(folder, *words, "-c", "plan")
        assert answer.code == 0, answer.err

    done("toil", "import", "work.jsonl")
    done("incident", "open", MARKUP, "--severity", "SEV1", "--service", "checkout")
    done("incident", "open", UNBROKEN, "--severity", "SEV2", "--service", "checkout")
    done("incident", "note", "INC-1", UNBROKEN)
    done("incident", "update", "INC-1", MARKUP)
    done("incident", "resolve", "INC-1")
    done("incident", "action", "add", "INC-1", UNBROKEN, "--owner", "ana", "--due", "3d")
    done("toil", "start", LONG)
    mainstay(folder, "runbook", "run", "drain", "--input", "zone=a", "--detach", "-c", "plan")


@pytest.fixture(scope="module")
def pages(server: Serving) -> list[Opened]:
    """Every page that can be reached from the first one by links; all of them answer, with HEAD as with GET."""
    found: list[Opened] = []
    waiting, seen, times, wrong = [("/", "")], set[str](), dict[str, int](), []
    with server.client as client:
        while waiting:
            path, source = waiting.pop(0)
            bare = urlsplit(path).path
            if path in seen or times.get(bare, 0) == EACH:
                continue
            seen.add(path)
            times[bare] = times.get(bare, 0) + 1
            answer = client.get(path, headers={"Accept": "text/html"})
            asked = client.head(path, headers={"Accept": "text/html"})
            if answer.status_code != 200 or asked.status_code != 200:
                wrong.append((path, source, answer.status_code, asked.status_code))
            if "text/html" not in answer.headers["content-type"]:
                continue
            title = re.search("<title>(.*?)</title>", answer.text, re.DOTALL)
            found.append(Opened(path, html.unescape(title[1]) if title else ""))
            for link in re.findall(r'\shref="([^"]*)"', answer.text):
                there = urldefrag(urljoin(server.url + path, html.unescape(link))).url
                assert there.startswith(server.url), f"{path} leads away: {there}"
                waiting.append((there.removeprefix(server.url) or "/", path))
    assert wrong == []
    return found


def test_every_link_leads_somewhere_and_every_page_says_in_its_title_what_it_shows(pages: list[Opened]):
    assert len(pages) > 60
    assert all(page.title for page in pages)
    of_one = [page for page in pages if re.search(r"/show\?|/postmortem\?|/status\?name", page.path)]
    assert len({page.title for page in of_one}) == len(of_one)


def test_every_page_is_whole_named_and_readable_at_every_width(browser: Any, server: Serving, pages: list[Opened]):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, timezone_id="Asia/Tokyo")
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asked: said.append(asked.url) if not asked.url.startswith(server.url) else None)
    wrong: dict[str, list[str]] = {}
    for one in pages:
        said.clear()
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(server.url + one.path)
        found = [*page.evaluate(f"({LOOK})()"), *said]
        for width in (1440, 1024, 800, 390, 360):
            page.set_viewport_size({"width": width, "height": 900})
            if (needed := page.evaluate("document.documentElement.scrollWidth")) > width:
                found.append(f"{needed} px wide in a window of {width}")
        if found:
            wrong[one.path] = found
    context.close()
    assert wrong == {}
