"""The record of a run: ahead of the act, whole after a kill at any byte, and nobody changes it unseen."""

from __future__ import annotations

import json
import os

import pytest

from mainstay.adapters.faults import wal
from mainstay.kernel.errors import Conflict, InvalidInput, StoreUnavailable


def filled(state):
    record = wal.begin(state, "r1")
    record.append("order", {"fault": "f1", "kind": "cpu-throttle", "workload": "api", "mechanism": "cgroup v1",
                            "ends": 1e9})
    record.append("intend", {"fault": "f1", "undos": [{"act": "write-value", "data": {"path": "/x", "value": "1"}},
                                                      {"act": "signal", "data": {"pid": 1, "ticks": 2}}]})
    return record


def test_the_record_is_in_a_folder_that_only_its_owner_can_enter(tmp_path):
    record = filled(tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert record.folder.stat().st_mode & 0o777 == 0o700
    assert record.path.stat().st_mode & 0o777 == 0o600


def test_a_record_cut_at_any_byte_is_read_and_names_the_step_that_was_being_done(tmp_path):
    record = filled(tmp_path / "state")
    whole = record.path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == 10]
    for length in range(len(whole) + 1):
        seen = wal.parse(whole[:length])
        lines = sum(1 for end in ends if end <= length)
        assert (len(seen.entries), seen.broken) == (lines, "")
        assert seen.torn == length - (ends[lines - 1] if lines else 0)
    assert wal.parse(whole[:ends[0]]).unfinished() == "the run had nothing in, and did not say that it ended"
    assert wal.parse(whole[:ends[2] - 1]).unfinished() == \
        "f1, cpu-throttle on api by cgroup v1, was ordered and not begun"
    assert "was being put in: signal stands ready" in wal.parse(whole).unfinished()


def test_a_torn_line_is_cut_off_by_the_next_who_writes_and_said(tmp_path):
    record = filled(tmp_path / "state")
    with open(record.path, "ab") as file:
        file.write(b'{"n":3,"kind":"appl')
    assert record.read().torn == 19
    other = wal.Wal(record.folder, "guardian-1")
    other.append("applied", {"fault": "f1"})
    kinds = [(one.kind, one.by) for one in record.read().entries[3:]]
    assert kinds == [("torn", "guardian-1"), ("applied", "guardian-1")]
    assert (record.read().torn, record.read().broken) == (0, "")


@pytest.mark.parametrize("change", ["word", "removed", "swapped", "inserted"])
def test_a_line_that_was_changed_removed_moved_or_inserted_shows(tmp_path, change):
    record = filled(tmp_path / "state")
    lines = record.path.read_bytes().splitlines(keepends=True)
    lines = {"word": [lines[0], lines[1].replace(b"api", b"apx"), lines[2]], "removed": [lines[0], lines[2]],
             "swapped": [lines[0], lines[2], lines[1]], "inserted": [lines[0], lines[0], *lines[1:]]}[change]
    record.path.write_bytes(b"".join(lines))
    assert record.read().broken.startswith("line 2 ")
    with pytest.raises(StoreUnavailable, match="was changed: line 2"):
        record.append("applied", {"fault": "f1"})


def test_every_entry_carries_the_hash_of_the_one_before(tmp_path):
    lines = [json.loads(line) for line in filled(tmp_path / "state").path.read_text().splitlines()]
    assert [line["prev"] for line in lines[1:]] == [line["hash"] for line in lines[:-1]]
    assert lines[0]["prev"] == "0" * 64


def test_a_run_has_a_name_of_its_own(tmp_path):
    filled(tmp_path / "state")
    with pytest.raises(Conflict, match="there is a run r1 already"):
        wal.begin(tmp_path / "state", "r1")
    with pytest.raises(InvalidInput, match="cannot be called"):
        wal.begin(tmp_path / "state", "../r2")


@pytest.mark.parametrize("open_to", ["group", "link"])
def test_what_others_could_have_written_is_not_acted_on(tmp_path, open_to):
    record = filled(tmp_path / "state")
    if open_to == "group":
        os.chmod(record.folder, 0o770)
    else:
        os.rename(record.folder, tmp_path / "elsewhere")
        record.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailable, match="is open to others"):
        wal.Wal(record.folder, "recover")


def test_what_was_undone_before_it_was_in_is_still_to_be_undone(tmp_path):
    # The run stood still between the intent and the act, and a guardian took its time for over.
    record = filled(tmp_path / "state")
    for step in ("f1.0", "f1.1"):
        record.append("undone", {"fault": "f1", "step": step})
    assert record.read().faults()[0].open == []
    record.append("applied", {"fault": "f1"})
    assert [step.name for step in record.read().faults()[0].open] == ["f1.1", "f1.0"]
