"""What an experiment leaves behind when the process that runs it is ended: Mainstay beside the Chaos Toolkit.

The same experiment for both: a process is stopped (`kill -STOP`), a rollback lets it go on, and in between is a pause
of twelve seconds. One second into the pause the runner gets a signal; three seconds later the process still stands, or
it does not, and there is a journal, or there is none. Mainstay runs the Chaos Toolkit's file, and an experiment of its
own with the fault `process-pause`. The Chaos Toolkit is installed into an environment of its own, once.

    python bench/chaos_killed.py [--mainstay PATH]

Everything that is started ends with the script. Goal: nothing left behind by Mainstay, whatever the signal.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("chaostoolkit==1.19.0", "chaostoolkit-lib[jsonpath]==1.44.0")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
INTO_THE_PAUSE, LATER, PATIENCE = 1.0, 3.0, 30.0


@dataclass(frozen=True)
class Outcome:
    """How it stood three seconds after the signal."""

    who: str
    signal: str
    left: bool
    journal: str


def rival(folder: Path) -> str:
    """The program `chaos` of the Chaos Toolkit, installed there."""
    program = folder / "bin" / "chaos"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *PACKAGES], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return str(program)


@contextmanager
def victim(folder: Path) -> Iterator[int]:
    """A process that does nothing, and whose pid stands in a file."""
    with subprocess.Popen(["sleep", "120"], start_new_session=True) as process:
        (folder / "victim.pid").write_text(str(process.pid), encoding="ascii")
        try:
            yield process.pid
        finally:
            process.kill()


def state(pid: int) -> str:
    """T or t while it stands still."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0]


def toolkit_file(folder: Path, pid: int) -> Path:
    """The experiment in the Chaos Toolkit's form."""

    def signalled(name: str, word: str) -> dict[str, object]:
        return {"type": "action", "name": name,
                "provider": {"type": "process", "path": "kill", "arguments": [f"-{word}", str(pid)]}}

    file = folder / "experiment.json"
    file.write_text(json.dumps({
        "title": "A process stands still", "description": "and goes on afterwards",
        "method": [{**signalled("stop it", "STOP"), "pauses": {"after": 12}}],
        "rollbacks": [signalled("let it go on", "CONT")]}), encoding="utf-8")
    return file


def catalog(folder: Path) -> Path:
    """The experiment in Mainstay's form."""
    home = folder / "catalog"
    home.mkdir(exist_ok=True)
    (home / "experiment.yaml").write_text("""\
apiVersion: mainstay/v1
kind: Workload
metadata: {name: victim}
spec:
  process: {pid: {file: ../victim.pid}}
  experiments: true
---
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: stands-still, displayName: A process stands still}
spec:
  target: victim
  hypothesis:
    title: programs can be called
    every: 1s
    probes:
      - {name: a program, type: process, command: ["true"], tolerance: 0}
  faults:
    - kind: process-pause
  duration: 12s
  stabilise: 1s
""", encoding="utf-8")
    return home


def outcome(who: str, number: signal.Signals, folder: Path, command: Callable[[int], list[str]]) -> Outcome:
    """Run it, end it, and look."""
    with victim(folder) as pid:
        environ = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
        runner = subprocess.Popen(command(pid), cwd=folder, start_new_session=True, env=environ,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE
        while state(pid) not in "Tt":
            if runner.poll() is not None or time.monotonic() > until:
                runner.kill()
                runner.wait()
                return Outcome(who, number.name, left=False, journal="did not run")
            time.sleep(0.02)
        time.sleep(INTO_THE_PAUSE)
        runner.send_signal(number)
        time.sleep(LATER)
        left = state(pid) in "Tt"
        if runner.poll() is None:
            runner.kill()
        runner.wait()
    theirs, ours = folder / "journal.json", sorted(folder.glob("state/mainstay/chaos/*/record.jsonl"))
    journal = f"journal.json, {json.loads(theirs.read_text())['status']}" if theirs.exists() else \
        f"record, {len(ours[-1].read_text().splitlines())} entries" if ours else "none"
    return Outcome(who, number.name, left, journal)


def main() -> None:
    """Print the table."""
    mainstay = sys.argv[sys.argv.index("--mainstay") + 1] if "--mainstay" in sys.argv else \
        str(Path(sys.executable).parent / "mainstay")
    chaos = rival(Path(tempfile.gettempdir()) / "mainstay-bench-chaostoolkit")
    ways: dict[str, Callable[[Path], Callable[[int], list[str]]]] = {
        "Chaos Toolkit, its default": lambda folder: lambda pid: [
            chaos, "run", str(toolkit_file(folder, pid))],
        "Chaos Toolkit, rollbacks always": lambda folder: lambda pid: [
            chaos, "run", "--rollback-strategy", "always", str(toolkit_file(folder, pid))],
        "Mainstay, the Chaos Toolkit's file": lambda folder: lambda pid: [
            mainstay, "chaos", "run", str(toolkit_file(folder, pid))],
        "Mainstay, its own experiment": lambda folder: lambda _pid: [
            mainstay, "chaos", "run", "stands-still", "-c", str(catalog(folder))]}
    print(f"{'':36} {'signal':8} {'the process':24} {'what is written down'}")
    for name, way in ways.items():
        for number in SIGNALS:
            with tempfile.TemporaryDirectory(prefix="mainstay-killed-") as folder:
                seen = outcome(name, number, Path(folder), way(Path(folder)))
                what = "-" if seen.journal == "did not run" else "STANDS STILL FOR GOOD" if seen.left else "goes on"
                print(f"{seen.who:36} {seen.signal:8} {what:24} {seen.journal}", flush=True)
                time.sleep(0.5)  # guardians are on their way out
    print(f"\nload {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
