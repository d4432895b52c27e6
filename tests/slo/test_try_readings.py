"""`mainstay slo try … --json` on real data gives the readings that others took of it; bad input is told apart.

The figures are those of SOURCES.md beside the shared data, taken without Mainstay.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest

from command import mainstay
from servers.fake_prometheus import FakeAnswer, fake_prometheus, matrix
from servers.nowhere import nobody_listens
from shared_data import shared

APACHE = "access_logs/semicomplete_apache_combined_2015-05.log.gz"
NGINX = "access_logs/nginx_org_plus_status_2015-10-31.jsonl.gz"
TRACES = "traces/onlineboutique_2022-08-22_03_53_trace.csv.gz"
REDHAT = "prometheus/redhat_aiops_up_201907281200.json.gz"
ROBOT = "timeseries/robotshop_instana_application_10s.csv.gz"
AZURE = "timeseries/azure_llm_inference_trace_code_2023-11-16.csv.gz"

TRY_KEYS = ["lines", "parsed", "rejected", "rejected_samples", "first", "last", "total", "bad", "sli", "target",
            "consumption_percent", "by_day", "latency", "top_spenders"]
"""As the requirements list them; more may be among them, none may go."""


def test_the_apache_log_spends_thirty_percent_of_three_nines(tmp_path: Path) -> None:
    found = mainstay(tmp_path, "slo", "try", str(shared(APACHE)), "--json").json

    assert [key for key in found if key in TRY_KEYS] == TRY_KEYS
    assert (found["lines"], found["parsed"], found["rejected"]) == (10_000, 9_999, 1)
    assert (found["total"], found["bad"], found["target"]) == (9_999, 3, 0.999)
    assert found["consumption_percent"] == pytest.approx(3 / 9_999 / 0.001 * 100)
    assert round(found["consumption_percent"], 1) == 30.0
    assert found["sli"] == pytest.approx(9_996 / 9_999)
    assert (found["first"], found["last"]) == ("2015-05-17T10:05:00Z", "2015-05-20T21:05:59Z")
    assert [(one["day"], one["total"], one["bad"]) for one in found["by_day"]] == [
        ("2015-05-17", 1632, 0), ("2015-05-18", 2893, 2), ("2015-05-19", 2896, 0), ("2015-05-20", 2578, 1)]
    assert list(found["by_day"][0]) == ["day", "total", "bad", "sli"]
    assert [(one["key"], one["bad"]) for one in found["top_spenders"]] == [
        ("GET /misc/Title.php.txt → 500", 2), ("OPTIONS /projects/xdotool/ → 500", 1)]
    assert sum(one["share"] for one in found["top_spenders"]) == pytest.approx(1)
    assert found["rejected_samples"][0]["text"].startswith("46.118.127.106")
    assert found["latency"] is None


def test_the_apache_log_reads_the_same_from_standard_input(tmp_path: Path) -> None:
    path = shared(APACHE)
    by_name = mainstay(tmp_path, "slo", "try", str(path), "--json").json

    piped = mainstay(tmp_path, "slo", "try", "-", "--json", stdin=gzip.decompress(path.read_bytes())).json

    assert piped | {"files": []} == by_name | {"files": []}


def test_people_read_the_verdict_first(tmp_path: Path) -> None:
    said = mainstay(tmp_path, "slo", "try", str(shared(APACHE)))

    assert said.code == 0
    assert "10,000 lines: 9,999 read, 1 rejected" in " ".join(said.out.split())
    assert "30.0 % spent, 7 of 10 failures left" in said.out
    assert "healthy" in said.out


def test_root_spans_slower_than_a_second_are_352_of_1355(tmp_path: Path) -> None:
    files = [str(shared(TRACES).with_name(f"onlineboutique_2022-08-22_03_{minute}_trace.csv.gz")) for minute in
             (53, 54, 55)]

    found = mainstay(tmp_path, "slo", "try", *files, "--where", "ParentID=root", "--unique", "TraceID", "--unique",
                     "SpanID", "--latency", "1s", "--json").json

    assert (found["lines"], found["parsed"], found["rejected"], found["repeated"]) == (62_438, 62_438, 0, 373)
    assert found["total"] == 1_355
    latency = found["latency"]
    assert list(latency) == ["threshold_ms", "good", "total", "sli", "p50_ms", "p95_ms", "p99_ms"]
    assert (latency["threshold_ms"], latency["good"], latency["total"]) == (1000, 1_003, 1_355)
    assert [round(latency[key] * 1000) for key in ("p50_ms", "p95_ms", "p99_ms")] == [281_948, 1_702_476, 2_400_817]


def test_the_up_series_of_red_hat_was_down_in_1889_of_34197_samples(tmp_path: Path) -> None:
    pattern = str(shared(REDHAT).with_name("redhat_aiops_up_2019*.json.gz"))

    found = mainstay(tmp_path, "slo", "try", pattern, "--json", "--by", "instance").json

    assert (found["parsed"], found["total"], found["bad"]) == (34_197, 34_197, 1_889)
    assert [one["bad"] for one in found["top_spenders"]] == [1_800, 81, 8]


@pytest.mark.parametrize(("zone", "responses", "errors"), [
    ("hg.nginx.org", 298, 3), ("trac.nginx.org", 752, 0), ("lxr.nginx.org", 90, 0)])
def test_the_zones_of_nginx_answered_so_many_requests(tmp_path: Path, zone: str, responses: int, errors: int) -> None:
    found = mainstay(tmp_path, "slo", "try", str(shared(NGINX)), "--where", f"zone={zone}", "--json").json

    assert (found["lines"], found["total"], found["bad"]) == (500, responses, errors)
    assert [one["key"] for one in found["top_spenders"]] == (["500"] if errors else [])


def test_the_robot_shop_overspent_sixteenfold(tmp_path: Path) -> None:
    found = mainstay(tmp_path, "slo", "try", str(shared(ROBOT)), "--field", "total=Robot-Shop:calls.sum", "--field",
                     "bad=Robot-Shop:erroneousCalls.sum", "--json").json

    assert (found["lines"], found["total"], found["bad"]) == (8_834, 442_393_251, 7_154_048)
    assert round(found["consumption_percent"]) == 1617
    assert (1 - found["sli"]) * 100 == pytest.approx(1.61712, abs=1e-5)


def test_the_llm_trace_has_8819_requests(tmp_path: Path) -> None:
    found = mainstay(tmp_path, "slo", "try", str(shared(AZURE)), "--bad", "GeneratedTokens<1", "--json").json

    assert (found["lines"], found["total"]) == (8_819, 8_819)
    assert found["first"].startswith("2023-11-16T18:17:03.97996")


# -- bad input ----------------------------------------------------------------------------------------------------

LINE = b'10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 12 "-" "-"\n'


def _bad_files(folder: Path) -> None:
    whole = gzip.compress(LINE * 5000)
    (folder / "broken.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "binary.dat").write_bytes(Path(sys.executable).resolve().read_bytes()[:4000])
    (folder / "empty.log").write_bytes(b"")
    (folder / "empty.gz").write_bytes(gzip.compress(b""))
    (folder / "prose.txt").write_text("nothing here\nlooks like a log\n" * 20)
    (folder / "good.log").write_bytes(LINE * 10)


@pytest.mark.parametrize(("words", "code", "says"), [
    (["broken.gz"], 2, "broken.gz is a damaged gzip"),
    (["binary.dat"], 2, "binary.dat is a binary file"),
    (["empty.log"], 3, "empty"),
    (["empty.gz"], 3, "empty"),
    (["prose.txt"], 2, "format of prose.txt was not recognised"),
    (["absent.log"], 2, "no file absent.log"),
    (["*.nothing"], 2, "*.nothing"),
    ([], 2, "FILES requires an argument"),
    (["good.log", "--target", "0"], 2, "target 0"),
    (["good.log", "--target", "100"], 2, "leaves no error budget"),
    (["good.log", "--target", "120"], 2, "target 120"),
    (["good.log", "--target", "much"], 2, "not a number"),
    (["good.log", "--target", "nan"], 2, "target nan"),
    (["good.log", "--latency", "fast"], 2, '"fast" is not a duration'),
    (["good.log", "--bad", "status"], 2, "is not a condition"),
    (["good.log", "--where", "path=~("], 2, "not a regular expression"),
    (["good.log", "--where", "path=/nowhere"], 3, "no event to count"),
    (["good.log", "--zone", "Mars/Phobos"], 2, "not a time zone"),
    (["good.log", "--field", "nonsense"], 2, "where a field stands"),
    (["good.log", "--format", "morse"], 2, "morse"),
    (["good.log", "--colour", "green"], 2, "--colour"),
])
def test_bad_input_is_told_apart(tmp_path: Path, words: list[str], code: int, says: str) -> None:
    _bad_files(tmp_path)

    said = mainstay(tmp_path, "slo", "try", *words)

    assert (said.code, said.out) == (code, "")
    assert says in " ".join(said.err.split())
    assert "Traceback" not in said.err
    assert not (tmp_path / "mainstay.db").exists(), "nothing is half-written"


def test_five_mistakes_of_a_file_are_five_findings(tmp_path: Path) -> None:
    folder = _catalog(tmp_path, """apiVersion: mainstay/v1
