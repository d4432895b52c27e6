"""Makes payloads.jsonl: what an Alertmanager sent in thirty days of a shop whose cache dies now and then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 10, 1, tzinfo=UTC)
NEVER = "0001-01-01T00:00:00Z"
OUTAGES = (
    # day, hour, minutes until a person had restarted it, service
    (1, 3, 34, "cache"), (3, 14, 8, "cache"), (6, 2, 41, "cache"), (6, 4, 38, "cache"), (6, 5, 52, "cache"),
    (6, 7, 12, "cache"), (11, 22, 26, "orders"), (15, 1, 47, "cache"), (19, 13, 9, "api"), (24, 3, 55, "cache"),
    (24, 3, 55, "orders"), (24, 3, 56, "api"), (28, 16, 7, "cache"))


def lines() -> Iterator[str]:
    """One payload a change, in order of time."""
    changes = []
    for day, hour, lasted, service in OUTAGES:
        began = START + timedelta(days=day, hours=hour)
        for at, status in ((began, "firing"), (began + timedelta(minutes=lasted), "resolved")):
            changes.append((at, status, service, began))
    for at, status, service, began in sorted(changes):
        labels = {"alertname": "ServiceDown", "severity": "critical", "service": service}
        alert = {"status": status, "labels": labels, "annotations": {"summary": f"{service} does not answer"},
                 "startsAt": _said(began), "endsAt": _said(at) if status == "resolved" else NEVER,
                 "fingerprint": f"down-{service}"}
        yield json.dumps({"receivedAt": _said(at), "version": "4", "groupKey": f"{{}}:{{service={service}}}",
                          "truncatedAlerts": 0, "status": status, "receiver": "mainstay", "groupLabels": labels,
                          "commonLabels": labels, "commonAnnotations": {}, "externalURL": "", "alerts": [alert]})


def _said(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    Path(__file__).with_name("payloads.jsonl").write_text("\n".join(lines()) + "\n", encoding="utf-8")
