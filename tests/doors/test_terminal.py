"""Views as text."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.doors.terminal import Style, bar, display_width, render, render_error, sparkline, style_of, to_ascii
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.quantity import zone_named
from mainstay.kernel.view import (
    Block,
    Cell,
    Chart,
    Code,
    Column,
    Entry,
    Line,
    Mark,
    Next,
    Pairs,
    Table,
    Text,
    Timeline,
    View,
    cells,
    state_cell,
    table,
)

_MAY = datetime(2026, 5, 1, tzinfo=UTC)
_HOURS = tuple(_MAY + timedelta(hours=hour) for hour in range(100))


def shown(*blocks: Block, style: Style | None = None) -> str:
    return render(View("a heading for the page", blocks), style or Style())


class _Stream(io.StringIO):
    def __init__(self, *, person: bool = True, encoding: str = "utf-8") -> None:
        super().__init__()
        self._person, self._encoding = person, encoding

    @property
    def encoding(self) -> str:
        return self._encoding

    def isatty(self) -> bool:
        return self._person


def test_the_picture_of_slo_try_is_drawn_as_designed():
    view = View("slo try", (
        Text("access.log.gz · combined · 10,000 lines: 9,999 read, 1 rejected (--rejects shows it)\n"
             "17 May 10:05 – 20 May 21:05 UTC, 3 d 11 h"),
        Pairs((("availability", cells("99.970 %", "target 99.9 %", state_cell("healthy"))),
               ("budget", cells(Cell("30.0 % spent, 7 of 10 failures left", bar=0.3))),
               ("worst day", cells("18 May, 0.069 % (2 of 2,893)")))),
        Pairs((("spent by", cells("2×  GET /misc/Title.php.txt → 500")),
               ("", cells("1×  OPTIONS /projects/xdotool/ → 500")))),
        Next(("mainstay slo try access.log.gz --latency 300ms", "mainstay slo suggest --from access.log.gz"))))
    assert render(view, Style()) == """\
access.log.gz · combined · 10,000 lines: 9,999 read, 1 rejected (--rejects shows it)
17 May 10:05 – 20 May 21:05 UTC, 3 d 11 h

  availability   99.970 %   target 99.9 %   ● healthy
  budget         ███░░░░░░░  30.0 % spent, 7 of 10 failures left
  worst day      18 May, 0.069 % (2 of 2,893)

  spent by       2×  GET /misc/Title.php.txt → 500
                 1×  OPTIONS /projects/xdotool/ → 500

next: mainstay slo try access.log.gz --latency 300ms · mainstay slo suggest --from access.log.gz
"""


def test_pairs_are_wrapped_for_a_person_under_their_own_column_and_left_whole_in_a_pipe():
    said = "Four requests in a thousand may fail before anybody outside notices that something is wrong."
    view = View("", (Pairs((("promise", cells(said)), ("availability", cells("99.970 %", "target 99.9 %", "● healthy")),
                            ("budget", cells(Cell(said, bar=0.3))),
                            ("counted", cells("sum(rate(http_requests_total[5m]))", "on prometheus", "every 5 m")))),))
    assert render(view, Style(width=60, cut=True)) == """\
  promise        Four requests in a thousand may fail before
                 anybody outside notices that something is
                 wrong.
  availability   99.970 %   target 99.9 %   ● healthy
  budget         ███░░░░░░░  Four requests in a thousand may
                             fail before anybody outside
                             notices that something is
                             wrong.
  counted        sum(rate(http_requests_total[5m]))
                 on prometheus   every 5 m
