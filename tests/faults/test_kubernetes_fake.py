"""Faults on Kubernetes, against a fake API server that speaks the real protocol; no cluster was ever touched."""

from __future__ import annotations

import json
import time

import pytest

from fake_kubernetes import TOKEN, FakeKubernetes, fake_kubernetes
from mainstay.adapters.faults.cluster.mechanism import Kubernetes
from mainstay.adapters.faults.undo import perform
from mainstay.kernel.errors import InvalidInput, NotAllowed, NotFound, SourceUnavailable
from mainstay.kernel.faults import Healing, Order, Undo
from mainstay.kernel.finding import Position
from mainstay.kernel.workload import ClusterObject, Workload


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    pytest.importorskip("lightkube")
    with fake_kubernetes() as fake:
        monkeypatch.setenv("KUBECONFIG", str(fake.kubeconfig(tmp_path)))
        yield fake


def order(kind: str, share: float = 1.0, seed: int = 1, name: str = "api", of: str = "Deployment",
          **settings: float) -> Order:
    workload = Workload(name, Position("catalog.yaml", 1, 1), cluster=ClusterObject("shop", of, name))
    return Order(kind, workload, settings=settings, share=share, seed=seed)


def deletions(fake: FakeKubernetes) -> list[str]:
    return [target.partition("?")[0].rpartition("/")[2] for method, target, _ in fake.calls if method == "DELETE"]


def test_the_share_of_pods_is_deleted_and_no_pod_of_a_neighbour(cluster):
    cluster.run("Deployment", "shop", "api", 10)
    other = dict(cluster.run("Deployment", "shop", "web", 4).pods)
    fault = Kubernetes().inject(order("pod-failure", share=0.3), lambda _: None)
    assert len(deletions(cluster)) == 3
    assert all(name.startswith("api-") for name in deletions(cluster))
    assert cluster.things[1].pods == other
    assert fault.victims() == {"pods": 10, "pods_hit": 3}
    assert fault.proof().in_effect


def test_the_same_seed_chooses_the_same_pods(cluster):
    chosen = []
    for _ in range(2):
        cluster.things.clear()
        cluster.calls.clear()
        thing = cluster.run("Deployment", "shop", "api", 0)
        thing.replicas = 8
        thing.pods.update({f"api-{at}": (f"uid-{at}", 0.0) for at in range(8)})
        Kubernetes().inject(order("pod-failure", share=0.5, seed=3), lambda _: None)
        chosen.append(deletions(cluster))
    assert chosen[0] == chosen[1]


def test_deleted_pods_are_over_when_as_many_are_ready_again(cluster):
    cluster.start_seconds = 0.5
    cluster.run("StatefulSet", "shop", "api", 3)
    fault = Kubernetes().inject(order("pod-failure", share=0.34, of="StatefulSet"), lambda _: None)
    fault.remove()
    assert fault.proof().in_effect
    assert fault.proof().seen == 2
    time.sleep(0.6)
    assert not fault.proof().in_effect


def test_a_cluster_that_deletes_nothing_is_seen(cluster):
    cluster.run("Deployment", "shop", "api", 2)
    cluster.settle = lambda thing, ready_at=None: None  # the controller is down, and the deletion has no effect:
    before = dict(cluster.things[0].pods)
    fault = Kubernetes().inject(order("pod-failure"), lambda _: None)
    cluster.things[0].pods.update(before)
    assert not fault.proof().in_effect


def test_the_grace_is_passed_on(cluster):
    cluster.run("Deployment", "shop", "api", 1)
    Kubernetes().inject(order("pod-failure", grace=30.0), lambda _: None)
    (said,) = [(target, body) for method, target, body in cluster.calls if method == "DELETE"]
    assert "gracePeriodSeconds=30" in said[0] or (said[1] or {}).get("gracePeriodSeconds") == 30


def test_replicas_change_and_come_back(cluster):
    thing = cluster.run("Deployment", "shop", "api", 5)
    undos: list[Undo] = []
    fault = Kubernetes().inject(order("scale", replicas=2.0), undos.extend)
    assert (thing.replicas, fault.proof().in_effect, fault.proof().seen) == (2, True, 2.0)
    fault.remove()
    assert (thing.replicas, fault.proof().in_effect) == (5, False)


def test_a_guardian_gives_replicas_back_with_credentials_that_it_reads_itself(cluster):
    thing = cluster.run("Deployment", "shop", "api", 5)
    undos: list[Undo] = []
    Kubernetes().inject(order("scale", replicas=0.0), undos.extend)
    assert TOKEN not in json.dumps([one.data for one in undos], default=dict)
    for _ in range(2):  # any number of times
        perform(undos[0].act, undos[0].data, None, "")
        assert thing.replicas == 5


def test_what_was_intended_came_before_what_was_done(cluster):
    thing = cluster.run("Deployment", "shop", "api", 5)
    seen = []
    Kubernetes().inject(order("scale", replicas=1.0), lambda undos: seen.append((thing.replicas, undos[0].act)))
    assert seen == [(5, "scale-back")]


def test_an_autoscaler_that_works_against_it_makes_it_not_in_effect(cluster):
    thing = cluster.run("Deployment", "shop", "api", 5)
    fault = Kubernetes().inject(order("scale", replicas=2.0), lambda _: None)
    thing.replicas = 4
    cluster.settle(thing)
    assert not fault.proof().in_effect


def test_refusals_say_what_the_cluster_said(cluster):
    with pytest.raises(NotFound, match='"api" not found'):
        Kubernetes().inject(order("scale", replicas=1.0), lambda _: None)
    cluster.run("Deployment", "shop", "api", 2)
    cluster.forbidden = True
    with pytest.raises(NotAllowed, match="the fake forbids it"):
        Kubernetes().inject(order("pod-failure"), lambda _: None)


def test_a_cluster_that_does_not_answer_is_said_so(tmp_path, monkeypatch):
    pytest.importorskip("lightkube")
    with fake_kubernetes() as fake:
        monkeypatch.setenv("KUBECONFIG", str(fake.kubeconfig(tmp_path)))
    with pytest.raises(SourceUnavailable, match="does not answer"):
        Kubernetes().inject(order("pod-failure"), lambda _: None)


def test_a_daemon_set_cannot_be_scaled(cluster):
    with pytest.raises(InvalidInput, match="a pod on each node"):
        Kubernetes().means(order("scale", replicas=1.0, of="DaemonSet"))


def test_a_context_that_is_not_there_is_said_so(cluster):
    moon = ClusterObject("shop", "Deployment", "api", "moon")
    workload = Workload("api", Position("catalog.yaml", 1, 1), cluster=moon)
    with pytest.raises(InvalidInput, match="moon"):
        Kubernetes().inject(Order("pod-failure", workload), lambda _: None)


def test_the_doctor_says_what_is_missing_without_asking_anybody(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    found = {one.kind: one for one in Kubernetes().abilities()}
    assert {one.state for one in found.values()} == {"unavailable"}
    assert found["scale"].healing is Healing.GUARDIAN
    assert "kube" in found["scale"].enable or "k8s" in found["scale"].enable
    assert Kubernetes().means(order("pod-failure")) is None