kind: Objective
metadata: {name: web}
spec:
  indicator: {type: availability, source: logs}
  target: 120
  window: fortnight
  timezone: Mars/Phobos
  method: guesses
  colour: green
""")

    said = mainstay(tmp_path, "check", "-c", str(folder), "--json")

    assert said.code == 2
    lines = sorted(one["line"] for one in json.loads(said.out)["findings"] if one["severity"] == "error")
    assert lines == [6, 7, 8, 9, 10]
    for verb in ("report", "gate", "enforce"):
        refused = mainstay(tmp_path, "slo", verb, "-c", str(folder))
        assert (refused.code, refused.out) == (2, "")
        assert "slos.yaml:7:11" in refused.err
    assert not (tmp_path / "mainstay.db").exists()


def _catalog(folder: Path, text: str) -> Path:
    (folder / "slos").mkdir(exist_ok=True)
    (folder / "slos" / "slos.yaml").write_text(text)
    return folder / "slos"


def _on_prometheus(folder: Path, url: str) -> str:
    return str(_catalog(folder, f"""apiVersion: openslo/v1
kind: DataSource
metadata: {{name: prom}}
spec: {{type: Prometheus, connectionDetails: {{url: "{url}", timeout: 1s, retries: 0}}}}
---
apiVersion: mainstay/v1
kind: Objective
metadata: {{name: web}}
spec:
  indicator: {{type: availability, source: prom, bad: 'errors', total: 'requests'}}
  target: 99.9
  window: 1d
