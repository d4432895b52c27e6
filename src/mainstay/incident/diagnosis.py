"""What is found out when an incident opens: health, budget, what changed, dependencies, incidents like it.

Each part is a line of the timeline of its own, with the rows behind it. Pure: `operations/diagnose.py` asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from mainstay.incident.act import Act
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NotFound
from mainstay.kernel.journal import Fact
from mainstay.kernel.ports import Probed, ServiceStanding
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import Tone
from mainstay.kernel.wording import many

PARTS = ("health", "budget", "changes", "dependencies", "similar")
LOOK_BACK = timedelta(hours=6)
"""How long before the opening a deployment or a flipped flag is still suspected."""

SLOW = timedelta(seconds=1)
"""A health check that takes longer is said to be slow."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of what was found; `link` leads to more."""

    text: str
    tone: Tone = "plain"
    link: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What one part found: a sentence, and the rows behind it."""

    part: str
    text: str
    tone: Tone = "plain"
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """Something was found out about an incident."""

    incident: str
    found: Diagnosis
    seconds: float


def record(act: Act, happened: Diagnosed) -> None:
    """Put it on the timeline.

    Raises:
        NotFound: there is no such incident.
    """
    if act.state.incidents.get(happened.incident) is None:
        raise NotFound(f'no incident is named "{happened.incident}"', "mainstay incident list shows the open ones")
    found = happened.found
    act.record("incident.diagnosed", happened.incident, {
        "part": found.part, "text": found.text, "tone": found.tone, "seconds": round(happened.seconds, 3),
        "rows": [{"text": row.text, "tone": row.tone, "link": row.link} for row in found.rows]})


def read(fact: Fact) -> Diagnosis:
    """What a fact `incident.diagnosed` says."""
    data = fact.data
    return Diagnosis(data["part"], data["text"], data["tone"],
                     tuple(Row(row["text"], row["tone"], row["link"]) for row in data["rows"]))


# -- the parts ----------------------------------------------------------------------------------------------------


def health(checks: Sequence[Probed]) -> Diagnosis:
    """How the services' health checks answered."""
    if not checks:
        return Diagnosis("health", "no health check is declared for its services", "quiet",
                         (Row("declare one: kind: Diagnostics, spec.health", "quiet"),))
    rows = tuple(Row(_answered(one), "good" if one.healthy else "bad", one.url) for one in checks)
    bad = sum(not one.healthy for one in checks)
    failing = [one.url for one in checks if not one.healthy]
    named = ", ".join(failing[:2]) + (f" and {len(failing) - 2} more" if len(failing) > 2 else "")
    text = f"{bad} of {many(len(checks), 'health check')} {'fails' if bad == 1 else 'fail'}: {named}" if bad else \
        f"{many(len(checks), 'health check')}, all good"
    return Diagnosis("health", text, "bad" if bad else "good", rows)


def _answered(one: Probed) -> str:
    if one.status is None:
        return f"{one.url}: {one.problem}"
    slow = ", slow" if one.seconds > SLOW.total_seconds() else ""
    return f"{one.url} answers {one.status} in {round(one.seconds * 1000):,} ms{slow}"


def budget(standings: Sequence[ServiceStanding]) -> Diagnosis:
    """How the error budgets of the services stand, the worst first."""
    if not standings:
        return Diagnosis("budget", "no objective is declared for its services", "quiet")
    rows = tuple(Row(_stands(one), _TONES[one.state], f"slo/show?name={one.objective}") for one in standings)
    worst = standings[0]
    burns = [one for one in standings if one.burn is not None and one.burn >= 1]
    fastest = max(burns, key=lambda one: one.burn or 0.0, default=None)
    says = "no data" if worst.spent is None else f"{worst.spent * 100:.1f} % of {worst.objective}'s budget is spent"
    text = f"{says}; {fastest.objective} burns {fastest.burn:.1f}× as fast as allowed" if fastest else says
    return Diagnosis("budget", text, _TONES[worst.state], rows)


_TONES: dict[str, Tone] = {"healthy": "good", "at_risk": "warn", "violated": "bad", "no_data": "quiet"}


def _stands(one: ServiceStanding) -> str:
    if one.spent is None:
        return f"{one.objective}: no data"
    burn = "" if one.burn is None else f", burning {one.burn:.1f}× over the last hour"
    return f"{one.objective}: {one.spent * 100:.1f} % of {one.window} spent{burn}"


def changes(facts: Iterable[Fact], services: Sequence[str], opened: datetime) -> Diagnosis:
    """Deployments, flag flips and experiments of the last hours, of its services first, the newest first."""
    recent = [fact for fact in facts if opened - LOOK_BACK <= fact.at <= opened]
    ordered = sorted(recent, key=lambda fact: (fact.data.get("service", "") not in services, -fact.at.timestamp()))
    rows = tuple(_changed(fact, services, opened) for fact in ordered[:_MOST_ROWS])
    own = sum(row.tone == "warn" for row in rows)
    if not recent:
        return Diagnosis("changes", f"nothing was deployed or flipped in the {format_duration(LOOK_BACK)} before",
                         "quiet")
    text = f"{many(len(recent), 'change')} in the {format_duration(LOOK_BACK)} before" + (
        f", {own} of its own services" if own else ", none of its own services")
    return Diagnosis("changes", f"{text}: {rows[0].text}", "warn" if own else "plain", rows)


