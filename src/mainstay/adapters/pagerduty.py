"""PagerDuty, on the way out: pages as events of its Events API v2.

One incident of ours is one alert of theirs (`dedup_key`), so that a page sent twice is seen once. When the incident is
acknowledged or resolved here, it is there too. Source: PagerDuty/api-schema, reference/events-v2.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import httpx

from mainstay.adapters.notifiers import refused, secret_of
from mainstay.kernel.channels import PagerDutyChannel
from mainstay.kernel.errors import NotDelivered
from mainstay.kernel.journal import Data
from mainstay.kernel.people import Notice

_SEVERITIES = {"SEV1": "critical", "SEV2": "error", "SEV3": "warning", "SEV4": "info"}
_LONGEST_SUMMARY = 1024


class PagerDutyNotifier:
    """Triggers, acknowledges and resolves.

    Args:
        declared: services by name, each with where its routing key is.
        environ: where secrets named by environment variables are.
    """

    def __init__(self, declared: PagerDutyChannel, environ: Mapping[str, str] = os.environ) -> None:
        self._declared, self._environ = declared, environ
        self._client = httpx.Client(timeout=declared.timeout.total_seconds())

    def send(self, notice: Notice) -> Data | None:
        """Return when PagerDuty accepted it.

        Raises:
            NotDelivered: it did not, or no service of that name is declared.
        """
        if notice.data.get("what") == "answer":
            action = "resolve" if notice.data["status"] == "resolved" else "acknowledge"
            for name, key in dict.fromkeys((one["service"], one["key"]) for one in notice.data["receipts"]):
                self._enqueue(name, {"event_action": action, "dedup_key": key})
            return None
        key = _key_of(notice)
        self._enqueue(notice.target, {"event_action": "trigger", "dedup_key": key, **_payload(notice)})
        return {"service": notice.target, "key": key}

    def _enqueue(self, service: str, event: Mapping[str, Any]) -> None:
        at = self._declared.services.get(service)
        if at is None:
            raise NotDelivered(f'pagerduty has no service "{service}"', "declare it below pagerduty.services",
                               for_good=True)
        key = secret_of(at, self._environ, f"pagerduty {service}")
        try:
            answer = self._client.post(f"{self._declared.url}/v2/enqueue", json={"routing_key": key, **event})
        except httpx.HTTPError as error:
            raise NotDelivered(f"PagerDuty did not answer: {type(error).__name__}",
                               "check that this machine reaches it") from error
        if answer.status_code != 202:
            raise refused("PagerDuty", answer.status_code, answer.headers, f"check the routing key of {service}")


def _key_of(notice: Notice) -> str:
    """One alert of theirs an incident; when it opened tells apart two installations that page one service."""
    data = notice.data
    return f"mainstay-{data['incident']}-{data['opened'][:19]}" if "opened" in data else notice.key[:255]


def _payload(notice: Notice) -> dict[str, Any]:
    data = notice.data
    link = data.get("link", "")
    return {
        "client": "Mainstay", **({"client_url": link, "links": [{"href": link, "text": data["incident"]}]} if link
                                 else {}),
        "payload": {
            "summary": notice.subject[:_LONGEST_SUMMARY], "source": data.get("service") or "mainstay",
            "severity": _SEVERITIES.get(str(data.get("severity")), "error"),
            **({"timestamp": data["opened"]} if "opened" in data else {}),
            **({"component": data["service"]} if data.get("service") else {}),
            "custom_details": {"body": notice.body, "key": notice.key}}}
