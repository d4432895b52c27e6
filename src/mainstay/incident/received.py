"""What every reader of senders' payloads shares: its answer, times that cannot be right, text that can be kept.

Times: a sender's clock decides in which order its events happened, but it is not believed blindly. A moment ahead of
ours is taken as now, and so is the start of an alert more than a year back; beyond five minutes ahead that is said in
the answer, because then somebody's clock is wrong. An alert is never refused for its clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard, TypeVar

import msgspec

from mainstay.incident.intake import AlertEvent
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.quantity import format_duration

T = TypeVar("T")
AHEAD = timedelta(minutes=5)
"""How far a sender's clock may be ahead before it is said."""

ANCIENT = timedelta(days=366)
_UNSET = 1900
"""Before this year a moment means that none is set: Go writes the year 1, and others the epoch's neighbourhood."""
_CUT = 4_000
"""Characters of a text that are kept."""


class BadPayload(InvalidInput):
    """What a sender sent is not what its format says; nothing of it was taken."""

    code = "bad-payload"


@dataclass(frozen=True, slots=True)
class Sender:
    """Where a payload came from.

    Args:
        name: as it stands in facts: `alertmanager`, or the name of an Intake.
        service, severity: of alerts that name none themselves.
    """

    name: str
    service: str = ""
    severity: str = ""


class Received(NamedTuple):
    """The events of a payload, in its order, and what is worth saying to whoever sent it."""

    events: tuple[AlertEvent, ...]
    notes: tuple[str, ...] = ()


class Moments:
    """Times of one payload, seen from now; notes what cannot be right."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth saying, each thing once."""
        return tuple(self._notes)

    def note(self, text: str) -> None:
        """Say this in the answer."""
        self._notes[text] = None

    def start(self, moment: datetime | None, name: str) -> datetime:
        """When an alert began."""
        if not is_set(moment):
            return self.now
        if self.now - moment > ANCIENT:
            self.note(f"{name} {moment:%Y-%m-%dT%H:%M:%SZ} lies more than a year back; it was taken as now")
            return self.now
        return self.end(moment, name)

    def end(self, moment: datetime | None, name: str) -> datetime:
        """When an alert was over."""
        if not is_set(moment):
            return self.now
        if moment - self.now > AHEAD:
            self.note(f"{name} {moment:%Y-%m-%dT%H:%M:%SZ} lies {format_duration(moment - self.now)} ahead of this "
                      "server's clock; it was taken as now")
        return min(moment, self.now)


def is_set(moment: datetime | None) -> TypeGuard[datetime]:
    """Whether a moment is set at all."""
    return moment is not None and moment.year >= _UNSET


def parse_time(value: object, name: str) -> datetime | None:
    """A time as senders write it: RFC 3339 with up to nanoseconds, or seconds or milliseconds since 1970.

    Raises:
        BadPayload: it is no time.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str) and not value.isdigit():
            found = datetime.fromisoformat(value)
            return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            number = float(value)
            return datetime.fromtimestamp(number / 1000 if abs(number) > 1e11 else number, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise BadPayload(f"{name} is no time: {str(value)[:40]}", "write it as 2026-03-02T09:00:00Z")


def decode(body: bytes, shape: type[T]) -> T:
    """The body as that shape.

    Raises:
        BadPayload: it is not JSON, or of another shape.
    """
    try:
        found: T = _decoder(shape).decode(body)  # type: ignore[arg-type]  # mypy does not know that types are hashable
    except msgspec.ValidationError as error:
        raise BadPayload(f"the payload has another shape: {_plain(error)}", "send what the format's reference says") \
            from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadPayload(f"the body is not JSON: {_plain(error)}", "send JSON in UTF-8") from None
    return found


@lru_cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    # To take a shape apart costs more than to read an alert of it.
    return msgspec.json.Decoder(shape)


def _plain(error: Exception) -> str:
    return str(error).replace("`", '"')[:200]


def kept(text: str) -> str:
    """The text without what no store can keep, and cut where nobody reads on."""
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= _CUT else text[:_CUT - 1] + "…"


def texts_kept(found: Mapping[str, str]) -> dict[str, str]:
    """The texts as they can be kept; what is empty is left out."""
    # All at once first: this runs for every alert of a storm, and nearly always finds nothing.
    together = "".join((*found, *found.values()))
    if len(together) <= _CUT and "\0" not in together:
        return {name: text for name, text in found.items() if text}
    return {kept(name): kept(text) for name, text in found.items() if text}


def texts_of(found: Mapping[str, Any]) -> dict[str, str]:
    """The entries that are texts, numbers or truth values, as texts; what is empty is left out."""
    out = {}
    for name, value in found.items():
        if isinstance(value, str):
            text = kept(value)
        elif isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, (int, float)):
            text = f"{value:g}" if isinstance(value, float) else str(value)
        else:
            continue
        if text:
            out[kept(name)] = text
    return out


def first_line(*texts: str) -> str:
    """The first of the texts that says something, its first line, short enough for a title."""
    for text in texts:
        line = text.strip().partition("\n")[0].strip()
        if line:
            return line if len(line) <= _TITLE else line[:_TITLE - 1] + "…"
    return ""


_TITLE = 1_024
