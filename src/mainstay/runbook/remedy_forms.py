"""`mainstay/v1 Remediation` as it is written. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from mainstay.kernel.catalog import Resource
from mainstay.kernel.document import Node
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.matcher import read_matchers
from mainstay.kernel.metadata import Metadata, read_metadata
from mainstay.kernel.quantity import parse_duration, zone_named
from mainstay.kernel.reader import Reader
from mainstay.kernel.wallclock import EVERY_DAY, WeeklyHours, parse_clock, parse_day
from mainstay.runbook.act_forms import Scope, comparison, read_act
from mainstay.runbook.remedy import (
    MODES,
    ActCheck,
    BudgetCheck,
    Called,
    Check,
    Circumstances,
    HostCheck,
    Hours,
    Limits,
    Mode,
    OnAlert,
    OnBudget,
    OnSchedule,
    Remediation,
    Throttle,
    Throttling,
    Verification,
    When,
    WhenLocked,
)
from mainstay.runbook.remedy_presets import PRESETS, Preset
from mainstay.runbook.variables import Misplaced, variables
from mainstay.stats.budget import share_of_percent

FORM = "mainstay/v1 Remediation"
_KEYS = ("query", "http", "command", "python")
_NO_INPUTS = Scope(frozenset(), frozenset(), frozenset(), frozenset(), frozenset())
_LONGEST = timedelta(days=7)
"""How far back limits may look: what is older is not remembered."""

_SEVERITIES = ("SEV1", "SEV2", "SEV3", "SEV4")


def read_remediation(reader: Reader) -> Iterator[Resource]:
    """mainstay/v1 Remediation: one rule; with a preset, what the preset brings."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    before = len(spec.findings)
    name = spec.text("preset", one_of=tuple(PRESETS))
    made: Preset | None = None
    if name is not None:
        given = spec.child("with") or Reader(spec.document, Node({}, spec.node.line, spec.node.column),
                                             spec.field("with"), spec.findings)
        made = PRESETS[name](meta, given)
        given.done()
    rules = made.rules if made is not None else \
        (Remediation(meta.name, meta.origin, Called(), "", "", meta.service, meta.title),)
    read = tuple(_overlaid(spec, meta, rule, preset=made is not None) for rule in rules)
    spec.done()
    if meta.name and len(spec.findings) == before:
        yield from read
        yield from made.runbooks if made is not None else ()


def _overlaid(spec: Reader, meta: Metadata, rule: Remediation, *, preset: bool) -> Remediation:
    """The rule with what is written in place of what the preset says, or of what is usual."""
    when = _when(spec, rule.when, required=not preset)
    target = _text(spec, "target", rule.target, required=not preset)
    inputs = spec.labels("inputs") or rule.inputs
    for one in (target, *inputs.values()):
        _labels_only(spec, one)
    saved = spec.duration("saves")
    severity = spec.text("severity", one_of=_SEVERITIES, default=rule.severity)
    return replace(
        rule, when=when, target=target, runbook=_text(spec, "runbook", rule.runbook, required=not preset),
        service=meta.service or rule.service, title=meta.title or rule.title,
        mode=cast(Mode, spec.text("mode", one_of=MODES, default=rule.mode)),
        inputs=inputs,
        throttle=_throttle(spec.child("throttle"), rule.throttle), condition=_circumstances(spec.child("if"), rule),
        limits=_limits(spec.child("limits"), rule.limits), verify=_verification(spec.child("verify"), rule.verify),
        locked=cast(WhenLocked, spec.text("locked", one_of=("leave", "wait"), default=rule.locked)),
        severity=severity, saved=saved or rule.saved)


def _text(spec: Reader, key: str, usual: str, *, required: bool) -> str:
    return spec.text(key, required=required and not usual, default=usual)


def _labels_only(spec: Reader, text: str) -> None:
    try:
        wrong = next((one for one in variables(text) if one.space != "labels"), None)
    except Misplaced as misplaced:
        spec.report(misplaced.finding, misplaced.message, misplaced.way_out)
        return
    if wrong is not None:
        spec.report("misplaced-variable", f"${{{wrong}}} is not known when a rule decides",
                    "use what triggered it: ${labels.NAME}")


