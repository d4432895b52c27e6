"""Steps on Kubernetes, against a fake API server that speaks the real protocol; no cluster was ever touched."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_kubernetes import FakeKubernetes, Running, fake_kubernetes
from mainstay.adapters.actuators import HostActuator
from mainstay.adapters.clock import SystemClock
from mainstay.kernel.actuation import Ending, Kubernetes, Outcome
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import InvalidInput, NotAllowed, NotFound, SourceUnavailable
from mainstay.runbook.operations.watching import Watching
from runbook.books import findings, run, states, undos, world

API = "deployment/api"


class Cluster:
    """The fake, and what acts on it."""

    def __init__(self, fake: FakeKubernetes, config: Path) -> None:
        self.fake = fake
        self.host = HostActuator(Catalog(), SystemClock(), {"KUBECONFIG": str(config)})

    def do(self, verb: str, thing: str = API, replicas: str = "", seconds: float = 20.0) -> Outcome:
        self.watch = Watching(seconds, SystemClock())
        return self.host.carry_out(Kubernetes(verb, thing, "shop", replicas), self.watch)

    @property
    def changes(self) -> list[str]:
        return [target for method, target, _ in self.fake.calls if method != "GET"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    pytest.importorskip("lightkube")
    with fake_kubernetes() as fake:
        fake.start_seconds = 0.05
        yield Cluster(fake, fake.kubeconfig(tmp_path))


def image(thing: Running) -> str:
    return str(thing.template["spec"]["containers"][0]["image"])


# -- scaling ---------------------------------------------------------------------------------------------------------


def test_scaling_is_over_when_the_new_pods_take_part_and_knows_how_many_there_were(cluster: Cluster):
    cluster.fake.start_seconds = 1.0
    thing = cluster.fake.run("Deployment", "shop", "api", 3)
    act = Kubernetes("scale", API, "shop", "5")
    before = cluster.host.prepare(act)
    assert (before.undo, before.note) == (Kubernetes("scale", API, "shop", "3"), "3 replicas")
    done = cluster.do("scale", replicas="5")
    assert (done.ending, done.output, thing.replicas) == (Ending.SUCCEEDED, "5 of 5 take part", 5)
    assert "3 of 5 take part" in cluster.watch.taken()
    assert before.undo is not None
    assert cluster.host.carry_out(before.undo, cluster.watch).ending is Ending.SUCCEEDED
    assert (thing.replicas, len(thing.pods)) == (3, 3)


def test_to_nothing_is_a_number_of_replicas_too(cluster: Cluster):
    thing = cluster.fake.run("StatefulSet", "shop", "db", 2)
    assert cluster.do("scale", "statefulset/db", "0").ending is Ending.SUCCEEDED
    assert thing.pods == {}


@pytest.mark.parametrize("replicas", ["-1", "three", "2.5", "", "\u0663"])
def test_what_is_no_number_of_replicas_changes_nothing(cluster: Cluster, replicas: str):
    cluster.fake.run("Deployment", "shop", "api", 3)
    done = cluster.do("scale", replicas=replicas)
    assert (done.ending, "no number of replicas" in done.error) == (Ending.FAILED, True)
    assert cluster.changes == []


def test_counting_answers_with_the_number_alone(cluster: Cluster):
    cluster.fake.run("Deployment", "shop", "api", 7)
    done = cluster.do("count")
    assert (done.ending, done.output, cluster.changes) == (Ending.SUCCEEDED, "7", [])
    assert cluster.host.prepare(Kubernetes("count", API, "shop")).undo is None


# -- restarting and rolling back -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_restart_replaces_every_pod_and_keeps_what_the_library_does_not_know(cluster: Cluster, kind: str):
    thing = cluster.fake.run(kind, "shop", "api", 3)
    before = set(thing.pods)
    assert cluster.do("restart", f"{kind.lower()}/api").ending is Ending.SUCCEEDED
    assert (len(thing.pods), set(thing.pods) & before) == (3, set())
    assert thing.template["spec"]["containers"][0]["fieldOfTomorrow"] == {"kept": True}
    assert "kubectl.kubernetes.io/restartedAt" in thing.template["metadata"]["annotations"]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_undoing_a_rollout_brings_back_the_revision_before_whole(cluster: Cluster, kind: str):
    thing = cluster.fake.run(kind, "shop", "api", 2)
    first = thing.template
    cluster.fake.deploy(thing, "shop:2")
    act = Kubernetes("rollout-undo", f"{kind.lower()}/api", "shop")
    assert cluster.host.prepare(act).note == "revision 2 → 1"
    done = cluster.do("rollout-undo", act.object)
    assert (done.ending, thing.template) == (Ending.SUCCEEDED, first), "no mark of the controller is left in it"
    assert "revision 2 → 1" in cluster.watch.taken()
    assert cluster.do("rollout-undo", act.object).ending is Ending.SUCCEEDED
    assert image(thing) == "shop:2", "undone twice is as before, as with kubectl"


def test_without_an_earlier_revision_nothing_can_be_undone(cluster: Cluster):
    thing = cluster.fake.run("Deployment", "shop", "api", 2)
    with pytest.raises(NotFound, match="keeps no revision of Deployment shop/api before 1"):
        cluster.host.prepare(Kubernetes("rollout-undo", API, "shop"))
    thing.revisions = {5: thing.template}
    assert "before 5" in cluster.do("rollout-undo").error
    assert cluster.changes == []


@pytest.mark.parametrize("verb", ["restart", "rollout-undo"])
def test_a_paused_rollout_is_left_alone(cluster: Cluster, verb: str):
    thing = cluster.fake.run("Deployment", "shop", "api", 2)
    cluster.fake.deploy(thing, "shop:2")
    thing.paused = True
    assert "paused" in cluster.do(verb).error
    with pytest.raises(InvalidInput, match="paused"):
        cluster.host.prepare(Kubernetes(verb, API, "shop"))
    assert cluster.changes == []


# -- what goes wrong -----------------------------------------------------------------------------------------------


def test_an_undo_looks_anew_at_what_somebody_changed_meanwhile(cluster: Cluster):
    thing = cluster.fake.run("Deployment", "shop", "api", 2)
    cluster.fake.deploy(thing, "shop:2")
    cluster.fake.overtaken = [lambda: cluster.fake.deploy(thing, "shop:3")]
    assert cluster.do("rollout-undo").ending is Ending.SUCCEEDED
    assert image(thing) == "shop:2", "the revision before the one that is there by then"
    assert len(cluster.changes) == 2


def test_one_that_is_overtaken_every_time_gives_up_and_has_changed_nothing(cluster: Cluster):
    thing = cluster.fake.run("Deployment", "shop", "api", 2)
    cluster.fake.deploy(thing, "shop:2")
    cluster.fake.overtaken = [lambda at=at: cluster.fake.deploy(thing, f"shop:{at}") for at in range(3, 20)]
    done = cluster.do("rollout-undo")
    assert (done.ending, len(cluster.changes)) == (Ending.FAILED, 5)
    assert "the cluster answered 409" in done.error
    assert image(thing) == "shop:7"


def test_a_rollout_that_does_not_finish_in_time_has_timed_out_and_says_how_far_it_is(cluster: Cluster):
    cluster.fake.run("Deployment", "shop", "api", 3)
    cluster.fake.start_seconds = math.inf
    done = cluster.do("restart", seconds=4.0)
    assert done.ending is Ending.TIMED_OUT
    assert done.error == "its time was over (0 of 3 take part); the cluster goes on with it"


def test_one_that_is_cancelled_ends_at_once(cluster: Cluster):
    cluster.fake.run("Deployment", "shop", "api", 3)
    cluster.fake.start_seconds = math.inf
    watch = Watching(60.0, SystemClock())
    watch.cancel()
    done = cluster.host.carry_out(Kubernetes("restart", API, "shop"), watch)
    assert (done.ending, "it was cancelled" in done.error) == (Ending.CANCELLED, True)


def test_a_rollout_that_the_cluster_gave_up_has_failed(cluster: Cluster):
    thing = cluster.fake.run("Deployment", "shop", "api", 3)
    cluster.fake.start_seconds = math.inf
    thing.gave_up = True
    done = cluster.do("restart")
    assert (done.ending, done.error) == (
        Ending.FAILED, 'the cluster gave up: ReplicaSet "api-2" has timed out progressing.')


def test_a_cluster_that_stumbles_while_it_is_waited_for_is_asked_again(cluster: Cluster):
    thing = cluster.fake.run("Deployment", "shop", "api", 3)
    cluster.fake.start_seconds = 0.8
    settle = cluster.fake.settle

    def settled(thing: Running, ready_at: float | None = None) -> None:
        settle(thing, ready_at)
        cluster.fake.broken = 2

    cluster.fake.settle = settled  # type: ignore[method-assign]
    assert cluster.do("scale", replicas="4").ending is Ending.SUCCEEDED
    assert (thing.replicas, cluster.fake.broken) == (4, 0)
    assert "answered 500" in cluster.watch.taken()


def test_refusals_say_what_the_cluster_said(cluster: Cluster):
    for verb in ("scale", "restart", "rollout-undo"):
        with pytest.raises(NotFound, match='"api" not found'):
            cluster.host.prepare(Kubernetes(verb, API, "shop", "1"))
        assert '"api" not found' in cluster.do(verb, replicas="1").error
    thing = cluster.fake.run("Deployment", "shop", "api", 2)
    cluster.fake.deploy(thing, "shop:2")
    cluster.fake.forbidden = True
    for verb in ("scale", "restart", "rollout-undo"):
        assert "403: the fake forbids it" in cluster.do(verb, replicas="1").error
    assert (thing.replicas, image(thing)) == (2, "shop:2")


def test_a_token_that_is_not_taken_and_a_cluster_that_is_away_are_said(tmp_path: Path):
    pytest.importorskip("lightkube")
    with fake_kubernetes() as fake:
        config = fake.kubeconfig(tmp_path)
        fake.run("Deployment", "shop", "api", 2)
        known = config.read_text()
        config.write_text(known.replace("a-token", "no-token"))
        with pytest.raises(NotAllowed, match="401"):
            Cluster(fake, config).host.prepare(Kubernetes("restart", API, "shop"))
        config.write_text(known)
    away = Cluster(fake, config)
    with pytest.raises(SourceUnavailable, match="does not answer"):
        away.host.prepare(Kubernetes("scale", API, "shop", "1"))
    assert "does not answer" in away.do("scale", replicas="1").error


@pytest.mark.parametrize(("thing", "namespace"), [
    ("deployment/../../../api/v1/namespaces/shop/pods", "shop"), ("deployment/api?x=1", "shop"), ("pod/api", "shop"),
    ("deployment/api", "../kube-system"), ("deployment/api", "shop/x"), ("deployment/--help", "shop"), ("", "shop"),
    ("deployment/api\n", "shop"), ("deployment/$(reboot)", "shop")])
def test_what_is_no_name_never_becomes_part_of_an_address(cluster: Cluster, thing: str, namespace: str):
    act = Kubernetes("scale", thing, namespace, "0")
    with pytest.raises(InvalidInput):
        cluster.host.prepare(act)
    assert cluster.host.carry_out(act, Watching(5.0, SystemClock())).ending is Ending.FAILED
    assert cluster.fake.calls == []


def test_the_namespace_of_the_context_is_meant_where_none_is_named(tmp_path: Path):
    pytest.importorskip("lightkube")
    with fake_kubernetes() as fake:
        config = fake.kubeconfig(tmp_path)
        config.write_text(config.read_text().replace('"cluster": "fake", "user"',
                                                     '"cluster": "fake", "namespace": "market", "user"'))
        fake.run("Deployment", "market", "api", 4)
        assert Cluster(fake, config).host.prepare(Kubernetes("count", API)).note == "4 replicas"


# -- in a runbook --------------------------------------------------------------------------------------------------


def test_a_step_that_fails_takes_the_replicas_back_to_what_they_were(cluster: Cluster):
    thing = cluster.fake.run("Deployment", "shop", "api", 3)
    made = world("""\
  steps:
    - {name: more, kubernetes: {do: scale, object: deployment/api, namespace: shop, replicas: 6}}
    - {name: other, kubernetes: {do: restart, object: deployment/gone, namespace: shop}, irreversible: pods are new}
""", cluster.host)
    one = run(made)
    assert (str(one.state), states(one), undos(one)) == (
        "failed", {"more": "succeeded", "other": "failed"}, {"more": "undone"})
    assert thing.replicas == 3


@pytest.mark.parametrize(("verb", "thing"), [("restart", "replicaset/x"), ("rollout-undo", "replicaset/x"),
                                             ("scale", "daemonset/x"), ("count", "daemonset/x"), ("scale", "pod/x"),
                                             ("delete", "deployment/x")])
def test_what_a_kind_cannot_do_is_found_before_it_is_run(verb: str, thing: str):
    more = ", replicas: 2" if verb == "scale" else ""
    (found,) = findings(f"  steps: [{{name: a, kubernetes: {{do: {verb}, object: {thing}{more}}}, irreversible: x}}]\n")
    assert found.where.line == 5
