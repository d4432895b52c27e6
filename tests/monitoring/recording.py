"""Rules run over a known history by a real Prometheus, and what the history itself says.

A recording rule is an expression evaluated at times: it is asked for over the whole history through the API, and what
came back is written into the database of the next server, as the rule itself would have done.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx

from servers.history import History, Sample, counter_samples, shifted

_POINTS = 10_000


@dataclass(frozen=True)
class Recorded:
    """A series that a rule wrote."""

    name: str
    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...]


def evaluated(url: str, record: str, expr: str, labels: Mapping[str, str], times: range) -> Iterator[Recorded]:
    """What the expression gives at those times, under the rule's name and labels."""
    found: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    step = times.step
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        for first in range(0, len(times), _POINTS):
            part = times[first:first + _POINTS]
            answer = client.post("/api/v1/query_range", data={
                "query": expr, "start": str(part[0]), "end": str(part[-1]), "step": str(step)})
            answer.raise_for_status()
            for line in answer.json()["data"]["result"]:
                own = {key: value for key, value in line["metric"].items() if key != "__name__"} | dict(labels)
                found.setdefault(tuple(sorted(own.items())), []).extend(
                    (at, float(value)) for at, value in line["values"])
    for key, samples in found.items():
        yield Recorded(record, dict(key), tuple(samples))


def asked(url: str, expr: str, at: float) -> dict[tuple[tuple[str, str], ...], float]:
    """The expression now, by labels."""
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        answer = client.post("/api/v1/query", data={"query": expr, "time": str(at)})
    assert answer.status_code == 200, answer.text
    return {tuple(sorted(line["metric"].items())): float(line["value"][1]) for line in answer.json()["data"]["result"]}


def value(url: str, expr: str, at: float) -> float:
    """The one value that the expression has then."""
    (found,) = asked(url, expr, at).values()
    return found


def open_metrics_of(series: list[Recorded]) -> str:
    """OpenMetrics text of recorded series, gauges all; colons in names are allowed there."""
    lines = []
    by_name: dict[str, list[Recorded]] = {}
    for one in series:
        by_name.setdefault(one.name, []).append(one)
    for name, many in by_name.items():
        lines.append(f"# TYPE {name} gauge")
        for one in many:
            shown = ",".join(f'{key}="{text}"' for key, text in one.labels.items())
            lines += [f"{name}{{{shown}}} {number!r} {at:.3f}" for at, number in one.samples]
    return "\n".join([*lines, "# EOF", ""])


def exposition_of(series: list[Recorded]) -> str:
    """The same for VictoriaMetrics' import."""
    lines = []
    for one in series:
        shown = ",".join(f'{key}="{text}"' for key, text in one.labels.items())
        lines += [f"{one.name}{{{shown}}} {number!r} {at * 1000:.0f}" for at, number in one.samples]
    return "\n".join([*lines, ""])


def scraped(history: History, late: int = 0) -> dict[str, list[Sample]]:
    """The history's counters, scraped so many seconds after the full minutes."""
    return shifted(counter_samples(history), late)


def counted(samples: dict[str, list[Sample]], start: float, end: float) -> tuple[float, float]:
    """Bad and total between the last scrape at or before each end: the truth that a counter can tell."""
    bad = _grown(samples.get("500", []), start, end)
    return bad, bad + _grown(samples.get("200", []), start, end)


def _grown(rows: list[Sample], start: float, end: float) -> float:
    """How far the counter grew, a restart counted from zero."""
    times = [at for at, _ in rows]
    first, last = max(bisect.bisect_right(times, start) - 1, 0), bisect.bisect_right(times, end) - 1
    grown = 0
    for (_, before), (_, after) in zip(rows[first:last], rows[first + 1:last + 1], strict=True):
        grown += after - before if after >= before else after
    return float(grown)


