"""A design as JSON, as YAML to paste, and as people see it. Pure; numbers are rounded here only."""

from __future__ import annotations

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import Target, format_duration, plain, short_duration
from mainstay.kernel.view import Block, Cell, Code, Next, Text, View, table
from mainstay.kernel.wording import count
from mainstay.monitoring.design import Plan


@dataclass(frozen=True, slots=True)
class Seen:
    """What a tier makes of errors at one share.

    Args:
        detected_seconds: from the first error until somebody is told, on average; hold, a scrape and an evaluation
            included.
        detected_95_seconds: the same for 95 of 100 such troubles.
        reset_seconds: from the last error until it is quiet.
        spent: share of the budget that is gone when somebody is told.
    """

    detected_seconds: float
    detected_95_seconds: float
    reset_seconds: float
    spent: float


@dataclass(frozen=True, slots=True)
class DesignedTier:
    """One tier, and what it does. Shares 0..1; `full_outage`, `tenth` (10 % of events fail) and `double_burn` (twice
    the allowed share fails) are null where it never tells.

    Args:
        failures_to_trip: in a long window of the traffic asked for, threshold and gate together.
        false_a_month: how often chance alone starts it in 30 days; null for tickets.
        chance_of_a_look: that one look at the long window finds it above the line.
        independent_looks_a_month: what the overlapping looks are worth.
    """

    tier: str
    severity: str
    long: str
    short: str
    spends: float
    factor: float
    threshold: float
    hold_seconds: float
    failures_to_trip: int
    full_outage: Seen | None
    tenth: Seen | None
    double_burn: Seen | None
    false_a_month: float | None
    chance_of_a_look: float | None
    independent_looks_a_month: float | None


@dataclass(frozen=True, slots=True)
class Tried:
    """The quickest that a long window could give, when nothing gives enough."""

    long: str
    events_in_short_window: float
    failures_to_trip: int | None
    false_a_month: float | None
    full_outage_detected_seconds: float | None
    fault: str


@dataclass(frozen=True, slots=True)
class Way:
    """One change that makes it possible, in words and as the flag."""

    kind: str
    text: str
    flag: str


@dataclass(frozen=True, slots=True)
class Designed:
    """A design, or why there is none. `target` and shares are 0..1."""

    possible: bool
    target: float
    window_seconds: float
    traffic_per_hour: float
    detect_seconds: float
    false_pages_wanted: float
    tiers: tuple[DesignedTier, ...]
    gate: str | None
    gate_confidence: float | None
    full_outage_detected_seconds: float | None
    false_pages_a_month: float | None
    left_out: tuple[str, ...]
    yaml: str
    attempts: tuple[Tried, ...]
    ways: tuple[Way, ...]


def as_yaml(plan: Plan, name: str) -> str:
    """The plan as a document of `kind: Alerting`, ready to paste into the catalog."""
    lines = ["apiVersion: mainstay/v1", "kind: Alerting", f"metadata: {{name: {name}}}", "spec:", "  tiers:"]
    for rung in plan.rungs:
        tier = rung.tier
        hold = short_duration(tier.hold) if tier.hold else "0s"
        lines.append(f"    - {{severity: {tier.severity}, long: {short_duration(tier.long)}, "
                     f"spends: {plain(tier.spends * 100)}%, for: {hold}}}")
    if plan.low_traffic is not None:
        lines.append(f"  low_traffic: {{gate: {plan.low_traffic.gate}, "
                     f"confidence: {plain(plan.low_traffic.confidence * 100)}%}}")
    lines += [f"  interval: {short_duration(plan.wish.interval)}", f"  scrape: {short_duration(plan.wish.scrape)}"]
    return "\n".join(lines) + "\n"


# -- people -------------------------------------------------------------------------------------------------------


def design_view(found: Designed) -> View:
    """What was asked, the verdict, the tiers, the proof, the YAML."""
    target = Target.percent(round(found.target * 100, 9))
    asked = (f"{target} over {format_duration(found.window_seconds)}, {rate(found.traffic_per_hour)}\n"
             f"wanted: a full outage pages within {format_duration(found.detect_seconds)}, "
             f"at most {found.false_pages_wanted:g} false pages a month")
    blocks: list[Block] = [Text(asked)]
    blocks += _possible(found) if found.possible else _impossible(found)
    return View("Designed alerts" if found.possible else "No such alerts", tuple(blocks))


