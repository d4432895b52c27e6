"""Who may agree to what: every case there is, and that a pending approval outlives whoever asked."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.store import open_store
from mainstay.kernel.errors import Conflict, MainstayError, NotAllowed
from mainstay.runbook.approval import Expired, NotThisPlan
from mainstay.runbook.operations.desk import approve, cancel, reject, runs_of
from runbook.books import T0, acts, as_, catalog, drive, ordered, steps, world

TWO = "  approval: {needed: 2, by: [ana, ben, cleo], expires: 2h}\n"
_ACTORS = ("ana", "ben", "cleo", "dan")
"""Ana asks; Dan is not among those who may."""


@pytest.mark.parametrize("order", list(itertools.product(_ACTORS, repeat=3)), ids="-".join)
def test_every_order_of_three_people_approving(order: tuple[str, ...]):
    made = world(TWO + steps("a"))
    one = ordered(made)
    agreed: set[str] = set()
    for actor in order:
        before = runs_of(made).run(one.id).state
        try:
            approve(as_(made, actor), one.id, one.hash[:12])
        except NotAllowed:
            assert actor in ("ana", "dan")
        except Conflict:
            assert actor in agreed or len(agreed) == 2
        else:
            assert actor in ("ben", "cleo")
            assert actor not in agreed
            assert before == "awaiting_approval"
            agreed.add(actor)
    assert runs_of(made).run(one.id).state == ("ready" if len(agreed) == 2 else "awaiting_approval")
    assert drive(made, one.id).state == ("succeeded" if len(agreed) == 2 else "awaiting_approval")
    assert acts(made) == (["do a"] if len(agreed) == 2 else [])


@pytest.mark.parametrize("after_minutes", [0, 119, 120, 121, 600])
@pytest.mark.parametrize("approvals", [0, 1, 2])
def test_an_approval_expires_and_a_run_that_is_not_begun_in_time_too(after_minutes: int, approvals: int):
    made = world(TWO + steps("a"))
    one = ordered(made)
    for actor in ("ben", "cleo")[:approvals]:
        approve(as_(made, actor), one.id)
    made.clock.sleep(after_minutes * 60)
    if approvals < 2 and after_minutes >= 120:
        with pytest.raises(Expired):
            approve(as_(made, "cleo"), one.id)
    one = drive(made, one.id)
    expected = "expired" if after_minutes >= 120 else "succeeded" if approvals == 2 else "awaiting_approval"
    assert one.state == expected
    assert acts(made) == (["do a"] if expected == "succeeded" else [])


@pytest.mark.parametrize("seen", ["0" * 64, "abc", "x" * 12])
def test_another_plan_than_that_of_the_run_is_not_approved(seen: str):
    made = world(TWO + steps("a"))
    one = ordered(made)
    with pytest.raises(NotThisPlan):
        approve(as_(made, "ben"), one.id, seen)
    with pytest.raises(NotThisPlan):
        approve(as_(made, "ben"), one.id, one.hash[:7])


def test_where_nobody_is_named_anybody_else_may():
    made = world("  approval: {needed: 1}\n" + steps("a"))
    one = ordered(made)
    with pytest.raises(NotAllowed, match="asked for"):
        approve(made, one.id)
    assert approve(as_(made, "whoever"), one.id).state == "ready"


@pytest.mark.parametrize("actor", _ACTORS)
def test_one_who_may_approve_and_whoever_asked_may_reject(actor: str):
    made = world(TWO + steps("a"))
    one = ordered(made)
    if actor == "dan":
        with pytest.raises(NotAllowed):
            reject(as_(made, actor), one.id)
        return
    assert reject(as_(made, actor), one.id, "not now").state == "rejected"
    assert runs_of(made).run(one.id).why == f"rejected by {actor}: not now"
    with pytest.raises(Conflict):
        approve(as_(made, "cleo"), one.id)
    assert drive(made, one.id).state == "rejected"


def test_a_run_that_is_approved_can_still_be_rejected_before_it_begins():
    made = world("  approval: {needed: 1}\n" + steps("a"))
    one = ordered(made)
    approve(as_(made, "ben"), one.id)
    assert reject(as_(made, "cleo"), one.id).state == "rejected"


def test_a_cancelled_run_is_not_approved():
    made = world(TWO + steps("a"))
    one = ordered(made)
    assert cancel(made, one.id).state == "cancelled"
    with pytest.raises(Conflict):
        approve(as_(made, "ben"), one.id)


@pytest.mark.parametrize(("changed", "void"), [
    (TWO + steps("a"), False), (TWO + steps("b"), True), (TWO.replace("2h", "3h") + steps("a"), True),
    (TWO.replace("needed: 2", "needed: 1") + steps("a"), True), (TWO + "  targets: [x]\n" + steps("a"), True),
    (TWO + "  description: other words\n" + steps("a"), False), (TWO + steps("a", a="timeout: 1s"), True),
    (TWO + steps("a", a="undo: {command: [undo, other]}"), True), (TWO + steps("a", a="required: false"), True),
    (TWO + "  inputs: [{name: x}]\n" + steps("a"), True)])
def test_what_is_changed_after_approval_voids_it_unless_only_prose_is(changed: str, void: bool):
    made = world(TWO + steps("a"))
    one = ordered(made)
    for actor in ("ben", "cleo"):
        approve(as_(made, actor), one.id)
    assert drive(replace(made, catalog=catalog(changed)), one.id).state == ("voided" if void else "succeeded")
    assert acts(made) == ([] if void else ["do a"])


def test_a_pending_approval_survives_a_restart(tmp_path: Path):
    """D4 (st2 4028): it is still there, and can be answered."""
    url, clock = f"sqlite:///{tmp_path}/m.db", FakeClock(T0)
    store = open_store(url, clock)
    made = world(TWO + steps("a"), journal=store.journal, clock=clock)
    one = ordered(made)
    approve(as_(made, "ben"), one.id)
    store.close()
    store = open_store(url, clock)
    again = world(TWO + steps("a"), journal=store.journal, clock=clock)
    assert [found.by for found in runs_of(again).run(one.id).approvals] == ["ben"]
    with pytest.raises(MainstayError):
        approve(as_(again, "ben"), one.id)
    approve(as_(again, "cleo"), one.id)
    assert drive(again, one.id).state == "succeeded"
    store.close()


def test_expiry_is_the_end_and_not_a_moment_later():
    made = world(TWO + steps("a"))
    one = ordered(made)
    made.clock.sleep(timedelta(hours=2).total_seconds() - 0.001)
    approve(as_(made, "ben"), one.id)
    made.clock.sleep(0.001)
    with pytest.raises(Expired):
        approve(as_(made, "cleo"), one.id)
