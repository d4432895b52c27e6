"""The page of toil: how much there is, where it sits, and a tap to log what was just done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote

from mainstay.doors.web.pages import Page, PageQuery
from mainstay.doors.web.slo_pages import Choice, Fact
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NoData, NotAllowed, NotFound
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import State
from mainstay.kernel.view import Chart, Table, Tone
from mainstay.kernel.wording import many
from mainstay.toil.answers import Report
from mainstay.toil.entry import TOIL, TYPES, Entry
from mainstay.toil.ledger import Book
from mainstay.toil.operations.book import book_of
from mainstay.toil.operations.logging import LOG, START, STOP
from mainstay.toil.operations.reporting import ReportRequest, report
from mainstay.toil.operations.rows import WITHDRAW
from mainstay.toil.tally import HOW_TO_LOG
from mainstay.toil.tasks import words_of
from mainstay.toil.view import candidates_table, group_table, saved_table, weeks_chart
from mainstay.toil.wording import coverage_words, hours_words, interrupted_words, share_words, verdict_words

TAPS = 6
LENGTHS = (("5m", "5 m"), ("15m", "15 m"), ("30m", "30 m"), ("1h", "1 h"))
_LOOK_BACK = timedelta(days=60)
_DAYS = {"1h": 1, "6h": 1, "1d": 1, "7d": 7, "30d": 30, "90d": 90}
_BY_HAND = ("by hand", "timer")
_TONES: dict[State, Tone] = {"healthy": "good", "at_risk": "warn", "violated": "bad", "no_data": "quiet"}


@dataclass(frozen=True, slots=True)
class Tap:
    """A task that was logged lately, ready to be logged again with one tap."""

    description: str
    type: str
    category: str
    automatable: bool
    interrupt: bool


@dataclass(frozen=True, slots=True)
class LastEntry:
    """What the asker logged last, so that a slip of the finger can be taken back; `number` is its row."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class ToilPage:
    """Toil on one page.

    Args:
        taps: the asker's own recent tasks, else the team's most frequent.
        last: what the asker logged last, for the page's forms lead back to it; None where they logged nothing.
        running: what the asker's timer measures, since `running_since`; empty when none runs.
        may_log: whether the asker may write.
        empty: what would fill the page; empty when there is work to show.
    """

    verdict: str
    state: State
    facts: tuple[Fact, ...]
    weeks: Chart | None
    tables: tuple[Table, ...]
    best: Table | None
    teams: tuple[Choice, ...]
    taps: tuple[Tap, ...]
    lengths: tuple[tuple[str, str], ...]
    types: tuple[str, ...]
    running: str
    may_log: bool
    days: int
    empty: str = ""
    running_since: datetime | None = None
    last: LastEntry | None = None


def toil_pages() -> tuple[Page, ...]:
    """The hand-made page of the word."""
    return (Page("/toil", "toil", "toil.html", toil_page, word="toil", ranged=True,
                 forms={"log": LOG, "start": START, "stop": STOP, "withdraw": WITHDRAW}),)


def toil_page(world: World, query: PageQuery) -> ToilPage:
    """The page for a time range and, where the address names one, a team."""
    days, book = _DAYS[query.range], book_of(world)
    since = (world.clock.now() - _LOOK_BACK).date()
    recent = [one for one in book.entries if one.type == TOIL and one.day >= since and one.description]
    running = book.running.get(world.actor)
    timer = "" if running is None else str(running.fields.get("description", "")) or "A timer"
    shell = ToilPage("", "no_data", (), None, (), None, (), taps_of(recent, world.actor), LENGTHS, TYPES, timer,
                     "write" in world.scopes, days, running_since=None if running is None else running.since,
                     last=_last(book, world.actor))
    try:
        found = report(world, ReportRequest(days=days, team=query.get("team")))
    except (NoData, NotFound, NotAllowed) as error:
        said = f"{error.message[0].upper()}{error.message[1:]}."
        return replace(shell, verdict=said, empty=f"To fill it: {error.way_out}" if error.way_out else "")
    return _filled(shell, found, _teams(book.entries, query))


def _last(book: Book, actor: str) -> LastEntry | None:
    mine = [number for number, one in book.rows.items() if one.entry.engineer == actor and one.via in _BY_HAND]
    if not mine:
        return None
    one = book.rows[max(mine)].entry
    return LastEntry(max(mine), f"{hours_words(one.hours)} of {one.description or one.category or one.type} on "
                                f"{one.day:%-d %b}")


def taps_of(recent: Sequence[Entry], actor: str) -> tuple[Tap, ...]:
    """The tasks somebody logs most; where they logged none, those that everybody logs most."""
    mine = [one for one in recent if one.engineer == actor] or recent
    counted = Counter(words_of(one.description) for one in mine)
    last = {words_of(one.description): one for one in sorted(mine, key=lambda one: (one.day, one.description))}
    most = sorted(counted, key=lambda words: (-counted[words], last[words].description))[:TAPS]
    return tuple(Tap(last[words].description, last[words].type, last[words].category, last[words].automatable,
                     last[words].interrupt) for words in most)


def _teams(entries: Sequence[Entry], query: PageQuery) -> tuple[Choice, ...]:
    names = sorted({one.team for one in entries if one.team})
    if len(names) < 2:
        return ()
    asked = query.get("team")
    return (Choice("everybody", f"toil?range={query.range}", not asked),
            *(Choice(name, f"toil?range={query.range}&team={quote(name, safe='')}", name == asked)
              for name in names[:20]))


def _filled(shell: ToilPage, found: Report, teams: tuple[Choice, ...]) -> ToilPage:
    figures = found.summary
    saved = (saved_table(found),) if found.saved else ()
    if not figures.entries:
        return replace(shell, verdict=verdict_words(figures), tables=saved, empty=f"To fill it: {HOW_TO_LOG}")
    tone = _TONES[figures.state]
    facts = (
        Fact("Toil", share_words(figures.toil_share), f"line {figures.line * 100:g} %", tone, figures.toil_share),
        Fact("Hours", hours_words(figures.total_toil_hours), f"of {hours_words(figures.total_hours)}"),
        Fact("Interrupts", f"{figures.interrupts:,}", interrupted_words(figures)),
        Fact("Cost", f"{figures.cost:,.0f}", many(shell.days, "day")),
        Fact("Logged", "–" if figures.coverage.ratio is None else f"{figures.coverage.ratio * 100:.0f} %",
             coverage_words(figures.coverage), "warn" if figures.coverage.patchy else "plain"))
    groups = (*(group_table(one) for one in found.groups if one.by in ("team", "category", "type")), *saved)
    best = candidates_table("Worth automating first", found.candidates) if found.candidates else None
    several = sum(one.share is not None for one in found.trend.periods) > 1
    weeks = weeks_chart(found.trend, figures.line) if several else None
    return replace(shell, verdict=verdict_words(figures), state=figures.state, facts=facts, weeks=weeks, tables=groups,
                   best=best, teams=teams)
