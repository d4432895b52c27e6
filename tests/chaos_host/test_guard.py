"""A run's faults under guard: whoever is killed, stopped or late, they come out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from chaos_host.place import Place
from mainstay.adapters.faults import guardian, wal
from mainstay.adapters.faults.injector import HostInjector, state_folder
from mainstay.adapters.faults.process_faults import ProcessKill, ProcessPause, ProcessStop
from mainstay.adapters.faults.processes import alive, me, send, stat_of
from mainstay.adapters.faults.undo import NotUndone
from mainstay.kernel.errors import Conflict, InvalidInput, NotAllowed
from mainstay.kernel.faults import Ability, Healing, Means, Undo

TESTS = Path(__file__).parents[1]


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path / "place")
    yield made
    made.close()


def until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def stopped(place):
    return stat_of(place.victim.pid).state == "T"


def stands_still(pid):
    return all(stat_of(pid, int(one)).state == "T" for one in os.listdir(f"/proc/{pid}/task"))


RUN = """
import sys, time
from pathlib import Path
from chaos_host.place import order_in
from mainstay.adapters.faults.injector import HostInjector
from mainstay.adapters.faults.process_faults import ProcessStop
folder, seconds, *start = sys.argv[1:]
with HostInjector(Path(folder) / "state", [ProcessStop()]).guard("run") as guarded:
    guarded.inject(order_in(Path(folder), "process-pause", start, float(seconds)))
    print("in", flush=True)
    time.sleep(600)
