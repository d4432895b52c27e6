"""Experiments of the Chaos Toolkit: its rules, its journal, what is missing is said, stopping is in good order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from command import PATIENCE, command_line, environment, mainstay

PROBE = {"type": "probe", "name": "file is there", "tolerance": 0,
         "provider": {"type": "process", "path": "test", "arguments": ["-e", "file"]}}


def _program(name: str, *words: str, **more: Any) -> dict[str, Any]:
    return {"type": "action", "name": name,
            "provider": {"type": "process", "path": words[0], "arguments": list(words[1:])}, **more}


def _written(folder: Path, **parts: Any) -> str:
    whole = {"version": "1.0.0", "title": "t", "description": "d",
             "steady-state-hypothesis": {"title": "s", "probes": [PROBE]}, "method": [], "rollbacks": [], **parts}
    (folder / "file").write_text("")
    kept = {key: value for key, value in whole.items() if value is not None}
    (folder / "experiment.json").write_text(json.dumps(kept))
    return "experiment.json"


def _journal(folder: Path, *options: str, code: int = 0, **parts: Any) -> dict[str, Any]:
    answer = mainstay(folder, "chaos", "run", _written(folder, **parts), "--json", *options)
    assert answer.code == code, answer.err or answer.out
    return json.loads(answer.out)


def test_what_keeps_a_run_from_starting_is_said_at_its_line(tmp_path: Path):
    file = tmp_path / _written(tmp_path, method=[_program("gone", "no-such-program")])
    file.write_text(json.dumps(json.loads(file.read_text()), indent=2))
    answer = mainstay(tmp_path, "chaos", "run", "experiment.json")
    line = file.read_text().splitlines().index("  \"method\": [") + 2
    assert (answer.code, f"experiment.json:{line}:5: error: gone: there is no program" in answer.err) == (2, True)


def test_the_journal_has_the_chaos_toolkits_shape(tmp_path: Path):
    journal = _journal(tmp_path, method=[_program("hello", "echo", "hi")], rollbacks=[_program("back", "true")])
    assert set(journal) >= {"chaoslib-version", "platform", "node", "experiment", "start", "status", "deviated",
                            "steady_states", "run", "rollbacks", "end", "duration"}
    assert (journal["status"], journal["deviated"]) == ("completed", False)
    assert journal["steady_states"]["before"]["steady_state_met"] is True
    assert journal["steady_states"]["during"] == []
    (hello,) = journal["run"]
    assert hello["output"] == {"status": 0, "stdout": "hi\n", "stderr": ""}
    assert set(hello) == {"activity", "output", "start", "status", "end", "duration"}
    assert journal["rollbacks"][0]["status"] == "succeeded"


def test_strategies_that_the_experiment_itself_declares_are_kept_unless_somebody_says_otherwise(tmp_path: Path):
    says = {"runtime": {"hypothesis": {"strategy": "before-method-only"}, "rollbacks": {"strategy": "never"}},
            "method": [_program("take away", "rm", "file")], "rollbacks": [_program("put back", "touch", "file")]}
    journal = _journal(tmp_path, **says)
    assert (journal["steady_states"]["after"], journal["rollbacks"], journal["deviated"]) == (None, [], False)
    told = _journal(tmp_path, "--hypothesis", "default", "--rollbacks", "safe", code=1, **says)
    assert (told["deviated"], len(told["rollbacks"])) == (True, 1)


def test_a_strategy_that_nobody_knows_is_told_with_its_line(tmp_path: Path):
    file = _written(tmp_path, runtime={"rollbacks": {"strategy": "alwys"}})
    answer = mainstay(tmp_path, "chaos", "check", file)
    assert (answer.code, 'did you mean "always"' in answer.out) == (1, True), answer.out
    assert mainstay(tmp_path, "chaos", "run", file).code == 2


def test_a_steady_state_that_is_gone_afterwards_deviates_and_is_rolled_back(tmp_path: Path):
    journal = _journal(tmp_path, code=1, method=[_program("take away", "rm", "file")],
                       rollbacks=[_program("put back", "touch", "file")])
    assert (journal["status"], journal["deviated"]) == ("completed", True)
    assert (tmp_path / "file").exists()


def test_a_steady_state_that_is_not_there_before_ends_it_before_the_method(tmp_path: Path):
    probe = {**PROBE, "tolerance": 1}
    journal = _journal(tmp_path, code=3, **{"steady-state-hypothesis": {"title": "s", "probes": [probe, PROBE]}},
                       method=[_program("never", "touch", "never")])
    assert (journal["status"], journal["run"]) == ("completed", [])
    assert len(journal["steady_states"]["before"]["probes"]) == 1, "the first that is not met ends it"
    assert not (tmp_path / "never").exists()


def test_configuration_wins_over_secrets_and_a_whole_value_keeps_its_type(tmp_path: Path):
    journal = _journal(
        tmp_path, configuration={"name": "config", "pause": 0.01,
                                 "from": {"type": "env", "key": "X_UNSET", "default": "d"}},
        secrets={"group": {"name": "secret", "token": "t0"}},
        method=[_program("say", "echo", "${name} ${token} ${from} $${kept} ${unknown}", pauses={"before": "${pause}"})])
    assert journal["run"][0]["output"]["stdout"] == "config t0 d ${kept} ${unknown}\n"


def test_a_configuration_can_come_from_a_probe(tmp_path: Path):
    found = {**_program("ask", "echo", "42"), "type": "probe"}
    journal = _journal(tmp_path, configuration={"answer": found}, method=[_program("say", "echo", "${answer}")])
    assert journal["run"][0]["output"]["stdout"] == "42\n"


def test_background_activities_do_not_hold_up_the_method(tmp_path: Path):
    # The first ends only when the second has begun, so held up by it, the second never would.
    slow = _program("slow", "sh", "-c", "until [ -e begun ]; do sleep 0.02; done", background=True)
    journal = _journal(tmp_path, method=[slow, _program("quick", "touch", "begun")])
    assert [(one["activity"]["name"], one["status"], one["output"]["status"]) for one in journal["run"]] == [
        ("slow", "succeeded", 0), ("quick", "succeeded", 0)]


def test_a_reference_is_the_activity_that_it_names(tmp_path: Path):
    journal = _journal(tmp_path, method=[{"ref": "file is there"}])
    assert journal["run"][0]["activity"]["name"] == "file is there"


def test_a_dry_run_does_nothing(tmp_path: Path):
    journal = _journal(tmp_path, "--dry-run", method=[_program("act", "touch", "acted", pauses={"after": 60})])
    assert journal["run"][0]["status"] == "succeeded"
    assert not (tmp_path / "acted").exists()


def test_the_steady_state_can_be_looked_at_during_the_method(tmp_path: Path):
    looks = {**PROBE, "provider": {"type": "process", "path": "sh", "arguments": [
        "-c", "test -e file || { touch missed; exit 1; }"]}}
    wait = _program("wait until it is looked at", "sh", "-c", "until [ -e missed ]; do sleep 0.02; done")
    journal = _journal(tmp_path, "--hypothesis", "continuously", code=1, method=[
        _program("take away", "rm", "file"), wait, _program("put back", "touch", "file")],
        **{"steady-state-hypothesis": {"title": "s", "probes": [looks]}})
    assert journal["steady_states"]["during"]
    assert journal["steady_states"]["after"]["steady_state_met"] is True


def _by(kind: str, **provider: str) -> dict[str, Any]:
    return {"method": [{"type": "action", "name": "a", "provider": {"type": kind, **provider}}]}


@pytest.mark.parametrize(("parts", "said"), [
    (_by("python", module="chaosk8s.pod", func="f"), "pip install chaostoolkit-kubernetes"),
    (_by("process", path="no-such-program"), 'there is no program "no-such-program" here'),
    ({"configuration": {"a": {"type": "env", "key": "X_UNSET"}}}, "the environment variable X_UNSET is not set"),
    ({"secrets": {"g": {"a": {"type": "env", "key": "X_UNSET"}}}}, "the environment variable X_UNSET is not set"),
    ({"secrets": {"g": {"a": {"type": "vault", "key": "x"}}}}, "is in Vault"),
    (_by("process", path="sort", arguments="a | b"), "no shell is started"),
    ({"method": None}, "method is missing"), ({"method": [{"ref": "nobody"}]}, 'no activity is named "nobody"'),
    ({"method": [{"type": "act", "name": "a", "provider": {"type": "http", "url": "x"}}]}, "write probe or action"),
    (_by("ssh"), "write one of: python, http, process"),
    ({"method": [{"type": "action", "name": "a", "pauses": {"after": "long"},
                  "provider": {"type": "http", "url": "x"}}]}, "must be a number of seconds"),
])
def test_what_is_wrong_or_missing_is_said_and_nothing_runs(tmp_path: Path, parts: dict[str, Any], said: str):
    answer = mainstay(tmp_path, "chaos", "run", _written(tmp_path, **parts))
    assert answer.code == 2
    assert said in answer.err
    assert mainstay(tmp_path, "chaos", "check", "experiment.json").code == 1


def test_functions_of_drivers_are_called_only_when_that_is_allowed(tmp_path: Path):
    (tmp_path / "driver.py").write_text("def double(value, configuration):\n    return value * configuration['by']\n")
    call = {"type": "action", "name": "double", "provider": {
        "type": "python", "module": "driver", "func": "double", "arguments": {"value": 21}}}
    file = _written(tmp_path, method=[call], configuration={"by": 2})
    refused = mainstay(tmp_path, "chaos", "run", file, PYTHONPATH=str(tmp_path))
    assert (refused.code, "allow that with --allow-python" in refused.err) == (2, True)
    allowed = mainstay(tmp_path, "chaos", "run", file, "--allow-python", "--json", PYTHONPATH=str(tmp_path))
    assert json.loads(allowed.out)["run"][0]["output"] == 42


def test_a_controls_entry_is_a_warning(tmp_path: Path):
    file = _written(tmp_path, controls=[{"name": "tracing", "provider": {"type": "python", "module": "x"}}])
    answer = mainstay(tmp_path, "chaos", "check", file, "--json")
    (one,) = answer.json["files"]
    assert [finding["code"] for finding in one["findings"]] == ["controls-not-played"]
    assert answer.code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interruption_ends_programs_and_plays_the_rollbacks(tmp_path: Path, number: signal.Signals):
    # Nobody else on this machine sleeps for so long.
    long = f"{300 + number}.{os.getpid()}"
    file = _written(tmp_path, method=[_program("mark", "touch", "begun"), _program("wait", "sleep", long),
                                      _program("never", "touch", "never")],
                    rollbacks=[_program("back", "touch", "back")])
    process = subprocess.Popen(command_line("chaos", "run", file, "--json"), cwd=tmp_path, env=environment(tmp_path),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    give_up = time.monotonic() + PATIENCE
    while not _running(long):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    process.send_signal(number)
    out, problem = process.communicate(timeout=PATIENCE)
    journal = json.loads(out)
    assert (process.returncode, journal["status"]) == (1, "interrupted"), problem
    assert [one["status"] for one in journal["run"]] == ["succeeded", "aborted"]
    assert (tmp_path / "back").exists()
    assert not (tmp_path / "never").exists()
    assert (tmp_path / "begun").exists()
    assert not _running(long)


def _running(word: str) -> bool:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if word.encode() in Path("/proc", pid, "cmdline").read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


def test_it_is_in_the_record_and_the_kill_switch_holds_it_too(tmp_path: Path):
    file = _written(tmp_path, method=[])
    assert mainstay(tmp_path, "chaos", "run", file).code == 0
    (run,) = mainstay(tmp_path, "chaos", "status", "--json").json["runs"]
    assert (run["experiment"], run["status"]) == ("experiment.json", "passed")
    mainstay(tmp_path, "chaos", "abort", "--all")
    assert "has stopped all experiments" in mainstay(tmp_path, "chaos", "run", file).err


# -- ours to theirs ----------------------------------------------------------------------------------------------------

OURS = """
apiVersion: mainstay/v1
kind: Workload
metadata: {name: api}
spec: {address: "127.0.0.1:1", health: /healthz, experiments: true}
---
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: busy}
spec:
  target: api
  hypothesis:
    title: the page answers
    probes:
      - {name: page, type: http, url: "http://127.0.0.1:1/", tolerance: 200}
      - {name: words, type: process, command: [echo, hi], tolerance: {type: regex, pattern: hi, target: stdout}}
      - {name: port, type: tcp, address: "127.0.0.1:1"}
  faults: [{kind: cpu-stress}]
"""


def test_an_export_is_an_experiment_that_is_read_back_without_a_mistake(tmp_path: Path):
    (tmp_path / "catalog.yaml").write_text(OURS)
    answer = mainstay(tmp_path, "chaos", "export", "busy", "-c", str(tmp_path), "-o", "busy.json", "--json")
    assert answer.json["notes"] == ["the probe port has no form there; mainstay chaos run asks it all the same"]
    document = json.loads((tmp_path / "busy.json").read_text())
    assert [probe["name"] for probe in document["steady-state-hypothesis"]["probes"]] == ["page", "words"]
    assert document["method"][0]["provider"]["arguments"][:3] == ["chaos", "run", "busy"]
    (one,) = mainstay(tmp_path, "chaos", "import", "busy.json", "--json").json["experiments"]
    assert {finding["code"] for finding in one["findings"]} <= {"cannot-be-asked"}, "mainstay may not be on the path"


def test_a_file_of_theirs_goes_through_unchanged(tmp_path: Path):
    file = _written(tmp_path, method=[_program("hello", "echo", "hi")])
    answer = mainstay(tmp_path, "chaos", "export", file, "--json")
    assert json.loads(answer.json["text"]) == json.loads((tmp_path / file).read_text())
