"""The calculator as its users run it, on a bare Python (`-I -S`: no site packages, no environment)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "calculate_slo_budget.py"


def run(*arguments: str, code: int = 0, python: tuple[str, ...] = ("-I", "-S")) -> str:
    """What it printed, on stdout when it answered and on stderr when it refused."""
    done = subprocess.run([sys.executable, *python, str(SCRIPT), *arguments], capture_output=True, text=True,
                          check=False, encoding="utf-8")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code:
        assert done.stdout == ""
        return done.stderr
    assert done.stderr == ""
    return done.stdout


def answer(*arguments: str) -> dict[str, Any]:
    found = json.loads(run(*arguments, "--json"), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert "consumption_percent" in found
    return found


def config(tmp_path: Path, entries: object) -> str:
    path = tmp_path / "slo-config.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return str(path)


# -- the five examples of the resource pack


def test_a_basic_budget_has_its_downtime_and_its_alerts() -> None:
    text = run("--slo", "99.9", "--window", "30")
    assert "43 m 12 s of downtime in 30 days" in text
    assert "14.4x  in 1 h and 5 m: 1.44 % bad, 2 % of the budget gone; needs 70 requests" in text
    assert "40 m 19 s to 44 m 38 s" in text
    assert answer("--slo", "99.9", "--window", "30")["consumption_percent"] is None


def test_99_85_against_99_95_has_spent_exactly_300_percent() -> None:
    found = answer("--slo", "99.95", "--window", "30", "--current-availability", "99.85")
    assert (found["consumption_percent"], found["remaining_percent"], found["status"]) == (300.0, -200.0, "violated")
    assert found["budget_percent"] == 0.05
    assert found["budget_seconds"] == 1296


def test_15_percent_in_half_of_the_window_burns_at_0_3() -> None:
    found = answer("--calculate-burn-rate", "--current-consumption", "0.15", "--elapsed-hours", "360",
                   "--window-hours", "720")
    assert (found["burn_rate"], found["consumption_percent"]) == (pytest.approx(0.3), 15.0)


def test_35_percent_in_half_of_the_window_is_not_exhausted_before_it_ends() -> None:
    flags = ("--predict-exhaustion", "--consumption", "0.35", "--elapsed-hours", "360", "--window-hours", "720")
    assert "not exhausted before the window ends, at 70 % then" in run(*flags)
    found = answer(*flags)
    assert (found["verdict"], found["hours_left"]) == ("not_before_end", None)
    assert (found["consumption_percent"], found["consumption_percent_at_end"]) == (35.0, 70.0)


def test_a_config_gives_the_worst_budget_and_the_weighted_composite(tmp_path: Path) -> None:
    found = answer("--config", config(tmp_path, {"slos": [
        {"name": "availability", "slo": 99.9, "window": 30, "current_availability": 99.95, "weight": 0.6},
        {"name": "latency", "slo": 99.5, "window": "30d", "weight": 0.4,
         "latency": {"threshold": "300ms", "total": 1_000_000, "slow": 2000}},
        {"name": "unmeasured", "slo": 99},
    ]}))
    assert found["consumption_percent"] == 50.0
    assert found["composite_consumption_percent"] == pytest.approx(46.0)
    assert [slo["status"] for slo in found["slos"]] == ["healthy", "healthy", "no_data"]


def test_a_config_counts_requests(tmp_path: Path) -> None:
    path = config(tmp_path, {"slo": 99.9, "total_requests": 9999, "failed_requests": 3})
    assert answer("--config", path)["consumption_percent"] == pytest.approx(30.003, abs=1e-3)
    assert "3 of 9,999 failed; 9.999 may" in run("--config", path)


def test_the_list_of_seed_003_is_read_and_its_latency_in_milliseconds_refused_by_name(tmp_path: Path) -> None:
    available = {"name": "api_availability", "target": 99.9, "window": "30d", "current_availability": 99.95}
    assert answer("--config", config(tmp_path, {"slos": [available]}))["consumption_percent"] == 50.0
    slow = {"name": "api_latency", "target": 500, "window": "30d"}
    assert "api_latency: target 500" in run("--config", config(tmp_path, {"slos": [available, slow]}), code=2)


def test_the_slo_v1_document_of_seed_002_is_read(tmp_path: Path) -> None:
    found = answer("--config", config(tmp_path, {
        "apiVersion": "slo/v1", "kind": "ServiceLevelObjective", "metadata": {"name": "api-latency-slo"},
        "spec": {"objective": 99.9, "window": "30d", "sli": {"type": "latency", "threshold": "300ms"}}}))
    assert (found["slos"][0]["name"], found["slos"][0]["slo"]) == ("api-latency-slo", 99.9)


def test_no_requests_are_no_data_and_never_100_percent(tmp_path: Path) -> None:
    found = answer("--config", config(tmp_path, [{"slo": 99.9, "total_requests": 0, "failed_requests": 0}]))
    assert found["consumption_percent"] is None
    assert found["slos"][0]["status"] == "no_data"


# -- YAML


def test_a_yaml_config_without_pyyaml_names_the_line_that_installs_it(tmp_path: Path) -> None:
    path = tmp_path / "slo-config.yaml"
    path.write_text("slos: [{slo: 99.9}]", encoding="utf-8")
    assert "pip install pyyaml" in run("--config", str(path), code=2)


def test_a_yaml_config_is_read_where_pyyaml_is_installed(tmp_path: Path) -> None:
    path = tmp_path / "slo-config.yaml"
    path.write_text("slos:\n  - slo: 99.9\n    current_availability: 99.95\n", encoding="utf-8")
    assert json.loads(run("--config", str(path), "--json", python=()))["consumption_percent"] == 50.0


def test_broken_yaml_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "slo-config.yaml"
    path.write_text("slos: [", encoding="utf-8")
    assert "line 1" in run("--config", str(path), code=2, python=())


# -- 100 %, mistakes, help


def test_100_percent_is_legal_and_says_that_there_is_no_budget() -> None:
    assert "100 % leaves nothing to spend" in run("--slo", "100")
    assert answer("--slo", "100", "--current-availability", "100")["consumption_percent"] == 0
    missed = answer("--slo", "100", "--current-availability", "99.9")
    assert (missed["consumption_percent"], missed["status"]) == (1e9, "violated")


@pytest.mark.parametrize(("arguments", "said"), [
    (("--slo", "0"), "target 0"),
    (("--slo", "120"), "target 120"),
    (("--slo", "abc"), 'target "abc" is not a number'),
    (("--slo", "99.9", "--window", "0"), "window 0"),
    (("--slo", "99.9", "--window", "nan"), '"nan" is not a duration'),
    (("--slo", "99.9", "--current-availability", "101"), "current availability 101"),
    (("--predict-exhaustion", "--consumption", "0.35"), "--elapsed-hours and --window-hours missing"),
    (("--predict-exhaustion", "--consumption", "-1", "--elapsed-hours", "1", "--window-hours", "2"),
     "--consumption -1"),
    (("--calculate-burn-rate", "--current-consumption", "0.1", "--elapsed-hours", "9", "--window-hours", "3"),
     "do not lie inside"),
    (("--slo", "99", "--config", "x"), "one question at a time"),
    ((), "nothing was asked"),
    (("--sla", "99"), "--sla"),
    (("--config", "/nonexistent/slo.json"), "cannot be read"),
])
def test_what_cannot_be_used_is_named_and_ends_with_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    assert said in run(*arguments, code=2)


@pytest.mark.parametrize(("entries", "said"), [
    ([], "no objectives"),
    ("text", "no objectives"),
    ([{"name": "api"}], "api: slo is missing"),
    ([{"slo": 99.9, "total_requests": 10}], "failed_requests is missing"),
    ([{"slo": 99.9, "total_requests": 10, "failed_requests": 11}], "is more than"),
    ([{"slo": 99.9, "current_availability": 99, "total_requests": 1}], "twice"),
    ([{"slo": 99.9, "latency": 300}], "latency is not a mapping"),
])
def test_a_config_that_cannot_be_used_says_where(tmp_path: Path, entries: object, said: str) -> None:
    assert said in run("--config", config(tmp_path, entries), code=2)


def test_help_has_examples_and_exit_codes() -> None:
    text = run("--help")
    assert "--slo 99.95 --window 30 --current-availability 99.85" in text
    assert "exit codes" in text


def test_a_config_that_is_not_there_is_said_in_words() -> None:
    assert "/nonexistent/slo.json cannot be read: no such file or directory\n" in run(
        "--config", "/nonexistent/slo.json", code=2)


def test_nothing_outside_the_standard_library_is_loaded() -> None:
    probe = ("import runpy, sys; sys.argv = ['x', '--slo', '99.9', '--json']\n"
             f"try: runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
             "except SystemExit: pass\n"
             "print({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names, file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    heavy = ("numpy", "yaml", "msgspec", "httpx", "sqlite3", "duckdb")
    assert [name for name in heavy if f"'{name}'" in done.stderr] == []
