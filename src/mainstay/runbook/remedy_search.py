"""A search through everything that can happen to a few targets, in every order, for a limit that breaks.

What the decision must never do is watched by bookkeeping of its own: it reads the facts that come out, never the state
that the decision reads. States that differ only in which target is which, or in when the clock began, are one. The
search is breadth first, so what it finds is a shortest way to break something; what it does not find within its depth
cannot happen within that many events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import blake2b
from typing import NamedTuple

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import NewFact
from mainstay.runbook.remedy import Circumstances, Remediation
from mainstay.runbook.remedy_decision import (
    Checked,
    Cleared,
    Desk,
    Event,
    Ran,
    Resume,
    Rules,
    RunEnd,
    Surroundings,
    Tick,
    Triggered,
    decide,
    due,
)
from mainstay.runbook.remedy_state import Phase, Remedies

_BEGIN = datetime(2026, 1, 5, 10, tzinfo=UTC)
_MOMENT = timedelta(minutes=1)
_PLACE = "${labels.place}"
OTHER = "experiment"
"""Who holds a target, where something else does."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is searched.

    Args:
        targets: how many there are; up to four stay within minutes.
        depth: how many events follow each other.
        most: states after which the search gives up and says so.
    """

    rules: tuple[Remediation, ...]
    targets: int = 2
    depth: int = 6
    most: int = 2_000_000


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that broke, and the shortest way there."""

    invariant: str
    said: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """What the search came to.

    Args:
        states: that differ. `steps`: decisions that were made.
        complete: whether everything within the depth was looked at.
    """

    targets: int
    depth: int
    states: int
    steps: int
    complete: bool
    breach: Breach | None


