"""What a budget allows, what is due when it passes from zone to zone, and that nothing is due twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from mainstay.kernel.errors import InvalidInput, SourceUnavailable, StoreUnavailable
from mainstay.kernel.journal import Batch, Fact, FactQuery, Journal, Message, NewFact, Pending, Timer
from mainstay.kernel.view import Next
from mainstay.reactions import react
from mainstay.slo.operations.policy import (
    GATE,
    EnforceRequest,
    Gate,
    GateRequest,
    PolicyRequest,
    enforce,
    gate,
    gate_view,
    policy,
)
from mainstay.slo.policy import Freeze, Notify, OpenIncident, Policy, Review, Zone
from mainstay.slo.spec import ErrorBudgetPolicy
from slo.worlds import DAYS, HERE, HOURS, NOW, Room, busy_month, indicator, objective, room

HALF, TIGHT, SPENT = 0.5, 0.8, 1.2
BUDGET = 7 * 288  # a hundredth of a week's requests, 100 a slot

RULES = Policy("rules", (
    Zone("healthy", 0),
    Zone("watch", 0.5, (Notify("team", "half is spent"),), "look twice"),
    Zone("slow", 0.75, (Freeze("features"), Review("what spent it")), "features wait"),
    Zone("stop", 1.0, (Freeze("all-changes"), OpenIncident("P1", "budget spent")), "repairs only"),
))


def declared(rules: Policy = RULES) -> ErrorBudgetPolicy:
    return ErrorBudgetPolicy(rules.name, HERE, rules)


def shop(spent: float, rules: Policy = RULES) -> Room:
    """A week's budget of which this share is spent, an hour before the end of the window's second day."""
    here = room(busy_month(60, now=NOW + 20 * DAYS), objective(window="7d", policy="rules"), declared(rules))
    here.source.events.add("errors", NOW - 2 * HOURS, spent * BUDGET / 24, slots=24)
    return here


def kinds(here: Room) -> list[str]:
    return [one.kind for one in here.facts("slo.") if one.kind != "slo.back-filled"]


# -- the gate -----------------------------------------------------------------------------------------------------


def exit_code(found: Gate) -> int:
    return GATE.exit_code(found)


@pytest.mark.parametrize(("spent", "code"), [(0.0, 0), (HALF, 0), (0.99, 1), (1.0, 1), (SPENT, 1)])
def test_the_gate_closes_when_the_policy_freezes_or_the_budget_is_spent(spent: float, code: int) -> None:
    assert exit_code(gate(shop(spent).world, GateRequest())) == code


def test_the_gate_is_closed_by_a_spent_budget_that_no_policy_freezes() -> None:
    here = shop(SPENT, Policy("rules", (Zone("healthy", 0),)))

    found = gate(here.world, GateRequest())

    assert (found.verdict, found.objectives[0].reason) == ("closed", "120.0 % of the budget is spent")


def test_without_data_the_gate_says_three() -> None:
    here = shop(HALF)
    here.source.events.forget(NOW - 40 * DAYS, NOW)

    found = gate(here.world, GateRequest())

    assert (exit_code(found), found.verdict, found.objectives[0].reason) == (3, "unknown", "no data")
    assert gate_view(found).blocks[-1] == Next(("mainstay check --sources",))


def test_a_spent_budget_outweighs_one_without_data() -> None:
    here = shop(SPENT)
    here.source.events.steady("silence", 0)
    here.declares(objective(window="7d", policy="rules"), declared(),
                  objective("blind", measures=indicator(total="silence")))

    assert exit_code(gate(here.world, GateRequest())) == 1
    assert exit_code(gate(here.world, GateRequest(("blind",)))) == 3


def test_a_freeze_of_one_scope_lets_other_changes_pass() -> None:
    here = shop(TIGHT)

    assert gate(here.world, GateRequest(scope="features")).verdict == "closed"
    assert gate(here.world, GateRequest(scope="fixes")).verdict == "open"
    assert gate(here.world, GateRequest()).verdict == "closed"


def test_a_freeze_of_all_changes_stops_every_scope() -> None:
    assert gate(shop(SPENT).world, GateRequest(scope="fixes")).objectives[0].frozen == ("all-changes",)


@pytest.mark.parametrize(("limit", "code"), [(60.0, 0), (50.0, 0), (49.9, 1), (10.0, 1)])
def test_the_gate_may_close_earlier(limit: float, code: int) -> None:
    assert exit_code(gate(shop(HALF).world, GateRequest(max_spent=limit))) == code


@pytest.mark.parametrize("limit", [0.0, -5.0, float("nan")])
def test_a_limit_that_would_stop_everything_is_refused(limit: float) -> None:
    with pytest.raises(InvalidInput, match="max-spent"):
        gate(shop(HALF).world, GateRequest(max_spent=limit))


def test_a_recorded_freeze_holds_until_it_is_lifted_even_when_the_budget_recovered() -> None:
    here = shop(TIGHT)
    enforce(here.world, EnforceRequest())
    here.clock.advance(8 * DAYS)

    before = gate(here.world, GateRequest())
    enforce(here.world, EnforceRequest())
    after = gate(here.world, GateRequest())

    assert (before.verdict, before.objectives[0].reason) == ("closed", "frozen: features")
    assert after.verdict == "open"


def test_the_freeze_is_implied_before_anybody_enforced_it() -> None:
    here = shop(TIGHT)

    assert gate(here.world, GateRequest()).objectives[0].frozen == ("features",)
    assert not here.facts("slo.frozen")


def test_a_source_that_is_down_never_opens_the_gate() -> None:
    here = shop(0.0)
    here.source.down = SourceUnavailable("down")

    with pytest.raises(SourceUnavailable):
        gate(here.world, GateRequest())


# -- enforcing ----------------------------------------------------------------------------------------------------


def test_entering_a_zone_records_the_passage_and_what_is_due() -> None:
    here = shop(HALF)

    found = enforce(here.world, EnforceRequest())

    assert [(one.from_zone, one.to_zone) for one in found.passages] == [("healthy", "watch")]
    assert kinds(here) == ["slo.zone-entered", "slo.notice-due"]
    entered, notice = here.facts("slo.zone-entered", "slo.notice-due")
    assert (entered.subject, entered.data["zone"], entered.data["from"]) == ("web", "watch", "")
    assert entered.data["spent"] == pytest.approx(HALF)
    assert notice.data == {"whom": "team", "message": "half is spent", "zone": "watch"}


def test_falling_through_several_zones_owes_what_each_asks_for() -> None:
    here = shop(SPENT)

    enforce(here.world, EnforceRequest())

    assert sorted(kinds(here)) == sorted(["slo.zone-entered", "slo.notice-due", "slo.review-due", "slo.frozen",
                                          "slo.frozen", "slo.incident-due"])
    assert {one.data["scope"] for one in here.facts("slo.frozen")} == {"features", "all-changes"}


def test_enforcing_twice_records_once() -> None:
    here = shop(SPENT)
    enforce(here.world, EnforceRequest())
    recorded = kinds(here)
    here.clock.advance(timedelta(seconds=30))

    again = enforce(here.world, EnforceRequest())

    assert kinds(here) == recorded
    assert (again.passages, again.unchanged) == ((), 1)


def test_two_that_judge_at_the_same_time_record_one_passage() -> None:
    """A server and a cron job that both read the record before either wrote: the keys name the passage."""
    here = shop(SPENT)
    first = _BothRead(here.journal)
    enforce(replace(here.world, journal=first), EnforceRequest())
    recorded = kinds(here)
    here.clock.advance(timedelta(seconds=1))

    enforce(replace(here.world, journal=first), EnforceRequest())

    assert kinds(here) == recorded


def test_a_budget_that_was_always_fine_needs_no_record() -> None:
    here = shop(0.0)

    found = enforce(here.world, EnforceRequest())

    assert (found.passages, found.unchanged, kinds(here)) == ((), 1, [])


def test_recovery_lifts_what_was_frozen_and_asks_for_nothing() -> None:
    here = shop(SPENT)
    enforce(here.world, EnforceRequest())
    already = len(here.facts("slo."))
    here.clock.advance(8 * DAYS)

    found = enforce(here.world, EnforceRequest())

    assert [(one.from_zone, one.to_zone) for one in found.passages] == [("stop", "healthy")]
    new = [one for one in here.facts("slo.")[already:] if one.kind != "slo.back-filled"]
    assert sorted((one.kind, one.data.get("scope", "")) for one in new) == [
        ("slo.unfrozen", "all-changes"), ("slo.unfrozen", "features"), ("slo.zone-entered", "")]


def test_recovery_lifts_only_what_a_policy_froze() -> None:
    here = shop(SPENT)
    here.journal.commit(Batch([NewFact("slo.frozen", "web", NOW - DAYS, {"scope": "schema-changes"}, actor="ana")]))
    enforce(here.world, EnforceRequest())
    here.clock.advance(8 * DAYS)

    enforce(here.world, EnforceRequest())

    found = gate(here.world, GateRequest())
    assert found.objectives[0].frozen == ("schema-changes",)


def test_a_partial_recovery_keeps_the_milder_freeze() -> None:
    here = shop(SPENT)
    enforce(here.world, EnforceRequest())
    here.clock.advance(7 * DAYS - HOURS)
    here.source.events.add("errors", NOW + 4 * DAYS, TIGHT * BUDGET - 0.6 * BUDGET)

    enforce(here.world, EnforceRequest())

    assert gate(here.world, GateRequest()).objectives[0].frozen == ("features",)


def test_spent_recovered_and_spent_again_is_due_again() -> None:
    here = shop(SPENT)
    enforce(here.world, EnforceRequest())
    here.clock.advance(8 * DAYS)
    enforce(here.world, EnforceRequest())
    here.source.events.add("errors", here.clock.now(), 1.5 * BUDGET / 12, slots=12)
    here.clock.advance(HOURS)

    enforce(here.world, EnforceRequest())

    assert kinds(here).count("slo.incident-due") == 2
    assert kinds(here).count("slo.notice-due") == 2


def test_without_data_nothing_changes() -> None:
    here = shop(TIGHT)
    enforce(here.world, EnforceRequest())
    recorded = kinds(here)
    here.source.events.forget(NOW, NOW + 20 * DAYS)
    here.clock.advance(9 * DAYS)

    found = enforce(here.world, EnforceRequest())

    assert (found.left_out, kinds(here)) == (("web",), recorded)
    assert gate(here.world, GateRequest()).verdict == "closed"


def test_a_source_that_is_down_leaves_its_objective_out() -> None:
    here = shop(SPENT)
    here.source.down = SourceUnavailable("down")

    assert enforce(here.world, EnforceRequest(stale_ok=True)).left_out == ("web",)


def test_a_dry_run_says_what_is_due_and_records_nothing() -> None:
    here = shop(SPENT)

    found = enforce(here.world, EnforceRequest(dry_run=True))

    assert (len(found.passages), found.recorded, kinds(here)) == (1, False, [])
    assert any(text.startswith("incident-due: P1") for text in found.passages[0].due)


def test_a_zone_that_the_policy_no_longer_has_is_left_without_a_trace_of_its_freezes() -> None:
    here = shop(TIGHT)
    enforce(here.world, EnforceRequest())
    renamed = Policy("rules", (Zone("fine", 0), Zone("careful", 0.7, (Freeze("experiments"),)), Zone("out", 1.0)))
    here.declares(objective(window="7d", policy="rules"), declared(renamed))

    enforce(here.world, EnforceRequest())

    assert gate(here.world, GateRequest()).objectives[0].frozen == ("experiments",)
    assert [one.data["scope"] for one in here.facts("slo.unfrozen")] == ["features"]
    assert enforce(here.world, EnforceRequest()).passages == ()


def test_a_policy_that_no_longer_freezes_lifts_the_freeze_in_the_same_zone() -> None:
    here = shop(TIGHT)
    enforce(here.world, EnforceRequest())
    milder = replace(RULES, zones=(*RULES.zones[:2], replace(RULES.zones[2], actions=()), RULES.zones[3]))
    here.declares(objective(window="7d", policy="rules"), declared(milder))

    enforce(here.world, EnforceRequest())

    assert gate(here.world, GateRequest()).verdict == "open"


def test_a_run_that_ends_while_it_records_leaves_all_or_nothing() -> None:
    here = shop(SPENT)
    dying = replace(here.world, journal=_DiesAt(here.journal, "slo.zone-entered"))

    with pytest.raises(StoreUnavailable):
        enforce(dying, EnforceRequest())
    assert kinds(here) == []

    enforce(here.world, EnforceRequest())
    assert kinds(here).count("slo.incident-due") == 1


def test_the_policy_is_shown_with_the_zone_it_is_in() -> None:
    found = policy(shop(TIGHT).world, PolicyRequest()).objectives[0]

    assert (found.policy, found.zone, found.recorded_zone) == ("rules", "slow", "")
    assert [one.name for one in found.zones if one.current] == ["slow"]
    assert found.zones[2].actions == ("freeze", "review")


# -- reactions ----------------------------------------------------------------------------------------------------


def outbox(here: Room) -> list[Message]:
    return here.journal.take_messages(here.clock.now(), "test", lease=timedelta(seconds=1))


def test_a_notice_that_is_due_becomes_one_message() -> None:
    here = shop(HALF)
    enforce(here.world, EnforceRequest())

    react(here.world)
    react(here.world)

    message, = outbox(here)
    assert (message.channel, message.data["target"]) == ("notice", "team")
    assert "half is spent" in message.data["subject"]


def test_an_incident_that_is_due_is_opened_once() -> None:
    here = shop(SPENT)
    enforce(here.world, EnforceRequest())

    assert react(here.world) > 0
    assert react(here.world) == 0

    opened, = here.facts("incident.opened")
    assert opened.data["severity"] == "SEV1"
    joined, = here.facts("alert.opened")
    assert joined.data["labels"]["slo"] == "web"


@pytest.mark.parametrize("dies_at", ["incident.opened", "notice", "house.reacted"])
def test_a_crash_between_reaction_and_marker_duplicates_nothing(dies_at: str) -> None:
    here = shop(SPENT)
    enforce(here.world, EnforceRequest())
    with pytest.raises(StoreUnavailable):
        react(replace(here.world, journal=_DiesAt(here.journal, dies_at)))

    react(here.world)
    react(here.world)

    assert len(here.facts("incident.opened")) == 1
    assert len(outbox(here)) == 1


def test_an_incident_of_one_budget_is_no_cause_of_anothers_loss() -> None:
    from mainstay.slo.operations.questions import AttributeRequest, attribute

    here = shop(SPENT)
    enforce(here.world, EnforceRequest())
    react(here.world)
    here.declares(objective("other", window="7d"), declared())
    here.clock.advance(HOURS)

    assert {one.kind for one in attribute(here.world, AttributeRequest("other")).by_cause} == {"rest"}


# -- journals in a bad hour ---------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Through(Journal):
    """A journal that passes everything on to another."""

    inner: Journal

    def commit(self, batch: Batch) -> tuple[Fact, ...]:
        return self.inner.commit(batch)

    def submit(self, batch: Batch) -> Pending[tuple[Fact, ...]]:
        return self.inner.submit(batch)

    def facts(self, query: FactQuery) -> Iterator[Fact]:
        return self.inner.facts(query)

    def head(self) -> int:
        return self.inner.head()

    def take_timers(self, now: datetime, worker: str, *, limit: int = 100,
                    lease: timedelta = timedelta(seconds=30)) -> list[Timer]:
        return self.inner.take_timers(now, worker, limit=limit, lease=lease)

    def take_messages(self, now: datetime, worker: str, *, channel: str | None = None, limit: int = 100,
                      lease: timedelta = timedelta(seconds=30)) -> list[Message]:
        return self.inner.take_messages(now, worker, channel=channel, limit=limit, lease=lease)

    def next_due(self) -> datetime | None:
        return self.inner.next_due()

    def close(self) -> None:
        self.inner.close()


@dataclass(eq=False)
class _DiesAt(_Through):
    """The store is lost just before a batch that holds this kind of fact, or a message on this channel."""

    what: str

    def commit(self, batch: Batch) -> tuple[Fact, ...]:
        names: Sequence[str] = [*(one.kind for one in batch.facts), *(one.channel for one in batch.messages)]
        if self.what in names:
            raise StoreUnavailable("the store was lost")
        return self.inner.commit(batch)


class _BothRead(_Through):
    """What is read is the record as it was when this was made: the other's facts are not seen yet."""

    def __init__(self, inner: Journal) -> None:
        super().__init__(inner)
        self.seen = inner.head()

    def facts(self, query: FactQuery) -> Iterator[Fact]:
        return (one for one in self.inner.facts(query) if one.seq <= self.seen)
