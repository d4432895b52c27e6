"""What the journal says of budgets: a fold over facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mainstay.kernel.journal import Fact
from mainstay.slo.lifecycle import Record, facts_of, records, zone_named
from mainstay.slo.policy import PRESETS, REFERENCE, REMAINING, frozen_in, transition, zone_of

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def fact(seq: int, kind: str, data: dict[str, Any], subject: str = "up", at: datetime = T0) -> Fact:
    return Fact(seq, kind, subject, at, data, f"k{seq}", "me", at)


def test_an_objective_nobody_spoke_of_has_no_record() -> None:
    assert records([]) == {}


def test_the_last_zone_and_when_it_was_entered_are_kept() -> None:
    later = T0 + timedelta(hours=1)
    record = records([fact(1, "slo.zone-entered", {"zone": "a"}), fact(2, "slo.zone-entered", {"zone": "b"}, at=later)])
    assert record["up"] == Record("b", later)


def test_a_frozen_scope_thaws_alone() -> None:
    record = records([fact(1, "slo.frozen", {"scope": "x"}), fact(2, "slo.frozen", {"scope": "y"}),
                      fact(3, "slo.unfrozen", {"scope": "x"})])
    assert record["up"].frozen == {"y": T0}


def test_a_review_is_remembered_by_its_day() -> None:
    assert records([fact(1, "slo.reviewed", {"note": "fine"})])["up"].reviewed == T0.date()


def test_facts_of_one_objective_say_nothing_of_another() -> None:
    record = records([fact(1, "slo.frozen", {"scope": "x"}), fact(2, "slo.frozen", {"scope": "y"}, subject="down")])
    assert (list(record["up"].frozen), list(record["down"].frozen)) == (["x"], ["y"])


def test_facts_of_other_words_are_passed_over() -> None:
    assert records([fact(1, "incident.opened", {})]) == {}


def test_a_zone_the_policy_no_longer_has_is_none() -> None:
    assert zone_named(REFERENCE, "healthy") is REFERENCE.zones[0]
    assert zone_named(REFERENCE, "gone") is None


def passing(before: Record, spent: float, now: datetime = T0) -> list[Any]:
    after = zone_of(REMAINING, spent)
    old = zone_named(REMAINING, before.zone)
    return facts_of("up", REMAINING, before, after, transition(REMAINING, old, after), spent, now)


def test_a_fall_through_several_zones_owes_the_actions_of_each() -> None:
    kinds = [one.kind for one in passing(Record("healthy"), 1.2)]
    assert kinds[0] == "slo.zone-entered"
    assert sorted(kinds[1:]) == ["slo.frozen", "slo.frozen", "slo.incident-due", "slo.notice-due", "slo.notice-due",
                                 "slo.notice-due", "slo.review-due"]


def test_a_scope_that_is_frozen_is_not_frozen_again() -> None:
    before = Record("healthy", frozen={"non-critical-features": T0})
    assert "slo.frozen" not in [one.kind for one in passing(before, 0.8)]


def test_a_recovery_lifts_what_was_frozen_and_only_that() -> None:
    before = records([fact(1, "slo.zone-entered", {"zone": "nothing left"}),
                      fact(2, "slo.frozen", {"scope": "all-changes", "zone": "nothing left"})])["up"]
    facts = passing(before, 0.1)
    assert [(one.kind, one.data.get("scope")) for one in facts] == [
        ("slo.zone-entered", None), ("slo.unfrozen", "all-changes")]


def test_judging_the_same_passage_twice_makes_the_same_keys() -> None:
    first, second = passing(Record("healthy"), 1.2), passing(Record("healthy"), 1.2)
    assert [one.key for one in first] == [one.key for one in second]
    assert len({one.key for one in first}) == len(first)


@given(st.sampled_from(sorted(PRESETS)), st.lists(st.floats(0, 2), min_size=1, max_size=12))
def test_after_any_history_exactly_what_the_zone_freezes_is_frozen(name: str, history: list[float]) -> None:
    policy, facts, record = PRESETS[name], list[Fact](), Record()
    for hour, spent in enumerate(history):
        after, before = zone_of(policy, spent), zone_named(policy, record.zone)
        if before is after:
            continue
        for new in facts_of("up", policy, record, after, transition(policy, before, after), spent,
                            T0 + timedelta(hours=hour)):
            facts.append(Fact(len(facts) + 1, new.kind, new.subject, new.at, new.data, new.key, "me", new.at))
        record = records(facts)["up"]
        assert record.zone == after.name
        assert set(record.frozen) == set(frozen_in(policy, after))
