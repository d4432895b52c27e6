"""toxiproxy's HTTP API: asked by its unmodified Python client, by hand, and by noise."""

from __future__ import annotations

import json
import socket
import time

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toxiproxy import Toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from mainstay.adapters.proxy import Proxy, ProxyServer
from mainstay.kernel.errors import InvalidInput
from proxy.lines import PATIENCE, address_of, ask, dial, echo, everything, exactly, is_over, is_quick, took, turned_away


@pytest.fixture
def server():
    with ProxyServer("127.0.0.1:0", seed=1) as running:
        yield running


@pytest.fixture
def api(server):
    with httpx.Client(base_url=f"http://{server.api}", trust_env=False, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def upstream():
    with echo() as written:
        yield written


# -- the unmodified client ---------------------------------------------------------------------------------------------


@pytest.fixture
def toxiproxy(server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    client = Toxiproxy()
    client.update_api_consumer(*address_of(server.api))
    return client


def test_the_python_client_makes_finds_and_destroys_proxies(toxiproxy, upstream):
    assert toxiproxy.running()
    assert json.loads(toxiproxy.version())["version"].startswith("2.")
    made = toxiproxy.create(upstream=upstream, name="db")
    assert made.enabled
    assert address_of(made.listen)[1] > 0
    with dial(made.listen) as line:
        assert ask(line, b"x") == b"x"
    assert toxiproxy.get_proxy("db").upstream == upstream
    with pytest.raises(ProxyExists):
        toxiproxy.create(upstream=upstream, name="db")
    assert toxiproxy.destroy(made)
    assert toxiproxy.proxies() == {}
    with pytest.raises(NotFound):
        made.destroy()


def test_the_python_client_adds_lists_and_takes_away_toxics(toxiproxy, upstream):
    proxy = toxiproxy.create(upstream=upstream, name="db")
    with dial(proxy.listen) as line:
        proxy.add_toxic(type="latency", attributes={"latency": 120, "jitter": 0})
        assert took(lambda: ask(line, b"x")) > 0.115
        toxic = proxy.get_toxic("latency_downstream")
        assert (toxic.type, toxic.stream, toxic.toxicity) == ("latency", "downstream", 1.0)
        assert toxic.attributes == {"latency": 120, "jitter": 0}
        with pytest.raises(ProxyExists):
            proxy.add_toxic(type="latency")
        with pytest.raises(InvalidToxic):
            proxy.add_toxic(type="nonsense")
        with pytest.raises(InvalidToxic):
            proxy.add_toxic(type="latency", name="other", stream="sideways")
        assert proxy.destroy_toxic("latency_downstream")
        assert is_quick(lambda: ask(line, b"x"), 0.1)
        with pytest.raises(NotFound):
            proxy.destroy_toxic("latency_downstream")
        proxy.add_toxic(name="cut", type="limit_data", stream="upstream", toxicity=1, attributes={"bytes": 3})
        line.sendall(b"abcd")
        assert is_over(line) or exactly(line, 3) == b"abc"


def test_the_python_client_takes_a_proxy_down_populates_and_resets(toxiproxy, upstream):
    proxies = toxiproxy.populate([{"name": "one", "upstream": upstream, "listen": "127.0.0.1:0"},
                                  {"name": "two", "upstream": upstream, "listen": "127.0.0.1:0", "enabled": True}])
    assert [proxy.name for proxy in proxies] == ["one", "two"]
    one, two = proxies
    with one.down():
        with pytest.raises(ConnectionRefusedError):
            dial(one.listen)
        with dial(two.listen) as line:
            assert ask(line, b"x") == b"x"
    with dial(one.listen) as line:
        assert ask(line, b"x") == b"x"
    one.disable()
    two.add_toxic(type="timeout", attributes={"timeout": 0})
    assert toxiproxy.reset()
    assert toxiproxy.get_proxy("one").enabled
    assert two.toxics() == {}
    toxiproxy.destroy_all()
    assert toxiproxy.proxies() == {}


# -- by hand -----------------------------------------------------------------------------------------------------------


def test_a_proxy_and_its_toxics_are_made_at_once(api, upstream):
    answer = api.post("/proxies", json={"name": "p", "upstream": upstream, "toxics": [{"type": "refuse"}]})
    assert answer.status_code == 201
    assert answer.json()["toxics"] == [{"attributes": {}, "name": "refuse_downstream", "type": "refuse",
                                        "stream": "downstream", "toxicity": 1.0}]
    assert all(turned_away(answer.json()["listen"]) for _ in range(5))
    refused = api.post("/proxies", json={"name": "q", "upstream": upstream, "toxics": [{"type": "nonsense"}]})
    assert refused.status_code == 400
    assert set(api.get("/proxies").json()) == {"p"}


@pytest.mark.parametrize(("method", "path", "body", "status", "error"), [
    ("POST", "/proxies", "{", 400, "bad request body"),
    ("POST", "/proxies", "", 400, "bad request body"),
    ("POST", "/proxies", "[]", 400, "bad request body"),
    ("POST", "/proxies", {"upstream": "127.0.0.1:1"}, 400, "missing required field: name"),
    ("POST", "/proxies", {"name": "x"}, 400, "missing required field: upstream"),
    ("POST", "/proxies", {"name": "p", "upstream": "127.0.0.1:1"}, 409, "proxy already exists"),
    ("POST", "/proxies", {"name": "x", "upstream": "no-such-name.invalid:1"}, 400, "cannot be resolved"),
    ("POST", "/proxies", {"name": "x", "upstream": "127.0.0.1:1", "listen": "TAKEN"}, 400, "address already in use"),
    ("GET", "/proxies/none", None, 404, "proxy not found"),
    ("DELETE", "/proxies/none", None, 404, "proxy not found"),
    ("GET", "/proxies/none/toxics", None, 404, "proxy not found"),
    ("POST", "/proxies/none/toxics", {"type": "latency"}, 404, "proxy not found"),
    ("POST", "/proxies/p", {"listen": "TAKEN"}, 400, "address already in use"),
    ("POST", "/proxies/p", {"enabled": "yes"}, 400, "bad request body"),
    ("POST", "/proxies/p/toxics", {"type": "latency"}, 409, "toxic already exists"),
    ("POST", "/proxies/p/toxics", {"type": ""}, 400, "invalid toxic type"),
    ("POST", "/proxies/p/toxics", {"type": "slicer", "stream": "x"}, 400, "stream was invalid"),
    ("POST", "/proxies/p/toxics", {"type": "slicer", "attributes": {"delay": "x"}}, 400, "must be a number"),
    ("POST", "/proxies/p/toxics", {"type": "slicer", "toxicity": "x"}, 400, "toxicity must be a number"),
    ("POST", "/proxies/p/toxics", '{"type": "slicer", "toxicity": NaN}', 400, "bad request body"),
    ("GET", "/proxies/p/toxics/none", None, 404, "toxic not found"),
    ("POST", "/proxies/p/toxics/none", {}, 404, "toxic not found"),
    ("PATCH", "/proxies/p/toxics/latency_downstream", {"attributes": {"latency": -1}}, 400, "must be from 0"),
    ("DELETE", "/proxies/p/toxics/none", None, 404, "toxic not found"),
    ("POST", "/populate", {}, 400, "a list of proxies"),
    ("POST", "/populate", [{"name": "x"}], 400, "missing required field: upstream at proxy 1"),
    ("GET", "/nothing", None, 404, "not found"),
    ("PUT", "/proxies", None, 405, "method not allowed"),
    ("GET", "/reset", None, 405, "method not allowed")])
def test_what_is_wrong_is_said_in_the_api_s_shape_and_changes_nothing(api, upstream, method, path, body, status, error):
    api.post("/proxies", json={"name": "p", "upstream": upstream, "toxics": [{"type": "latency"}]})
    before = api.get("/proxies").json()
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    if text is not None:
        text = text.replace("TAKEN", api.base_url.netloc.decode())
    answer = api.request(method, path, content=text)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert error in answer.json()["error"]
    assert api.get("/proxies").json() == before


def test_a_changed_proxy_moves_and_keeps_its_toxics(api, upstream):
    first = api.post("/proxies", json={"name": "p", "upstream": "127.0.0.1:1", "toxics": [{"type": "latency"}]}).json()
    moved = api.patch("/proxies/p", json={"upstream": upstream}).json()
    assert (moved["listen"], moved["upstream"], moved["toxics"]) == (first["listen"], upstream, first["toxics"])
    with dial(moved["listen"]) as line:
        assert ask(line, b"x") == b"x"
        again = api.post("/proxies/p", json={"listen": "127.0.0.1:0"}).json()
        assert again["listen"] != first["listen"]
        assert is_over(line)
    off = api.post("/proxies/p", json={"enabled": False}).json()
    assert not off["enabled"]
    with pytest.raises(ConnectionRefusedError):
        dial(off["listen"])


def test_a_changed_toxic_keeps_what_is_not_said(api, upstream):
    api.post("/proxies", json={"name": "p", "upstream": upstream})
    api.post("/proxies/p/toxics", json={"type": "latency", "attributes": {"latency": 10, "jitter": 5}})
    changed = api.post("/proxies/p/toxics/latency_downstream", json={"attributes": {"latency": 20}}).json()
    assert (changed["attributes"], changed["toxicity"]) == ({"latency": 20, "jitter": 5}, 1.0)
    changed = api.patch("/proxies/p/toxics/latency_downstream", json={"toxicity": 0.25}).json()
    assert (changed["attributes"], changed["toxicity"]) == ({"latency": 20, "jitter": 5}, 0.25)
    assert api.get("/proxies/p/toxics").json() == [changed]
    assert api.get("/proxies/p/toxics/latency_downstream").json() == changed


def test_populating_twice_changes_nothing_the_second_time(api, upstream):
    declared = [{"name": "a", "listen": "127.0.0.1:0", "upstream": upstream},
                {"name": "b", "listen": "localhost:0", "upstream": upstream, "toxics": [{"type": "latency"}]}]
    first = api.post("/populate", json=declared)
    assert first.status_code == 201
    with dial(first.json()["proxies"][0]["listen"]) as line:
        api.post("/proxies/a/toxics", json={"type": "slicer"})
        again = api.post("/populate", json=declared)
        assert again.status_code == 201
        assert ask(line, b"x") == b"x", "connections live on"
    assert [proxy["listen"] for proxy in again.json()["proxies"]] == [
        proxy["listen"] for proxy in first.json()["proxies"]]
    assert [toxic["type"] for proxy in again.json()["proxies"] for toxic in proxy["toxics"]] == ["slicer", "latency"]
    other = api.post("/populate", json=[{**declared[0], "upstream": "127.0.0.1:1"}]).json()["proxies"]
    assert (other[0]["upstream"], other[0]["toxics"]) == ("127.0.0.1:1", [])


def test_populating_is_all_or_nothing(api, upstream):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = api.post("/populate", json=[
            {"name": "a", "upstream": upstream},
            {"name": "b", "upstream": upstream, "listen": f"127.0.0.1:{taken.getsockname()[1]}"}])
    assert answer.status_code == 400
    assert answer.json()["proxies"] == []
    assert api.get("/proxies").json() == {}


def test_a_datagram_proxy_is_made_over_the_api(api, upstream):
    made = api.post("/proxies", json={"name": "u", "upstream": upstream, "protocol": "udp",
                                      "toxics": [{"type": "loss"}]}).json()
    assert made["protocol"] == "udp"
    assert api.post("/proxies/u/toxics", json={"type": "slicer"}).status_code == 400


def test_names_that_need_quoting_are_found(api, upstream):
    api.post("/proxies", json={"name": "a/b c?d", "upstream": upstream, "toxics": [{"type": "latency", "name": "x/y"}]})
    assert api.get("/proxies/a%2Fb%20c%3Fd/toxics/x%2Fy").json()["type"] == "latency"
    assert api.delete("/proxies/a%2Fb%20c%3Fd/toxics/x%2Fy").status_code == 204


def test_statistics_and_metrics_say_what_happened(api, upstream):
    listen = api.post("/proxies", json={"name": 'p"q', "upstream": upstream, "toxics": [{"type": "latency"}]}).json()
    with dial(listen["listen"]) as line:
        ask(line, bytes(1000))
    found = api.get("/proxies/p%22q/statistics").json()
    assert (found["connections"], found["victims"], found["bystanders"], found["bytes_downstream"]) == (1, 1, 0, 1000)
    text = api.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    labels = f'listener="{listen["listen"]}",proxy="p\\"q",upstream="{upstream}"'
    assert f'toxiproxy_proxy_sent_bytes_total{{direction="downstream",{labels}}} 1000\n' in text.text
    assert f'toxiproxy_proxy_received_bytes_total{{direction="upstream",{labels}}} 1000\n' in text.text
    assert 'mainstay_proxy_toxic_victims_total{proxy="p\\"q",toxic="latency_downstream"} 1\n' in text.text


# -- who may ask -------------------------------------------------------------------------------------------------------


def test_browsers_and_other_host_names_are_kept_out(api):
    assert api.get("/version", headers={"user-agent": "Mozilla/5.0"}).status_code == 403
    for host in ("evil.example", "evil.example:8474", "localhost.evil.example", "192.0.2.1", "127.0.0.1.evil.example",
                 "", "a b", "[::1", "@127.0.0.1"):
        status = api.get("/version", headers={"host": host}).status_code
        assert status == (200 if host == "" else 403), host
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "127.8.8.8:8474", "[::1]", "[::1]:8474"):
        assert api.get("/version", headers={"host": host}).status_code == 200, host


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "example.com:0"])
def test_the_api_is_open_to_others_only_when_told_so(listen):
    with pytest.raises(InvalidInput, match="open to others") as raised, ProxyServer(listen):
        pass
    assert "127.0.0.1" in raised.value.way_out