def _possible(found: Designed) -> list[Block]:
    assert found.full_outage_detected_seconds is not None, "a plan finds outages"
    assert found.false_pages_a_month is not None, "a plan has its bound"
    verdict = (f"A full outage pages within {format_duration(found.full_outage_detected_seconds)}, 95 of 100 of them; "
               f"chance alone pages {_often(found.false_pages_a_month)}.")
    blocks: list[Block] = [Text(verdict, "good")]
    blocks.append(table("Tiers", ("tier", "windows", "burn above>", "bad events above>", "for>", "failures to trip>"), [
        (one.tier, f"{one.long} and {one.short}", f"{one.factor:.4g}×", f"{one.threshold * 100:.3g} %",
         format_duration(one.hold_seconds) if one.hold_seconds else "–", f"{one.failures_to_trip:,}")
        for one in found.tiers]))
    if found.gate is not None:
        blocks.append(Text(f"With so few events a threshold alone would page by chance: the gate ({found.gate}, "
                           f"{(found.gate_confidence or 0) * 100:.10g} %) asks for the failures of the last column.",
                           "quiet"))
    blocks.append(table("Told after, and what is spent by then", (
        "tier", "full outage>", "spent", "10 % fail>", "spent", "twice the allowed>", "spent", "quiet again>"), [
        (one.tier, *_told(one.full_outage), *_told(one.tenth), *_told(one.double_burn),
         format_duration(one.full_outage.reset_seconds) if one.full_outage else "–") for one in found.tiers]))
    blocks.append(table("By chance, at a service that just keeps its promise", (
        "tier", "a look is above>", "independent looks a month>", "begins a month>"), [
        (one.tier, _chance(one.chance_of_a_look),
         count(round(one.independent_looks_a_month)) if one.independent_looks_a_month else "–",
         _a_month(one.false_a_month)) for one in found.tiers if one.false_a_month is not None]))
    blocks += [Text(f"left out: {text}", "quiet") for text in found.left_out]
    blocks += [Code(found.yaml, "yaml", "To paste into the catalog"),
               Next(("mainstay monitoring backtest NAME --policy-file alerting.yaml",))]
    return blocks


def _impossible(found: Designed) -> list[Block]:
    blocks: list[Block] = [Text("No alerts can do this.", "bad")]
    blocks.append(table("The quickest that each window could be", (
        "long window", "events in its short one>", "failures to trip>", "by chance a month>", "full outage told after>",
        ""), [
        (one.long, f"{one.events_in_short_window:,.1f}",
         "–" if one.failures_to_trip is None else f"{one.failures_to_trip:,}",
         "–" if one.false_a_month is None else _a_month(one.false_a_month),
         "never" if one.full_outage_detected_seconds is None else format_duration(one.full_outage_detected_seconds),
         Cell(one.fault, "bad")) for one in found.attempts]))
    if found.ways:
        blocks.append(table("Any one of these makes it possible", ("change", "flag"),
                            [(one.text, one.flag) for one in found.ways]))
    else:
        blocks.append(Text("No single change of traffic, time, noise or target makes it possible.", "quiet"))
    blocks.append(Next(tuple(f"mainstay monitoring design {_again(found, one.flag)}" for one in found.ways[:1])
                       or ("mainstay monitoring design --help",)))
    return blocks


def _again(found: Designed, flag: str) -> str:
    """The same question with one flag changed."""
    flags = {"--target": plain(Target.percent(round(found.target * 100, 9)).ratio * 100),
             "--traffic": f"{found.traffic_per_hour:.10g}/h", "--detect": _short(found.detect_seconds),
             "--window": _short(found.window_seconds), "--false-pages": f"{found.false_pages_wanted:g}"}
    name, _, value = flag.partition(" ")
    return " ".join(f"{key} {text}" for key, text in (flags | {name: value}).items())


def _short(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def rate(per_hour: float) -> str:
    """`100 events an hour`, `5 events a second`."""
    if per_hour >= 36_000:
        return f"{per_hour / 3600:,.3g} events a second"
    return f"{per_hour:,.4g} events an hour"


def _told(seen: Seen | None) -> tuple[str, str]:
    if seen is None:
        return "never", ""
    return format_duration(seen.detected_seconds), f"{seen.spent * 100:,.{1 if seen.spent < 1 else 0}f} %"


def _often(a_month: float) -> str:
    if a_month < 1e-3:
        return "less than once in 80 years"
    years = 1 / (a_month * 365 / 30)
    return f"{a_month:.2g} times a month at most" if years < 1 else f"at most once in {years:,.0f} years"


def _a_month(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 1e-3 else f"{value:.3g}"


def _chance(value: float | None) -> str:
    return "–" if value is None else "< 1 in a billion" if value < 1e-9 else f"1 in {1 / value:,.0f}"
