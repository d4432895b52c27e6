"""The straight line against published numbers."""

from __future__ import annotations

import pytest

from mainstay.stats.straight_line import fit, mean_interval, student

# NIST Statistical Reference Datasets, "Norris" (linear regression, lower difficulty), with its certified values.
NORRIS = [(0.2, 0.1), (337.4, 338.8), (118.2, 118.1), (884.6, 888.0), (10.1, 9.2), (226.5, 228.1), (666.3, 668.5),
          (996.3, 998.5), (448.6, 449.1), (777.0, 778.9), (558.2, 559.2), (0.4, 0.3), (0.6, 0.1), (775.5, 778.1),
          (666.9, 668.8), (338.0, 339.3), (447.5, 448.9), (11.6, 10.8), (556.0, 557.7), (228.1, 228.3), (995.8, 998.0),
          (887.6, 888.8), (120.2, 119.6), (0.3, 0.3), (0.3, 0.6), (556.8, 557.6), (339.1, 339.3), (887.2, 888.0),
          (999.0, 998.5), (779.0, 778.9), (11.1, 10.2), (118.3, 117.6), (229.2, 228.9), (669.1, 668.4), (448.9, 449.2),
          (0.5, 0.2)]


def test_norris_of_nist():
    found = fit([x for x, _ in NORRIS], [y for _, y in NORRIS])
    assert found is not None
    assert found.slope == pytest.approx(1.00211681802045, rel=1e-12)
    assert found.start == pytest.approx(-0.262323073774029, rel=1e-10)
    assert found.spread == pytest.approx(0.884796396144373, rel=1e-10)
    error = (found.slope_high - found.slope) / student(0.975, 34)
    assert error == pytest.approx(0.429796848199937e-3, rel=1e-9)


@pytest.mark.parametrize(("share", "freedom", "quantile"), [
    (0.95, 1, 6.314), (0.95, 2, 2.920), (0.95, 3, 2.353), (0.95, 5, 2.015), (0.95, 10, 1.812), (0.95, 30, 1.697),
    (0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 3, 3.182), (0.975, 5, 2.571), (0.975, 10, 2.228),
    (0.975, 30, 2.042)])
def test_students_t_is_that_of_the_tables(share, freedom, quantile):
    """Any printed table, such as NIST/SEMATECH e-Handbook 1.3.6.7.2."""
    assert student(share, freedom) == pytest.approx(quantile, rel=3e-3)


def test_a_line_needs_three_points_and_two_places():
    assert fit([1, 2], [1, 2]) is None
    assert fit([1, 1, 1], [1, 2, 3]) is None


def test_the_mean_of_values_that_do_not_differ_is_sure():
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0)
    assert mean_interval([2.0]) is None
