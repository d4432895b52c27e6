"""One connection through a TCP proxy: two sides, two flows, and the toxics that the draw put on it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from mainstay.adapters.proxy import draw
from mainstay.adapters.proxy.conversation import Conversation
from mainstay.adapters.proxy.counts import ToxicCount
from mainstay.adapters.proxy.flow import Active, Buffer, End, Flow, Side, Stage
from mainstay.adapters.proxy.hello import server_name
from mainstay.adapters.proxy.stages import stage_of
from mainstay.adapters.proxy.toxic import Toxic


class Place(Protocol):
    """What a connection asks of its proxy."""

    loop: asyncio.AbstractEventLoop
    buffer: Buffer
    key: tuple[object, ...]
    upstream: tuple[str, int]
    toxics: dict[str, Active]
    serving: bool

    def opened(self, connection: Connection) -> int:
        """A connection came; its number."""

    def closed(self, connection: Connection, *, served: bool) -> None:
        """It is over; served when the upstream had taken it."""

    def met(self, connection: Connection) -> None:
        """The first toxic is put on it."""


class Connection:
    """One connection; the proxy makes one for each socket it accepts."""

    def __init__(self, place: Place) -> None:
        self.place, self.loop, self.buffer = place, place.loop, place.buffer
        self.client, self.server = Side(self), Side(self)
        self.up, self.down = Flow(self, self.client, self.server), Flow(self, self.server, self.client)
        self.last: Side | None = None
        """The side that something came from last."""
        self.number = 0
        self.victim = self.refused = False
        self.name: str | None = None
        """The server name of its TLS; empty when there is none, None as long as that is open."""
        self._stages: dict[str, list[Stage]] = {}
        self._drawn: dict[str, float] = {}
        self._connecting: asyncio.Task[None] | None = None
        self._arriving = False
        """Whether it is being let in just now."""
        self._served = self._over = self._told = False

    # -- what the sides and flows tell ---------------------------------------------------------------------------------

    def made(self, side: Side) -> None:
        """A side is connected."""
        if side is self.server:
            self._taken()
            return
        assert side.transport is not None
        if not self.place.serving:  # the proxy was closed between accepting and this
            self._over = self._told = True
            side.transport.abort()
            return
        self.number = self.place.opened(self)
        side.transport.pause_reading()
        greeting = Greeting(self)
        self.up.insert(greeting)
        self._arriving = True
        for active in list(self.place.toxics.values()):
            self.apply(active)
            if self._over:
                return
        self._arriving = False
        self._connecting = self.loop.create_task(self._connect())

    def lost(self, side: Side, error: Exception | None) -> None:
        """A side is gone: what it sent before still arrives, with its stages' delay; nothing can be sent to it."""
        other = self.server if side is self.client else self.client
        if self._over or (other.transport is None and self._connecting is None):
            self._close()
            return
        side.incoming.ended = End.RESET
        side.outgoing.enter(End.CLOSE if error is None else End.RESET)

    def arrived(self, flow: Flow) -> None:
        """The end of a direction was passed on to its sink."""
        if flow.ended is End.RESET:
            self.reset()
        elif flow.ended is End.CLOSE or (self.up.ended is not None and self.down.ended is not None):
            self.finish()

    def finish(self) -> None:
        """Close both sides; what was written is still sent."""
        self._dispose()
        self.client.close()
        self.server.close()
        self._gone()

    def reset(self) -> None:
        """Cut both sides off with a reset."""
        self._dispose()
        self.client.reset()
        self.server.reset()
        self._gone()

    def drop(self) -> None:
        """The proxy goes away: both sides at once."""
        self._dispose()
        for side in (self.client, self.server):
            if side.transport is not None:
                side.transport.abort()
        self._gone()

    # -- toxics --------------------------------------------------------------------------------------------------------

    def apply(self, active: Active) -> None:
        """A toxic is in force: draw whether it meets this connection, and put it on if it does."""
        toxic = active.toxic
        if self._over or not self._named(toxic) or toxic.name in self._stages:
            return
        if toxic.type == "refuse" and not self._arriving:
            return  # whoever is in was not refused
        if toxic.name not in self._drawn:
            self._drawn[toxic.name] = draw.share(*self.place.key, toxic.name, self.number)
            if self._drawn[toxic.name] < toxic.toxicity:
                active.count.victims += 1
            else:
                active.count.bystanders += 1
        if self._drawn[toxic.name] >= toxic.toxicity:
            return
        if not self.victim:
            self.victim = True
            self.place.met(self)
        self._put(active)

    def remove(self, active: Active) -> None:
        """The toxic is no longer in force."""
        for stage in self._stages.pop(active.toxic.name, []):
            stage.leave()
            if not stage.stays:
                stage.flow.remove(stage)

    def change(self, active: Active, before: Toxic) -> None:
        """The toxic says something else now; the draw stays, so that a wider one meets whom it met before."""
        name = active.toxic.name
        if before.attributes.get("sni") != active.toxic.attributes.get("sni") or (
                name in self._stages and self._drawn[name] >= active.toxic.toxicity):
            self.remove(active)
        if name in self._stages:
            for stage in list(self._stages[name]):
                stage.changed()
        else:
            if name in self._drawn and before.toxicity <= self._drawn[name] < active.toxic.toxicity:
                active.count.victims += 1
                active.count.bystanders -= 1
            self.apply(active)

    def greeted(self, name: str) -> None:
        """The client has said which server it wants, or that it does not say."""
        self.name = name
        self._arriving = True
        for active in list(self.place.toxics.values()):
            if active.toxic.attributes.get("sni"):
                self.apply(active)
        self._arriving = False

    def awaits_name(self) -> bool:
        """Whether some toxic is for connections of one server name."""
        return any(active.toxic.attributes.get("sni") for active in self.place.toxics.values())

    def _named(self, toxic: Toxic) -> bool:
        wanted = toxic.attributes.get("sni")
        return not wanted or wanted.lower() == self.name

    def _put(self, active: Active) -> None:
        toxic = active.toxic
        chance = draw.generator(*self.place.key, toxic.name, self.number, "stage")
        stages: list[Stage]
        if toxic.type == "noop":
            stages = []
        elif toxic.type == "refuse":
            active.count.injected += 1
            self.refused = True
            self.reset()
            return
        elif toxic.type.startswith("http_"):
            fresh = not self.up.received and not self.down.received
            stages = Conversation(self, active, chance, fresh=fresh, quiet=self.last is self.server).stages()
        else:
            stages = [stage_of(self.up if toxic.stream == "upstream" else self.down, active, chance)]
        self._stages[toxic.name] = stages
        for stage in stages:
            stage.flow.insert(stage)

    # -- its life ------------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        try:
            await self.loop.create_connection(lambda: self.server, *self.place.upstream)
        except OSError:
            self._connecting = None
            self.reset()
        finally:
            self._connecting = None

    def _taken(self) -> None:
        """The upstream took it."""
        self._served = True
        if self._over or self.client.transport is None:
            self.server.reset()
            return
        self.up.release()
        self.down.release()

    def _dispose(self) -> None:
        if not self._over:
            self._over = True
            self.up.dispose()
            self.down.dispose()
            self._stages.clear()

    def _close(self) -> None:
        self._dispose()
        self._gone()

    def _gone(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        if self.client.transport is None and self.server.transport is None and not self._told:
            self._told = True
            self.place.closed(self, served=self._served)


class Greeting(Stage):
    """The head of the way up until it is known whether this is TLS, and for which server; then it is gone."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.up, Active(Toxic("noop"), -1, ToxicCount()))
        self.connection = connection
        self.seen = bytearray()
        self.passed = 0
        """How many of the bytes seen were passed on; they wait only for a toxic that needs the name."""

    def push(self, data: bytes) -> None:
        """The first bytes."""
        self.seen += data
        name = server_name(self.seen)
        if name is not None:
            self._decide(name)
        elif not self.connection.awaits_name():
            self._pass()

    def end(self, how: End) -> None:
        """It ended before it had said anything."""
        self._decide("")
        (self.flow.first or self.flow).end(how)

    def _decide(self, name: str) -> None:
        self.connection.greeted(name)
        self._pass()
        if self in self.flow.stages:
            self.flow.remove(self)

    def _pass(self) -> None:
        rest = bytes(self.seen[self.passed:])
        self.passed = len(self.seen)
        if rest:
            self.following.push(rest)
