"""`mainstay/v1 ToilPolicy`: what a team holds its work against, who belongs to which team, who leads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import date, timedelta

from mainstay.kernel.catalog import Catalog, Form, Grammar
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Finding, Position
from mainstay.kernel.metadata import parse_date, read_metadata
from mainstay.kernel.reader import Reader
from mainstay.stats.budget import share_of_percent
from mainstay.toil.automation import COST
from mainstay.toil.share import LINE, WORKING_DAY, Rules


@dataclass(frozen=True, slots=True)
class ToilPolicy:
    """How a team counts its toil.

    Args:
        line: the most of anybody's time that may be toil, as a share.
        team_of: each engineer's team, for work that is logged without one.
        leads: who may see the figures of single people.
        efforts: hours to automate a task, where they were estimated.
        services: how many services there were, by the day from which it held.
        holidays: days on which nobody is expected to work.
        name_engineers: whether the metrics name people; everybody who may read metrics then sees everybody's hours.
    """

    name: str
    origin: Position
    line: float = LINE
    hourly_cost: float = COST
    working_day: float = WORKING_DAY
    team_of: Mapping[str, str] = field(default_factory=dict)
    leads: tuple[str, ...] = ()
    efforts: Mapping[str, float] = field(default_factory=dict)
    services: Mapping[date, float] = field(default_factory=dict)
    name_engineers: bool = False
    holidays: frozenset[date] = frozenset()

    @property
    def rules(self) -> Rules:
        """The part that figures are worked out with."""
        return Rules(self.line, self.hourly_cost, self.working_day, self.holidays)


DEFAULT = ToilPolicy("default", Position(""))
"""Where the catalog declares none."""


def policy_of(catalog: Catalog) -> ToilPolicy:
    """The catalog's policy, or the default."""
    return next(iter(catalog.of(ToilPolicy)), DEFAULT)


def read_policy(reader: Reader) -> Iterator[ToilPolicy]:
    """mainstay/v1 ToilPolicy."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    before = len(spec.findings)
    line = spec.parsed("line", _line)
    cost, day = spec.number("hourly_cost", minimum=0), spec.duration("working_day")
    policy = ToilPolicy(
        meta.name, meta.origin, LINE if line is None else line, COST if cost is None else cost,
        WORKING_DAY if day is None else _hours(spec, day), _teams(spec), spec.texts("leads"), _efforts(spec),
        _services(spec), spec.flag("name_engineers"), _holidays(spec))
    spec.done()
    if meta.name and len(spec.findings) == before:
        yield policy


def _line(text: str) -> float:
    share = float(share_of_percent(text, "line"))
    if not 0 < share <= 1:
        raise InvalidInput(f"{text} % cannot be held", "write a percentage above 0, such as 50")
    return share


def _hours(spec: Reader, day: timedelta) -> float:
    hours = day.total_seconds() / 3600
    if hours > 24:
        spec.report("out-of-range", f"{spec.path}.working_day is {hours:g} h", "write at most 24h", "working_day")
    return hours


def _teams(spec: Reader) -> dict[str, str]:
    out: dict[str, str] = {}
    for team in spec.children("teams"):
        name = team.text("name", required=True, default="")
        for member in team.texts("members", required=True):
            if member in out:
                team.report("two-teams", f'"{member}" is in two teams, {out[member]} and {name}',
                            "keep each engineer in one team", "members")
            out[member] = name
        team.done()
    return out


def _efforts(spec: Reader) -> dict[str, float]:
    child, out = spec.child("efforts"), {}
    if child is None:
        return {}
    for task, _ in child.entries():
        hours = child.number(task, minimum=0)
        if hours is not None:
            out[task] = hours
    child.done()
    return out


def _services(spec: Reader) -> dict[date, float]:
    out: dict[date, float] = {}
    for entry in spec.children("services"):
        since, count = entry.moment("from", required=True), entry.number("count", required=True, minimum=1)
        entry.done()
        if since is not None and count is not None:
            out[since.date()] = count
    return out


def _holidays(spec: Reader) -> frozenset[date]:
    out = set()
    for text in spec.texts("holidays"):
        try:
            out.add(parse_date(text))
        except InvalidInput as error:
            spec.report("invalid-value", f"{spec.path}.holidays: {error.message}", error.way_out, "holidays")
    return frozenset(out)


def check(catalog: Catalog) -> Iterator[Finding]:
    """There is one ledger, so there is one policy."""
    first, *others = catalog.of(ToilPolicy) or (None,)
    for other in others:
        if other is not None and first is not None:
            yield Finding("policy-twice", other.origin,
                          f'"{other.name}" and "{first.name}" ({first.origin}) are both toil policies',
                          "keep one; teams of their own are entries under its teams")


GRAMMAR = Grammar((Form("mainstay/v1 ToilPolicy", read_policy, "mainstay/v1", "ToilPolicy"),), (), (check,))
"""The word's part of what the catalog can hold."""
