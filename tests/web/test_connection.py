"""What comes over a connection, whatever its form: a request that arrives whole is read as uvicorn would read it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import example, given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from mainstay.doors import http
from mainstay.doors.connection import Connection
from mainstay.doors.front import MAX_BODY, ServerSettings
from mainstay.doors.guard import Answer, AsgiApp, Guard, Receive, Scope, Send, send_answer
from toy_server import PATIENCE, SetClock
from web.test_intake import ALERT, Served, served, until
from web.test_short_way import CASES, Line, listening, long_way_only, request

PATH = "/api/v2/alerts"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as one:
        yield one


# -- both ways read the same --------------------------------------------------------------------------------------


class Transport(asyncio.Transport):
    """Keeps what is said, and until when."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 4000), "sockname": ("127.0.0.1", 80)})
        self.said = b""
        self._closing = False

    def write(self, data: Any) -> None:
        if not self._closing:
            self.said += bytes(data)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    def pause_reading(self) -> None:
        """What a real one reads no more is not sent here before it is read again."""

    def resume_reading(self) -> None:
        """As above."""


def _seen(scope: Scope, body: bytes) -> Answer:
    """Everything that whoever answers could know of a request."""
    return Answer(200, {
        "method": scope["method"], "path": scope["path"], "query": scope["query_string"].decode("latin-1"),
        "body": body.decode("latin-1"), "client": scope["client"], "version": scope["http_version"],
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]})


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send_answer(send, _seen(scope, body))


def _briefly(scope: Scope, body: bytes, answer: Callable[[Answer], None]) -> None:
    answer(_seen(scope, body))


def said_to(pieces: Sequence[bytes], *, short: bool, app: AsgiApp = _app) -> tuple[list[bytes], bool]:
    """The lines that a connection answers these pieces with, and whether it is closed afterwards."""
    async def talk() -> tuple[list[bytes], bool]:
        guarded = Guard(app, ServerSettings(), SetClock(), {PATH: _briefly} if short else {})
        config = uvicorn.Config(guarded, lifespan="off", log_config=None, ws="none", proxy_headers=False)
        config.load()
        protocol, transport = Connection(config, ServerState(), {}), Transport()
        protocol.connection_made(transport)
        for piece in pieces:
            if not transport.is_closing():
                protocol.data_received(piece)
            for _ in range(20):
                await asyncio.sleep(0)
        closed = transport.is_closing()
        protocol.connection_lost(None)
        return sorted(transport.said.split(b"\r\n")), closed

    return asyncio.run(talk())


LINES = (
    "POST /api/v2/alerts HTTP/1.1", "POST /api/v2/alerts?receiver=web&a=%20 HTTP/1.1",
    "POST /api/v2/%61lerts HTTP/1.1", "POST http://127.0.0.1/api/v2/alerts HTTP/1.1",
    "POST /api/v2/alerts#there HTTP/1.1", "POST /api/v2/alerts HTTP/1.0", "POST /api/v2/alerts HTTP/0.9",
    "POST /api/v2/alerts HTTP/2.0", "POST /api/v2/alerts", "POST  /api/v2/alerts HTTP/1.1",
    "GET /api/v2/alerts HTTP/1.1", "PUT /api/v2/alerts HTTP/1.1", "HEAD /api/v2/alerts HTTP/1.1",
    "post /api/v2/alerts HTTP/1.1", "POST /api/v2/other HTTP/1.1", "POST * HTTP/1.1", "POST / HTTP/1.1",
    "POST /api/v2/älerts HTTP/1.1", "POST /api/v2/alerts?" + "q" * 9_000 + " HTTP/1.1", "",
)
HEADERS = (
    "Host: 127.0.0.1:80", "host: localhost", "Host: evil.example", "Content-Length: 5", "content-length: 5",
    "CONTENT-LENGTH: 5", "Content-Length:5", "Content-Length: 5 ", "Content-Length: 05", "Content-Length: 4",
    "Content-Length: +5", "Content-Length: 5, 5", "Content-Length : 5", "Content-Length: 99999999999999999999",
    "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity",
    "Connection: close", "Connection: keep-alive", "Connection: Keep-Alive, Close", "Connection: upgrade",
    "Upgrade: websocket", "Upgrade: h2c", "Expect: 100-continue", "expect: 100-CONTINUE", "Expect: nothing",
    "Origin: http://127.0.0.1:80", "Origin: http://evil.example", "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Site: same-origin", "Authorization: Bearer mst_a_b", "X-Long: " + "x" * 5_000,
    "X-Longer: " + "x" * 17_000,
    "X-Empty:", "X-Odd: \x00", "X-Tab: a\tb", "X-Letters: ä", "No colon", " folded", "X Y: z", ": nameless",
    "X-Cr: a\rb", "X-Lf: a\nContent-Length: 3", "Proxy-Connection: close", "Te: trailers",
)
USUAL = ("Host: 127.0.0.1:80", "Content-Length: 5")


