"""Who is not meant is not hit: another port of the same address, another address, other processes.

A hundred thousand over the five kinds; MAINSTAY_BYSTANDER_OPERATIONS=100000 makes as many of each, in 3 to 5 s a kind.
"""

from __future__ import annotations

import os

import pytest

from mainstay.adapters.faults.packets.nftables import forbidden
from packets.town import Town

_OPERATIONS = int(os.environ.get("MAINSTAY_BYSTANDER_OPERATIONS", "20000"))


@pytest.mark.parametrize(("kind", "settings"), [
    ("packet-loss", {"loss": 1.0}), ("network-partition", {}), ("connection-reset", {}),
    ("network-latency", {"latency": 10.0}), ("packet-corruption", {"rate": 1.0})])
def test_a_neighbour_at_another_port_sees_no_fault(place: Town, kind: str, settings: dict[str, float]):
    with place.fault(place.order(kind, **settings)):
        seen = place.see("bystander", host="127.0.0.1", port=place.other, count=_OPERATIONS)
    assert seen["operations"] == _OPERATIONS
    assert seen["wrong"] == 0
    assert seen["longest"] < 5, "not the ten seconds of a packet that is held, nor the time of one that is sent again"


def test_the_same_port_at_another_address_sees_no_fault(place: Town):
    with place.fault(place.order("network-partition")):
        seen = place.see("bystander", host="::1", port=place.port, count=1000)
        assert place.see("connections", host="127.0.0.1", port=place.port, count=1)["silent"] == 1
    assert seen["wrong"] == 0


def test_the_network_of_the_machine_itself_sees_no_fault(place: Town):
    before = (place.see("state"), own_state())
    with place.fault(place.order("packet-loss", loss=1.0)):
        assert place.see("state") != before[0]
        assert own_state() == before[1]


def own_state() -> list[str]:
    """Queues of the network that the tests run in; who may not see them could not make any either."""
    if forbidden():
        return []
    with open("/proc/net/netfilter/nfnetlink_queue") as file:
        return [line.split()[0] for line in file]