"""


CHILDREN = []


@pytest.fixture(autouse=True)
def buried():
    yield
    while CHILDREN:
        end(CHILDREN.pop())


def another(place, seconds=30.0):
    """A run in a process of its own, with its fault in."""
    child = subprocess.Popen([sys.executable, "-c", RUN, str(place.folder), str(seconds), *place.start],
                             stdout=subprocess.PIPE, text=True,
                             env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent / 'src'}"})
    CHILDREN.append(child)
    assert child.stdout.readline() == "in\n"
    assert stopped(place)
    return child


def end(child):
    child.kill()
    child.wait()
    child.stdout.close()


def record_of(place):
    return wal.read(place.state / "run" / "record.jsonl")


def test_a_run_without_faults_leaves_nothing_behind(place):
    injector = HostInjector(place.state)
    with injector.guard("run"):
        assert len(place.helpers()) == 2
    assert place.helpers() == []
    assert injector.recover() == ()
    assert [entry.kind for entry in record_of(place).entries] == ["begin", "guardian", "guardian", "end"]


def test_a_guardian_is_small_and_there_soon(place):
    with HostInjector(place.state).guard("run"):
        for pid in place.helpers():
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            resident = int(next(line for line in lines if line.startswith("VmRSS")).split()[1])
            assert resident < 24 * 1024
            assert stat_of(pid).session == pid


def test_the_intent_is_on_the_disk_before_the_act_and_the_outcome_after_it(place):
    with HostInjector(place.state, [ProcessStop()]).guard("run") as guarded:
        guarded.inject(place.order("process-pause")).remove()
    entries = [(entry.kind, entry.by) for entry in record_of(place).entries if entry.kind not in ("begin", "guardian")]
    assert entries == [("order", "run"), ("intend", "run"), ("applied", "run"), ("undone", "run"), ("end", "run")]


def test_the_record_names_what_was_being_done_when_a_run_was_killed(place):
    child = another(place)
    assert record_of(place).unfinished() == \
        "f1, process-pause on victim by signal, was in and is not taken out: signal"
    end(child)
    until(lambda: record_of(place).ended)
    assert record_of(place).unfinished() == ""


def test_a_killed_run_is_healed_by_a_guardian_which_says_so(place):
    child = another(place)
    end(child)
    until(lambda: not stopped(place))
    until(lambda: record_of(place).ended and not place.helpers())
    assert {entry.by.partition("-")[0] for entry in record_of(place).entries if entry.kind == "undone"} == {"guardian"}
    assert HostInjector(place.state).recover() == ()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_that_end_a_run_or_a_terminal_do_not_end_its_guardians(place, number):
    child = another(place)
    for pid in place.helpers():
        os.kill(pid, number)
    child.send_signal(number)
    child.wait()
    until(lambda: not stopped(place))


def test_a_run_that_stands_still_beyond_the_end_of_its_fault_is_overtaken(place):
    child = another(place, seconds=3.0)
    child.send_signal(signal.SIGSTOP)
    until(lambda: not stopped(place))
    assert alive(wal.read(place.state / "run" / "record.jsonl").runner)
    end(child)
    until(lambda: record_of(place).ended)


def test_a_guardian_that_is_killed_is_replaced_by_the_run(place):
    with HostInjector(place.state).guard("run") as guarded:
        first = wal.read(guarded.folder / "record.jsonl").guardians
        for slot in guardian.SLOTS:
            send(first[slot], signal.SIGKILL)
        until(lambda: all(alive(one) and one not in first.values() for one in record_of(place).guardians.values()))
        until(lambda: len(place.helpers()) == 2)
    until(lambda: not place.helpers())


def test_a_guardian_that_is_killed_while_the_run_stands_still_is_replaced_by_the_other(place):
    child = another(place)
    child.send_signal(signal.SIGSTOP)
    until(lambda: stands_still(child.pid))
    first = record_of(place).guardians[1]
    send(first, signal.SIGKILL)
    until(lambda: record_of(place).guardians[1] != first)
    assert record_of(place).entries[-1].by == "guardian-2"
    send(record_of(place).guardians[2], signal.SIGKILL)
    end(child)
    until(lambda: not stopped(place))


def test_with_everybody_killed_the_next_start_finds_what_is_left_and_heals_it(place):
    child = another(place)
    guardians = record_of(place).guardians.values()
    for pid in (child.pid, *(one.pid for one in guardians)):
        os.kill(pid, signal.SIGSTOP)  # or whoever is killed last replaces the others before
    until(lambda: all(stands_still(pid) for pid in (child.pid, *(one.pid for one in guardians))))
    for one in guardians:
        send(one, signal.SIGKILL)
    end(child)
    until(lambda: not any(alive(one) for one in guardians))
    assert stopped(place)
    injector = HostInjector(place.state)
    left = injector.recover(dry=True)
    assert [(one.run, one.undo.act, one.healed) for one in left] == [("run", "signal", False)]
    assert "was in and is not taken out" in left[0].problem
    assert stopped(place)
    assert [(one.run, one.undo.act, one.healed, one.problem) for one in injector.recover()] == \
        [("run", "signal", True, "")]
    assert not stopped(place)
    assert injector.recover() == ()
    assert record_of(place).entries[-1].by == "recover"


def test_a_run_that_goes_on_is_left_alone_by_recover(place):
    child = another(place)
    assert HostInjector(place.state).recover() == ()
    assert stopped(place)
    end(child)
    until(lambda: record_of(place).ended)


def test_after_a_boot_processes_are_nobody_and_nothing_is_signalled(place):
    record = wal.begin(place.state, "old")
    record.append("order", {"fault": "f1", "kind": "process-pause", "workload": "x", "mechanism": "signal", "ends": 0})
    record.append("intend", {"fault": "f1", "undos": [{"act": "kill", "data": place.victim.data}]})
    record.close()
    lines = record.path.read_bytes().splitlines(keepends=True)
    first = json.loads(lines[0])
    rewritten, before = [], "0" * 64
    for line in lines:  # as it would have been written on another boot
        raw = json.loads(line)
        raw.pop("hash")
        raw["prev"] = before
        if raw["kind"] == "begin":
            raw["data"] = {**first["data"], "boot": "another"}
        before = wal._digest(raw)
        rewritten.append(json.dumps({**raw, "hash": before}) + "\n")
    record.path.write_text("".join(rewritten))
    assert [one.healed for one in HostInjector(place.state).recover()] == [True]
    assert alive(place.victim)


def test_a_record_that_was_changed_is_reported_and_not_acted_on(place):
    record = wal.begin(place.state, "run")
    record.append("order", {"fault": "f1", "kind": "process-pause", "workload": "x", "mechanism": "signal", "ends": 0})
    record.append("intend", {"fault": "f1", "undos": [{"act": "kill", "data": {"pid": 0, "ticks": 0}}]})
    record.close()
    text = record.path.read_text().replace('"pid":0', f'"pid":{place.victim.pid}')
    record.path.write_text(text.replace(f'"pid":{me().pid}', '"pid":4194303'))
    left = HostInjector(place.state).recover()
    assert [(one.healed, "was changed" in one.problem) for one in left] == [(False, True)]
    assert alive(place.victim)


def test_faults_are_taken_out_at_the_end_of_the_block_whatever_happened_in_it(place):
    def breaks():
        with HostInjector(place.state, [ProcessStop()]).guard("run") as guarded:
            guarded.inject(place.order("process-pause"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks()
    assert not stopped(place)
    with pytest.raises(Conflict, match="there is a run run already"), HostInjector(place.state).guard("run"):
        pass


def test_after_the_end_nothing_is_put_in(place):
    with HostInjector(place.state, [ProcessStop()]).guard("run") as guarded:
        pass
    with pytest.raises(Conflict, match="the run is over"):
        guarded.inject(place.order("process-pause"))


class Way:
    """A mechanism that stops the victim, and claims this healing."""

    def __init__(self, healing, fail=False):
        self.healing, self.fail = healing, fail

    def abilities(self):
        return (Ability("process-pause", self.healing, "real", self.healing),)

    def means(self, order):
        return Means(self.healing, self.healing, ("stop it",)) if order.kind == "process-pause" else None

    def inject(self, order, intend):
        injection = ProcessStop().inject(order, intend)
        if self.fail:
            raise InvalidInput("half of it is in")
        return replace(injection, means=self.means(order))


def test_the_strongest_healing_is_chosen_and_manual_only_when_it_is_allowed(place):
    order = place.order("process-pause")
    ways = [Way(Healing.MANUAL), Way(Healing.GUARDIAN), Way(Healing.EXPIRING), Way(Healing.KERNEL)]
    assert [HostInjector(place.state, ways[:most]).means(order).healing for most in (1, 2, 3, 4)] == \
        [Healing.MANUAL, Healing.GUARDIAN, Healing.EXPIRING, Healing.KERNEL]
    assert HostInjector(place.state).means(order).mechanism == ProcessPause().abilities()[0].mechanism
    injector = HostInjector(place.state, ways[:1])
    with injector.guard("r1") as guarded, pytest.raises(NotAllowed, match="stays in when this run is killed"):
        guarded.inject(order)
    with injector.guard("r2", manual=True) as guarded:
        assert guarded.inject(order).means.healing is Healing.MANUAL
        assert stopped(place)
    assert not stopped(place)


def test_what_was_put_in_half_is_taken_out_at_once(place):
    with HostInjector(place.state, [Way(Healing.GUARDIAN, fail=True)]).guard("run") as guarded:
        with pytest.raises(InvalidInput, match="half of it is in"):
            guarded.inject(place.order("process-pause"))
        assert not stopped(place)


def test_a_kind_that_no_mechanism_has_is_refused_with_what_would_enable_one(place):
    injector = HostInjector(place.state, [ProcessKill()])
    with pytest.raises(NotAllowed, match="disk-slow is not possible on this host") as refused:
        injector.means(place.order("disk-slow"))
    assert "doctor" in refused.value.way_out


def test_what_cannot_be_undone_is_said_and_left_to_recover(place):
    class Stuck(Way):
        def inject(self, order, intend):
            intend([Undo("argv", {"argv": ["no-such-program"]})])
            return super().inject(order, intend)

    injector = HostInjector(place.state, [Stuck(Healing.GUARDIAN)])
    guard = injector.guard("run")
    guarded = guard.__enter__()
    guarded.inject(place.order("process-pause"))
    assert any("no-such-program" in problem for problem in guarded.clear())
    assert not stopped(place)  # one that does not work keeps none of the others in
    with pytest.raises(NotUndone, match="no-such-program is not there"):
        guard.__exit__(None, None, None)
    left = [one for one in injector.recover() if not one.healed]
    assert {one.undo.act for one in left} == {"argv"}
    assert "no-such-program" in left[0].problem


def test_a_workload_that_nobody_starts_again_is_killed_only_by_force(place):
    order = replace(place.order("process-kill"), workload=replace(place.workload, start=()))
    injector = HostInjector(place.state, [ProcessKill()])
    assert injector.means(order).healing is Healing.MANUAL
    with injector.guard("run") as guarded, pytest.raises(NotAllowed):
        guarded.inject(order)
    assert alive(place.victim)


def test_the_doctor_says_for_every_mechanism_what_is_real_and_what_it_would_take(place):
    abilities = HostInjector(place.state).abilities()
    assert {one.state for one in abilities} <= {"real", "emulated", "unavailable"}
    assert all(one.why and one.enable for one in abilities if one.state == "unavailable")
    assert {"cpu-stress", "cpu-throttle", "memory-stress", "memory-limit", "disk-full", "disk-slow", "io-error",
            "process-kill", "process-pause", "process-restart", "clock-skew", "clock-drift"} <= \
        {one.kind for one in abilities}


@pytest.mark.parametrize(("environ", "folder"), [
    ({"MAINSTAY_STATE": "/s", "HOME": "/h"}, "/s/chaos"), ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/mainstay/chaos"),
    ({"HOME": "/h"}, "/h/.local/state/mainstay/chaos")])
def test_records_are_kept_where_the_environment_says(environ, folder):
    assert str(state_folder(environ)) == folder


def touch(path):
    return Undo("call", {"argv": ["sh", "-c", 'echo out >> "$0"', str(path)], "cwd": "/", "seconds": 60})


def test_a_promise_is_kept_by_a_guardian_once_when_the_run_is_killed(place, tmp_path):
    code = RUN.replace('guarded.inject(order_in(Path(folder), "process-pause", start, float(seconds)))', (
        'guarded.promise("rollbacks", [Undo("call", {"argv": ["sh", "-c", "echo out >> $0", start[0]], "cwd": "/", '
        '"seconds": 60})], 60)')).replace("import sys", "from mainstay.kernel.faults import Undo\nimport sys")
    out = tmp_path / "out"
    child = subprocess.Popen([sys.executable, "-c", code, str(place.folder), "1", str(out)], stdout=subprocess.PIPE,
                             text=True, env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent / 'src'}"})
    CHILDREN.append(child)
    assert child.stdout.readline() == "in\n"
    assert not out.exists()
    child.kill()
    until(lambda: record_of(place).ended)
    assert out.read_text() == "out\n"


def test_a_promise_that_the_run_kept_itself_is_not_kept_again_and_one_it_did_not_is(place, tmp_path):
    with HostInjector(place.state).guard("run") as guarded:
        kept = guarded.promise("rollbacks", [touch(tmp_path / "kept")], 60)
        guarded.promise("rollbacks", [touch(tmp_path / "open")], 60)
        kept()
        assert guarded.clear() == ()
        assert guarded.clear() == ()
    assert not (tmp_path / "kept").exists()
    assert (tmp_path / "open").read_text() == "out\n"
