"""A place of one test's own on this host: a victim, a folder, a small filesystem, and what a fault may change there."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mainstay.adapters.faults import cgroups
from mainstay.adapters.faults.processes import Process, alive, found, send
from mainstay.adapters.faults.restarting import MARK, who_runs
from mainstay.chaos.kinds import kind_named
from mainstay.kernel.faults import Order
from mainstay.kernel.finding import Position
from mainstay.kernel.workload import At, Workload

VICTIM = str(Path(__file__).with_name("victim.py"))
SIGN = "MAINSTAY_TEST_PLACE"
MIB = 2**20


class Place:
    """Made by a test, in its own folder; `close` takes all of it away."""

    def __init__(self, folder: Path, what: str = "idle", *, disk: bool = False, here: bool = True) -> None:
        """With `here`, what this process starts counts as of this place."""
        self.folder, self.what = folder, what
        self.state = folder / "state"
        self.disk = folder / "disk"
        self.disk.mkdir(parents=True)
        self._mounted = disk
        if disk:
            _mount(self.disk)
        self.sign = f"{SIGN}={folder}"
        if here:
            os.environ[SIGN] = str(folder)
        self.record = folder / "victim.json"
        self.start = (sys.executable, "-I", "-S", VICTIM, str(self.record), what, str(self.disk))
        self.children = [subprocess.Popen(self.start, start_new_session=True,
                                          env={**os.environ, SIGN: str(folder)})]
        self.victim = self.now()

    def now(self) -> Process:
        """The victim that runs now."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            running = self.running()
            if running:
                return running[0]
            time.sleep(0.01)
        raise AssertionError("the victim does not run")

    def running(self) -> list[Process]:
        return who_runs({"file": str(self.record), "key": "pid"})

    @property
    def workload(self) -> Workload:
        return _workload(self.folder, self.start)

    def order(self, kind: str, seconds: float = 30.0, **settings: Any) -> Order:
        return order_in(self.folder, kind, self.start, seconds, **settings)

    def log(self, since: float = 0.0) -> list[str]:
        return self.record.with_suffix(".log").read_text().splitlines()

    def snapshot(self) -> dict[str, Any]:
        """What a fault may change, and must not have changed afterwards."""
        running = self.running()
        return {name: look(self, running) for name, look in LOOKS.items()}

    def helpers(self) -> list[int]:
        """Guardians and holders of this place that are still there."""
        out = []
        for pid in os.listdir("/proc"):
            if pid.isdigit():
                try:
                    ours = self.sign.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                    if ours and MARK.encode() in Path(f"/proc/{pid}/cmdline").read_bytes() and found(int(pid)):
                        out.append(int(pid))
                except OSError:
                    continue
        return out

    def close(self) -> None:
        for pid in [*self.helpers(), *(one.pid for one in self.running())]:
            process = found(pid)
            if process is not None:
                send(process, signal.SIGKILL)
        for child in self.children:
            child.kill()
            child.wait()
        if self._mounted:
            ctypes.CDLL(None).umount2(os.fsencode(self.disk), 2)


def _workload(folder: Path, start: Sequence[str]) -> Workload:
    record = "victim.json"
    return Workload("victim", Position(str(folder / "catalog.yaml")), pid=At(file=record, key="pid"),
                    address=At(file=record, key="address") if "echo" in start else At(), start=tuple(start),
                    folder="disk", experiments=True)


def order_in(folder: Path, kind: str, start: Sequence[str], seconds: float = 30.0, **settings: Any) -> Order:
    """A fault of that kind for the victim of the place in that folder."""
    given = SETTINGS.get(kind, {}) | settings
    return Order(kind, _workload(folder, start), settings=kind_named(kind).settings(given), seconds=seconds)


def _mount(where: Path) -> None:
    done = ctypes.CDLL(None, use_errno=True).mount(b"mainstay-test", os.fsencode(where), b"tmpfs", 0, b"size=8m")
    assert done == 0, os.strerror(ctypes.get_errno())


def _states(_place: Place, running: list[Process]) -> Any:
    out = []
    for one in running:
        text = Path(f"/proc/{one.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        out.append({"stopped": fields["State"][0] in "Tt", "tracer": fields["TracerPid"], "uid": fields["Uid"],
                    "ignored": fields["SigIgn"], "nice": os.getpriority(os.PRIO_PROCESS, one.pid),
                    "oom": Path(f"/proc/{one.pid}/oom_score_adj").read_text(),
                    "affinity": sorted(os.sched_getaffinity(one.pid)),
                    "faked": "libfaketime" in Path(f"/proc/{one.pid}/maps").read_text()})
    return out


