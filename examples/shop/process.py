"""The life of one process of the shop: from its start, over its announcement, to its end."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import signal
import sys
from contextlib import suppress

from shop.run_folder import Record, RunFolder, describe_me
from shop.server import Server
from shop.service import Service, Settings
from shop.services import TRADES

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_DRAIN_SECONDS = 5.0
_LOOK_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


async def run_service(settings: Settings, folder: RunFolder, port: int, beside: Record | None = None) -> None:
    """Serve until told to stop, then finish the requests in hand.

    `beside` is a supervisor that did not start this service: when it is gone, the service stops as well.
    With port 0 it takes the port it had before in this run folder. The first time, or when a stranger has that port
    now, it takes any; the others find it by its record.
    """
    stop = asyncio.Event()
    for number in STOPPING:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    before = folder.record(settings.instance)
    server = Server(Service(settings, TRADES[settings.service], folder).answer)
    try:
        taken = await server.start(port or (before.port if before else 0))
    except OSError as error:
        if port or error.errno != errno.EADDRINUSE:
            raise
        taken = await server.start(0)
    folder.write_record(describe_me(settings.service, settings.instance, taken, settings.version))
    while not stop.is_set() and (beside is None or beside.alive()):
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), None if beside is None else _LOOK_SECONDS)
    await server.drain(_DRAIN_SECONDS)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends, also when that one is killed with -9.

    A killed parent, such as the supervisor, cannot tell its children anything, as no handler of it runs any more. The
    kernel can: with PR_SET_PDEATHSIG it sends us a signal when our parent ends. The setting would survive `exec`, but
    is made here, in the child itself, because running Python between `fork` and `exec` of the parent is not safe. The
    parent may have ended before we asked; then we belong to somebody else already, and leave.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != parent:
        sys.exit(f"process {parent} is not, or no longer, the parent of this one")
