"""What a team writes about alerts and whom they reach, as frozen types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from typing import Literal, NamedTuple

from mainstay.incident.severity import Severity
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Position
from mainstay.kernel.matcher import Matchers

Kind = Literal["rotation", "person", "channel"]


class Addressee(NamedTuple):
    """Whom a step pages: whoever a rotation (or schedule) has on call, a person, or a channel such as `slack:#ops`."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Step:
    """One rung of an escalation.

    Args:
        delay: how long it is given before the next rung, from when it really fired.
        round_robin: each incident of the policy pages one of the addressees, the next incident, and the next loop, the
            next of them.
    """

    addressees: tuple[Addressee, ...]
    delay: timedelta
    round_robin: bool = False


@dataclass(frozen=True, slots=True)
class EscalationPolicy:
    """Who is paged, in which order, for how long.

    Args:
        loops: how often the steps are gone through again after the first time.
        ack_timeout: an acknowledged incident that is not resolved by then is paged anew; None trusts for ever.
        fallback: paged when a step finds nobody; a step that reaches nobody at all is said out loud.
    """

    name: str
    origin: Position
    steps: tuple[Step, ...]
    loops: int = 0
    ack_timeout: timedelta | None = None
    fallback: tuple[Addressee, ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """Where alerts go. A child inherits what it does not say.

    Args:
        policy: the name of an EscalationPolicy; empty inherits, and at the root means nobody is paged.
        group_by: alerts with equal values of these labels are one incident; None makes every alert its own.
        wait: how long a new group gathers before anybody is told.
        interval: how long alerts that join an open incident gather before whoever has it is told; None tells nobody.
        repeat: after how long an incident that goes on is paged anew, again and again: whoever has it, or the first
            step where nobody answered; None never pages anew.
        reopen: an incident takes a new alert of its group again within this time after it was resolved.
        severity: overrides what senders say.
        page: False records without telling anybody.
    """

    matchers: Matchers = ()
    policy: str = ""
    group_by: tuple[str, ...] | None = None
    wait: timedelta = timedelta(0)
    interval: timedelta | None = None
    repeat: timedelta | None = None
    reopen: timedelta = timedelta(0)
    severity: Severity | None = None
    page: bool = True
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an alert that fits `source` fires, those that fit `target` and agree in the `equal` labels stay quiet."""

    source: Matchers
    target: Matchers
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flapping:
    """An alert that opens more than `opens` times within `within` is held open until it was quiet for `quiet`."""

    opens: int = 5
    within: timedelta = timedelta(minutes=30)
    quiet: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Storm:
    """After `pages` pages to one person within `within`, what follows is told together when that time is over."""

    pages: int = 10
    within: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Routing:
    """All that happens between an alert and an incident; a catalog has at most one."""

    name: str
    origin: Position
    route: Route = field(default_factory=Route)
    inhibitions: tuple[Inhibition, ...] = ()
    flapping: Flapping = field(default_factory=Flapping)
    storm: Storm = field(default_factory=Storm)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sender that must be heard of: silence for longer than `every` and `grace` together is an alert."""

    name: str
    origin: Position
    every: timedelta
    grace: timedelta = timedelta(minutes=1)
    severity: Severity = Severity.SEV2
    service: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """What is asked about a service when an incident of it opens.

    Args:
        health: URLs that answer a GET with success while the service is well.
        depends_on: services it cannot do without.
        time_out: for each health check.
    """

    name: str
    origin: Position
    service: str
    health: tuple[str, ...] = ()
    dashboards: tuple[str, ...] = ()
    runbooks: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    time_out: timedelta = timedelta(seconds=2)


# -- intakes ------------------------------------------------------------------------------------------------------

Pointer = tuple[str, ...]
"""A JSON pointer (RFC 6901) as its steps; no step is the whole document."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """Where in a sender's JSON an alert stands.

    Args:
        items: the list of alerts; where no list stands, what is there is one alert.
        key: what tells alerts apart, joined by a slash.
        status: its value says whether it fires; without one every payload fires.
        firing, resolved: values of the status; where `firing` is given, a value in neither is passed over.
    """

    key: tuple[Pointer, ...]
    items: Pointer = ()
    status: Pointer | None = None
    firing: tuple[str, ...] = ()
    resolved: tuple[str, ...] = ()
    summary: Pointer | None = None
    service: Pointer | None = None
    severity: Pointer | None = None
    time: Pointer | None = None
    url: Pointer | None = None
    labels: Mapping[str, Pointer] = field(default_factory=dict)


Format = Literal["alertmanager", "grafana", "pagerduty", "json"]


@dataclass(frozen=True, slots=True)
class Intake:
    """A sender of alerts: the form of what it sends, and what holds where it does not say.

    Args:
        service, severity: of alerts that name none.
        key_env: the environment variable of the server that holds the sender's PagerDuty routing key.
        mapped: where things stand, for the format `json`.
    """

    name: str
    origin: Position
    format: Format
    service: str = ""
    severity: str = ""
    key_env: str = ""
    mapped: Mapped | None = None
