"""Access logs without an engine: the plain questions about combined and common logs, at the speed of memory.

`scan` gives the answer that `events.survey` gives, for what `slo try access.log` asks, in a tenth of its time and
without loading DuckDB. Whatever it cannot answer in exactly the same way it leaves to the survey and says None: other
questions, other formats, pipes, damaged files, lines of megabytes, control characters where text is shown.
"""

from __future__ import annotations

import json
import math
import operator
import re
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mainstay.adapters.access_lines import PAD, BeyondScanError, Block, Durations, Numbers, Reader, Spender, shown
from mainstay.adapters.event_files import is_gzip, named
from mainstay.adapters.event_recognition import recognised
from mainstay.adapters.event_sums import NOT_SAID, SAMPLES, by_day, dense, moment
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.ports import Condition, Latency, Survey, Surveyed
from mainstay.kernel.quantity import SLOT
from mainstay.kernel.series import Series

BLOCK = 1 << 21
"""Bytes that are read at a time: small enough for the processor's caches, large enough for numpy."""
THREADS = 2
"""More would wait for the interpreter, which is needed between the calls of numpy."""
_KEPT = 16 << 20
"""Bytes; more than all that a thread holds at a time, less than the 32 MB at which the C library stops learning."""
_HEAD = 1 << 18
_PACKED = 1 << 18
_MOST_SPENDERS = 200_000
"""Different bad requests that are counted in memory; the other reader can move more of them to disk."""
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_SPENT_BY = {"method", "path", "status", "client"}


def scan(survey: Survey, *, block: int = BLOCK, threads: int = THREADS) -> Surveyed | None:
    """What the files hold, exactly as `events.survey` says it; None when the question or the files are not plain.

    Args:
        block: bytes read at a time, more than any line has; memory grows with this, not with the files.
    Raises:
        InvalidInput: a path that is not there, is a folder, or is packed in an unknown way.
    """
    if not _plain(survey):
        return None
    names = named(survey.files.paths)
    try:
        packed = [_is_packed(name) for name in names]
        format = _format(survey.files.format, names, packed)
        reader = Reader(format, lambda status: _all_hold(survey.bad, status), by_client="client" in survey.spenders_by)
        sums = _Sums()
        _keep_freed_memory()
        with closing(sums.durations):
            _read_all(_Blocks(names, packed, block), reader, sums, threads)
            return _surveyed(survey, format, sums)
    except (BeyondScanError, OSError, zlib.error):
        # Files that cannot be read to their end are among what the survey has the words for.
        return None


def _keep_freed_memory() -> None:
    """What numpy lets go of between its steps is kept for the next step, not given back to the system.

    The C library of Linux asks the system for every piece above 128 KB and gives it back at once, so that each step
    would find all its pages missing: two fifths of a scan. Freeing one larger piece tells it to keep pieces up to that
    size (mallopt(3), M_MMAP_THRESHOLD, "dynamic"). The piece is never touched, so it costs nothing, here or elsewhere.
    """
    np.empty(_KEPT, dtype=np.uint8)


def _plain(survey: Survey) -> bool:
    files = survey.files
    return (files.format in ("auto", "combined", "common") and files.zone == "UTC" and survey.top >= 0
            and survey.step == SLOT
            and not (files.fields or files.unique_by or files.where)
            and set(survey.spenders_by) <= _SPENT_BY and all(_compares_status(one) for one in survey.bad))


def _compares_status(condition: Condition) -> bool:
    return (condition.field == "status" and condition.operator in _OPERATORS and len(condition.values) == 1
            and not isinstance(condition.values[0], str) and math.isfinite(condition.values[0]))


def _all_hold(conditions: Sequence[Condition], status: int) -> bool:
    return all(_OPERATORS[one.operator](status, float(one.values[0])) for one in conditions)


# -- files to blocks ----------------------------------------------------------------------------------------------