"""))


def test_a_prometheus_that_is_down_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    with nobody_listens() as port:
        said = mainstay(tmp_path, "slo", "report", "-c", _on_prometheus(tmp_path, f"http://127.0.0.1:{port}"))

    assert (said.code, said.out) == (2, "")
    assert "127.0.0.1" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(("answer", "code", "says"), [
    (FakeAnswer({"status": "error", "errorType": "bad_data", "error": "parse error: unexpected end"}, status=400), 2,
     "parse error: unexpected end"),
    (FakeAnswer(b"x", before=3), 2, "did not answer within 1 s"),
    (FakeAnswer(b"<html>gateway</html>", status=502), 2, "failed with 502"),
    (FakeAnswer(b"<html>hello</html>"), 2, "answered with a web page"),
    (FakeAnswer(matrix(({}, [(1_700_000_100, "NaN")]))), 3, "total is NaN"),
], ids=["answers 400", "slow", "answers 502", "is no Prometheus", "NaN"])
def test_a_prometheus_that_answers_nonsense_is_said(tmp_path: Path, answer: FakeAnswer, code: int, says: str) -> None:
    with fake_prometheus(answer) as fake:
        said = mainstay(tmp_path, "slo", "report", "-c", _on_prometheus(tmp_path, fake.url), "--as-of",
                        "2023-11-15T00:00:00Z")

    assert said.code == code, said.out
    assert says in " ".join((said.err + said.out).split())
    assert "Traceback" not in said.err


def test_an_empty_prometheus_is_no_data(tmp_path: Path) -> None:
    with fake_prometheus(FakeAnswer(matrix())) as fake:
        catalog = _on_prometheus(tmp_path, fake.url)
        report = mainstay(tmp_path, "slo", "report", "-c", catalog, "--json")
        gate = mainstay(tmp_path, "slo", "gate", "-c", catalog)

    assert (report.code, report.json["objectives"][0]["status"]) == (3, "no_data")
    assert gate.code == 3


@pytest.mark.parametrize("words", [["report", "nobody"], ["report", "--service", "nobody"], ["show", "nobody"],
                                   ["suggest", "web", "--window", "fortnight"], ["attribute", "web", "--last", "soon"],
                                   ["gate", "--max-spent", "0"], ["gate", "--max-spent", "much"]])
def test_a_wrong_name_or_flag_is_refused(tmp_path: Path, words: list[str]) -> None:
    with fake_prometheus(FakeAnswer(matrix())) as fake:
        said = mainstay(tmp_path, "slo", *words, "-c", _on_prometheus(tmp_path, fake.url))

    assert (said.code, said.out) == (2, ""), said.err
    assert "Traceback" not in said.err