# -- when ----------------------------------------------------------------------------------------------------------


def _when(spec: Reader, usual: When, *, required: bool) -> When:
    entry = spec.child("when", required=required)
    if entry is None:
        return usual
    kinds: dict[str, Callable[[Reader], When]] = {
        "alert": lambda one: OnAlert(read_matchers(one, "alert")), "budget": _budget, "every": _every, "at": _at,
        "called": _called}
    named = [key for key in kinds if entry.has(key)]
    if len(named) != 1:
        entry.ignore(*kinds)
        entry.report("one-of", f"{entry.path} says {'nothing' if not named else ' and '.join(named)}",
                     "write one of: " + ", ".join(kinds))
        entry.done()
        return usual
    found = kinds[named[0]](entry)
    if isinstance(found, OnAlert) and all(one.holds({}) for one in found.matchers):
        entry.report("fits-everything", "these matchers fit every alert", 'name a label: [alertname="Down"]', "alert")
    entry.done()
    return found


def _budget(entry: Reader) -> When:
    inner = entry.child("budget")
    if inner is None:
        return OnBudget("", ())
    found = OnBudget(inner.text("objective", required=True, default=""), inner.texts("zones", required=True))
    inner.done()
    return found


def _every(entry: Reader) -> When:
    every = entry.duration("every")
    if every is not None and not timedelta(seconds=1) <= every <= timedelta(days=1):
        entry.report("out-of-range", f"{entry.field('every')} is too often or too seldom", "write 1s to 1d", "every")
    return OnSchedule(every or timedelta(days=1))


def _at(entry: Reader) -> When:
    inner = entry.child("at")
    if inner is None:
        return OnSchedule(timedelta(days=1))
    at = inner.parsed("time", parse_clock, required=True)
    found = OnSchedule(None, at or 0, _days(inner), _zone(inner))
    inner.done()
    return found


def _called(entry: Reader) -> When:
    if not entry.flag("called"):
        entry.report("invalid-value", f"{entry.field('called')} is false: nothing would trigger it", "write true",
                     "called")
    return Called()


def _days(reader: Reader) -> frozenset[int]:
    days = set()
    for text in reader.texts("days"):
        try:
            days.add(parse_day(text))
        except InvalidInput as error:
            reader.report("invalid-value", f"{reader.field('days')}: {error.message}", error.way_out, "days")
    return frozenset(days) or EVERY_DAY


def _zone(reader: Reader) -> str:
    found = reader.parsed("zone", zone_named)
    return "UTC" if found is None else str(found)


def _throttle(entry: Reader | None, usual: Throttle | None) -> Throttle | None:
    if entry is None:
        return usual
    named: list[Throttling] = [kind for kind in ("once_within", "once_after", "accumulate_within") if entry.has(kind)]
    if len(named) != 1:
        entry.report("one-of", f"{entry.path} says {'nothing' if not named else ' and '.join(named)}",
                     "write one of: once_within, once_after, accumulate_within")
        entry.ignore("once_within", "once_after", "accumulate_within", "count", "group_by")
        return usual
    kind = named[0]
    length, count = entry.duration(kind), entry.whole("count", minimum=2, maximum=1_000)
    if (kind == "accumulate_within") != (count is not None):
        entry.report("invalid-value", "count goes with accumulate_within, and with it alone",
                     "write accumulate_within: 10m and count: 3")
    if length is not None and length > _LONGEST:
        entry.report("out-of-range", f"{entry.field(kind)} is longer than 7d", "write 7d or less", kind)
    group = entry.texts("group_by")
    entry.done()
    return Throttle(kind, length or timedelta(minutes=5), count or 1, group)


# -- if and verify -------------------------------------------------------------------------------------------------


