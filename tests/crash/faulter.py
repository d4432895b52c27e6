"""The program that is killed while it puts a fault in, has it in, or takes it out.

Started once, it forks for every line of its input, so that a kill costs milliseconds. Each fork puts one fault in,
under guard, and takes it out; a counter of the lines of Mainstay that it runs says at which of them it dies, with whom.
It answers with its pid; a run that nobody killed leaves in `lines.json` how many lines each phase had.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from chaos_host.place import SIGN, order_in
from mainstay.adapters.faults.injector import HostInjector, mechanisms
from mainstay.adapters.faults.processes import send
from mainstay.adapters.faults.wal import read
from mainstay.kernel.faults import Mechanism

PHASES = ("begin", "inject", "hold", "remove", "end")
_OURS = str(Path("adapters", "faults"))


class Death:
    """Comes at a line of a phase."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job, self._phase = job, ""
        self.lines = dict.fromkeys(PHASES, 0)

    def phase(self, name: str) -> None:
        """The phase that begins now."""
        self._phase = name

    def trace(self, frame: Any, event: str, _arg: Any) -> Any:
        """Counts lines of ours, in every thread that the phases run in."""
        if _OURS not in frame.f_code.co_filename or threading.current_thread().name == "mainstay-guards":
            return None
        if event == "line":
            self.lines[self._phase] += 1
            if self._job["phase"] == self._phase and self.lines[self._phase] == self._job["at"]:
                self.come()
        return self.trace

    def come(self) -> None:
        """Kill who is to be killed; returns when that is not this process."""
        guardians = read(Path(self._job["folder"]) / "state" / "run" / "record.jsonl").guardians \
            if self._job["guardians"] else {}
        for slot in self._job["guardians"]:
            if slot in guardians:
                send(guardians[slot], signal.SIGKILL)
        if self._job["runner"]:
            os.kill(os.getpid(), signal.SIGKILL)


def run(job: dict[str, Any], way: Mechanism) -> None:
    os.environ[SIGN] = job["folder"]
    os.setsid()
    death = Death(job)
    death.phase("begin")
    injector = HostInjector(Path(job["folder"]) / "state", [way])
    order = order_in(Path(job["folder"]), job["kind"], job["start"])
    threading.settrace(death.trace)
    sys.settrace(death.trace)
    with injector.guard("run") as guarded:
        death.phase("inject")
        injection = guarded.inject(order)
        death.phase("hold")
        if job["phase"] == "hold":
            time.sleep(job["at"] / 1000)
            death.come()
        death.phase("remove")
        injection.remove()
        death.phase("end")
    sys.settrace(None)
    Path(job["folder"], "lines.json").write_text(json.dumps(death.lines))


def main() -> None:
    ways = mechanisms()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        job = json.loads(line)
        way = next(way for way in ways for ability in way.abilities()
                   if (ability.kind, ability.mechanism) == (job["kind"], job["mechanism"]))
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            code = 1
            try:
                run(job, way)
                code = 0
            finally:
                os._exit(code)
        print(json.dumps({"pid": pid}), flush=True)


if __name__ == "__main__":
    main()
