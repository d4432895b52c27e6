"""Asking a service whether it is well: one GET, within a time in all."""

from __future__ import annotations

import time
from datetime import timedelta

import httpx

from mainstay.kernel.ports import Probed

_MOST_BYTES = 64 * 1024
"""Of the answer that are read; a health check says little, and what says more is not waited for."""


def probe(url: str, time_out: timedelta) -> Probed:
    """What the URL answers to a GET. Redirects are not followed: where one leads is not what was declared.

    Args:
        time_out: for all of it; a server that sends its answer drop by drop is cut off too.
    """
    allowed = time_out.total_seconds()
    began = time.monotonic()

    def passed() -> float:
        return time.monotonic() - began

    try:
        with httpx.stream("GET", url, timeout=allowed, headers={"User-Agent": "mainstay"}) as answer:
            size = 0
            for chunk in answer.iter_raw():
                size += len(chunk)
                if size > _MOST_BYTES:
                    break
                if passed() > allowed:
                    return Probed(url, None, passed(), f"its answer was not over within {allowed:g} s")
        return Probed(url, answer.status_code, passed())
    except httpx.TimeoutException:
        return Probed(url, None, passed(), f"no answer within {allowed:g} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Probed(url, None, passed(), f"cannot be reached: {error or type(error).__name__}")
