"""What alerts did, from Alertmanager: its API as it stands now, and logs of what it sent to webhooks.

A log holds one JSON value a line: a webhook's body (version 4), a bare alert, or a list of alerts as `/api/v2/alerts`
gives them; a file that is one such value over several lines is read too. The same alert is told again and again while
it fires (`repeat_interval`); all that name one `startsAt` are one activation. A resolved notification, or a later
snapshot without the alert, says when it ended; where neither came, its end is not known and is not guessed.
"""

from __future__ import annotations

import glob
import gzip
import itertools
import time
from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime

import httpx
import msgspec

from mainstay.kernel.alert_history import Activation, AlertsRead
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, SourceUnavailable
from mainstay.kernel.quantity import Span

TIMEOUT = 30.0
MOST_REJECTED = 20
_GZIP = b"\x1f\x8b"
_NEVER = datetime(2, 1, 1, tzinfo=UTC)
"""Alertmanager writes year 1 for "not yet"."""


class _Status(msgspec.Struct, rename="camel"):
    state: str = ""
    silenced_by: list[str] = []
    inhibited_by: list[str] = []


class _Alert(msgspec.Struct, rename="camel"):
    labels: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None = None
    updated_at: datetime | None = None
    status: _Status | str = ""


@dataclass(slots=True)
class _Seen:
    """One activation, as the notices so far tell it."""

    labels: Mapping[str, str]
    began: datetime
    last: datetime
    ended: datetime | None = None
    muted: bool = False


_Key = tuple[frozenset[tuple[str, str]], datetime]


@dataclass(slots=True)
class _Log:
    """Activations by labels and beginning, those of the last list of alerts, and what could not be read."""

    seen: dict[_Key, _Seen] = field(default_factory=dict)
    listed: set[_Key] = field(default_factory=set)
    records: int = 0
    rejected: list[tuple[str, str]] = field(default_factory=list)
    rejections: int = 0

    def reject(self, where: str, why: str) -> None:
        self.rejections += 1
        if len(self.rejected) < MOST_REJECTED:
            self.rejected.append((where, why))

    def take(self, alert: _Alert) -> _Key:
        resolved = alert.status == "resolved"
        began = alert.starts_at.astimezone(UTC)
        ended = alert.ends_at.astimezone(UTC) if resolved and alert.ends_at and alert.ends_at > _NEVER else None
        updated = alert.updated_at.astimezone(UTC) if alert.updated_at else began
        key = frozenset(alert.labels.items()), began
        one = self.seen.setdefault(key, _Seen(dict(alert.labels), began, began))
        one.last = max(one.last, ended or updated)
        one.ended = ended or one.ended
        if isinstance(alert.status, _Status):
            one.muted = one.muted or bool(alert.status.silenced_by)
        return key

    def list_is(self, now: set[_Key]) -> None:
        """A list of what is on: what was on the list before and no longer is has ended since."""
        at = max((self.seen[key].last for key in now), default=None)
        for key in self.listed - now:
            one = self.seen[key]
            one.ended = one.ended or max(at or one.last, one.last)
        self.listed = now


class PayloadLog:
    """A history of alerts in files of webhook payloads; see `mainstay.kernel.alert_history.AlertHistory`."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def read(self, span: Span) -> AlertsRead:
        """Every activation that touches the span, by when it began.

        Raises:
            InvalidInput: no such file, or none that can be read.
        """
        names = sorted(glob.glob(self._pattern))
        if not names:
            raise InvalidInput(f"no file is at {self._pattern}", "name a file of webhook payloads, one a line")
        log = _Log()
        for name in names:
            _read_file(name, log)
        told = f"{names[0] if len(names) == 1 else f'{len(names)} files'}: {log.records:,} notices of alerts"
        return _read(told, log, span)


class Alertmanager:
    """The alerts an Alertmanager holds now; see `mainstay.kernel.alert_history.AlertHistory`.

    It forgets what is resolved.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def read(self, span: Span) -> AlertsRead:
        """Every alert it holds that touches the span, by when it began.

        Raises:
            SourceUnavailable: it does not answer, or not as an Alertmanager.
            InvalidInput: the address is none.
        """
        try:
            answer = httpx.get(f"{self._url}/api/v2/alerts", timeout=TIMEOUT, headers={"Accept": "application/json"})
        except httpx.TransportError as error:
            raise SourceUnavailable(f"no Alertmanager answers at {self._url}",
                                    "is it running, and is the port right?") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise InvalidInput(f'"{self._url}" is not an address: {error}', "write http://host:9093") from error
        if answer.status_code != 200:
            raise SourceUnavailable(f"{self._url} answered {answer.status_code}",
                                    "give the address in front of /api/v2, such as http://host:9093")
        log = _Log()
        _take(answer.content, f"{self._url}/api/v2/alerts", log)
        if log.rejections and not log.records:
            raise SourceUnavailable(f"{self._url} answered with something that is no list of alerts: "
                                    f"{log.rejected[0][1]}", "is this an Alertmanager?")
        now = datetime.fromtimestamp(time.time(), UTC)
        for one in log.seen.values():
            one.last = max(one.last, now)
        return _read(f"{self._url}: {log.records:,} alerts it holds now", log, span)


def _read(said: str, log: _Log, span: Span) -> AlertsRead:
    found = [Activation(one.labels, one.began, one.began, one.ended, one.last, one.muted)
             for one in log.seen.values() if one.began < span.end and (one.ended or one.last) >= span.start]
    found.sort(key=lambda one: (one.began, sorted(one.labels.items())))
    held = None
    if log.seen:
        first, last = min(one.began for one in log.seen.values()), max(one.last for one in log.seen.values())
        days = sorted({f"{first:%-d %b %Y}": first, f"{last:%-d %b %Y}": last}.items(), key=lambda day: day[1])
        said += f", {' – '.join(text for text, _ in days)}"
        # A log is taken to reach to the end of the span: silence in it is that nothing was sent.
        if first < span.end and last >= span.start:
            held = Span(max(first, span.start), span.end)
    return AlertsRead(said, tuple(found), held, None, tuple(log.rejected), log.rejections)


# -- reading ----------------------------------------------------------------------------------------------------------


def _read_file(name: str, log: _Log) -> None:
    try:
        with open(name, "rb") as raw, gzip.open(raw) if raw.peek(2)[:2] == _GZIP else raw as lines:
            first = lines.readline()
            text = b"" if _is_whole(first) else first + lines.read()
            if text and _is_whole(text):
                _take(text, name, log)
                return
            for number, line in enumerate(itertools.chain(text.splitlines() or (first,), lines), 1):
                if line.strip():
                    _take(line, f"{name}:{number}", log)
    except (OSError, EOFError) as error:
        raise InvalidInput(f"{name} cannot be read: {error}", "name a file that Mainstay may read") from error


def _is_whole(text: bytes) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


def _take(text: bytes, where: str, log: _Log) -> None:
    """One JSON value: a webhook's body, a list of alerts, or a bare alert; what is none is rejected with its reason."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        log.reject(where, f"not JSON: {error}")
        return
    listed = isinstance(value, list)
    alerts = value if listed else value["alerts"] if isinstance(value, dict) and isinstance(value.get("alerts"), list) \
        else [value]
    keys = set()
    for one in alerts:
        try:
            alert = msgspec.convert(one, _Alert)
        except msgspec.ValidationError as error:
            log.reject(where, f"no alert: {error}")
            continue
        if not alert.labels.get("alertname"):
            log.reject(where, "an alert without the label alertname")
            continue
        log.records += 1
        keys.add(log.take(alert))
    if listed:
        log.list_is(keys)
