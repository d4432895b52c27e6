"""Alert policies held against SLO-years at 30 s resolution.

    one year     all windows of four tiers, holds, both severities, scores against the truth; wanted: at most 1 s.
                 Rival in the same run: a loop over the same running sums in plain Python (on a tenth, scaled).
    a fleet      1,000 such years on two processes; wanted: under 5 min. 20 of them by default, `--all` for every one.
    incidents    10,000 random ones, each detected when long × factor × budget / share says, to one evaluation.
"""

from __future__ import annotations

import resource
import sys
import time
from datetime import timedelta
from itertools import accumulate
from multiprocessing import get_context

import numpy as np

from mainstay.kernel.quantity import Target
from mainstay.kernel.series import Series
from mainstay.monitoring.backtest import Judgement, Truth, detected_after, judge
from mainstay.monitoring.evaluation import History, Policy, Rule, firings
from mainstay.monitoring.policies import preset
from mainstay.monitoring.truth import allowed_events, bursts

STEP = 30
YEAR = 365 * 86_400 // STEP
WINDOW = timedelta(days=30)
TARGET = Target.percent("99.9")
SLOTH = preset("sloth", TARGET, WINDOW)
POLICY = Policy("mixin", "four tiers with holds", tuple(
    Rule(rule.tier, rule.severity, rule.long, rule.short, rule.threshold, hold)
    for rule, hold in zip(SLOTH.rules, (timedelta(minutes=2), timedelta(minutes=15), timedelta(hours=1),
                                        timedelta(hours=3)), strict=True)))
PROCESSES = 2


def year(seed: int) -> Series:
    """Poisson traffic, a healthy background, and thirty troubles of minutes to days."""
    random = np.random.default_rng(seed)
    total = random.poisson(50, YEAR)
    share = np.full(YEAR, 0.0003)
    for _ in range(30):
        begins, lasts = int(random.integers(YEAR)), int(random.exponential(240)) + 2
        share[begins:begins + lasts] = min(1.0, 0.002 * float(np.exp(random.uniform(0, 6))))
    bad = random.binomial(total, share)
    return Series(1_735_689_600, STEP, bad.astype(float), total.astype(float), np.ones(YEAR, dtype=np.bool_))


def ours(series: Series) -> Judgement:
    allowed = allowed_events(series, TARGET.budget, WINDOW)
    truth = Truth.of(series, bursts(series, TARGET.budget, allowed), allowed)
    return judge(series, [POLICY], truth)[0]


def plain(bad: list[float], total: list[float]) -> int:
    """The same evaluations as a loop: running sums, two windows a tier, holds; how often anything fired."""
    bads, totals = [0.0, *accumulate(bad)], [0.0, *accumulate(total)]
    fired = 0
    for rule in POLICY.rules:
        threshold, held = float(rule.threshold), int(rule.hold.total_seconds()) // STEP
        long, short = (int(length.total_seconds()) // STEP for length in (rule.long, rule.short) if length)
        run = 0
        for end in range(1, len(bads)):
            first, second = max(0, end - long), max(0, end - short)
            holds = bads[end] - bads[first] > threshold * (totals[end] - totals[first]) \
                and bads[end] - bads[second] > threshold * (totals[end] - totals[second])
            run = run + 1 if holds else 0
            fired += run == held + 1
    return fired


def one_of_the_fleet(seed: int) -> tuple[float, int, int]:
    """Seconds of ours alone (making the year is not its work), pages, episodes."""
    series = year(seed)
    begun = time.perf_counter()
    found = ours(series)
    return time.perf_counter() - begun, found.pages.alerts, found.pages.episodes


def incidents(count: int) -> tuple[int, float]:
    """How many of the random incidents were detected when the formula says, and the greatest distance in seconds."""
    random = np.random.default_rng(3)
    agreed, worst = 0, 0.0
    for _ in range(count):
        rule = SLOTH.rules[int(random.integers(2))]
        threshold, slots = float(rule.threshold), int(rule.long.total_seconds()) // STEP
        share = threshold + (1 - threshold) * float(random.random()) ** 2
        begins = slots + int(random.integers(slots))
        bad = np.zeros(begins + slots + 2)
        bad[begins:] = 1e6 * share
        series = Series(0, STEP, bad, np.full(len(bad), 1e6), np.ones(len(bad), dtype=np.bool_))
        fired, after = firings(History(series, timedelta(seconds=STEP)), rule), detected_after(rule, share)
        if after is None or not len(fired):
            continue
        late = float(fired.began[0]) - begins * STEP - after.total_seconds()
        worst = max(worst, late)
        agreed += -1e-6 <= late <= STEP
    return agreed, worst


def memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    every = 1000 if "--all" in sys.argv else 20
    series = year(1)
    before = memory()
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        found = ours(series)
        taken.append(time.perf_counter() - begun)
    mine, tenth = min(taken), YEAR // 10
    begun = time.perf_counter()
    plain(series.bad[:tenth].tolist(), series.total[:tenth].tolist())
    python = (time.perf_counter() - begun) * 10
    print(f"one SLO-year, {YEAR:,} slots of {STEP} s, four tiers of two windows with holds: "
          f"{found.pages.alerts} pages, {found.pages.found} of {found.pages.episodes} episodes found")
    print(f"  mainstay            {mine:8.3f} s   (wanted: at most 1 s)")
    print(f"  plain Python        {python:8.3f} s   {python / mine:6.1f}x slower (a tenth of the year, scaled)")
    print(f"  memory              {memory():8.0f} MB  at most, {memory() - before:.0f} MB of it beyond the year itself")
    begun = time.perf_counter()
    with get_context("spawn").Pool(PROCESSES) as pool:
        results = list(pool.imap_unordered(one_of_the_fleet, range(every), chunksize=5))
    whole = time.perf_counter() - begun
    alone = sum(seconds for seconds, _, _ in results) / PROCESSES
    scaled = alone * 1000 / every
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{every} SLO-years on {PROCESSES} processes: {alone:.1f} s judging, {whole:.1f} s with making the years up, "
          f"{peak:.0f} MB each")
    print(f"  1,000 SLO-years     {scaled:8.1f} s   (wanted: under 300 s){'' if every == 1000 else ', scaled'}")
    agreed, worst = incidents(10_000)
    print(f"10,000 random incidents: {agreed:,} detected at long × factor × budget / share, "
          f"the latest {worst:.1f} s after it (one evaluation is {STEP} s)")
    return 0 if mine <= 1 and scaled < 300 and agreed == 10_000 else 1


if __name__ == "__main__":
    sys.exit(main())
