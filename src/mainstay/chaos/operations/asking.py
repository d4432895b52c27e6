"""Asking one probe: the question, its tolerance, and the answer in short."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from mainstay.chaos.hypothesis import Asked, Probe, Standing, answers, said, within
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError
from mainstay.kernel.objective import Objective
from mainstay.kernel.ports import World
from mainstay.kernel.probing import Ask, CallAsk, Heard, HttpAsk, TcpAsk
from mainstay.kernel.workload import Workload, workload_named

GRACE = 0.5
"""Seconds beyond a question's own after which its answer counts as missing, however long the thread hangs on."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking a probe once.

    Args:
        value: in short.
        why: why it is not tolerated; empty when it is.
    """

    ok: bool
    value: str
    seconds: float
    why: str = ""


def bound(probe: Probe, catalog: Catalog, target: Workload) -> Probe:
    """The probe with the workload that it is asked of.

    Raises:
        NotFound: it names a workload that is not there.
        InvalidInput: the workload says neither an address nor a health check.
    """
    ask = probe.ask
    if isinstance(ask, Standing | CallAsk):
        return probe
    workload = workload_named(catalog, probe.workload) if probe.workload else target
    if isinstance(ask, HttpAsk) and not ask.url.startswith(("http://", "https://")):
        path = ask.url or workload.health
        if path.startswith(("http://", "https://")):
            return replace(probe, ask=replace(ask, url=path))
        if not path or not workload.address.said:
            raise InvalidInput(f"{probe.name}: {workload.name} has no " + ("address" if path else "health check"),
                               f"write address: and health: in the Workload {workload.name}, or a whole url:")
        return replace(probe, ask=replace(ask, url=path, workload=workload))
    if isinstance(ask, TcpAsk) and not ask.address:
        if not workload.address.said:
            raise InvalidInput(f"{probe.name}: {workload.name} has no address",
                               f"write address: in the Workload {workload.name}, or in the probe")
        return replace(probe, ask=replace(ask, workload=workload))
    return probe


def time_of(probe: Probe) -> float:
    """Seconds within which it has an answer."""
    limit = 30.0 if isinstance(probe.ask, Standing) else probe.ask.seconds
    return limit * (2 if isinstance(probe.tolerance, Asked) else 1) + GRACE


def ask(world: World, probe: Probe) -> Answer:
    """Ask, and judge the answer."""
    heard = stands(world, probe.ask) if isinstance(probe.ask, Standing) else \
        _heard(lambda question: world.prober().ask(question), probe.ask)
    if heard.problem:
        return Answer(False, "", heard.seconds, heard.problem)
    if probe.faster is not None and heard.seconds > probe.faster:
        return Answer(False, gist(heard.value), heard.seconds,
                      f"it took {heard.seconds:.3g} s, and {probe.faster:.3g} s are allowed")
    ok, why = judged(world, probe, heard.value)
    return Answer(ok, gist(heard.value), heard.seconds, why)


def judged(world: World, probe: Probe, value: Any) -> tuple[bool, str]:
    """Whether the value is tolerated, and why not; another probe is asked where one decides."""
    tolerance = probe.tolerance
    if isinstance(tolerance, Asked):
        question = tolerance.ask
        if isinstance(question, CallAsk):
            question = replace(question, arguments={**question.arguments, "value": value})
        heard = _heard(lambda it: world.prober().ask(it), question)
        ok = not heard.problem and answers(heard.value)
        return ok, "" if ok else heard.problem or "the probe that decides said no"
    ok = within(tolerance, value)
    return ok, "" if ok else f"it is {gist(value)}, and {said(tolerance)} is tolerated"


Q = TypeVar("Q", bound=Ask)


def _heard(ask_it: Callable[[Q], Heard], question: Q) -> Heard:
    try:
        return ask_it(question)
    except MainstayError as error:
        return Heard(None, error.message)


def stands(world: World, asked: Standing) -> Heard:
    """How an objective stands by the ledger."""
    began = world.clock.monotonic()
    try:
        objective = world.catalog.get(Objective, asked.objective)
        found = [one for one in world.standing(world, [objective.service]) if one.objective == asked.objective]
    except MainstayError as error:
        return Heard(None, error.message)
    passed = world.clock.monotonic() - began
    if not found:
        return Heard(None, f"nothing is known of {asked.objective}", passed)
    return Heard({"state": found[0].state, "spent": found[0].spent, "burn": found[0].burn}, "", passed)


def gist(value: Any) -> str:
    """A value in at most 60 characters."""
    if isinstance(value, dict) and "status" in value:
        return str(value["status"])
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:59] + "…"
