"""What a rule would have done: its decisions over alerts that really were, on their own clock. Pure.

What cannot be known is assumed and said: how long a run takes, and whether it helps. Both answers to the second are
worked out, so that one sees what the rule saves where it works, and how soon its limits hold it where it does not.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from mainstay.kernel.alert_history import Activation
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Fact, NewFact
from mainstay.kernel.quantity import Span
from mainstay.kernel.wording import many
from mainstay.runbook.remedy import OnSchedule, Remediation
from mainstay.runbook.remedy_decision import (
    Checked,
    Cleared,
    Desk,
    Event,
    Judged,
    Ran,
    Surroundings,
    Tick,
    Triggered,
    decide,
    due,
    matches,
    to_judge,
)
from mainstay.runbook.remedy_schedule import moments, round_key
from mainstay.runbook.remedy_state import Phase, Remedies

ALERT_FACTS = ("alert.opened", "alert.heard", "alert.closed")
BUDGET_FACTS = ("slo.zone-entered",)
SHOWN = ("started", "verified", "failed", "limited", "escalated", "overdue", "stopped", "passed", "skipped")
"""Decisions that are told, in the order of their counts."""


class Trouble(NamedTuple):
    """A stretch in which what triggers a rule was on; without an end while it is.

    Args:
        moment: of a schedule, in seconds of the epoch; 0 where it is no moment but has a length.
    """

    key: str
    labels: Mapping[str, str]
    began: datetime
    ended: datetime | None
    moment: int = 0


@dataclass(frozen=True, slots=True)
class Assumed:
    """What cannot be known of runs that never were.

    Args:
        takes: from the start of a run to its end.
        helps: whether what triggered it is over when the run ends.
        saves: what a person would have spent on it each time.
    """

    takes: timedelta
    helps: bool = True
    saves: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Decision:
    """Something the rule would have decided; the field names are stable JSON."""

    at: datetime
    kind: str
    case: str
    target: str
    said: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What a rule would have done; the field names are stable JSON.

    Args:
        helps: what was assumed.
        troubles: stretches, or moments of a schedule, that triggered it.
        counts: of decisions, by kind.
        limits: how often each limit held it.
        trouble_seconds: how long it was on, as it really was; `would_seconds`: as it would have been.
        saved_minutes: how many minutes of trouble there would not have been.
        person_minutes: what people would not have spent, for each run that was verified where that can be.
    """

    helps: bool
    troubles: int
    counts: Mapping[str, int]
    limits: Mapping[str, int]
    trouble_seconds: float
    would_seconds: float
    saved_minutes: float
    person_minutes: float
    decisions: tuple[Decision, ...]


# -- what was ------------------------------------------------------------------------------------------------------


def of_activations(activations: Iterable[Activation], rule: Remediation) -> list[Trouble]:
    """The alerts that fired, were heard of, and trigger the rule."""
    return [Trouble(f"alert-{number}", one.labels, one.fired, one.ended)
            for number, one in enumerate(activations)
            if one.fired is not None and not one.muted and matches(rule, one.labels)]


def of_alert_facts(facts: Iterable[Fact], rule: Remediation) -> list[Trouble]:
    """The alerts of the journal that were heard of and trigger the rule."""
    muted: dict[str, Mapping[str, str]] = {}
    open_: dict[str, Trouble] = {}
    out: list[Trouble] = []
    for fact in facts:
        labels: Mapping[str, str] | None = None
        match fact.kind:
            case "alert.opened" if fact.data["muted"]:
                muted[fact.subject] = fact.data["labels"]
            case "alert.opened":
                labels = fact.data["labels"]
            case "alert.heard":
                labels = muted.pop(fact.subject, None)
            case "alert.closed":
                muted.pop(fact.subject, None)
                if (known := open_.pop(fact.subject, None)) is not None:
                    out.append(known._replace(ended=max(fact.at, known.began)))
        if labels is not None and matches(rule, labels):
            open_[fact.subject] = Trouble(fact.subject, labels, fact.at, None)
    return sorted([*out, *open_.values()], key=lambda one: one.began)


def of_zone_facts(facts: Iterable[Fact], objective: str, zones: Sequence[str]) -> list[Trouble]:
    """The stretches that the objective's budget spent in one of the zones."""
    out: list[Trouble] = []
    for fact in (one for one in facts if one.subject == objective):
        inside = str(fact.data["zone"]) in zones
        if out and out[-1].ended is None:
            if inside:
                continue
            out[-1] = out[-1]._replace(ended=fact.at)
        elif inside:
            out.append(Trouble(f"{objective}@{fact.seq}", {"slo": objective, "zone": str(fact.data["zone"])}, fact.at,
                               None))
    return out


def of_schedule(rule: Remediation, span: Span) -> list[Trouble]:
    """The moments of a rule's schedule. Where its condition is the trigger, it is taken to hold at each of them."""
    assert isinstance(rule.when, OnSchedule), "what has no schedule has no moments"
    return [Trouble(round_key(rule, moment), {}, moment, None, int(moment.timestamp()))
            for moment in moments(rule.when, span)]


# -- what would have been ------------------------------------------------------------------------------------------


