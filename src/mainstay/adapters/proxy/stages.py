"""The toxics that work on bytes, whatever they mean: one stage each."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from random import Random

from mainstay.adapters.proxy.flow import Active, End, Flow, Line, Stage

_SLICE = 0.02
"""Seconds of a line's rate that are sent at once."""
_NEVER = math.inf


def spread(latency: float, jitter: float, chance: Random) -> float:
    """Seconds from milliseconds: latency, give or take the jitter, and never negative."""
    return max(0.0, latency + (chance.uniform(-jitter, jitter) if jitter else 0)) / 1000


class Latency(Line):
    """Everything arrives later; the end too."""

    def __init__(self, flow: Flow, active: Active, chance: Random) -> None:
        super().__init__(flow, active)
        self.chance = chance

    def push(self, data: bytes) -> None:
        """A piece comes."""
        delay = self._delay()
        self.active.count.considered += 1
        self.active.count.injected += delay > 0
        self.put(data, delay)

    def end(self, how: End) -> None:
        """The end travels as long as data does."""
        self.put(how, self._delay())

    def _delay(self) -> float:
        return spread(self.active.number("latency"), self.active.number("jitter"), self.chance)


class Bandwidth(Stage):
    """A thin line: a piece arrives when its last byte has had its time. Rate 0 lets nothing through."""

    def __init__(self, flow: Flow, active: Active) -> None:
        super().__init__(flow, active)
        self.queue: deque[bytes | End] = deque()
        self.held = self.at = 0
        """`at` is how far the first piece has been sent."""
        self.free = 0.0
        self.braking = False
        self.timer: asyncio.TimerHandle | None = None

    def push(self, data: bytes) -> None:
        """A piece comes."""
        self.active.count.considered += 1
        self.active.count.injected += 1
        self.held += len(data)
        self._queue(data)
        if self.held > self._limit() and not self.braking:
            self.braking = True
            self.flow.brake()

    def end(self, how: End) -> None:
        """Behind the data."""
        self._queue(how)

    def changed(self) -> None:
        """From now on the other rate."""
        self._stop()
        if self.queue:
            self._plan(self.loop.time())
        self._slacken()

    def leave(self) -> None:
        """The rest goes on now."""
        self._stop()
        while self.queue:
            item = self.queue.popleft()
            if isinstance(item, End):
                self.following.end(item)
            else:
                rest, self.at = item[self.at:], 0
                self.held -= len(rest)
                self.following.push(rest)
        self._slacken()

    def dispose(self) -> None:
        """The connection is over."""
        self._stop()
        self.queue.clear()

    def _rate(self) -> float:
        """Bytes a second."""
        return self.active.number("rate") * 1000

    def _limit(self) -> float:
        return max(self._rate() / 10, 64 * 1024)

    def _queue(self, item: bytes | End) -> None:
        self.queue.append(item)
        if len(self.queue) == 1:
            self._plan(self.loop.time())

    def _plan(self, begin: float) -> None:
        """Send the next slice, from `begin` on."""
        first = self.queue[0]
        rate = self._rate()
        if isinstance(first, End):
            self.free = begin
        else:
            self.free = begin + min(len(first) - self.at, self._slice(rate)) / rate if rate else _NEVER
        if self.free < _NEVER:
            self.timer = self.loop.call_at(self.free, self._due)

    def _due(self) -> None:
        self.timer = None
        now = self.loop.time()
        while self.queue and self.free <= now + _SLICE / 40:
            first = self.queue[0]
            if isinstance(first, End):
                self.queue.popleft()
                self.following.end(first)
            else:
                self._send(first, self._slice(self._rate()))
            if self.queue:
                self._plan(self.free)
                self._stop()
        if self.queue and self.free < _NEVER:
            self.timer = self.loop.call_at(self.free, self._due)
        self._slacken()

    def _send(self, first: bytes, size: int) -> None:
        piece = first[self.at:self.at + size]
        self.at += len(piece)
        if self.at >= len(first):
            self.queue.popleft()
            self.at = 0
        self.held -= len(piece)
        self.following.push(piece)

    @staticmethod
    def _slice(rate: float) -> int:
        return max(1, int(rate * _SLICE))

    def _slacken(self) -> None:
        if self.braking and self.held <= self._limit() / 2:
            self.braking = False
            self.flow.release()

    def _stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class SlowClose(Line):
    """The end comes late."""

    def push(self, data: bytes) -> None:
        """Data passes."""
        self.put(data, 0)

    def end(self, how: End) -> None:
        """An orderly end waits; a reset does not."""
        if how is End.RESET:
            self.leave()
            self.following.end(how)
            return
        self.active.count.injected += 1
        self.put(how, self.active.number("delay") / 1000)


