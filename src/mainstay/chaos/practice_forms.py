"""Reading chaos monkeys and game days out of a catalog."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from mainstay.chaos.gameday import GameDay, PlannedStep
from mainstay.chaos.monkey import Candidate, ChaosMonkey
from mainstay.chaos.probe_forms import share
from mainstay.chaos.spec import Experiment, Hours
from mainstay.kernel.catalog import Form, Grammar, Reference, Resource
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.metadata import parse_date, read_metadata
from mainstay.kernel.quantity import zone_named
from mainstay.kernel.reader import Reader
from mainstay.kernel.wallclock import WeeklyHours, parse_clock, parse_day

WORKING_HOURS = WeeklyHours(frozenset(range(5)), 9 * 60, 15 * 60)
"""Monday to Friday from nine to three: the hours of Netflix's monkey, so that an afternoon is left to mend things."""

_SHORTEST = timedelta(minutes=1)


def read_monkey(reader: Reader) -> Iterator[ChaosMonkey]:
    """mainstay/v1 ChaosMonkey."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    before = len(spec.findings)
    every, between, keep = spec.duration("every"), spec.duration("between"), spec.parsed("keep", share)
    if every is not None and (every < _SHORTEST or every % timedelta(seconds=1)):
        spec.report("out-of-range", f"{spec.path}.every is too short", "write 1m or more, in whole seconds", "every")
        every = None
    usual = ChaosMonkey("", meta.origin, ())
    found = ChaosMonkey(
        meta.name, meta.origin, tuple(_candidates(spec)), meta.owner, every or usual.every, _hours(spec),
        tuple(_dates(spec)), usual.between if between is None else between, usual.keep if keep is None else keep,
        spec.texts("except"), spec.whole("seed", minimum=0) or 0, spec.flag("dry_run", default=True))
    spec.done()
    if meta.name and len(spec.findings) == before:
        yield found


def _candidates(spec: Reader) -> Iterator[Candidate]:
    for one in spec.children("experiments", required=True):
        probability, between = one.parsed("probability", share, required=True), one.duration("between")
        name = one.text("name", required=True, default="")
        if probability == 0:
            one.report("out-of-range", f"{one.path}.probability is 0: it would never be drawn",
                       "write 5%, or leave it out", "probability")
        if probability and name:
            yield Candidate(name, probability, one.where_of("name"), between or timedelta(0))
        one.done()


def _hours(spec: Reader) -> Hours:
    child = spec.child("hours")
    if child is None:
        return Hours("UTC", (WORKING_HOURS,))
    zone = child.parsed("zone", lambda text: str(zone_named(text))) or "UTC"
    days = set()
    for name in child.texts("days"):
        try:
            days.add(parse_day(name))
        except InvalidInput as error:
            child.report("invalid-value", error.message, error.way_out, "days")
    start, end = child.parsed("from", parse_clock), child.parsed("to", parse_clock)
    child.done()
    return Hours(zone, (WeeklyHours(frozenset(days) or WORKING_HOURS.days,
                                    WORKING_HOURS.start if start is None else start,
                                    WORKING_HOURS.end if end is None else end),))


def _dates(spec: Reader) -> Iterator[date]:
    for text in spec.texts("holidays"):
        try:
            yield parse_date(text)
        except InvalidInput as error:
            spec.report("invalid-value", error.message, error.way_out, "holidays")


def read_game_day(reader: Reader) -> Iterator[GameDay]:
    """mainstay/v1 GameDay."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    before = len(spec.findings)
    held = spec.child("roles", required=True)
    roles = {} if held is None else {name: held.texts(name) for name, _ in held.entries()}
    if held is not None:
        held.done()
    steps = tuple(_steps(spec, roles))
    found = GameDay(meta.name, meta.origin, roles, steps, meta.title, spec.moment("on"), spec.text("chat", default=""),
                    spec.text("purpose", default=""))
    spec.done()
    if meta.name and len(spec.findings) == before:
        yield found


def _steps(spec: Reader, roles: dict[str, tuple[str, ...]]) -> Iterator[PlannedStep]:
    for one in spec.children("steps", required=True):
        starts = one.text("starts", required=True, default="")
        if starts and starts not in roles:
            one.report("unknown-reference", f'{one.path}.starts is "{starts}", which is no role of this day',
                       "write one of " + ", ".join(roles) if roles else "declare roles", "starts")
        yield PlannedStep(one.text("experiment", required=True, default=""), one.where_of("experiment"), starts,
                          one.text("expect", default=""), one.texts("go_if"))
        one.done()


def _links(resource: Resource) -> Iterator[Reference]:
    match resource:
        case ChaosMonkey():
            yield from (Reference(Experiment, one.experiment, one.where) for one in resource.candidates)
        case GameDay():
            yield from (Reference(Experiment, one.experiment, one.where) for one in resource.steps)


GRAMMAR = Grammar((Form("mainstay/v1 ChaosMonkey", read_monkey, "mainstay/v1", "ChaosMonkey"),
                   Form("mainstay/v1 GameDay", read_game_day, "mainstay/v1", "GameDay")), (_links,))
"""The forms of planned and unplanned practice."""
