"""The program that is killed: it commits batches without end and says which of them were acknowledged.

Started once, it forks for every line "URL RUN" on its input, so that a kill costs milliseconds and not an interpreter's
start. The fork writes its own pid, then a line for every acknowledged batch; when it is dead, the parent says so.
"""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime, timedelta

from mainstay.adapters.clock import SystemClock
from mainstay.adapters.store import Store, open_store
from mainstay.kernel.errors import StoreUnavailable
from mainstay.kernel.journal import Batch, Claim, NewFact, NewMessage, NewTimer

AT = datetime(2026, 1, 1, tzinfo=UTC)
PARTS = 3
PRODUCERS = 3


def whole_batch(name: str) -> Batch:
    """Some of everything a batch can bring: facts, a timer and a message of one name."""
    return Batch(facts=[NewFact("crash.part", name, AT, {"part": part}, f"{name}/{part}") for part in range(PARTS)],
                 set_timers=[NewTimer(name, AT, "crash.timer", name)],
                 messages=[NewMessage(name, "crash", {}, AT)])


def produce(store: Store, name: str) -> None:
    for number in range(1_000_000):
        store.journal.commit(whole_batch(f"{name}.{number}"))
        say(f"ack {name}.{number}")


def pass_on(store: Store, run: str) -> None:
    """One timer for ever: each turn settles it, records a fact and sets it anew, in one batch."""
    store.journal.commit(Batch(facts=[NewFact("crash.turn", "chain", AT, key=f"chain/{run}")],
                               set_timers=[NewTimer("chain", AT, "crash.chain", "chain")]))
    say(f"turn {run}")
    for number in range(1_000_000):
        # The channel of timers has no filter, so the producers' timers are taken too; they are simply let go.
        for timer in store.journal.take_timers(AT, run, limit=1_000_000, lease=timedelta(microseconds=1)):
            if timer.key == "chain":
                key = f"chain/{run}/{number}"
                store.journal.commit(Batch(facts=[NewFact("crash.turn", "chain", AT, key=key)],
                                           timers_done=[Claim(timer.key, timer.fence)],
                                           set_timers=[NewTimer("chain", AT, "crash.chain", "chain")]))
                say(f"turn {run}/{number}")


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def write_until_killed(url: str, run: str) -> None:
    say(f"pid {os.getpid()}")
    try:
        store = open_store(url, SystemClock())
    except StoreUnavailable:
        return
    say("opened")

    def until_the_store_is_gone(work: object, *arguments: object) -> None:
        try:
            work(*arguments)  # type: ignore[operator]
        except StoreUnavailable:
            say("gone")

    threads = [threading.Thread(target=until_the_store_is_gone, args=(produce, store, f"{run}.{i}"))
               for i in range(PRODUCERS)]
    threads.append(threading.Thread(target=until_the_store_is_gone, args=(pass_on, store, run)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    for request in sys.stdin:
        child = os.fork()
        if child == 0:
            write_until_killed(*request.split())
            os._exit(0)
        os.waitpid(child, 0)
        say("dead")
