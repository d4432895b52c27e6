"""A proxy that stands already: found by where it listens, asked by the API that it has in common with toxiproxy."""

from __future__ import annotations

import json
import os
import socket
from typing import NamedTuple

from mainstay.adapters.faults.edges.taking_back import remove_toxic
from mainstay.adapters.faults.packets import sockets
from mainstay.adapters.faults.places import Address, address
from mainstay.adapters.faults.processes import every
from mainstay.adapters.proxy import Toxic
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError, NotAllowed, SourceUnavailable
from mainstay.kernel.journal import Data

_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class StandingProxy:
    """One proxy of a server with toxiproxy's API.

    Args:
        api: where the API is.
        upstream: where it passes things on.
    """

    api: Address
    name: str
    upstream: Address

    def add(self, toxic: Toxic) -> None:
        """Put a toxic in force.

        Raises:
            NotAllowed: it does not know that kind.
            SourceUnavailable: it does not answer.
        """
        answer = _ask("POST", self.api, f"/proxies/{self.name}/toxics", {
            "type": toxic.type, "name": toxic.name, "stream": toxic.stream, "toxicity": toxic.toxicity,
            "attributes": dict(toxic.attributes)})
        if answer.status >= 300:
            raise NotAllowed(f"the proxy at {self.api.shown} does not take the toxic {toxic.type}: {answer.text:.200}",
                             "run Mainstay's own proxy there")

    def remove(self, toxic: Toxic) -> None:
        """Take a toxic out.

        Raises:
            SourceUnavailable: it does not answer as it must.
        """
        remove_toxic(self.undo(toxic), None, "")

    def undo(self, toxic: Toxic) -> Data:
        """What takes it out, for the act `remove-toxic`."""
        return {"host": self.api.host, "port": self.api.port, "proxy": self.name, "toxic": toxic.name}


def at(listen: Address) -> StandingProxy | None:
    """The proxy that listens there; None when nobody does.

    Raises:
        InvalidInput: somebody listens there who is no such proxy.
    """
    everyone = [one for one in sockets.endpoints(socket.IPPROTO_TCP) if one.listens]
    here = [one for one in everyone if one.port == listen.port and (one.wild or one.host == listen.host)]
    if not here:
        return None
    wanted = {one.inode for one in here}
    for pid in every():
        held = sockets.held_by([pid])
        if not held & wanted or pid == os.getpid():
            continue
        for one in everyone:
            if one.inode in held and one.inode not in wanted:
                found = _proxy(Address("127.0.0.1" if one.wild else one.host, one.port), listen)
                if found is not None:
                    return found
    raise InvalidInput(f"somebody listens at {listen.shown} who is no proxy with toxiproxy's API",
                       "let `listen` name the proxy that the workload calls, or leave it out")


def _proxy(api: Address, listen: Address) -> StandingProxy | None:
    try:
        answer = _ask("GET", api, "/proxies")
        known = json.loads(answer.text) if answer.status == 200 else {}
    except (SourceUnavailable, ValueError):
        return None
    for name, one in known.items() if isinstance(known, dict) else ():
        try:
            where = address(str(one["listen"]))
        except (MainstayError, KeyError, TypeError):
            continue
        if where.port == listen.port:
            return StandingProxy(api, str(name), address(str(one["upstream"])))
    return None


class _Answer(NamedTuple):
    status: int
    text: str


def _ask(method: str, api: Address, path: str, content: object = None) -> _Answer:
    import httpx  # noqa: PLC0415  (a lazy start: a tenth of a second that listing mechanisms need not cost)

    try:
        said = httpx.request(method, f"http://{api.shown}{path}", json=content, timeout=_SECONDS, trust_env=False)
        return _Answer(said.status_code, said.text)
    except httpx.HTTPError as problem:
        raise SourceUnavailable(f"the proxy's API at {api.shown} does not answer: {problem}", "") from problem
