"""A survey of files as a first budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mainstay.kernel.errors import NoData
from mainstay.kernel.ports import FileSet, Latency, Survey, Surveyed
from mainstay.kernel.quantity import Target
from mainstay.kernel.series import gap
from mainstay.kernel.view import Next, Pairs, Text
from mainstay.slo.trial import spender_key, trial_of
from mainstay.slo.trial_view import trial_view
from mainstay.stats.budget import NoBudget

ASKED = Survey(FileSet(("access.log",)))
FOUND = Surveyed(
    "combined", 2000, 1990, 10, ((7, "not a combined line", "x"),), 0, 0, datetime(2026, 3, 1, tzinfo=UTC),
    datetime(2026, 3, 2, tzinfo=UTC), 1990, 3, (("2026-03-01", 1000, 3), ("2026-03-02", 990, 0)),
    ((("GET", "/pay", "500"), 2), (("GET", "/", "503"), 1)), None, gap(0, 0))


def test_the_budget_of_a_survey_is_what_was_lost_over_what_may_be_lost() -> None:
    trial = trial_of(ASKED, FOUND, Target.percent(99.9))

    assert trial.consumption_percent == pytest.approx(3 / 1.99 * 100)
    assert trial.remaining_percent == pytest.approx(100 - 3 / 1.99 * 100)
    assert trial.status == "violated"
    assert [one.share for one in trial.top_spenders] == pytest.approx([2 / 3, 1 / 3])


def test_counts_are_whole_numbers_where_they_are() -> None:
    trial = trial_of(ASKED, replace(FOUND, bad=3.0, total=1990.0), Target.percent(99.9))

    assert (type(trial.bad), type(trial.total), type(trial.by_day[0].bad)) == (int, int, int)
    assert trial_of(ASKED, replace(FOUND, bad=2.5), Target.percent(99)).bad == 2.5


def test_a_survey_without_an_event_is_no_data_and_says_what_was_read() -> None:
    nothing = replace(FOUND, total=0, bad=0, left_out=1990, first=None, last=None)

    with pytest.raises(NoData, match=r"2,000 lines, 1,990 read, 10 rejected, 1,990 were left out"):
        trial_of(ASKED, nothing, Target.percent(99.9))


def test_a_hundred_percent_leaves_nothing_to_consume() -> None:
    with pytest.raises(NoBudget):
        trial_of(ASKED, FOUND, Target.percent(100))


def test_a_clean_log_has_spent_nothing_and_names_nobody() -> None:
    trial = trial_of(ASKED, replace(FOUND, bad=0, spenders=()), Target.percent(99.9))

    assert (trial.sli, trial.consumption_percent, trial.status, trial.top_spenders) == (1.0, 0.0, "healthy", ())


def test_durations_nobody_judged_have_percentiles_and_no_share() -> None:
    trial = trial_of(ASKED, replace(FOUND, latency=Latency(None, 10, 0.1, 0.2, 0.3)), Target.percent(99.9))

    assert trial.latency is not None
    assert (trial.latency.sli, trial.latency.threshold_ms, trial.latency.p95_ms) == (None, None, 200)


def test_durations_against_a_threshold_are_a_share() -> None:
    judged = trial_of(replace(ASKED, latency=0.3), replace(FOUND, latency=Latency(9, 10, 0.1, 0.2, 0.4)),
                      Target.percent(99)).latency

    assert judged is not None
    assert (judged.threshold_ms, judged.good, judged.sli) == (300, 9, 0.9)


@pytest.mark.parametrize(("values", "key"), [
    (("GET", "/pay", "500"), "GET /pay → 500"), (("", "/pay", "500"), "/pay → 500"), (("", "", "500"), "500"),
    (("(none)", "(none)", "500"), "500"), (("500",), "500")])
def test_a_spender_is_what_was_asked_and_how_it_ended(values: tuple[str, ...], key: str) -> None:
    assert spender_key(values) == key


def test_who_lost_nothing_spent_nothing() -> None:
    quiet = replace(FOUND, bad=0, spenders=((("GET", "/", "200"), 0.0),))

    assert trial_of(ASKED, quiet, Target.percent(99.9)).top_spenders == ()


@pytest.mark.parametrize(("bad", "says"), [(3, "1 failure too many"), (4, "2 failures too many"),
                                           (3.9, "1.9 failures too many")])
def test_failures_have_their_plural(bad: float, says: str) -> None:
    view = trial_view(trial_of(ASKED, replace(FOUND, total=2000, bad=bad), Target.percent(99.9)), rejects=False)

    pairs = next(block for block in view.blocks if isinstance(block, Pairs))
    assert dict(pairs.rows)["budget"][0].text.endswith(f"spent, {says}")


def test_too_few_events_for_a_single_failure_say_how_many_are_needed() -> None:
    view = trial_view(trial_of(ASKED, replace(FOUND, total=5, bad=0, spenders=()), Target.percent(99.9)), rejects=False)

    assert Text("5 events are few for 99.9 %: 1,000 are needed for one failure to be allowed", "quiet") in view.blocks


@pytest.mark.parametrize(("files", "commands"), [
    (("my log",), ("mainstay slo suggest --from 'my log'",)),
    (("a.log", "b.log"), ("mainstay slo suggest --from a.log --from b.log",)),
    (("-",), ("mainstay slo downtime",))])
def test_the_next_command_can_be_pasted_as_it_is(files: tuple[str, ...], commands: tuple[str, ...]) -> None:
    view = trial_view(trial_of(Survey(FileSet(files)), FOUND, Target.percent(99.9)), rejects=False)

    assert view.blocks[-1] == Next(commands)
