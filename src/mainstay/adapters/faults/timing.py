"""Another time of day for traced processes, by the answers that they get to their calls.

A program asks the time through a page of the kernel's in its own memory, without a call (vdso(7)); so that page is
hidden from a program before anything of it runs, and it makes calls. When the tracer ends the answers are true again.
The clock that only counts up (CLOCK_MONOTONIC) stays true, as it does when an administrator sets the time.

Standard library only: holders load it. x86-64; the numbers are those of the kernel's table of calls.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Callable, Iterator

from mainstay.adapters.faults.tracing import answer, stack_of

_GETTIMEOFDAY, _TIME, _FUTEX, _GETTIME, _NANOSLEEP = 96, 201, 202, 228, 230
_OF_DAY = frozenset({0, 5, 11})
"""CLOCK_REALTIME, its coarse form, and CLOCK_TAI."""
_FUTEX_REALTIME, _FUTEX_COMMAND, _FUTEX_WAIT_BITSET = 256, 127, 9
_AT_NULL, _AT_IGNORE, _AT_SYSINFO_EHDR = 0, 1, 33
_SECOND = 10**9
_MOST_WORDS = 1 << 18
"""Of a stack that are looked at: arguments and variables of a program take at most 2 MiB together."""


class Clocks:
    """The time of day as the processes see it."""

    def __init__(self, offset: float, speed: float, tell: Callable[[int], None]) -> None:
        """`tell` is told how often somebody was answered with another time."""
        self._offset, self._speed, self._tell = int(offset * _SECOND), speed, tell
        self._began = time.time_ns()
        self._calls: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._lent: dict[int, tuple[int, bytes]] = {}
        self._answers = 0

    def became(self, tid: int) -> None:
        """Hide the page from the program."""
        place = stack_of(tid)
        with _memory(tid) as memory:
            for where, kind in _auxiliary(memory, place):
                if kind == _AT_SYSINFO_EHDR:
                    os.pwrite(memory, struct.pack("=Q", _AT_IGNORE), where)
        self._calls.pop(tid, None)

    def entered(self, tid: int, number: int, args: tuple[int, ...]) -> float:
        """Remember who asks; and let those who wait for a time of day wait for the true one."""
        if number in (_GETTIMEOFDAY, _TIME) or (number == _GETTIME and args[0] in _OF_DAY):
            self._calls[tid] = number, args
        where = _waits_until(number, args)
        if where:
            with contextlib.suppress(OSError), _memory(tid) as memory:
                said = os.pread(memory, 16, where)
                seconds, rest = struct.unpack("=2q", said)
                true = self._true(seconds * _SECOND + rest)
                os.pwrite(memory, struct.pack("=2q", *divmod(max(0, true), _SECOND)), where)
                self._lent[tid] = where, said
        return 0.0

    def left(self, tid: int, result: int) -> None:
        """Change the answer."""
        lent = self._lent.pop(tid, None)
        if lent is not None:
            with contextlib.suppress(OSError), _memory(tid) as memory:
                os.pwrite(memory, lent[1], lent[0])
        number, args = self._calls.pop(tid, (0, ()))
        if not number or result < 0:
            return
        with contextlib.suppress(OSError):
            if number == _TIME:
                seconds = self._seen(result * _SECOND) // _SECOND
                answer(tid, seconds)
                if args[0]:
                    with _memory(tid) as memory:
                        os.pwrite(memory, struct.pack("=q", seconds), args[0])
            else:
                self._write(tid, args[1] if number == _GETTIME else args[0], 1 if number == _GETTIME else 1000)
            self._answers += 1
            self._tell(self._answers)

    def waited(self, tid: int, seconds: float) -> None:
        """Nobody is let wait."""

    def _write(self, tid: int, where: int, unit: int) -> None:
        """Change a time at that place; its second half is in units of so many nanoseconds."""
        if not where:
            return
        with _memory(tid) as memory:
            seconds, rest = struct.unpack("=2q", os.pread(memory, 16, where))
            seconds, rest = divmod(self._seen(seconds * _SECOND + rest * unit), _SECOND)
            os.pwrite(memory, struct.pack("=2q", seconds, rest // unit), where)

    def _seen(self, true: int) -> int:
        return true + self._offset + int((true - self._began) * (self._speed - 1))

    def _true(self, seen: int) -> int:
        return self._began + int((seen - self._offset - self._began) / self._speed)


def _waits_until(number: int, args: tuple[int, ...]) -> int:
    """Where the time of day stands that the call waits for; 0 when it waits for none."""
    if number == _NANOSLEEP and args[0] in _OF_DAY and args[1] & 1:
        return args[2]
    waits = number == _FUTEX and args[1] & _FUTEX_REALTIME and args[1] & _FUTEX_COMMAND == _FUTEX_WAIT_BITSET
    return args[3] if waits else 0


@contextlib.contextmanager
def _memory(tid: int) -> Iterator[int]:
    fd = os.open(f"/proc/{tid}/mem", os.O_RDWR | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _auxiliary(memory: int, place: int) -> Iterator[tuple[int, int]]:
    """Place and kind of what the kernel tells a new program: behind its arguments and variables on the stack."""
    ends, count = 0, 0
    for where, word in _words(memory, place + 8):
        if ends < 2:  # the arguments, then the variables, each up to a zero
            ends += not word
            continue
        if count % 2 == 0:
            yield where, word
            if word == _AT_NULL:
                return
        count += 1


def _words(memory: int, place: int) -> Iterator[tuple[int, int]]:
    for number in range(_MOST_WORDS // 512):
        try:
            part = os.pread(memory, 4096, place + number * 4096)
        except OSError:
            return
        for offset in range(0, len(part) - 7, 8):
            yield place + number * 4096 + offset, struct.unpack_from("=Q", part, offset)[0]
