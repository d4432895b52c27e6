"""A network of its own with a workload in it and a neighbour beside it; all is gone when the block is left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mainstay.adapters.faults.packets.mechanism import Packets, rehearsed
from mainstay.kernel.faults import Injection, Order, Undo
from mainstay.kernel.finding import Position
from mainstay.kernel.workload import At, Workload

HERE = Path(__file__).parent


class Town:
    """The workload listens at `port`, the neighbour at `other`."""

    def __init__(self, pid: int, ports: Sequence[int]) -> None:
        self.pid = pid
        self.port, self.other = ports
        self.undos: list[Undo] = []

    def workload(self, port: int = 0, host: str = "127.0.0.1") -> Workload:
        at = f"[{host}]:{port or self.port}" if ":" in host else f"{host}:{port or self.port}"
        return Workload("echo", Position("catalog.yaml", 1, 1), pid=At(str(self.pid)), address=At(at))

    def order(self, kind: str, share: float = 1.0, seed: int = 1, seconds: float = 30.0, host: str = "127.0.0.1",
              **settings: float | str) -> Order:
        return Order(kind, self.workload(host=host), settings=settings, share=share, seed=seed, seconds=seconds)

    def see(self, what: str, **asked: Any) -> Any:
        """What somebody in that network sees."""
        ended = subprocess.run([sys.executable, str(HERE / "inside.py"), str(self.pid), what, json.dumps(asked)],
                               capture_output=True, text=True, timeout=120, check=False)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def meanwhile(self, what: str, **asked: Any) -> subprocess.Popen[str]:
        """The same beside something else; its `communicate()` has the line."""
        return subprocess.Popen([sys.executable, str(HERE / "inside.py"), str(self.pid), what, json.dumps(asked)],
                                stdout=subprocess.PIPE, text=True)

    @contextmanager
    def fault(self, order: Order) -> Iterator[Injection]:
        injection = Packets().inject(order, self.undos.extend)
        try:
            yield injection
        finally:
            injection.remove()


def lacking() -> str:
    """What this kernel cannot do of what rules and queues need; traffic control is looked at where it is tried."""
    return "; ".join(f"{name}: {why}" for name, why in rehearsed().items() if why and name not in ("htb", "netem"))


@contextmanager
def town() -> Iterator[Town]:
    """Skips, with a counted reason, where the kernel lets nobody have a network of their own."""
    if lacking():
        pytest.skip(f"this kernel cannot do this with packets: {lacking()}")
    server = subprocess.Popen([sys.executable, str(HERE / "echo_server.py")], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    try:
        said = json.loads(server.stdout.readline())  # type: ignore[union-attr]
        yield Town(said["pid"], said["ports"])
    finally:
        server.stdin.close()  # type: ignore[union-attr]
        server.wait(60)
        server.stdout.close()  # type: ignore[union-attr]
