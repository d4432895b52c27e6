"""Faults: what can be done to a running system, how it is known to be there, and who takes it out again.

A fault is ordered by its kind (`network-latency`; the table of kinds is the word chaos's), put in by a mechanism, and
counts as applied only after it was measured by something else than what put it in; it counts as removed likewise.
Before each act on the system, what takes that act back is made durable, so that a guardian, or the next start, can do
it when whoever acted is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from enum import StrEnum
from typing import Protocol

from mainstay.kernel import quantity
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Data
from mainstay.kernel.workload import Workload

Setting = quantity.Setting
"""A number in the parameter's unit (seconds, share 0..1, bytes, bytes a second), or a word."""


class Healing(StrEnum):
    """Who takes a fault out when the run that put it in was killed; from the strongest to the weakest."""

    KERNEL = "kernel-owned"
    """It cannot outlive the process that holds it: the kernel takes it out within milliseconds."""

    EXPIRING = "expiring"
    """It has an end of its own, which nobody has to be there for."""

    GUARDIAN = "guardian"
    """A process of its own takes it out when the run's process is gone."""

    MANUAL = "manual"
    """Only `mainstay chaos recover`, or a person, takes it out; refused unless forced."""


@dataclass(frozen=True, slots=True)
class Order:
    """A fault that is wanted.

    Args:
        kind: a name of the table of kinds.
        workload: whose processes, address, folder or object is meant.
        dependency: the name of the workload's dependency that is meant, for faults on the way to one.
        settings: by parameter.
        share: of processes, connections or requests that are hit, 0..1: the blast radius.
        seconds: after this long it is out, whatever happens.
        seed: of every draw.
        replicas: the workloads that `workload.replicas` names: a share of processes is one of all of theirs.
        upstream: the workload that the dependency is: where it listens, and what of it answers a probe.
    """

    kind: str
    workload: Workload
    dependency: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    share: float = 1.0
    seconds: float = 60.0
    seed: int = 0
    replicas: tuple[Workload, ...] = ()
    upstream: Workload | None = None


@dataclass(frozen=True, slots=True)
class Means:
    """How an order would be carried out on this host.

    Args:
        mechanism: its name: `proxy`, `nfqueue`, `cgroup v1`, `signal`.
        does: what will be done, a sentence each.
    """

    mechanism: str
    healing: Healing
    does: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ability:
    """What a mechanism can do on this host.

    Args:
        state: `real`, `emulated` (close to it, and said how in `why`) or `unavailable` (and why).
        enable: what would make it available: a package, a privilege; empty when nothing would.
    """

    kind: str
    mechanism: str
    state: str
    healing: Healing
    why: str = ""
    enable: str = ""


@dataclass(frozen=True, slots=True)
class Undo:
    """One step that takes something out again. Any process can carry it out, any number of times.

    Args:
        act: the name of an act that the adapters know.
        data: its arguments, JSON values; a process is named by its pid and the tick it was started at.
    """

    act: str
    data: Data


@dataclass(frozen=True, slots=True)
class Measured:
    """What a probe saw that is independent of what put the fault in.

    Args:
        what: `round trip to auth`, `processor share of pid 4711`.
        in_effect: whether the fault is there, by this measurement.
        seen: in `unit`; None when nothing could be seen, and `note` says why.
        asked: what was ordered, in the same unit; None where it is not a number.
    """

    what: str
    in_effect: bool
    seen: float | None = None
    asked: float | None = None
    unit: str = ""
    note: str = ""


class Injection(Protocol):
    """A fault that was put in."""

    @property
    def means(self) -> Means:
        """How."""
        ...

    def proof(self) -> Measured:
        """Whether it is there, measured now."""
        ...

    def victims(self) -> Mapping[str, float]:
        """Who was hit, in numbers: `connections`, `requests`, `processes`, each with `…_hit`; empty when unknown."""
        ...

    def remove(self) -> None:
        """Take it out; again is fine. Returns when it was done, not when it was proven.

        Raises:
            MainstayError: a step of it did not work; the others were done all the same.
        """
        ...


