"""Toxics on HTTP/1.1 messages, with a real server behind the proxy and real clients in front of it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler
from itertools import pairwise

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.adapters.proxy import Proxy, ProxyServer, Toxic, draw
from mainstay.adapters.proxy.conversation import Conversation
from mainstay.adapters.proxy.counts import ToxicCount
from mainstay.adapters.proxy.flow import Active, Buffer, End, Flow, Side
from mainstay.adapters.proxy.messages import Framing, Kind
from proxy.lines import (
    PATIENCE,
    address_of,
    ask,
    dial,
    echo,
    eventually,
    everything,
    exactly,
    is_about,
    is_quick,
    service,
    took,
    web,
    within_99_percent,
)

ORDER = {"id": 4711, "paid": True, "lines": [{"sku": "a-1", "count": 12}, {"sku": "b-2", "count": 30}]}


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/stream"):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            for part in (b'{"a":', b" 1234", b', "b": "text"}'):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
                time.sleep(0.01)
            self.wfile.write(b"0\r\n\r\n")
            return
        self._send(json.dumps(ORDER).encode())

    def do_HEAD(self) -> None:
        self._send(json.dumps(ORDER).encode(), bodiless=True)

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self._send(self.rfile.read(int(self.headers["content-length"])))

    def _send(self, body: bytes, *, bodiless: bool = False) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if bodiless else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server():
    with ProxyServer(seed=3) as running:
        yield running


@pytest.fixture
def asked():
    Shop.asked = []
    return Shop.asked


@pytest.fixture
def client(server, asked):
    """Puts a shop behind a proxy; a client with keep-alive to it."""
    with web(Shop) as upstream, httpx.Client(trust_env=False, timeout=PATIENCE) as http:
        http.base_url = f"http://{server.open(Proxy('shop', '127.0.0.1:0', upstream))}"
        yield http


def added(server, kind: str, stream: str = "downstream", **attributes) -> None:
    server.add("shop", Toxic(kind, "t", stream, attributes=attributes))


# -- http_error --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_an_error_is_answered_in_place_of_the_service_and_the_connection_lives_on(server, client, asked, stream):
    assert client.get("/1").status_code == 200
    added(server, "http_error", stream, status=503, body='{"error":"injected"}')
    for path in ("/2", "/stream"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (503, {"error": "injected"})
    assert client.post("/3", content=b"x" * 100_000).status_code == 503
    assert client.head("/4").status_code == 503
    server.remove("shop", "t")
    assert client.get("/5").json() == ORDER
    assert server.statistics("shop").connections == 1
    # The service sees only what was not answered on its way up.
    assert asked == (["/1", "/5"] if stream == "upstream" else ["/1", "/2", "/stream", "/3", "/5"])
    count = server.statistics("shop").toxics["t"]
    assert (count.considered, count.injected) == (4, 4)


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_only_what_matches_is_hit(server, client, stream):
    added(server, "http_error", stream, method="post", path="/pay")
    assert client.get("/pay").status_code == 200
    assert client.post("/other", content=b"{}").status_code == 200
    assert client.post("/pay/now", content=b"{}").status_code == 503
    assert server.statistics("shop").toxics["t"].considered == 1


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_the_share_of_requests_is_as_asked(server, client, stream):
    added(server, "http_error", stream, share=0.3)
    statuses = [client.get("/").status_code for _ in range(300)]
    assert within_99_percent(statuses.count(503), 300, 0.3)
    assert statuses.count(503) + statuses.count(200) == 300
    assert server.statistics("shop").toxics["t"].injected == statuses.count(503)


def test_a_connection_that_the_client_wants_closed_is_closed_behind_the_error(server, client):
    added(server, "http_error", "upstream", status=500, body="no")
    with dial(server.proxies()["shop"][0].listen) as line:
        line.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        said = everything(line)
    assert said.startswith(b"HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\n")
    assert said.endswith(b"\r\n\r\nno")


def test_pipelined_requests_are_answered_in_their_order(server, client):
    added(server, "http_error", "upstream", path="/bad", body="bad")
    line = dial(server.proxies()["shop"][0].listen)
    paths = ["/a", "/bad1", "/bad2", "/b", "/bad3"]
    with line:
        line.sendall(b"".join(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode() for path in paths))
        found = []
        framing = Framing(lambda: "GET")
        while sum(1 for one in found if one == "end") < len(paths):
            for piece in framing.feed(line.recv(65536)):
                if piece.head is not None:
                    found.append(piece.head.status)
                elif piece.kind is Kind.END:
                    found.append("end")
    assert [one for one in found if one != "end"] == [200, 503, 503, 200, 503]


def test_a_toxic_taken_away_while_an_answer_is_replaced_keeps_the_frames(server):
    def answer(line: socket.socket) -> None:
        line.recv(1000)
        line.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n0123456789")
        time.sleep(0.15)
        line.sendall(b"abcdefghij")
        line.recv(1000)
        line.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext")

    with service(answer) as upstream:
        address = server.open(Proxy("shop", "127.0.0.1:0", upstream), [Toxic("http_error", "t")])
        connection = http.client.HTTPConnection(*address_of(address), timeout=PATIENCE)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b""
        server.remove("shop", "t")
        time.sleep(0.25)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"next"
        connection.close()


def test_a_request_that_waits_for_its_answer_is_spared_when_the_toxic_is_taken_away(server):
    asked, let_go = threading.Event(), threading.Event()

    def answer(line: socket.socket) -> None:
        line.recv(1000)
        asked.set()
        let_go.wait(PATIENCE)
        line.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    with service(answer) as upstream:
        address = server.open(Proxy("shop", "127.0.0.1:0", upstream), [Toxic("http_error", "t")])
        with dial(address) as line:
            line.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert asked.wait(PATIENCE)
            server.remove("shop", "t")
            let_go.set()
            assert line.recv(1000).startswith(b"HTTP/1.1 200")


# -- http_latency ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_each_request_that_matches_is_delayed(server, client, stream):
    client.get("/")
    added(server, "http_latency", stream, latency=120, path="/slow")
    assert is_quick(lambda: client.get("/quick"), 0.1)
    assert is_about(took(lambda: client.get("/slow")), 0.12)
    assert client.get("/slow/stream").json() == ORDER
    assert server.statistics("shop").toxics["t"].injected == 2


# -- http_corrupt_body -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/stream"])
def test_a_body_is_made_invalid_in_its_frame(server, client, path):
    added(server, "http_corrupt_body")
    for _ in range(5):
        answer = client.get(path)
        assert answer.status_code == 200
        with pytest.raises(ValueError, match=r"."):
            answer.json()
    server.remove("shop", "t")
    assert client.get(path).status_code == 200
    assert client.get("/").json() == ORDER
    assert server.statistics("shop").connections == 1


@pytest.mark.parametrize("path", ["/", "/stream"])
def test_a_field_has_another_type_and_the_json_is_valid(server, client, path):
    whole = client.get(path).json()
    added(server, "http_corrupt_body", mode="type")
    assert all(client.get(path).json() != whole for _ in range(5))


def test_the_body_of_a_request_is_made_wrong_on_its_way_up(server, client):
    added(server, "http_corrupt_body", "upstream", mode="bytes")
    said = client.post("/", content=b"z" * 1000, headers={"content-type": "text/plain"}).content
    assert len(said) == 1000
    assert said != b"z" * 1000


def test_a_body_that_comes_drop_by_drop_is_not_waited_for_to_its_end(server):
    heard = threading.Event()

    def answer(line: socket.socket) -> None:
        line.recv(1000)
        line.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: tick\n\n")
        heard.wait(PATIENCE)  # it ends only when its first part was heard

    with service(answer) as upstream:
        address = server.open(Proxy("shop", "127.0.0.1:0", upstream), [Toxic("http_corrupt_body", "t")])
        with dial(address) as line:
            line.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
            line.settimeout(PATIENCE / 2)
            assert exactly(line, len(head)) == head
            assert len(exactly(line, 12)) == 12
            heard.set()


# -- other traffic -----------------------------------------------------------------------------------------------------

KINDS = [Toxic("http_error", "e"), Toxic("http_latency", "l", attributes={"latency": 30}),
         Toxic("http_corrupt_body", "c"), Toxic("http_error", "eu", "upstream"),
         Toxic("http_corrupt_body", "cu", "upstream"),
         Toxic("http_latency", "lu", "upstream", attributes={"latency": 30})]


@pytest.mark.parametrize("said", [b"PING\r\n", b"\x16\x03\x01\x00\x05hello", b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
                                  b"G\x00", b"GET k\r\n", b"HTTP/9 \r\n", bytes(1000),
                                  b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_other_protocols_pass_as_they_are_and_at_once(server, said):
    with echo() as upstream, dial(server.open(Proxy("p", "127.0.0.1:0", upstream), KINDS)) as line:
        def passes() -> None:
            assert ask(line, said) == said

        assert is_quick(passes, 0.1)


def test_a_server_that_speaks_first_is_heard(server):
    def answer(line: socket.socket) -> None:
        line.sendall(b"220 mail ready\r\n")
        line.sendall(line.recv(100))

    with service(answer) as upstream, dial(server.open(Proxy("p", "127.0.0.1:0", upstream), KINDS)) as line:
        assert exactly(line, 16) == b"220 mail ready\r\n"
        line.sendall(b"HELO me\r\n")
        assert exactly(line, 9) == b"HELO me\r\n"


def test_an_upgraded_connection_is_another_protocol_from_then_on(server):
    def answer(line: socket.socket) -> None:
        line.recv(1000)
        line.sendall(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: raw\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        line.sendall(line.recv(1000))

    toxics = [Toxic("http_error", attributes={"path": "/other"}), Toxic("http_corrupt_body", attributes={"path": "/o"})]
    with service(answer) as upstream, dial(server.open(Proxy("p", "127.0.0.1:0", upstream), toxics)) as line:
        line.sendall(b"GET /chat HTTP/1.1\r\nupgrade: raw\r\nconnection: upgrade\r\n\r\n")
        assert exactly(line, 50 + 18).endswith(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        line.sendall(b"GET /other HTTP/1.1\r\n\r\n")
        assert exactly(line, 23) == b"GET /other HTTP/1.1\r\n\r\n"


def test_a_toxic_that_joins_in_the_middle_of_a_body_waits_for_the_next_request(server, client):
    address = server.proxies()["shop"][0].listen
    body = b"GET / HTTP/1.1\r\n\r\n" * 20
    with dial(address) as line:
        line.sendall(b"POST /1 HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body))
        eventually(lambda: server.statistics("shop").bytes_upstream > 10)
        added(server, "http_error", "upstream")
        line.sendall(body)
        first = b""
        while not first.endswith(body):
            first += line.recv(65536)
        assert first.startswith(b"HTTP/1.1 200")
        line.sendall(b"GET /2 HTTP/1.1\r\nhost: x\r\n\r\n")
        assert line.recv(1000).startswith(b"HTTP/1.1 503")


# -- any cut, any order ------------------------------------------------------------------------------------------------


class Wire:
    """Stands where asyncio's transport stands, and keeps what is written."""

    def __init__(self) -> None:
        self.out = bytearray()

    def write(self, data: bytes) -> None:
        self.out += data

    def can_write_eof(self) -> bool:
        return False


