"""Precision, recall, detection, reset and budget spent, worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from mainstay.kernel.errors import NotFound
from mainstay.kernel.quantity import Target
from mainstay.kernel.series import Series
from mainstay.monitoring.backtest import Truth, judge, score
from mainstay.monitoring.evaluation import Firings, Policy, Rule
from mainstay.monitoring.policies import PRESETS, preset
from mainstay.monitoring.truth import Episode
from mainstay.stats.budget import NoBudget

MONTH = timedelta(days=30)


def series(slots: int = 100, step: int = 60) -> Series:
    return Series(0, step, np.zeros(slots), np.ones(slots), np.ones(slots, dtype=np.bool_))


def truth(*episodes: tuple[int, int], of: Series | None = None, allowed: float = 10) -> Truth:
    return Truth.of(of or series(), [Episode(datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC), 0.0)
                                     for start, end in episodes], allowed)


def fired(*pairs: tuple[int, int], still: bool = False) -> Firings:
    began, ended = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    return Firings(began, ended, still)


def test_an_alert_within_an_episode_is_right_and_another_is_not() -> None:
    found = score(fired((100, 300), (900, 960)), 60, truth((60, 240)))
    assert (found.alerts, found.right, found.found, found.episodes) == (2, 1, 1, 1)
    assert (found.precision, found.recall) == (0.5, 1.0)
    assert found.detection == (40, 40)
    assert found.reset == (60, 60)


def test_an_alert_may_begin_until_its_short_window_after_the_end_is_over() -> None:
    assert score(fired((299, 320)), 60, truth((60, 240))).right == 1
    assert score(fired((300, 320)), 60, truth((60, 240))).right == 0


def test_an_alert_that_fired_already_told_at_once() -> None:
    found = score(fired((10, 100)), 60, truth((60, 240)))
    assert found.detection == (0, 0)
    assert found.reset == (0, 0), "it stopped before the episode did"


def test_one_alert_over_two_episodes_is_right_once_and_finds_both() -> None:
    found = score(fired((70, 700)), 0, truth((60, 100), (600, 650)))
    assert (found.right, found.found) == (1, 2)
    assert found.detection == (0, 10)


def test_what_still_fires_at_the_end_has_no_reset_time() -> None:
    assert score(fired((70, 6000), still=True), 0, truth((60, 100))).reset is None


def test_nothing_to_find_and_nothing_found_have_no_share() -> None:
    quiet = score(fired(), 60, truth())
    assert (quiet.precision, quiet.recall, quiet.detection, quiet.reset, quiet.spent) == (None,) * 5
    assert score(fired(), 60, truth((60, 100))).recall == 0


def test_the_budget_spent_is_what_failed_before_somebody_was_told() -> None:
    one = series()
    one.bad[1:4] = 1  # failures from 60 s to 240 s
    assert score(fired((180, 300)), 60, truth((60, 240), of=one)).spent == (0.2, 0.2)


def test_alerts_a_month_count_measured_time() -> None:
    one = series(slots=2 * 43_200)
    one.known[43_200:] = False
    assert score(fired((60, 120), (600, 660)), 0, truth(of=one)).per_month == pytest.approx(2)


def test_percentiles_are_the_nearest_rank() -> None:
    episodes = [(1000 * i, 1000 * i + 500) for i in range(1, 21)]
    told = fired(*((start + 10 * i, end) for i, (start, end) in enumerate(episodes)))
    assert score(told, 0, truth(*episodes)).detection == (90, 180)


def test_pages_of_several_tiers_wake_somebody_once() -> None:
    one = series(slots=600)
    one.bad[100:160] = 1
    both = Policy("both", "", (Rule("page-2m", "page", timedelta(minutes=2), None, Decimal("0.4")),
                               Rule("page-9m", "page", timedelta(minutes=9), None, Decimal("0.4")),
                               Rule("ticket-1h", "ticket", timedelta(hours=1), None, Decimal("0.4"))))
    (found,) = judge(one, [both], truth((6000, 9600), of=one))
    assert [score.alerts for _, score in found.tiers] == [1, 1, 1]
    assert (found.pages.alerts, found.tickets.alerts) == (1, 1)


# -- presets ----------------------------------------------------------------------------------------------------


def test_the_presets_are_what_their_makers_publish() -> None:
    """Factors, windows and holds of the SRE Workbook (ch. 5), Sloth 0.16 and Pyrra 0.10 over 30 and 28 days."""
    def shape(name: str, days: int = 30) -> list[tuple[str, float, float, float, float]]:
        minute = timedelta(minutes=1)
        return [(rule.severity, float(rule.threshold * 1000), rule.long / minute,
                 rule.short / minute if rule.short else 0, rule.hold / minute)
                for rule in preset(name, Target.percent("99.9"), timedelta(days=days)).rules]

    assert shape("workbook") == [("page", 14.4, 60, 5, 0), ("page", 6, 360, 30, 0), ("ticket", 1, 4320, 360, 0)]
    assert shape("sloth") == [("page", 14.4, 60, 5, 0), ("page", 6, 360, 30, 0), ("ticket", 3, 1440, 120, 0),
                              ("ticket", 1, 4320, 360, 0)]
    assert shape("pyrra", 28) == [("page", 14, 60, 5, 2), ("page", 7, 360, 30, 15), ("ticket", 2, 1440, 120, 60),
                                  ("ticket", 1, 5760, 360, 180)]
    assert shape("single-window") == [("page", 36, 60, 0, 0)]
    assert shape("threshold") == [("page", 1, 5, 0, 5)]


def test_a_preset_that_cannot_trip_says_so() -> None:
    lax = Target.percent(90)
    for name in ("workbook", "sloth", "pyrra", "single-window"):
        assert "never trip" in preset(name, lax, MONTH).rules[0].faults[0]


def test_unknown_policies_and_perfect_targets_are_refused() -> None:
    with pytest.raises(NotFound, match="did you mean"):
        preset("workbok", Target.percent(99), MONTH)
    for name in PRESETS:
        with pytest.raises(NoBudget):
            preset(name, Target.percent(100), MONTH)
