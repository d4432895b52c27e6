"""`mainstay monitoring rules` and `diff` as people call them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from command import mainstay
from mainstay.kernel.errors import Conflict
from mainstay.monitoring.operations.folder import write_files
from mainstay.monitoring.rulefile import GENERATED
from programs import need
from servers.history import DAY, SLOT, START, History, counter_samples, open_metrics
from servers.prometheus import prometheus

CATALOG = """
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus, connectionDetails: {url: "http://127.0.0.1:9"}}
---
apiVersion: mainstay/v1
kind: Objective
metadata: {name: checkout, service: shop}
spec:
  indicator: {type: availability, source: prom, total: 'http_total{job="a"}', bad: 'http_total{job="a",code=~"5.."}'}
  target: 99.9
---
apiVersion: mainstay/v1
kind: Objective
metadata: {name: search, service: finder}
spec:
  indicator: {type: latency, source: prom, histogram: http_seconds, threshold: 300ms}
  target: 99
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "slos").mkdir()
    (tmp_path / "slos" / "a.yaml").write_text(CATALOG)
    return tmp_path


def test_printed_rules_are_one_file_and_the_same_bytes_every_time(folder):
    first, second = (mainstay(folder, "monitoring", "rules", "-c", "slos") for _ in range(2))
    assert first.code == 0
    assert first.out == second.out
    (only,) = yaml.safe_load_all(first.out)
    assert {group["name"].split(".")[1] for group in only["groups"]} == {"checkout", "search"}
    assert "00000000" not in first.out, "decimals are exact"
    assert "99999" not in first.out.replace("999ms", "")


def test_names_choose_and_unknown_ones_are_refused(folder):
    assert "finder" not in mainstay(folder, "monitoring", "rules", "checkout", "-c", "slos").out
    answer = mainstay(folder, "monitoring", "rules", "chekout", "-c", "slos")
    assert answer.code == 2
    assert 'did you mean "checkout"' in answer.err


def test_a_file_a_service_is_written_and_what_is_no_longer_wanted_is_gone(folder):
    assert mainstay(folder, "monitoring", "rules", "-c", "slos", "-o", "out").code == 0
    assert sorted(os.listdir(folder / "out")) == ["finder.yaml", "shop.yaml"]
    (folder / "out" / "own.yaml").write_text("groups: []\n")
    (folder / "slos" / "a.yaml").write_text(CATALOG.partition("---\napiVersion: mainstay/v1\nkind: Objective\n"
                                                              "metadata: {name: search")[0])
    said = mainstay(folder, "monitoring", "rules", "-c", "slos", "-o", "out", "--json").json
    assert said["removed"] == ["finder.yaml"]
    assert said["changed"] == []
    assert sorted(os.listdir(folder / "out")) == ["own.yaml", "shop.yaml"], "what is not ours stays"


def test_a_file_of_somebody_else_is_not_overwritten_unless_told(folder):
    (folder / "out").mkdir()
    (folder / "out" / "shop.yaml").write_text("groups: []\n")
    refused = mainstay(folder, "monitoring", "rules", "-c", "slos", "-o", "out")
    assert refused.code == 2
    assert "shop.yaml, which Mainstay did not write" in refused.err
    assert os.listdir(folder / "out") == ["shop.yaml"], "nothing was written"
    assert mainstay(folder, "monitoring", "rules", "-c", "slos", "-o", "out", "--overwrite").code == 0
    assert (folder / "out" / "shop.yaml").read_text().startswith(GENERATED)


def _ours(text: str) -> bool:
    return text.startswith(GENERATED)


def test_files_are_written_all_of_them_or_none(tmp_path):
    target = tmp_path / "out"
    write_files(str(target), {"a.yaml": GENERATED + "\n1", "old.yaml": GENERATED}, _ours)
    (target / "b.yaml").write_text("mine")
    with pytest.raises(Conflict):
        write_files(str(target), {"a.yaml": GENERATED + "\n2", "b.yaml": GENERATED}, _ours)
    with pytest.raises(TypeError):
        write_files(str(target), {"a.yaml": GENERATED + "\n2", "c.yaml": b""}, _ours)  # type: ignore[dict-item]
    assert (target / "a.yaml").read_text() == GENERATED + "\n1"
    written = write_files(str(target), {"a.yaml": GENERATED + "\n2"}, _ours, sweep=True)
    assert written == (("a.yaml",), ("old.yaml",))
    assert sorted(os.listdir(target)) == ["a.yaml", "b.yaml"], "what is mine is left alone, and no draft is left"
    assert (target / "b.yaml").read_text() == "mine"


def test_an_alert_that_can_never_trip_is_refused_unless_told(folder):
    (folder / "slos" / "b.yaml").write_text(
        "apiVersion: mainstay/v1\nkind: Alerting\nmetadata: {name: all}\n"
        "spec: {tiers: [{severity: page, long: 1h, spends: 20%}]}\n")
    refused = mainstay(folder, "monitoring", "rules", "-c", "slos")
    assert refused.code == 2
    assert "slos/b.yaml:3:18: error: page-1h of search can never trip" in refused.err
    told = mainstay(folder, "monitoring", "rules", "-c", "slos", "--anyway")
    assert told.code == 0
    assert "page-1h" in told.out
    (only,) = yaml.safe_load_all(told.out)
    tiers = [rule["labels"]["tier"] for group in only["groups"] for rule in group["rules"]
             if rule.get("alert") == "SLOBudgetBurn"]
    assert tiers == ["page-1h"], "that of checkout; the one that never trips is left out"


