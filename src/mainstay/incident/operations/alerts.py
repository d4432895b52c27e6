"""`mainstay incident alerts | silence`: what fires, and what is not to be heard of for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice

from mainstay.incident.engine import EndSilence, MakeSilence
from mainstay.incident.ongoing import Alert, Silence
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.severity import Severity
from mainstay.incident.state import State
from mainstay.incident.view import severity_cell
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.matcher import fitting, parse_matcher
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span, format_duration, parse_duration
from mainstay.kernel.view import Cell, Next, Text, View, table
from mainstay.kernel.wording import many

_CODES = ((0, "done"), (2, "a flag is wrong, or there is no such silence"))


def ended_silences(world: World, since: datetime | None, name: str | None = None) -> Iterator[tuple[Silence, datetime]]:
    """Silences that are over and when that was, the newest first; one alone where a name is given."""
    facts = world.journal.facts(FactQuery(kinds=("silence.",), subject=name, since=since, newest_first=True,
                                          limit=2_000))
    ended: dict[str, datetime] = {}
    for fact in facts:
        if fact.kind == "silence.ended":
            ended[fact.subject] = fact.at
        elif fact.kind == "silence.made" and fact.subject in ended:
            state = State()
            state.apply(fact)
            yield state.silences[fact.subject], ended[fact.subject]


# -- alerts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AlertsRequest:
    """Which alerts."""

    match: tuple[str, ...] = arg("only alerts whose labels fit, such as service=web or severity=~'page|critical'", ())
    limit: int = arg("how many to show, the newest first", 100)


@dataclass(frozen=True, slots=True)
class AlertReading:
    """An alert as it is read; the field names are its stable JSON.

    Args:
        muted: why nobody hears of it: `silence S-3`, `inhibited`; empty when it is heard.
        count: how often its sender said it.
    """

    id: str
    key: str
    service: str
    severity: Severity
    summary: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    url: str
    opened: datetime
    count: int
    incident: str
    muted: str


@dataclass(frozen=True, slots=True)
class Alerts:
    """Alerts that fire: some, and how many there are in all."""

    at: datetime
    firing: int
    alerts: tuple[AlertReading, ...]


def alerts(world: World, request: AlertsRequest) -> Alerts:
    """List the alerts that fire."""
    if request.limit < 1:
        raise InvalidInput(f"--limit {request.limit} shows nothing", "write a number from 1 on")
    state, now = desk_of(world).caught_up(), world.clock.now()
    matchers = [parse_matcher(text) for text in request.match]
    found = fitting(state.alerts.newest(None if matchers else request.limit), matchers)
    return Alerts(now, len(state.alerts), tuple(reading(one, state, now) for one in islice(found, request.limit)))


def reading(one: Alert, state: State, now: datetime) -> AlertReading:
    """The alert as it is read."""
    repeated = state.repeats.get(one.id)
    silence = state.silenced(one.labels, now)
    muted = f"silence {silence}" if silence else "inhibited" if state.inhibited(one.labels) else ""
    return AlertReading(one.id, one.key.key, one.key.service, one.severity, one.summary, one.labels, one.annotations,
                        one.url, one.opened, one.count + (repeated[0] if repeated is not None else 0), one.incident,
                        muted)


def alerts_view(found: Alerts) -> View:
    """A row an alert."""
    head = Text(f"{many(found.firing, 'alert')} firing" + (
        f", {len(found.alerts):,} shown." if len(found.alerts) < found.firing else "."), "strong")
    rows = [(one.id, severity_cell(one.severity), one.summary, one.service or "–",
             format_duration(found.at - one.opened), f"{one.count:,}",
             _where(one)) for one in found.alerts]
    return View("Alerts", (head, table("", ("alert", "severity", "what", "service", "for>", "times>", "incident"), rows,
                                       empty="None of them fits." if found.firing else
                                       "No alert fires. Senders post them: mainstay serve, then "
                                       "http://127.0.0.1:8700/api/v2/alerts"),
                           Next(("mainstay incident list", "mainstay incident silence service=NAME --for 2h "
                                 "--comment why"))))


def _where(one: AlertReading) -> Cell:
    """The incident it is part of, and why nobody hears of it."""
    if one.incident and not one.muted:
        return Cell(one.incident, link=f"incident/show?name={one.incident}")
    return Cell(", ".join(filter(None, (one.incident, one.muted))) or "waits", tone="quiet")


ALERTS = Operation(
    "incident", "alerts", AlertsRequest, alerts, alerts_view,
    as_json=lambda found: {"generated_at": found.at, "firing": found.firing, "alerts": found.alerts},
    exit_codes=((0, "listed"), (2, "a flag is wrong")),
    examples=("mainstay incident alerts", "mainstay incident alerts --match service=web --limit 20 --json"))


# -- silence ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SilenceRequest:
    """What to silence, or which silence to end; the silences there are when neither is said."""

    match: tuple[str, ...] = arg("alerts whose labels fit all of these, such as service=web", (), positional=True)
    lasting: str = arg("for how long from now", "1h", flag="for")
    comment: str = arg("why, for those who wonder", "")
    end: str = arg("end this silence instead", "")


@dataclass(frozen=True, slots=True)
class SilenceReading:
    """A silence as it is read; the field names are its stable JSON."""

    id: str
    matchers: tuple[str, ...]
    since: datetime
    until: datetime
    by: str
    comment: str
    alerts: int


@dataclass(frozen=True, slots=True)
class Silences:
    """What was done, and the silences there are now. `made` and `ended` are ids or empty."""

    at: datetime
    made: str
    ended: str
    silences: tuple[SilenceReading, ...]


def silence(world: World, request: SilenceRequest) -> Silences:
    """Silence alerts for a while, end a silence, or list them."""
    if request.end and request.match:
        raise InvalidInput("say what to silence or which silence to end, not both", "leave one of the two out")
    desk, now, made = desk_of(world), world.clock.now(), ""
    if request.end:
        desk.do(EndSilence(request.end, world.actor))
    elif request.match:
        matchers = tuple(parse_matcher(text) for text in request.match)
        made = desk.do(MakeSilence(matchers, Span(now, now + parse_duration(request.lasting)), world.actor,
                                   request.comment)).alert
    state = desk.caught_up()
    return Silences(now, made, request.end, tuple(
        SilenceReading(one.id, tuple(map(str, one.matchers)), one.span.start, one.span.end, one.by, one.comment,
                       sum(1 for _ in fitting(state.alerts.values(), one.matchers)) if one.span.holds(now) else 0)
        for one in state.silences.values()))


def silences_view(found: Silences) -> View:
    """A row a silence."""
    said = []
    if found.made:
        one = next(one for one in found.silences if one.id == found.made)
        said.append(Text(f"{one.id}: alerts with {', '.join(one.matchers)} are silent until {one.until:%-d %b %H:%M} "
                         f"UTC; {many(one.alerts, 'firing alert')} now.", "good"))
    if found.ended:
        said.append(Text(f"{found.ended} is over.", "good"))
    rows = [(one.id, " ".join(one.matchers), f"{one.until:%-d %b %H:%M} UTC", one.by, one.comment or "–",
             f"{one.alerts:,}") for one in found.silences]
    first = found.silences[0].id if found.silences else ""
    return View("Silences", (*said, table("", ("silence", "alerts with", "until", "by", "why", "firing>"), rows,
                                          empty="Nothing is silenced."),
                             Next((f"mainstay incident silence --end {first}",) if first else
                                  ("mainstay incident silence service=web --for 2h --comment 'planned work'",))))


SILENCE = Operation(
    "incident", "silence", SilenceRequest, silence, silences_view, scope="write", exit_codes=_CODES,
    as_json=lambda found: {"generated_at": found.at, "made": found.made, "ended": found.ended,
                           "silences": found.silences},
    examples=("mainstay incident silence service=web --for 2h --comment 'database upgrade'",
              "mainstay incident silence --end S-3", "mainstay incident silence --json"))
