"""`chaos import` and `export` with the formats of Chaos Mesh, Litmus, PowerfulSeal, and pumba's command lines."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.played import Played, declared
from mainstay.chaos import chaos_mesh, powerfulseal
from mainstay.chaos.hypothesis import tolerance_of, within
from mainstay.chaos.operations.exchanging import ExportRequest, ImportRequest, export, import_
from mainstay.chaos.operations.manifests_in import experiment_document
from mainstay.chaos.spec import Experiment
from mainstay.kernel.errors import Conflict, InvalidInput
from mainstay.kernel.finding import Finding, InvalidFiles, Position, errors_of
from shared_data import shared

DELAY = """
apiVersion: chaos-mesh.org/v1alpha1
kind: NetworkChaos
metadata: {name: api-delay}
spec:
  action: delay
  mode: fixed-percent
  value: "50"
  selector: {labelSelectors: {app: api}}
  delay: {latency: 90ms, jitter: 10ms, correlation: "25"}
  duration: 30s
"""
POLICY = """
scenarios:
  - name: kill one of them
    steps:
      - podAction:
          matches: [{labels: {namespace: shop, selector: app=api}}]
          filters: [{randomSample: {ratio: 0.5}}]
          actions: [{kill: {force: true}}]
      - wait: {seconds: 10}
      - nodeAction: {}
"""
PODS = """
apiVersion: mainstay/v1
kind: Workload
metadata: {name: pods}
spec: {address: "127.0.0.1:1", health: /, experiments: true, kubernetes: {namespace: shop, name: api}}
---
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: api-pods}
spec:
  target: pods
  hypothesis: {probes: [{type: health}]}
  phases:
    - {name: one, duration: 10s, faults: [{kind: network-latency, settings: {latency: 100ms}, share: 20%}]}
    - {name: two, duration: 20s, pause: 5s, faults: [{kind: pod-failure}, {kind: scale, settings: {replicas: 2}}]}
"""


def taken(folder: Path, text: str) -> Any:
    file = folder / "theirs.yaml"
    file.write_text(text)
    (found,) = import_(Played().world, ImportRequest((str(file),))).experiments
    return found


def test_a_manifest_of_chaos_mesh_is_recognised_and_becomes_an_experiment_that_can_be_read(tmp_path: Path) -> None:
    found = taken(tmp_path, DELAY)
    assert (found.tool, found.name) == ("Chaos Mesh", "api-delay")
    catalog, findings = declared(found.yaml)
    assert not [one for one in errors_of(findings) if one.code != "unknown-reference"], findings
    (ours,) = catalog.of(Experiment)
    fault = ours.phases[0].faults[0]
    assert (ours.target, fault.kind, fault.share, ours.phases[0].seconds) == ("api", "network-latency", 0.5, 30)
    assert dict(fault.settings) == {"latency": 0.09, "jitter": 0.01}
    assert "correlation of 25 %" in found.yaml


def test_a_policy_of_powerfulseal_is_recognised_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    found = taken(tmp_path, POLICY)
    assert found.tool == "PowerfulSeal"
    assert "kind: pod-failure" in found.yaml
    assert "share: 50%" in found.yaml
    assert [one.code for one in found.findings] == ["left-out"]


def test_what_nothing_of_can_be_done_is_an_error_with_every_reason(tmp_path: Path) -> None:
    found = taken(tmp_path, DELAY.replace("NetworkChaos", "JVMChaos"))
    assert found.yaml == ""
    assert [one.code for one in errors_of(found.findings)] == ["not-translated"]
    assert "Java machine" in found.findings[0].message


def test_a_workflow_becomes_phases_with_pauses() -> None:
    loss = {"templateType": "NetworkChaos", "networkChaos": {
        "action": "loss", "loss": {"loss": "5"}, "mode": "all", "selector": {"labelSelectors": {"app": "api"}}}}
    templates = [
        {"name": "all", "templateType": "Serial", "children": ["a", "w", "p"]},
        {"name": "a", "deadline": "20s", **loss},
        {"name": "w", "templateType": "Suspend", "deadline": "10s"},
        {"name": "p", "templateType": "Parallel", "children": ["b", "c"]}, {"name": "b", "deadline": "5s", **loss},
        {"name": "c", "deadline": "15s", **loss}]
    found = chaos_mesh.translations({"apiVersion": "chaos-mesh.org/v1alpha1", "kind": "Workflow",
                                     "metadata": {"name": "w"}, "spec": {"entry": "all", "templates": templates}})
    phases = experiment_document(Played().world, "w", "", found)["spec"]["phases"]
    assert [(one.get("pause", ""), one["duration"], len(one["faults"])) for one in phases] == [
        ("", "20s", 1), ("10s", "5s", 2), ("", "10s", 1)]


def test_every_real_engine_of_litmus_that_can_be_done_is_an_experiment_that_can_be_read(tmp_path: Path) -> None:
    with tarfile.open(shared("chaos/litmus_kubernetes_faults.tar.gz")) as pack:
        files = {one.name: pack.extractfile(one) for one in pack.getmembers() if one.name.endswith("/engine.yaml")}
        texts = [file.read().decode() for file in files.values() if file is not None]
    read = 0
    for text in texts:
        found = taken(tmp_path, text)
        if found.yaml:
            _, findings = declared(found.yaml)
            assert not [one for one in errors_of(findings) if one.code != "unknown-reference"], found.yaml
            read += 1
    assert (len(texts), read) == (31, 18)


@pytest.mark.parametrize(("line", "kind", "settings", "target"), [
    ("pumba netem --duration 5m delay --time 3000 --jitter 30 api", "network-latency",
     {"latency": 3.0, "jitter": 0.03}, "api"),
    ("pumba netem --duration 5m loss --percent 20 api cache", "packet-loss", {"loss": 0.2}, "api,cache"),
    ("pumba --random kill --signal SIGTERM re2:^api", "process-kill", {"signal": "TERM"}, "re2:^api"),
    ("pumba pause --duration 15s api", "process-pause", {}, "api"),
    ("pumba netem -d 1m rate --rate 1mbit api", "bandwidth-limit", {"rate": 125_000.0}, "api"),
    ("pumba iptables --duration 1m loss --probability 0.2 api", "packet-loss", {"loss": 0.2}, "api")])
def test_a_command_line_of_pumba_is_read(line: str, kind: str, settings: dict[str, object], target: str) -> None:
    (step,) = powerfulseal.pumba(line).steps
    assert (step.kind, dict(step.settings), step.target) == (kind, settings, target)


def test_what_is_no_command_line_of_pumba_is_refused_and_what_it_cannot_do_is_named() -> None:
    with pytest.raises(InvalidInput, match="no command line of pumba"):
        powerfulseal.pumba("docker kill api")
    with pytest.raises(InvalidInput, match="cannot be read"):
        powerfulseal.pumba("pumba kill 'api")
    assert powerfulseal.pumba("pumba stress --duration 1m api").left_out[0].what == "stress"


SCRIPT = """#!/bin/sh
# the api gets slow
pumba netem --duration 5m \\
  delay --time 3000 api
