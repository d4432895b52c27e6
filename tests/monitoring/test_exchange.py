"""`monitoring import` and `monitoring export` as people run them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import command
from mainstay.monitoring.exchange import FORMATS
from mainstay.monitoring.exchange.promql import same_promql
from programs import need

EXAMPLE = Path(__file__).parents[2] / "examples" / "04-switch-from-sloth"
PYRRA = """apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata: {name: NAME}
spec:
  target: "99"
  window: 4w
  indicator: {ratio: {errors: {metric: 'a{code="5"}'}, total: {metric: a}}}
"""


@pytest.fixture
def switched(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLE / "sloth", tmp_path / "sloth")
    done = command.mainstay(tmp_path, "monitoring", "import", "sloth/shop.yaml", "sloth/search.yaml", "--prometheus",
                            "http://localhost:9090", "-o", "mainstay", "--json")
    assert [one["what"] for one in done.json["losses"]] == ["metadata.namespace"]
    return tmp_path


def test_every_format_has_a_name_of_its_own_and_a_way():
    names = [one.name for one in FORMATS]
    assert len(set(names)) == len(names)
    assert all(one.read or one.write for one in FORMATS)


def test_what_is_imported_is_a_catalog_without_a_mistake(switched):
    assert command.mainstay(switched, "check").code == 0


def test_the_rules_of_the_example_are_sloths(switched):
    assert command.mainstay(switched, "monitoring", "rules", "--style", "sloth", "-o", "rules").code == 0
    written = {path.name: yaml.safe_load(path.read_text(encoding="utf-8"))
               for path in sorted((switched / "rules").glob("*.yaml"))}
    assert sorted(written) == ["search.yaml", "shop.yaml"]
    rules = [rule for group in written["shop.yaml"]["groups"] for rule in group["rules"]]
    assert len(rules) == 17 + 16  # the second one pages nobody
    (five,) = [rule for rule in rules if rule.get("record") == "slo:sli_error:ratio_rate5m"
               and rule["labels"]["sloth_id"] == "shop-checkout-availability"]
    assert same_promql(five["expr"], """
        (sum(rate(http_requests_total{job="shop",route="/checkout",code=~"5.."}[5m])))
        / (sum(rate(http_requests_total{job="shop",route="/checkout"}[5m])))""")
    assert five["labels"] == {"owner": "web", "sloth_id": "shop-checkout-availability", "sloth_service": "shop",
                              "sloth_slo": "checkout-availability", "sloth_window": "5m"}
    promtool = need("promtool")
    done = subprocess.run([promtool, "check", "rules", *map(str, sorted((switched / "rules").iterdir()))],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_example_comes_back(switched):
    assert command.mainstay(switched, "monitoring", "export", "--to", "sloth", "-o", "back").code == 0
    before = yaml.safe_load((EXAMPLE / "sloth" / "shop.yaml").read_text(encoding="utf-8"))
    after = yaml.safe_load((switched / "back" / "shop.yaml").read_text(encoding="utf-8"))
    for old, new in zip(before["slos"], after["slos"], strict=True):
        for key, text in old["sli"]["events"].items():
            assert same_promql(new["sli"]["events"].pop(key), text)
        old["sli"]["events"] = {}
    assert after == before


def test_a_full_folder_is_left_as_it_is(tmp_path):
    (tmp_path / "slo.yaml").write_text(PYRRA.replace("NAME", "a"), encoding="utf-8")
    (tmp_path / "mainstay").mkdir()
    (tmp_path / "mainstay" / "mine.yaml").write_text("mine", encoding="utf-8")
    done = command.mainstay(tmp_path, "monitoring", "import", "slo.yaml", "-o", "mainstay")
    assert done.code == 2
    assert "are not overwritten" in done.err
    assert [path.name for path in (tmp_path / "mainstay").iterdir()] == ["mine.yaml"]


def test_nothing_is_left_behind_where_a_file_holds_a_mistake(tmp_path):
    (tmp_path / "a.yaml").write_text(PYRRA.replace("NAME", "a"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(PYRRA.replace("NAME", "b").replace("99", "990"), encoding="utf-8")
    before = sorted(path.name for path in tmp_path.iterdir())
    done = command.mainstay(tmp_path, "monitoring", "import", "a.yaml", "b.yaml", "-o", "mainstay")
    assert done.code == 2
    assert "b.yaml:5:11: error: spec.target: target 990 is outside what can be promised" in done.err
    assert [name for name in sorted(path.name for path in tmp_path.iterdir()) if name not in before] in ([], ["state"])


def test_one_name_in_two_files_is_a_mistake(tmp_path):
    for file in ("a.yaml", "b.yaml"):
        (tmp_path / file).write_text(PYRRA.replace("NAME", "same"), encoding="utf-8")
    done = command.mainstay(tmp_path, "monitoring", "import", "a.yaml", "b.yaml", "--json")
    assert done.code == 2
    (found,) = json.loads(done.err)["error"]["findings"]
    assert (found["file"], found["message"]) == (
        "b.yaml", 'objective "same" is declared twice, first at a.yaml:3:18')


def test_a_list_of_objects_in_json_is_read(tmp_path):
    items = [yaml.safe_load(PYRRA.replace("NAME", name)) for name in ("a", "b")]
    (tmp_path / "list.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}),
                                        encoding="utf-8")
    done = command.mainstay(tmp_path, "monitoring", "import", "list.json", "--json")
    assert done.json["objectives"] == ["a", "b"]
    assert [(one["format"], one["documents"]) for one in done.json["read"]] == [("pyrra", 2)]


def test_several_tools_in_one_run_become_one_catalog(tmp_path):
    shutil.copy(EXAMPLE / "sloth" / "shop.yaml", tmp_path)
    (tmp_path / "slo.yaml").write_text(PYRRA.replace("NAME", "probe"), encoding="utf-8")
    done = command.mainstay(tmp_path, "monitoring", "import", "shop.yaml", "slo.yaml", "-o", "mainstay", "--json")
    assert [one["format"] for one in done.json["read"]] == ["sloth", "pyrra"]
    assert sorted(path.name for path in (tmp_path / "mainstay").iterdir()) == [
        "alerting.yaml", "objectives.yaml", "shop.yaml"]


def test_what_a_severity_carries_is_on_mainstays_own_alerts_too_but_for_their_own_labels(switched):
    alerting = switched / "mainstay" / "alerting.yaml"
    text = alerting.read_text(encoding="utf-8")
    alerting.write_text(text.replace('channel: "#shop-oncall"', 'channel: "#shop-oncall"\n        severity: high'),
                        encoding="utf-8")
    done = command.mainstay(switched, "monitoring", "rules", "shop-checkout-availability", "--json")
    groups = yaml.safe_load(done.json["files"][0]["text"])["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if rule.get("alert") == "SLOBudgetBurn"]
    assert {(rule["labels"]["severity"], rule["labels"]["channel"]) for rule in alerts} == {
        ("page", "#shop-oncall"), ("ticket", "#shop")}
    assert {rule["annotations"]["runbook_url"] for rule in alerts} == {"https://runbooks.example/checkout"}
