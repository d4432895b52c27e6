"""Whatever was put in comes out, to the last byte: in order, by its own end, or because its holder was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from mainstay.adapters.faults.packets import child
from mainstay.adapters.faults.packets.mechanism import Packets
from mainstay.adapters.faults.processes import found, gone, process_of
from mainstay.adapters.faults.undo import perform
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.faults import Healing
from packets.town import HERE, Town
from programs import need
from running_shop import eventually

KINDS = [("network-latency", {"latency": 0.3, "jitter": 0.1}), ("packet-loss", {"loss": 0.5}),
         ("packet-duplication", {"rate": 0.5}), ("packet-corruption", {"rate": 0.5}),
         ("packet-reordering", {"rate": 0.5, "latency": 0.1}), ("bandwidth-limit", {"rate": 10_000.0}),
         ("network-partition", {}), ("connection-reset", {})]


_TRIES = 5
"""A busy machine may stop whoever takes a fault out: what is out in time in one of so many tries is quick enough."""

_THEIRS = """table inet theirs {
    chain c {
        type filter hook input priority 0
        tcp dport 1 drop
    }
}
"""


def answers(place: Town) -> bool:
    return place.see("connections", host="127.0.0.1", port=place.port, count=3)["ok"] == 3


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_it_is_proven_in_and_proven_out_and_nothing_is_left(place: Town, kind: str, settings: dict[str, float]):
    before = place.see("state")
    with place.fault(place.order(kind, **settings)) as fault:
        assert fault.means.healing is Healing.KERNEL
        assert fault.proof().in_effect
        assert place.see("state") != before
    assert not fault.proof().in_effect
    assert place.see("state") == before
    assert gone(process_of(place.undos[-1].data), 0)


@pytest.mark.parametrize(("kind", "settings"), [KINDS[0], KINDS[2], KINDS[6], KINDS[7]])
def test_the_kernel_takes_it_out_when_its_holder_is_killed(place: Town, kind: str, settings: dict[str, float]):
    before = place.see("state")

    def soon() -> bool:
        with place.fault(place.order(kind, **settings)):
            holder = process_of(place.undos[-1].data)
            os.kill(holder.pid, signal.SIGKILL)
            time.sleep(0.2)
            at_once = place.see("state") == before
            eventually(lambda: place.see("state") == before)
            assert answers(place)
            return at_once

    assert any(soon() for _ in range(_TRIES))


def test_it_ends_by_itself_when_its_time_is_over(place: Town):
    before = place.see("state")

    def soon() -> bool:
        with place.fault(place.order("network-partition", seconds=0.5)):
            time.sleep(0.8)
            at_once = place.see("state") == before
            eventually(lambda: place.see("state") == before)
            assert answers(place)
            return at_once

    assert any(soon() for _ in range(_TRIES))


def test_any_process_can_take_it_out_any_number_of_times(place: Town):
    before = place.see("state")
    with place.fault(place.order("packet-loss", loss=1.0)):
        for _ in range(3):
            perform(place.undos[-1].act, place.undos[-1].data, None, "")
        assert place.see("state") == before


def test_packets_that_waited_go_on_at_once_when_it_is_removed(place: Town):
    with place.fault(place.order("network-latency", latency=30.0)) as fault:
        slow = place.meanwhile("round_trips", host="127.0.0.1", port=place.port, count=1, udp=True, timeout=60)
        eventually(lambda: fault.victims().get("packets_hit"))
        time.sleep(0.2)
    seen = slow.communicate(timeout=120)[0]
    assert 0.2 <= float(seen.strip("[]\n ")) < 25


def test_rules_of_others_are_neither_read_nor_changed(place: Town):
    need("nft")
    place.see("put_rules", rules=_THEIRS)
    before = place.see("state")
    assert "theirs" in before["nft list ruleset"]
    with place.fault(place.order("packet-loss", loss=0.5)):
        during = place.see("state")["nft list ruleset"]
        assert before["nft list ruleset"].strip() in during
    assert place.see("state") == before


def test_a_fault_in_spite_of_a_killed_run_is_out_within_a_fifth_of_a_second(place: Town):
    assert any(_out_soon_after_its_run_is_killed(place) for _ in range(_TRIES))


def _out_soon_after_its_run_is_killed(place: Town) -> bool:
    before = place.see("state")
    story = subprocess.Popen([sys.executable, str(HERE / "killed_run.py"), str(place.pid), str(place.port)],
                             stdout=subprocess.PIPE, text=True)
    assert story.stdout is not None
    assert story.stdout.readline() == "in\n"
    assert place.see("state") != before
    story.kill()
    story.wait()
    story.stdout.close()
    time.sleep(0.2)
    at_once = place.see("state") == before
    eventually(lambda: place.see("state") == before)
    return at_once


def test_two_faults_on_one_workload_add_up_and_come_out_by_themselves(place: Town):
    before = place.see("state")
    with place.fault(place.order("network-latency", latency=0.06)):
        with place.fault(place.order("network-latency", latency=0.06)):
            both = place.see("round_trips", host="127.0.0.1", port=place.port, count=10, timeout=5)
        one = place.see("round_trips", host="127.0.0.1", port=place.port, count=10, timeout=5)
    assert 0.12 <= min(both) < 0.2
    assert 0.06 <= min(one) < 0.11
    assert place.see("state") == before


def test_where_nothing_listens_nothing_is_done(place: Town):
    order = place.order("packet-loss", loss=1.0)
    with pytest.raises(InvalidInput, match="nothing listens"):
        Packets().means(type(order)("packet-loss", place.workload(port=1), settings={"loss": 1.0}))


def test_a_holder_that_cannot_do_it_leaves_nothing(place: Town):
    before = place.see("state")
    program = child.start("packets.holder")
    holder = found(program.pid)
    child.tell(program, '{"title": "x", "places": [], "inside": 999999999, "incoming": {"act": "", "impairment": {}}, '
                        '"outgoing": {"act": "", "impairment": {}}, "lead": null}\n')
    said = child.line(program, 10)
    child.finish(program)
    assert "error" in said
    assert holder is not None
    assert gone(holder, 60)
    assert place.see("state") == before
