"""The answers of the word as people see them. Pure: knows no terminal and no HTML."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time
from urllib.parse import urlencode

from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import (
    Block,
    Cell,
    Chart,
    Code,
    Line,
    Mark,
    Next,
    Pairs,
    Table,
    Text,
    Tone,
    View,
    state_cell,
    table,
)
from mainstay.kernel.wording import many
from mainstay.toil.answers import (
    Candidates,
    Digest,
    Group,
    Grouped,
    Imported,
    Logged,
    Metrics,
    Origin,
    Report,
    Rows,
    Timed,
    TrendAnswer,
    Withdrawn,
    Worth,
)
from mainstay.toil.automation import Decision
from mainstay.toil.candidates import Candidate, week_name
from mainstay.toil.entry import Read
from mainstay.toil.privacy import TEAMS_OF_ONE
from mainstay.toil.share import Slice, Summary
from mainstay.toil.tickets import Place, Resolution, TicketReading
from mainstay.toil.trend import Scaling, Trend
from mainstay.toil.wording import (
    change_words,
    coverage_words,
    direction_words,
    hours_words,
    interrupts_words,
    lasted_words,
    many_entries,
    months_words,
    net_words,
    recovered_words,
    share_words,
    stretched_words,
    trend_words,
    verdict_words,
)

MOST_ROWS = 12
"""Of a table; what follows is little, and in the JSON."""
_TONES: dict[str, Tone] = {"violated": "bad", "at_risk": "warn", "healthy": "good", "no_data": "quiet"}
_DECISIONS: dict[Decision, tuple[str, Tone]] = {
    "AUTOMATE_NOW": ("automate now", "good"), "AUTOMATE_SOON": ("automate soon", "good"),
    "CONSIDER": ("consider", "plain"), "DONT_AUTOMATE": ("don't automate", "quiet")}


# -- where it was read from ----------------------------------------------------------------------------------------


def _origin(origin: Origin, about: str = "") -> list[Block]:
    whose = f" · {about}" if about else ""
    log = f": {_lines(origin.log)}" if origin.log is not None else ""
    out: list[Block] = [Text(f"{origin.source}{log}{whose} · {origin.first} to {origin.last}, "
                             f"{many_entries(origin.entries)}", "quiet")]
    if origin.log is not None:
        out += _rejected(origin.log)
    if origin.unreadable:
        out.append(Text(f"{many(origin.unreadable, 'fact')} of the ledger cannot be read by this version and left out",
                        "warn"))
    return out


def _lines(read: Read) -> str:
    return f"{many(read.lines, 'line')}, {read.parsed:,} read, {read.rejected:,} rejected"


def _rejected(read: Read) -> list[Block]:
    """The first rejected lines with their reasons."""
    if not read.rejected:
        return []
    shown = [(f"{one.line:,}", one.why, one.text) for one in read.samples[:5]]
    more = f", the first {len(shown)}; --json has {len(read.samples)}" if read.rejected > len(shown) else ""
    return [table(f"Rejected{more}", ("line>", "why", "text"), shown)]


# -- report --------------------------------------------------------------------------------------------------------


def report_view(found: Report) -> View:
    """What was read, the verdict, why, what to do."""
    blocks: list[Block] = [*_origin(found.origin, found.about),
                           Text(verdict_words(found.summary), _TONES[found.summary.state])]
    if not found.summary.entries:
        return View("Toil", (*blocks, saved_table(found), Next(("mainstay toil log 30m 'Deploy by hand'",))))
    blocks.append(figures(found.summary))
    if sum(one.share is not None for one in found.trend.periods) > 1:
        blocks.append(weeks_chart(found.trend, found.summary.line))
    if found.summary.total_hours == found.summary.total_toil_hours:
        blocks.append(Text("Nothing but toil is logged, so its share says only that: look at hours, or log the other "
                           "work too.", "warn"))
    blocks += [group_table(one) for one in found.groups]
    if found.candidates:
        blocks.append(candidates_table("Worth automating first", found.candidates))
    if found.saved:
        blocks.append(saved_table(found))
    blocks.append(Next(("mainstay toil candidates", "mainstay toil trend", "mainstay toil report --by engineer")))
    return View("Toil", tuple(blocks))


def figures(found: Summary) -> Pairs:
    """The figures of the work, one a row."""
    rows: list[tuple[str, tuple[Cell, ...]]] = [
        ("toil", (Cell(share_words(found.toil_share), "strong", bar=found.toil_share),
                  Cell(f"line {found.line * 100:g} %"), state_cell(found.state))),
        ("hours", (Cell(f"{hours_words(found.total_toil_hours)} of {hours_words(found.total_hours)}"),
                   Cell(f"{found.cost:,.0f}"))),
        ("interrupts", (Cell(interrupts_words(found)),))]
    if found.automation_opportunity is not None:
        rows.append(("automatable", (Cell(f"{found.automation_opportunity:.0f} % of toil, "
                                          f"{hours_words(found.automatable_hours)}"),
                                     Cell(f"{found.estimated_savings:,.0f}"))))
    if found.estimated_hours:
        rows.append(("estimated", (Cell(f"{hours_words(found.estimated_hours)} of toil were worked out, not measured",
                                        "warn"),)))
    rows.append(("logged", (Cell(coverage_words(found.coverage), "warn" if found.coverage.patchy else "plain"),)))
    return Pairs(tuple(rows))


def saved_table(found: Report) -> Table:
    """What programs did, how well, how fast trouble was over with and without, and the hours that people did not need.

    Recovery is the median time that incidents were open: those in which a run succeeded, and those of the same services
    in which no program acted.
    """
    hours = sum(one.hours for one in found.saved)
    runs = sum(one.runs for one in found.saved)
    title = f"Automated: {many(runs, 'run')} of runbooks saved {hours_words(hours)}"
    return table(title, ("task", "succeeded>", "takes>", "by hand>", "recovery with it>", "without>", "saved>"), [
        (one.task, f"{one.succeeded:,} of {one.tried:,}", lasted_words(one.seconds),
         lasted_words(None if one.manual_minutes is None else one.manual_minutes * 60), recovered_words(one.with_it),
         recovered_words(one.without), hours_words(one.hours)) for one in found.saved[:MOST_ROWS]])


def group_table(group: Group) -> Table:
    """The work by one dimension; weeks are all shown, of the others those with the most toil."""
    rows = group.rows if group.by == "week" else group.rows[:MOST_ROWS]
    more = f", the first {MOST_ROWS} of {len(group.rows)}; --json has all" if len(rows) < len(group.rows) else ""
    title = f"By {group.by}{more}"

    def named(one: Slice) -> Cell:
        name = week_name(datetime.fromisoformat(one.name).date()) if group.by == "week" else one.name
        # People and teams that were put together, and weeks, are no rows of one name.
        one_team = group.by == "team" and one.name not in (TEAMS_OF_ONE, "no team")
        leads_on = one_team or group.by in ("category", "type")
        return Cell(name, link=f"toil/entries?{urlencode({group.by: one.name})}" if leads_on else "")

    if group.by == "category":
        return table(title, ("category", "toil>", "interrupts>", "cost>"), [
            (named(one), hours_words(one.toil_hours), f"{one.interrupts:,}", f"{one.cost:,.0f}")
            for one in rows], empty="no toil is logged")
    if group.by == "type":
        total = sum(one.hours for one in group.rows)
        return table(title, ("type", "hours>", "share>"), [
            (named(one), hours_words(one.hours), Cell(share_words(one.hours / total), bar=one.hours / total))
            for one in rows])
    return table(title, (group.by, "share>", "state", "toil>", "of>", "interrupts>"), [
        (named(one), Cell(share_words(one.share), bar=one.share), state_cell(one.state),
         hours_words(one.toil_hours), hours_words(one.hours), f"{one.interrupts:,}") for one in rows])


def weeks_chart(trend: Trend, line: float) -> Chart:
    """The share of toil by whole week, with the line and what changed."""
    times = tuple(datetime.combine(one.start, time(), UTC) for one in trend.periods)
    values = tuple(None if one.share is None else one.share * 100 for one in trend.periods)
    marks = tuple(Mark(datetime.combine(one.start, time(), UTC), "level changed " + change_words(one))
                  for one in trend.changes)
    return Chart(trend_words(trend), times, (Line("toil", values),), "%", ((line * 100, "line"),), marks,
                 empty="no whole week is logged yet")


# -- candidates ----------------------------------------------------------------------------------------------------


def candidates_view(found: Candidates) -> View:
    """The tasks worth automating, what they give back, and how wordings were put together."""
    best = found.candidates
    head = "No task of toil is marked as automatable and not automated."
    if best:
        first = net_words(best[0].value)
        head = f"{many(len(best), 'task')} could be automated; the first gives back {first} in three years."
    blocks: list[Block] = [*_origin(found.origin), Text(head, "good" if best else "plain")]
    blocks.append(candidates_table("", best, empty="mark work with --automatable, or ask with --unmarked"))
    if best:
        blocks.append(Text(f"Net: hours of three years less the effort, {found.effort:g} h where no policy says; its "
                           "range comes from how much the weeks differ and how far estimates are off.", "quiet"))
        if few := stretched_words(found.days):
            blocks.append(Text(few, "warn"))
    together = [one for one in best if len(one.wordings) > 1]
    if together and not found.tasks:
        blocks.append(table("Put together", ("task", "also written"), [
            (one.task, "; ".join(each for each in one.wordings if each != one.task)
             + (" (corrected by hand)" if one.corrected else "")) for one in together]))
    if found.tasks:
        blocks.append(table("Every task", ("task", "toil>", "wordings"), [
            (one.task, hours_words(one.hours),
             "; ".join(one.wordings) + (" (corrected by hand)" if one.corrected else "")) for one in found.tasks]))
    blocks.append(Next(("mainstay toil roi TASK", "mainstay toil group WORDING --into TASK",
                        "mainstay toil candidates --wordings")))
    return View("What to automate", tuple(blocks))


def candidates_table(title: str, found: Sequence[Candidate], empty: str = "") -> Table:
    """Tasks with what each gives back."""
    return table(title, ("task", "times>", "a month>", "payback>", "net, 3 years>", "do"), [
        (one.task, f"{one.occurrences:,}", hours_words(one.value.monthly_hours),
         months_words(one.value.payback_months), net_words(one.value), Cell(*_DECISIONS[one.decision]))
        for one in found], empty=empty)


def grouped_view(found: Grouped) -> View:
    """The task as it is now."""
    return View("Grouped", (
        Text(f"Recorded: {found.task} is {many(len(found.wordings), 'wording')}.", "good"),
        table("", ("wording",), [(one,) for one in found.wordings]), Next(("mainstay toil candidates",))))


# -- one task ------------------------------------------------------------------------------------------------------


def worth_view(found: Worth) -> View:
    """What automating one task gives back."""
    value = found.value
    return View("Return on automation", (
        _task(found), Text(f"It gives back {net_words(value)} in three years.",
                           "good" if value.net_low > 0 else "warn" if value.net_high > 0 else "bad"),
        _return(found), Next((f"mainstay toil decide {_quoted(found.task)}", "mainstay toil candidates"))))


def decided_view(found: Worth) -> View:
    """Whether to automate, why, and what that rests on."""
    word, tone = _DECISIONS[found.decided.decision]
    return View("Decision", (
        _task(found), Text(f"{word.capitalize()}: {found.decided.reason}; {found.decided.recommendation}.", tone),
        _return(found), Next(("mainstay toil candidates",))))


def _task(found: Worth) -> Text:
    source = "read from the ledger" if found.measured else "as said"
    each = format_duration(found.duration_hours * 3600)
    return Text(f"{found.task} · {found.frequency:,.4g} times a month, {each} each, {source}", "quiet")


def _return(found: Worth) -> Pairs:
    value = found.value
    monthly = f"{value.monthly_hours:,.4g} h"
    if value.monthly_low != value.monthly_high:
        monthly += f", {value.monthly_low:,.3g} to {value.monthly_high:,.3g}"
    return Pairs((
        ("saves a month", (Cell(monthly),)), ("a year", (Cell(f"{value.annual_hours:,.4g} h"),)),
        ("effort", (Cell(f"{value.effort:,.4g} h"),)),
        ("payback", (Cell(months_words(value.payback_months), "strong"),)),
        ("net, 3 years", (Cell(net_words(value)),
                          Cell(f"{found.net_value:,.0f} at {found.hourly_cost:,.0f} an hour")))))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# -- trend ---------------------------------------------------------------------------------------------------------


def trend_view(found: TrendAnswer) -> View:
    """Where toil is heading, when it changed, whether it grows with the services."""
    direction = found.trend.direction
    tone: Tone = {"improving": "good", "degrading": "bad"}.get(direction, "plain")  # type: ignore[assignment]
    says = "The trend:" if direction == "insufficient_data" else "The share of toil is"
    blocks: list[Block] = [*_origin(found.origin, found.about), Text(f"{says} {direction_words(direction)}.", tone),
                           weeks_chart(found.trend, found.line)]
    if found.trend.changes:
        blocks.append(table("Changes of level", ("week of", "before>", "since>", "p>"), [
            (f"{one.start:%-d %b %Y}", share_words(one.before), share_words(one.after), f"{one.p:.3f}")
            for one in found.trend.changes]))
    blocks += _scaling(found)
    blocks.append(Next(("mainstay toil report", "mainstay toil candidates")))
    return View("Trend of toil", tuple(blocks))


def _scaling(found: TrendAnswer) -> list[Block]:
    one = found.scaling
    if one is None:
        why = "too few weeks or only one number of services" if found.services_known else \
            "say how many services there were: --services 2026-01-01=40 --services 2026-06-01=55"
        return [Text(f"Whether toil grows with the services cannot be told: {why}.", "quiet")]
    span = f"{one.services_least:,.0f} to {one.services_most:,.0f} in {many(one.weeks, 'week')}"
    rows = [("services", (Cell(span),)),
            ("a service brings", (Cell(f"{one.per_service:,.2f} h a week"),
                                  Cell(f"{one.per_service_low:,.2f} to {one.per_service_high:,.2f}")))]
    if one.elasticity is not None:
        rows.append(("elasticity", (Cell(f"{one.elasticity:.2f}"),
                                    Cell(f"{one.elasticity_low:.2f} to {one.elasticity_high:.2f}; 1 is linear"))))
    if one.forecast is not None and one.at is not None:
        value, low, high = one.forecast
        rows.append((f"at {one.at:,.0f} services", (Cell(f"{value:,.1f} h a week", "strong"),
                                                    Cell(f"{low:,.1f} to {high:,.1f} in one week"))))
    return [Text(_growth(one), "bad" if one.growth in ("linear", "faster") else "plain"), Pairs(tuple(rows))]


def _growth(one: Scaling) -> str:
    return {"linear": "Toil grows with the services, in proportion: the mark of toil that nobody automates.",
            "faster": "Toil grows faster than the services.",
            "slower": "Toil grows with the services, but slower than they do.",
            "none": "Toil does not grow with the services.",
            "unclear": "Whether toil grows with the services is not clear from these weeks."}[one.growth]


# -- into the ledger -----------------------------------------------------------------------------------------------


def logged_view(found: Logged) -> View:
    """What was logged."""
    if not found.seq:
        return View("Discarded", (Text(f"The timer of {found.engineer} is stopped; nothing is logged.", "good"),))
    length = format_duration(found.hours * 3600)
    what = f"{length} of {found.type} ({found.category}) by {found.engineer} on {found.day}"
    head = f"Logged: {what}. {found.description}" if found.new else \
        f"In the ledger already: {what}. {found.description}"
    return View("Logged", (Text(head, "good" if found.new else "plain"),
                           Next(("mainstay toil report", f"mainstay toil withdraw {found.seq} 'why it is wrong'"))))


def rows_view(found: Rows) -> View:
    """The rows, the newest first, with what they add up to."""
    more = f", the newest {len(found.rows)} of them below" if found.matching > len(found.rows) else ""
    head = f"{found.first} to {found.last} · {many_entries(found.matching)}, {hours_words(found.hours)}{more}"
    rows = [(str(one.number), one.day.isoformat(), format_duration(one.hours * 3600), one.type, one.category,
             one.engineer, one.description, one.via) for one in found.rows]
    return View("Entries", (Text(head, "quiet"), table(
        "", ("no>", "day", "time>", "type", "category", "engineer", "description", "came in"), rows,
        empty="no row fits; mainstay toil log 30m 'What was done' adds one"),
        Next(("mainstay toil withdraw NUMBER 'why it is wrong'",))))


def withdrawn_view(found: Withdrawn) -> View:
    """That the row no longer counts."""
    said = "no longer counts" if found.new else "was withdrawn before"
    return View("Withdrawn", (Text(f"Row {found.number} {said}: {found.why}", "good" if found.new else "plain"),))


def timed_view(found: Timed) -> View:
    """The timer that runs."""
    says = f"Started at {found.since:%H:%M} UTC for {found.engineer}: {found.description}"
    return View("Started", (Text(says, "good"), Next(("mainstay toil stop",))))


def imported_view(found: Imported) -> View:
    """What was in the file, what of it is new, and where the toil of tickets sits."""
    did = "Recorded" if found.kept else "Would record"
    days = f", {found.first} to {found.last}" if found.first else ""
    blocks: list[Block] = [
        Text(f"{found.read.source} · {found.kind} · {_lines(found.read)}", "quiet"), *_rejected(found.read),
        Text(f"{did} {many_entries(found.new)}; {found.known:,} were there already. {hours_words(found.hours)}{days}.",
             "good" if found.new else "plain")]
    if found.tickets is not None:
        blocks += _tickets(found.tickets)
    last = found.last.isoformat() if found.last else ""
    blocks.append(Next((f"mainstay toil report --as-of {last}" if last else "mainstay toil report",
                        "mainstay toil candidates")))
    return View("Imported", tuple(blocks))


def _tickets(one: TicketReading) -> list[Block]:
    rows: list[tuple[str, tuple[Cell, ...]]] = [
        ("tickets", (Cell(f"{one.tickets:,}"), Cell(f"{one.rows:,} rows"))),
        ("handed over", (Cell(f"{many(one.handed_over, 'ticket')}, {many(one.hand_overs, 'time')}"),
                         Cell(f"{one.reopened:,} reopened")))]
    if one.kept + one.missed:
        rows.append(("promise", (Cell(f"{one.missed:,} missed of {one.kept + one.missed:,}",
                                      "bad" if one.missed else "good"),)))
    if one.estimated:
        rows.append(("work", (Cell(hours_words(one.hours)),
                              Cell(f"estimated: {one.minutes_a_touch:g} minutes a touch", "warn"))))
    blocks: list[Block] = [Pairs(tuple(rows))]
    times = [*one.by_priority, *((one.resolution,) if one.resolution else ())]
    blocks.append(table("Opened to resolved", ("priority", "tickets>", "resolved>", "mean>", "median>", "p90>"),
                        [_resolved(each) for each in times], empty="no ticket says when it was resolved"))
    blocks.append(_places("Where it sits, by category", "category", one.by_category))
    blocks.append(_places("Where it sits, by group", "group", one.by_group))
    return blocks


def _resolved(one: Resolution) -> tuple[str, ...]:
    return (one.priority or "all", f"{one.tickets:,}", f"{one.resolved:,}",
            *(format_duration(hours * 3600) for hours in (one.mean_hours, one.median_hours, one.p90_hours)))


def _places(title: str, name: str, places: Sequence[Place]) -> Table:
    return table(title, (name, "tickets>", "touches>", "hand-overs>", "work>"), [
        (one.name, f"{one.tickets:,}", f"{one.touches:,}", f"{one.hand_overs:,}", hours_words(one.hours))
        for one in places[:8]])


# -- out of it -----------------------------------------------------------------------------------------------------


def metrics_view(found: Metrics) -> View:
    """The text as it is."""
    return View("Metrics", (Code(found.text),))


def digest_view(found: Digest) -> View:
    """The page as it is."""
    return View(f"Digest of {found.week}", (Code(found.text, found.format),))
