"""What is asked is what happens: measured by the victims and the kernel, not by the mechanisms."""

from __future__ import annotations

import errno
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from chaos_host.place import MIB, Place
from mainstay.adapters.faults import clock_faults, cpu_faults, disk_faults, memory_faults, process_faults
from mainstay.adapters.faults.cpu_faults import Turn, turn_of
from mainstay.adapters.faults.disk_faults import shared_with
from mainstay.adapters.faults.injector import HostInjector
from mainstay.adapters.faults.processes import found, stat_of
from mainstay.adapters.faults.restarting import who_runs
from mainstay.kernel.errors import InvalidInput, NotAllowed
from mainstay.kernel.workload import At

pytestmark = pytest.mark.alone


@pytest.fixture
def place(tmp_path, request):
    made = Place(tmp_path / "place", **getattr(request, "param", {}))
    yield made
    made.close()


def guarded(place, *ways):
    return HostInjector(place.state, list(ways)).guard("run")


def able(way, kind):
    """Skips, with the reason, where the host has not got it."""
    for ability in way.abilities():
        if ability.kind == kind and ability.state == "unavailable":
            pytest.skip(f"{kind} by {ability.mechanism}: {ability.why}")
    return way


@pytest.mark.parametrize("load", [0.25, 0.6])
def test_burners_want_the_asked_share_of_a_processor(place, load):
    with guarded(place, cpu_faults.CpuStress()) as faults:
        faults.inject(place.order("cpu-stress", load=load, cpus=1))
        burner = next(pid for pid in place.helpers() if b"\0burn\0" in Path(f"/proc/{pid}/cmdline").read_bytes())
        [cpu] = os.sched_getaffinity(burner)
        before, began = turn_of(burner, cpu), time.monotonic()
        time.sleep(1.0)
        after, took = turn_of(burner, cpu), time.monotonic() - began
        wanted = after.wanted_since(before) / took
        held_up = (after.waited + after.stolen - before.waited - before.stolen) / took
        # Three points, and what it waits for a processor between its rounds on a crowded host.
        assert load - 0.03 < wanted < load + 0.03 + held_up


def test_nothing_is_stolen_from_a_process_that_wants_nothing():
    before = Turn(1.0, 0.5, 3.0)
    assert Turn(1.0, 0.5, 3.2).wanted_since(before) == 0.0
    assert Turn(1.1, 0.5, 3.2).wanted_since(before) == pytest.approx(0.3)


@pytest.mark.parametrize("place", [{"what": "busy"}], indirect=True)
def test_a_throttled_process_gets_its_quota_and_no_more(place):
    with guarded(place, able(cpu_faults.CpuThrottle(), "cpu-throttle")) as faults:
        faults.inject(place.order("cpu-throttle", quota=0.1))
        before, began = stat_of(place.victim.pid).busy, time.monotonic()
        time.sleep(1.5)
        share = (stat_of(place.victim.pid).busy - before) / (time.monotonic() - began)
        assert share == pytest.approx(0.1, abs=0.03)


def test_a_quota_that_nobody_would_miss_is_refused(place):
    with pytest.raises(InvalidInput, match="would be missed"):
        HostInjector(place.state, [able(cpu_faults.CpuThrottle(), "cpu-throttle")]).means(
            place.order("cpu-throttle", quota=64.0))


@pytest.mark.parametrize("way", [process_faults.ProcessPause, process_faults.ProcessStop])
def test_a_paused_process_stands_still_as_long_as_it_was_to(place, way):
    with guarded(place, able(way(), "process-pause")) as faults:
        for _ in range(5):  # a crowded host may let it go on late: the best of five tries
            _until(lambda: len(place.log()) >= 2)
            before = _times(place)[-1]
            injection = faults.inject(place.order("process-pause"))
            paused = time.monotonic()
            time.sleep(0.3)
            injection.remove()
            ended = time.monotonic()
            _until(lambda ended=ended: _times(place)[-1] > ended)
            gap = max(later - earlier for earlier, later in pairwise(_times(place)) if earlier >= before)
            assert gap >= 0.28
            if gap <= ended - paused + 0.25:
                break
    assert gap <= ended - paused + 0.25  # and what a crowded host takes to put it in


def _times(place):
    return [float(line.split()[0]) for line in place.log()]


