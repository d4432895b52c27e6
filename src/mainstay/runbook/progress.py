"""What comes next in a run: decided from its facts and the time, so that anybody can go on where another fell. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from mainstay.kernel.actuation import Act, Ask, act_of
from mainstay.kernel.dataclass import dataclass
from mainstay.runbook.lifecycle import State, StepState, UndoState
from mainstay.runbook.plan import resolved
from mainstay.runbook.run import Question, Run, StepRun
from mainstay.runbook.spec import Step
from mainstay.runbook.variables import Misplaced, plain


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing can be done before that moment; None: before something happens."""

    until: datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Expire:
    """It was not approved, or not begun, in time."""


@dataclass(frozen=True, slots=True)
class Begin:
    """It is approved: it begins, if its runbook still says what was approved."""


@dataclass(frozen=True, slots=True)
class Skip:
    """The step's condition does not hold."""

    step: Step
    why: str


@dataclass(frozen=True, slots=True)
class AskPerson:
    """A person must decide."""

    question: Question


@dataclass(frozen=True, slots=True)
class Start:
    """The step is done, now.

    Args:
        rerun: it was begun before and nobody saw it end; doing it twice is doing it once.
    """

    step: Step
    rerun: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The step was begun by somebody who is gone; whoever takes over says so."""

    step: Step


@dataclass(frozen=True, slots=True)
class Probe:
    """Nobody saw the step end: its verification may tell."""

    step: Step


@dataclass(frozen=True, slots=True)
class BeginUndo:
    """What was done is taken back, the last first.

    Args:
        ending: what the run is then: `failed`, `cancelled`.
    """

    why: str
    ending: str


@dataclass(frozen=True, slots=True)
class Undo:
    """The step is taken back. `act` is None where nothing can; then that is recorded."""

    step: Step
    act: Act | None


@dataclass(frozen=True, slots=True)
class LostUndo:
    """Taking the step back was begun by somebody who is gone. `again`: it does no harm to do it again, once."""

    step: Step
    again: bool


@dataclass(frozen=True, slots=True)
class End:
    """The run is over."""

    state: str
    why: str = ""


Move = (Rest | Expire | Begin | Skip | AskPerson | Start | Lost | Probe | BeginUndo | Undo | LostUndo | End)

_MOST_RERUNS = 1
"""How often an idempotent step is done again because nobody saw it end."""


def next_move(run: Run, now: datetime) -> Move:
    """What comes next. A step that runs is taken for lost: whoever drives a run asks only between its steps."""
    match run.state:
        case State.AWAITING:
            return _expiring(run, now) or Rest(run.expires, f"{run.missing} more must approve")
        case State.READY:
            return _expiring(run, now) or Begin()
        case State.WAITING:
            return BeginUndo(f"cancelled by {run.cancelled_by}", "cancelled") if run.cancelled_by else \
                Rest(None, "a person decides")
        case State.RUNNING:
            return _forward(run, now)
        case State.UNDOING:
            return _backward(run)
        case _:
            return Rest(None, "it is over")


def _expiring(run: Run, now: datetime) -> Expire | None:
    return Expire() if run.expires is not None and now >= run.expires else None


# -- forward -------------------------------------------------------------------------------------------------------


def _forward(run: Run, now: datetime) -> Move:
    for step in run.plan.steps:
        known = run.steps[step.name]
        if known.state is StepState.RUNNING:
            return Lost(step)
        if run.cancelled_by:
            continue
        move = _of_step(run, step, known, now)
        if move is not None:
            return move
    if run.cancelled_by:
        return BeginUndo(f"cancelled by {run.cancelled_by}", "cancelled")
    failed = [one.name for one in run.steps.values() if one.state in (StepState.FAILED, StepState.TIMED_OUT)]
    return End("succeeded", f"{' and '.join(failed)} failed, and need not succeed" if failed else "")


def _of_step(run: Run, step: Step, known: StepRun, now: datetime) -> Move | None:
    """What comes next at this step; None when the next one is on."""
    match known.state:
        case StepState.SUCCEEDED | StepState.SKIPPED:
            return None
        case StepState.PENDING:
            return _pending(run, step, known)
        case StepState.UNKNOWN:
            return _unknown(step, known)
        case StepState.CANCELLED:
            return BeginUndo(f"{step.name} was cancelled", "cancelled")
        case _:
            return _failed(step, known, now)


def _pending(run: Run, step: Step, known: StepRun) -> Move:
    for test in step.when:
        value = plain(test.value, run.plan.lookup(run.outputs))
        if not test.holds(value):
            return Skip(step, f'"{value[:80]}" is not {test.operator.replace("_", " ")} {" ".join(test.against)[:80]}')
    if isinstance(step.act, Ask):
        asked = resolved(step.act, run.plan.lookup(run.outputs))
        assert isinstance(asked, Ask)
        return AskPerson(Question(step.name, "step", asked.question, asked.choices, asked.link))
    if step.confirm and not known.agreed:
        return AskPerson(Question(step.name, "confirm", step.title or step.name, ("run", "skip", "stop")))
    return Start(step)


def _unknown(step: Step, known: StepRun) -> Move:
    if step.idempotent and known.reruns < _MOST_RERUNS:
        return Start(step, rerun=True)
    if step.verify is not None and not known.probed:
        return Probe(step)
    return AskPerson(Question(step.name, "unknown", f"{known.error or 'nobody saw it end'}; how did {step.name} end?",
                              ("succeeded", "failed", "again")))


def _failed(step: Step, known: StepRun, now: datetime) -> Move | None:
    asked = isinstance(step.act, Ask)
    if not asked and known.ended is not None and 0 < known.attempts - known.reruns <= step.retry.times:
        again = known.ended + step.retry.wait
        return Start(step) if now >= again else Rest(again, f"{step.name} is tried again")
    if not step.required and not (asked or (step.confirm and known.attempts == 0)):
        return None
    ended = "timed out" if known.state is StepState.TIMED_OUT else "failed"
    return BeginUndo(known.error if asked else f"{step.name} {ended}" + (f": {known.error}" if known.error else ""),
                     "failed")


# -- backward ------------------------------------------------------------------------------------------------------


def _backward(run: Run) -> Move:
    for step in reversed(run.plan.steps):
        known = run.steps[step.name]
        if known.undo is UndoState.RUNNING:
            return LostUndo(step, step.undo_idempotent or known.taken_back is not None)
        if known.undo is UndoState.NONE and _to_take_back(step, known):
            return Undo(step, act_of(known.taken_back) if known.taken_back is not None else step.undo)
    return End(run.ending, run.why)


def _to_take_back(step: Step, known: StepRun) -> bool:
    """Whether the step did something, or may have; the latter only where taking it back does no harm if it did not."""
    if not step.changes or known.attempts == 0:
        return False
    if known.state is StepState.SUCCEEDED:
        return True
    harmless = step.undo_idempotent or known.taken_back is not None
    return harmless and known.state in (StepState.FAILED, StepState.TIMED_OUT, StepState.CANCELLED, StepState.UNKNOWN,
                                        StepState.RUNNING)


# -- the act as it will be done ------------------------------------------------------------------------------------


def act_now(run: Run, act: Act, secrets: Mapping[str, str] | None = None) -> Act:
    """The act with all that is known now put in.

    Raises:
        Misplaced: a value must not stand where it would stand: what another step answered begins with `-`.
    """
    return resolved(act, run.plan.lookup(run.outputs, secrets))


def due_escalations(run: Run, rules: tuple[tuple[timedelta, str], ...], now: datetime) -> tuple[str, ...]:
    """Who is to be told by now that the run still goes on, and was not."""
    since = run.started
    if since is None or run.over:
        return ()
    return tuple(to for after, to in rules if now - since >= after and to not in run.escalated)


__all__ = ["AskPerson", "Begin", "BeginUndo", "End", "Expire", "Lost", "LostUndo", "Misplaced", "Move", "Probe", "Rest",
           "Skip", "Start", "Undo", "act_now", "due_escalations", "next_move"]
