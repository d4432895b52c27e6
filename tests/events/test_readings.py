"""The readings that were taken of the shared data by others (SOURCES.md beside the data) are found again."""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
from collections import Counter
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mainstay.adapters.events import EventSource, survey
from mainstay.kernel.ports import Condition, CountRequest, EventQuery, FileSet, Survey
from mainstay.kernel.quantity import Span
from shared_data import shared

ACCESS = "access_logs/semicomplete_apache_combined_2015-05.log.gz"
NGINX = "access_logs/nginx_org_plus_status_2015-10-31.jsonl.gz"
TRACES = "traces/onlineboutique_2022-08-22_03_53_trace.csv.gz"
REDHAT = "prometheus/redhat_aiops_up_201907281200.json.gz"
ROBOT = "timeseries/robotshop_instana_application_10s.csv.gz"
AZURE = "timeseries/azure_llm_inference_trace_code_2023-11-16.csv.gz"


def test_the_apache_log_has_9999_events_one_reject_and_three_bad_ones() -> None:
    found = survey(Survey(FileSet((str(shared(ACCESS)),))))
    assert (found.format, found.lines, found.parsed, found.rejected) == ("combined", 10_000, 9_999, 1)
    assert (found.total, found.bad) == (9_999, 3)
    assert found.by_day == (("2015-05-17", 1632, 0), ("2015-05-18", 2893, 2), ("2015-05-19", 2896, 0),
                            ("2015-05-20", 2578, 1))
    assert (found.first, found.last) == (datetime(2015, 5, 17, 10, 5, tzinfo=UTC),
                                         datetime(2015, 5, 20, 21, 5, 59, tzinfo=UTC))
    assert found.spenders == ((("GET", "/misc/Title.php.txt", "500"), 2), (("OPTIONS", "/projects/xdotool/", "500"), 1))
    assert found.latency is None


def test_the_reject_of_the_apache_log_is_the_line_whose_agent_is_cut() -> None:
    path = shared(ACCESS)
    ((number, _, text),) = survey(Survey(FileSet((str(path),)))).rejected_samples
    line = gzip.decompress(path.read_bytes()).split(b"\n")[number - 1].decode()
    assert line.startswith("46.118.127.106 - - [20/May/2015:12:05:17")
    assert text == line[:200]


REFERENCE = re.compile(r'^(\S+) (\S+) (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-) '
                       r'"((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"$')


def test_a_plain_parser_in_python_finds_the_same_slots_statuses_and_clients() -> None:
    path = shared(ACCESS)
    slots: Counter[int] = Counter()
    statuses: Counter[str] = Counter()
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        if match := REFERENCE.match(line):
            moment = datetime.strptime(match[4], "%d/%b/%Y:%H:%M:%S %z").timestamp()
            slots[int(moment) // 300 * 300] += 1
            statuses[match[6]] += 1
    found = survey(Survey(FileSet((str(path),)), bad=(Condition("status", ">=", (0.0,)),), spenders_by=("status",)))
    assert {found.series.start + 300 * index: int(total)
            for index, total in enumerate(found.series.total) if total} == slots
    assert {key: int(count) for (key,), count in found.spenders} == statuses
    assert found.series.known.all()


def _traces() -> tuple[str, ...]:
    return (str(shared(TRACES).with_name("onlineboutique_2022-08-22_03_5?_trace.csv.gz")),)


ROOTS = (Condition("ParentID", "==", ("root",)),)


def test_distinct_root_spans_slower_than_a_second_are_352_of_1355() -> None:
    found = survey(Survey(FileSet(_traces(), unique_by=("TraceID", "SpanID"), where=ROOTS), latency=1.0))
    assert (found.format, found.lines, found.rejected, found.repeated) == ("spans-csv", 62_438, 0, 373)
    assert found.parsed == found.repeated + found.left_out + found.total
    assert (found.total, found.bad) == (1_355, 352)
    assert found.latency is not None
    assert (found.latency.good, found.latency.total) == (1_003, 1_355)
    assert [round(value * 1e6) for value in (found.latency.p50, found.latency.p95, found.latency.p99)] \
        == [281_948, 1_702_476, 2_400_817]


@pytest.mark.parametrize(("minute", "requests", "slow"), [("53", 497, 24), ("54", 503, 79), ("55", 363, 256)])
def test_slow_requests_rise_minute_by_minute_after_the_fault(minute: str, requests: int, slow: int) -> None:
    path = shared(TRACES.replace("03_53", f"03_{minute}"))
    found = survey(Survey(FileSet((str(path),), where=ROOTS), latency=1.0))
    assert (found.total, found.bad) == (requests, slow)


def test_percentiles_are_the_nearest_rank_of_every_duration() -> None:
    path = shared(TRACES)
    rows = csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode()))
    durations = sorted(int(row["Duration"]) for row in rows)
    found = survey(Survey(FileSet((str(path),)), latency=1.0)).latency
    assert found is not None
    assert [round(value * 1e6) for value in (found.p50, found.p95, found.p99)] \
        == [durations[math.ceil(Fraction(p) * len(durations)) - 1] for p in ("0.5", "0.95", "0.99")]


