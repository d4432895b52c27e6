"""Running an experiment: every step recorded, every fault proven in and out, and everything out at the first breach.

One thread decides; whatever may hang (a probe, an injection, a proof, a removal) is done by another, so that an abort
waits for none of them. The intent of an injection is durable before it begins. On the way out nothing waits for the
journal: faults are taken out first.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, field
from datetime import timedelta
from types import FrameType
from typing import Any

from mainstay.chaos.kinds import kind_named
from mainstay.chaos.lifecycle import Stage, Status
from mainstay.chaos.operations.asking import ask, time_of
from mainstay.chaos.operations.hands import Hands, Task, ThreadHands, numbers_first
from mainstay.chaos.operations.planning import Options, Prepared, Step, prepare, step_words, touched
from mainstay.chaos.operations.recording import Recorder
from mainstay.chaos.operations.watch import Asking, Outside, Seen, Stop, Watch
from mainstay.chaos.spec import Experiment, Widen
from mainstay.chaos.state import Run, guard_name
from mainstay.chaos.verdict import BREACH, Verdict, accepted, radius_broken, removal_accepted, verdict
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import MainstayError, NotAllowed
from mainstay.kernel.faults import Guarded, Injection, Measured, Order
from mainstay.kernel.locks import Lock, Locked, free, take
from mainstay.kernel.ports import World
from mainstay.stats.sequential import RatioTest

ROUNDS_BEFORE = 3
"""How often every probe is asked before anything is put in: one answer is no steady state."""

ROUNDS_AFTER = 2
"""How often in a row every probe must hold before a system counts as recovered."""

_INJECT_WITHIN = 60.0
_PROVE_WITHIN = 10.0
_REMOVE_WITHIN = 30.0
_PROVE_AGAIN = 5.0
"""Seconds between two proofs of a fault that is to stay: one that vanished in between proves nothing."""

_ASK_AGAIN = 0.1
_LOCK, _RENEW = timedelta(seconds=60), 20.0


def execute(world: World, experiment: Experiment, options: Options = Options(),  # noqa: B008  (it is frozen)
            hands: Hands | None = None) -> Run:
    """Run it to its end, whatever that is; the run as its facts tell it.

    Args:
        hands: threads on the world's clock when left out; `PlayedHands` on a clock that is moved.
    Raises:
        NotAllowed: something forbids it; every reason is said, and nothing was touched.
        NotFound, InvalidInput: it names what is not there.
        Locked: something else began to act on the target a moment ago.
    """
    seen = world.journal.head()
    prepared = prepare(world, experiment, options)
    if prepared.plan.refusals:
        raise NotAllowed(f"{experiment.name} is not started: " + "; ".join(prepared.plan.refusals),
                         "mainstay chaos plan shows what it would do")
    numbers_first()
    return _Course(world, prepared, options, hands or ThreadHands()).run(seen)


@dataclass(slots=True)
class _In:
    """A fault that is in, or on its way in or out."""

    id: str
    order: Order
    injection: Injection | None = None
    proven: bool = False
    proof: Task[Measured] | None = None
    victims: Mapping[str, float] = field(default_factory=dict)
    proof_due: float = 0.0
    doubts: int = 0
    removing: Task[None] | None = None
    problem: str = ""


class _Course:
    """One run."""

    def __init__(self, world: World, prepared: Prepared, options: Options, hands: Hands) -> None:
        self._world, self._prepared, self._options, self._hands = world, prepared, options, hands
        self._experiment = prepared.experiment
        self._book = Recorder.of_plan(world, prepared.plan, options)
        self._faults: list[_In] = []
        self._inflight: Task[Injection] | None = None
        self._watch = Watch(world, hands, prepared.probes, self._experiment.hypothesis.every)
        self._locks: tuple[Lock, ...] = ()
        self._renewing: Task[tuple[Lock, ...]] | None = None
        self._stop: Stop | None = None
        self._signal = ""
        self._reaction: float | None = None
        self._renewed = self._began = world.clock.monotonic()
        self._left = self._said = self._phase = ""
        self._counted = [0, 0]
        self._guarded: Guarded | None = None

    # -- the whole ---------------------------------------------------------------------------------------------------

    def run(self, seen: int) -> Run:
        self._outside = Outside(self._world, self._hands, self.now.id, self._prepared.services,
                                self._experiment.abort_when, seen)
        self._lock()
        try:
            with self._signals():
                self._guarded_course()
            return self._end()
        except BaseException as error:
            # A mistake of ours, or a store that broke: what was in is out, and the run must not seem to go on.
            self._record("ended", {"status": str(Status.ABORTED), "reasons": [f"it broke off: {error!r}"]})
            with suppress(MainstayError):
                free(self._world.journal, self._locks, self._world.clock.now())
            raise
        finally:
            self._world.prober().give_up()

    def _guarded_course(self) -> None:
        manual = self._options.manual or self._experiment.manual
        self._record("started", {})
        try:
            with self._world.injector().guard(guard_name(self.now), manual=manual) as self._guarded:
                try:
                    self._steady_before()
                    for number, step in enumerate(self._prepared.steps, 1):
                        if self._stop is None:
                            self._step(number, step)
                except MainstayError as error:
                    self._halt("trouble", error.message)
                finally:
                    self._take_out()
        except MainstayError as error:
            if self._guarded is None:
                self._halt("trouble", error.message)
            else:
                # The guard could not clear everything; what each fault was proven to be does not say that.
                self._left = error.message

    @property
    def now(self) -> Run:
        """The run as it stands."""
        return self._book.run

    def _lock(self) -> None:
        names = dict.fromkeys((self._prepared.target.name, *(one.name for one in touched(self._prepared.steps))))
        try:
            self._locks = take(self._world.journal, list(names), f"experiment {self.now.id}",
                               self._world.clock.now(), _LOCK)
        except Locked as error:
            self._record("ended", {"status": str(Status.ABORTED), "reasons": [error.message]})
            self._book.durable()
            raise

    def _end(self) -> Run:
        for problem in self._outside.problems:
            self._record("noted", {"text": f"could not look whether to stop: {problem}"})
        self._book.flush()
        found = verdict(self.now)
        if self._left:
            found = Verdict(Status.FAILED, (f"something may be left behind: {self._left}", *found.reasons))
        self._record("ended", {"status": str(found.status), "reasons": list(found.reasons),
                               "reaction": self._reaction})
        self._book.explain()
        # A renewal on its way would take the locks again after they were freed.
        renewing = self._renewing
        if renewing is not None:
            self._wait_for(lambda: renewing.done, _RENEW)
        self._book.durable()
        free(self._world.journal, self._locks, self._world.clock.now())
        return self.now

    # -- the stages --------------------------------------------------------------------------------------------------

    def _steady_before(self) -> None:
        self._say("before", f"does it hold? {self.now.title or 'the steady state'}")
        rounds = ROUNDS_BEFORE + self._experiment.hypothesis.misses
        self._go_on(self._answer_time() + rounds * self._experiment.hypothesis.every,
                    until=lambda: all(one.held >= ROUNDS_BEFORE for one in self._watch.askings))
        if self._stop is None and not all(one.held for one in self._watch.askings):
            self._breach(next(one for one in self._watch.askings if not one.held), "it was not answered in time")

    def _answer_time(self) -> float:
        return max((time_of(probe) for probe in self._prepared.probes), default=0.0)

    def _step(self, number: int, step: Step) -> None:
        self._phase = step_words(step, self._prepared.steps)
        if step.pause:
            self._say("pause", f"{step.pause:g} s before {step.phase}")
            self._go_on(step.pause)
        for place, order in enumerate(step.orders, 1):
            if self._stop is None:
                self._inject(_In(f"{number}.{place}", order))
        if self._stop is None:
            self._during(step)
        self._take_out()

    def _during(self, step: Step) -> None:
        self._record("watching", {"share": step.share})
        self._counted = [0, 0]
        self._watch.ask_now()
        for one in self._faults:
            one.proof_due = self._watch.now() + _PROVE_AGAIN
        widen = self._experiment.widen
        if step.widens and widen is not None:
            self._widen(step, widen)
        else:
            self._go_on(step.seconds)
        if self._stop is None:
            self._held_at_all(step)
        if self._stop is None:
            self._still_there()

    def _held_at_all(self, step: Step) -> None:
        """A probe that missed all the while did not hold, though its answers came too slowly for enough of them."""
        hypothesis, one = self._experiment.hypothesis, self._watch.never_held()
        if one is not None and step.seconds > (hypothesis.misses + 1) * hypothesis.every:
            why = one.last.why if one.last is not None else "it did not answer"
            self._breach(one, f"it did not hold once in {step.seconds:g} s: {why}")

    def _widen(self, step: Step, widen: Widen) -> None:
        test = RatioTest(widen.healthy, widen.unhealthy, widen.risk, widen.risk)
        self._go_on(step.seconds, until=lambda: test.answer(*self._counted) != "undecided")
        answer = test.answer(*self._counted)
        self._record("widened", {"share": step.share, "bad": self._counted[0], "total": self._counted[1],
                                 "answer": answer, "ratio": test.ratio(*self._counted)})
        if self._stop is None and answer == "great":
            bad, total = self._counted
            self._breach(None, f"{bad} of {total} answers missed at a share of {step.share:.1%}: "
                         f"more than {widen.unhealthy:.1%} would")
        elif self._stop is None and answer == "undecided":
            self._halt("undecided", f"within {step.seconds:g} s nothing could be told at a share of {step.share:.1%}")

    def _still_there(self) -> None:
        """One more proof at the end, and a count of who was hit."""
        for one in self._faults:
            if self._sudden(one) or one.injection is None or self._stop is not None:
                continue
            # A measurement may miss what is there; two in a row are believed, and stop the run in `_prove_again`.
            for _ in range(2):
                one.proof, one.proof_due = None, 0.0
                self._go_on(_PROVE_WITHIN, until=lambda one=one: one.proof is None and one.proof_due > 0)  # type: ignore[misc]
                if not one.doubts:
                    break
        for one in self._faults:
            if one.injection is None or self._stop is not None:
                continue
            task = self._hands.begin(lambda one=one: self._count(one))  # type: ignore[misc]
            self._go_on(_PROVE_WITHIN, until=lambda task=task: task.done)  # type: ignore[misc]
            _, few = radius_broken(one.victims, one.order.share)
            if few:
                self._unproven(one, few, None)

    @staticmethod
    def _sudden(one: _In) -> bool:
        return kind_named(one.order.kind).sudden

    # -- in ----------------------------------------------------------------------------------------------------------

    def _inject(self, one: _In) -> None:
        order = one.order
        assert self._guarded is not None, "a run's faults are under guard"
        guarded = self._guarded
        means = self._world.injector().means(order)
        self._record("intended", {
            "fault": one.id, "kind": order.kind, "workload": order.workload.name, "dependency": order.dependency,
            "settings": dict(order.settings), "share": order.share, "mechanism": means.mechanism,
            "healing": str(means.healing), "seed": order.seed})
        self._book.durable()
        self._say("injecting", f"{order.kind} on {order.workload.name}")
        self._faults.append(one)
        if one.id in self._prepared.felt_by and self._felt(one):
            self._unproven(one, f"{self._prepared.felt_by[one.id].name} missed before it was put in", None)
            return
        self._inflight = self._hands.begin(lambda: guarded.inject(order))
        task = self._inflight
        self._go_on(_INJECT_WITHIN, until=lambda: task.done)
        if not task.done:
            if self._stop is None:
                self._unproven(one, f"putting it in was not over within {_INJECT_WITHIN:g} s", None)
            return
        self._inflight = None
        error = task.error
        if error is not None:
            if not isinstance(error, MainstayError):
                raise error
            self._unproven(one, error.message, None)
            return
        one.injection = task.result()
        self._prove(one)

    def _prove(self, one: _In) -> None:
        """Applied is what something else than the injector measured."""
        give_up, last, why = self._watch.now() + _PROVE_WITHIN, None, "nothing was measured in time"
        injection = one.injection
        assert injection is not None, "it was put in"
        while self._stop is None and self._watch.now() < give_up:
            task = self._hands.begin(lambda: self._look_at(one))
            if not self._await(task, give_up - self._watch.now()):
                break
            error = task.error
            if error is not None and not isinstance(error, MainstayError):
                raise error
            if error is not None:
                why = error.message
            else:
                last = task.result()
                why = accepted(one.order.kind, last) or self._not_felt(one)
            if not why:
                one.proven = True
                self._record("injected", {"fault": one.id, "proof": asdict(last) if last is not None else {}})
                self._say("during", f"{one.order.kind} on {one.order.workload.name} is in effect")
                return
            self._go_on(_ASK_AGAIN)
        if self._stop is None:
            self._unproven(one, why, last)

    def _not_felt(self, one: _In) -> str:
        return "" if one.id not in self._prepared.felt_by or self._felt(one) else \
            f"{self._prepared.felt_by[one.id].name} holds all the same"

    def _felt(self, one: _In) -> bool:
        """Whether the user's own probe misses now; one that does not answer at all misses."""
        probe = self._prepared.felt_by[one.id]
        task = self._hands.begin(lambda: ask(self._world, probe))
        self._go_on(time_of(probe), until=lambda: task.done)
        return not task.done or not task.result().ok

    def _unproven(self, one: _In, why: str, measured: Measured | None) -> None:
        one.problem = why
        self._record("unproven", {"fault": one.id, "why": why,
                                  "proof": asdict(measured) if measured is not None else None})
        self._halt("unproven", f"{one.order.kind} on {one.order.workload.name}: {why}")

    # -- meanwhile ---------------------------------------------------------------------------------------------------

    def _go_on(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Watch for so long, or until that, or until something stops the run."""
        end = self._watch.now() + seconds
        while self._stop is None:
            self._look()
            now = self._watch.now()
            if now >= end or self._stop is not None or until():
                return
            self._hands.wait(max(min(end, self._next()) - now, 0.0))

    def _await(self, task: Task[Any], seconds: float) -> bool:
        """Whether it was done in time, and before the run was stopped."""
        self._go_on(seconds, until=lambda: task.done)
        return task.done

    def _next(self) -> float:
        proofs = [one.proof_due for one in self._faults if one.proven and one.proof is None
                  and self.now.stage == Stage.DURING and not self._sudden(one)]
        return min(self._watch.next(), self._outside.next(), self._renewed + _RENEW, *proofs)

    def _look(self) -> None:
        for seen in self._watch.look(self.now.stage):
            self._sampled(seen)
            self._tell()
        if self.now.stage == Stage.DURING:
            self._prove_again()
        if self._signal:
            self._halt("signal", f"it was interrupted by {self._signal}")
        stop = self._outside.look()
        if stop is not None and self._stop is None:
            self._halt(stop.what, stop.text)
        self._keep()

    def _keep(self) -> None:
        """The lock is prolonged."""
        now = self._watch.now()
        if self._renewing is not None and self._renewing.done:
            task, self._renewing = self._renewing, None
            if isinstance(task.error, Locked):
                self._locks = ()
                self._halt("lock", task.error.message)
            elif task.error is None:
                self._locks = task.result()
        elif self._renewing is None and now - self._renewed >= _RENEW and self._locks:
            # In a thread: the store may be busy for longer than an abort may wait.
            self._renewed = now
            targets, holder = [lock.target for lock in self._locks], f"experiment {self.now.id}"
            self._renewing = self._hands.begin(
                lambda: take(self._world.journal, targets, holder, self._world.clock.now(), _LOCK))

    def _sampled(self, seen: Seen) -> None:
        asking, answer = seen.asking, seen.answer
        stage = self.now.stage
        self._book.sampled([round(seen.begun - self._began, 4), seen.stage, asking.index, answer.ok,
                            round(answer.seconds, 6), answer.value])
        if seen.stage == Stage.DURING:
            self._counted[0] += not answer.ok
            self._counted[1] += 1
        if stage in (Stage.REMOVING, Stage.AFTER):
            return
        if not answer.ok and asking.misses > self._experiment.hypothesis.misses:
            self._breach(asking, answer.why)

    def _prove_again(self) -> None:
        now = self._watch.now()
        for one in self._faults:
            if not one.proven or one.injection is None or self._sudden(one):
                continue
            if one.proof is None and now >= one.proof_due:
                one.proof = self._hands.begin(lambda one=one: self._look_at(one))  # type: ignore[misc]
            if one.proof is not None and one.proof.done:
                task, one.proof, one.proof_due = one.proof, None, now + _PROVE_AGAIN
                why = task.error.message if isinstance(task.error, MainstayError) else \
                    accepted(one.order.kind, task.result())
                one.doubts, one.problem = (one.doubts + 1, why) if why else (0, "")
                if one.doubts > 1:
                    self._unproven(one, "it did not stay: " + why, None)
                many, _ = radius_broken(one.victims, one.order.share)
                if many and self._stop is None:
                    self._halt("radius", f"{one.order.kind} hits more than it may: {many}")

    def _look_at(self, one: _In) -> Measured:
        """Whether it is there, and who was hit; both may take a while, or for ever."""
        assert one.injection is not None, "it was put in"
        self._count(one)
        return one.injection.proof()

    @staticmethod
    def _count(one: _In) -> None:
        assert one.injection is not None, "it was put in"
        # Who was hit is counted where it can be; that it cannot be is no reason to stop.
        with suppress(MainstayError):
            one.victims = dict(one.injection.victims()) or one.victims

    def _breach(self, asking: Asking | None, text: str) -> None:
        name = asking.probe.name if asking is not None else ""
        said = f"{name}: {text}" if name else text
        self._record("breached", {"what": BREACH, "text": said, "probe": name})
        self._halt(BREACH, said)

    def _halt(self, what: str, text: str) -> None:
        """The run stops; the first reason counts."""
        if self._stop is not None:
            return
        self._stop = Stop(what, text, self._watch.now())
        self._record("stopping", {"what": what, "text": text})
        self._say("stopping", text)

    # -- out ---------------------------------------------------------------------------------------------------------

    def _take_out(self) -> None:
        """Every fault out, each proven to be out, and the steady state back."""
        if not self._faults:
            return
        assert self._guarded is not None, "a run's faults are under guard"
        self._record("withdrawing", {})
        faults, guarded = list(reversed(self._faults)), self._guarded
        stuck_in = self._hands.begin(guarded.clear) if self._inflight is not None else None
        for one in faults:
            if one.injection is not None:
                one.removing = self._hands.begin(one.injection.remove)
        self._wait_for(lambda: all(one.removing is None or one.removing.done for one in faults)
                       and (stuck_in is None or stuck_in.done), _REMOVE_WITHIN)
        if self._stop is not None and self._reaction is None:
            self._reaction = self._watch.now() - self._stop.at
        self._say("removing", "taken out; is it gone?")
        self._once_more(faults)
        for one in faults:
            self._prove_removal(one, stuck_in)
        self._faults, self._inflight = [], None
        self._recover()

    def _once_more(self, faults: list[_In]) -> None:
        """What could not be removed is tried again, once; then by the guard, as after a crash."""
        failed = [one for one in faults if one.removing is not None and (not one.removing.done
                                                                         or one.removing.error is not None)]
        for one in failed:
            assert one.injection is not None, "it was being removed"
            one.removing = self._hands.begin(one.injection.remove)
        self._wait_for(lambda: all(one.removing is not None and one.removing.done for one in failed), _REMOVE_WITHIN)

    def _prove_removal(self, one: _In, cleared: Task[tuple[str, ...]] | None) -> None:
        if one.injection is None:
            problems = cleared.result() if cleared is not None and cleared.done and cleared.error is None else ()
            unsure = cleared is not None and (not cleared.done or cleared.error is not None or problems)
            self._gone(one, None, "; ".join(problems) or "putting it in was under way and could not be undone"
                       if unsure else "")
            return
        why, measured = self._removal_problem(one), None
        give_up = self._watch.now() + _PROVE_WITHIN
        record = self.now.fault(one.id)
        while self._watch.now() < give_up:
            task = self._hands.begin(lambda: self._look_at(one))
            self._wait_for(lambda task=task: task.done, give_up - self._watch.now())  # type: ignore[misc]
            if not task.done:
                why = why or "whether it is gone could not be measured in time"
                break
            if isinstance(task.error, MainstayError):
                doubt = task.error.message
            else:
                measured = task.result()
                doubt = removal_accepted(record, measured) or self._still_felt(one)
            if not doubt:
                break
            if self._watch.now() + _ASK_AGAIN >= give_up:
                why = why or doubt
            self._wait_for(lambda: False, _ASK_AGAIN)
        else:
            why = why or "nothing proved that it is gone"
        self._gone(one, measured, why)

    def _still_felt(self, one: _In) -> str:
        """Why the user's own probe says that it is still there; one that could not be felt going in says nothing."""
        if not one.proven or one.id not in self._prepared.felt_by:
            return ""
        probe = self._prepared.felt_by[one.id]
        task = self._hands.begin(lambda: ask(self._world, probe))
        self._wait_for(lambda: task.done, time_of(probe))
        return "" if task.done and task.result().ok else f"{probe.name} still misses"

    @staticmethod
    def _removal_problem(one: _In) -> str:
        if one.removing is None or not one.removing.done:
            return f"taking it out was not over within {_REMOVE_WITHIN:g} s"
        error = one.removing.error
        return "" if error is None else error.message if isinstance(error, MainstayError) else repr(error)

    def _gone(self, one: _In, measured: Measured | None, why: str) -> None:
        proof = asdict(measured) if measured is not None else None
        victims = dict(one.victims)
        if why:
            self._record("stuck", {"fault": one.id, "why": why, "proof": proof, "victims": victims})
            self._halt("stuck", f"{one.order.kind} on {one.order.workload.name} is not out: {why}")
        else:
            self._record("removed", {"fault": one.id, "proof": proof, "victims": victims})

    def _recover(self) -> None:
        """The steady state must be back within the time the experiment gives it; how long it took is recorded."""
        self._record("settling", {})
        self._say("after", "is the steady state back?")
        self._watch.count_anew()
        began = self._watch.now()
        self._wait_for(lambda: all(one.held >= ROUNDS_AFTER for one in self._watch.askings),
                       self._experiment.stabilise + self._answer_time(), watching=True)
        for one in self._watch.askings:
            if one.held < ROUNDS_AFTER:
                why = one.last.why if one.last is not None and one.last.why else "it did not answer often enough"
                self._breach(one, f"not back within {self._experiment.stabilise:g} s: {why}")
                return
        self._record("noted", {"text": f"{self._phase}steady again after {self._watch.now() - began:.1f} s"})

    def _wait_for(self, condition: Callable[[], bool], seconds: float, *, watching: bool = False) -> None:
        """Until it is so, at most so long; nothing stops this, because it is the way out."""
        end = self._watch.now() + seconds
        while not condition() and self._watch.now() < end:
            if watching:
                for seen in self._watch.look(self.now.stage):
                    self._sampled(seen)
            self._keep()
            if condition():
                return
            due = min(end, self._watch.next()) if watching else end
            self._hands.wait(max(due - self._watch.now(), 0.0))

    # -- the journal, and who looks on -------------------------------------------------------------------------------

    def _record(self, event: str, data: Mapping[str, Any]) -> None:
        self._book.record(event, data)

    def _say(self, stage: str, text: str) -> None:
        self._said = f"{self.now.id} {stage}: {text}"
        self._world.progress(self._said)

    def _tell(self) -> None:
        """What is done, and what the probes answered last."""
        answers = [f"{one.probe.name} " + ("not yet" if one.last is None else f"{one.last.seconds * 1000:.0f} ms"
                                           if one.last.ok else one.last.why) for one in self._watch.askings]
        self._world.progress(" · ".join((self._said, *answers)))

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM, SIGINT and SIGHUP leave a note: the run ends in good order, and everything is taken out."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kept = {number: signal.signal(number, self._note) for number in
                (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, before in kept.items():
                signal.signal(number, before)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (the signature of a handler)
        self._signal = self._signal or signal.Signals(number).name