def test_a_process_of_many_threads_stands_still_in_all_of_them(place):
    code = ("import threading, time\n"
            "def turn():\n    while True: time.sleep(0.001)\n"
            "[threading.Thread(target=turn, daemon=True).start() for _ in range(20)]\nprint(1, flush=True)\n"
            "time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as many:
        many.stdout.readline()
        order = replace(place.order("process-pause"), workload=replace(place.workload, pid=At(str(many.pid))))
        with guarded(place, able(process_faults.ProcessPause(), "process-pause")) as faults:
            injection = faults.inject(order)
            assert injection.proof().in_effect
            states = {stat_of(many.pid, int(thread)).state for thread in os.listdir(f"/proc/{many.pid}/task")}
            assert states == {"t"}
        assert stat_of(many.pid).state != "t"
        many.kill()


def test_memory_is_taken_at_once_or_slowly_and_given_back(place):
    with guarded(place, memory_faults.MemoryStress()) as faults:
        faults.inject(place.order("memory-stress", size=96 * MIB))
        hog = next(pid for pid in place.helpers() if b"\0hog\0" in Path(f"/proc/{pid}/cmdline").read_bytes())
        assert memory_faults.resident(hog) == pytest.approx(96 * MIB, rel=0.2)
        assert Path(f"/proc/{hog}/oom_score_adj").read_text().strip() == "1000"
        faults.clear()
        assert found(hog) is None
        faults.inject(place.order("memory-stress", size=1024 * MIB, over=100.0))
        hog = next(pid for pid in place.helpers() if b"\0hog\0" in Path(f"/proc/{pid}/cmdline").read_bytes())
        first, began = memory_faults.resident(hog), time.monotonic()
        _until(lambda: memory_faults.resident(hog) - first >= 24 * MIB)
        grown = (memory_faults.resident(hog) - first) / (time.monotonic() - began)
        assert grown == pytest.approx(10.24 * MIB, rel=0.6)  # grows in steps of 4 MiB


def test_more_memory_than_the_host_can_spare_is_never_taken(place):
    with pytest.raises(InvalidInput, match="that this host keeps"):
        HostInjector(place.state, [memory_faults.MemoryStress()]).means(place.order("memory-stress", size=2.0**43))


def test_a_process_that_wants_more_memory_than_its_limit_is_killed_and_started_without_it(place):
    wants = f"import sys, time; sys.stdin.readline(); x = bytearray({192 * MIB}); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", wants], stdin=subprocess.PIPE) as greedy:
        order = replace(place.order("memory-limit", size=64 * MIB), workload=replace(
            place.workload, pid=At(str(greedy.pid))))
        with guarded(place, able(memory_faults.MemoryLimit(), "memory-limit")) as faults:
            injection = faults.inject(order)
            assert injection.proof().in_effect
            greedy.stdin.write(b"\n")
            greedy.stdin.flush()
            assert greedy.wait(60) == -9
            assert "killed for wanting more" in injection.proof().note


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a filesystem of its own needs root")
@pytest.mark.parametrize("place", [{"disk": True}], indirect=True)
def test_a_full_disk_refuses_what_the_workload_writes_and_leaves_what_was_asked(place):
    with guarded(place, disk_faults.DiskFull()) as faults:
        faults.inject(place.order("disk-full"))
        with pytest.raises(OSError, match="No space left"):
            (place.disk / "data").write_bytes(b"x" * 5000)
        faults.clear()
        (place.disk / "data").write_bytes(b"x" * 5000)
        faults.inject(place.order("disk-full", left=2.0 * MIB))
        status = os.statvfs(place.disk)
        assert abs(status.f_bavail * status.f_frsize - 2 * MIB) <= 64 * 1024


def _until(true, seconds=60.0):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_filesystem_that_others_need_is_never_filled(place):
    assert shared_with(str(place.folder))
    with pytest.raises(NotAllowed, match="which others need too"):
        HostInjector(place.state, [disk_faults.DiskFull()]).means(place.order("disk-full"))


@pytest.mark.parametrize("place", [{"what": "writer"}], indirect=True)
def test_calls_on_the_folder_take_longer_by_what_was_asked(place):
    with guarded(place, able(disk_faults.FileCalls(), "disk-slow")) as faults:
        faults.inject(place.order("disk-slow", latency=0.05))
        begin = len(place.log())

        def took():
            return [float(line.split()[1]) for line in place.log()[begin + 2:] if line.startswith("took")]

        # It opens and writes. A crowded host makes some later: of any five in a row.
        _until(lambda: len(took()) >= 5 and statistics.median(took()[-5:]) < 0.14)
        assert statistics.median(took()[-5:]) == pytest.approx(0.1, abs=0.04)
        assert min(took()) > 0.06