"""
    assert len(render(view, Style(width=60)).splitlines()) == 4


def test_sentences_that_follow_each_other_are_one_paragraph():
    assert shown(Text("read"), Text("over"), Code("q"), Text("so")) == "read\nover\n\n    q\n\nso\n"


# -- small drawings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "drawn"), [
    (0.0, "░░░░░░░░░░"), (0.001, "█░░░░░░░░░"), (0.3, "███░░░░░░░"), (0.999, "█████████░"), (1.0, "██████████"),
    (9.3, "██████████"), (-0.2, "░░░░░░░░░░"),
])
def test_a_bar_is_never_empty_for_a_little_nor_full_for_almost_all(share, drawn):
    assert bar(share) == drawn


@pytest.mark.parametrize(("values", "drawn"), [
    ((1, 2, 3, 4, 5), "▁▂▃▅▇"), ((1, None, 5), "▁ ▇"), ((4, 4), "▃▃"), ((None, None), "  "), ((), ""),
])
def test_a_sparkline_lies_between_its_own_ends_and_keeps_gaps(values, drawn):
    assert sparkline(values) == drawn


def test_a_long_sparkline_is_thinned_to_24_places():
    assert len(sparkline(tuple(range(1000)))) == 24


@given(st.lists(st.none() | st.floats(-1e9, 1e9), max_size=200))
def test_a_sparkline_has_a_place_for_every_value_up_to_24(values):
    assert len(sparkline(values)) == min(len(values), 24)


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("\x1b[32m●\x1b[0m", 1)])
def test_the_width_of_a_text_is_in_columns(text, columns):
    assert display_width(text) == columns


@given(st.text())
def test_ascii_is_ascii_whatever_was_written(text):
    assert to_ascii(text).isascii()


# -- tables ----------------------------------------------------------------------------------------------------------


def test_an_empty_table_says_what_would_fill_it():
    drawn = shown(table("Objectives", ["name"], [], empty="none is declared: mainstay slo suggest"))
    assert drawn == "Objectives\n  none is declared: mainstay slo suggest\n"


def test_numbers_stand_to_the_right_and_wide_letters_keep_the_columns():
    assert shown(table("", ["name", "n>"], [["日本", "5"], ["x", "1,000"]])) == (
        "  name      n\n  日本      5\n  x     1,000\n")


def test_a_state_is_a_sign_and_a_word_also_without_colour():
    assert shown(table("", ["status"], [[Cell(state="at_risk")]])) == "  status\n  ◐ at risk\n"


def test_a_person_gets_tables_that_fit_and_a_pipe_gets_whole_lines():
    rows = [["word " * 30, "12.5 %"]]
    person = shown(table("", ["name", "sli>"], rows, empty=""), style=Style(60, cut=True))
    piped = shown(table("", ["name", "sli>"], rows, empty=""), style=Style(60))
    assert max(map(display_width, person.splitlines())) == 60
    assert person.splitlines()[1].endswith("…  12.5 %")
    assert ("word " * 30).strip() in piped


def test_what_gives_way_is_left_out_whole_and_named_before_a_name_is_cut():
    columns = (Column("objective"), Column("service", gives_way=2), Column("spark", gives_way=3),
               Column("left", right=True, gives_way=1), Column("status"))
    row = cells("checkout-availability", "web", "x" * 40, "19.4 %", "at risk")
    narrow = shown(Table(columns, (row,)), style=Style(50, cut=True))
    assert narrow == ("  objective              service    left  status\n"
                      "  checkout-availability  web      19.4 %  at risk\n"
                      "  in a wider terminal also: spark\n")
    assert "wider" not in shown(Table(columns, (row,)), style=Style(120, cut=True))
    assert "x" * 40 in shown(Table(columns, (row,)), style=Style(50))


def test_what_is_worth_most_comes_back_where_room_is_left():
    columns = (Column("name"), Column("long", gives_way=1), Column("short", gives_way=2))
    row = cells("x" * 30, "y" * 20, "z")
    drawn = shown(Table(columns, (row,)), style=Style(40, cut=True))
    assert drawn.splitlines()[-1] == "  in a wider terminal also: long"


def test_a_cut_cell_gives_its_colour_back():
    drawn = shown(table("", ["name"], [[Cell("x" * 80, "bad")]]), style=Style(40, colour=True, cut=True))
    assert drawn.splitlines()[1] == f"  \x1b[31m{'x' * 37}…\x1b[0m"


# -- charts ----------------------------------------------------------------------------------------------------------


def _plot(drawn: str) -> list[str]:
    """The plot's rows, left of the axis cut off."""
    return [line.partition(sign)[2] for line in drawn.splitlines() for sign in "┤│" if sign in line]


