"""Where senders send: Alertmanager's API v2 and webhook, PagerDuty's Events v2, Grafana, any JSON, heartbeats.

A storm comes through here, so what is only read and handed to the inbox has a short way as well (`guard.ShortWay`).
Whatever is answered with 200 or 202 is durable; what cannot be taken now is answered with 429 or 503 and when to come
back, and what cannot be taken at all with 400 and why.

A sender shows a token with the scope write, as `Authorization: Bearer` or as the password of Basic; PagerDuty's senders
show their routing key. As long as no token was ever made, this machine itself may send without one.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from mainstay.doors.front import Front
from mainstay.doors.guard import Answer, AsgiApp, Receive, Scope, Send, ShortWay, TooLarge, error_document, send_answer
from mainstay.doors.security import Caller, NotKnown
from mainstay.incident import pagerduty
from mainstay.incident.alertmanager import read_alerts, read_webhook
from mainstay.incident.engine import Beat, Happening
from mainstay.incident.grafana import read_grafana
from mainstay.incident.intake import Taken
from mainstay.incident.mapping import read_mapped
from mainstay.incident.operations.desk import Desk
from mainstay.incident.operations.inbox import Full, Inbox, Outcomes
from mainstay.incident.received import BadPayload, Received, Sender
from mainstay.incident.spec import Intake
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import InvalidInput, MainstayError, NotFound, StoreUnavailable
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.journal import Batch, NewFact

log = logging.getLogger("mainstay.intake")
WHEN_DOWN = 5
"""Seconds after which a sender may come back when the store does not answer."""


class OtherMethod(MainstayError):
    """Something answers here, but not to this method."""

    code = "no-route"
    http_status = 405


class Asked(NamedTuple):
    """A request as a handler sees it."""

    scope: Scope
    body: bytes

    @property
    def method(self) -> str:
        """GET, POST, …"""
        return str(self.scope["method"])

    @property
    def name(self) -> str:
        """What the last part of the path says."""
        return str(self.scope["path"]).rpartition("/")[2]

    def query(self) -> list[tuple[str, str]]:
        """The query's pairs."""
        return parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=200)


class Reading(NamedTuple):
    """What a request says has happened, and how it is answered once that is durable."""

    happenings: Sequence[Happening]
    answer: Callable[[Outcomes], Answer]


Handler = Callable[[Asked], Awaitable[Answer]]
Reader = Callable[[Asked], Reading]
Refusal = Callable[[MainstayError], Answer]


def route(handle: Handler, refusal: Refusal, methods: Sequence[str]) -> AsgiApp:
    """The handler as an ASGI app that answers those methods; errors in the form that its senders read."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] not in methods:
                raise OtherMethod(f"nothing answers {scope['method']} here", "use " + " or ".join(methods))
            answer = await handle(Asked(scope, await _body(receive)))
        except Exception as error:
            answer = refusal(_as_ours(error, scope))
        await send_answer(send, answer)

    return app


def _as_ours(error: Exception, scope: Scope) -> MainstayError:
    """What a sender is told; of our own mistakes the log has all, the sender a number."""
    if isinstance(error, MainstayError):
        return error
    number = secrets.token_hex(4)
    log.error("error %s at %s %s", number, scope["method"], scope["path"], exc_info=error)
    return MainstayError(f"this is Mainstay's own mistake, number {number}",
                         "the server's log has it under that number; send it again")


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _retry(error: MainstayError) -> tuple[tuple[bytes, bytes], ...]:
    after = error.retry_after if isinstance(error, Full) else WHEN_DOWN
    if error.http_status == 401:
        return ((b"www-authenticate", b'Bearer, Basic realm="mainstay"'),)
    return ((b"retry-after", str(after).encode()),) if error.http_status in (429, 503, 504) else ()


def refuse(error: MainstayError) -> Answer:
    """In Mainstay's own form."""
    return Answer(_status(error), error_document(error), _retry(error))


def refuse_alertmanager(error: MainstayError) -> Answer:
    """As Alertmanager's API v2 does: the reason as one JSON text."""
    return Answer(_status(error), f"{error.message}; {error.way_out}" if error.way_out else error.message,
                  _retry(error))


def refuse_pagerduty(error: MainstayError) -> Answer:
    """As PagerDuty's Events API v2 does."""
    status = _status(error)
    if isinstance(error, Full) or status == 429:
        return Answer(429, {"status": "throttle exceeded", "message": error.message}, _retry(error) or (
            (b"retry-after", b"1"),))
    errors = error.errors if isinstance(error, pagerduty.InvalidEvent) else [error.message]
    return Answer(status, {"status": "invalid event" if status < 500 else "error",
                           "message": "Event object is invalid" if status == 400 else error.message,
                           "errors": errors}, _retry(error))


