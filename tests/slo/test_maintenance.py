"""Planned work: when it is and whom it concerns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.kernel.finding import Position
from mainstay.kernel.objective import Indicator, IndicatorType, Objective, ObjectiveWindow
from mainstay.kernel.ports import EventQuery
from mainstay.kernel.quantity import RollingWindow, Span, Target
from mainstay.slo.maintenance import Excluded, concerns, excluded, occurrences
from mainstay.slo.spec import Maintenance

HERE = Position("a.yaml")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
OBJECTIVE = Objective("up", HERE, "web", Indicator("i", HERE, IndicatorType.AVAILABILITY, "", EventQuery()),
                      (ObjectiveWindow(RollingWindow(timedelta(days=30)), Target.percent("99.9")),))


def work(start: datetime = T0, length: timedelta = HOUR, every: timedelta | None = None, until: datetime | None = None,
         services: tuple[str, ...] = (), objectives: tuple[str, ...] = ()) -> Maintenance:
    return Maintenance("move", HERE, start, length, "a reason", every, until, services, objectives)


def hours(*pairs: tuple[float, float]) -> list[Span]:
    return [Span(T0 + first * HOUR, T0 + last * HOUR) for first, last in pairs]


@pytest.mark.parametrize(("services", "objectives", "concerned"), [
    ((), (), True), (("web",), (), True), (("db",), (), False), ((), ("up",), True), ((), ("down",), False),
    (("db",), ("up",), True),
])
def test_work_concerns_its_services_its_objectives_or_everybody(services: tuple[str, ...], objectives: tuple[str, ...],
                                                                concerned: bool) -> None:
    assert concerns(work(services=services, objectives=objectives), OBJECTIVE) is concerned


def test_one_piece_of_work_happens_once() -> None:
    assert list(occurrences(work(), hours((-5, 50))[0])) == hours((0, 1))


@pytest.mark.parametrize(("span", "count"), [((-2, 0), 0), ((-2, 0.1), 1), ((0.9, 5), 1), ((1, 5), 0)])
def test_work_that_only_touches_the_edge_of_the_span_is_outside(span: tuple[float, float], count: int) -> None:
    assert len(list(occurrences(work(), hours(span)[0]))) == count


def test_repeated_work_comes_again_until_its_end() -> None:
    every = work(every=24 * HOUR, until=T0 + 72 * HOUR)
    assert list(occurrences(every, hours((20, 500))[0])) == hours((24, 25), (48, 49))


@given(st.integers(1, 50), st.integers(1, 20), st.integers(-300, 300), st.integers(1, 100),
       st.none() | st.integers(0, 200))
def test_the_occurrences_are_those_found_by_walking_from_the_first(gap: int, length: int, start: int, span: int,
                                                                   until: int | None) -> None:
    every, end = (gap + length) * HOUR, None if until is None else T0 + until * HOUR
    wanted = Span(T0 + start * HOUR, T0 + (start + span) * HOUR)
    walked, at = [], T0
    while at < wanted.end and (end is None or at < end):
        if at + length * HOUR > wanted.start:
            walked.append(Span(at, at + length * HOUR))
        at += every
    assert list(occurrences(work(length=length * HOUR, every=every, until=end), wanted)) == walked


def test_work_of_years_ago_is_found_without_walking_through_the_years() -> None:
    old = work(start=datetime(1971, 1, 1, tzinfo=UTC), length=timedelta(seconds=1), every=timedelta(minutes=5))
    assert len(list(occurrences(old, hours((0, 1))[0]))) == 12


def test_what_is_excluded_says_which_work_and_why() -> None:
    mine, others = work(services=("web",)), work(services=("db",))
    assert excluded(OBJECTIVE, [mine, others], hours((0, 5))[0]) == (Excluded("move", *hours((0, 1)), "a reason"),)
