"""Every mechanism of this host behind one door, and faults under guard.

A fault is put in by the strongest mechanism that can: one whose fault the kernel takes out with its holder, then one
that ends by itself, then one that a guardian takes out, and by hand only when that was allowed.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mainstay.adapters.faults import guardian, wal
from mainstay.adapters.faults.healing import heal, heal_what_was_left
from mainstay.adapters.faults.processes import gone, now
from mainstay.adapters.faults.restarting import bury, keep
from mainstay.adapters.faults.undo import NotUndone
from mainstay.kernel.errors import Conflict, MainstayError, NotAllowed
from mainstay.kernel.faults import (
    Ability,
    Healing,
    Injection,
    Leftover,
    Means,
    Measured,
    Mechanism,
    Order,
    Undo,
)

_STRENGTH = tuple(Healing)
_READY = 15.0
"""Seconds the guardians may take to come up on a busy host, before which nothing is touched."""


def mechanisms() -> tuple[Mechanism, ...]:
    """One of each, in the order in which equals are preferred. A new mechanism is a line here."""
    from mainstay.adapters.faults import (  # noqa: PLC0415  (a lazy start: most commands put no fault in)
        clock_faults,
        cpu_faults,
        disk_faults,
        memory_faults,
        network,
        process_faults,
    )

    return (cpu_faults.CpuStress(), cpu_faults.CpuThrottle(), memory_faults.MemoryStress(), memory_faults.MemoryLimit(),
            disk_faults.DiskFull(), disk_faults.FileCalls(), process_faults.ProcessKill(),
            process_faults.ProcessPause(), process_faults.ProcessStop(), process_faults.ProcessRestart(),
            clock_faults.Clock(), *network.network_mechanisms())


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where records are kept: `MAINSTAY_STATE`, or `XDG_STATE_HOME/mainstay`, or `~/.local/state/mainstay`."""
    if environ.get("MAINSTAY_STATE"):
        return Path(environ["MAINSTAY_STATE"]) / "chaos"
    home = Path(environ.get("XDG_STATE_HOME") or Path(environ.get("HOME") or "/root") / ".local" / "state")
    return home / "mainstay" / "chaos"


class HostInjector:
    """The faults of this host."""

    def __init__(self, state: Path | None = None, ways: Sequence[Mechanism] | None = None) -> None:
        self._state = state or state_folder(os.environ)
        self._given = None if ways is None else tuple(ways)

    @property
    def _ways(self) -> tuple[Mechanism, ...]:
        if self._given is None:
            self._given = mechanisms()
        return self._given

    def abilities(self) -> tuple[Ability, ...]:
        """What is real, emulated or unavailable here, by kind and mechanism."""
        return tuple(ability for way in self._ways for ability in way.abilities())

    def means(self, order: Order) -> Means:
        """How the order would be carried out; nothing is touched.

        Raises:
            InvalidInput: the order itself cannot be: a process that does not run.
            NotAllowed: no mechanism can on this host, and what would enable one.
        """
        return self.choose(order)[1]

    def choose(self, order: Order) -> tuple[Mechanism, Means]:
        """The mechanism with the strongest healing; raises as `means`."""
        able: list[tuple[Mechanism, Means]] = []
        refused: MainstayError | None = None
        for way in self._ways:
            try:
                means = way.means(order)
            except MainstayError as problem:
                refused = refused or problem
                continue
            if means is not None:
                able.append((way, means))
        if able:
            return min(able, key=lambda one: _STRENGTH.index(one[1].healing))
        raise refused or self._unable(order.kind)

    def _unable(self, kind: str) -> NotAllowed:
        known = [one for one in self.abilities() if one.kind == kind]
        whys = "; ".join(f"{one.mechanism}: {one.why}" for one in known if one.why)
        enable = ", or ".join(dict.fromkeys(one.enable for one in known if one.enable))
        return NotAllowed(f"{kind} is not possible on this host" + (f" ({whys})" if whys else ""),
                          enable or "`mainstay chaos doctor` lists what is")

    @contextlib.contextmanager
    def guard(self, run: str, *, manual: bool = False) -> Iterator[HostGuarded]:
        """Faults for the run of that name; all are out when the block is left.

        Raises:
            Conflict: there was a run of that name.
            StoreUnavailable: its record cannot be written, or no guardian comes up: nothing was touched.
        """
        record = wal.begin(self._state, re.sub(r"[^A-Za-z0-9._-]", "-", run))
        wal.prune(self._state)
        guarded = HostGuarded(self, record, manual=manual)
        try:
            guarded.start()
            yield guarded
        finally:
            guarded.end()

    def recover(self, *, dry: bool = False) -> tuple[Leftover, ...]:
        """Take out what runs left behind whose process is gone; only list it when `dry`."""
        out: list[Leftover] = []
        for folder in wal.records(self._state):
            record = wal.read(folder / "record.jsonl")
            if record.ended or record.running:
                continue
            if record.broken:
                out.append(Leftover(folder.name, Undo("none", {}), False,
                                    f"its record was changed after it was written: {record.broken}"))
                continue
            out += _dry(folder.name, record) if dry else self._recovered(folder)
        return tuple(out)

    @staticmethod
    def _recovered(folder: Path) -> Iterator[Leftover]:
        record = wal.Wal(folder, "recover")
        try:
            for one in heal_what_was_left(record):
                yield Leftover(folder.name, Undo(one.step.act, one.step.data), not one.problem, one.problem)
            guardian.wake(record.read())
        finally:
            record.close()


