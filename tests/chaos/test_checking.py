"""What is said of an experiment before it runs: mistakes at their places, and what is missing here."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.played import SLOW, WORKLOADS, Played, declared
from command import mainstay
from mainstay.chaos.hypothesis import can_hold, tolerance_of
from mainstay.kernel.errors import NotAllowed
from mainstay.kernel.finding import Position, errors_of

EXPERIMENT = """
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prometheus}
spec: {type: Prometheus, connectionDetails: {url: "http://127.0.0.1:9"}}
---
apiVersion: mainstay/v1
kind: Workload
metadata: {name: api}
spec: {process: {pid: 1}, experiments: true}
---
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: stands-still}
spec:
  target: api
  hypothesis: {probes: [PROBE]}
  faults: [{kind: FAULT}]
"""


def _checked(folder: Path, probe: str, fault: str = "process-pause", *options: str) -> tuple[int, list[str]]:
    text = EXPERIMENT.replace("PROBE", probe).replace("FAULT", fault)
    (folder / "experiment.yaml").write_text(text, encoding="utf-8")
    answer = mainstay(folder, "chaos", "check", "experiment.yaml", "--json", *options, KUBECONFIG="nothing")
    (file,) = answer.json["files"]
    lines = text.splitlines()
    return answer.code, [f"{one['code']} at {lines[one['line'] - 1][one['column'] - 1:].strip('} ]')}"
                         for one in file["findings"]]


@pytest.mark.parametrize(("probe", "missing"), [
    ("{name: it works, type: process, command: [no-such-program]}", "cannot-be-asked at it works"),
    ("{name: it is up, type: query, source: graphite, query: up, tolerance: 1}", "cannot-be-asked at it is up")])
def test_a_check_names_the_program_and_the_source_that_are_missing(tmp_path: Path, probe: str, missing: str):
    code, (said,) = _checked(tmp_path, probe)
    assert (code, said.startswith(missing)) == (1, True), said


def test_a_source_that_the_experiments_own_file_declares_is_there(tmp_path: Path):
    assert _checked(tmp_path, "{name: it is up, type: query, source: prometheus, query: up, tolerance: 1}") == (0, [])


def test_a_check_names_a_fault_that_this_host_cannot_put_in(tmp_path: Path):
    code, findings = _checked(tmp_path, "{name: it works, type: process, command: ['true']}", "pod-failure")
    assert (code, findings) == (1, ["cannot-be-put-in at pod-failure"])


def test_a_probe_that_calls_python_is_a_warning_until_it_is_allowed(tmp_path: Path):
    probe = "{name: where, type: python, module: os, function: getcwd, tolerance: /}"
    code, (said,) = _checked(tmp_path, probe)
    assert (code, said.partition(" ")[0]) == (0, "calls-python")
    assert _checked(tmp_path, probe, "process-pause", "--allow-python") == (0, [])


def test_a_file_of_several_experiments_is_checked_whole(tmp_path: Path):
    probe = "{name: it works, type: process, command: [no-such-program]}"
    second = EXPERIMENT.rpartition("---")[2].replace("stands-still", "another")
    text = (EXPERIMENT + "---" + second).replace("PROBE", probe).replace("FAULT", "process-pause")
    (tmp_path / "experiment.yaml").write_text(text, encoding="utf-8")
    answer = mainstay(tmp_path, "chaos", "check", "experiment.yaml", "--json")
    (file,) = answer.json["files"]
    assert (file["title"], [one["code"] for one in file["findings"]]) == (
        "stands-still, another", ["cannot-be-asked", "cannot-be-asked"])


def test_a_program_that_is_missing_is_refused_before_anything_is_asked(tmp_path: Path):
    _checked(tmp_path, "{name: it works, type: process, command: [no-such-program]}")
    answer = mainstay(tmp_path, "chaos", "run", "experiment.yaml")
    assert answer.code == 2
    assert 'it works cannot be asked here: there is no program "no-such-program" here' in answer.err
    assert mainstay(tmp_path, "chaos", "status", "--json").json["runs"] == []


def test_a_probe_that_cannot_be_asked_is_refused_in_a_plan_too():
    played = Played(SLOW.replace("type: health}", "type: query, source: x, query: up, tolerance: 1}"))
    with pytest.raises(NotAllowed, match="api answers cannot be asked here"):
        played.run()


# -- tolerances that no answer can meet -------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "tolerance"), [
    ("tcp", 200), ("tcp", "up"), ("tcp", [2, 3, 4]), ("http", "up"), ("health", True), ("process", "done"),
    ("http", 200.5), ("http", ["up", "down"]), ("query", "up"), ("query", [5, 1]), ("objective", 1),
    ("http", {"type": "range", "range": [200, 299]}),
    ("http", {"type": "range", "range": [299, 200], "target": "status"}),
    ("process", {"type": "regex", "pattern": "ok"}), ("query", {"type": "regex", "pattern": "1"}),
    ("http", {"type": "int", "criteria": ">=", "value": 3})])
def test_a_tolerance_that_no_answer_of_the_probe_can_meet_is_known_as_one(kind: str, tolerance: object):
    assert not can_hold(tolerance_of(tolerance), kind)


@pytest.mark.parametrize(("kind", "tolerance"), [
    ("tcp", True), ("tcp", False), ("tcp", 1), ("http", 200), ("http", [200, 299]), ("process", 0), ("query", 1.5),
    ("query", [0, 5]), ("query", True), ("python", "up"), ("python", {"type": "regex", "pattern": "x"}),
    ("http", {"type": "range", "range": [200, 299], "target": "status"}),
    ("http", {"type": "regex", "pattern": "ok", "target": "body"}),
    ("http", {"type": "jsonpath", "path": "$.status"}), ("query", {"type": "int", "criteria": ">=", "value": 3}),
    ("process", {"type": "string", "criteria": "contains", "value": "ok"}),
    ("objective", {"type": "range", "range": [0, 0.5], "target": "spent"})])
def test_a_tolerance_that_some_answer_can_meet_is_taken(kind: str, tolerance: object):
    assert can_hold(tolerance_of(tolerance), kind)


def _written_at(text: str, where: Position) -> str:
    return text.splitlines()[where.line - 1][where.column - 1:]


def test_a_tolerance_of_the_wrong_type_is_a_mistake_at_its_place():
    text = WORKLOADS + "---" + SLOW.replace("type: health}", "type: health, tolerance: up}")
    (found,) = errors_of(declared(text)[1])
    assert (found.code, _written_at(text, found.where)) == ("invalid-value", "up}]}")
    assert "it is heard as {status, headers, body, seconds}" in found.mend


def test_a_target_that_is_not_there_is_a_mistake_where_it_is_written():
    (found,) = errors_of(declared(SLOW)[1])
    assert (found.code, _written_at(SLOW, found.where)) == ("unknown-reference", "api")
