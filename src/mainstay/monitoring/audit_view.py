"""The audit of alerts as people read it: on screen, and as the Markdown of a monthly review. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import (
    Block,
    Cell,
    Chart,
    Column,
    Entry,
    Line,
    Next,
    Pairs,
    Table,
    Text,
    Timeline,
    Tone,
    View,
    cells,
    table,
)
from mainstay.kernel.wording import many, span_words
from mainstay.monitoring.audit import AlertFigures, PersonFigures, Storm, TeamFigures, Yardsticks
from mainstay.monitoring.audit_advice import Suggestion

_SHOWN = 20
"""Rows of a table on screen and in the report; JSON has them all."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What the alerts of a span amount to; the field names are its stable JSON. Shares are 0..1.

    Args:
        read: what was read.
        unacted: None where too few acts are recorded in the span to conclude from.
        would_save: firings that would not have been if every suggestion were followed.
        problems: declared sources that could not be read, and why.
        rules_known: whether a place said which rules are in force, so that silence can be told.
        markdown: the report, where it was asked for.
    """

    generated_at: datetime
    start: datetime
    end: datetime
    read: tuple[str, ...]
    firings: int
    flapping: int
    short: int
    unacted: int | None
    would_save: int
    severities: dict[str, int]
    after_hours: dict[str, float]
    alerts: tuple[AlertFigures, ...]
    teams: tuple[TeamFigures, ...]
    people: tuple[PersonFigures, ...]
    storms: tuple[Storm, ...]
    never_fired: tuple[str, ...]
    rules_known: bool
    suggestions: tuple[Suggestion, ...]
    problems: dict[str, str]
    rejected: tuple[str, ...]
    rejections: int
    definitions: tuple[str, ...]
    markdown: str | None

    def with_markdown(self, text: str) -> Audit:
        """The same with its report."""
        return replace(self, markdown=text)

    @property
    def days(self) -> int:
        """Whole and begun days of the span."""
        return max(1, -(-int((self.end - self.start).total_seconds()) // 86_400))


def definitions(yard: Yardsticks) -> tuple[str, ...]:
    """What the words mean, with the numbers that were used."""
    hours = f"{yard.office[0]}:00–{yard.office[1]}:00"
    return (
        f"flapping: one instance fires {yard.flap_least} times or more, each within {format_duration(yard.flap_gap)} "
        "of the end of the one before",
        f"before seen: over within {format_duration(yard.short)}",
        "acted on: a person recorded an incident, an acknowledgement, a silence or a runbook about it, from 5 m before "
        "to 30 m after",
        f"after hours: begun outside of Monday to Friday, {hours}, {yard.zones[0]}",
        f"storm: {yard.storm} instances or more begin within {format_duration(yard.storm_within)}")


def _percent(part: float, whole: float) -> str:
    return f"{part / whole * 100:.0f} %" if whole else "–"


def verdict(found: Audit) -> Text:
    """One sentence: how much, how much of it noise, how much could go."""
    if not found.firings:
        return Text("Nothing began to fire in this span.", "good")
    noise = [f"{_percent(part, found.firings)} {words}" for part, words in (
        (found.flapping, "flapped"), (found.short, "were over before anybody could look")) if part]
    if found.unacted is not None:
        noise.append(f"nobody acted on {_percent(found.unacted, found.firings)}")
    what = ", ".join(noise) or "none of it flapped or was over before anybody could look"
    could = f" {many(len(_useful(found)), 'change')} would take away {_percent(found.would_save, found.firings)}." \
        if found.would_save else ""
    share = found.would_save / found.firings
    tone: Tone = "bad" if share >= 0.5 else "warn" if share >= 0.2 else "plain"
    return Text(f"{many(found.firings, 'firing')} of {many(sum(1 for one in found.alerts if one.firings), 'alert')}, "
                f"{found.firings / found.days:.1f} a day: {what}.{could}", tone)


def _useful(found: Audit) -> list[Suggestion]:
    return [one for one in found.suggestions if one.saves]


# -- on screen ----------------------------------------------------------------------------------------------------


def audit_view(found: Audit) -> View:
    """What was read, the verdict, what to change, then the figures it rests on."""
    blocks: list[Block] = [Text(f"{' · '.join(found.read)}\n{span_words(found.start, found.end)}", "quiet"),
                           verdict(found)]
    blocks += [Text(f"{name} could not be read: {why}", "warn") for name, why in found.problems.items()]
    if found.rejections:
        blocks.append(Text(f"{many(found.rejections, 'record')} could not be read: {found.rejected[0]}", "warn"))
    blocks += [suggestions_table(found), alerts_table(found)]
    blocks += [volume_chart(found)] if found.firings and found.days > 1 else []
    blocks.append(teams_table(found))
    if found.people:
        blocks.append(table("Who acted", ("person", "acts>", "after hours>"), [
            (one.person, f"{one.acts:,}", f"{one.after_hours:,}") for one in found.people[:_SHOWN]]))
    blocks += [storms_timeline(found), Pairs(tuple(_mix(found)))]
    blocks += [Text(_never(found))] if found.never_fired else []
    blocks += [Text("\n".join(_unknowns(found)), "quiet")] if _unknowns(found) else []
    blocks += [Text("\n".join(found.definitions), "quiet"),
               Next(("mainstay monitoring audit --markdown > audit.md", "mainstay monitoring alerts"))]
    return View("Audit of alerts", tuple(blocks))


def suggestions_table(found: Audit) -> Table:
    """What to change, what saves most first."""
    shown = found.suggestions[:_SHOWN]
    rows = [cells(Cell(one.alert, "strong"), f"{_WORDS[one.kind]}", one.write,
                  f"{one.saves:,} of {one.of:,}" if one.saves else "–", one.why) for one in shown]
    more = f", {len(shown)} of {len(found.suggestions)}" if len(shown) < len(found.suggestions) else ""
    return Table((Column("alert"), Column("change"), Column("write"), Column("spares", True), Column("because")),
                 tuple(rows), f"What to change{more}", empty="nothing: no alert is noisy enough to conclude from")


_WORDS = {"delete": "delete", "demote": "make it a ticket", "for": "wait longer", "keep_firing_for": "hold on longer",
          "group": "group", "inhibit": "hold back", "mend": "mend or delete"}


def alerts_table(found: Audit) -> Table:
    """The alerts, most firings first."""
    rows = [_alert_row(one) for one in found.alerts[:_SHOWN]]
    more = f", {_SHOWN} of {len(found.alerts)}" if len(found.alerts) > _SHOWN else ""
    columns = (Column("alert"), Column("severity"), Column("firings", True), Column("on for", True),
               Column("repeats", True, gives_way=4), Column("flapping", True), Column("before seen", True),
               Column("not acted on", True), Column("after hours", True, gives_way=2),
               Column("by day", gives_way=5), Column("", gives_way=3))
    return Table(columns, tuple(rows), f"Alerts{more}", empty="nothing fired")


def _alert_row(one: AlertFigures) -> tuple[Cell, ...]:
    note = "meant to fire always" if one.by_design else "always firing" if one.always else \
        f"{one.pending_only}× pending only" if one.pending_only else ""
    share = one.flapping / one.firings if one.firings else 0.0
    return cells(
        Cell(one.name, "strong"), one.severity, f"{one.firings:,}",
        format_duration(one.firing_seconds) if one.firing_seconds else "–",
        f"{one.repeats:,}", Cell(f"{one.flapping:,}", "bad" if share >= 0.5 else "plain"), f"{one.short:,}",
        "–" if one.unacted is None else f"{one.unacted:,}", _percent(one.after_hours, one.firings),
        Cell("", spark=tuple(float(count) for count in one.per_day) if one.firings else ()), Cell(note, "quiet"))


def volume_chart(found: Audit) -> Chart:
    """Firings a day. The title says the worst day."""
    days = found.days
    counts = [sum(one.per_day[day] for one in found.alerts if day < len(one.per_day)) for day in range(days)]
    times = tuple(found.start + timedelta(days=day) for day in range(days))
    worst = max(range(days), key=lambda day: counts[day]) if counts else 0
    says = f"Firings a day: {found.firings:,} in {days} d, most on {times[worst]:%-d %b} ({counts[worst]:,})" \
        if found.firings else "Firings a day: none"
    return Chart(says, times, (Line("firings", tuple(float(count) for count in counts)),), "",
                 query=" · ".join(found.read), empty="nothing fired")


def teams_table(found: Audit) -> Table:
    """Whose alerts they are, with the after-hours share where people are."""
    zones = list(found.after_hours)
    rows = [[one.team, f"{one.firings:,}", f"{one.pages:,}", f"{one.flapping:,}", f"{one.short:,}",
             "–" if one.unacted is None else f"{one.unacted:,}",
             *(f"{one.after_hours.get(zone, 0) * 100:.0f} %" for zone in zones)] for one in found.teams[:_SHOWN]]
    return table("Teams", ("team", "firings>", "pages>", "flapping>", "before seen>", "not acted on>",
                           *(f"after hours, {zone}>" for zone in zones)), rows, empty="nothing fired")


def storms_timeline(found: Audit) -> Timeline:
    """The storms, and what their alerts have in common."""
    return Timeline(tuple(Entry(one.start, _storm_words(one), "warn") for one in found.storms[-_SHOWN:]), "Storms",
                    "no storm: never did so many alerts begin at once")


def _storm_words(one: Storm) -> str:
    names = ", ".join(one.alerts[:3]) + (f" and {len(one.alerts) - 3} more" if len(one.alerts) > 3 else "")
    shared = f"; all of {', '.join(one.together[:3])}" if one.together else ""
    return f"{one.firings} firings in {format_duration(one.end - one.start)}: {names}{shared}"


def _mix(found: Audit) -> list[tuple[str, tuple[Cell, ...]]]:
    severities = ", ".join(f"{name} {count:,} ({_percent(count, found.firings)})"
                           for name, count in found.severities.items())
    hours = ", ".join(f"{share * 100:.0f} % in {zone}" for zone, share in found.after_hours.items())
    return [("severities", cells(severities or "–")), ("after hours", cells(hours if found.firings else "–"))]


def _never(found: Audit) -> str:
    names = ", ".join(found.never_fired[:_SHOWN])
    more = f" and {len(found.never_fired) - _SHOWN} more" if len(found.never_fired) > _SHOWN else ""
    return (f"Never fired in {found.days} d: {names}{more}. Show by a test that each can, or delete it.")


def _unknowns(found: Audit) -> list[str]:
    out = []
    if found.unacted is None:
        out.append("Fewer than three incidents, acknowledgements or silences are recorded in this span, so whether "
                   "alerts were acted on is not known: mainstay record incident SERVICE --text WHAT")
    if not found.rules_known:
        out.append("No place read here knows the rules in force, so alerts that never fired are not seen.")
    return out


# -- for the review -----------------------------------------------------------------------------------------------


def audit_markdown(found: Audit) -> str:
    """The monthly report: the verdict, decisions to take as a check-list, the tables, what the words mean."""
    lines = [f"# Alert review, {found.start:%-d %b} – {found.end:%-d %b %Y}", "", verdict(found).text, "",
             f"Read: {'; '.join(found.read)}.", ""]
    lines += [f"Not read: {name}: {why}." for name, why in found.problems.items()]
    lines += ["## To decide", ""]
    lines += [f"- [ ] **{one.alert}**: {_WORDS[one.kind]}" + (f" (`{one.write}`)" if one.write else "")
              + f". {one.why[:1].upper()}{one.why[1:]}." for one in found.suggestions[:_SHOWN]] or ["Nothing."]
    lines += ["", "## Alerts", "", *_as_markdown(alerts_table(found), leave_out=("by day",))]
    lines += ["", "## Teams", "", *_as_markdown(teams_table(found))]
    if found.people:
        lines += ["", "## Who acted", "", *[f"- {one.person}: {many(one.acts, 'act')}, {one.after_hours} after hours"
                                            for one in found.people[:_SHOWN]]]
    lines += ["", "## Storms", "", *([f"- {one.start:%-d %b %H:%M} UTC: {_storm_words(one)}"
                                      for one in found.storms[-_SHOWN:]] or ["None."])]
    lines += ["", "## Mix", "", *[f"- {name}: {''.join(cell.text for cell in values)}" for name, values in _mix(found)]]
    if found.never_fired:
        lines += ["", _never(found)]
    lines += ["", "## What the words mean", "", *[f"- {text}" for text in (*found.definitions, *_unknowns(found))]]
    return "\n".join(lines) + "\n"


def _as_markdown(it: Table, leave_out: Sequence[str] = ()) -> list[str]:
    if not it.rows:
        return [f"{it.empty[:1].upper()}{it.empty[1:]}."]
    kept = [index for index, column in enumerate(it.columns) if column.title not in leave_out]
    heading = "| " + " | ".join(it.columns[index].title for index in kept) + " |"
    rule = "|" + "|".join("---:" if it.columns[index].right else "---" for index in kept) + "|"
    return [heading, rule, *("| " + " | ".join(row[index].text.replace("|", "\\|") for index in kept) + " |"
                             for row in it.rows)]