class Whole:
    """What a conversation needs of a connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.buffer, self.last = loop, Buffer(), None
        self.client, self.server = Side(self), Side(self)
        self.up, self.down = Flow(self, self.client, self.server), Flow(self, self.server, self.client)
        self.client.transport, self.server.transport = Wire(), Wire()
        self.over: list[str] = []

    def arrived(self, flow: Flow) -> None:
        self.over.append(flow.ended.name)

    def finish(self) -> None:
        self.over.append("finish")

    def reset(self) -> None:
        self.over.append("reset")


REQUESTS = st.lists(st.tuples(st.sampled_from(["GET", "POST", "HEAD"]), st.binary(max_size=60), st.booleans(),
                              st.binary(max_size=60), st.booleans()), min_size=1, max_size=7)
PLACES = st.lists(st.integers(0, 5000), max_size=30)


def written(method: str, number: int, body: bytes, in_chunks: bool) -> bytes:
    if method != "POST":
        return f"{method} /{number} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    return f"POST /{number} HTTP/1.1\r\n".encode() + framed(body, in_chunks)


def framed(body: bytes, in_chunks: bool, bodiless: bool = False) -> bytes:
    if in_chunks:
        chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        return b"transfer-encoding: chunked\r\n\r\n" + (b"" if bodiless else chunk + b"0\r\n\r\n")
    return b"content-length: %d\r\n\r\n" % len(body) + (b"" if bodiless else body)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[one:other] for one, other in pairwise(edges)]


def parsed(data: bytes, framing: Framing) -> list[tuple[str, int, bytes]]:
    found: list[list] = []
    for piece in framing.feed(data):
        if piece.head is not None:
            found.append([piece.head.target, piece.head.status, b""])
        elif piece.kind is Kind.BODY:
            found[-1][2] += piece.data
        assert piece.kind is not Kind.RAW
    assert framing.between
    return [tuple(one) for one in found]


@given(REQUESTS, PLACES, PLACES, st.sampled_from(["upstream", "downstream"]), st.integers(0, 1000))
@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
def test_errors_stand_exactly_where_their_requests_did_however_bytes_are_cut(asked, ups, downs, stream, seed):
    loop = asyncio.new_event_loop()
    try:
        whole = Whole(loop)
        toxic = Toxic("http_error", "t", stream, attributes={"share": 0.5, "body": "injected"}).settled()
        talk = Conversation(whole, Active(toxic, 0, ToxicCount()), draw.generator(seed), fresh=True, quiet=False)
        whole.up.insert(talk.stages()[0])
        whole.down.insert(talk.stages()[1])
        for piece in cut(b"".join(written(one[0], number, one[1], one[2]) for number, one in enumerate(asked)), ups):
            whole.up.first.push(piece)
        arrived = [int(target[1:]) for target, _, _ in parsed(bytes(whole.server.transport.out), Framing())]
        answers = b"".join(b"HTTP/1.1 200 OK\r\n" + framed(asked[number][3], asked[number][4],
                                                           asked[number][0] == "HEAD") for number in arrived)
        for piece in cut(answers, downs):
            whole.down.first.push(piece)
        methods = iter([one[0] for one in asked])
        seen = parsed(bytes(whole.client.transport.out), Framing(lambda: next(methods)))
        count = talk.active.count
        assert len(seen) == len(asked)
        assert count.injected == sum(status == 503 for _, status, _ in seen)
        for number, (_, status, body) in enumerate(seen):
            real = b"" if asked[number][0] == "HEAD" else asked[number][3]
            assert body == (real if status == 200 else b"" if asked[number][0] == "HEAD" else b"injected")
        if stream == "upstream":
            assert [number for number, one in enumerate(seen) if one[1] == 200] == arrived
        else:
            assert arrived == list(range(len(asked)))
        talk.requests.leave()
        talk.responses.leave()
        assert whole.up.stages == whole.down.stages == []
        assert whole.over == []
        whole.up.enter(End.EOF)
        assert whole.over == ["EOF"]
    finally:
        loop.close()
