"""How exact counts from real engines are where scrapes are not tidy: what the adapter's text claims, measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime

import numpy as np
import pytest

from mainstay.adapters.prometheus import PrometheusSettings, PrometheusSource
from mainstay.kernel.ports import CountRequest, PromQuery, Reading
from mainstay.kernel.quantity import Span
from servers.history import (
    METRIC,
    SLOT,
    START,
    History,
    counter_samples,
    day_and_night,
    exposition,
    late_errors,
    open_metrics,
    restarts,
    scrape_gap,
    shifted,
    truth,
)
from servers.prometheus import prometheus, victoria_metrics

pytestmark = [pytest.mark.server("prometheus"), pytest.mark.server("victoria-metrics")]

DAYS = 30
UNTIDY: Mapping[str, tuple[History, int]] = {
    "minutely": (day_and_night(DAYS), 17),
    "often": (dataclasses.replace(late_errors(DAYS), every=15), 7),
    "restarting": (restarts(DAYS), 41),
}
"""(history, seconds its scrapes lie behind the slots' ends)"""

NEWBORN = {"200": [(START + 60 * nth, 10 * nth) for nth in range(11)],
           "500": [(START + 60 * nth, 5) for nth in range(6, 11)]}
"""Ten minutes; the series of errors appears in the second slot with five errors at once."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, PrometheusSource]]:
    series = {name: shifted(counter_samples(history), late) for name, (history, late) in UNTIDY.items()}
    series |= {"gap": counter_samples(scrape_gap()), "newborn": NEWBORN}
    folder = tmp_path_factory.mktemp("counters")
    with ExitStack() as stack:
        servers = {"prometheus": prometheus(folder / "prometheus", backfill=open_metrics(series)),
                   "victoria-metrics": victoria_metrics(folder / "victoria", backfill=exposition(series))}
        yield {name: stack.enter_context(PrometheusSource(PrometheusSettings(stack.enter_context(server).url)))
               for name, server in servers.items()}


def read(source: PrometheusSource, job: str, end: int, *, counter: bool = True) -> Reading:
    span = Span(datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(end, UTC))
    texts = (f'{METRIC}{{job="{job}"}}', f'{METRIC}{{job="{job}",code="500"}}')
    total, bad = (PromQuery(text if counter else f"increase({text}[$window])", counter) for text in texts)
    return source.count([CountRequest(total, span, bad=bad)])[0]


@pytest.mark.parametrize("engine", ["prometheus", "victoria-metrics"])
@pytest.mark.parametrize("job", UNTIDY)
def test_no_request_falls_between_slots_whenever_the_scrapes_come(
        sources: dict[str, PrometheusSource], engine: str, job: str) -> None:
    history, _ = UNTIDY[job]

    series = read(sources[engine], job, history.end + SLOT).series  # the last scrape lies in one slot more

    assert series.bad_sum == pytest.approx(history.bad, rel=1e-9)
    assert series.total_sum == pytest.approx(history.total, rel=1e-9)


def test_a_plain_increase_loses_what_happens_between_its_windows(sources: dict[str, PrometheusSource]) -> None:
    history, _ = UNTIDY["minutely"]

    plain = read(sources["prometheus"], "minutely", history.end, counter=False).series

    assert history.bad == 4320
    assert plain.bad_sum == 0


@pytest.mark.parametrize("engine", ["prometheus", "victoria-metrics"])
def test_what_nobody_scraped_is_a_gap_and_the_rest_is_whole(sources: dict[str, PrometheusSource], engine: str) -> None:
    history = scrape_gap()

    series = read(sources[engine], "gap", history.end).series

    bad, total = truth(history)
    np.testing.assert_allclose(series.bad, bad, atol=1e-9)
    np.testing.assert_allclose(series.total, total, atol=1e-9)
    unseen = series.known[144:180]
    # The engines hold on to the last sample for some minutes, and the gap's last instant has a sample again: at its
    # edges they may know of slots without a request.
    assert not unseen[2:-1].any()
    assert series.known.sum() - unseen.sum() == len(history.slots)


@pytest.mark.parametrize(("engine", "seen"), [("prometheus", 0), ("victoria-metrics", 5)])
def test_a_counter_born_above_zero_loses_its_first_value_where_the_engine_does(
        sources: dict[str, PrometheusSource], engine: str, seen: int) -> None:
    series = read(sources[engine], "newborn", START + 600).series

    assert series.bad.tolist() == [0, seen]
    assert series.total_sum - series.bad_sum == 100
