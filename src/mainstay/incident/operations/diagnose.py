"""`mainstay incident diagnose`: health, budget, changes, dependencies, incidents like it, onto the timeline.

Each part is asked in a thread of its own and within a time of its own, and stands on the timeline as soon as it is
known: a service that hangs delays nothing but its own line. `mainstay serve` does this for every incident that opens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from itertools import islice

from mainstay.incident import diagnosis
from mainstay.incident.diagnosis import LOOK_BACK, Diagnosed, Diagnosis, Neighbour, Past
from mainstay.incident.ongoing import Incident
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.operations.looking import find
from mainstay.incident.spec import Diagnostics
from mainstay.incident.state import State
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import MainstayError
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import Probed, World
from mainstay.kernel.view import Cell, Next, Text, View, table

PART_TIME_OUT = timedelta(seconds=4)
"""For one part; what has not answered by then is said to have not."""

_CHECKS_AT_ONCE = 16
_COMPARED = 50
"""Earlier incidents of the same services that are looked at, the newest first."""

_ALERTS_COMPARED = 5
CHANGES = ("deployment.", "flag.", "experiment.")


def diagnose(world: World, one: Incident) -> tuple[Diagnosis, ...]:
    """What was found out, each part recorded as soon as it was known; nothing of it takes longer than its time-out."""
    asks: dict[str, Callable[[], Diagnosis]] = {
        "health": lambda: diagnosis.health(_probed(world, declared(world, one.services))),
        "budget": lambda: diagnosis.budget(world.standing(world, one.services)),
        "changes": lambda: diagnosis.changes(world.journal.facts(FactQuery(
            kinds=CHANGES, since=one.opened - LOOK_BACK)), one.services, one.opened),
        "dependencies": lambda: diagnosis.dependencies(_neighbours(world, one)),
        "similar": lambda: _similar(world, one)}
    begun = time.monotonic()
    workers = ThreadPoolExecutor(len(asks), thread_name_prefix="mainstay-diagnosis")
    try:
        return _gathered(world, one.id, {workers.submit(ask): part for part, ask in asks.items()}, begun)
    finally:
        workers.shutdown(wait=False, cancel_futures=True)


def _gathered(world: World, incident: str, running: dict[Future[Diagnosis], str], begun: float,
              ) -> tuple[Diagnosis, ...]:
    found: dict[str, Diagnosis] = {}
    until = begun + PART_TIME_OUT.total_seconds()
    while running:
        done, _ = wait(running, max(until - time.monotonic(), 0.0), return_when="FIRST_COMPLETED")
        for future in done or list(running):
            part = running.pop(future)
            found[part] = _told(part, future)
            desk_of(world).do(Diagnosed(incident, found[part], time.monotonic() - begun))
    return tuple(found[part] for part in diagnosis.PARTS)


def _told(part: str, future: Future[Diagnosis]) -> Diagnosis:
    if not future.done():
        return Diagnosis(part, f"no answer within {PART_TIME_OUT.total_seconds():g} s", "warn")
    try:
        return future.result()
    except MainstayError as error:
        return Diagnosis(part, f"could not be told: {error.message}", "warn")


def declared(world: World, services: Iterable[str]) -> tuple[Diagnostics, ...]:
    """What is declared to be asked about these services."""
    wanted = set(services)
    return tuple(one for one in world.catalog.of(Diagnostics) if one.service in wanted)


def _probed(world: World, asked: Sequence[Diagnostics]) -> tuple[Probed, ...]:
    checks = [(url, one.time_out) for one in asked for url in one.health]
    if not checks:
        return ()
    workers = ThreadPoolExecutor(min(len(checks), _CHECKS_AT_ONCE), thread_name_prefix="mainstay-health")
    try:
        return tuple(workers.map(lambda check: world.probe(*check), checks))
    finally:
        workers.shutdown(wait=False)


# -- dependencies -------------------------------------------------------------------------------------------------


def _neighbours(world: World, one: Incident) -> tuple[Neighbour, ...]:
    """The services that the incident's depend on, as their diagnostics and their objectives say."""
    depended: dict[str, str] = {}
    for known in declared(world, one.services):
        depended |= dict.fromkeys(known.depends_on, known.service)
    for standing in world.standing(world, one.services):
        depended |= {name: standing.service for name in standing.depends_on if name not in depended}
    names = [name for name in depended if name not in one.services]
    if not names:
        return ()
    checks = {check.url: check for check in _probed(world, declared(world, names))}
    standings = world.standing(world, names)
    open_ones = [other for other in desk_of(world).state.open_incidents() if other.id != one.id]
    return tuple(Neighbour(
        name, depended[name], tuple(other.id for other in open_ones if name in other.services),
        tuple(checks[url] for known in declared(world, (name,)) for url in known.health),
        tuple(standing for standing in standings if standing.service == name)) for name in names)


