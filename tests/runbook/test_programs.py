"""Programs that runbooks start: what they say, how they end, and that nothing of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mainstay.adapters.actuators import HostActuator
from mainstay.adapters.clock import SystemClock
from mainstay.kernel.actuation import Act, Command, Ending, Outcome, Python, Systemd
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import InvalidInput
from mainstay.runbook.operations.watching import Watching

_ENVIRON = {"PATH": os.environ["PATH"], "MAINSTAY_STORE": "sqlite:///x", "SECRET": "s3cr3t", "LANG": "C.UTF-8"}


def actuator(**environ: str) -> HostActuator:
    return HostActuator(Catalog(), SystemClock(), {**_ENVIRON, **environ})


def done(act: Act, seconds: float = 20.0, watch: Watching | None = None) -> Outcome:
    return actuator().carry_out(act, watch or Watching(seconds, SystemClock()))


def shell(text: str, *arguments: str, **more: object) -> Command:
    """A shell of the test's own, which no runbook has."""
    return Command(("sh", "-c", text, "sh", *arguments), **more)  # type: ignore[arg-type]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int, within: float = 60.0) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        if not lives(pid):
            return True
        time.sleep(0.02)
    return False


def written(file: Path, within: float = 60.0) -> int:
    """The process id that a program wrote down."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        if file.exists() and (text := file.read_text().strip()):
            return int(text)
        time.sleep(0.01)
    raise AssertionError(f"nobody wrote {file}")


HOUR = 3600.0


class Hurried(SystemClock):
    """The real clock, until it is an hour later at once: whatever it times has begun by then, however busy all is."""

    ahead = 0.0

    def hurry(self) -> None:
        self.ahead = HOUR

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


def once_written(file: Path, then: Callable[[], None]) -> None:
    """Call it as soon as a program has written its process id."""
    threading.Thread(target=lambda: (written(file), then()), daemon=True).start()


@pytest.mark.parametrize(("act", "ending", "code", "output"), [
    (shell("echo hello"), Ending.SUCCEEDED, 0, "hello"), (shell("exit 3"), Ending.FAILED, 3, ""),
    (shell("exit 3", exits=(0, 3)), Ending.SUCCEEDED, 3, ""), (shell("cat", stdin="in\n"), Ending.SUCCEEDED, 0, "in"),
    (shell("kill -9 $$"), Ending.FAILED, None, ""), (Command(("no-such-program",)), Ending.FAILED, None, "")])
def test_how_a_program_ended(act: Command, ending: Ending, code: int | None, output: str):
    found = done(act)
    assert (found.ending, found.code, found.output) == (ending, code, output)
    assert bool(found.error) == (ending is not Ending.SUCCEEDED)


def test_why_a_program_failed_is_said():
    assert done(shell("echo disk full >&2; exit 1")).error == "exit code 1: disk full"
    assert done(shell("kill -9 $$")).error == "ended by signal 9"
    assert done(Command(("no-such-program",))).error == "no-such-program cannot be started: No such file or directory"
    assert "cannot be started" in done(Command(("ls",), folder="/no/such/folder")).error


def test_a_program_is_not_told_what_mainstay_was_told():
    seen = done(Command(("env",), env={"ZONE": "a"})).output.splitlines()
    assert "ZONE=a" in seen
    assert [one for one in seen if one.startswith(("MAINSTAY", "SECRET"))] == []


def test_output_comes_as_it_is_written(tmp_path: Path):
    watch = Watching(60, SystemClock())
    seen = tmp_path / "seen"
    text = 'echo a; until [ -e "$1" ]; do sleep 0.02; done; echo b'
    box: list[Outcome] = []
    thread = threading.Thread(target=lambda: box.append(done(shell(text, str(seen)), watch=watch)))
    thread.start()
    first = ""
    while not first and thread.is_alive():
        first = watch.taken()
        time.sleep(0.02)
    seen.touch()
    thread.join()
    assert (first, watch.taken()) == ("a\n", "b\n")
    assert box[0].ending is Ending.SUCCEEDED


def test_a_program_that_writes_without_end_is_bounded_and_ends():
    watch = Watching(1.0, SystemClock())
    found = done(Command(("yes",)), watch=watch)
    assert found.ending is Ending.TIMED_OUT
    assert len(found.output) <= 65_536
    assert len(watch.taken()) <= 1_100_000


# -- ending early --------------------------------------------------------------------------------------------------

_CHILDREN = {
    "a child of its group": "sleep 60 & echo $! > \"$1\"; wait",
    "a child that was left": "(setsid sh -c 'echo $$ > \"$1\"; exec sleep 60' sh \"$1\" &) ; sleep 60",
    "a child that hears no SIGTERM": "trap '' TERM; (trap '' TERM; sleep 60; sleep 60) & echo $! > \"$1\"; sleep 60",
}


@pytest.mark.parametrize("text", _CHILDREN.values(), ids=_CHILDREN.keys())
def test_a_time_out_ends_a_program_with_all_that_it_started(text: str, tmp_path: Path):
    """Seed defect 11: timeout_seconds was never enforced."""
    file = tmp_path / "pid"
    began = time.monotonic()
    clock = Hurried()
    once_written(file, clock.hurry)
    found = done(shell(text, str(file)), watch=Watching(HOUR, clock))
    assert found.ending is Ending.TIMED_OUT
    assert time.monotonic() - began < 50, "by itself it ends after a minute"
    assert gone(written(file))


def test_cancelling_ends_it_too(tmp_path: Path):
    watch = Watching(120, SystemClock())
    once_written(tmp_path / "pid", watch.cancel)
    found = done(shell("echo $$ > \"$1\"; exec sleep 60", str(tmp_path / "pid")), watch=watch)
    assert found.ending is Ending.CANCELLED
    assert gone(written(tmp_path / "pid"))


def test_a_program_is_asked_to_end_before_it_is_killed(tmp_path: Path):
    text = "trap 'echo tidied up; exit 0' TERM; echo ready; echo $$ > \"$1\"; while :; do sleep 0.05; done"
    clock = Hurried()
    watch = Watching(HOUR, clock)
    once_written(tmp_path / "pid", clock.hurry)
    assert done(shell(text, str(tmp_path / "pid")), watch=watch).ending is Ending.TIMED_OUT
    said = watch.taken().splitlines()
    assert said[0] == "ready"
    assert "tidied up" in said


def test_what_a_program_leaves_running_when_it_ends_by_itself_stays(tmp_path: Path):
    file = tmp_path / "pid"
    found = done(shell("setsid sleep 30 >/dev/null 2>&1 & echo $! > \"$1\"", str(file)))
    assert found.ending is Ending.SUCCEEDED
    pid = written(file)
    assert lives(pid)
    os.kill(pid, signal.SIGKILL)


def test_a_child_that_holds_the_output_open_is_not_waited_for(tmp_path: Path):
    began = time.monotonic()
    found = done(shell("sleep 30 & echo $! > \"$1\"; echo done", str(tmp_path / "pid")))
    assert (found.ending, found.output) == (Ending.SUCCEEDED, "done")
    assert time.monotonic() - began < 25, "the child takes half a minute"
    os.kill(written(tmp_path / "pid"), signal.SIGKILL)


@pytest.mark.parametrize("text", ["echo $$ > \"$1\"; exec sleep 60",
                                  "(setsid sh -c 'echo $$ > \"$1\"; exec sleep 60' sh \"$1\" &) ; sleep 60"])
def test_when_mainstay_is_killed_its_programs_end(text: str, tmp_path: Path):
    file = tmp_path / "pid"
    program = ("import sys\nfrom mainstay.adapters.actuators import HostActuator\n"
               "from mainstay.adapters.clock import SystemClock\nfrom mainstay.kernel.actuation import Command\n"
               "from mainstay.kernel.catalog import Catalog\n"
               "from mainstay.runbook.operations.watching import Watching\n"
               "HostActuator(Catalog(), SystemClock(), {'PATH': '/usr/bin:/bin'}).carry_out("
               "Command(('sh', '-c', sys.argv[1], 'sh', sys.argv[2])), Watching(60, SystemClock()))\n")
    with subprocess.Popen([sys.executable, "-c", program, text, str(file)]) as mainstay:
        pid = written(file)
        assert lives(pid)
        mainstay.kill()
    assert gone(pid)


# -- functions, units, clusters ------------------------------------------------------------------------------------


@pytest.fixture
def team(tmp_path: Path) -> Path:
    (tmp_path / "ours.py").write_text(
        "import os, sys\n"
        "def add(a, b):\n    print('adding', a, b)\n    return a + b\n"
        "def fail(why):\n    raise RuntimeError(why)\n"
        "def odd():\n    return object()\n"
        "def where():\n    return os.getpid()\n")
    return tmp_path


def test_a_function_of_the_team_is_called_in_a_process_of_its_own(team: Path):
    watch = Watching(20, SystemClock())
    found = done(Python("ours:add", {"a": 2, "b": 3}, str(team)), watch=watch)
    assert (found.ending, found.output) == (Ending.SUCCEEDED, "5")
    assert watch.taken() == "adding 2 3\n"
    assert int(done(Python("ours:where", {}, str(team))).output) != os.getpid()


@pytest.mark.parametrize(("function", "arguments", "said"), [
    ("ours:fail", {"why": "no space left"}, "RuntimeError: no space left"), ("ours:nothing", {}, "AttributeError"),
    ("theirs:add", {}, "ModuleNotFoundError"), ("ours:add", {"a": 1}, "TypeError"), ("ours:odd", {}, "TypeError")])
def test_a_function_that_fails_says_why(team: Path, function: str, arguments: dict[str, object], said: str):
    found = done(Python(function, arguments, str(team)))
    assert found.ending is Ending.FAILED
    assert said in found.error


def fake_program(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def test_a_unit_is_handed_to_a_fake_systemctl_as_one_name(tmp_path: Path):
    fake_program(tmp_path, "systemctl", f'printf "%s\\n" "$@" > {tmp_path}/said')
    host = HostActuator(Catalog(), SystemClock(), {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    watch = Watching(20, SystemClock())
    assert host.carry_out(Systemd("checkout.service", "restart"), watch).ending is Ending.SUCCEEDED
    assert (tmp_path / "said").read_text().split() == ["--no-ask-password", "restart", "--", "checkout.service"]
    for unit in ("-H evil", "a;b", "", "--version"):
        with pytest.raises(InvalidInput):
            host.prepare(Systemd(unit, "restart"))