def _status(error: MainstayError) -> int:
    return error.status if isinstance(error, TooLarge) else error.http_status


class _Ticket:
    """A request that waits for the inbox. Told once on its event loop: what came of it, or that it took too long."""

    __slots__ = ("_tell", "loop", "until")

    def __init__(self, tell: Callable[[Outcomes | Exception], None], loop: asyncio.AbstractEventLoop,
                 until: float) -> None:
        self._tell: Callable[[Outcomes | Exception], None] | None = tell
        self.loop, self.until = loop, until

    @property
    def told(self) -> bool:
        """Whether nobody waits any more."""
        return self._tell is None

    def settle(self, outcome: Outcomes | Exception) -> None:
        """Tell; nothing happens where it was told before."""
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(outcome)


class _Waiting:
    """Requests that wait for the inbox: their event loop is woken once for all that were decided together.

    All wait equally long, so one timer for the one that came first does for all of them; one each would cost a storm
    as much as reading its alerts.
    """

    def __init__(self, time_out: float) -> None:
        self._time_out = time_out
        self._line: deque[_Ticket] = deque()
        self._looks_on: asyncio.AbstractEventLoop | None = None

    def ticket(self, tell: Callable[[Outcomes | Exception], None]) -> _Ticket:
        """For a request that was handed in on the running event loop."""
        loop = asyncio.get_running_loop()
        ticket = _Ticket(tell, loop, loop.time() + self._time_out)
        while self._line and self._line[0].told:
            self._line.popleft()
        self._line.append(ticket)
        if self._looks_on is not loop:
            self._look_at(loop, ticket.until)
        return ticket

    def told(self, answers: Sequence[tuple[_Ticket, Outcomes | Exception]]) -> None:
        for loop, some in groupby(answers, lambda answer: answer[0].loop):
            with suppress(RuntimeError):  # the loop is closed: the server stopped, and nobody waits any more
                loop.call_soon_threadsafe(_settle, list(some))

    def _look(self) -> None:
        """Give up for those who waited too long, and look again when the next one has."""
        loop = asyncio.get_running_loop()
        while self._line and (self._line[0].told or self._line[0].until <= loop.time()):
            self._line.popleft().settle(_too_late(self._time_out))
        self._looks_on = None
        if self._line:
            self._look_at(loop, self._line[0].until)

    def _look_at(self, loop: asyncio.AbstractEventLoop, moment: float) -> None:
        self._looks_on = loop
        loop.call_at(moment, self._look)


def _settle(answers: Sequence[tuple[_Ticket, Outcomes | Exception]]) -> None:
    for ticket, answer in answers:
        ticket.settle(answer)


def _too_late(time_out: float) -> StoreUnavailable:
    return StoreUnavailable(f"not recorded within {time_out:g} s",
                            "send it again; it may have been recorded, which does no harm")


def _taken(outcomes: Outcomes) -> Outcomes:
    """The outcomes, or the first refusal among them raised; what it refused was not taken."""
    for outcome in outcomes:
        if isinstance(outcome, MainstayError):
            raise outcome
    return outcomes


_BUILT_IN = ("alertmanager", "grafana")
_READERS: Mapping[str, Callable[[bytes, Sender, Any], Received]] = {
    "alertmanager": read_webhook, "grafana": read_grafana}


