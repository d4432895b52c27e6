"""What senders send, on its way into the journal: one thread takes all that waits and commits it together.

Whoever offers something is answered when it is durable. While one commit is on its way to the disk the next one
gathers, so a thousand senders share a few commits; when too much waits, the next is refused and told when to come back.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import Any, NamedTuple, Protocol

from mainstay.incident.engine import Happening
from mainstay.incident.intake import Taken
from mainstay.incident.operations.desk import Desk
from mainstay.kernel.errors import MainstayError, StoreUnavailable

log = logging.getLogger("mainstay.inbox")
TOGETHER = 500
"""Happenings in one commit: about 25 milliseconds of deciding, so that nobody waits long for whoever came before."""

OFFERS = 128
"""Offers in one commit. Each is a request to be answered, which takes as long as deciding on an alert: while some are
committed, those before are answered and the next are read."""

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


class Asker(Protocol):
    """Who offers happenings, and hears what became of them."""

    def told(self, answers: Sequence[tuple[Any, Outcomes | Exception]]) -> None:
        """For each of their offers that were decided together, its ticket and the answer. Must be short: called on the
        inbox's thread, once for all of them, for waking an event loop costs as much as taking an alert in."""
        ...


class _Futures:
    """Whoever waits for a future."""

    def told(self, answers: Sequence[tuple[Future[Outcomes], Outcomes | Exception]]) -> None:
        for future, answer in answers:
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


class _Offer(NamedTuple):
    happenings: Sequence[Happening]
    asker: Asker
    ticket: Any


_FUTURES = _Futures()


class Inbox(threading.Thread):
    """Takes happenings from any thread; `end` takes in what still waits.

    Args:
        desk: gives the desk; asked anew for each commit, for the catalog may have changed.
    """

    def __init__(self, desk: Callable[[], Desk], *, capacity: int = CAPACITY, together: int = TOGETHER) -> None:
        super().__init__(name="mainstay-inbox", daemon=True)
        self._desk, self._capacity, self._together = desk, capacity, together
        self._changed = threading.Condition()
        self._offers: deque[_Offer] = deque()
        self._waiting = 0
        self._ending, self._idle = False, False
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
        self.hand_in(happenings, _FUTURES, answer)
        return answer

    def hand_in(self, happenings: Sequence[Happening], asker: Asker, ticket: object) -> None:
        """The same for many that wait in one place: `asker` is told under that ticket.

        Raises:
            Full, StoreUnavailable: as above; the asker hears nothing.
        """
        if not happenings:
            asker.told([(ticket, [])])
            return
        with self._changed:
            if self._ending:
                raise StoreUnavailable("the server is stopping", "send it again in a few seconds")
            # Whatever its size, one offer is taken when nothing else waits: it could never be sent in smaller parts.
            if self._waiting and self._waiting + len(happenings) > self._capacity:
                self._outcomes["intake-full"] += len(happenings)
                raise Full(self._waiting, 1 + self._waiting // 5_000)
            self._offers.append(_Offer(happenings, asker, ticket))
            self._waiting += len(happenings)
            if self._idle:
                self._changed.notify()

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
                    self._idle = True
                    self._changed.wait()
                self._idle = False
                if not self._offers:
                    return
                offers: list[_Offer] = []
                count = 0
                while self._offers and count < self._together and len(offers) < OFFERS:
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
            _tell((offer, error) for offer in offers)
            return
        self._outcomes.update([one.code if isinstance(one, MainstayError) else one.outcome for one in outcomes])
        remaining = iter(outcomes)
        _tell((offer, list(islice(remaining, len(offer.happenings)))) for offer in offers)


def _tell(answers: Iterable[tuple[_Offer, Outcomes | Exception]]) -> None:
    """Every asker once."""
    by_asker: dict[int, tuple[Asker, list[tuple[Any, Outcomes | Exception]]]] = {}
    for offer, answer in answers:
        by_asker.setdefault(id(offer.asker), (offer.asker, []))[1].append((offer.ticket, answer))
    for asker, told in by_asker.values():
        asker.told(told)
