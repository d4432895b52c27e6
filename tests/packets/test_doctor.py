"""What the doctor says of networks: by trying in a network of its own, with reasons, changing nothing."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mainstay.adapters.faults.network import network_mechanisms
from mainstay.chaos.kinds import KINDS, kind_named
from mainstay.kernel.faults import Order
from mainstay.kernel.finding import Position
from mainstay.kernel.workload import At, Workload
from packets.town import lacking

_SOURCES = str(Path(__file__).parents[2] / "src")
_ANYBODY_S = """
import sys
sys.path.insert(0, sys.argv[1])
from mainstay.adapters.faults.packets import nftables, rehearsal
print(nftables.forbidden(), flush=True)
rehearsal.main()
"""


def test_every_kind_of_networks_dependencies_and_clusters_has_somebody_who_says_whether_it_can():
    known = {ability.kind for one in network_mechanisms() for ability in one.abilities()}
    assert known == {kind.name for kind in KINDS if kind.group in ("network", "dependency", "cluster")}


def test_what_cannot_be_says_why_and_what_would_help():
    for ability in (ability for one in network_mechanisms() for ability in one.abilities()):
        kind_named(ability.kind)
        assert ability.state in ("real", "unavailable")
        assert bool(ability.why) == bool(ability.enable) == (ability.state == "unavailable")


def test_without_root_this_network_is_out_of_reach_and_one_of_its_own_is_not():
    if os.geteuid():
        pytest.skip("needs root, to give it up")
    if lacking():
        pytest.skip("this kernel cannot do this with packets")
    said = subprocess.run([_python_of_everybody(), "-I", "-S", "-c", _ANYBODY_S, _SOURCES], capture_output=True,
                          text=True, timeout=30, check=False, cwd="/", user=65534, group=65534, extra_groups=())
    assert said.returncode == 0, said.stderr
    may, lacks = said.stdout.splitlines()
    assert may == "Operation not permitted"
    assert {why for name, why in json.loads(lacks).items() if name not in ("htb", "netem")} == {""}


def _python_of_everybody() -> str:
    """A Python that another user can start; root's own often stands in root's folder."""
    for program in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            said = subprocess.run([program, "-c", "import sys; print(sys.version_info >= (3, 11))"], user=65534,
                                  capture_output=True, text=True, check=False, cwd="/")
            if said.stdout.strip() == "True":
                return program
    pytest.skip("no Python 3.11 here that another user may start")


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_an_order_of_somebody_else_s_is_left_to_them(kind: str):
    workload = Workload("batch", Position("catalog.yaml", 1, 1), pid=At(str(os.getpid())))
    able = [one for one in network_mechanisms() if one.means(Order(kind, workload)) is not None]
    assert not able or kind == "dns-failure"
