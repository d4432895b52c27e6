"""A backtest as JSON and as people see it. Pure; numbers are rounded here only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import Target, format_duration, short_duration
from mainstay.kernel.view import Block, Cell, Chart, Line, Mark, Next, Table, Text, View, table
from mainstay.kernel.wording import count, many, span_words

MOST_MARKS = 6
MOST_ROWS = 12


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and 95th percentile, nearest rank."""

    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class ScoreShown:
    """The four attributes. Shares 0..1, times in seconds; null where there was nothing to measure.

    Args:
        right: alerts that told of an episode; `precision` is their share.
        found: episodes that were told of; `recall` is their share.
        spent: share of the budget that was spent when it told.
    """

    alerts: int
    per_month: float
    right: int
    precision: float | None
    found: int
    recall: float | None
    detection_seconds: Spread | None
    reset_seconds: Spread | None
    spent: Spread | None


@dataclass(frozen=True, slots=True)
class TierShown:
    """One tier of a policy and how it did."""

    tier: str
    severity: str
    long: str
    short: str
    factor: float
    threshold: float
    hold_seconds: float
    faults: tuple[str, ...]
    score: ScoreShown


@dataclass(frozen=True, slots=True)
class PolicyShown:
    """A policy: all its pages together, all its tickets together, and each tier."""

    name: str
    title: str
    pages: ScoreShown
    tickets: ScoreShown
    tiers: tuple[TierShown, ...]


@dataclass(frozen=True, slots=True)
class EpisodeShown:
    """A stretch of trouble, and after how many seconds each policy paged for it; null where it never did."""

    start: datetime
    end: datetime
    name: str
    spent: float
    paged_after_seconds: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class PageShown:
    """A page of the first policy that no episode stands behind.

    Args:
        bad, spent: what was lost from an hour before it began until it ended, also as a share of the budget.
    """

    began: datetime
    ended: datetime
    bad: float
    spent: float


@dataclass(frozen=True, slots=True)
class BurnPoint:
    """The highest burn over an hour since the point before; null where nothing was counted."""

    at: datetime
    burn: float | None


@dataclass(frozen=True, slots=True)
class Backtested:
    """What policies would have done over a history. `target` and shares are 0..1."""

    name: str
    origin: str
    target: float
    window_seconds: float
    start: datetime
    end: datetime
    step_seconds: int
    measured_share: float
    events: float
    bad: float
    truth_kind: str
    truth_rule: str
    episodes: tuple[EpisodeShown, ...]
    policies: tuple[PolicyShown, ...]
    unexplained_pages: tuple[PageShown, ...]
    burn_over_time: tuple[BurnPoint, ...]
    notes: tuple[str, ...]


def backtest_view(found: Backtested) -> View:
    """What was read, what should have been told, which policy told it, and what each tier did."""
    target = Target.percent(round(found.target * 100, 9))
    spent = found.bad / found.events / (1 - found.target)
    unmeasured = "" if found.measured_share > 0.9995 else f", {found.measured_share * 100:.1f} % of it measured"
    head = (f"{found.name} · {found.origin}\n{span_words(found.start, found.end)}{unmeasured}\n"
            f"{count(found.events)} events, {count(found.bad)} bad: {spent:.2g}× the rate that {target} over "
            f"{format_duration(found.window_seconds)} allows")
    blocks: list[Block] = [Text(head), Text(f"To be told: {found.truth_rule}."), _verdict(found), _policies(found)]
    blocks += _episodes(found)
    blocks += _unexplained(found)
    blocks += [_tiers(one) for one in found.policies[:1]]
    blocks += [_chart(found), *(Text(note, "quiet") for note in found.notes), Next(_next(found))]
    return View(f"Backtest of {found.name}", tuple(blocks))


def _verdict(found: Backtested) -> Text:
    """One sentence about the first policy: the one that is in force."""
    one = found.policies[0]
    pages, episodes = one.pages, len(found.episodes)
    noise = pages.alerts - pages.right
    wolf = "no page was for nothing" if not noise else f"{many(noise, 'page')} of {pages.alerts} for nothing"
    if not episodes:
        said = f"{one.name}: nothing was to be told; " + ("it stayed quiet." if not pages.alerts
                                                         else f"it paged {many(pages.alerts, 'time')} for nothing.")
        return Text(said, "warn" if pages.alerts else "good")
    said = f"{one.name} paged for {pages.found} of {many(episodes, 'episode')}{_when(pages)}; {wolf}."
    return Text(said, "bad" if pages.found < episodes else "warn" if noise else "good")


def _when(pages: ScoreShown) -> str:
    if pages.detection_seconds is None:
        return ""
    median = pages.detection_seconds.median
    if pages.found == 1:
        return f", after {format_duration(median)}" if median else ", at once"
    return f", half of them within {format_duration(median)}" if median else ", half of them at once"


