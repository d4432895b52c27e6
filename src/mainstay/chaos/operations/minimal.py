"""`chaos find`: from an experiment whose hypothesis breaks to the fewest and weakest of its faults that still break it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace

from mainstay.chaos.finder import Belief, Found, Suspect, find, ladder
from mainstay.chaos.lifecycle import Status
from mainstay.chaos.operations.engine import execute
from mainstay.chaos.operations.finding import experiment_named, services_of
from mainstay.chaos.operations.planning import Options, obstacle
from mainstay.chaos.practice_view import cause_view
from mainstay.chaos.spec import Experiment, Fault, Phase
from mainstay.chaos.state import WEAKNESS_FOUND, Run
from mainstay.chaos.view import settings_words, share_words
from mainstay.chaos.written import as_yaml, document_of
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput
from mainstay.kernel.journal import Batch, NewFact
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import parse_duration

STRENGTH: Mapping[str, str] = {
    "network-latency": "latency", "dependency-slow": "latency", "disk-slow": "latency", "packet-loss": "loss",
    "packet-duplication": "rate", "packet-corruption": "rate", "packet-reordering": "rate", "dependency-error": "rate",
    "corrupt-data": "rate", "io-error": "rate", "memory-stress": "size", "cpu-stress": "load", "clock-skew": "offset"}
"""The parameter that says how strong a fault is; of other kinds the share is. More is stronger for each of these."""

_WEAKEST = 1 / 32
_UNSURE = 2
"""So many runs in a row that prove nothing end the search."""

STEADY = Belief(0.01, 0.99, 0.05, 1)
"""Of a system that always answers the same: one try is one answer."""


@dataclass(frozen=True)
class FindRequest:
    """Which experiment, and how sure to be."""

    experiment: str = arg("an experiment of the catalog whose hypothesis breaks, or a file that declares one",
                          positional=True, local_only=True)
    steps: int = arg("how finely strengths are told apart", 16)
    duration: str = arg("how long the faults stay at each try; as declared when left out", "", value="DURATION")
    steady: bool = arg("the system answers the same each time: one try for each question", False)
    error: float = arg("chance that one question is answered wrongly, 0 to 0.2", 0.01)
    seed: int = arg("of every draw", 0)
    file: bool = arg("open an incident of the lowest severity about it, so that it is mended", False)
    output: str = arg("write the smallest experiment into this file", "", short="o", value="FILE", local_only=True)


@dataclass(frozen=True, slots=True)
class Minimal:
    """The smallest cause; the field names are stable JSON.

    Args:
        faults: a sentence each; empty when the hypothesis held with every fault in.
        strengths: by fault, in the parameter's unit.
        confidence: at least this sure that every answer was right.
        checked: anything smaller was seen not to break it.
        yaml: the experiment that keeps it from coming back; `written` is where it was put.
        filed: whether an incident is opened about it.
    """

    experiment: str
    faults: tuple[str, ...]
    strengths: dict[str, float]
    confidence: float
    checked: bool
    questions: int
    unsure: int
    steps: dict[str, int]
    runs: tuple[str, ...]
    yaml: str = ""
    written: str = ""
    filed: bool = False


@dataclass(slots=True)
class _Trials:
    """The runs that the search makes."""

    world: World
    experiment: Experiment
    options: Options
    runs: list[str] = field(default_factory=list)

    def broke(self, strengths: Mapping[str, float]) -> bool:
        """Whether the hypothesis broke with these faults in.

        Raises:
            Conflict: runs prove nothing, or something outside stops them.
        """
        for _ in range(_UNSURE):
            # Another seed for each try: the same draw again would not be another try.
            run = execute(self.world, _weakened(self.experiment, strengths),
                          replace(self.options, seed=self.options.seed + len(self.runs)))
            self.runs.append(run.id)
            self.world.progress(f"{run.id} {run.status}: " + ", ".join(f"{name} {value:g}"
                                                                      for name, value in strengths.items()))
            if run.status in (Status.PASSED, Status.FAILED):
                return _violated(run)
        raise Conflict(f"{run.id} ended {run.status}: " + ("; ".join(run.reasons) or "it proves nothing"),
                       f"mainstay chaos report {run.id} says more; mend that and search again")


def _violated(run: Run) -> bool:
    """Whether it was the hypothesis that failed it: a fault that did not come out is another failure.

    Raises:
        Conflict: a fault did not come out.
    """
    if any(fault.removed is None for fault in run.faults):
        raise Conflict(f"a fault of {run.id} did not come out", "mainstay chaos recover takes out what is left")
    return run.status == Status.FAILED


def minimal(world: World, request: FindRequest) -> Minimal:
    """Find the fewest and weakest of an experiment's faults that still break its hypothesis."""
    world, experiment = experiment_named(world, request.experiment)
    if not 2 <= request.steps <= 1024:
        raise InvalidInput(f"--steps {request.steps} is not between 2 and 1024", "write --steps 16")
    if not 0 < request.error <= 0.2:
        raise InvalidInput(f"--error {request.error:g} is not between 0 and 0.2", "write --error 0.01")
    if experiment.widen is not None:
        experiment = replace(experiment, widen=None)
    seconds = parse_duration(request.duration).total_seconds() if request.duration else None
    trials = _Trials(world, experiment, Options(request.seed, seconds))
    belief = STEADY if request.steady else Belief(error=request.error)
    found = find(tuple(_suspects(world, experiment, request.steps)), trials.broke, belief)
    result = _told(world, request, experiment, (found, tuple(trials.runs)))
    if request.file and result.faults:
        _file(world, experiment, result)
        return replace(result, filed=True)
    return result


