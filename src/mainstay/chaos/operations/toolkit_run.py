"""Running an experiment of the Chaos Toolkit by its own rules, with its own journal; and stopping it in good order.

What differs, and only where that is safer: rollbacks are played after an interruption and after a probe that failed
too (the Chaos Toolkit leaves them out then), unless its own strategy is asked for; guardians play those that are
programs or requests when this process is killed; no activity is begun after a stop; programs that still run are ended.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from types import FrameType
from typing import Any

from mainstay import __version__
from mainstay.chaos.hypothesis import Probe
from mainstay.chaos.lifecycle import Status
from mainstay.chaos.operations.asking import judged
from mainstay.chaos.operations.hands import Hands, Task, ThreadHands, numbers_first
from mainstay.chaos.operations.recording import Recorder
from mainstay.chaos.operations.toolkit_check import Taken, calling, diagnosis, sourced, taken
from mainstay.chaos.operations.watch import Outside
from mainstay.chaos.spec import AbortWhen
from mainstay.chaos.state import HALTED, LIFTED, guard_name, halted
from mainstay.chaos.toolkit import (
    Activity,
    ToolkitExperiment,
    ask_of,
    calls,
    dynamic,
    strategy_of,
    tolerance_for,
    values_of,
)
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError, NotAllowed
from mainstay.kernel.faults import Undo
from mainstay.kernel.finding import Finding, InvalidFiles, errors_of
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.ports import World
from mainstay.kernel.probing import CallAsk, HttpAsk, ProcessAsk

_PROMISED = 86_400.0
"""Seconds after which guardians play rollbacks of a run that still goes on: a method may take long."""


@dataclass(frozen=True, slots=True)
class Options:
    """How it is run.

    Args:
        calls: functions of Python modules may be called.
        dry: nothing is asked and nothing is done.
        hypothesis: when the steady state is looked at, one of `STRATEGIES`; empty is as the experiment says.
        rollbacks: when they are played, one of `ROLLBACKS`; empty is as the experiment says, else `safe`.
        every: seconds between two looks at the steady state during the method.
        reference: what asked for it; kept with the run.
    """

    calls: bool = False
    dry: bool = False
    hypothesis: str = ""
    rollbacks: str = ""
    every: float = 1.0
    reference: str = ""


def run(world: World, found: Taken, options: Options, hands: Hands | None = None) -> dict[str, Any]:
    """Run it; its journal, in the Chaos Toolkit's shape.

    Raises:
        InvalidFiles: its form is wrong, or something is missing to run it.
        NotAllowed: it calls Python functions, or all experiments are stopped.
    """
    experiment = found.experiment
    if _wrong(world, found, options):
        found = taken(experiment.origin.file, places=True) or found
        raise InvalidFiles(tuple(sourced(_wrong(world, found, options), found.lines)))
    if (called := calls(experiment)) and not options.calls and not options.dry:
        raise NotAllowed(calling(called), "allow that with --allow-python")
    if called:
        numbers_first()
    switch = halted(world.journal.facts(FactQuery(kinds=(HALTED, LIFTED))))
    if switch is not None:
        raise NotAllowed(f"{switch.actor} has stopped all experiments", "mainstay chaos abort --lift")
    return _Play(world, experiment, options, hands or ThreadHands()).play()


def _wrong(world: World, found: Taken, options: Options) -> tuple[Finding, ...]:
    return tuple(errors_of([*found.findings, *diagnosis(world, found.experiment, allowed=options.calls)]))


class _Stopped(Exception):
    """It was told to stop."""


class _Play:
    """One run."""

    def __init__(self, world: World, experiment: ToolkitExperiment, options: Options, hands: Hands) -> None:
        self._world, self._experiment, self._hands = world, experiment, hands
        self._options = replace(
            options, hypothesis=options.hypothesis or strategy_of(experiment, "hypothesis") or "default",
            rollbacks=options.rollbacks or strategy_of(experiment, "rollbacks") or "safe")
        self._values, _ = values_of(experiment, os.environ)
        self._halted, self._never = threading.Event(), threading.Event()
        self._why = self._signal = ""
        self._book = Recorder.of_toolkit(world, experiment, options.reference)
        self._outside = Outside(world, hands, self._book.run.id, (), AbortWhen(incident=False), world.journal.head())
        self._hypothesis: Task[dict[str, Any] | None] | None = None
        self._hypothesis_due = 0.0
        self._rolling_back = False
        began = world.clock.now()
        host = os.uname()
        self.journal: dict[str, Any] = {
            "chaoslib-version": f"mainstay {__version__}",
            "platform": f"{host.sysname}-{host.release}-{host.machine}", "node": host.nodename,
            "experiment": dict(experiment.raw), "start": began.isoformat(), "status": None, "deviated": False,
            "steady_states": {"before": None, "after": None, "during": []}, "run": [], "rollbacks": []}

    # -- the course --------------------------------------------------------------------------------------------------

    def play(self) -> dict[str, Any]:
        began = self._world.clock.monotonic()
        self._book.record("started", {})
        self._book.durable()
        with self._signals():
            try:
                self._configure()
                self.journal["experiment"]["title"] = self._values.of(self.journal["experiment"].get("title", ""))
            except _Stopped:
                self.journal["status"] = "interrupted"
            with self._promised():
                try:
                    if self.journal["status"] is None:
                        self._play()
                except _Stopped:
                    self.journal["status"] = "interrupted"
                self._roll_back()
        self._world.prober().give_up()
        self.journal["end"] = self._world.clock.now().isoformat()
        self.journal["duration"] = self._world.clock.monotonic() - began
        if self.journal["status"] not in ("completed", "failed", "aborted", "interrupted"):
            self.journal["status"] = "completed"
        status, reasons = self._verdict()
        self._book.record("ended", {"status": str(status), "reasons": reasons})
        self._book.durable()
        return self.journal

    def _play(self) -> None:
        strategy, steady = self._options.hypothesis, bool(self._experiment.probes)
        if steady and strategy in ("default", "before-method-only", "continuously"):
            state = self._steady("before")
            self.journal["steady_states"]["before"] = state
            if not state["steady_state_met"]:
                self._not_met(state)
                return
        self._hypothesis_due = 0.0
        self._method(steady and strategy in ("during-method-only", "continuously"))
        if steady and strategy in ("default", "after-method-only", "continuously"):
            state = self._steady("after")
            self.journal["steady_states"]["after"] = state
            if not state["steady_state_met"]:
                self.journal["deviated"] = True
                self._not_met(state)

    def _not_met(self, state: Mapping[str, Any]) -> None:
        failed = any(probe["status"] != "succeeded" for probe in state["probes"])
        self.journal["status"] = "failed" if failed else "completed"

    def _verdict(self) -> tuple[Status, list[str]]:
        states = self.journal["steady_states"]
        if self.journal["status"] == "interrupted":
            return Status.ABORTED, [self._why or "it was interrupted"]
        before = states["before"]
        if before is not None and not before["steady_state_met"]:
            return Status.INVALID, [f"the steady state was not there before: {_last(before)}"]
        if self.journal["deviated"]:
            return Status.FAILED, [f"after: {_last(states['after'])}"]
        if self.journal["status"] != "completed":
            return Status.FAILED, [f"it is {self.journal['status']}"]
        missed = [state for state in states["during"] if not state["steady_state_met"]]
        return (Status.FAILED, [f"during: {_last(missed[0])}"]) if missed else (Status.PASSED, [])

    def _configure(self) -> None:
        """What a probe gives is asked for once, before anything else; one that fails is left out."""
        for name, activity in dynamic(self._experiment).items():
            record = self._wait_for(self._hands.begin(lambda activity=activity: self._carry_out(activity, [])))  # type: ignore[misc]
            output = record["output"]
            if record["status"] != "succeeded":
                continue
            match activity.provider.get("type"):
                case "process":
                    if output["status"] == 0:
                        self._give(name, output["stdout"].strip())
                case "http":
                    self._give(name, output.get("body"))
                case _:
                    self._give(name, output)

    def _give(self, name: str, value: Any) -> None:
        self._values = replace(self._values, configuration={**self._values.configuration, name: value})

    def _method(self, watched: bool) -> None:
        runs: list[dict[str, Any]] = self.journal["run"]
        background: list[Task[Any]] = []
        try:
            for activity in self._experiment.method:
                meant = self._meant(activity)
                task = self._hands.begin(lambda meant=meant: self._carry_out(meant, runs))  # type: ignore[misc]
                if activity.background:
                    background.append(task)
                else:
                    self._wait_for(task, watched=watched)
            for task in background:
                self._wait_for(task, watched=watched)
        finally:
            self._close(runs)

    def _close(self, runs: list[dict[str, Any]]) -> None:
        """What was under way when it was stopped is in the journal too."""
        for one in runs:
            if "status" not in one:
                end = self._world.clock.now()
                one.update(status="aborted", end=end.isoformat(),
                           duration=(end - datetime.fromisoformat(one["start"])).total_seconds())

    @contextmanager
    def _promised(self) -> Iterator[None]:
        """Rollbacks under guard: whoever kills this process does not keep them from being played."""
        # Guardians do the last first, and rollbacks are in the order in which they are to be played.
        undos = [undo for one in reversed(self._experiment.rollbacks) if (undo := self._undo(self._meant(one)))]
        if not undos or self._options.dry or self._options.rollbacks == "never":
            yield
            return
        with self._world.injector().guard(guard_name(self._book.run)) as guarded:
            kept = guarded.promise(f"rollbacks of {self._experiment.title}", undos, _PROMISED)
            yield
            kept()

    def _undo(self, activity: Activity) -> Undo | None:
        """A rollback as an act that any process can do; None for functions, and for what holds a secret."""
        ask = ask_of(activity, replace(self._values, secrets={}))
        match ask:
            case ProcessAsk() if "${" not in " ".join(ask.command):
                return Undo("call", {"argv": list(ask.command), "cwd": os.path.abspath(ask.folder or "."),
                                     "seconds": ask.seconds})
            case HttpAsk() if "${" not in f"{ask.url}{dict(ask.headers)}{ask.body}":
                return Undo("http", {"method": ask.method, "url": ask.url, "body": ask.body,
                                     "headers": dict(ask.headers)})
            case _:
                return None

    def _roll_back(self) -> None:
        strategy, journal = self._options.rollbacks, self.journal
        play = {"safe": True, "always": True, "never": False, "deviated": journal["deviated"],
                "default": journal["status"] not in ("failed", "interrupted")}[strategy]
        if not play:
            return
        self._rolling_back = True
        self._world.prober().give_up()
        background = []
        for activity in self._experiment.rollbacks:
            meant = self._meant(activity)
            task = self._hands.begin(lambda meant=meant: self._carry_out(meant, journal["rollbacks"], self._never))  # type: ignore[misc]
            if activity.background:
                background.append(task)
            else:
                self._wait_for(task)
        for task in background:
            self._wait_for(task)

    def _steady(self, stage: str) -> dict[str, Any]:
        self._world.progress(f"steady state {stage}")
        state: dict[str, Any] = self._wait_for(self._hands.begin(self._state))
        return state

    def _state(self) -> dict[str, Any]:
        """The hypothesis once: the first probe that fails, or is not tolerated, ends it."""
        state: dict[str, Any] = {"steady_state_met": None, "probes": []}
        for activity in self._experiment.probes:
            meant = self._meant(activity)
            record = self._carry_out(meant, state["probes"])
            record["tolerance_met"] = met = record["status"] == "succeeded" and (
                self._options.dry or self._tolerated(meant, record["output"]))
            if not met:
                state["steady_state_met"] = False
                return state
        state["steady_state_met"] = True
        return state

    def _tolerated(self, activity: Activity, value: Any) -> bool:
        try:
            probe = Probe(activity.name, ask_of(activity, self._values), tolerance_for(activity, self._values))
        except InvalidInput:
            return False
        return judged(self._world, probe, value)[0]

    # -- one activity ------------------------------------------------------------------------------------------------

    def _meant(self, activity: Activity) -> Activity:
        found = self._experiment.named(activity.name) if activity.kind == "ref" else activity
        assert found is not None, "references were checked"
        return found

    def _carry_out(self, activity: Activity, runs: list[dict[str, Any]],
                   halted: threading.Event | None = None) -> dict[str, Any]:
        """One activity, until `halted`: a rollback is not, whoever was told to stop before it."""
        halted = self._halted if halted is None else halted
        pauses = self._values.of(activity.raw.get("pauses") or {})
        self._pause(pauses.get("before"), halted)
        self._world.progress(f"{activity.kind} {activity.name}")
        start = self._world.clock.now()
        record: dict[str, Any] = {"activity": dict(activity.raw), "output": None, "start": start.isoformat()}
        runs.append(record)
        if not self._options.dry:
            value, problem = self._ask(activity)
            if halted.is_set():
                raise _Stopped
            record["output"] = value
            if problem:
                record["exception"] = [problem]
        record["status"] = "failed" if "exception" in record else "succeeded"
        end = self._world.clock.now()
        record.update(end=end.isoformat(), duration=(end - start).total_seconds())
        self._pause(pauses.get("after"), halted)
        return record

    def _pause(self, seconds: Any, halted: threading.Event) -> None:
        if seconds and not self._options.dry and halted.wait(float(seconds)):
            raise _Stopped
        if halted.is_set():
            raise _Stopped

    def _ask(self, activity: Activity) -> tuple[Any, str]:
        try:
            question = ask_of(activity, self._values)
            if isinstance(question, CallAsk):
                question = replace(question, arguments={**question.arguments, **self._extra(activity)})
            heard = self._world.prober().ask(question)
        except MainstayError as error:
            return None, error.message
        value = heard.value
        if isinstance(value, dict) and activity.provider.get("type") == "http":
            value = _as_toolkit(value)
        return value, heard.problem

    def _extra(self, activity: Activity) -> dict[str, Any]:
        """What a driver's function is given when it asks for it."""
        wanted: Sequence[str] = activity.provider.get("secrets") or ()
        secrets: dict[str, Any] = {}
        for name in wanted:
            found = self._values.secrets.get(name)
            secrets |= found if isinstance(found, dict) else {name: found}
        return {"configuration": dict(self._values.configuration), **({"secrets": secrets} if wanted else {})}

    # -- waiting and stopping ----------------------------------------------------------------------------------------

    def _wait_for(self, task: Task[Any], *, watched: bool = False) -> Any:
        """What it gave; raises _Stopped as soon as the run is told to stop, however long the task hangs on."""
        while not task.done:
            if not self._rolling_back:
                self._look()
            if self._halted.is_set() and not self._rolling_back:
                self._world.prober().give_up()
                raise _Stopped
            if watched:
                self._watch()
            self._hands.wait(self._hands.follow)
        return task.result()

    def _watch(self) -> None:
        """The hypothesis during the method, once more when its time has come."""
        now = self._world.clock.monotonic()
        if self._hypothesis is not None and self._hypothesis.done:
            self.journal["steady_states"]["during"].append(self._hypothesis.result())
            self._hypothesis, self._hypothesis_due = None, now + self._options.every
        elif self._hypothesis is None and now >= self._hypothesis_due:
            self._hypothesis = self._hands.begin(self._state)

    def _look(self) -> None:
        """Whether somebody wants it to stop."""
        stop = self._outside.look()
        why = f"it was interrupted by {self._signal}" if self._signal else stop.text if stop is not None else ""
        if why:
            self._why = self._why or why
            self._halted.set()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        kept = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, before in kept.items():
                signal.signal(number, before)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (the signature of a handler)
        # An event may not be set here: whoever waits for it may hold its lock in this very thread.
        self._signal = self._signal or signal.Signals(number).name


def _as_toolkit(value: Mapping[str, Any]) -> dict[str, Any]:
    """An HTTP answer as the Chaos Toolkit has it: JSON only where the content type says that and nothing more."""
    body = value.get("body")
    kinds = [one for name, one in value.get("headers", {}).items() if name.lower() == "content-type"]
    if kinds == ["application/json"] and isinstance(body, str):
        with suppress(ValueError):
            body = json.loads(body)
    return {"status": value.get("status"), "headers": value.get("headers", {}), "body": body}


def _last(state: Mapping[str, Any]) -> str:
    probe = state["probes"][-1]
    return str(probe["activity"].get("name")) + (" failed" if probe["status"] != "succeeded"
                                                 else " is outside its tolerance")