def test_a_chart_has_its_title_units_bounds_times_and_marks():
    values = tuple(float(100 - hour) for hour in range(100))
    drawn = shown(Chart("Budget left: 1 % and falling", _HOURS, (Line("left", values),), "%", ((50.0, "freeze at"),),
                        (Mark(_HOURS[30], "deployment 1.4"),)))
    lines = drawn.splitlines()
    assert lines[0] == "Budget left: 1 % and falling"
    assert lines[1].lstrip().startswith("100 % ┤")
    assert any(line.endswith("freeze at 50 %") for line in lines)
    assert lines[12].split() == ["1", "May", "00:00", "3", "May", "01:30", "5", "May", "03:00", "UTC"]
    assert lines[13].strip() == "▲1 2 May 06:00  deployment 1.4"
    assert max(map(display_width, lines)) <= 100


@pytest.mark.parametrize("width", [40, 60, 100, 200])
@pytest.mark.parametrize("signs", [True, False])
def test_a_chart_fits_the_width(width, signs):
    values = tuple(float(hour % 7) for hour in range(100))
    drawn = shown(Chart("t", _HOURS, (Line("x", values),), "s"), style=Style(width, unicode=signs))
    assert max(map(display_width, drawn.splitlines())) <= width


def test_a_gap_is_drawn_as_nothing():
    values = tuple(None if 30 <= hour < 70 else 1.0 + hour % 2 for hour in range(100))
    rows = _plot(shown(Chart("t", _HOURS, (Line("x", values),))))
    middle = [row.ljust(92)[40:60] for row in rows]
    assert all(part.isspace() for part in middle)


def test_a_spike_of_one_value_among_thousands_is_seen():
    times = tuple(_MAY + timedelta(minutes=5 * slot) for slot in range(8640))
    values = tuple(9.0 if slot == 5000 else 1.0 for slot in range(8640))
    top = _plot(shown(Chart("t", times, (Line("x", values),))))[0]
    assert top.strip() != ""


def test_several_lines_are_told_apart_without_colour():
    drawn = shown(Chart("t", _HOURS, (Line("5m", (3.0,) * 100), Line("1h", (1.0,) * 100)), "×"))
    assert "a 5m 3.0 ×   b 1h 1.0 ×" in drawn
    assert [line[-1] for line in drawn.splitlines() if line.endswith((" a", " b"))] == ["a", "b"]


@pytest.mark.parametrize("values", [(), (None, None)])
def test_a_chart_without_data_says_so(values):
    drawn = shown(Chart("Burn", _HOURS[:len(values)], (Line("x", values),), empty="nothing measured since 14:03"))
    assert drawn == "Burn\n  nothing measured since 14:03\n"


@given(st.lists(st.none() | st.floats(-1e12, 1e12), min_size=1, max_size=300))
def test_any_values_can_be_drawn(values):
    times = tuple(_MAY + timedelta(minutes=slot) for slot in range(len(values)))
    assert shown(Chart("t", times, (Line("x", tuple(values)),), "s"))


# -- the rest --------------------------------------------------------------------------------------------------------


def test_times_are_in_the_viewers_zone_and_say_which():
    drawn = shown(Timeline((Entry(_MAY, "opened"), Entry(_MAY + timedelta(minutes=1), "seen")), "Checkout down"),
                  style=Style(zone=zone_named("Europe/Berlin")))
    assert drawn == "Checkout down  times in CEST, 2026\n   1 May 02:00   opened\n   1 May 02:01   seen\n"


def test_code_is_kept_as_it_is():
    assert shown(Code("a\n  b", title="the query")) == "the query\n    a\n      b\n"


