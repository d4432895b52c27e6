"""Lines of an access log, a block of whole lines at a time: the plain ones by arithmetic on bytes, the rest one by one.

A plain line is `client - - [dd/Mon/yyyy:hh:mm:ss +zzzz] "…" ddd size …` with the quotes of its format and nothing
escaped before one. Where its parts stand follows from where its quotes stand, so numpy takes a million of them apart
in a quarter of a second. Whatever is not plain in every byte goes through the full pattern of the format.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import field
from datetime import date
from typing import Any, TypeAlias

import numpy as np

from mainstay.adapters.event_recognition import ACCESS_PATTERNS
from mainstay.adapters.event_sums import LAST_MOMENT, OUT_OF_TIME, SAMPLES, SHOWN, misfit, no_time
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import SLOT

PAD = 64
"""Bytes that a buffer has before and behind its lines, so that a window over a line's edge stays within it."""

Numbers: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"
Bytes: TypeAlias = "np.ndarray[Any, np.dtype[np.uint8]]"
Flags: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"
Durations: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
Spender: TypeAlias = "tuple[bytes, int, bytes]"
"""A bad line as it is written: request, status, client (empty unless asked for)."""


class BeyondScanError(Exception):
    """The lines hold what only the other reader of event files answers rightly."""


@dataclass(slots=True)
class Block:
    """What the lines of a block are.

    Args:
        ends: all line ends, those of empty lines too.
        lines: lines that are not empty.
        slots, totals, bads: for every slot that has events: its number since the epoch, events, bad events.
        first, last: epoch seconds of the earliest and the latest event; None without events.
        samples: (number of the line in the block, from zero, why, text) of the first rejected lines.
        durations: in seconds, of the events that have one.
    """

    ends: int
    lines: int
    slots: Numbers
    totals: Numbers
    bads: Numbers
    first: int | None
    last: int | None
    rejected: int
    samples: list[tuple[int, str, str]]
    spenders: Counter[Spender]
    durations: Durations


@dataclass(slots=True)
class _Singles:
    """The events among the lines that were read one by one, and what the others were."""

    empty: int = 0
    moments: list[int] = field(default_factory=list)
    bad: list[bool] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)
    rejected: int = 0
    samples: list[tuple[int, str, str]] = field(default_factory=list)