def written(line: str, headers: Sequence[str], body: str, end: str = "\r\n") -> bytes:
    return (end.join((line, *headers)) + 2 * end + body).encode("latin-1")


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One as careful, careless and hostile clients write it, where a byte may have been lost, gained or changed."""
    if draw(st.booleans()):
        body = draw(st.sampled_from(("[{ }]", "", "[" + " " * 300 + "]")))
        headers = [USUAL[0], f"Content-Length: {len(body)}", *draw(st.lists(st.sampled_from(HEADERS), max_size=1))]
        said = written(draw(st.sampled_from(LINES[:4])), draw(st.permutations(headers)), body)
    else:
        headers = [*draw(st.sampled_from((USUAL, USUAL[:1], USUAL[1:], ()))),
                   *draw(st.lists(st.sampled_from(HEADERS), max_size=2))]
        said = written(draw(st.sampled_from(LINES)), draw(st.permutations(headers)),
                       draw(st.sampled_from(("[{ }]", "", "[{}", "[{ }] ", "5\r\n[{ }]\r\n0\r\n\r\n"))),
                       draw(st.sampled_from(("\r\n", "\n", "\r\n "))))
    for at in draw(st.lists(st.integers(0, 150), max_size=draw(st.sampled_from((0, 0, 1))))):
        said = said[:at] + bytes(draw(st.lists(st.integers(0, 255), max_size=1))) + said[at + draw(st.integers(0, 1)):]
    return said


@st.composite
def pieces(draw: st.DrawFn) -> list[bytes]:
    """Some requests, each in a piece or cut anywhere."""
    said = draw(st.lists(requests(), min_size=1, max_size=3))
    if draw(st.booleans()):
        together = b"".join(said)
        cuts = sorted(draw(st.lists(st.integers(0, len(together)), max_size=2)))
        said = [together[start:end] for start, end in zip([0, *cuts], [*cuts, len(together)], strict=True)]
    return [piece for piece in said if piece]


def test_a_plain_request_goes_the_short_way_here_too() -> None:
    """Else the comparisons below would compare nothing."""
    async def fails(*_: Any) -> None:
        raise AssertionError("a task was made")

    lines, closed = said_to([written(LINES[0], USUAL, "[{ }]")] * 2, short=True, app=fails)
    assert sum(b"HTTP/1.1 200 OK" in line for line in lines) == 2
    assert not closed


@given(pieces())
@example([written(LINES[0], USUAL, "[{ }]")] * 3)
@example([written(LINES[0], (*USUAL, "Transfer-Encoding: chunked"), "5\r\n[{ }]\r\n0\r\n\r\n")])
@example([written(LINES[0], (*USUAL, "Content-Length: 5"), "[{ }]")])
@example([written(LINES[0], (USUAL[0], "X-Lf: a\nContent-Length: 3", USUAL[1]), "[{ }]")])
@example([written(LINES[0], USUAL, "[{ }]", "\n")])
@example([b"\r\n\r\n" + written(LINES[0], USUAL, "[{ }]")])
@example([written(LINES[0], (*USUAL, "Expect: 100-continue"), "[{ }]")])
@example([written(LINES[0], (*USUAL, "Connection: upgrade", "Upgrade: websocket"), "[{ }]")])
def test_whatever_arrives_is_read_and_refused_alike_on_both_ways(said: list[bytes]) -> None:
    assert said_to(said, short=True) == said_to(said, short=False)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("before", [True, False])
def test_a_header_means_the_same_on_both_ways(header: str, before: bool) -> None:
    headers = (header, *USUAL) if before else (*USUAL, header)
    said = [written(LINES[0], headers, "[{ }]"), written(LINES[0], USUAL, "[{ }]")]
    assert said_to(said, short=True) == said_to(said, short=False)


@pytest.mark.parametrize("line", LINES)
def test_a_request_line_means_the_same_on_both_ways(line: str) -> None:
    said = [written(line, USUAL, "[{ }]"), written(LINES[0], USUAL, "[{ }]")]
    assert said_to(said, short=True) == said_to(said, short=False)


def test_a_body_that_is_too_large_is_refused_however_few_pieces_it_comes_in() -> None:
    body = "x" * (MAX_BODY + 1)
    said = [written(LINES[0], (USUAL[0], f"Content-Length: {len(body)}"), body)]
    lines, closed = said_to(said, short=True)
    assert b"HTTP/1.1 413 Request Entity Too Large" in lines
    assert (lines, closed) == said_to(said, short=False)


def test_what_a_sender_says_in_another_head_is_not_taken_for_what_it_said_before() -> None:
    said = [written(line, (*USUAL, *more), "[{ }]") for line in (LINES[0], LINES[1]) for more in ((), ("X-A: 1",))]
    said += [written(LINES[0], (USUAL[0], f"Content-Length: {len(body)}"), body) for body in ("", "[]", "[{}]" * 30)]
    lines, _ = said_to(said, short=True)
    assert sum(b"HTTP/1.1 200" in line for line in lines) == len(said)
    assert (lines, False) == said_to(said, short=False)


# -- how a connection goes on, and how it ends --------------------------------------------------------------------


def test_a_sender_that_does_not_wait_for_its_answer_gets_its_answers_in_order(server: Served) -> None:
    server.journal.open.clear()
    with listening(server.app) as line:
        line.send(CASES["an alert"])
        assert server.journal.reached.wait(PATIENCE)
        for case in ("no JSON", "a heartbeat", "an unknown heartbeat"):
            line.send(CASES[case])
            time.sleep(0.05)  # nearly always in a piece of its own
        server.journal.open.set()
        assert [line.answer()[9:12] for _ in range(4)] == [b"200", b"400", b"202", b"404"]
        line.send(CASES["a PagerDuty event"])
        assert line.answer()[9:12] == b"202"


def test_a_body_in_chunks_is_taken(server: Served) -> None:
    whole = request(PATH, b"", Content_Length="0").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with listening(server.app) as line:
        for body, status in ((b'[{"labels":{"alertname":"Slow"}}]', b"200"), (b"[{]", b"400")):
            line.send(whole + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            assert line.answer()[9:12] == status


def test_a_sender_that_asks_whether_to_go_on_is_told_so(server: Served) -> None:
    whole = request(PATH, ALERT, Expect="100-continue")
    head, _, body = whole.partition(b"\r\n\r\n")
    with listening(server.app) as line:
        line.send(head + b"\r\n\r\n")
        assert line.read_through(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.send(body)
        assert line.answer()[9:12] == b"200"
        line.send(whole)  # who does not wait for it is told all the same
        assert line.read_through(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        assert line.answer()[9:12] == b"200"


def test_a_connection_that_rests_for_too_long_is_closed(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "KEEP_ALIVE", 1)
    with listening(server.app) as line:
        for _ in range(4):
            line.send(CASES["an alert"])
            line.answer()
            time.sleep(0.4)
        line.send(CASES["a put"])  # the long way beside the short one
        line.answer()
        rested = time.monotonic()
        assert line.closed()
        assert 0.9 < time.monotonic() - rested < PATIENCE / 2


def test_a_sender_that_waits_for_its_answer_does_not_rest(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "KEEP_ALIVE", 1)
    with listening(server.app) as line:
        line.send(CASES["an alert"])
        line.answer()
        server.journal.open.clear()
        line.send(CASES["a PagerDuty event"])
        until(lambda: server.inbox.waiting)
        time.sleep(1.5)
        server.journal.open.set()
        assert line.answer()[9:12] == b"202"


def test_where_too_many_are_connected_a_sender_is_told_to_come_back(
        server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONNECTIONS", 1)
    answers = []
    for app in (server.app, long_way_only(server.app)):
        with listening(app) as line:
            line.send(CASES["an alert"])
            answers.append(re.sub(rb"date: [^\r]*\r\n", b"", line.rest()))
    assert answers[0].startswith(b"HTTP/1.1 503")
    assert answers[0] == answers[1]


def test_what_comes_behind_the_last_request_is_not_taken(server: Served) -> None:
    with listening(server.app) as line:
        line.send(CASES["the last one"] + CASES["a PagerDuty event"])
        line.answer()
        assert line.closed()
    assert len(server.desk.state.alerts) == 1


def test_a_sender_that_closes_its_half_has_hung_up_and_is_recorded_all_the_same(server: Served) -> None:
    with listening(server.app) as line:
        line.send(CASES["an alert"])
        line.half_close()
        line.rest()
    until(lambda: len(server.desk.state.alerts) == 1)


def test_one_round_of_many_senders_answers_each_of_them(server: Served) -> None:
    """What arrives together is handed in together."""
    with listening(server.app) as first:
        lines = [Line(first.url) for _ in range(50)]
        for _ in range(3):
            for number, line in enumerate(lines):
                line.send(CASES["no JSON" if number % 7 == 0 else "an alert"])
            assert [line.answer()[9:12] for line in lines] == [b"400" if number % 7 == 0 else b"200"
                                                              for number in range(50)]
        for line in lines:
            line.close()
    [alert] = server.desk.state.alerts.values()
    count, _ = server.desk.state.repeats.get(alert.id) or (0, None)
    assert alert.count + count == 3 * 42
