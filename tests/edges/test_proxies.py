"""A proxy between a workload and a dependency where the workload calls it already, or is told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edges.toy_dependency import ANSWER, CATALOG, callers, dependency, routed, upstream
from mainstay.adapters.faults.edges.mechanism import ByListening, ByRouting
from mainstay.adapters.faults.injector import HostInjector
from mainstay.adapters.faults.processes import gone, process_of
from mainstay.adapters.faults.undo import perform
from mainstay.adapters.proxy import Proxy, ProxyProcess
from mainstay.kernel.errors import InvalidInput, SourceUnavailable
from mainstay.kernel.faults import Healing, Order, Undo
from mainstay.kernel.finding import Position
from mainstay.kernel.workload import At, Call, Dependency, Workload
from proxy.lines import nobody
from running_shop import eventually

KINDS = [("dependency-failure", {}, 1.0), ("dependency-slow", {"latency": 0.15}, 1.0),
         ("dependency-slow", {"latency": 0.1, "jitter": 0.05}, 1.0),
         ("dependency-error", {"status": 500.0, "rate": 1.0}, 1.0),
         ("dependency-error", {"status": 503.0, "rate": 0.4}, 1.0), ("dependency-reset", {}, 1.0),
         ("dependency-failure", {}, 0.3), ("corrupt-data", {"rate": 1.0, "how": "format"}, 1.0),
         ("corrupt-data", {"rate": 1.0, "how": "schema"}, 1.0), ("bandwidth-limit", {"rate": 30_000.0}, 1.0),
         ("network-partition", {"direction": "both"}, 1.0), ("connection-reset", {}, 1.0),
         ("network-latency", {"latency": 0.15}, 0.5)]


def order(workload: Workload, direct: str, kind: str, share: float = 1.0, **settings: float | str) -> Order:
    return Order(kind, workload, "dependency", settings, share, seed=5, upstream=upstream(direct))


def listening(listen: str) -> Workload:
    return Workload("caller", CATALOG, dependencies=(Dependency("dependency", CATALOG, listen=listen),))


@pytest.mark.parametrize(("kind", "settings", "share"), KINDS)
def test_each_kind_is_proven_in_and_proven_out(kind: str, settings: dict[str, float | str], share: float):
    listen, undos = nobody(), list[Undo]()
    with dependency() as direct:
        fault = ByListening().inject(order(listening(listen), direct, kind, share, **settings), undos.extend)
        try:
            proof = fault.proof()
            assert proof.in_effect, proof
        finally:
            fault.remove()
        assert not fault.proof().in_effect
        assert fault.victims()["connections_hit"] > 0
        assert gone(process_of(undos[0].data), 60)


@pytest.mark.parametrize("kind", ["dependency-slow", "corrupt-data", "dependency-error", "dependency-failure"])
def test_a_proxy_that_does_nothing_is_seen(kind: str):
    listen = nobody()
    host, port = listen.split(":")
    settings = {"latency": 0.2} if kind == "dependency-slow" else {}
    with dependency() as direct, ProxyProcess() as idle:
        fault = ByListening().inject(order(listening(listen), direct, kind, **settings), lambda _: None)
        fault._ending[0]()  # the sabotage: in its place stands a proxy that passes everything on
        idle.open(Proxy("idle", f"{host}:{port}", direct))
        assert not fault.proof().in_effect
        fault.remove()


def test_where_a_proxy_stands_already_it_gets_a_toxic_and_loses_it_again():
    with dependency() as direct, ProxyProcess() as standing:
        listen = standing.open(Proxy("of-the-house", "127.0.0.1:0", direct))
        undos: list[Undo] = []
        fault = ByListening().inject(order(listening(listen), direct, "dependency-slow", latency=0.15), undos.extend)
        assert fault.means.healing is Healing.GUARDIAN
        assert fault.proof().in_effect
        for _ in range(2):
            perform(undos[0].act, undos[0].data, None, "")
        assert standing.proxies()["of-the-house"][1] == ()
        assert not fault.proof().in_effect
        fault.remove()


def test_a_standing_proxy_that_is_gone_took_its_toxics_along():
    with dependency() as direct, ProxyProcess() as standing:
        listen = standing.open(Proxy("of-the-house", "127.0.0.1:0", direct))
        undos: list[Undo] = []
        ByListening().inject(order(listening(listen), direct, "dependency-failure"), undos.extend)
    perform(undos[0].act, undos[0].data, None, "")


def test_a_stranger_at_the_address_is_not_taken_for_a_proxy():
    script = ("import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
              "print(s.getsockname()[1], flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as stranger, dependency() as direct:
        port = stranger.stdout.readline().strip()  # type: ignore[union-attr]
        with pytest.raises(InvalidInput, match="who is no proxy"):
            ByListening().means(order(listening(f"127.0.0.1:{port}"), direct, "dependency-failure"))
        stranger.stdin.close()  # type: ignore[union-attr]


def calling(own: str, secret_file: str, pid: int | None = None) -> Workload:
    """Not with the pid of this process: the proxy is among its children, and what the proxy opens would be its own."""
    route = Call("POST", "http://{address}/route", '{"dependency": "{to}"}', '{"dependency": ""}',
                 {"content-type": "application/json"}, {"x-secret": At(file=secret_file)})
    return Workload("caller", Position(os.path.dirname(secret_file) + "/catalog.yaml", 1, 1),
                    pid=At() if pid is None else At(str(pid)), address=At(own),
                    dependencies=(Dependency("dependency", CATALOG, route=route),))


def test_a_workload_is_told_to_call_a_proxy_and_told_back(tmp_path):
    (tmp_path / "secret").write_text("let-me\n")
    with dependency() as direct, routed(direct, "let-me") as (workload, own):
        undos: list[Undo] = []
        wanted = order(calling(own, str(tmp_path / "secret")), direct, "dependency-error", status=503.0, rate=1.0)
        fault = ByRouting().inject(wanted, undos.extend)
        assert workload.call()[0] == 503
        assert fault.proof().in_effect
        fault.remove()
        assert workload.call() == (200, ANSWER.decode())
        assert not fault.proof().in_effect
        assert workload.told[-1] == direct
        assert all(gone(process_of(one.data), 60) for one in undos if one.act == "end-holder")


def test_any_process_can_tell_it_back_and_the_secret_is_written_down_nowhere(tmp_path):
    (tmp_path / "secret").write_text("let-me")
    with dependency() as direct, routed(direct, "let-me") as (workload, own):
        undos: list[Undo] = []
        fault = ByRouting().inject(order(calling(own, str(tmp_path / "secret")), direct, "dependency-failure"),
                                   undos.extend)
        assert workload.call()[0] == 0
        assert "let-me" not in json.dumps([dict(one.data) for one in undos], default=dict)
        (back,) = [one for one in undos if one.act == "http"]
        for _ in range(2):
            perform(back.act, back.data, None, "")
        assert workload.call() == (200, ANSWER.decode())
        fault.remove()


def test_what_takes_it_back_is_durable_before_the_workload_is_told(tmp_path):
    (tmp_path / "secret").write_text("let-me")
    with dependency() as direct, routed(direct, "let-me") as (workload, own):
        told: list[tuple[str, int]] = []
        fault = ByRouting().inject(order(calling(own, str(tmp_path / "secret")), direct, "dependency-failure"),
                                   lambda undos: told.extend((one.act, len(workload.told)) for one in undos))
        fault.remove()
        assert ("http", 0) in told


def test_a_guardian_tells_it_back_when_the_run_is_killed(tmp_path):
    (tmp_path / "secret").write_text("let-me")
    with dependency() as direct, routed(direct, "let-me") as (workload, own):
        said = json.dumps({"folder": str(tmp_path), "own": own, "direct": direct})
        with subprocess.Popen([sys.executable, str(Path(__file__).with_name("killed_route.py")), said],
                              stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            assert run.stdout.readline() == "in\n"
            assert workload.call()[0] == 0
            run.kill()
        eventually(lambda: workload.now == direct)
        assert workload.call() == (200, ANSWER.decode())
        assert HostInjector(tmp_path / "state", ()).recover() == ()


def test_a_workload_that_goes_past_the_proxy_makes_it_not_in_effect(tmp_path):
    (tmp_path / "secret").write_text("let-me")
    with dependency() as direct, routed(direct, "let-me") as (_, own), callers(direct) as (caller,):
        workload = calling(own, str(tmp_path / "secret"), caller.pid)
        fault = ByRouting().inject(order(workload, direct, "dependency-slow", latency=0.1), lambda _: None)
        try:
            assert fault.proof().in_effect
            assert caller.call()[0] == 200  # and keeps its connection
            proof = fault.proof()
        finally:
            fault.remove()
    assert not proof.in_effect
    assert "go past the proxy" in proof.note


def test_a_workload_that_does_not_take_it_leaves_no_proxy_behind(tmp_path):
    (tmp_path / "secret").write_text("wrong")
    with dependency() as direct, routed(direct, "let-me") as (_, own):
        undos: list[Undo] = []
        with pytest.raises(SourceUnavailable, match="answered 403"):
            ByRouting().inject(order(calling(own, str(tmp_path / "secret")), direct, "dependency-failure"),
                               undos.extend)
        assert all(gone(process_of(one.data), 60) for one in undos if one.act == "end-holder")


def test_a_secret_in_the_catalog_itself_is_refused(tmp_path):
    route = Call("POST", "http://127.0.0.1:1/", "{to}", "{}", {}, {"x-secret": At("let-me")})
    workload = Workload("caller", CATALOG, dependencies=(Dependency("dependency", CATALOG, route=route),))
    with pytest.raises(InvalidInput, match="stands in the catalog"):
        ByRouting().means(order(workload, "127.0.0.1:1", "dependency-failure"))


def test_without_the_dependency_s_own_workload_nobody_knows_where_it_is():
    workload = listening(nobody())
    with pytest.raises(InvalidInput, match="nothing says where dependency"):
        ByListening().means(Order("dependency-failure", workload, "dependency"))
