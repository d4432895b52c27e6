"""Whoever drives a run: does what comes next, writes down before what it will do and after what became of it.

Driving holds no state of its own that matters: killed at any moment, another goes on from the facts. What it holds is
a lock on the run, which ends by itself, and locks on the run's targets.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, assert_never

from mainstay.kernel import locks
from mainstay.kernel.actuation import Act, Actuator, Ending, Outcome, Wait, act_data, act_of
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, MainstayError
from mainstay.kernel.locks import Lock, Locked
from mainstay.kernel.ports import World
from mainstay.runbook.chain import Entry
from mainstay.runbook.lifecycle import State, UndoState
from mainstay.runbook.masking import Mask
from mainstay.runbook.measures import ended_data
from mainstay.runbook.operations.desk import Overtaken, Runs, cancel, runs_of
from mainstay.runbook.operations.watching import Watching, wait_until
from mainstay.runbook.plan import made, placed, resolved
from mainstay.runbook.progress import (
    AskPerson,
    Begin,
    BeginUndo,
    End,
    Expire,
    Lost,
    LostUndo,
    Move,
    Probe,
    Rest,
    Skip,
    Start,
    Undo,
    next_move,
)
from mainstay.runbook.run import KEPT_OUTPUT, Run
from mainstay.runbook.spec import Runbook, Step

LEASE = timedelta(seconds=15)
"""How long a run is held without a word; after that whoever drove it is taken for gone."""

RENEW = 4.0
"""Seconds after which the holder says that it is still there."""

PATIENCE = timedelta(minutes=10)
"""How long targets stay held while a person decides; whoever follows runs prolongs it."""

TICK = 0.05
"""Seconds between two looks at an act that goes on."""

FLUSH = 0.3
"""Seconds after which output is written down, so that others see it."""

_KEPT_ANSWER = 32_768
"""Characters of an act's answer that later steps see."""


class Tampered(Conflict):
    """The journal does not say what was approved; nothing more is done."""

    code = "tampered"


@dataclass(frozen=True, slots=True)
class Driven:
    """How driving ended: the run over, at rest until something happens (`rest`), or in other hands (`held_by`)."""

    state: State
    rest: Rest | None = None
    held_by: str = ""


