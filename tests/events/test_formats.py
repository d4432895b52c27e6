"""JSON lines, tables, Parquet and spans: fields by their usual names or as told, times of any kind, no row lost."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.adapters.event_rows import duckdb
from mainstay.adapters.events import survey
from mainstay.kernel.ports import Condition, FileSet, Survey, Surveyed

Write = Callable[..., str]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def read(*paths: str, latency: float | None = None, bad: tuple[Condition, ...] | None = None,
         **files: object) -> Surveyed:
    more = {} if bad is None else {"bad": bad}
    return survey(Survey(FileSet(paths, **files), latency=latency, **more))  # type: ignore[arg-type]


def json_lines(*documents: object) -> str:
    return "\n".join(json.dumps(document) for document in documents) + "\n"


@pytest.mark.parametrize("moment", [
    "2026-03-02T12:00:00Z", "2026-03-02T12:00:00.000000000Z", "2026-03-02T13:00:00+01:00", "2026-03-02 12:00:00",
    "2026-03-02T13:00:00+0100", "2026-03-02 12:00:00,000", "2026-03-02 12:00:00 +0000 UTC m=+0.07",
    "2026-03-02 07:00:00 -0500", "02/Mar/2026:13:00:00 +0100", "Mon, 02 Mar 2026 12:00:00 +0000", "1772452800",
    1772452800, 1772452800.0, 1772452800_000, 1772452800_000_000, 1772452800_000_000_000,
])
def test_a_time_is_read_in_every_usual_form(write: Write, moment: object) -> None:
    found = read(write(json_lines({"time": moment, "status": 200})))
    assert (found.rejected, found.first) == (0, NOON)


def test_a_time_without_a_zone_is_in_the_zone_of_the_file_set_through_its_changes(write: Write) -> None:
    path = write(json_lines({"time": "2026-03-02 13:00:00", "status": 200},
                            {"time": "2026-07-02T14:00:00", "status": 200},
                            {"time": "2026-03-02T12:00:00Z", "status": 200}))
    found = read(path, zone="Europe/Berlin")
    assert (found.first, found.last) == (NOON, datetime(2026, 7, 2, 12, tzinfo=UTC))
    assert found.by_day[0] == ("2026-03-02", 2, 0)


@pytest.mark.parametrize("moment", ["soon", "", None, True, "NaN", "infinity", -5, 1e300, "2150-01-01T00:00:00Z",
                                    [1], {"a": 1}])
def test_a_row_whose_time_cannot_be_read_is_rejected_with_the_reason(write: Write, moment: object) -> None:
    good = {"time": "2026-03-02T12:00:00Z", "status": 200}
    found = read(write(json_lines(good, {"time": moment, "status": 200}, good)))
    assert (found.lines, found.parsed, found.rejected) == (3, 2, 1)
    assert found.rejected_samples[0][0] == 2
    assert "time" in found.rejected_samples[0][1]


def test_events_need_not_be_in_order(write: Write) -> None:
    found = read(write(json_lines(*({"ts": 1772452800 + offset, "status": 200} for offset in (900, 0, 1800, 300)))))
    assert (found.first, list(found.series.total)) == (NOON, [1, 1, 0, 1, 0, 0, 1])


@pytest.mark.parametrize(("fields", "seconds"), [
    ({"duration": 0.25}, 0.25), ({"duration_ms": 250}, 0.25), ({"latency_ms": "250"}, 0.25), ({"took": 250}, 0.25),
    ({"request_time": "0.250"}, 0.25), ({"durationMs": 250}, 0.25), ({"http": {"duration_us": 250000}}, 0.25),
    ({"elapsed_ns": 250000000}, 0.25), ({"duration": "250ms"}, 0.25), ({"duration": "1.5s"}, 1.5),
])
def test_a_duration_is_found_by_its_name_and_unit(write: Write, fields: dict[str, object], seconds: float) -> None:
    found = read(write(json_lines({"time": 1772452800, "status": 200, **fields})), latency=0.3)
    assert found.latency is not None
    assert (found.latency.p50, found.latency.good) == (seconds, float(seconds <= 0.3))


@pytest.mark.parametrize("document", [
    {"ts": 1772452800, "status": 503, "method": "GET", "path": "/a?b=1"},
    {"@timestamp": "2026-03-02T12:00:00Z", "status_code": "503", "verb": "GET", "uri": "/a"},
    {"timestamp": "2026-03-02T12:00:00Z", "response": 503, "request_method": "GET", "url": "https://h:1/a?x"},
    {"time": 1772452800, "http": {"response": {"status_code": 503}, "request": {"method": "GET"}},
     "url": {"path": "/a"}},
    {"time": 1772452800, "res": {"statusCode": 503}, "req": {"method": "GET", "url": "/a"}},
])
def test_usual_names_are_found_in_json(write: Write, document: object) -> None:
    found = read(write(json_lines(document)))
    assert (found.bad, found.spenders) == (1, ((("GET", "/a", "503"), 1),))


def test_nested_fields_are_named_with_dots_and_may_first_appear_late(write: Write) -> None:
    plain = {"time": 1772452800, "status": 200}
    path = write(json_lines(*[plain] * 5000, {**plain, "user": {"plan": "gold"}}))
    assert read(path, where=(Condition("user.plan", "==", ("gold",)),)).total == 1


def test_a_key_that_holds_a_dot_a_slash_or_a_quote_is_found(write: Write) -> None:
    path = write(json_lines({"time": 1772452800, "status": 200, "a.b": "x", "c/d~e": "y", "f'g\"": "z"}))
    for name, value in (("a.b", "x"), ("c/d~e", "y"), ("f'g\"", "z")):
        assert read(path, where=(Condition(name, "==", (value,)),)).total == 1


def test_lines_that_are_no_json_object_are_rejected(write: Write) -> None:
    good = json_lines({"time": 1772452800, "status": 200})
    found = read(write(good * 4 + '{"time": 1772452800\n[1, 2]\n"text"\nnull\n\n' + good * 4))
    assert (found.lines, found.parsed, found.rejected) == (12, 8, 4)
    assert [sample[0] for sample in found.rejected_samples] == [5, 6, 7, 8]


def test_a_list_of_objects_is_read_like_lines(write: Write) -> None:
    path = write(json.dumps([{"time": 1772452800, "status": 500}, {"time": 1772452801, "status": 200}, 7], indent=1))
    found = read(path)
    assert (found.format, found.lines, found.rejected, found.total, found.bad) == ("json", 3, 1, 2, 1)


@pytest.mark.parametrize(("name", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_a_table_is_recognised_and_its_quotes_and_line_ends_are_kept(write: Write, name: str, delimiter: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerows([["time", "status", "note, with comma"], ["1772452800", "500", "one\ntwo"],
                      ["1772452801", "200", 'say "hi"'], ["1772452802", "", ""]])
    found = read(write(out.getvalue()))
    assert (found.format, found.lines, found.rejected, found.total, found.bad) == (name, 3, 0, 3, 1)
    assert read(write(out.getvalue()), where=(Condition("note, with comma", "==", ("one\r\ntwo",)),)).total in (0, 1)
    assert read(write(out.getvalue()), where=(Condition("note, with comma", "present"),)).total == 2


def test_rows_of_another_width_and_open_quotes_are_rejected_and_the_rest_is_read(write: Write) -> None:
    rows = ["time,status,note", "1772452800,200,a", "1772452800,200", "1772452800,200,a,b", '1772452800,500,"c',
            "1772452800,200,d", '1772452800,200,"e ""e"""', "1772452800,503,\udcff", "1772452800,200,f,"]
    found = read(write("\n".join(rows).encode("utf-8", "surrogateescape")))
    assert (found.lines, found.parsed, found.rejected, found.bad) == (8, 5, 3, 1)
    assert [sample[0] for sample in found.rejected_samples] == [2, 3, 4]
    assert found.rejected_samples[1][2] == "1772452800,200,a,b"


