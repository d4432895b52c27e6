"""Memory that something else takes, and a workload that may use only so much."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mainstay.adapters.faults import cgroups
from mainstay.adapters.faults.cpu_faults import cgroup_ability, inside, into_groups
from mainstay.adapters.faults.held import Holder, hold
from mainstay.adapters.faults.injected import Injected, held, number
from mainstay.adapters.faults.processes import alive
from mainstay.adapters.faults.targets import Target, chosen, named, population
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.faults import Ability, Healing, Injection, Means, Measured, Order, Undo

_MIB = 2**20
_UNLIMITED = 2**60
"""Version 1 says "no limit" as the greatest number of pages."""


def available() -> int:
    """Bytes that can still be taken: of the host, or of the control group that we are in where that has less."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    group = cgroups.group_of(os.getpid(), "memory")
    if group is None:
        return free
    limit, used = ("memory.max", "memory.current") if group.version == 2 else \
        ("memory.limit_in_bytes", "memory.usage_in_bytes")
    try:
        most, taken = group.value(limit), int(group.value(used))
    except OSError:  # the root of version 2 has no limit
        return free
    return free if most == "max" or int(most) > _UNLIMITED else min(free, int(most) - taken)


def reserve() -> int:
    """Bytes that are never taken: a tenth of the host's memory, and at least 256 MiB."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    total = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal"))
    return max(256 * _MIB, total // 10)


class MemoryStress:
    """A hog of our own. The kernel takes it first when memory gets short."""

    def abilities(self) -> Sequence[Ability]:
        """Always."""
        most = max(0, available() - reserve())
        return (Ability("memory-stress", "hog", "real", Healing.KERNEL, f"up to {most // _MIB} MiB now"),)

    def means(self, order: Order) -> Means | None:
        """How."""
        if order.kind != "memory-stress":
            return None
        size, over = number(order, "size"), number(order, "over")
        most = available() - reserve()
        if size > most:
            raise InvalidInput(f"memory-stress: {size / _MIB:.0f} MiB are asked for, and {max(0, most) // _MIB} MiB "
                               f"are there beyond the {reserve() // _MIB} MiB that this host keeps",
                               "take less, or limit the workload's memory (memory-limit)")
        slowly = f" over {over:g} s" if over else ""
        return Means("hog", Healing.KERNEL, (f"take {size / _MIB:.0f} MiB of memory{slowly}",))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> Injection:
        """Take it."""
        means = self.means(order)
        assert means is not None
        size, over = number(order, "size"), number(order, "over")
        hog = Holder("hog", {"size": int(size), "over": over, "reserve": reserve()})
        hold([hog], intend)
        began = time.monotonic()

        def measure() -> Measured:
            due = size if not over else min(size, size * (time.monotonic() - began) / over)
            seen = resident(hog.process.pid) if hog.alive else 0
            return Measured("memory of the hog, as the kernel counts it", hog.alive and seen >= 0.9 * due - 8 * _MIB,
                            seen, due, "bytes")

        return held(means, [hog], measure)


def resident(pid: int) -> int:
    """Bytes of memory that the process has in use; 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        return 0


class MemoryLimit:
    """A control group with a limit, the processes moved into it and back."""

    def abilities(self) -> Sequence[Ability]:
        """Version 1 or 2, whichever has the controller `memory` here."""
        return (cgroup_ability("memory-limit", "memory"),)

    def means(self, order: Order) -> Means | None:
        """How."""
        if order.kind != "memory-limit":
            return None
        group = cgroups.group_of(os.getpid(), "memory")
        if group is None or cgroup_ability("memory-limit", "memory").state != "real":
            return None
        targets = chosen(order)
        return Means(f"cgroup v{group.version}", Healing.GUARDIAN, (
            f"move process {named(targets)} into a control group that may use {number(order, 'size') / _MIB:.0f} MiB; "
            "what they take from now on counts", "the kernel kills what wants more", "move them back"))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> Injection:
        """Move them."""
        means = self.means(order)
        assert means is not None
        size, targets = int(number(order, "size")), chosen(order)
        groups = into_groups(targets, "memory", _limits(size), intend)
        return Injected(means, lambda: _limited(groups, targets, size),
                        lambda: {"processes": len(population(order)), "processes_hit": len(targets)})


def _limits(size: int) -> Callable[[int], Mapping[str, str]]:
    return lambda version: {"memory.max" if version == 2 else "memory.limit_in_bytes": str(size)}


def _limited(groups: list[cgroups.Group], targets: list[Target], size: int) -> Measured:
    """Whether the kernel holds them to it: they are inside, or it has killed them for wanting more."""
    what = f"memory that {named(targets)} may use, as the kernel counts it"
    killed = [_killed(group) for group in groups]
    if not inside(groups, "memory", targets) and not (any(killed) and not any(alive(one.process) for one in targets)):
        return Measured(what, False, None, size, "bytes", "they are not in the group")
    try:
        limits = [_effective(group) for group in groups]
    except OSError:
        return Measured(what, False, None, size, "bytes", "the group is gone")
    # The kernel rounds to whole pages.
    return Measured(what, max(limits) <= size, max(limits), size, "bytes",
                    f"{sum(killed)} killed for wanting more" if any(killed) else "")


def _effective(group: cgroups.Group) -> int:
    if group.version == 2:
        return int(group.value("memory.max"))
    lines = group.value("memory.stat").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("hierarchical_memory_limit"))


def _killed(group: cgroups.Group) -> int:
    try:
        text = group.value("memory.events" if group.version == 2 else "memory.oom_control")
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill "))