class _Player:
    """Plays troubles to a rule on a clock of its own."""

    def __init__(self, rule: Remediation, span: Span, assumed: Assumed) -> None:
        # Only what acts meets its limits; what a rule that observes would do is what it does when it acts.
        self.rule = replace(rule, mode="act")
        self.rules = {rule.name: self.rule}
        self.span, self.assumed = span, assumed
        self.state, self.now = Remedies(), span.start
        self.facts: list[NewFact] = []
        self.over: dict[str, datetime] = {}
        self._queue: list[tuple[datetime, int, Event]] = []
        self._count = 0

    def at(self, moment: datetime, event: Event) -> None:
        """Let it happen then."""
        self._count += 1
        heapq.heappush(self._queue, (moment, self._count, event))

    def play(self) -> None:
        """Until the end of the span."""
        while True:
            moment = due(self.rules, self.state)
            first = self._queue[0][0] if self._queue else None
            if first is not None and (moment is None or first <= max(moment, self.now)):
                at, _, event = heapq.heappop(self._queue)
            elif moment is not None:
                at, event = moment, Tick()
            else:
                return
            if at >= self.span.end:
                return
            self._happens(max(at, self.now), event)

    def _happens(self, at: datetime, event: Event) -> None:
        self.now = at
        if isinstance(event, Triggered) and event.moment:
            if self.rule.held and self.assumed.helps and any(case.phase is Phase.VERIFYING
                                                             for case in self.state.cases.values()):
                return  # what helped keeps the condition from holding as long as it is verified
            self.over.pop(event.key, None)  # a condition holds again under the same key
        if isinstance(event, Cleared):
            if event.key in self.over:
                return
            self.over[event.key] = at
        judged = {case.id: Judged(True, "it is taken to hold") for case in to_judge(self.rules, self.state, at)}
        desk = Desk(self.rules, self.state, at, Surroundings(judged=judged))
        decide(desk, event)
        if not judged and (asked := to_judge(self.rules, self.state, at)):
            desk.around = Surroundings(judged={case.id: Judged(True, "it is taken to hold") for case in asked})
        decide(desk, Tick())
        self.facts += desk.facts
        for fact in desk.facts:
            if fact.kind == "remedy.started":
                self._run(fact, at + self.assumed.takes)

    def _run(self, started: NewFact, ends: datetime) -> None:
        self.at(ends, Ran(str(started.data["key"]), "succeeded"))
        case = self.state.cases[started.subject]
        if self.assumed.helps and (self.rule.held or not isinstance(self.rule.when, OnSchedule)):
            for key in sorted(case.firing):
                self.at(ends, Cleared(key))
        if self.rule.verify.checks:
            for moment in (ends, ends + self.rule.verify.hold):
                self.at(moment, Checked(case.id, self.assumed.helps, "it is taken not to help"))


def replayed(rule: Remediation, troubles: Sequence[Trouble], span: Span, assumed: Assumed) -> Replay:
    """What the rule would have decided about these troubles within the span.

    Args:
        troubles: by when they began; those that began before the span are left out.
    """
    player = _Player(rule, span, assumed)
    within = [one for one in troubles if span.holds(one.began)]
    for one in within:
        player.at(one.began, Triggered(rule.name, one.key, one.labels, moment=one.moment))
        if one.ended is not None:
            player.at(max(one.ended, one.began), Cleared(one.key))
    player.play()
    counts, limits, decisions = Counter[str](), Counter[str](), []
    for fact in player.facts:
        kind = fact.kind.partition(".")[2]
        counts[kind] += 1
        if kind == "limited":
            limits[str(fact.data["limit"])] += 1
        if kind in SHOWN:
            decisions.append(Decision(fact.at, kind, fact.subject, str(fact.data.get("target", "")), _said(kind, fact)))
    long = [one for one in within if not one.moment]
    was = sum(((one.ended or span.end) - one.began).total_seconds() for one in long)
    would = sum((min(player.over.get(one.key, span.end), one.ended or span.end) - one.began).total_seconds()
                for one in long)
    # What nothing is declared for that would verify it has done its work when it ran.
    provable = rule.verify.checks or (rule.verify.over and rule.ends)
    people = counts["verified" if provable else "ran"] * assumed.saves.total_seconds() / 60
    return Replay(assumed.helps, len(within), {kind: counts[kind] for kind in SHOWN if counts[kind]}, dict(limits),
                  was, would, (was - would) / 60, people, tuple(decisions))


def _said(kind: str, fact: NewFact) -> str:
    match kind:
        case "started":
            return f"runs {fact.data['runbook']}, attempt {fact.data['attempt']}"
        case "verified":
            return f"it is over after {many(int(fact.data['attempts']), 'attempt')}"
        case _:
            return str(fact.data.get("why", ""))


def runs_per_step(replay: Replay, span: Span, step: timedelta) -> tuple[tuple[datetime, ...], tuple[float, ...]]:
    """How many runs began in each step of the span, for a picture."""
    times, sums = [], []
    began = [one.at for one in replay.decisions if one.kind == "started"]
    at = span.start
    while at < span.end:
        times.append(at)
        sums.append(float(sum(at <= moment < at + step for moment in began)))
        at += step
    return tuple(times), tuple(sums)


