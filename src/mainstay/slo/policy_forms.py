"""Budget policies as files say them: `mainstay/v1`, `policy/v1`, and the section of the SLO document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position
from mainstay.kernel.metadata import read_metadata
from mainstay.kernel.reader import Reader
from mainstay.slo.policy import Action, Freeze, Notify, OpenIncident, Policy, Review, Zone
from mainstay.slo.spec import ErrorBudgetPolicy

_ACTIONS = ("notify", "notification", "review", "freeze", "incident")


def read_native_policy(reader: Reader) -> Iterator[ErrorBudgetPolicy]:
    """mainstay/v1 ErrorBudgetPolicy: zones by how much is `spent` (or `left`), each with its actions."""
    return _read(reader, "zones")


def read_seed_policy(reader: Reader) -> Iterator[ErrorBudgetPolicy]:
    """policy/v1 ErrorBudgetPolicy: thresholds by how much is `remaining`, each with its actions."""
    return _read(reader, "thresholds")


def _read(reader: Reader, key: str) -> Iterator[ErrorBudgetPolicy]:
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    service = spec.text("service", default="")
    zones = [zone for child in spec.children(key, required=True) if (zone := _zone(child)) is not None]
    spec.done()
    policy = _policy(spec, meta.name, zones)
    if policy is not None and meta.name:
        yield ErrorBudgetPolicy(meta.name, meta.origin, policy, service or meta.service)


def _policy(reader: Reader, name: str, zones: list[Zone]) -> Policy | None:
    if not zones:
        return None
    zones.sort(key=lambda zone: zone.edge)
    if zones[0].edge > 0:
        zones.insert(0, Zone("healthy", 0, meaning="changes flow"))
    edges = [zone.edge for zone in zones]
    names = [zone.name for zone in zones]
    if len(set(names)) != len(names):
        reader.report("duplicate-name", f"two zones of {name} have the same name", "give each zone its own name")
        return None
    if len(set(edges)) != len(edges):
        reader.report("duplicate-name", f"two zones of {name} begin at the same point", "give each zone its own edge")
        return None
    return Policy(name, tuple(zones))


def _zone(reader: Reader) -> Zone | None:
    given = [key for key in ("spent", "left", "remaining") if reader.has(key)]
    if len(given) != 1:
        reader.ignore("spent", "left", "remaining")
        reader.report("one-of", f"{reader.path} must say where it begins", "write spent: 75% or remaining: 25%")
        return None
    edge = reader.parsed(given[0], _edge_of_spent if given[0] == "spent" else _edge_of_left)
    reader.ignore("spent", "left", "remaining")
    name = reader.text("name")
    meaning = reader.text("meaning", default="")
    actions = tuple(action for child in reader.children("actions") if (action := _action(child)) is not None)
    reader.done()
    if edge is None:
        return None
    share, begins = edge
    shown = f"{share * 100:g} % {'spent' if given[0] == 'spent' else 'left'}"
    return Zone(name or shown, share if given[0] == "spent" else round(1 - share, 9), actions,
                meaning or "; ".join(_said(action) for action in actions), begins)


_Edge = tuple[float, Literal["at", "above"]]


def _edge_of_spent(text: str) -> _Edge:
    """`75%` and `>=75%` begin at the edge, `>75%` after it."""
    return _share(text.strip().removeprefix(">").removeprefix("=")), "above" if _beyond(text, ">") else "at"


def _edge_of_left(text: str) -> _Edge:
    """`25%` and `<=25%` begin at the edge, `<25%` after it."""
    return _share_left(text.strip().removeprefix("<").removeprefix("=")), "above" if _beyond(text, "<") else "at"


def _beyond(text: str, sign: str) -> bool:
    return text.strip().startswith(sign) and not text.strip().startswith(f"{sign}=")


def _share(text: str) -> float:
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        raise InvalidInput(f'"{text}" is not a percentage', "write 75%, or \">75%\" to begin after it") from None
    if not 0 <= value <= 1000:
        raise InvalidInput(f"{text} is outside what can be spent", "write a percentage such as 75%")
    return value / 100


def _share_left(text: str) -> float:
    share = _share(text)
    if share > 1:
        raise InvalidInput(f"{text} is more than there is", "write a percentage of at most 100%")
    return share


def _action(reader: Reader) -> Action | None:
    kind = reader.text("type", required=True, one_of=_ACTIONS)
    target = reader.text("target", default="")
    message = reader.text("message", default="")
    description = reader.text("description", default="")
    scope, priority = reader.text("scope", default=""), reader.text("priority", default="")
    reader.done()
    match kind:
        case "notify" | "notification":
            if not target:
                reader.report("missing-field", f"{reader.field('target')} is missing", "say whom to tell: target: NAME")
                return None
            return Notify(target, message or description or "the error budget entered a new zone")
        case "review":
            return Review(description or message or "recent changes and incidents")
        case "freeze":
            return Freeze(scope or "all-changes")
        case "incident":
            return OpenIncident(priority or "P1", description or message or "error budget spent")
        case _:
            return None


def _said(action: Action) -> str:
    match action:
        case Notify(whom):
            return f"{whom} is told"
        case Review(what):
            return f"review: {what}"
        case Freeze(scope):
            return f"{scope} are frozen"
        case OpenIncident(priority):
            return f"a {priority} incident is opened"


# -- the section of the SLO document ------------------------------------------------------------------------------

_CONSUMPTION = re.compile(r"consumption_(\d{1,3})")
_FREEZE = re.compile(r"freeze\b|\bno (new )?features", re.IGNORECASE)


def document_policy(section: Reader, name: str, service: str) -> ErrorBudgetPolicy | None:
    """`error_budget_policy:` of the SLO document: `consumption_50: {action, notification, …}` and so on.

    Its actions are sentences: one that speaks of a freeze freezes, a `notification` notifies, a `requirements` is a
    review, and 100 % opens an incident.
    """
    section.text("current_budget")
    zones: list[Zone] = []
    for key, _ in list(section.entries()):
        found = _CONSUMPTION.fullmatch(key)
        if found is None:
            if key != "current_budget":
                section.report("unknown-field", f"{section.field(key)} is not a field here",
                               "write consumption_50: for what holds from 50 % spent", key)
            continue
        child = section.child(key)
        if child is not None:
            zones.append(_document_zone(child, int(found[1])))
    policy = _policy(section, name, zones)
    where = Position(section.document.file, section.node.line, section.node.column)
    return ErrorBudgetPolicy(name, where, policy, service) if policy is not None else None


def _document_zone(child: Reader, percent: int) -> Zone:
    action, notification = child.text("action", default=""), child.text("notification", default="")
    requirements, focus = child.text("requirements", default=""), child.text("focus", default="")
    child.text("cadence")
    child.done()
    actions: list[Action] = []
    if _FREEZE.search(action):
        scope = re.sub(r"[^a-z0-9]+", "-", action.lower().replace("freeze", "")).strip("-")
        actions.append(Freeze("all-changes" if percent >= 100 else scope or "features"))
    if notification:
        actions.append(Notify(notification, f"{percent} % of the error budget is spent"))
    if requirements or focus:
        actions.append(Review(requirements or focus))
    if percent >= 100:
        actions.append(OpenIncident("P1", action or "error budget spent"))
    return Zone(f"{percent} % spent", percent / 100, tuple(actions), action)
