"""Runs as they are driven: order, failure, undo, persons, crashes, other drivers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryActuator, MemoryJournal
from mainstay.kernel import locks
from mainstay.kernel.actuation import Act, Actuator, Command, Ending, Flag, Outcome, Prepared, Watch
from mainstay.kernel.errors import Conflict
from mainstay.kernel.journal import Batch, Fact, FactQuery
from mainstay.runbook.operations.desk import Order, Overtaken, answer, approve, begin, cancel, runs_of, take_back
from mainstay.runbook.operations.driving import LEASE, Driver
from mainstay.runbook.reading import read_run
from mainstay.runbook.view import headline
from runbook.books import T0, acts, as_, catalog, drive, fails, kinds, ordered, run, states, steps, undos, world


def test_steps_run_in_their_order():
    made = world(steps("a", "b", "c"))
    one = run(made)
    assert one.state == "succeeded"
    assert acts(made) == ["do a", "do b", "do c"]
    assert kinds(made, one.id)[:3] == ["planned", "started", "step-started"]


def test_a_failed_required_step_undoes_the_completed_ones_in_reverse():
    """D6: required step 3 of 4 fails: rollbacks of 2, 1 in that order."""
    made = world(steps("a", "b", "c", "d"), MemoryActuator(fails("do c")))
    one = run(made)
    assert one.state == "failed"
    assert acts(made) == ["do a", "do b", "do c", "undo b", "undo a"]
    assert states(one) == {"a": "succeeded", "b": "succeeded", "c": "failed", "d": "pending"}
    assert undos(one) == {"a": "undone", "b": "undone"}


def test_an_undo_that_fails_is_recorded_and_the_others_still_run():
    made = world(steps("a", "b", "c"), MemoryActuator(fails("do c", "undo b")))
    one = run(made)
    assert acts(made)[-2:] == ["undo b", "undo a"]
    assert undos(one) == {"a": "undone", "b": "failed"}
    assert one.steps["b"].undo_error == "it broke"
    ended = next(made.journal.facts(FactQuery(kinds=("runbook.ended",))))
    assert ended.data["not_undone"] == ["b"]
    assert headline(read_run(one)) == "RB-1 fix failed: c failed: it broke. Not taken back: b."


def test_a_step_without_undo_is_reported_as_not_reversible():
    made = world(steps("a", "b", a="no-undo"), MemoryActuator(fails("do b")))
    assert undos(run(made)) == {"a": "not_reversible"}


def test_an_optional_step_may_fail():
    made = world(steps("a", "b", a="required: false"), MemoryActuator(fails("do a")))
    one = run(made)
    assert (one.state, one.why) == ("succeeded", "a failed, and need not succeed")
    assert acts(made) == ["do a", "do b"]


def test_the_second_run_never_undoes_the_first():
    """Seed defect 11: completed steps survived between runs, so run 2 rolled back run 1."""
    broken = ["do b"]
    made = world(steps("a", "b"), MemoryActuator(lambda act: fails(*broken)(act)))  # noqa: PLW0108  (it changes)
    broken.clear()
    first = run(made)
    broken.append("do a")
    second = run(made)
    assert (first.state, second.state) == ("succeeded", "failed")
    assert acts(made) == ["do a", "do b", "do a"]
    assert undos(first) == {}


def test_a_failed_step_is_undone_too_where_that_does_no_harm():
    """Seed defect 11: the failed step's own side effects were not rolled back."""
    spec = steps("a", "b", b="undo: {command: [undo, b], idempotent: true}")
    made = world(spec, MemoryActuator(fails("do b")))
    assert undos(run(made)) == {"a": "undone", "b": "undone"}
    assert acts(made) == ["do a", "do b", "undo b", "undo a"]


def test_what_a_step_found_before_it_began_takes_it_back():
    spec = ("  steps:\n    - {name: flip, flag: {file: flags.json, flag: new, variant: 'off'}}\n"
            "    - {name: b, command: [do, b]}\n")
    made = world(spec, MemoryActuator(fails("do b"), prepared=lambda act: Prepared(Flag("f", "new", "on"), "variant on")
                                      if isinstance(act, Flag) else Prepared()))
    one = run(made)
    assert made.actuator().done[-1] == Flag("f", "new", "on")  # type: ignore[attr-defined]
    assert (one.steps["flip"].note, undos(one)) == ("variant on", {"flip": "undone"})