class _Stream(Protocol):
    """Bytes of a file, unpacked."""

    def readinto(self, view: memoryview, /) -> int | None:
        """How many bytes were put into the view; 0 at the end."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class _Unpacked:
    """A gzip file as what is in it: one member after another, zeros between them left out as gzip does."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._input = b""

    def readinto(self, view: memoryview, /) -> int:
        """As `_Stream`; raises zlib.error or BeyondScanError when the file is damaged."""
        while True:
            if self._inflate.eof:
                self._input = self._inflate.unused_data.lstrip(b"\0")
                while not self._input:
                    more = self._file.read(_PACKED)
                    if not more:
                        return 0
                    self._input = more.lstrip(b"\0")
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
            given = self._input or self._file.read(_PACKED)
            out = self._inflate.decompress(given, len(view))
            self._input = self._inflate.unconsumed_tail
            if out:
                view[:len(out)] = out
                return len(out)
            if not given and not self._inflate.eof:
                raise BeyondScanError

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _is_packed(name: str) -> bool:
    path = Path(name)
    if name == "-" or not path.is_file():
        # A pipe can be read only once, so it is left for whoever is certain to answer.
        raise BeyondScanError
    with path.open("rb") as file:
        return is_gzip(name, file.read(8))


def _opened(name: str, packed: bool) -> _Stream:
    file = open(name, "rb", buffering=0)  # noqa: SIM115  (closed by whoever reads it)
    return _Unpacked(file) if packed else file


def _format(wanted: str, names: Sequence[str], packed: Sequence[bool]) -> str:
    head = next(filter(None, (_head(name, is_packed) for name, is_packed in zip(names, packed, strict=True))), b"")
    if not head.removeprefix(_MARK).strip():
        raise BeyondScanError
    try:
        format = recognised(head, names[0]) if wanted == "auto" else wanted
    except InvalidInput as error:
        # Another of the files may be damaged, which is to be said first.
        raise BeyondScanError from error
    if format not in ("combined", "common"):
        raise BeyondScanError
    return format


def _head(name: str, packed: bool) -> bytes:
    stream, buffer, filled = _opened(name, packed), bytearray(_HEAD), 0
    try:
        while filled < _HEAD and (got := stream.readinto(memoryview(buffer)[filled:])):
            filled += got
    finally:
        stream.close()
    return bytes(buffer[:filled])


_MARK = b"\xef\xbb\xbf"


class _Blocks:
    """The files' lines in blocks of whole lines, numbered; threads may ask for them in turn."""

    def __init__(self, names: Sequence[str], packed: Sequence[bool], size: int) -> None:
        self._streams: Iterator[_Stream] = map(_opened, names, packed)
        self._stream: _Stream | None = None
        self._size = size
        self._given = 0
        self._carried = b""
        self._lock = threading.Lock()

    def buffer(self) -> bytearray:
        """A buffer for `fill`."""
        return bytearray(PAD + self._size + PAD)

    def fill(self, buffer: bytearray) -> tuple[int, int]:
        """The block's number, and where its lines end; they begin at PAD and end there too when there are no more.

        Raises:
            BeyondScanError: a line that is longer than a block.
        """
        with self._lock:
            end = self._next(buffer)
            self._given += 1
            return self._given - 1, end

    def close(self) -> None:
        """Let go of the file that is being read."""
        if self._stream is not None:
            self._stream.close()

    def _next(self, buffer: bytearray) -> int:
        limit = PAD + self._size
        filled = PAD + len(self._carried)
        buffer[PAD:filled] = self._carried
        self._carried = b""
        while filled < limit:
            got = self._stream.readinto(memoryview(buffer)[filled:limit]) if self._stream else 0
            if got:
                filled += got
                continue
            self.close()
            if filled > PAD:
                # The last line of a file needs no end of its own; one is put behind it when it has none.
                self._stream = None
                return filled if buffer[filled - 1] == ord("\n") else _ended(buffer, filled)
            self._stream = next(self._streams, None)
            if self._stream is None:
                return PAD
            while filled < PAD + len(_MARK) and (got := self._stream.readinto(memoryview(buffer)[filled:limit])):
                filled += got
            if buffer.startswith(_MARK, PAD):
                buffer[PAD:filled - len(_MARK)], filled = buffer[PAD + len(_MARK):filled], filled - len(_MARK)
        cut = buffer.rfind(b"\n", PAD, limit) + 1
        if not cut:
            raise BeyondScanError
        self._carried = bytes(buffer[cut:limit])
        return cut


