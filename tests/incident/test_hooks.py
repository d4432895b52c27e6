"""Webhooks and PagerDuty, against real HTTP servers on this machine."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from incident.rooms import HERE, Receiver, house, policy, reach
from mainstay.adapters.notifiers import HookNotifier, NotDeclared, WebhookNotifier, retry_after
from mainstay.adapters.pagerduty import PagerDutyNotifier
from mainstay.incident.engine import Acknowledge, Resolve
from mainstay.kernel.channels import Channels, PagerDutyChannel, SecretAt, WebhookChannel
from mainstay.kernel.errors import NotDelivered
from mainstay.kernel.people import Notice
from servers.fake_receiver import Listener, listening


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as here:
        yield here


def notice(target: str, **more: Any) -> Notice:
    return Notice(target, "SEV1 INC-1: down", "down", "page:1", {"incident": "INC-1", "address": target, **more})


# -- webhooks -----------------------------------------------------------------------------------------------------


def test_a_body_is_signed_so_that_its_receiver_can_tell(listener: Listener):
    HookNotifier(WebhookChannel(SecretAt("SIGNS")), {"SIGNS": "s3cret"}).send(notice(f"{listener.url}/hook"))
    (body, headers), = listener.got
    at, given = (part.partition("=")[2] for part in headers["x-mainstay-signature"].split(","))
    assert abs(time.time() - int(at)) < 60
    # Worked out as a receiver would, with nothing of ours.
    assert hmac.new(b"s3cret", at.encode() + b"." + body, hashlib.sha256).hexdigest() == given
    assert headers["idempotency-key"] == "page:1"
    assert json.loads(body)["about"] == {"incident": "INC-1"}


def test_a_hook_may_have_a_name_so_that_its_address_stays_a_secret(listener: Listener):
    hooks = HookNotifier(WebhookChannel(hooks={"team": SecretAt("TEAM_HOOK")}), {"TEAM_HOOK": f"{listener.url}/s3cret"})
    hooks.send(notice("team"))
    assert len(listener.got) == 1
    listener.answers = [(403, {})]
    with pytest.raises(NotDelivered) as refused:
        hooks.send(notice("team"))
    assert "s3cret" not in str(refused.value) + refused.value.way_out


@pytest.mark.parametrize(("status", "for_good"), [
    (301, True), (400, True), (401, True), (404, True), (410, True), (408, False), (429, False), (500, False),
    (503, False)])
def test_a_status_says_whether_to_try_again(listener: Listener, status: int, for_good: bool):
    listener.answers = [(status, {"Retry-After": "7"})]
    with pytest.raises(NotDelivered, match=str(status)) as refused:
        WebhookNotifier(listener.url).send(notice("team"))
    assert refused.value.for_good is for_good
    assert refused.value.retry_after == (None if for_good else 7)


@pytest.mark.parametrize("target", ["nobody", "ftp://x/", "http://", "file:///etc/passwd", ""])
def test_what_is_no_address_goes_the_next_way(target: str):
    with pytest.raises(NotDelivered) as refused:
        HookNotifier(WebhookChannel()).send(notice(target))
    assert refused.value.for_good


def test_a_pause_may_be_asked_for_as_a_date():
    now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    assert retry_after(format_datetime(now + timedelta(seconds=90), usegmt=True), now) == 90
    assert retry_after(format_datetime(now - timedelta(seconds=90), usegmt=True), now) == 0
    assert retry_after("soon", now) is None
    assert retry_after("", now) is None


def test_a_receiver_that_asks_for_ages_is_asked_again_after_an_hour():
    chat = Receiver(refusals=[NotDelivered("429", retry_after=1e12)])
    here = house({"chat": chat}, {"ana": (reach("chat", "UANA"),)}, steps=policy("rotation:first", wait="600m"))
    chat.clock = here.clock
    here.fires()
    here.run(minutes=61)
    assert (chat.at[1] - chat.at[0]) == timedelta(hours=1)


def test_a_channel_that_nobody_declared_refuses_for_good():
    with pytest.raises(NotDelivered, match="declares slack") as refused:
        NotDeclared("slack").send(notice("UANA"))
    assert refused.value.for_good


# -- PagerDuty ----------------------------------------------------------------------------------------------------


def pager(listener: Listener) -> PagerDutyNotifier:
    return PagerDutyNotifier(PagerDutyChannel({"web": SecretAt("PD_WEB")}, listener.url), {"PD_WEB": "r0uting-key"})


def test_an_incident_is_one_alert_there_from_trigger_to_resolve(listener: Listener):
    declared = Channels("all", HERE, "https://m.example", pagerduty=PagerDutyChannel({"web": SecretAt("PD_WEB")}))
    here = house({"pagerduty": pager(listener)}, {}, steps=policy("channel:pagerduty:web", wait="600m"),
                 declared=declared)
    incident, opened = here.fires(), f"{here.clock.now():%Y-%m-%dT%H:%M:%S}"
    here.run(seconds=1)
    here.desk.do(Acknowledge(incident, "ana"))
    here.run(seconds=1)
    here.desk.do(Resolve(incident, "ana"))
    here.run(seconds=1)
    assert [(one["event_action"], one["dedup_key"], one["routing_key"]) for one in listener.bodies] == [
        (action, f"mainstay-INC-1-{opened}", "r0uting-key") for action in ("trigger", "acknowledge", "resolve")]
    payload = listener.bodies[0]["payload"]
    # What the Events API demands: summary, source, and one of four severities.
    assert payload["summary"].startswith("SEV1 INC-1")
    assert payload["source"] == "web"
    assert payload["severity"] == "critical"
    assert listener.bodies[0]["links"] == [{"href": "https://m.example/incident/show?name=INC-1", "text": "INC-1"}]
    assert "r0uting-key" not in json.dumps([fact.data for fact in here.facts("page.sent", "incident.paged")])


@pytest.mark.parametrize(("status", "for_good"), [(400, True), (429, False), (500, False)])
def test_what_pagerduty_refuses(listener: Listener, status: int, for_good: bool):
    listener.answers = [(status, {})]
    with pytest.raises(NotDelivered) as refused:
        pager(listener).send(notice("web", what="page", severity="SEV1", service="web",
                                    opened="2026-03-02T09:00:00+00:00"))
    assert refused.value.for_good is for_good
    assert "r0uting-key" not in str(refused.value)


def test_a_service_that_is_not_declared_is_refused_for_good(listener: Listener):
    with pytest.raises(NotDelivered, match='no service "db"') as refused:
        pager(listener).send(notice("db", what="page"))
    assert refused.value.for_good
    assert listener.got == []
