"""The page of alerts as it arrives, before any script runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mainstay.doors.front import ServerSettings
from mainstay.doors.web.lanes import Bar, Lane, Lanes, draw_lane, place, ticks_of
from mainstay.doors.web.monitoring_content import MOST_ROWS, Seen, monitoring_page
from mainstay.doors.web.pages import Page, PageQuery
from mainstay.kernel.alert_history import Activation
from mainstay.monitoring.alerts_view import AlertReading, Elsewhere
from mainstay.slo.operations.standings import Report
from toy_server import Client, toy_app
from web.test_pages import Outline

NOW = datetime(2026, 5, 20, 21, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def reading(**more: object) -> AlertReading:
    base = AlertReading("checkout", "web", "team", "page-1h", "page", "1h", "5m", "inactive", None, 14.4, 0.2, 0.0, 120,
                        None, NOW, False, (), None)
    return replace(base, **more)  # type: ignore[arg-type]


READINGS = (
    reading(objective="quiet"),
    reading(state="firing", since=NOW - HOUR, long_burn=20.0, short_burn=30.0,
            elsewhere=Elsewhere("production", "inactive", None)),
    reading(objective="orders<script>", state="pending", since=NOW, long_burn=15.0, short_burn=15.0,
            fires_at=NOW + timedelta(minutes=2)),
    reading(objective="lax", state="useless", faults=("it can never trip",), long_burn=None, short_burn=None),
    reading(objective="blind", state="no_data", long_burn=None, short_burn=None, measured_until=None),
)
FIRED = (
    Activation({"alertname": "checkout page-1h", "slo": "checkout", "tier": "page-1h", "severity": "page"},
               NOW - 50 * HOUR, NOW - 49 * HOUR, NOW - 48 * HOUR, NOW - 48 * HOUR),
    Activation({"alertname": "checkout page-1h", "slo": "checkout", "tier": "page-1h", "severity": "page"},
               NOW - HOUR, NOW - HOUR, None, NOW),
)


def client(seen: Seen) -> Client:
    page = Page("/monitoring", "alerts", "monitoring.html",
                lambda _, query: monitoring_page(NOW, query, Report(NOW, ()), seen), word="monitoring")
    return Client(toy_app(ServerSettings(catalog="shop"), pages=(page,)))


@pytest.mark.parametrize("seen", [Seen(READINGS, FIRED, "40 firings."), Seen((), (), "")], ids=["full", "empty"])
def test_the_page_is_well_formed_and_readable_by_ear(seen: Seen) -> None:
    outline = Outline(client(seen).get("/monitoring").text)
    assert outline.open == []
    assert outline.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    identities = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    assert all("style" not in attributes for _, attributes in outline.tags)
    assert all(one.get("aria-label") or one.get("aria-hidden") for one in outline.all("svg"))


def test_what_fires_comes_first_and_every_state_has_a_sign_and_a_word() -> None:
    text = client(Seen(READINGS, FIRED, "")).get("/monitoring").text
    rows = text.split('<tr role="row">')[2:]
    assert ["firing" in rows[0], "pending" in rows[1], "no data" in rows[2], "quiet" in rows[3]] == [True] * 4
    assert "the rules of production say quiet" in rows[0]
    assert "fires in 2 m" in rows[1]
    assert "<script>" not in rows[1]
    assert "it can never trip" in text


def test_the_address_chooses_a_state() -> None:
    page = monitoring_page(NOW, PageQuery({"state": "firing"}, "30d"), Report(NOW, ()), Seen(READINGS, (), ""))
    assert [one.objective for one in page.alerts] == ["checkout"]
    assert [one.link for one in page.counts if one.current] == ["/monitoring"]


def test_a_page_of_a_thousand_objectives_is_cut_and_says_so() -> None:
    many = tuple(reading(objective=f"o{n}") for n in range(MOST_ROWS + 7))
    page = monitoring_page(NOW, PageQuery({}, "30d"), Report(NOW, ()), Seen(many, (), ""))
    assert (len(page.alerts), page.more) == (MOST_ROWS, "7 further alerts: mainstay monitoring alerts lists all")


def test_a_lane_puts_each_firing_where_it_was_and_tells_it_in_words() -> None:
    start = NOW - timedelta(days=10)
    bars = (Bar(NOW - timedelta(days=5), NOW - timedelta(days=4), "a day"), Bar(NOW - HOUR, None, "still on"))
    lane = Lane("web", "page-1h", "slo/show?name=web", "bad", bars, "2×")
    lanes = Lanes(start, NOW, (lane,), ticks_of(start, NOW))
    drawn = str(draw_lane(lanes, lane))
    assert 'aria-label="web page-1h: a day; still on"' in drawn
    assert '<rect class="bad" x="50.00%" y="2" width="10.00%"' in drawn
    assert 'class="bad on"' in drawn
    assert place(lanes, start - HOUR) == 0
    assert len(ticks_of(start, NOW)) <= 7
