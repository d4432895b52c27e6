"""Where every remediation stands: a fold over facts, and the table of what may follow what.

A *case* is trouble on one target as one rule sees it: it begins with a trigger, has any number of attempts, and is over
when it was verified, or when what triggered it went away. While a case is `left`, nothing more is done: a person has
it, or it was only observed; what triggers again meanwhile joins it.

    fact                means                                                                       subject
    remedy.triggered    trouble on a target began (`rule`, `target`, `key`, `labels`, `ready`)      case
    remedy.joined       something else triggers it too                                              case
    remedy.cleared      one of its triggers is over                                                 case
    remedy.passed       a trigger that did not count, and why                                       rule
    remedy.waits        it cannot begin yet, why, and when it is looked at again                    case
    remedy.observed     what would have been done; the rule only observes                           case
    remedy.skipped      nothing is done, and why that is nothing to page about                      case
    remedy.started      a run was decided on (`attempt`, `runbook`, `inputs`, `approval`)           case
    remedy.overdue      the run takes longer than it may; a person is told, and it is waited for    case
    remedy.ran          the run succeeded; whether it helped is being looked at                     case
    remedy.healthy      health began                                                                case
    remedy.unhealthy    and ended                                                                   case
    remedy.verified     health lasted; the attempts of the target count from nothing again          case
    remedy.failed       the run failed, or it did not help                                          case
    remedy.limited      a limit forbids the next run, and which                                     case
    remedy.escalated    a person is told, with what was tried                                       case
    remedy.ended        the case is over without having been verified                               case
    remedy.stopped      too many failures in a row: the rule does nothing until it is resumed       rule
    remedy.resumed      somebody resumed it                                                         rule
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from mainstay.kernel.journal import Data, Fact, NewFact


class Phase(StrEnum):
    """How far a case is."""

    WAITING = "waiting"
    RUNNING = "running"
    VERIFYING = "verifying"
    LEFT = "left"


AT_WORK = (Phase.RUNNING, Phase.VERIFYING)
"""Phases that hold a slot and the target: what is not verified yet may still turn out to do harm."""

TRANSITIONS: Mapping[tuple[Phase, str], Phase | None] = {
    (Phase.WAITING, "waits"): Phase.WAITING,
    (Phase.WAITING, "limited"): Phase.WAITING,
    (Phase.WAITING, "observed"): Phase.LEFT,
    (Phase.WAITING, "skipped"): Phase.LEFT,
    (Phase.WAITING, "escalated"): Phase.LEFT,
    (Phase.WAITING, "started"): Phase.RUNNING,
    (Phase.WAITING, "ended"): None,
    (Phase.RUNNING, "overdue"): Phase.RUNNING,
    (Phase.RUNNING, "ran"): Phase.VERIFYING,
    (Phase.RUNNING, "failed"): Phase.WAITING,
    (Phase.RUNNING, "skipped"): Phase.LEFT,
    (Phase.RUNNING, "escalated"): Phase.LEFT,
    (Phase.VERIFYING, "healthy"): Phase.VERIFYING,
    (Phase.VERIFYING, "unhealthy"): Phase.VERIFYING,
    (Phase.VERIFYING, "failed"): Phase.WAITING,
    (Phase.VERIFYING, "verified"): None,
    (Phase.VERIFYING, "ended"): None,
    (Phase.LEFT, "ended"): None,
}
"""Phase × fact → phase, or None where the case is over. Joining and clearing change no phase."""


class Tried(NamedTuple):
    """An attempt and what came of it."""

    at: datetime
    attempt: int
    outcome: str


class Case(Struct, frozen=True, gc=False):
    """Trouble on one target as one rule sees it.

    Args:
        firing: keys of the triggers that are not over; keys: of all there were, in their order.
        ends: whether its triggers are over some time.
        opened: when it was triggered.
        attempt: how many runs it had.
        until: running: when it is overdue; verifying: by when health must have begun.
        ready: waiting: when it is looked at again.
        healthy: verifying: since when it is healthy, or None.
        overdue: a person was told that the run takes too long.
        why: what it waits for, or why it was left; limit: which limit it waits for.
        order: what was decided to be run: `runbook`, `inputs`, `approval`.
    """

    id: str
    rule: str
    target: str
    labels: Mapping[str, str]
    firing: frozenset[str]
    keys: tuple[str, ...]
    ends: bool
    opened: datetime
    phase: Phase = Phase.WAITING
    attempt: int = 0
    began: datetime | None = None
    until: datetime | None = None
    ready: datetime | None = None
    healthy: datetime | None = None
    overdue: bool = False
    why: str = ""
    limit: str = ""
    order: Mapping[str, Any] = {}
    tried: tuple[Tried, ...] = ()

    @property
    def run(self) -> str:
        """The run of the attempt under way, as its key: decided on once, it is begun once."""
        return f"{self.id}.{self.attempt}"


class Track(Struct, frozen=True, gc=False):
    """What is remembered of a rule on a target.

    Args:
        starts: of runs since the last that was verified.
        healed: when runs were verified.
        rested: when the last run or its verification ended.
    """

    starts: tuple[datetime, ...] = ()
    healed: tuple[datetime, ...] = ()
    rested: datetime | None = None


class Conduct(Struct, frozen=True, gc=False):
    """What is remembered of a rule as a whole.

    Args:
        touched: targets and when a run on them began, the last first dropped when it no longer counts.
        failures: in a row.
        through: the greatest `seq` of a fact that triggered something; what is older was followed before.
        occurred: the last moment of its schedule that triggered something, in seconds of the epoch.
    """

    touched: tuple[tuple[datetime, str], ...] = ()
    failures: int = 0
    stopped: bool = False
    through: int = 0
    occurred: int = 0


_NO_TRACK, _NO_CONDUCT = Track(), Conduct()
_REMEMBERED = timedelta(days=8)
"""How long beginnings are remembered; limits reach a week back at most (`remedy_forms`)."""


class Remedies:
    """All cases that are open, and what limits need to know of those that were."""

    def __init__(self) -> None:
        self.facts = 0
        self.cases: dict[str, Case] = {}
        self.of: dict[tuple[str, str], str] = {}
        self.busy: dict[str, str] = {}
        self.tracks: dict[tuple[str, str], Track] = {}
        self.conducts: dict[str, Conduct] = {}
        self.groups: dict[tuple[str, str], tuple[datetime, ...]] = {}
        self.opened = 0

    def clone(self) -> Remedies:
        """A state of its own that begins as this one; what stands in it is never changed, only replaced."""
        other = Remedies()
        other.facts, other.opened = self.facts, self.opened
        other.cases, other.of, other.busy = self.cases.copy(), self.of.copy(), self.busy.copy()
        other.tracks, other.conducts, other.groups = self.tracks.copy(), self.conducts.copy(), self.groups.copy()
        return other

    def track(self, rule: str, target: str) -> Track:
        """What is remembered of the rule on the target."""
        return self.tracks.get((rule, target), _NO_TRACK)

    def conduct(self, rule: str) -> Conduct:
        """What is remembered of the rule."""
        return self.conducts.get(rule, _NO_CONDUCT)

    def case_of(self, rule: str, target: str) -> Case | None:
        """The rule's open case on the target."""
        return self.cases.get(self.of.get((rule, target), ""))

    def at_work(self, rule: str) -> int:
        """How many targets the rule works on now."""
        return sum(self.cases[name].rule == rule for name in self.busy.values())

    def apply(self, fact: NewFact | Fact) -> None:
        """Fold one fact in. Facts of other words change nothing."""
        word, _, event = fact.kind.partition(".")
        if word != "remedy":
            return
        self.facts += 1
        data, rule = fact.data, str(fact.data["rule"])
        if seq := int(data.get("seq", 0)):
            self._conduct(rule, through=max(seq, self.conduct(rule).through))
        if moment := int(data.get("moment", 0)):
            self._conduct(rule, occurred=max(moment, self.conduct(rule).occurred))
        match event:
            case "triggered":
                self._open(fact)
            case "passed":
                self._gather(rule, str(data["group"]), fact.at)
            case "stopped":
                self._conduct(rule, stopped=True)
            case "resumed":
                self._conduct(rule, stopped=False, failures=0)
            case "joined":
                case = self.cases[fact.subject]
                self.cases[case.id] = replace(case, firing=case.firing | {str(data["key"])},
                                              keys=(*case.keys, str(data["key"])))
            case "cleared":
                case = self.cases[fact.subject]
                self.cases[case.id] = replace(case, firing=case.firing - {str(data["key"])})
            case _:
                self._advance(self.cases[fact.subject], event, fact)

    def _open(self, fact: NewFact | Fact) -> None:
        data = fact.data
        case = Case(fact.subject, str(data["rule"]), str(data["target"]), data["labels"], frozenset({str(data["key"])}),
                    (str(data["key"]),), bool(data["ends"]), fact.at, ready=_moment(data, "ready"))
        self.opened += 1
        self.cases[case.id] = case
        self.of[case.rule, case.target] = case.id
        self._gather(case.rule, str(data["group"]), fact.at, anew=bool(data.get("anew")))

    def _gather(self, rule: str, group: str, at: datetime, *, anew: bool = False) -> None:
        times = () if anew else _recent(self.groups.get((rule, group), ()), at)
        self.groups[rule, group] = (*times, at)

    def _conduct(self, rule: str, **changes: object) -> None:
        self.conducts[rule] = replace(self.conduct(rule), **changes)

    def _advance(self, case: Case, event: str, fact: NewFact | Fact) -> None:
        data, at = fact.data, fact.at
        phase = TRANSITIONS[case.phase, event]
        match event:
            case "waits":
                case = replace(case, ready=_moment(data, "ready"), why=str(data["why"]),
                               limit=str(data["limit"]))
            case "skipped" | "observed" | "escalated":
                case = replace(case, why=str(data["why"]))
            case "overdue":
                case = replace(case, overdue=True)
            case "healthy":
                case = replace(case, healthy=at)
            case "unhealthy":
                case = replace(case, healthy=None)
            case "ran":
                case = replace(case, until=_moment(data, "until"), healthy=None)
            case "failed":
                case = replace(case, ready=_moment(data, "ready"), why=str(data["why"]), limit="cool_down",
                               tried=(*case.tried, Tried(at, case.attempt, str(data["why"]))))
        self._remember(case, event, at)
        if event == "started":
            case = replace(case, attempt=case.attempt + 1, began=at, until=_moment(data, "until"), overdue=False,
                           limit="", order={key: data[key] for key in ("runbook", "inputs", "approval")})
        self._settle(case, phase)

    def _remember(self, case: Case, event: str, at: datetime) -> None:
        """What limits need to know later."""
        track, conduct = self.track(case.rule, case.target), self.conduct(case.rule)
        if event in ("started", "observed"):
            old = next((number for number, one in enumerate(conduct.touched) if at - one[0] < _REMEMBERED),
                       len(conduct.touched))
            self._conduct(case.rule, touched=(*conduct.touched[old:], (at, case.target)))
            self.tracks[case.rule, case.target] = replace(track, starts=(*_recent(track.starts, at), at))
        elif event == "verified":
            self.tracks[case.rule, case.target] = Track((), (*_recent(track.healed, at), at), at)
            self._conduct(case.rule, failures=0)
        elif case.phase in AT_WORK and event in ("failed", "skipped", "escalated", "ended"):
            self.tracks[case.rule, case.target] = replace(track, rested=at)
            if event == "failed":
                self._conduct(case.rule, failures=conduct.failures + 1)

    def _settle(self, case: Case, phase: Phase | None) -> None:
        if phase is None or phase not in AT_WORK:
            if self.busy.get(case.target) == case.id:
                del self.busy[case.target]
        else:
            self.busy[case.target] = case.id
        if phase is None:
            del self.cases[case.id], self.of[case.rule, case.target]
        else:
            self.cases[case.id] = replace(case, phase=phase)


def fold(facts: Iterable[Fact | NewFact]) -> Remedies:
    """Where everything stands after these facts."""
    state = Remedies()
    for fact in facts:
        state.apply(fact)
    return state


def _recent(times: tuple[datetime, ...], at: datetime) -> tuple[datetime, ...]:
    """Those of ascending times that are remembered: only the first of them are looked at."""
    old = next((number for number, one in enumerate(times) if at - one < _REMEMBERED), len(times))
    return times[old:]


def _moment(data: Data, name: str) -> datetime | None:
    written = data.get(name)
    return datetime.fromisoformat(str(written)) if written else None
