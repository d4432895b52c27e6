"""Access logs: every line is an event or a reject, whatever is in it, and the fast way and the full pattern agree."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.adapters import event_formats
from mainstay.adapters.event_files import opened
from mainstay.adapters.event_rows import duckdb
from mainstay.adapters.events import survey
from mainstay.kernel.ports import Condition, FileSet, Survey, Surveyed

Write = Callable[..., str]
ALL_BAD = (Condition("status", ">=", (0.0,)),)


def line(client: str = "10.0.0.1", user: str = "-", time: str = "17/May/2015:10:05:03 +0000",
         request: str = "GET /a HTTP/1.1", status: str = "200", tail: str = ' "-" "curl/8"') -> str:
    return f'{client} - {user} [{time}] "{request}" {status} 12{tail}'


def read(path: str, **more: object) -> Surveyed:
    return survey(Survey(FileSet((path,), format="combined"), **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(("request_line", "method", "path"), [
    ("GET /a?b=1 HTTP/1.1", "GET", "/a"),
    ("GET /a b/c HTTP/1.0", "GET", "/a b/c"),
    ("GET /old", "GET", "/old"),
    (r"GET /q\"x\" HTTP/1.1", "GET", r"/q\"x\""),
    ("-", "(none)", "(none)"),
    (r"\x16\x03\x01\x00", "(none)", "(none)"),
    ("", "(none)", "(none)"),
    ("M-SEARCH * HTTP/1.1", "M-SEARCH", "*"),
])
def test_a_request_has_a_method_and_a_path_without_its_query(
        write: Write, request_line: str, method: str, path: str) -> None:
    found = read(write(line(request=request_line) + "\n"), bad=ALL_BAD, spenders_by=("method", "path"))
    assert found.rejected == 0
    assert found.spenders == (((method, path), 1),)


@pytest.mark.parametrize("text", [
    line(client="2001:db8::1"), line(client="[::1]"), line(user="alice"), line(user="alice smith"),
    line(client="host.example.com", status="499"), line(tail=r' "http://x/\"y\"" "agent \"q\" \\"'),
    line(tail=' "-" "a" "10.1.1.1, 10.2.2.2"'), line(tail=' "-" "a" 1234'), line(tail=' "-" "a" 0.250'),
    line().replace(" 12 ", " - "), line(tail=' "-" "пример"'), line(request="GET /\x01 HTTP/1.1"),
])
def test_unusual_lines_are_read(write: Write, text: str) -> None:
    found = read(write(text + "\n"))
    assert (found.lines, found.rejected, found.total) == (1, 0, 1)


@pytest.mark.parametrize("text", [
    "", "   ", "x", '"', line()[:-1], line()[:30], line(time="99/May/2015:10:05:03 +0000"),
    line(time="17/May/2015:10:65:03 +0000"), line(time="17/May/2015:10:05:03"), line(status="20"),
    line(status="abc"), line(tail=' "-"'), line(tail=' "-" "a" x'), line() + '"', "\x00\x01\x02",
])
def test_what_is_no_line_of_the_format_is_rejected_and_shown(write: Write, text: str) -> None:
    good = line() + "\n"
    found = read(write("\n" + good + text + "\n" + good * 2))
    assert found.parsed + found.rejected == found.lines
    assert found.total == found.parsed == 3
    # A wholly empty line is no line.
    assert found.rejected == (1 if text else 0)
    assert [sample[0] for sample in found.rejected_samples] == ([3] if text else [])


def test_every_line_carries_its_own_zone(write: Write) -> None:
    found = read(write("\n".join(line(time=f"17/May/2015:{hour}:00:00 {zone}") for hour, zone in
                                 [("10", "+0000"), ("12", "+0200"), ("05", "-0500"), ("15", "+0530")]) + "\n"))
    assert [total for total in found.series.total if total] == [1, 3]
    assert found.first is not None
    assert found.first.isoformat() == "2015-05-17T09:30:00+00:00"


def test_a_last_whole_number_is_microseconds_and_a_fraction_is_seconds(write: Write) -> None:
    found = read(write(line(tail=' "-" "a" 250000') + "\n" + line(tail=' "-" "a" 0.750') + "\n"), latency=0.5)
    assert found.latency is not None
    assert (found.latency.p50, found.latency.p99, found.latency.good, found.bad) == (0.25, 0.75, 1, 0)


@pytest.mark.parametrize("tail", ["", " 1500000", " 1.500"])
def test_the_common_format_is_recognised_with_and_without_a_duration(write: Write, tail: str) -> None:
    found = survey(Survey(FileSet((write((line(tail=tail, status="503") + "\n") * 3),))))
    assert (found.format, found.total, found.bad) == ("common", 3, 3)
    assert (found.latency.p50 if found.latency else None) == (1.5 if tail else None)


def test_line_ends_of_windows_are_read(write: Write) -> None:
    found = read(write((line() + "\r\n") * 5))
    assert (found.lines, found.rejected, found.total) == (5, 0, 5)


def test_bytes_that_are_no_text_are_read_or_rejected_but_never_lost(write: Write) -> None:
    odd = line(request="GET /caf? HTTP/1.1").encode().replace(b"?", b"\xe9")
    found = read(write(b"\n".join([line().encode(), odd, b"\xff\xfe", line().encode(), line().encode()])))
    assert (found.lines, found.parsed, found.rejected) == (5, 4, 1)


def test_a_line_with_many_quotes_and_a_line_of_megabytes_are_rejected(write: Write) -> None:
    found = read(write("\n".join([line(), '"' * 100, line(), line(request="x" * 3_000_000), line(), line()])))
    assert (found.lines, found.parsed, found.rejected) == (6, 4, 2)
    assert [sample[0] for sample in found.rejected_samples] == [2, 4]


def test_twenty_rejects_are_shown_and_all_are_counted(write: Write) -> None:
    found = read(write((line() + "\nbroken\n") * 500))
    assert (found.lines, found.rejected, len(found.rejected_samples)) == (1000, 500, 20)
    assert [sample[0] for sample in found.rejected_samples] == list(range(2, 42, 2))


PIECES = ["10.0.0.1", "::1", "-", " ", " - - [", "[", "]", '"', '" ', ' "', "\\", '\\"', "17/May/2015:10:05:03 +0000",
          "GET /a HTTP/1.1", "200", " 200 12 ", "500", "0.5", "é", "\t", "\x00", "] ", '"-"']
hostile = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@st.composite
def bent(draw: st.DrawFn) -> str:
    """A good line with something cut out or put in."""
    text = draw(st.sampled_from([line(), line(user="bob"), line(tail=""), line(tail=' "-" "a" 0.5'), line(tail=" 7")]))
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(hostile) + text[at + draw(st.integers(0, 3)):]


def _fields(file: Path, log: str, *, numbered: bool, always: bool) -> list[tuple[object, ...]]:
    """Every field of every line, cut at the quotes or (where lines are numbered) whole, and always by the pattern."""
    with tempfile.TemporaryDirectory() as folder:
        shape = event_formats._access_log(log, opened([str(file)], Path(folder)))
        values = ", ".join(f"{value.inline} AS {name}" for name, value in shape.fields.items())
        text = f"SELECT {shape.unfit} AS unfit, {values} FROM ({shape.origin(numbered)})"
        if always:
            assert event_formats._plain(log) in text
            text = text.replace(event_formats._plain(log), "FALSE")
        return duckdb.execute(text).fetchall()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.one_of(bent(), hostile), min_size=30, max_size=60),
       log=st.sampled_from(["combined", "common"]))
def test_cutting_at_quotes_and_the_full_pattern_give_the_same_fields(
        tmp_path: Path, lines: list[str], log: str) -> None:
    path = tmp_path / "x.log"
    path.write_text("\n".join(text for text in lines if text.count('"') < 15) + "\n", encoding="utf-8")
    fast = _fields(path, log, numbered=False, always=False)
    assert fast == _fields(path, log, numbered=False, always=True)
    assert fast == _fields(path, log, numbered=True, always=True)
    assert fast == _fields(path, log, numbered=True, always=False)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.lists(st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b"")), max_size=20))
def test_parsed_and_rejected_are_always_all_lines(tmp_path: Path, junk: list[bytes]) -> None:
    path = tmp_path / "x.log"
    good = [line().encode()] * (len(junk) + 2)
    path.write_bytes(b"\n".join(text for pair in zip(good, [*junk, b"", b""], strict=True) for text in pair))
    found = read(str(path))
    assert found.parsed + found.rejected == found.lines
    assert found.lines == len(good) + sum(1 for text in junk if text.removesuffix(b"\r"))
    assert found.total == found.parsed == len(good)
