"""Proxies in a process of their own: it outlives a slow runner, and no runner that died.

The child ends when its standard input does, when the process it was told to die with is gone, and on SIGTERM.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote

from mainstay.adapters.proxy.address import parse
from mainstay.adapters.proxy.counts import Statistics, ToxicCount
from mainstay.adapters.proxy.messages import Framing, Kind
from mainstay.adapters.proxy.toxic import Proxy, Toxic, read_proxy, read_toxic
from mainstay.kernel.errors import Conflict, InvalidInput, MainstayError, NotAllowed, NotFound, SourceUnavailable

_LONGEST_START = 20.0
_LONGEST_ANSWER = 30.0
_LONGEST_END = 5.0
_ERRORS: dict[int, type[MainstayError]] = {400: InvalidInput, 403: NotAllowed, 404: NotFound, 409: Conflict}


class ProxyProcess:
    """A set of proxies in a child process, while the context lasts; asked as a `ProxyServer` is, by one thread only.

    Args:
        seed: all draws follow from it.
        listen: where its HTTP API listens.
    """

    def __init__(self, seed: int = 0, listen: str = "127.0.0.1:0") -> None:
        self._argv = [sys.executable, "-m", "mainstay.adapters.proxy", "--listen", listen, "--seed", str(seed),
                      "--die-with", str(os.getpid())]
        self._child: subprocess.Popen[bytes]
        self._line: socket.socket | None = None
        self.api = ""
        """The real address of its HTTP API."""

    @property
    def pid(self) -> int:
        """The child's process number."""
        return self._child.pid

    def __enter__(self) -> ProxyProcess:
        """Start, and wait until it listens.

        Raises:
            InvalidInput, SourceUnavailable: it cannot.
        """
        # A session of its own: Ctrl-C is for the runner, which still wants to take its faults away in order.
        self._child = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       start_new_session=True)
        assert self._child.stdout is not None
        ready, _, _ = select.select([self._child.stdout], [], [], _LONGEST_START)
        said = self._child.stdout.readline() if ready else b""
        try:
            first = json.loads(said)
        except ValueError:
            self._end()
            raise SourceUnavailable("the proxy's process did not start", "see what it wrote above") from None
        if "error" in first:
            self._end()
            raise InvalidInput(first["error"], first.get("way_out", ""))
        self.api = first["api"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End the child, and with it all proxies."""
        self._end()

    def open(self, proxy: Proxy, toxics: Sequence[Toxic] = ()) -> str:
        """Make a proxy, with toxics that are in force before it listens; its real address."""
        made = self._ask("POST", ("proxies",), {
            "name": proxy.name, "listen": proxy.listen, "upstream": proxy.upstream, "enabled": proxy.enabled,
            "protocol": "udp" if proxy.udp else "tcp", "toxics": [_written(one) for one in toxics]})
        return str(made["listen"])

    def close(self, proxy: str) -> None:
        """End a proxy and its connections."""
        self._ask("DELETE", ("proxies", proxy))

    def enable(self, proxy: str, *, on: bool) -> None:
        """Listen, or refuse everybody and end all connections."""
        self._ask("PATCH", ("proxies", proxy), {"enabled": on})

    def add(self, proxy: str, toxic: Toxic) -> Toxic:
        """Put a toxic in force; it with its name and all attributes."""
        return read_toxic(self._ask("POST", ("proxies", proxy, "toxics"), _written(toxic)))

    def change(self, proxy: str, toxic: str, *, toxicity: float | None = None, **attributes: object) -> Toxic:
        """Change a toxic; what is not given stays."""
        return read_toxic(self._ask("PATCH", ("proxies", proxy, "toxics", toxic),
                                    {"toxicity": toxicity, "attributes": attributes}))

    def remove(self, proxy: str, toxic: str) -> None:
        """Take a toxic away; bytes that it held go on at once."""
        self._ask("DELETE", ("proxies", proxy, "toxics", toxic))

    def reset(self) -> None:
        """Take all toxics away and enable all proxies."""
        self._ask("POST", ("reset",))

    def proxies(self) -> Mapping[str, tuple[Proxy, tuple[Toxic, ...]]]:
        """All proxies by name, with the toxics in force."""
        return {name: read_proxy(one) for name, one in self._ask("GET", ("proxies",)).items()}

    def statistics(self, proxy: str) -> Statistics:
        """What a proxy did until now."""
        said = self._ask("GET", ("proxies", proxy, "statistics"))
        del said["bystanders"]
        return Statistics(**{**said, "toxics": {name: ToxicCount(**one) for name, one in said["toxics"].items()}})

    def _ask(self, method: str, path: Sequence[str], content: object = None) -> Any:
        body = b"" if content is None else json.dumps(content).encode()
        target = "/".join(quote(part, safe="") for part in path)
        head = f"{method} /{target} HTTP/1.1\r\nhost: {self.api}\r\ncontent-length: {len(body)}\r\n\r\n"
        try:
            if self._line is None:
                self._line = socket.create_connection(parse(self.api, "api"), _LONGEST_ANSWER)
            self._line.sendall(head.encode() + body)
            status, said = _response(self._line, method)
        except OSError as error:
            self._hang_up()
            raise SourceUnavailable(f"the proxy's process does not answer: {error or type(error).__name__}",
                                    "it may have been killed; its proxies are gone then") from error
        if status < 300:
            return json.loads(said) if said else None
        failed = json.loads(said)
        raise _ERRORS.get(status, SourceUnavailable)(failed["error"], failed.get("way_out", ""))

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _end(self) -> None:
        self._hang_up()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._child.wait(_LONGEST_END)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def _response(line: socket.socket, method: str) -> tuple[int, bytes]:
    """Status and body of the next response."""
    framing, status, body = Framing(lambda: method), 0, b""
    while data := line.recv(65536):
        for piece in framing.feed(data):
            status = piece.head.status if piece.head is not None else status
            body += piece.data if piece.kind is Kind.BODY else b""
            if piece.kind is Kind.END:
                return status, body
    raise ConnectionResetError("it closed the connection")


def _written(toxic: Toxic) -> dict[str, Any]:
    return {"type": toxic.type, "name": toxic.name, "stream": toxic.stream, "toxicity": toxic.toxicity,
            "attributes": dict(toxic.attributes)}
