"""One tap on the page of toil in a real browser: logged, seen where it was tapped, and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from command import mainstay
from e2e.browsing import PATIENCE, follow
from e2e.live import serving

pytestmark = pytest.mark.server("chromium")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder: Path = tmp_path_factory.mktemp("toil")
    (folder / "slos").mkdir()
    mainstay(folder, "toil", "log", "30m", "Grant access", "--category", "access")
    with serving(folder, "-c", "slos") as server:
        yield SimpleNamespace(server=server)


def test_a_tap_leads_back_to_where_it_was_made_and_the_next_one_takes_it_back(open_page: Any) -> None:
    page = open_page("/toil")
    follow(page, page.get_by_label("15 m of Grant access"))
    said = page.get_by_text("You logged 0.25 h of Grant access")
    said.wait_for(timeout=PATIENCE)
    page.wait_for_function("""() => {
        const { top, bottom } = document.getElementById("log").getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight;
    }""", timeout=PATIENCE)
    follow(page, page.get_by_role("button", name="Take it back"))
    page.get_by_role("heading", name="Log what you just did").wait_for(timeout=PATIENCE)
    assert page.get_by_text("You logged").count() == 0
