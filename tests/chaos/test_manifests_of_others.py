"""Experiments of Chaos Mesh and Litmus: what is carried over, what is left out and why."""

from __future__ import annotations

import copy
import tarfile
from typing import Any

import pytest
import yaml

from mainstay.chaos import chaos_mesh, litmus, powerfulseal
from mainstay.chaos.chaos_mesh import exported
from mainstay.chaos.kinds import KINDS, kind_named
from mainstay.chaos.manifests import LeftOut, Step, Translation, byte_size, go_seconds, tc_rate, totals
from mainstay.stats.dice import Dice
from shared_data import shared

SELECTOR = {"mode": "all", "selector": {"namespaces": ["shop"], "labelSelectors": {"app": "api"}}}


def mesh(kind: str, **spec: Any) -> Translation:
    (found,) = chaos_mesh.translations({"apiVersion": "chaos-mesh.org/v1alpha1", "kind": kind,
                                        "metadata": {"name": "it"}, "spec": {**SELECTOR, **spec}})
    return found


def engine(name: str, **env: str) -> Translation:
    variables = [{"name": key, "value": value} for key, value in env.items()]
    (found,) = litmus.translations({
        "apiVersion": "litmuschaos.io/v1alpha1", "kind": "ChaosEngine", "metadata": {"name": "it"},
        "spec": {"appinfo": {"applabel": "app=api"},
                 "experiments": [{"name": name, "spec": {"components": {"env": variables}}}]}})
    return found


@pytest.mark.parametrize(("kind", "spec", "expected", "settings"), [
    ("NetworkChaos", {"action": "delay", "delay": {"latency": "90ms", "jitter": "10ms"}}, "network-latency",
     {"latency": 0.09, "jitter": 0.01}),
    ("NetworkChaos", {"action": "loss", "loss": {"loss": "25"}}, "packet-loss", {"loss": 0.25}),
    ("NetworkChaos", {"action": "duplicate", "duplicate": {"duplicate": "40"}}, "packet-duplication", {"rate": 0.4}),
    ("NetworkChaos", {"action": "corrupt", "corrupt": {"corrupt": "40"}}, "packet-corruption", {"rate": 0.4}),
    ("NetworkChaos", {"action": "bandwidth", "bandwidth": {"rate": "1mbit"}}, "bandwidth-limit", {"rate": 125_000.0}),
    ("NetworkChaos", {"action": "partition", "direction": "from"}, "network-partition", {"direction": "in"}),
    ("PodChaos", {"action": "pod-kill", "gracePeriod": 5}, "pod-failure", {"grace": 5.0}),
    ("PodChaos", {"action": "container-kill", "containerNames": ["api"]}, "process-kill", {"signal": "KILL"}),
    ("PodChaos", {"action": "pod-failure"}, "process-pause", {}),
    ("StressChaos", {"stressors": {"cpu": {"workers": 2, "load": 50}}}, "cpu-stress", {"load": 0.5, "cpus": 2.0}),
    ("StressChaos", {"stressors": {"memory": {"workers": 2, "size": "256MiB"}}}, "memory-stress",
     {"size": 2 * 256 * 2**20, "over": 0.0}),
    ("IOChaos", {"action": "fault", "errno": 28, "percent": 50}, "io-error", {"error": "ENOSPC", "rate": 0.5}),
    ("IOChaos", {"action": "latency", "delay": "10ms"}, "disk-slow", {"latency": 0.01}),
    ("TimeChaos", {"timeOffset": "-1h"}, "clock-skew", {"offset": -3600.0}),
    ("DNSChaos", {"action": "error"}, "dns-failure", {"error": "NXDOMAIN"}),
    ("HTTPChaos", {"target": "Request", "abort": True}, "dependency-reset", {}),
    ("HTTPChaos", {"target": "Response", "delay": "1s"}, "dependency-slow", {"latency": 1.0, "jitter": 0.0}),
    ("HTTPChaos", {"target": "Response", "replace": {"code": 503}}, "dependency-error",
     {"status": 503.0, "rate": 1.0, "body": ""}),
    ("PhysicalMachineChaos", {"action": "network-delay", "network-delay": {"latency": "1s"}}, "network-latency",
     {"latency": 1.0, "jitter": 0.0}),
    ("PhysicalMachineChaos", {"action": "process", "process": {"process": "nginx", "signal": 19}}, "process-pause", {}),
    ("PhysicalMachineChaos", {"action": "clock", "clock": {"time-offset": "5m"}}, "clock-skew", {"offset": 300.0})])
