"""Slack, against a fake that speaks its Web API (tests/servers/fake_slack.py): pages, answers, war rooms."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from incident.rooms import HERE, House, house, policy, reach
from mainstay.adapters.slack import SlackNotifier
from mainstay.adapters.slack_blocks import ACKNOWLEDGE, RESOLVE, escape
from mainstay.incident.engine import Acknowledge, GiveRole, Note, Open, Resolve, SetSeverity
from mainstay.incident.intake import AlertEvent, Opening
from mainstay.incident.operations.outbox import Outbox
from mainstay.incident.severity import Severity
from mainstay.incident.timeline import line
from mainstay.kernel.channels import Channels, RoomRule, SecretAt, SlackChannel
from mainstay.kernel.errors import NotDelivered
from mainstay.kernel.journal import Data
from mainstay.kernel.people import Notice
from servers.fake_slack import TOKEN, FakeSlack, fake_slack

pytest.importorskip("slack_sdk", reason="slack_sdk is not installed")
ENVIRON = {"SLACK_TOKEN": TOKEN, "SIGNS": "s3cret"}
PEOPLE = {"ana": (reach("slack", "UANA"),), "ben": (reach("slack", "UBEN"),), "cleo": (reach("slack", "UCLEO"),)}


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with fake_slack() as here:
        yield here


def declared(slack: FakeSlack, room: RoomRule | None = None, timeout: float = 60) -> Channels:
    return Channels("all", HERE, "https://mainstay.example.com", SlackChannel(
        SecretAt("SLACK_TOKEN"), SecretAt("SIGNS"), slack.url, timedelta(seconds=timeout), room))


def notifier(slack: FakeSlack, environ: dict[str, str] | None = None, timeout: float = 60) -> SlackNotifier:
    channel = declared(slack, timeout=timeout).slack
    assert channel is not None
    return SlackNotifier(channel, ENVIRON if environ is None else environ)


def at(slack: FakeSlack, *steps: str, room: RoomRule | None = None) -> House:
    return house({"slack": notifier(slack)}, PEOPLE, steps=policy(*(steps or ("rotation:first",))),
                 declared=declared(slack, room))


PAGE = Notice("UANA", "SEV1 INC-1: down", "down", "page:INC-1", {
    "what": "page", "incident": "INC-1", "title": "down", "severity": "SEV1", "service": "web", "link": "",
    "opened": "2026-03-02T09:00:00+00:00", "reason": "opened"})


# -- pages --------------------------------------------------------------------------------------------------------


def test_a_page_is_a_direct_message_with_buttons_and_a_link_under_its_key(slack: FakeSlack):
    here = at(slack)
    here.fires()
    here.run(seconds=1)
    [message] = slack.messages_to("UANA")
    buttons = [one for block in message["blocks"] if block["type"] == "actions" for one in block["elements"]]
    assert [one["action_id"] for one in buttons] == [ACKNOWLEDGE, RESOLVE, "mainstay_open"]
    assert buttons[2]["url"] == "https://mainstay.example.com/incident/show?name=INC-1"
    assert message["metadata"]["event_payload"]["key"].startswith("page:INC-1:")
    [sent] = here.facts("page.sent")
    assert sent.data["receipt"] == {"channel": "DUANA", "ts": message["ts"]}


def test_a_step_may_page_a_channel(slack: FakeSlack):
    here = at(slack, "channel:slack:#ops")
    here.fires()
    here.run(seconds=1)
    assert len(slack.named("ops").messages) == 1


def test_an_alert_cannot_call_a_channel_together(slack: FakeSlack):
    here = at(slack)
    here.fires(summary="<!channel> & <https://evil.example|click>")
    here.run(seconds=1)
    [message] = slack.messages_to("UANA")
    section = next(block for block in message["blocks"] if block["type"] == "section")
    assert "<!channel>" not in section["text"]["text"]
    assert "&lt;!channel&gt; &amp; &lt;https" in section["text"]["text"]
    assert escape("a<b") == "a&lt;b"


def test_titles_as_long_as_they_like_fit_into_what_slack_allows(slack: FakeSlack):
    here = at(slack, room=RoomRule())
    here.fires(summary="x" * 5000)
    here.run(seconds=1)
    assert len(slack.messages_to("UANA")) == 1
    assert here.facts("page.failed") == []
    assert here.facts("incident.room-opened")


def test_an_answer_takes_the_buttons_of_every_page_away(slack: FakeSlack):
    here = at(slack, "rotation:first", "rotation:second")
    incident = here.fires()
    here.run(minutes=6)
    here.desk.do(Acknowledge(incident, "ben"))
    here.run(seconds=1)
    for user in ("UANA", "UBEN"):
        [message] = slack.messages_to(user)
        assert message["text"] == "ben has INC-1."
        assert "mainstay_acknowledge" not in str(message["blocks"])
    here.desk.do(Resolve(incident, "ben"))
    here.run(seconds=1)
    assert slack.messages_to("UANA")[0]["text"] == "INC-1 is resolved."


@pytest.mark.parametrize(("error", "for_good"), [
    ("channel_not_found", True), ("invalid_auth", True), ("is_archived", True), ("missing_scope", True),
    ("internal_error", False), ("service_unavailable", False)])
def test_errors_of_slack_say_whether_to_try_again(slack: FakeSlack, error: str, for_good: bool):
    slack.broken["chat.postMessage"] = [error]
    with pytest.raises(NotDelivered, match=error) as refused:
        notifier(slack).send(PAGE)
    assert refused.value.for_good is for_good


def test_a_wrong_token_is_for_good_and_is_shown_nowhere(slack: FakeSlack, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(NotDelivered, match="invalid_auth") as refused:
        notifier(slack, {"SLACK_TOKEN": "xoxb-wrong-s3cret"}).send(PAGE)
    assert refused.value.for_good
    assert "xoxb-wrong-s3cret" not in str(refused.value) + refused.value.way_out + caplog.text


def test_a_token_that_is_not_there_goes_the_next_way(slack: FakeSlack):
    with pytest.raises(NotDelivered, match="SLACK_TOKEN") as refused:
        notifier(slack, {}).send(PAGE)
    assert refused.value.for_good
    assert slack.asked == []


def test_a_method_that_asked_for_a_pause_is_not_asked_for_anybody_before_it_is_over(slack: FakeSlack):
    slack.limited["chat.postMessage"] = [7]
    clock = [100.0]
    channel = declared(slack).slack
    assert channel is not None
    pages = SlackNotifier(channel, ENVIRON, lambda: clock[0])
    with pytest.raises(NotDelivered) as refused:
        pages.send(PAGE)
    assert refused.value.retry_after == 7
    clock[0] = 103.0
    with pytest.raises(NotDelivered) as again:
        pages.send(PAGE)
    assert again.value.retry_after == pytest.approx(4)
    assert slack.times("chat.postMessage") == 1
    clock[0] = 107.5
    pages.send(PAGE)
    assert slack.times("chat.postMessage") == 2


def test_a_slack_that_is_silent_is_given_up_within_its_time(slack: FakeSlack):
    slack.silence = 60
    begun = time.monotonic()
    with pytest.raises(NotDelivered, match="did not answer") as refused:
        notifier(slack, timeout=1).send(PAGE)
    assert time.monotonic() - begun < 30
    assert not refused.value.for_good


# -- war rooms ----------------------------------------------------------------------------------------------------


def test_a_severe_incident_gets_one_room_whose_summary_follows_it_and_that_is_archived(slack: FakeSlack):
    here = at(slack, room=RoomRule(invite=("cleo",)))
    incident = here.fires()
    here.run(seconds=1)
    room = slack.named("inc-1-checkout-answers-500")
    assert room.topic == ("SEV1 · open · commander: nobody yet · checkout answers 500 · "
                          "https://mainstay.example.com/incident/show?name=INC-1")
    assert room.members == ["UBOT", "UANA", "UCLEO"], "those paged, and those always invited"
    assert "nobody" in str(room.messages[0]["blocks"])
    here.desk.do(Acknowledge(incident, "ana"))
    here.desk.do(GiveRole(incident, "commander", "ben", "ana"))
    here.run(seconds=1)
    assert "UBEN" in room.members
    assert "commander: ben" in room.topic
    assert len(room.messages) == 1, "the summary is changed, not said again"
    assert "commander: ben" in str(room.messages[0]["blocks"])
    here.desk.do(Resolve(incident, "ben"))
    here.run(seconds=1)
    assert room.archived
    assert "*resolved*" in str(room.messages[0]["blocks"])
    assert [fact.kind for fact in here.facts("incident.room-opened", "incident.room-archived")] == [
        "incident.room-opened", "incident.room-archived"]


def test_only_severe_incidents_get_a_room_and_one_that_becomes_severe_does(slack: FakeSlack):
    here = at(slack, room=RoomRule())
    incident = here.fires(severity="warning")
    here.run(seconds=1)
    assert slack.times("conversations.create") == 0
    here.desk.do(SetSeverity(incident, Severity.SEV2, "ana"))
    here.run(seconds=1)
    assert slack.times("conversations.create") == 1
    here.desk.do(SetSeverity(incident, Severity.SEV3, "ana"))
    here.desk.do(Resolve(incident, "ana"))
    here.run(seconds=1)
    assert slack.named("inc-1-checkout-answers-500").archived, "a room that is there is kept to its end"


def test_of_many_changes_only_the_last_is_told(slack: FakeSlack):
    here = at(slack, room=RoomRule())
    incident = here.fires()
    here.run(seconds=1)
    before = slack.times("chat.update")
    for number in range(20):
        here.desk.do(Note(incident, f"note {number}", "ana"))
    here.run(seconds=1)
    assert slack.times("chat.update") == before + 1


class Slow(SlackNotifier):
    """A server's way to Slack; in the middle of its first message of a sort something else happens."""

    def __init__(self, slack: FakeSlack, what: str, meanwhile: Callable[[], object]) -> None:
        channel = declared(slack).slack
        assert channel is not None
        super().__init__(channel, ENVIRON)
        self.what, self.meanwhile = what, meanwhile

    def send(self, notice: Notice) -> Data | None:
        if notice.data["what"] == self.what:
            self.what = ""
            self.meanwhile()
        return super().send(notice)


