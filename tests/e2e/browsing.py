"""What a person does in a browser, done so that what is asserted next is asserted of the page it led to."""

from __future__ import annotations

from typing import Any

PATIENCE = 60_000.0
"""Milliseconds after which what a page should show will not come, on a busy machine too."""


def follow(page: Any, what: Any) -> None:
    """Click what leads to another page, until that page is there as a whole.

    A click alone is over as soon as the other page begins to come: what is counted then is counted on half of it.
    """
    with page.expect_navigation(timeout=PATIENCE):
        what.click()