def _ended(buffer: bytearray, filled: int) -> int:
    buffer[filled] = ord("\n")
    return filled + 1


# -- blocks to sums -----------------------------------------------------------------------------------------------


class _Sums:
    """The sums of all blocks, which may be added in any order."""

    def __init__(self) -> None:
        self.lines = self.rejected = 0
        self.ends: dict[int, int] = {}
        self.samples: list[tuple[int, int, str, str]] = []
        self.first: list[int] = []
        self.last: list[int] = []
        self.spenders: Counter[Spender] = Counter()
        self.durations = _Durations()
        self._start = 0
        self._totals: Numbers = np.zeros(0, dtype=np.int64)
        self._bads: Numbers = np.zeros(0, dtype=np.int64)

    def add(self, number: int, block: Block) -> None:
        """Count the block of that number, too."""
        self.ends[number] = block.ends
        self.lines += block.lines
        self.rejected += block.rejected
        if block.samples:
            found = [(number, row, why, text) for row, why, text in block.samples]
            self.samples = sorted([*self.samples, *found])[:SAMPLES]
        self.spenders.update(block.spenders)
        if len(self.spenders) > _MOST_SPENDERS:
            raise BeyondScanError
        if block.first is None or block.last is None:
            return
        self.first = [min(self.first[0], block.first)] if self.first else [block.first]
        self.last = [max(self.last[0], block.last)] if self.last else [block.last]
        self._make_room(int(block.slots[0]), int(block.slots[-1]) + 1)
        at = block.slots - self._start
        self._totals[at] += block.totals
        self._bads[at] += block.bads
        if len(block.durations):
            self.durations.add(block.durations)

    def _make_room(self, start: int, end: int) -> None:
        if not len(self._totals):
            self._start = start
        before, behind = max(0, self._start - start), max(0, end - self._start - len(self._totals))
        if before or behind:
            # Half as much again, so that a long file does not move its sums at every block.
            spare = len(self._totals) // 2
            room = (before and min(before + spare, self._start), behind and behind + spare)
            self._start -= room[0]
            self._totals, self._bads = np.pad(self._totals, room), np.pad(self._bads, room)

    def series(self) -> Series:
        """Bad and total from the first to the last slot that has events."""
        used = np.flatnonzero(self._totals)
        return dense({"slot": used + self._start, "total": self._totals[used], "bad": self._bads[used]}, SLOT,
                     sampled=False)

    def numbered_samples(self) -> tuple[tuple[int, str, str], ...]:
        """The first rejected lines with their numbers in the whole input, from one."""
        before = {number: sum(self.ends[earlier] for earlier in range(number)) for number, *_ in self.samples}
        return tuple((before[number] + row + 1, why, text) for number, row, why, text in self.samples)


def _read_all(blocks: _Blocks, reader: Reader, sums: _Sums, threads: int) -> None:
    """Every block is in the sums. The first error of any thread ends them all and is raised."""
    lock = threading.Lock()
    errors: list[BaseException] = []

    def work() -> None:
        buffer = blocks.buffer()
        try:
            while not errors:
                number, end = blocks.fill(buffer)
                if end == PAD:
                    return
                found = reader.block(buffer, end)
                with lock:
                    sums.add(number, found)
        except BaseException as error:  # raised again below, in the thread that asked
            errors.append(error)

    others = [threading.Thread(target=work, name=f"scan-{index}") for index in range(1, threads)]
    try:
        for each in others:
            each.start()
        work()
        for each in others:
            each.join()
    finally:
        blocks.close()
    if errors:
        raise errors[0]


# -- percentiles --------------------------------------------------------------------------------------------------


