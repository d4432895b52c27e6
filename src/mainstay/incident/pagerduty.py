"""PagerDuty's Events API v2 as senders speak it: trigger, acknowledge, resolve, and change events. Pure.

Source: PagerDuty/api-schema, `reference/events-v2/openapiv3.json`, and the developer documentation of Events API v2.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mainstay.incident.engine import AcknowledgeAlert, Happening
from mainstay.incident.intake import AlertEvent
from mainstay.incident.ongoing import Key
from mainstay.incident.received import BadPayload, Moments, Sender, decode, first_line, kept, parse_time, texts_of
from mainstay.kernel.dataclass import dataclass

LONGEST_KEY = 255
LONGEST_SUMMARY = 1_024
LARGEST = 512_000
"""Bytes of an event."""

ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "error", "warning", "info")


class InvalidEvent(BadPayload):
    """The event is not one; `errors` says everything that is wrong with it."""

    code = "invalid-event"

    def __init__(self, errors: list[str]) -> None:
        super().__init__("Event object is invalid: " + "; ".join(errors), "see PagerDuty's Events API v2")
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Enqueued:
    """An event that can be taken.

    Args:
        dedup_key: as sent, or empty: then the server makes one.
    """

    routing_key: str
    action: str
    dedup_key: str
    payload: Mapping[str, Any]
    links: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """A change that is no problem: what was deployed, merged or switched."""

    routing_key: str
    summary: str
    at: datetime
    source: str
    details: Mapping[str, str]
    notes: tuple[str, ...]


def read_event(body: bytes) -> Enqueued:
    """The event of `POST /v2/enqueue`.

    Raises:
        InvalidEvent: with everything that is wrong.
        BadPayload: it is not a JSON object.
    """
    found = decode(body, dict[str, Any])
    errors: list[str] = []
    routing_key = _text(found, "routing_key", errors)
    action = _text(found, "event_action", errors)
    if action and action not in ACTIONS:
        errors.append(f"'event_action' must be one of {', '.join(ACTIONS)}")
    dedup_key = found.get("dedup_key")
    if dedup_key is not None and not isinstance(dedup_key, str):
        errors.append("'dedup_key' must be text")
    elif dedup_key and len(dedup_key) > LONGEST_KEY:
        errors.append(f"'dedup_key' is longer than {LONGEST_KEY} characters")
    elif not dedup_key and action in ("acknowledge", "resolve"):
        errors.append(f"'dedup_key' is missing or blank; {action} needs it")
    payload = found.get("payload")
    if action == "trigger":
        _check_payload(payload, errors)
    if errors:
        raise InvalidEvent(errors)
    return Enqueued(routing_key, action, kept(dedup_key) if isinstance(dedup_key, str) else "",
                    payload if isinstance(payload, dict) else {}, _links(found))


def _check_payload(payload: object, errors: list[str]) -> None:
    if not isinstance(payload, dict):
        errors.append("'payload' is missing or not an object")
        return
    for name in ("summary", "source"):
        _text(payload, name, errors, "payload.")
    severity = _text(payload, "severity", errors, "payload.")
    if severity and severity not in SEVERITIES:
        errors.append(f"'payload.severity' must be one of {', '.join(SEVERITIES)}")
    try:
        parse_time(payload.get("timestamp"), "'payload.timestamp'")
    except BadPayload as error:
        errors.append(error.message)


def _text(found: Mapping[str, Any], name: str, errors: list[str], prefix: str = "") -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value.strip():
        errors.append(f"'{prefix}{name}' is missing or blank")
        return ""
    return value


def _links(found: Mapping[str, Any]) -> dict[str, str]:
    out = {}
    client, url = found.get("client"), found.get("client_url")
    if isinstance(url, str) and url:
        out["url"] = kept(url)
    if isinstance(client, str) and client:
        out["client"] = kept(client)
    links = found.get("links")
    for number, link in enumerate(links if isinstance(links, list) else (), 1):
        if isinstance(link, dict) and isinstance(link.get("href"), str):
            text = link.get("text")
            out[f"link_{number}"] = kept(f"{text}: {link['href']}" if isinstance(text, str) and text else link["href"])
    return out


def happening(event: Enqueued, key: str, sender: Sender, now: datetime) -> tuple[Happening, tuple[str, ...]]:
    """What the event makes happen under that key, and what is worth saying about it."""
    if event.action == "acknowledge":
        return AcknowledgeAlert(Key(sender.service, key), sender.name), ()
    moments = Moments(now)
    if event.action == "resolve":
        return AlertEvent(now, False, key, sender.service, source=sender.name), ()
    payload = event.payload
    # A resolve carries no time of its own, so arrival orders them all: by its own time a trigger that is a second old
    # would come before a resolve that arrived half a second ago, and nobody would be paged.
    occurred = parse_time(payload.get("timestamp"), "timestamp")
    began = moments.start(occurred, "timestamp")
    summary = str(payload["summary"])
    if len(summary) > LONGEST_SUMMARY:
        moments.note(f"the summary was cut at {LONGEST_SUMMARY} characters")
    labels = texts_of({name: payload.get(name) for name in ("source", "component", "group", "class")})
    details = payload.get("custom_details")
    annotations = {**texts_of(details if isinstance(details, dict) else {"details": details}), **event.links}
    if occurred is not None and began < now:
        annotations["occurred"] = began.isoformat()
    url = annotations.pop("url", "")
    return AlertEvent(now, True, key, sender.service, str(payload["severity"]), labels,
                      first_line(kept(summary)), sender.name, annotations, url), moments.notes


def read_change(body: bytes, now: datetime) -> Change:
    """The change of `POST /v2/change/enqueue`.

    Raises:
        InvalidEvent: with everything that is wrong.
        BadPayload: it is not a JSON object.
    """
    found = decode(body, dict[str, Any])
    errors: list[str] = []
    routing_key = _text(found, "routing_key", errors)
    payload = found.get("payload")
    summary = _text(payload, "summary", errors, "payload.") if isinstance(payload, dict) else ""
    moments = Moments(now)
    at = now
    if not isinstance(payload, dict):
        errors.append("'payload' is missing or not an object")
        payload = {}
    try:
        at = moments.end(parse_time(payload.get("timestamp"), "'payload.timestamp'"), "timestamp")
    except BadPayload as error:
        errors.append(error.message)
    if errors:
        raise InvalidEvent(errors)
    details = payload.get("custom_details")
    return Change(routing_key, first_line(kept(summary)), at, str(payload.get("source") or ""),
                  {**texts_of(details if isinstance(details, dict) else {}), **_links(found)}, moments.notes)
