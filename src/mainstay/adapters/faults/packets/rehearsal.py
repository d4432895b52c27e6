"""What this kernel can do with packets, tried in a network of its own that nobody else is in and that ends with it.

One line of JSON: for each ability what stands in its way, empty when nothing does. It changes nothing of the host.
"""

from __future__ import annotations

import json
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from mainstay.adapters.faults.packets import nftables as nft
from mainstay.adapters.faults.packets import sockets
from mainstay.adapters.faults.packets.impairment import Impairment
from mainstay.adapters.faults.packets.namespaces import loopback_up, own_network
from mainstay.adapters.faults.packets.task import QUEUE, RESET, Lead, Place, Task, Way

_LATE = 0.02
_WHERE = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
_HOST = "127.0.0.1"


def main() -> int:
    """Try everything."""
    try:
        own_network()
        loopback_up()
    except OSError as error:
        why = f"no network of its own: {error.strerror or error}"
        found = dict.fromkeys(_TRIALS, why)
    else:
        found = {name: _tried(trial) for name, trial in _TRIALS.items()}
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _tried(trial: Callable[[], str]) -> str:
    try:
        return trial()
    except OSError as error:
        return error.strerror or str(error)


def _with_rules(task: Task, queues: tuple[int, int], port: int = 0) -> nft.OwnTable:
    from mainstay.adapters.faults.packets.rules import rules  # noqa: PLC0415  (a lazy start: one of several trials)

    table = nft.OwnTable(nft.IPV4, "mainstay-rehearsal")
    table.put(*rules(task, nft.IPV4, queues, native=not nft.has_queue_target(), port=port))
    return table


def _dropped() -> str:
    with socket.create_server((_HOST, 0)) as server:
        task = Task("", (Place(2, nft.TCP, _HOST, server.getsockname()[1]),), incoming=Way("drop"))
        table = _with_rules(task, (1, 2))
        silent = not _connects(server)
        table.close()
        return "" if silent and _connects(server) else "a rule of its own is not in effect, or stays when it is closed"


def _reset() -> str:
    with socket.create_server((_HOST, 0)) as server:
        task = Task("", (Place(2, nft.TCP, _HOST, server.getsockname()[1]),), incoming=Way(RESET), share=0.999)
        table = _with_rules(task, (1, 2))
        try:
            with socket.create_connection(server.getsockname(), 0.2) as one:
                one.recv(1)
        except ConnectionResetError:
            return ""
        finally:
            table.close()
        return "a connection was not reset"


def _queued() -> str:
    from mainstay.adapters.faults.packets.waiting_room import (  # noqa: PLC0415  (a lazy start: one of several trials)
        Direction,
        WaitingRoom,
    )

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((_HOST, 0))
        one.setblocking(False)
        task = Task("", (Place(2, nft.UDP, _HOST, one.getsockname()[1]),), incoming=Way(QUEUE))
        room = WaitingRoom([Direction(1, Impairment(latency=_LATE))], 0)
        table = _with_rules(task, (1, 2))
        one.sendto(b"x", one.getsockname())
        began = time.monotonic()
        while time.monotonic() < began + 1:
            select.select([room.fileno(), one.fileno()], [], [], _LATE / 4)
            room.take()
            room.let_go(time.monotonic())
            if select.select([one], [], [], 0)[0]:
                break
        late = time.monotonic() - began
        table.close()
        room.close()
        return "" if _LATE <= late < 1 else f"a packet that was to be {_LATE * 1000:g} ms late was not"


def _led() -> str:
    with socket.create_server((_HOST, 0)) as server:
        places = (Place(2, nft.TCP, "127.0.0.2", 9), Place(2, nft.UDP, "127.0.0.2", 9))
        task = Task("", places, lead=Lead((), server.getsockname()[1]))
        _with_rules(task, (1, 2), server.getsockname()[1]).close()
        return ""


def _aborted() -> str:
    with socket.create_server((_HOST, 0)) as server, socket.create_connection(server.getsockname()):
        port = server.getsockname()[1]
        ended = sockets.end(one for one in sockets.endpoints(socket.IPPROTO_TCP) if one.peer_port == port)
        return "" if ended else "a connection could not be ended"


def _raw() -> str:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).close()
    return ""


def _shaped(*inner: str) -> Callable[[], str]:
    """Whether traffic control takes such a discipline."""
    def trial() -> str:
        program = shutil.which("tc", path=_WHERE)
        if program is None:
            return "tc is not installed"
        done = subprocess.run([program, "qdisc", "add", "dev", "lo", "root", *inner], capture_output=True, text=True,
                              check=False, timeout=5)
        if done.returncode:
            return done.stderr.strip().removeprefix("Error: ").splitlines()[0]
        subprocess.run([program, "qdisc", "del", "dev", "lo", "root"], capture_output=True, check=False, timeout=5)
        return ""

    return trial


def _connects(server: socket.socket) -> bool:
    with socket.socket() as one:
        one.settimeout(0.1)
        return one.connect_ex(server.getsockname()) == 0


_TRIALS: dict[str, Callable[[], str]] = {"drop": _dropped, "reset": _reset, "queue": _queued, "lead": _led,
                                         "abort": _aborted, "raw": _raw, "htb": _shaped("htb", "default", "0"),
                                         "netem": _shaped("netem", "delay", "1ms")}

if __name__ == "__main__":
    sys.exit(main())
