"""A clock that jumps or runs at another speed, for processes that Mainstay may start.

Not by libfaketime: programs that wait by the clock that only counts up hang or fail under the version that
distributions carry (its issues 426 and 469; Python 3.11 does), and it stays in when whoever set it is gone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from mainstay.adapters.faults.disk_faults import may_trace, traced_by
from mainstay.adapters.faults.held import Holder, end_all, hold
from mainstay.adapters.faults.injected import held, number
from mainstay.adapters.faults.process_faults import back_again, end, starting
from mainstay.adapters.faults.processes import Process, alive, found
from mainstay.adapters.faults.restarting import WAITING, start, who_runs
from mainstay.adapters.faults.targets import chosen, named, population, where
from mainstay.adapters.faults.tracing import can_change_calls
from mainstay.kernel.errors import InvalidInput, MainstayError
from mainstay.kernel.faults import Ability, Healing, Injection, Means, Measured, Order, Undo
from mainstay.kernel.workload import Workload

_KINDS = ("clock-skew", "clock-drift")
_FIRST = 1.0
"""Seconds in which a started program has asked for the time."""
_SAMPLE = 0.4
"""Seconds over which a speed is measured."""


class Clock:
    """Restarted under a tracer that changes the answers to "what time is it"."""

    def abilities(self) -> Sequence[Ability]:
        """Where processes may be traced and the processor's registers are known."""
        problem = may_trace() or ("" if can_change_calls() else f"not on {os.uname().machine}")
        if problem:
            return tuple(Ability(kind, "ptrace", "unavailable", Healing.KERNEL, problem, "CAP_SYS_PTRACE on x86-64")
                         for kind in _KINDS)
        return tuple(Ability(kind, "ptrace", "emulated", Healing.KERNEL,
                             "for workloads with start, which are restarted once: a running process reads the time "
                             "past the kernel; not for timers of timerfd") for kind in _KINDS)

    def means(self, order: Order) -> Means | None:
        """How."""
        if order.kind not in _KINDS or may_trace() or not can_change_calls():
            return None
        targets = chosen(order)
        for one in targets:
            if not one.workload.start:
                raise InvalidInput(f"{order.kind}: the clock of a running process cannot be changed, and the Workload "
                                   f"{one.workload.name} does not say how it is started",
                                   "add start: [program, argument …] to it")
        what = f"{number(order, 'offset'):+g} s ahead" if order.kind == "clock-skew" else \
            f"at {number(order, 'speed'):g} times the speed"
        return Means("ptrace", Healing.KERNEL, (
            f"restart process {named(targets)}", f"let its time of day run {what}",
            "every call of its own takes some 0.1 ms longer meanwhile"))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> Injection:
        """Restart them."""
        means = self.means(order)
        assert means is not None
        targets, count = chosen(order), len(population(order))
        intend(back_again(targets))
        holders: list[Holder] = []

        def trace(process: Process) -> None:
            # The process is still a shell of itself that waits; what it becomes is traced from its first step.
            holders.append(_holder(order, process))
            hold(holders[-1:], intend)

        started: list[Process] = []
        try:
            for one in targets:
                data = starting(one, len(who_runs(where(one.workload))))
                end(one.process)
                started.append(start(data, Path(os.devnull), trace))
        except BaseException:
            end_all(holders)
            raise
        workload = targets[0].workload
        return held(means, holders, lambda: _measured(order, started, holders, workload),
                    lambda: {"processes": count, "processes_hit": len(targets)})


def _holder(order: Order, process: Process) -> Holder:
    skew = order.kind == "clock-skew"
    return Holder("clock", {"processes": [process.data], "offset": number(order, "offset") if skew else 0.0,
                            "speed": 1.0 if skew else number(order, "speed")})


def _measured(order: Order, started: list[Process], holders: list[Holder], workload: Workload) -> Measured:
    """The clock of the process as its own HTTP answers say it; else of a program that is started in the same way.

    Either way the kernel has to say that the process is traced, and it has to have asked for the time.
    """
    skew = order.kind == "clock-skew"
    asked = number(order, "offset" if skew else "speed")
    what, unit = (f"clock of {workload.name}, ahead of ours", "s") if skew else (f"speed of {workload.name}'s clock",
                                                                                "factor")
    until = time.monotonic() + _FIRST
    while not all(one.told()[0] for one in holders) and time.monotonic() < until:
        time.sleep(0.01)
    for one, holder in zip(started, holders, strict=True):
        if not alive(one) or traced_by(one.pid) != holder.process.pid:
            return Measured(what, False, None, asked, unit, "the process is not traced, or has ended")
        if not holder.told()[0]:
            return Measured(what, False, None, asked, unit, "the process has not asked for the time yet")
    if skew:
        theirs = _date(workload)
        if theirs is not None:
            ahead = theirs - time.time()  # an answer's date has whole seconds
            return Measured(what, abs(ahead - asked) <= 1.6, round(ahead, 1), asked, unit,
                            "by the date of its answers")
    seen = _beside(order, skew=skew)
    if seen is None:
        return Measured(what, False, None, asked, unit, "no program can be started in the same way")
    near = 0.5 if skew else max(0.05, 0.15 * asked)
    return Measured(what, abs(seen - asked) <= near, round(seen, 3), asked, unit,
                    "by a program that was started in the same way")


def _date(workload: Workload) -> float | None:
    """The time that the workload's answers carry; None when it has no address that speaks HTTP."""
    if workload.health.startswith("http://"):
        parts = urlsplit(workload.health)
        address, path = parts.netloc, parts.path or "/"
    elif workload.address.value:
        address, path = workload.address.value, workload.health or "/"
    else:
        return None
    connection = HTTPConnection(address, timeout=1)
    try:
        connection.request("GET", path)
        said = connection.getresponse().getheader("Date")
        return parsedate_to_datetime(said).timestamp() if said else None
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()


_TELLING = "import time\nwhile True:\n    print(time.time(), flush=True)\n    time.sleep(0.005)"


def _beside(order: Order, *, skew: bool) -> float | None:
    """How far ahead, or how fast, the clock of a program runs that is started in the same way."""
    holder: Holder | None = None
    program = [sys.executable, "-I", "-S", "-c", _TELLING]
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", WAITING, "0", "0", *program], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as probe:
        assert probe.stdin is not None
        assert probe.stdout is not None
        try:
            process = found(probe.pid)
            if process is None:
                return None
            holder = _holder(order, process)
            holder.ready()
            holder.go()
            print("g", end="", file=probe.stdin, flush=True)
            first, began = float(probe.stdout.readline()), time.time()
            if skew:
                return first - began
            last = first
            while time.time() < began + _SAMPLE:
                last = float(probe.stdout.readline())
            return (last - first) / (time.time() - began)
        except (ValueError, OSError, MainstayError):
            return None
        finally:
            probe.kill()
            if holder is not None:
                holder.end()
