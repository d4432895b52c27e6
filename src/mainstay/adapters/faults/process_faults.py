"""Processes that are killed, restarted, or stand still."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mainstay.adapters.faults.disk_faults import may_trace
from mainstay.adapters.faults.held import Holder, hold
from mainstay.adapters.faults.injected import Injected, held, word
from mainstay.adapters.faults.processes import Process, alive, gone, send, stat_of
from mainstay.adapters.faults.restarting import start, who_runs
from mainstay.adapters.faults.targets import Target, chosen, named, population, where
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.faults import Ability, Healing, Injection, Means, Measured, Order, Undo
from mainstay.kernel.workload import Workload

_ENDING = 5.0
"""Seconds a process may take to end after it was asked to, before it is made to."""
_STANDING = 0.06
"""Seconds over which a process is watched for standing still: a few turns of any scheduler."""


def starting(target: Target, count: int) -> dict[str, Any]:
    """What starts the target's process again: arguments of the act `start-again`. Takes no variables along: secrets."""
    workload, status = target.workload, _status(target.process.pid)
    data: dict[str, Any] = {"where": where(workload), "count": count}
    if workload.start:
        data |= {"argv": list(workload.start), "cwd": str(Path(workload.home or ".").absolute()),
                 "uid": int(status.get("Uid", "0").split()[0]), "gid": int(status.get("Gid", "0").split()[0]),
                 "nice": os.getpriority(os.PRIO_PROCESS, target.process.pid), "oom": _oom(target.process.pid)}
    return data


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def _oom(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text(encoding="ascii"))
    except OSError:
        return 0


def back_again(targets: list[Target]) -> list[Undo]:
    """The undos that bring as many processes back as run now."""
    out: list[Undo] = []
    for one in targets:
        count = len(who_runs(where(one.workload)))
        if one.workload.unit and not one.workload.start:
            out.append(Undo("argv", {"argv": ["systemctl", "start", "--", one.workload.unit]}))
        out.append(Undo("start-again", starting(one, count)))
    return out


def returns(targets: list[Target]) -> tuple[Healing, str]:
    """Who brings the processes back, and how: a sentence."""
    if all(one.workload.start for one in targets):
        return Healing.GUARDIAN, "start again: " + " ".join(targets[0].workload.start)
    if all(one.workload.start or one.workload.unit for one in targets):
        return Healing.GUARDIAN, f"systemctl start {targets[0].workload.unit}"
    return Healing.MANUAL, "wait until somebody starts it again; the Workload has no start"


def _ability(kind: str, why: str = "") -> Ability:
    return Ability(kind, "signal", "real", Healing.GUARDIAN, why)


class ProcessKill:
    """A signal, and afterwards as many processes as before."""

    def abilities(self) -> Sequence[Ability]:
        """Always, for processes that are ours to signal."""
        return (_ability("process-kill", "" if os.geteuid() == 0 else "processes of this user"),)

    def means(self, order: Order) -> Means | None:
        """How."""
        if order.kind != "process-kill":
            return None
        targets = chosen(order)
        for one in targets:
            _signalled(one)
        healing, how = returns(targets)
        return Means("signal", healing, (f"send SIG{word(order, 'signal')} to process {named(targets)}", how))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> Injection:
        """Kill."""
        means = self.means(order)
        assert means is not None
        targets = chosen(order)
        sudden = _Sudden(targets, len(population(order)))
        intend(back_again(targets))
        for one in targets:
            send(one.process, signal.Signals["SIG" + word(order, "signal")])
        deadline = time.monotonic() + _ENDING
        for one in targets:
            gone(one.process, max(0.0, deadline - time.monotonic()))
        return sudden.injected(means, anew=False)


