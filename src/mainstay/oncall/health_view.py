"""What the pager cost, as tables and a chart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from mainstay.kernel.view import Block, Cell, Chart, Column, Line, Next, Table, Text, View, cells, table
from mainstay.kernel.wording import many, span_words
from mainstay.oncall.burden import Fairness, Health, Page
from mainstay.oncall.view import moment_cell
from mainstay.stats.drift import Drift

_SHOWN = 200
_BURDEN = 50
"""A score above half of what is possible is shown in the colour of a warning."""
_KINDS = {"night": "night", "day": "day", "shift": "shift", "size": "rotation"}
_TRENDS: dict[Drift, str] = {"rising": "more each week", "falling": "fewer each week",
                             "steady": "neither rising nor falling",
                             "insufficient data": "too few weeks to see a trend"}


def hours(length: timedelta) -> str:
    """`168 h`."""
    return f"{length / timedelta(hours=1):,.0f} h"


def health_view(found: Health) -> View:
    """Is it too much, for whom, since when, and what to do."""
    woken = sum(one.sleep for one in found.people)
    head = Text(f"{span_words(*found.span)} · {many(len(found.people), 'person')}, "
                f"{many(len(found.pages), 'page')}".replace("persons", "people"), "quiet")
    excess = [one for one in found.warnings if one.kind != "size"]
    if not found.pages:
        verdict = Text("Nobody was paged.", "good")
    elif excess:
        verdict = Text(f"Limits were passed {many(len(excess), 'time')}; somebody was woken in "
                       f"{many(woken, 'night')}; pages: {_TRENDS[found.trend]}.", "bad")
    else:
        verdict = Text(f"Within the limits; somebody was woken in {many(woken, 'night')}; pages: "
                       f"{_TRENDS[found.trend]}.", "good")
    blocks: list[Block] = [head, verdict, _people(found)]
    if found.warnings:
        blocks.append(table("Limits", ("what", "who", "why"), [
            (Cell(_KINDS[one.kind], tone="warn"), one.who, one.says) for one in found.warnings[:_SHOWN]]))
    if found.fairness:
        blocks.append(_fairness(found.fairness))
    if found.weekly and found.pages:
        blocks.append(_chart(found))
    if found.rows:
        blocks.append(_rows(found.pages))
    blocks.append(Next(("mainstay oncall propose --rotation NAME --weeks 12",
                        "mainstay oncall health --rows", "mainstay oncall health --person NAME")))
    return View("On-call health", tuple(blocks))


def _people(found: Health) -> Table:
    columns = (Column("person"), Column("pages", right=True), Column("nights woken", right=True),
               Column("weekend pages", right=True, gives_way=2), Column("after hours", right=True, gives_way=3),
               Column("interruptions", right=True, gives_way=5), Column("on call", right=True),
               Column("at night", right=True, gives_way=4), Column("at weekends", right=True, gives_way=6),
               Column("burden", right=True), Column("zone", gives_way=1))
    rows = tuple(cells(
        Cell(one.who, tone="strong"), str(one.pages), str(one.sleep), str(one.weekends), str(one.after_hours),
        str(one.interruptions), hours(one.hours), hours(one.night_hours), hours(one.weekend_hours),
        Cell(str(one.burden), tone="warn" if one.burden > _BURDEN else "plain"), one.zone)
        for one in sorted(found.people, key=lambda one: (-one.burden, -one.pages, one.who)))
    return Table(columns, rows, "", "nobody takes turns: declare a Rotation")


def _fairness(shares: Sequence[Fairness]) -> Table:
    rows = []
    for one in shares:
        unit = "" if one.what == "pages" else " h"
        known = one.gini
        said = "–" if known is None else f"{known.value:.2f}" + (
            f" ({known.low:.2f}–{known.high:.2f})" if known.low is not None and known.high is not None else "")
        rows.append((one.rotation, one.what, f"{one.least:,.0f}{unit}", f"{one.most:,.0f}{unit}", said))
    return table("How evenly it is shared (Gini: 0 is even, with its 95 % interval)",
                 ("rotation", "what", "least>", "most>", "Gini>"), rows)


def _chart(found: Health) -> Chart:
    title = f"Pages a week: {found.weekly[-1]} in the last, {_TRENDS[found.trend]}"
    return Chart(title, found.weeks, (Line("pages", tuple(float(count) for count in found.weekly)),))


def _rows(pages: Sequence[Page]) -> Table:
    shown = pages[-_SHOWN:]
    rows = [(moment_cell(one.at), one.who, one.local.replace("T", " ")[5:], one.incident, one.severity or "–",
             one.pager or "not on call", ", ".join(said for said, holds in (
                 ("night", one.night is not None), ("weekend", one.weekend), ("after hours", one.after_hours)) if holds)
             or "–", str(len(one.channels) or 1)) for one in shown]
    title = "Every page" + (f", the newest {len(shown)} of {len(pages)}" if len(shown) < len(pages) else "")
    return table(title, ("at", "who", "their clock", "incident", "severity", "pager", "when", "channels>"), rows,
                 empty="nobody was paged")
