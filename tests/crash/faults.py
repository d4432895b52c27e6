"""Kills at drawn instants over every fault kind and mechanism of this host, and what it took until nothing was left.

Used by the test in its short form; run by hand, `python tests/crash/faults.py [INSTANTS] [SEED]` (with `tests` and
`src` on PYTHONPATH) prints the matrix of its long form, with `--network` (root) that of faults of networks, in a
network of its own.
"""

from __future__ import annotations

import json
import os
import queue
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos_host.place import OWN_NETWORK, Place, groups_left, needs_mount, place_for
from crash.faulter import PHASES
from mainstay.adapters.faults import wal
from mainstay.adapters.faults.injector import HostInjector, mechanisms
from mainstay.adapters.faults.processes import found, handle, send
from mainstay.chaos.kinds import kind_named
from mainstay.kernel.faults import Ability, Healing

WHO: dict[str, tuple[bool, tuple[int, ...]]] = {
    "runner": (True, ()), "guardian": (False, (1,)), "runner+guardian": (True, (2,)),
    "guardian, then runner": (True, ()), "runner, then guardian": (True, ()), "all three": (True, (1, 2))}
"""Who is killed: whether the run's process, and the guardians in which places at the same instant."""

PATIENCE = 2.0
"""Seconds after the kill in which the host has to be as it was."""
KERNEL = 0.2
"""The same for what the kernel takes out, with nobody left."""
_NEVER = 120
"""Seconds after which what has not come will not come any more, on a busy machine too."""


@dataclass(slots=True)
class Kill:
    """One instant.

    Args:
        phase: in which it falls, and `at` which of its lines, or milliseconds for `hold`.
        took: seconds from the kill until the host was as before.
        wrong: what was not as it has to be; empty when all was.
    """

    ability: Ability
    who: str
    phase: str
    at: int
    took: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        where = f"{self.at} ms" if self.phase == "hold" else f"line {self.at}"
        return f"{named(self.ability)}, {self.who} killed in {self.phase} at {where}"


class Faulter:
    """The server of forks."""

    def __init__(self) -> None:
        tests = Path(__file__).parents[1]
        path = os.pathsep.join([str(tests), str(tests.parent / "src")])
        self._server = subprocess.Popen([sys.executable, "-m", "crash.faulter"], cwd=tests, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**os.environ, "PYTHONPATH": path})
        self._turn = threading.Lock()
        self.complaints: list[str] = []
        self._pids: queue.Queue[int] = queue.Queue()
        for pipe in (self._read, self._listen):
            threading.Thread(target=pipe, daemon=True).start()

    def _read(self) -> None:
        for line in self._server.stdout:
            self._pids.put(json.loads(line)["pid"])

    def _listen(self) -> None:
        self.complaints += list(self._server.stderr)

    def start(self, job: dict[str, Any]) -> int:
        with self._turn:
            self._server.stdin.write(json.dumps(job) + "\n")
            self._server.stdin.flush()
            return self._pids.get(timeout=_NEVER)

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait(_NEVER)
        self._server.stdout.close()
        self._server.stderr.close()


@contextmanager
def faulter() -> Iterator[Faulter]:
    made = Faulter()
    try:
        yield made
    finally:
        made.close()


def abilities() -> list[Ability]:
    """What can be put into this host; in a network of our own, what can be put into that."""
    groups = ("network",) if OWN_NETWORK in os.environ else ("resource", "process", "state")
    return [one for way in mechanisms() for one in way.abilities()
            if one.state != "unavailable" and kind_named(one.kind).group in groups
            and not (os.geteuid() and needs_mount(one.kind, one.mechanism))]


def named(ability: Ability) -> str:
    """What an ability is called here; what else it says may change with the load."""
    return f"{ability.kind} by {ability.mechanism}"


