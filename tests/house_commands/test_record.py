"""`mainstay record`: what happened is in the journal, once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mainstay.doors.house.happenings import KINDS, RecordRequest, record
from mainstay.kernel.errors import InvalidInput
from slo.worlds import HOURS, NOW, busy_month, room


def test_it_is_recorded_as_it_was_told() -> None:
    here = room(busy_month())

    found = record(here.world, RecordRequest("incident", "web", "cache lost", "INC-7", "2026-03-20T09:00:00Z",
                                             "2026-03-20T09:40:00Z"))

    fact, = here.facts("incident.recorded")
    assert (found.seq, found.kind, found.subject, found.at) == (fact.seq, "incident.recorded", "INC-7", NOW - 3 * HOURS)
    assert fact.data == {"service": "web", "text": "cache lost", "until": "2026-03-20T09:40:00+00:00"}


def test_without_a_time_it_happened_now_and_without_a_name_to_the_service() -> None:
    here = room(busy_month())

    found = record(here.world, RecordRequest("deployment", "web"))

    assert (found.at, found.subject) == (NOW, "web")


def test_a_pipeline_that_repeats_itself_records_once() -> None:
    here = room(busy_month())
    first = record(here.world, RecordRequest("deployment", "web", "v2", key="build-4711"))
    here.clock.advance(timedelta(minutes=1))

    second = record(here.world, RecordRequest("deployment", "web", "v2, again", key="build-4711"))

    assert (second.seq, second.text, second.at) == (first.seq, "v2", NOW)
    assert len(here.facts("deployment.recorded")) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_fact_of_its_own_word(kind: str) -> None:
    here = room(busy_month())

    assert record(here.world, RecordRequest(kind, "web")).kind == f"{kind}.recorded"


@pytest.mark.parametrize("request_", [
    RecordRequest("incident", "  "),
    RecordRequest("incident", "web", since="yesterday"),
    RecordRequest("incident", "web", since="2026-03-20T09:00:00Z", until="2026-03-20T09:00:00Z"),
    RecordRequest("incident", "web", since="2026-03-20T09:00:00Z", until="2026-03-19T09:00:00Z"),
    RecordRequest("incident", "web", text="x" * 10, name="n" * 501)])
def test_what_cannot_have_happened_is_refused_and_nothing_recorded(request_: RecordRequest) -> None:
    here = room(busy_month())

    with pytest.raises(InvalidInput):
        record(here.world, request_)
    assert not here.facts()