def _groups(_place: Place, running: list[Process]) -> Any:
    return [Path(f"/proc/{one.pid}/cgroup").read_text() for one in running]


def _mounts(place: Place, _running: list[Process]) -> Any:
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(place.folder) in line]


def _files(place: Place, _running: list[Process]) -> Any:
    status = os.statvfs(place.disk)
    free = status.f_bfree if place._mounted else 0
    return sorted(path.name for path in place.disk.iterdir() if path.name != "data"), free // 8


def _holders(place: Place, _running: list[Process]) -> Any:
    """Who may hold a fault stands in a record. Who does not was never told to, and ends as soon as it is up."""
    told = {undo["data"]["pid"] for path in place.state.glob("*/record.jsonl") for line in
            path.read_bytes().splitlines() if line.endswith(b"}") for undo in json.loads(line)["data"].get("undos", ())
            if undo["act"] == "end-holder"}
    return sorted(told & set(place.helpers()))


def _rules(_place: Place, _running: list[Process]) -> Any:
    """What decides on packets; looked at only in a network of our own, where nobody else tries something."""
    if OWN_NETWORK not in os.environ:
        return None
    return [subprocess.run(argv, capture_output=True, text=True, check=False).stdout for argv in (
        ["nft", "--stateless", "list", "ruleset"], ["tc", "qdisc", "show"], ["ip", "-brief", "link"])]


OWN_NETWORK = "MAINSTAY_TEST_NETWORK"
"""Set where this process, and all that it starts, has a network of its own."""

LOOKS: dict[str, Callable[[Place, list[Process]], Any]] = {
    "victims": _states, "groups": _groups, "mounts": _mounts, "files": _files, "rules": _rules,
    "holders": _holders}
"""What is looked at, by name. Mechanisms that change something else add a look at it."""

NEEDS = {"cpu-throttle": "busy", "disk-slow": "writer", "io-error": "writer", "disk-full": "writer"}
"""What a victim has to do, so that a fault of that kind can be seen."""


def needs_mount(kind: str, mechanism: str) -> bool:
    """Whether it can be tried only on a disk of its own, which only root can make."""
    return kind == "disk-full" and mechanism != "ptrace"


def place_for(folder: Path, kind: str, mechanism: str, *, here: bool = True) -> Place:
    """A place in which that fault can be put in and be seen."""
    disk = needs_mount(kind, mechanism)
    # On a disk of its own what is free is counted, so nobody else writes there.
    usual = "echo" if kind_named(kind).group == "network" else "idle"
    return Place(folder, "idle" if disk else NEEDS.get(kind, usual), disk=disk, here=here)


SETTINGS: Mapping[str, dict[str, Any]] = {
    "cpu-stress": {"load": "20%", "cpus": 1},
    "cpu-throttle": {"quota": "10%"},
    "memory-stress": {"size": "64MiB"},
    "memory-limit": {"size": "256MiB"},
    "disk-slow": {"latency": "30ms"},
    "io-error": {"error": "EIO"},
    "network-latency": {"latency": "20ms"},
    "packet-loss": {"loss": "20%"},
    "packet-duplication": {"rate": "20%"},
    "packet-corruption": {"rate": "20%"},
    "packet-reordering": {"rate": "20%"},
    "bandwidth-limit": {"rate": "1MB/s"},
    "clock-skew": {"offset": "1h"},
    "clock-drift": {"speed": 3},
}
"""How each kind is ordered here; kinds without a line take their defaults."""


def groups_left(folder: Path) -> list[str]:
    """Groups that the records in the folder speak of and that are still there."""
    out = []
    for path in folder.glob("*/record.jsonl"):
        for line in path.read_text().splitlines():
            for undo in json.loads(line)["data"].get("undos", ()):
                if undo["act"] == "leave-group" and os.path.isdir(undo["data"]["root"] + undo["data"]["path"]):
                    out.append(undo["data"]["path"])
    return out


__all__ = ["Place", "alive", "cgroups", "groups_left"]
