"""A week's toil as one page for people: Markdown for a chat or a repository, HTML for a mail. Pure."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.view import SIGNS
from mainstay.toil.candidates import Candidate
from mainstay.toil.share import Slice, Summary
from mainstay.toil.trend import Trend
from mainstay.toil.wording import (
    change_words,
    coverage_words,
    direction_words,
    hours_words,
    interrupts_words,
    many_entries,
    months_words,
    net_words,
    share_words,
    verdict_words,
)


@dataclass(frozen=True, slots=True)
class Week:
    """What the digest of a week tells.

    Args:
        team: whose week; empty for everybody's.
        before: the week before; None when nothing was logged then.
        trend, best: of the half year that ends with the week.
    """

    name: str
    team: str
    figures: Summary
    before: Summary | None
    categories: Sequence[Slice]
    trend: Trend
    best: Sequence[Candidate]
    hourly_cost: float


def _title(week: Week) -> str:
    return f"Toil in {week.name}" + (f", team {week.team}" if week.team else "")


def _facts(week: Week) -> Iterator[tuple[str, str]]:
    """What stands at the top, as (name, value)."""
    figures = week.figures
    sign, word = SIGNS[figures.state]
    change = ""
    if week.before is not None and week.before.toil_share is not None and figures.toil_share is not None:
        points = (figures.toil_share - week.before.toil_share) * 100
        change = f"; {abs(points):.1f} points {'more' if points > 0 else 'less'} than the week before"
    yield "Share of toil", f"{share_words(figures.toil_share)} {sign} {word}{change}"
    yield "Hours", (f"{hours_words(figures.total_toil_hours)} of {hours_words(figures.total_hours)}, "
                    f"{many_entries(figures.entries)}; {figures.cost:,.0f} at {week.hourly_cost:,.0f} an hour")
    yield "Interrupts", interrupts_words(figures)
    yield "Logged", coverage_words(figures.coverage)
    yield "Trend", direction_words(week.trend.direction)
    for change_of in week.trend.changes[-1:]:
        yield "Changed", change_words(change_of)


_TASK_HEADS = ("Task", "Hours a month", "Payback", "Net of three years", "Decision")


def _tasks(week: Week) -> list[tuple[str, ...]]:
    return [(one.task, f"{one.value.monthly_hours:,.1f}", months_words(one.value.payback_months), net_words(one.value),
             one.decision.replace("_", " ").lower()) for one in week.best]


def _kinds(week: Week) -> list[tuple[str, ...]]:
    return [(one.name, hours_words(one.toil_hours), f"{one.interrupts:,}") for one in week.categories[:8]]


def as_markdown(week: Week) -> str:
    """The digest as Markdown; what people typed cannot become markup."""
    lines = [f"# {_cell(_title(week))}", "", _cell(verdict_words(week.figures)), ""]
    lines += [f"- **{name}:** {_cell(value)}" for name, value in _facts(week)]
    lines += ["", "## Where it sits", "", *_markdown_table(("Category", "Hours", "Interrupts"), _kinds(week))]
    if week.best:
        lines += ["", "## Worth automating next", "", *_markdown_table(_TASK_HEADS, _tasks(week))]
    return "\n".join(lines) + "\n"


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(_cell(text) for text in row) + " |"


def _cell(text: str) -> str:
    """One line in which nothing of what was typed is markup."""
    plain = " ".join(text.split())
    return "".join(f"\\{char}" if char in "\\`*_[]<>|#!" else char for char in plain)


def as_html(week: Week) -> str:
    """The digest as a whole HTML page without scripts or anything to be fetched, so that a mail shows it."""
    facts = "".join(f"<tr><th align=\"left\">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>\n"
                    for name, value in _facts(week))
    parts = [f"<h1>{html.escape(_title(week))}</h1>", f"<p>{html.escape(verdict_words(week.figures))}</p>",
             f"<table cellpadding=\"4\">\n{facts}</table>", "<h2>Where it sits</h2>",
             _html_table(("Category", "Hours", "Interrupts"), _kinds(week))]
    if week.best:
        parts += ["<h2>Worth automating next</h2>", _html_table(_TASK_HEADS, _tasks(week))]
    return ("<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
            f"<title>{html.escape(_title(week))}</title></head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n")


def _html_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th align=\"left\">{html.escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>\n" for row in rows)
    return f"<table cellpadding=\"4\">\n<tr>{head}</tr>\n{body}</table>"
