"""How results look: the verdict first, then why, then what to run next. Pure; numbers are rounded here only."""

from __future__ import annotations

import math
import shlex
from datetime import datetime, timedelta

from mainstay.kernel.quantity import Target, format_duration, format_share
from mainstay.kernel.view import (
    Block,
    Cell,
    Column,
    Next,
    Pairs,
    Table,
    Text,
    View,
    cells,
    state_cell,
    table,
)
from mainstay.slo.standing import Standing, WindowStanding
from mainstay.slo.trial import Trial

NO_DATA = Cell("no data", "quiet")


def count(number: float) -> str:
    """A count with separators, and decimals only when it has a part."""
    return f"{number:,.0f}" if abs(number - round(number)) < 1e-6 else f"{number:,.1f}"


def many(number: int, noun: str) -> str:
    """`1 slot`, `1,200 slots`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def percent(value: float | None, digits: int = 1) -> str:
    """A percentage that is already one, or a dash."""
    return "–" if value is None else f"{value:,.{digits}f} %"


def span_words(first: datetime, last: datetime) -> str:
    """`17 May 10:05 – 20 May 21:05 UTC, 3 d 11 h`."""
    year = "" if first.year == last.year else " %Y"
    return (f"{first:%-d %b{year} %H:%M} – {last:%-d %b{year} %H:%M} UTC, {format_duration(last - first)}"
            if last > first else f"{first:%-d %b %Y %H:%M} UTC")


def burn_words(rate: float | None) -> str:
    """`1.4×`, a dash where nothing was counted."""
    if rate is None:
        return "–"
    return "∞" if rate == float("inf") else f"{rate:.1f}×" if rate < 100 else f"{rate:,.0f}×"


# -- slo try ------------------------------------------------------------------------------------------------------


def trial_view(trial: Trial, *, rejects: bool) -> View:
    """What `slo try` shows."""
    target = Target.percent(round(trial.target * 100, 9))
    name = trial.files[0] if len(trial.files) == 1 else f"{len(trial.files)} files"
    read = f"{name} · {trial.format} · {trial.lines:,} lines: {trial.parsed:,} read, {trial.rejected:,} rejected"
    if trial.rejected and not rejects:
        read += " (--rejects shows them)" if trial.rejected > 1 else " (--rejects shows it)"
    if trial.repeated:
        read += f", {trial.repeated:,} repeated"
    if trial.left_out:
        read += f", {trial.left_out:,} left out"
    allowed = trial.total * float(target.budget)
    left = allowed - trial.bad
    word = "failure" if _failures(allowed) == "1" else "failures"
    over = round(trial.bad - allowed, 1)
    says = f"{_failures(left)} of {_failures(allowed)} {word} left" if left >= 0 else \
        f"{count(over)} {'failure' if over == 1 else 'failures'} too many"
    rows: list[tuple[str, tuple[Cell, ...]]] = [
        ("availability", cells(format_share(trial.sli, digits=target_digits(target) + 1), f"target {target}",
                               state_cell(trial.status))),
        ("budget", cells(Cell(f"{trial.consumption_percent:,.1f} % spent, {says}",
                              bar=trial.consumption_percent / 100))),
    ]
    worst = max(trial.by_day, key=lambda day: day.bad / day.total)
    if worst.bad and len(trial.by_day) > 1:
        day = datetime.fromisoformat(worst.day)
        rows.append(("worst day", cells(f"{day:%-d %b}, {worst.bad / worst.total * 100:.3f} % "
                                        f"({count(worst.bad)} of {count(worst.total)})")))
    if trial.latency is not None:
        rows += _latency_rows(trial, target)
    blocks: list[Block] = [Text(f"{read}\n{span_words(trial.first, trial.last)}"), Pairs(tuple(rows))]
    if trial.top_spenders:
        width = max(len(count(one.bad)) for one in trial.top_spenders)
        blocks.append(Pairs(tuple(("spent by" if index == 0 else "", cells(f"{count(one.bad):>{width}}×  {one.key}"))
                                  for index, one in enumerate(trial.top_spenders))))
    if rejects and trial.rejected_samples:
        blocks.append(table("Rejected lines", ("line>", "why", "text"),
                            [(f"{one.line:,}", one.reason, one.text) for one in trial.rejected_samples]))
    if allowed < 1:
        needed = math.ceil(1 / float(target.budget) - 1e-9)
        blocks.append(Text(f"{count(trial.total)} events are few for {target}: "
                           f"{count(needed)} are needed for one failure to be allowed", "quiet"))
    blocks.append(Next(_next_of(trial)))
    return View("", tuple(blocks))


def _next_of(trial: Trial) -> tuple[str, ...]:
    """Commands on the same files that can be pasted as they are; nothing for standard input, which is used up."""
    if "-" in trial.files:
        return ("mainstay slo downtime",)
    files = [shlex.quote(file) for file in trial.files]
    hints = (f"mainstay slo try {' '.join(files)} --latency 300ms",) if one_needs_threshold(trial) else ()
    return (*hints, "mainstay slo suggest " + " ".join(f"--from {file}" for file in files))


def target_digits(target: Target) -> int:
    """Digits behind the point of a share held against this target: one more than the target has, two at least."""
    return max(2, len(str(target).removesuffix(" %").partition(".")[2]) + 1)


def one_needs_threshold(trial: Trial) -> bool:
    """Whether the files hold durations that nobody asked to judge."""
    return trial.latency is not None and trial.latency.threshold_ms is None


def _failures(number: float) -> str:
    """Failures that may happen, whole; below one the tenth tells something."""
    return f"{number:,.0f}" if number >= 1 else f"{number:.1f}"


def _latency_rows(trial: Trial, target: Target) -> list[tuple[str, tuple[Cell, ...]]]:
    one = trial.latency
    assert one is not None
    percentiles = f"p50 {_ms(one.p50_ms)} · p95 {_ms(one.p95_ms)} · p99 {_ms(one.p99_ms)}"
    if one.sli is None or one.threshold_ms is None or one.good is None:
        return [("latency", cells(percentiles))]
    slow = one.total - one.good
    spent = slow / one.total / float(target.budget)
    return [("latency", cells(format_share(one.sli, target), f"within {_ms(one.threshold_ms)}", percentiles)),
            ("", cells(Cell(f"{count(slow)} of {count(one.total)} slower: {spent * 100:,.1f} % of the budget",
                            bar=spent)))]


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"


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
