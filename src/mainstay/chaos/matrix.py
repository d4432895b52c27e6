"""The degradation matrix: what becomes of each workload when each dependency is in each kind of trouble.

For every request that was sent while all was well, while the trouble lasted and after it, an answer is known. A cell
says what they prove: nothing is called better or worse than the intervals allow. Pure; the requests are sent by
`chaos matrix`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.workload import MODES, Contract, Workload
from mainstay.stats.dice import Dice
from mainstay.stats.order import quantile, quantile_interval, ratio_interval
from mainstay.stats.shares import Interval, newcombe, wilson

UNAFFECTED, DEGRADED, FAILS_FAST, HANGS, CASCADES, UNKNOWN = (
    "unaffected", "degraded", "fails-fast", "hangs", "cascades", "unknown")

RANK = {UNAFFECTED: 0, DEGRADED: 1, FAILS_FAST: 2, HANGS: 3, CASCADES: 4}
"""How bad each is for whoever waits: a quick no is better than none."""

FAULT_OF: Mapping[str, str] = {"down": "dependency-failure", "slow": "dependency-slow", "errors": "dependency-error",
                               "resets": "dependency-reset", "corrupt": "corrupt-data"}
"""The kind of fault that each mode is put in by."""

_QUANTILES = (0.5, 0.9, 0.99)
_BROKEN = 0.5
"""Of the requests fail without any trouble: beyond that, no more failures in trouble prove nothing."""


class Answer(NamedTuple):
    """What a request got.

    Args:
        at: seconds into the stretch at which it was meant to be sent; it is measured from then, so that a generator
            that is held up does not hide the wait (coordinated omission).
        seconds: until the answer was whole; infinite when none came while the caller was patient.
        failed: no answer, or one that says the server failed.
        marked: the answer itself says that something is missing.
    """

    at: float
    seconds: float
    failed: bool
    marked: bool = False


class Trouble(NamedTuple):
    """A dependency in one kind of trouble."""

    dependency: str
    mode: str

    @property
    def said(self) -> str:
        """`cache down`."""
        return f"{self.dependency} {self.mode}"


Case = tuple[Trouble, ...]
"""What is wrong at the same time: one trouble, or two of different dependencies."""


@dataclass(frozen=True, slots=True)
class Standards:
    """From when on something counts.

    Args:
        patience: seconds after which a caller has gone; no answer by then is none.
        fast: a refusal within so many seconds is a quick one.
        trifle: share of requests that may fail more than before and still be called a part of them.
        waiting: share of requests that may be left waiting, such as those before a breaker opens.
        slowdown: how many times as slow counts as slower.
        level: confidence of every interval.
        least: fewer answers than this prove nothing.
    """

    patience: float = 2.0
    fast: float = 0.5
    trifle: float = 0.02
    waiting: float = 0.1
    slowdown: float = 1.5
    level: float = 0.95
    least: int = 20


@dataclass(frozen=True, slots=True)
class Cell:
    """What a workload's requests show under one case.

    Args:
        probe: which of its requests; one workload may promise different things for different ones.
        direct: whether the workload calls a dependency of the case itself.
        errors: share that failed meanwhile.
        more_errors: by how much that share grew.
        p99: seconds, meanwhile; slower: how many times as long as before.
        waiting: share that got no answer in time or a late refusal.
        recovered: whether failing stopped with the trouble; None when nothing was seen afterwards.
        contract: `kept`, `broken`, `undecided` (too few requests to say), or empty where nothing was declared.
    """

    workload: str
    probe: str
    case: Case
    direct: bool
    verdict: str
    why: str
    requests: int
    errors: Interval | None = None
    more_errors: Interval | None = None
    p99: Interval | None = None
    slower: Interval | None = None
    waiting: Interval | None = None
    recovered: bool | None = None
    contract: str = ""
    broken: str = ""


# -- which cases -------------------------------------------------------------------------------------------------


def reach(workloads: Iterable[Workload]) -> dict[str, frozenset[str]]:
    """For each workload everything that it needs, also through others; circles are fine."""
    direct = {one.name: frozenset(each.name for each in one.dependencies) for one in workloads}
    out = {}
    for name, needs in direct.items():
        found: set[str] = set()
        ahead = set(needs)
        while ahead:
            one = ahead.pop()
            if one not in found:
                found.add(one)
                ahead |= direct.get(one, frozenset())
        out[name] = frozenset(found)
    return out


def cases(workloads: Sequence[Workload], modes: Sequence[str] = MODES, *, pairs: bool = False) -> tuple[Case, ...]:
    """Every dependency in every mode, then every two of them in every two modes.

    Raises:
        InvalidInput: a mode is unknown, or no workload that experiments may touch declares a dependency.
    """
    for mode in modes:
        if mode not in MODES:
            raise InvalidInput(f'there is no mode "{mode}"{did_you_mean(mode, MODES)}', "write some of "
                               + ", ".join(MODES))
    names = sorted({each.name for one in workloads for each in one.dependencies})
    if not names:
        raise InvalidInput("no workload declares a dependency", "add dependencies to a Workload of the catalog")
    single = [(Trouble(name, mode),) for name in names for mode in modes]
    double = [(one[0], other[0]) for one, other in combinations(single, 2)
              if one[0].dependency != other[0].dependency] if pairs else []
    return (*single, *double)


def some_of(todo: Sequence[Case], most: int, seed: int) -> tuple[Case, ...]:
    """Every single trouble and at most so many pairs: every two dependencies once before any two again, which modes by
    the seed. The singles come first: what two do together is compared with what each does alone."""
    dice, pairs = Dice(seed), [case for case in todo if len(case) > 1]
    dice.shuffle(pairs)
    seen: dict[tuple[str, ...], int] = {}
    turns: list[tuple[int, int]] = []
    for place, case in enumerate(pairs):
        couple = tuple(one.dependency for one in case)
        seen[couple] = seen.get(couple, 0) + 1
        turns.append((seen[couple], place))
    return (*(case for case in todo if len(case) == 1), *(pairs[place] for _, place in sorted(turns)[:most]))


# -- what the answers prove ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """The answers of one probe: while all was well, during the trouble, and after it."""

    before: Sequence[Answer]
    during: Sequence[Answer]
    after: Sequence[Answer] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """Which cell, and by what it is judged."""

    workload: str
    probe: str
    case: Case
    direct: bool
    contract: Contract | None = None
    standards: Standards = Standards()


def judge(asked: Asked, seen: Seen) -> Cell:
    """The cell that these answers prove."""
    count = len(seen.during)
    if min(len(seen.before), count) < asked.standards.least:
        return Cell(asked.workload, asked.probe, asked.case, asked.direct, UNKNOWN,
                    f"{count} answers of at least {asked.standards.least} that are needed", count)
    z = _z(asked.standards.level)
    before, during = _tally(seen.before, asked.standards), _tally(seen.during, asked.standards)
    errors, more = wilson(during.failed, count, z), newcombe(during.errors, before.errors, z)
    waiting = wilson(during.waiting, count, z)
    slower = [ratio_interval(during.ordered, before.ordered, share, 1 - (1 - asked.standards.level) / len(_QUANTILES))
              for share in _QUANTILES]
    after = _tally(seen.after, asked.standards) if len(seen.after) >= asked.standards.least else None
    recovered = None if after is None else newcombe(after.errors, before.errors, z).low <= 0
    verdict, why = _verdict(asked, (before, during), slower, recovered)
    if verdict == UNAFFECTED and wilson(before.failed, before.requests, z).low > _BROKEN:
        return Cell(asked.workload, asked.probe, asked.case, asked.direct, UNKNOWN,
                    f"{before.failed} of {before.requests} requests fail while all is well, too", count)
    cell = Cell(asked.workload, asked.probe, asked.case, asked.direct, verdict, why, count, errors, more,
                quantile_interval(during.ordered, 0.99, asked.standards.level), slower[-1], waiting, recovered)
    return _held(cell, asked.contract, slower)


class _Tally(NamedTuple):
    requests: int
    failed: int
    waiting: int
    marked: int
    ordered: list[float]

    @property
    def errors(self) -> tuple[float, float]:
        return self.failed, self.requests


def _tally(answers: Sequence[Answer], standards: Standards) -> _Tally:
    return _Tally(len(answers), sum(one.failed for one in answers),
                  sum(one.failed and one.seconds > standards.fast for one in answers),
                  sum(one.marked for one in answers), sorted(one.seconds for one in answers))


def _verdict(asked: Asked, both: tuple[_Tally, _Tally], slower: Sequence[Interval],
             recovered: bool | None) -> tuple[str, str]:
    (before, during), standards, z = both, asked.standards, _z(asked.standards.level)
    more = newcombe(during.errors, before.errors, z)
    waits = newcombe((during.waiting, during.requests), (before.waiting, before.requests), z)
    if recovered is False:
        return CASCADES, "requests go on failing after the dependency is well again"
    if more.low > standards.trifle and not asked.direct:
        names = " or ".join(one.dependency for one in asked.case)
        return CASCADES, f"{during.failed} of {during.requests} requests fail though it does not call {names} itself"
    if waits.low > standards.waiting:
        longer = f"longer than {standards.fast:g} s"
        return HANGS, f"{during.waiting} of {during.requests} callers waited {longer} for nothing"
    promised = asked.contract.errors if asked.contract is not None and asked.contract.verdict == DEGRADED else 0.0
    if more.low > standards.trifle and wilson(during.failed, during.requests, z).low > promised:
        half = f"half of all answers within {quantile(during.ordered, 0.5) * 1000:.0f} ms"
        return FAILS_FAST, f"{during.failed} of {during.requests} requests are refused, {half}"
    if more.low > 0:
        few = "as few as were promised" if promised else "the others are answered"
        return DEGRADED, f"{during.failed} of {during.requests} requests fail, {few}"
    if newcombe((during.marked, during.requests), (before.marked, before.requests), z).low > 0:
        return DEGRADED, f"{during.marked} of {during.requests} answers say that something is missing"
    for share, ratio in zip(_QUANTILES, slower, strict=True):
        if ratio.low > standards.slowdown:
            return DEGRADED, f"the {share * 100:g}th percentile is at least {ratio.low:.1f} times as long"
    return UNAFFECTED, f"no more errors and no slower, as far as {during.requests} requests can tell"


def _held(cell: Cell, contract: Contract | None, slower: Sequence[Interval]) -> Cell:
    """The cell with what became of the promise.

    Broken is what is proven to be: the verdict is worse, or the whole interval lies beyond what was promised. Kept is
    what is proven to be kept; what the requests are too few for is undecided.
    """
    if contract is None or cell.errors is None:
        return cell
    broken = []
    if RANK[cell.verdict] > RANK[contract.verdict]:
        broken.append(f"{cell.verdict}, and {contract.verdict} was promised")
    if cell.errors.low > contract.errors:
        broken.append(f"{_percent(cell.errors.value)} failed (at least {_percent(cell.errors.low)}), and "
                      f"{_percent(contract.errors)} was promised")
    if contract.slowdown is not None and (worst := max(one.low for one in slower)) > contract.slowdown:
        broken.append(f"at least {worst:.1f} times as slow, and {contract.slowdown:g} was promised")
    if broken:
        return _with(cell, "broken", "; ".join(broken))
    sure = cell.errors.high <= contract.errors or (cell.more_errors is not None and cell.more_errors.value <= 0)
    if contract.slowdown is not None:
        # The 90th percentile decides what is kept: of so few requests nobody knows the top of the 99th.
        sure = sure and slower[1].high <= contract.slowdown
    return _with(cell, "kept" if sure else "undecided", "")


def _with(cell: Cell, contract: str, broken: str) -> Cell:
    return Cell(cell.workload, cell.probe, cell.case, cell.direct, cell.verdict, cell.why, cell.requests, cell.errors,
                cell.more_errors, cell.p99, cell.slower, cell.waiting, cell.recovered, contract, broken)


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _z(level: float) -> float:
    """The two-sided quantile of the normal distribution, by bisection of its distribution function."""
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle / math.sqrt(2)) < level else (low, middle)
    return low


# -- what the cells say together -------------------------------------------------------------------------------------


class Interaction(NamedTuple):
    """Two troubles that together are worse than either alone."""

    workload: str
    probe: str
    case: Case
    alone: str
    together: str


def interactions(cells: Iterable[Cell]) -> tuple[Interaction, ...]:
    """Where two troubles are worse than the worse of the two."""
    known = {(one.workload, one.probe, one.case): one.verdict for one in cells}
    out = []
    for (workload, probe, case), together in known.items():
        alone = [known.get((workload, probe, (trouble,)), UNKNOWN) for trouble in case]
        if len(case) < 2 or UNKNOWN in (together, *alone):
            continue
        worst = max(alone, key=RANK.__getitem__)
        if RANK[together] > RANK[worst]:
            out.append(Interaction(workload, probe, case, worst, together))
    return tuple(out)


def contract_of(workload: Workload, case: Case) -> Contract | None:
    """What the workload promises for the case: for two troubles what the weaker promise says, if both are declared."""
    promises = []
    for trouble in case:
        one = next((each for each in workload.dependencies if each.name == trouble.dependency), None)
        promise = one.contracts.get(trouble.mode) if one is not None else None
        if promise is None:
            return None
        promises.append(promise)
    weakest = max(promises, key=lambda one: RANK[one.verdict])
    slowdowns = [one.slowdown for one in promises]
    known = [one for one in slowdowns if one is not None]
    return Contract(weakest.verdict, min(1.0, sum(one.errors for one in promises)),
                    math.prod(known) if len(known) == len(slowdowns) else None)
