"""Rows in pieces: what a long row is made of is what was added to it, and little of it is copied."""

from __future__ import annotations

from itertools import chain, pairwise

from hypothesis import given
from hypothesis import strategies as st

from mainstay.incident.layers import Layer, Pieces, Table, as_one, longer


@given(parts=st.lists(st.lists(st.integers(), min_size=1, max_size=5), max_size=60))
def test_a_row_in_pieces_holds_what_was_added_in_that_order(parts: list[list[int]]):
    row: Pieces[int] = ()
    for part in parts:
        row = longer(row, tuple(part))
        assert all(len(one) > len(other) for one, other in pairwise(row))
    assert list(chain.from_iterable(row)) == list(chain.from_iterable(parts))


def test_of_a_row_that_grows_one_by_one_each_value_is_copied_a_few_times():
    row: Pieces[int] = ()
    copied = 0
    for value in range(4_096):
        before = {id(piece) for piece in row}
        row = longer(row, (value,))
        copied += sum(len(piece) for piece in row if id(piece) not in before)
    assert len(row) <= 13
    assert copied <= 4_096 * 13


@given(before=st.lists(st.integers(0, 5)),
       changes=st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(10, 19)), max_size=12))
def test_a_draft_shows_and_keeps_what_the_same_changes_make_of_a_table_in_the_same_order(
        before: list[int], changes: list[tuple[int, int | None]]):
    table: Table[int, int] = Table()
    plain: dict[int, int] = {}
    for key in before:
        table[key] = plain[key] = key
    draft = Layer(table, [])
    for key, value in changes:
        if value is None:
            draft.drop(key)
            plain.pop(key, None)
        else:
            draft[key] = plain[key] = value
    assert (list(draft.keys()), list(draft.values()), len(draft)) == ([*plain], [*plain.values()], len(plain))
    draft.keep()
    assert table.rows() == list(plain.items()) == list(zip(draft.keys(), draft.values(), strict=True))


def test_equal_texts_are_one_object_for_all_who_have_them():
    first, second = as_one({"summary": "slow", "url": "x"}), as_one({"summary": "".join(("sl", "ow")), "url": "x"})
    assert first is second
    assert first == {"summary": "slow", "url": "x"}
    assert list(as_one({"url": "x", "summary": "slow"})) == ["url", "summary"]


def test_the_newest_of_many_come_first_and_no_more_than_asked_for():
    table: Table[str, int] = Table()
    for number in range(10):
        table[f"k{number}"] = number
    table["k3"] = 33
    assert list(table.newest()) == [9, 8, 7, 6, 5, 4, 33, 2, 1, 0]
    assert list(table.newest(2)) == [9, 8]
    assert list(table.newest(100)) == list(table.newest())
    assert list(table.newest(0)) == []