def job_of(place: Place, kill: Kill) -> dict[str, Any]:
    runner, guardians = WHO[kill.who]
    return {"folder": str(place.folder), "kind": kill.ability.kind, "mechanism": kill.ability.mechanism,
            "start": place.start, "phase": kill.phase, "at": kill.at, "runner": runner, "guardians": guardians}


def calibrate(server: Faulter, ability: Ability, folder: Path) -> dict[str, int]:
    """How many lines each phase has when nobody is killed."""
    kill = Kill(ability, "runner", "none", 0)
    place = place_for(folder, ability.kind, ability.mechanism, here=False)
    try:
        assert _ended(server.start(job_of(place, kill)), _NEVER)
        lines: dict[str, int] = json.loads((place.folder / "lines.json").read_text())
        return lines
    finally:
        place.close()


def drawn(lines: dict[str, dict[str, int]], count: int, seed: int) -> list[Kill]:
    """So many kills, spread evenly over faults, who is killed and phases, at drawn lines."""
    draw, out = random.Random(seed), []
    able = abilities()
    # Each fault has all ways to be killed in all phases, in an order of its own.
    ways = {named(ability): [(who, phase) for who in WHO for phase in PHASES] for ability in able}
    for one in ways.values():
        draw.shuffle(one)
        one.insert(0, one.pop(one.index(("all three", "hold"))))  # what the kernel has to do alone, in every form
    for number in range(count):
        ability = able[number % len(able)]
        who, phase = ways[named(ability)][number // len(able) % (len(WHO) * len(PHASES))]
        most = 300 if phase == "hold" else lines[named(ability)][phase]
        out.append(Kill(ability, who, phase, draw.randint(1, max(1, most))))
    return out


def do(server: Faulter, kill: Kill, folder: Path, seed: int) -> Kill:
    """Kill, and measure what is left."""
    place = place_for(folder, kill.ability.kind, kill.ability.mechanism, here=False)
    draw = random.Random(seed)
    try:
        before = place.snapshot()
        pid = server.start(job_of(place, kill))
        if kill.who == "guardian, then runner":
            _one_guardian(place, draw.choice((1, 2)), draw.uniform(0, 0.3))
        if not _ended(pid, _NEVER):
            kill.wrong.append("the run did not end")
            return kill
        killed = time.monotonic()
        if kill.who == "runner, then guardian":
            _one_guardian(place, draw.choice((1, 2)), draw.uniform(0, 0.15))
        _measure(kill, place, before, killed)
        _afterwards(kill, place, before)
    finally:
        place.close()
    return kill


def _one_guardian(place: Place, slot: int, after: float) -> None:
    """Kill the guardian that is in that place after so many seconds."""
    time.sleep(after)
    record = place.state / "run" / "record.jsonl"
    if record.exists():
        guardian = wal.read(record).guardians.get(slot)
        if guardian is not None:
            send(guardian, signal.SIGKILL)


def _measure(kill: Kill, place: Place, before: dict[str, Any], killed: float) -> None:
    by_hand = kill.who == "all three" and kill.ability.healing is Healing.GUARDIAN
    if by_hand:  # nobody is there any more: the next start finds the record
        HostInjector(place.state).recover()
    limit = KERNEL if kill.who == "all three" and not by_hand else PATIENCE
    differs: dict[str, Any] = {}
    still = 0.0  # seconds after the kill at which a look began that saw it changed yet
    while still <= 10:
        began = time.monotonic()
        now = place.snapshot()
        # The look itself takes its time, on a busy machine longer than the limit: what it saw was so when it began, or
        # soon after.
        kill.took = began - killed
        if now == before:
            break
        differs, still = _differs(before, now), kill.took
    if still > limit and not by_hand:
        kill.wrong.append(f"{still:.2f} s after the kill it was not as before: {differs}")


def _afterwards(kill: Kill, place: Place, before: dict[str, Any]) -> None:
    """The record is whole and says so, nobody is left, and `recover` has nothing more to do."""
    record = place.state / "run" / "record.jsonl"
    if not record.exists():
        return
    injector = HostInjector(place.state)
    if kill.who == "all three" or not wal.read(record).faults():
        injector.recover()  # nobody is left; or they were killed before both were there, and nothing was in
    until = time.monotonic() + 30
    while time.monotonic() < until:
        read = wal.read(record)
        if (read.ended or not read.entries) and not place.helpers():
            break
        time.sleep(0.02)
    read = wal.read(record)
    if read.broken or (read.entries and not read.ended):
        kill.wrong.append(f"its record: {read.broken or read.unfinished()}")
    if place.helpers():
        kill.wrong.append(f"processes are left: {place.helpers()}")
    if groups_left(place.state):
        kill.wrong.append(f"groups are left: {groups_left(place.state)}")
    if injector.recover():
        kill.wrong.append(f"left to recover: {injector.recover()}")
    after = place.snapshot()
    if after != before:
        kill.wrong.append(f"it did not stay as before: {_differs(before, after)}")


def _differs(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    return {name: (before[name], now[name]) for name in before if before[name] != now[name]}


def _ended(pid: int, seconds: float) -> bool:
    process = found(pid)
    if process is None:
        return True
    with handle(process) as fd:
        if fd is None:
            return True
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


def every(count: int, seed: int, folder: Path, workers: int = 3) -> list[Kill]:
    """The kills, done."""
    with faulter() as server, ThreadPoolExecutor(workers) as pool:
        able = abilities()
        counted = pool.map(lambda one: calibrate(server, one, folder / named(one).replace(" ", "-")), able)
        kills = drawn({named(one): lines for one, lines in zip(able, counted, strict=True)}, count, seed)
        return list(pool.map(lambda one: do(server, one[1], folder / str(one[0]), seed + one[0]), enumerate(kills)))


def matrix(kills: list[Kill]) -> Iterator[str]:
    """A line for each fault: how many kills, how many were wrong, the median and the longest time until it was out."""
    yield f"{'fault':34} {'healing':13} {'kills':>5} {'wrong':>5} {'median':>8} {'longest':>8}   all three: longest"
    for ability in abilities():
        mine = [kill for kill in kills if named(kill.ability) == named(ability)]
        took = sorted(kill.took for kill in mine if kill.who not in ("all three", "guardian"))
        alone = [kill.took for kill in mine if kill.who == "all three"]
        if took:
            last = "recover" if ability.healing is not Healing.KERNEL else \
                f"{max(alone) * 1000:.0f} ms" if alone else "none drawn"
            yield (f"{named(ability):34} {ability.healing:13} {len(mine):5} "
                   f"{sum(bool(kill.wrong) for kill in mine):5} {took[len(took) // 2] * 1000:5.0f} ms "
                   f"{took[-1] * 1000:5.0f} ms   {last}")


def main() -> None:
    if "--network" in sys.argv and OWN_NETWORK not in os.environ:
        os.environ[OWN_NETWORK] = "1"
        os.execvp("unshare", ["unshare", "--net", "--", sys.executable, *sys.argv])
    if OWN_NETWORK in os.environ:
        sys.argv.remove("--network")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    count, seed = int(sys.argv[1]) if sys.argv[1:] else 220, int(sys.argv[2]) if sys.argv[2:] else 1
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mainstay-kills-") as folder:
        # Rules of one network are everybody's, so there one kill comes after the other.
        kills = every(count, seed, Path(folder), workers=1 if OWN_NETWORK in os.environ else 3)
    for line in matrix(kills):
        print(line)
    for kill in kills:
        if kill.wrong:
            print(f"\n{kill}:", *kill.wrong, sep="\n  ")
    print(f"\n{len(kills)} kills, {sum(bool(kill.wrong) for kill in kills)} wrong, seed {seed}, "
          f"{time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}")
    sys.exit(any(kill.wrong for kill in kills))


if __name__ == "__main__":
    main()
