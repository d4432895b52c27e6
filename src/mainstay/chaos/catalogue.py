"""The catalogue of failure modes: what was measured of each, what it means, and what helps. Pure.

The rows are what the journal keeps and what every face shows; their field names are stable JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from mainstay.chaos.matrix import CASCADES, DEGRADED, FAILS_FAST, HANGS, UNAFFECTED, Case, Cell, Interaction, Trouble
from mainstay.chaos.thresholds import Advice
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import State
from mainstay.stats.shares import Interval

MEASURED = "matrix.measured"
"""The fact that a matrix was measured; its data is a `Measurement`."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """A figure and what holds it; None as value or high is longer than anybody waited."""

    value: float | None
    low: float
    high: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """A cell of the matrix.

    Args:
        case: `cache down`, `cache down + orders slow`.
        dependencies, modes: what the case is made of, in order.
        direct: whether the workload calls one of them itself.
        verdict: `unaffected`, `degraded`, `fails-fast`, `hangs`, `cascades`, `unknown`.
        contract: `kept`, `broken`, `undecided`, or empty without a promise.
        errors, waiting: shares 0..1; more_errors: by how much the share grew; p99 in seconds; slower: times as long.
        run: the experiment's run that it was measured in.
    """

    workload: str
    probe: str
    case: str
    dependencies: tuple[str, ...]
    modes: tuple[str, ...]
    direct: bool
    verdict: str
    why: str
    contract: str
    broken: str
    requests: int
    errors: Bounds | None
    more_errors: Bounds | None
    p99: Bounds | None
    slower: Bounds | None
    waiting: Bounds | None
    recovered: bool | None
    run: str = ""

    @property
    def state(self) -> State:
        """As one of the four states of every face.

        What was promised and kept is fine, however bad it sounds; what was promised and broken is not.
        """
        if self.verdict == "unknown":
            return "no_data"
        if self.contract == "broken" or self.verdict in (HANGS, CASCADES):
            return "violated"
        if self.verdict == UNAFFECTED or self.contract == "kept":
            return "healthy"
        return "at_risk"


@dataclass(frozen=True, slots=True)
class Worse:
    """Two troubles that together are worse than either alone."""

    workload: str
    probe: str
    case: str
    alone: str
    together: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """A matrix as it was measured.

    Args:
        seconds: how long each trouble lasted.
        rate: requests a second of each probe.
        patience: seconds that a caller waited.
        stopped: why it ended before every case was measured; empty when it did not.
        pairs: of all pairs of troubles that there are; 0 when none was asked for.
        seed: that the pairs were drawn by.
    """

    at: datetime
    seconds: float
    rate: float
    patience: float
    rows: tuple[Row, ...]
    worse: tuple[Worse, ...] = ()
    advice: tuple[Advice, ...] = ()
    stopped: str = ""
    pairs: int = 0
    seed: int = 0

    @property
    def paired(self) -> int:
        """How many pairs were put in."""
        return len({one.case for one in self.rows if len(one.modes) > 1})

    @property
    def broken(self) -> tuple[Row, ...]:
        """Rows whose promise was broken."""
        return tuple(one for one in self.rows if one.contract == "broken")


def row(cell: Cell, run: str = "") -> Row:
    """A cell as the journal keeps it."""
    return Row(cell.workload, cell.probe, said(cell.case), tuple(one.dependency for one in cell.case),
               tuple(one.mode for one in cell.case), cell.direct, cell.verdict, cell.why, cell.contract, cell.broken,
               cell.requests, _bounds(cell.errors), _bounds(cell.more_errors), _bounds(cell.p99), _bounds(cell.slower),
               _bounds(cell.waiting), cell.recovered, run)


def said(case: Case) -> str:
    """`cache down + orders slow`."""
    return " + ".join(one.said for one in case)


def worse(found: Iterable[Interaction]) -> tuple[Worse, ...]:
    """Interactions as the journal keeps them."""
    return tuple(Worse(one.workload, one.probe, said(one.case), one.alone, one.together) for one in found)


def _bounds(interval: Interval | None) -> Bounds | None:
    if interval is None:
        return None
    value, low, high = (one if math.isfinite(one) else None for one in interval)
    return Bounds(value, interval.high if low is None else low, high) if low is not None else Bounds(value, 0.0, high)


def as_data(found: Measurement) -> dict[str, Any]:
    """What the fact carries."""
    data = asdict(found)
    del data["at"]
    return data


def from_data(at: datetime, data: Mapping[str, Any]) -> Measurement:
    """The measurement that a fact carries."""
    return Measurement(at, data["seconds"], data["rate"], data["patience"], tuple(_row(one) for one in data["rows"]),
                       tuple(Worse(**one) for one in data["worse"]), tuple(Advice(**one) for one in data["advice"]),
                       data["stopped"], data.get("pairs", 0), data.get("seed", 0))


def _row(data: Mapping[str, Any]) -> Row:
    bounds = {name: None if data[name] is None else Bounds(**data[name])
              for name in ("errors", "more_errors", "p99", "slower", "waiting")}
    return Row(**{**data, **bounds, "dependencies": tuple(data["dependencies"]), "modes": tuple(data["modes"])})


# -- what helps -----------------------------------------------------------------------------------------------------

_MODES: Mapping[str, str] = {
    "down": "Nothing listens, or nothing arrives. A call fails at once or when its time-out is over.",
    "slow": "It answers, but late. Callers hold threads and connections meanwhile; this breaks more than a failure.",
    "errors": "It answers, and says that it could not. Retries of every caller make its day worse.",
    "resets": "Connections are cut. Pools hand out dead connections until they notice.",
    "corrupt": "It answers with success and nonsense. Whoever trusts it hands the nonsense on or falls over it.",
}

_HELPS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("down", HANGS): ("a time-out of the call well below the caller's own",
                      "a breaker, so that only the first calls wait"),
    ("down", FAILS_FAST): ("an answer without it: from a cache, a default, or with that part left out",),
    ("slow", HANGS): ("a time-out from the healthy calls, not from patience",
                      "a bulkhead, so that waiting calls do not take every thread"),
    ("slow", DEGRADED): ("a hedged second call for reads", "a time-out near the healthy 99.9th percentile"),
    ("slow", FAILS_FAST): ("an answer without it once the time-out is over",),
    ("errors", HANGS): ("a retry budget: retries of everybody add up", "a deadline over all tries together"),
    ("errors", FAILS_FAST): ("few retries with jitter", "an answer without it"),
    ("resets", HANGS): ("dead connections are thrown away and a call is tried once more on a fresh one",),
    ("resets", FAILS_FAST): ("one retry on a fresh connection where the call may be repeated",),
    ("corrupt", FAILS_FAST): ("answers are checked before they are used, and count as failures for the breaker",
                              "an answer without it"),
    ("corrupt", DEGRADED): ("answers are checked before they are kept in a cache",),
}

_CASCADES = ("the workload in between answers without the dependency, or refuses at once with a status callers know",
             "callers do not retry what a retry cannot help",
             "work is shed when queues grow, so that it ends by itself")


def meaning(mode: str) -> str:
    """What this kind of trouble is like, for whoever reads the catalogue."""
    return _MODES.get(mode, "")


def mitigations(modes: Sequence[str], verdict: str) -> tuple[str, ...]:
    """What helps against it; nothing where nothing has to."""
    if verdict in (UNAFFECTED, "unknown"):
        return ()
    if verdict == CASCADES:
        return _CASCADES
    return tuple(dict.fromkeys(one for mode in modes for one in _HELPS.get((mode, verdict), ())))


def covered_by(troubles: Sequence[Trouble], kinds: Mapping[str, frozenset[tuple[str, str]]],
               fault_of: Mapping[str, str]) -> tuple[str, ...]:
    """The experiments that put in all of these troubles.

    Args:
        kinds: by experiment, its faults as (kind, dependency).
        fault_of: the kind of fault for each mode.
    """
    wanted = {(fault_of[one.mode], one.dependency) for one in troubles}
    return tuple(sorted(name for name, has in kinds.items() if wanted <= has))