def test_retries_wait_and_end():
    tries: list[str] = []

    def third_time(act: Act) -> Outcome | None:
        tries.append("")
        return None if len(tries) == 3 else Outcome(Ending.FAILED, error="busy")

    spec = "  steps:\n    - {name: a, command: [do, a], idempotent: true, retry: {times: 3, wait: 30s}}\n"
    made = world(spec, MemoryActuator(third_time))
    one = run(made)
    assert (one.state, one.steps["a"].attempts) == ("succeeded", 3)
    assert one.ended is not None
    assert one.ended - one.planned >= timedelta(seconds=60)


def test_retries_that_are_used_up_end_the_run():
    spec = "  steps:\n    - {name: a, command: [do, a], idempotent: true, retry: {times: 2, wait: 1s}}\n"
    made = world(spec, MemoryActuator(fails("do a")))
    assert run(made).state == "failed"
    assert acts(made) == ["do a"] * 3


def test_a_condition_that_does_not_hold_skips_the_step():
    spec = steps("a", "b", b='when: {value: "${steps.a.output}", equals: "yes"}')
    made = world(spec, MemoryActuator(lambda act: Outcome(Ending.SUCCEEDED, "no")))
    assert states(run(made)) == {"a": "succeeded", "b": "skipped"}
    made = world(spec, MemoryActuator(lambda act: Outcome(Ending.SUCCEEDED, "yes")))
    assert states(run(made)) == {"a": "succeeded", "b": "succeeded"}


def test_a_step_that_is_not_verified_failed():
    spec = steps("a", "b", b="verify: {command: [look, b]}")
    made = world(spec, MemoryActuator(fails("look b")))
    one = run(made)
    assert one.steps["b"].error == "done, but not verified: it broke"
    assert one.state == "failed"


# -- persons -------------------------------------------------------------------------------------------------------


def test_a_run_waits_for_a_persons_answer_and_goes_on():
    made = world("  steps:\n    - {name: a, ask: 'Is zone b well?'}\n    - {name: b, command: [do, b]}\n")
    one = run(made)
    assert one.state == "waiting"
    assert one.question is not None
    assert (one.question.text, one.question.choices) == ("Is zone b well?", ("yes", "no"))
    assert acts(made) == []
    answer(as_(made, "ben"), one.id, "yes")
    assert drive(made, one.id).state == "succeeded"


def test_an_answer_that_stops_undoes_what_was_done():
    made = world(steps("a") + "    - {name: q, ask: 'Go on?'}\n")
    one = run(made)
    answer(made, one.id, "no")
    assert drive(made, one.id).state == "failed"
    assert acts(made) == ["do a", "undo a"]


@pytest.mark.parametrize(("choice", "ends", "done"), [
    ("run", "succeeded", ["do a", "do b"]), ("skip", "succeeded", ["do b"]), ("stop", "failed", [])])
def test_a_step_to_be_agreed_to_waits(choice: str, ends: str, done: list[str]):
    made = world(steps("a", "b", a="confirm: true"))
    one = run(made)
    assert (one.state, acts(made)) == ("waiting", [])
    answer(made, one.id, choice)
    assert drive(made, one.id).state == ends
    assert acts(made) == done


def test_cancelling_while_a_person_is_waited_for_takes_back_what_was_done():
    made = world(steps("a") + "    - {name: q, ask: 'Go on?'}\n")
    one = run(made)
    cancel(made, one.id)
    assert drive(made, one.id).state == "cancelled"
    assert acts(made) == ["do a", "undo a"]


def test_a_run_that_did_nothing_reversible_is_not_said_to_be_taken_back():
    made = world("  steps:\n    - {name: a, command: [do, a], irreversible: it is a message}\n"
                 "    - {name: b, command: [do, b], changes: false}\n")
    one = run(made)
    with pytest.raises(Conflict, match="RB-1 did nothing that can be taken back"):
        take_back(made, one.id)
    assert runs_of(made).run(one.id).state == "succeeded"


