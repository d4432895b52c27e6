"""A run's record, and its guardians."""

from __future__ import annotations

from mainstay.adapters.faults.injector import HostInjector


def test_a_run_without_faults_leaves_nothing_behind(tmp_path):
    injector = HostInjector(tmp_path / "state")
    with injector.guard("run-1"):
        pass
    assert injector.recover() == ()