def test_an_api_that_may_be_anywhere_takes_addresses_and_no_names():
    with ProxyServer("0.0.0.0:0", anywhere=True) as server:
        base = f"http://127.0.0.1:{address_of(server.api)[1]}/version"
        for host, status in (("192.0.2.1:80", 200), ("127.0.0.1", 200), ("evil.example", 403)):
            assert httpx.get(base, headers={"host": host}, trust_env=False).status_code == status


# -- the wire ----------------------------------------------------------------------------------------------------------


def test_requests_in_one_piece_and_in_crumbs_are_answered_in_their_order(server):
    said = (b"GET /version HTTP/1.1\r\nhost: localhost\r\n\r\n"
            b"POST /proxies HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
            b"GET /proxies HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    for size in (len(said), 7):
        with dial(server.api) as line:
            for at in range(0, len(said), size):
                line.sendall(said[at:at + size])
                time.sleep(0.001 if size < 100 else 0)
            answers = everything(line)
        assert answers.count(b"HTTP/1.1 ") == 3
        assert answers.index(b"HTTP/1.1 200") < answers.index(b"HTTP/1.1 400") < answers.rindex(b"HTTP/1.1 200")


@pytest.mark.parametrize(("said", "status"), [
    (b"\x16\x03\x01\x00\x05hello", 400), (b"nonsense\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
    (b"GET /" + b"a" * 100_000, 400),
    (b"POST /populate HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n" + bytes(1_100_000), 413)])
def test_what_is_no_request_is_answered_and_closed(server, said, status):
    with dial(server.api) as line:
        line.sendall(said)
        assert exactly(line, 12) == b"HTTP/1.1 %d" % status
        assert b"error" in everything_or_reset(line)


def everything_or_reset(line: socket.socket) -> bytes:
    out = b""
    try:
        while data := line.recv(65536):
            out += data
    except ConnectionResetError:
        pass
    return out


_WORDS = st.sampled_from(["name", "type", "stream", "toxicity", "attributes", "listen", "upstream", "enabled", "toxics",
                          "latency", "bandwidth", "rate", "127.0.0.1:0", "127.0.0.1:1", "p", "timeout", "share", "udp",
                          "protocol", "http_error", "status", "\x00", "é" * 300])
_VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | _WORDS | st.text(max_size=5),
                       lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=5),
                       max_leaves=10)
_PATHS = st.lists(st.sampled_from(["proxies", "populate", "reset", "version", "metrics", "toxics", "p", "statistics",
                                   "", "latency_downstream", "..", "%00", "%ff", "?x=1"]), max_size=5).map("/".join)


@pytest.fixture(scope="module")
def noisy():
    with ProxyServer("127.0.0.1:0") as server, echo() as upstream:
        server.open(Proxy("p", "127.0.0.1:0", upstream))
        with httpx.Client(base_url=f"http://{server.api}", trust_env=False, timeout=PATIENCE) as client:
            yield client


@given(st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"]), _PATHS,
       st.one_of(_VALUES.map(json.dumps), st.binary(max_size=100)))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_makes_it_fail_or_hang(noisy, method, path, body):
    answer = noisy.request(method, f"{noisy.base_url}/{path}", content=body)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and method != "HEAD":
        assert answer.json()["status"] == answer.status_code
    assert noisy.get("/version").status_code == 200