class Driver:
    """Drives one run.

    Args:
        worker: names this driver among all that ever were.
        tell: told every line that people who look on should see.
        interrupted: asked now and then; True once means that whoever looks on wants it to stop.
        resting: asked before each step; True leaves the run as it is, for another to go on with.
    """

    def __init__(self, world: World, name: str, worker: str, *, tell: Callable[[str], None] = lambda _: None,
                 interrupted: Callable[[], bool] = lambda: False,
                 resting: Callable[[], bool] = lambda: False) -> None:
        self._resting = resting
        self._world, self._name, self._worker = world, name, worker
        self._tell, self._interrupted = tell, interrupted
        self._runs: Runs = runs_of(world)
        self._actuator: Actuator = world.actuator()
        self._locks: tuple[Lock, ...] = ()
        self._renewed = 0.0

    # -- holding -----------------------------------------------------------------------------------------------

    def drive(self) -> Driven:
        """Go on until the run is over or at rest, or others hold it or its targets.

        Raises:
            StoreUnavailable: the journal does not answer; another try goes on from the facts.
        """
        try:
            self._hold(LEASE)
        except Locked as held:
            return Driven(self._runs.run(self._name).state, held_by=held.message)
        try:
            return self._go_on()
        except Locked as lost:
            return Driven(self._runs.run(self._name).state, held_by=lost.message)
        finally:
            self._let_go()

    def _go_on(self) -> Driven:
        while True:
            self._renew()
            if self._interrupted():
                self._stop()
            now = self._world.clock.now()
            seen, (run, move) = self._runs.look(self._name, lambda run, now=now: (run, next_move(run, now)))  # type: ignore[misc]
            if self._resting():
                return Driven(run.state, Rest(None, "whoever drove it stops"))
            if isinstance(move, Rest):
                if move.until is None or run.state is State.AWAITING or run.over:
                    return Driven(run.state, move)
                self._world.clock.sleep(min(TICK, max((move.until - now).total_seconds(), 0.001)))
                continue
            try:
                self._do(run, move, seen)
            except Overtaken:
                # Somebody approved, answered or cancelled: the next look shows it. Or took the run over: then the lock
                # is theirs, which is asked for at once.
                self._renewed = float("-inf")

    def _hold(self, length: timedelta) -> None:
        now, journal = self._world.clock.now(), self._world.journal
        mine = locks.take(journal, [f"run {self._name}"], self._worker, now, length)
        try:
            run = self._runs.run(self._name)
            theirs = locks.take(journal, run.plan.targets, f"run {self._name}", now, length) \
                if run.plan.targets and not run.over and run.state is not State.AWAITING else ()
        except Locked:
            locks.free(journal, mine, now)
            raise
        self._locks, self._renewed = (*mine, *theirs), self._world.clock.monotonic()

    def _renew(self) -> None:
        if self._world.clock.monotonic() - self._renewed >= RENEW:
            self._hold(LEASE)

    def _check_held(self) -> None:
        """Raises Locked where this process was paused for so long that another may have taken the run over."""
        now = self._world.clock.now()
        lock = locks.held(self._world.journal, f"run {self._name}", now)
        if lock is None or lock.holder != self._worker:
            raise Locked(f"{self._worker} was paused, and {lock.holder if lock else 'nobody'} drives {self._name}",
                         "nothing was done")

    def _let_go(self) -> None:
        run, now = self._runs.run(self._name), self._world.clock.now()
        keeps = run.state in (State.WAITING, State.RUNNING, State.UNDOING)
        locks.free(self._world.journal, [lock for lock in self._locks
                                         if not keeps or lock.target == f"run {self._name}"], now)
        if run.state is State.WAITING and run.plan.targets:
            keep_targets(self._world, run)

    def _stop(self) -> None:
        run = self._runs.run(self._name)
        if not run.over and not run.cancelled_by:
            self._tell(f"cancelling {self._name}: what was done is taken back")
            cancel(self._world, self._name)

    # -- moves -------------------------------------------------------------------------------------------------

    def _do(self, run: Run, move: Move, seen: int) -> None:  # noqa: PLR0912  (one line a move)
        match move:
            case Rest():
                pass
            case Expire():
                self._add(seen, "expired", {"why": "nobody approved it in time" if run.missing else
                                            "it was not begun in time"})
            case Begin():
                self._begin(run, seen)
            case Skip(step, why):
                self._tell(f"– {step.name} skipped: {why}")
                self._add(seen, "step-skipped", {"step": step.name, "why": why})
            case AskPerson(question):
                self._add(seen, "asked", {"step": question.step, "about": question.about, "text": question.text,
                                          "choices": list(question.choices), "link": question.link})
            case Start(step, rerun):
                self._start(run, step, seen, rerun=rerun)
            case Lost(step):
                self._tell(f"? {step.name}: whoever did it is gone")
                self._add(seen, "step-lost", {"step": step.name, "why": f"{run.worker} was gone before it ended"})
            case Probe(step):
                self._probe(run, step, seen)
            case BeginUndo(why, ending):
                self._tell(f"↶ taking back what was done: {why}")
                self._add(seen, "undo-begun", {"why": why, "ending": ending})
            case Undo(step, act):
                self._undo(run, step, act, seen)
            case LostUndo(step, again):
                self._undo_lost(run, step, seen, again=again)
            case End(state, why):
                self._end(run, state, why, seen)
            case other:
                assert_never(other)

    def _add(self, seen: int, kind: str, data: Mapping[str, Any]) -> Run:
        return self._runs.append(self._name, [self._entry(kind, data)], seen)

    def _entry(self, kind: str, data: Mapping[str, Any]) -> Entry:
        return Entry(f"runbook.{kind}", self._world.clock.now(), data)

    def _begin(self, run: Run, seen: int) -> None:
        if (why := _not_what_was_approved(self._world, run)) is not None:
            self._tell(f"○ {self._name} is void: {why}")
            self._add(seen, "voided", {"why": why})
            return
        self._add(seen, "started", {"worker": self._worker, "hash": run.hash})
        self._hold(LEASE)

    # -- one step ----------------------------------------------------------------------------------------------

    def _start(self, run: Run, step: Step, seen: int, *, rerun: bool) -> None:
        if run.plan.hash != run.hash:
            raise Tampered(f"the plan of {run.id} is not the one whose hash was recorded",
                           f"mainstay runbook audit verify {run.id}")
        outputs = dict(run.outputs)
        data: dict[str, Any] = {"step": step.name, "worker": self._worker, "hash": run.hash, "rerun": rerun,
                                "act": act_data(step.act)}
        try:
            shown = resolved(step.act, run.plan.lookup(outputs))
            secrets = self._secrets(run)
            real = placed(resolved(step.act, run.plan.lookup(outputs, secrets)), run.home)
            _check_paths(run)
            ready = self._actuator.prepare(real)
        except MainstayError as refused:
            self._tell(f"○ {step.name} cannot be done: {refused.message}")
            seen = self._add(seen, "step-started", data).seen
            self._add(seen, "step-ended", {"step": step.name, "state": "failed", "error": refused.message})
            return
        data |= {"act": act_data(shown), "undo": act_data(ready.undo) if ready.undo is not None else None,
                 "note": ready.note}
        self._tell(f"● {step.name}" + (" once more, for nobody saw it end" if rerun else ""))
        self._add(seen, "step-started", data)
        mask = Mask(secrets.values())
        outcome, left_out = self._carry_out(step, real, mask)
        if outcome.ending is Ending.SUCCEEDED and step.verify is not None:
            outcome = self._verified(run, step, {**outputs, step.name: outcome.output}, secrets, outcome)
        self._ended(step, outcome, mask, left_out)

    def _ended(self, step: Step, outcome: Outcome, mask: Mask, left_out: int) -> None:
        error = mask.whole(outcome.error)
        data = {"step": step.name, "state": str(outcome.ending), "output": mask.whole(outcome.output)[:_KEPT_ANSWER],
                "error": error, "code": outcome.code, "left_out": left_out}
        self._insist("step-ended", data)
        sign = "✓" if outcome.ending is Ending.SUCCEEDED else "○"
        said = str(outcome.ending).replace("_", " ")
        self._tell(f"{sign} {step.name} {said}" + (f": {error}" if error else ""))

    def _insist(self, kind: str, data: Mapping[str, Any]) -> None:
        """Add what has happened; that somebody cancelled or approved meanwhile does not unmake it.

        Raises:
            Overtaken: another driver took the run over; what became of the act is its to find out.
        """
        def still_ours(run: Run) -> Sequence[Entry]:
            if run.worker != self._worker:
                raise Overtaken(f"{run.worker} went on with {run.id}", "look at it again")
            return [self._entry(kind, data)]

        self._runs.decide(self._name, still_ours)

    def _carry_out(self, step: Step, act: Act, mask: Mask, *, undoing: bool = False) -> tuple[Outcome, int]:
        """The act's outcome, with all its output written down by then; how many characters were left out."""
        self._check_held()
        watch = Watching(step.timeout.total_seconds(), self._world.clock)
        kept = left_out = 0
        box: list[Outcome] = []

        def act_on() -> None:
            box.append(self._act(act, watch))

        thread = threading.Thread(target=act_on, name=f"mainstay-{self._name}-{step.name}", daemon=True)
        thread.start()
        flushed = 0.0
        try:
            while thread.is_alive():
                thread.join(TICK)
                if self._interrupted():
                    self._stop()
                if watch.time - flushed >= FLUSH or not thread.is_alive():
                    flushed = watch.time
                    self._renew()
                    if not undoing and self._runs.run(self._name).cancelled_by:
                        watch.cancel()
                    text = mask.take(watch.taken())
                    room = max(KEPT_OUTPUT - kept, 0)
                    left_out += max(len(text) - room, 0)
                    kept += min(len(text), room)
                    self._written(step, text[:room], undoing=undoing)
            text = mask.take(watch.taken()) + mask.rest()
            room = max(KEPT_OUTPUT - kept, 0)
            self._written(step, text[:room], undoing=undoing)
            left_out += max(len(text) - room, 0)
        except MainstayError:
            # Not ours any more, or nobody can be told: what was begun is not left to go on unseen.
            watch.cancel()
            thread.join()
            raise
        return box[0], left_out

    def _written(self, step: Step, text: str, *, undoing: bool) -> None:
        if text:
            self._insist("output", {"step": step.name, "text": text, "undoing": undoing})
            for line in text.splitlines():
                self._tell(f"  │ {line}")

    def _act(self, act: Act, watch: Watching) -> Outcome:
        try:
            return wait_until(self._world, self._actuator, act, watch) if isinstance(act, Wait) else \
                self._actuator.carry_out(act, watch)
        except MainstayError as error:
            return Outcome(Ending.FAILED, error=error.message)
        except Exception as error:  # a bug of an actuator is a step that failed, not a run that hangs
            return Outcome(Ending.FAILED, error=f"{type(error).__name__}: {error}")

    def _verified(self, run: Run, step: Step, outputs: Mapping[str, str], secrets: Mapping[str, str],
                  done: Outcome) -> Outcome:
        assert step.verify is not None
        try:
            act = placed(resolved(step.verify, run.plan.lookup(outputs, secrets)), run.home)
        except MainstayError as refused:
            return replace(done, ending=Ending.FAILED, error=f"cannot be verified: {refused.message}")
        seen, _ = self._carry_out(step, act, Mask(secrets.values()))
        if seen.ending is Ending.SUCCEEDED:
            return done
        return replace(done, ending=Ending.FAILED if seen.ending is not Ending.CANCELLED else seen.ending,
                       error=f"done, but not verified: {seen.error or seen.ending}")

    def _probe(self, run: Run, step: Step, seen: int) -> None:
        assert step.verify is not None
        secrets = self._secrets(run)
        act = placed(resolved(step.verify, run.plan.lookup(run.outputs, secrets)), run.home)
        watch = Watching(step.timeout.total_seconds(), self._world.clock)
        found = self._act(act, watch)
        if found.ending is Ending.SUCCEEDED:
            self._add(seen, "step-ended", {"step": step.name, "state": "succeeded", "output": "",
                                           "error": "", "note": "its verification holds"})
        else:
            self._add(seen, "probed", {"step": step.name, "error": Mask(secrets.values()).whole(found.error)})

    # -- backward ----------------------------------------------------------------------------------------------

    def _undo(self, run: Run, step: Step, act: Act | None, seen: int) -> None:
        if act is None:
            self._tell(f"– {step.name} cannot be taken back" + (f": {step.irreversible}" if step.irreversible else ""))
            self._add(seen, "undo-ended", {"step": step.name, "state": str(UndoState.NOT_REVERSIBLE),
                                           "error": step.irreversible or "nothing says how it is taken back"})
            return
        try:
            secrets = self._secrets(run)
            shown = resolved(act, run.plan.lookup(run.outputs))
            # What was found out when the step began already names its files in full.
            real = act if run.steps[step.name].taken_back is not None else \
                placed(resolved(act, run.plan.lookup(run.outputs, secrets)), run.home)
        except MainstayError as refused:
            self._add(seen, "undo-ended", {"step": step.name, "state": "failed", "error": refused.message})
            return
        self._tell(f"↶ {step.name}")
        self._add(seen, "undo-started", {"step": step.name, "worker": self._worker, "act": act_data(shown)})
        mask = Mask(secrets.values())
        outcome, _ = self._carry_out(step, real, mask, undoing=True)
        done = outcome.ending is Ending.SUCCEEDED
        error = "" if done else mask.whole(outcome.error) or str(outcome.ending)
        self._insist("undo-ended", {"step": step.name, "state": "undone" if done else "failed", "error": error})
        self._tell(f"✓ {step.name} taken back" if done else f"○ {step.name} not taken back: {error}")

    def _undo_lost(self, run: Run, step: Step, seen: int, *, again: bool) -> None:
        lost = {"step": step.name, "state": str(UndoState.UNKNOWN),
                "error": f"{run.worker} was gone before it ended; look whether it is taken back"}
        if not again:
            self._add(seen, "undo-ended", lost)
            return
        known = run.steps[step.name]
        self._undo(run, step, act_of(known.taken_back) if known.taken_back is not None else step.undo, seen)

    def _end(self, run: Run, state: str, why: str, seen: int) -> None:
        now = self._world.clock.now()
        past = [one for one in self._runs.caught_up().values() if one.runbook == run.runbook and one.id != run.id]
        data = ended_data(run, past, state, why, now)
        self._runs.append(self._name, [Entry("runbook.ended", now, data)], seen)

    def _secrets(self, run: Run) -> dict[str, str]:
        return {name: self._actuator.secret(at.env, os.path.join(run.home, at.file) if at.file else "")
                for name, at in run.plan.secrets.items()}


