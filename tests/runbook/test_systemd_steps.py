"""Steps on units of a real systemd: a user's manager, started for these tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mainstay.adapters.actuators import HostActuator
from mainstay.adapters.clock import SystemClock
from mainstay.kernel.actuation import Ending, Outcome
from mainstay.kernel.actuation import Systemd as Act
from mainstay.kernel.catalog import Catalog
from mainstay.runbook.operations.watching import Watching
from runbook.books import catalog, run, states, undos, world
from running_shop import eventually, is_running
from servers.systemd import Systemd, systemd

__all__ = ["systemd"]

Do = Callable[..., Outcome]


@pytest.fixture
def do(systemd: Systemd) -> Do:
    def one(verb: str, unit: str, seconds: float = 20.0) -> Outcome:
        host = HostActuator(Catalog(), SystemClock(), systemd.environ)
        return host.carry_out(Act(unit, verb, user=True), Watching(seconds, SystemClock()))

    return one


def test_a_unit_is_started_stopped_and_restarted(systemd: Systemd, do: Do):
    unit = systemd.unit("nap.service", "ExecStart=/usr/bin/sleep 1000")
    assert do("start", unit).ending is Ending.SUCCEEDED
    first = systemd.pid(unit)
    assert is_running(first)
    assert do("start", unit).ending is Ending.SUCCEEDED
    assert systemd.pid(unit) == first, "started twice is started once"
    assert do("restart", unit).ending is Ending.SUCCEEDED
    second = systemd.pid(unit)
    assert (second != first, is_running(first), is_running(second)) == (True, False, True)
    assert do("stop", unit).ending is Ending.SUCCEEDED
    assert (systemd.ctl("is-active", unit), is_running(second)) == ("inactive", False)
    assert do("try-restart", unit).ending is Ending.SUCCEEDED
    assert systemd.ctl("is-active", unit) == "inactive", "what does not run is not started by it"


def test_a_unit_is_told_to_reload(systemd: Systemd, do: Do):
    told = systemd.folder / "told"
    unit = systemd.unit("listens.service", f"ExecStart=/usr/bin/sleep 1000\nExecReload=/usr/bin/touch {told}")
    assert do("start", unit).ending is Ending.SUCCEEDED
    assert do("reload", unit).ending is Ending.SUCCEEDED
    eventually(told.exists, seconds=60)
    assert "not applicable" in do("reload", systemd.unit("deaf.service", "ExecStart=/usr/bin/sleep 1000")).error


def test_what_systemd_refuses_is_said(systemd: Systemd, do: Do):
    missing = do("restart", "no-such.service")
    assert (missing.ending, missing.code) == (Ending.FAILED, 5)
    assert "no-such.service not found" in missing.error
    unit = systemd.unit("breaks.service", "Type=oneshot\nExecStart=/bin/false")
    assert do("start", unit).ending is Ending.FAILED
    assert systemd.ctl("is-failed", unit) == "failed"
    assert do("reset-failed", unit).ending is Ending.SUCCEEDED
    assert systemd.ctl("is-failed", unit) == "inactive"


def test_a_job_that_takes_too_long_has_timed_out_and_it_is_said_that_systemd_goes_on(systemd: Systemd, do: Do):
    unit = systemd.unit("slow.service", "Type=oneshot\nExecStart=/usr/bin/sleep 8\nRemainAfterExit=yes")
    done = do("start", unit, seconds=0.7)
    assert (done.ending, done.error) == (Ending.TIMED_OUT, "its time was over; systemd goes on with the job")
    assert systemd.ctl("is-active", unit) == "activating"
    eventually(lambda: systemd.ctl("is-active", unit) == "active", seconds=60)


def test_a_run_restarts_a_unit_sees_that_it_is_up_and_takes_back_what_failed(systemd: Systemd, tmp_path: Path):
    unit = systemd.unit("web.service", "ExecStart=/usr/bin/sleep 1000")
    systemd.unit("broken.service", "Type=oneshot\nExecStart=/bin/false")
    made = world(catalog(f"""\
  steps:
    - name: web
      systemd: {{do: start, unit: {unit}, user: true}}
      verify: {{command: [systemctl, --user, is-active, {unit}]}}
      undo: {{systemd: {{do: stop, unit: {unit}, user: true}}}}
    - {{name: other, systemd: {{do: restart, unit: broken.service, user: true}}, irreversible: it was restarted}}
""", folder=tmp_path), HostActuator(Catalog(), SystemClock(), systemd.environ))
    one = run(made)
    assert (states(one), undos(one)) == ({"web": "succeeded", "other": "failed"}, {"web": "undone"})
    assert systemd.ctl("is-active", unit) == "inactive"
