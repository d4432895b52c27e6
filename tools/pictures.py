"""Retakes the pictures of the README from a running demonstration: `tools/pictures.py`.

Starts `mainstay demo` on a free port, lets a minute of traffic pass, and photographs the overview, the objective that
is worst off, and the alerts; then it runs an experiment on the shop and photographs that. Then a server of the
runbook's example, alerts posted to it, and the incident they open.
Needs Chromium: the one at CHROMIUM, else /usr/bin/chromium.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

_ROOT = Path(__file__).parents[1]
_PICTURES = _ROOT / "docs" / "pictures"
_LONGEST = 200_000
"""Bytes of a picture; a README of megabytes is not read."""
_WAIT = 60.0
_WIDTH = 1280
_ALERTS = [{"labels": {"alertname": "HighErrors", "severity": "critical", "service": "checkout", "instance": instance},
            "annotations": {"summary": "checkout answers 500"}} for instance in ("shop-1", "shop-2")]


def main() -> int:
    """Take the pictures; 1 when one is larger than a README should carry."""
    _PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        with _running(folder, "demo", "--port", "0", "--run", folder) as address:
            time.sleep(_WAIT)
            taken = _photograph(address)
            _experiment(folder)
            taken.append(_photograph_one(f"{address}/chaos/show?name=EXP-1", "experiment", 1020))
        store = {"MAINSTAY_STORE": f"sqlite:///{folder}/incident.db"}
        with _running(folder, "serve", "--port", "0", "--catalog", "examples/on-call-runbook", **store) as address:
            httpx.post(f"{address}/api/v2/alerts", json=_ALERTS).raise_for_status()
            time.sleep(_WAIT)
            taken.append(_photograph_one(f"{address}/incident/show?name=INC-1", "incident", 1200))
    for path in taken:
        sys.stdout.write(f"{path.relative_to(_ROOT)}  {path.stat().st_size:,} bytes\n")
    return int(any(path.stat().st_size > _LONGEST for path in taken))


@contextmanager
def _running(folder: str, *arguments: str, **environment: str) -> Iterator[str]:
    """Mainstay at work; the address of its page."""
    with open(Path(folder, "said"), "w+", encoding="utf-8") as said:
        running = subprocess.Popen([Path(sys.executable).with_name("mainstay"), *arguments],
                                   stderr=said, stdout=said, env={**os.environ, **environment}, cwd=_ROOT)
        try:
            yield _address(Path(folder, "said"))
        finally:
            running.terminate()
            running.wait(timeout=30)


def _address(said: Path) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if found := re.search(r"(?:the page:| at) (http://[^\s;]+)", said.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.2)
    raise SystemExit(f"the demonstration did not start:\n{said.read_text(encoding='utf-8')}")


def _photograph(address: str) -> list[Path]:
    with sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": _WIDTH, "height": 900}, color_scheme="light")
        taken = [_picture(page, address, "overview", 620),
                 _picture(page, f"{address}/slo/show?name=web-availability", "objective", 900),
                 _picture(page, f"{address}/monitoring", "alerts", 900)]
        browser.close()
    return taken


def _experiment(folder: str) -> None:
    """Prove on the demonstration's shop that its cache only saves time."""
    subprocess.run([Path(sys.executable).with_name("mainstay"), "chaos", "run", "cache-in-trouble", "-c",
                    f"{folder}/catalog", "--store", f"sqlite:///{folder}/mainstay.db"], check=True,
                   stdout=subprocess.DEVNULL, env={**os.environ, "LOGNAME": "sam", "USER": "sam"})


def _photograph_one(address: str, name: str, height: int) -> Path:
    with sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": _WIDTH, "height": 900}, color_scheme="light")
        taken = _picture(page, address, name, height)
        browser.close()
    return taken


def _picture(page: Page, address: str, name: str, height: int) -> Path:
    page.set_viewport_size({"width": _WIDTH, "height": height})
    answer = page.goto(address, wait_until="load")
    if answer is None or not answer.ok:
        raise SystemExit(f"{address} answered {answer.status if answer else 'nothing'}")
    path = _PICTURES / f"{name}.png"
    page.screenshot(path=path)
    return path


if __name__ == "__main__":
    sys.exit(main())
