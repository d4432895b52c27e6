"""What a runbook saves is measured, booked once, and taken back with the run."""

from __future__ import annotations

import pytest

from mainstay.adapters.memory import MemoryActuator
from mainstay.kernel.journal import Batch, FactQuery, NewFact
from mainstay.kernel.ports import World
from mainstay.reactions import react
from mainstay.runbook.operations.desk import answer, take_back
from mainstay.runbook.operations.looking import ListRequest, list_runbooks
from mainstay.toil.automated import Recovered
from mainstay.toil.operations.reporting import ReportRequest, report
from runbook.books import drive, fails, ordered, run, steps, world

SPEC = "  manual_minutes: 30\n" + steps("a")


def worked(made: World) -> None:
    """Somebody worked an hour, so that there is a report."""
    made.journal.commit(Batch([NewFact("toil.logged", "ana", made.clock.now(), {
        "date": made.clock.now().date().isoformat(), "duration_hours": 1.0, "type": "engineering"})]))


def saved(made: World) -> list[tuple[str, int, float]]:
    react(made)
    react(made)
    return [(one.task, one.runs, one.hours) for one in report(made, ReportRequest()).saved]


def by_hand(made: World, minutes: float) -> None:
    """Somebody does it by hand and says so after that time."""
    one = ordered(made, by_hand=True)
    drive(made, one.id)
    made.clock.sleep(minutes * 60)
    answer(made, one.id, "done")
    assert drive(made, one.id).state == "succeeded"


def test_a_run_that_succeeds_books_what_people_did_not_need():
    made = world(SPEC)
    worked(made)
    run(made)
    run(made)
    assert saved(made) == [("fix", 2, 1.0)]


def test_a_run_that_fails_books_nothing():
    made = world(SPEC, MemoryActuator(fails("do a")))
    worked(made)
    run(made)
    assert saved(made) == []


def test_a_run_that_fails_counts_as_tried():
    broken = [False]
    made = world(SPEC, MemoryActuator(lambda act: fails("do a")(act) if broken[0] else None))
    worked(made)
    run(made)
    broken[0] = True
    run(made)
    react(made)
    (one,) = report(made, ReportRequest()).saved
    assert (one.runs, one.succeeded, one.tried, one.manual_minutes) == (1, 1, 2, 30.0)


def test_how_long_incidents_are_open_with_a_run_and_without_is_in_the_report():
    made = world(SPEC)
    worked(made)
    for incident, minutes in (("INC-1", 3), ("INC-2", 40)):
        made.journal.commit(Batch([NewFact("incident.resolved", incident, made.clock.now(), {
            "by": "system", "seconds": minutes * 60.0})]))
    one = ordered(made, incident="INC-1")
    drive(made, one.id)
    react(made)
    (task,) = report(made, ReportRequest()).saved
    assert (task.with_it, task.without) == (Recovered(1, 180), Recovered(1, 2400))


def test_a_run_that_is_taken_back_saved_nothing():
    made = world(SPEC)
    worked(made)
    one = run(made)
    assert saved(made) == [("fix", 1, 0.5)]
    take_back(made, one.id)
    drive(made, one.id)
    assert saved(made) == []


def test_without_a_time_by_hand_nothing_is_claimed():
    made = world(steps("a"))
    worked(made)
    run(made)
    assert saved(made) == []


def test_runs_by_hand_are_measured_and_take_the_place_of_what_was_declared():
    """D11: the expected time is measured from earlier runs by hand."""
    made = world(SPEC)
    worked(made)
    for minutes in (40, 50, 60):
        by_hand(made, minutes)
    run(made)
    assert saved(made) == [("fix", 1, pytest.approx(50 / 60))]
    (one,) = list_runbooks(made, ListRequest()).runbooks
    assert (one.manual_minutes, one.manual_measured, one.runs, one.success) == (pytest.approx(50), 3, 1, 1.0)
    assert one.saved_hours == pytest.approx(50 / 60)


def test_a_run_by_hand_is_work_of_whoever_did_it():
    made = world(SPEC)
    by_hand(made, 45)
    react(made)
    (fact,) = made.journal.facts(FactQuery(kinds=("toil.logged",)))
    assert (fact.subject, fact.data["duration_hours"], fact.data["type"], fact.data["automatable"]) == (
        "ana", 0.75, "toil", True)


def test_the_time_that_a_person_spent_within_a_run_is_not_saved():
    made = world("  manual_minutes: 30\n" + steps("a") + "    - {name: q, ask: 'Well?'}\n")
    worked(made)
    one = run(made)
    made.clock.sleep(600)
    answer(made, one.id, "yes")
    drive(made, one.id)
    assert saved(made) == [("fix", 1, pytest.approx(20 / 60, abs=0.01))]


def test_success_is_a_share_of_runs_that_began():
    broken = [False]
    made = world(SPEC, MemoryActuator(lambda act: fails("do a")(act) if broken[0] else None))
    run(made)
    broken[0] = True
    run(made)
    (one,) = list_runbooks(made, ListRequest()).runbooks
    assert (one.runs, one.success) == (2, 0.5)