def _dry(run: str, record: wal.Record) -> Iterator[Leftover]:
    for fault in record.faults():
        for step in fault.open:
            yield Leftover(run, Undo(step.act, step.data), False, fault.problems.get(step.name, record.unfinished()))


class HostGuarded:
    """A run's faults under guard."""

    def __init__(self, injector: HostInjector, record: wal.Wal, *, manual: bool) -> None:
        self._injector, self._wal, self._manual = injector, record, manual
        # Holders of faults end with the thread that started them (PR_SET_PDEATHSIG), so one thread lives for all.
        self._hands = ThreadPoolExecutor(1, "mainstay-faults")
        self._guardians: list[subprocess.Popen[bytes]] = []
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._watching, name="mainstay-guards", daemon=True)
        self._in: dict[str, GuardedInjection] = {}
        self._count = 0

    @property
    def folder(self) -> Path:
        """Where the run's record is."""
        return self._wal.folder

    def start(self) -> None:
        """Bring the guardians up; nothing may be put in before."""
        self._guardians += guardian.ensure(self._wal, wait=_READY)
        self._watch.start()

    def inject(self, order: Order) -> GuardedInjection:
        """Put a fault in by the strongest mechanism there is.

        Raises:
            InvalidInput, NotAllowed: no mechanism can on this host, or only one that nobody takes out after a kill.
            MainstayError: it could not be put in; what was done of it is undone.
        """
        way, means = self._injector.choose(order)
        if means.healing is Healing.MANUAL and not self._manual:
            raise NotAllowed(f"{order.kind} by {means.mechanism} stays in when this run is killed",
                             "allow that, and run `mainstay chaos recover` afterwards if it was")
        if self._over.is_set():
            raise Conflict("the run is over; nothing is put in any more")
        return self._hands.submit(self._put_in, way, means, order).result()

    def promise(self, what: str, undos: Sequence[Undo], seconds: float) -> Callable[[], None]:
        """Have these done when this process cannot do them itself; what is returned says that they were done.

        Raises:
            Conflict: the run is over.
            StoreUnavailable: it cannot be written down, so it is not promised.
        """
        if self._over.is_set():
            raise Conflict("the run is over; nothing is promised any more")
        self._count += 1
        name = f"p{self._count}"
        self._wal.append("order", {"fault": name, "kind": what, "workload": "others", "mechanism": "promise",
                                   "ends": now() + seconds})
        self._wal.append("intend", {"fault": name, "undos": [{"act": one.act, "data": dict(one.data)}
                                                             for one in undos]})

        def kept() -> None:
            for place in range(len(undos)):
                self._wal.append("undone", {"fault": name, "step": f"{name}.{place}"})

        return kept

    def _put_in(self, way: Mechanism, means: Means, order: Order) -> GuardedInjection:
        self._count += 1
        name = f"f{self._count}"
        self._wal.append("order", {"fault": name, "kind": order.kind, "workload": order.workload.name,
                                   "mechanism": means.mechanism, "settings": dict(order.settings),
                                   "share": order.share, "seed": order.seed, "ends": now() + order.seconds})

        def intend(undos: Sequence[Undo]) -> None:
            self._wal.append("intend", {"fault": name, "undos": [{"act": one.act, "data": dict(one.data)}
                                                                 for one in undos]})

        try:
            inner = way.inject(order, intend)
        except BaseException:
            heal(self._wal, [name])
            raise
        injection = GuardedInjection(name, inner, self._wal)
        self._in[name] = injection
        late = any(fault.name == name and fault.undone for fault in self._wal.read().faults())
        self._wal.append("applied", {"fault": name})
        if late:
            injection.remove()
            raise Conflict(f"{order.kind} was only put in after its end", "this host stood still; run it again")
        return injection

    def clear(self) -> tuple[str, ...]:
        """Take every fault out, the last first; what did not work, a sentence each. Again is fine."""
        problems = []
        for injection in reversed(list(self._in.values())):
            try:
                injection.remove()
            except MainstayError as problem:
                problems.append(problem.message)
        problems += [one.problem for one in heal(self._wal) if one.problem]
        return tuple(dict.fromkeys(problems))

    def end(self) -> None:
        """Everything out, and the guardians sent home.

        Raises:
            MainstayError: something is still in; the guardians go on trying for some seconds, then `recover` has it.
        """
        self._over.set()
        self._hands.submit(lambda: None).result()  # what is being put in just now is in, and comes out with the rest
        problems = self.clear()
        self._wal.append("closed" if problems else "end", {"problems": list(problems)} if problems else {})
        self._hands.shutdown()
        if self._watch.is_alive():
            self._watch.join()
        guardian.wake(self._wal.read())
        for child in self._guardians:
            try:
                child.wait(0.0 if problems else _READY)
            except subprocess.TimeoutExpired:
                keep(child)  # it goes on trying
        bury()
        self._wal.close()
        if problems:
            raise NotUndone("not everything could be taken out: " + "; ".join(problems),
                            "`mainstay chaos recover` tries again")

    def _watching(self) -> None:
        """A guardian that was killed is replaced, as long as the run lasts."""
        while not self._over.wait(0.0):
            known = self._wal.read().guardians
            # Each is looked at, not only up to the first: so a look takes its time when all are there.
            ended = [one for one in known.values() if gone(one, 0.1)]
            if ended and not self._over.is_set():
                self._guardians = [child for child in self._guardians if child.poll() is None]
                self._guardians += guardian.ensure(self._wal)


class GuardedInjection:
    """A fault that is in the record too."""

    def __init__(self, name: str, inner: Injection, record: wal.Wal) -> None:
        self.name, self._inner, self._wal = name, inner, record
        self._out = False

    @property
    def means(self) -> Means:
        """How it was put in."""
        return self._inner.means

    def proof(self) -> Measured:
        """Whether it is there, measured now."""
        return self._inner.proof()

    def victims(self) -> Mapping[str, float]:
        """Who was hit."""
        return self._inner.victims()

    def remove(self) -> None:
        """Take it out by the same acts by which a guardian would.

        Raises:
            MainstayError: a step did not work; the others were done all the same.
        """
        if self._out:
            return
        problems = []
        try:
            self._inner.remove()
        except MainstayError as problem:
            problems.append(problem.message)
        problems += [one.problem for one in heal(self._wal, [self.name], again=True) if one.problem]
        if problems:
            raise NotUndone("; ".join(problems), "`mainstay chaos recover` tries again")
        self._out = True
