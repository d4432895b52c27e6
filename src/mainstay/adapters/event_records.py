"""Files whose lines are not events, turned into lines that are: spans, samples of a Prometheus, counters of nginx.

Each becomes one file of flat JSON objects that the engine reads like any other. What a record is, and how many were
refused, is counted here: a span, a sample, a snapshot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import msgspec

from mainstay.adapters.event_files import Opened
from mainstay.adapters.event_sums import LAST_MOMENT, SAMPLES, SHOWN
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput

_SPAN_STATUS = {0: "UNSET", 1: "OK", 2: "ERROR", "STATUS_CODE_UNSET": "UNSET", "STATUS_CODE_OK": "OK",
                "STATUS_CODE_ERROR": "ERROR"}
_NANOS = 1e9
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


@dataclass(slots=True)
class Converted:
    """What the records of the files were: how many there are, and which were refused (number, why, text)."""

    file: Path
    lines: int = 0
    rejected: int = 0
    samples: list[tuple[int, str, str]] = field(default_factory=list)

    def refuse(self, why: str, text: object) -> None:
        """Count one more record, a refused one."""
        self.lines += 1
        self.rejected += 1
        if len(self.samples) < SAMPLES:
            shown = text if isinstance(text, str) else msgspec.json.encode(text).decode()
            self.samples.append((self.lines, why, shown[:SHOWN]))


class _NotARecordError(ValueError):
    """A record that lacks what makes it one; its text says what."""


def converted(format: str, files: Opened) -> Converted:
    """The events of the files as JSON lines in a file of the same folder.

    Args:
        format: `json` (one list of objects), `spans-json`, `prometheus-matrix` or `nginx-plus-status`.
    Raises:
        InvalidInput: a document that is not JSON at all.
    """
    out = Converted(files.folder / "events.jsonl")
    turn = _TURNS[format]
    with out.file.open("wb") as stream:
        for event in turn(_documents(files, out), out):
            stream.write(msgspec.json.encode(event) + b"\n")
    return out


def _documents(files: Opened, out: Converted) -> Iterator[Any]:
    """A file is one document, or one a line."""
    for name, file in zip(files.names, files.files, strict=True):
        with file.open("rb") as stream:
            first = next((line for line in stream if line.strip()), b"")
            try:
                msgspec.json.decode(first)
            except msgspec.DecodeError:
                stream.seek(0)
                if first.strip():
                    yield from _whole(name, stream.read(), out)
                continue
            stream.seek(0)
            for line in stream:
                if not line.strip():
                    continue
                try:
                    document = msgspec.json.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    out.refuse("not a JSON document", line.decode("utf-8", "replace").rstrip("\r\n"))
                    continue
                yield document


def _whole(name: str, content: bytes, out: Converted) -> Iterator[Any]:
    try:
        yield msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        lines = [line for line in content.split(b"\n") if line.strip()]
        good = []
        for line in lines:
            try:
                good.append(msgspec.json.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                out.refuse("not a JSON document", line.decode("utf-8", "replace").rstrip("\r"))
        if not good:
            raise InvalidInput(f"{name} is neither a JSON document nor JSON lines: {error}",
                               "check that it is whole, or name its format") from error
        yield from good


def _objects(documents: Iterable[Any], out: Converted) -> Iterator[Mapping[str, Any]]:
    for document in documents:
        for item in document if isinstance(document, list) else [document]:
            if isinstance(item, dict):
                yield item
            else:
                out.refuse("not a JSON object", item)


def _plain(documents: Iterable[Any], out: Converted) -> Iterator[Mapping[str, Any]]:
    for item in _objects(documents, out):
        out.lines += 1
        yield item


# -- spans --------------------------------------------------------------------------------------------------------


def _spans(documents: Iterable[Any], out: Converted) -> Iterator[Mapping[str, Any]]:
    for item in _objects(documents, out):
        for span, around in _spans_of(item):
            try:
                event = _zipkin(span) if "startTimeUnixNano" not in span and "timestamp" in span \
                    else _otlp(span, around)
            except (_NotARecordError, TypeError, ValueError, AttributeError) as error:
                reason = str(error) if isinstance(error, _NotARecordError) else "not a span"
                out.refuse(reason, span)
                continue
            out.lines += 1
            yield event


def _spans_of(item: Mapping[str, Any]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    if "resourceSpans" not in item:
        yield item, {}
        return
    for resource in _list(item["resourceSpans"]):
        around = _attributes(_mapping(_mapping(resource).get("resource")).get("attributes"))
        scopes = _mapping(resource).get("scopeSpans", _mapping(resource).get("instrumentationLibrarySpans"))
        for scope in _list(scopes):
            for span in _list(_mapping(scope).get("spans")):
                yield span, around


def _otlp(span: Mapping[str, Any], around: Mapping[str, Any]) -> dict[str, Any]:
    """OTLP/JSON: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding (64-bit numbers are texts)."""
    start, end = _nanos(span, "startTimeUnixNano", "start_time_unix_nano"), \
        _nanos(span, "endTimeUnixNano", "end_time_unix_nano")
    status = span.get("status")
    code = status.get("code", 0) if isinstance(status, dict) else status or 0
    attributes = span.get("attributes")
    return {**around, **(attributes if isinstance(attributes, dict) else _attributes(attributes)),
            "time": start / _NANOS, "duration": (end - start) / _NANOS, "status": _SPAN_STATUS.get(code, str(code)),
            "name": span.get("name"), "kind": span.get("kind"),
            "trace_id": span.get("traceId", span.get("trace_id")), "span_id": span.get("spanId", span.get("span_id")),
            "parent_id": span.get("parentSpanId", span.get("parent_span_id")) or None}


def _zipkin(span: Mapping[str, Any]) -> dict[str, Any]:
    """Zipkin v2: https://zipkin.io/zipkin-api/ (microseconds; an `error` tag marks a failed span)."""
    tags = _mapping(span.get("tags"))
    duration = span.get("duration")
    return {**tags, "time": float(span["timestamp"]) / 1e6,
            "duration": None if duration is None else float(duration) / 1e6,
            "status": "ERROR" if "error" in tags else "UNSET", "name": span.get("name"), "kind": span.get("kind"),
            "service.name": _mapping(span.get("localEndpoint")).get("serviceName"),
            "trace_id": span.get("traceId"), "span_id": span.get("id"), "parent_id": span.get("parentId")}


