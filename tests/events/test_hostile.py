"""Bad files and hostile questions get a clear answer; nothing of the user's becomes SQL, and nothing is left behind."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.adapters.events import survey
from mainstay.kernel.errors import InvalidInput, MainstayError, NoData
from mainstay.kernel.ports import Condition, FileSet, Survey

Write = Callable[..., str]
GOOD = json.dumps({"time": 1772452800, "status": 200, "path": "/a", "n": 5, "text": "x"}) + "\n"
PACKED = gzip.compress(b"".join(b'{"time": %d, "status": 200, "r": "%x"}\n'
                                % (1772452800 + i, random.Random(i).getrandbits(99)) for i in range(3000)))


def read(*paths: str, **files: object) -> float:
    return survey(Survey(FileSet(paths, **files))).total  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [
    PACKED[:len(PACKED) // 2], PACKED[:-4], PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], PACKED + b"garbage",
    PACKED[:9000] + b"\xff" * 40 + PACKED[9040:], b"\x1f\x8b", b"\x1f\x8b\x08\x00",
])
def test_a_damaged_gzip_file_is_refused_as_a_whole(write: Write, content: bytes) -> None:
    with pytest.raises(InvalidInput, match="damaged gzip") as caught:
        read(write(content, "x.log.gz"))
    assert "x.log.gz" in caught.value.message
    assert caught.value.way_out


@pytest.mark.parametrize("content", [b"", b"\n\n", b"  \n", gzip.compress(b"", mtime=0), b"[]",
                                     b'{"resourceSpans": []}', b"time,status\n", b"\xef\xbb\xbf"])
def test_files_without_events_are_no_data(write: Write, content: bytes) -> None:
    with pytest.raises(NoData):
        read(write(content))


@pytest.mark.parametrize(("content", "says"), [
    (bytes(range(256)) * 50, "binary"), (os.urandom(5000), "binary"), (b"PAR1" + b"\0" * 100, "cannot be read"),
    (b"\x28\xb5\x2f\xfd1234", "zstd"), (b"PK\x03\x04abcd", "zip"), (b"hello\nworld\n", "not recognised"),
    (b"{\n" * 3, "none of the first lines"), (b'{"a": 1}\n' * 3, "no field that is a time"),
    (b"[1, 2, 3", "neither a JSON document nor JSON lines"), (GOOD.encode() + b"x\n" * 3, "only 1 of 4 lines"),
])
def test_what_cannot_be_read_is_said_with_a_way_out(write: Write, content: bytes, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        read(write(content))
    assert caught.value.way_out


def test_paths_that_are_no_files_are_named(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "none.log", "no file"), (tmp_path, "is a folder"),
                       (tmp_path / "*.x", "no file matches")):
        with pytest.raises(InvalidInput, match=says):
            read(str(path))
    with pytest.raises(InvalidInput, match="no file was named"):
        read()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
def test_a_file_without_permission_is_said_to_be_unreadable(write: Write) -> None:
    path = write(GOOD)
    Path(path).chmod(0)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read(path)


@pytest.mark.parametrize("name", ["a[1].log", "it's.log", "a*b.log", "{x}.log", "--.log", "a b;drop.log", "a.parquet",
                                  "a.csv.gz", "ünï.log"])
def test_a_file_may_have_any_name(write: Write, name: str) -> None:
    assert read(write(GOOD, name)) == 1


def test_nothing_is_left_in_the_folder_for_temporary_files(
        write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert read(write(PACKED)) == 3000
    with pytest.raises(MainstayError):
        read(write(PACKED[:-4]))
    assert list((tmp_path / "scratch").iterdir()) == []
    assert sorted(tmp_path.iterdir()) == sorted({*before, tmp_path / "events.log"})


@pytest.mark.parametrize(("condition", "says"), [
    (Condition("statsu", "==", (1.0,)), 'did you mean "status"'), (Condition("status", "~", (1.0,)), "not an operator"),
    (Condition("status", "==", ()), "exactly one value"), (Condition("status", "==", (1.0, 2.0)), "exactly one"),
    (Condition("status", "in", ()), "at least one"), (Condition("status", "present", (1.0,)), "no value"),
    (Condition("path", "=~", ("(",)), "not a regular expression"),
])
def test_a_condition_that_cannot_be_asked_is_refused(write: Write, condition: Condition, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(write(GOOD), where=(condition,))
    assert says in caught.value.message + caught.value.way_out


@pytest.mark.parametrize(("condition", "holds"), [
    (Condition("n", "==", (5.0,)), True), (Condition("n", "==", ("5",)), True), (Condition("n", "!=", (5.0,)), False),
    (Condition("n", "!=", (6.0,)), True), (Condition("n", "<", (5.5,)), True), (Condition("n", "<=", (5.0,)), True),
    (Condition("n", ">", (5.0,)), False), (Condition("n", ">=", (5.0,)), True), (Condition("text", "!=", (5.0,)), True),
    (Condition("text", ">", (5.0,)), False), (Condition("text", "<", ("y",)), True),
    (Condition("n", "in", (1.0, "5")), True), (Condition("n", "not in", (1.0, 2.0)), True),
    (Condition("text", "in", ("x", "y")), True), (Condition("text", "not in", ("x",)), False),
    (Condition("path", "=~", ("^/[a-z]$",)), True), (Condition("path", "!~", ("^/[a-z]$",)), False),
    (Condition("path", "=~", ("a",)), True), (Condition("path", "present"), True), (Condition("path", "absent"), False),
])
def test_a_condition_holds_as_it_reads(write: Write, condition: Condition, holds: bool) -> None:
    assert read(write(GOOD), where=(condition,)) == float(holds)


@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">=", "in", "not in", "=~", "!~", "present"])
def test_a_missing_value_satisfies_nothing_but_absent(write: Write, operator: str) -> None:
    path = write(GOOD + '{"time": 1772452800, "status": 200, "n": null}\n{"time": 1772452800, "status": 200}\n')
    values: tuple[str | float, ...] = () if operator == "present" else ("77",)
    assert read(path, where=(Condition("n", operator, values),)) <= 1
    assert read(path, where=(Condition("n", "absent"),)) == 2


EVIL = ["'", '"', "''", "\\", "$v0", "?", "%", ";", "--", "/*", "); DROP TABLE sums; --", "' OR 1=1 --", '" OR ""="',
        "\x00", "{0}", "{{", "}", "$1", "line", "moment", "why", "/etc/passwd", "\ud7ff", "ä", "\n"]
evil = st.lists(st.sampled_from([*EVIL, "a", ".", "time"]), min_size=1, max_size=4).map("".join)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=evil.filter(lambda text: text not in ("t", "time")), value=evil)
def test_hostile_names_and_values_are_only_names_and_values(tmp_path: Path, name: str, value: str) -> None:
    path = tmp_path / "x.log"
    rows = [{"t": 1772452800, "status": 500, name: value}, {"t": 1772452801, "status": 500, name: value + "x"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    files = FileSet((str(path),), fields={"time": "t"}, where=(Condition(name, "==", (value,)),))
    found = survey(Survey(files, spenders_by=(name,)))
    assert (found.lines, found.total) == (2, 1)
    assert found.spenders == (((value,), 1),)
    with pytest.raises(InvalidInput, match="no field"):
        survey(Survey(FileSet((str(path),), fields={"time": "t"}, where=(Condition(name + "?!", "present"),))))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=evil.filter(lambda text: text.strip() not in ("", "t", "time") and "\n" not in text), value=evil)
def test_hostile_columns_of_a_table_are_only_columns(tmp_path: Path, name: str, value: str) -> None:
    path = tmp_path / "x.csv"
    cells = [[name, "t", "status"], [value, "1772452800", "500"], ["other", "1772452800", "500"]]
    path.write_text("".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in cells),
                    encoding="utf-8")
    files = FileSet((str(path),), format="csv", fields={"time": "t"}, where=(Condition(name.strip(), "==", (value,)),))
    assert survey(Survey(files)).total == 1


def test_an_unknown_format_and_an_unknown_zone_are_refused(write: Write) -> None:
    with pytest.raises(InvalidInput, match='did you mean "combined"'):
        read(write(GOOD), format="combind")
    with pytest.raises(InvalidInput, match="not a time zone"):
        read(write(GOOD), zone="Europe/Berlni")


def test_a_field_that_was_told_and_is_not_there_is_refused(write: Write) -> None:
    with pytest.raises(InvalidInput, match='did you mean "status"'):
        read(write("time,status\n1772452800,200\n"), fields={"status": "statsu"})
    with pytest.raises(InvalidInput, match='no field "nope"'):
        read(write(GOOD), unique_by=("nope",))


def test_tables_of_different_columns_are_not_read_as_one(write: Write) -> None:
    one, two = write("time,status\n1772452800,200\n", "a.csv"), write("status,time\n200,1772452800\n", "b.csv")
    with pytest.raises(InvalidInput, match="different columns"):
        read(one, two)


def test_files_without_a_status_need_to_be_told_what_is_bad(write: Write) -> None:
    with pytest.raises(InvalidInput, match="no status"):
        read(write("time,n\n1772452800,200\n"))


def test_spenders_by_a_field_that_is_not_there_are_refused(write: Write) -> None:
    for content in (GOOD, "time,status\n1772452800,200\n"):
        with pytest.raises(InvalidInput, match='no field "pth"'):
            survey(Survey(FileSet((write(content),)), spenders_by=("pth",)))


def test_without_duckdb_the_extra_that_brings_it_is_named() -> None:
    code = ("import sys; sys.modules['duckdb'] = None\n"
            "from mainstay.kernel.errors import MissingExtra\n"
            "try:\n    import mainstay.adapters.events\n"
            "except MissingExtra as error:\n    print(error.way_out)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == 'pip install "mainstay[events]"'
