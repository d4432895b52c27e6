"""The program that is killed while it pages: one story of alerts and answers on a virtual clock, killed at one write.

Its orders hold `jump` and `workers` beside. The fork goes through the story from where the last one got to; a counter
in it says at which boundary it dies: just before or just after a commit, a take, or a send. What a provider took stands
in `sent`, one key a line, as it would at a real provider; `acks` says how much had been sent when an acknowledgement
was committed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from crash.boundaries import Asked, Boundaries, Watched, append, lines, tell_as_asked
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.store import open_store
from mainstay.incident import checkpoint
from mainstay.incident.act import Plan
from mainstay.incident.engine import Acknowledge
from mainstay.incident.intake import AlertEvent
from mainstay.incident.operations import desk as desk_module
from mainstay.incident.operations.desk import Desk
from mainstay.incident.operations.outbox import Outbox
from mainstay.incident.spec import Addressee, EscalationPolicy, Routing, Step
from mainstay.kernel.finding import Position
from mainstay.kernel.people import Contact, Notice, Reach

T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HERE = Position("plan.yaml")
PLAN = Plan(Routing("all", HERE), {"web": EscalationPolicy("web", HERE, (
    Step((Addressee("rotation", "first"),), timedelta(minutes=5)),
    Step((Addressee("rotation", "second"), Addressee("person", "lead")), timedelta(minutes=10))), loops=1)})
STORY: Sequence[tuple[float, str, str]] = (
    (0, "fires", "a"), (0, "run", ""), (3, "fires", "b"), (3, "run", ""), (4, "writes", ""), (5, "run", ""),
    (6, "ack", "a"), (6, "run", ""), (8, "run", ""), (9, "stops", "a"), (12, "fires", "c"), (12, "run", ""),
    (13, "ack", "b"), (13, "writes", ""), (14, "run", ""), (17, "run", ""), (27, "run", ""), (28, "writes", ""),
    (32, "run", ""), (50, "run", ""), (52, "fires", "d"), (52, "run", ""), (53, "writes", ""), (57, "run", ""),
    (58, "ack", "d"), (58, "run", ""), (59, "writes", ""),
    (600, "run", ""), (620, "run", ""), (640, "run", ""), (660, "run", ""))
"""Minutes since T0, what happens, to which alert; `writes` is a checkpoint. Nobody answers c."""

checkpoint.ROWS, desk_module._PARTS = 4, 1
# Of so small a state: a checkpoint is then many commits, as that of a large one is, and may be cut off between any two.


class People:
    """Two rotations of one person each; everybody has two ways to be reached."""

    def on_call(self, name: str, at: datetime) -> tuple[str, ...]:
        return {"first": ("ana",), "second": ("ben",)}[name]

    def members(self, name: str) -> tuple[str, ...]:
        return self.on_call(name, T0)

    def reach(self, person: str) -> tuple[Reach, ...]:
        return (Reach(timedelta(0), Contact("chat", person)), Reach(timedelta(0), Contact("mail", person)))


class Provider:
    """What takes pages in place of a chat or a mail server: a file that outlives whoever writes to it."""

    def __init__(self, file: Path, boundaries: Boundaries) -> None:
        self._file, self._boundaries = file, boundaries

    def send(self, notice: Notice) -> None:
        self._boundaries.here()
        append(self._file, notice.key)
        self._boundaries.here()


def tell(asked: Asked, worker: str) -> int:
    """Go through the story from where the last one got to; how many boundaries were passed."""
    folder = Path(asked["folder"])
    boundaries = Boundaries(int(asked["kill"]))
    clock = FakeClock(T0)
    store = open_store(asked["url"], clock)
    journal = Watched(store.journal, boundaries)
    desk = Desk(journal, clock, PLAN, People())
    provider = Provider(folder / "sent", boundaries)
    outbox = Outbox(journal, clock, desk, People(), {"chat": provider, "mail": provider})
    done = len(lines(folder / "done"))
    later = timedelta(seconds=float(asked["jump"]))
    if later:
        # Whoever comes back comes back later; what was held by the dead is free again by then.
        clock.set(T0 + timedelta(minutes=STORY[min(done, len(STORY) - 1)][0]) + later)
        _run(desk, outbox, worker)
    for minute, what, key in STORY[done:]:
        clock.set(T0 + timedelta(minutes=minute) + later)
        at = T0 + timedelta(minutes=minute)
        match what:
            case "fires" | "stops":
                desk.do(AlertEvent(at, what == "fires", key, "web", "page"))
            case "writes":
                desk.write_down(least=1)
            case "ack":
                desk.do(Acknowledge(key, "ana"))
                append(folder / "acks", f"{key} {len(lines(folder / 'sent'))}")
            case _:
                _run(desk, outbox, worker)
        append(folder / "done", f"{minute} {what} {key}")
    store.close()
    return boundaries.passed


def _run(desk: Desk, outbox: Outbox, worker: str) -> None:
    while desk.ring(worker, limit=3):
        pass
    for channel in outbox.channels:
        outbox.send(channel, worker)


def help_out(asked: Asked, worker: str) -> None:
    """A second worker on the same store: it rings and sends whatever it gets, by the clock of the story."""
    folder = Path(asked["folder"])
    clock = FakeClock(T0)
    store = open_store(asked["url"], clock)
    desk = Desk(store.journal, clock, PLAN, People())
    provider = Provider(folder / "sent", Boundaries(0))
    outbox = Outbox(store.journal, clock, desk, People(), {"chat": provider, "mail": provider})
    while not (folder / "over").exists():
        done = len(lines(folder / "done"))
        clock.set(T0 + timedelta(minutes=STORY[min(done, len(STORY) - 1)][0], seconds=float(asked["jump"])))
        _run(desk, outbox, worker)
    store.close()


@contextmanager
def helped(asked: Asked) -> Iterator[None]:
    """A second worker as long as the story is told, where there are to be two."""
    if asked["workers"] != 2:
        yield
        return
    helper = os.fork()
    if helper == 0:
        help_out(asked, f"helper-{os.getpid()}")
        os._exit(0)
    yield
    over = Path(asked["folder"]) / "over"
    over.touch()
    os.waitpid(helper, 0)
    over.unlink()


if __name__ == "__main__":
    tell_as_asked(lambda asked: tell(asked, f"teller-{os.getpid()}"), helped)
