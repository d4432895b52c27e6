"""The recorded sums and every window chained from them, run by real servers over histories that are known exactly.

The histories are those of the field on which other tools' budgets go wrong: day and night, an idle gap, a failing
spike, an error series that appears late, restarts, an outage from the first second. Beside them runs the form of
Sloth 0.16 (`sum_over_time` of a five-minute ratio over its count), so that the table in docs/explain/mathematics.md is
what a server says.
"""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path

import pytest

from mainstay.kernel.quantity import Target
from mainstay.monitoring import chain
from monitoring.objectives import alerting, expression, objective, planned
from monitoring.recording import (
    Recorded,
    asked,
    counted,
    evaluated,
    exposition_of,
    open_metrics_of,
    scraped,
    value,
)
from servers.history import DAY, HISTORIES, START, History, open_metrics
from servers.prometheus import prometheus, victoria_metrics
from slo.test_mathematics_page import rows

pytestmark = pytest.mark.server("prometheus")
MINUTE = timedelta(minutes=1)
T999 = Target.percent("99.9")
SLOTH_5M = ('sum(rate(http_requests_total{{job="{0}",code=~"5.."}}[5m]))'
            ' / sum(rate(http_requests_total{{job="{0}"}}[5m]))')
SLOTH_29D = "sum_over_time(sloth5m{{slo=\"{0}\"}}[29d]) / count_over_time(sloth5m{{slo=\"{0}\"}}[29d])"
DAYS = 29
"""Of the histories' thirty: the window must not begin before they do, or its first slot is not known."""
PHASES = {"on the minute": (0, 0), "scrapes and rules off the minute": (17, 11)}


def recordings(url: str, history: History, phase: int) -> list[Recorded]:
    """Our two sums and Sloth's ratio, every five minutes, that many seconds before the full five minutes."""
    made = planned(objective(history.name), alerting(scrape=MINUTE))
    times = range(START + 300 - phase, history.end + 1 - phase, 300)
    out: list[Recorded] = []
    for record in (chain.BAD, chain.TOTAL):
        out += evaluated(url, record, expression(made, record), {"slo": history.name}, times)
    return out + list(evaluated(url, "sloth5m", SLOTH_5M.format(history.name), {"slo": history.name}, times))


@pytest.fixture(scope="module", params=PHASES, ids=list(PHASES))
def month(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """What the rules recorded over thirty days: phases, scrapes by history, series."""
    late, phase = PHASES[request.param]
    folder: Path = tmp_path_factory.mktemp("truth")
    scrapes = {history.name: scraped(history, late) for history in HISTORIES}
    with prometheus(folder / "raw", backfill=open_metrics(scrapes)) as server:
        series = [one for history in HISTORIES for one in recordings(server.url, history, phase)]
    return phase, scrapes, series


def truth(scrapes, history: History, phase: int) -> float:
    bad, total = counted(scrapes[history.name], max(history.end - phase - DAYS * DAY, 0), history.end - phase)
    return bad / total


def near(history: History, phase: int) -> float:
    """Relative error: none, but where a counter starts again and scrapes do not fall on slots, which lose what was
    counted since the last scrape and stretch to make up for it.
    """
    return 2e-3 if phase and history.resets else 1e-9


def test_prometheus_says_the_truth_of_thirty_days(month, tmp_path):
    phase, scrapes, series = month
    with prometheus(tmp_path, backfill=open_metrics_of(series)) as server:
        for history in HISTORIES:
            share = chain.bad_share({"slo": history.name}, timedelta(days=DAYS))
            said, so = value(server.url, share, history.end), truth(scrapes, history, phase)
            assert said == pytest.approx(so, rel=near(history, phase)), history.name
            left = chain.remaining({"slo": history.name}, timedelta(days=DAYS), T999)
            assert value(server.url, left, history.end) == pytest.approx(1 - said / 0.001, rel=1e-9, abs=1e-9)


def test_victoria_metrics_says_the_same_of_the_recorded_sums(month, tmp_path):
    phase, scrapes, series = month
    with victoria_metrics(tmp_path, backfill=exposition_of(series)) as server:
        for history in HISTORIES:
            share = chain.bad_share({"slo": history.name}, timedelta(days=DAYS))
            assert value(server.url, share, history.end) == pytest.approx(
                truth(scrapes, history, phase), rel=near(history, phase)), history.name
            bad, total = chain.exact({"slo": history.name}, timedelta(minutes=30))
            lost, asked_for = counted(scrapes[history.name], history.end - phase - 1800, history.end - phase)
            assert value(server.url, total, history.end) == pytest.approx(asked_for, rel=1e-9)
            assert value(server.url, bad, history.end) == pytest.approx(lost, rel=1e-9, abs=1e-9)


def test_the_form_of_others_says_something_else(month, tmp_path):
    phase, scrapes, series = month
    said = {}
    with prometheus(tmp_path, backfill=open_metrics_of(series)) as server:
        for history in HISTORIES:
            said[history.name] = value(server.url, SLOTH_29D.format(history.name), history.end)
    assert math.isnan(said["idle_gap"]), "one idle slot and the month is NaN"
    if not phase:  # off the minute it is NaN too: some quiet slots see no request
        assert said["day_and_night"] < 0.6 * truth(scrapes, HISTORIES[0], phase)
    spike = next(history for history in HISTORIES if history.name == "failing_spike")
    assert truth(scrapes, spike, phase) > 50 * said["failing_spike"]


def test_a_window_at_a_full_five_minutes_has_as_many_slots_as_any_other(month, tmp_path):
    _, _, series = month
    with prometheus(tmp_path, backfill=open_metrics_of(series)) as server:
        name = HISTORIES[0].name
        for at in (HISTORIES[0].end, HISTORIES[0].end + 1, HISTORIES[0].end + 299):
            counts = asked(server.url, f'count_over_time({chain.TOTAL}{{slo="{name}"}}'
                                       f"[{chain.slots(timedelta(days=30))}])", at)
            assert list(counts.values()) == [8640.0], "10,000 samples are the most an evaluation may read"


def test_the_table_on_the_page_is_what_the_servers_say(month, tmp_path):
    phase, scrapes, series = month
    by_name = {history.name.removesuffix("_zero").replace("_", " "): history for history in HISTORIES}
    with prometheus(tmp_path, backfill=open_metrics_of(series)) as server:
        for row in rows("history"):
            history = by_name[row[0]]
            ours = chain.bad_share({"slo": history.name}, timedelta(days=DAYS))
            said = (truth(scrapes, history, phase), value(server.url, ours, history.end),
                    value(server.url, SLOTH_29D.format(history.name), history.end))
            if phase:  # the page shows scrapes on the minute; off it ours is the truth all the same
                assert said[1] == pytest.approx(said[0], rel=near(history, phase))
                continue
            assert row[1:] == ["NaN" if math.isnan(one) else f"{one * 100:.6f} %" for one in said]