def test_a_manifest_of_chaos_mesh_becomes_a_fault_in_our_units(kind: str, spec: dict[str, Any], expected: str,
                                                               settings: dict[str, object]) -> None:
    found = mesh(kind, duration="30s", **spec)
    assert [(one.kind, dict(one.settings), one.seconds) for one in found.steps] == [(expected, settings, 30.0)]
    assert found.whole


def test_a_netem_manifest_becomes_one_fault_for_each_of_its_parts() -> None:
    found = mesh("NetworkChaos", action="netem", delay={"latency": "90ms", "reorder": {"reorder": "50"}},
                 loss={"loss": "25"})
    assert [one.kind for one in found.steps] == ["network-latency", "packet-reordering", "packet-loss"]


def test_the_share_of_pods_is_kept_and_a_number_of_them_is_said() -> None:
    some = mesh("PodChaos", action="pod-kill", mode="fixed-percent", value="30").steps[0]
    one = mesh("PodChaos", action="pod-kill", mode="one").steps[0]
    assert (some.share, some.notes) == (0.3, ())
    assert "one of the selected pods" in one.notes[0]


def test_the_rates_of_tc_are_bytes_where_they_end_in_bps() -> None:
    assert [tc_rate(one) for one in ("1mbit", "100kbps", "8bit", "1 furlong", "")] == [125_000, 100_000, 1, None, None]


@pytest.mark.parametrize(("written", "seconds"), [
    ("90ms", 0.09), ("-10m100ns", -600.0000001), ("1h30m", 5400), ("0", 0), ("1.5s", 1.5), ("5", None), ("", None),
    ("ten", None), ("5s!", None)])
def test_durations_are_read_as_go_writes_them(written: str, seconds: float | None) -> None:
    assert go_seconds(written) == (pytest.approx(seconds) if seconds is not None else None)


def test_sizes_are_bytes_and_a_share_of_memory_is_none() -> None:
    assert [byte_size(one) for one in ("256MiB", "1G", "500", "50%", "")] == [256 * 2**20, 1e9, 500, None, None]


@pytest.mark.parametrize(("kind", "spec", "reason"), [
    ("JVMChaos", {"action": "exception"}, "Java"), ("KernelChaos", {}, "kernel"), ("AWSChaos", {}, "cloud"),
    ("BlockChaos", {}, "disk-slow"), ("IOChaos", {"action": "attrOverride"}, "what files say"),
    ("DNSChaos", {"action": "random"}, "made-up"), ("NetworkChaos", {"action": "delay"}, "how much"),
    ("StressChaos", {"stressors": {"memory": {"size": "50%"}}}, "no size"), ("FluxChaos", {}, "no experiment")])
def test_what_a_host_cannot_do_is_left_out_with_the_reason(kind: str, spec: dict[str, Any], reason: str) -> None:
    found = mesh(kind, **spec)
    assert not found.steps
    assert reason in found.left_out[0].why


def test_narrowing_to_some_requests_is_said_because_all_are_hit() -> None:
    found = mesh("HTTPChaos", target="Response", delay="1s", path="/pay", method="POST")
    assert [one.what for one in found.left_out] == ["HTTPChaos path", "HTTPChaos method"]
    assert not found.whole


def test_a_workflow_is_laid_out_in_time() -> None:
    def chaos(name: str, length: str) -> dict[str, Any]:
        return {"name": name, "templateType": "NetworkChaos", "deadline": length,
                "networkChaos": {**SELECTOR, "action": "loss", "loss": {"loss": "5"}}}

    found = mesh("Workflow", entry="all", templates=[
        {"name": "all", "templateType": "Serial", "children": ["one", "wait", "both"]}, chaos("one", "20s"),
        {"name": "wait", "templateType": "Suspend", "deadline": "10s"},
        {"name": "both", "templateType": "Parallel", "children": ["two", "three"]}, chaos("two", "5s"),
        chaos("three", "40s")])
    assert [(one.start, one.seconds) for one in found.steps] == [(0, 20), (30, 5), (30, 40)]


