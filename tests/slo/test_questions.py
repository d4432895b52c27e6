"""Questions about budgets: which target, who spent it, what users meet, what may be down, what is to be reviewed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.doors.house.happenings import RecordRequest, record
from mainstay.kernel.errors import InvalidInput, NoData, NotFound
from mainstay.kernel.journal import Batch, NewFact
from mainstay.kernel.objective import Dependency, Indicator, IndicatorType, Review
from mainstay.kernel.ports import FileSet, GaugeQuery, Spender, Survey, Surveyed
from mainstay.kernel.quantity import Period, Target
from mainstay.kernel.series import Series
from mainstay.slo.operations.policy import EnforceRequest, enforce
from mainstay.slo.operations.questions import (
    JOURNEY,
    SUGGEST,
    Attributed,
    AttributeRequest,
    DowntimeRequest,
    JourneyRequest,
    ReviewedRequest,
    ReviewRequest,
    SuggestRequest,
    attribute,
    downtime,
    journey,
    review,
    reviewed,
    suggest,
)
from mainstay.slo.operations.standings import ReportRequest, report
from mainstay.slo.policy import Policy, Zone
from mainstay.slo.policy import Review as ReviewAction
from mainstay.slo.spec import ErrorBudgetPolicy, Journey, Step
from slo.worlds import DAYS, HERE, HOURS, MINUTES, NOW, SLOT, Events, Room, busy_month, indicator, objective, room

# -- suggest ------------------------------------------------------------------------------------------------------


def _losing(share: float, days: int = 90) -> Events:
    events = Events(NOW - days * DAYS, NOW).steady("requests", 1000)
    return events.put("errors", np.random.default_rng(3).binomial(1000, share, events.count))


def test_the_suggested_target_was_kept_by_the_past() -> None:
    here = room(_losing(0.0006), objective(window="90d"))

    found = suggest(here.world, SuggestRequest("web", window="7d"))

    chosen = next(one for one in found.candidates if one.target == found.recommended)
    assert found.recommended == 0.9990  # 0.06 % are lost; the next, 99.925, would leave no fifth of its budget
    assert (chosen.kept, chosen.kept_with_margin) == (1, 1)
    assert found.windows > 70
    assert found.reasons


def test_a_target_in_mind_is_tried_too() -> None:
    here = room(_losing(0.0006), objective(window="90d"))

    found = suggest(here.world, SuggestRequest("web", window="7d", wanted="99.97"))

    assert next(one for one in found.candidates if one.target == 0.9997).kept == 0


def test_what_dependencies_promise_is_a_ceiling() -> None:
    dependency = Dependency("database", Target.percent(99.5), "everything", HERE)
    here = room(_losing(0.0001), objective(window="90d", dependencies=(dependency,)))

    found = suggest(here.world, SuggestRequest("web", window="7d"))

    assert found.recommended is not None
    assert found.recommended <= 0.995


def test_files_may_be_the_history() -> None:
    events = _losing(0.0006, 40)
    here = room(events)
    asked: list[Survey] = []

    def survey(question: Survey) -> Surveyed:
        asked.append(question)
        requests, errors = events.series()["requests"], events.series()["errors"]
        series = Series(requests.start, SLOT, errors.total, requests.total, requests.known)
        return Surveyed("json", 1, 1, 0, (), 0, 0, NOW, NOW, 1, 0, (), (), None, series)

    found = suggest(replace(here.world, survey=survey), SuggestRequest(files=("a.log",), window="7d"))

    assert asked[0].files == FileSet(("a.log",))
    assert found.recommended == 0.9990


def test_without_history_nothing_is_suggested_and_the_exit_code_is_three() -> None:
    here = room(busy_month().forget(NOW - 40 * DAYS, NOW), objective())

    found = suggest(here.world, SuggestRequest("web"))

    assert (found.recommended, SUGGEST.exit_code(found)) == (None, 3)


@pytest.mark.parametrize("request_", [SuggestRequest(), SuggestRequest("web", files=("a.log",))])
def test_a_suggestion_needs_one_history(request_: SuggestRequest) -> None:
    with pytest.raises(InvalidInput, match="whose history"):
        suggest(room(busy_month(), objective()).world, request_)


# -- attribute ----------------------------------------------------------------------------------------------------


def _outage(here: Room, at: datetime, lost: float, slots: int = 6) -> None:
    here.source.events.add("errors", at, lost / slots, slots=slots)


def shares(found: Attributed) -> dict[str, float]:
    return {part.what: round(part.share, 6) for part in found.by_cause}


def test_a_loss_is_the_deployments_that_was_recorded_over_it() -> None:
    here = room(busy_month(), objective("web", service="shop"))
    _outage(here, NOW - 5 * HOURS, 300)
    record(here.world, RecordRequest("deployment", "shop", "v2.4.1", "v2.4.1", (NOW - 5 * HOURS).isoformat(),
                                     (NOW - 4.5 * HOURS).isoformat()))

    found = attribute(here.world, AttributeRequest("web"))

    assert shares(found) == {"v2.4.1: v2.4.1": 1.0}
    assert found.lost == 300
    assert found.consumption_percent == pytest.approx(300 / (30 * 288 * 100 * 0.01) * 100)


def test_what_no_fact_explains_is_shown_as_unexplained() -> None:
    here = room(busy_month(), objective())
    _outage(here, NOW - 5 * HOURS, 300)
    _outage(here, NOW - 50 * HOURS, 100)
    record(here.world, RecordRequest("incident", "shop", "cache lost", "INC-7", (NOW - 5 * HOURS).isoformat()))

    assert shares(attribute(here.world, AttributeRequest("web"))) == {"INC-7: cache lost": 0.75, "unexplained": 0.25}


def test_what_is_always_lost_is_background_and_not_the_incidents() -> None:
    here = room(busy_month(), objective())
    here.source.events.steady("errors", 1)
    _outage(here, NOW - 5 * HOURS, 240, slots=12)
    record(here.world, RecordRequest("incident", "shop", name="INC-7", since=(NOW - 5 * HOURS).isoformat()))

    found = attribute(here.world, AttributeRequest("web"))

    assert {part.what: part.bad for part in found.by_cause} == {"INC-7": pytest.approx(240),
                                                                "background": pytest.approx(30 * 288)}


def test_facts_of_other_services_do_not_count() -> None:
    here = room(busy_month(), objective("web", service="shop"))
    _outage(here, NOW - 5 * HOURS, 300)
    record(here.world, RecordRequest("deployment", "billing", since=(NOW - 5 * HOURS).isoformat()))

    assert shares(attribute(here.world, AttributeRequest("web"))) == {"unexplained": 1.0}


def test_facts_outside_the_stretch_do_not_count() -> None:
    here = room(busy_month(), objective())
    _outage(here, NOW - 5 * HOURS, 300)
    record(here.world, RecordRequest("incident", "shop", since=(NOW - 39 * DAYS).isoformat()))

    assert shares(attribute(here.world, AttributeRequest("web"))) == {"unexplained": 1.0}


def test_a_stretch_may_be_named() -> None:
    here = room(busy_month(), objective())
    _outage(here, NOW - 5 * HOURS, 300)
    _outage(here, NOW - 9 * DAYS, 900)

    assert attribute(here.world, AttributeRequest("web", last="1d")).lost == 300


@settings(max_examples=25, deadline=None)
@given(outages=st.lists(st.tuples(st.integers(0, 29 * 24), st.integers(1, 500), st.integers(1, 40)), max_size=6),
       facts=st.lists(st.tuples(st.integers(0, 29 * 24), st.integers(1, 600)), max_size=6), usual=st.integers(0, 3))
def test_the_parts_add_up_to_all_that_was_lost(outages: list[tuple[int, int, int]], facts: list[tuple[int, int]],
                                               usual: int) -> None:
    here = room(busy_month(each=1000), objective())
    here.source.events.steady("errors", usual)
    for hours, lost, slots in outages:
        here.source.events.add("errors", NOW - 29 * DAYS + hours * HOURS, lost, slots=slots)
    errors = here.source.events.counts["errors"]
    np.minimum(errors, 1000, out=errors)
    for hours, minutes in facts:
        since = NOW - 29 * DAYS + hours * HOURS
        record(here.world, RecordRequest("incident", "shop", name=f"INC-{hours}", since=since.isoformat(),
                                         until=(since + minutes * MINUTES).isoformat()))

    found = attribute(here.world, AttributeRequest("web"))

    assert found.lost == pytest.approx(here.source.events.between("errors", NOW - 30 * DAYS, NOW))
    assert sum(part.bad for part in found.by_cause) == pytest.approx(found.lost)
    if found.lost:
        assert sum(part.share for part in found.by_cause) == pytest.approx(1, abs=1e-9)
    assert all(part.bad >= 0 for part in found.by_cause)


def test_a_loss_by_label_adds_up_with_the_rest_named() -> None:
    here = room(busy_month(), objective())
    _outage(here, NOW - 5 * HOURS, 300)
    here.source.spenders = {"errors": [Spender({"path": "/pay"}, 200), Spender({"path": "/look"}, 60)]}

    found = attribute(here.world, AttributeRequest("web", by=("path",)))

    assert [(part.what, part.bad, round(part.share, 3)) for part in found.by_label] == [
        ("/pay", 200, 0.667), ("/look", 60, 0.2), ("unexplained", 40, 0.133)]


def test_samples_have_no_labels_to_divide_by() -> None:
    gauge = Indicator("queue", HERE, IndicatorType.CUSTOM, "counts", GaugeQuery("requests", "<", 1))
    here = room(Events(NOW - 31 * DAYS, NOW, step=60).steady("requests", 1), objective(measures=gauge))

    with pytest.raises(InvalidInput, match="no labels"):
        attribute(here.world, AttributeRequest("web", by=("path",)))


def test_without_data_there_is_nothing_to_attribute() -> None:
    with pytest.raises(NoData):
        attribute(room(busy_month().forget(NOW - 40 * DAYS, NOW), objective()).world, AttributeRequest("web"))


def test_a_misspelt_objective_is_not_found_and_says_what_is_close() -> None:
    with pytest.raises(NotFound, match='"wbe"'):
        attribute(room(busy_month(), objective()).world, AttributeRequest("wbe"))


# -- journeys -----------------------------------------------------------------------------------------------------


def _journey(combine: str = "serial", weights: tuple[float, ...] = (), target: object = None) -> Journey:
    steps = (Step("look", "look", None, HERE), Step("pay", "pay", None, HERE))
    return Journey("buy", HERE, steps, combine, weights, Target.percent(str(target)) if target else None)


def _steps(look: float, pay: float) -> Room:
    events = busy_month(each=1000).steady("pay_errors", pay * 1000).steady("look_errors", look * 1000)
    return room(events, objective("look", measures=indicator("l", bad="look_errors")),
                objective("pay", measures=indicator("p", bad="pay_errors")), _journey())


def test_a_serial_journey_multiplies_its_steps() -> None:
    found = journey(_steps(0.01, 0.02).world, JourneyRequest()).journeys[0]

    assert found.sli == pytest.approx(0.99 * 0.98)
    assert found.promised == pytest.approx(0.99 * 0.99)
    assert found.at_worst == pytest.approx(0.97)


def test_four_steps_of_three_nines_promise_three_nines_no_more() -> None:
    """SYSTEMS A5: 0.999^4 = 99.6 %."""
    steps = tuple(Step(f"step {n}", "", Target.percent(99.9), HERE) for n in range(4))
    here = room(busy_month(), Journey("all", HERE, steps, "serial", (), Target.percent(99.9)))

    found = journey(here.world, JourneyRequest()).journeys[0]

    assert found.promised == pytest.approx(0.996006)
    assert any("less than the journey's target" in text for text in found.warnings)


def test_a_weighted_journey_is_the_mean_by_weight() -> None:
    here = _steps(0.01, 0.03)
    here.declares(*here.world.catalog.of(type(objective())), _journey("weighted", (3, 1)))

    assert journey(here.world, JourneyRequest()).journeys[0].sli == pytest.approx((3 * 0.99 + 0.97) / 4)


def test_a_step_without_data_stands_by_its_promise_and_says_so() -> None:
    here = _steps(0.01, 0.02)
    here.source.events.steady("silence", 0)
    here.declares(objective("look", measures=indicator("l", bad="look_errors")),
                  objective("pay", target=95, measures=indicator("p", total="silence", bad="silence")), _journey())

    found = journey(here.world, JourneyRequest()).journeys[0]

    assert found.sli == pytest.approx(0.99 * 0.95)
    assert any(text.startswith("pay: nothing was measured") for text in found.warnings)


def test_a_journey_that_nobody_measured_or_promised_ends_with_three() -> None:
    here = room(busy_month().steady("silence", 0).forget(NOW - 40 * DAYS, NOW), objective("look"), objective("pay"),
                _journey())
    found = journey(here.world, JourneyRequest())

    assert found.journeys[0].sli is None
    assert JOURNEY.exit_code(found) == 0, "its steps promise something"


def test_a_catalog_without_journeys_says_how_to_write_one() -> None:
    with pytest.raises(InvalidInput, match="no journey"):
        journey(room(busy_month(), objective()).world, JourneyRequest())


# -- downtime -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "month", "year"), [
    ("99", 7 * 3600 + 12 * 60, 3.65 * 86400), ("99.5", 3 * 3600 + 36 * 60, 1.825 * 86400),
    ("99.9", 43 * 60 + 12, 8 * 3600 + 45 * 60 + 36), ("99.95", 21 * 60 + 36, 4 * 3600 + 22 * 60 + 48),
    ("99.99", 4 * 60 + 19.2, 52 * 60 + 33.6), ("99.999", 25.92, 5 * 60 + 15.36)])
def test_acceptable_downtime_is_as_published(target: str, month: float, year: float) -> None:
    """Google SRE Book, appendix A: allowed unavailability per 30 days and per year of 365 days."""
    windows = downtime(room(busy_month()).world, DowntimeRequest((target,))).targets[0].windows

    assert windows["30 days"] == pytest.approx((month, month))
    assert windows["year, 365–366 days"][0] == pytest.approx(year)


def test_a_calendar_month_is_from_28_to_31_days() -> None:
    windows = downtime(room(busy_month()).world, DowntimeRequest(("99.9",))).targets[0].windows

    assert windows["calendar month, 28–31 days"] == pytest.approx((40.32 * 60, 44.64 * 60))


@pytest.mark.parametrize("target", ["0", "120", "-1", "many"])
def test_a_target_that_nobody_can_promise_is_refused(target: str) -> None:
    with pytest.raises(InvalidInput):
        downtime(room(busy_month()).world, DowntimeRequest((target,)))


# -- reviews ------------------------------------------------------------------------------------------------------


def _reviewed_room() -> Room:
    week, quarter = Review(Period.WEEK, date(2026, 3, 1), ("ana",), ("burn",)), Review(Period.QUARTER, date(2026, 3, 1))
    return room(busy_month(), objective("overdue", review=week), objective("soon", review=quarter),
                objective("never", review=Review(Period.MONTH)), objective("unplanned"))


def test_reviews_are_due_by_the_calendar_the_most_overdue_first() -> None:
    found = review(_reviewed_room().world, ReviewRequest(within=90))

    assert [(one.objective, one.due, one.in_days) for one in found.due] == [
        ("overdue", date(2026, 3, 8), -12), ("never", date(2026, 3, 20), 0), ("soon", date(2026, 5, 31), 72)]
    assert (found.due[0].participants, found.due[0].agenda) == (("ana",), ("burn",))
    assert found.unplanned == ("unplanned",)


def test_reviews_far_away_are_left_out() -> None:
    assert [one.objective for one in review(_reviewed_room().world, ReviewRequest(within=14)).due] == [
        "overdue", "never"]


def test_a_review_that_was_held_is_due_a_period_later() -> None:
    here = _reviewed_room()

    reviewed(here.world, ReviewedRequest("overdue", "target stays"))

    again = next(one for one in review(here.world, ReviewRequest()).due if one.objective == "overdue")
    assert (again.last, again.due, again.in_days) == (date(2026, 3, 20), date(2026, 3, 27), 7)


def test_a_policy_may_ask_for_a_review_within_a_week() -> None:
    rules = Policy("rules", (Zone("fine", 0), Zone("out", 1.0, (ReviewAction("post-mortem"),))))
    here = room(busy_month().add("errors", NOW - HOURS, 100, slots=12), objective(window="1d", policy="rules"),
                ErrorBudgetPolicy("rules", HERE, rules))
    enforce(here.world, EnforceRequest())
    here.clock.advance(2 * DAYS)

    found = review(here.world, ReviewRequest()).due[0]
    assert (found.asked_by_policy, found.every, found.in_days) == ("post-mortem", "when a policy asks", 5)

    reviewed(here.world, ReviewedRequest("web"))
    assert review(here.world, ReviewRequest()).unplanned == ("web",)


def test_reviewing_what_is_not_declared_is_refused() -> None:
    with pytest.raises(NotFound):
        reviewed(_reviewed_room().world, ReviewedRequest("nobody"))


# -- choosing -----------------------------------------------------------------------------------------------------


def test_a_service_may_be_chosen_and_a_misspelt_one_is_refused() -> None:
    here = room(busy_month(), objective("a", service="shop"), objective("b", service="billing"))

    assert [one.name for one in report(here.world, ReportRequest(service="billing")).objectives] == ["b"]
    with pytest.raises(NotFound, match="bilings"):
        report(here.world, ReportRequest(service="bilings"))


def test_an_empty_catalog_says_what_to_write() -> None:
    with pytest.raises(NotFound, match="declares no objective"):
        report(room(busy_month()).world, ReportRequest())


def test_facts_without_weight_or_end_do_not_break_an_attribution() -> None:
    here = room(busy_month(), objective())
    _outage(here, NOW - 5 * HOURS, 300)
    here.journal.commit(Batch([NewFact("experiment.run", "chaos", NOW - 5 * HOURS, {"weight": 0}),
                               NewFact("flag.flipped", "dark-mode", NOW - 5 * HOURS + timedelta(minutes=5))]))

    assert shares(attribute(here.world, AttributeRequest("web"))) == {"dark-mode": 0.833333, "unexplained": 0.166667}
