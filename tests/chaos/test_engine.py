"""Running an experiment: what it does in which order, what it concludes, and that what was put in comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from chaos.played import NOW, SLOW, Played
from mainstay.adapters.memory_faults import MemoryInjection, MemoryInjector, MemoryProber, MemorySystem
from mainstay.chaos.lifecycle import STEPS, Stage, Status
from mainstay.chaos.state import fold
from mainstay.kernel.errors import MainstayError, NotAllowed, SourceUnavailable
from mainstay.kernel.faults import Healing, Injection, Measured, Order
from mainstay.kernel.journal import Batch, FactQuery, NewFact
from mainstay.kernel.locks import Locked, all_held, take
from mainstay.kernel.ports import ServiceStanding, Spending
from mainstay.kernel.probing import Ask, Heard

WIDENED = SLOW.replace("duration: 30s", "duration: 30s\n  widen: {shares: [1%, 5%, 10%], longest: 2m}")
TWO = """
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: two}
spec:
  target: api
  hypothesis: {probes: [{name: api answers, type: health}]}
  phases:
    - {name: slow, duration: 10s, faults: [{kind: dependency-slow, dependency: auth, settings: {latency: 100ms}}]}
    - {name: gone, duration: 10s, pause: 5s, faults: [{kind: dependency-failure, dependency: auth},
                                                       {kind: process-pause, workload: auth}]}
  stabilise: 10s