class Reader:
    """Takes blocks of one format apart; safe to use from several threads.

    Args:
        format: `combined` or `common`.
        is_bad: whether an event of that status (0..999) is bad.
        by_client: whether spenders are told apart by client.
    """

    def __init__(self, format: str, is_bad: Callable[[int], bool], *, by_client: bool) -> None:
        self._format = format
        self._quotes = 6 if format == "combined" else 2
        # RE2, which holds the other reader to this pattern, knows only ASCII digits.
        self._pattern = re.compile(ACCESS_PATTERNS[format], re.ASCII)
        self._bad: Flags = np.array([is_bad(status) for status in range(1000)], dtype=np.bool_)
        self._by_client = by_client
        self._midnights: dict[bytes, int] = {}

    def block(self, buffer: bytearray, end: int) -> Block:
        """What the lines in `buffer[PAD:end]` are; the last byte is a line end, and behind it are PAD more.

        Raises:
            BeyondScanError: a line that this reader must not judge.
        """
        text: Bytes = np.frombuffer(buffer, np.uint8, end)
        marks = np.flatnonzero((text == _LINE_END) | (text == _QUOTE))
        last_marks = np.flatnonzero(text[marks] == _LINE_END)
        ends = marks[last_marks]
        starts = np.concatenate(([PAD], ends[:-1] + 1))
        first_marks = np.concatenate(([0], last_marks[:-1] + 1))
        rows = np.flatnonzero(last_marks - first_marks == self._quotes)
        quotes = [marks[first_marks[rows] + index] for index in range(self._quotes)]
        moments, fits = self._moments(buffer, starts[rows], quotes[0])
        statuses, size_ends, written = _statuses(buffer, text, quotes, ends[rows])
        fits &= written
        if self._quotes == 6:
            fits &= _separated(text, quotes)
            tails = quotes[5] + 1
        else:
            fits &= text[quotes[1] - 1] != _BACKSLASH
            tails = size_ends
        durations = np.full(len(rows), np.nan)
        _durations(text, tails, ends[rows], fits, durations)

        spenders: Counter[Spender] = Counter()
        bad = self._bad[np.where(fits, statuses, 0)]
        for row in np.flatnonzero(bad & fits).tolist():
            client = bytes(buffer[starts[rows[row]]:quotes[0][row] - _STAMP]) if self._by_client else b""
            spenders[bytes(buffer[quotes[0][row] + 1:quotes[1][row]]), int(statuses[row]), client] += 1
        odd = np.ones(len(ends), dtype=np.bool_)
        odd[rows[fits]] = False
        singles = self._one_by_one(buffer, starts, ends, np.flatnonzero(odd).tolist(), spenders)

        moments = np.concatenate((moments[fits], np.array(singles.moments, dtype=np.int64)))
        slots, totals, bads = _by_slot(moments, np.concatenate((bad[fits], np.array(singles.bad, dtype=np.bool_))))
        known = durations[fits]
        return Block(
            ends=len(ends), lines=len(ends) - singles.empty, slots=slots, totals=totals, bads=bads,
            first=int(moments.min()) if len(moments) else None, last=int(moments.max()) if len(moments) else None,
            rejected=singles.rejected, samples=singles.samples, spenders=spenders,
            durations=np.concatenate((known[~np.isnan(known)], np.array(singles.durations))))

    def _moments(self, buffer: bytearray, starts: Numbers, quotes: Numbers) -> tuple[Numbers, Flags]:
        """Epoch seconds of the lines, and whether all before the first quote is plain and the time one that counts."""
        # Eight bytes a column: client, client, `- - [dd`, `/Mon/yyy`, `y:hh:mm:`, `ss +zzzz`, `] "`.
        head = _words(buffer, quotes - _STAMP - _CLIENT, 7)
        days, months, hours, seconds = (np.ascontiguousarray(head[:, column]) for column in (2, 3, 4, 5))
        fits = (days & _SIX) == _word(b" - - [")
        fits &= (head[:, 6] & _THREE) == _word(b'] "')
        fits &= (hours & _COLONS) == _word(b"\0:\0\0:\0\0:")
        fits &= _clients_plain(buffer, head, quotes - _STAMP - starts, quotes - _STAMP)
        changed = np.ones(len(quotes), dtype=np.bool_)
        changed[1:] = ((days[1:] ^ days[:-1]) | (months[1:] ^ months[:-1]) | ((hours[1:] ^ hours[:-1]) & 0xFF)
                       | ((seconds[1:] ^ seconds[:-1]) >> 16)) != 0
        heads = np.flatnonzero(changed)
        stamps = np.ascontiguousarray(head[heads, 2:6]).tobytes()
        midnights = np.array([self._midnight(stamps[at + 6:at + 17] + stamps[at + 26:at + 32])
                              for at in range(0, len(stamps), 32)], dtype=np.int64)
        moments = np.repeat(midnights, np.diff(heads, append=len(quotes)))
        moments += _HOURS[(hours >> 16) & 0xFFFF] + _MINUTES[(hours >> 40) & 0xFFFF] + _SECONDS[seconds & 0xFFFF]
        return moments, fits & (moments >= 0) & (moments < LAST_MOMENT)

    def _midnight(self, day: bytes) -> int:
        """Epoch seconds at which the day starts in its zone (`17/May/2015 +0200`), far below zero when it is none."""
        known = self._midnights.get(day)
        if known is None:
            if len(self._midnights) > _MOST_DAYS:
                self._midnights = {}
            known = self._midnights[day] = _midnight(day)
        return known

    def _one_by_one(self, buffer: bytearray, starts: Numbers, ends: Numbers, rows: Sequence[int],
                    spenders: Counter[Spender]) -> _Singles:
        out = _Singles()
        for row in rows:
            raw = bytes(buffer[starts[row]:ends[row]]).removesuffix(b"\r")
            if not raw:
                out.empty += 1
                continue
            if raw.count(b" [") > _MOST_BRACKETS:
                # The pattern tries every one of them, to the end of the line.
                raise BeyondScanError
            text = raw.decode("utf-8", "replace").replace("\r", "\ufffd")
            found = self._pattern.match(text)
            moment = _NEVER if found is None else _moment(found[4], self._midnight)
            if found is None or not 0 <= moment < LAST_MOMENT:
                out.rejected += 1
                if len(out.samples) < SAMPLES:
                    why = misfit(self._format) if found is None else no_time("time") if moment == _NEVER \
                        else OUT_OF_TIME
                    out.samples.append((row, why, shown(text)[:SHOWN]))
                continue
            out.moments.append(moment)
            out.bad.append(bool(self._bad[int(found[6])]))
            if out.bad[-1]:
                spenders[found[5].encode(), int(found[6]), found[1].encode() if self._by_client else b""] += 1
            tail = found[found.re.groups]
            if tail is not None and tail != "-":
                if len(tail) > _FINITE:
                    raise BeyondScanError
                out.durations.append(float(tail) if "." in tail else float(tail) / 1e6)
        return out


