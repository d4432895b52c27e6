"""A request that arrives whole is answered without a task: with the very bytes that the long way answers with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mainstay.doors import connection, guard, http
from mainstay.doors.front import Hooks, ServerSettings
from mainstay.doors.guard import Guard
from mainstay.doors.security import TokenStore
from mainstay.kernel.journal import FactQuery
from toy_server import PATIENCE, T0, running
from web.test_intake import ALERT, Served, served, trigger, until

HOST = "127.0.0.1:80"


class Line:
    """A connection, as bytes."""

    def __init__(self, url: str) -> None:
        self.url = url
        host, _, port = url.removeprefix("http://").partition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self._got = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> bytes:
        """One answer, without its date."""
        while b"\r\n\r\n" not in self._got:
            self._got += self._more()
        head, _, body = self._got.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None, head
        while len(body) < int(length[1]):
            body += self._more()
        body, self._got = body[:int(length[1])], body[int(length[1]):]
        return re.sub(rb"date: [^\r]*\r\n", b"", head + b"\r\n\r\n" + body)

    def read_through(self, end: bytes) -> bytes:
        """What is said up to and with `end`."""
        while end not in self._got:
            self._got += self._more()
        found = self._got.index(end) + len(end)
        said, self._got = self._got[:found], self._got[found:]
        return said

    def rest(self) -> bytes:
        """What is still said until the server closes it."""
        said, self._got = self._got, b""
        while more := self._socket.recv(65_536):
            said += more
        return said

    def half_close(self) -> None:
        """Say that nothing more will come."""
        self._socket.shutdown(socket.SHUT_WR)

    def closed(self) -> bool:
        """Whether the server has nothing more to say and closed it."""
        return self._socket.recv(1) == b""

    def _more(self) -> bytes:
        more = self._socket.recv(65_536)
        assert more, "the connection was closed"
        return more

    def close(self) -> None:
        self._socket.close()


def request(path: str, body: Any, *, method: str = "POST", version: str = "1.1", **headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Host": HOST, "Content-Length": str(len(content)),
             **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/{version}\r\n{head}\r\n".encode() + content


@contextlib.contextmanager
def listening(app: Any) -> Iterator[Line]:
    settings = ServerSettings(port=0)
    with running(app, settings, Hooks()) as url:
        line = Line(url)
        try:
            yield line
        finally:
            line.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as one:
        yield one


def long_way_only(app: Any) -> Guard:
    assert isinstance(app, Guard)
    return Guard(app._app, app._settings, app._pace._clock)


FLAT = {"id": 1, "status": "bad", "what": "disk"}
CASES = {
    "an alert": request("/api/v2/alerts", ALERT),
    "an alert from the past": request("/api/v2/alerts", [{**ALERT[0], "startsAt": "1990-01-01T00:00:00Z"}]),
    "no JSON": request("/api/v2/alerts", b"{"),
    "nothing": request("/api/v2/alerts", b""),
    "a mapped event": request("/api/v1/intake/checks", FLAT),
    "an unknown intake": request("/api/v1/intake/chekcs", FLAT),
    "a heartbeat": request("/api/v1/heartbeat/backup", b""),
    "an unknown heartbeat": request("/api/v1/heartbeat/backpu", b""),
    "a PagerDuty event": request("/v2/enqueue", trigger(dedup_key="k")),
    "a wrong routing key": request("/v2/enqueue", trigger(routing_key="mst_nobody_nothing")),
    "a wrong token": request("/api/v2/alerts", ALERT, Authorization="Bearer mst_nobody_nothing"),
    "another host": request("/api/v2/alerts", ALERT, Host="evil.example"),
    "another site's page": request("/api/v2/alerts", ALERT, Origin="http://evil.example"),
    "too much at once": request("/v2/enqueue", trigger(x="x" * 600_000)),
    "too large": request("/api/v2/alerts", ALERT, Content_Length=str(2**21)),
    "a put": request("/api/v2/alerts", ALERT, method="PUT"),
    "the last one": request("/api/v2/alerts", ALERT, Connection="close"),
    "an old one": request("/api/v2/alerts", ALERT, version="1.0"),
    "one that asks first": request("/v2/enqueue", trigger(dedup_key="k"), Expect="nothing"),
}


@pytest.mark.parametrize("case", CASES)
def test_both_ways_answer_the_same(tmp_path: Path, case: str) -> None:
    answers = []
    for way in ("short", "long"):
        with served(tmp_path) as one, listening(one.app if way == "short" else long_way_only(one.app)) as line:
            line.send(CASES[case])
            answers.append(line.answer())
    assert _sorted(answers[0]) == _sorted(answers[1])


def _sorted(answer: bytes) -> tuple[bytes, list[bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    return status, sorted(headers), body


def test_a_storm_takes_the_short_way(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the comparison above would compare nothing."""
    def fails(*_: Any) -> Any:
        raise AssertionError("a task was made")

    with listening(server.app) as line:
        monkeypatch.setattr(connection.HttpToolsProtocol, "_start_asgi_task", fails)
        for case in ("an alert", "a mapped event", "a heartbeat", "a PagerDuty event"):
            line.send(CASES[case])
            assert line.answer().startswith(b"HTTP/1.1 20")


