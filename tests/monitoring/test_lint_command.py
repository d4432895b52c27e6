"""The verb as people start it: files, folders, addresses, standard input; exit codes, formats, mends."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from command import mainstay
from monitoring.linting import of_alert

WRONG = of_alert('up{job=~"^api$"} == bool 0  # kept')
CLEAN = """groups:
- name: g
  rules:
  - alert: ApiDown
    expr: up{job="api"} == 0
    for: 5m
    labels: {severity: page, team: api}
    annotations: {summary: down, runbook_url: 'https://example.org/api'}
"""


def test_a_clean_file_exits_0_and_says_so(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text(CLEAN)
    answer = mainstay(tmp_path, "monitoring", "lint", "rules.yaml", "--hints")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines() == ["1 rule file: 1 rule, 1 of them alerts", "no mistake"]


@pytest.mark.parametrize(("fail_on", "code"), [("error", 1), ("never", 0)])
def test_an_error_exits_1_unless_told_otherwise(tmp_path: Path, fail_on: str, code: int):
    (tmp_path / "rules.yaml").write_text(WRONG)
    assert mainstay(tmp_path, "monitoring", "lint", "rules.yaml", "--fail-on", fail_on).code == code


def test_warnings_alone_exit_0_and_1_with_fail_on_warning(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text(CLEAN.replace(", team: api", "").replace("severity: page", "a: b"))
    assert mainstay(tmp_path, "monitoring", "lint", "rules.yaml").code == 0
    assert mainstay(tmp_path, "monitoring", "lint", "rules.yaml", "--fail-on", "warning").code == 1


def test_json_has_every_field_and_no_hints_unless_asked(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text(WRONG)
    found = mainstay(tmp_path, "monitoring", "lint", "rules.yaml", "--json").json
    assert found["findings"][0] == {
        "file": "rules.yaml", "line": 4, "column": 12, "code": "no-severity", "severity": "warning", "fixable": False,
        "message": "the alert has no severity: nothing says whether it wakes anybody", "fixed": False,
        "mend": "add labels: {severity: page} or ticket"}
    assert "anchored-twice" in found["by_code"]
    assert {one["severity"] for one in found["findings"]} == {"error", "warning"}
    assert (found["files"], found["rules"], found["alerts"], found["changed"]) == (1, 1, 1, {})


def test_only_and_skip_choose_checks_and_a_wrong_code_is_refused(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text(WRONG)
    only = mainstay(tmp_path, "monitoring", "lint", "rules.yaml", "--only", "bool-in-alert", "--json").json
    assert [one["code"] for one in only["findings"]] == ["bool-in-alert"]
    skipped = mainstay(tmp_path, "monitoring", "lint", "rules.yaml", "--skip", "bool-in-alert")
    assert skipped.code == 0
    assert mainstay(tmp_path, "monitoring", "lint", "rules.yaml", "--only", "bools").code == 2


def test_a_dry_run_changes_nothing_and_a_fix_changes_the_letters_meant(tmp_path: Path):
    file = tmp_path / "rules.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + WRONG.encode())
    file.chmod(0o640)
    dry = mainstay(tmp_path, "monitoring", "lint", "rules.yaml", "--fix", "--dry-run")
    assert file.read_bytes() == b"\xef\xbb\xbf" + WRONG.encode()
    assert (dry.code, '+      up{job="api"} == 0  # kept' in dry.out) == (1, True)
    done = mainstay(tmp_path, "monitoring", "lint", "rules.yaml", "--fix")
    assert done.code == 0
    assert file.read_text("utf-8-sig") == WRONG.replace('=~"^api$"', '="api"').replace("bool 0", "0")
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".rules")] == []


def test_a_file_that_cannot_be_written_is_left_whole_and_named(tmp_path: Path):
    packed = tmp_path / "rules.yaml.gz"
    packed.write_bytes(gzip.compress(WRONG.encode()))
    answer = mainstay(tmp_path, "monitoring", "lint", "rules.yaml.gz", "--fix")
    assert (answer.code, "rules.yaml.gz cannot be mended" in answer.err) == (2, True)
    assert gzip.decompress(packed.read_bytes()).decode() == WRONG


def test_a_folder_is_read_whole_and_what_is_no_rules_is_left_alone(tmp_path: Path):
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/deep/a.yaml").write_text(CLEAN)
    (tmp_path / "in/b.rules.yml.gz").write_bytes(gzip.compress(CLEAN.replace("ApiDown", "B").encode()))
    (tmp_path / "in/compose.yaml").write_text("services: {a: {image: b}}\n")
    (tmp_path / "in/page.prom").write_text("# HELP a A.\n# TYPE a gauge\na 1\n")
    (tmp_path / "in/.hidden.yaml").write_text("groups: 1\n")
    answer = mainstay(tmp_path, "monitoring", "lint", "in")
    assert answer.out.splitlines()[0] == "2 rule files: 2 rules, 2 of them alerts · 1 metric page: 1 sample"


def test_standard_input_is_read(tmp_path: Path):
    answer = mainstay(tmp_path, "monitoring", "lint", "-", "--json", stdin=WRONG.encode())
    assert answer.json["findings"][0]["file"] == "standard input"


@contextmanager
def _served(status: int, body: bytes) -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_live_page_is_read_from_its_address(tmp_path: Path):
    with _served(200, b"# TYPE jobs_total gauge\njobs_total 3\n") as address:
        answer = mainstay(tmp_path, "monitoring", "lint", address)
    assert "1 metric page: 1 sample" in answer.out
    assert f"{address}:1:8: warning: jobs_total: non-counter metrics" in answer.out


def test_an_address_that_fails_is_said_with_its_way_out(tmp_path: Path):
    with _served(404, b"") as address:
        answer = mainstay(tmp_path, "monitoring", "lint", address)
    assert (answer.code, "answered 404" in answer.err) == (2, True)
    gone = mainstay(tmp_path, "monitoring", "lint", address)
    assert (gone.code, "nothing answers at" in gone.err) == (2, True)


def test_types_and_buckets_of_a_page_are_held_against_rules_beside_it(tmp_path: Path):
    (tmp_path / "page.prom").write_text(
        "# HELP q Q.\n# TYPE q gauge\nq 1\n# HELP w_seconds W.\n# TYPE w_seconds histogram\n"
        'w_seconds_bucket{le="0.1"} 1\nw_seconds_bucket{le="+Inf"} 1\nw_seconds_sum 1\nw_seconds_count 1\n')
    (tmp_path / "rules.yaml").write_text(of_alert('rate(q[5m]) > 1 or rate(w_seconds_bucket{le="0.25"}[5m]) > 1'))
    found = mainstay(tmp_path, "monitoring", "lint", "rules.yaml", "page.prom", "--json").json["by_code"]
    assert {"rate-of-gauge", "no-such-bucket"} <= set(found)


def test_scrape_and_retention_are_held_against_ranges(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text(of_alert("rate(x_total[1m]) > 1 or sum_over_time(a:b[30d]) > 1"))

    def found(*flags: str) -> list[tuple[str, str]]:
        answer = mainstay(tmp_path, "monitoring", "lint", "rules.yaml", "--json", *flags).json["findings"]
        return [(one["code"], one["severity"]) for one in answer if one["code"].startswith(("range", "beyond"))]

    assert found() == []
    assert found("--scrape", "30s") == [("range-too-short", "warning")]
    assert found("--scrape", "1m", "--retention", "15d") == [
        ("range-too-short", "error"), ("beyond-retention", "warning")]


def test_a_catalogs_thresholds_are_held_against_the_page(tmp_path: Path):
    (tmp_path / "slos").mkdir()
    (tmp_path / "slos/slo.yaml").write_text("""apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus, connectionDetails: {url: "http://127.0.0.1:9090"}}
