"""TLS passes through unopened; a toxic may be for the connections of one server name alone."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.adapters.proxy import Proxy, ProxyServer, Toxic
from mainstay.adapters.proxy.hello import server_name
from programs import need
from proxy.lines import ask, dial, echo, eventually, exactly, is_over, is_quick, service, took, turned_away


def hello(name: str | None) -> bytes:
    """What a real client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.fixture
def server():
    with ProxyServer(seed=9) as running:
        yield running


@pytest.fixture(scope="module")
def upstream():
    with echo() as written:
        yield written


def test_the_name_is_read_from_a_real_hello():
    assert server_name(hello("api.example")) == "api.example"
    assert server_name(hello("API.Example.ORG")) == "api.example.org"
    assert server_name(hello(None)) == ""


def test_a_part_of_a_hello_says_that_more_is_needed():
    whole = hello("api.example")
    assert {server_name(whole[:at]) for at in range(len(whole))} == {None}


def test_a_hello_in_several_records_is_put_together():
    whole = hello("api.example")
    body = whole[5:]
    records = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
                       for part in (body[at:at + 40] for at in range(0, len(body), 40)))
    assert server_name(records) == "api.example"


@given(st.binary(max_size=200), st.integers(0, 600), st.integers(0, 255))
@settings(deadline=None)
def test_no_bytes_make_it_fail(noise, at, byte):
    assert server_name(noise) in (None, "") or isinstance(server_name(noise), str)
    changed = bytearray(HELLO)
    changed[at % len(changed)] = byte
    assert server_name(changed) is None or isinstance(server_name(changed), str)


HELLO = hello("api.example")


def test_only_connections_of_that_name_are_met(server, upstream):
    address = server.open(Proxy("p", "127.0.0.1:0", upstream),
                          [Toxic("latency", attributes={"latency": 120, "sni": "Slow.Example"})])
    for first, slow in [(hello("slow.example"), True), (hello("quick.example"), False), (hello(None), False),
                        (b"no TLS at all", False)]:
        with dial(address) as line:
            def asked(line: socket.socket = line, first: bytes = first) -> bytes:
                return ask(line, first)

            assert took(asked) > 0.11 if slow else is_quick(asked, 0.11)
    count = server.statistics("p").toxics["latency_downstream"]
    assert (count.victims, count.bystanders) == (1, 0)
    assert server.statistics("p").bystanders == 3


def test_a_hello_in_pieces_is_waited_for_and_passed_on_whole(server, upstream):
    address = server.open(Proxy("p", "127.0.0.1:0", upstream),
                          [Toxic("limit_data", stream="upstream", attributes={"bytes": 3, "sni": "slow.example"})])
    with dial(address) as line:
        for at in range(0, len(HELLO), 50):
            line.sendall(HELLO[at:at + 50])
            time.sleep(0.002)
        assert exactly(line, len(HELLO)) == HELLO
    with dial(address) as line:
        line.sendall(hello("slow.example"))
        assert is_over(line)
    assert server.statistics("p").bytes_upstream == len(HELLO) + 3


def test_a_toxic_that_comes_later_knows_the_names_of_open_connections(server, upstream):
    address = server.open(Proxy("p", "127.0.0.1:0", upstream))
    with dial(address) as one, dial(address) as other:
        ask(one, hello("slow.example"))
        ask(other, HELLO)
        server.add("p", Toxic("latency", attributes={"latency": 120, "sni": "slow.example"}))
        assert is_quick(lambda: ask(other, b"x"), 0.1)
        assert took(lambda: ask(one, b"x")) > 0.11


def test_a_name_can_be_refused(server, upstream):
    address = server.open(Proxy("p", "127.0.0.1:0", upstream), [Toxic("refuse", attributes={"sni": "api.example"})])
    assert not turned_away(address)
    with dial(address) as line:
        line.sendall(HELLO)
        with pytest.raises(ConnectionResetError):
            exactly(line, 1)
    assert server.statistics("p").toxics["refuse_downstream"].injected == 1


def test_real_tls_passes_unopened(server, tmp_path):
    openssl = need("openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=api.example", "-addext",
                    "subjectAltName=DNS:api.example"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def answer(line: socket.socket) -> None:
        with context.wrap_socket(line, server_side=True) as safe:
            safe.sendall(safe.recv(100)[::-1])

    toxics = [Toxic("latency", attributes={"latency": 5, "sni": "api.example"}), Toxic("http_error"),
              Toxic("slicer", attributes={"average_size": 100}), Toxic("timeout", attributes={"sni": "other.example"})]
    client = ssl.create_default_context(cafile=str(certificate))
    with service(answer) as upstream, dial(server.open(Proxy("p", "127.0.0.1:0", upstream), toxics)) as line, \
            client.wrap_socket(line, server_hostname="api.example") as safe:
        safe.sendall(b"secret")
        assert safe.recv(100) == b"terces"
        eventually(lambda: server.statistics("p").toxics["latency_downstream"].injected > 0)
