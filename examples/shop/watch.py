"""Looks whether each service lives, and tells an Alertmanager of those that do not, as a Prometheus would.

Where a Prometheus scrapes the shop nobody needs this; where there is none, somebody still has to notice. It speaks
`POST /api/v2/alerts`: an alert is sent again while it lasts, says until when it holds if nothing more is heard, and is
told to be over when it is.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from shop.client import Pool
from shop.process import STOPPING
from shop.run_folder import RunFolder, rfc3339
from shop.services import TRADES
from shop.wire import BadMessage, Request

ALERT = "ServiceDown"
_EVERY_SECONDS = 1.0
_ANSWER_SECONDS = 1.0
_DOWN_AFTER = 4  # looks in a row without an answer: seven seconds of a paused one, longer than experiments pause it
_AGAIN_SECONDS = 10.0
_HOLDS = timedelta(seconds=4 * _AGAIN_SECONDS)  # as Prometheus: four times as long as until it is sent again
_REQUIRED = {name for trade in TRADES.values() for name, need in trade.NEEDS.items() if need.required} | {"web"}


@dataclass(slots=True)
class Health:
    """What was seen of one service."""

    missed: int = 0
    since: datetime | None = None  # of the first look that had no answer
    until: datetime | None = None  # it answered again, and the Alertmanager does not know yet

    def look(self, answers: bool, now: datetime) -> bool:
        """Take note; whether an alert began or ended."""
        if not answers:
            self.missed += 1
            self.since, self.until = self.since or now, None
            return self.missed == _DOWN_AFTER
        was_down, self.missed = self.missed >= _DOWN_AFTER, 0
        if was_down:
            self.until = now
        elif self.until is None:
            self.since = None
        return was_down

    @property
    def down(self) -> bool:
        """Whether an alert is to be told, as going on or as over."""
        return self.missed >= _DOWN_AFTER or self.until is not None


async def watch(folder: RunFolder, alertmanager: str) -> None:
    """Look and tell until stopped.

    Args:
        alertmanager: its address, such as http://127.0.0.1:9093.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, stop.set)
    seen = {name: Health() for name in TRADES}
    told = 0.0
    while not stop.is_set():
        now = datetime.now(UTC)
        answers = await asyncio.gather(*(_answers(folder, name) for name in seen))
        changed = [one.look(answer, now) for one, answer in zip(seen.values(), answers, strict=True)]
        alerts = [_alert(name, one, now) for name, one in seen.items() if one.down]
        over = any(one.until for one in seen.values())
        if alerts and (any(changed) or over or loop.time() - told >= _AGAIN_SECONDS):
            if problem := await asyncio.to_thread(_tell, alertmanager, alerts):
                print(f"shop: {alertmanager} was not told, tried again: {problem}", file=sys.stderr, flush=True)
            else:
                told = loop.time()
                for one in seen.values():
                    one.until = None
        try:
            await asyncio.wait_for(stop.wait(), _EVERY_SECONDS)
        except TimeoutError:
            continue


async def _answers(folder: RunFolder, service: str) -> bool:
    """Whether the service says that it lives; one that was never started here is not missed."""
    record = folder.record(service)
    if record is None:
        return True
    pool = Pool(lambda: record.address)
    try:
        return (await pool.send(Request("GET", "/healthz"), _ANSWER_SECONDS)).status == 200
    except (TimeoutError, ConnectionError, BadMessage):
        return False
    finally:
        pool.close()


def _alert(service: str, health: Health, now: datetime) -> dict[str, object]:
    assert health.since is not None, "what is down has a beginning"
    severity = "critical" if service in _REQUIRED else "high"
    return {"labels": {"alertname": ALERT, "service": service, "severity": severity},
            "annotations": {"summary": f"{service} does not answer"},
            "startsAt": rfc3339(health.since), "endsAt": rfc3339(health.until or now + _HOLDS)}


def _tell(alertmanager: str, alerts: list[dict[str, object]]) -> str:
    """Why it could not be told; the empty text when it was."""
    parts = urlsplit(alertmanager)
    headers: Mapping[str, str] = {"content-type": "application/json"}
    connection = http.client.HTTPConnection(parts.netloc, timeout=5.0)
    try:
        connection.request("POST", f"{parts.path.rstrip('/')}/api/v2/alerts", json.dumps(alerts), headers)
        answer = connection.getresponse()
        said = answer.read(500).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return "" if answer.status == 200 else f"{answer.status} {said}"