def test_a_workflow_that_calls_itself_ends() -> None:
    found = mesh("Workflow", entry="a", templates=[{"name": "a", "templateType": "Serial", "children": ["a"]}])
    assert "circle" in found.left_out[0].why


def test_a_status_check_becomes_a_check_and_a_schedule_is_kept() -> None:
    check = mesh("StatusCheck", http={"url": "http://127.0.0.1/ok", "criteria": {"statusCode": "200-204"}}).checks[0]
    planned = mesh("Schedule", schedule="@every 5m", type="PodChaos", podChaos={**SELECTOR, "action": "pod-kill"})
    assert (check.url, check.low, check.high) == ("http://127.0.0.1/ok", 200, 204)
    assert (planned.schedule, [one.kind for one in planned.steps]) == ("@every 5m", ["pod-failure"])


@pytest.mark.parametrize(("name", "env", "kind", "settings"), [
    ("pod-network-latency", {"NETWORK_LATENCY": "2000", "JITTER": "100"}, "network-latency",
     {"latency": 2.0, "jitter": 0.1}),
    ("pod-network-loss", {"NETWORK_PACKET_LOSS_PERCENTAGE": "30"}, "packet-loss", {"loss": 0.3}),
    ("pod-network-rate-limit", {"NETWORK_BANDWIDTH": "1mbit"}, "bandwidth-limit", {"rate": 125_000.0}),
    ("pod-cpu-hog", {"CPU_CORES": "1", "CPU_LOAD": "50"}, "cpu-stress", {"load": 0.5, "cpus": 1.0}),
    ("pod-memory-hog", {"MEMORY_CONSUMPTION": "500"}, "memory-stress", {"size": 5e8, "over": 0.0}),
    ("node-memory-hog", {"MEMORY_CONSUMPTION_MEBIBYTES": "100"}, "memory-stress", {"size": 100 * 2**20, "over": 0.0}),
    ("pod-http-status-code", {"STATUS_CODE": "503,500"}, "dependency-error",
     {"status": 503.0, "rate": 1.0, "body": ""}),
    ("pod-autoscaler", {"REPLICA_COUNT": "5"}, "scale", {"replicas": 5.0}),
    ("disk-fill", {"FILL_PERCENTAGE": "100"}, "disk-full", {"left": 0.0}),
    ("pod-delete", {"FORCE": "true"}, "pod-failure", {"grace": 0.0})])
def test_an_engine_of_litmus_becomes_a_fault_in_our_units(name: str, env: dict[str, str], kind: str,
                                                          settings: dict[str, object]) -> None:
    found = engine(name, TOTAL_CHAOS_DURATION="60", PODS_AFFECTED_PERC="50", **env)
    assert [(one.kind, dict(one.settings), one.seconds, one.share, one.target) for one in found.steps] == [
        (kind, settings, 60.0, 0.5, "app=api")]


def test_a_disk_is_not_filled_more_than_was_asked_for() -> None:
    found = engine("disk-fill", FILL_PERCENTAGE="80")
    assert not found.steps
    assert "80 %" in found.left_out[0].why


def _samples() -> list[dict[str, Any]]:
    with tarfile.open(shared("chaos/litmus_kubernetes_faults.tar.gz")) as pack:
        files = [pack.extractfile(one) for one in pack.getmembers() if one.name.endswith(".yaml")]
        return [document for file in files if file is not None for document in yaml.safe_load_all(file.read())
                if isinstance(document, dict)]


def test_every_real_definition_of_litmus_is_read_and_counted() -> None:
    samples = [one for one in _samples() if one.get("kind") in ("ChaosEngine", "ChaosExperiment")]
    found = list(litmus.all_of(samples))
    # 31 faults: once in the pack of all and once in a file each; of 31 engines (one each) 18 have what a host can do.
    assert len(found) == len(samples) == 93
    assert totals(found) == {"wholly": 54, "in part": 0, "not at all": 39}
    assert all(one.left_out or one.steps for one in found)


