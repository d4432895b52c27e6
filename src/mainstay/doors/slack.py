"""What Slack sends when somebody presses a button: proven to come from Slack, mapped to a person, done once.

A request is signed by Slack (`v0=` HMAC-SHA256 over version, time and body), not older than five minutes, and taken
once: its signature is the key of a fact, so a copy of it is refused by every server on the same journal. Whoever
presses must be a declared person with that Slack address. The pressed message itself changes when the outbox tells
Slack of the answer; what cannot be done is said to that person alone.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec
from litestar import MediaType, Request, Response, route
from litestar.handlers import HTTPRouteHandler

from mainstay.adapters.secrets import Secret
from mainstay.adapters.slack_blocks import ACKNOWLEDGE, APPROVE, REJECT, RESOLVE
from mainstay.doors.front import Act, Front
from mainstay.doors.names import PREFIX
from mainstay.doors.security import NotKnown
from mainstay.incident.engine import Acknowledge, Resolve
from mainstay.incident.operations.desk import desk_of
from mainstay.kernel.channels import Channels, SecretAt
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError, NotFound
from mainstay.kernel.journal import AlreadyRecorded, Batch, NewFact, NewMessage
from mainstay.kernel.people import Contact
from mainstay.kernel.ports import World
from mainstay.oncall.spec import Person
from mainstay.runbook.operations.desk import approve, reject

log = logging.getLogger("mainstay.server")
AnyRequest = Request[Any, Any, Any]

WINDOW = 300
"""Seconds a request may be old, as Slack's page on verifying requests has it; a copy is refused within them too."""

def _on_incident(happening: Callable[[str, str], Acknowledge | Resolve]) -> Callable[[World, str, str], object]:
    return lambda world, incident, person: desk_of(world).do(happening(incident, person))


def _approve(world: World, value: str, person: str) -> None:
    run, _, plan = value.partition(" ")
    approve(replace(world, actor=person), run, plan)


def _reject(world: World, value: str, person: str) -> None:
    reject(replace(world, actor=person), value.partition(" ")[0])


_ACTS: Mapping[str, Callable[[World, str, str], object]] = {
    ACKNOWLEDGE: _on_incident(Acknowledge), RESOLVE: _on_incident(Resolve), APPROVE: _approve, REJECT: _reject}
"""Button → what it does, with its value, for the person who pressed it."""


class _Named(msgspec.Struct):
    id: str = ""


class _Pressed(msgspec.Struct):
    action_id: str = ""
    value: str = ""
    action_ts: str = ""


class _Interaction(msgspec.Struct):
    type: str
    user: _Named = msgspec.field(default_factory=_Named)
    channel: _Named = msgspec.field(default_factory=_Named)
    actions: tuple[_Pressed, ...] = ()


@dataclass(frozen=True, slots=True)
class Press:
    """Somebody pressed a button: what it asks for, of what (an incident, or a run and its plan), where, and who."""

    act: str
    value: str
    user: str
    channel: str
    proof: str


def signed(secret: str, at: str, body: bytes) -> str:
    """The signature that Slack puts on a body sent at that time (epoch seconds as text)."""
    return "v0=" + hmac.new(secret.encode(), b"v0:" + at.encode() + b":" + body, hashlib.sha256).hexdigest()


def check_signature(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """The signature, when it is Slack's and of these minutes.

    Raises:
        NotKnown: it is not.
    """
    at, given = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
    if not at.isdigit() or len(at) > 12 or abs(now.timestamp() - int(at)) > WINDOW:
        raise NotKnown("the request is not of these five minutes", "check this machine's clock")
    if not hmac.compare_digest(signed(secret, at, body).encode(), given.encode()):
        raise NotKnown("the request is not signed by Slack", "check the signing secret")
    return given


def read_press(body: bytes, proof: str) -> Press | None:
    """The first button of ours that was pressed; None for what needs nothing, such as a link that was followed.

    Raises:
        InvalidInput: this is no interaction.
    """
    try:
        payload = parse_qs(body.decode(), max_num_fields=10)["payload"][0]
        found = msgspec.json.decode(payload, type=_Interaction)
    except (KeyError, ValueError, msgspec.MsgspecError) as error:
        raise InvalidInput("this is no interaction of Slack", "set this address as the app's Request URL") from error
    pressed = next((one for one in found.actions if one.action_id in _ACTS), None)
    if found.type != "block_actions" or pressed is None:
        return None
    return Press(pressed.action_id, pressed.value, found.user.id, found.channel.id, proof)


def take(world: World, press: Press) -> str:
    """Do what was pressed; what became of it in a few words. A refusal is told to whoever pressed, by the outbox.

    Raises:
        NotKnown: this very request was taken before.
    """
    try:
        world.journal.commit(Batch([NewFact("slack.pressed", press.value.partition(" ")[0], world.clock.now(), {
            "act": press.act, "user": press.user}, key=f"slack:{press.proof}", actor=press.user)], fresh=True))
    except AlreadyRecorded:
        raise NotKnown("this request was taken before", "press the button again") from None
    try:
        person = _person(world, press.user)
        _ACTS[press.act](world, press.value, person)
    except MainstayError as refused:
        text = refused.message + (f"; {refused.way_out}" if refused.way_out else "")
        world.journal.commit(Batch(messages=[NewMessage(f"reply:{press.proof}", "slack", {
            "what": "reply", "incident": press.value.partition(" ")[0], "to": press.user, "address": press.user,
            "channel": press.channel, "text": text}, world.clock.now())]))
        return f"refused: {refused.code}"
    return f"done by {person}"


def _person(world: World, user: str) -> str:
    wanted = Contact("slack", user)
    found = next((one.name for one in world.catalog.of(Person) if wanted in one.contacts), None)
    if found is None:
        raise NotFound(f"no person is declared whose Slack address is {user}",
                       f"add contacts: {{slack: {user}}} to the person in the catalog")
    return found


def slack_routes(front: Front, world: Callable[[str], World], environ: Mapping[str, str] = os.environ) -> \
        list[HTTPRouteHandler]:
    """`POST /api/v1/slack/interact`: the Request URL of the app's interactivity."""

    def answer(headers: Mapping[str, str], body: bytes) -> None:
        seen = world("slack")
        proof = check_signature(_signing_secret(seen, environ), headers, body, seen.clock.now())
        press = read_press(body, proof)
        if press is None:
            return
        outcome = take(seen, press)
        front.hooks.audit(Act(press.user, f"slack {press.act}", press.value[:100], outcome))
        front.hooks.feed.publish("runbook" if press.act in (APPROVE, REJECT) else "incident")

    @route(f"{PREFIX}/slack/interact", http_method="POST")
    async def interact(request: AnyRequest) -> Response[str]:
        body = await request.body()
        await front.in_thread(lambda: answer(dict(request.headers), body))
        return Response("", media_type=MediaType.TEXT, status_code=200)

    return [interact]


def _signing_secret(world: World, environ: Mapping[str, str]) -> str:
    declared = next(iter(world.catalog.of(Channels)), None)
    at = declared.slack.signing_secret if declared is not None and declared.slack is not None else SecretAt()
    if not at.named:
        raise NotFound("this server takes no buttons of Slack", "declare slack.signing_secret_env in Channels")
    try:
        return Secret(at.env, at.file).read(environ)
    except InvalidInput as error:
        # Whoever asks is not known yet: they are not told how this server is set up.
        log.error("a button of Slack was refused: %s", error.message)
        raise NotFound("this server takes no buttons of Slack", "its log says why") from error
