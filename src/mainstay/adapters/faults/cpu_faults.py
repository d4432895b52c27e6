"""Processors that are busy with something else, and a workload that gets only a share of one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mainstay.adapters.faults import cgroups
from mainstay.adapters.faults.held import Holder, end_all, hold
from mainstay.adapters.faults.injected import Injected, held, number
from mainstay.adapters.faults.naming import token
from mainstay.adapters.faults.processes import Process, alive, stat_of
from mainstay.adapters.faults.targets import Target, chosen, named, population
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.faults import Ability, Healing, Injection, Means, Measured, Order, Undo

_WINDOW = 0.3
"""Seconds over which busyness is measured: six rounds of a burner, three periods of a quota."""
_PERIOD = 0.1
"""Seconds of one period of a quota. The kernel hands time out in 5 ms, and refuses less than 1 ms a period."""
_NEAR = 0.05
"""How far a measured share may be from the asked one and still be it, on a host that does other work too."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds of a process, all its threads together, on a processor, and waiting for one, since it was started.

    Args:
        stolen: of the processor that it is bound to, what the host of this virtual machine took, since that began.
    """

    ran: float
    waited: float
    stolen: float = 0.0

    def wanted_since(self, before: Turn) -> float:
        """What it ran and waited since then; with what was stolen meanwhile, which the scheduler counts nowhere, only
        where it wanted anything at all: one that was stopped has nothing stolen from it."""
        wanted = self.ran + self.waited - before.ran - before.waited
        return wanted + self.stolen - before.stolen if wanted else 0.0


def turn_of(pid: int, cpu: int | None = None) -> Turn | None:
    """What the scheduler counted; None when the process has ended.

    Waiting counts as wanting: on a crowded host a busy process shows as busy though it does not get all it wants.

    Args:
        cpu: the one processor that the process is bound to, to count what is stolen of it.
    """
    ran = waited = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            counted = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text(encoding="ascii").split()
            ran, waited = ran + int(counted[0]), waited + int(counted[1])
    except (OSError, ValueError):
        stat = stat_of(pid)
        return None if stat is None else Turn(stat.busy, 0.0)
    return Turn(ran / 1e9, waited / 1e9, _stolen(cpu) if cpu is not None else 0.0)


def _stolen(cpu: int) -> float:
    """Seconds of the processor in which something was to run on it and the host of this machine ran something else.

    Source: proc_stat(5) of the Linux manual, the eighth number of a processor; older kernels have no such number.
    """
    with suppress(OSError, StopIteration, IndexError):
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
        mine = next(line for line in lines if line.startswith(f"cpu{cpu} "))
        return int(mine.split()[8]) / os.sysconf("SC_CLK_TCK")
    return 0.0


class CpuStress:
    """Burners of our own, one for each processor, busy for a share of each round."""

    def abilities(self) -> Sequence[Ability]:
        """Always."""
        return (Ability("cpu-stress", "burners", "real", Healing.KERNEL,
                        f"{len(os.sched_getaffinity(0))} processors can be kept busy"),)

    def means(self, order: Order) -> Means | None:
        """How."""
        if order.kind != "cpu-stress":
            return None
        cpus, load = self._cpus(order), number(order, "load")
        return Means("burners", Healing.KERNEL,
                     (f"keep {len(cpus)} of {os.cpu_count()} processors busy for {load:.0%} of the time",))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> Injection:
        """Burn."""
        means = self.means(order)
        assert means is not None
        cpus, load = self._cpus(order), number(order, "load")
        holders = [Holder("burn", {"cpu": cpu, "load": load}) for cpu in cpus]
        hold(holders, intend)
        return held(means, holders, lambda: _busy([one.process for one in holders], cpus, load))

    @staticmethod
    def _cpus(order: Order) -> list[int]:
        mine = sorted(os.sched_getaffinity(0))
        wanted = int(number(order, "cpus")) or len(mine)
        if wanted > len(mine):
            raise InvalidInput(f"cpu-stress: {wanted} processors are asked for, {len(mine)} are there",
                               "leave cpus out for all of them")
        return mine[:wanted]


def _busy(burners: list[Process], cpus: list[int], asked: float) -> Measured:
    def turns() -> list[Turn | None]:
        return [turn_of(one.pid, cpu) for one, cpu in zip(burners, cpus, strict=True)]

    before, began = turns(), time.monotonic()
    time.sleep(_WINDOW)
    after, took = turns(), time.monotonic() - began
    shares, ran = [], 0.0
    for one, first, last in zip(burners, before, after, strict=True):
        there = first is not None and last is not None and alive(one)
        shares.append(last.wanted_since(first) / took if there else 0.0)  # type: ignore[union-attr, arg-type]
        ran += (last.ran - first.ran) / took / len(burners) if there else 0.0  # type: ignore[union-attr]
    what = "share of their processors that the burners take"
    if ran >= asked - 2 * _NEAR or min(shares) < asked - _NEAR:
        return Measured(what, min(shares) >= asked - 2 * _NEAR and ran >= asked - 2 * _NEAR, ran, asked, "share")
    return Measured(what, True, ran, asked, "share", "this host is crowded: they want more than they get")


class CpuThrottle:
    """A control group with a quota, the processes moved into it and back."""

    def abilities(self) -> Sequence[Ability]:
        """Version 1 or 2, whichever has the controller `cpu` here."""
        return (cgroup_ability("cpu-throttle", "cpu"),)

    def means(self, order: Order) -> Means | None:
        """How."""
        if order.kind != "cpu-throttle":
            return None
        group = cgroups.group_of(os.getpid(), "cpu")
        if group is None or cgroup_ability("cpu-throttle", "cpu").state != "real":
            return None
        quota, there = number(order, "quota"), os.cpu_count() or 1
        if quota >= there:
            raise InvalidInput(f"cpu-throttle: {quota:g} processors are more than none of {there} would be missed",
                               f"write a quota below {there}")
        targets = chosen(order)
        return Means(f"cgroup v{group.version}", Healing.GUARDIAN, (
            f"move process {named(targets)} into a control group that gets {quota:.0%} of one processor",
            "move it back"))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> Injection:
        """Move them."""
        means = self.means(order)
        assert means is not None
        quota, targets = number(order, "quota"), chosen(order)
        groups = into_groups(targets, "cpu", _limits(quota), intend)
        return Injected(means, lambda: _throttled(groups, targets, quota),
                        lambda: {"processes": len(population(order)), "processes_hit": len(targets)})


def _limits(quota: float) -> Callable[[int], Mapping[str, str]]:
    period, share = int(_PERIOD * 1e6), int(quota * _PERIOD * 1e6)
    return lambda version: {"cpu.max": f"{share} {period}"} if version == 2 else \
        {"cpu.cfs_period_us": str(period), "cpu.cfs_quota_us": str(share)}


def cgroup_ability(kind: str, controller: str) -> Ability:
    """Whether groups of our own with that controller can be made here."""
    group = cgroups.group_of(os.getpid(), controller)
    if group is None:
        return Ability(kind, "cgroup", "unavailable", Healing.GUARDIAN,
                       f"no control group has the controller {controller}",
                       f"a kernel and a container that hand out the controller {controller}")
    name = f"cgroup v{group.version}"
    beside = cgroups.own_group(group, controller, "mainstay")
    if isinstance(beside, str):
        return Ability(kind, name, "unavailable", Healing.GUARDIAN, beside,
                       f"Delegate={controller} for the unit, or echo +{controller} into its cgroup.subtree_control")
    if not os.access(beside.folder.parent, os.W_OK):
        return Ability(kind, name, "unavailable", Healing.GUARDIAN, f"{beside.folder.parent} cannot be written",
                       "run it as root, or have the group delegated")
    return Ability(kind, name, "real", Healing.GUARDIAN)


def into_groups(targets: list[Target], controller: str, limits: Callable[[int], Mapping[str, str]],
                intend: Callable[[Sequence[Undo]], None]) -> list[cgroups.Group]:
    """New groups with these limits, one for each group that a target is in, and the targets in them.

    Raises:
        InvalidInput: a group cannot be made here, or refuses the limits.
    """
    homes: dict[cgroups.Group, list[Target]] = {}
    for one in targets:
        home = cgroups.group_of(one.process.pid, controller)
        if home is not None:
            homes.setdefault(home, []).append(one)
    made = []
    for home, inside in homes.items():
        group = cgroups.own_group(home, controller, token())
        if isinstance(group, str):
            raise InvalidInput(group, f"hand the controller {controller} on there")
        intend([Undo("leave-group", {"root": group.root, "path": group.path, "back": home.path})])
        try:
            cgroups.enter(group, limits(group.version))
            for one in inside:
                cgroups.move(one.process, group)
        except OSError as problem:
            raise InvalidInput(f"the control group {group.path} refuses that: {problem.strerror}",
                               "`mainstay chaos doctor` lists what is possible here") from problem
        made.append(group)
    if not made:
        raise InvalidInput("the processes ended meanwhile", "look at why they end")
    return made


def inside(groups: list[cgroups.Group], controller: str, targets: list[Target]) -> bool:
    """Whether the kernel says of every living target that it is in one of the groups."""
    living = [one.process.pid for one in targets if alive(one.process)]
    return bool(living) and all(cgroups.group_of(pid, controller) in groups for pid in living)


def _throttled(groups: list[cgroups.Group], targets: list[Target], quota: float) -> Measured:
    """Use of processors by the targets; when they want less than the quota, with a busy process beside them."""
    what = f"processor time of {named(targets)}"
    if not inside(groups, "cpu", targets):
        return Measured(what, False, None, quota, "processors", "they are not in the group")
    seen, held_back = _use(groups[0], [one.process for one in targets], 4 * _PERIOD)
    near = max(_NEAR, quota / 4)
    if held_back and seen <= quota + near:
        return Measured(what, True, seen, quota, "processors")
    if seen > quota + near:
        return Measured(what, False, seen, quota, "processors")
    return _beside(groups[0], targets, quota, near)


def _beside(group: cgroups.Group, targets: list[Target], quota: float, near: float) -> Measured:
    what = "processor time of a busy process beside them"
    probe = Holder("burn", {"cpu": min(os.sched_getaffinity(0)), "load": 1.0})
    try:
        cgroups.move(probe.process, group)
        probe.ready()
        probe.go()
        every = [probe.process, *(one.process for one in targets)]
        seen = 0.0
        for _ in range(4):  # on a crowded host it does not use its quota in each window
            seen, held_back = _use(group, every, 4 * _PERIOD)
            if held_back:
                return Measured(what, seen <= quota + near, seen, quota, "processors", "they want less themselves")
    finally:
        end_all([probe])
    return Measured(what, False, seen, quota, "processors", "it was never held back")


def _use(group: cgroups.Group, processes: list[Process], seconds: float) -> tuple[float, bool]:
    """Processors that they used, and whether the group was held back meanwhile."""
    before, held_back, began = [turn_of(one.pid) for one in processes], _times(group), time.monotonic()
    time.sleep(seconds)
    after, took = [turn_of(one.pid) for one in processes], time.monotonic() - began
    ran = sum(last.ran - first.ran for first, last in zip(before, after, strict=True) if first and last)
    return ran / took, _times(group) > held_back


def _times(group: cgroups.Group) -> int:
    try:
        lines = group.value("cpu.stat").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("nr_throttled"))
