"""The examples hold what they say: they load, run and give the figures that stand in them."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

import command
from docs.markdown import blocks, session
from mainstay.app import grammar
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.finding import Finding
from mainstay.kernel.objective import Objective
from mainstay.slo.policy import REFERENCE, TEMPLATE, zone_of
from mainstay.slo.spec import ErrorBudgetPolicy
from programs import need
from scenarios.transcript import play

_EXAMPLES = Path(__file__).parents[2] / "examples"
_BIN = Path(sys.executable).parent


def loaded(name: str) -> tuple[Catalog, list[Finding]]:
    return load([_EXAMPLES / name], grammar())


@pytest.mark.parametrize("name", ["01-first-slo/catalog", "openslo", "shop/monitoring", "slo-definition.yaml",
                                  "slo-prometheus.yaml", "policy.yaml"])
def test_an_example_catalog_has_no_finding(name):
    catalog, findings = loaded(name)
    assert [one.render() for one in findings] == []
    assert catalog.resources


def test_the_log_of_the_first_example_can_be_made_again():
    made = runpy.run_path(str(_EXAMPLES / "01-first-slo" / "make_log.py"))["lines"]()
    assert (_EXAMPLES / "01-first-slo" / "access.log").read_text(encoding="utf-8") == "\n".join(made) + "\n"


def test_a_log_that_ended_before_the_window_says_so_and_how_to_look_back(tmp_path):
    shutil.copytree(_EXAMPLES / "01-first-slo", tmp_path, dirs_exist_ok=True)
    done = command.mainstay(tmp_path, "slo", "report", "-c", "catalog", "--as-of", "2026-11-21T09:50:00Z")
    said = " ".join(done.out.split())
    assert done.code == 3
    assert ("shop-log was read, and no event of it is between 14 Nov 2026 09:50 and 21 Nov 2026 09:50 UTC; "
            "--as-of looks from an earlier moment") in said
    assert "next: mainstay check --sources" in said


# -- the SLO document and the policies -------------------------------------------------------------------------------


def test_the_slo_document_counts_what_its_words_say(tmp_path):
    """20 requests: one 5xx and one 429 (left out), one slow, one wrong settlement; counted by hand below."""
    shutil.copy(_EXAMPLES / "slo-definition.yaml", tmp_path)
    (tmp_path / "logs").mkdir()
    rows = [{"time": f"2026-03-01T10:{minute:02d}:00Z", "status": 200, "duration_ms": 80, "caller": "web",
             "settled": "right"} for minute in range(20)]
    rows[3]["status"], rows[4]["status"], rows[5]["duration_ms"], rows[6]["settled"] = 503, 429, 900, "wrong"
    rows[7] |= {"duration_ms": 5000, "caller": "batch"}
    (tmp_path / "logs" / "payment-api.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    printed = mainstay(tmp_path, "slo", "report", "-c", "slo-definition.yaml", "--as-of", "2026-03-01T10:30:00Z",
                       "--json")
    seen = {one["name"]: (one["total"], one["total"] - one["good"]) for one in json.loads(printed.stdout)["objectives"]}
    assert seen == {"payment-api-api-availability": (19, 1), "payment-api-api-latency-p95": (19, 1),
                    "payment-api-settlement-correctness": (20, 1), "payment-api-windows": (19, 1)}


def test_the_policy_of_the_slo_document_has_the_edges_of_the_template():
    policy = loaded("slo-definition.yaml")[0].get(ErrorBudgetPolicy, "payment-api-policy").policy
    assert [zone.edge for zone in policy.zones] == [zone.edge for zone in TEMPLATE.zones]


def test_the_policy_for_people_is_the_preset_reference(tmp_path):
    text = (_EXAMPLES / "error-budget-policy.md").read_text(encoding="utf-8")
    (shown,) = blocks(text, "yaml")
    path = tmp_path / "policy.yaml"
    path.write_text(shown.text, encoding="utf-8")
    policy = load([path], grammar())[0].get(ErrorBudgetPolicy, "four-zones").policy
    assert policy.zones == REFERENCE.zones
    assert all(f"| {zone.name} |" in text for zone in policy.zones)


@pytest.mark.parametrize(("spent", "zone"), [(0.49, "healthy"), (0.5, "watch"), (0.75, "slow down"), (1.0, "stop")])
def test_the_zones_of_the_policy_begin_at_their_edges(spent, zone):
    policy = loaded("policy.yaml")[0].get(ErrorBudgetPolicy, "payments").policy
    assert zone_of(policy, spent).name == zone


def test_openslo_says_in_annotations_what_it_has_no_field_for():
    objective = loaded("openslo")[0].get(Objective, "checkout-availability")
    assert (objective.owner, objective.policy, [one.service for one in objective.dependencies]) == \
        ("team-checkout", "template", ["payments", "catalogue"])


# -- gates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "code"), [("75", 0), ("59", 1)])
def test_the_budget_check_for_ci_ends_as_the_budget_says(most, code):
    need("jq")
    ended = subprocess.run([_EXAMPLES / "ci-budget-check.sh", _EXAMPLES / "slo-config.yaml", most], text=True,
                           capture_output=True, check=False, env={"PATH": f"{_BIN}:/usr/bin:/bin"})
    assert ended.returncode == code, ended.stderr
    assert "60 %" in ended.stdout + ended.stderr  # 300 of 1,000,000 at 99.95 %: 0.0003 / 0.0005


def test_every_action_of_the_workflow_is_pinned_to_a_commit():
    used = [step["uses"] for step in workflow()["jobs"]["gate"]["steps"] if "uses" in step]
    assert used
    assert all(len(action.partition("@")[2]) == 40 for action in used)


def test_the_workflow_installs_what_is_locked():
    (install,) = [step["run"] for step in workflow()["jobs"]["gate"]["steps"] if step.get("name") == "Install Mainstay"]
    assert "--require-hashes -r .mainstay-source/requirements.lock" in install
    assert (_EXAMPLES.parent / "requirements.lock").exists()


@pytest.mark.parametrize(("failed", "code", "said"), [
    (0, 0, "The gate is open."),
    (2, 1, "::error title=SLO gate::api: frozen"),
    (None, 0, "::warning title=SLO gate::api: no data"),
])
def test_the_workflow_stops_a_change_when_the_gate_is_closed_and_warns_without_data(tmp_path, failed, code, said):
    need("jq")
    now = datetime.now(UTC)
    (tmp_path / "slos").mkdir()
    (tmp_path / "slos" / "api.yaml").write_text(
        "apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: log}\n"
        "spec: {type: events, connectionDetails: {paths: [../api.csv]}}\n---\n"
        "apiVersion: mainstay/v1\nkind: Objective\nmetadata: {name: api}\n"
        "spec: {indicator: {type: availability, source: log}, target: 90, window: 1d}\n", encoding="utf-8")
    age = timedelta(days=9 if failed is None else 0, minutes=30)
    (tmp_path / "api.csv").write_text("time,status\n" + "".join(
        f"{now - age:%Y-%m-%dT%H:%M:%SZ},{500 if row < (failed or 0) else 200}\n" for row in range(10)),
        encoding="utf-8")
    job = workflow()["jobs"]["gate"]
    ours = ("Check the catalog", "Ask the gate")
    script = "\n".join(step["run"] for step in job["steps"] if step.get("name") in ours)
    summary = tmp_path / "summary.md"
    environ = {"PATH": f"{_BIN}:/usr/bin:/bin", "HOME": str(tmp_path), "GITHUB_STEP_SUMMARY": str(summary),
               "MAINSTAY_CATALOG": job["env"]["MAINSTAY_CATALOG"],
               "MAINSTAY_STORE_SECRET": f"sqlite:///{tmp_path}/store.db"}
    ended = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, text=True, capture_output=True, check=False,
                           env=environ)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert said in ended.stdout
    assert "| api |" in summary.read_text(encoding="utf-8")


def workflow() -> dict:
    return yaml.safe_load((_EXAMPLES / "github" / "slo-gate.yml").read_text(encoding="utf-8"))


def mainstay(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([_BIN / "mainstay", *arguments, "--store", f"sqlite:///{folder}/store.db"], cwd=folder,
                          text=True, capture_output=True, check=True)


def test_every_command_of_the_on_call_runbook_works(tmp_path: Path):
    text = (_EXAMPLES / "on-call-runbook.md").read_text(encoding="utf-8")
    shutil.copytree(_EXAMPLES / "on-call-runbook", tmp_path, dirs_exist_ok=True)
    shown = session(text)
    failed = [(step.command, step.output) for step in play(shown, tmp_path, tmp_path) if step.exit_code]
    assert failed == []
    verbs = {step.command.split()[2] for step in shown.steps if step.command.startswith("mainstay incident")}
    assert {"open", "list", "show", "ack", "diagnose", "note", "role", "status", "update", "resolve"} <= verbs
