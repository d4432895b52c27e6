"""Action items: somebody's, until a day, reminded of, seen done by somebody else, and found again when it happens."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from incident.plans import T0, People, desk_of, plan_of
from mainstay.adapters.clock import FakeClock
from mainstay.incident import checkpoint
from mainstay.incident.action_items import (
    STEPS,
    IllegalItemStep,
    Item,
    OwnWork,
    Progress,
    Sign,
    ageing,
    marks_of,
    next_progress,
    next_reminder,
    overdue_first,
)
from mainstay.incident.aftermath import AddItem, ChangeItem, Details, MoveItem
from mainstay.incident.engine import Open, Resolve
from mainstay.incident.intake import AlertEvent, Opening
from mainstay.incident.operations.desk import Desk
from mainstay.incident.severity import Severity
from mainstay.kernel.errors import Conflict, InvalidInput, NotFound
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.people import Contact, Reach

PEOPLE = People({}, {"ana": [Reach(timedelta(0), Contact("pager", "1")),
                             Reach(timedelta(0), Contact("email", "ana@example.com"), "low")]})
ALERT = Sign("web", "disk-full", {"alertname": "DiskFull", "instance": "a"})


@pytest.fixture
def desk(tmp_path: Path) -> tuple[Desk, FakeClock]:
    """A desk with INC-1, resolved, of an alert of web."""
    desk, clock = desk_of(plan_of(tmp_path, ""), PEOPLE)
    desk.do(AlertEvent(T0, True, "disk-full", "web", "page", ALERT.labels, "disk full"))
    desk.do(Resolve("INC-1", "ana"))
    return desk, clock


def _add(desk: Desk, **more: object) -> str:
    details = {"text": "alert on use", "owner": "ana", "due": date(2026, 3, 12), **more}
    return desk.do(AddItem("INC-1", Details(**details), "ana", (ALERT,))).incident  # type: ignore[arg-type]


def _told(desk: Desk, clock: FakeClock, until: datetime) -> list[str]:
    """Let time pass; the reminders, as `12 Mar 09:00 email: AI-1 is …`."""
    journal = desk._journal
    out: dict[str, str] = {}
    while (due := journal.next_due()) is not None and due <= until:
        clock.set(max(due, clock.now()))
        desk.ring("test")
        for message in journal.take_messages(clock.now(), "test"):
            if message.data["what"] == "reminder" and message.data["reason"] == "action due":
                out.setdefault(message.key, f"{clock.now():%-d %b %H:%M} {message.channel}: {message.data['title']}")
    return list(out.values())


# -- its life ----------------------------------------------------------------------------------------------------------


def test_every_step_of_the_table_and_no_other_is_taken():
    item = Item("AI-1", "INC-1", "x", "prevent", "P1", T0, "ana", done_by="ana")
    for state in Progress:
        for event in {event for _, event in STEPS}:
            one = replace(item, state=state)
            if (state, event) in STEPS:
                assert next_progress(one, event, "ben") is STEPS[state, event]
            else:
                with pytest.raises(IllegalItemStep):
                    next_progress(one, event, "ben")


@pytest.mark.parametrize("by", ["ana", "cy"])
def test_its_owner_and_whoever_did_it_cannot_verify_it_and_somebody_else_can(desk: tuple[Desk, FakeClock], by: str):
    engine, _ = desk
    name = _add(engine)
    engine.do(MoveItem(name, "done", "cy"))
    with pytest.raises(OwnWork):
        engine.do(MoveItem(name, "verified", by))
    engine.do(MoveItem(name, "verified", "ben"))
    assert engine.state.actions[name].verified_by == "ben"


def test_what_was_found_not_done_is_open_again(desk: tuple[Desk, FakeClock]):
    engine, _ = desk
    name = _add(engine)
    engine.do(MoveItem(name, "done", "ana"))
    engine.do(MoveItem(name, "reopened", "ben", "the alert never fires"))
    found = engine.state.actions[name]
    assert (found.state, found.done_by, found.closed_at) == (Progress.OPEN, "", None)


@pytest.mark.parametrize("details", [{"text": " "}, {"kind": "blame"}, {"priority": "P9"}])
def test_an_item_that_says_nonsense_is_refused(desk: tuple[Desk, FakeClock], details: dict[str, str]):
    with pytest.raises(InvalidInput):
        _add(desk[0], **details)
    assert desk[0].state.counts["action"] == 0


def test_what_is_not_there_and_what_is_closed_is_not_changed(desk: tuple[Desk, FakeClock]):
    engine, _ = desk
    with pytest.raises(NotFound):
        engine.do(MoveItem("AI-9", "done", "ana"))
    with pytest.raises(NotFound):
        engine.do(AddItem("INC-9", Details("x"), "ana"))
    name = _add(engine)
    with pytest.raises(InvalidInput, match="without a reason"):
        engine.do(MoveItem(name, "dropped", "ana"))
    engine.do(MoveItem(name, "dropped", "ana", "the service is gone"))
    with pytest.raises(Conflict):
        engine.do(ChangeItem(name, Details(owner="ben"), "ana"))


def test_two_desks_number_items_apart(desk: tuple[Desk, FakeClock], tmp_path: Path):
    engine, clock = desk
    other = Desk(engine._journal, clock, engine.plan, PEOPLE)
    assert [_add(one) for one in (engine, other, engine, other)] == ["AI-1", "AI-2", "AI-3", "AI-4"]


# -- reminders ---------------------------------------------------------------------------------------------------------


def test_the_owner_is_reminded_before_on_and_every_week_after_the_due_date_quietly(desk: tuple[Desk, FakeClock]):
    engine, clock = desk
    _add(engine)
    assert _told(engine, clock, datetime(2026, 3, 27, tzinfo=UTC)) == [
        "9 Mar 09:00 email: AI-1 is due on 12 Mar, in 3 d 15 h: alert on use",
        "12 Mar 09:00 email: AI-1 is due on 12 Mar, in 15 h: alert on use",
        "19 Mar 09:00 email: AI-1 is 6 d 9 h overdue: alert on use",
        "26 Mar 09:00 email: AI-1 is 13 d 9 h overdue: alert on use"]


def test_what_is_done_is_not_reminded_of_and_a_new_date_moves_the_reminder(desk: tuple[Desk, FakeClock]):
    engine, clock = desk
    first, second = _add(engine), _add(engine)
    engine.do(MoveItem(first, "done", "ana"))
    engine.do(ChangeItem(second, Details(due=date(2026, 3, 20), owner="ben"), "ana"))
    assert _told(engine, clock, datetime(2026, 3, 18, tzinfo=UTC)) == [
        "17 Mar 09:00 terminal: AI-2 is due on 20 Mar, in 3 d 15 h: alert on use"]


_START = datetime(2020, 1, 1, tzinfo=UTC)
_MOMENTS = st.integers(0, 11 * 365 * 86_400).map(lambda seconds: _START + timedelta(seconds=seconds))


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), _MOMENTS)
def test_the_next_reminder_is_always_to_come_and_within_a_week_of_the_last(due: date, now: datetime):
    found = next_reminder(due, now)
    assert found is not None
    assert found > now
    following = next_reminder(due, found)
    assert following is not None
    assert timedelta(0) < following - found <= timedelta(days=7)


# -- ageing ------------------------------------------------------------------------------------------------------------


def test_the_report_says_overdue_first_by_owner_and_how_old():
    now = datetime(2026, 3, 31, tzinfo=UTC)

    def item(number: int, age: int, owner: str, due: date | None, state: Progress = Progress.OPEN) -> Item:
        return Item(f"AI-{number}", "INC-1", "x", "prevent", "P1", now - timedelta(days=age), owner, due, state=state)

    items = [item(1, 10, "ana", date(2026, 4, 5)), item(2, 30, "ben", date(2026, 3, 10)), item(3, 20, "ben", None),
             item(4, 40, "ana", date(2026, 3, 20)), item(5, 5, "ana", date(2026, 3, 1), Progress.DONE),
             item(6, 5, "ana", date(2026, 3, 1), Progress.VERIFIED), item(7, 2, "", None)]
    assert [one.id for one in overdue_first(items, now)] == ["AI-2", "AI-4", "AI-1", "AI-3", "AI-7", "AI-5", "AI-6"]
    found = ageing(items, now)
    assert (found.open, found.overdue, found.unverified, found.verified, found.median_age_days) == (5, 2, 1, 1, 20)
    assert [(one.owner, one.open, one.overdue, one.median_age_days, one.oldest_days) for one in found.owners] == [
        ("ana", 2, 1, 25, 40), ("ben", 2, 1, 25, 30), ("", 1, 0, 2, 2)]


def test_a_due_date_is_over_when_its_day_is():
    item = Item("AI-1", "INC-1", "x", "prevent", "P1", T0, "ana", date(2026, 3, 10))
    assert not item.overdue(datetime(2026, 3, 10, 23, 59, 59, tzinfo=UTC))
    assert not item.overdue(datetime(2026, 3, 11, tzinfo=UTC))
    assert item.overdue(datetime(2026, 3, 11, 0, 0, 1, tzinfo=UTC)) == timedelta(seconds=1)


# -- it happens again --------------------------------------------------------------------------------------------------


def _recurred(desk: Desk) -> list[tuple[str, str]]:
    return [(fact.subject, fact.data["text"]) for fact in desk._journal.facts(FactQuery(kinds=("incident.recurred",)))]


def _again(desk: Desk, clock: FakeClock, **more: object) -> None:
    clock.set(clock.now() + timedelta(days=20))
    event = {"key": "disk-full", "service": "web", "labels": {}, **more}
    desk.do(AlertEvent(clock.now(), True, severity="page", summary="disk full", **event))  # type: ignore[arg-type]


@pytest.mark.parametrize("again", [
    {}, {"key": "other", "labels": {"alertname": "DiskFull", "instance": "b"}}])
def test_an_incident_like_an_earlier_one_says_which_action_items_are_not_finished(desk: tuple[Desk, FakeClock],
                                                                                  again: dict[str, object]):
    engine, clock = desk
    _add(engine)
    _again(engine, clock, **again)
    assert _recurred(engine) == [
        ("INC-2", "like INC-1, which left unfinished: AI-1 (ana, 9 d 9 h overdue): alert on use")]


@pytest.mark.parametrize("again", [
    {"service": "db"}, {"key": "other"}, {"key": "other", "labels": {"alertname": "Slow"}}])
def test_one_of_another_service_or_another_alert_is_not_alike(desk: tuple[Desk, FakeClock], again: dict[str, object]):
    engine, clock = desk
    _add(engine)
    _again(engine, clock, **again)
    assert _recurred(engine) == []


def test_what_is_done_and_not_verified_is_named_and_what_is_verified_is_not(desk: tuple[Desk, FakeClock]):
    engine, clock = desk
    _add(engine)
    engine.do(MoveItem("AI-1", "done", "ana"))
    _again(engine, clock)
    assert _recurred(engine)[0][1].endswith("AI-1 (ana, done, not verified): alert on use")
    engine.do(MoveItem("AI-1", "verified", "ben"))
    engine.do(Resolve("INC-2", "ana"))
    _again(engine, clock)
    assert len(_recurred(engine)) == 1


def test_incidents_opened_by_hand_are_alike_by_service_and_title(tmp_path: Path):
    desk, _ = desk_of(plan_of(tmp_path, ""), PEOPLE)
    opening = Opening("Checkout  answers 500", Severity.SEV2, ("web",), page=False)
    desk.do(Open(opening))
    desk.do(AddItem("INC-1", Details("x"), "ana"))
    desk.do(Open(Opening("checkout answers 500", Severity.SEV3, ("web",), page=False)))
    desk.do(Open(Opening("checkout answers 500", Severity.SEV3, ("db",), page=False)))
    assert [subject for subject, _ in _recurred(desk)] == ["INC-2"]


@given(st.lists(st.builds(Sign, st.text(max_size=5), st.text(max_size=5), st.just({})), max_size=4))
def test_an_incident_is_always_like_itself(signs: list[Sign]):
    assert set(marks_of("web", "x", signs)) & set(marks_of("web", "x", list(reversed(signs))))


def test_a_restart_from_a_checkpoint_still_finds_what_is_alike(desk: tuple[Desk, FakeClock]):
    engine, _ = desk
    _add(engine)
    _add(engine)
    engine.do(MoveItem("AI-1", "dropped", "ana", "gone"))
    state = engine.state
    written = list(checkpoint.parts(checkpoint.changes_of(state, checkpoint.Chain())))
    again = checkpoint.restored(written, state.counts, ())
    for name in ("actions", "reviews", "marks"):
        assert dict(getattr(again, name).rows()) == dict(getattr(state, name).rows())
    assert again.counts == state.counts
