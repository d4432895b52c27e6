"""How exact the faults are: what is asked for beside what a client measures."""

from __future__ import annotations

import contextlib
import socket
import statistics
import threading
import time

import pytest

from mainstay.adapters.proxy import Proxy, ProxyServer, Toxic
from proxy.lines import (
    ask,
    dial,
    echo,
    eventually,
    exactly,
    on_a_good_try,
    service,
    silent,
    took,
    turned_away,
    udp_echo,
    within_99_percent,
)

KB = 1000


@pytest.fixture(scope="module")
def server():
    with ProxyServer(seed=2024) as running:
        yield running


@pytest.fixture(scope="module")
def upstream():
    with echo() as written:
        yield written


@pytest.mark.parametrize("asked", [5, 20, 100, 300])
def test_a_latency_is_kept_to_5_ms_or_5_percent(server, upstream, asked):
    name = f"latency-{asked}"
    address = server.open(Proxy(name, "127.0.0.1:0", upstream))
    with dial(address) as line:
        def exact() -> None:
            # The quickest of some: what a busy machine adds is not the toxic's.
            without = min(took(lambda: ask(line, b"x")) for _ in range(15))
            server.add(name, Toxic("latency", attributes={"latency": asked}))
            seen = min(took(lambda: ask(line, b"x")) for _ in range(5))
            server.remove(name, "latency_downstream")
            assert (seen - without) * 1000 == pytest.approx(asked, abs=max(5, 0.05 * asked))

        on_a_good_try(exact)


def test_jitter_stays_within_its_bounds_and_fills_them(server, upstream):
    address = server.open(Proxy("jitter", "127.0.0.1:0", upstream),
                          [Toxic("latency", attributes={"latency": 30, "jitter": 20})])
    with dial(address) as line:
        def spread() -> None:
            seen = [took(lambda: ask(line, b"x")) * 1000 for _ in range(60)]
            assert min(seen) >= 10 - 1
            assert statistics.median(seen) == pytest.approx(30, abs=9)
            assert statistics.quantiles(seen, n=10)[0] < 22
            assert statistics.quantiles(seen, n=10)[-1] > 38

        on_a_good_try(spread)


@pytest.mark.parametrize(("rate", "size"), [(100, 60 * KB), (1000, 600 * KB), (20_000, 10_000 * KB)])
@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_a_bandwidth_is_kept_to_8_percent(server, rate, size, stream):
    def answer(line):
        if stream == "downstream":
            line.sendall(bytes(size))
        line.sendall(b"%d" % len(exactly(line, size)) if stream == "upstream" else b"")

    with service(answer) as upstream:
        name = f"bandwidth-{rate}-{stream}"
        toxic = Toxic("bandwidth", stream=stream, attributes={"rate": rate})
        address = server.open(Proxy(name, "127.0.0.1:0", upstream), [toxic])

        def exact() -> None:
            with dial(address) as line:
                begun = time.perf_counter()
                if stream == "upstream":
                    line.sendall(bytes(size))
                    assert exactly(line, len(str(size))) == str(size).encode()
                else:
                    assert len(exactly(line, size)) == size
                seconds = time.perf_counter() - begun
            assert size / seconds == pytest.approx(rate * KB, rel=0.08)

        on_a_good_try(exact)
        server.close(name)


def test_a_changed_bandwidth_holds_from_then_on(server):
    with service(lambda line: line.sendall(bytes(400 * KB))) as upstream:
        address = server.open(Proxy("changing", "127.0.0.1:0", upstream), [Toxic("bandwidth")])

        def exact() -> None:
            server.change("changing", "bandwidth_downstream", rate=10)
            with dial(address) as line:
                exactly(line, 2 * KB)
                server.change("changing", "bandwidth_downstream", rate=1000)
                begun = time.perf_counter()
                exactly(line, 398 * KB)
                assert 398 * KB / (time.perf_counter() - begun) == pytest.approx(1000 * KB, rel=0.1)

        on_a_good_try(exact)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_share_of_victims_is_as_asked_and_bystanders_see_nothing(server, upstream, share):
    name, draws = f"share-{share}", 500
    address = server.open(Proxy(name, "127.0.0.1:0", upstream), [Toxic("refuse", toxicity=share)])
    away = 0
    for _ in range(draws):
        if turned_away(address):
            away += 1
    found = server.statistics(name)
    assert (found.connections, found.victims, found.toxics["refuse_downstream"].injected) == (draws, away, away)
    assert within_99_percent(away, draws, share)


def test_in_1e5_exchanges_of_bystanders_no_byte_is_wrong(server, upstream):
    address = server.open(Proxy("bystanders", "127.0.0.1:0", upstream),
                          [Toxic("corrupt", toxicity=0.5, attributes={"rate": 1.0}),
                           Toxic("limit_data", stream="upstream", toxicity=0, attributes={"bytes": 1})])
    clean = victims = wrong = 0
    while clean < 10:
        with dial(address) as line:
            if ask(line, b"probe") != b"probe":
                victims += 1
                continue
            clean += 1
            # Ten thousand exchanges of one byte in flight together: the first wrong or missing one shows.
            sent = bytes(number % 251 for number in range(10_000))
            sender = threading.Thread(target=lambda line=line, sent=sent: [line.send(sent[at:at + 1])
                                                                        for at in range(len(sent))])
            sender.start()
            wrong += exactly(line, len(sent)) != sent
            sender.join()
    found = server.statistics("bystanders")
    assert wrong == 0
    assert (found.victims, found.bystanders) == (victims, clean)
    assert found.toxics["corrupt_downstream"].injected == victims


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_the_share_of_lost_datagrams_is_as_asked(server, share):
    with udp_echo() as upstream:
        name, draws = f"loss-{share}", 1500
        host, _, port = server.open(Proxy(name, "127.0.0.1:0", upstream, udp=True), [
            Toxic("loss", stream="upstream", attributes={"share": share})]).rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((host, int(port)))
            sock.settimeout(0.05)
            back = 0

            def lost() -> int:
                return server.statistics(name).toxics["loss_upstream"].injected

            def came(sent: int) -> bool:
                """Whether each datagram came back or is lost."""
                nonlocal back
                with contextlib.suppress(TimeoutError):
                    while back < sent:
                        sock.recv(100)
                        back += 1
                return back + lost() >= sent

            for at in range(0, draws, 150):
                for number in range(150):
                    sock.send(b"%d" % (at + number))
                eventually(lambda sent=at + 150: came(sent))
            assert silent(sock, 0.15)
            assert back == draws - lost()
            assert within_99_percent(lost(), draws, share)