# -- incidents like it --------------------------------------------------------------------------------------------


def _similar(world: World, one: Incident) -> Diagnosis:
    state = desk_of(world).state
    books = tuple(url for known in declared(world, one.services) for url in known.runbooks)
    mine = _past(world, one, books)
    # Not further back than is compared: in a storm there are thousands, and each of them asks.
    return diagnosis.similar(mine, [_past(world, other, ()) for other in islice(_like(state, one), _COMPARED)])


def _like(state: State, one: Incident) -> Iterator[Incident]:
    """Earlier incidents of the same group or of a service in common, the newest first."""
    services = set(one.services)
    for other in state.incidents.newest():
        alike = (one.group and other.group == one.group) or not services.isdisjoint(other.services)
        if alike and other.id != one.id and other.opened <= one.opened and not other.merged_into:
            yield other


def _past(world: World, one: Incident, runbooks: tuple[str, ...]) -> Past:
    """The incident with the signs of its first alerts, and what was said last of it."""
    alerts: list[str] = []
    ending = ""
    for fact in world.journal.facts(FactQuery(kinds=("incident.",), subject=one.id)):
        match fact.kind:
            case "incident.opened" | "incident.joined":
                alerts += fact.data["alerts"][:_ALERTS_COMPARED - len(alerts)]
            case "incident.noted" | "incident.update-posted":
                ending = str(fact.data["text"])
            case _:
                pass
    signs: dict[str, None] = {}
    books = dict.fromkeys(runbooks)
    for name in alerts:
        for key, labels, told in _as_opened(world, name):
            signs[key] = None
            if title := labels.get("alertname"):
                signs[str(title)] = None
            if url := told.get("runbook_url"):
                books[str(url)] = None
    return Past(one.id, one.title, one.services, one.group, one.opened, one.resolved, frozenset(signs), ending,
                tuple(books))


def _as_opened(world: World, name: str) -> Iterator[tuple[str, Mapping[str, str], Mapping[str, str]]]:
    """The alert's key, labels and annotations."""
    one = desk_of(world).state.alerts.get(name)
    if one is not None:  # nothing is read for those that fire: in a storm they are what the others are like
        yield one.key.key, one.labels, one.annotations
        return
    for fact in world.journal.facts(FactQuery(kinds=("alert.opened",), subject=name)):
        yield str(fact.data["key"]), fact.data["labels"], fact.data.get("annotations", {})


# -- mainstay incident diagnose -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class DiagnoseRequest:
    """Which incident."""

    name: str = arg("the incident, such as INC-12", positional=True)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out; the field names are its stable JSON."""

    incident: str
    parts: tuple[Diagnosis, ...]


def run(world: World, request: DiagnoseRequest) -> Found:
    """Find out what is wrong: health, budget, changes, dependencies, incidents like it."""
    one = find(world, request.name)
    return Found(one.id, diagnose(world, one))


def view(found: Found) -> View:
    """What each part found, and the rows behind it."""
    rows = [(part.part, Cell(part.text, tone=part.tone)) for part in found.parts]
    behind = [table(part.part.capitalize(), ("what was found",), [(Cell(row.text, tone=row.tone, link=row.link),)
                                                                  for row in part.rows]) for part in found.parts
              if part.rows]
    return View(f"{found.incident} diagnosed", (
        Text(f"{found.incident}, asked just now; the timeline keeps it.", "quiet"),
        table("", ("part", "found"), rows), *behind, Next((f"mainstay incident show {found.incident}",))))


DIAGNOSE = Operation(
    "incident", "diagnose", DiagnoseRequest, run, view, scope="write",
    exit_codes=((0, "asked"), (2, "there is no such incident")),
    examples=("mainstay incident diagnose INC-12", "mainstay incident diagnose INC-12 --json"))
