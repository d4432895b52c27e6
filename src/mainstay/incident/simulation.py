"""Events of a simulation: what they look like in a file, and what a run of them gives."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from mainstay.incident.engine import Acknowledge, EndSilence, MakeSilence, Merge, Open, Resolve, SetSeverity
from mainstay.incident.intake import AlertEvent, Opening
from mainstay.incident.ongoing import Key
from mainstay.incident.severity import severity_of
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Finding, InvalidFiles, Position
from mainstay.kernel.quantity import parse_duration, parse_moment


@dataclass(frozen=True, slots=True)
class Restart:
    """The engine dies at once and comes back after a while, knowing only what was durable."""

    down: timedelta


@dataclass(frozen=True, slots=True)
class OfAlerts:
    """What somebody did about an incident that had these alerts: in a run they may belong to others, or to several.

    Args:
        what: with the incident's name where it was recorded, for one that was opened by hand.
        into: for a merge, the alerts of the other one.
    """

    what: Acknowledge | Resolve | SetSeverity | Merge
    keys: tuple[Key, ...]
    into: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens at a moment.

    Args:
        name: what the incident that is opened here, or the silence that is made, is called by later events; a run gives
            ids of its own.
    """

    at: datetime
    what: AlertEvent | Open | Acknowledge | Resolve | OfAlerts | MakeSilence | EndSilence | Restart
    name: str = ""


class Page(Struct, frozen=True, gc=False):
    """A page of a run; the field names are its stable JSON. `step` counts from 1, `loop` from 0."""

    at: datetime
    to: str
    channel: str
    step: int
    loop: int
    incident: str
    reason: str


class Change(Struct, frozen=True, gc=False):
    """A change of state in a run: the kind of fact, what it is about, and its data."""

    at: datetime
    kind: str
    subject: str
    data: Mapping[str, Any]


def read_events(lines: Iterable[str], file: str) -> list[Event]:
    """Events of a JSON-lines file, in the order in which they happen.

    Raises:
        InvalidFiles: lines that are no events, all of them at once.
    """
    events: list[Event] = []
    findings: list[Finding] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            events.append(_event(line))
        except InvalidInput as error:
            findings.append(Finding("invalid-event", Position(file, number), error.message, error.way_out,
                                    line.rstrip("\n")[:200]))
    if findings:
        raise InvalidFiles(findings)
    return sorted(events, key=lambda event: event.at)


_KNOWN = {"alert": {"status", "key", "service", "severity", "labels", "summary"}, "ack": {"key", "by"},
          "open": {"key", "title", "service", "severity", "policy", "by"}, "resolve": {"key", "by"},
          "restart": {"down"}}


def _event(line: str) -> Event:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"not JSON: {error.msg} at column {error.colno}", "write one JSON object a line") from None
    if not isinstance(data, dict):
        raise InvalidInput("not a JSON object", 'write {"at": "2026-03-02T09:00:00Z", "type": "alert", …}')
    kind = data.get("type")
    if kind not in _KNOWN:
        raise InvalidInput(f'type is "{kind}"', "write alert, open, ack, resolve or restart")
    unknown = sorted(set(data) - _KNOWN[kind] - {"at", "type"})
    if unknown:
        raise InvalidInput(f"{kind} has no field {unknown[0]}", "known: at, type, " + ", ".join(sorted(_KNOWN[kind])))
    at = parse_moment(_text(data, "at"))
    match kind:
        case "alert":
            return Event(at, _alert(at, data))
        case "open":
            services = (str(data["service"]),) if data.get("service") else ()
            return Event(at, Open(Opening(
                _text(data, "title"), severity_of(str(data.get("severity", ""))), services, "",
                str(data.get("policy", "")), by=_text(data, "by"))), _text(data, "key"))
        case "ack":
            return Event(at, Acknowledge(_text(data, "key"), _text(data, "by")))
        case "resolve":
            return Event(at, Resolve(_text(data, "key"), _text(data, "by")))
        case _:
            return Event(at, Restart(parse_duration(_text(data, "down"))))


def _alert(at: datetime, data: dict[str, Any]) -> AlertEvent:
    status = data.get("status", "firing")
    if status not in ("firing", "resolved"):
        raise InvalidInput(f'status is "{status}"', "write firing or resolved")
    labels = data.get("labels", {})
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise InvalidInput("labels must be a mapping of text to text", 'write {"team": "web"}')
    return AlertEvent(at, status == "firing", _text(data, "key"), str(data.get("service", "")),
                      str(data.get("severity", "")), labels, str(data.get("summary", "")), "simulation")


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{key} is missing" if value is None else f"{key} must be text", f'write "{key}": "…"')
    return value