def _not_what_was_approved(world: World, run: Run) -> str | None:
    """Why the run must not begin: its runbook is another by now, or its plan was changed; None when it may."""
    if run.plan.hash != run.hash or any(one.hash != run.hash for one in run.approvals):
        return "its plan is not the one that was approved"
    book = world.catalog.find(Runbook, run.runbook)
    if book is None:
        return "its runbook is no longer declared"
    try:
        now = made(book, run.plan.inputs, run.plan.labels, by_hand=run.plan.by_hand,
                   approvals=run.plan.approval.needed)
    except MainstayError as refused:
        return f"its runbook was changed since: {refused.message}"
    return None if now.hash == run.hash else "its runbook was changed since; plan it anew"


def _check_paths(run: Run) -> None:
    """Raises where a path, with its links followed, leads out of the folder in which it must lie."""
    for name, within in run.plan.paths.items():
        value = str(run.plan.inputs.get(name, ""))
        if not value:
            continue
        real, root = os.path.realpath(value), os.path.realpath(within)
        if real != root and not real.startswith(root.rstrip("/") + "/"):
            raise Conflict(f"{name} leads out of {within}", "give a path that no link leads out of it")


def keep_targets(world: World, run: Run) -> None:
    """Hold the targets of a run that waits for a person a while longer."""
    if run.plan.targets:
        locks.take(world.journal, run.plan.targets, f"run {run.id}", world.clock.now(), PATIENCE)
