"""Workloads: the running parts of a system as a catalog declares them, for words that act on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from os.path import dirname

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import Position, did_you_mean


@dataclass(frozen=True, slots=True)
class At:
    """Something that is known, or stands in a file that is read when it is needed.

    Args:
        value: `127.0.0.1:8080`, `4711`; empty when it is in the file.
        file: relative to the file that declares the workload; its text counts, or of a JSON object the field.
        key: the field; `address` of an object that only says `port` is that port of 127.0.0.1.
    """

    value: str = ""
    file: str = ""
    key: str = ""

    @property
    def said(self) -> bool:
        """Whether anything was said."""
        return bool(self.value or self.file)


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP request that changes where a workload finds a dependency.

    `{to}` in url and body is where it is to find it, `{address}` in the url where the workload itself listens.
    """

    method: str
    url: str
    body: str = ""
    undo_body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, At] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that callers of a workload make, for tests of what becomes of it when a dependency is in trouble.

    Args:
        path: at the workload's address.
        marked_by: a header whose presence says that something is missing from the answer.
    """

    name: str
    path: str
    method: str = "GET"
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    marked_by: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    """What a workload promises for when a dependency is in trouble.

    Args:
        verdict: `unaffected`, `degraded`, `fails-fast`.
        errors: the greatest share of requests that may fail, 0..1.
        slowdown: how many times as long the 99th percentile may be.
    """

    verdict: str
    errors: float = 0.0
    slowdown: float | None = None


@dataclass(frozen=True, slots=True)
class Dependency:
    """Another workload that this one calls.

    Args:
        name: the workload's.
        listen: where the workload already calls, so that a proxy can stand there; empty when it calls the address.
        route: how the workload is told to call elsewhere.
        contracts: by mode: `down`, `slow`, `errors`, `resets`, `corrupt`.
    """

    name: str
    where: Position
    listen: str = ""
    route: Call | None = None
    contracts: Mapping[str, Contract] = field(default_factory=dict)
    required: bool = True


@dataclass(frozen=True, slots=True)
class ClusterObject:
    """Where the workload runs in Kubernetes."""

    namespace: str
    kind: str
    name: str
    context: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """A running part of a system.

    Args:
        service: the catalog's service it belongs to; its own name where nothing was said.
        pid: where its process id stands; a JSON file may also carry `ticks`, the moment the kernel started it.
        match: instead: words that its command line holds, in order.
        unit: instead: the systemd unit.
        address: where it listens, `host:port`.
        health: a path at the address, or a URL, that answers with success while it works.
        start: how to start it, argv without a shell; needed by faults on processes that Mainstay starts.
        restart: how to restart it where that is more than kill and start.
        folder: where it writes, for faults of disks.
        experiments: whether experiments may touch it at all.
        replicas: names of workloads that are further processes of the same, for shares of processes.
        requests: what callers ask of it; without any, its health is all that is known of it.
    """

    name: str
    origin: Position
    service: str = ""
    pid: At = At()
    match: tuple[str, ...] = ()
    unit: str = ""
    address: At = At()
    health: str = ""
    start: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    folder: str = ""
    cluster: ClusterObject | None = None
    experiments: bool = False
    dependencies: tuple[Dependency, ...] = ()
    replicas: tuple[str, ...] = ()
    requests: tuple[Request, ...] = ()

    @property
    def home(self) -> str:
        """The folder of the file that declares it, to which its paths are relative."""
        return dirname(self.origin.file)

    def dependency(self, name: str) -> Dependency:
        """The dependency of that name.

        Raises:
            NotFound: it declares none.
        """
        for one in self.dependencies:
            if one.name == name:
                return one
        known = [one.name for one in self.dependencies]
        raise NotFound(f'{self.name} declares no dependency "{name}"{did_you_mean(name, known)}',
                       "known: " + ", ".join(known) if known else f"add dependencies to the Workload {self.name}")


MODES = ("down", "slow", "errors", "resets", "corrupt")
"""In what way a dependency can be in trouble."""

VERDICTS = ("unaffected", "degraded", "fails-fast")
"""What a contract can promise."""


def workload_named(catalog: Catalog, name: str) -> Workload:
    """The workload of that name, or the only one of the service of that name.

    Raises:
        NotFound: there is none; says what is close.
        InvalidInput: the service has several.
    """
    found = catalog.find(Workload, name)
    if found is not None:
        return found
    of_service = [one for one in catalog.of(Workload) if one.service == name]
    if len(of_service) == 1:
        return of_service[0]
    if of_service:
        raise InvalidInput(f"{name} has several workloads", "name one of " + ", ".join(one.name for one in of_service))
    return catalog.get(Workload, name)