def _circumstances(entry: Reader | None, rule: Remediation) -> Circumstances:
    if entry is None:
        return rule.condition
    hours = _hours(entry.child("hours"))
    found = Circumstances(hours or rule.condition.hours, _checks(entry) or rule.condition.checks)
    entry.done()
    return found


def _hours(entry: Reader | None) -> Hours | None:
    if entry is None:
        return None
    start, end = entry.parsed("from", parse_clock, required=True), entry.parsed("to", parse_clock, required=True)
    found = Hours(_zone(entry), (WeeklyHours(_days(entry), start or 0, (end or 0) % (24 * 60)),), entry.flag("outside"))
    entry.done()
    return found


def _checks(entry: Reader) -> tuple[Check, ...]:
    return tuple(found for one in entry.children("checks") if (found := _check(one)) is not None)


def _check(entry: Reader) -> Check | None:
    own = [key for key in ("memory", "cpu", "budget") if entry.has(key)]
    if not own:
        entry.ignore("memory", "cpu", "budget", "of")
        act = read_act(entry, _NO_INPUTS, _KEYS)
        entry.done()
        return None if act is None else ActCheck(act)
    if len(own) > 1 or any(entry.has(key) for key in _KEYS):
        entry.report("two-checks", f"{entry.path} checks several things", "make them two")
    found: Check | None
    match own[0]:
        case "budget":
            found = _budget_left(entry.child("budget"))
        case measure:
            operator, threshold = entry.parsed(measure, comparison) or (">", 1.0)
            found = HostCheck("memory" if measure == "memory" else "cpu", operator, threshold,
                              entry.text("of", default=""))
    entry.ignore(*_KEYS, *own)
    entry.done()
    return found


def _budget_left(entry: Reader | None) -> Check | None:
    if entry is None:
        return None
    objective = entry.text("objective", required=True, default="")
    left = entry.parsed("left", lambda text: float(share_of_percent(text, "left")), required=True)
    entry.done()
    return BudgetCheck(objective, left or 0.0)


def _verification(entry: Reader | None, usual: Verification) -> Verification:
    if entry is None:
        return usual
    within, every = entry.duration("within"), entry.duration("every")
    hold = entry.parsed("for", _or_zero)
    found = Verification(entry.flag("over", default=usual.over), _checks(entry) or usual.checks,
                         usual.within if within is None else within, usual.hold if hold is None else hold,
                         usual.every if every is None else every)
    if found.every < timedelta(seconds=1):
        entry.report("out-of-range", f"{entry.field('every')} is too often", "write 1s or more", "every")
    entry.done()
    return found


def _or_zero(text: str) -> timedelta:
    return timedelta(0) if text.strip() in ("0", "0s") else parse_duration(text)


# -- limits --------------------------------------------------------------------------------------------------------


def _limits(entry: Reader | None, usual: Limits) -> Limits:
    if entry is None:
        return usual
    found: dict[str, Any] = {key: value for key in ("attempts", "concurrent", "stop_after", "flaps")
                             if (value := entry.whole(key, minimum=1, maximum=1_000)) is not None}
    for key in ("within", "cool_down", "flap_within", "run", "wait"):
        length = entry.parsed(key, _or_zero if key == "cool_down" else parse_duration)
        if length is not None:
            found[key] = length
            if key != "run" and length > _LONGEST:
                entry.report("out-of-range", f"{entry.field(key)} is longer than 7d", "write 7d or less", key)
    share = entry.parsed("share", lambda text: float(share_of_percent(text, "share")))
    fleet = _fleet(entry)
    if share is not None and not fleet and not usual.fleet:
        entry.report("missing-field", f"{entry.field('share')} is of a fleet whose size is unknown",
                     "add fleet: 40, or the names of its targets", "share")
    entry.done()
    return replace(usual, **found, share=usual.share if share is None else share,
                   fleet=fleet or usual.fleet)


def _fleet(entry: Reader) -> int:
    node = entry.raw("fleet")
    if node is None:
        return 0
    if isinstance(node.value, list):
        return len(set(entry.texts("fleet")))
    return entry.whole("fleet", minimum=1, maximum=1_000_000) or 0
