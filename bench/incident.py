"""What the engine takes: a simulated year, who is on call, a year's schedule, an act among 100,000 alerts that fire.

There is no rival to run beside: no open engine simulates a year. Goals stand next to the figures; CPU time is given
beside wall time, for a busy machine says little by the wall.
Run: python bench/incident.py [alerts of the year] [alerts that fire]
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mainstay.adapters.clock import FakeClock, SystemClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.adapters.store import open_store
from mainstay.app import grammar
from mainstay.incident.act import Plan
from mainstay.incident.engine import Acknowledge, Happening, Note, Resolve, SetSeverity, SetStatus
from mainstay.incident.intake import AlertEvent
from mainstay.incident.lifecycle import Status
from mainstay.incident.operations.desk import Desk
from mainstay.incident.operations.simulate import run
from mainstay.incident.severity import Severity
from mainstay.incident.simulation import Event
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.quantity import Span
from mainstay.oncall.operations.duty import Duty

YEAR = Span(datetime(2026, 1, 5, 9, tzinfo=UTC), datetime(2027, 1, 5, 9, tzinfo=UTC))
PEOPLE, TEAMS = 50, 10
_TIMES = 50
"""How often each act is done."""


def catalog(folder: Path) -> Catalog:
    """Fifty people in ten teams, each team with its rotation and policy; one rotation of twenty with 200 overrides."""
    names = [f"person-{number}" for number in range(PEOPLE)]
    parts = [f"apiVersion: mainstay/v1\nkind: Person\nmetadata: {{name: {name}}}\n"
             f"spec: {{timezone: Europe/Berlin, contacts: {{terminal: {name}}}}}\n" for name in names]
    routes = []
    for team in range(TEAMS):
        members = ", ".join(names[team::TEAMS])
        parts.append(f"""apiVersion: mainstay/v1
kind: Rotation
metadata: {{name: team-{team}}}
spec: {{timezone: Europe/Berlin, start: "2026-01-05T09:00", turn: 1w, members: [{members}]}}
---
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {{name: team-{team}}}
spec:
  steps: [{{page: [rotation:team-{team}], wait: 5m}}, {{page: [person:{names[team]}], wait: 10m}}]
  loops: 1
  fallback: [person:{names[team]}]
""")
        routes.append(f"{{match: ['team=\"{team}\"'], policy: team-{team}}}")
    parts.append(f"""apiVersion: mainstay/v1
kind: Routing
metadata: {{name: all}}
spec: {{route: {{policy: team-0, routes: [{', '.join(routes)}]}}}}
""")
    overrides = "\n".join(f"    - {{from: {_wall(43 * n)}, to: {_wall(43 * n + 6)}, who: {names[(n * 7) % 20]}}}"
                          for n in range(200))
    parts.append(f"""apiVersion: mainstay/v1
kind: Rotation
metadata: {{name: twenty}}
spec:
  timezone: America/New_York
  start: "2026-01-05T09:00"
  turn: 1d
  members: [{', '.join(names[:20])}]
  overrides:
{overrides}
""")
    (folder / "plan.yaml").write_text("---\n".join(parts))
    found, findings = load([folder], grammar())
    assert not [one for one in findings if one.severity == "error"], findings[0].render()
    return found


def _wall(hours: int) -> str:
    return f'"{YEAR.start + timedelta(hours=3 + hours):%Y-%m-%dT%H:%M}"'


def story(alerts: int) -> list[Event]:
    """Each alert fires and resolves within a minute to two hours; two thirds are acknowledged after a minute."""
    draw = random.Random(1)
    events = []
    for number in range(alerts):
        begins = YEAR.start + timedelta(seconds=draw.randrange(int((YEAR.end - YEAR.start).total_seconds())))
        ends = begins + timedelta(seconds=draw.randrange(60, 7_200))
        key, service = f"alert-{number}", f"service-{number % 200}"
        events.append(Event(begins, AlertEvent(begins, True, key, service, "page", {"team": str(number % TEAMS)})))
        events.append(Event(ends, AlertEvent(ends, False, key, service)))
        if number % 3:
            events.append(Event(begins + timedelta(minutes=1), Acknowledge(key, "person-1")))
    return sorted(events, key=lambda event: event.at)


def simulated_year(plan: Plan, duty: Duty, alerts: int) -> None:
    events = story(alerts)
    wall, cpu = time.perf_counter(), time.process_time()
    found = run(plan, duty, events, until=YEAR.end + timedelta(days=1))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"a simulated year: {alerts:,} alerts, {PEOPLE} people, {len(events):,} events, {len(found.pages):,} pages, "
          f"{len(found.changes):,} changes\n  {wall:.1f} s ({cpu:.1f} s CPU), goal 30 s; {memory:,.0f} MB")


def fastest(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Milliseconds: the median and the slowest of so many."""
    took = []
    for _ in range(times):
        before = time.perf_counter()
        work()
        took.append((time.perf_counter() - before) * 1_000)
    return statistics.median(took), max(took)


