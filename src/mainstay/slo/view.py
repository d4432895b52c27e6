"""How results look: the verdict first, then why, then what to run next. Pure; numbers are rounded here only."""

from __future__ import annotations

from datetime import timedelta

from mainstay.kernel.quantity import format_duration, format_share
from mainstay.kernel.view import (
    Block,
    Cell,
    Column,
    Table,
    Text,
    cells,
    state_cell,
    table,
)
from mainstay.kernel.wording import burn_words, count, percent
from mainstay.slo.standing import Standing, WindowStanding

# -- standings ----------------------------------------------------------------------------------------------------

_ORDER = {"violated": 0, "at_risk": 1, "no_data": 2, "healthy": 3}


def worst_first(standings: tuple[Standing, ...]) -> list[Standing]:
    """Violated before at risk before no data before healthy, and by how much is spent within each."""
    return sorted(standings, key=lambda one: (_ORDER[one.status], -(one.consumption_percent or 0), one.name))


def verdict(standings: tuple[Standing, ...]) -> Text:
    """One sentence over all objectives: is it bad?"""
    if not standings:
        return Text("No objective is declared.", "quiet")
    bad = [one for one in standings if one.status == "violated"]
    risk = [one for one in standings if one.status == "at_risk"]
    blind = [one for one in standings if one.status == "no_data"]
    frozen = [one for one in standings if one.frozen]
    parts = []
    if bad:
        parts.append(f"{len(bad)} of {len(standings)} objectives violated: {_names(bad)}")
    if risk:
        parts.append(f"{len(risk)} at risk: {_names(risk)}")
    if blind:
        parts.append(f"{len(blind)} without data: {_names(blind)}")
    if frozen:
        parts.append(f"changes are frozen for {_names(frozen)}")
    if not parts:
        return Text(f"All {len(standings)} objectives are healthy." if len(standings) > 1
                    else "The objective is healthy.", "good")
    return Text(". ".join(part[:1].upper() + part[1:] for part in parts) + ".",
                "bad" if bad else "warn" if risk or frozen else "quiet")


def _names(some: list[Standing]) -> str:
    shown = ", ".join(one.name for one in some[:3])
    return shown if len(some) <= 3 else f"{shown} and {len(some) - 3} more"


def standings_table(standings: tuple[Standing, ...]) -> Table:
    """The objectives, worst first."""
    rows = []
    for one in worst_first(standings):
        left = Cell("–", "quiet") if one.remaining_percent is None else \
            Cell(percent(one.remaining_percent), bar=max(0.0, one.remaining_percent / 100))
        rows.append(cells(
            Cell(one.name, "strong", link=f"slo/show?name={one.name}"), one.service, state_cell(one.status),
            Cell("–", "quiet") if one.sli is None else format_share(one.sli, one.promise),
            str(one.promise), one.window, left, burn_words(one.burn_rates.get("1h")), exhausts(one),
            Cell("", spark=one.spark)))
    headings = (Column("objective"), Column("service", gives_way=4), Column("status"), Column("now", True),
                Column("target", True), Column("window", gives_way=3), Column("budget left"),
                Column("burn 1 h", True, gives_way=2), Column("spent in", gives_way=1),
                Column("left, 30 days", gives_way=5))
    return Table(headings, tuple(rows), empty="no objective is declared: write one, or start with mainstay slo try LOG")


def exhausts(one: Standing) -> str:
    """When the budget is spent, shortly."""
    found = one.exhaustion
    if found.state == "exhausted":
        return "spent"
    if found.state == "unknown":
        return "–"
    if found.hours is None:
        return f"not in {format_duration(timedelta(hours=found.horizon_hours or 0))}"
    return format_duration(timedelta(hours=found.hours))


def notes(standings: tuple[Standing, ...]) -> list[Block]:
    """What must be known beside the numbers: stale, simulated, warned of."""
    out: list[Block] = []
    simulated = [one.simulated_until for one in standings if one.simulated_until is not None]
    if simulated:
        out.append(Text(f"History before {max(simulated):%-d %b %H:%M} UTC is simulated.", "quiet"))
    for one in standings:
        if one.stale and one.measured_until is not None:
            out.append(Text(f"{one.name}: stale since {one.measured_until:%-d %b %H:%M} UTC", "warn"))
        out += [Text(f"{one.name}: {warning}", "quiet") for warning in one.warnings]
    return out


def windows_table(windows: tuple[WindowStanding, ...]) -> Table:
    """Each window of an objective with its own target."""
    return table("Windows", ("window", "target>", "measured>", "spent>", "status", "of>"), [
        (one.window, f"{one.target * 100:g} %", "–" if one.sli is None else f"{one.sli * 100:.3f} %",
         percent(one.consumption_percent), state_cell(one.status), count(one.total)) for one in windows])