def test_of_two_servers_one_at_a_time_keeps_the_room_and_its_summary_ends_with_the_latest(slack: FakeSlack):
    here = at(slack, room=RoomRule())
    incident = here.fires()

    def meanwhile() -> None:
        here.desk.do(Acknowledge(incident, "ana"))
        here.outbox.send("slack", "another")

    slow = Slow(slack, "room", meanwhile)
    Outbox(here.journal, here.clock, here.desk, here.people, {"slack": slow}).send("slack", "slow")
    assert not slow.what
    here.run(seconds=3)
    room = slack.named("inc-1-checkout-answers-500")
    assert len(room.messages) == 1
    assert "ana" in str(room.messages[0]["blocks"]), "who has it by now"
    newest = here.facts("incident.room-opened", "room.kept")[-1]
    assert newest.data["receipt"]["version"] == here.desk.state.incidents[incident].version


def test_of_two_servers_the_slower_one_does_not_say_last_what_was_so_before(slack: FakeSlack):
    here = at(slack)
    incident = here.fires()
    here.run(seconds=1)
    here.desk.do(Acknowledge(incident, "ana"))

    def meanwhile() -> None:
        here.desk.do(Resolve(incident, "ana"))
        here.outbox.send("slack", "another")

    slow = Slow(slack, "answer", meanwhile)
    Outbox(here.journal, here.clock, here.desk, here.people, {"slack": slow}).send("slack", "slow")
    assert not slow.what
    here.run(seconds=3)
    assert slack.messages_to("UANA")[0]["text"] == "INC-1 is resolved."