def test_the_up_samples_of_red_hat_are_34197_of_which_1889_are_down() -> None:
    pattern = str(shared(REDHAT).with_name("redhat_aiops_up_2019*.json.gz"))
    found = survey(Survey(FileSet((pattern,)), spenders_by=("instance",)))
    assert (found.format, found.lines, found.rejected, found.repeated) == ("prometheus-matrix", 34_197, 0, 0)
    assert (found.total, found.bad) == (34_197, 1_889)
    assert [count for _, count in found.spenders] == [1_800, 81, 8]


def test_samples_that_two_files_hold_count_once(tmp_path: Path) -> None:
    path = shared(REDHAT)
    copy = tmp_path / "copy.json"
    copy.write_bytes(gzip.decompress(path.read_bytes()))
    once, twice = (survey(Survey(FileSet(files))) for files in ((str(path),), (str(path), str(copy))))
    assert (twice.total, twice.bad) == (once.total, once.bad)
    assert twice.repeated == once.lines


@pytest.mark.parametrize(("zone", "responses", "errors"), [
    ("hg.nginx.org", 298, 3), ("trac.nginx.org", 752, 0), ("lxr.nginx.org", 90, 0)])
def test_the_counters_of_nginx_rose_by_so_many_responses(zone: str, responses: int, errors: int) -> None:
    found = survey(Survey(FileSet((str(shared(NGINX)),), where=(Condition("zone", "==", (zone,)),))))
    assert (found.format, found.lines, found.parsed) == ("nginx-plus-status", 500, 500)
    assert (found.total, found.bad) == (responses, errors)


def test_a_table_that_counts_itself_is_believed() -> None:
    files = FileSet((str(shared(ROBOT)),), fields={"total": "Robot-Shop:calls.sum",
                                                   "bad": "Robot-Shop:erroneousCalls.sum"})
    found = survey(Survey(files))
    assert (found.lines, found.rejected) == (8_834, 0)
    assert (found.total, found.bad) == (442_393_251, 7_154_048)
    hours = found.series.coarser(3600)
    ratio = np.divide(hours.bad, hours.total, out=np.zeros(len(hours)), where=hours.total > 0)
    worst = datetime.fromtimestamp(hours.start + 3600 * int(ratio.argmax()), UTC)
    assert (worst, round(float(ratio.max()) * 100, 4)) == (datetime(2023, 3, 13, 20, tzinfo=UTC), 1.7021)


def test_times_of_the_llm_trace_are_read_to_the_microsecond() -> None:
    files = FileSet((str(shared(AZURE)),))
    found = survey(Survey(files, bad=(Condition("ContextTokens", ">", (1e9,)),)))
    assert (found.lines, found.total) == (8_819, 8_819)
    assert found.first == datetime(2023, 11, 16, 18, 17, 3, 979960, tzinfo=UTC)
    assert found.last is not None
    assert found.last.strftime("%H:%M:%S.%f")[:11] == "19:14:19.92"


def test_the_busiest_minute_of_the_llm_trace_has_585_requests() -> None:
    span = Span(datetime(2023, 11, 16, 18, tzinfo=UTC), datetime(2023, 11, 16, 20, tzinfo=UTC))
    (reading,) = EventSource(FileSet((str(shared(AZURE)),))).count(
        [CountRequest(EventQuery(), span, bad=EventQuery((Condition("ContextTokens", ">", (1e9,)),)), step=60)])
    busiest = int(reading.series.total.argmax())
    assert (busiest, reading.series.total[busiest]) == (31, 585)
