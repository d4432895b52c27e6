"""What target a history supports: against windows counted by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mainstay.kernel.quantity import Target
from mainstay.kernel.series import Series, gap, slots
from mainstay.slo.suggestion import CANDIDATES, suggest

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86_400


def days(bad: list[float], total: float | list[float | None] = 1_000_000) -> Series:
    """One slot a day."""
    totals = total if isinstance(total, list) else [total] * len(bad)
    return slots(START, bad, totals, step=DAY)


def test_a_steady_history_supports_the_strictest_target_with_a_fifth_of_the_budget_to_spare() -> None:
    # 0.08 % fail: 99.9 % spends exactly the 80 % that are allowed, 99.925 % would be broken.
    found = suggest(days([800.0] * 90))
    assert found.recommended == Target.percent("99.9")
    assert found.windows == 61
    assert found.best == found.worst == pytest.approx(0.9992)


def test_a_target_met_without_room_is_not_recommended() -> None:
    found = suggest(days([900.0] * 90))
    assert found.recommended == Target.percent("99.75")
    by_target = {one.target: one for one in found.candidates}
    assert by_target[Target.percent("99.9")].kept == 1
    assert by_target[Target.percent("99.9")].kept_with_margin == 0


def test_one_bad_day_early_on_spoils_only_the_windows_that_hold_it() -> None:
    # Day 1 is in one of 61 windows (1.6 %): 95 % of the windows still support the stricter target.
    assert suggest(days([500_000.0, *[50.0] * 89])).recommended == Target.percent("99.99")
    # Day 10 is in ten of 61 (16.4 %).
    spoiled = suggest(days([*[50.0] * 9, 500_000.0, *[50.0] * 80]))
    assert spoiled.recommended == Target.percent("97")


def test_windows_agree_with_brute_force() -> None:
    random = np.random.default_rng(5)
    bad = random.integers(0, 3000, 90).astype(float)
    found = suggest(days(bad.tolist()))
    slis = [1 - bad[first:first + 30].sum() / 30e6 for first in range(61)]
    assert (found.best, found.worst) == (pytest.approx(max(slis)), pytest.approx(min(slis)))
    for one in found.candidates:
        assert one.kept == pytest.approx(np.mean([sli >= float(one.target.ratio) for sli in slis]))


def test_five_minute_slots_and_days_support_the_same_target() -> None:
    random = np.random.default_rng(6)
    lost = random.poisson(0.4, 90 * 288).astype(float)
    fine = slots(START, lost, [1000.0] * len(lost))
    assert suggest(fine).recommended == suggest(fine.coarser(DAY)).recommended


def test_dependencies_are_a_ceiling_and_the_reasons_say_so() -> None:
    found = suggest(days([0.0] * 90), dependencies=[Target.percent("99.99"), Target.percent("99.95")])
    assert found.recommended == Target.percent("99.925")
    assert "99.940005 % together" in " ".join(found.reasons)


def test_a_wanted_target_is_tried_and_warned_of() -> None:
    found = suggest(days([800.0] * 90), wanted=Target.percent("99.97"), dependencies=[Target.percent("99.95")])
    said = " ".join(found.warnings)
    assert Target.percent("99.97") in {one.target for one in found.candidates}
    assert "99.97 % is more than the dependencies allow" in said
    assert "99.97 % is better than the best window of the history, 99.9200 %" in said


def test_100_percent_is_never_recommended_and_warned_of_when_wanted() -> None:
    found = suggest(days([0.0] * 90), wanted=Target.percent(100))
    assert found.recommended == CANDIDATES[-1]
    assert "no error budget" in " ".join(found.warnings)


def test_too_few_events_are_said_with_the_number_that_is_needed() -> None:
    found = suggest(days([0.0] * 90, 100))
    assert "needed for 10" in " ".join(found.warnings)
    assert "1,000,000 events" in " ".join(found.warnings)


def test_a_history_shorter_than_the_window_is_one_window_and_is_said() -> None:
    found = suggest(days([800.0] * 10))
    assert (found.windows, found.recommended) == (1, Target.percent("99.9"))
    assert "shorter than one window of 30 d" in " ".join(found.warnings)


def test_few_separate_windows_are_said() -> None:
    assert "overlap" in " ".join(suggest(days([0.0] * 60)).warnings)
    assert "overlap" not in " ".join(suggest(days([0.0] * 90)).warnings)


def test_unmeasured_days_before_the_history_do_not_make_it_longer() -> None:
    found = suggest(days([0.0] * 90, [*[None] * 80, *[1e6] * 10]))
    assert found.windows == 1


@pytest.mark.parametrize("series", [gap(0, 10, DAY), days([0.0] * 40, 0)])
def test_nothing_measured_supports_nothing(series: Series) -> None:
    found = suggest(series)
    assert (found.recommended, found.best) == (None, None)
    assert found.warnings


def test_a_history_that_supports_no_candidate_says_so() -> None:
    found = suggest(days([500_000.0] * 90))
    assert found.recommended is None
    assert "no candidate" in " ".join(found.reasons)


def test_other_window_lengths_are_judged_alike() -> None:
    assert suggest(days([800.0] * 90), timedelta(days=7)).windows == 84
