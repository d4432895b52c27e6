"""What senders send, on its way into the journal: one thread takes all that waits and commits it together.

Whoever offers something is answered when it is durable. While one commit is on its way to the disk the next one
gathers, so a thousand senders share a few commits; when too much waits, the next is refused and told when to come back.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from mainstay.incident.engine import Happening
from mainstay.incident.intake import Taken
from mainstay.incident.operations.desk import Desk
from mainstay.kernel.errors import MainstayError, StoreUnavailable

log = logging.getLogger("mainstay.inbox")
TOGETHER = 200
"""Happenings in one commit: about ten milliseconds of deciding, so that nobody waits long for whoever came before."""

CAPACITY = 20_000
"""Happenings that may wait: two to four seconds of work, after which a sender does better to come again."""

Outcomes = list[Taken | MainstayError]


class Full(MainstayError):
    """More waits than can be taken in soon; nothing of this was taken.

    Args:
        retry_after: seconds.
    """

    code = "intake-full"
    http_status = 503

    def __init__(self, waiting: int, retry_after: int) -> None:
        super().__init__(f"{waiting:,} events wait to be recorded", f"send it again in {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class _Offer:
    happenings: Sequence[Happening]
    answer: Future[Outcomes]


class Inbox(threading.Thread):
    """Takes happenings from any thread; `end` takes in what still waits.

    Args:
        desk: gives the desk; asked anew for each commit, for the catalog may have changed.
        woken: called after each commit, so that who sends pages need not wait for its next round.
    """

    def __init__(self, desk: Callable[[], Desk], woken: Callable[[], None] = lambda: None, *,
                 capacity: int = CAPACITY, together: int = TOGETHER) -> None:
        super().__init__(name="mainstay-inbox", daemon=True)
        self._desk, self._woken, self._capacity, self._together = desk, woken, capacity, together
        self._changed = threading.Condition()
        self._offers: deque[_Offer] = deque()
        self._waiting = 0
        self._ending = False
        self._outcomes: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """How many happenings wait."""
        return self._waiting

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many came to what, since the start: `opened`, `repeated`, `late`, …; refusals by their code."""
        return dict(self._outcomes)

    def offer(self, happenings: Sequence[Happening]) -> Future[Outcomes]:
        """The outcome of each, once all of them are durable.

        Raises:
            Full: too much waits; nothing was taken.
            StoreUnavailable: the inbox was closed.
        """
        answer: Future[Outcomes] = Future()
        if not happenings:
            answer.set_result([])
            return answer
        with self._changed:
            if self._ending:
                raise StoreUnavailable("the server is stopping", "send it again in a few seconds")
            # Whatever its size, one offer is taken when nothing else waits: it could never be sent in smaller parts.
            if self._waiting and self._waiting + len(happenings) > self._capacity:
                self._outcomes["intake-full"] += len(happenings)
                raise Full(self._waiting, 1 + self._waiting // 5_000)
            self._offers.append(_Offer(happenings, answer))
            self._waiting += len(happenings)
            self._changed.notify()
        return answer

    def end(self) -> None:
        """Take in what waits, then stop."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        if self.is_alive():
            self.join(timeout=30)

    def run(self) -> None:
        """Until `end` is called."""
        while True:
            with self._changed:
                while not self._offers and not self._ending:
                    self._changed.wait()
                if not self._offers:
                    return
                offers, count = [], 0
                while self._offers and count < self._together:
                    offers.append(self._offers.popleft())
                    count += len(offers[-1].happenings)
            self._take(offers)
            with self._changed:
                self._waiting -= count

    def _take(self, offers: Sequence[_Offer]) -> None:
        together = [one for offer in offers for one in offer.happenings]
        try:
            outcomes = self._desk().do_all(together)
        except MainstayError as error:
            outcomes = [error for _ in together]
        except Exception as error:  # the thread must live on: whoever waits is told, and the next is taken
            log.exception("%d happenings could not be taken", len(together))
            for offer in offers:
                offer.answer.set_exception(error)
            return
        self._outcomes.update(one.code if isinstance(one, MainstayError) else one.outcome for one in outcomes)
        place = 0
        for offer in offers:
            offer.answer.set_result(outcomes[place:place + len(offer.happenings)])
            place += len(offer.happenings)
        self._woken()
