"""Addresses inside the server and outside of it."""

from __future__ import annotations

import re

_OUTSIDE = re.compile(r"https?://[^\s]+", re.IGNORECASE)


def address(link: str) -> str:
    """A view's link as an address a page may carry: one of this server, or a plain web address; nothing else.

    `slo/show?name=x` is `/slo/show?name=x`; `javascript:…` becomes a path that leads nowhere.
    """
    if _OUTSIDE.fullmatch(link):
        return link
    return local_path("/" + link.lstrip("/\\"))


def local_path(path: str) -> str:
    """The path when it stays on this server, else `/`. Browsers read `//x` and `/\\x` as another host."""
    if not path.startswith("/") or path.startswith("//") or "\\" in path or not path.isprintable():
        return "/"
    return path