# -- what must hold -----------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """What the watcher remembers of a rule on a target.

    Args:
        working: a run was decided on and nothing has ended it: neither failure, nor proof of health, nor a person.
        running: its run is really under way.
        starts: of runs since health was proven.
        any_starts: of runs at all.
        tried: runs of the case there is.
    """

    working: bool = False
    running: bool = False
    starts: tuple[datetime, ...] = ()
    any_starts: tuple[datetime, ...] = ()
    healed: tuple[datetime, ...] = ()
    ended: datetime | None = None
    told: bool = False


class Outside(NamedTuple):
    """What is so of a target, whoever knows it.

    Args:
        alert: how often it has begun to fire; 0 before. `firing`: whether it does.
        quiet: since when it does not.
        well: since when its checks said so, or None.
    """

    alert: int = 0
    firing: bool = False
    quiet: datetime | None = None
    well: datetime | None = None
    locked: bool = False


class World(NamedTuple):
    """One state of the search."""

    now: datetime
    state: Remedies
    outside: tuple[Outside, ...]
    seen: Mapping[tuple[str, int], Seen]
    failures: Mapping[str, int]


def first_world(targets: int) -> World:
    """So many targets, and nothing has happened."""
    return World(_BEGIN, Remedies(), (Outside(),) * targets, {}, {})


class Broken(Exception):
    """An invariant does not hold: what the search looks for."""

    def __init__(self, invariant: str, said: str) -> None:
        super().__init__(f"{invariant}: {said}")
        self.invariant, self.said = invariant, said


def _watch_start(world: World, rule: Remediation, target: int) -> None:
    limits, now, own = rule.limits, world.now, world.seen.get((rule.name, target), Seen())
    working = sum(one.working for (name, _), one in world.seen.items() if name == rule.name)
    touched = {place for (name, place), one in world.seen.items() if name == rule.name
               and (one.working or any(at > now - limits.within for at in one.any_starts))}
    held = [name for (name, place), one in world.seen.items() if place == target and (one.working or one.running)]
    checks = (
        ("mode", rule.mode != "observe", "it only observes"),
        ("concurrency", working < limits.concurrent, f"{working + 1} targets at once, {limits.concurrent} may be"),
        ("one per target", not held, f"{', '.join(held)} works on it already"),
        ("attempts", sum(at > now - limits.within for at in own.starts) < limits.attempts,
         f"more than {limits.attempts} attempts"),
        ("fleet share", not limits.reach or len(touched | {target}) <= limits.reach,
         f"{len(touched | {target})} targets touched, {limits.reach} may be"),
        ("lock", not world.outside[target].locked, f"{OTHER} holds it"),
        ("cool-down", own.ended is None or now >= own.ended + limits.cool_down, "it has not rested"),
        ("flapping", sum(at > now - limits.flap_within for at in own.healed) < limits.flaps,
         f"it was healed {limits.flaps} times"),
        ("stop", world.failures.get(rule.name, 0) < limits.stop_after, f"{limits.stop_after} failures in a row"),
    )
    for invariant, holds, said in checks:
        if not holds:
            raise Broken(invariant, f"t{target + 1} by {rule.name}: {said}")


def _watch_health(world: World, rule: Remediation, target: int) -> None:
    outside, own = world.outside[target], world.seen[rule.name, target]
    if own.running:
        raise Broken("verified", f"t{target + 1}: the run is still under way")
    since = world.now - rule.verify.hold
    if rule.verify.over and (outside.firing or (outside.quiet is not None and outside.quiet > since)):
        raise Broken("verified", f"t{target + 1}: its alert was not over for all of the window")
    if rule.verify.checks and (outside.well is None or outside.well > since):
        raise Broken("verified", f"t{target + 1}: its checks did not hold for all of the window")


def _watched(world: World, rules: Rules, facts: list[NewFact]) -> World:
    """The watcher's books after these facts.

    Raises:
        Broken: one of them must not have been.
    """
    for fact in facts:
        event, rule = fact.kind.partition(".")[2], rules[str(fact.data["rule"])]
        failures = dict(world.failures)
        if event == "resumed":
            world = world._replace(failures={**failures, rule.name: 0})
        if not str(fact.data.get("target", "")):
            continue
        place = int(str(fact.data["target"])[1:]) - 1
        own = world.seen.get((rule.name, place), Seen())
        if event == "started":
            _watch_start(world, rule, place)
            own = own._replace(working=True, running=True, starts=(*own.starts, world.now),
                               any_starts=(*own.any_starts, world.now), told=False)
        elif event == "verified":
            _watch_health(world, rule, place)
            own = own._replace(working=False, starts=(), healed=(*own.healed, world.now), ended=world.now)
            failures[rule.name] = 0
        elif event in ("failed", "escalated", "skipped", "ended") and own.working:
            own = own._replace(working=False, ended=world.now)
            failures[rule.name] = failures.get(rule.name, 0) + (event == "failed")
        if event in ("escalated", "skipped", "observed"):
            own = own._replace(told=True)
        elif event == "triggered":
            own = own._replace(told=False)
        world = world._replace(seen={**world.seen, (rule.name, place): own}, failures=failures)
    return world


def _nothing_is_lost(world: World, rules: Rules) -> None:
    """Whoever has trouble is being seen to, or somebody was told; and nothing waits for ever."""
    for name, rule in rules.items():
        for place, outside in enumerate(world.outside):
            case = world.state.case_of(name, f"t{place + 1}")
            if outside.firing and case is None:
                raise Broken("nothing is lost", f"t{place + 1} has trouble and {name} has no case of it")
            if case is not None and case.phase is Phase.LEFT and not world.seen[name, place].told:
                raise Broken("nothing is lost", f"{name} leaves t{place + 1} and nobody was told")
            if case is not None and case.phase is Phase.WAITING and (case.ready is None or case.ready > world.now
                                                                    + max(rule.limits.wait, rule.limits.cool_down)):
                raise Broken("nothing is lost", f"{name} waits on t{place + 1} without an end")


# -- what can happen ----------------------------------------------------------------------------------------------

Move = Callable[[World], World]
_OUTCOMES: Mapping[RunEnd, str] = {"succeeded": "succeeds", "failed": "fails", "unknown": "crashes"}


class Search:
    """Everything that follows from nothing, within the scope."""

    def __init__(self, scope: Scope) -> None:
        # A condition only ever forbids: without it, more happens, and all of it must be right.
        self.rules = {one.name: replace(one, condition=Circumstances(), throttle=None, inputs={}, target=_PLACE)
                      for one in scope.rules}
        self.scope = scope
        self.steps = 0

    def proof(self) -> Proof:
        """Search; what it came to."""
        scope = self.scope
        first = first_world(scope.targets)
        paths: dict[bytes, tuple[bytes, str]] = {self._sign(first): (b"", "")}
        layer = [first]
        for _ in range(scope.depth):
            following = []
            for world in layer:
                here = self._sign(world)
                for name, move in self.moves(world):
                    try:
                        after = move(world)
                        _nothing_is_lost(after, self.rules)
                    except Broken as broken:
                        path = (*_path(paths, here), name)
                        return Proof(scope.targets, scope.depth, len(paths), self.steps, False,
                                     Breach(broken.invariant, broken.said, path))
                    sign = self._sign(after)
                    if sign not in paths:
                        paths[sign] = here, name
                        following.append(after)
                if len(paths) > scope.most:
                    return Proof(scope.targets, scope.depth, len(paths), self.steps, False, None)
            layer = following
        return Proof(scope.targets, scope.depth, len(paths), self.steps, True, None)

    def moves(self, world: World) -> Iterator[tuple[str, Move]]:
        """What can happen next, each with its name."""
        for place, outside in enumerate(world.outside):
            yield from self._moves_of(world, place, outside)
        moment = due(self.rules, world.state)
        if moment is not None and moment > world.now:
            yield "time passes until something is due", partial(self._pass, moment=moment)
        longest = max(rule.limits.within for rule in self.rules.values())
        yield "a while passes", partial(self._pass, moment=world.now + longest)
        yield "a moment passes", partial(self._pass, moment=world.now + _MOMENT)
        for name in self.rules:
            if world.state.conduct(name).stopped:
                yield f"{name} is resumed", partial(self._resumes, rule=name)

    def _moves_of(self, world: World, place: int, outside: Outside) -> Iterator[tuple[str, Move]]:
        target = f"t{place + 1}"
        if outside.firing:
            yield f"the alert of {target} resolves", partial(self._clears, place=place)
        else:
            yield f"the alert of {target} fires", partial(self._fires, place=place)
        other = "lets go of" if outside.locked else "takes"
        # A lock is only there to take where no run holds it.
        if outside.locked or not any(one.running for (_, at), one in world.seen.items() if at == place):
            yield f"{OTHER} {other} {target}", partial(self._locks, place=place)
        for (rule, at), seen in world.seen.items():
            if at == place and seen.running:
                for outcome, said in _OUTCOMES.items():
                    yield f"the run on {target} {said}", partial(self._ends, rule=rule, place=place, outcome=outcome)
        for name, one in self.rules.items():
            case = world.state.case_of(name, target)
            if one.verify.checks and case is not None and case.phase is Phase.VERIFYING:
                yield f"{target} is well", partial(self._checks, place=place, case=case.id, well=True)
                yield f"{target} is not well", partial(self._checks, place=place, case=case.id, well=False)

    # -- one move -------------------------------------------------------------------------------------------------

    def _decided(self, world: World, *events: Event) -> World:
        state = world.state.clone()
        locked = {f"t{place + 1}": OTHER for place, one in enumerate(world.outside) if one.locked}
        desk = Desk(self.rules, state, world.now, Surroundings(locked))
        for event in events:
            decide(desk, event)
        decide(desk, Tick())
        self.steps += 1
        return _watched(world._replace(state=state), self.rules, desk.facts)

    def _resumes(self, world: World, rule: str) -> World:
        return self._decided(world, Resume(rule))

    def _pass(self, world: World, moment: datetime) -> World:
        return self._decided(world._replace(now=moment))

    def _outside(self, world: World, place: int, after: Outside) -> World:
        return world._replace(outside=(*world.outside[:place], after, *world.outside[place + 1:]))

    def _fires(self, world: World, place: int) -> World:
        before = world.outside[place]
        world = self._outside(world, place, before._replace(alert=before.alert + 1, firing=True, quiet=None))
        key = f"a{place + 1}.{before.alert + 1}"
        return self._decided(world, *(Triggered(name, key, {"place": f"t{place + 1}"})
                                      for name in self.rules))

    def _clears(self, world: World, place: int) -> World:
        before = world.outside[place]
        world = self._outside(world, place, before._replace(firing=False, quiet=world.now))
        return self._decided(world, Cleared(f"a{place + 1}.{before.alert}"))

    def _locks(self, world: World, place: int) -> World:
        before = world.outside[place]
        return self._decided(self._outside(world, place, before._replace(locked=not before.locked)))

    def _ends(self, world: World, rule: str, place: int, outcome: RunEnd) -> World:
        own = world.seen[rule, place]
        world = world._replace(seen={**world.seen, (rule, place): own._replace(running=False)})
        world = self._outside(world, place, world.outside[place]._replace(well=None))
        case = world.state.case_of(rule, f"t{place + 1}")
        assert case is not None, "a run has a case until it ends"
        return self._decided(world, Ran(case.run, outcome))

    def _checks(self, world: World, place: int, case: str, well: bool) -> World:
        before = world.outside[place]
        since = (before.well or world.now) if well else None
        return self._decided(self._outside(world, place, before._replace(well=since)), Checked(case, well))

    # -- which states are one -------------------------------------------------------------------------------------

    def _sign(self, world: World) -> bytes:
        """The state without names and dates: of two with the same sign, the same can follow."""
        now, oldest = world.now, max(max(one.limits.within, one.limits.flap_within) for one in self.rules.values())

        def ago(moment: datetime | None) -> float | None:
            return None if moment is None else max((moment - now).total_seconds(), -oldest.total_seconds())

        def agos(moments: tuple[datetime, ...]) -> tuple[float | None, ...]:
            return tuple(ago(one) for one in moments if one > now - oldest)

        def own(name: str, place: int) -> object:
            case, seen = world.state.case_of(name, f"t{place + 1}"), world.seen.get((name, place), Seen())
            track = world.state.track(name, f"t{place + 1}")
            return (None if case is None else (
                case.phase.value, min(case.attempt, 1), ago(case.opened), ago(case.until), ago(case.ready),
                ago(case.healthy), case.overdue, bool(case.firing)),
                agos(tuple(at for at, target in world.state.conduct(name).touched if target == f"t{place + 1}")),
                agos(track.starts), agos(track.healed), ago(track.rested), seen.working, seen.running,
                agos(seen.starts), agos(seen.any_starts), agos(seen.healed), ago(seen.ended), seen.told)

        def place_of(place: int) -> str:
            one = world.outside[place]
            return repr((one.firing, ago(one.quiet), ago(one.well), one.locked,
                         *(own(name, place) for name in self.rules)))

        conducts = tuple((world.failures.get(name, 0), world.state.conduct(name).stopped,
                          world.state.conduct(name).failures) for name in self.rules)
        places = sorted(place_of(place) for place in range(self.scope.targets))
        return blake2b(repr((places, conducts)).encode(), digest_size=16).digest()


def _path(paths: Mapping[bytes, tuple[bytes, str]], sign: bytes) -> tuple[str, ...]:
    names: list[str] = []
    while sign:
        sign, name = paths[sign]
        names.append(name)
    return tuple(reversed(names[:-1]))


def search(scope: Scope) -> Proof:
    """Everything that can happen within the scope, and whether a limit breaks on the way."""
    return Search(scope).proof()


def walk(scope: Scope, choices: Iterable[int]) -> World:
    """One way through what can happen, however long: of the moves there are, each choice takes one.

    Raises:
        Broken: a limit broke on the way.
    """
    one = Search(scope)
    world = first_world(scope.targets)
    for choice in choices:
        moves = list(one.moves(world))
        _, move = moves[choice % len(moves)]
        world = move(world)
        _nothing_is_lost(world, one.rules)
    return world