class _Durations:
    """Durations in seconds, of which any rank can be told exactly; beyond 32 MB they wait on disk."""

    def __init__(self) -> None:
        self.count = 0
        self._spool: Any = None

    def add(self, seconds: Durations) -> None:
        """Keep these too."""
        if self._spool is None:
            from tempfile import SpooledTemporaryFile  # noqa: PLC0415  (a lazy start: most logs have no durations)

            self._spool = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  (closed by `close`)
        self._spool.write(seconds.tobytes())
        self.count += len(seconds)

    def close(self) -> None:
        """Forget them."""
        if self._spool is not None:
            self._spool.close()

    def slower_than(self, bound: float) -> int:
        """How many are greater."""
        return sum(int(np.count_nonzero(chunk.view(np.float64) > bound)) for chunk in self._chunks())

    def of_rank(self, rank: int) -> float:
        """The rank-th smallest, from one.

        Numbers that are not negative have the order of their bits, so three passes find the value 22 bits at a time.
        """
        found, seen = 0, rank
        for shift in (42, 21, 0):
            counts = np.zeros(1 << 22, dtype=np.int64)
            for chunk in self._chunks():
                within = chunk if shift == 42 else chunk[chunk >> (shift + 21) == found]
                digits, times = np.unique((within >> shift) & _DIGIT if shift < 42 else within >> shift,
                                          return_counts=True)
                counts[digits] += times
            below = np.cumsum(counts)
            digit = int(np.searchsorted(below, seen))
            seen -= int(below[digit] - counts[digit])
            found = found << 21 | digit
        return float(np.array(found, dtype=np.int64).view(np.float64))

    def _chunks(self) -> Iterator[Numbers]:
        self._spool.seek(0)
        while piece := self._spool.read(1 << 22):
            yield np.frombuffer(piece, np.int64)


_IN_MEMORY = 32 << 20
_DIGIT = (1 << 21) - 1


def _latency(durations: _Durations, threshold: float | None) -> Latency | None:
    count = durations.count
    if not count:
        return None
    good = None if threshold is None else float(count - durations.slower_than(threshold))
    return Latency(good, float(count), *(durations.of_rank(-(-count * percent // 100)) for percent in (50, 95, 99)))


# -- the answer ---------------------------------------------------------------------------------------------------

# RE2's \s, without Python's vertical tab.
_TARGET = re.compile(r"([A-Za-z_-]+) ([^\t\n\f\r ].*?)(?: HTTP/[0-9.]+)?$")
_METHOD = re.compile(r"([A-Za-z_-]+) ")


def _surveyed(survey: Survey, format: str, sums: _Sums) -> Surveyed:
    parsed = sums.lines - sums.rejected
    if not sums.lines or parsed * 2 < sums.lines:
        raise BeyondScanError
    series = sums.series()
    return Surveyed(
        format=format, lines=sums.lines, parsed=parsed, rejected=sums.rejected,
        rejected_samples=sums.numbered_samples(), repeated=0, left_out=0,
        first=moment(sums.first[0]), last=moment(sums.last[0]), total=series.total_sum, bad=series.bad_sum,
        by_day=by_day(series), spenders=_spenders(survey, sums.spenders),
        latency=_latency(sums.durations, survey.latency), series=series)


def _spenders(survey: Survey, found: Counter[Spender]) -> tuple[tuple[tuple[str, ...], float], ...]:
    if not survey.spenders_by:
        return ()
    lost: Counter[tuple[str | None, ...]] = Counter()
    for spender, bad in found.items():
        fields = _fields(*spender)
        lost[tuple(fields[name] for name in survey.spenders_by)] += bad

    def order(item: tuple[tuple[str | None, ...], int]) -> tuple[int, str]:
        # Equals follow each other as the other reader's keys do, which are texts of JSON.
        return -item[1], json.dumps(item[0], ensure_ascii=False, separators=(",", ":"))

    return tuple((tuple(value or NOT_SAID for value in key), float(bad))
                 for key, bad in sorted(lost.items(), key=order)[:survey.top])


def _fields(request: bytes, status: int, client: bytes) -> dict[str, str | None]:
    text = shown(request.decode("utf-8", "replace"))
    method, target = _METHOD.match(text), _TARGET.match(text)
    path = target[2].partition("?")[0] if target else ""
    return {"method": method[1] if method else None, "path": path or None, "status": str(status),
            "client": shown(client.decode("utf-8", "replace"))}