def shown(text: str) -> str:
    """The text, when it looks the same to both readers; they differ in control characters.

    Raises:
        BeyondScanError: it has some.
    """
    if _CONTROL.search(text):
        raise BeyondScanError
    return text


# -- bytes as numbers ---------------------------------------------------------------------------------------------

_LINE_END, _QUOTE, _BACKSLASH, _SPACE, _DASH, _DOT, _ZERO, _RETURN = b'\n"\\ -.0\r'
_STAMP = len(" - - [17/May/2015:10:05:03 +0000] ")
_CLIENT = 16
"""Bytes before the stamp that are looked at for every line: an IPv4 address; a longer name costs a second look."""
_LONGEST_CLIENT = 48
_LONGEST_SIZE = 10
_LONGEST_NUMBER = 15
"""Digits that a double holds exactly."""
_FINITE = 300
"""Digits of which no number is too great for a double."""
_MOST_DAYS = 100_000
_MOST_BRACKETS = 50
_NEVER = -1 << 60
_IMPOSSIBLE = -1 << 40
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f]")


def _word(text: bytes) -> int:
    return int.from_bytes(text.ljust(8, b"\0"), "little", signed=True)


def _words(buffer: bytearray, at: Numbers, count: int) -> Numbers:
    """The bytes from each place on, eight to a number (the first is the lowest), `count` numbers a row."""
    width = 8 * count
    windows: Any = np.ndarray((len(buffer) - width + 1,), f"V{width}", buffer, strides=(1,))
    # Numpy copies such a window as one piece, which nothing else it offers does for bytes at any place.
    words: Numbers = windows[at].view("<i8").reshape(len(at), count)
    return words


_SIX, _THREE = _word(b"\xff" * 6), _word(b"\xff" * 3)
_COLONS = _word(b"\0\xff\0\0\xff\0\0\xff")
_ONES, _HIGHS, _SPACES = _word(b"\x01" * 8), _word(b"\x80" * 8), _word(b" " * 8)
_NIBBLES, _SIXES, _THREES = _word(b"\xf0" * 8), _word(b"\x06" * 8), _word(b"3" * 8)


def _masks(words: int) -> Numbers:
    """Row n blots out all but the last n bytes of so many words."""
    width = 8 * words
    return np.frombuffer(b"".join(b"\xff" * (width - n) + b"\0" * n for n in range(width + 1)),
                         "<i8").reshape(width + 1, words).astype(np.int64)