class Mechanism(Protocol):
    """One way to put faults in. Mechanisms are tried in order of their healing, the strongest first."""

    def abilities(self) -> Sequence[Ability]:
        """One for every kind it could do somewhere, judged on this host, changing nothing."""
        ...

    def means(self, order: Order) -> Means | None:
        """How it would carry the order out; None when the order is not its own, or the host lacks what it needs.

        Raises:
            InvalidInput: the order is its own and cannot be: a process that does not run, a port in use.
        """
        ...

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> Injection:
        """Put it in.

        Args:
            intend: makes these undos durable; called before each act that they take back.
        Raises:
            MainstayError: it could not be; what was done by then is undone by the caller.
        """
        ...


class Guarded(Protocol):
    """A run's faults under guard: whatever becomes of this process, they come out."""

    def inject(self, order: Order) -> Injection:
        """Put a fault in by the strongest mechanism there is.

        Raises:
            InvalidInput, NotAllowed: no mechanism can on this host; `mainstay chaos doctor` says why.
        """
        ...

    def promise(self, what: str, undos: Sequence[Undo], seconds: float) -> Callable[[], None]:
        """Have these done when this process cannot do them itself: for faults that others put in.

        Args:
            what: a few words for the record: `rollbacks of experiment.json`.
            seconds: after this long they are done, whatever happens.
        Returns:
            What says that they were done, or are not needed: from then on nobody does them any more.
        """
        ...

    def clear(self) -> tuple[str, ...]:
        """Take every fault out, and keep every promise; what did not work, a sentence each."""
        ...


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a run that did not end left behind."""

    run: str
    undo: Undo
    healed: bool
    problem: str = ""


class Injector(Protocol):
    """Every mechanism of this host."""

    def abilities(self) -> tuple[Ability, ...]:
        """What is real, emulated or unavailable here."""
        ...

    def means(self, order: Order) -> Means:
        """How the order would be carried out; nothing is touched.

        Raises:
            InvalidInput, NotAllowed: it cannot be, and why.
        """
        ...

    def guard(self, run: str, *, manual: bool = False) -> AbstractContextManager[Guarded]:
        """Faults for the run of that name; all are out when the block is left.

        Args:
            manual: whether faults that nobody takes out after a kill are accepted.
        """
        ...

    def recover(self, *, dry: bool = False) -> tuple[Leftover, ...]:
        """Take out what runs left behind whose process is gone; only list it when `dry`."""
        ...


@dataclass(frozen=True, slots=True)
class Relayed:
    """What a proxy between programs did while it ran; the field names are stable JSON.

    Args:
        connections: of UDP, clients.
        victims: connections that a toxic was put on.
        bytes_up, bytes_down: delivered towards the upstream, and back.
    """

    proxy: str
    connections: int
    victims: int
    bytes_up: int
    bytes_down: int


@dataclass(frozen=True, slots=True)
class Relaying:
    """How proxies are to run.

    Args:
        listen: where their API listens, `host:port`; port 0 takes a free one.
        config: a file of proxies to begin with, toxiproxy's JSON list; empty for none.
        anywhere: whether the API may listen where others reach it.
    """

    listen: str
    config: str = ""
    seed: int = 0
    anywhere: bool = False


Relays = Callable[[Relaying, Callable[[str], None]], tuple[Relayed, ...]]
"""Runs proxies until this process is told to stop (SIGINT, SIGTERM); the second argument is told the API's address."""


def no_relays(asked: Relaying, told: Callable[[str], None]) -> tuple[Relayed, ...]:  # noqa: ARG001
    """What a world without proxies says.

    Raises:
        AssertionError: always.
    """
    raise AssertionError(f"this world was made without proxies; asked for an API at {asked.listen}")


class NoFaults:
    """A world that cannot be broken: whoever wants to is told so."""

    def abilities(self) -> tuple[Ability, ...]:
        """None."""
        return ()

    def means(self, order: Order) -> Means:
        """Never.

        Raises:
            AssertionError: always.
        """
        raise AssertionError(f"this world was made without faults; asked for {order.kind}")

    def guard(self, run: str, *, manual: bool = False) -> AbstractContextManager[Guarded]:  # noqa: ARG002
        """Never.

        Raises:
            AssertionError: always.
        """
        raise AssertionError(f"this world was made without faults; {run} asked for some")

    def recover(self, *, dry: bool = False) -> tuple[Leftover, ...]:  # noqa: ARG002
        """Nothing is left behind."""
        return ()
