"""What every journal promises, asked of every store."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.adapters.clock import FakeClock, SystemClock
from mainstay.adapters.store import PAGE, open_store
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import (
    AlreadyRecorded,
    Batch,
    Claim,
    Fact,
    FactQuery,
    Journal,
    NewFact,
    Retry,
    StaleClaim,
)

from .conftest import Opened
from .samples import LEASE, PRODUCER, SECOND, T0, fact, message, subjects, timer

# -- facts --------------------------------------------------------------------------------------------------------


def test_an_empty_journal_has_no_facts_and_head_zero(opened: Opened) -> None:
    assert opened.journal.head() == 0
    assert subjects(opened.journal) == []


def test_a_committed_fact_reads_back_as_it_was_returned(opened: Opened, clock: FakeClock) -> None:
    new = NewFact("incident.opened", "INC-1", T0 + timedelta(microseconds=1),
                  {"n": 1, "share": 0.1, "tags": ["a", "ü", "\0"], "none": None, "deep": {"yes": True}}, "k", "ana")
    clock.advance(timedelta(seconds=5))
    recorded, = opened.journal.commit(Batch(facts=[new]))
    assert recorded == Fact(1, new.kind, new.subject, new.at, new.data, "k", "ana", T0 + timedelta(seconds=5))
    assert list(opened.again().journal.facts(FactQuery())) == [recorded]


def test_a_moment_of_another_zone_is_recorded_in_utc(opened: Opened) -> None:
    local = T0.astimezone(timezone(timedelta(hours=5, minutes=30)))
    recorded, = opened.journal.commit(Batch(facts=[fact(at=local)]))
    assert recorded.at == T0
    assert recorded.at.tzinfo is UTC


def test_a_moment_without_a_zone_is_our_own_mistake_and_records_nothing(opened: Opened) -> None:
    with pytest.raises(TypeError):
        opened.journal.commit(Batch(facts=[fact(at=T0.replace(tzinfo=None))]))
    assert opened.journal.head() == 0


def test_seq_grows_by_one_in_the_order_of_the_batch(opened: Opened) -> None:
    opened.journal.commit(Batch(facts=[fact("a"), fact("b")]))
    recorded = opened.journal.commit(Batch(facts=[fact("c"), fact("d")]))
    assert [found.seq for found in recorded] == [3, 4]
    assert opened.journal.head() == 4


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_a_batch_of_any_size_is_recorded_whole_and_in_its_order(opened: Opened, count: int) -> None:
    given = [fact(f"s{number}", key=f"k{number}", n=number) for number in range(count)]
    recorded = opened.journal.commit(Batch(facts=given))
    assert [(found.subject, found.key, found.data) for found in recorded] == [
        (one.subject, one.key, one.data) for one in given]
    assert tuple(opened.again().journal.facts(FactQuery())) == recorded


def test_an_empty_batch_changes_nothing(opened: Opened) -> None:
    assert opened.journal.commit(Batch()) == ()
    assert opened.journal.head() == 0


def test_a_known_key_gives_the_recorded_fact_and_records_nothing(opened: Opened) -> None:
    first, = opened.journal.commit(Batch(facts=[fact("first", key="once")]))
    new, again = opened.journal.commit(Batch(facts=[fact("new"), fact("second", key="once")]))
    assert again == first
    assert (new.seq, opened.journal.head()) == (2, 2)
    assert opened.again().journal.commit(Batch(facts=[fact("third", key="once")])) == (first,)


def test_a_key_twice_in_one_batch_is_recorded_once(opened: Opened) -> None:
    first, second = opened.journal.commit(Batch(facts=[fact("first", key="once"), fact("second", key="once")]))
    assert first == second
    assert subjects(opened.journal) == ["first"]


def test_a_fresh_batch_with_a_known_key_commits_nothing_at_all(opened: Opened) -> None:
    opened.journal.commit(Batch(facts=[fact("first", key="once")], fresh=True))
    with pytest.raises(AlreadyRecorded):
        opened.journal.commit(Batch(facts=[fact("new"), fact("second", key="once")], set_timers=[timer()], fresh=True))
    assert subjects(opened.journal) == ["first"]
    assert opened.journal.next_due() is None


def test_of_two_fresh_batches_submitted_together_the_first_stands(opened: Opened) -> None:
    futures = [opened.journal.submit(Batch(facts=[fact(str(i), key="once")], fresh=True)) for i in range(5)]
    refused = [future.exception() for future in futures]
    assert refused[0] is None
    assert all(isinstance(error, AlreadyRecorded) for error in refused[1:])
    assert subjects(opened.journal) == ["0"]


def test_facts_without_a_key_are_each_recorded(opened: Opened) -> None:
    opened.journal.commit(Batch(facts=[fact(), fact()]))
    assert opened.journal.head() == 2


def test_changing_what_was_handed_in_does_not_change_the_record(opened: Opened) -> None:
    data = {"list": [1]}
    opened.journal.commit(Batch(facts=[NewFact("a.b", "s", T0, data)]))
    data["list"].append(2)
    assert next(opened.journal.facts(FactQuery())).data == {"list": [1]}


@pytest.mark.parametrize("bad", [
    fact("a\0b"), fact("\ud800"), fact("s" * 501), fact(key="k" * 501),
    NewFact("a.b", "s", T0, {"x": object()}), NewFact("a.b", "s", T0, {"x": "\ud800"}),
], ids=["nul", "surrogate", "long subject", "long key", "not JSON", "surrogate in data"])
def test_what_cannot_be_stored_is_refused_and_its_neighbours_are_not(opened: Opened, bad: NewFact) -> None:
    with pytest.raises(InvalidInput) as refused:
        opened.journal.commit(Batch(facts=[fact("good"), bad]))
    assert refused.value.way_out
    assert opened.journal.head() == 0
    opened.journal.commit(Batch(facts=[fact("ü" * 500, key="é" * 500)]))
    assert opened.journal.head() == 1


# -- reading ------------------------------------------------------------------------------------------------------


@pytest.fixture
def told(opened: Opened) -> Journal:
    """Five facts: two of the word slo, one of slow, two of incident."""
    kinds = ("slo.zone-entered", "slow.thing", "incident.opened", "slo.frozen", "incident.resolved")
    opened.journal.commit(Batch(facts=[NewFact(kind, "a" if i % 2 else "b", T0 + i * timedelta(hours=1), {"i": i})
                                       for i, kind in enumerate(kinds, 1)]))
    return opened.journal


@pytest.mark.parametrize(("query", "expected"), [
    (FactQuery(), [1, 2, 3, 4, 5]),
    (FactQuery(kinds=["slo."]), [1, 4]),
    (FactQuery(kinds=["slo.frozen"]), [4]),
    (FactQuery(kinds=["slo"]), []),
    (FactQuery(kinds=["slo.", "incident.opened"]), [1, 3, 4]),
    (FactQuery(kinds=["slo.frozen", "slo.", "slo.frozen", "slow.thing"]), [1, 2, 4]),
    (FactQuery(kinds=["incident.", "slo."], newest_first=True, limit=3), [5, 4, 3]),
    (FactQuery(kinds=["incident.resolved", "slo.frozen"], after=1, until=T0 + timedelta(hours=5)), [4]),
    (FactQuery(kinds=["slo.zone."]), []),
    (FactQuery(kinds=["slo.frozen", "slow."], subject="b"), [2, 4]),
    (FactQuery(subject="b"), [2, 4]),
    (FactQuery(subject="nobody"), []),
    (FactQuery(after=3), [4, 5]),
    (FactQuery(after=99), []),
    (FactQuery(since=T0 + timedelta(hours=2), until=T0 + timedelta(hours=4)), [2, 3]),
    (FactQuery(limit=2), [1, 2]),
    (FactQuery(limit=0), []),
    (FactQuery(newest_first=True), [5, 4, 3, 2, 1]),
    (FactQuery(newest_first=True, limit=2), [5, 4]),
    (FactQuery(newest_first=True, after=3), [5, 4]),
    (FactQuery(kinds=["incident."], subject="a", after=2, newest_first=True, limit=1), [5]),
], ids=lambda value: None if isinstance(value, list) else str(value)[10:70])
def test_a_query_gives_what_fits_in_order(told: Journal, query: FactQuery, expected: Sequence[int]) -> None:
    assert [found.seq for found in told.facts(query)] == expected


def test_facts_recorded_while_reading_are_left_for_the_next_reading(told: Journal) -> None:
    reading = told.facts(FactQuery())
    next(reading)
    told.commit(Batch(facts=[fact()]))
    assert [found.seq for found in reading] == [2, 3, 4, 5]


def test_a_reading_longer_than_a_page_is_whole(opened: Opened) -> None:
    many = 2 * PAGE + 1
    opened.journal.commit(Batch(facts=[fact(str(i)) for i in range(many)]))
    assert subjects(opened.journal) == [str(i) for i in range(many)]
    assert [f.seq for f in opened.journal.facts(FactQuery(newest_first=True))] == list(range(many, 0, -1))
    assert len(subjects(opened.journal, FactQuery(limit=PAGE + 1))) == PAGE + 1


names = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=8)
texts = st.text(st.characters(exclude_categories=("Cs",)))
numbers = st.integers(-2**63, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(st.none() | st.booleans() | numbers | texts, lambda inner: st.lists(inner, max_size=3)
                      | st.dictionaries(names, inner, max_size=3), max_leaves=5)
new_facts = st.builds(NewFact, kind=st.sampled_from(["a.x", "a.y", "ab.x"]), subject=names,
                      at=st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
                      data=st.dictionaries(names, values, max_size=3), key=st.sampled_from(["", "", "k1", "k2", "k3"]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(new_facts, max_size=4), max_size=5))
def test_the_fold_order_is_the_order_of_commit_and_every_reading_is_the_same(
        opened: Opened, batches: list[list[NewFact]]) -> None:
    journal = opened.journal
    before = journal.head()
    returned = [found for batch in batches for found in journal.commit(Batch(facts=batch))]
    fresh = {found.seq: found for found in returned if found.seq > before}
    once = list(journal.facts(FactQuery(after=before)))
    assert once == [fresh[seq] for seq in sorted(fresh)]
    assert [found.seq for found in once] == list(range(before + 1, journal.head() + 1))
    assert list(journal.facts(FactQuery(after=before))) == once
    assert list(journal.facts(FactQuery(after=before, newest_first=True))) == once[::-1]
    for new, found in zip((new for batch in batches for new in batch), returned, strict=True):
        if not new.key:
            assert (found.kind, found.subject, found.at, found.data) == (new.kind, new.subject, new.at, new.data)


# -- timers -------------------------------------------------------------------------------------------------------


def test_a_timer_is_given_when_due_and_not_before(opened: Opened) -> None:
    opened.journal.commit(Batch(set_timers=[timer(due=T0 + SECOND, n=1)]))
    assert opened.journal.next_due() == T0 + SECOND
    assert opened.journal.take_timers(T0 + SECOND / 2, "w") == []
    taken, = opened.journal.take_timers(T0 + SECOND, "w")
    assert (taken.key, taken.due, taken.kind, taken.subject, taken.data) == (
        "t", T0 + SECOND, "incident.escalate", "INC-1", {"n": 1})


def test_timers_come_earliest_due_first_up_to_the_limit(opened: Opened) -> None:
    opened.journal.commit(Batch(set_timers=[timer(f"t{i}", T0 - i * SECOND) for i in range(5)]))
    assert [t.key for t in opened.journal.take_timers(T0, "w", limit=2)] == ["t4", "t3"]
    assert [t.key for t in opened.journal.take_timers(T0, "w")] == ["t2", "t1", "t0"]


def test_a_taken_timer_is_given_to_nobody_until_the_lease_ends(opened: Opened) -> None:
    opened.journal.commit(Batch(set_timers=[timer()]))
    first, = opened.journal.take_timers(T0, "one", lease=LEASE)
    assert opened.again().journal.take_timers(T0 + LEASE - SECOND, "two") == []
    assert opened.journal.next_due() == T0 + LEASE
    second, = opened.again().journal.take_timers(T0 + LEASE, "two")
    assert second.fence > first.fence


def test_a_done_timer_is_gone(opened: Opened) -> None:
    opened.journal.commit(Batch(set_timers=[timer()]))
    taken, = opened.journal.take_timers(T0, "w")
    opened.journal.commit(Batch(timers_done=[Claim(taken.key, taken.fence)]))
    assert opened.journal.take_timers(T0 + 2 * LEASE, "w") == []
    assert opened.journal.next_due() is None


def test_setting_a_timer_again_moves_it(opened: Opened) -> None:
    opened.journal.commit(Batch(set_timers=[timer(n=1)]))
    opened.journal.commit(Batch(set_timers=[timer(due=T0 + SECOND, n=2)]))
    assert opened.journal.take_timers(T0, "w") == []
    taken, = opened.journal.take_timers(T0 + SECOND, "w")
    assert taken.data == {"n": 2}


def test_a_cleared_timer_is_gone_and_clearing_an_unknown_one_is_nothing(opened: Opened) -> None:
    opened.journal.commit(Batch(set_timers=[timer()]))
    opened.journal.commit(Batch(clear_timers=["t", "unknown"]))
    assert opened.journal.take_timers(T0, "w") == []


def test_one_batch_may_clear_and_set_the_same_timer(opened: Opened) -> None:
    opened.journal.commit(Batch(set_timers=[timer(n=1)]))
    opened.journal.commit(Batch(clear_timers=["t"], set_timers=[timer(n=2)]))
    assert [t.data for t in opened.journal.take_timers(T0, "w")] == [{"n": 2}]


def test_a_recurring_timer_is_done_and_set_in_one_batch(opened: Opened) -> None:
    opened.journal.commit(Batch(set_timers=[timer()]))
    for turn in range(3):
        now = T0 + turn * timedelta(hours=1)
        taken, = opened.journal.take_timers(now, "w")
        opened.journal.commit(Batch(facts=[fact(str(turn))], timers_done=[Claim(taken.key, taken.fence)],
                                    set_timers=[timer(due=now + timedelta(hours=1))]))
    assert subjects(opened.journal) == ["0", "1", "2"]


# -- fences -------------------------------------------------------------------------------------------------------


def test_a_batch_under_a_lost_fence_commits_nothing_at_all(opened: Opened) -> None:
    opened.journal.commit(Batch(set_timers=[timer(), timer("other")]))
    stopped = opened.journal.take_timers(T0, "stopped", lease=LEASE)
    resumed = opened.again().journal.take_timers(T0 + LEASE, "resumed")
    work = Batch(facts=[fact("page")], set_timers=[timer("next")], clear_timers=["other"], messages=[message()],
                 timers_done=[Claim(stopped[1].key, stopped[1].fence)])
    with pytest.raises(StaleClaim) as refused:
        opened.journal.commit(work)
    assert refused.value.way_out
    assert opened.journal.head() == 0
    assert opened.journal.take_messages(T0, "w") == []
    assert [t.key for t in opened.journal.take_timers(T0 + 9 * LEASE, "w")] == [t.key for t in resumed]


def test_the_one_that_took_over_may_finish_after_the_loser_tried(opened: Opened) -> None:
    opened.journal.commit(Batch(set_timers=[timer()]))
    lost, = opened.journal.take_timers(T0, "one", lease=LEASE)
    held, = opened.journal.take_timers(T0 + LEASE, "two")
    with pytest.raises(StaleClaim):
        opened.journal.commit(Batch(facts=[fact("lost")], timers_done=[Claim("t", lost.fence)]))
    opened.journal.commit(Batch(facts=[fact("held")], timers_done=[Claim("t", held.fence)]))
    assert subjects(opened.journal) == ["held"]


def test_an_expired_lease_that_nobody_took_over_still_holds(opened: Opened) -> None:
    opened.journal.commit(Batch(set_timers=[timer()]))
    taken, = opened.journal.take_timers(T0, "slow", lease=SECOND)
    opened.journal.commit(Batch(facts=[fact("late")], timers_done=[Claim("t", taken.fence)]))
    assert subjects(opened.journal) == ["late"]


@pytest.mark.parametrize("change", [Batch(set_timers=[timer(due=T0 + SECOND)]), Batch(clear_timers=["t"])],
                         ids=["set again", "cleared"])
def test_setting_or_clearing_a_taken_timer_drops_the_claim(opened: Opened, change: Batch) -> None:
    opened.journal.commit(Batch(set_timers=[timer()]))
    taken, = opened.journal.take_timers(T0, "w")
    opened.journal.commit(change)
    with pytest.raises(StaleClaim):
        opened.journal.commit(Batch(facts=[fact()], timers_done=[Claim("t", taken.fence)]))
    assert opened.journal.head() == 0


def test_fences_of_a_key_grow_even_over_its_removal(opened: Opened) -> None:
    fences = []
    for turn in range(4):
        opened.journal.commit(Batch(set_timers=[timer()]))
        taken, = opened.again().journal.take_timers(T0, f"w{turn}")
        fences.append(taken.fence)
        opened.journal.commit(Batch(timers_done=[Claim("t", taken.fence)]))
    assert fences == sorted(set(fences))
    opened.journal.commit(Batch(set_timers=[timer()]))
    opened.journal.take_timers(T0, "w")
    for old in fences:
        with pytest.raises(StaleClaim):
            opened.journal.commit(Batch(timers_done=[Claim("t", old)]))


@pytest.mark.parametrize("claims", [[Claim("unknown", 1)], [Claim("t", 0)]], ids=["unknown key", "never taken"])
def test_a_claim_on_what_was_not_taken_is_refused(opened: Opened, claims: list[Claim]) -> None:
    opened.journal.commit(Batch(set_timers=[timer()], messages=[message("t")]))
    with pytest.raises(StaleClaim):
        opened.journal.commit(Batch(timers_done=claims))
    with pytest.raises(StaleClaim):
        opened.journal.commit(Batch(messages_done=claims))


def test_of_two_settlements_submitted_together_one_stands(opened: Opened) -> None:
    opened.journal.commit(Batch(set_timers=[timer()]))
    taken, = opened.journal.take_timers(T0, "w")
    futures = [opened.journal.submit(Batch(facts=[fact(str(i))], timers_done=[Claim("t", taken.fence)]))
               for i in range(5)]
    refused = [future.exception() for future in futures]
    assert refused[0] is None
    assert all(isinstance(error, StaleClaim) for error in refused[1:])
    assert subjects(opened.journal) == ["0"]


def test_a_refused_batch_does_not_sink_those_submitted_with_it(opened: Opened) -> None:
    futures = [opened.journal.submit(Batch(facts=[fact(str(i))], timers_done=[Claim("none", 7)] if i % 3 == 0 else ()))
               for i in range(30)]
    assert [future.exception() is None for future in futures] == [i % 3 != 0 for i in range(30)]
    assert subjects(opened.journal) == [str(i) for i in range(30) if i % 3]


# -- outbox -------------------------------------------------------------------------------------------------------


def test_a_message_is_given_when_it_may_be_sent_and_not_before(opened: Opened) -> None:
    opened.journal.commit(Batch(messages=[message(not_before=T0 + SECOND, text="hi")]))
    assert opened.journal.take_messages(T0, "w") == []
    taken, = opened.journal.take_messages(T0 + SECOND, "w")
    assert (taken.key, taken.channel, taken.data, taken.not_before, taken.attempts) == (
        "m", "slack", {"text": "hi"}, T0 + SECOND, 1)


def test_a_message_is_taken_once_and_done_for_ever(opened: Opened) -> None:
    opened.journal.commit(Batch(messages=[message()]))
    taken, = opened.journal.take_messages(T0, "w")
    assert opened.again().journal.take_messages(T0, "v") == []
    opened.journal.commit(Batch(messages_done=[Claim("m", taken.fence)]))
    opened.journal.commit(Batch(messages=[message()]))
    assert opened.again().journal.take_messages(T0 + 9 * LEASE, "w") == []


def test_a_message_waiting_under_the_same_key_is_not_replaced(opened: Opened) -> None:
    opened.journal.commit(Batch(messages=[message(text="first"), message(text="second")]))
    opened.journal.commit(Batch(messages=[message(text="third")]))
    assert [taken.data for taken in opened.journal.take_messages(T0, "w")] == [{"text": "first"}]


def test_a_retried_message_comes_back_at_its_time_with_its_attempts_counted(opened: Opened) -> None:
    opened.journal.commit(Batch(messages=[message()]))
    now = T0
    for attempt, wait in enumerate((1, 2, 4, 8), 1):
        taken, = opened.journal.take_messages(now, "w")
        assert taken.attempts == attempt
        then = now + wait * SECOND
        opened.journal.commit(Batch(facts=[fact(str(attempt))],
                                    messages_retry=[Retry("m", taken.fence, then)]))
        assert opened.journal.take_messages(then - timedelta(microseconds=1), "w") == []
        now = then
    taken, = opened.journal.take_messages(now, "w")
    assert (taken.attempts, taken.not_before) == (5, now)


def test_a_message_whose_sender_died_is_taken_by_another_and_the_dead_one_is_refused(opened: Opened) -> None:
    opened.journal.commit(Batch(messages=[message()]))
    dead, = opened.journal.take_messages(T0, "dead", lease=LEASE)
    alive, = opened.again().journal.take_messages(T0 + LEASE, "alive", lease=LEASE)
    assert (alive.attempts, alive.fence > dead.fence) == (2, True)
    for late in (Batch(messages_done=[Claim("m", dead.fence)]), Batch(messages_retry=[Retry("m", dead.fence, T0)])):
        with pytest.raises(StaleClaim):
            opened.journal.commit(late)
    opened.journal.commit(Batch(messages_done=[Claim("m", alive.fence)]))


def test_a_message_is_settled_once_only(opened: Opened) -> None:
    opened.journal.commit(Batch(messages=[message()]))
    taken, = opened.journal.take_messages(T0, "w")
    opened.journal.commit(Batch(messages_retry=[Retry("m", taken.fence, T0)]))
    with pytest.raises(StaleClaim):
        opened.journal.commit(Batch(messages_done=[Claim("m", taken.fence)]))


def test_a_worker_of_one_channel_is_given_no_other(opened: Opened) -> None:
    opened.journal.commit(Batch(messages=[message("a", "slack"), message("b", "smtp", T0 - SECOND),
                                          message("c", "slack", T0 - 2 * SECOND)]))
    assert [m.key for m in opened.journal.take_messages(T0, "w", channel="slack", limit=1)] == ["c"]
    assert [m.key for m in opened.journal.take_messages(T0, "w")] == ["b", "a"]


# -- several at once ----------------------------------------------------------------------------------------------


def test_threads_that_commit_at_once_lose_nothing_and_each_key_is_recorded_once(opened: Opened) -> None:
    def produce(thread: int) -> list[Fact]:
        return [recorded for i in range(40) for recorded in opened.journal.commit(
            Batch(facts=[fact(f"{thread}"), fact("shared", key=f"k{i}")]))]

    with ThreadPoolExecutor(8) as pool:
        returned = list(itertools.chain.from_iterable(pool.map(produce, range(8))))
    stored = list(opened.journal.facts(FactQuery()))
    assert len(stored) == 8 * 40 + 40
    assert [found.seq for found in stored] == list(range(1, len(stored) + 1))
    assert {found.seq: found for found in returned} == {found.seq: found for found in stored}


def test_workers_on_threads_take_each_timer_and_message_once(opened: Opened) -> None:
    many = 120
    opened.journal.commit(Batch(set_timers=[timer(f"t{i}") for i in range(many)],
                                messages=[message(f"m{i}") for i in range(many)]))
    openings = [opened.journal, opened.again().journal]

    def work(worker: int) -> list[str]:
        journal, done = openings[worker % 2], []
        while True:
            timers = journal.take_timers(T0, f"w{worker}", limit=5)
            messages = journal.take_messages(T0, f"w{worker}", limit=5)
            if not timers and not messages:
                return done
            journal.commit(Batch(timers_done=[Claim(t.key, t.fence) for t in timers],
                                 messages_done=[Claim(m.key, m.fence) for m in messages]))
            done += [taken.key for taken in (*timers, *messages)]

    with ThreadPoolExecutor(4) as pool:
        done = Counter(itertools.chain.from_iterable(pool.map(work, range(4))))
    assert len(done) == 2 * many
    assert set(done.values()) == {1}


def test_two_processes_share_a_store_and_a_tailing_reader_misses_nothing(store_url: str) -> None:
    many = 150
    with open_store(store_url, SystemClock()) as store:
        producers = [subprocess.Popen([sys.executable, "-c", PRODUCER, store_url, name, str(many)])
                     for name in ("one", "two")]
        seen: list[Fact] = []
        running = True
        while running:
            running = any(producer.poll() is None for producer in producers)
            seen += store.journal.facts(FactQuery(after=seen[-1].seq if seen else 0))
        assert [producer.wait() for producer in producers] == [0, 0]
        assert seen == list(store.journal.facts(FactQuery()))
    assert Counter(found.subject for found in seen) == {"one": many, "two": many, "both": many}
    for name in ("one", "two"):
        assert [found.data["i"] for found in seen if found.subject == name] == list(range(many))


WORKER = """
import sys
from datetime import timedelta
from mainstay.adapters.clock import SystemClock
from mainstay.adapters.store import open_store
from mainstay.kernel.errors import Conflict
from mainstay.kernel.journal import Batch, Claim, NewFact
clock = SystemClock()
with open_store(sys.argv[1], clock) as store:
    taken, = store.journal.take_timers(clock.now(), "stopped", lease=timedelta(seconds=0.3))
    print("taken", flush=True)
    sys.stdin.readline()
    try:
        store.journal.commit(Batch(facts=[NewFact("a.b", "stopped", clock.now())],
                                   timers_done=[Claim(taken.key, taken.fence)]))
        print("committed", flush=True)
    except Conflict as error:
        print(error.code, flush=True)
"""


def test_a_worker_stopped_and_resumed_cannot_act_for_the_one_that_took_over(store_url: str) -> None:
    clock = SystemClock()
    with open_store(store_url, clock) as store:
        store.journal.commit(Batch(set_timers=[timer()]))
        with subprocess.Popen([sys.executable, "-c", WORKER, store_url], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "taken\n"
            os.kill(worker.pid, signal.SIGSTOP)
            while not (mine := store.journal.take_timers(clock.now(), "other")):
                clock.sleep(0.05)
            store.journal.commit(Batch(facts=[fact("other")], timers_done=[Claim(mine[0].key, mine[0].fence)]))
            os.kill(worker.pid, signal.SIGCONT)
            answer, _ = worker.communicate("go on\n", timeout=120)
        assert answer == "stale-claim\n"
        assert subjects(store.journal) == ["other"]