_CLIENT_MASKS, _LONG_CLIENT_MASKS = _masks(_CLIENT // 8), _masks(_LONGEST_CLIENT // 8)
# A status and a size, `" 200 1234`: which bytes are digits for a size of that length, and zeros for all others.
_SIZE_DIGITS = np.frombuffer(b"".join((b"\0\0\xff\xff\xff\0" + b"\xff" * n).ljust(16, b"\0")
                                      for n in range(_LONGEST_SIZE + 1)), "<i8").reshape(-1, 2).astype(np.int64)
_SIZE_REST = ~_SIZE_DIGITS & _word(b"0" * 8)
_EDGES, _AROUND_STATUS = _word(b"\xff\xff\0\0\0\xff"), _word(b'" \0\0\0 ')


def _pairs(limit: int, each: int) -> Numbers:
    """By the two bytes of a two-digit number below the limit: that number times `each`; far below zero for others."""
    out = np.full(1 << 16, _IMPOSSIBLE, dtype=np.int64)
    for number in range(limit):
        out[int.from_bytes(f"{number:02}".encode(), "little")] = number * each
    return out


_HOURS, _MINUTES, _SECONDS = _pairs(24, 3600), _pairs(60, 60), _pairs(60, 1)
_HUNDREDS = _pairs(100, 10)


def _spaced(words: Numbers) -> Numbers:
    """Not zero where one of the eight bytes is a space."""
    other: Numbers = words ^ _SPACES
    spaced: Numbers = (other - _ONES) & ~other & _HIGHS
    return spaced


def _clients_plain(buffer: bytearray, head: Numbers, lengths: Numbers, stamps: Numbers) -> Flags:
    """Whether what stands before the stamps is one word each."""
    usual = np.minimum(lengths, _CLIENT)
    masks = _CLIENT_MASKS[np.maximum(usual, 0)]
    fits: Flags = (lengths > 0) & ((_spaced(head[:, 0] | masks[:, 0]) | _spaced(head[:, 1] | masks[:, 1])) == 0)
    long = np.flatnonzero(fits & (lengths > _CLIENT))
    if len(long):
        within = np.minimum(lengths[long], _LONGEST_CLIENT)
        words = _words(buffer, stamps[long] - _LONGEST_CLIENT, _LONGEST_CLIENT // 8)
        spaced = _spaced(words | _LONG_CLIENT_MASKS[within])
        fits[long] = (lengths[long] <= _LONGEST_CLIENT) & ~spaced.any(1)
    return fits


def _statuses(buffer: bytearray, text: Bytes, quotes: Sequence[Numbers],
              ends: Numbers) -> tuple[Numbers, Numbers, Flags]:
    """The statuses, where the sizes end, and whether both are written plainly behind the second quote."""
    at = quotes[1]
    if len(quotes) > 2:
        size_ends = quotes[2] - 1
        fits = text[size_ends] == _SPACE
    else:
        size_ends = _first_after(buffer, text, at + 6, ends)
        fits = np.ones(len(at), dtype=np.bool_)
    words = _words(buffer, at, 2)
    first = np.ascontiguousarray(words[:, 0])
    sizes = size_ends - at - 6
    fits &= (sizes > 0) & (sizes <= _LONGEST_SIZE) & ((first & _EDGES) == _AROUND_STATUS)
    digits = np.clip(sizes - ((sizes == 1) & (((first >> 48) & 0xFF) == _DASH)), 0, _LONGEST_SIZE)
    fits &= _are_digits((first & _SIZE_DIGITS[digits, 0]) | _SIZE_REST[digits, 0])
    fits &= _are_digits((words[:, 1] & _SIZE_DIGITS[digits, 1]) | _SIZE_REST[digits, 1])
    return _HUNDREDS[(first >> 16) & 0xFFFF] + ((first >> 32) & 0xFF) - _ZERO, size_ends, fits


def _first_after(buffer: bytearray, text: Bytes, at: Numbers, ends: Numbers) -> Numbers:
    """Where the first space behind each place is within the longest size, else the end of the line."""
    out = ends - (text[ends - 1] == _RETURN)
    window = _words(buffer, at, 2).view(np.uint8) == _SPACE
    spaces = window.argmax(1)
    has = window.any(1) & (at + spaces < out)
    found: Numbers = np.where(has, at + spaces, out)
    return found


def _are_digits(words: Numbers) -> Flags:
    # Both nibbles of a byte at once: the high one is 3, and still is when six is added.
    digits: Flags = ((words & _NIBBLES) | (((words + _SIXES) & _NIBBLES) >> 4)) == _THREES
    return digits


def _separated(text: Bytes, quotes: Sequence[Numbers]) -> Flags:
    """Whether one space parts referer from agent, and no closing quote is escaped."""
    fits: Flags = (quotes[4] - quotes[3] == 2) & (text[quotes[3] + 1] == _SPACE)
    for closing in (quotes[1], quotes[3], quotes[5]):
        fits &= text[closing - 1] != _BACKSLASH
    return fits


def _durations(text: Bytes, tails: Numbers, ends: Numbers, fits: Flags, durations: Durations) -> None:
    """Seconds for the lines that end in a number; those whose tail is none do not fit."""
    tailed = np.flatnonzero(fits & (tails != ends))
    if not len(tailed):
        return
    ends = ends[tailed] - (text[ends[tailed] - 1] == _RETURN)
    tails = tails[tailed]
    lengths = ends - tails - 1
    fits[tailed] = (lengths == -1) | ((lengths > 0) & (lengths <= _LONGEST_NUMBER) & (text[tails] == _SPACE))
    numbers = fits[tailed] & (lengths > 0)
    tailed, tails, lengths = tailed[numbers], tails[numbers], lengths[numbers]
    if not len(tailed):
        return
    value = np.zeros(len(tailed), dtype=np.int64)
    places = np.full(len(tailed), -1, dtype=np.int64)
    for index in range(int(lengths.max())):
        within = index < lengths
        byte = text[np.where(within, tails + 1 + index, tails)].astype(np.int64)
        digit = within & (byte >= _ZERO) & (byte <= _ZERO + 9)
        dot = within & (byte == _DOT) & (places < 0) & (index > 0)
        value = np.where(digit, value * 10 + byte - _ZERO, value)
        places += digit & (places >= 0)
        places[dot] = 0
        if not np.all(digit | dot | ~within):
            # Only a dash that stands alone is no number and yet no misfit.
            fits[tailed[within & ~digit & ~dot]] = False
            alone = within & (byte == _DASH) & (lengths == 1)
            fits[tailed[alone]] = True
            places[alone] = -2
    fits[tailed[places == 0]] = False
    seconds = value / np.where(places > 0, 10.0 ** np.maximum(places, 0), 1e6)
    durations[tailed] = np.where(places == -2, np.nan, seconds)


def _by_slot(moments: Numbers, bad: Flags) -> tuple[Numbers, Numbers, Numbers]:
    """The slots that have events, ascending; the events of each, and the bad ones."""
    slots = moments // SLOT
    if not len(slots):
        return slots, slots, slots
    least = int(slots.min())
    if int(slots.max()) - least > _WIDE:
        found, at = np.unique(slots, return_inverse=True)
    else:
        found, at = np.arange(least, int(slots.max()) + 1), slots - least
    totals = np.bincount(at, minlength=len(found))
    bads = np.bincount(at[bad], minlength=len(found))
    return found[totals > 0], totals[totals > 0], bads[totals > 0]


_WIDE = 100_000


# -- times --------------------------------------------------------------------------------------------------------

_STRICT = re.compile(r"\d\d/[A-Za-z]{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", re.ASCII)
_LOOSE = re.compile(r"\s*(?:\d{1,2}/[a-z]{3}/|[+-]?inf|epoch)", re.ASCII | re.IGNORECASE)
"""How a text begins that the other reader might take for a time though it is not written as logs write it."""
_MONTHS = {name: number for number, name in enumerate(
    (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1)}
_FOUR_CENTURIES = 146_097
_EPOCH = date(1970, 1, 1).toordinal()


def _midnight(day: bytes) -> int:
    month = _MONTHS.get(day[3:6].lower(), 0)
    parts = (day[:2], day[7:11], day[13:17])
    if not (day[2:3] + day[6:7] == b"//" and day[11:12] == b" " and day[12:13] in (b"+", b"-") and month
            and all(part.isdigit() for part in parts)):
        return _IMPOSSIBLE
    number, year, zone = (int(part) for part in parts)
    try:
        # The year 0000, which Python does not know, is like 0400.
        days = date(year or 400, month, number).toordinal() - (0 if year else _FOUR_CENTURIES) - _EPOCH
    except ValueError:
        return _IMPOSSIBLE
    offset = zone // 100 * 3600 + zone % 100 * 60
    return days * 86_400 + (offset if day[12:13] == b"-" else -offset)


def _moment(text: str, midnight: Callable[[bytes], int]) -> int:
    """Epoch seconds of the time of a line; _NEVER when it is none."""
    if not _STRICT.fullmatch(text):
        if _LOOSE.match(text):
            raise BeyondScanError
        return _NEVER
    day = midnight(text[:11].encode() + text[20:].encode())
    hour, minute, second = int(text[12:14]), int(text[15:17]), int(text[18:20])
    if day == _IMPOSSIBLE or hour > 23 or minute > 59 or second > 59:
        return _NEVER
    return day + hour * 3600 + minute * 60 + second