---
apiVersion: mainstay/v1
kind: Objective
metadata: {name: fast, service: api}
spec:
  indicator: {type: latency, source: prom, threshold: 300ms, histogram: 'w_seconds{job="api"}'}
  target: 99
  window: 30d
""")
    (tmp_path / "page.prom").write_text(
        '# HELP w_seconds W.\n# TYPE w_seconds histogram\nw_seconds_bucket{le="0.1"} 1\nw_seconds_bucket{le="+Inf"} 1\n'
        "w_seconds_sum 1\nw_seconds_count 1\n")
    found = mainstay(tmp_path, "monitoring", "lint", "page.prom", "-c", "slos", "--json").json["findings"]
    assert [(one["code"], '"fast"' in one["message"]) for one in found] == [("bucket-misses-objective", True)]
    assert mainstay(tmp_path, "monitoring", "lint", "page.prom", "--json").json["findings"] == []


def test_github_and_sarif_are_what_their_readers_want(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text(WRONG)
    github = mainstay(tmp_path, "monitoring", "lint", "rules.yaml", "--format", "github")
    assert "::error file=rules.yaml,line=6,col=24,title=bool-in-alert::with bool the comparison" in github.out
    sarif = json.loads(mainstay(tmp_path, "monitoring", "lint", "rules.yaml", "--format", "sarif").out)
    run = sarif["runs"][0]
    assert (sarif["version"], run["tool"]["driver"]["name"]) == ("2.1.0", "mainstay monitoring lint")
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"][0]["physicalLocation"]["region"]["startLine"] >= 1


@pytest.mark.parametrize(("name", "content", "says"), [
    ("a.yaml", "a: [1", "this is not YAML"), ("a.yaml", "a: 1\n", "neither a rule file"),
    ("a.yaml", "groups:\n- name: [", "this is not YAML")])
def test_what_cannot_be_read_is_a_finding_at_its_place(tmp_path: Path, name: str, content: str, says: str):
    (tmp_path / name).write_text(content)
    answer = mainstay(tmp_path, "monitoring", "lint", name)
    assert (answer.code, says in answer.out) == (2, True)


@pytest.mark.parametrize(("words", "says"), [
    ((), "requires an argument"), (("none.yaml",), "there is no file or folder"), (("x.bin",), "not UTF-8"),
    (("cut.gz",), "packed and"), (("empty",), "holds rules or metrics"), (("a.yaml", "--dry-run"), "add --fix")])
def test_what_cannot_be_used_ends_the_run_with_its_way_out(tmp_path: Path, words: tuple[str, ...], says: str):
    (tmp_path / "x.bin").write_bytes(b"\xff\xfe")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(CLEAN.encode() * 99)[:60])
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.yaml").write_text(CLEAN)
    answer = mainstay(tmp_path, "monitoring", "lint", *words)
    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err


def test_help_loads_no_parser(tmp_path: Path):
    answer = mainstay(tmp_path, "monitoring", "lint", "--help", PYTHONPROFILEIMPORTTIME="1")
    assert answer.code == 0
    assert "promql_parser" not in answer.err