def _policies(found: Backtested) -> Table:
    return table("Policies, their pages", (
        "policy", "pages>", "a month>", "right>", "found>", "told after>", "95 %>", "spent by then>", "quiet after>",
        "tickets>"), [
        (Cell(one.name, "strong"), f"{one.pages.alerts:,}", f"{one.pages.per_month:.1f}",
         _of(one.pages.right, one.pages.alerts), _of(one.pages.found, len(found.episodes)),
         *_spread(one.pages.detection_seconds),
         f"{one.pages.spent.median * 100:.1f} %" if one.pages.spent else "–",
         _spread(one.pages.reset_seconds)[0], f"{one.tickets.alerts:,}") for one in found.policies])


def _of(part: int, whole: int) -> str:
    return f"{part} of {whole}" if whole else "–"


def _spread(spread: Spread | None) -> tuple[str, str]:
    return ("–", "–") if spread is None else (_length(spread.median), _length(spread.p95))


def _length(seconds: float) -> str:
    return format_duration(seconds) if seconds else "at once"


def _tiers(one: PolicyShown) -> Table:
    rows = []
    for tier in one.tiers:
        score = tier.score
        windows = f"{tier.long} and {tier.short}" if tier.short else tier.long
        rows.append((tier.tier, windows, f"{tier.factor:.3g}×",
                     format_duration(tier.hold_seconds) if tier.hold_seconds else "–", f"{score.alerts:,}",
                     _of(score.right, score.alerts), f"{score.found}", *_spread(score.detection_seconds),
                     _spread(score.reset_seconds)[0], Cell("; ".join(tier.faults), "bad" if tier.faults else "quiet")))
    return table(f"Tiers of {one.name}: {one.title}", (
        "tier", "windows", "above>", "for>", "alerts>", "right>", "found>", "told after>", "95 %>", "quiet after>", ""),
        rows, empty="it has no tier")


def _episodes(found: Backtested) -> Iterator[Block]:
    if not found.episodes:
        return
    first = found.policies[0].name
    shown = sorted(sorted(found.episodes, key=lambda one: -one.spent)[:MOST_ROWS], key=lambda one: one.start)
    left = len(found.episodes) - len(shown)
    title = "Episodes" if not left else f"The {MOST_ROWS} costliest of {len(found.episodes)} episodes"
    yield table(title, ("began", "lasted>", "spent>", f"{first} paged after>", "what"), [
        (f"{one.start:%-d %b %H:%M} UTC", format_duration((one.end - one.start).total_seconds()),
         f"{one.spent * 100:,.1f} %", _after(one.paged_after_seconds.get(first)), one.name) for one in shown])


def _unexplained(found: Backtested) -> Iterator[Block]:
    pages = found.unexplained_pages
    if not pages:
        return
    shown = sorted(sorted(pages, key=lambda one: -one.spent)[:MOST_ROWS], key=lambda one: one.began)
    name = found.policies[0].name
    title = f"Pages of {name} for nothing" if len(shown) == len(pages) else \
        f"The {MOST_ROWS} costliest of {len(pages)} pages of {name} for nothing"
    yield table(title, ("began", "lasted>", "bad events>", "spent>"), [
        (f"{one.began:%-d %b %H:%M} UTC", format_duration((one.ended - one.began).total_seconds()), count(one.bad),
         f"{one.spent * 100:,.1f} %") for one in shown])
    if found.truth_kind == "incidents":
        yield Text("Such a page may also tell of an incident that nobody recorded: mainstay record incident.", "quiet")


def _after(seconds: float | None) -> Cell:
    return Cell("never", "bad") if seconds is None else Cell(_length(seconds))


def _chart(found: Backtested) -> Chart:
    """The hour's burn with what was to be told; the title says how high it went."""
    values = tuple(point.burn for point in found.burn_over_time)
    known = [value for value in values if value is not None]
    title = f"Burn over 1 h: at most {max(known):,.3g}×" if known else "Burn over 1 h: nothing was counted"
    marks = tuple(sorted((*(Mark(one.start, one.name or f"spent {one.spent * 100:.1f} %", "bad", until=one.end)
                            for one in sorted(found.episodes, key=lambda one: -one.spent)[:MOST_MARKS]),
                          *(Mark(one.began, "page for nothing", "warn", until=one.ended)
                            for one in sorted(found.unexplained_pages, key=lambda one: -one.spent)[:MOST_MARKS // 3])),
                         key=lambda mark: mark.at))
    factors = {tier.factor: tier.tier for tier in reversed(found.policies[0].tiers) if tier.severity == "page"}
    bounds = tuple((factor, name) for factor, name in factors.items() if known and factor <= max(known) * 2)
    return Chart(title, tuple(point.at for point in found.burn_over_time), (Line("burn", values),), "×", bounds, marks,
                 found.truth_rule, "nothing was counted")


def _next(found: Backtested) -> tuple[str, ...]:
    hours = (found.end - found.start).total_seconds() / 3600 * found.measured_share
    target = f"{Target.percent(round(found.target * 100, 9))}".removesuffix(" %")
    per_hour = f"{float(f'{found.events / max(hours, 1):.3g}'):.10g}"  # three digits, and no exponent
    window = short_duration(timedelta(seconds=found.window_seconds))
    return (f"mainstay monitoring design --target {target} --window {window} --traffic {per_hour}/h",)
