"""What programs did: success, time, and recovery with and without, from runs and incidents worked out by hand."""

from __future__ import annotations

from dataclasses import replace

from mainstay.toil.automated import ProgramRun, Recovered, Recovery, automated
from toil.ledgers import TODAY

RUN = ProgramRun(TODAY, 0.2, "Restart cache", "RB-1", True, 60.0, 12.0)


def recovery(incident: str, minutes: float, service: str = "cache") -> Recovery:
    return Recovery(TODAY, incident, service, minutes * 60)


def test_success_and_time_are_of_all_runs_and_what_was_saved_is_of_those_that_saved():
    runs = [RUN, replace(RUN, run="RB-2", seconds=80.0),
            replace(RUN, run="RB-3", hours=0.0, success=False, seconds=9.0)]
    (one,) = automated(runs, [])
    assert (one.runs, one.succeeded, one.tried, one.seconds, one.manual_minutes) == (2, 2, 3, 70.0, 12.0)
    assert one.hours == 0.4
    assert (one.with_it, one.without) == (None, None)


def test_recovery_with_it_is_of_incidents_it_mended_and_without_of_the_same_services_that_nothing_touched():
    runs = [replace(RUN, incident="INC-1"), replace(RUN, run="RB-2", incident="INC-2"),
            replace(RUN, run="RB-3", incident="INC-3", success=False, hours=0.0),
            replace(RUN, run="RB-4", incident="INC-4", task="Other", hours=0.0)]
    over = [recovery("INC-1", 2), recovery("INC-2", 4), recovery("INC-3", 50), recovery("INC-4", 60),
            recovery("INC-5", 30), recovery("INC-6", 90, "search")]
    (one,) = automated(runs, over)
    assert one.with_it == Recovered(2, 180)
    assert one.without == Recovered(1, 1800)


def test_a_task_whose_runs_saved_nothing_is_left_out():
    assert automated([replace(RUN, hours=0.0, success=False)], []) == []