def test_no_damaged_manifest_of_litmus_stops_the_reading() -> None:
    samples = [one for one in _samples() if one.get("kind") == "ChaosEngine"]
    dice = Dice(11)
    for _ in range(300):
        for found in litmus.translations(_damaged(dice.one_of(samples), dice)):
            assert found.tool == "litmus"


def test_no_damaged_manifest_of_chaos_mesh_stops_the_reading() -> None:
    dice = Dice(12)
    whole = [{"apiVersion": "chaos-mesh.org/v1alpha1", "kind": kind, "metadata": {"name": "it"}, "spec": spec}
             for kind, spec in (
                 ("NetworkChaos", {**SELECTOR, "action": "netem", "delay": {"latency": "1s"}, "loss": {"loss": "5"}}),
                 ("StressChaos", {**SELECTOR, "stressors": {"cpu": {"load": 5},
                                                            "memory": {"size": "1G", "workers": 1}}}),
                 ("HTTPChaos", {**SELECTOR, "delay": "1s", "replace": {"code": 500}, "patch": {"body": {}}}),
                 ("Workflow", {"entry": "a", "templates": [{"name": "a", "templateType": "Serial",
                                                            "children": ["b"]}]}),
                 ("PhysicalMachineChaos", {"action": "stress-cpu", "stress-cpu": {"load": 10}, "mode": "one"}))]
    for _ in range(500):
        for found in chaos_mesh.translations(_damaged(dice.one_of(whole), dice)):
            assert found.tool == "chaos-mesh"


def _damaged(document: dict[str, Any], dice: Dice) -> dict[str, Any]:
    """The document with one value somewhere replaced by something that has no business there."""
    copied = copy.deepcopy(document)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in (node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()):
            places.append((node, key))
            walk(node[key])

    walk(copied)
    node, key = dice.one_of(places)
    node[key] = dice.one_of([None, [], {}, "", "x", -1, 1e300, True, ["a", {}], {"a": []}, "100%", "nan"])
    return copied


def test_what_is_exported_to_chaos_mesh_comes_back_as_it_was() -> None:
    given = {"latency": 0.2, "loss": 0.1, "rate": 0.5, "size": 2**26, "offset": -60.0, "quota": 0.5, "speed": 2.0,
             "replicas": 2.0}
    carried = []
    for kind in KINDS:
        asked = {one.name: given[one.name] for one in kind.parameters if one.default is None}
        if kind.name == "bandwidth-limit":
            asked = {"rate": 125_000.0}
        if kind.name == "cpu-stress":
            asked = {"cpus": 2.0, "load": 0.5}
        step = Step(kind.name, kind_named(kind.name).settings(asked), "app=api", 0.5, 0.0, 30.0)
        manifest = exported(step, "it", "shop", {"app": "api"})
        if isinstance(manifest, LeftOut):
            assert manifest.what == kind.name
            continue
        (back,) = chaos_mesh.translations(yaml.safe_load(yaml.safe_dump(manifest)))
        assert [one.kind for one in back.steps] == [kind.name]
        assert back.steps[0].settings == pytest.approx(dict(step.settings))
        assert (back.steps[0].share, back.steps[0].target) == (0.5, "app=api")
        carried.append(kind.name)
    assert len(carried) == 17


def test_a_network_fault_of_litmus_for_some_hosts_is_one_for_each_of_them() -> None:
    found = engine("pod-network-latency", NETWORK_LATENCY="200", DESTINATION_HOSTS="db.shop.svc, cache")
    assert [(one.kind, one.towards) for one in found.steps] == [("network-latency", "db"), ("network-latency", "cache")]
    assert "only on the way to db.shop.svc" in found.steps[0].notes[-1]
    assert [one.towards for one in engine("pod-network-loss", DESTINATION_IPS="10.0.0.7").steps] == ["10.0.0.7"]


def test_the_toxicity_of_litmus_is_a_share_of_the_requests() -> None:
    (step,) = engine("pod-http-latency", LATENCY="200", TOXICITY="30", PODS_AFFECTED_PERC="50").steps
    assert step.share == pytest.approx(0.15)