def _file(world: World, experiment: Experiment, found: Minimal) -> None:
    """A weakness is a fact; what follows from it, an incident, is no business of this word."""
    world.journal.commit(Batch([NewFact(WEAKNESS_FOUND, experiment.name, world.clock.now(), {
        "title": experiment.hypothesis.title or experiment.title or experiment.name, "faults": list(found.faults),
        "services": list(services_of(world, experiment)), "confidence": found.confidence, "runs": list(found.runs),
        "regression": found.written}, key=f"weakness:{experiment.name}:{found.runs[-1]}", actor=world.actor)]))


def named(experiment: Experiment) -> Iterator[tuple[str, Fault]]:
    """Every fault with a name of its own: `1.2 dependency-slow api → auth`."""
    for number, phase in enumerate(experiment.phases, 1):
        for place, fault in enumerate(phase.faults, 1):
            whose = fault.workload or experiment.target
            whose += f" → {fault.dependency}" if fault.dependency else ""
            yield f"{number}.{place} {fault.kind} {whose}", fault


def _suspects(world: World, experiment: Experiment, steps: int) -> Iterator[Suspect]:
    for name, fault in named(experiment):
        strongest = _strength(fault)
        strengths = ladder(strongest * _WEAKEST, strongest, steps) if strongest > 0 else (strongest,)
        # Half of one process, or a share of a whole host, is nothing that could be put in: those steps are not there.
        weaker = (one for one in strengths[:-1] if not obstacle(world, experiment, _at(fault, one)))
        yield Suspect(name, (*weaker, strongest))


def _strength(fault: Fault) -> float:
    parameter = STRENGTH.get(fault.kind)
    return float(fault.settings[parameter]) if parameter is not None else fault.share


def _at(fault: Fault, strength: float) -> Fault:
    parameter = STRENGTH.get(fault.kind)
    if parameter is None:
        return replace(fault, share=strength)
    settings = {**fault.settings, parameter: strength}
    if "jitter" in settings:
        settings["jitter"] = min(float(settings["jitter"]), strength)
    return replace(fault, settings=settings)


def _weakened(experiment: Experiment, strengths: Mapping[str, float]) -> Experiment:
    """The experiment with these faults alone, each this strong; a phase without faults is left out."""
    kept = {id(fault): _at(fault, strengths[name]) for name, fault in named(experiment) if name in strengths}
    phases: list[Phase] = []
    for phase in experiment.phases:
        faults = tuple(kept[id(fault)] for fault in phase.faults if id(fault) in kept)
        if faults:
            phases.append(replace(phase, faults=faults))
    return replace(experiment, phases=tuple(phases))


def _told(world: World, request: FindRequest, experiment: Experiment, result: tuple[Found, tuple[str, ...]]) -> Minimal:
    found, runs = result
    smallest = _weakened(experiment, found.strengths) if found.strengths else None
    text = ""
    if smallest is not None:
        kept = replace(smallest, name=f"{experiment.name}-minimal", title=f"The smallest cause of {experiment.name}")
        sure = f"{found.confidence * 100:.0f} %"
        text = as_yaml(document_of(kept), f"Found by mainstay chaos find {experiment.name} in {len(runs)} runs, every "
                                          f"answer right with at least {sure}.")
        if request.output:
            world.texts.write(request.output, text)
    faults = () if smallest is None else tuple(_words(name, fault) for name, fault in named(smallest))
    return Minimal(experiment.name, faults, found.strengths, found.confidence, found.checked, found.questions,
                   found.unsure, found.steps, runs, text, request.output if text else "")


def _words(name: str, fault: Fault) -> str:
    settings = settings_words(fault.settings)
    return name.partition(" ")[2] + (f": {settings}" if settings else "") + (
        f", {share_words(fault.share)}" if fault.share < 1 else "")


FIND = Operation(
    "chaos", "find", FindRequest, minimal, cause_view, scope="approve", catalog="any", doors=("cli",),
    exit_code=lambda found: 0 if found.faults else 1,
    exit_codes=((0, "found"), (1, "the hypothesis held with every fault in: there is nothing to find"),
                (2, "the input cannot be used, or runs prove nothing")),
    examples=("mainstay chaos find checkout-under-stress -c shop",
              "mainstay chaos find checkout-under-stress --steady --duration 10s -o regression.yaml --file"))
