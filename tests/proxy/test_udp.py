"""Toxics on datagrams: each by itself, each client by itself."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from mainstay.adapters.proxy import Proxy, ProxyServer, Toxic
from mainstay.kernel.errors import InvalidInput
from proxy.lines import PATIENCE, address_of, eventually, is_about, nobody, on_a_good_try, udp_echo


@pytest.fixture
def server():
    with ProxyServer(seed=4) as running:
        yield running


@pytest.fixture
def opened(server):
    """Opens a UDP proxy with these toxics; its address."""
    with udp_echo() as upstream:
        yield lambda *toxics: server.open(Proxy("u", "127.0.0.1:0", upstream, udp=True), toxics)


@contextlib.contextmanager
def speaker(written: str) -> Iterator[socket.socket]:
    """A client with an address of its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(address_of(written))
        sock.settimeout(PATIENCE)
        yield sock


def back(sock: socket.socket, least: int = 0) -> list[bytes]:
    """What comes back: so many are waited for, and then whether nothing more comes for a while."""
    out = []
    with contextlib.suppress(TimeoutError):
        while True:
            sock.settimeout(PATIENCE if len(out) < least else 0.2)
            out.append(sock.recv(65536))
    return out


def test_datagrams_pass_whole_and_clients_are_kept_apart(server, opened):
    address = opened()
    with speaker(address) as one, speaker(address) as other:
        one.send(b"from one")
        other.send(b"from other" * 500)
        assert other.recv(65536) == b"from other" * 500
        assert one.recv(65536) == b"from one"
        one.send(b"")
        assert one.recv(10) == b""
    found = server.statistics("u")
    assert (found.connections, found.victims, found.bytes_upstream, found.bytes_downstream) == (2, 0, 5008, 5008)


def test_latency_adds_over_both_ways(opened):
    address = opened(Toxic("latency", attributes={"latency": 60}),
                     Toxic("latency", stream="upstream", attributes={"latency": 40}))
    with speaker(address) as sock:
        begun = time.perf_counter()
        sock.send(b"x")
        assert sock.recv(10) == b"x"
        assert is_about(time.perf_counter() - begun, 0.1)


def test_all_are_lost_and_none_when_the_toxic_is_gone(server, opened):
    address = opened(Toxic("loss", stream="upstream"))
    with speaker(address) as sock:
        sock.send(b"lost")
        assert back(sock) == []
        server.remove("u", "loss_upstream")
        sock.settimeout(PATIENCE)
        sock.send(b"here")
        assert sock.recv(10) == b"here"


def test_a_duplicate_comes_twice(opened):
    with speaker(opened(Toxic("duplicate"))) as sock:
        sock.send(b"twice")
        assert back(sock, 2) == [b"twice", b"twice"]


def test_a_corrupt_datagram_is_as_long_and_wrong(opened):
    with speaker(opened(Toxic("corrupt", attributes={"rate": 0}))) as sock:
        sock.send(bytes(100))
        (wrong,) = back(sock, 1)
        assert len(wrong) == 100
        assert sum(byte != 0 for byte in wrong) == 1


def test_reordered_datagrams_come_later_than_those_behind_them(opened):
    sent = [b"%03d" % number for number in range(60)]
    with speaker(opened(Toxic("reorder", stream="upstream", attributes={"share": 0.3, "delay": 200}))) as sock:
        for data in sent:
            sock.send(data)
        came = back(sock, 60)
    assert sorted(came) == sent
    # Eighteen or so are held back; each comes behind one that was sent later.
    assert sum(data < max(came[:at]) for at, data in enumerate(came) if at) >= 5


def test_a_thin_line_spreads_datagrams_and_loses_what_it_cannot_hold(server, opened):
    with speaker(opened(Toxic("bandwidth", stream="upstream", attributes={"rate": 100}))) as sock:
        def spread() -> None:
            begun = time.perf_counter()
            for _ in range(40):
                sock.send(bytes(1000))
            assert len(back(sock, 40)) == 40
            assert time.perf_counter() - begun - 0.2 == pytest.approx(0.4, abs=0.06)

        on_a_good_try(spread)

        def loses() -> None:
            for number in range(200):
                sock.send(bytes(1000))
                time.sleep(0.001 if number % 10 == 0 else 0)  # not more at once than the system holds
            assert 80 <= len(back(sock, 1)) <= 130

        on_a_good_try(loses)


def test_a_client_is_a_victim_or_a_bystander_for_good(server, opened):
    address = opened(Toxic("loss", stream="upstream", toxicity=0.5))
    with contextlib.ExitStack() as stack:
        speakers = [stack.enter_context(speaker(address)) for _ in range(30)]
        for _ in range(3):
            for sock in speakers:
                sock.send(b"x")
        eventually(lambda: _went(server) == 90)
        for sock in speakers:
            sock.settimeout(0.05)
        heard = [sum(1 for _ in _all_there(sock)) for sock in speakers]
    assert set(heard) == {0, 3}
    found = server.statistics("u").toxics["loss_upstream"]
    assert (found.victims, found.bystanders, found.injected) == (heard.count(0), heard.count(3), 3 * heard.count(0))


def _went(server) -> int:
    """Datagrams of one byte that came back or are lost."""
    found = server.statistics("u")
    return found.bytes_downstream + found.toxics["loss_upstream"].injected


def _all_there(sock: socket.socket) -> Iterator[bytes]:
    """What has come already."""
    with contextlib.suppress(TimeoutError):
        while True:
            yield sock.recv(65536)


def test_a_toxic_can_be_widened(server, opened):
    address = opened(Toxic("loss", stream="upstream", toxicity=0.0))
    with speaker(address) as sock:
        sock.send(b"a")
        assert back(sock, 1) == [b"a"]
        server.change("u", "loss_upstream", toxicity=1.0)
        sock.send(b"b")
        assert back(sock) == []


def test_an_upstream_that_is_not_there_costs_only_its_datagrams(server):
    with speaker(server.open(Proxy("u", "127.0.0.1:0", nobody(socket.SOCK_DGRAM), udp=True))) as sock:
        for _ in range(5):
            sock.send(b"x")
        eventually(lambda: server.statistics("u").bytes_upstream == 5)
        assert back(sock) == []
    assert server.statistics("u").connections == 1


@pytest.mark.parametrize("kind", ["slicer", "timeout", "reset_peer", "limit_data", "http_error", "refuse"])
def test_toxics_of_connections_are_refused(opened, kind):
    with pytest.raises(InvalidInput) as raised:
        opened(Toxic(kind))
    assert "other protocol" in raised.value.way_out


def test_a_stopped_proxy_forgets_its_clients(server, opened):
    address = opened(Toxic("latency", attributes={"latency": 60_000}))
    with speaker(address) as sock:
        sock.send(b"x")
        eventually(lambda: server.statistics("u").toxics["latency_downstream"].injected == 1)
        server.enable("u", on=False)
        assert server.statistics("u").open == 0
        server.enable("u", on=True)
        server.change("u", "latency_downstream", latency=50)
        sock.settimeout(PATIENCE)
        for _ in range(3):  # the first may meet the error that the closed port left behind
            with contextlib.suppress(ConnectionRefusedError):
                sock.send(b"again")
        assert sock.recv(10) == b"again"
