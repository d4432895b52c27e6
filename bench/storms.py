"""Two storms of the field notes: ten thousand alerts in a minute (S2), and the same said again for hours (S3).

    python bench/storms.py [minutes of resends in real time, 2]

S2: 10,000 distinct alerts of 200 services in 60 s, a group a service, `wait: 30s`, four services a person, so that the
storm guard holds no first page back. A page is late by when a real HTTP receiver has it, counted from 30 s after the
first alert of its service was *sent*.

S3: 10,000 alerts that fire, said again every minute by two senders, 333 events a second, single POSTs over 40
connections against `mainstay serve`. Processor time is that of the whole server. How the database grows in two hours is
not extrapolated but counted: the same 2.4 million events on a virtual clock through the same desk into the same store.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop
from intake import STORM, alert, flood, lines_to, ours, p99, request, spent_by

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.store import open_store
from mainstay.app import grammar
from mainstay.incident.act import Plan
from mainstay.incident.alertmanager import read_alerts
from mainstay.incident.engine import Sweep
from mainstay.incident.operations.desk import Desk
from mainstay.incident.received import Sender
from mainstay.kernel.catalog import load
from mainstay.oncall.operations.duty import Duty

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from servers.fake_receiver import Listener, listening

SERVICES, PEOPLE, WAIT, SECONDS = 200, 50, 30.0, 60.0
A_SECOND, SENDERS, HOURS = 333, 2, 2
_TOGETHER = 200
"""Events in one commit of the virtual storm: as many as the inbox takes at once."""


def catalog(hook: str) -> str:
    """Fifty people, four services each; every service a group of its own."""
    parts = []
    for number in range(PEOPLE):
        parts.append(f"apiVersion: mainstay/v1\nkind: Person\nmetadata: {{name: p{number}}}\n"
                     f'spec: {{contacts: {{webhook: "{hook}/p{number}"}}}}\n')
        parts.append(f"apiVersion: mainstay/v1\nkind: EscalationPolicy\nmetadata: {{name: p{number}}}\n"
                     f"spec: {{steps: [{{page: [person:p{number}], wait: 30m}}]}}\n")
    routes = ", ".join(f"{{match: [service=service-{number}], policy: p{number % PEOPLE}}}"
                       for number in range(SERVICES))
    parts.append("apiVersion: mainstay/v1\nkind: Routing\nmetadata: {name: all}\nspec:\n"
                 f"  route: {{policy: p0, group_by: [service], wait: {WAIT:.0f}s, routes: [{routes}]}}\n")
    return "---\n".join(parts)


async def spread(url: str) -> tuple[dict[str, float], list[float]]:
    """Every alert once, evenly; when the first of each service was sent, and how long each answer took."""
    lines = await lines_to(url, 50)
    first: dict[str, float] = {}
    begun, waiting = time.perf_counter(), iter(range(STORM))

    async def drive(line: Any) -> None:
        for number in waiting:
            await asyncio.sleep(max(begun + SECONDS * number / STORM - time.perf_counter(), 0))
            first.setdefault(f"service-{number % SERVICES}", time.time())
            await line.post(request(url, [alert(number)]))

    await asyncio.gather(*map(drive, lines))
    for line in lines:
        line.close()
    return first, [one for line in lines for one in line.took]


def storm(url: str, there: Listener) -> None:
    """S2, and how late the first page of each service was."""
    first, answers = uvloop.run(spread(url))
    print(f"S2: {STORM:,} alerts in {SECONDS:.0f} s: p99 of the answer {p99(answers):.1f} ms  (<= 100)")
    give_up = time.monotonic() + 60
    while len(there.got) < SERVICES and time.monotonic() < give_up:
        time.sleep(0.1)
    late: dict[str, float] = {}
    pages = there.bodies
    for at, page in zip(there.at, pages, strict=True):
        service = page["about"]["service"]
        late.setdefault(service, at - (first[service] + WAIT))
    people = {page["target"] for page in pages}
    print(f"    {len(late)} services of {SERVICES} paged {len(people)} people by {len(pages)} pages; the first page of "
          f"each, after its wait: median {sorted(late.values())[len(late) // 2]:.2f} s, p99 "
          f"{p99(list(late.values())) / 1000:.2f} s, worst {max(late.values()):.2f} s  (p99 <= 2)")


def size(folder: Path) -> float:
    """Megabytes of the database, with what its write-ahead log holds."""
    with sqlite3.connect(f"file:{folder}/mainstay.db?mode=ro", uri=True) as connection:
        pages, bytes_ = (connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
    return float(pages * bytes_) / 1e6


def resends(url: str, process: int, folder: Path, minutes: float) -> None:
    """S3 in real time; they are all known already."""
    requests = [request(url, [alert(number)]) for number in range(STORM)]
    for part in range(2):
        many = int(A_SECOND * 60 * minutes / 2)
        before, spent = size(folder), spent_by(process)
        took, answers = uvloop.run(flood(url, [requests[n % STORM] for n in range(many)], 40, many / A_SECOND))
        cpu = (spent_by(process) - spent) / took
        print(f"S3: {many / took:,.0f} a second for {took / 60:.1f} min ({'first' if not part else 'second'} half): "
              f"p99 of the answer {p99(answers):.1f} ms, {cpu:.0%} of one core  (<= 50 %), database "
              f"{size(folder) - before:+.1f} MB")


def two_hours(folder: Path) -> None:
    """All of S3 on a virtual clock: how the database grows."""
    (folder / "plan.yaml").write_text(catalog("http://127.0.0.1:9"))
    found, _ = load([folder], grammar())
    begun = datetime(2026, 3, 2, 9, tzinfo=UTC)
    clock = FakeClock(begun)
    with open_store(f"sqlite:///{folder}/mainstay.db", clock) as store:
        desk = Desk(store.journal, clock, Plan.of(found), Duty(found, store.journal))
        bodies = [json.dumps([alert(number)]).encode() for number in range(STORM)]

        def say() -> None:
            for start in range(0, STORM, _TOGETHER):
                desk.do_all([event for body in bodies[start:start + _TOGETHER]
                             for event in read_alerts(body, Sender("prometheus"), clock.now()).events])

        say()
        opened = size(folder)
        for minute in range(1, 60 * HOURS + 1):
            clock.set(begun + timedelta(minutes=minute))
            for _ in range(SENDERS):
                say()
            while desk.ring("bench"):
                pass
            desk.do(Sweep(begun))
            desk.write_down()
            if minute % 30 == 0:
                print(f"    {minute:3} min, {minute * SENDERS * STORM:9,} events said again: database "
                      f"{size(folder) - opened:+6.1f} MB since all {STORM:,} had opened ({opened:.1f} MB)  (<= 50)")
        assert len(desk.state.alerts) == STORM


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
    with tempfile.TemporaryDirectory(prefix="mainstay-bench-") as name, listening(204) as there:
        folder = Path(name)
        (folder / "plan.yaml").write_text(catalog(there.url))
        with ours(folder) as mine:
            storm(mine.url, there)
            resends(mine.url, mine.process.pid, folder, minutes)
        print(f"load {os.getloadavg()[0]:.1f} after")
    with tempfile.TemporaryDirectory(prefix="mainstay-bench-") as name:
        print(f"S3 whole, on a virtual clock: {STORM:,} alerts, {SENDERS} senders, every minute for {HOURS} h")
        two_hours(Path(name))


if __name__ == "__main__":
    main()
