"""Counters, gauges and histograms in the text format that Prometheus scrapes (version 0.0.4)."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# 0.1, 0.3, 0.5 and 1 s are the thresholds of this shop's latency objectives. An objective can only be judged exactly
# at an edge of a bucket, so its threshold has to be one.
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)

# When the machine started, by the clock as it was when this process began. Read once, because a start time that moved
# with every correction of the clock would look like a restart.
_BOOTED = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


class Family:
    """All series of one counter or gauge, told apart by the values of its labels."""

    def __init__(self, kind: str, name: str, text: str, labels: tuple[str, ...]) -> None:
        self.name, self._labels, self._values = name, labels, dict[tuple[str, ...], float]()
        self._header = f"# HELP {name} {text}\n# TYPE {name} {kind}"

    def add(self, *values: str, by: float = 1.0) -> None:
        """Count up. With `by=0` the series exists from now on, so that its first error is a rise and not a birth."""
        self._values[values] = self._values.get(values, 0.0) + by

    def set(self, *values: str, to: float) -> None:
        """Put a gauge to a value."""
        self._values[values] = to

    def lines(self) -> Iterator[str]:
        """The header and one line per series."""
        yield self._header
        for values, number in sorted(self._values.items()):
            yield f"{self.name}{_braces(zip(self._labels, values, strict=True))} {_text(number)}"


class Histogram:
    """How many observations were at most each bucket's edge, with their sum and count."""

    def __init__(self, name: str, text: str, labels: tuple[str, ...], edges: tuple[float, ...]) -> None:
        self.name, self._labels, self._edges = name, labels, edges
        self._header = f"# HELP {name} {text}\n# TYPE {name} histogram"
        self._counts: dict[tuple[str, ...], list[int]] = {}  # one count per bucket, not yet cumulated; the last is +Inf
        self._sums: dict[tuple[str, ...], float] = {}

    def prepare(self, *values: str) -> None:
        """The series exists from now on, with no observation."""
        self._counts.setdefault(values, [0] * (len(self._edges) + 1))
        self._sums.setdefault(values, 0.0)

    def observe(self, value: float, *values: str) -> None:
        """Count one observation."""
        self.prepare(*values)
        self._counts[values][bisect_left(self._edges, value)] += 1
        self._sums[values] += value

    def lines(self) -> Iterator[str]:
        """The header and, per series, one line per bucket, the sum and the count."""
        yield self._header
        for values, counts in sorted(self._counts.items()):
            labels = list(zip(self._labels, values, strict=True))
            seen = 0
            for edge, count in zip((*map(_text, self._edges), "+Inf"), counts, strict=True):
                seen += count
                yield f"{self.name}_bucket{_braces([*labels, ('le', edge)])} {seen}"
            yield f"{self.name}_sum{_braces(labels)} {_text(self._sums[values])}"
            yield f"{self.name}_count{_braces(labels)} {seen}"


F = TypeVar("F", Family, Histogram)


class Registry:
    """Everything one process exposes, in the order in which it was declared."""

    def __init__(self) -> None:
        self._families: list[Family | Histogram] = []

    def counter(self, name: str, text: str, *labels: str) -> Family:
        """A number that only grows while the process lives."""
        return self._add(Family("counter", name, text, labels))

    def gauge(self, name: str, text: str, *labels: str) -> Family:
        """A number that goes up and down."""
        return self._add(Family("gauge", name, text, labels))

    def histogram(self, name: str, text: str, *labels: str, edges: tuple[float, ...] = LATENCY_BUCKETS) -> Histogram:
        """A distribution over fixed buckets."""
        return self._add(Histogram(name, text, labels, edges))

    def page(self) -> bytes:
        """The whole `/metrics` page, with the figures of this process at its end."""
        lines = [line for family in (*self._families, *process_families()) for line in family.lines()]
        return ("\n".join(lines) + "\n").encode()

    def _add(self, family: F) -> F:
        self._families.append(family)
        return family


def process_families() -> Iterable[Family]:
    """CPU, memory, open files and start time of this process, read from /proc under their customary names."""
    # The second field, the program's name, may hold spaces and brackets; the rest is counted from its last bracket.
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    figures = (
        ("counter", "process_cpu_seconds_total", "CPU time used, user and system.",
         (int(fields[11]) + int(fields[12])) / ticks),
        ("gauge", "process_start_time_seconds", "When the process started, in seconds since 1970.",
         _BOOTED + int(fields[19]) / ticks),
        ("gauge", "process_resident_memory_bytes", "Memory the process holds.",
         int(fields[21]) * os.sysconf("SC_PAGE_SIZE")),
        ("gauge", "process_open_fds", "Open file descriptors.", len(os.listdir("/proc/self/fd"))),
    )
    for kind, name, text, value in figures:
        family = Family(kind, name, text, ())
        family.set(to=value)
        yield family


def _braces(pairs: Iterable[tuple[str, str]]) -> str:
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
    return f"{{{inner}}}" if inner else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _text(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)
