"""When an alert is pending, fires and stops; what is recorded of it."""

from __future__ import annotations

import itertools
import random
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.kernel.journal import Batch, FactQuery
from mainstay.monitoring.lifecycle import (
    TRANSITIONS,
    AlertState,
    Event,
    Firing,
    Standing,
    activations,
    ended,
    facts_of,
    followed,
    recorded,
)
from programs import need

T0 = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SLOT = timedelta(minutes=5)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def test_every_state_answers_every_event() -> None:
    assert set(TRANSITIONS) == set(itertools.product(get_args(AlertState), get_args(Event)))


def test_an_alert_is_pending_for_its_hold_and_then_fires() -> None:
    condition = [(at(0), False), (at(5), True)]
    assert followed(Standing(), condition, 15 * MINUTE, at(19))[0] == Standing("pending", at(5), at(5))
    standing, firings = followed(Standing(), condition, 15 * MINUTE, at(20))
    assert (standing.state, standing.since, firings) == ("firing", at(20), (Firing(at(20)),))


def test_a_condition_that_goes_away_within_the_hold_fires_nothing() -> None:
    standing, firings = followed(Standing(), [(at(5), True), (at(15), False)], 15 * MINUTE, at(60))
    assert (standing, firings) == (Standing("inactive", at(15)), ())


def test_a_tier_without_a_hold_fires_at_once() -> None:
    assert followed(Standing(), [(at(5), True)], timedelta(), at(5))[1] == (Firing(at(5)),)


def test_a_hold_that_ends_between_two_slots_ends_there() -> None:
    _, firings = followed(Standing(), [(at(5), True), (at(10), False)], 2 * MINUTE, at(10))
    assert firings == (Firing(at(7), at(10)),)


def test_where_nothing_was_measured_nothing_happens() -> None:
    firing = Standing("firing", at(0), at(0))
    assert followed(firing, [], 2 * MINUTE, at(500)) == (firing, (Firing(at(0)),))
    pending = Standing("pending", at(0), at(0))
    assert followed(pending, [], 60 * MINUTE, at(5))[0] == pending, "the last slot is no evidence beyond the next"


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60), st.sampled_from([0, 2, 5, 15, 60]),
       st.integers(min_value=0, max_value=59))
def test_it_may_be_followed_in_parts_and_by_its_changes_alone(truth: list[bool], hold: int, cut: int) -> None:
    every = [(T0 + SLOT * index, holds) for index, holds in enumerate(truth)]
    changes = [one for before, one in zip([None, *every], every, strict=False) if before is None or before[1] != one[1]]
    until = T0 + SLOT * len(truth)
    whole = followed(Standing(), every, hold * MINUTE, until)
    assert followed(Standing(), changes, hold * MINUTE, until) == whole

    middle = every[: cut % len(truth) + 1]
    standing, first = followed(Standing(), middle, hold * MINUTE, middle[-1][0])
    after, rest = followed(standing, every[len(middle):], hold * MINUTE, until)
    kept = first[:-1] if standing.state == "firing" else first
    assert (after, (*kept, *rest)) == whole


# -- held against Prometheus --------------------------------------------------------------------------------------


def _promtool_test(truth: Sequence[bool], hold: int, expected: Sequence[bool]) -> str:
    """A test of Prometheus' own rule engine: x is the condition, evaluated every minute; ALERTS at each minute."""
    values = " ".join(str(int(holds)) for holds in truth for _ in range(5))
    checks = "".join(f"""
      - expr: 'count(ALERTS{{alertname="A",alertstate="firing"}}) or vector(0)'
        eval_time: {minute}m
        exp_samples: [{{labels: '{{}}', value: {int(fires)}}}]""" for minute, fires in enumerate(expected))
    return f"""rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series: [{{series: x, values: '{values}'}}]
    promql_expr_test:{checks}
"""


@pytest.mark.server("prometheus")
@pytest.mark.parametrize("hold", [0, 2, 15])
def test_it_fires_when_a_rule_of_prometheus_does(tmp_path: Path, hold: int) -> None:
    promtool = need("promtool")
    draw = random.Random(hold)
    truth = [draw.random() < 0.6 for _ in range(40)]
    _, firings = followed(Standing(), [(T0 + SLOT * index, holds) for index, holds in enumerate(truth)], hold * MINUTE,
                          at(200))
    expected = [any(one.began <= at(minute) and (one.ended is None or at(minute) < one.ended) for one in firings)
                for minute in range(200)]
    assert any(expected)
    (tmp_path / "rules.yml").write_text(
        f"groups: [{{name: g, rules: [{{alert: A, expr: x > 0, for: {hold}m}}]}}]\n")
    (tmp_path / "test.yml").write_text(_promtool_test(truth, hold, expected))
    ran = subprocess.run([promtool, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True,
                         check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


# -- the record ---------------------------------------------------------------------------------------------------


def _journal() -> MemoryJournal:
    return MemoryJournal(FakeClock(at(100)))


def test_a_stretch_is_recorded_once_however_often_it_is_judged() -> None:
    journal = _journal()
    for _ in range(3):
        known = recorded(journal.facts(FactQuery()))
        before = known.get(("web", "page-1h"), Standing())
        journal.commit(Batch(facts_of("web", "page-1h", before, (Firing(at(5)),), {"severity": "page"})))
    known = recorded(journal.facts(FactQuery()))
    journal.commit(Batch(facts_of("web", "page-1h", known["web", "page-1h"], (Firing(at(5), at(30)),), {})))
    assert [(fact.kind, fact.at) for fact in journal.facts(FactQuery())] == [
        ("monitoring.alert-began", at(5)), ("monitoring.alert-ended", at(30))]
    assert recorded(journal.facts(FactQuery()))["web", "page-1h"] == Standing("inactive", at(30))


def test_the_record_is_read_back_as_a_history_of_alerts() -> None:
    journal = _journal()
    journal.commit(Batch(facts_of("web", "page-1h", Standing(), (Firing(at(50), at(70)), Firing(at(90))), {
        "severity": "page", "service": "shop", "owner": "", "hold_seconds": 120})))
    first, second = activations(journal.facts(FactQuery()), at(100))
    assert first.labels == {"alertname": "web page-1h", "slo": "web", "tier": "page-1h", "severity": "page",
                            "service": "shop"}
    assert (first.began, first.fired, first.ended, first.muted) == (at(48), at(50), at(70), False)
    assert (second.ended, second.last_seen) == (None, at(100))


def test_what_was_worked_out_long_afterwards_told_nobody() -> None:
    journal = _journal()
    journal.commit(Batch(facts_of("web", "page-1h", Standing(), (Firing(at(5), at(30)),), {})))
    assert [one.muted for one in activations(journal.facts(FactQuery()), at(100))] == [True]


def test_an_alert_that_is_no_longer_declared_ends() -> None:
    journal = _journal()
    journal.commit(Batch(facts_of("web", "page-1h", Standing(), (Firing(at(5)),), {})))
    journal.commit(Batch([ended("web", "page-1h", at(5), at(60), "it is no longer declared")]))
    assert recorded(journal.facts(FactQuery()))["web", "page-1h"].state == "inactive"