_MOST_ROWS = 10


def _changed(fact: Fact, services: Sequence[str], opened: datetime) -> Row:
    what = fact.kind.partition(".")[0]
    service = str(fact.data.get("service", ""))
    said = str(fact.data.get("text", ""))
    ago = format_duration(opened - fact.at)
    of = f" of {service}" if service and service != fact.subject else ""
    return Row(f"{what} {fact.subject}{of}, {ago} before" + (f": {said}" if said else ""),
               "warn" if service in services else "plain")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A service that another depends on, as it is now.

    Args:
        incidents: of it that are open.
    """

    service: str
    of: str
    incidents: tuple[str, ...] = ()
    checks: tuple[Probed, ...] = ()
    standings: tuple[ServiceStanding, ...] = ()


def dependencies(neighbours: Sequence[Neighbour]) -> Diagnosis:
    """How the services stand that its own depend on."""
    if not neighbours:
        return Diagnosis("dependencies", "no dependency is declared for its services", "quiet")
    rows = tuple(_neighbour(one) for one in neighbours)
    bad = [one.service for one, row in zip(neighbours, rows, strict=True) if row.tone == "bad"]
    count = "1 dependency" if len(rows) == 1 else f"{len(rows)} dependencies"
    if bad:
        return Diagnosis("dependencies", f"{', '.join(bad)} is in trouble too" if len(bad) == 1
                         else f"{', '.join(bad)} are in trouble too", "bad", rows)
    return Diagnosis("dependencies", f"{count}, none in trouble that is known of", "good", rows)


def _neighbour(one: Neighbour) -> Row:
    said = [f"{many(len(one.incidents), 'open incident')}: {', '.join(one.incidents)}"] if one.incidents else []
    said += [_answered(check) for check in one.checks]
    said += [_stands(standing) for standing in one.standings]
    bad = bool(one.incidents) or any(not check.healthy for check in one.checks) or any(
        standing.state == "violated" or (standing.burn or 0) >= _FAST for standing in one.standings)
    return Row(f"{one.service}: " + ("; ".join(said) or "nothing is known of it"), "bad" if bad else "plain",
               f"incident/show?name={one.incidents[0]}" if one.incidents else "")


_FAST = 14.4
"""Burn rate that spends 2 % of a 30-day budget in an hour; the Workbook's paging threshold."""


@dataclass(frozen=True, slots=True)
class Past:
    """An incident as it is compared with others.

    Args:
        signs: keys of its alerts, and their `alertname` labels.
        ending: what was said last about it.
    """

    id: str
    title: str
    services: tuple[str, ...]
    group: str
    opened: datetime
    resolved: datetime | None
    signs: frozenset[str] = frozenset()
    ending: str = ""
    runbooks: tuple[str, ...] = ()


def similar(one: Past, others: Sequence[Past]) -> Diagnosis:
    """Earlier incidents like this one, the newest first: how many, the last, how it ended, their runbooks."""
    found = [(other, why) for other in others if other.id != one.id and other.opened <= one.opened
             and (why := _alike(one, other))]
    if not found:
        books = tuple(Row(f"runbook {url}", "plain", url) for url in one.runbooks)
        return Diagnosis("similar", "no earlier incident is like this one", "quiet", books)
    found.sort(key=lambda pair: pair[0].opened, reverse=True)
    last, why = found[0]
    length = f", over after {format_duration(last.resolved - last.opened)}" if last.resolved else ", still open"
    text = f"{many(len(found), 'earlier incident')} like this one; the last {last.id} on {last.opened:%-d %b}"
    text += f"{length}, {why}" + (f': "{last.ending}"' if last.ending else "")
    rows = tuple(Row(_past(other, reason), "plain", f"incident/show?name={other.id}")
                 for other, reason in found[:_MOST_ROWS])
    urls = dict.fromkeys(url for past in (one, *(other for other, _ in found)) for url in past.runbooks)
    return Diagnosis("similar", text, "plain", (*rows, *(Row(f"runbook {url}", "plain", url) for url in urls)))


def _alike(one: Past, other: Past) -> str:
    """Why the two are alike; empty when they are not."""
    if one.group and one.group == other.group:
        return "the same alerts"
    if signs := one.signs & other.signs:
        return f"the same alert ({min(signs)})"
    if one.title.casefold() == other.title.casefold() and set(one.services) == set(other.services):
        return "the same title and service"
    return ""


def _past(other: Past, why: str) -> str:
    ended = f": {other.ending}" if other.ending else ""
    return f"{other.id} {other.title}, {other.opened:%-d %b %Y}, {why}{ended}"