@pytest.mark.parametrize(("fault", "variable", "value"), [
    ("pod-dns-error", "TARGET_HOSTNAMES", '["db"]'), ("pod-network-loss", "DESTINATION_PORTS", "5432")])
def test_what_litmus_means_for_some_names_or_ports_is_not_put_on_all(fault: str, variable: str, value: str) -> None:
    found = engine(fault, **{variable: value})
    assert (found.steps, found.left_out[0].why.partition(":")[0]) == ((), f"{variable} is {value}")
    assert engine(fault, **{variable: ""}).steps


def test_what_pumba_means_for_some_is_said_or_left_out() -> None:
    aimed = powerfulseal.pumba("pumba netem --duration 1m --target 10.0.0.5 delay --time 100 api")
    assert [(one.kind, one.towards) for one in aimed.steps] == [("network-latency", "10.0.0.5")]
    port = powerfulseal.pumba("pumba netem --duration 1m --egress-port 80 loss --percent 10 api")
    assert (port.steps, port.left_out[0].why) == ((), "only traffic of --egress-port 80 is meant")
    (drawn,) = powerfulseal.pumba("pumba --random kill re2:^api").steps
    assert drawn.notes == ("one of the containers: name that many workloads or set the share",)
    assert powerfulseal.pumba("pumba --interval 5m kill api").schedule == "@every 5m"


def test_files_and_calls_that_chaos_mesh_names_are_said_to_be_left_out() -> None:
    found = mesh("IOChaos", action="fault", errno=28, volumePath="/data", path="/data/x", methods=["WRITE"])
    assert [one.what for one in found.left_out] == ["IOChaos path", "IOChaos methods"]
    assert mesh("IOChaos", action="fault", errno=28, volumePath="/data", path="/data/**/*").whole


@pytest.mark.parametrize(("kind", "spec", "left"), [
    ("StressChaos", {"stressors": {"cpu": {"workers": 1}}, "containerNames": ["app"]}, "StressChaos containerNames"),
    ("PodChaos", {"action": "pod-kill", "selector": {"labelSelectors": {"app": "web"}, "nodes": ["a"]}},
     "PodChaos selector.nodes"),
    ("NetworkChaos", {"action": "loss", "loss": {"loss": "10"}, "device": "eth1"}, "NetworkChaos device"),
    ("NetworkChaos", {"action": "delay", "delay": {"latency": "1s", "reorder": {"reorder": "5", "gap": 3}}},
     "NetworkChaos reorder.gap"),
    ("HTTPChaos", {"abort": True, "tls": {"secretName": "a"}}, "HTTPChaos tls"),
    ("PhysicalMachineChaos", {"action": "network-loss", "network-loss": {"percent": "10", "egress-port": "80"}},
     "PhysicalMachineChaos network-loss egress-port"),
    ("TimeChaos", {"timeOffset": "1h", "clockIds": ["CLOCK_MONOTONIC"]}, "TimeChaos clockIds")])
def test_a_field_that_narrows_and_cannot_be_carried_over_is_named(kind: str, spec: dict[str, Any], left: str) -> None:
    found = mesh(kind, **spec)
    assert left in [one.what for one in found.left_out]


def test_a_clock_that_is_not_the_walls_moves_nothing() -> None:
    found = mesh("TimeChaos", timeOffset="1h", clockIds=["CLOCK_MONOTONIC"])
    assert found.steps == ()


@pytest.mark.parametrize(("action", "given", "direction", "said"), [
    ("delay", {"latency": "1s"}, "both", "delay is put on the way out, where Chaos Mesh puts it on both ways"),
    ("loss", {"loss": "10"}, "", "loss is put on both ways, where Chaos Mesh puts it on the way out"),
    ("loss", {"loss": "10"}, "both", ""), ("delay", {"latency": "1s"}, "to", "")])
def test_a_fault_of_the_network_says_on_which_way_it_is_put_where_that_differs(
        action: str, given: dict[str, Any], direction: str, said: str) -> None:
    found = mesh("NetworkChaos", **{"action": action, action: given, "direction": direction})
    assert [note for step in found.steps for note in step.notes if " is put " in note] == [said] * bool(said)