class _Sudden:
    """Processes that were ended: before the removal it counts that they did, after it that as many run again."""

    def __init__(self, targets: list[Target], every: int) -> None:
        """Made before they are ended."""
        self._targets, self._every = targets, every
        self._workloads = {one.workload.name: one.workload for one in targets}
        self._before = {name: set(who_runs(where(one))) for name, one in self._workloads.items()}
        self._removed = False

    def injected(self, means: Means, *, anew: bool) -> Injected:
        """With `anew`, new ones run in their place meanwhile."""
        return Injected(means, lambda: self._measure(anew=anew),
                        lambda: {"processes": self._every, "processes_hit": len(self._targets)}, self._release)

    def _release(self) -> None:
        self._removed = True

    def _measure(self, *, anew: bool) -> Measured:
        name, asked = self._targets[0].workload.name, len(self._targets)
        if self._removed:
            short = self._missing()
            return Measured(f"processes of {name} that are missing", short > 0, short, asked, "processes")
        ended = sum(1 for one in self._targets if not alive(one.process))
        if ended < asked:
            return Measured(f"ended processes of {name}", False, ended, asked, "processes",
                            f"{asked - ended} did not end")
        there = not anew or self._all_new()
        return Measured(f"ended processes of {name}", there, ended, asked, "processes",
                        "" if there else "nothing runs in their place")

    def _missing(self) -> int:
        return sum(max(0, len(self._before[name]) - len(who_runs(where(one)))) for name, one in self._workloads.items())

    def _all_new(self) -> bool:
        """Whether a process that is new runs for each: waits a moment for it."""
        until = time.monotonic() + 1.0
        while True:
            fresh = sum(len(set(who_runs(where(one))) - self._before[name]) for name, one in self._workloads.items())
            if fresh >= len(self._targets) or time.monotonic() > until:
                return fresh >= len(self._targets)
            time.sleep(0.02)


def _signalled(target: Target) -> None:
    """Raises InvalidInput when we may not signal it."""
    try:
        send(target.process, 0)
    except PermissionError:
        raise InvalidInput(f"process {target.process.pid} of {target.workload.name} belongs to another user",
                           "run as that user or as root") from None


class ProcessRestart:
    """Ended and started anew, or whatever command the workload has for that."""

    def abilities(self) -> Sequence[Ability]:
        """Always, for workloads that say how they are started."""
        return (_ability("process-restart", "for workloads with start, restart or unit"),)

    def means(self, order: Order) -> Means | None:
        """How."""
        if order.kind != "process-restart":
            return None
        targets = chosen(order)
        for one in targets:
            _signalled(one)
            if not (one.workload.start or one.workload.restart or one.workload.unit):
                raise InvalidInput(f"the Workload {one.workload.name} does not say how it is started",
                                   "add start: [program, argument …] to it")
        return Means("signal", Healing.GUARDIAN, tuple(
            f"restart process {named([one])}: {' '.join(_command(one.workload) or one.workload.start)}"
            for one in targets))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> Injection:
        """Restart."""
        means = self.means(order)
        assert means is not None
        targets = chosen(order)
        sudden = _Sudden(targets, len(population(order)))
        intend([undo for undo in back_again(targets) if undo.act != "start-again" or "argv" in undo.data])
        for one in targets:
            command = _command(one.workload)
            if command:
                _run(one.workload, command)
                continue
            count = len(who_runs(where(one.workload)))
            data = starting(one, count)
            end(one.process)
            start_anew(data, intend)
        return sudden.injected(means, anew=True)


def _command(workload: Workload) -> tuple[str, ...]:
    if workload.restart:
        return workload.restart
    return () if workload.start else ("systemctl", "restart", "--", workload.unit)


def _run(workload: Workload, command: tuple[str, ...]) -> None:
    try:
        done = subprocess.run(command, cwd=workload.home or ".", stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False, timeout=30)
    except (OSError, subprocess.SubprocessError) as problem:
        raise InvalidInput(f"restarting {workload.name}: {problem}", "see restart: of the Workload") from problem
    if done.returncode:
        raise InvalidInput(f"restarting {workload.name}: {(done.stderr or done.stdout).strip()[-500:]}",
                           "see restart: of the Workload")


def end(process: Process) -> None:
    """Ask it to end, and make it when it does not.

    Raises:
        InvalidInput: it does not even then.
    """
    send(process, signal.SIGTERM)
    if gone(process, _ENDING):
        return
    send(process, signal.SIGKILL)
    if not gone(process, _ENDING):
        raise InvalidInput(f"process {process.pid} does not end", "it waits in the kernel; look at its disk or mount")


