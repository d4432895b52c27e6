"""Which processes an order is about: found anew each time, drawn by its seed, and never Mainstay itself."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

from mainstay.adapters.faults.processes import Process
from mainstay.adapters.faults.restarting import MARK, ourselves, who_runs
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NotAllowed
from mainstay.kernel.faults import Order
from mainstay.kernel.workload import Workload


@dataclass(frozen=True, slots=True)
class Target:
    """One process, and the workload that it is of."""

    process: Process
    workload: Workload


def where(workload: Workload) -> dict[str, Any]:
    """How its processes are found, as `restarting.who_runs` wants it; empty when the workload does not say."""
    if workload.match:
        return {"match": list(workload.match)}
    if workload.unit:
        return {"unit": workload.unit}
    if workload.pid.file:
        return {"file": os.path.abspath(os.path.join(workload.home, workload.pid.file)), "key": workload.pid.key}
    if workload.pid.value:
        return {"pid": workload.pid.value}
    return {}


def in_words(workload: Workload) -> str:
    """How its processes are looked for, for people."""
    if workload.match:
        return f"a command line with {' '.join(workload.match)}"
    if workload.unit:
        return f"the unit {workload.unit}"
    return f"the process in {workload.pid.file}" if workload.pid.file else f"process {workload.pid.value}"


def population(order: Order) -> list[Target]:
    """Every process that the order could hit.

    Raises:
        InvalidInput: the workload does not say which processes are its own, or none runs.
        NotAllowed: one is Mainstay itself, what it runs under, or the first process of the host.
    """
    out: list[Target] = []
    for workload in (order.workload, *order.replicas):
        how = where(workload)
        if not how:
            raise InvalidInput(f"the Workload {workload.name} does not say which process it is",
                               "add process: {pid: …}, {match: …} or {unit: …} to it")
        if "pid" in how and not str(how["pid"]).isdigit():
            raise InvalidInput(f"{workload.name}: {how['pid']} is no process id", "write a number")
        out += [Target(process, workload) for process in who_runs(how)]
    out = list({one.process: one for one in out}.values())
    if not out:
        raise InvalidInput(f"no process of {order.workload.name} runs", "looked for " + in_words(order.workload))
    mine = ourselves()
    for one in out:
        if one.process.pid in mine or _guards(one.process):
            raise NotAllowed(f"process {one.process.pid}, which {one.workload.name} names, is part of Mainstay or of "
                             "what it runs under", "name a process that can be spared")
    return sorted(out, key=lambda one: (one.process.ticks, one.process.pid))


def chosen(order: Order) -> list[Target]:
    """Those that are hit: the order's share of them, drawn by its seed, and never more than the share.

    Raises:
        InvalidInput, NotAllowed: as `population`; or the share is less than one of them.
    """
    every = population(order)
    count = int(order.share * len(every) + 1e-9)
    if count == 0:
        raise InvalidInput(f"a share of {order.share:.3g} of {len(every)} process{'es' * (len(every) > 1)} of "
                           f"{order.workload.name} is none",
                           f"write a share of at least {1 / len(every):.3g}, or name replicas of the Workload")
    drawn = random.Random(f"{order.seed} {order.kind}").sample(every, count)  # noqa: S311  (drawn again by its seed)
    return sorted(drawn, key=lambda one: (one.process.ticks, one.process.pid))


def named(targets: list[Target]) -> str:
    """`4711 and 4712 of auth`, for people."""
    pids = [str(one.process.pid) for one in targets]
    return (", ".join(pids[:-1]) + " and " if pids[1:] else "") + pids[-1] + f" of {targets[0].workload.name}"


def _guards(process: Process) -> bool:
    try:
        return MARK.encode() in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except OSError:
        return False
