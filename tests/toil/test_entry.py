"""Log lines: what is read, what is rejected and why; parsed + rejected = lines, always, by both readers."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mainstay.stats.dice import Dice
from mainstay.toil.entry import TYPES, Entry, Rejected, read_entry, read_json_lines
from mainstay.toil.sample import sample_lines
from mainstay.toil.scan import scan
from mainstay.toil.tally import Stretch, tally

YEAR = Stretch(date(2026, 1, 1), date(2026, 12, 31))
LINE = {"date": "2026-11-27", "duration_hours": 0.5, "type": "toil"}


def test_every_field_of_the_seed_is_read():
    found = read_entry(LINE | {"category": "deployment", "engineer": "ana", "description": " Deploy ",
                               "automatable": True, "automated_yet": True, "interrupt": "yes"})
    assert found == Entry(date(2026, 11, 27), 0.5, "toil", "deployment", "ana", "", "Deploy", automatable=True,
                          automated=True, interrupt=True)


@pytest.mark.parametrize(("fields", "hours", "day"), [
    ({"duration_hours": None, "duration_minutes": 30}, 0.5, 27),
    ({"duration_hours": 24}, 24, 27),
    ({"date": None, "timestamp": "2026-11-26T23:30:00-02:00"}, 0.5, 27),
    ({"date": "2026-11-26T23:30:00"}, 0.5, 26),
    ({"date": None, "timestamp": 1795651200.5}, 0.5, 26),
    ({"type": "TOIL"}, 0.5, 27),
])
def test_the_ways_to_write_a_line(fields, hours, day):
    found = read_entry(LINE | fields)
    assert (found.hours, found.day) == (hours, date(2026, 11, day))


@pytest.mark.parametrize(("fields", "why"), [
    ({"duration_hours": -1}, "duration_hours -1 is not above zero"),
    ({"duration_hours": 0}, "is not above zero"),
    ({"duration_hours": 24.01}, "is more than 24 h in one line"),
    ({"duration_hours": None, "duration_minutes": 2000}, "duration_minutes 2000 is more than 24 h"),
    ({"duration_hours": "soon"}, 'duration_hours "soon" is not a number'),
    ({"duration_hours": True}, "is not a number"),
    ({"duration_hours": float("nan")}, "is not above zero"),
    ({"duration_hours": float("inf")}, "duration_hours inf is more than 24 h in one line"),
    ({"duration_hours": 10**400}, "duration_hours inf is more than 24 h in one line"),
    ({"duration_hours": -10**400}, "duration_hours -inf is not above zero"),
    ({"duration_minutes": 5}, "duration_hours and duration_minutes are both given"),
    ({"duration_hours": None}, "duration_hours or duration_minutes is missing"),
    ({"date": "03/04/2026"}, 'date "03/04/2026" could mean two days'),
    ({"date": "27.11.2026"}, "could mean two days"),
    ({"date": "2026-13-01"}, "is not a date"),
    ({"date": "1999-12-31"}, "is not between 2000 and 2099"),
    ({"date": None}, "date or timestamp is missing"),
    ({"date": None, "timestamp": -5}, "is not a time in seconds since 1970"),
    ({"date": None, "timestamp": 10**400}, "is not a time in seconds since 1970"),
    ({"type": "fun"}, 'type "fun" is none of toil, engineering'),
    ({"type": ""}, "type is missing"),
    ({"automatable": "maybe"}, 'automatable "maybe" is neither true nor false'),
    ({"engineer": ["ana"]}, "engineer is not text"),
    ({"colour": "red"}, 'unknown field "colour"'),
])
def test_a_line_that_cannot_be_counted_says_why(fields, why):
    with pytest.raises(Rejected) as said:
        read_entry(LINE | fields)
    assert why in str(said.value)


def test_mixed_date_formats_are_counted_and_shown():
    lines = [json.dumps(LINE | {"date": text}) for text in
             ("2026-11-27", "27/11/2026", "11/27/2026", "2026-11-27T09:00:00Z", "27.11.2026")]
    read = read_json_lines(lines, "log").result()
    assert (read.lines, read.parsed, read.rejected) == (5, 2, 3)
    assert [one.line for one in read.samples] == [2, 3, 5]


MINUTES = {name: value for name, value in LINE.items() if name != "duration_hours"}
ODD = st.sampled_from(["", "{", "[1]", "null", '"x"', "{}{}", json.dumps(LINE) * 2, json.dumps(LINE | {"x": 1}),
                       json.dumps(LINE | {"type": "Toil"}), json.dumps(LINE | {"engineer": " ana "}),
                       json.dumps(LINE | {"duration_hours": -1}), json.dumps(LINE | {"duration_hours": 24.5}),
                       json.dumps(MINUTES | {"duration_minutes": 45}), json.dumps(MINUTES | {"duration_minutes": 1441}),
                       json.dumps(MINUTES | {"duration_minutes": 5e-324}), json.dumps(LINE | {"duration_minutes": 3}),
                       json.dumps(MINUTES), json.dumps(LINE | {"date": "03/04/2026"}),
                       json.dumps(LINE | {"date": "", "timestamp": 1795651200}),
                       json.dumps(LINE | {"date": "2025-01-01"}),
                       json.dumps(LINE | {"date": "2025-01-01", "type": "fun"}),
                       json.dumps(LINE | {"work_type": "toil", "type": ""}), "\u2028", "  " + json.dumps(LINE) + " \r"])
FINE = st.builds(
    lambda hours, who, flag: json.dumps(LINE | {"duration_hours": hours, "engineer": who, "automatable": flag}),
    st.floats(0.01, 24), st.text(max_size=3), st.booleans())


@given(st.lists(st.one_of(FINE, ODD), max_size=30), st.integers(1, 200))
@example(["{}{}", json.dumps(LINE)], 7)
@example([json.dumps(LINE) * 2, "", ""], 200)
@example(['{"date": "2026-11-27",', '"duration_hours": 1, "type": "toil"}' + json.dumps(LINE), ""], 200)
@example(['{"date": "2026-11-27",', '{"duration_hours": 1, "type": "toil"}}'], 200)
def test_the_quick_reader_says_the_same_as_the_plain_one(lines, size):
    text = "\n".join(lines)
    plain = read_json_lines(text.split("\n"), "log")
    quick, read = scan([text[at:at + size] for at in range(0, len(text), size)], "log", YEAR)
    assert read == plain.result()
    assert read.parsed + read.rejected == read.lines
    assert quick == tally(plain.entries, YEAR)


def test_both_readers_agree_on_a_whole_log_with_mistakes():
    lines = [json.dumps(one) for one in sample_lines(date(2026, 11, 27), 3, 300)]
    for place in (10, 2500, 7000):
        lines[place:place] = ["nonsense", json.dumps(LINE | {"duration_hours": 99})]
    plain = read_json_lines(lines, "log")
    quick, read = scan(["\n".join(lines) + "\n"], "log", YEAR)
    assert (read, quick) == (plain.result(), tally(plain.entries, YEAR))
    assert read.rejected == 6


@given(st.integers(0, 1000))
def test_the_order_of_lines_changes_no_figure(seed):
    entries = read_json_lines([json.dumps(one) for one in sample_lines(date(2026, 11, 27), 3, 3)], "log").entries
    shuffled = list(entries)
    Dice(seed).shuffle(shuffled)
    assert tally(shuffled, YEAR) == tally(entries, YEAR)


def test_the_quick_reader_knows_every_type():
    lines = [json.dumps(LINE | {"type": kind}) for kind in TYPES]
    found, read = scan(["\n".join(lines)], "log", YEAR)
    assert {cell.type for cell in found.cells} == set(TYPES)
    assert read.parsed == len(TYPES)
