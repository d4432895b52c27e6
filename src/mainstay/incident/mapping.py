"""Any JSON as alerts, by what an Intake says where to look. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mainstay.incident.intake import AlertEvent
from mainstay.incident.received import (
    BadPayload,
    Moments,
    Received,
    Sender,
    decode,
    first_line,
    kept,
    parse_time,
    texts_of,
)
from mainstay.incident.spec import Mapped, Pointer
from mainstay.kernel.errors import InvalidInput

_RESOLVED = frozenset({"resolved", "resolve", "ok", "closed", "close", "recovered", "recovery", "inactive", "up",
                       "normal", "healthy", "false"})
"""What senders call an alert that is over, where the Intake does not say."""


def read_mapped(body: bytes, mapped: Mapped, sender: Sender, now: datetime) -> Received:
    """The alerts that the mapping finds.

    Raises:
        BadPayload: not JSON, or an alert's key is not where the mapping says; nothing of it is taken then.
    """
    document = decode(body, Any)
    items = at(document, mapped.items)
    moments = Moments(now)
    events = []
    for number, item in enumerate(items if isinstance(items, list) else [items], 1):
        found = _event(item, mapped, sender, moments, number)
        if found is not None:
            events.append(found)
    return Received(tuple(events), moments.notes)


def _event(item: Any, mapped: Mapped, sender: Sender, moments: Moments, number: int) -> AlertEvent | None:
    parts = [_text(at(item, pointer)) for pointer in mapped.key]
    if not any(parts):
        told = " or ".join(map(shown, mapped.key))
        raise BadPayload(f"alert {number} has nothing at {told}, which makes its key",
                         "check the Intake's map.key against what the sender sends")
    status = _text(at(item, mapped.status)) if mapped.status is not None else ""
    firing = _fires(status, mapped)
    if firing is None:
        moments.note(f'alert {number}: the status "{status[:40]}" is neither firing nor resolved and was passed over')
        return None
    when = parse_time(at(item, mapped.time), f"alert {number}: {shown(mapped.time)}") if mapped.time is not None \
        else None
    moment = moments.start(when, "its time") if firing else moments.end(when, "its time")
    labels = texts_of({name: at(item, pointer) for name, pointer in mapped.labels.items()})
    service = _text(at(item, mapped.service)) if mapped.service is not None else ""
    severity = _text(at(item, mapped.severity)) if mapped.severity is not None else ""
    summary = _text(at(item, mapped.summary)) if mapped.summary is not None else ""
    url = _text(at(item, mapped.url)) if mapped.url is not None else ""
    return AlertEvent(moment, firing, kept("/".join(parts)), service or sender.service, severity or sender.severity,
                      labels, first_line(summary), sender.name, {}, url)


def _fires(status: str, mapped: Mapped) -> bool | None:
    if status in mapped.resolved or (not mapped.resolved and status.lower() in _RESOLVED):
        return False
    return None if mapped.firing and status not in mapped.firing else True


def parse_pointer(text: str) -> Pointer:
    """`/alert/labels/0` as its steps; the empty text is the whole document.

    Raises:
        InvalidInput: it does not begin with a slash.
    Source: RFC 6901.
    """
    if text and not text.startswith("/"):
        raise InvalidInput(f'"{text}" is not a JSON pointer', f'write "/{text.replace(".", "/")}"')
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])


def shown(pointer: Pointer) -> str:
    """The pointer as it is written."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in pointer)


def at(document: Any, pointer: Sequence[str]) -> Any:
    """What stands there; None where nothing does."""
    for step in pointer:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def _text(value: Any) -> str:
    return texts_of({"": value}).get("", "") if value is not None else ""
