"""Asking a service whether it is well: one GET, within a time in all."""

from __future__ import annotations

import re
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
    # Reading the certificates that a client trusts is our time, and not the service's.
    with httpx.Client(timeout=allowed, headers={"User-Agent": "mainstay"}) as client:
        began = time.monotonic()

        def passed() -> float:
            return time.monotonic() - began

        try:
            with client.stream("GET", url) as answer:
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
            return Probed(url, None, passed(), f"cannot be reached: {_why(error)}")


def _why(error: Exception) -> str:
    """What went wrong, without the number that the system has for it."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
