"""Histories of requests that are known exactly, and how a counter would have shown them.

The truth is bad and total per slot. The counters are the ones a service exposes: one series per status code, `200` for
good and `500` for bad requests, which only ever grow, start again at zero after a restart, and are sampled every so
many seconds with a sample on every slot's end. Nothing here knows a server: text and numbers only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

SLOT = 300
DAY = 86_400
METRIC = "http_requests_total"
START = 1_740_787_200
"""2025-03-01T00:00:00Z: long past wherever the tests run, and a whole month without a change of the year."""


@dataclass(frozen=True)
class History:
    """What truly happened to one job.

    Args:
        name: value of the label `job`.
        slots: (slot start in epoch seconds, bad, total), ascending; a slot that is left out was not scraped.
        resets: starts of slots at which the process started again, so its counters fell to zero.
        errors_born: when the series of errors first appears: `start` with the first sample of all, `zero` with a
            sample of 0 just before the first error (a client library that declares its label values), `late` with the
            first sample after it (one that does not, so the first sample is already above zero).
        every: seconds between samples; divides the slot.
    """

    name: str
    slots: tuple[tuple[int, int, int], ...]
    resets: frozenset[int] = field(default_factory=frozenset)
    errors_born: str = "start"
    every: int = 60

    @property
    def bad(self) -> int:
        """Failed requests of the whole history."""
        return sum(bad for _, bad, _ in self.slots)

    @property
    def total(self) -> int:
        """Requests of the whole history."""
        return sum(total for _, _, total in self.slots)

    @property
    def end(self) -> int:
        """Epoch seconds just after the last slot."""
        return self.slots[-1][0] + SLOT


Sample = tuple[int, int]


def counter_samples(history: History) -> dict[str, list[Sample]]:
    """The samples (epoch seconds, value) of each status code's counter; a code that never occurred has no series.

    Within a slot the requests arrive evenly. Each stretch of scraped slots opens with a sample on its first slot's
    start, so that the first slot's increase has something to grow from.
    """
    series = {
        "200": list(_samples(history, [(start, total - bad) for start, bad, total in history.slots])),
        "500": list(_samples(history, [(start, bad) for start, bad, _ in history.slots])),
    }
    if not any(value for _, value in series["200"]):
        del series["200"]
    first_error = next((at for at, value in series["500"] if value), None)
    if first_error is None:
        del series["500"]
    elif history.errors_born == "zero":
        series["500"] = [(at, value) for at, value in series["500"] if at >= first_error - history.every]
    elif history.errors_born == "late":
        series["500"] = [(at, value) for at, value in series["500"] if at >= first_error]
    return series


def _samples(history: History, counts: Iterable[tuple[int, int]]) -> Iterator[Sample]:
    per_slot = SLOT // history.every
    value, sampled_until = 0, None
    for start, count in counts:
        if sampled_until != start:
            yield start, value
        if start in history.resets:
            value = 0
        for nth in range(1, per_slot + 1):
            yield start + nth * history.every, value + count * nth // per_slot
        value += count
        sampled_until = start + SLOT


def truth(history: History) -> tuple[list[float], list[float]]:
    """Bad and total of every slot from the history's first to its last, 0 where nobody scraped."""
    count = (history.end - history.slots[0][0]) // SLOT
    bad, total = [0.0] * count, [0.0] * count
    for start, failed, asked in history.slots:
        at = (start - history.slots[0][0]) // SLOT
        bad[at], total[at] = float(failed), float(asked)
    return bad, total


def shifted(samples: dict[str, list[Sample]], seconds: int) -> dict[str, list[Sample]]:
    """The same values scraped so much later: a server's scrapes fall on slot ends only by chance."""
    return {code: [(at + seconds, value) for at, value in rows] for code, rows in samples.items()}


def open_metrics(series: dict[str, dict[str, list[Sample]]]) -> str:
    """OpenMetrics text of the counters of several jobs: job → status code → samples; for promtool's back-fill."""
    lines = [f"# TYPE {METRIC.removesuffix('_total')} counter"]
    lines += (f'{METRIC}{{job="{job}",code="{code}"}} {value} {at}'
              for job, codes in series.items() for code, rows in codes.items() for at, value in rows)
    return "\n".join([*lines, "# EOF", ""])


def exposition(series: dict[str, dict[str, list[Sample]]]) -> str:
    """The same in Prometheus' text format, times in milliseconds; for VictoriaMetrics' import."""
    return "".join(f'{METRIC}{{job="{job}",code="{code}"}} {value} {at * 1000}\n'
                   for job, codes in series.items() for code, rows in codes.items() for at, value in rows)


# -- the histories that compute budgets wrong elsewhere -------------------------------------------------------------


def day_and_night(days: int = 30, busy: int = 100, quiet: int = 1) -> History:
    """By day `busy` requests a slot with 1 % failing, by night a few that all succeed: a mean of ratios halves it."""
    rows = []
    for start in _starts(days):
        day = 8 * 3600 <= start % DAY < 20 * 3600
        rows.append((start, busy // 100 if day else 0, busy if day else quiet))
    return History("day_and_night", tuple(rows))


def idle_gap(days: int = 30, steady: int = 50) -> History:
    """Steady traffic and ten minutes in which nobody asks at all: their 0/0 must not poison the month."""
    idle = {START + 10 * DAY, START + 10 * DAY + SLOT}
    return History("idle_gap", tuple(
        (start, 0, 0) if start in idle else (start, int(start % (20 * SLOT) == 0), steady) for start in _starts(days)))


def failing_spike(days: int = 30, steady: int = 10) -> History:
    """Two hours of a hundredfold traffic, all of it failing: slots weigh by their requests, not by their number."""
    spike = range(START + 12 * DAY, START + 12 * DAY + 7200)
    return History("failing_spike", tuple(
        (start, steady * 100, steady * 100) if start in spike else (start, 0, steady) for start in _starts(days)))


def late_errors(days: int = 30, steady: int = 40, born: str = "zero") -> History:
    """No series of errors exists before day twenty."""
    first = START + 20 * DAY
    return History(f"late_errors_{born}", tuple(
        (start, 5 if start >= first else 0, steady) for start in _starts(days)), errors_born=born)


def restarts(days: int = 30, steady: int = 30) -> History:
    """The process starts again every seven hours; its counters fall to zero each time."""
    return History("restarts", tuple((start, int(start % 3600 == 0), steady) for start in _starts(days)),
                   resets=frozenset(start for start in _starts(days) if (start - START) % (7 * 3600) == 0))


def outage_from_start(days: int = 1, steady: int = 20) -> History:
    """Every request since the process started has failed; no series of good requests exists."""
    return History("outage_from_start", tuple((start, steady, steady) for start in _starts(days)))


def scrape_gap(days: int = 2, steady: int = 60) -> History:
    """Nobody scraped for three hours; what happened then is not known."""
    unseen = range(START + 12 * 3600, START + 15 * 3600)
    return History("scrape_gap", tuple((start, 1, steady) for start in _starts(days) if start not in unseen))


def _starts(days: int) -> range:
    return range(START, START + days * DAY, SLOT)


HISTORIES = (day_and_night(), idle_gap(), failing_spike(), late_errors(), restarts(), outage_from_start())
"""What every source must read alike, to the request."""
