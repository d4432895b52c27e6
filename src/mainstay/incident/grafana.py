"""Grafana's webhook: of unified alerting, which has Alertmanager's shape, and of the alerting before it. Pure.

Source: Grafana's documentation, "Webhook notifier", of Grafana 8 and later, and of 7 and before.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, field

from mainstay.incident.alertmanager import Hook, take_hook
from mainstay.incident.intake import AlertEvent
from mainstay.incident.received import BadPayload, Moments, Received, Sender, decode, first_line, texts_of

_FIRES = {"alerting": True, "no_data": True, "pending": None, "paused": None, "ok": False}
"""State of a rule of the older kind → whether its alert fires; None says nothing."""


class _Rule(Struct, rename="camel"):
    state: str
    rule_id: int | str = ""
    rule_name: str = ""
    title: str = ""
    message: str = ""
    rule_url: str = ""
    tags: dict[str, Any] = field(default_factory=dict)


def read_grafana(body: bytes, sender: Sender, now: datetime) -> Received:
    """The alerts of a payload of either kind.

    Raises:
        BadPayload: neither of the two.
    """
    found = decode(body, dict[str, Any])
    if "alerts" in found:
        return take_hook(_as(found, Hook), sender, now)
    if "ruleId" not in found and "ruleName" not in found:
        raise BadPayload("neither alerts nor a rule is in it", "send what Grafana's webhook sends")
    rule = _as(found, _Rule)
    if rule.state not in _FIRES:
        raise BadPayload(f'state is "{rule.state[:40]}"', "Grafana sends alerting, ok, no_data, pending or paused")
    fires = _FIRES[rule.state]
    if fires is None:
        return Received((), (f"a rule that is {rule.state} says nothing of an alert",))
    tags = texts_of(rule.tags)
    labels = {"alertname": rule.rule_name or str(rule.rule_id), **tags}
    annotations = {"description": rule.message} if rule.message else {}
    event = AlertEvent(Moments(now).now, fires, f"grafana-rule:{rule.rule_id or rule.rule_name}",
                       tags.get("service", sender.service), tags.get("severity", sender.severity), labels,
                       first_line(rule.rule_name, rule.title, rule.message), sender.name, annotations, rule.rule_url)
    return Received((event,))


def _as(found: dict[str, Any], shape: Any) -> Any:
    try:
        return msgspec.convert(found, shape)
    except msgspec.ValidationError as error:
        raise BadPayload(f"the payload has another shape: {str(error).replace('`', chr(34))[:200]}",
                         "send what Grafana's webhook sends") from None
