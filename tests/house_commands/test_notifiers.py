"""Telling people: a webhook against a real HTTP server, the terminal, and an outbox that tries again."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from mainstay.adapters.notifiers import TerminalNotifier, WebhookNotifier
from mainstay.doors.house.serving import Clockwork
from mainstay.doors.sse import Feed
from mainstay.kernel.errors import InvalidInput, SourceUnavailable
from mainstay.kernel.journal import Batch, Claim, NewMessage
from mainstay.kernel.people import Notice
from servers.fake_receiver import Listener, listening
from servers.nowhere import nobody_listens
from slo.worlds import NOW, Room, busy_month, objective, room

NOTICE = Notice("team-web", "web: half is spent", "web: half is spent (zone watch)", "notice:7")


@contextlib.contextmanager
def receiver(status: int = 200, silence: float = 0.0) -> Iterator[Listener]:
    """One at an address that is itself a secret."""
    with listening(status, silence) as here:
        here.url += "/hook?secret=s3cret"
        yield here


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_webhook_takes_the_notice_with_its_key(status: int) -> None:
    with receiver(status) as there:
        WebhookNotifier(there.url).send(NOTICE)

    (body, headers), = there.got
    assert json.loads(body) == {"target": "team-web", "subject": "web: half is spent",
                                "body": "web: half is spent (zone watch)", "key": "notice:7"}
    assert headers["idempotency-key"] == "notice:7"
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
def test_a_webhook_that_refuses_is_an_error_that_keeps_the_address_secret(status: int) -> None:
    with receiver(status) as there, pytest.raises(SourceUnavailable) as refused:
        WebhookNotifier(there.url).send(NOTICE)

    assert str(status) in refused.value.message
    assert "s3cret" not in refused.value.message + refused.value.way_out
    assert len(there.got) == 1


def test_a_webhook_that_is_silent_is_given_up() -> None:
    with receiver(silence=60) as there, pytest.raises(SourceUnavailable, match="did not answer"):
        WebhookNotifier(there.url, timeout=0.2).send(NOTICE)


def test_a_webhook_that_is_not_there_is_an_error() -> None:
    with nobody_listens() as port, pytest.raises(SourceUnavailable, match="did not answer"):
        WebhookNotifier(f"http://127.0.0.1:{port}/hook").send(NOTICE)


@pytest.mark.parametrize("url", ["not an address", "ftp://127.0.0.1/", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidInput):
        WebhookNotifier(url)


def test_the_terminal_shows_one_line() -> None:
    out = io.StringIO()

    TerminalNotifier(out).send(NOTICE)

    assert out.getvalue() == "notice for team-web: web: half is spent\n"


def test_a_line_cannot_be_forged_by_a_subject() -> None:
    out = io.StringIO()

    TerminalNotifier(out).send(Notice("team", "one\nnotice for boss: two\x1b[31m", "", "k"))

    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue()


# -- the outbox ---------------------------------------------------------------------------------------------------


def _clockwork(here: Room, url: str) -> Clockwork:
    here.journal.commit(Batch(messages=[NewMessage("notice:7", "notice", {
        "target": "team", "subject": "half is spent", "body": "half is spent"}, NOW)]))
    return Clockwork(here.world, Feed(), timedelta(seconds=60), WebhookNotifier(url))


def test_a_notice_is_sent_once() -> None:
    here = room(busy_month(), objective())
    with receiver() as there:
        work = _clockwork(here, there.url)
        work.evaluate()
        work.evaluate()

    assert [body["key"] for body in there.bodies] == ["notice:7"]
    assert [one.data["subject"] for one in here.facts("notice.sent")] == ["half is spent"]


def test_a_notice_that_was_refused_waits_and_is_tried_again_under_the_same_key() -> None:
    here = room(busy_month(), objective())
    with receiver(500) as there:
        work = _clockwork(here, there.url)
        work.evaluate()
        work.evaluate()
        assert len(there.got) == 1, "not before its time"
        there.good = 200
        here.clock.advance(timedelta(seconds=6))
        work.evaluate()

    assert [headers["idempotency-key"] for _, headers in there.got] == ["notice:7"] * 2
    assert len(here.facts("notice.sent")) == 1


def test_tries_grow_rarer_up_to_ten_minutes() -> None:
    here = room(busy_month(), objective())
    with receiver(500) as there:
        work = _clockwork(here, there.url)
        waits = []
        for _ in range(10):
            tried = len(there.got)
            waited = 0
            while len(there.got) == tried:
                work._notify()
                here.clock.advance(timedelta(seconds=5))
                waited += 5
            waits.append(waited)

    assert waits == sorted(waits)
    assert waits[-1] <= 605


@pytest.mark.parametrize("status", [200, 500])
def test_a_notice_that_another_server_took_over_meanwhile_does_not_end_the_evaluation(status: int) -> None:
    here = room(busy_month(), objective())

    class Stopped(WebhookNotifier):
        """The process stands still while it sends, for longer than it may have the notice."""

        def send(self, notice: Notice) -> None:
            here.clock.advance(timedelta(minutes=2))
            [taken] = here.journal.take_messages(here.clock.now(), "another", channel="notice")
            here.journal.commit(Batch(messages_done=[Claim(taken.key, taken.fence)]))
            super().send(notice)

    with receiver(status) as there:
        work = _clockwork(here, there.url)
        work.notifier = Stopped(there.url)
        work.evaluate()

    assert (work.evaluations, work.problem) == (1, "")
    assert work.latest is not None