def test_objects_of_the_operator_and_routes_are_accepted(folder):
    objects = mainstay(folder, "monitoring", "rules", "-c", "slos", "--to", "prometheusrule", "--namespace", "ops")
    made = list(yaml.safe_load_all(objects.out))
    assert [one["metadata"]["name"] for one in made] == ["slo-finder", "slo-shop"]
    assert {one["metadata"]["namespace"] for one in made} == {"ops"}
    routes = mainstay(folder, "monitoring", "rules", "-c", "slos", "--to", "alertmanager", "-o", "am")
    assert routes.code == 0
    subprocess.run([need("amtool"), "check-config", str(folder / "am" / "alertmanager.yaml")], check=True,
                   capture_output=True)


def test_broken_files_give_every_finding_and_exit_2(folder):
    (folder / "slos" / "b.yaml").write_text(
        "apiVersion: mainstay/v1\nkind: Alerting\nmetadata: {name: all}\n"
        "spec: {runbok: x, interval: 7s, runbook: 'https://$foo'}\n")
    answer = mainstay(folder, "monitoring", "rules", "-c", "slos")
    assert answer.code == 2
    for code in ("unknown-field", "invalid-value", "unknown-variable"):
        assert f"[{code}]" in answer.err
    assert "3 findings" in answer.err


# -- diff -----------------------------------------------------------------------------------------------------------


def changed(folder: Path, text: str) -> dict:
    (folder / "new").mkdir(exist_ok=True)
    (folder / "new" / "a.yaml").write_text(text)
    answer = mainstay(folder, "monitoring", "diff", "slos", "new", "--json")
    assert answer.code == (1 if answer.json["changes"] else 0)
    return {(one["objective"], one["rule"]): one for one in answer.json["changes"]}


def test_no_difference_is_exit_0(folder):
    assert changed(folder, "# a comment\n" + CATALOG) == {}


def test_a_stricter_target_pages_earlier(folder):
    found = changed(folder, CATALOG.replace("target: 99.9", "target: 99.95"))
    assert {objective for objective, _ in found} == {"checkout"}
    page = found["checkout", "page-1h"]
    assert page["what"] == "changed"
    assert page["consequence"] == "threshold 1.44 % -> 0.72 %, pages earlier; target 99.9 % -> 99.95 %"
    assert "reached earlier" in found["checkout", "budget-75"]["consequence"]


def test_what_comes_and_goes_is_told(folder):
    gone = changed(folder, CATALOG.replace("name: search", "name: find"))
    assert gone["search", "page-1h"]["what"] == "removed"
    assert "nobody is told any more" in gone["search", "page-1h"]["consequence"]
    assert gone["find", "page-1h"]["consequence"].startswith("pages above 14.4 % bad in 1h (14.4×")


def test_labels_holds_and_gates_are_told(folder):
    alerting = ("---\napiVersion: mainstay/v1\nkind: Alerting\nmetadata: {name: all}\nspec: {labels: {team: pay}, "
                "low_traffic: {gate: wilson}, absent_for: 30m, budget_spent: [100%], interval: 1m}\n")
    found = changed(folder, CATALOG + alerting)
    page = found["checkout", "page-1h"]
    assert set(page["fields"]) == {"expr", "labels", "interval"}
    assert "with little traffic it asks for more failures" in page["consequence"]
    assert "label team: none -> pay" in page["consequence"]
    assert "must last 30 m instead of 15 m" in found["checkout", "absent"]["consequence"]
    assert "passes in silence" in found["checkout", "budget-75"]["consequence"]


def test_a_revision_of_git_is_the_other_side(folder):
    git = [need("git"), "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder)]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    (folder / "slos" / "a.yaml").write_text(CATALOG.replace("99.9", "99.5"))
    answer = mainstay(folder, "monitoring", "diff", "HEAD", "-c", "slos")
    assert answer.code == 1
    assert "pages later" in answer.out
    refused = mainstay(folder, "monitoring", "diff", "nonsense", "-c", "slos")
    assert refused.code == 2
    assert "name a folder, or a revision that git log shows" in refused.err


# -- with a source --------------------------------------------------------------------------------------------------


@pytest.mark.server("prometheus")
def test_the_source_is_asked_for_traffic_and_buckets(folder, tmp_path_factory):
    now = START + DAY
    quiet = History("a", tuple((start, 0, 2) for start in range(START, now, SLOT)))
    text = open_metrics({"a": counter_samples(quiet)}).replace("http_requests", "http")
    lines = [f'http_seconds_{part} {value * step} {now - 3600 + step * 60}' for step in range(61)
             for part, value in (('bucket{le="0.25"}', 1), ('bucket{le="0.5"}', 2), ('bucket{le="+Inf"}', 2))]
    lines += [f"http_seconds_count {2 * step} {now - 3600 + step * 60}" for step in range(61)]
    text = text.replace("# EOF", "\n".join(["# TYPE http_seconds histogram", *sorted(lines, key=_series), "# EOF"]))
    with prometheus(tmp_path_factory.mktemp("prom"), backfill=text) as server:
        (folder / "slos" / "a.yaml").write_text(CATALOG.replace("http://127.0.0.1:9", server.url))
        answer = mainstay(folder, "monitoring", "rules", "-c", "slos", "--check-source", "--as-of", "2025-03-02")
    assert answer.code == 2
    assert "search counts at le=0.3, and the histogram has no bucket there: 0.25, 0.5, +Inf" in answer.err
    assert json.dumps(answer.out) == '""', "nothing is printed beside the refusal"


def _series(line: str) -> tuple[str, int]:
    name, _, at = line.rsplit(" ", 2)
    return name, int(at)
