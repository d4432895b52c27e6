"""A second answer: the engine beside a model of this file, which knows nothing of how the engine does it.

The model is one loop over a heap of things that will happen, with plain objects and no journal. It says who is paged
and when, after routes, groups, waiting, inhibition, steps, loops, acknowledgements that lapse, reopening, and what
joins or goes on; the engine says it too, after writing every fact down and folding it. Random catalogs and days, by
their seed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from incident.plans import T0, People, plan_of, play
from mainstay.incident.engine import Acknowledge, Resolve
from mainstay.incident.intake import AlertEvent
from mainstay.incident.simulation import Event

_SEVERITIES = ("critical", "error", "warning")
_PEOPLE = ("ana", "ben", "cleo")
_KEYS = ("a", "b", "c", "d")
Tree = dict[str, Any]


# -- the model ----------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Said:
    """An alert that fires or fired."""

    key: str
    labels: dict[str, str]
    severity: int
    route: Tree
    fires: bool = True
    muted: bool = False
    trouble: Trouble | None = None


@dataclass(eq=False)
class Trouble:
    """An incident."""

    name: str
    route: Tree
    severity: int
    alerts: list[Said]
    loop: int = 0
    last: int = 0
    step: int = 0
    phase: str = "runs"
    holder: str = ""
    over: int | None = None
    fresh: int = 0
    late: bool = False
    rings: dict[str, list[bool]] = field(default_factory=dict)


class Model:
    def __init__(self, tree: Tree, policy: Tree, rule: Tree | None) -> None:
        self.tree, self.policy, self.rule = tree, policy, rule
        self.now, self.serial = 0, 0
        self.due: list[tuple[int, int, list[bool], Callable[[], None]]] = []
        self.fires: dict[str, Said] = {}
        self.groups: dict[tuple[str, ...], Trouble] = {}
        self.gathers: dict[tuple[str, ...], tuple[list[Said], list[bool]]] = {}
        self.troubles: list[Trouble] = []
        self.pages: list[tuple[int, str, int, int, str, str]] = []

    # time

    def later(self, after: int, then: Callable[[], None]) -> list[bool]:
        self.serial += 1
        wanted = [True]
        heapq.heappush(self.due, (self.now + after, self.serial, wanted, then))
        return wanted

    def goes_on(self, to: int) -> None:
        while self.due and self.due[0][0] <= to:
            self.now, _, (wanted,), then = heapq.heappop(self.due)
            if wanted:
                then()
        self.now = to

    # alerts

    def route_of(self, labels: dict[str, str]) -> Tree:
        here, found = self.tree, dict(self.tree)
        while child := next((one for one in here.get("routes", ()) if labels.get(one["on"][0]) == one["on"][1]), None):
            here, found = child, {**found, **child}
        return found

    def quiet(self, one: Said) -> bool:
        rule = self.rule
        if rule is None or one.labels.get(rule["target"][0]) != rule["target"][1]:
            return False
        return any(other is not one and other.labels.get(rule["source"][0]) == rule["source"][1]
                   and other.labels.get("team", "") == one.labels.get("team", "") for other in self.fires.values())

    def says(self, key: str, severity: int, labels: dict[str, str]) -> None:
        known = self.fires.get(key)
        if known is None:
            one = self.fires[key] = Said(key, labels, severity, self.route_of(labels))
            one.muted = self.quiet(one)
            if not one.muted:
                self.enters(one)
        elif severity < known.severity:
            known.severity = severity
            if known.trouble is not None:
                self.worse(known.trouble, severity)

    def group(self, one: Said) -> tuple[str, ...]:
        by = one.route.get("group_by")
        return ("each", one.key) if by is None else ("by", *by, *(one.labels.get(name, "") for name in by))

    def enters(self, one: Said) -> None:
        group = self.group(one)
        trouble = self.groups.get(group)
        if trouble is not None and trouble.over is None:
            self.joins(trouble, one)
        elif trouble is not None and trouble.over is not None and self.now - trouble.over < one.route.get("reopen", 0):
            trouble.over, trouble.severity, trouble.holder = None, min(trouble.severity, one.severity), ""
            trouble.alerts.append(one)
            one.trouble = trouble
            self.begins(trouble, "reopened")
            self.repeats(trouble)
        elif group in self.gathers:
            self.gathers[group][0].append(one)
            if not one.route.get("wait"):
                self.gathers[group][1][0] = False
                self.gathered(group)
        elif one.route.get("wait"):
            self.gathers[group] = [one], self.later(one.route["wait"], lambda: self.gathered(group))
        else:
            self.opens(group, [one], one.route)

    def gathered(self, group: tuple[str, ...]) -> None:
        alerts, _ = self.gathers.pop(group)
        for one in alerts:
            one.muted = self.quiet(one)
        if heard := [one for one in alerts if not one.muted]:
            self.opens(group, heard, heard[0].route)

    def stops(self, key: str) -> None:
        one = self.fires.pop(key, None)
        if one is None:
            return
        one.fires = False
        gathers = self.gathers.get(self.group(one))
        if gathers is not None and one in gathers[0]:
            gathers[0].remove(one)
            if not gathers[0]:
                gathers[1][0] = False
                del self.gathers[self.group(one)]
        if one.trouble is not None and one.trouble.over is None and not any(each.fires for each in one.trouble.alerts):
            self.ends(one.trouble)
        self.hears()

    def hears(self) -> None:
        for one in list(self.fires.values()):
            if one.muted and not self.quiet(one):
                one.muted = False
                self.enters(one)
        for trouble in self.troubles:
            self.hurries(trouble)

    # incidents

    def opens(self, group: tuple[str, ...], alerts: list[Said], route: Tree) -> None:
        trouble = Trouble(f"INC-{len(self.troubles) + 1}", route, min(one.severity for one in alerts), alerts, loop=-1)
        self.troubles.append(trouble)
        self.groups[group] = trouble
        for one in alerts:
            one.trouble = trouble
        self.begins(trouble, "opened")
        self.repeats(trouble)

    def begins(self, trouble: Trouble, why: str) -> None:
        trouble.phase, trouble.loop = "runs", trouble.loop + 1
        trouble.last = trouble.loop + self.policy["loops"]
        self.steps(trouble, 0, why)

    def steps(self, trouble: Trouble, step: int, why: str) -> None:
        trouble.step, trouble.late = step, False
        self.calls(trouble, self.policy["steps"][step]["page"], step, why)
        self.rings(trouble, "step", self.policy["steps"][step]["wait"], lambda: self.next(trouble))

    def next(self, trouble: Trouble) -> None:
        if self.hushed(trouble):
            trouble.late = True
            self.rings(trouble, "step", self.policy["steps"][trouble.step]["wait"], lambda: self.next(trouble))
        elif trouble.step + 1 < len(self.policy["steps"]):
            self.steps(trouble, trouble.step + 1, "not acknowledged")
        elif trouble.loop < trouble.last:
            trouble.loop += 1
            self.steps(trouble, 0, "not acknowledged")
        else:
            trouble.phase, trouble.late = "exhausted", False

    def hushed(self, trouble: Trouble) -> bool:
        return all(self.quiet(one) for one in trouble.alerts if one.fires)

    def hurries(self, trouble: Trouble) -> None:
        if trouble.late and trouble.over is None and trouble.phase == "runs" and not self.hushed(trouble):
            self.rings(trouble, "step", 0, lambda: self.next(trouble))

    def calls(self, trouble: Trouble, who: list[str], step: int, why: str) -> None:
        self.pages += [(self.now, name, step + 1, trouble.loop, trouble.name, why) for name in who]

    def tells(self, trouble: Trouble, why: str) -> None:
        if trouble.phase == "held":
            self.calls(trouble, [trouble.holder], trouble.step, why)
        elif trouble.phase == "exhausted":
            self.calls(trouble, self.policy["steps"][0]["page"], 0, why)

    def worse(self, trouble: Trouble, severity: int) -> None:
        if severity < trouble.severity and trouble.over is None:
            trouble.severity = severity
            self.tells(trouble, "severity raised")

    def joins(self, trouble: Trouble, one: Said) -> None:
        trouble.alerts.append(one)
        one.trouble = trouble
        if trouble.route.get("interval"):
            trouble.fresh += 1
            if trouble.fresh == 1:
                self.rings(trouble, "grow", trouble.route["interval"], lambda: self.grows(trouble))
        self.worse(trouble, one.severity)
        self.hurries(trouble)

    def grows(self, trouble: Trouble) -> None:
        count, trouble.fresh = trouble.fresh, 0
        if not self.hushed(trouble):
            self.tells(trouble, f"{count} more")

    def repeats(self, trouble: Trouble) -> None:
        if trouble.route.get("repeat"):
            self.rings(trouble, "repeat", trouble.route["repeat"], lambda: self.goes_on_still(trouble))

    def goes_on_still(self, trouble: Trouble) -> None:
        self.repeats(trouble)
        if trouble.phase == "exhausted" and not self.hushed(trouble):
            self.begins(trouble, "it goes on")
        elif trouble.phase == "held" and not self.hushed(trouble):
            self.tells(trouble, "it goes on")

    def acknowledges(self, key: str, by: str) -> None:
        trouble = self.fires[key].trouble if key in self.fires else None
        if trouble is not None:
            trouble.phase, trouble.holder, trouble.late = "held", by, False
            self.rings(trouble, "step", 0, None)
            self.rings(trouble, "lapse", self.policy["ack_timeout"], lambda: self.lapses(trouble))

    def lapses(self, trouble: Trouble) -> None:
        trouble.holder = ""
        self.begins(trouble, "acknowledgement lapsed")

    def resolves(self, key: str) -> None:
        trouble = self.fires[key].trouble if key in self.fires else None
        if trouble is not None:
            self.ends(trouble)
            for one in trouble.alerts:
                if self.fires.get(one.key) is one:
                    one.fires = False
                    del self.fires[one.key]
            self.hears()

    def ends(self, trouble: Trouble) -> None:
        trouble.over, trouble.fresh, trouble.late = self.now, 0, False
        for name in ("step", "lapse", "grow", "repeat"):
            self.rings(trouble, name, 0, None)

    def rings(self, trouble: Trouble, name: str, after: int, then: Callable[[], None] | None) -> None:
        trouble.rings.get(name, [True])[0] = False
        if then is not None:
            trouble.rings[name] = self.later(after, then)


# -- random catalogs and days -------------------------------------------------------------------------------------


def _tree(chance: random.Random, depth: int, **here: Any) -> Tree:
    route: Tree = dict(here)
    for name, among in (("wait", (31, 173)), ("interval", (67, 311)), ("repeat", (1801, 3607)), ("reopen", (61, 601))):
        if chance.random() < 0.5:
            route[name] = chance.choice(among)
    if chance.random() < 0.6:
        route["group_by"] = chance.choice((["team"], ["kind"], []))
    if depth:
        ons = chance.sample([("team", "x"), ("team", "y"), ("kind", "p"), ("kind", "q")], chance.randrange(3))
        route["routes"] = [_tree(chance, depth - 1, on=on) for on in ons]
    return route


def _policy(chance: random.Random) -> Tree:
    steps = [{"page": chance.sample(_PEOPLE, chance.randint(1, 2)), "wait": chance.choice((59, 127, 307))}
             for _ in range(chance.randint(1, 3))]
    return {"steps": steps, "loops": chance.randrange(3), "ack_timeout": chance.choice((599, 1811))}


def _yaml(tree: Tree, policy: Tree, rule: Tree | None) -> str:
    def route(one: Tree) -> str:
        said = [f'match: ["{one["on"][0]}={one["on"][1]}"]'] if "on" in one else ["policy: web"]
        said += [f"{name}: {one[name]}s" for name in ("wait", "interval", "repeat", "reopen") if name in one]
        said += [f"group_by: [{', '.join(one['group_by'])}]"] if "group_by" in one else []
        return f"{{{', '.join(said)}, routes: [{', '.join(map(route, one.get('routes', ())))}]}}"

    steps = ", ".join(f"{{page: [{', '.join(f'person:{name}' for name in step['page'])}], wait: {step['wait']}s}}"
                      for step in policy["steps"])
    inhibit = "" if rule is None else (f'  inhibit: [{{source: ["{"=".join(rule["source"])}"], '
                                       f'target: ["{"=".join(rule["target"])}"], equal: [team]}}]\n')
    return (f"apiVersion: mainstay/v1\nkind: EscalationPolicy\nmetadata: {{name: web}}\n"
            f"spec: {{steps: [{steps}], loops: {policy['loops']}, ack_timeout: {policy['ack_timeout']}s}}\n---\n"
            f"apiVersion: mainstay/v1\nkind: Routing\nmetadata: {{name: all}}\nspec:\n  route: {route(tree)}\n{inhibit}"
            "  flapping: {opens: 1000, within: 30m, quiet: 10m}\n  storm: {pages: 10000, within: 5m}\n")


def _day(chance: random.Random) -> Iterator[tuple[int, tuple[Any, ...]]]:
    labels = {key: {name: value for name, value in (("team", chance.choice("xy")), ("kind", chance.choice("pq")))
                    if chance.random() < 0.8} for key in _KEYS}
    second = 0
    for _ in range(25):
        second += chance.choice((1, 7, 29, 83, 211, 640, 2003))
        key, what = chance.choice(_KEYS), chance.random()
        if what < 0.55:
            yield second, ("says", key, chance.randrange(3), labels[key])
        elif what < 0.8:
            yield second, ("stops", key)
        elif what < 0.95:
            yield second, ("acknowledges", key, chance.choice(_PEOPLE))
        else:
            yield second, ("resolves", key)


def _event(second: int, what: tuple[Any, ...]) -> Event:
    at = T0 + timedelta(seconds=second)
    match what:
        case "says", key, severity, labels:
            return Event(at, AlertEvent(at, True, key, "", _SEVERITIES[severity], labels))
        case "stops", key:
            return Event(at, AlertEvent(at, False, key))
        case "acknowledges", key, by:
            return Event(at, Acknowledge(key, by))
        case _:
            return Event(at, Resolve(what[1], "ana"))


@pytest.mark.parametrize("seed", range(80))
def test_the_engine_pages_whom_a_model_of_one_loop_pages(tmp_path: Path, seed: int):
    chance = random.Random(seed)
    tree, policy = _tree(chance, 2), _policy(chance)
    rule = {"source": ("kind", "p"), "target": ("kind", "q")} if chance.random() < 0.5 else None
    model = Model(tree, policy, rule)
    day = [(second, what) for second, what in _day(chance)]
    events = []
    for second, what in day:
        model.goes_on(second)
        gathers = what[0] == "acknowledges" and what[1] in model.fires and model.fires[what[1]].trouble is None
        if not gathers:  # that it becomes an incident is another story (test_replay)
            getattr(model, what[0])(*what[1:])
            events.append(_event(second, what))
    model.goes_on(day[-1][0] + 4 * 3600)
    found = play(plan_of(tmp_path, _yaml(tree, policy, rule)), People({}), *events, until=f"{model.now}s")
    # Of what happens in one second, each has an order of its own.
    assert sorted(((page.at - T0) // timedelta(seconds=1), page.to, page.step, page.loop, page.incident,
                   page.reason.partition(" alert")[0].partition(",")[0]) for page in found.pages) == sorted(model.pages)