class IntakeDoor:
    """The handlers. Names of an Intake's routes are its own, and `alertmanager` and `grafana` without one."""

    def __init__(self, front: Front, inbox: Inbox, desk: Callable[[], Desk], environ: Mapping[str, str]) -> None:
        self._front, self._inbox, self._desk, self._environ = front, inbox, desk, environ
        self._waiting = _Waiting(front.settings.time_out)
        self._gathered: dict[asyncio.AbstractEventLoop, list[tuple[Sequence[Happening], _Ticket]]] = {}

    def routes(self) -> dict[str, AsgiApp]:
        """Path → app; one that ends in a slash takes one more part."""
        return {
            "/api/v1/intake/": route(self.by(self.webhook), refuse, ("POST",)),
            "/api/v1/heartbeat/": route(self.by(self.heartbeat), refuse, ("GET", "HEAD", "POST", "PUT")),
            "/v2/enqueue": route(self.by(self.enqueue), refuse_pagerduty, ("POST",)),
            "/v2/change/enqueue": route(self.change, refuse_pagerduty, ("POST",)),
        }

    def short_ways(self) -> dict[str, ShortWay]:
        """The same for a POST that arrived whole."""
        return {"/api/v1/intake/": self.short(self.webhook, refuse),
                "/api/v1/heartbeat/": self.short(self.heartbeat, refuse),
                "/v2/enqueue": self.short(self.enqueue, refuse_pagerduty)}

    def by(self, read: Reader) -> Handler:
        """A handler that hands in what is read, and answers when it is durable."""

        async def handle(asked: Asked) -> Answer:
            reading = read(asked)
            return reading.answer(await self.take(reading.happenings))

        return handle

    def short(self, read: Reader, refusal: Refusal) -> ShortWay:
        """The same without a task that waits."""

        def go(scope: Scope, body: bytes, answer: Callable[[Answer], None]) -> None:
            try:
                reading = read(Asked(scope, body))
            except Exception as error:
                answer(refusal(_as_ours(error, scope)))
                return

            def told(outcomes: Outcomes | Exception) -> None:
                try:
                    if isinstance(outcomes, Exception):
                        raise outcomes
                    found = reading.answer(_taken(outcomes))
                except Exception as error:
                    found = refusal(_as_ours(error, scope))
                answer(found)

            self._hand_in(reading.happenings, told)

        return go

    # -- who sends -------------------------------------------------------------------------------------------------

    def sends(self, asked: Asked) -> Caller:
        """Whoever sends; they may write.

        Raises:
            NotKnown, NotAllowed
        """
        caller = self._front.who_sends(asked.scope)
        caller.demand("write")
        return caller

    def _catalog(self) -> Catalog:
        return self._front.world("intake").catalog

    def _keyed(self, routing_key: str, asked: Asked) -> Sender:
        """The sender behind a PagerDuty routing key.

        The key of an Intake, a token with the scope write, or, while this machine may send without one, any.
        """
        intakes = [one for one in self._catalog().of(Intake) if one.format == "pagerduty"]
        for one in intakes:
            secret = self._environ.get(one.key_env, "") if one.key_env else ""
            if secret and secrets.compare_digest(secret.encode(), routing_key.encode()):
                return Sender(one.name, one.service, one.severity)
        try:
            caller = self._front.gate.by_token(routing_key) if routing_key.startswith("mst_") \
                else self._front.who_sends(asked.scope)
        except NotKnown:
            raise pagerduty.InvalidEvent(["'routing_key' is not one of this server's keys"]) from None
        caller.demand("write")
        named = next((one for one in intakes if one.name in (routing_key, caller.name)), None)
        return Sender(named.name, named.service, named.severity) if named is not None else Sender("pagerduty")

    # -- handlers --------------------------------------------------------------------------------------------------

    def webhook(self, asked: Asked) -> Reading:
        """`/api/v1/intake/NAME`: a payload of whatever form that name stands for."""
        self.sends(asked)
        intake = self._catalog().find(Intake, asked.name)
        now = self._front.clock.now()
        if intake is None:
            if asked.name not in _BUILT_IN:
                known = [*_BUILT_IN, *(one.name for one in self._catalog().of(Intake))]
                raise NotFound(f'no Intake is named "{asked.name}"{did_you_mean(asked.name, known)}',
                               "known: " + ", ".join(dict.fromkeys(known)))
            received = _READERS[asked.name](asked.body, Sender(asked.name), now)
        else:
            received = self._read(intake, asked.body)
        return Reading(received.events, lambda outcomes: _accepted(outcomes, received.notes))

    def _read(self, intake: Intake, body: bytes) -> Received:
        sender, now = Sender(intake.name, intake.service, intake.severity), self._front.clock.now()
        match intake.format:
            case "json":
                assert intake.mapped is not None, "the form reads no json Intake without a map"
                return read_mapped(body, intake.mapped, sender, now)
            case "pagerduty":
                raise BadPayload(f'"{intake.name}" is PagerDuty\'s form', "send it to /v2/enqueue")
            case known:
                return _READERS[known](body, sender, now)

    def heartbeat(self, asked: Asked) -> Reading:
        """`/api/v1/heartbeat/NAME`: a sender is alive."""
        self.sends(asked)
        heartbeats = self._desk().plan.heartbeats
        if asked.name not in heartbeats:
            raise NotFound(f'no heartbeat is named "{asked.name}"{did_you_mean(asked.name, heartbeats)}',
                           "declare it in the catalog: kind: Heartbeat")
        one = heartbeats[asked.name]
        return Reading([Beat(asked.name)], lambda _: Answer(202, {
            "heartbeat": asked.name, "expected_within_seconds": (one.every + one.grace).total_seconds()}))

    def enqueue(self, asked: Asked) -> Reading:
        """`/v2/enqueue`: an event in PagerDuty's form."""
        _check_event_size(asked.body)
        event = pagerduty.read_event(asked.body)
        sender = self._keyed(event.routing_key, asked)
        key = event.dedup_key or secrets.token_hex(16)
        happening, notes = pagerduty.happening(event, key, sender, self._front.clock.now())
        return Reading([happening], lambda _: Answer(202, {
            "status": "success", "message": "; ".join(("Event processed", *notes)), "dedup_key": key}))

    async def change(self, asked: Asked) -> Answer:
        """`/v2/change/enqueue`: a change, recorded as what lost budget and incidents can be explained by."""
        _check_event_size(asked.body)
        found = pagerduty.read_change(asked.body, self._front.clock.now())
        sender = self._keyed(found.routing_key, asked)
        service = sender.service or found.source or "unknown"
        journal = self._front.world("intake").journal
        await self._durable(asyncio.to_thread(journal.commit, Batch([NewFact(
            "deployment.recorded", service[:300], found.at,
            {"service": service, "text": found.summary, "details": found.details}, actor=sender.name)])))
        return Answer(202, {"status": "success", "message": "; ".join(("Change event processed", *found.notes))})

    async def take(self, happenings: Sequence[Happening]) -> Outcomes:
        """The outcome of each, all of them durable.

        Raises:
            Full: too much waits.
            MainstayError: the first refusal there was; what it refused was not taken.
        """
        answer: asyncio.Future[Outcomes] = asyncio.get_running_loop().create_future()

        def told(outcomes: Outcomes | Exception) -> None:
            if answer.done():
                return  # whoever waited was cancelled
            if isinstance(outcomes, Exception):
                answer.set_exception(outcomes)
            else:
                answer.set_result(outcomes)

        self._hand_in(happenings, told)
        return _taken(await answer)

    def _hand_in(self, happenings: Sequence[Happening], tell: Callable[[Outcomes | Exception], None]) -> None:
        # Gathered until the loop has read what arrived, and handed over together: the inbox would begin with the first,
        # commit that alone, and take the interpreter from the loop for it.
        ticket = self._waiting.ticket(tell)
        gathered = self._gathered.setdefault(ticket.loop, [])
        gathered.append((happenings, ticket))
        if len(gathered) == 1:
            ticket.loop.call_soon(self._hand_over, ticket.loop)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        for happenings, ticket in self._gathered.pop(loop):
            try:
                self._inbox.hand_in(happenings, self._waiting, ticket)
            except Exception as error:  # whatever it is, whoever waits is told, and once
                ticket.settle(error)

    async def _durable(self, answer: Awaitable[Any]) -> Any:
        try:
            return await asyncio.wait_for(answer, self._front.settings.time_out)
        except TimeoutError:
            raise _too_late(self._front.settings.time_out) from None