def _nanos(span: Mapping[str, Any], *keys: str) -> int:
    for key in keys:
        if key in span:
            return int(span[key])
    raise _NotARecordError(f'a span without "{keys[0]}"')


def _attributes(pairs: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for pair in _list(pairs):
        value = _mapping(_mapping(pair).get("value"))
        for kind, content in value.items():
            out[str(pair.get("key"))] = int(content) if kind == "intValue" else content
    return out


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# -- samples of a Prometheus --------------------------------------------------------------------------------------


def _samples(documents: Iterable[Any], out: Converted) -> Iterator[Mapping[str, Any]]:
    """One event a sample of a matrix or vector, as the Prometheus HTTP API and its clients write them."""
    for document in documents:
        answer = _mapping(document).get("data", document)
        series_list = _mapping(answer).get("result", answer)
        for series in series_list if isinstance(series_list, list) else [series_list]:
            labels = {str(name): value for name, value in _mapping(_mapping(series).get("metric")).items()}
            key = ",".join(f"{name}={labels[name]}" for name in sorted(labels))
            values = _mapping(series).get("values", [_mapping(series).get("value")])
            for sample in _list(values):
                try:
                    moment, value = float(sample[0]), float(sample[1])
                except (TypeError, ValueError, IndexError, KeyError):
                    out.refuse("not a sample [time, value]", sample)
                    continue
                if not (math.isfinite(moment) and math.isfinite(value)):
                    out.refuse("a sample that is no number", sample)
                    continue
                out.lines += 1
                yield {**labels, "series": key, "time": moment, "value": value}


# -- counters of nginx --------------------------------------------------------------------------------------------


def _increases(documents: Iterable[Any], out: Converted) -> Iterator[Mapping[str, Any]]:
    """How often each zone answered in each class between two snapshots, dated at the later one.

    A counter that went down was reset: it counts from zero then (as `increase` of Prometheus does).
    """
    snapshots: list[tuple[float, str, dict[str, dict[str, int]]]] = []
    for document in _objects(documents, out):
        try:
            zones = {str(zone): {name: int(state["responses"][name]) for name in _CLASSES}
                     for zone, state in document["server_zones"].items()}
            moment = float(document["timestamp"]) / 1000
            if not 0 <= moment < LAST_MOMENT:
                raise _NotARecordError("no such time")
            snapshots.append((moment, str(document.get("address", "")), zones))
        except (KeyError, TypeError, ValueError, AttributeError):
            out.refuse("not a snapshot with timestamp and server_zones", document)
            continue
        out.lines += 1
    before: dict[tuple[str, str], dict[str, int]] = {}
    for moment, address, zones in sorted(snapshots, key=lambda item: (item[1], item[0])):
        for zone, now in zones.items():
            last = before.get((address, zone))
            before[address, zone] = now
            if last is None:
                continue
            reset = any(now[name] < last[name] for name in _CLASSES)
            for name in _CLASSES:
                yield {"time": moment, "address": address, "zone": zone, "class": name, "status": int(name[0]) * 100,
                       "weight": now[name] - (0 if reset else last[name])}


_TURNS: Mapping[str, Callable[[Iterable[Any], Converted], Iterator[Mapping[str, Any]]]] = {
    "json": _plain, "spans-json": _spans, "prometheus-matrix": _samples, "nginx-plus-status": _increases}
