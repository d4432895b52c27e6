"""The proxies of one loop, by name: opened, changed and closed so that a failure leaves everything as it was."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace

from mainstay.adapters.proxy.address import parse
from mainstay.adapters.proxy.flow import Buffer
from mainstay.adapters.proxy.listener import AnyListener, bind, listener, resolve
from mainstay.adapters.proxy.toxic import Proxy, Toxic, check_name
from mainstay.kernel.errors import Conflict, InvalidInput, MainstayError, NotFound

Declared = tuple[Proxy, tuple[Toxic, ...]]
"""A proxy with the toxics that are on it from its first connection on."""


class Room:
    """All proxies.

    Args:
        seed: all draws follow from it, and from the names of proxies and toxics.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.proxies: dict[str, AnyListener] = {}
        self._buffer = Buffer()
        self._lock = asyncio.Lock()

    def get(self, name: str) -> AnyListener:
        """The proxy of that name.

        Raises:
            NotFound: there is none.
        """
        if name not in self.proxies:
            raise NotFound("proxy not found", f"there are: {', '.join(self.proxies) or 'none'}")
        return self.proxies[name]

    async def open(self, proxy: Proxy, toxics: Sequence[Toxic] = ()) -> AnyListener:
        """Make a proxy; its toxics are in force before it listens, so that no connection escapes them.

        Raises:
            Conflict: there is one of that name.
            InvalidInput: its address, upstream or a toxic cannot be; nothing was begun.
        """
        async with self._lock:
            check_name("proxy", proxy.name)
            if proxy.name in self.proxies:
                raise Conflict("proxy already exists", f"close {proxy.name} first, or take another name")
            made = await self._made(proxy, toxics)
            self.proxies[proxy.name] = made
            return made

    async def change(self, name: str, *, listen: str = "", upstream: str = "", enabled: bool | None = None,
                     ) -> AnyListener:
        """Other addresses, or on and off. Other addresses end all connections, as in toxiproxy; toxics stay.

        Raises:
            NotFound, InvalidInput: there is no such proxy, or it cannot be so; it stays as it was.
        """
        async with self._lock:
            here = self.get(name)
            now = here.proxy
            wanted = replace(now, listen=listen or now.listen, upstream=upstream or now.upstream,
                             enabled=now.enabled if enabled is None else enabled)
            if wanted == now:
                return here
            resolved = await resolve(wanted.upstream, "upstream", udp=now.udp)
            starts = wanted.enabled and (wanted.listen != now.listen or not now.enabled)
            sock = await bind(wanted.listen, udp=now.udp) if starts else None
            if sock is not None or not wanted.enabled:
                here.stop()
                here.proxy = replace(here.proxy, listen=wanted.listen)
            here.turn(wanted.upstream, resolved)
            if sock is not None:
                await here.start(sock)
            return here

    async def close(self, name: str) -> None:
        """End a proxy and its connections.

        Raises:
            NotFound: there is none of that name.
        """
        async with self._lock:
            self.get(name).stop()
            del self.proxies[name]

    async def populate(self, declared: Sequence[Declared]) -> list[AnyListener]:
        """Make these proxies; one that is there with the same addresses stays with its toxics, another is replaced.

        Raises:
            InvalidInput: one of them cannot be. What was made is taken back, what was there and is not replaced stays.
        """
        names = [proxy.name for proxy, _ in declared]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise InvalidInput(f"proxy {twice[0]} is declared twice")
        async with self._lock:
            for proxy, _ in declared:
                if proxy.enabled:
                    await resolve(proxy.upstream, "upstream", udp=proxy.udp)
                    await resolve(proxy.listen or ":0", "listen", udp=proxy.udp)
            made: dict[str, AnyListener] = {}
            try:
                for proxy, toxics in sorted(declared, key=lambda one: one[0].name in self.proxies):
                    if not self._is_there(proxy):
                        if proxy.name in self.proxies:
                            self.proxies.pop(proxy.name).stop()
                        made[proxy.name] = await self._made(proxy, toxics)
                    elif toxics:
                        self._set_toxics(self.proxies[proxy.name], toxics)
            except MainstayError:
                for one in made.values():
                    one.stop()
                raise
            self.proxies |= made
            return [self.proxies[name] for name in names]

    async def reset(self) -> None:
        """All toxics away, all proxies on."""
        for name, one in list(self.proxies.items()):
            for toxic in list(one.toxics):
                one.remove(toxic)
            if not one.proxy.enabled:
                await self.change(name, enabled=True)

    async def shut(self) -> None:
        """End everything."""
        async with self._lock:
            for one in self.proxies.values():
                one.stop()
            self.proxies.clear()
        # Whoever was just being let in, or connected, is still to be told.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left, timeout=1)
        await asyncio.sleep(0)

    def _is_there(self, proxy: Proxy) -> bool:
        """Whether it is there with these addresses. A free port that was asked for is any port that it got."""
        here = self.proxies.get(proxy.name)
        if here is None or here.proxy.udp != proxy.udp or here.upstream != parse(proxy.upstream, "upstream"):
            return False
        wanted, real = parse(proxy.listen or ":0", "listen"), parse(here.proxy.listen or ":0", "listen")
        # `localhost` was written, 127.0.0.1 is what the socket says.
        same_host = wanted[0] == real[0] or wanted[0] == "localhost"
        return same_host and wanted[1] in (0, real[1])

    @staticmethod
    def _set_toxics(here: AnyListener, toxics: Sequence[Toxic]) -> None:
        settled = [one.settled(udp=here.proxy.udp) for one in toxics]
        if settled == [active.toxic for active in here.toxics.values()]:
            return
        for name in list(here.toxics):
            here.remove(name)
        for one in settled:
            here.add(one)

    async def _made(self, proxy: Proxy, toxics: Sequence[Toxic]) -> AnyListener:
        settled = [one.settled(udp=proxy.udp) for one in toxics]
        made = listener(replace(proxy, enabled=False), (self.seed,), self._buffer)
        if proxy.enabled:
            made.upstream_address = await resolve(proxy.upstream, "upstream", udp=proxy.udp)
        for one in settled:
            made.add(one)
        if proxy.enabled:
            sock: socket.socket = await bind(proxy.listen or ":0", udp=proxy.udp)
            await made.start(sock)
        return made

