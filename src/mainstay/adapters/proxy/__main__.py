"""The proxies as a process: `python -m mainstay.adapters.proxy --listen 127.0.0.1:0 --die-with PID`.

It says on one line of JSON where its API listens, or why it cannot start. It ends on SIGTERM or SIGINT, when standard
input ends (if that is a pipe), and when the process it is to die with is gone, whichever is first.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import select
import signal
import stat
import sys
import threading
import time
from pathlib import Path

from mainstay.adapters.proxy.api import Api, read_config
from mainstay.adapters.proxy.room import Room
from mainstay.kernel.errors import MainstayError

_PR_SET_PDEATHSIG = 1
_GRACE = 2.0
"""Seconds for an orderly end after the process is gone that this one dies with."""


def main() -> int:
    """Run until told to end; 0, or 2 when it could not start."""
    asked = _asked()
    if asked.die_with and asked.die_with == os.getppid():
        # The kernel tells when the *thread* that started this ends, too; the handler looks whether it was the process.
        signal.signal(signal.SIGUSR1, lambda *_: _leave() if os.getppid() != asked.die_with else None)
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1)
    try:
        asyncio.run(_run(asked))
    except MainstayError as error:
        _say({"error": error.message, "way_out": error.way_out})
        return error.exit_code
    return 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mainstay.adapters.proxy", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8474", help="where the API listens; port 0 takes a free one")
    parser.add_argument("--config", type=Path, help="proxies to begin with: toxiproxy's JSON list")
    parser.add_argument("--seed", type=int, default=0, help="all draws follow from it")
    parser.add_argument("--die-with", type=int, default=0, metavar="PID", help="end when that process is gone")
    parser.add_argument("--anywhere", action="store_true", help="the API may listen on addresses that others reach")
    return parser.parse_args()


async def _run(asked: argparse.Namespace) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    room = Room(asked.seed)
    api = Api(room, anywhere=asked.anywhere)
    try:
        if asked.config is not None:
            await room.populate(read_config(asked.config))
        await api.start(asked.listen)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, over.set)
        if asked.die_with:
            _watch(asked.die_with, loop, over)
        if stat.S_ISFIFO(os.fstat(0).st_mode):
            loop.add_reader(0, lambda: None if os.read(0, 4096) else over.set())
        _say({"api": api.address, "pid": os.getpid()})
        await over.wait()
    finally:
        api.stop()
        await room.shut()


def _watch(pid: int, loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    """End when that process does. A thread of its own looks too: a loop that is stuck must not outlive it."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        over.set()
        return
    loop.add_reader(watched, over.set)

    def wait() -> None:
        select.select([watched], [], [])
        time.sleep(_GRACE)
        _leave()

    threading.Thread(target=wait, name="die-with", daemon=True).start()


def _leave() -> None:
    os._exit(0)


def _say(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
