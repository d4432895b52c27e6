"""Times of incidents: what has not ended is censored and never a zero (K5), and where figures are heading (K10)."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.plans import T0, Durable, People, ack, at, fires, plan_of
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.incident.measures import (
    KINDS,
    Case,
    Wait,
    between,
    cases_of,
    grouped,
    measure,
    measures,
    to_acknowledge,
    to_resolve,
    trend,
)
from mainstay.incident.operations.simulate import play
from mainstay.incident.severity import Severity
from mainstay.kernel.journal import Batch, Fact, FactQuery, NewFact


def _case(name: str, opened: str, paged: str | None = None, acked: str | None = None, over: str | None = None,
          **more: object) -> Case:
    return Case(name, ("web",), Severity.SEV2, at(opened), paged=at(paged) if paged else None,
                acknowledged=at(acked) if acked else None, resolved=at(over) if over else None, **more)  # type: ignore[arg-type]


# Freireich et al. (1963), weeks of remission; the medians 23 and 8 are those of Kalbfleisch and Prentice and of every
# textbook since; R's survfit prints the same.
_TREATED = [6, 6, 6, 7, 10, 13, 16, 22, 23]
_TREATED_STILL = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
_PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def test_medians_are_those_published_for_the_remission_times():
    waits = [Wait(one) for one in _TREATED] + [Wait(one, ended=False) for one in _TREATED_STILL]
    assert measure(waits).median == 23
    assert measure([Wait(one) for one in _PLACEBO]).median == 8
    # 359 weeks were watched and nine relapses seen: the rate 0.0251 a week of the exponential fit in the same books.
    assert measure(waits).mean == pytest.approx(359 / 9)


def test_an_incident_that_nobody_acknowledged_is_censored_and_not_zero():
    cases = [_case("INC-1", "0", "0", "4m", "1h"), _case("INC-2", "1h", "1h", "1h6m", "2h"),
             _case("INC-3", "2h", "2h")]
    waits = to_acknowledge(cases, at("3h"))
    assert waits == [Wait(240), Wait(360), Wait(3600, ended=False)]
    found = measure(waits)
    assert (found.count, found.censored, found.median) == (3, 1, 360)
    assert found.mean == (240 + 360 + 3600) / 2


def test_where_most_are_not_acknowledged_there_is_no_median_rather_than_a_small_one():
    found = measure([Wait(60), Wait(3600, ended=False), Wait(3600, ended=False)])
    assert found.median is None
    assert found.high is None


def test_what_a_machine_acknowledged_is_counted_apart(tmp_path: Path):
    plan = plan_of(tmp_path, "apiVersion: mainstay/v1\nkind: EscalationPolicy\nmetadata: {name: web}\n"
                             "spec: {steps: [{page: [rotation:first], wait: 5m}]}\n")
    events = [fires("0", "a"), ack("1m", "automation:restart", "a"), fires("10m", "b"), ack("12m", "ana", "b")]
    durable = Durable(plan, People({"first": ["ana"]}))
    play(durable, events, at("1h"))
    found = measures(cases_of(durable.journal.facts(FactQuery(kinds=KINDS))), at("1h"))
    assert found.acknowledged_by_machine == 1
    assert (found.acknowledge.count, found.acknowledge.censored, found.acknowledge.median) == (2, 1, 120)


def test_the_page_that_its_channel_took_counts_and_not_when_it_was_made():
    journal = MemoryJournal(FakeClock(T0))
    opened = {"number": 1, "services": ["web"], "severity": "SEV2", "title": "x"}
    journal.commit(Batch([
        NewFact("incident.opened", "INC-1", at("0"), opened), NewFact("incident.paged", "INC-1", at("0")),
        NewFact("page.sent", "INC-1", at("2m"), {"key": "page:INC-1:1"}),
        NewFact("incident.acknowledged", "INC-1", at("5m"), {"by": "ana"})]))
    assert to_acknowledge(cases_of(journal.facts(FactQuery(kinds=KINDS))), at("9m")) == [Wait(180)]


def test_one_that_was_reopened_lasts_until_it_is_over_and_one_that_was_merged_is_none():
    def fact(seq: int, kind: str, subject: str, offset: str, **data: object) -> Fact:
        return Fact(seq, f"incident.{kind}", subject, at(offset), data, "", "system", at(offset))

    opened = {"number": 1, "services": [], "severity": "SEV3"}
    facts = [fact(1, "opened", "INC-1", "0", **opened), fact(2, "resolved", "INC-1", "10m", by="system"),
             fact(3, "reopened", "INC-1", "12m"), fact(4, "opened", "INC-2", "13m", **opened),
             fact(5, "merged", "INC-2", "14m"), fact(6, "severity-changed", "INC-1", "15m", to="SEV1"),
             fact(7, "resolved", "INC-1", "30m", by="ana")]
    (one,) = cases_of(facts)
    assert to_resolve([one], at("1h")) == [Wait(1800)]
    assert one.severity is Severity.SEV1
    assert not one.healed


def test_the_wait_since_the_last_incident_goes_on():
    cases = [_case("INC-1", "0"), _case("INC-2", "1h"), _case("INC-3", "5h")]
    assert between(cases, at("10h")) == [Wait(3600), Wait(4 * 3600), Wait(5 * 3600, ended=False)]
    assert between([], at("10h")) == []


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    waits = [Wait(float(one)) for one in range(1, 60)]
    first = measure(waits, seed=7)
    assert first == measure(waits, seed=7)
    assert first.low is not None
    assert first.high is not None
    assert first.low < 30 == first.median < first.high
    # Order statistics 22 and 38 of 59 are the exact 95 % interval of a median (binomial); a bootstrap comes near.
    assert abs(first.low - 22) <= 2
    assert abs(first.high - 38) <= 2


@given(st.lists(st.tuples(st.floats(0, 1e6), st.booleans()), min_size=1, max_size=30))
def test_what_has_not_ended_never_makes_the_median_shorter(given_: list[tuple[float, bool]]):
    waits = [Wait(seconds, ended) for seconds, ended in given_]
    found = measure(waits, resamples=5)
    if_all_ended = measure([Wait(one.seconds) for one in waits], resamples=5)
    assert if_all_ended.median is not None
    assert (found.median if found.median is not None else math.inf) >= if_all_ended.median


@pytest.mark.parametrize(("values", "better", "ceiling", "direction"), [
    ([60, 58, 60, 59, 60, 30, 31, 30, 29, 30], "lower", None, "improving"),
    ([99.9] * 5 + [99.5] * 5, "higher", 100.0, "degrading"),
    ([30] * 5 + [60] * 5, "lower", None, "degrading"),
    ([60, 59, 61, 60, 60, 60, 62, 59], "lower", None, "stable"),
    ([60, 50, 40, 30, 20], "lower", None, "insufficient_data"),
    ([60, 30, 30, 30, 30, 30], "lower", None, "improving"),
    ([], "lower", None, "insufficient_data"),
])
def test_a_trend_says_better_or_worse_and_not_more_or_less(values, better, ceiling, direction):
    assert trend(values, better=better, ceiling=ceiling) == direction


def test_an_incident_of_two_services_counts_for_both():
    one = Case("INC-1", ("web", "db"), Severity.SEV1, T0, resolved=T0 + timedelta(hours=1))
    assert list(grouped([one], "service")) == ["db", "web"]
    assert list(grouped([one], "severity")) == ["SEV1"]


def test_an_answer_while_the_page_is_still_on_its_way_counts_from_when_it_was_made():
    one = Case("INC-1", ("web",), Severity.SEV1, T0, paged=T0, sent=T0 + timedelta(seconds=6),
               acknowledged=T0 + timedelta(seconds=4))
    assert to_acknowledge([one], T0 + timedelta(hours=1)) == [Wait(4.0)]
