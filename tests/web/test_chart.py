"""Charts, sparklines and bars: what is drawn is what was measured."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from mainstay.doors.web.chart import describe, draw_bar, draw_chart, draw_spark, readings, rows_behind
from mainstay.kernel.view import Chart, Line, Mark

START = datetime(2026, 5, 1, tzinfo=UTC)


def chart(*values: float | None, unit: str = "%", **more: object) -> Chart:
    times = tuple(START + timedelta(minutes=5 * i) for i in range(len(values)))
    return Chart("a title", times, (Line("left", values),), unit, **more)  # type: ignore[arg-type]


def paths(svg: str, kind: str) -> list[str]:
    return re.findall(rf'<path class="{kind}[^"]*" d="([^"]*)"', svg)


def test_a_gap_breaks_the_line_and_is_shaded() -> None:
    svg = draw_chart(chart(1, 2, None, None, 3, 4))
    assert paths(svg, "line")[0].count("M") == 2
    assert svg.count('class="gap"') == 1


def test_a_value_between_two_gaps_is_a_dot() -> None:
    assert "h0" in paths(draw_chart(chart(1, None, 2, None, 3)), "line")[0]


def test_a_line_without_gaps_is_one_stroke() -> None:
    svg = draw_chart(chart(3, 1, 2))
    assert paths(svg, "line")[0].count("M") == 1
    assert 'class="gap"' not in svg


def test_a_chart_without_any_value_is_not_drawn() -> None:
    assert draw_chart(chart(None, None)) == ""
    assert draw_chart(chart()) == ""


def test_a_chart_has_a_text_alternative_that_names_its_gaps_and_bounds() -> None:
    svg = draw_chart(chart(90, None, 80, bounds=((25, "freeze"),)))
    root = ElementTree.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert (root[0].tag, root[0].text) == ("title", "a title")
    assert root[1].text == ("left: from 90 % to 80 %, lowest 80 %, highest 90 %, 1 of 3 values missing. "
                            "freeze at 25 %. 01 May 2026 00:00 to 01 May 2026 00:10 UTC.")


def test_texts_in_a_chart_are_escaped() -> None:
    nasty = "</title><script>alert(1)</script>"
    svg = draw_chart(Chart(nasty, chart(1, 2).times, (Line(nasty, (1, 2)),), nasty, ((1, nasty),),
                           (Mark(START, nasty, link="javascript:alert(1)"),)))
    ElementTree.fromstring(svg)
    assert "<script" not in svg
    assert 'href="/javascript:alert(1)"' in svg


def test_a_spike_survives_the_thinning_of_a_long_line() -> None:
    values = [1.0] * 20_000
    values[12_345] = 99.0
    svg = draw_chart(chart(*values))
    heights = {float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", paths(svg, "line")[0])}
    assert len(heights) == 2
    assert len(svg) < 60_000


def test_bounds_are_always_in_the_picture() -> None:
    svg = draw_chart(chart(0.1, 0.2, unit="×", bounds=((14.4, "page"),)))
    y = float(re.findall(r'<line class="bound"[^>]* y1="([\d.]+)"', svg)[0])
    assert 22 <= y <= 190


def test_a_mark_with_an_end_is_a_band() -> None:
    mark = Mark(START, "incident", "bad", until=START + timedelta(minutes=5))
    assert draw_chart(chart(1, 2, 3, marks=(mark,))).count('class="band bad"') == 1


def test_the_rows_behind_are_the_newest_first_and_say_no_data() -> None:
    rows, older = rows_behind(chart(*range(150), None))
    assert (len(rows), older) == (100, 51)
    assert rows[0][1] == ["no data"]
    assert rows[1][1] == ["149 %"]


def test_the_pointer_reads_no_data_in_a_gap() -> None:
    assert '"v":[1.0,null,3.0]' in readings(chart(1, None, 3))


def test_a_sparkline_keeps_its_gaps_and_needs_two_values() -> None:
    assert draw_spark((1, None, 2, 3)).count("M") == 2
    assert draw_spark((1, None)) == ""


def test_sparklines_of_shares_are_on_one_scale() -> None:
    assert draw_spark((0.99, 0.98), shares=True).count("M0.0 2.2L96.0 2.4") == 1


def test_marks_too_close_to_be_read_apart_share_a_label() -> None:
    marks = tuple(Mark(START + timedelta(minutes=minute), "x") for minute in (0, 60, 61, 62, 120))
    drawn = draw_chart(replace(chart(1, 2), times=(START, START + timedelta(minutes=120)), marks=marks))
    assert re.findall(r'text-anchor="\w+">([\d–]+)</text>', drawn.partition('class="mark')[2]) == ["1", "2–4", "5"]
    assert drawn.count('class="mark ') == 5


def test_a_bar_is_clamped_and_an_overdrawn_one_is_empty_and_marked() -> None:
    assert 'width="100.0%"' in draw_bar(1.7)
    assert 'width="0.0%"' in draw_bar(-0.3)
    assert "overdrawn" in draw_bar(-0.3, "violated")
    assert draw_bar(None) == ""


@given(st.lists(st.none() | st.floats(-1e9, 1e9, allow_subnormal=False), min_size=2, max_size=80))
def test_whatever_was_measured_gives_well_formed_drawings(values: list[float | None]) -> None:
    drawn = chart(*values)
    for svg in (draw_chart(drawn), draw_spark(values)):
        if svg:
            ElementTree.fromstring(svg)
            assert "nan" not in svg
            assert "inf" not in svg
    assert describe(drawn)


def test_the_levels_of_the_axis_are_multiples_of_their_step_so_zero_is_one() -> None:
    svg = draw_chart(chart(75.0, -3.0, 20.0, bounds=((0.0, "spent"),)))
    levels = [float(text.replace("−", "-")) for text in re.findall(r'class="tick" x="0"[^>]*>([−\d.]+) %', svg)]
    assert levels == [-20.0, 0.0, 20.0, 40.0, 60.0, 80.0]