sudo /usr/local/bin/pumba kill --signal SIGTERM api
echo done
"""


def test_command_lines_of_pumba_are_imported_as_they_are_typed_and_out_of_a_script(tmp_path: Path) -> None:
    script = tmp_path / "chaos.sh"
    script.write_text(SCRIPT)
    line = "pumba pause --duration 15s api"
    found = import_(Played(PODS).world, ImportRequest((line, str(script)), output=str(tmp_path / "ours")))
    assert [(one.tool, one.name, one.title) for one in found.experiments] == [
        ("pumba", "pause-api", "pause api"), ("pumba", "netem-delay-api", "netem delay api"),
        ("pumba", "kill-api", "kill api")]
    assert sorted(one.name for one in (tmp_path / "ours").iterdir()) == [
        "kill-api.yaml", "netem-delay-api.yaml", "pause-api.yaml"]
    catalog, _ = declared(found.experiments[1].yaml)
    (fault,) = catalog.of(Experiment)[0].phases[0].faults
    assert (fault.kind, fault.settings["latency"]) == ("network-latency", 3.0)


def test_what_pumba_cannot_have_meant_is_told_with_its_line(tmp_path: Path) -> None:
    script = tmp_path / "chaos.sh"
    script.write_text("#!/bin/sh\npumba stress --duration 1m api\n")
    (one,) = import_(Played(PODS).world, ImportRequest((str(script),))).experiments
    assert (one.yaml, one.findings[0].where.line, "stress" in one.findings[0].message) == ("", 2, True)
    script.write_text("echo nothing\n")
    with pytest.raises(InvalidInput, match="of no format that is known"):
        import_(Played(PODS).world, ImportRequest((str(script),)))


def test_an_experiment_in_kubernetes_is_exported_to_chaos_mesh_and_comes_back() -> None:
    found = export(Played(PODS).world, ExportRequest("api-pods", to="chaos-mesh"))
    documents = list(yaml.safe_load_all(found.text))
    assert [one["kind"] for one in documents] == ["NetworkChaos", "PodChaos"]
    assert documents[0]["spec"]["selector"] == {"namespaces": ["shop"], "labelSelectors": {"app": "api"}}
    assert (documents[0]["spec"]["value"], documents[0]["spec"]["duration"]) == ("20", "10s")
    assert "scale is left out" in found.notes[0]
    assert "apply those of later phases when their comments say" in found.notes[1]
    (back,) = chaos_mesh.translations(documents[0])
    assert back.steps[0].settings["latency"] == 0.1


def test_a_range_of_statuses_is_no_list_for_the_chaos_toolkit() -> None:
    text = PODS.replace("{type: health}", '{name: page, type: http, url: "http://127.0.0.1:1/"}')
    document = json.loads(export(Played(text).world, ExportRequest("api-pods")).text)
    (probe,) = document["steady-state-hypothesis"]["probes"]
    # The Chaos Toolkit looks for a status in a list, even of two: 204 would be none of [200, 399].
    assert probe["tolerance"] == {"type": "range", "range": [200, 399], "target": "status"}
    assert within(tolerance_of(probe["tolerance"]), {"status": 204})
    assert not within(tolerance_of([200, 399]), {"status": 204})


def test_mistakes_of_the_catalog_are_said_before_it_is_exported() -> None:
    played = Played(PODS)
    wrong = Finding("unknown-field", Position("c.yaml", 4, 1), "no field", "leave it out")
    with pytest.raises(InvalidFiles):
        export(replace(played.world, findings=(wrong,)), ExportRequest("api-pods", to="chaos-mesh"))


def test_an_experiment_outside_kubernetes_has_no_manifests() -> None:
    text = PODS.replace("kubernetes: {namespace: shop, name: api}", "folder: /tmp")
    with pytest.raises(InvalidInput, match="says not where it runs in Kubernetes"):
        export(Played(text).world, ExportRequest("api-pods", to="chaos-mesh"))


def test_what_was_meant_for_one_dependency_is_not_put_on_all_traffic(tmp_path: Path) -> None:
    aimed = DELAY.replace("duration: 30s", """duration: 30s
  direction: to
  target: {mode: all, selector: {labelSelectors: {app: db}}}""")
    found = taken(tmp_path, aimed)
    (fault,) = yaml.safe_load(found.yaml)["spec"]["faults"]
    assert (fault["kind"], fault["dependency"]) == ("network-latency", "db")
    assert any("declare it as a dependency of the target" in one.message for one in found.findings)


# -- several at once ---------------------------------------------------------------------------------------------------


def _files(folder: Path, *texts: str) -> tuple[str, ...]:
    for number, text in enumerate(texts):
        (folder / f"{number}.yaml").write_text(text, encoding="utf-8")
    return tuple(str(folder / f"{number}.yaml") for number in range(len(texts)))


def test_documents_that_hold_nothing_are_no_documents(tmp_path: Path) -> None:
    found = import_(Played().world, ImportRequest(_files(tmp_path, f"---\n{DELAY}\n---\n---\n{DELAY}\n---\n")))
    assert [one.name for one in found.experiments] == ["api-delay", "api-delay"]


def test_two_that_would_take_the_same_place_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    files = _files(tmp_path, DELAY.replace("api-delay", "other"), DELAY, DELAY.replace("90ms", "80ms"))
    with pytest.raises(Conflict, match="both hold an experiment called api-delay"):
        import_(Played().world, ImportRequest(files, output=str(tmp_path / "ours")))
    assert not (tmp_path / "ours").exists()


def test_what_is_there_already_keeps_all_of_them_from_being_written(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "api-delay.yaml").write_text("mine", encoding="utf-8")
    files = _files(tmp_path, DELAY.replace("api-delay", "other"), DELAY)
    with pytest.raises(Conflict, match="is there already"):
        import_(Played().world, ImportRequest(files, output=str(ours)))
    assert [one.name for one in ours.iterdir()] == ["api-delay.yaml"]
    import_(Played().world, ImportRequest(files, output=str(ours), force=True))
    assert sorted(one.name for one in ours.iterdir()) == ["api-delay.yaml", "other.yaml"]


def test_a_status_check_alone_says_why_it_is_no_experiment(tmp_path: Path) -> None:
    check = """
apiVersion: chaos-mesh.org/v1alpha1
kind: StatusCheck
metadata: {name: up}
spec: {type: HTTP, http: {url: "http://127.0.0.1:1", criteria: {statusCode: "200"}}}
"""
    (one,) = import_(Played().world, ImportRequest(_files(tmp_path, check))).experiments
    assert one.findings[0].message == "nothing of it can be done here: StatusCheck up puts no fault in"