"""


def test_a_system_that_bears_it_passes_and_every_fault_was_proven_in_and_out():
    played = Played(TWO)
    run = played.run()
    assert run.status is Status.PASSED
    assert [(fault.kind, fault.applied is not None, fault.removed is not None) for fault in run.faults] == [
        ("dependency-slow", True, True), ("dependency-failure", True, True), ("process-pause", True, True)]
    assert {sample.stage for sample in run.samples} == {"before", "injecting", "during", "after"} - {"injecting"}
    assert played.system.wrong == {}
    assert all_held(played.journal, played.clock.now()) == ()


class SlowToSayNo(MemoryProber):
    """Whoever asks in vain waits for nine seconds."""

    def __init__(self, played: Played) -> None:
        super().__init__(played.system)
        self._clock = played.clock

    def ask(self, question: Ask) -> Heard:
        heard = super().ask(question)
        if heard.value["status"] == 503:
            self._clock.sleep(9.0)
        return heard


@pytest.mark.parametrize(("misses", "expected"), [(5, Status.FAILED), (100, Status.PASSED)])
def test_a_probe_that_hangs_all_the_while_has_not_held_however_few_its_answers_are(misses: int, expected: Status):
    # In thirty seconds there are four answers: no six in a row, and still nothing held for longer than was allowed.
    played = Played(SLOW.replace("hypothesis: {", f"hypothesis: {{misses: {misses}, "),
                    unbearable={"dependency-slow": 0.0})
    played.world = replace(played.world, prober=lambda: SlowToSayNo(played))
    run = played.run()
    assert run.status is expected, run.reasons
    assert any("did not hold once in 30 s" in one for one in run.reasons) is (expected is Status.FAILED)


def test_each_phase_says_by_its_name_how_long_it_took_to_be_steady_again():
    again = [note for note in Played(TWO).run().notes if "steady again" in note]
    assert [note.partition(":")[0] for note in again] == ["slow", "gone"]
    assert [note for note in Played(SLOW).run().notes if note.startswith("steady again after")], "one phase needs none"
    widened = [note.partition(":")[0] for note in Played(WIDENED).run().notes if "steady again" in note]
    assert widened == ["at 1 %", "at 5 %", "at 10 %"]


@pytest.mark.parametrize(("seconds", "most"), [(60, 32), (1800, 238)])
def test_answers_are_written_every_two_seconds_at_first_and_seldom_in_a_long_run(seconds: int, most: int):
    played = Played(SLOW)
    played.run(seconds=float(seconds))
    at = [fact.at for fact in played.journal.facts(FactQuery(kinds=("chaos.measured",)))]
    assert timedelta(seconds=1.9) < at[1] - at[0] < timedelta(seconds=3.5)
    assert seconds / 10 <= len(at) <= most
    assert max(later - sooner for sooner, later in pairwise(at)) < timedelta(seconds=13)


def test_the_intent_is_recorded_before_the_act_and_the_run_is_the_fold_of_its_facts():
    played = Played(SLOW)
    seen: list[list[str]] = []

    class Looking(MemoryInjector):
        def put_in(self, order: Order) -> Injection:
            seen.append([fact.kind for fact in played.journal.facts(FactQuery(kinds=("chaos.",)))
                         if fact.kind != "chaos.measured"])
            return super().put_in(order)

    played.injector = Looking(played.system)
    run = played.run()
    assert seen == [["chaos.accepted", "chaos.started", "chaos.intended"]]
    assert fold(played.journal.facts(FactQuery(kinds=("chaos.",))))[run.id] == run


def test_a_system_that_does_not_bear_it_fails_and_the_fault_is_out_at_once():
    played = Played(SLOW, unbearable={"dependency-slow": 5}, limp=3)
    run = played.run()
    assert run.status is Status.FAILED
    assert run.reasons[0].startswith("during: api answers: it is 503")
    assert run.reaction is not None
    assert run.reaction < 0.25
    (fault,) = run.faults
    assert fault.removed is not None
    assert fault.applied is not None
    assert fault.removed - fault.applied < timedelta(seconds=7), "not after its 30 s"


def test_a_system_that_does_not_come_back_fails_although_it_bore_the_fault():
    class Limping(MemorySystem):
        def mend(self, kind: str, workload: str, dependency: str) -> None:
            super().mend(kind, workload, dependency)
            self.failed_until = self.clock.monotonic() + 3600

    played = Played(SLOW)
    system = Limping(played.clock)
    played.system, played.injector = system, MemoryInjector(system)
    run = played.run()
    assert run.status is Status.FAILED
    assert run.reasons == ("after: api answers: not back within 10 s: it is 503, and status 200 to 399 is tolerated",)


def test_how_long_recovery_took_is_measured_and_not_waited_for_in_full():
    played = Played(SLOW.replace("stabilise: 10s", "stabilise: 1h"), unbearable={"dependency-slow": 5}, limp=3)
    run = played.run()
    assert run.ended is not None
    assert run.ended - NOW < timedelta(minutes=1)


def test_a_steady_state_that_is_not_there_before_proves_nothing_and_nothing_is_put_in():
    played = Played(SLOW)
    played.system.failed_until = 1e9
    run = played.run()
    assert run.status is Status.INVALID
    assert run.faults == ()
    assert "before anything was put in" in run.reasons[0]


def test_misses_that_are_allowed_are_no_breach():
    flaky = SLOW.replace("probes:", "misses: 2, probes:")
    asked = 0

    class Flaky(MemorySystem):
        def failing(self) -> bool:
            nonlocal asked
            asked += 1
            return asked % 4 == 0

    played = Played(flaky)
    played.system = Flaky(played.clock)
    played.injector = MemoryInjector(played.system)
    assert played.run().status is Status.PASSED


def test_an_hour_is_played_in_a_moment():
    played = Played(SLOW.replace("30s", "1h"))
    began = time.perf_counter()
    run = played.run()
    assert time.perf_counter() - began < 5, "about half a second on a quiet machine"
    assert run.ended is not None
    assert run.ended - NOW > timedelta(hours=1)


def test_the_same_seed_gives_the_same_facts():
    def facts(seed: int) -> list[tuple[str, Mapping[str, Any]]]:
        played = Played(TWO)
        played.run(seed=seed)
        return [(fact.kind, fact.data) for fact in played.journal.facts(FactQuery())]

    assert facts(7) == facts(7)
    assert facts(7) != facts(8)


# -- sabotage: an injector, or a proof, that does not do what it says -------------------------------------------------

Sabotage = Callable[[MemorySystem], MemoryInjector]


class Lying(MemoryInjection):
    """An injection some part of which is not what it says."""

    def __init__(self, real: MemoryInjection, system: MemorySystem, **parts: Callable[..., Any]) -> None:
        super().__init__(system, real.order, real.means)
        self.parts, self.real = parts, real

    def proof(self) -> Measured:
        return self.parts["proof"](self.real) if "proof" in self.parts else self.real.proof()

    def victims(self) -> Mapping[str, float]:
        return self.parts["victims"](self.real) if "victims" in self.parts else self.real.victims()

    def remove(self) -> None:
        if "remove" in self.parts:
            self.parts["remove"](self.real)
        else:
            self.real.remove()


def lying(**parts: Callable[..., Any]) -> Sabotage:
    class Injector(MemoryInjector):
        def put_in(self, order: Order) -> Injection:
            if "put_in" in parts:
                ordered = parts["put_in"](self.system, order)
            else:
                self.system.break_(order)
                ordered = order
            real = MemoryInjection(self.system, order, self.means(order))
            assert ordered is None or isinstance(ordered, Order)
            return Lying(real, self.system, **{key: part for key, part in parts.items() if key != "put_in"})

    return Injector


def _raise(*_: object) -> None:
    raise SourceUnavailable("it does not answer")


def _nothing(*_: object) -> None:
    return None


def _elsewhere(system: MemorySystem, order: Order) -> None:
    system.break_(replace(order, workload=replace(order.workload, name="another")))


def _other_kind(system: MemorySystem, order: Order) -> None:
    system.break_(replace(order, kind="dependency-reset"))


def _half(system: MemorySystem, order: Order) -> None:
    system.break_(order, settings={**order.settings, "latency": float(order.settings["latency"]) * 0.55})


def _narrow(system: MemorySystem, order: Order) -> None:
    system.break_(order, share=order.share / 4)


def _wide(system: MemorySystem, order: Order) -> None:
    system.break_(order, share=1.0)


def _partly(real: MemoryInjection) -> None:
    real._system.break_(real.order, settings={**real.order.settings, "latency": 0.19})


def _once(real: MemoryInjection) -> None:
    if not getattr(real, "tried", False):
        real.tried = True  # type: ignore[attr-defined]
        _raise()
    real.remove()


def _vanishing(real: MemoryInjection) -> Measured:
    asked = getattr(real, "asked", 0)
    real.asked = asked + 1  # type: ignore[attr-defined]
    if asked == 1:
        real._system.mend(real.order.kind, real.order.workload.name, real.order.dependency)
    return real._system.measured(real.order)


def _always(real: MemoryInjection) -> Measured:
    return replace(real.proof(), in_effect=True, seen=0.2)


def _blind(real: MemoryInjection) -> Measured:
    return Measured("round trip", True, None, 0.2, "s", "nothing answered")


SABOTAGED: Mapping[str, tuple[Sabotage, Status]] = {
    "not applied": (lying(put_in=_nothing), Status.INVALID),
    "applied to the wrong workload": (lying(put_in=_elsewhere), Status.INVALID),
    "another fault": (lying(put_in=_other_kind), Status.INVALID),
    "half of it": (lying(put_in=_half), Status.INVALID),
    "to too few": (lying(put_in=_narrow), Status.INVALID),
    "to too many": (lying(put_in=_wide), Status.ABORTED),
    "putting it in raises": (lying(put_in=_raise), Status.INVALID),
    "gone in between": (lying(proof=_vanishing), Status.INVALID),
    "the proof raises": (lying(proof=_raise), Status.FAILED),
    "the proof sees nothing": (lying(proof=_blind), Status.FAILED),
    "the proof never sees it": (lying(proof=lambda real: replace(real.proof(), in_effect=False, seen=0.0)),
                                Status.INVALID),
    "the proof says yes for ever": (lying(proof=_always), Status.FAILED),
    "the proof says yes and nothing was done": (lying(put_in=_nothing, proof=_always), Status.FAILED),
    "the proof says yes and nobody was hit": (
        lying(put_in=_nothing, proof=lambda real: Measured("delay", not getattr(real, "out", False), 0.2, 0.2, "s"),
              remove=lambda real: setattr(real, "out", True)), Status.INVALID),
    "not taken out": (lying(remove=_nothing), Status.FAILED),
    "taking out raises": (lying(remove=_raise), Status.FAILED),
    "taken out in part": (lying(remove=_partly), Status.FAILED),
    "the removal is only said": (
        lying(remove=_nothing, proof=lambda real: replace(
            real.proof(), in_effect=getattr(real, "n", 0) < 1 and not setattr(real, "n", getattr(real, "n", 0) + 1))),
        Status.INVALID),
    "the victims cannot be counted and it is not there": (lying(put_in=_nothing, victims=_raise), Status.INVALID),
    "taken out and put in again": (
        lying(remove=lambda real: (real.remove(), real._system.break_(real.order))[0]), Status.FAILED),
    "the proof is of another moment": (
        lying(put_in=_nothing, proof=lambda real: Measured("delay", True, 0.2, 0.2, "s")), Status.FAILED),
}


@pytest.mark.parametrize("name", SABOTAGED)
def test_a_sabotaged_injector_never_passes(name: str):
    sabotage, status = SABOTAGED[name]
    # 25 % of the requests, so that too few and too many can be told from the right number.
    played = Played(SLOW.replace("latency: 200ms}", "latency: 200ms}, share: 25%"), injector=sabotage)
    run = played.run()
    assert run.status is not Status.PASSED
    assert run.status is status, run.reasons
    assert run.reasons


def test_there_are_at_least_twenty_sabotages_and_the_honest_injector_passes_beside_them():
    assert len(SABOTAGED) >= 20
    honest = Played(SLOW.replace("latency: 200ms}", "latency: 200ms}, share: 25%"), injector=lying())
    assert honest.run().status is Status.PASSED


def test_a_removal_that_works_the_second_time_is_a_removal():
    played = Played(SLOW, injector=lying(remove=_once))
    assert played.run().status is Status.PASSED
    assert played.system.wrong == {}


def test_a_guard_that_cannot_clear_up_fails_the_run():
    class Leaving(MemoryInjector):
        @contextmanager
        def guard(self, run: str, *, manual: bool = False):  # type: ignore[no-untyped-def]
            with super().guard(run, manual=manual) as guarded:
                yield guarded
            raise MainstayError("a rule is still there")

    run = Played(SLOW, injector=Leaving).run()
    assert run.status is Status.FAILED
    assert "a rule is still there" in run.reasons[0]


FELT = SLOW.replace("settings: {latency: 200ms}}", "settings: {latency: 200ms}, felt_by: {name: it is felt, "
                    "type: health, faster_than: 100ms}}")


def test_a_users_own_proof_must_hold_before_and_miss_while_the_fault_is_there():
    assert Played(FELT).run().status is Status.PASSED
    run = Played(FELT.replace("faster_than: 100ms", "faster_than: 1ms")).run()
    assert run.status is Status.INVALID
    assert run.faults[0].problem == "it is felt missed before it was put in"
    run = Played(FELT.replace("faster_than: 100ms", "faster_than: 10s")).run()
    assert run.status is Status.INVALID
    assert run.faults[0].problem == "it is felt holds all the same"


def test_a_users_own_proof_finds_out_a_proof_that_lies_both_ways():
    def lies(real: MemoryInjection) -> Measured:
        out = getattr(real, "out", False)
        return replace(real.proof(), in_effect=not out, seen=0.0 if out else 0.2)

    sabotage = lying(put_in=_nothing, proof=lies, victims=lambda real: {},
                     remove=lambda real: setattr(real, "out", True))
    assert Played(SLOW, injector=sabotage).run().status is Status.PASSED, "nothing else can know: this is the limit"
    assert Played(FELT, injector=sabotage).run().status is Status.INVALID


# -- what stops a run from outside ------------------------------------------------------------------------------------


def _at(played: Played, seconds: float, act: Callable[[], object]) -> None:
    """Do it once the clock has come so far."""
    done = []
    sleep = played.clock.sleep

    def sleeping(by: float) -> None:
        sleep(by)
        if not done and played.clock.monotonic() >= seconds:
            done.append(True)
            act()

    played.clock.sleep = sleeping  # type: ignore[method-assign]


def _fact(played: Played, kind: str, subject: str, **data: Any) -> Callable[[], object]:
    return lambda: played.journal.commit(Batch([NewFact(kind, subject, played.clock.now(), data, actor="ben")]))


@pytest.mark.parametrize(("kind", "subject", "data", "said"), [
    ("chaos.abort-asked", "EXP-1", {"why": "enough"}, "ben stopped it: enough"),
    ("chaos.halted", "all", {"why": "outage"}, "ben stopped all experiments: outage"),
    ("incident.opened", "INC-7", {"service": "api", "services": ["api"], "title": "api down"},
     "INC-7 opened: api down"),
])
def test_it_is_aborted_from_outside_and_everything_is_out(kind: str, subject: str, data: dict[str, Any], said: str):
    played = Played(SLOW)
    _at(played, 12, _fact(played, kind, subject, **data))
    run = played.run()
    assert (run.status, run.reasons) == (Status.ABORTED, (said,))
    assert played.system.wrong == {}
    assert run.ended is not None
    assert run.ended - NOW < timedelta(seconds=29)


@pytest.mark.parametrize(("kind", "subject", "data"), [
    ("chaos.abort-asked", "EXP-9", {}), ("incident.opened", "INC-7", {"service": "cart", "services": ["cart"]}),
    ("incident.opened", "INC-7", {"service": "api", "services": ["api"], "test": True}),
    ("incident.resolved", "INC-7", {}),
])
def test_what_is_not_about_it_does_not_stop_it(kind: str, subject: str, data: dict[str, Any]):
    played = Played(SLOW)
    _at(played, 12, _fact(played, kind, subject, **data))
    assert played.run().status is Status.PASSED


def test_a_burning_budget_stops_it():
    played = Played(SLOW + "  abort_when: {burn_rate: 10}\n")
    burn = [1.0]
    played.world = replace(played.world, standing=lambda world, services: (
        ServiceStanding("answers", services[0], "healthy", "30d", 0.1, burn[0]),))
    _at(played, 12, lambda: burn.append(burn.pop() * 20))
    run = played.run()
    assert (run.status, run.reasons) == (Status.ABORTED, ("answers burns 20.0×, and 10× is the most",))


def test_a_lock_that_was_lost_stops_it():
    played = Played(SLOW.replace("30s", "5m"))
    def steal() -> None:
        take(played.journal, ["api"], "runbook run-2", played.clock.now() + timedelta(hours=1), timedelta(hours=1))
    _at(played, 50, steal)
    run = played.run()
    assert run.status is Status.ABORTED
    assert "runbook run-2 acts on api" in run.reasons[0]


# -- what keeps it from starting --------------------------------------------------------------------------------------


def _refused(played: Played, said: str) -> None:
    with pytest.raises(NotAllowed, match=said):
        played.run()
    assert played.system.wrong == {}
    assert "chaos.accepted" not in played.kinds()


def test_it_is_not_started_outside_its_hours():
    # NOW is a Friday, 12:00 UTC: 13:00 in Berlin.
    hours = SLOW + '  hours: {zone: Europe/Berlin, days: [mon, fri], from: "09:00", to: "12:00"}\n'
    _refused(Played(hours), "the next time is Mon 30 Nov 09:00 Europe/Berlin")
    assert Played(hours.replace("12:00", "14:00")).run().status is Status.PASSED
    _refused(Played(hours.replace('to: "12:00"', 'to: "13:00"').replace("09:00", "12:30")), "the next time is Mon")


def test_it_is_not_started_while_something_else_holds_the_target():
    played = Played(SLOW)
    take(played.journal, ["api"], "runbook run-2", NOW, timedelta(hours=1))
    _refused(played, "runbook run-2 acts on api")


def test_of_two_that_begin_at_once_one_is_refused():
    played = Played(SLOW)
    commit = played.journal.commit

    def late(batch: Batch) -> Any:
        if batch.facts and batch.facts[0].kind == "chaos.accepted":
            take(played.journal, ["api"], "experiment EXP-0", NOW, timedelta(hours=1))
        return commit(batch)

    played.journal.commit = late  # type: ignore[method-assign]
    with pytest.raises(Locked):
        played.run()


def test_it_is_not_started_while_an_incident_is_open_and_is_once_it_is_resolved():
    played = Played(SLOW)
    _fact(played, "incident.opened", "INC-1", service="api", services=["api"], title="down")()
    _refused(played, "INC-1 is open on api")
    _fact(played, "incident.resolved", "INC-1")()
    assert played.run().status is Status.PASSED


def test_it_is_not_started_while_all_are_halted():
    played = Played(SLOW)
    _fact(played, "chaos.halted", "all", why="launch day")()
    _refused(played, "ben has stopped all experiments .*launch day")
    _fact(played, "chaos.lifted", "all")()
    assert played.run().status is Status.PASSED


def _budgeted(text: str, spent: float) -> Played:
    played = Played(text)
    played.world = replace(
        played.world,
        standing=lambda world, services: (ServiceStanding("answers", services[0], "healthy", "30d", spent, 1.0),),
        spent=lambda world, services, span, offline: (
            Spending("answers", services[0], 0.999, "30d", 1.0, 72_000.0, 1_000.0, 0.001, span.end),))
    return played


def test_it_is_not_started_when_the_budget_cannot_pay_for_the_worst():
    # 20/s × 30 s × 25 % = 150 events at worst, of 1,000 that the window allows.
    share = SLOW.replace("latency: 200ms}", "latency: 200ms}, share: 25%") + "  budget: {keep: 20%}\n"
    _refused(_budgeted(share, 0.7), "20/s would lose 150 events at worst; 300 of 1e[+]03 are left, 200 must stay")
    assert _budgeted(share, 0.6).run().status is Status.PASSED
    assert _budgeted(share.replace("keep: 20%", "keep: 20%, impact: 10%"), 0.7).run().status is Status.PASSED


def test_a_budget_that_nobody_measured_is_refused_only_where_one_is_asked_for():
    _refused(Played(SLOW + "  budget: {keep: 20%}\n"), "nothing was measured of any")
    assert Played(SLOW).run().notes[0].startswith("no error budget was measured")


def test_faults_that_nobody_would_take_out_are_refused_unless_accepted():
    def manual(system: MemorySystem) -> MemoryInjector:
        return MemoryInjector(system, Healing.MANUAL)

    _refused(Played(SLOW, injector=manual), "would stay when this process is killed")
    assert Played(SLOW, injector=manual).run(manual=True).status is Status.PASSED


def test_a_fault_that_no_mechanism_can_do_is_refused_before_anything_is_touched():
    played = Played(TWO, injector=lambda system: MemoryInjector(system, unable=("process-pause",)))
    _refused(played, "process-pause on auth cannot be put in here")


# -- the blast radius -------------------------------------------------------------------------------------------------


def test_the_radius_grows_only_while_the_sequential_test_says_healthy():
    run = Played(WIDENED).run()
    assert run.status is Status.PASSED
    assert [one["answer"] for one in run.widening] == ["small", "small"]
    # Wald's test of 1 % against 10 %, 5 % of either mistake: 31 answers without a miss.
    assert all(31 <= one["total"] <= 33 for one in run.widening)
    assert [fault.share for fault in run.faults] == [0.01, 0.05, 0.1]
    assert run.reached == 0.1


def test_a_test_that_cannot_tell_ends_the_run_where_it_is():
    run = Played(WIDENED.replace("longest: 2m", "longest: 10s")).run()
    assert run.status is Status.ABORTED
    assert run.reached == 0.01
    assert "nothing could be told at a share of 1.0%" in run.reasons[0]


def test_a_system_that_is_not_healthy_is_not_hit_harder():
    class Flaky(MemorySystem):
        def failing(self) -> bool:
            return bool(self.wrong) and round(self.clock.monotonic()) % 3 == 0

    played = Played(WIDENED.replace("probes:", "misses: 5, probes:"))
    played.system = Flaky(played.clock)
    played.injector = MemoryInjector(played.system)
    run = played.run()
    assert run.status is Status.FAILED
    assert run.reached == 0.01
    assert "more than 10.0% would" in run.reasons[0]


# -- the table --------------------------------------------------------------------------------------------------------


def test_every_stage_can_end_and_nothing_follows_the_end():
    assert {stage for (stage, event) in STEPS if event == "ended"} == set(Stage) - {Stage.ENDED}
    assert not any(stage is Stage.ENDED for stage, _ in STEPS)


def test_every_stage_is_reached():
    reached, before = {Stage.PENDING}, set()
    while reached != before:
        before = set(reached)
        reached |= {target for (stage, _), target in STEPS.items() if stage in reached}
    assert reached == set(Stage)
