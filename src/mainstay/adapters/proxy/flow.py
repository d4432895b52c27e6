"""One direction of a connection: from the side that is read, through the stages of its toxics, to the side written to.

With no stage, what was read is written on at once out of one buffer that all connections share: no copy, no task, no
timer. Back-pressure is by pausing the reader while the writer, or a stage that holds data back, has had enough.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections import deque
from enum import IntEnum
from typing import Protocol

from mainstay.adapters.proxy.counts import ToxicCount
from mainstay.adapters.proxy.toxic import Toxic

_BUFFER = 256 * 1024
_HIGH, _LOW = 256 * 1024, 64 * 1024
"""Bytes that may wait in front of a slow reader before the other side is not read any more, and until it is again."""
_LATE = 0.0005
"""Seconds before its time at which something may be done: a timer rounds to the millisecond."""


class End(IntEnum):
    """How a stream ends; it travels behind the data."""

    EOF = 1
    """This direction is over, the other goes on."""
    CLOSE = 2
    """Both are closed."""
    RESET = 3
    """Both are cut off with a reset."""


class Buffer:
    """The bytes that all connections of one loop are read into; they are done with before the next read."""

    __slots__ = ("view",)

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_BUFFER))

    def renew(self) -> None:
        """Somebody keeps a piece of it: from here on there is another."""
        self.view = memoryview(bytearray(_BUFFER))


class Owner(Protocol):
    """What a flow asks of its connection."""

    loop: asyncio.AbstractEventLoop
    buffer: Buffer
    last: Side | None

    def made(self, side: Side) -> None:
        """The side is connected."""

    def lost(self, side: Side, error: Exception | None) -> None:
        """The side is gone."""

    def arrived(self, flow: Flow) -> None:
        """The end of one direction was passed on."""

    def finish(self) -> None:
        """Close both sides, what was written is still sent."""

    def reset(self) -> None:
        """Cut both sides off with a reset."""


class Active:
    """A toxic that is in force on a proxy: what it says now, its place in the chain, and what it did."""

    __slots__ = ("count", "order", "toxic")

    def __init__(self, toxic: Toxic, order: int, count: ToxicCount) -> None:
        self.toxic, self.order, self.count = toxic, order, count

    def number(self, name: str) -> float:
        """An attribute that is a number."""
        return float(self.toxic.attributes[name])


class Stage:
    """What a toxic does to one direction of one connection. This one passes everything on."""

    def __init__(self, flow: Flow, active: Active) -> None:
        self.flow, self.active = flow, active
        self.order = active.order
        self.following: Stage | Flow = flow
        self.loop = flow.owner.loop
        self.stays = False
        """Whether it takes itself out later, because what it began must be brought to an end first."""

    def push(self, data: bytes) -> None:
        """Data comes."""
        self.following.push(data)

    def end(self, how: End) -> None:
        """The stream ends behind the data that came."""
        self.following.end(how)

    def changed(self) -> None:
        """The toxic has other attributes now."""

    def leave(self) -> None:
        """The toxic was taken away: what is held goes on, in order and now."""

    def dispose(self) -> None:
        """The connection is over."""


class Side(asyncio.BufferedProtocol):
    """One of the two sockets of a connection."""

    __slots__ = ("incoming", "outgoing", "owner", "transport")

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.transport: asyncio.Transport | None = None
        self.outgoing: Flow
        self.incoming: Flow

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From asyncio."""
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(_HIGH, _LOW)
        self.transport = transport
        self.owner.made(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  (asyncio's own signature)
        """Where asyncio reads into."""
        return self.owner.buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read."""
        flow, owner = self.outgoing, self.owner
        owner.last = self
        flow.received += nbytes
        first = flow.first
        if first is not None:
            first.push(bytes(owner.buffer.view[:nbytes]))
            return
        if flow.ended is not None:
            return
        transport = flow.sink.transport
        assert transport is not None
        flow.sent += nbytes
        transport.write(owner.buffer.view[:nbytes])
        if transport.get_write_buffer_size():
            owner.buffer.renew()  # later Pythons keep the piece that was not sent, and do not copy it

    def eof_received(self) -> bool:
        """From asyncio; the socket stays open for the other direction."""
        self.owner.last = self
        self.outgoing.enter(End.EOF)
        return True

    def pause_writing(self) -> None:
        """From asyncio: this side takes no more for now."""
        self.incoming.brake()

    def resume_writing(self) -> None:
        """From asyncio: it does again."""
        self.incoming.release()

    def connection_lost(self, exc: Exception | None) -> None:
        """From asyncio."""
        self.transport = None
        self.owner.lost(self, exc)

    def close(self) -> None:
        """Send what was written, then close."""
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """Close with a reset; what was not sent is dropped."""
        if self.transport is not None:
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()


class Flow:
    """One direction; itself what stands behind its last stage."""

    __slots__ = ("brakes", "ended", "entered", "first", "owner", "received", "sent", "sink", "source", "stages")

    def __init__(self, owner: Owner, source: Side, sink: Side) -> None:
        self.owner, self.source, self.sink = owner, source, sink
        source.outgoing = sink.incoming = self
        self.stages: list[Stage] = []
        self.first: Stage | None = None
        self.entered: End | None = None
        """How the source ended."""
        self.ended: End | None = None
        """How the sink was told that it ended."""
        self.brakes = 1
        """How many want the source not to be read; at first it is the connection itself."""
        self.received = self.sent = 0

    def enter(self, how: End) -> None:
        """The source ended; a worse end may follow a better one."""
        if self.entered is None or self.entered < how:
            self.entered = how
            (self.first or self).end(how)

    def push(self, data: bytes) -> None:
        """Data has passed the last stage."""
        transport = self.sink.transport
        if self.ended is None and transport is not None:
            self.sent += len(data)
            transport.write(data)

    def end(self, how: End) -> None:
        """The end has passed the last stage."""
        if self.ended is not None and self.ended >= how:
            return
        self.ended = how
        if how is End.EOF and self.sink.transport is not None and self.sink.transport.can_write_eof():
            try:
                self.sink.transport.write_eof()
            except OSError as error:
                # The other side reset the connection a moment ago: it is over in both directions, and asyncio says so
                # next. Anything else is a mistake of ours.
                if error.errno != errno.ENOTCONN:
                    raise
        self.owner.arrived(self)

    def brake(self) -> None:
        """One more wants the source not to be read."""
        self.brakes += 1
        if self.brakes == 1 and self.source.transport is not None:
            self.source.transport.pause_reading()

    def release(self) -> None:
        """One fewer."""
        self.brakes -= 1
        if self.brakes == 0 and self.source.transport is not None:
            self.source.transport.resume_reading()

    def insert(self, stage: Stage) -> None:
        """Put a stage where its order says."""
        self.stages.append(stage)
        self.stages.sort(key=lambda one: one.order)
        self._link()

    def remove(self, stage: Stage) -> None:
        """Take a stage out, after it let go of what it held; one that took itself out is gone already."""
        if stage in self.stages:
            self.stages.remove(stage)
            self._link()

    def dispose(self) -> None:
        """The connection is over: no stage does anything any more."""
        self.ended = End.RESET if self.ended is None else self.ended
        for stage in self.stages:
            stage.dispose()

    def _link(self) -> None:
        following: Stage | Flow = self
        for stage in reversed(self.stages):
            stage.following = following
            following = stage
        self.first = self.stages[0] if self.stages else None


class Line(Stage):
    """A stage that holds pieces back until their time, in order."""

    limit = 8 * 1024 * 1024
    """Bytes held from which on the source is not read."""

    def __init__(self, flow: Flow, active: Active) -> None:
        super().__init__(flow, active)
        self.queue: deque[tuple[float, bytes | End]] = deque()
        self.held = 0
        self.until = 0.0
        """When the last piece is due."""
        self.braking = False
        self.timer: asyncio.TimerHandle | None = None

    def put(self, item: bytes | End, delay: float) -> None:
        """Pass on after `delay` seconds, and never before what came before."""
        now = self.loop.time()
        self.put_at(item, max(self.until, now + delay) if self.queue else now + delay, now)

    def put_at(self, item: bytes | End, when: float, now: float) -> None:
        """Pass on at that time of the loop, which is not before that of the last piece."""
        if not self.queue and when <= now:
            self._forward(item)
            return
        self.until = when
        self.queue.append((when, item))
        if not isinstance(item, End):
            self.held += len(item)
            if self.held > self.limit and not self.braking:
                self.braking = True
                self.flow.brake()
        if self.timer is None:
            self.timer = self.loop.call_at(when, self._due)

    def end(self, how: End) -> None:
        """Behind everything that is held."""
        self.put(how, 0)

    def changed(self) -> None:
        """What is held was promised under other terms; it goes on now."""
        self.leave()

    def leave(self) -> None:
        """Everything that is held goes on now."""
        self._stop()
        while self.queue:
            self._take()
        self._slacken()

    def dispose(self) -> None:
        """The connection is over."""
        self._stop()
        self.queue.clear()

    def _due(self) -> None:
        self.timer = None
        now = self.loop.time() + _LATE
        while self.queue and self.queue[0][0] <= now:
            self._take()
        if self.queue and self.timer is None:
            self.timer = self.loop.call_at(self.queue[0][0], self._due)
        self._slacken()

    def _take(self) -> None:
        _, item = self.queue.popleft()
        if not isinstance(item, End):
            self.held -= len(item)
        self._forward(item)

    def _forward(self, item: bytes | End) -> None:
        if isinstance(item, End):
            self.following.end(item)
        else:
            self.following.push(item)

    def _slacken(self) -> None:
        if self.braking and self.held <= self.limit // 2:
            self.braking = False
            self.flow.release()

    def _stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