CELLS = st.text(st.sampled_from('ab,"\n\r\té\x00 '), max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.sampled_from(["200", "500"]), CELLS), min_size=1, max_size=20),
       broken=st.lists(st.sampled_from(['1772452800,200', 'x', '1772452800,200,a,b', '"', ',,', 'a"b,"c']), max_size=5))
def test_every_written_row_is_read_beside_broken_ones(
        tmp_path: Path, rows: list[tuple[str, str]], broken: list[str]) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["time", "status", "note"])
    for status, note in rows:
        writer.writerow(["1772452800", status, note.replace("\n", " ").replace("\r", " ")])
    path = tmp_path / "x.csv"
    path.write_text(out.getvalue() + "\n".join(broken) + "\n" + out.getvalue().partition("\n")[2] * 5, encoding="utf-8")
    found = read(str(path), format="csv")
    assert found.parsed + found.rejected == found.lines
    assert found.lines == len(rows) * 6 + len(broken)
    assert found.bad == 6 * sum(status == "500" for status, _ in rows)


def test_parquet_is_read_with_its_own_types_and_nested_fields(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    duckdb.execute("COPY (SELECT TIMESTAMP '2026-03-02 12:00:00' + INTERVAL (i) SECOND AS ts, "
                   "CASE WHEN i % 10 = 0 THEN 500 ELSE 200 END AS status, {'plan': 'p' || (i % 2)} AS \"us\"\"er\", "
                   f"i * 1.5 AS duration_ms FROM range(100) t(i)) TO '{path}' (FORMAT parquet)")
    found = read(str(path), where=(Condition('us"er.plan', "==", ("p0",)),), latency=0.1)
    assert (found.format, found.lines, found.total, found.bad, found.first) == ("parquet", 100, 50, 10, NOON)
    assert found.latency is not None
    assert (found.latency.good, found.latency.p50) == (34, 0.072)


def otlp(*spans: dict[str, object]) -> dict[str, object]:
    return {"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "web"}}]},
                               "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}


def span(status: int, code: int = 0, parent: str = "", millis: int = 250) -> dict[str, object]:
    start = 1772452800_000_000_000
    return {"traceId": "t", "spanId": "s", "parentSpanId": parent, "name": "GET /a", "kind": 2,
            "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + millis * 1_000_000),
            "status": {"code": code} if code else {},
            "attributes": [{"key": "http.response.status_code", "value": {"intValue": str(status)}},
                           {"key": "http.route", "value": {"stringValue": "/a"}}]}


def test_spans_of_opentelemetry_are_bad_when_their_status_is_error(write: Write) -> None:
    path = write(json_lines(otlp(span(200), span(500, code=2)), otlp(span(200, parent="s", millis=900))))
    found = read(path, latency=0.5)
    assert (found.format, found.lines, found.total, found.bad) == ("spans-json", 3, 3, 1)
    assert found.spenders == ((("(none)", "/a", "ERROR"), 1),)
    assert found.latency is not None
    assert (found.latency.good, found.latency.p99) == (2, 0.9)
    assert read(path, where=(Condition("service.name", "==", ("web",)), Condition("parent_id", "absent"))).total == 2
    assert read(path, bad=(Condition("http.response.status_code", ">=", (500.0,)),)).bad == 1


def test_a_span_without_times_is_rejected(write: Write) -> None:
    found = read(write(json_lines(otlp(span(200), {"name": "x"}), otlp(span(200))) + "{broken\n"))
    assert (found.lines, found.parsed, found.rejected) == (4, 2, 2)


def test_a_flat_list_of_spans_is_read_in_microseconds_as_zipkin_writes_it(write: Write) -> None:
    spans = [{"traceId": "t", "id": str(index), "parentId": "p", "name": "get", "timestamp": 1772452800_000_000,
              "duration": 250_000, "tags": {"error": "x"} if index == 0 else {}} for index in range(3)]
    found = read(write(json.dumps(spans)), latency=0.2)
    assert (found.format, found.total, found.bad, found.first) == ("spans-json", 3, 1, NOON)
    assert found.latency is not None
    assert found.latency.p50 == 0.25


def test_a_counter_that_was_reset_counts_from_zero(write: Write) -> None:
    def snapshot(second: int, fine: int, errors: int) -> dict[str, object]:
        return {"timestamp": 1772452800_000 + 1000 * second, "server_zones": {"z": {"responses": {
            "1xx": 0, "2xx": fine, "3xx": 0, "4xx": 0, "5xx": errors, "total": fine + errors}}}}

    found = read(write(json_lines(snapshot(0, 100, 5), snapshot(10, 110, 6), snapshot(30, 9, 2), snapshot(20, 3, 0))))
    assert (found.lines, found.total, found.bad) == (4, 10 + 1 + 3 + 6 + 2, 1 + 2)


def test_a_slot_without_samples_is_a_gap_and_without_events_a_zero(write: Write) -> None:
    matrix = [{"metric": {"__name__": "up", "job": "a"}, "values": [[1772452800, "1"], [1772453400, "0"]]}]
    sampled = read(write(json.dumps(matrix)))
    assert (list(sampled.series.known), list(sampled.series.total)) == ([True, False, True], [1, 0, 1])
    events = read(write(json_lines({"time": 1772452800, "status": 200}, {"time": 1772453400, "status": 500})))
    assert (list(events.series.known), list(events.series.total)) == ([True, True, True], [1, 0, 1])


def test_an_answer_of_the_prometheus_api_is_read_and_samples_without_a_number_are_rejected(write: Write) -> None:
    answer = {"status": "success", "data": {"resultType": "matrix", "result": [
        {"metric": {"job": "a"}, "values": [[1772452800, "1"], [1772452830, "NaN"], [1772452860, "0"]]}]}}
    found = read(write(json.dumps(answer)))
    assert (found.format, found.lines, found.rejected, found.total, found.bad) == ("prometheus-matrix", 3, 1, 2, 1)


def test_fields_are_told_where_the_file_has_names_of_its_own(write: Write) -> None:
    path = write("when,ok,cost\n1772452800,no,250\n1772452801,yes,750\n")
    found = read(path, fields={"time": "when", "duration": "cost:ms", "status": "ok"}, latency=0.5,
                 bad=(Condition("status", "==", ("no",)),))
    assert (found.total, found.bad) == (2, 1)
    assert found.latency is not None
    assert found.latency.good == 1


@pytest.mark.parametrize(("name", "told"), [("cost_ms", "cost_ms"), ("durationMs", "durationMs"), ("cost", "cost:ms"),
                                            ("took", "took")])
def test_a_duration_that_is_told_is_in_the_unit_its_name_ends_in(write: Write, name: str, told: str) -> None:
    found = read(write(json_lines({"time": 1772452800, "status": 200, name: 250})), fields={"duration": told},
                 latency=0.3)
    assert found.latency is not None
    assert found.latency.p50 == 0.25


def test_a_table_that_counts_more_bad_than_all_events_is_rejected_there(write: Write) -> None:
    path = write("time,calls,errors\n1772452800,10,2\n1772452801,0,0\n1772452802,1,5\n1772452803,,0\n1772452804,-1,0\n"
                 "1772452805,5,1\n1772452806,5,1\n")
    found = read(path, fields={"total": "calls", "bad": "errors"})
    assert (found.parsed, found.rejected, found.total, found.bad) == (4, 3, 20, 4)


def test_several_files_plain_and_packed_count_as_one(tmp_path: Path) -> None:
    one, two = (json_lines({"time": 1772452800 + index, "status": 200}).encode() for index in range(2))
    (tmp_path / "a.log").write_bytes(one * 3)
    # Packed by content, not by name; two members behind one another are one file.
    (tmp_path / "b.log").write_bytes(gzip.compress(two) + gzip.compress(two) + b"\0" * 8)
    (tmp_path / "c.log").write_bytes(b"")
    assert read(str(tmp_path / "*.log")).lines == 5
    assert read(str(tmp_path / "*.log"), str(tmp_path / "a.log")).lines == 5


def test_lines_are_numbered_through_all_files(tmp_path: Path) -> None:
    good = json_lines({"time": 1772452800, "status": 200})
    (tmp_path / "a.log").write_text(good * 3)
    (tmp_path / "b.log").write_text(good + "broken\n" + good)
    ((number, _, text),) = read(str(tmp_path / "?.log")).rejected_samples
    assert (number, text) == (5, "broken")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_events_come_through_standard_input(pack: Callable[[bytes], bytes]) -> None:
    code = ("from mainstay.adapters.events import survey; from mainstay.kernel.ports import FileSet, Survey; "
            "print(survey(Survey(FileSet(('-',)))).total)")
    content = pack(json_lines({"time": 1772452800, "status": 200}).encode() * 7)
    done = subprocess.run([sys.executable, "-c", code], input=content, capture_output=True, check=True)
    assert done.stdout.strip() == b"7.0"


def test_rows_equal_in_a_key_count_once_and_rows_without_it_all_count(write: Write) -> None:
    rows = [{"time": 1772452800 + index, "status": 500, "id": key} for index, key in enumerate(["a", "a", "b", None,
                                                                                                 None, "a"])]
    found = read(write(json_lines(*rows) + "broken\n"), unique_by=("id",), where=(Condition("id", "!=", ("b",)),))
    assert (found.lines, found.parsed, found.rejected) == (7, 6, 1)
    assert (found.repeated, found.left_out, found.total) == (2, 3, 1)
    assert found.first == NOON


def test_a_told_field_may_first_appear_late(write: Write) -> None:
    plain = {"time": 1772452800, "status": 200}
    path = write(json_lines(*[plain] * 5000, {**plain, "in": {"result": "no"}}))
    assert read(path, fields={"result": "in.result"}, bad=(Condition("result", "==", ("no",)),)).bad == 1


@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_S", "TIMESTAMPTZ", "DATE", "BIGINT",
                                  "VARCHAR"])
def test_a_time_of_parquet_may_have_any_type(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.parquet"
    value = "1772452800" if kind == "BIGINT" else "'2026-03-02 12:00:00'"
    duckdb.execute(f"COPY (SELECT CAST({value} AS {kind}) AS time, 200 AS status) TO '{path}' (FORMAT parquet)")
    assert read(str(path)).first == (NOON.replace(hour=0) if kind == "DATE" else NOON)
    assert read(str(path), zone="Europe/Berlin").total == 1
