"""`slo try`: point it at a log, get a budget; no YAML needed."""

from __future__ import annotations

from mainstay.kernel.condition import parse_where
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import FileSet, Survey, World
from mainstay.kernel.quantity import Target, parse_duration, zone_named
from mainstay.slo.trial import Trial, trial_of
from mainstay.slo.trial_view import trial_view


@dataclass(frozen=True)
class TryRequest:
    """What to read and what to hold it against."""

    files: tuple[str, ...] = arg("logs, span files or tables: plain or gzip, globs, - for standard input",
                                 positional=True, local_only=True)
    target: str = arg("what to hold it against, in percent", "99.9", short="t", value="PERCENT")
    bad: tuple[str, ...] = arg("an event is bad when all of these hold", ("status>=500",), value="CONDITION")
    where: tuple[str, ...] = arg("count only events for which all of these hold", (), value="CONDITION")
    latency: str = arg("also judge durations against this threshold, such as 300ms", "", value="DURATION")
    by: tuple[str, ...] = arg("the fields that name who spent the budget", ("method", "path", "status"), value="FIELD")
    unique: tuple[str, ...] = arg("rows equal in all these fields count once", (), value="FIELD")
    format: str = arg("the files' format, when it is not recognised", "auto", value="FORMAT")
    field: tuple[str, ...] = arg("where a field stands in the files: duration=latency_ms", (), value="OURS=THEIRS")
    zone: str = arg("the time zone of times that name none", "UTC", value="ZONE")
    top: int = arg("how many spenders to name", 10)
    rejects: bool = arg("show samples of the rejected lines", False)


@dataclass(frozen=True)
class Tried:
    """The trial, and whether rejected lines are to be shown."""

    trial: Trial
    rejects: bool


def try_files(world: World, request: TryRequest) -> Tried:
    """Read logs, spans or tables and say what they spent of an error budget.

    Works on Apache and nginx access logs, JSON lines, CSV, Parquet, span files and metric dumps, without a catalog.
    """
    if not request.files:
        raise InvalidInput("no file was named", "mainstay slo try access.log.gz")
    target = Target.percent(request.target)
    zone_named(request.zone)
    fields = dict(_field(text) for text in request.field)
    survey = Survey(
        FileSet(request.files, request.format, fields, request.unique,
                tuple(parse_where(text) for text in request.where), request.zone),
        tuple(parse_where(text) for text in request.bad),
        parse_duration(request.latency).total_seconds() if request.latency else None, request.by, request.top)
    return Tried(trial_of(survey, world.survey(survey), target), request.rejects)


def _field(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not equals or not ours or not theirs:
        raise InvalidInput(f'"{text}" does not say where a field stands', "write --field duration=latency_ms")
    return ours, theirs


TRY = Operation(
    "slo", "try", TryRequest, try_files, lambda tried: trial_view(tried.trial, rejects=tried.rejects),
    exit_codes=((0, "the files were read"), (2, "the files or the flags cannot be used"), (3, "no event to count")),
    examples=("mainstay slo try access.log.gz",
              "mainstay slo try access.log --target 99.95 --latency 300ms",
              "mainstay slo try 'logs/*.gz' --where 'path=~^/api' --json",
              "mainstay slo try spans.csv.gz --where ParentID=root --unique TraceID --unique SpanID --latency 1s"),
    doors=("cli",), catalog="unused", as_json=lambda tried: tried.trial)
