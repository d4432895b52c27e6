"""`monitoring design`: say what you want of an alert; get one that does it, with the proof, or why there is none."""

from __future__ import annotations

import re
from datetime import timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Target, format_duration, parse_duration, short_duration
from mainstay.monitoring.chance import FalseAlarms
from mainstay.monitoring.design import Attempt, Impossible, Plan, Rung, Sight, Wish
from mainstay.monitoring.design import design as designed
from mainstay.monitoring.design_view import Designed, DesignedTier, Seen, Tried, Way, as_yaml, design_view


@dataclass(frozen=True)
class DesignRequest:
    """What is wanted of the alerts."""

    target: str = arg("what is promised, in percent", short="t")
    traffic: str = arg("events in the hours when fewest come, such as 100/h or 5/s")
    window: str = arg("the objective's window, such as 7d, 30d or 365d", "30d", short="w")
    detect: str = arg("a full outage pages within this, all told", "15m")
    false_pages: float = arg("pages a month at a service that just keeps its promise, at most", 0.1)
    interval: str = arg("how often rules are evaluated", "30s")
    scrape: str = arg("how often counters are scraped", "30s")
    name: str = arg("what the alerting is called in the YAML", "designed")


def design(_: World, request: DesignRequest) -> Designed:
    """Design alerts that find an outage in time and do not cry wolf, or say why none can.

    Chooses windows, factors, holds and, where too few events come, the gate for little traffic; says for each tier
    when it tells, what is spent by then, when it is quiet again, and how often chance alone makes it page.
    """
    wish = wish_of(request)
    found = designed(wish)
    if isinstance(found, Impossible):
        return _impossible(wish, found)
    return _possible(wish, found, request.name)


def wish_of(request: DesignRequest) -> Wish:
    """The request as numbers.

    Raises:
        InvalidInput: something is not a number, or nothing an alert could be made of.
    """
    window, detect = parse_duration(request.window), parse_duration(request.detect)
    if not timedelta(days=1) <= window <= timedelta(days=3660):
        raise InvalidInput(f"a window of {request.window} is not one alerts are designed for",
                           "write a length from 1d to ten years, such as 30d")
    if detect >= window:
        raise InvalidInput(f"to find an outage within {request.detect} is no use in a window of {request.window}",
                           "write a shorter --detect, such as 15m")
    if request.false_pages <= 0:
        raise InvalidInput(f"--false-pages {request.false_pages:g} leaves chance nothing, and chance takes it",
                           "write a number above 0, such as 0.1")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", request.name):
        raise InvalidInput(f'"{request.name}" is not a name', "write small letters, digits, - . _")
    target = Target.percent(request.target)
    return Wish(target, window, _per_second(request.traffic), detect, request.false_pages,
                parse_duration(request.interval), parse_duration(request.scrape))


_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_TRAFFIC = re.compile(r"(\d+(?:\.\d+)?)([kM]?)\s*/\s*(s|m|min|h|d)")


def _per_second(text: str) -> float:
    found = _TRAFFIC.fullmatch(text.strip())
    value = float(found[1]) * {"": 1, "k": 1e3, "M": 1e6}[found[2]] / _UNITS[found[3]] if found else 0.0
    if not 0 < value < 1e9:
        raise InvalidInput(f'"{text}" is not a rate of events', "write 100/h, 5/s, 2000/d or 3k/min")
    return value


def _possible(wish: Wish, plan: Plan, name: str) -> Designed:
    return Designed(
        possible=True, target=float(wish.target.ratio), window_seconds=wish.window.total_seconds(),
        traffic_per_hour=wish.traffic * 3600, detect_seconds=wish.detect.total_seconds(),
        false_pages_wanted=wish.false_pages, tiers=tuple(_tier(rung) for rung in plan.rungs),
        gate=plan.low_traffic.gate if plan.low_traffic else None,
        gate_confidence=float(plan.low_traffic.confidence) if plan.low_traffic else None,
        full_outage_detected_seconds=plan.quickest.total_seconds(), false_pages_a_month=plan.false_pages,
        left_out=plan.left_out, yaml=as_yaml(plan, name), attempts=(), ways=())


def _tier(rung: Rung) -> DesignedTier:
    tier, rule = rung.tier, rung.rule
    alarms: FalseAlarms | None = rung.alarms
    assert rule.short is not None, "a designed tier has two windows"
    return DesignedTier(
        tier=rung.label, severity=tier.severity, long=short_duration(tier.long), short=short_duration(rule.short),
        spends=float(tier.spends), factor=float(rung.factor), threshold=float(rule.threshold),
        hold_seconds=tier.hold.total_seconds(), failures_to_trip=rung.least, full_outage=_seen(rung.full),
        tenth=_seen(rung.tenth), double_burn=_seen(rung.double),
        false_a_month=alarms.a_month if alarms else None, chance_of_a_look=alarms.chance if alarms else None,
        independent_looks_a_month=alarms.looks if alarms and alarms.chance else None)


def _seen(sight: Sight | None) -> Seen | None:
    if sight is None:
        return None
    return Seen(sight.after.total_seconds(), sight.surely.total_seconds(), sight.reset.total_seconds(), sight.spent)


def _impossible(wish: Wish, found: Impossible) -> Designed:
    return Designed(
        possible=False, target=float(wish.target.ratio), window_seconds=wish.window.total_seconds(),
        traffic_per_hour=wish.traffic * 3600, detect_seconds=wish.detect.total_seconds(),
        false_pages_wanted=wish.false_pages, tiers=(), gate=None, gate_confidence=None,
        full_outage_detected_seconds=None, false_pages_a_month=None, left_out=(), yaml="",
        attempts=tuple(_tried(one) for one in found.attempts),
        ways=tuple(Way(kind, _way(wish, kind, other), _flag(kind, other)) for kind, other in found.ways))


def _tried(one: Attempt) -> Tried:
    return Tried(short_duration(one.long), one.inside, one.least, one.a_month,
                 one.after.total_seconds() if one.after is not None else None, one.fault)


def _way(wish: Wish, kind: str, other: Wish) -> str:
    match kind:
        case "traffic":
            return f"{other.traffic * 3600:,.3g} events an hour instead of {wish.traffic * 3600:,.3g}"
        case "detect":
            return f"{format_duration(other.detect)} to find an outage instead of {format_duration(wish.detect)}"
        case "false pages":
            return f"{other.false_pages:g} false pages a month instead of {wish.false_pages:g}"
        case _:
            return f"a target of {other.target} instead of {wish.target}"


def _flag(kind: str, other: Wish) -> str:
    match kind:
        case "traffic":
            return f"--traffic {other.traffic * 3600:.4g}/h"
        case "detect":
            return f"--detect {short_duration(other.detect)}"
        case "false pages":
            return f"--false-pages {other.false_pages:g}"
        case _:
            return f"--target {str(other.target).removesuffix(' %')}"


DESIGN = Operation(
    "monitoring", "design", DesignRequest, design, design_view,
    exit_code=lambda found: 0 if found.possible else 1,
    exit_codes=((0, "alerts were designed"), (1, "no alerts can do what is wanted"), (2, "a flag cannot be used")),
    examples=("mainstay monitoring design --target 99.9 --traffic 100/h",
              "mainstay monitoring design --target 99.9 --window 30d --traffic 100/h --detect 15m --false-pages 0.1",
              "mainstay monitoring design --target 99.99 --traffic 5/s --json"),
    catalog="unused")