class Timed(Stage):
    """A stage with one moment at which it acts."""

    def __init__(self, flow: Flow, active: Active) -> None:
        super().__init__(flow, active)
        self.timer: asyncio.TimerHandle | None = None

    def arm(self, milliseconds: float) -> None:
        """Act after so long."""
        self.dispose()
        self.timer = self.loop.call_later(milliseconds / 1000, self._act)

    def leave(self) -> None:
        """It no longer acts."""
        self.dispose()

    def dispose(self) -> None:
        """It no longer acts."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def act(self) -> None:
        """The moment has come."""

    def _act(self) -> None:
        self.timer = None
        self.active.count.injected += 1
        self.act()


class Timeout(Timed):
    """Data is dropped; the connection is closed after the time, or when the toxic goes away."""

    def __init__(self, flow: Flow, active: Active) -> None:
        super().__init__(flow, active)
        self.changed()

    def push(self, data: bytes) -> None:  # noqa: ARG002  (dropped is what it is)
        """A piece is dropped."""
        self.active.count.considered += 1
        self.active.count.injected += 1

    def end(self, how: End) -> None:
        """Whoever closes, closes all of it."""
        self.following.end(max(how, End.CLOSE))

    def changed(self) -> None:
        """The time begins again."""
        self.dispose()
        if self.active.number("timeout"):
            self.arm(self.active.number("timeout"))

    def leave(self) -> None:
        """A stream with a hole in it must not go on."""
        self.dispose()
        self.flow.owner.finish()

    def act(self) -> None:
        """Close."""
        self.flow.owner.finish()


class ResetPeer(Timed):
    """The first that comes this way is dropped, and after the time both sides see a reset."""

    def push(self, data: bytes) -> None:  # noqa: ARG002  (dropped is what it is)
        """Something came."""
        if self.timer is None:
            self.active.count.considered += 1
            self.arm(self.active.number("timeout"))

    def end(self, how: End) -> None:
        """The end is something that came, too."""
        if how is End.RESET:
            self.following.end(how)
        else:
            self.push(b"")

    def changed(self) -> None:
        """The time begins again, where it had begun."""
        if self.timer is not None:
            self.arm(self.active.number("timeout"))

    def leave(self) -> None:
        """What was dropped is missing: the connection cannot go on."""
        if self.timer is not None:
            self.dispose()
            self._act()

    def act(self) -> None:
        """Reset."""
        self.flow.owner.reset()


class CutAfter(Timed):
    """Data passes until the time is over, then the connection is closed, or reset."""

    def __init__(self, flow: Flow, active: Active) -> None:
        super().__init__(flow, active)
        self.changed()

    def changed(self) -> None:
        """The time begins again."""
        self.arm(self.active.number("after"))

    def act(self) -> None:
        """Cut."""
        if self.active.toxic.attributes["reset"]:
            self.flow.owner.reset()
        else:
            self.flow.owner.finish()


class Slicer(Line):
    """Pieces are cut into small ones, sent one after the other."""

    limit = 1024 * 1024

    def __init__(self, flow: Flow, active: Active, chance: Random) -> None:
        super().__init__(flow, active)
        self.chance = chance

    def push(self, data: bytes) -> None:
        """Cut; the first piece goes at once, each other one after the delay."""
        self.active.count.considered += 1
        average, variation = int(self.active.number("average_size")), int(self.active.number("size_variation"))
        delay = self.active.number("delay") / 1e6
        if average < 1 or len(data) <= average + variation:
            self._add(data, 0 if not self.queue else delay)
            return
        self.active.count.injected += 1
        at, wait = 0, delay if self.queue else 0.0
        while at < len(data):
            size = max(1, average + (self.chance.randint(-variation, variation) if variation else 0))
            self._add(data[at:at + size], wait)
            at, wait = at + size, delay

    def _add(self, data: bytes, wait: float) -> None:
        now = self.loop.time()
        self.until = max(now, self.until) + wait
        self.put_at(data, self.until, now)


class LimitData(Stage):
    """So many bytes pass, then the connection is closed."""

    def __init__(self, flow: Flow, active: Active) -> None:
        super().__init__(flow, active)
        self.passed = 0
        self.over = False

    def push(self, data: bytes) -> None:
        """What is within the limit passes."""
        if self.over:
            return
        self.active.count.considered += 1
        piece = data[:max(0, int(self.active.number("bytes")) - self.passed)]
        self.passed += len(piece)
        if piece:
            self.following.push(piece)
        if self.passed >= self.active.number("bytes"):
            self.over = True
            self.active.count.injected += 1
            self.following.end(End.CLOSE)


class Corrupt(Stage):
    """Bytes become others. With a share of 1 it is the same bytes of the stream, however it is cut into pieces."""

    def __init__(self, flow: Flow, active: Active, chance: Random) -> None:
        super().__init__(flow, active)
        self.chance = chance
        self.gap = -1
        """Bytes until the next one that is hit; negative when it has not been drawn."""

    def push(self, data: bytes) -> None:
        """Hit or spare a piece."""
        count, share = self.active.count, self.active.number("share")
        count.considered += 1
        if share >= 1 or self.chance.random() < share:
            data, hits = self._hit(data, self.active.number("rate"))
            count.injected += hits > 0
        self.following.push(data)

    def changed(self) -> None:
        """The next is drawn anew."""
        self.gap = -1

    def _hit(self, data: bytes, rate: float) -> tuple[bytes, int]:
        if rate <= 0:
            return data, 0
        if self.gap < 0:
            self.gap = gap(rate, self.chance)
        out, hits = bytearray(data), 0
        while self.gap < len(out):
            out[self.gap] ^= self.chance.randint(1, 255)
            self.gap += 1 + gap(rate, self.chance)
            hits += 1
        self.gap -= len(out)
        return bytes(out), hits


def gap(rate: float, chance: Random) -> int:
    """Bytes that are spared before the next one that is hit, when each is hit with this probability."""
    return 0 if rate >= 1 else int(math.log(1 - chance.random()) / math.log1p(-rate))


def stage_of(flow: Flow, active: Active, chance: Random) -> Stage:
    """The stage that a toxic on bytes is."""
    match active.toxic.type:
        case "latency":
            return Latency(flow, active, chance)
        case "bandwidth":
            return Bandwidth(flow, active)
        case "slow_close":
            return SlowClose(flow, active)
        case "timeout":
            return Timeout(flow, active)
        case "reset_peer":
            return ResetPeer(flow, active)
        case "slicer":
            return Slicer(flow, active, chance)
        case "limit_data":
            return LimitData(flow, active)
        case "corrupt":
            return Corrupt(flow, active, chance)
        case "cut_after":
            return CutAfter(flow, active)
        case kind:
            raise AssertionError(f"{kind} is no toxic on bytes")
