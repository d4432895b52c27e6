"""`mainstay runbook remedies | trigger | resume`: the rules, what they did lately, and a person's hand on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput
from mainstay.kernel.journal import Fact, FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.runbook.operations.desk import runs_of
from mainstay.runbook.operations.remedy_desk import desk_of
from mainstay.runbook.operations.remedying import tell
from mainstay.runbook.remedy import Called, Remediation
from mainstay.runbook.remedy_decision import Resume, Triggered
from mainstay.runbook.remedy_reading import Acted, CaseReading, DecisionReading, Remedied, RemedyReading
from mainstay.runbook.remedy_state import Case, Phase
from mainstay.runbook.remedy_view import acted_view, remedies_view
from mainstay.runbook.remedy_wording import said_when, told_of

_COUNTED = timedelta(days=30)
_LAST = 20
_QUIET = ("joined", "cleared", "waits")


@dataclass(frozen=True)
class RemediesRequest:
    """Which rules."""

    name: str = arg("one of them, with its cases and its last decisions", "", positional=True)


def remedies(world: World, request: RemediesRequest) -> Remedied:
    """List remediations with their mode, what they have in hand, and what they decided lately."""
    rules: Sequence[Remediation] = (world.catalog.get(Remediation, request.name),) if request.name else \
        world.catalog.of(Remediation)
    state, since = desk_of(world).state, world.clock.now() - _COUNTED
    names = {rule.name for rule in rules}
    facts = [fact for fact in world.journal.facts(FactQuery(kinds=("remedy.",), since=since))
             if fact.data["rule"] in names]
    read = tuple(_read(rule, state.conduct(rule.name).stopped, state.conduct(rule.name).failures, [
        fact for fact in facts if fact.data["rule"] == rule.name]) for rule in rules)
    cases = tuple(_in_hand(world, one) for one in state.cases.values() if one.rule in names)
    return Remedied(read, cases, tuple(_decision(fact) for fact in facts if _is_told(fact))[-_LAST:])


def _in_hand(world: World, case: Case) -> CaseReading:
    run = runs_of(world).by_key(case.run) if case.phase is Phase.RUNNING else None
    why = case.why if run is None else f"{run.id}: {str(run.state).replace('_', ' ')}"
    return CaseReading(case.id, case.rule, case.target, case.phase.value, case.attempt, case.opened, why,
                       run.id if run is not None else "")


def _read(rule: Remediation, stopped: bool, failures: int, facts: Sequence[Fact]) -> RemedyReading:
    counts = Counter(fact.kind.partition(".")[2] for fact in facts)
    last = next((_decision(fact) for fact in reversed(facts) if _is_told(fact)), None)
    return RemedyReading(rule.name, rule.title, rule.service, rule.mode, said_when(rule.when), rule.runbook,
                         rule.target, stopped, failures, dict(sorted(counts.items())), last)


def _is_told(fact: Fact) -> bool:
    """Whether the fact says something that those beside it do not."""
    kind = fact.kind.partition(".")[2]
    return kind not in _QUIET and not (kind == "ended" and not fact.data["why"])


def _decision(fact: Fact) -> DecisionReading:
    return DecisionReading(fact.at, fact.kind.partition(".")[2], fact.subject, str(fact.data["rule"]), told_of(fact))


REMEDIES = Operation(
    "runbook", "remedies", RemediesRequest, remedies, remedies_view,
    exit_codes=((0, "listed"), (2, "there is no such remediation")),
    examples=("mainstay runbook remedies", "mainstay runbook remedies restart-cache --json"))


# -- a person's hand -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TriggerRequest:
    """Which rule, and what is broken."""

    name: str = arg("the remediation", positional=True)
    label: tuple[str, ...] = arg("what is broken: service=checkout", (), value="NAME=VALUE")
    key: str = arg("said again with the same key while it goes on, it is the same trouble", "", value="KEY")


def trigger(world: World, request: TriggerRequest) -> Acted:
    """Call a remediation that waits to be called: what a webhook does."""
    rule = world.catalog.get(Remediation, request.name)
    if not isinstance(rule.when, Called):
        raise InvalidInput(f"{rule.name} is triggered {said_when(rule.when)}, and not by being called",
                           "declare another with when: {called: true}")
    labels = {}
    for text in request.label:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise InvalidInput(f'"{text}" is no label', "write NAME=VALUE")
        labels[name] = value
    key = request.key or f"call-{world.journal.head() + 1}"
    return _acted(tell(world, [Triggered(rule.name, key, labels)]))


TRIGGER = Operation(
    "runbook", "trigger", TriggerRequest, trigger, acted_view, scope="write",
    exit_codes=((0, "it was decided on"), (2, "the rule or a label cannot be used")),
    examples=("mainstay runbook trigger flush-cache --label service=cache",))


@dataclass(frozen=True)
class ResumeRequest:
    """Which rule."""

    name: str = arg("the remediation", positional=True)


def resume(world: World, request: ResumeRequest) -> Acted:
    """Let a remediation that stopped after failures in a row act again."""
    world.catalog.get(Remediation, request.name)
    if not desk_of(world).state.conduct(request.name).stopped:
        raise Conflict(f"{request.name} has not stopped", f"mainstay runbook remedies {request.name}")
    return _acted(tell(world, [Resume(request.name, world.actor)]))


RESUME = Operation(
    "runbook", "resume", ResumeRequest, resume, acted_view, scope="approve",
    exit_codes=((0, "it acts again"), (2, "there is no such remediation, or it had not stopped")),
    examples=("mainstay runbook resume restart-cache",))


def _acted(facts: Sequence[Fact]) -> Acted:
    return Acted(tuple(_decision(fact) for fact in facts if _is_told(fact)))
