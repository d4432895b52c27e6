"""Every mechanism that this host has: put in, proven, taken out, proven again, and nothing is left."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from chaos_host.place import groups_left, needs_mount, place_for
from mainstay.adapters.faults import cgroups, cpu_faults, memory_faults, process_faults, wal
from mainstay.adapters.faults.injector import HostInjector, mechanisms
from mainstay.adapters.faults.processes import gone, process_of
from mainstay.chaos.kinds import kind_named
from mainstay.kernel.errors import InvalidInput

OF_HOSTS = [(way, ability) for way in mechanisms() for ability in way.abilities()
            if kind_named(ability.kind).group in ("resource", "process", "state")]
ABLE = [(way, ability) for way, ability in OF_HOSTS if ability.state != "unavailable"
        and not (os.geteuid() and needs_mount(ability.kind, ability.mechanism))]
UNABLE = [ability for _, ability in OF_HOSTS if ability.state == "unavailable"]


@pytest.mark.parametrize(("way", "ability"), ABLE, ids=[f"{one.kind} by {one.mechanism}" for _, one in ABLE])
def test_a_fault_is_put_in_proven_taken_out_and_nothing_of_it_is_left(tmp_path, way, ability):
    place = place_for(tmp_path / "place", ability.kind, ability.mechanism)
    try:
        before = place.snapshot()
        order = place.order(ability.kind)
        injector = HostInjector(place.state, [way])
        means = injector.means(order)
        assert (means.mechanism, means.healing) == (ability.mechanism, ability.healing)
        assert means.does
        with injector.guard("run") as guarded:
            injection = guarded.inject(order)
            seen = injection.proof()
            assert seen.in_effect, seen
            assert injection.victims().get("processes_hit", 1) == 1
            injection.remove()
            gone = injection.proof()
            assert not gone.in_effect, gone
            place.now()
            assert place.snapshot() == before
            injection.remove()
            assert guarded.clear() == ()
        assert place.snapshot() == before
        assert place.helpers() == []
        assert groups_left(place.state) == []
        assert injector.recover() == ()
    finally:
        place.close()


def test_what_is_not_possible_here_is_counted():
    assert all(ability.why and ability.enable for ability in UNABLE)
    if UNABLE:
        pytest.skip("; ".join(f"{one.kind} by {one.mechanism}: {one.why}" for one in UNABLE))


LASTING = [(way, one) for way, one in ABLE if not kind_named(one.kind).sudden]
"""What has ended stays ended, so sudden faults cannot be taken out behind a run."""


@pytest.mark.parametrize(("way", "ability"), LASTING, ids=[f"{one.kind} by {one.mechanism}" for _, one in LASTING])
def test_a_fault_that_somebody_took_out_is_never_proven(tmp_path, way, ability):
    place = place_for(tmp_path / "place", ability.kind, ability.mechanism)
    try:
        with HostInjector(place.state, [way]).guard("run") as guarded:
            injection = guarded.inject(place.order(ability.kind))
            assert injection.proof().in_effect
            sabotage(place, guarded.folder)
            assert not injection.proof().in_effect
    finally:
        place.close()


def sabotage(place, folder):
    """Take out what is in, behind the run's back, by hand: not by the acts that the run would use."""
    for fault in wal.read(folder / "record.jsonl").faults():
        for step in fault.steps:
            if step.act == "end-holder":
                holder = process_of(step.data)
                os.kill(holder.pid, signal.SIGKILL)
                assert gone(holder, 60)
            elif step.act == "signal":
                os.kill(step.data["pid"], signal.SIGCONT)
            elif step.act == "leave-group":
                home = Path(step.data["root"] + step.data["back"], "cgroup.procs")
                for pid in Path(step.data["root"] + step.data["path"], "cgroup.procs").read_text().split():
                    home.write_text(pid)
    time.sleep(0.1)


@pytest.mark.parametrize("kind", ["process-kill", "process-restart", "process-pause", "cpu-throttle", "memory-limit"])
def test_an_injector_whose_acts_reach_nothing_is_not_believed(tmp_path, monkeypatch, kind):
    # Signals and moves are made to do nothing, as in a container whose rights end there; no code of ours is replaced
    # but the last step to the kernel.
    place = place_for(tmp_path / "place", kind, "signal")
    monkeypatch.setattr(process_faults, "_ENDING", 0.1)
    monkeypatch.setattr(process_faults, "send", lambda *_: True)
    monkeypatch.setattr(cgroups, "move", lambda *_: True)
    way = next(one for one in (process_faults.ProcessStop(), process_faults.ProcessKill(),
                               process_faults.ProcessRestart(), cpu_faults.CpuThrottle(), memory_faults.MemoryLimit())
               if any(ability.kind == kind for ability in one.abilities()))
    for ability in way.abilities():
        if ability.state == "unavailable":
            pytest.skip(f"{ability.kind} by {ability.mechanism}: {ability.why}")
    try:
        with HostInjector(place.state, [way]).guard("run") as guarded:
            if kind == "process-restart":
                with pytest.raises(InvalidInput, match="does not end"):
                    guarded.inject(place.order(kind))
            else:
                assert not guarded.inject(place.order(kind)).proof().in_effect
    finally:
        place.close()
