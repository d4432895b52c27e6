"""A run as its facts tell it: the fold, the same for a run that goes on and for one whose process was killed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from mainstay.chaos.lifecycle import Stage, Status, next_stage
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Fact, NewFact

KINDS = ("chaos.",)
HALTED, LIFTED, ASKED = "chaos.halted", "chaos.lifted", "chaos.abort-asked"
"""Everything stops and nothing starts; that is over; one run is to stop."""

WEAKNESS_FOUND = "weakness.found"
"""`chaos find` found what breaks a hypothesis, and somebody wants it mended; the subject is the experiment."""

WEAKNESS = "weakness:"
"""What the group of the incident begins with that keeps such a weakness; behind it stands the experiment."""

ALL = "all"
"""The subject of the kill switch."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What an independent measurement saw; the field names are stable JSON, as of all here."""

    what: str
    in_effect: bool
    seen: float | None = None
    asked: float | None = None
    unit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class FaultRun:
    """A fault in a run.

    Args:
        id: of the run: `1.1` is the first fault of the first step.
        share: the blast radius it was ordered with.
        applied: when it was proven to be there; None when it never was, and `problem` says why.
        removed: when it was proven to be gone.
        victims: who was hit, in numbers, as counted last.
    """

    id: str
    kind: str
    workload: str
    dependency: str
    settings: Mapping[str, Any]
    share: float
    mechanism: str
    healing: str
    intended: datetime
    applied: datetime | None = None
    removed: datetime | None = None
    proof: Proof | None = None
    removal: Proof | None = None
    victims: Mapping[str, float] | None = None
    problem: str = ""
    stuck: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer of one probe.

    Args:
        at: seconds since the run began.
        probe: its place among the hypothesis' probes.
        value: what was heard, in short.
        seconds: how long the answer took.
    """

    at: float
    stage: str
    probe: int
    ok: bool
    seconds: float
    value: str = ""


@dataclass(frozen=True, slots=True)
class Happening:
    """A breach or a stop: when, what, and in which stage."""

    at: datetime
    what: str
    text: str
    stage: str
    probe: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A run, from its facts.

    Args:
        reaction: seconds from the first breach, or from being told to stop, until every fault was taken out.
        reached: the greatest blast radius a fault was proven with.
        reference: what asked for it, such as a monkey's look or a pipeline's address.
        notes: what could not be said before it began, such as an error budget nobody measured.
        process: `host:number` of the process that runs it.
    """

    id: str
    experiment: str
    target: str
    service: str
    by: str
    seed: int
    title: str
    probes: tuple[Mapping[str, str], ...]
    status: Status = Status.PENDING
    stage: Stage = Stage.PENDING
    asked: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    reasons: tuple[str, ...] = ()
    faults: tuple[FaultRun, ...] = ()
    breaches: tuple[Happening, ...] = ()
    stops: tuple[Happening, ...] = ()
    reaction: float | None = None
    reached: float = 0.0
    notes: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    widening: tuple[Mapping[str, Any], ...] = ()
    reference: str = ""
    process: str = ""

    def fault(self, name: str) -> FaultRun:
        """The fault of that id."""
        return next(one for one in self.faults if one.id == name)


def guard_name(run: Run) -> str:
    """What the run's faults are guarded under: ids are a store's own, and this host may have several stores."""
    assert run.asked is not None, "it was asked for"
    return f"{run.id}-{int(run.asked.timestamp() * 1000)}"


def fold(facts: Iterable[Fact | NewFact]) -> dict[str, Run]:
    """Every run, by id, in the order in which they were asked for."""
    runs: dict[str, Run] = {}
    for fact in facts:
        if fact.kind == "chaos.accepted":
            runs[fact.subject] = _accepted(fact)
        elif fact.subject in runs and fact.kind not in (ASKED, HALTED, LIFTED):
            runs[fact.subject] = after(runs[fact.subject], fact)
    return runs


def halted(facts: Iterable[Fact]) -> Fact | None:
    """The kill switch, when it is on: the fact that says since when, by whom and why."""
    last = None
    for fact in facts:
        if fact.kind in (HALTED, LIFTED):
            last = fact
    return last if last is not None and last.kind == HALTED else None


def _accepted(fact: Fact | NewFact) -> Run:
    data = fact.data
    return Run(fact.subject, data["experiment"], data["target"], data["service"], fact.actor, data["seed"],
               data["title"], tuple(data["probes"]), asked=fact.at, notes=tuple(data["notes"]),
               reference=data.get("reference", ""), process=data.get("process", ""))


def after(run: Run, fact: Fact | NewFact) -> Run:
    """The run after one more fact of it."""
    if fact.kind == "chaos.accepted":
        return _accepted(fact)
    if run.ended is not None:
        return run  # it was closed by somebody else too: the first end counts
    event = fact.kind.removeprefix("chaos.")
    run = replace(run, stage=next_stage(run.stage, event))
    data = fact.data
    match event:
        case "started":
            return replace(run, status=Status.RUNNING, started=fact.at)
        case "intended":
            return replace(run, faults=(*run.faults, FaultRun(
                data["fault"], data["kind"], data["workload"], data["dependency"], data["settings"], data["share"],
                data["mechanism"], data["healing"], fact.at)))
        case "injected":
            return _changed(replace(run, reached=max(run.reached, run.fault(data["fault"]).share)), data["fault"],
                            applied=fact.at, proof=Proof(**data["proof"]))
        case "unproven":
            return _changed(run, data["fault"], problem=data["why"],
                            proof=Proof(**data["proof"]) if data.get("proof") else None)
        case "removed" | "stuck":
            return _taken_out(run, event, fact)
        case "breached" | "stopping":
            happened = Happening(fact.at, data["what"], data["text"], str(run.stage), data.get("probe", ""))
            return replace(run, breaches=(*run.breaches, happened)) if event == "breached" \
                else replace(run, stops=(*run.stops, happened))
        case "measured":
            return replace(run, samples=(*run.samples, *(Sample(*row) for row in data["samples"])))
        case "widened":
            return replace(run, widening=(*run.widening, dict(data)))
        case "noted":
            return replace(run, notes=(*run.notes, data["text"]))
        case "ended":
            return replace(run, status=Status(data["status"]), reasons=tuple(data["reasons"]), ended=fact.at,
                           reaction=data.get("reaction"))
    return run


def _taken_out(run: Run, event: str, fact: Fact | NewFact) -> Run:
    data = fact.data
    proof = Proof(**data["proof"]) if data.get("proof") else None
    victims = data.get("victims") or None
    if event == "removed":
        return _changed(run, data["fault"], removed=fact.at, removal=proof, victims=victims)
    return _changed(run, data["fault"], stuck=data["why"], removal=proof, victims=victims)


def _changed(run: Run, name: str, **changes: Any) -> Run:
    return replace(run, faults=tuple(replace(one, **changes) if one.id == name else one for one in run.faults))
