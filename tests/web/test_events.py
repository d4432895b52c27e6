"""Server-sent events: pages hear of changes, slow ones do not cost memory, a stopping server lets go of them."""

from __future__ import annotations

import asyncio
import threading
import time

import httpx

from mainstay.doors.front import Hooks, ServerSettings
from mainstay.doors.sse import HEARTBEAT, MAX_WAITING, Feed
from toy_server import PATIENCE, Client, running, toy_app


async def next_events(feed: Feed, count: int, act: object = None, *, allowed: bool = True) -> list[bytes]:
    stream, got = feed.stream(lambda: allowed), []
    got.append(await anext(stream))
    if callable(act):
        act()
    async for event in stream:
        got.append(event)
        if len(got) > count:
            break
    await stream.aclose()  # type: ignore[attr-defined]
    return got[1:]


def test_a_topic_reaches_a_listener_from_another_thread() -> None:
    feed = Feed()

    def act() -> None:
        threading.Thread(target=feed.publish, args=("slo",)).start()

    assert asyncio.run(next_events(feed, 1, act)) == [b"event: change\ndata: slo\n\n"]


def test_a_topic_told_twice_is_sent_once_and_many_become_one() -> None:
    feed = Feed()

    def burst() -> None:
        for topic in ("slo", "slo", "chaos"):
            feed.publish(topic)

    assert asyncio.run(next_events(feed, 2, burst)) == [
        b"event: change\ndata: slo\n\n", b"event: change\ndata: chaos\n\n"]

    def flood() -> None:
        for number in range(MAX_WAITING + 1):
            feed.publish(f"topic{number}")

    assert asyncio.run(next_events(feed, 1, flood)) == [b"event: change\ndata: *\n\n"]


def test_a_topic_cannot_smuggle_in_another_event() -> None:
    feed = Feed()
    assert asyncio.run(next_events(feed, 1, lambda: feed.publish("a\n\nevent: evil\ndata: b"))) == [
        b"event: change\ndata: a event: evil data: b\n\n"]


def test_a_quiet_line_has_a_heartbeat() -> None:
    assert asyncio.run(next_events(Feed(heartbeat=0.01), 1)) == [b": still here\n\n"]


def test_a_stream_ends_when_its_caller_is_no_longer_allowed_and_when_the_feed_closes() -> None:
    assert asyncio.run(next_events(Feed(heartbeat=0.01), 1, allowed=False)) == []
    feed = Feed()
    assert asyncio.run(next_events(feed, 1, feed.close)) == []
    assert feed.listeners == 0


def test_events_are_for_those_who_may_read() -> None:
    assert Client(toy_app(), address="10.0.0.1").get("/events").status_code == 401


def test_a_real_server_delivers_events_and_stops_although_a_page_listens() -> None:
    hooks, settings = Hooks(), ServerSettings(port=0)
    with running(toy_app(settings, hooks=hooks), settings, hooks) as url, httpx.Client(timeout=PATIENCE) as client:
        with client.stream("GET", f"{url}/events") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = response.iter_lines()
            assert next(lines) == "retry: 3000"
            hooks.feed.publish("slo")
            assert [next(lines) for _ in range(3)] == ["", "event: change", "data: slo"]
            begun = time.monotonic()
            hooks.feed.close()
            assert list(lines) == [""]
        assert time.monotonic() - begun < HEARTBEAT, "at once, and not with its next sign of life"
    assert hooks.feed.listeners == 0
