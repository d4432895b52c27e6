"""Keeps one program: when it must end early, or Mainstay dies, all that it started ends with it.

Run as a program of its own (`python -I -S keeper.py PARENT GRACE STATUS-FD -- ARGV…`); it imports no Mainstay and
little else, for it starts with every step.

* It is a subreaper: what the program leaves behind, also in sessions of its own, becomes its child, so that it finds it
  below itself in /proc.
* The kernel sends it SIGTERM when whoever started it dies (PR_SET_PDEATHSIG), kill -9 included. On SIGTERM it ends the
  program's process group with SIGTERM and, after the grace, all that is left with SIGKILL.
* When the program ends by itself, what it left running is let go: a service that was started is meant to stay.

The status goes through a pipe of its own as one line: `exit 0`, `signal 9`, `cannot No such file or directory`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def below(pid: int) -> list[int]:
    """Every process below that one, as /proc shows them; a process that has just ended is left out."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        try:
            threads = os.listdir(f"/proc/{one}/task")
        except OSError:
            continue
        for thread in threads:
            try:
                with open(f"/proc/{one}/task/{thread}/children", encoding="ascii") as file:
                    children = [int(text) for text in file.read().split()]
            except OSError:
                continue
            found += children
            waiting += children
    return found


def _send(pids: list[int], number: int) -> None:
    for pid in pids:
        try:  # noqa: SIM105  (contextlib would cost each start some milliseconds)
            os.kill(pid, number)
        except OSError:
            pass  # it has just ended


def _end_all(child: int, grace: float) -> None:
    """End the program and all below this process."""
    try:  # noqa: SIM105  (as above)
        os.killpg(child, signal.SIGTERM)
    except OSError:
        pass  # it has just ended
    _send(below(os.getpid()), signal.SIGTERM)
    until = time.monotonic() + grace
    while time.monotonic() < until and _left():
        time.sleep(0.02)
    # Again and again: what is being killed may still be starting others.
    while _left():
        _send(below(os.getpid()), signal.SIGKILL)
        time.sleep(0.01)


def _left() -> bool:
    """Whether a child is left, after those that have ended were reaped."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True


def _program(argv: list[str], errors: int) -> None:
    """Become the program; never returns."""
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.execvp(argv[0], argv)  # noqa: S606  (a list of arguments; no shell)
    except OSError as error:
        os.write(errors, (error.strerror or "cannot be started").encode())
    finally:
        os._exit(127)


def _start(argv: list[str]) -> tuple[int, str]:
    """The program's process id, and why it could not be started where it could not."""
    reading, writing = os.pipe()  # closed by exec: then nothing comes, and the program runs
    child = os.fork()
    if child == 0:
        os.close(reading)
        _program(argv, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        return child, pipe.read().decode(errors="replace")


def main(args: list[str]) -> int:
    """Keep the program; 0 when its status was told."""
    parent, grace, status = int(args[0]), float(args[1]), int(args[2])
    argv = args[4:]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    os.set_inheritable(status, False)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
    signal.signal(signal.SIGCHLD, lambda *_: None)
    if os.getppid() != parent:
        return 1  # whoever wanted this is gone already
    child, problem = _start(argv)
    while True:
        pid, code = os.waitpid(child, os.WNOHANG)
        if pid == child:
            break
        heard = signal.sigwait({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
        if heard != signal.SIGCHLD:
            _end_all(child, grace)
            os.write(status, b"ended\n")
            return 0
        _reap_others(child)
    code = os.waitstatus_to_exitcode(code)
    said = f"cannot {problem}" if problem else f"exit {code}" if code >= 0 else f"signal {-code}"
    os.write(status, f"{said}\n".encode())
    return 0


def _reap_others(child: int) -> None:
    """Reap what was left to this process and has ended; the program itself stays for the caller to reap."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None or ended.si_pid in (0, child):
            return
        os.waitpid(ended.si_pid, os.WNOHANG)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