class Killed(BaseException):
    """The process ended, as by kill -9."""


@pytest.mark.parametrize("method", ["conversations.create", "conversations.setTopic", "conversations.invite",
                                    "chat.postMessage"])
def test_whoever_dies_between_slack_and_the_journal_makes_no_second_room(slack: FakeSlack, method: str):
    here = at(slack, "channel:terminal:x", room=RoomRule(invite=("cleo",)))
    here.fires()
    notes = notifier(slack)
    answer = notes._api.ask

    def dies(asked: str, *more: object, **fields: object) -> dict[str, object]:
        found = answer(asked, *more, **fields)  # type: ignore[arg-type]
        if asked == method:
            raise Killed
        return found

    notes._api.ask = dies  # type: ignore[method-assign]
    doomed = Outbox(here.journal, here.clock, here.desk, here.people, {"slack": notes})
    with pytest.raises(Killed):
        doomed.send("slack", "doomed")
    assert here.facts("incident.room-opened") == []
    here.clock.advance(timedelta(seconds=61))
    here.run(seconds=1)
    rooms = [room for room in slack.rooms.values() if room.name.startswith("inc-")]
    assert [room.name for room in rooms] == ["inc-1-checkout-answers-500"]
    assert len(rooms[0].messages) == 1
    assert len(here.facts("incident.room-opened")) == 1


