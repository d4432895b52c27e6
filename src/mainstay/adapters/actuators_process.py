"""Acts that are programs: a command, a unit of systemd, a function of a team.

A program gets an argument list and never a shell, and the few variables of the environment that programs need to find
their way, so that what Mainstay itself was told (tokens, addresses of stores) is not handed on. It runs below a keeper
(`mainstay.adapters.keeper`), with which all that it starts ends when its time is over or Mainstay dies.
"""

from __future__ import annotations

import codecs
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mainstay.adapters import keeper
from mainstay.kernel.actuation import Command, Ending, Outcome, Python, Systemd, Watch
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput

PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "KUBECONFIG",
             "SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK")
"""Variables of Mainstay's own environment that programs get; all others are named by the step."""

GRACE = 2.0
"""Seconds from SIGTERM to SIGKILL."""

KEPT = 65_536
"""Bytes of standard output that are an act's answer; all of it goes to the watch."""

_POLL = 0.05
_KEEPER = keeper.__file__


@dataclass(frozen=True, slots=True)
class Programs:
    """Runs programs.

    Args:
        environ: what PASSED_ON is taken from.
        systemctl: the program that speaks to systemd.
    """

    environ: Mapping[str, str]
    systemctl: str = "systemctl"
    grace: float = GRACE

    def command(self, act: Command, watch: Watch) -> Outcome:
        """The program's end; its exit code must be one of those that mean success."""
        return self._run(act, watch)

    def systemd(self, act: Systemd, watch: Watch) -> Outcome:
        """What systemctl says once the job is done."""
        scope = ("--user",) if act.user else ()
        done = self._run(Command((self.systemctl, *scope, "--no-ask-password", act.verb, "--", act.unit)), watch)
        if done.ending not in (Ending.TIMED_OUT, Ending.CANCELLED):
            return done
        # What was ended is systemctl alone, which waited; the job is in other hands.
        why = "its time was over" if done.ending is Ending.TIMED_OUT else "it was cancelled"
        return replace(done, error=f"{why}; systemd goes on with the job")

    def python(self, act: Python, watch: Watch) -> Outcome:
        """What the function returned, as JSON, in a Python of its own."""
        code = ("import importlib, json, sys\n"
                "sys.path.insert(0, sys.argv[1])\n"
                "given = json.load(sys.stdin)\n"
                "name, _, function = given['function'].partition(':')\n"
                "found = getattr(importlib.import_module(name), function)\n"
                "answer = found(**given['arguments'])\n"
                "sys.stdout.flush()\n"
                "json.dump(answer, open(sys.argv[2], 'w', encoding='utf-8'))\n")
        with tempfile.TemporaryDirectory(prefix="mainstay-") as folder:
            answer = Path(folder, "answer.json")
            given = json.dumps({"function": act.function, "arguments": dict(act.arguments)})
            done = self._run(Command((sys.executable, "-c", code, act.folder, str(answer)), act.folder, stdin=given),
                             watch)
            if done.ending is not Ending.SUCCEEDED:
                return done
            try:
                value = json.loads(answer.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                return Outcome(Ending.FAILED, error=f"{act.function} gave no answer in JSON: {error}")
        return Outcome(Ending.SUCCEEDED, value if isinstance(value, str) else json.dumps(value), done.code)

    # -- running -----------------------------------------------------------------------------------------------

    def _run(self, act: Command, watch: Watch) -> Outcome:
        reading, writing = os.pipe()
        environment = {name: self.environ[name] for name in PASSED_ON if name in self.environ} | dict(act.env)
        argv = [sys.executable, "-I", "-S", _KEEPER, str(os.getpid()), f"{self.grace:g}", str(writing), "--",
                *act.argv]
        try:
            # A session of its own: Ctrl-C on the terminal reaches Mainstay alone, which ends the step in order.
            process = subprocess.Popen(argv, stdin=subprocess.PIPE if act.stdin else subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=act.folder or None,
                                       env=environment, pass_fds=(writing,), start_new_session=True)
        except (OSError, ValueError) as error:
            os.close(reading)
            return Outcome(Ending.FAILED, error=f"{act.argv[0]} cannot be started: {error}")
        finally:
            os.close(writing)
        with process, os.fdopen(reading, "rb") as status:
            feeding = _feed(process, act.stdin)
            streams = _Streams(process, watch)
            over = self._look_on(process, streams, watch)
            process.wait()
            streams.drain()
            if feeding is not None:
                feeding.join(timeout=1)
            said = status.read().decode(errors="replace").strip()
        return _outcome(act, said, over, streams)

    def _look_on(self, process: subprocess.Popen[bytes], streams: _Streams, watch: Watch) -> Ending | None:
        """Read along until the keeper has ended; TIMED_OUT or CANCELLED where it was told to."""
        over: Ending | None = None
        until = 0.0
        while process.poll() is None:
            streams.read(_POLL)
            if over is None and (over := watch.over()) is not None:
                process.terminate()
                until = time.monotonic() + self.grace + 5
            elif over is not None and time.monotonic() > until:
                # The keeper itself does not answer: its children are then the kernel's to find.
                for pid in [*keeper.below(process.pid), process.pid]:
                    _kill(pid)
        return over


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def _feed(process: subprocess.Popen[bytes], text: str) -> threading.Thread | None:
    """Writes the standard input beside: a program may write before it has read all."""
    if not text or process.stdin is None:
        return None
    pipe = process.stdin

    def feed() -> None:
        try:
            with pipe:
                pipe.write(text.encode())
        except BrokenPipeError:
            return  # it has ended without reading all of it

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    return thread


class _Streams:
    """The two outputs of a program, read as they come."""

    def __init__(self, process: subprocess.Popen[bytes], watch: Watch) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._watch = watch
        self._out, self._errors = process.stdout.fileno(), process.stderr.fileno()
        self._open = {self._out, self._errors}
        # Readable once the keeper has ended, so that its end is seen at once.
        self._end = os.pidfd_open(process.pid)
        # Signs of several bytes may come in pieces; what is no UTF-8 is shown as such.
        self._decoders = {one: codecs.getincrementaldecoder("utf-8")("replace") for one in self._open}
        self.answer, self.complaint = "", ""

    def read(self, seconds: float) -> bool:
        """Take what has come within that time, or before the keeper's end; whether anything had."""
        ready, _, _ = select.select([*self._open, self._end], [], [], seconds)
        ready = [one for one in ready if one != self._end]
        for one in ready:
            data = os.read(one, 65_536)
            text = self._decoders[one].decode(data, final=not data)
            if not data:
                self._open.discard(one)
            self._take(one, text)
        return bool(ready)

    def drain(self) -> None:
        """Take what is still there; what a child left running may write later is not waited for."""
        while self._open and self.read(0):
            pass
        os.close(self._end)

    def _take(self, one: int, text: str) -> None:
        if not text:
            return
        self._watch.output(text)
        if one == self._out:
            self.answer += text[:max(KEPT - len(self.answer), 0)]
        else:
            self.complaint = (self.complaint + text)[-2000:]


def _outcome(act: Command, said: str, over: Ending | None, streams: _Streams) -> Outcome:
    word, _, rest = said.partition(" ")
    answer = streams.answer.rstrip("\n")
    if over is not None and word != "exit":
        why = "its time was over" if over is Ending.TIMED_OUT else "it was cancelled"
        return Outcome(over, answer, error=f"{why}; it was ended with all that it had started")
    complaint = streams.complaint.strip().splitlines()[-1:] or [""]
    match word:
        case "exit" if int(rest) in act.exits:
            return Outcome(Ending.SUCCEEDED, answer, int(rest))
        case "exit":
            return Outcome(Ending.FAILED, answer, int(rest), f"exit code {rest}" + (f": {complaint[0][:300]}"
                                                                                   if complaint[0] else ""))
        case "signal":
            return Outcome(Ending.FAILED, answer, None, f"ended by signal {rest}")
        case "cannot":
            return Outcome(Ending.FAILED, answer, None, f"{act.argv[0]} cannot be started: {rest}")
    return Outcome(Ending.FAILED, answer, None, "its keeper was killed")


def check_unit(act: Systemd) -> None:
    """Raises InvalidInput where a unit's name is none."""
    if not act.unit or act.unit.startswith("-") or any(not (sign.isalnum() or sign in ":_.@\\-") for sign in act.unit):
        raise InvalidInput(f'"{act.unit[:60]}" is no unit', "name one such as checkout.service")