@pytest.mark.parametrize("place", [{"what": "writer"}], indirect=True)
@pytest.mark.parametrize(("error", "rate"), [("EIO", 1.0), ("EACCES", 1.0), ("ENOSPC", 1.0), ("EIO", 0.5)])
def test_calls_on_the_folder_fail_with_the_asked_error_at_the_asked_rate(place, error, rate):
    with guarded(place, able(disk_faults.FileCalls(), "io-error")) as faults:
        injection = faults.inject(replace(place.order("io-error", error=error, rate=rate), seed=7))
        begin = len(place.log())
        _until(lambda: len(place.log()) > begin + 60)
        failed = [line for line in place.log()[begin + 4:] if line.startswith("failed")]
        assert set(failed) == {f"failed {getattr(errno, error)}"}
        victims = injection.victims()
        assert victims["calls_hit"] / victims["calls"] == pytest.approx(rate, abs=0.25)
    begin = len(place.log())
    _until(lambda: len(place.log()) > begin + 10)
    assert not any(line.startswith("failed") for line in place.log()[begin + 4:])


def test_a_clock_that_jumps_is_ahead_by_that_and_one_that_drifts_runs_that_fast(place):
    way = able(clock_faults.Clock(), "clock-skew")
    with guarded(place, way) as faults:
        injection = faults.inject(place.order("clock-skew", offset=-86400.0))
        seen = injection.proof()
        assert seen.seen == pytest.approx(-86400, abs=1)
        _until(place.log)
        _until(lambda: float(place.log()[-1].split()[1]) == pytest.approx(time.time() - 86400, abs=2))
        injection.remove()
        begin = len(place.log())
        _until(lambda: len(place.log()) > begin + 3)
        assert float(place.log()[-1].split()[1]) == pytest.approx(time.time(), abs=2)
        seen = faults.inject(place.order("clock-drift", speed=4.0)).proof()
        assert seen.seen == pytest.approx(4, rel=0.15)


def test_a_share_of_the_processes_is_hit_drawn_by_the_seed_and_never_more(place, tmp_path):
    marker = f"replica-{os.getpid()}-{tmp_path.name}"
    started = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", marker]) for _ in range(10)]
    try:
        workload = replace(place.workload, pid=At(), match=(marker,), start=(*started[0].args,))
        _until(lambda: len(who_runs({"match": [marker]})) == 10)
        order = replace(place.order("process-pause"), workload=workload, share=0.35)
        drawn = {}
        for seed in (1, 2, 1):
            with HostInjector(place.state, [process_faults.ProcessStop()]).guard(f"run-{seed}-{len(drawn)}") as faults:
                injection = faults.inject(replace(order, seed=seed))
                drawn.setdefault(seed, []).append([one.pid for one in started if stat_of(one.pid).state == "T"])
                assert injection.victims() == {"processes": 10, "processes_hit": 3}
        assert drawn[1][0] == drawn[1][1] != drawn[2][0]
        assert len(drawn[1][0]) == 3
        with pytest.raises(InvalidInput, match="of 10 processes of victim is none"):
            HostInjector(place.state, [process_faults.ProcessStop()]).means(replace(order, share=0.05))
    finally:
        for one in started:
            one.kill()
            one.wait()


def test_killed_processes_come_back_as_many_as_they_were(place):
    with guarded(place, process_faults.ProcessKill()) as faults:
        injection = faults.inject(place.order("process-kill"))
        assert place.running() == []
        injection.remove()
        assert len(place.running()) == 1
        record = json.loads(place.record.read_text())
        assert record["ticks"] == place.now().ticks


def test_what_mainstay_runs_under_is_never_hit(place):
    injector = HostInjector(place.state, [process_faults.ProcessKill()])
    for pid in (1, os.getpid(), os.getppid()):
        with pytest.raises(NotAllowed, match="is part of Mainstay"):
            injector.means(replace(place.order("process-kill"), workload=replace(place.workload, pid=At(str(pid)))))
    with injector.guard("run"):
        for pid in place.helpers():
            with pytest.raises(NotAllowed, match="is part of Mainstay"):
                injector.means(replace(place.order("process-kill"), workload=replace(
                    place.workload, pid=At(str(pid)))))




@pytest.mark.parametrize("place", [{"what": "writer"}], indirect=True)
def test_what_needs_a_tracer_or_a_stop_is_refused_for_a_process_that_is_traced(place):
    able(disk_faults.FileCalls(), "disk-slow")
    with HostInjector(place.state).guard("run") as faults:
        slow = faults.inject(place.order("disk-slow", latency=0.01))
        for kind in ("io-error", "process-pause", "clock-skew"):
            with pytest.raises(InvalidInput, match="is traced by process"):
                faults.inject(place.order(kind))
        faults.inject(place.order("cpu-stress"))
        slow.remove()
        assert faults.inject(place.order("process-pause")).proof().in_effect


def test_a_process_that_somebody_stopped_is_not_paused(place):
    os.kill(place.victim.pid, 19)
    _until(lambda: stat_of(place.victim.pid).state == "T")
    with pytest.raises(InvalidInput, match="stands still already"):
        HostInjector(place.state).means(place.order("process-pause"))