def test_a_body_that_comes_in_pieces_is_taken_all_the_same(server: Served) -> None:
    whole = request("/api/v2/alerts", ALERT)
    with listening(server.app) as line:
        for cut in (10, whole.index(b"\r\n\r\n") + 4, len(whole) - 1):
            line.send(whole[:cut])
            time.sleep(0.05)
            line.send(whole[cut:])
            assert line.answer().startswith(b"HTTP/1.1 200")


def test_requests_sent_at_once_on_one_connection_are_answered_in_their_order(server: Served) -> None:
    with listening(server.app) as line:
        line.send(CASES["an alert"] + CASES["an unknown heartbeat"] + CASES["a PagerDuty event"] + CASES["no JSON"])
        assert [line.answer()[9:12] for _ in range(4)] == [b"200", b"404", b"202", b"400"]
        line.send(CASES["a heartbeat"])
        assert line.answer()[9:12] == b"202"


def test_a_connection_that_is_to_end_ends_after_the_answer(server: Served) -> None:
    for case in ("the last one", "an old one", "another host"):
        with listening(server.app) as line:
            line.send(CASES[case])
            line.answer()
            assert line.closed(), case


def test_who_hangs_up_harms_nobody_and_what_was_sent_is_recorded(server: Served) -> None:
    server.journal.open.clear()
    with running(server.app, ServerSettings(port=0), Hooks()) as url:
        gone, patient = Line(url), Line(url)
        gone.send(CASES["a PagerDuty event"])
        patient.send(CASES["an alert"])
        gone.close()
        until(lambda: server.inbox.waiting == 2)
        time.sleep(0.1)  # by now it is seen, nearly always, that one of them is gone
        server.journal.open.set()
        assert patient.answer().startswith(b"HTTP/1.1 200")
        patient.send(CASES["a heartbeat"])
        assert patient.answer().startswith(b"HTTP/1.1 202")
        patient.close()
    assert len(list(server.journal.facts(FactQuery(kinds=("alert.opened",))))) == 2


def test_a_server_that_stops_answers_first_what_it_has_begun(
        server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    stops = http.Server.shutdown

    async def shutdown(self: http.Server, sockets: list[socket.socket] | None = None) -> None:
        # Comes in the next round of the loop: every connection was told by then that it is to end.
        asyncio.get_running_loop().call_soon(server.journal.open.set)
        await stops(self, sockets)

    monkeypatch.setattr(http.Server, "shutdown", shutdown)
    server.journal.open.clear()
    with running(server.app, ServerSettings(port=0), Hooks()) as url:
        line = Line(url)
        line.send(CASES["an alert"])
        until(lambda: server.inbox.waiting)
    answer = line.answer()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer
    assert line.closed()
    line.close()


def test_what_cannot_be_recorded_in_time_is_said(tmp_path: Path) -> None:
    with served(tmp_path, time_out=0.2) as one, listening(one.app) as line:
        one.journal.open.clear()
        line.send(CASES["an alert"])
        assert b"503" in (answer := line.answer())[9:12]
        assert b"retry-after: 5" in answer
        one.journal.open.set()
        one.has_patience()
        line.send(CASES["an alert"])
        assert line.answer().startswith(b"HTTP/1.1 200")


def test_our_own_mistake_is_told_once_and_the_connection_goes_on(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("a mistake")

    with served(tmp_path, time_out=0.2) as one, listening(one.app) as line:
        with monkeypatch.context() as patched:
            patched.setattr(one.inbox, "hand_in", broken)
            line.send(CASES["an alert"])
            assert b"own mistake" in line.answer()
        time.sleep(0.4)  # longer than anybody waits: a second answer would be here by now
        one.has_patience()
        line.send(CASES["a heartbeat"])
        assert line.answer().startswith(b"HTTP/1.1 202")


def test_a_token_opens_the_short_way_too(tmp_path: Path) -> None:
    tokens = TokenStore(tmp_path / "tokens.json")
    good, reads = tokens.create("sender", ["write"], now=T0), tokens.create("reader", ["read"], now=T0)
    with served(tmp_path, tokens=tmp_path / "tokens.json") as one, listening(one.app) as line:
        for token, status in ((good, b"200"), (reads, b"403")):
            line.send(request("/api/v2/alerts", ALERT, Authorization=f"Bearer {token}"))
            assert line.answer()[9:12] == status


def test_a_sender_that_is_too_fast_is_held_up(tmp_path: Path) -> None:
    with served(tmp_path) as one:
        app = one.app
        assert isinstance(app, Guard)
        slow = Guard(app._app, replace(app._settings, sends_per_second=0.1, sends_burst=2.0), app._pace._clock,
                     app._short_ways)
        with listening(slow) as line:
            answers = []
            for _ in range(3):
                line.send(CASES["a heartbeat"])
                answers.append(line.answer())
    assert [answer[9:12] for answer in answers] == [b"202", b"202", b"429"]
    assert b"retry-after: 10" in answers[2]
    assert guard.SENDERS
