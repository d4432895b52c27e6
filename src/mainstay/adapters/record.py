"""What may be recorded, and its form at rest: JSON text and whole microseconds. The same for every store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import AlreadyRecorded, Batch, Data

LONGEST = 500
"""Characters in a key or name. PostgreSQL indexes at most 2,704 bytes an entry; 500 characters fit in any script."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_decode_all = msgspec.json.Decoder(list[dict[str, Any]]).decode


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970 of an aware moment: exact, and ordered alike in every database."""
    return (moment - _EPOCH) // _MICROSECOND


def utc_of(moment: datetime) -> datetime:
    """The aware moment in UTC, as every store gives it back."""
    return moment if moment.tzinfo is UTC else moment_of(micros_of(moment))


def moment_of(micros: int) -> datetime:
    """The aware UTC moment of that many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)


def text_of(data: Data) -> str:
    """The data as JSON text.

    Raises:
        InvalidInput: something in it is not a JSON value.
    """
    try:
        return _encode(data).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _not_json(error) from None


def data_of(text: str) -> Data:
    """The data of a JSON text."""
    return _decode(text)


def all_at_rest(every: Sequence[Data]) -> Sequence[Data]:
    """The data as a durable store would give it back, shared with nobody: through JSON and back, all in one go.

    Raises:
        InvalidInput: something in it is not a JSON value.
    """
    try:
        return _decode_all(_encode(every))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _not_json(error) from None


def _not_json(error: Exception) -> InvalidInput:
    return InvalidInput(f"this cannot be recorded: {error}",
                        "record JSON values only: text, finite numbers, true, false, null, lists and maps")


def already_recorded(key: str) -> AlreadyRecorded:
    """What a store answers a fresh batch that comes second."""
    return AlreadyRecorded(f'"{key}" is already recorded', "read what was recorded since, and decide again")


def check_names(batch: Batch) -> None:
    """Every key and name in the batch can be stored and indexed by every store.

    Raises:
        InvalidInput: one is too long, or holds what a database's text cannot.
    """
    names = _names(batch)
    # All at once first: this runs for every fact of a storm, and nearly always finds nothing.
    joined = "".join(names)
    if (len(joined) <= LONGEST or max(map(len, names)) <= LONGEST) and "\0" not in joined and _is_text(joined):
        return
    for name in names:
        if len(name) > LONGEST:
            raise InvalidInput(f'"{name[:40]}…" has {len(name):,} characters', f"use at most {LONGEST}")
        if "\0" in name or not _is_text(name):
            raise InvalidInput(f"{name!r:.60} holds a character that cannot be stored",
                               "leave out NUL and half surrogate pairs")


def _names(batch: Batch) -> list[str]:
    names = [*batch.clear_timers]
    for fact in batch.facts:
        names += (fact.kind, fact.subject, fact.key, fact.actor)
    for timer in batch.set_timers:
        names += (timer.key, timer.kind, timer.subject)
    for message in batch.messages:
        names += (message.key, message.channel)
    for claim in (*batch.timers_done, *batch.messages_done):
        names.append(claim.key)
    for retry in batch.messages_retry:
        names.append(retry.key)
    return names


def _is_text(name: str) -> bool:
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