def test_a_run_that_succeeded_can_be_taken_back_once():
    made = world(steps("a", "b"))
    one = run(made)
    take_back(made, one.id)
    assert drive(made, one.id).state == "undone"
    assert acts(made) == ["do a", "do b", "undo b", "undo a"]
    with pytest.raises(Conflict, match="nothing of RB-1 is left"):
        take_back(made, one.id)


# -- other drivers -------------------------------------------------------------------------------------------------


class Dies(BaseException):
    """The process that drove is gone."""


class Mortal:
    """An actuator under which whoever drives dies, before or after the act is done."""

    def __init__(self, inner: Actuator, at: str, *, after: bool) -> None:
        self.inner, self.at, self.after = inner, at, after
        self.living = True

    def secret(self, env: str, file: str) -> str:
        return self.inner.secret(env, file)

    def prepare(self, act: Act) -> Prepared:
        return self.inner.prepare(act)

    def carry_out(self, act: Act, watch: Watch) -> Outcome:
        dies = self.living and isinstance(act, Command) and " ".join(act.argv) == self.at
        if not dies or self.after:
            self.inner.carry_out(act, watch)
        if dies:
            self.living = False
            raise Dies
        return Outcome(Ending.SUCCEEDED)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("after", [False, True])
def test_a_step_that_nobody_saw_end_is_unknown_and_a_person_decides(after: bool):
    """D7: kill -9 while a non-idempotent step runs: unknown, never done again by itself."""
    memory = MemoryActuator()
    made = world(steps("a", "b", "c"), Mortal(memory, "do b", after=after))
    one = ordered(made)
    with pytest.raises(IndexError):  # the thread that carried out the act is gone without an outcome
        Driver(made, one.id, "w1").drive()
    made.clock.sleep(LEASE.total_seconds() + 1)
    one = drive(made, one.id, "w2")
    assert (one.state, states(one)["b"]) == ("waiting", "unknown")
    assert one.question is not None
    assert one.question.choices == ("succeeded", "failed", "again")
    before = [" ".join(act.argv) for act in memory.done if isinstance(act, Command)]
    assert before.count("do b") == int(after)
    answer(made, one.id, "succeeded")
    assert drive(made, one.id, "w2").state == "succeeded"
    assert [" ".join(act.argv) for act in memory.done if isinstance(act, Command)] == [*before, "do c"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_idempotent_step_is_done_again_once():
    memory = MemoryActuator()
    mortal = Mortal(memory, "do b", after=True)
    made = world(steps("a", "b", b="idempotent: true"), mortal)
    one = ordered(made)
    for worker in ("w1", "w2"):
        mortal.living = True
        with pytest.raises(IndexError):
            Driver(made, one.id, worker).drive()
        made.clock.sleep(LEASE.total_seconds() + 1)
    mortal.living = False
    one = drive(made, one.id, "w3")
    assert (one.state, one.steps["b"].reruns) == ("waiting", 1)
    answer(made, one.id, "again")
    assert drive(made, one.id, "w3").state == "succeeded"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_verification_tells_how_a_lost_step_ended():
    made = world(steps("a", a="verify: {command: [look, a]}"), Mortal(MemoryActuator(), "do a", after=True))
    one = ordered(made)
    with pytest.raises(IndexError):
        Driver(made, one.id, "w1").drive()
    made.clock.sleep(LEASE.total_seconds() + 1)
    assert drive(made, one.id, "w2").state == "succeeded"


def test_two_drivers_do_each_step_once():
    made = world(steps(*"abcdefgh"))
    one = ordered(made)
    threads = [threading.Thread(target=lambda n=n: Driver(made, one.id, f"w{n}").drive()) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runs_of(made).run(one.id).state == "succeeded"
    assert acts(made) == [f"do {name}" for name in "abcdefgh"]


def test_one_run_at_a_time_acts_on_a_target():
    made = world("  targets: [checkout]\n" + steps("a"))
    locks.take(made.journal, ["checkout"], "experiment X", made.clock.now(), timedelta(minutes=1))
    one = ordered(made)
    driven = Driver(made, one.id, "w1").drive()
    assert driven.held_by.startswith("experiment X acts on checkout")
    assert (runs_of(made).run(one.id).state, acts(made)) == ("ready", [])
    made.clock.sleep(61)
    assert drive(made, one.id).state == "succeeded"
    assert locks.held(made.journal, "checkout", made.clock.now()) is None


def test_a_driver_that_was_paused_adds_nothing_to_a_run_that_another_took_over():
    made = world(steps("a", "b"))
    one = ordered(made)
    seen = runs_of(made).run(one.id).seen
    drive(made, one.id, "w2")
    with pytest.raises(Overtaken):
        runs_of(made).append(one.id, [], seen)
    journal = made.journal
    assert isinstance(journal, MemoryJournal)
    assert [fact.data["n"] for fact in journal.facts(FactQuery(subject=one.id))] == \
        list(range(runs_of(made).run(one.id).seen))


class Pausing:
    """A journal in whose process nothing goes on for a while after a step was said to begin."""

    def __init__(self, journal: MemoryJournal, meanwhile: Callable[[], None]) -> None:
        self._journal, self._meanwhile = journal, meanwhile
        self.paused = False

    def commit(self, batch: Batch) -> tuple[Fact, ...]:
        facts = self._journal.commit(batch)
        if not self.paused and any(fact.kind == "runbook.step-started" for fact in facts):
            self.paused = True
            self._meanwhile()
        return facts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


def test_a_driver_that_was_paused_before_the_act_does_not_do_it_after_another_took_over():
    clock = FakeClock(T0)
    memory = MemoryJournal(clock)

    def meanwhile() -> None:
        clock.sleep(LEASE.total_seconds() + 1)
        other = world(steps("a"), made.actuator(), journal=memory, clock=clock)
        assert drive(other, "RB-1", "w2").state == "waiting"

    made = world(steps("a"), MemoryActuator(), journal=Pausing(memory, meanwhile), clock=clock)  # type: ignore[arg-type]
    one = ordered(made)
    driven = Driver(made, one.id, "w1").drive()
    assert "was paused" in driven.held_by
    assert acts(made) == []
    assert states(runs_of(made).run(one.id)) == {"a": "unknown"}
    answer(made, one.id, "again")
    assert drive(made, one.id, "w3").state == "succeeded"
    assert acts(made) == ["do a"]


def test_an_order_of_the_same_key_is_one_run():
    made = world(steps("a"))
    first, second = begin(made, Order("fix", key="alert-1")), begin(made, Order("fix", key="alert-1"))
    assert first.id == second.id
    assert begin(made, Order("fix", key="alert-2")).id != first.id


# -- what is approved is done --------------------------------------------------------------------------------------


APPROVED = "  approval: {needed: 1}\n"


def test_a_run_whose_runbook_was_changed_after_approval_is_void():
    """D4: editing any step or parameter after approval voids it."""
    made = world(APPROVED + steps("a"))
    one = ordered(made)
    approve(as_(made, "ben"), one.id)
    from dataclasses import replace

    changed = replace(made, catalog=catalog(APPROVED + steps("a", "b")))
    assert drive(changed, one.id).state == "voided"
    assert acts(made) == []


def test_the_plan_that_is_shown_is_the_one_that_is_done():
    """D11: dry-run plan == executed plan, by the same hash and the same arguments."""
    from mainstay.runbook.operations.desk import plan_for
    from mainstay.runbook.reading import read_plan

    made = world("  inputs: [{name: zone}]\n  approval: {needed: 1}\n  steps:\n"
                 "    - {name: a, command: [drain, '${inputs.zone}', '${labels.service}']}\n")
    order = Order("fix", {"zone": "b"}, {"service": "web"})
    shown = read_plan(plan_for(made, order)[1], None)
    one = begin(made, order)
    approve(as_(made, "ben"), one.id, shown.plan)
    one = drive(made, one.id)
    facts = list(made.journal.facts(FactQuery(kinds=("runbook.",), subject=one.id)))
    hashes = {fact.data["hash"] for fact in facts if "hash" in fact.data}
    assert hashes == {shown.plan}
    started = next(fact for fact in facts if fact.kind == "runbook.step-started")
    assert started.data["act"] == shown.steps[0].act
    assert acts(made) == ["drain b web"]