def schedules(duty: Duty) -> None:
    moments = iter([YEAR.start + timedelta(hours=7 * n) for n in range(1_000)])
    duty.on_call("twenty", YEAR.start)
    middle, slowest = fastest(lambda: duty.on_call("twenty", next(moments)), 1_000)
    print(f"who is on call: {middle:.3f} ms, slowest of 1,000 {slowest:.2f} ms, goal 1 ms")
    middle, slowest = fastest(lambda: duty.shifts("twenty", YEAR), 20)
    print(f"a year's schedule of 20 people with 200 overrides: {middle:.1f} ms, slowest {slowest:.1f} ms, goal 50 ms "
          f"({len(duty.shifts('twenty', YEAR)):,} shifts)")


def acts(plan: Plan, duty: Duty, firing: int, folder: Path) -> None:
    store = open_store(f"sqlite:///{folder}/m.db", SystemClock())
    desk = Desk(store.journal, SystemClock(), plan, duty)
    now = datetime.now(UTC)
    for first in range(0, firing, 500):
        desk.do_all([AlertEvent(now, True, f"k{number}", f"service-{number % 200}", "page",
                                {"team": str(number % TEAMS)})
                     for number in range(first, min(first + 500, firing))])
    assert firing > 5 * _TIMES, "each act is on an incident of its own"
    names = iter([f"INC-{number}" for number in range(1, firing)])
    kinds: dict[str, Callable[[str], Happening]] = {
        "status": lambda name: SetStatus(name, Status.IDENTIFIED, "ana"),
        "severity": lambda name: SetSeverity(name, Severity.SEV1, "ana"), "ack": lambda name: Acknowledge(name, "ana"),
        "note": lambda name: Note(name, "seen", "ana"), "resolve": lambda name: Resolve(name, "ana")}
    print(f"an act while {len(desk.state.alerts):,} alerts fire, durable on SQLite, goal 20 ms:")
    for kind, made in kinds.items():
        middle, slowest = fastest(lambda made=made: desk.do(made(next(names))), _TIMES)  # type: ignore[misc]
        print(f"  {kind:9} {middle:5.1f} ms, slowest of {_TIMES} {slowest:5.1f} ms")
    store.close()


def yardstick() -> str:
    """How quick the machine and the interpreter are at the moment, whatever Mainstay does."""
    begun, number = time.process_time(), 0
    for one in range(10_000_000):
        number += one
    return f"Python {sys.version.split()[0]} adds ten million numbers in {time.process_time() - begun:.2f} s"


def main() -> None:
    alerts = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    firing = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    load_now = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"{os.cpu_count()} cores, load {load_now}; {yardstick()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = catalog(folder)
        plan, duty = Plan.of(found), Duty(found, MemoryJournal(FakeClock(YEAR.start)))
        schedules(duty)
        simulated_year(plan, duty, alerts)
        print(f"after it, {yardstick()}")
        acts(plan, duty, firing, folder)


if __name__ == "__main__":
    main()
