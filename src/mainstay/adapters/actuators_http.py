"""Acts that are HTTP requests. Redirects are not followed: where one leads is not what was approved."""

from __future__ import annotations

import time

import httpx

from mainstay.kernel.actuation import Ending, Http, Outcome, Watch

KEPT = 65_536
"""Bytes of an answer that are read; the rest is not waited for."""

_SLICE = 1.0
"""Seconds after which it is looked whether the act must end, while nothing comes."""


def send(act: Http, watch: Watch) -> Outcome:
    """The answer's body, cut at KEPT; its status must be one of those that mean success."""
    if (over := watch.over()) is not None:
        return Outcome(over, error="its time was over before it was sent")
    began = time.monotonic()
    try:
        with httpx.Client(timeout=max(watch.left(), 0.001), follow_redirects=False, trust_env=False) as client, \
                client.stream(act.method, act.url, headers={"User-Agent": "mainstay", **act.headers},
                              json=act.body if act.body is not None else None) as answer:
            watch.output(f"{act.method} {answer.status_code} {answer.reason_phrase}\n")
            body, ended = b"", None
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > KEPT or (ended := watch.over()) is not None:
                    break
            text = body[:KEPT].decode(answer.encoding or "utf-8", "replace")
            if text:
                watch.output(text if text.endswith("\n") else f"{text}\n")
            if ended is not None:
                return Outcome(ended, text, answer.status_code, "its answer was not over in time")
            good = answer.status_code in act.statuses if act.statuses else 200 <= answer.status_code < 300
            return Outcome(Ending.SUCCEEDED if good else Ending.FAILED, text, answer.status_code,
                           "" if good else f"answered {answer.status_code} {answer.reason_phrase}")
    except httpx.TimeoutException:
        waited = time.monotonic() - began
        # Whether the request was taken nobody knows; that it timed out is what is said.
        return Outcome(watch.over() or Ending.TIMED_OUT, error=f"no answer within {waited:.1f} s")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return Outcome(Ending.FAILED, error=f"cannot be reached: {error or type(error).__name__}")
