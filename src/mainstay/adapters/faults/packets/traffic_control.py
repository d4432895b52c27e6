"""Faults on packets by the kernel's own traffic control, for hosts whose kernel has it and lacks queues for programs.

A class of its own below a classful root takes what leaves the workload's port; everything else passes unshaped
(`htb default 0`). Only where the device has no queueing discipline of somebody's: theirs would have to be replaced. It
outlives the process that put it in, so a guardian takes it out.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence

from mainstay.adapters.faults.packets import proof
from mainstay.adapters.faults.packets.listening import places_at
from mainstay.adapters.faults.packets.mechanism import PERMISSION, network_of, rehearsed
from mainstay.adapters.faults.packets.nftables import TCP, forbidden
from mainstay.adapters.faults.packets.task import Place
from mainstay.adapters.faults.places import address_of
from mainstay.kernel.errors import NotAllowed
from mainstay.kernel.faults import Ability, Healing, Means, Measured, Order, Undo

_NAME = "tc"
_ROOT, _CLASS, _INNER = "7a3d:", "7a3d:1", "7a3e:"
_SECONDS = 5.0
_GONE = ("Invalid handle", "Cannot find device", "Cannot delete qdisc with handle of zero", "No such file")
_NETEM = ("network-latency", "packet-loss", "packet-duplication", "packet-corruption", "packet-reordering")
_NEEDS: Mapping[str, tuple[str, ...]] = {**dict.fromkeys(_NETEM, ("htb", "netem")), "bandwidth-limit": ("htb",)}
_DEFAULTS = {"noqueue", "pfifo_fast", "fq_codel", "mq", "fq"}


class TrafficControl:
    """The mechanism."""

    def abilities(self) -> tuple[Ability, ...]:
        """Tried in a network of its own."""
        may = forbidden()
        return tuple(self._ability(kind, may) for kind in _NEEDS)

    def means(self, order: Order) -> Means | None:
        """How; None when it is not for the workload's own address, for all of its traffic, on a device that is free.

        Raises:
            InvalidInput: nothing says where it listens, or nothing listens there.
        """
        if (order.kind not in _NEEDS or order.dependency or order.share < 1 or not order.workload.address.said
                or any(rehearsed()[need] for need in _NEEDS[order.kind]) or forbidden() or network_of(order.workload)):
            return None
        places = _places(order)
        device = _device(places)
        if device is None or not _free(device) or (order.kind == "bandwidth-limit" and device != "lo"):
            return None
        return Means(_NAME, Healing.GUARDIAN, (
            f"htb at the root of {device}, with a class for what leaves port {places[0].port}; the rest passes",
            f"in the class: {' '.join(_inner(order))}"))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> Shaped:
        """Put it in.

        Raises:
            MainstayError: it could not be.
        """
        means = self.means(order)
        places = _places(order) if means is not None else ()
        device = _device(places)
        if means is None or device is None:
            raise NotAllowed(f"{order.kind} by tc is not possible here", "`mainstay chaos doctor` says why")
        target = proof.Target(order, address_of(order.workload), one_way=True)
        before = proof.usual(target)
        undo = ["tc", "qdisc", "del", "dev", device, "root", "handle", _ROOT]
        intend([Undo("argv", {"argv": undo, "gone": list(_GONE)})])
        _tc("qdisc", "add", "dev", device, "root", "handle", _ROOT, "htb", "default", "0")
        _tc("class", "add", "dev", device, "parent", _ROOT, "classid", _CLASS, "htb", "rate", *_rate(order))
        _tc("qdisc", "add", "dev", device, "parent", _CLASS, "handle", _INNER, *_inner(order))
        sides = ("sport", "dport") if order.kind == "bandwidth-limit" else ("sport",)
        for place in places:
            for side in sides:
                _tc("filter", "add", "dev", device, "parent", _ROOT, *_filter(place, side))
        return Shaped(means, target, before, device)

    @staticmethod
    def _ability(kind: str, may: str) -> Ability:
        lacks = "; ".join(dict.fromkeys(rehearsed()[need] for need in _NEEDS[kind] if rehearsed()[need]))
        if lacks:
            enable = "apt install iproute2" if shutil.which("tc") is None else "modprobe sch_htb sch_netem"
            return Ability(kind, _NAME, "unavailable", Healing.GUARDIAN, lacks, enable)
        return Ability(kind, _NAME, "unavailable" if may else "real", Healing.GUARDIAN, may, PERMISSION if may else "")


class Shaped:
    """A class of traffic control that is in."""

    def __init__(self, means: Means, target: proof.Target, before: float, device: str) -> None:
        self._means, self._target, self._before, self._device = means, target, before, device
        self._last: Mapping[str, float] = {}

    @property
    def means(self) -> Means:
        """How."""
        return self._means

    def proof(self) -> Measured:
        """By connections of a probe that knows nothing of traffic control."""
        return proof.measured(self._target, self._before)

    def victims(self) -> Mapping[str, float]:
        """Packets that the class took, as the kernel counts them; once it is out, what was known last."""
        for one in json.loads(_tc("-s", "-j", "qdisc", "show", "dev", self._device)):
            if one["handle"] == _INNER:
                self._last = {"packets_hit": float(one["packets"])}
        return self._last

    def remove(self) -> None:
        """Take it out.

        Raises:
            NotAllowed: tc refused.
        """
        self.victims()
        _tc("qdisc", "del", "dev", self._device, "root", "handle", _ROOT, gone=_GONE)


def _places(order: Order) -> tuple[Place, ...]:
    return places_at(address_of(order.workload), 0, order.workload.name)


def _device(places: Sequence[Place]) -> str | None:
    """The one device that all of it leaves by; None when it listens at every address."""
    if not places or any(not one.host for one in places):
        return None
    hosts = {one.host for one in places}
    if all(ipaddress.ip_address(host).is_loopback for host in hosts):
        return "lo"
    found = {one["ifname"] for one in json.loads(_run("ip", "-j", "address", "show"))
             if hosts & {each["local"] for each in one.get("addr_info", ())}}
    return found.pop() if len(found) == 1 else None


def _free(device: str) -> bool:
    """Whether nobody has put a queueing discipline there."""
    roots = [one for one in json.loads(_tc("-j", "qdisc", "show", "dev", device)) if one.get("root")]
    return all(one["kind"] in _DEFAULTS and one["handle"] in ("0:", "") for one in roots)


def _rate(order: Order) -> tuple[str, ...]:
    if order.kind != "bandwidth-limit":
        return ("100gbit",)
    rate = float(order.settings["rate"])
    return (f"{rate * 8:.0f}bit", "burst", f"{max(2000, int(rate / 25))}")


def _inner(order: Order) -> tuple[str, ...]:
    settings = {name: float(value) for name, value in order.settings.items() if not isinstance(value, str)}

    def percent(name: str) -> str:
        return f"{settings[name]:.6%}"

    match order.kind:
        case "network-latency":
            return ("netem", "delay", f"{settings['latency']:.6f}s", f"{settings.get('jitter', 0):.6f}s")
        case "packet-loss":
            return ("netem", "loss", percent("loss"))
        case "packet-duplication":
            return ("netem", "duplicate", percent("rate"))
        case "packet-corruption":
            return ("netem", "corrupt", percent("rate"))
        case "packet-reordering":  # netem sends a share at once and holds the others, so the share is the rest
            return ("netem", "delay", f"{settings.get('latency', 0.02):.6f}s", "reorder",
                    f"{1 - settings['rate']:.6%}")
        case _:
            return ("pfifo", "limit", "1000")


def _filter(place: Place, side: str) -> tuple[str, ...]:
    number = "6" if place.protocol == TCP else "17"
    words = ("ip", "ip") if place.family == 2 else ("ipv6", "ip6")
    return ("protocol", words[0], "prio", "1" if place.family == 2 else "2", "u32", "match", words[1], "protocol",
            number, "0xff", "match", words[1], side, str(place.port), "0xffff", "flowid", _CLASS)


def _tc(*arguments: str, gone: Sequence[str] = ()) -> str:
    return _run("tc", *arguments, gone=gone)


def _run(*argv: str, gone: Sequence[str] = ()) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise NotAllowed(f"{argv[0]} cannot be called: {problem}", "apt install iproute2") from problem
    said = (done.stderr or done.stdout).strip()
    if done.returncode and not any(sign in said for sign in gone):
        raise NotAllowed(f"{' '.join(argv)}: {said}", "`mainstay chaos doctor` says what is possible here")
    return done.stdout
