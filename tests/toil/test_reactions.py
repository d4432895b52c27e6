"""What other words record becomes work in the ledger: by the kind of fact alone, once each."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mainstay.incident.engine import Acknowledge, Merge, Open, Resolve, TryPage
from mainstay.incident.intake import Opening
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.severity import Severity
from mainstay.kernel.journal import Batch, NewFact
from mainstay.reactions import react
from mainstay.toil.operations.reporting import ReportRequest, report
from toil.ledgers import NOW, facts, world


def told(*new: NewFact):
    made = world()
    made.journal.commit(Batch(list(new)))
    react(made)
    react(made)
    return made


def page(to: str, key: str, incident: str = "INC-1", **more: str) -> NewFact:
    return NewFact("page.sent", incident, NOW, {"to": to, "channel": "slack", "key": key, "attempts": 1, **more},
                   key=f"page.sent:{key}")


def test_a_page_is_a_quarter_of_an_hour_once_a_person_however_many_channels():
    made = told(page("ana", "page:INC-1:1"), page("ana", "page:INC-1:2"), page("ben", "page:INC-1:3"),
                page("ana", "page:INC-2:1", "INC-2"), page("ana", "remind:INC-1:x"))
    found = facts(made, "toil.logged")
    assert sorted((one.subject, one.data["description"]) for one in found) == [
        ("ana", "Page about INC-1"), ("ana", "Page about INC-2"), ("ben", "Page about INC-1")]
    assert {(one.data["type"], one.data["duration_hours"], one.data["interrupt"], one.data["estimated"])
            for one in found} == {("oncall", 0.25, True, True)}
    assert report(made, ReportRequest()).summary.total_hours == 0.75


def test_what_a_channel_is_sent_and_what_is_no_page_is_nobodys_work():
    made = told(page("#ops", "page:INC-1:1", **{"is": "channel"}), page("U1", "reply:x", what="reply"))
    assert facts(made, "toil.logged") == []


def resolved(**data: object) -> NewFact:
    return NewFact("incident.resolved", "INC-7", NOW, {"by": "ana", "how": "by hand", "seconds": 5400.0} | data)


@pytest.mark.parametrize(("data", "hours"), [
    ({}, [1.5]), ({"seconds": 60 * 3600}, [8]), ({"by": "system"}, []), ({"by": ""}, []), ({"seconds": None}, []),
    ({"seconds": 0}, [])])
def test_an_incident_is_the_time_it_was_open_for_whoever_resolved_it(data, hours):
    found = facts(told(resolved(**data)), "toil.logged")
    assert [one.data["duration_hours"] for one in found] == hours
    assert all(one.data["type"] == "incident" and one.data["estimated"] for one in found)


def test_a_test_page_is_nobodys_work():
    made = world()
    incident = desk_of(made).do(TryPage("ana", "sam")).incident
    made.journal.commit(Batch([page("ana", f"page:{incident}:1", incident)]))
    made.clock.advance(timedelta(minutes=3))
    desk_of(made).do(Acknowledge(incident, "ana"))
    react(made)
    assert facts(made, "incident.resolved")
    assert facts(made, "toil.logged") == []


def test_an_incident_that_was_merged_is_counted_with_the_other_one_alone():
    made = world()
    desk = desk_of(made)
    for title in ("slow", "slow too"):
        desk.do(Open(Opening(title, Severity.SEV2, page=False)))
    made.clock.advance(timedelta(hours=1))
    desk.do(Merge("INC-2", "INC-1", "ana"))
    made.clock.advance(timedelta(hours=1))
    desk.do(Resolve("INC-1", "ana"))
    react(made)
    assert [(one.data["description"], one.data["duration_hours"]) for one in facts(made, "toil.logged")] == [
        ("Incident INC-1", 2.0)]
