"""The process that holds packets: `python -m mainstay.adapters.faults.packets.holder`.

It takes a task as one line of JSON on standard input, says `{"ready": …}`, and then answers each line with its counts.
It ends, and everything with it, when standard input does, when its time is over, or when it is killed: rules and queues
belong to it, so the kernel takes them away, and what passes is never stopped for want of it.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

from mainstay.adapters.faults.packets import nftables, sockets
from mainstay.adapters.faults.packets.answerer import Answerer
from mainstay.adapters.faults.packets.choosing import Chooser
from mainstay.adapters.faults.packets.namespaces import enter
from mainstay.adapters.faults.packets.netlink import Refused
from mainstay.adapters.faults.packets.rules import rules
from mainstay.adapters.faults.packets.task import DROP, QUEUE, RESET, Task, read
from mainstay.adapters.faults.packets.waiting_room import Direction, WaitingRoom

_TRIES = 20
_BUSY = 16


class Holder:
    """A task that is being carried out."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._chooser = None if task.lead is None else Chooser(task.lead, task.share, task.seed)
        self._answerer = (Answerer(task.lead.error) if task.lead is not None and task.lead.error not in ("", "timeout")
                          else None)
        self._room, self._queues = self._rooms()
        self._tables: list[nftables.OwnTable] = []

    def begin(self) -> int:
        """Put the rules in force, and abort what was open; how many connections that were.

        Raises:
            Refused: the kernel refused.
        """
        for family in sorted({one.family for one in self._task.places}):
            self._tables.append(self._table(family))
        return sockets.end(self._open()) if self._task.abort else 0

    def run(self) -> None:
        """Carry on until standard input ends, or the time is over."""
        until = time.monotonic() + self._task.seconds
        room = self._room
        watched = [0, *([] if room is None else [room.fileno()]),
                   *([] if self._answerer is None else [one.fileno() for one in self._answerer.sockets])]
        while (now := time.monotonic()) < until:
            due = None if room is None else room.due
            wait = max(0.0, min(until, until if due is None else due) - now)
            ready = select.select(watched, [], [], wait)[0]
            if room is not None:
                if room.fileno() in ready:
                    room.take()
                room.let_go(time.monotonic())
            if self._answerer is not None:
                self._answerer.answer(ready)
            if 0 in ready:
                if not os.read(0, 4096):
                    return
                say(self.counts())

    def counts(self) -> dict[str, int]:
        """How many packets there were, and what became of them."""
        return dict(self._room.counts) if self._room is not None else {}

    def end(self) -> None:
        """Take the rules out, then let go of what waits, then take out the rest: so nothing is lost."""
        for table in self._tables:
            table.pass_everything()
        if self._room is not None:
            self._room.empty()
        for table in self._tables:
            table.remove()
            table.close()
        if self._room is not None:
            self._room.close()
        if self._answerer is not None:
            self._answerer.close()

    def _rooms(self) -> tuple[WaitingRoom | None, tuple[int, int]]:
        """The queues, numbers that nobody has taken; a race for one is lost and tried again."""
        task = self._task
        for _ in range(_TRIES):
            first = random.randrange(10_000, 60_000)  # noqa: S311  (any free one)
            queues = (first, first + 1)
            directions = [Direction(queue, way.impairment) for queue, way in
                          zip(queues, (task.incoming, task.outgoing), strict=True)
                          if way.act == QUEUE or (way.act == DROP and way.impairment.loss)]
            if self._chooser is not None:
                directions = [Direction(queues[1], decide=self._chooser.mark)]
            if not directions:
                return None, queues
            try:
                return WaitingRoom(directions, task.seed), queues
            except Refused as refused:
                if refused.errno != _BUSY:
                    raise
        raise Refused(_BUSY, "no queue is free")

    def _table(self, family: int) -> nftables.OwnTable:
        port = 0
        if self._task.lead is not None:
            port = self._task.lead.to or (0 if self._answerer is None else self._answerer.port)
        native = not nftables.has_queue_target()
        table = nftables.OwnTable(family, self._task.title)
        try:
            table.put(*rules(self._task, family, self._queues, native=native, port=port))
        except Refused:
            table.close()
            raise
        return table

    def _open(self) -> Iterator[sockets.Endpoint]:
        """The connections that are open now, the share of them that is meant."""
        task = self._task
        chance = random.Random(task.seed)  # noqa: S311
        ports = {one.port for one in task.places}
        hosts = {one.host for one in task.places}
        mine = None if self._chooser is None else self._chooser.held()
        for one in sockets.endpoints(socket.IPPROTO_TCP):
            host, port = (one.host, one.port) if mine is None else (one.peer, one.peer_port)
            near = port in ports and ("" in hosts or host.removeprefix("::ffff:") in hosts)
            # The answer of a connection that was just refused waits in the kernel; nobody holds it any more.
            if near and (mine is None or one.inode in mine) and chance.random() < task.share:
                yield one


def say(what: object) -> None:
    """One line to whoever started this."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Carry the task on standard input out; 1 when it cannot be."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the run's to take; its end is seen by standard input
    task = read(_line())
    with ExitStack() as stack:
        try:
            if task.inside:
                enter(task.inside)
            holder = Holder(task)
            stack.callback(holder.end)
            aborted = holder.begin()
        except OSError as error:
            say({"error": error.strerror or str(error), "errno": error.errno})
            return 1
        say({"ready": True, "aborted": aborted, "acts": [task.incoming.act, task.outgoing.act],
             "resets": RESET in (task.incoming.act, task.outgoing.act)})
        holder.run()
    return 0


def _line() -> str:
    """The first line of standard input, read so that nothing after it is taken along."""
    found = bytearray()
    while not found.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(1)
        found += byte
    return found.decode()


if __name__ == "__main__":
    sys.exit(main())
