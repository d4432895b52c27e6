"""Whatever toxics come and go on an open connection: no byte is lost, none is doubled, none comes out of turn."""

from __future__ import annotations

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.adapters.proxy import Proxy, ProxyServer, Toxic
from proxy.lines import PATIENCE, dial, echo, exactly

_HARMLESS = st.one_of(
    st.just(("noop", {})),
    st.just(("latency", {"latency": 0})),
    st.just(("slow_close", {"delay": 0})),
    st.just(("limit_data", {"bytes": 2**40})),
    st.just(("corrupt", {"share": 0})),
    st.just(("cut_after", {"after": 60_000})),
    st.just(("http_error", {})),
    st.just(("http_latency", {"latency": 50})),
    st.just(("http_corrupt_body", {})),
    st.builds(lambda latency: ("latency", {"latency": latency, "jitter": latency}), st.integers(0, 5)),
    st.builds(lambda size: ("slicer", {"average_size": size, "size_variation": size // 2}), st.integers(50, 5000)),
    st.builds(lambda rate: ("bandwidth", {"rate": rate}), st.integers(5_000, 1_000_000)))
_ACTS = st.lists(st.one_of(
    st.tuples(st.just("send"), st.integers(1, 40_000)),
    st.tuples(st.just("add"), st.sampled_from("abcd"), st.sampled_from(["upstream", "downstream"]), _HARMLESS),
    st.tuples(st.just("remove"), st.sampled_from("abcd")),
    st.tuples(st.just("toxicity"), st.sampled_from("abcd"), st.sampled_from([0.0, 1.0]))), min_size=1, max_size=25)


@pytest.fixture(scope="module")
def server():
    with ProxyServer() as running:
        yield running


@pytest.fixture(scope="module")
def upstream():
    with echo() as written:
        yield written


@given(acts=_ACTS, seed=st.integers(0, 250))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_byte_is_lost_or_moved_while_toxics_come_and_go(server, upstream, acts, seed):
    total = sum(act[1] for act in acts if act[0] == "send")
    # Not text: it must not look like HTTP. Not regular: a piece out of turn must show.
    data = bytes((seed + at * 7 + at // 256 * 11) % 256 for at in range(total))
    got: list[bytes] = []
    with dial(server.open(Proxy("p", "127.0.0.1:0", upstream))) as line:
        reader = threading.Thread(target=lambda: got.append(exactly(line, total)))
        reader.start()
        at, there = 0, set()
        for act in acts:
            if act[0] == "send":
                line.sendall(data[at:at + act[1]])
                at += act[1]
            elif act[0] == "add" and act[1] not in there:
                there.add(act[1])
                server.add("p", Toxic(act[3][0], act[1], act[2], attributes=act[3][1]))
            elif act[0] == "remove" and act[1] in there:
                there.discard(act[1])
                server.remove("p", act[1])
            elif act[0] == "toxicity" and act[1] in there:
                server.change("p", act[1], toxicity=act[2])
        reader.join(PATIENCE)
        alive = reader.is_alive()
        server.close("p")
        reader.join()
    assert not alive, "it hangs"
    assert got == [data]


def test_a_toxic_added_and_removed_a_hundred_times_under_full_load_loses_nothing(server, upstream):
    size = 20_000_000
    data = bytes(range(251)) * (size // 251)
    got: list[bytes] = []
    with dial(server.open(Proxy("full", "127.0.0.1:0", upstream))) as line:
        reader = threading.Thread(target=lambda: got.append(exactly(line, len(data))))
        sender = threading.Thread(target=lambda: line.sendall(data))
        reader.start()
        sender.start()
        for number in range(100):
            stream = "upstream" if number % 2 else "downstream"
            server.add("full", Toxic("latency", "t", stream, attributes={"latency": 1}))
            server.remove("full", "t")
        sender.join(PATIENCE)
        reader.join(PATIENCE)
    server.close("full")
    assert got == [data]
