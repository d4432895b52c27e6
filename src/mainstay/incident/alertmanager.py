"""Alertmanager's API v2 and its webhook (version 4): what is read from them, and how state looks in them. Pure.

An alert is the same alert when its labels are the same, whichever of the two ways it comes; the key is made of them.
Source: Alertmanager's OpenAPI description (`api/v2/openapi.yaml`) and its configuration reference, "webhook_config".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import Struct, field

from mainstay.incident.engine import MakeSilence
from mainstay.incident.intake import UNHEARD, AlertEvent
from mainstay.incident.ongoing import Alert, Silence
from mainstay.incident.received import (
    BadPayload,
    Moments,
    Received,
    Sender,
    decode,
    first_line,
    is_set,
    texts_kept,
    texts_of,
)
from mainstay.incident.state import State
from mainstay.kernel.matcher import Matcher, fitting
from mainstay.kernel.quantity import Span

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class _Posted(Struct, rename="camel"):
    """An alert as Prometheus posts it."""

    labels: dict[str, str]
    annotations: dict[str, str] = field(default_factory=dict)
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    generator_url: str = field(default="", name="generatorURL")


class _Hooked(Struct, rename="camel"):
    """An alert within a webhook's payload; Grafana's has links of its own beside."""

    status: str
    labels: dict[str, Any]
    annotations: dict[str, Any] = field(default_factory=dict)
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    generator_url: str = field(default="", name="generatorURL")
    panel_url: str = field(default="", name="panelURL")
    dashboard_url: str = field(default="", name="dashboardURL")


class Hook(Struct, rename="camel"):
    """A webhook's payload: only what decides something; senders add fields, and each is welcome to."""

    alerts: list[_Hooked]
    truncated_alerts: int = 0


def read_alerts(body: bytes, sender: Sender, now: datetime) -> Received:
    """The alerts of `POST /api/v2/alerts`. One that ends later than now still fires, and will be said again by then.

    Raises:
        BadPayload: not such a list, or an alert without a label; nothing of it is taken then.
    """
    moments = Moments(now)
    events = []
    for number, one in enumerate(decode(body, list[_Posted])):
        labels = _labels(texts_kept(one.labels), number)
        ends = one.ends_at if is_set(one.ends_at) else None
        firing = ends is None or ends > now
        at = moments.start(one.starts_at, "startsAt") if firing else moments.end(ends, "endsAt")
        events.append(_event(labels, texts_kept(one.annotations), sender,
                             _When(at, firing, ends if firing else None), one.generator_url))
    return Received(tuple(events), moments.notes)


def read_webhook(body: bytes, sender: Sender, now: datetime) -> Received:
    """The alerts of a webhook. Alerts that the sender cut off are as they were: what is not here says nothing.

    Raises:
        BadPayload: not such a payload, an alert without a label, or a status that is neither firing nor resolved.
    """
    return take_hook(decode(body, Hook), sender, now)


def take_hook(hook: Hook, sender: Sender, now: datetime) -> Received:
    """The alerts of a webhook that was read."""
    moments = Moments(now)
    events = []
    for number, one in enumerate(hook.alerts):
        if one.status not in ("firing", "resolved"):
            raise BadPayload(f'alert {number + 1}: status is "{one.status[:40]}"', "send firing or resolved")
        labels = _labels(texts_of(one.labels), number)
        firing = one.status == "firing"
        at = moments.start(one.starts_at, "startsAt") if firing else moments.end(one.ends_at, "endsAt")
        url = one.panel_url or one.dashboard_url or one.generator_url
        events.append(_event(labels, texts_of(one.annotations), sender, _When(at, firing), url))
    if hook.truncated_alerts > 0:
        moments.note(f"{hook.truncated_alerts} alerts were cut off by the sender and stay as they were: "
                     "raise its max_alerts")
    return Received(tuple(events), moments.notes)


def _labels(labels: dict[str, str], number: int) -> dict[str, str]:
    if not labels:
        raise BadPayload(f"alert {number + 1} has no labels", "an alert needs at least the label alertname")
    for name in labels:
        if not _is_label(name):
            raise BadPayload(f'alert {number + 1}: "{name[:60]}" is no label name', "use letters, digits and _")
    return labels


@lru_cache(maxsize=4096)
def _is_label(name: str) -> bool:
    return _LABEL.fullmatch(name) is not None


class _When(NamedTuple):
    at: datetime
    firing: bool
    until: datetime | None = None


def _event(labels: Mapping[str, str], annotations: Mapping[str, str], sender: Sender, when: _When,
           url: str) -> AlertEvent:
    name = labels.get("alertname", "")
    where = labels.get("instance", "")
    summary = first_line(annotations.get("summary", ""), annotations.get("title", ""),
                         annotations.get("description", ""), annotations.get("message", ""),
                         f"{name} on {where}" if name and where else name)
    return AlertEvent(when.at, when.firing, key_of(labels), labels.get("service", sender.service),
                      labels.get("severity", sender.severity), labels, summary, sender.name, annotations, url,
                      when.until)


def key_of(labels: Mapping[str, str]) -> str:
    """What tells an alert from others: its name, for people, and a hash of all its labels."""
    told = "\0".join([f"{name}\1{labels[name]}" for name in sorted(labels)])
    digest = hashlib.blake2b(told.encode(errors="replace"), digest_size=8).hexdigest()
    return f"{labels.get('alertname', 'alert')[:100]}:{digest}"


# -- silences -----------------------------------------------------------------------------------------------------


class _PostedMatcher(Struct, rename="camel"):
    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True


