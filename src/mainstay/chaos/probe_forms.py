"""Reading a hypothesis and its probes out of a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mainstay.chaos.hypothesis import (
    HEARD,
    Between,
    Compared,
    Exactly,
    Hypothesis,
    Listed,
    Probe,
    Standing,
    Tolerance,
    can_hold,
    tolerance_of,
)
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.probing import Ask, CallAsk, HttpAsk, ProcessAsk, QueryAsk, TcpAsk
from mainstay.kernel.reader import Reader

TYPES = ("http", "health", "tcp", "process", "query", "objective", "python")
"""What a probe can be."""

_OK = Between(200, 399, "status")
_ENDED_WELL = Exactly(0)
_OPEN = Exactly(True)
_STANDS = Compared("string", "oneOf", ("healthy", "at_risk"), "state")
_EVERY = 1.0


def share(text: str) -> float:
    """`5%` or `0.05` as a share, 0..1.

    Raises:
        InvalidInput: neither, or outside.
    """
    raw = text.strip()
    try:
        value = float(raw[:-1]) / 100 if raw.endswith("%") else float(raw)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InvalidInput(f'"{raw}" is not a share', "write 5%, or 0.05")
    return value


def read_hypothesis(reader: Reader) -> Hypothesis:
    """`hypothesis:` of an experiment."""
    every, misses = reader.duration("every"), reader.whole("misses", minimum=0)
    children = reader.children("probes", required=True)
    if not children and reader.has("probes"):
        reader.report("missing-field", f"{reader.path}.probes is empty: nothing would be proven", "add a probe",
                      "probes")
    found = Hypothesis(reader.text("title", default=""), tuple(read_probe(one) for one in children),
                       _EVERY if every is None else every.total_seconds(), misses or 0)
    reader.done()
    names = [probe.name for probe in found.probes if probe.name]
    for name in sorted({name for name in names if names.count(name) > 1}):
        reader.report("duplicate-name", f'two probes are called "{name}"', "give each a name of its own", "probes")
    return found


def read_probe(one: Reader) -> Probe:
    """One probe."""
    kind = one.text("type", required=True, one_of=TYPES, default="")
    name = one.text("name", default=kind)
    workload = one.text("workload", default="")
    limit = one.duration("timeout")
    faster = one.duration("faster_than")
    ask, usual = _READ[kind](one) if kind in _READ else (TcpAsk(), None)
    if limit is not None and not isinstance(ask, Standing):
        ask = replace(ask, seconds=limit.total_seconds())
    tolerance = _tolerance(one, usual, kind)
    one.done()
    return Probe(name, ask, tolerance, None if faster is None else faster.total_seconds(), workload,
                 one.where_of("name"))


def _tolerance(one: Reader, usual: Tolerance | None, kind: str) -> Tolerance:
    if not one.has("tolerance"):
        if usual is None and kind:
            one.report("missing-field", f"{one.path}.tolerance is missing", "write what the answer may be: 200, true, "
                       "[low, high], or {type: regex, pattern: …}")
        one.ignore("tolerance")
        return usual or _OPEN
    one.ignore("tolerance")
    raw = one.node.value["tolerance"].plain() if isinstance(one.node.value, dict) else None
    try:
        found = tolerance_of(raw)
    except InvalidInput as error:
        one.report("invalid-value", f"{one.path}.tolerance: {error.message}", error.way_out, "tolerance")
        return Listed(())
    if not can_hold(found, kind):
        one.report("invalid-value", f"{one.path}.tolerance: no answer of a probe of type {kind} can be that",
                   f"it is heard as {HEARD[kind]}; " + _MEND[kind], "tolerance")
    return found


_MEND = {"tcp": "write true", "query": "write 1, or [0, 5]",
         "objective": "write {type: range, range: [0, 0.5], target: spent}",
         "process": "write 0, or {type: regex, pattern: ^ok, target: stdout}"} | dict.fromkeys(
             ("http", "health"), "write 200, or {type: regex, pattern: ^ok, target: body}")


def _http(one: Reader) -> tuple[Ask | Standing, Tolerance | None]:
    return HttpAsk(one.text("url", required=True, default=""), one.text("method", default="GET"),
                   one.labels("headers"), one.text("body", default=""), verify=one.flag("verify", default=True)), _OK


def _health(_: Reader) -> tuple[Ask | Standing, Tolerance | None]:
    return HttpAsk(""), _OK


def _tcp(one: Reader) -> tuple[Ask | Standing, Tolerance | None]:
    return TcpAsk(one.text("address", default="")), _OPEN


def _process(one: Reader) -> tuple[Ask | Standing, Tolerance | None]:
    return ProcessAsk(one.texts("command", required=True), one.labels("environment")), _ENDED_WELL


def _query(one: Reader) -> tuple[Ask | Standing, Tolerance | None]:
    return QueryAsk(one.text("source", required=True, default=""), one.text("query", required=True, default="")), None


def _objective(one: Reader) -> tuple[Ask | Standing, Tolerance | None]:
    return Standing(one.text("objective", required=True, default="")), _STANDS


def _python(one: Reader) -> tuple[Ask | Standing, Tolerance | None]:
    given = one.child("arguments")
    arguments: Mapping[str, Any] = {} if given is None else {name: node.plain() for name, node in given.entries()}
    return CallAsk(one.text("module", required=True, default=""), one.text("function", required=True, default=""),
                   arguments), None


_READ: Mapping[str, Callable[[Reader], tuple[Ask | Standing, Tolerance | None]]] = {
    "http": _http, "health": _health, "tcp": _tcp, "process": _process, "query": _query, "objective": _objective,
    "python": _python}