def _check_event_size(body: bytes) -> None:
    if len(body) > pagerduty.LARGEST:
        raise TooLarge("an event", pagerduty.LARGEST, 413)


def _accepted(outcomes: Outcomes, notes: Sequence[str]) -> Answer:
    counted = Counter(one.outcome for one in outcomes if isinstance(one, Taken))
    incidents = dict.fromkeys(one.incident for one in outcomes if isinstance(one, Taken) and one.incident)
    return Answer(202, {"accepted": len(outcomes), "outcomes": dict(counted), "incidents": list(incidents),
                        "notes": list(notes)})


_NOTHING_TO_SAY = Answer(200)


def read_posted(door: IntakeDoor, asked: Asked, now: datetime) -> Reading:
    """`POST /api/v2/alerts`: Alertmanager answers 200 with nothing in it; what is worth saying stands in a header."""
    door.sends(asked)
    received = read_alerts(asked.body, Sender("prometheus"), now)
    told = " ".join("; ".join(received.notes).split()).encode("ascii", "replace")
    answer = Answer(200, None, ((b"x-mainstay-note", told),)) if told else _NOTHING_TO_SAY
    return Reading(received.events, lambda _: answer)


def one_of(query: Sequence[tuple[str, str]], name: str, default: str) -> str:
    """The last value of that name."""
    return next((value for key, value in reversed(query) if key == name), default)


def whole(query: Sequence[tuple[str, str]], name: str, default: int, most: int) -> int:
    """A whole number of the query, from 0 to `most`.

    Raises:
        InvalidInput: it is none.
    """
    text = one_of(query, name, str(default))
    if not text.isdigit() or int(text) > most:
        raise InvalidInput(f'{name} is "{text[:20]}"', f"write a number up to {most:,}")
    return int(text)