class _PostedSilence(Struct, rename="camel"):
    matchers: list[_PostedMatcher]
    starts_at: datetime
    ends_at: datetime
    created_by: str = ""
    comment: str = ""
    id: str = ""


def read_silence(body: bytes, by: str, now: datetime) -> tuple[str, MakeSilence]:
    """The silence of `POST /api/v2/silences`, and the id of the one that it takes the place of, or the empty text.

    Raises:
        BadPayload: not a silence, or a broken regular expression.
    """
    found = decode(body, _PostedSilence)
    matchers = []
    for one in found.matchers:
        if one.is_regex:
            try:
                re.compile(one.value)
            except re.error as error:
                raise BadPayload(f'"{one.value[:60]}" is not a regular expression: {error}',
                                 "check brackets and stars") from None
        operator = ("=~" if one.is_equal else "!~") if one.is_regex else ("=" if one.is_equal else "!=")
        matchers.append(Matcher(one.name, operator, one.value))  # type: ignore[arg-type]  # one of the four
    # Alertmanager begins a silence that would have begun earlier now, and so do we.
    span = Span(max(found.starts_at, now), found.ends_at) if found.ends_at > max(found.starts_at, now) else None
    if span is None:
        raise BadPayload("the silence is over before it begins", "give it an endsAt in the future, after its startsAt")
    return found.id, MakeSilence(tuple(matchers), span, found.created_by or by, found.comment)


def silence_document(one: Silence, now: datetime, ended: datetime | None = None) -> dict[str, Any]:
    """A silence as API v2 shows it.

    Args:
        ended: when it ended, for one that is over.
    """
    state = "expired" if ended is not None or now >= one.span.end else "pending" if now < one.span.start else "active"
    return {"id": one.id, "status": {"state": state}, "updatedAt": _time(ended or one.made), "comment": one.comment,
            "createdBy": one.by, "startsAt": _time(one.span.start), "endsAt": _time(ended or one.span.end),
            "matchers": [{"name": matcher.label, "value": matcher.value, "isRegex": matcher.operator in ("=~", "!~"),
                          "isEqual": matcher.operator in ("=", "=~")} for matcher in one.matchers]}


# -- alerts -------------------------------------------------------------------------------------------------------


def alert_document(one: Alert, state: State, now: datetime) -> dict[str, Any]:
    """An alert as API v2 shows it; `receivers` names the policy that its incident pages by."""
    silenced = [silence.id for silence in state.silences.values() if silence.holds(one.labels, now)]
    inhibited = inhibitors(one, state) if state.inhibited(one.labels) else []
    return {"labels": shown_labels(one), "annotations": annotations_of(one), "startsAt": _time(one.opened),
            "endsAt": _time(state.until.get(one.id) or one.until or now + UNHEARD),
            "updatedAt": _time(last_heard(one, state)), "generatorURL": one.url, "fingerprint": fingerprint(one.labels),
            "receivers": [{"name": receiver(one, state)}],
            "status": {"state": "suppressed" if silenced or inhibited else "active", "silencedBy": silenced,
                       "inhibitedBy": inhibited}}


def shown_labels(one: Alert) -> dict[str, str]:
    """The labels, without those that are empty: Alertmanager has no such label."""
    return {name: value for name, value in one.labels.items() if value}


def annotations_of(one: Alert) -> dict[str, str]:
    """What the sender wrote for people; at least the summary."""
    return dict(one.annotations) or {"summary": one.summary}


def last_heard(one: Alert, state: State) -> datetime:
    """The latest event about it, by the sender's clock."""
    repeated = state.repeats.get(one.id)
    return max(one.last, repeated[1]) if repeated is not None else one.last


def receiver(one: Alert, state: State) -> str:
    """The policy that the alert's incident pages by."""
    incident = state.incidents.get(one.incident)
    return str(incident.policy.get("name", "default")) if incident is not None else "default"


def inhibitors(one: Alert, state: State) -> list[str]:
    """The fingerprints of the alerts that inhibit this one."""
    found = []
    for rule in state.inhibitions:
        if not all(matcher.holds(one.labels) for matcher in rule.target):
            continue
        found += [fingerprint(other.labels) for other in fitting(state.alerts.values(), rule.source)
                  if other.id != one.id
                  and all(other.labels.get(name, "") == one.labels.get(name, "") for name in rule.equal)]
    return found


def group_documents(alerts: Iterable[Alert], state: State, now: datetime) -> list[dict[str, Any]]:
    """Alerts by the incident or group they belong to, as API v2 shows groups."""
    groups: dict[str, list[Alert]] = {}
    for one in alerts:
        groups.setdefault(one.group, []).append(one)
    out = []
    for members in groups.values():
        first, *others = [set(shown_labels(one).items()) for one in members]
        common = first.intersection(*others)
        out.append({"labels": dict(sorted(common)), "receiver": {"name": receiver(members[0], state)},
                    "alerts": [alert_document(one, state, now) for one in members]})
    return out


def fingerprint(labels: Mapping[str, str]) -> str:
    """Prometheus' fingerprint of a label set: FNV-1a, 64 bits, over names and values in order, each ended by 0xff.

    Source: prometheus/common, `model/signature.go`.
    """
    return _fingerprint(b"".join([part for name in sorted(labels) if labels[name]
                                  for part in (name.encode(), b"\xff", labels[name].encode(), b"\xff")]))


@lru_cache(maxsize=1024)
def _fingerprint(told: bytes) -> str:
    # Byte by byte, which is half of what a page of alerts costs; and the same page is asked for again and again.
    value = 0xCBF29CE484222325
    for byte in told:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


@lru_cache(maxsize=1024)
def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
