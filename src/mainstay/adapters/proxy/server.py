"""Proxies in a thread of their own, asked synchronously from any thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from mainstay.adapters.proxy.api import Api, read_config
from mainstay.adapters.proxy.counts import Statistics
from mainstay.adapters.proxy.room import Room
from mainstay.adapters.proxy.toxic import Proxy, Toxic
from mainstay.kernel.errors import SourceUnavailable

_Answer = TypeVar("_Answer")
_LONGEST = 30.0
"""Seconds that an answer of the loop may take; resolving a name is the slowest thing in it."""


class ProxyServer:
    """A set of proxies that runs while the context lasts.

        with ProxyServer(seed=7) as server:
            address = server.open(Proxy("cache", "127.0.0.1:0", "127.0.0.1:6379"))
            server.add("cache", Toxic("latency", attributes={"latency": 180}))
            …
            server.statistics("cache").victims

    Args:
        api: where toxiproxy's HTTP API listens, `host:port`; empty for none.
        seed: all draws follow from it.
        anywhere: the API may listen on, and be asked by, other addresses than this machine's own.
    """

    def __init__(self, api: str = "", seed: int = 0, *, anywhere: bool = False) -> None:
        self._wanted, self._seed, self._anywhere = api, seed, anywhere
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="mainstay-proxy", daemon=True)
        self._room: Room
        self._api: Api | None = None

    @property
    def api(self) -> str:
        """The real address of the HTTP API; empty when there is none."""
        return "" if self._api is None else self._api.address

    def __enter__(self) -> ProxyServer:
        """Start.

        Raises:
            InvalidInput: the API cannot listen there.
        """
        self._thread.start()
        try:
            self._ask(self._begin())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End all proxies and connections."""
        self._end()

    def open(self, proxy: Proxy, toxics: Sequence[Toxic] = ()) -> str:
        """Make a proxy, with toxics that are in force before it listens; its real address.

        Raises:
            Conflict: there is one of that name.
            InvalidInput: an address cannot be used or resolved, or a toxic cannot be; nothing was begun.
        """
        return self._ask(self._room.open(proxy, toxics)).proxy.listen

    def close(self, proxy: str) -> None:
        """End a proxy and its connections.

        Raises:
            NotFound: there is none of that name.
        """
        self._ask(self._room.close(proxy))

    def enable(self, proxy: str, *, on: bool) -> None:
        """Listen, or refuse everybody and end all connections.

        Raises:
            NotFound, InvalidInput: there is no such proxy, or its port is taken now.
        """
        self._ask(self._room.change(proxy, enabled=on))

    def add(self, proxy: str, toxic: Toxic) -> Toxic:
        """Put a toxic in force, on connections that are there too; it with its name and all attributes.

        Raises:
            NotFound, Conflict, InvalidInput: there is no such proxy, there is such a toxic, or it cannot be.
        """
        return self._call(lambda: self._add(proxy, toxic))

    def change(self, proxy: str, toxic: str, *, toxicity: float | None = None, **attributes: object) -> Toxic:
        """Change a toxic; what is not given stays. A higher toxicity meets whom it met before, and more.

        Raises:
            NotFound, InvalidInput: there is no such proxy or toxic, or it cannot be so.
        """
        return self._call(lambda: self._room.get(proxy).change(toxic, toxicity, attributes))

    def remove(self, proxy: str, toxic: str) -> None:
        """Take a toxic away; bytes that it held go on at once.

        Raises:
            NotFound: there is no such proxy or toxic.
        """
        self._call(lambda: self._room.get(proxy).remove(toxic))

    def reset(self) -> None:
        """Take all toxics away and enable all proxies."""
        self._ask(self._room.reset())

    def proxies(self) -> Mapping[str, tuple[Proxy, tuple[Toxic, ...]]]:
        """All proxies by name, with the toxics in force."""
        return self._call(lambda: {name: (one.proxy, tuple(active.toxic for active in one.toxics.values()))
                                   for name, one in self._room.proxies.items()})

    def statistics(self, proxy: str) -> Statistics:
        """What a proxy did until now.

        Raises:
            NotFound: there is none of that name.
        """
        return self._call(lambda: self._room.get(proxy).statistics())

    def populate(self, config: Path) -> None:
        """Make the proxies of a file as toxiproxy reads them: a JSON list; each may have `toxics`.

        Raises:
            InvalidInput: the file cannot be read or used.
        """
        declared = read_config(config)
        self._ask(self._room.populate(declared))

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _add(self, proxy: str, toxic: Toxic) -> Toxic:
        here = self._room.get(proxy)
        return here.add(toxic.settled(udp=here.proxy.udp))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _begin(self) -> None:
        self._room = Room(self._seed)
        if self._wanted:
            self._api = Api(self._room, anywhere=self._anywhere)
            await self._api.start(self._wanted)

    async def _shut(self) -> None:
        if self._api is not None:
            self._api.stop()
        await self._room.shut()

    def _end(self) -> None:
        if not self._thread.is_alive():
            return
        try:
            self._ask(self._shut())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_LONGEST)

    def _call(self, act: Callable[[], _Answer]) -> _Answer:
        async def acting() -> _Answer:
            return act()
        return self._ask(acting())

    def _ask(self, question: Coroutine[Any, Any, _Answer]) -> _Answer:
        if not self._thread.is_alive():
            question.close()
            raise SourceUnavailable("the proxies do not run", "ask them inside their `with`")
        asked = asyncio.run_coroutine_threadsafe(question, self._loop)
        try:
            return asked.result(_LONGEST)
        except concurrent.futures.TimeoutError as error:
            asked.cancel()
            raise SourceUnavailable(f"the proxies did not answer within {_LONGEST:g} s",
                                    "the machine may be overloaded; try again") from error


def serve(listen: str, config: Path | None, stop: threading.Event, *, told: Callable[[str], None] | None = None,
          server: ProxyServer | None = None) -> dict[str, Statistics]:
    """Run proxies and toxiproxy's API until told to stop; what each proxy did.

    Args:
        listen: where the API listens, `host:port`; port 0 takes a free one.
        config: proxies to begin with, toxiproxy's JSON list.
        stop: set by the caller when it is to end.
        told: called once with the API's real address, when everything listens.
        server: other settings than the default ones (seed, anywhere); `listen` is then its own.
    Raises:
        InvalidInput: an address is taken or cannot be used, or the file is not as it must be.
    """
    with server or ProxyServer(listen) as running:
        if config is not None:
            running.populate(config)
        if told is not None:
            told(running.api)
        stop.wait()
        return {name: running.statistics(name) for name in running.proxies()}