def test_code_that_is_all_there_is_can_be_piped_into_another_program():
    assert shown(Code("# TYPE x gauge\nx 1\n")) == "# TYPE x gauge\nx 1\n"


def test_a_command_is_never_broken_over_lines():
    drawn = shown(Next(("mainstay a " + "x" * 30, "mainstay b " + "y" * 30)), style=Style(60))
    assert drawn == f"next: mainstay a {'x' * 30} ·\n      mainstay b {'y' * 30}\n"


def test_a_long_title_is_wrapped_for_a_person():
    chart = Chart("a title " * 20, _HOURS[:2], (Line("a", (1.0, 2.0)),), "%")
    assert max(len(line) for line in shown(chart, style=Style(60, cut=True)).splitlines()) <= 60


def test_long_sentences_are_wrapped():
    drawn = shown(Text("word " * 40), style=Style(60))
    assert max(map(len, drawn.splitlines())) <= 60


@pytest.mark.parametrize(("environ", "person", "colour"), [
    ({}, True, True), ({}, False, False), ({"NO_COLOR": "1"}, True, False), ({"TERM": "dumb"}, True, False),
    ({"FORCE_COLOR": "1"}, False, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ({"NO_COLOR": ""}, True, True),
])
def test_colour_is_for_terminals_that_want_it(environ, person, colour):
    assert style_of(_Stream(person=person), environ).colour is colour


def test_a_pipe_is_100_columns_wide_unless_it_says():
    assert style_of(_Stream(person=False), {}).width == 100
    assert style_of(_Stream(person=False), {"COLUMNS": "120"}).width == 120


@pytest.mark.parametrize(("encoding", "signs"), [("utf-8", True), ("UTF8", True), ("ascii", False), ("latin-1", False)])
def test_signs_are_for_outputs_that_can_hold_them(encoding, signs):
    assert style_of(_Stream(encoding=encoding), {}).unicode is signs


HOSTILE = "a\x1b]0;owned\x07b\x1b[2Jc\rd\x9b31me\u202ef\x1b[31mg"


@pytest.mark.parametrize("block", [
    Text(HOSTILE), Pairs(((HOSTILE, cells(HOSTILE, HOSTILE)),), HOSTILE), table(HOSTILE, (HOSTILE,), [(HOSTILE,)]),
    table("", ("x",), [], empty=HOSTILE), Timeline((Entry(_MAY, HOSTILE),), HOSTILE), Code(HOSTILE, "", HOSTILE),
    Next((HOSTILE,)),
    Chart(HOSTILE, _HOURS[:2], (Line(HOSTILE, (1.0, 2.0)), Line("b", (2.0, 1.0))), "%", bounds=((1.5, HOSTILE),),
          marks=(Mark(_MAY, HOSTILE),)),
])
@pytest.mark.parametrize("style", [Style(), Style(80, colour=True, cut=True)])
def test_what_others_wrote_moves_no_cursor_and_turns_no_text_around(block: Block, style: Style):
    text = re.sub("\x1b\\[(?:0|1|2|31|32|33)m" if style.colour else "$^", "", shown(block, style=style))
    assert [c for c in text if not c.isprintable() and c != "\n"] == []
    assert "owned" in text


def test_a_line_break_in_a_cell_starts_no_line_of_its_own():
    assert shown(table("", ("what", "who"), [("a\nb\tc", "ana")])) == "  what   who\n  a b c  ana\n"


def test_code_for_another_program_is_passed_on_as_it_is_and_harmless_for_a_person():
    code = Code("a\x1b[2J\tb\n")
    assert shown(code) == "a\x1b[2J\tb\n"
    assert shown(code, style=Style(cut=True)) == "a␛[2J\tb\n"


def test_an_error_says_what_was_written_without_obeying_it():
    said = render_error(InvalidInput("no name is \x1b[2J", "try \x07"), Style())
    assert said == "error: no name is ␛[2J\n  → try ␇\n"
