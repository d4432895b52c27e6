"""Experiments written down: from what Mainstay knows to the YAML that declares it. Reading it again gives the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mainstay.chaos.hypothesis import (
    Asked,
    AtPath,
    Between,
    Compared,
    Exactly,
    Listed,
    Matches,
    Probe,
    Standing,
    Tolerance,
)
from mainstay.chaos.kinds import Parameter, kind_named
from mainstay.chaos.spec import Experiment, Fault, Phase
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.faults import Setting
from mainstay.kernel.probing import CallAsk, HttpAsk, ProcessAsk, QueryAsk, TcpAsk


def as_yaml(document: Mapping[str, Any], comment: str = "") -> str:
    """The document as YAML, below lines of comment."""
    import yaml  # noqa: PLC0415  (a lazy start: only what writes pays for it)

    head = "".join(f"# {line}\n" for line in comment.splitlines())
    text: str = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=110)
    return head + text


def document_of(one: Experiment) -> dict[str, Any]:
    """The experiment as a document of `mainstay/v1`; what is as by default is left out."""
    metadata = _some(name=one.name, displayName=one.title, owner=one.owner, service=one.service)
    abort = _some(burn_rate=one.abort_when.burn_rate, spent=None if one.abort_when.spent is None
                  else _percent(one.abort_when.spent), incident=None if one.abort_when.incident else False)
    spend = one.spend
    budget = {"keep": _percent(spend.keep), "impact": _percent(spend.impact)} if spend.required else None
    spec = {"target": one.target, **_some(description=one.description),
            "hypothesis": _some(title=one.hypothesis.title, probes=[probe_document(each)
                                                                   for each in one.hypothesis.probes],
                                every=duration(one.hypothesis.every), misses=one.hypothesis.misses or None),
            **_phases(one.phases), "stabilise": duration(one.stabilise),
            **_some(abort_when=abort or None, budget=budget, hours=_hours(one), widen=_widen(one),
                    rollback=list(one.rollback), manual=one.manual or None)}
    return {"apiVersion": "mainstay/v1", "kind": "Experiment", "metadata": metadata, "spec": spec}


def _some(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", [], {}, ())}


def _phases(phases: tuple[Phase, ...]) -> dict[str, Any]:
    if len(phases) == 1 and not phases[0].pause:
        return {"faults": [fault_document(one) for one in phases[0].faults], "duration": duration(phases[0].seconds)}
    return {"phases": [{**_some(name=one.name), "duration": duration(one.seconds),
                        **({"pause": duration(one.pause)} if one.pause else {}),
                        "faults": [fault_document(fault) for fault in one.faults]} for one in phases]}


def fault_document(one: Fault) -> dict[str, Any]:
    """A fault as it is written in an experiment."""
    return _some(kind=one.kind, workload=one.workload, dependency=one.dependency,
                 settings=settings_document(one.kind, one.settings),
                 share=None if one.share == 1 else _percent(one.share),
                 felt_by=probe_document(one.felt_by) if one.felt_by is not None else None)


def settings_document(kind: str, settings: Mapping[str, Setting]) -> dict[str, str]:
    """Settings with their units, those that are as by default left out."""
    return {one.name: _setting(one, settings[one.name]) for one in kind_named(kind).parameters
            if one.name in settings and settings[one.name] != one.default}


def _setting(parameter: Parameter, value: Setting) -> str:
    match parameter.unit:
        case "seconds":
            return duration(float(value))
        case "share":
            return _percent(float(value))
        case "word":
            return str(value)
        case _:
            return f"{float(value):.15g}"


def duration(seconds: float) -> str:
    """`200ms`, `90s`, `-3600s`: as the reader takes it, without loss down to a microsecond."""
    sign, length = ("-", -seconds) if seconds < 0 else ("", seconds)
    if length == math.floor(length):
        return f"{sign}{int(length)}s"
    milliseconds = round(length * 1000, 3)
    return f"{sign}{milliseconds:.15g}ms"


def _percent(share: float) -> str:
    return f"{share * 100:.12g}%"


def _hours(one: Experiment) -> dict[str, Any] | None:
    if len(one.hours.weekly) != 1:
        return None
    weekly = one.hours.weekly[0]
    days = str(weekly).split()[:-1]
    return {"zone": one.hours.zone, "days": days, "from": f"{weekly.start // 60:02}:{weekly.start % 60:02}",
            "to": f"{weekly.end // 60:02}:{weekly.end % 60:02}"}


def _widen(one: Experiment) -> dict[str, Any] | None:
    widen = one.widen
    return None if widen is None else {
        "shares": [_percent(each) for each in widen.shares], "healthy": _percent(widen.healthy),
        "unhealthy": _percent(widen.unhealthy), "longest": duration(widen.longest)}


# -- probes -----------------------------------------------------------------------------------------------------------


def probe_document(one: Probe) -> dict[str, Any]:
    """A probe as it is written in a hypothesis."""
    return _some(name=one.name, **_ask(one), workload=one.workload, tolerance=tolerance_document(one.tolerance),
                 faster_than=None if one.faster is None else duration(one.faster))


def _ask(one: Probe) -> dict[str, Any]:
    match one.ask:
        case HttpAsk(url=""):
            return {"type": "health", "timeout": duration(one.ask.seconds)}
        case HttpAsk() as ask:
            return _some(type="http", url=ask.url, method=None if ask.method == "GET" else ask.method,
                         headers=dict(ask.headers), body=ask.body, verify=None if ask.verify else False,
                         timeout=duration(ask.seconds))
        case TcpAsk() as ask:
            return _some(type="tcp", address=ask.address, timeout=duration(ask.seconds))
        case ProcessAsk() as ask:
            return _some(type="process", command=list(ask.command), environment=dict(ask.environment),
                         timeout=duration(ask.seconds))
        case QueryAsk() as ask:
            return {"type": "query", "source": ask.source, "query": ask.text, "timeout": duration(ask.seconds)}
        case CallAsk() as ask:
            return _some(type="python", module=ask.module, function=ask.function, arguments=dict(ask.arguments),
                         timeout=duration(ask.seconds))
        case Standing() as ask:
            return {"type": "objective", "objective": ask.objective}


def tolerance_document(one: Tolerance) -> Any:
    """A tolerance as it is written."""
    match one:
        case Exactly(value):
            return value
        case Listed(values):
            return list(values)
        case Between(low, high, target):
            return _some(type="range", range=[low, high], target=target)
        case Matches(pattern, target):
            return _some(type="regex", pattern=pattern, target=target)
        case AtPath(path, expect, count, target):
            return {"type": "jsonpath", "path": path, **({} if expect is None else {"expect": list(expect)}),
                    **_some(count=count, target=target)}
        case Compared(kind, criteria, value, target):
            return _some(type=kind, criteria=criteria, value=list(value) if len(value) > 1 else value[0], target=target)
        case Asked():
            raise InvalidInput("a tolerance that asks another probe cannot be written down",
                               "write that experiment by hand")
