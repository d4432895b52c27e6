"""The kernel leads one process's connections to a proxy: tried in a network of its own, with and without root."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edges.toy_dependency import ANSWER
from mainstay.adapters.faults.packets.mechanism import rehearsed

STORY = str(Path(__file__).with_name("redirect_story.py"))


@pytest.fixture(autouse=True, scope="module")
def able() -> None:
    lacks = "; ".join(f"{name}: {why}" for name, why in rehearsed().items() if why)
    if lacks:
        pytest.skip(f"this kernel cannot lead connections elsewhere: {lacks}")


def story(kind: str, **asked: Any) -> Any:
    settings = {name: asked.pop(name) for name in list(asked) if name not in ("share", "kill", "calls")}
    ended = subprocess.run([sys.executable, STORY, json.dumps({"kind": kind, "settings": settings, **asked})],
                           capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    well = [200, ANSWER.decode()]
    assert said["before"][:2] == well
    assert [one[:2] for one in said["bystander"]] == [well] * len(said["bystander"])
    assert [one[:2] for one in said["after"]] == [well] * 3
    assert said["same"]
    assert all(said["gone"])
    assert not said["proof after"]
    return said


def test_it_is_slow_for_the_workload_and_for_nobody_else():
    said = story("dependency-slow", latency=0.2)
    assert said["means"][:2] == ["proxy by redirect", "kernel-owned"]
    assert all(0.2 <= one[2] < 0.5 for one in said["during"])
    assert max(one[2] for one in said["bystander"]) < 0.2
    assert said["proof"][0]
    assert abs(said["proof"][1] - 0.2) < 0.05


def test_a_connection_that_was_kept_open_is_ended_once_so_that_the_next_goes_through_the_proxy():
    said = story("dependency-slow", latency=0.2)
    assert said["kept"][0] == 0


def test_it_cannot_be_reached():
    said = story("dependency-failure")
    assert [one[0] for one in said["during"]] == [0, 0, 0]
    assert said["proof"][0]


def test_it_answers_with_errors_for_a_share_of_the_requests():
    said = story("dependency-error", status=503.0, rate=0.5, calls=60)
    hit = sum(one[0] == 503 for one in said["during"])
    assert 12 <= hit <= 48
    assert said["proof"][0]


def test_its_answers_are_damaged():
    said = story("corrupt-data", rate=1.0, how="format")
    for one in said["during"]:
        assert one[0] == 200
        assert one[1] != ANSWER.decode()
    assert said["proof"][0]


def test_killing_all_that_holds_it_leaves_the_workload_as_it_was():
    said = story("dependency-failure", kill=True)
    assert said["proof"][0]
