"""Presets at work: replicas are really counted, doubled and set by commands, and a process is really restarted."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fake_kubernetes import fake_kubernetes
from mainstay.adapters.actuators import HostActuator
from mainstay.kernel.actuation import Act, Ending, Metric, Outcome, Prepared, Watch
from mainstay.kernel.catalog import Catalog
from runbook.worlds import MINUTE, SECOND, Place

SET = "import pathlib, sys\npathlib.Path(sys.argv[1]).write_text(sys.argv[2])\n"


class _Measured:
    """This host, where a query alone answers what the test says."""

    def __init__(self, host: HostActuator, value: list[float]) -> None:
        self._host, self._value = host, value

    def secret(self, env: str, file: str) -> str:
        return self._host.secret(env, file)

    def prepare(self, act: Act) -> Prepared:
        return self._host.prepare(act)

    def carry_out(self, act: Act, watch: Watch) -> Outcome:
        if not isinstance(act, Metric):
            return self._host.carry_out(act, watch)
        [value] = self._value
        holds = value > act.threshold if act.operator == ">" else value < act.threshold
        return Outcome(Ending.SUCCEEDED if holds else Ending.FAILED, f"{value:g}", error="" if holds else "no")


def _scaler(folder: Path) -> str:
    (folder / "set.py").write_text(SET)
    (folder / "replicas").write_text("3")
    return f"""\
apiVersion: mainstay/v1
kind: Remediation
metadata: {{name: scale, service: shop}}
spec:
  preset: auto-scaler
  with:
    count: [cat, {folder}/replicas]
    set: [{sys.executable}, {folder}/set.py, {folder}/replicas]
    promql: cpu
    above: 80
    most: 10
    least: 2
  mode: act
  verify: {{within: 10m, for: 30s}}
"""


@pytest.fixture
def load() -> list[float]:
    return [60.0]


@pytest.fixture
def place(tmp_path: Path, load: list[float], monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(_scaler(tmp_path), folder=tmp_path)
    actuator = _Measured(HostActuator(Catalog(), made.clock, os.environ), load)
    object.__setattr__(made.world, "actuator", lambda: actuator)
    return made


def test_the_auto_scaler_doubles_until_the_ceiling_and_halves_until_the_floor(
        place: Place, load: list[float], tmp_path: Path) -> None:
    replicas = tmp_path / "replicas"
    place.passes(2 * MINUTE, 20 * SECOND)
    assert (replicas.read_text(), place.remedies()) == ("3", [])
    load[0] = 95
    place.passes(MINUTE, 20 * SECOND)
    assert replicas.read_text() == "6"
    load[0] = 60
    place.passes(2 * MINUTE, 20 * SECOND)
    assert place.remedies()[-1] == "verified"
    load[0] = 95
    place.passes(6 * MINUTE, 20 * SECOND)
    assert replicas.read_text() == "10", "not twelve: ten is the most"
    load[0] = 60
    place.passes(2 * MINUTE, 20 * SECOND)
    load[0] = 20
    place.passes(MINUTE, 20 * SECOND)
    assert replicas.read_text() == "5"
    place.passes(13 * MINUTE, 20 * SECOND)
    assert replicas.read_text() == "2"
    before = len(place.facts("runbook.step-started", step="scale"))
    place.passes(30 * MINUTE, 60 * SECOND)
    assert len(place.facts("runbook.step-started", step="scale")) == before, "at the floor nothing is set"
    assert not place.remedies("escalated"), "and nobody is told that there is little load"


def test_the_auto_scaler_counts_and_scales_a_deployment_by_the_api_of_kubernetes(
        load: list[float], tmp_path: Path) -> None:
    pytest.importorskip("lightkube")
    with fake_kubernetes() as fake:
        fake.start_seconds = 0.0
        thing = fake.run("Deployment", "market", "api", 3)
        made = Place("""\
apiVersion: mainstay/v1
kind: Remediation
metadata: {name: scale, service: shop}
spec:
  preset: auto-scaler
  with: {deployment: api, namespace: market, promql: cpu, above: 80, most: 10, least: 2}
  mode: act
  verify: {within: 10m, for: 30s}
""", folder=tmp_path)
        host = HostActuator(Catalog(), made.clock, {"KUBECONFIG": str(fake.kubeconfig(tmp_path))})
        actuator = _Measured(host, load)
        object.__setattr__(made.world, "actuator", lambda: actuator)
        load[0] = 95
        made.passes(MINUTE, 20 * SECOND)
        assert thing.replicas == 6
        load[0] = 20
        made.passes(5 * MINUTE, 20 * SECOND)
        assert thing.replicas == 3


def test_load_that_stays_high_at_the_ceiling_is_a_persons_business(
        place: Place, load: list[float], tmp_path: Path) -> None:
    (tmp_path / "replicas").write_text("10")
    load[0] = 95
    place.passes(90 * MINUTE, 60 * SECOND)
    assert (tmp_path / "replicas").read_text() == "10"
    [opened] = place.facts("alert.opened", source="runbook")
    assert opened.data["summary"].startswith(f"{sys.executable}")
