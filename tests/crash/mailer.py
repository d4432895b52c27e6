"""The program that is killed while it mails: one page, and a kill before it, after it, or after it is recorded.

Arguments: the store's URL, the port of a mail server, where to die (`before`, `sent`, `recorded`, or empty), and how
many seconds after the page was decided this is.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta

from crash.pager import HERE, T0
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.mail import EmailNotifier
from mainstay.adapters.store import open_store
from mainstay.incident.act import Plan
from mainstay.incident.intake import AlertEvent
from mainstay.incident.operations.desk import Desk
from mainstay.incident.operations.outbox import Outbox
from mainstay.incident.spec import Addressee, EscalationPolicy, Routing, Step
from mainstay.kernel.channels import EmailChannel
from mainstay.kernel.journal import Data
from mainstay.kernel.people import Contact, Nobody, Notice, Reach

PLAN = Plan(Routing("all", HERE), {"web": EscalationPolicy("web", HERE, (
    Step((Addressee("person", "ana"),), timedelta(hours=1)),))})


class Ana(Nobody):
    def reach(self, person: str) -> tuple[Reach, ...]:
        return (Reach(timedelta(0), Contact("email", "ana@example.com")),)


class Mortal:
    """A notifier that dies around its work."""

    def __init__(self, port: int, die: str) -> None:
        self._die = die
        self._mail = EmailNotifier(EmailChannel("127.0.0.1", "pager@mainstay.example", port, "none"))

    def send(self, notice: Notice) -> Data:
        if self._die == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        receipt = self._mail.send(notice)
        if self._die == "sent":
            os.kill(os.getpid(), signal.SIGKILL)
        return receipt


def main() -> None:
    url, port, die, later = sys.argv[1:]
    clock = FakeClock(T0 + timedelta(seconds=float(later)))
    store = open_store(url, clock)
    desk = Desk(store.journal, clock, PLAN, Ana())
    desk.do(AlertEvent(T0, True, "disk", "web", "critical"))
    Outbox(store.journal, clock, desk, Ana(), {"email": Mortal(int(port), die)}).send("email", f"mailer-{os.getpid()}")
    if die == "recorded":
        os.kill(os.getpid(), signal.SIGKILL)
    store.close()


if __name__ == "__main__":
    main()
