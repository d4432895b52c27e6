"""A clock that jumps or runs at another speed, for processes that Mainstay may start: by the library libfaketime."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from glob import glob
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from mainstay.adapters.faults.injected import Injected, number
from mainstay.adapters.faults.process_faults import back_again, end, start_anew, starting
from mainstay.adapters.faults.processes import Process, alive
from mainstay.adapters.faults.restarting import who_runs
from mainstay.adapters.faults.targets import chosen, named, population, where
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.faults import Ability, Healing, Injection, Means, Measured, Order, Undo
from mainstay.kernel.workload import Workload

_KINDS = ("clock-skew", "clock-drift")
_PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1",
           "/usr/lib64/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")
_LOADED = 2.0
"""Seconds in which a started program has loaded its libraries."""
_SAMPLE = 0.4
"""Seconds over which a speed is measured."""


def library() -> str:
    """Where libfaketime is; empty when it is not installed. The form for programs with threads."""
    return next((found for place in _PLACES for found in sorted(glob(place))), "")


class Clock:
    """Restarted under libfaketime, and restarted without it."""

    def abilities(self) -> Sequence[Ability]:
        """Where libfaketime is installed."""
        if library():
            return tuple(Ability(kind, "libfaketime", "emulated", Healing.GUARDIAN,
                                 "for workloads with start, which are restarted; not for statically linked programs")
                         for kind in _KINDS)
        return tuple(Ability(kind, "libfaketime", "unavailable", Healing.GUARDIAN, "libfaketime is not installed",
                             "apt install faketime") for kind in _KINDS)

    def means(self, order: Order) -> Means | None:
        """How."""
        if order.kind not in _KINDS or not library():
            return None
        targets = chosen(order)
        for one in targets:
            if not one.workload.start:
                raise InvalidInput(f"{order.kind}: the clock of a running process cannot be changed, and the Workload "
                                   f"{one.workload.name} does not say how it is started",
                                   "add start: [program, argument …] to it")
        return Means("libfaketime", Healing.GUARDIAN, (
            f"restart process {named(targets)} with FAKETIME={_faketime(order)}", "restart it without"))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> Injection:
        """Restart them."""
        means = self.means(order)
        assert means is not None
        targets, count = chosen(order), len(population(order))
        variables = _variables(order)
        intend(back_again(targets))
        started: list[Process] = []
        for one in targets:
            data = starting(one, len(who_runs(where(one.workload))))
            end(one.process)
            started.append(start_anew(data, variables, intend,
                                      lambda process: Undo("kill", {**process.data, "session": True})))
        workload = targets[0].workload
        return Injected(means, lambda: _measured(order, started, variables, workload),
                        lambda: {"processes": count, "processes_hit": len(targets)})


def _faketime(order: Order) -> str:
    if order.kind == "clock-skew":
        return f"{number(order, 'offset'):+.3f}"
    return f"+0 x{number(order, 'speed'):g}"


def _variables(order: Order) -> dict[str, str]:
    before = os.environ.get("LD_PRELOAD", "")
    return {"LD_PRELOAD": library() + (":" + before if before else ""), "FAKETIME": _faketime(order),
            "DONT_FAKE_MONOTONIC": "1" if order.kind == "clock-skew" else "0", "FAKETIME_NO_CACHE": "0"}


def _measured(order: Order, started: list[Process], variables: dict[str, str], workload: Workload) -> Measured:
    """The clock of the process as its own HTTP answers say it; else of a program with the same variables beside it.

    Either way the library has to be in the process itself: a program that is linked statically does not load it.
    """
    skew = order.kind == "clock-skew"
    asked = number(order, "offset" if skew else "speed")
    what, unit = (f"clock of {workload.name}, ahead of ours", "s") if skew else (f"speed of {workload.name}'s clock",
                                                                                "factor")
    if not all(_loaded(one) for one in started):
        return Measured(what, False, None, asked, unit, "the process has not loaded libfaketime, or has ended")
    if skew:
        theirs = _date(workload)
        if theirs is not None:
            ahead = theirs - time.time()  # an answer's date has whole seconds
            return Measured(what, abs(ahead - asked) <= 1.6, round(ahead, 1), asked, unit, "by the date of its answers")
    seen = _beside(variables, skew=skew)
    if seen is None:
        return Measured(what, False, None, asked, unit, "no program can be started with the same variables")
    near = 0.5 if skew else max(0.05, 0.15 * asked)
    return Measured(what, abs(seen - asked) <= near, round(seen, 3), asked, unit,
                    "by a program with the same variables; the library is in the process")


def _loaded(process: Process) -> bool:
    until = time.monotonic() + _LOADED
    while alive(process):
        try:
            if "libfaketime" in Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8"):
                return True
        except OSError:
            return False
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return False


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


_CLOCK = "import time; print(time.time(), flush=True); input(); print(time.time())"


def _beside(variables: dict[str, str], *, skew: bool) -> float | None:
    """How far ahead, or how fast, the clock of a program with these variables runs."""
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", _CLOCK], env={**os.environ, **variables}, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as probe:
        assert probe.stdin is not None
        assert probe.stdout is not None
        try:
            first, began = float(probe.stdout.readline()), time.time()
            if skew:
                probe.communicate("\n", timeout=5)
                return first - began
            time.sleep(_SAMPLE)
            said, _ = probe.communicate("\n", timeout=5)
            return (float(said) - first) / (time.time() - began)
        except (ValueError, subprocess.SubprocessError, OSError):
            probe.kill()
            return None
