"""The resilience tester as its users run it: on a bare Python where nothing is touched, and for real on the shop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainstay.chaos.kinds import KINDS
from running_shop import EXAMPLES, RunningShop, running_shop

SCRIPT = Path(__file__).parents[2] / "scripts" / "test_resilience.py"
OF_THE_PACK = ("network-partition", "network-latency", "packet-loss", "cpu-stress", "memory-stress", "disk-full",
               "pod-failure", "process-kill", "dependency-failure", "dependency-slow", "clock-skew")


def bare(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """On a Python without site packages and environment."""
    done = subprocess.run([sys.executable, "-I", "-S", str(SCRIPT), *arguments], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_every_experiment_of_the_pack_is_listed_on_a_bare_python() -> None:
    found = json.loads(bare("--list-experiments", "--json").stdout)["experiments"]
    assert [one["name"] for one in found] == [kind.name for kind in KINDS]
    assert set(OF_THE_PACK) <= {one["name"] for one in found}
    text = bare("--list-experiments").stdout
    assert "network-latency     Packets take longer (latency 100 ms, jitter 20 ms)" in text


@pytest.mark.parametrize("name", OF_THE_PACK)
def test_a_dry_run_says_what_would_be_done_on_a_bare_python(name: str) -> None:
    found = json.loads(bare("--experiment", name, "--target", "api", "--duration", "30", "--dry-run", "--json").stdout)
    assert (found["dry_run"], found["name"], found["target"], found["duration_seconds"]) == (True, name, "api", 30)


def test_the_examples_of_the_pack_are_in_the_help() -> None:
    text = bare("--help").stdout
    for line in ("--list-experiments", "--experiment network-partition --target api --duration 300",
                 "--test-circuit-breaker --service api --dependency auth",
                 "--test-degradation --service api --dependency cache", "--experiment pod-failure --dry-run"):
        assert f"test_resilience.py {line}" in text


def test_other_names_for_a_fault_are_taken() -> None:
    assert json.loads(bare("--experiment", "kill_pod", "--dry-run", "--json").stdout)["name"] == "pod-failure"


@pytest.mark.parametrize(("arguments", "said"), [
    ((), "nothing was asked"), (("--list-experiments", "--test-degradation"), "one question at a time"),
    (("--experiment", "pod-fialure", "--dry-run"), 'did you mean "pod-failure"?'),
    (("--experiment", "cpu-stress", "-c", "x"), "--target is missing"),
    (("--experiment", "cpu-stress", "--target", "api"), "is not installed"),
    (("--test-circuit-breaker", "--service", "api"), "--dependency is missing"),
    (("--experiment", "cpu-stress", "--duration", "0", "--dry-run"), "is not above zero"),
    (("--experiment", "cpu-stress", "--duration", "nan", "--dry-run"), "--duration nan is not above zero"),
    (("--experiment", "cpu-stress", "--duration", "1e300", "--dry-run"), "a year at most"),
    (("--experiment", "cpu-stress", "--share", "200%", "--dry-run"), "is no share"),
    (("--experiment", "cpu-stress", "--duration", "soon"), "invalid float value")])
def test_what_cannot_be_used_ends_with_2_and_says_what_to_do(arguments: tuple[str, ...], said: str) -> None:
    done = bare(*arguments, code=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_duration_that_was_said_is_kept_whatever_it_is() -> None:
    asked = ("--test-circuit-breaker", "--service", "api", "--dependency", "auth", "--dry-run")
    assert "with errors for 15 s" in installed(*asked)
    assert "with errors for 1 m" in installed(*asked, "--duration", "60")


def installed(*arguments: str) -> str:
    """What it says with Mainstay installed, where nothing is touched."""
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=60,
                          check=True)
    return done.stdout


# -- for real, on the shop ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    with running_shop(tmp_path_factory.mktemp("resilience") / "shop") as shop:
        folder = shop.folder / "catalog"
        folder.mkdir()
        for file in (EXAMPLES / "08-chaos" / "catalog").glob("*.yaml"):
            (folder / file.name).write_text(file.read_text().replace("../../../var/shop", "..").replace(
                "../../shop", str(EXAMPLES / "shop")))
        yield shop
        # A part that was started again is no child of the shop's own supervisor any more.
        shop.run("down")


def real(shop: RunningShop, *arguments: str) -> tuple[int, dict[str, Any]]:
    """With Mainstay installed, on the catalog of the shop; skipped where this host cannot put the fault in."""
    state = shop.folder.parent / "state"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "-c", str(shop.folder / "catalog"), "--json", *arguments], capture_output=True,
        text=True, timeout=120, check=False,
        env={**os.environ, "MAINSTAY_STATE": str(state),
             "MAINSTAY_STORE": f"sqlite:///{shop.folder.parent}/mainstay.db"})
    if "cannot be put in here" in done.stdout + done.stderr:
        pytest.skip("this host cannot put the fault in")
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


def test_an_experiment_runs_and_proves_its_fault_in_and_out(shop: RunningShop) -> None:
    code, plan = real(shop, "--experiment", "process-pause", "--target", "cache", "--duration", "2", "--dry-run")
    assert (code, plan["refusals"]) == (0, [])
    code, found = real(shop, "--experiment", "process-pause", "--target", "cache", "--duration", "2")
    assert (code, found["status"]) == (0, "passed"), found
    assert found["faults"][0]["proof"]["in_effect"]
    assert found["faults"][0]["removed"]


@pytest.mark.parametrize("name", ["process-kill", "clock-skew", "network-partition"])
def test_what_takes_a_part_of_the_shop_away_leaves_whoever_calls_it_well(shop: RunningShop, name: str) -> None:
    """Each part is asked at its own address: of web it says nothing that api does not answer."""
    code, found = real(shop, "--experiment", name, "--target", "api", "--duration", "2")
    assert (code, found["status"]) == (0, "passed"), found
    during = found["figures"]["web is well"]["during"]
    assert (during["answers"] > 3, during["misses"]) == (True, 0), found["figures"]


def test_the_breaker_of_the_shop_is_seen_to_open_and_close_from_outside(shop: RunningShop) -> None:
    code, found = real(shop, "--test-circuit-breaker", "--service", "api", "--dependency", "auth", "--duration", "6")
    assert (code, found["works"], found["affected"], found["unaffected"]) == (0, True, ["login"], ["browse"]), found
    assert 3 <= found["seen"]["calls_until_open"] <= 40
    assert found["seen"]["reached"] < found["seen"]["sent"] / 2
    assert found["seen"]["refused_within"] < 0.5


def test_a_dependency_that_is_clear_needs_no_name_and_one_that_is_not_does(shop: RunningShop) -> None:
    _, plan = real(shop, "--experiment", "dependency-slow", "--target", "web", "--dry-run")
    assert plan["faults"][0]["dependency"] == "api"
    done = subprocess.run([sys.executable, str(SCRIPT), "-c", str(shop.folder / "catalog"), "--experiment",
                           "dependency-slow", "--target", "api"], capture_output=True, text=True, check=False,
                          timeout=60)
    assert done.returncode == 2
    assert "write --dependency and one of auth, cache, orders" in done.stderr