def start_anew(data: Mapping[str, Any], intend: Callable[[Sequence[Undo]], None]) -> Process:
    """Start a workload's process, with who it is on the disk before it runs."""

    def before(process: Process) -> None:
        intend([Undo("start-again", {**data, "started": process.data})])

    return start(data, Path(os.devnull), before)


class ProcessPause:
    """Held by a tracer: the kernel lets them go on when it ends."""

    def abilities(self) -> Sequence[Ability]:
        """Where processes may be traced."""
        problem = may_trace()
        return (Ability("process-pause", "ptrace", "unavailable" if problem else "real", Healing.KERNEL, problem,
                        "CAP_SYS_PTRACE" if problem else ""),)

    def means(self, order: Order) -> Means | None:
        """How."""
        if order.kind != "process-pause" or may_trace():
            return None
        targets = _running(order)
        return Means("ptrace", Healing.KERNEL, (f"hold process {named(targets)} where it is", "let it go on"))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> Injection:
        """Hold them."""
        means = self.means(order)
        assert means is not None
        targets, count = _running(order), len(population(order))
        holder = Holder("pause", {"processes": [one.process.data for one in targets]})
        hold([holder], intend)
        return held(means, [holder], lambda: _standing(targets),
                    lambda: {"processes": count, "processes_hit": len(targets)})


class ProcessStop:
    """SIGSTOP and SIGCONT, where no tracer is allowed."""

    def abilities(self) -> Sequence[Ability]:
        """Always, for processes that are ours to signal."""
        return (_ability("process-pause"),)

    def means(self, order: Order) -> Means | None:
        """How."""
        if order.kind != "process-pause":
            return None
        targets = _running(order)
        for one in targets:
            _signalled(one)
        return Means("signal", Healing.GUARDIAN, (f"send SIGSTOP to process {named(targets)}", "send SIGCONT"))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> Injection:
        """Stop them."""
        means = self.means(order)
        assert means is not None
        targets, count = _running(order), len(population(order))
        intend([Undo("signal", {**one.process.data, "signal": "CONT"}) for one in targets])
        for one in targets:
            send(one.process, signal.SIGSTOP)
        until = time.monotonic() + _ENDING
        while time.monotonic() < until and any(_goes(one.process) for one in targets):
            time.sleep(0.002)  # a process that waits in the kernel stops when it comes out of it
        return Injected(means, lambda: _standing(targets), lambda: {"processes": count, "processes_hit": len(targets)})


def _goes(process: Process) -> bool:
    stat = stat_of(process.pid)
    return stat is not None and stat.state not in "TtZX"


def _running(order: Order) -> list[Target]:
    targets = chosen(order)
    for one in targets:
        stat = stat_of(one.process.pid)
        if stat is not None and stat.state in "Tt":
            raise InvalidInput(f"process {one.process.pid} of {one.workload.name} stands still already",
                               "somebody stopped or traces it; send it SIGCONT first")
    return targets


def _standing(targets: list[Target]) -> Measured:
    """Whether no thread of them gets a processor: as the kernel counts their turns."""
    before = [_turns(one.process) for one in targets]
    time.sleep(_STANDING)
    after = [_turns(one.process) for one in targets]
    still = sum(1 for first, last in zip(before, after, strict=True) if first and first == last)
    moved = [one.process.pid for one, first, last in zip(targets, before, after, strict=True)
             if not first or first != last]
    return Measured("processes that stand still", still == len(targets), still, len(targets), "processes",
                    f"{moved} go on" if moved else "")


def _turns(process: Process) -> dict[str, tuple[str, str]]:
    """For each thread its state when it is held, and how often it was switched out; empty when one is not held."""
    out: dict[str, tuple[str, str]] = {}
    try:
        for thread in os.listdir(f"/proc/{process.pid}/task"):
            stat = stat_of(process.pid, int(thread))
            if stat is None or stat.state not in "Tt":
                return {}
            lines = Path(f"/proc/{process.pid}/task/{thread}/status").read_text(encoding="utf-8").splitlines()
            out[thread] = (stat.state, " ".join(line for line in lines if "ctxt_switches" in line))
    except OSError:
        return {}
    return out if alive(process) else {}
