"""What every source of numbers must do: read the same history alike, to the request, whatever engine holds it.

A further source joins by one entry in `ENGINES`: a context manager that puts histories into it and gives back how to
ask for one of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from mainstay.adapters.events import EventSource
from mainstay.adapters.prometheus import PrometheusSettings, PrometheusSource
from mainstay.kernel.ports import Condition, CountRequest, EventQuery, FileSet, PromQuery, Source
from mainstay.kernel.quantity import Span
from servers.history import (
    HISTORIES,
    METRIC,
    SLOT,
    START,
    History,
    counter_samples,
    exposition,
    open_metrics,
    truth,
)
from servers.prometheus import prometheus, victoria_metrics

Ask = Callable[[History, str], tuple[Source, CountRequest]]
"""A history, and whether its `bad` or its `good` events are named → the source and the request for all of it."""

Engine = Callable[[Sequence[History], Path], contextlib.AbstractContextManager[Ask]]


def span_of(history: History) -> Span:
    return Span(datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(history.end, UTC))


def _by_promql(url: str) -> Iterator[Ask]:
    with PrometheusSource(PrometheusSettings(url)) as source:
        def ask(history: History, named: str) -> tuple[Source, CountRequest]:
            counter = f'{METRIC}{{job="{history.name}"'
            return source, CountRequest(
                PromQuery(f"{counter}}}", counter=True), span_of(history),
                bad=PromQuery(f'{counter},code=~"5.."}}', counter=True) if named == "bad" else None,
                good=PromQuery(f'{counter},code!~"5.."}}', counter=True) if named == "good" else None)
        yield ask


@contextlib.contextmanager
def in_prometheus(histories: Sequence[History], folder: Path) -> Iterator[Ask]:
    text = open_metrics({history.name: counter_samples(history) for history in histories})
    with prometheus(folder, backfill=text) as server:
        yield from _by_promql(server.url)


@contextlib.contextmanager
def in_victoria_metrics(histories: Sequence[History], folder: Path) -> Iterator[Ask]:
    text = exposition({history.name: counter_samples(history) for history in histories})
    with victoria_metrics(folder, backfill=text) as server:
        yield from _by_promql(server.url)


@contextlib.contextmanager
def in_event_files(histories: Sequence[History], folder: Path) -> Iterator[Ask]:
    """The same events as rows of a table, many equal ones in one row."""
    rows = [f"{history.name},{start},{code},{count}" for history in histories for start, bad, total in history.slots
            for code, count in ((200, total - bad), (500, bad)) if count]
    (folder / "events.csv").write_text("\n".join(["job,time,code,count", *rows]) + "\n")
    source = EventSource(FileSet((str(folder / "events.csv"),), "csv", {"status": "code", "total": "count"}))

    def ask(history: History, named: str) -> tuple[Source, CountRequest]:
        job = Condition("job", "==", (history.name,))
        chosen = EventQuery((job, Condition("status", ">=" if named == "bad" else "<", (500.0,))))
        return source, CountRequest(EventQuery((job,)), span_of(history), bad=chosen if named == "bad" else None,
                                    good=chosen if named == "good" else None)

    yield ask


ENGINES: dict[str, tuple[Engine, tuple[pytest.MarkDecorator, ...]]] = {
    "prometheus": (in_prometheus, (pytest.mark.server("prometheus"),)),
    "event files": (in_event_files, ()),
    "victoria-metrics": (in_victoria_metrics, (pytest.mark.server("victoria-metrics"),)),
}


@pytest.fixture(scope="module",
                params=[pytest.param(engine, marks=marks, id=name) for name, (engine, marks) in ENGINES.items()])
def ask(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with request.param(HISTORIES, tmp_path_factory.mktemp("source")) as ask:
        yield ask


@pytest.mark.parametrize("named", ["bad", "good"])
@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.name)
def test_every_slot_reads_what_truly_happened(ask: Ask, history: History, named: str) -> None:
    source, request = ask(history, named)

    [reading] = source.count([request])

    bad, total = truth(history)
    assert reading.series.start == START
    np.testing.assert_allclose(reading.series.total, total, rtol=1e-9)
    np.testing.assert_allclose(reading.series.bad, bad, rtol=1e-9, atol=1e-9)
    assert not reading.warnings


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.name)
def test_the_share_of_bad_over_the_whole_window_is_sum_by_sum(ask: Ask, history: History) -> None:
    source, request = ask(history, "bad")

    [reading] = source.count([request])

    assert reading.series.bad_sum / reading.series.total_sum == pytest.approx(history.bad / history.total, rel=1e-6)


def test_readings_come_in_the_order_of_the_requests(ask: Ask) -> None:
    asked = [ask(history, "bad") for history in HISTORIES * 2]

    readings = asked[0][0].count([request for _, request in asked])

    assert [round(reading.series.total_sum) for reading in readings] == [each.total for each in HISTORIES * 2]


def test_the_slots_cover_the_span_widened_to_whole_slots(ask: Ask) -> None:
    source, request = ask(HISTORIES[0], "bad")
    inside = Span(datetime.fromtimestamp(START + 10, UTC), datetime.fromtimestamp(START + SLOT + 1, UTC))

    [reading] = source.count([CountRequest(request.total, inside, bad=request.bad)])

    assert (reading.series.start, len(reading.series)) == (START, 2)


def test_an_empty_span_has_no_slots(ask: Ask) -> None:
    source, request = ask(HISTORIES[0], "bad")
    nothing = Span(request.span.start, request.span.start)

    [reading] = source.count([CountRequest(request.total, nothing, bad=request.bad)])

    assert len(reading.series) == 0


def test_a_breakdown_adds_up_to_the_bad_events(ask: Ask) -> None:
    source, request = ask(HISTORIES[2], "bad")

    spenders = source.breakdown(request, ["code"])

    assert [(spender.labels, spender.bad) for spender in spenders] == [({"code": "500"}, HISTORIES[2].bad)]
    assert sum(spenders[0].by_slot.values()) == HISTORIES[2].bad
    assert len(spenders[0].by_slot) == 24


def test_a_breakdown_of_good_events_finds_the_same_spenders(ask: Ask) -> None:
    source, request = ask(HISTORIES[2], "good")

    spenders = source.breakdown(request, ["job"])

    assert [(spender.labels, spender.bad) for spender in spenders] == [({"job": "failing_spike"}, HISTORIES[2].bad)]
