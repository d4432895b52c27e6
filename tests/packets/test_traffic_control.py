"""The kernel's own traffic control, for hosts without queues for programs: one port is shaped, the rest passes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from mainstay.adapters.faults.packets.mechanism import rehearsed
from packets.town import HERE
from programs import need


def story(kind: str, needs: tuple[str, ...], **settings: float) -> Any:
    need("tc")
    lacks = "; ".join(f"{name}: {rehearsed()[name]}" for name in needs if rehearsed()[name])
    if lacks:
        pytest.skip(f"this kernel's traffic control lacks {lacks}")
    ended = subprocess.run([sys.executable, str(HERE / "shaped_story.py"), kind, json.dumps(settings)],
                           capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert (said["proof"], said["proof after"], said["same"]) == (True, False, True)
    assert said["bystander"]["wrong"] == 0
    assert said["healing"] == "guardian"
    assert said["victims"]["packets_hit"] > 0
    return said


def test_what_leaves_a_port_is_limited_and_the_act_of_guardians_takes_it_out():
    assert abs(story("bandwidth-limit", ("htb",), rate=1_000_000.0)["rate"] / 1_000_000 - 1) <= 0.08


def test_what_leaves_a_port_is_late():
    trips = story("network-latency", ("htb", "netem"), latency=0.05, jitter=0.0)["trips"]
    assert abs(sorted(trips)[10] - 0.05) <= 0.005


def test_what_leaves_a_port_is_lost():
    assert story("packet-loss", ("htb", "netem"), loss=1.0)["trips"] == [None] * 20
