"""What each toxic does to a TCP connection, and what the proxy does to one without any."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

import pytest

from mainstay.adapters.proxy import Proxy, ProxyServer, Toxic
from mainstay.kernel.errors import Conflict, InvalidInput, NotFound, SourceUnavailable
from proxy.lines import (
    PATIENCE,
    ask,
    dial,
    echo,
    eventually,
    everything,
    exactly,
    is_about,
    is_over,
    is_quick,
    nobody,
    service,
    silent,
    took,
    turned_away,
)


@pytest.fixture
def upstream():
    with echo() as written:
        yield written


@pytest.fixture
def server():
    with ProxyServer(seed=11) as running:
        yield running


@pytest.fixture
def through(server, upstream):
    """Opens a proxy with these toxics; a line through it."""
    lines = []

    def opened(*toxics, name="p"):
        line = dial(server.open(Proxy(name, "127.0.0.1:0", upstream), toxics))
        lines.append(line)
        return line

    yield opened
    for line in lines:
        line.close()


# -- no toxic --------------------------------------------------------------------------------------------------------


def test_bytes_pass_both_ways_unchanged(through):
    line = through()
    data = bytes(range(256)) * 4000
    sender = threading.Thread(target=line.sendall, args=(data,))
    sender.start()
    assert exactly(line, len(data)) == data
    sender.join()


def test_a_closed_half_leaves_the_other_open(server):
    def answer(line: socket.socket) -> None:
        asked = everything(line)
        line.sendall(asked[::-1])

    with service(answer) as upstream, dial(server.open(Proxy("p", "127.0.0.1:0", upstream))) as line:
        line.sendall(b"backwards")
        line.shutdown(socket.SHUT_WR)
        assert everything(line) == b"sdrawkcab"
        eventually(lambda: server.statistics("p").open == 0)


def test_a_reset_of_the_service_is_a_reset_of_the_client(server):
    def answer(line: socket.socket) -> None:
        line.recv(10)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.close()

    with service(answer) as upstream, dial(server.open(Proxy("p", "127.0.0.1:0", upstream))) as line:
        line.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            everything(line)


def test_an_upstream_that_takes_no_connection_is_a_reset_and_is_counted(server):
    assert turned_away(server.open(Proxy("p", "127.0.0.1:0", nobody())))
    eventually(lambda: server.statistics("p").failed == 1)


def test_a_reader_that_does_not_read_stops_the_sender(server):
    let_go = threading.Event()

    def answer(line: socket.socket) -> None:
        let_go.wait(PATIENCE)
        line.sendall(str(len(everything(line))).encode())

    with service(answer) as upstream, dial(server.open(Proxy("p", "127.0.0.1:0", upstream))) as line:
        line.settimeout(0.3)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 256 * 1024 * 1024:
                sent += line.send(bytes(65536))
        assert sent < 64 * 1024 * 1024
        let_go.set()
        line.settimeout(PATIENCE)
        line.shutdown(socket.SHUT_WR)
        assert int(everything(line)) == sent


def test_ipv6_is_listened_on_and_passed_on(server):
    if not socket.has_ipv6:
        pytest.skip("program is absent: IPv6")
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as door:
            port = door.getsockname()[1]
            with dial(server.open(Proxy("six", "[::1]:0", f"[::1]:{port}"))) as line:
                there, _ = door.accept()
                with there:
                    line.sendall(b"six")
                    assert there.recv(10) == b"six"
    except OSError as error:
        pytest.skip(f"program is absent: IPv6 ({error})")


# -- toxics ------------------------------------------------------------------------------------------------------------


def test_latency_of_both_streams_adds(through):
    line = through(Toxic("latency", attributes={"latency": 60}),
                   Toxic("latency", stream="upstream", attributes={"latency": 40}))
    assert is_about(took(lambda: ask(line, b"ping")), 0.1)


def test_two_latencies_of_one_stream_add(through):
    line = through(Toxic("latency", "one", attributes={"latency": 50}),
                   Toxic("latency", "two", attributes={"latency": 70}))
    assert is_about(took(lambda: ask(line, b"ping")), 0.12)


def test_jitter_keeps_the_order(through):
    line = through(Toxic("latency", attributes={"latency": 10, "jitter": 10}))
    sent = b"".join(b"%04d" % number for number in range(50))
    for at in range(0, len(sent), 4):
        line.sendall(sent[at:at + 4])
        time.sleep(0.001)
    assert exactly(line, len(sent)) == sent


def test_a_toxic_can_be_put_on_an_open_connection_and_taken_away(server, through):
    line = through()
    assert is_quick(lambda: ask(line, b"a"), 0.05)
    server.add("p", Toxic("latency", attributes={"latency": 100}))
    assert took(lambda: ask(line, b"b")) > 0.095
    server.change("p", "latency_downstream", latency=200)
    assert took(lambda: ask(line, b"c")) > 0.195
    server.remove("p", "latency_downstream")
    assert is_quick(lambda: ask(line, b"d"), 0.05)


def test_what_a_latency_holds_goes_on_at_once_when_it_is_taken_away(server, through):
    line = through(Toxic("latency", attributes={"latency": 60_000}))
    line.sendall(b"held")
    eventually(lambda: server.statistics("p").toxics["latency_downstream"].injected == 1)
    assert took(lambda: server.remove("p", "latency_downstream")) < 5
    assert took(lambda: exactly(line, 4)) < 5


def test_a_line_of_no_rate_lets_nothing_through_until_it_is_taken_away(server, through):
    line = through(Toxic("bandwidth", attributes={"rate": 0}))
    line.sendall(b"held")
    assert silent(line, 0.2)
    server.remove("p", "bandwidth_downstream")
    assert exactly(line, 4) == b"held"


def test_slow_close_delays_the_end_and_not_the_data(server, through):
    line = through(Toxic("slow_close", attributes={"delay": 200}))
    assert is_quick(lambda: ask(line, b"quick"), 0.05)

    def until_closed() -> None:
        line.shutdown(socket.SHUT_WR)
        assert everything(line) == b""

    assert is_about(took(until_closed), 0.2)


def test_a_timeout_drops_everything_and_closes_after_its_time(through):
    def until_closed() -> None:
        line = through(Toxic("timeout", attributes={"timeout": 250}))
        line.sendall(b"lost")
        assert everything(line) == b""

    assert is_about(took(until_closed), 0.25)


def test_a_timeout_of_0_drops_until_it_is_taken_away_and_closes_then(server, through):
    line = through(Toxic("timeout", attributes={"timeout": 0}))
    line.sendall(b"lost")
    assert silent(line, 0.3)
    assert took(lambda: server.remove("p", "timeout_downstream")) < 5
    assert everything(line) == b""


def test_reset_peer_resets_when_the_first_bytes_come(through):
    line = through(Toxic("reset_peer"))
    assert silent(line, 0.1)
    line.sendall(b"x")
    with pytest.raises(ConnectionResetError):
        everything(line)


def test_reset_peer_waits_its_time(through):
    line = through(Toxic("reset_peer", stream="upstream", attributes={"timeout": 150}))

    def until_reset() -> None:
        line.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            everything(line)

    assert is_about(took(until_reset), 0.15)


@pytest.mark.parametrize(("limit", "sent"), [(10, 25), (25, 25), (100, 100), (1, 1), (0, 5)])
def test_limit_data_cuts_in_the_middle_of_what_comes(through, limit, sent):
    line = through(Toxic("limit_data", attributes={"bytes": limit}))
    line.sendall(bytes(sent))
    assert everything(line) == bytes(min(limit, sent))


def test_limit_data_counts_each_connection_by_itself(server, upstream, through):
    address = server.open(Proxy("q", "127.0.0.1:0", upstream), [Toxic("limit_data", attributes={"bytes": 6})])
    for _ in range(2):
        with dial(address) as line:
            line.sendall(b"abcd")
            assert exactly(line, 4) == b"abcd"
            line.sendall(b"efgh")
            assert everything(line) == b"ef"


def test_data_within_the_limit_arrives_through_a_latency_behind_it(through):
    line = through(Toxic("limit_data", attributes={"bytes": 7}), Toxic("latency", attributes={"latency": 50}))
    line.sendall(b"0123456789")
    assert everything(line) == b"0123456"


def test_a_slicer_cuts_into_pieces_and_waits_between_them(server):
    sizes = []

    def answer(line: socket.socket) -> None:
        while data := line.recv(65536):
            sizes.append(len(data))
        line.sendall(b"done")

    with service(answer) as upstream:
        toxic = Toxic("slicer", stream="upstream", attributes={"average_size": 100, "size_variation": 20,
                                                               "delay": 3000})
        with dial(server.open(Proxy("p", "127.0.0.1:0", upstream), [toxic])) as line:
            begun = time.perf_counter()
            line.sendall(bytes(5000))
            line.shutdown(socket.SHUT_WR)
            assert everything(line) == b"done"
    assert sum(sizes) == 5000
    # A busy reader finds some pieces together, but none that is smaller, unless it is the last one.
    assert len(sizes) <= 63
    assert min(sizes[:-1]) >= 80
    assert min(sizes) <= 120
    assert time.perf_counter() - begun >= 0.003 * 40


def test_refused_connections_are_reset_and_open_ones_are_let_be(server, through, upstream):
    line = through()
    assert ask(line, b"in") == b"in"
    server.add("p", Toxic("refuse"))
    assert ask(line, b"still") == b"still"
    assert turned_away(server.proxies()["p"][0].listen)
    count = server.statistics("p").toxics["refuse_downstream"]
    assert (count.victims, count.injected, count.bystanders) == (1, 1, 0)


def test_corruption_flips_the_same_bytes_however_the_stream_is_cut(server, upstream):
    data = bytes(200_000)
    seen = []
    for sizes in ([200_000], [7000, 1, 93_000, 100_000 - 1]):
        with ProxyServer(seed=5) as other:
            toxic = Toxic("corrupt", stream="upstream", attributes={"rate": 0.01})
            with dial(other.open(Proxy("p", "127.0.0.1:0", upstream), [toxic])) as line:
                sender = threading.Thread(target=_in_pieces, args=(line, data, sizes))
                sender.start()
                seen.append(exactly(line, len(data)))
                sender.join()
    assert seen[0] == seen[1]
    wrong = sum(byte != 0 for byte in seen[0])
    assert 1800 < wrong < 2200


def _in_pieces(line, data, sizes):
    at = 0
    for size in sizes:
        line.sendall(data[at:at + size])
        at += size
        time.sleep(0.01)


@pytest.mark.parametrize("reset", [False, True])
def test_cut_after_lets_data_through_and_cuts_then(through, reset):
    begun = time.perf_counter()
    line = through(Toxic("cut_after", attributes={"after": 250, "reset": reset}))
    with pytest.raises(ConnectionResetError) if reset else pytest.raises(EOFError):
        while True:
            if ask(line, b"tick") != b"tick":
                raise EOFError
            time.sleep(0.01)
    assert is_about(time.perf_counter() - begun, 0.25)


def test_a_noop_does_nothing(through):
    assert ask(through(Toxic("noop")), b"x") == b"x"


# -- whom it meets -----------------------------------------------------------------------------------------------------


def test_a_toxicity_of_0_meets_nobody_and_moves_no_byte(server, through):
    line = through(Toxic("timeout", toxicity=0), Toxic("latency", toxicity=0, attributes={"latency": 5000}),
                   Toxic("limit_data", toxicity=0), Toxic("reset_peer", toxicity=0), Toxic("refuse", toxicity=0))
    assert is_quick(lambda: ask(line, b"x" * 100_000), 4)
    found = server.statistics("p")
    assert (found.victims, found.bystanders) == (0, 1)
    assert sum(count.injected for count in found.toxics.values()) == 0


def test_a_toxic_that_is_made_with_its_proxy_is_escaped_by_nobody(server, upstream):
    address = server.open(Proxy("p", "127.0.0.1:0", upstream), [Toxic("refuse")])
    assert all(turned_away(address) for _ in range(20))


def test_the_same_seed_meets_the_same_connections(upstream):
    def met(seed: int) -> list[bool]:
        with ProxyServer(seed=seed) as server:
            address = server.open(Proxy("p", "127.0.0.1:0", upstream), [Toxic("limit_data", toxicity=0.5)])
            found = []
            for _ in range(24):
                with dial(address) as line:
                    line.sendall(b"x")
                    found.append(exactly(line, 1) == b"")
            return found

    assert met(1) == met(1)
    assert met(1) != met(2)


def test_a_wider_toxicity_meets_whom_it_met_before(server, upstream):
    address = server.open(Proxy("p", "127.0.0.1:0", upstream),
                          [Toxic("corrupt", toxicity=0.2, attributes={"rate": 1})])
    lines = [dial(address) for _ in range(30)]

    def met() -> set[int]:
        return {number for number, line in enumerate(lines) if ask(line, b"x") != b"x"}

    try:
        few = met()
        server.change("p", "corrupt_downstream", toxicity=0.6)
        many = met()
    finally:
        for line in lines:
            line.close()
    assert few < many
    count = server.statistics("p").toxics["corrupt_downstream"]
    assert (count.victims, count.bystanders) == (len(many), 30 - len(many))


# -- the set of proxies ------------------------------------------------------------------------------------------------


def test_a_port_in_use_is_refused_with_a_way_out_and_nothing_is_begun(server, upstream):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(InvalidInput, match="already in use") as raised:
            server.open(Proxy("p", f"127.0.0.1:{taken.getsockname()[1]}", upstream))
        assert raised.value.way_out
        assert server.proxies() == {}


@pytest.mark.parametrize("upstream", ["no-such-name.invalid:80", "127.0.0.1", "127.0.0.1:99999", ":x", ""])
def test_an_upstream_that_cannot_be_is_refused_with_a_way_out(server, upstream):
    with pytest.raises(InvalidInput) as raised:
        server.open(Proxy("p", "127.0.0.1:0", upstream))
    assert raised.value.way_out
    assert server.proxies() == {}


@pytest.mark.parametrize("toxic", [
    Toxic("latancy"), Toxic("latency", attributes={"latancy": 1}), Toxic("latency", attributes={"latency": -1}),
    Toxic("latency", attributes={"latency": "1"}), Toxic("latency", attributes={"latency": float("nan")}),
    Toxic("latency", toxicity=1.5), Toxic("latency", toxicity=float("nan")), Toxic("latency", stream="sideways"),
    Toxic("loss"), Toxic("latency", "x\ny"), Toxic("cut_after", attributes={"reset": 1}),
    Toxic("http_corrupt_body", attributes={"mode": "nicely"}), Toxic("http_error", attributes={"status": 99})])
def test_a_toxic_that_cannot_be_is_refused_and_the_proxy_with_it(server, upstream, toxic):
    with pytest.raises(InvalidInput):
        server.open(Proxy("p", "127.0.0.1:0", upstream), [toxic])
    assert server.proxies() == {}


def test_names_are_unique_and_unknown_ones_are_said(server, upstream):
    server.open(Proxy("p", "127.0.0.1:0", upstream), [Toxic("latency")])
    with pytest.raises(Conflict):
        server.open(Proxy("p", "127.0.0.1:0", upstream))
    with pytest.raises(Conflict):
        server.add("p", Toxic("latency"))
    for act in (lambda: server.close("q"), lambda: server.remove("p", "q"), lambda: server.statistics("q"),
                lambda: server.add("q", Toxic("latency")), lambda: server.change("p", "q", latency=1)):
        with pytest.raises(NotFound):
            act()


def test_a_proxy_that_is_off_refuses_and_cuts_and_its_port_is_kept_for_it(server, through):
    line = through(Toxic("latency"))
    assert ask(line, b"x") == b"x"
    address = server.proxies()["p"][0].listen
    server.enable("p", on=False)
    with pytest.raises(ConnectionRefusedError):
        dial(address)
    assert is_over(line)
    server.enable("p", on=True)
    with dial(address) as again:
        assert ask(again, b"back") == b"back"
    assert [toxic.name for toxic in server.proxies()["p"][1]] == ["latency_downstream"]


def test_a_closed_proxy_is_gone_with_its_connections(server, through):
    line = through()
    assert ask(line, b"x") == b"x"
    address = server.proxies()["p"][0].listen
    server.close("p")
    assert is_over(line)
    with pytest.raises(ConnectionRefusedError):
        dial(address)


def test_reset_takes_all_toxics_away(server, through):
    line = through(Toxic("latency", attributes={"latency": 60_000}))
    line.sendall(b"held")
    server.reset()
    assert exactly(line, 4) == b"held"
    assert server.proxies()["p"][1] == ()


def test_statistics_count_bytes_and_connections(server, through):
    line = through()
    ask(line, bytes(1000))
    found = server.statistics("p")
    assert (found.connections, found.open, found.bytes_upstream, found.bytes_downstream) == (1, 1, 1000, 1000)
    line.close()
    eventually(lambda: server.statistics("p").open == 0)
    assert server.statistics("p").bytes_upstream == 1000


def test_a_server_that_has_ended_says_so(upstream):
    with ProxyServer() as server:
        address = server.open(Proxy("p", "127.0.0.1:0", upstream))
    with pytest.raises(SourceUnavailable):
        server.proxies()
    with pytest.raises(ConnectionRefusedError):
        dial(address)


def test_threads_may_ask_at_the_same_time(server, upstream):
    failed = []

    def work(number: int) -> None:
        try:
            name = f"p{number}"
            with dial(server.open(Proxy(name, "127.0.0.1:0", upstream))) as line:
                for _ in range(10):
                    server.add(name, Toxic("latency"))
                    assert ask(line, b"x") == b"x"
                    server.remove(name, "latency_downstream")
            server.close(name)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert server.proxies() == {}
