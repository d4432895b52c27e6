"""Where senders send: Alertmanager's API v2 and webhook, PagerDuty's Events v2, Grafana, any JSON, heartbeats.

These are raw ASGI routes: a storm comes through here. Whatever is answered with 200 or 202 is durable; what cannot be
taken now is answered with 429 or 503 and when to come back, and what cannot be taken at all with 400 and why.

A sender shows a token with the scope write, as `Authorization: Bearer` or as the password of Basic; PagerDuty's senders
show their routing key. As long as no token was ever made, this machine itself may send without one.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from mainstay.doors.front import Front
from mainstay.doors.guard import AsgiApp, Receive, Scope, Send, TooLarge, error_document
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


class Answer(NamedTuple):
    """A whole answer; `document` None has no body."""

    status: int
    document: object = None
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Asked], Awaitable[Answer]]
Refusal = Callable[[MainstayError], Answer]


def route(handle: Handler, refusal: Refusal, methods: Sequence[str]) -> AsgiApp:
    """The handler as an ASGI app that answers those methods; errors in the form that its senders read."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] not in methods:
                raise OtherMethod(f"nothing answers {scope['method']} here", "use " + " or ".join(methods))
            answer = await handle(Asked(scope, await _body(receive)))
        except MainstayError as error:
            answer = refusal(error)
        except Exception as error:  # our own mistake: the log has it whole, the sender its number
            number = secrets.token_hex(4)
            log.error("error %s at %s %s", number, scope["method"], scope["path"], exc_info=error)
            answer = refusal(MainstayError(f"this is Mainstay's own mistake, number {number}",
                                           "the server's log has it under that number; send it again"))
        await _send(send, answer)

    return app


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _send(send: Send, answer: Answer) -> None:
    body = b"" if answer.document is None else msgspec.json.encode(answer.document)
    await send({"type": "http.response.start", "status": answer.status, "headers": [
        (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *answer.headers]})
    await send({"type": "http.response.body", "body": body})


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


class _Waiting:
    """Requests that wait for the inbox, each with a future of its event loop: woken once for all that were decided."""

    def told(self, answers: Sequence[tuple[asyncio.Future[Outcomes], Outcomes | Exception]]) -> None:
        for loop, some in groupby(answers, lambda answer: answer[0].get_loop()):
            with suppress(RuntimeError):  # the loop is closed: the server stopped, and nobody waits any more
                loop.call_soon_threadsafe(_settle, list(some))


def _settle(answers: Sequence[tuple[asyncio.Future[Outcomes], Outcomes | Exception]]) -> None:
    for future, answer in answers:
        if future.done():
            continue  # given up
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)


_BUILT_IN = ("alertmanager", "grafana")
_READERS: Mapping[str, Callable[[bytes, Sender, Any], Received]] = {
    "alertmanager": read_webhook, "grafana": read_grafana}


class IntakeDoor:
    """The handlers. Names of an Intake's routes are its own, and `alertmanager` and `grafana` without one."""

    def __init__(self, front: Front, inbox: Inbox, desk: Callable[[], Desk], environ: Mapping[str, str]) -> None:
        self._front, self._inbox, self._desk, self._environ = front, inbox, desk, environ
        self._waiting = _Waiting()

    def routes(self) -> dict[str, AsgiApp]:
        """Path → app; one that ends in a slash takes one more part."""
        return {
            "/api/v1/intake/": route(self.webhook, refuse, ("POST",)),
            "/api/v1/heartbeat/": route(self.heartbeat, refuse, ("GET", "HEAD", "POST", "PUT")),
            "/v2/enqueue": route(self.enqueue, refuse_pagerduty, ("POST",)),
            "/v2/change/enqueue": route(self.change, refuse_pagerduty, ("POST",)),
        }

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

    async def webhook(self, asked: Asked) -> Answer:
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
        return _accepted(await self.take(received.events), received.notes)

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

    async def heartbeat(self, asked: Asked) -> Answer:
        """`/api/v1/heartbeat/NAME`: a sender is alive."""
        self.sends(asked)
        heartbeats = self._desk().plan.heartbeats
        if asked.name not in heartbeats:
            raise NotFound(f'no heartbeat is named "{asked.name}"{did_you_mean(asked.name, heartbeats)}',
                           "declare it in the catalog: kind: Heartbeat")
        await self.take([Beat(asked.name)])
        one = heartbeats[asked.name]
        return Answer(202, {"heartbeat": asked.name, "expected_within_seconds":
                            (one.every + one.grace).total_seconds()})

    async def enqueue(self, asked: Asked) -> Answer:
        """`/v2/enqueue`: an event in PagerDuty's form."""
        _check_event_size(asked.body)
        event = pagerduty.read_event(asked.body)
        sender = self._keyed(event.routing_key, asked)
        key = event.dedup_key or secrets.token_hex(16)
        happening, notes = pagerduty.happening(event, key, sender, self._front.clock.now())
        await self.take([happening])
        return Answer(202, {"status": "success", "message": "; ".join(("Event processed", *notes)), "dedup_key": key})

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
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Outcomes] = loop.create_future()
        self._inbox.hand_in(happenings, self._waiting, answer)
        # A plain timer: asyncio's own way to wait for so long costs as much as reading the alert.
        timer = loop.call_later(self._front.settings.time_out, self._give_up, answer)
        try:
            outcomes = await answer
        finally:
            timer.cancel()
        for outcome in outcomes:
            if isinstance(outcome, MainstayError):
                raise outcome
        return outcomes

    async def _durable(self, answer: Awaitable[Any]) -> Any:
        try:
            return await asyncio.wait_for(answer, self._front.settings.time_out)
        except TimeoutError:
            raise self._too_late() from None

    def _give_up(self, answer: asyncio.Future[Outcomes]) -> None:
        if not answer.done():
            answer.set_exception(self._too_late())

    def _too_late(self) -> StoreUnavailable:
        return StoreUnavailable(f"not recorded within {self._front.settings.time_out:g} s",
                                "send it again; it may have been recorded, which does no harm")


def _check_event_size(body: bytes) -> None:
    if len(body) > pagerduty.LARGEST:
        raise TooLarge("an event", pagerduty.LARGEST, 413)


def _accepted(outcomes: Outcomes, notes: Sequence[str]) -> Answer:
    counted = Counter(one.outcome for one in outcomes if isinstance(one, Taken))
    incidents = dict.fromkeys(one.incident for one in outcomes if isinstance(one, Taken) and one.incident)
    return Answer(202, {"accepted": len(outcomes), "outcomes": dict(counted), "incidents": list(incidents),
                        "notes": list(notes)})


async def take_posted(door: IntakeDoor, asked: Asked, now: Any) -> Answer:
    """`POST /api/v2/alerts`: Alertmanager answers 200 with nothing in it; what is worth saying stands in a header."""
    door.sends(asked)
    received = read_alerts(asked.body, Sender("prometheus"), now)
    await door.take(received.events)
    told = "; ".join(received.notes).encode("ascii", "replace")
    return Answer(200, None, ((b"x-mainstay-note", told),) if told else ())


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