def test_a_name_that_somebody_else_took_is_left_to_them(slack: FakeSlack):
    slack.answer("conversations.create", {"name": "inc-1-checkout-answers-500"})
    slack.named("inc-1-checkout-answers-500").creator = "UMALLORY"
    here = at(slack, room=RoomRule())
    here.fires()
    here.run(seconds=1)
    assert slack.named("inc-1-checkout-answers-500-2").messages
    assert slack.named("inc-1-checkout-answers-500").messages == []


def test_a_room_of_an_older_incident_of_that_name_is_not_taken(slack: FakeSlack):
    slack.answer("conversations.create", {"name": "inc-1-checkout-answers-500"})
    slack.named("inc-1-checkout-answers-500").created = 0.0
    here = at(slack, room=RoomRule())
    here.fires()
    here.run(seconds=1)
    assert slack.named("inc-1-checkout-answers-500").messages == []


def test_an_incident_that_comes_back_gets_a_room_that_can_be_written_in(slack: FakeSlack, tmp_path):
    here = at(slack, room=RoomRule())
    here.desk.plan = here.desk.plan.__class__(
        here.desk.plan.routing.__class__("all", HERE, here.desk.plan.routing.route.__class__(
            reopen=timedelta(minutes=10))), here.desk.plan.policies, channels=here.desk.plan.channels)
    here.fires()
    here.run(seconds=1)
    here.desk.do(AlertEvent(here.clock.now(), False, "disk", "web"))
    here.run(seconds=1)
    assert slack.named("inc-1-checkout-answers-500").archived
    assert here.fires() == "INC-1"
    here.run(seconds=1)
    assert not slack.named("inc-1-checkout-answers-500-2").archived
    assert [fact.data["room"] for fact in here.facts("incident.room-opened")] == [
        "#inc-1-checkout-answers-500", "#inc-1-checkout-answers-500-2"]


def test_a_room_that_was_archived_by_hand_is_not_made_again(slack: FakeSlack):
    here = at(slack, room=RoomRule())
    incident = here.fires()
    here.run(seconds=1)
    slack.named("inc-1-checkout-answers-500").archived = True
    here.desk.do(Note(incident, "a", "ana"))
    here.run(seconds=1)
    here.desk.do(Note(incident, "b", "ana"))
    here.run(seconds=1)
    assert slack.times("conversations.create") == 1
    assert here.facts("page.failed") == []


def test_a_rate_limit_in_the_middle_of_a_room_is_waited_for_and_nothing_is_done_twice(slack: FakeSlack):
    slack.limited["conversations.setTopic"] = [0]
    here = at(slack, room=RoomRule())
    here.fires()
    here.run(seconds=10)
    assert len([room for room in slack.rooms.values() if room.name.startswith("inc-")]) == 1
    assert len(slack.named("inc-1-checkout-answers-500").messages) == 1


def test_a_person_whom_slack_does_not_know_keeps_nobody_else_out(slack: FakeSlack):
    here = at(slack, room=RoomRule(invite=("cleo",)))
    here.people._reach = {**PEOPLE, "ana": (reach("slack", "UGONE"),)}
    here.fires()
    here.run(seconds=1)
    assert "UCLEO" in slack.named("inc-1-checkout-answers-500").members


def test_a_room_that_cannot_be_made_is_said_once_and_pages_go_out_all_the_same(slack: FakeSlack):
    slack.broken["conversations.create"] = ["missing_scope"] * 20
    here = at(slack, room=RoomRule())
    incident = here.fires()
    here.run(seconds=1)
    for number in range(5):
        here.desk.do(Note(incident, f"note {number}", "ana"))
        here.run(seconds=1)
    assert [line(fact).text for fact in here.facts("page.failed")] == [
        "the war room cannot be kept: Slack refused conversations.create: missing_scope"]
    assert len(slack.messages_to("UANA")) == 1


def test_an_incident_opened_by_hand_has_its_room_too(slack: FakeSlack):
    here = at(slack, room=RoomRule())
    here.desk.do(Open(Opening("checkout down!", Severity.SEV1, ("web",), by="ana")))
    here.run(seconds=1)
    assert slack.named("inc-1-checkout-down").members == ["UBOT", "UANA"]
