"""`mainstay demo`: a small real shop, real traffic, and Mainstay on it; the month before is simulated and says so."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mainstay
from mainstay.app import Settings, build_world
from mainstay.doors import terminal
from mainstay.doors.front import ServerSettings
from mainstay.doors.house.serving import Clockwork, run_server
from mainstay.doors.http import Server
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError
from mainstay.kernel.journal import Batch, NewFact
from mainstay.kernel.method import counted, step_of
from mainstay.kernel.objective import Indicator, IndicatorType, Objective, ledger_key, resolved
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import Condition, CountRequest, EventQuery, FileSet, World
from mainstay.kernel.quantity import SLOT, Span, parse_duration
from mainstay.kernel.series import floor_slot
from mainstay.kernel.view import Text, View
from mainstay.slo.operations.standings import Report, ReportRequest, report, report_view

_READY_WITHIN = 30.0
_HISTORY_FIELDS = {"status": "code", "total": "total"}


@dataclass(frozen=True)
class DemoRequest:
    """How long, how busy, and where."""

    length: str = arg("end by itself after this long, such as 60s; otherwise Ctrl-C ends it", "", flag="for",
                      value="DURATION")
    port: int = arg("the page's port; 0 takes a free one", 8700)
    rate: str = arg("customers' requests a second", "25/s", value="RATE")
    run: str = arg("a folder to run in, kept afterwards; otherwise a temporary one", "", value="FOLDER")
    seed: int = arg("of the simulated month and the customers", 7)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What the demonstration saw when it ended."""

    url: str
    seconds_to_first_budgets: float
    evaluations: int
    requests: int
    failed_requests: int
    report: Report


def demo(world: World, request: DemoRequest) -> Demonstration:
    """Run a small real shop and show its budgets.

    Five processes on loopback with real traffic, a simulated month of history (labelled as such), nothing to install.
    """
    begun = time.monotonic()
    length = parse_duration(request.length) if request.length else None
    shop = _find_shop()
    with _run_folder(request.run) as run, _running(shop, run, request) as start:
        own = _world_of(run, world)
        _fill_history(own, shop, run, request.seed)
        first = report(own, ReportRequest())
        sys.stderr.write(terminal.render(report_view(first), terminal.style_of(sys.stderr, os.environ)) + "\n")
        took = time.monotonic() - begun
        timer: list[threading.Timer] = []

        def started(url: str, _: Clockwork, server: Server) -> None:
            until = f"; ends after {request.length}" if length else "; Ctrl-C ends it"
            where = f"-c {run}/catalog --store sqlite:///{run}/mainstay.db"
            sys.stderr.write(f"first budgets after {took:.1f} s · the page: {url}{until}\n"
                             f"break something:  {run}/shop knob api error_rate=0.05\n"
                             f"see it mended:    {run}/shop kill cache   (then {url}/runbook/remedies)\n"
                             f"agree to it:      {run}/shop kill auth    (then {url}/runbook)\n"
                             f"prove something:  {sys.executable} -m mainstay chaos run cache-in-trouble {where}\n")
            sys.stderr.flush()
            start("watch", "--alertmanager", url)
            if length is not None:
                timer.append(threading.Timer(length.total_seconds(), server.stop))
                timer[0].start()

        try:
            served = run_server(own, ServerSettings(port=request.port, catalog="the example shop"),
                                timedelta(seconds=10), started=started)
        finally:
            # Ended before its time: the timer would keep the process until then.
            for one in timer:
                one.cancel()
        last = report(own, ReportRequest())
        seen, failed = _traffic_seen(run)
        own.journal.close()
        own.ledger.close()
    return Demonstration(served.url, round(took, 3), served.evaluations, seen, failed, last)


# -- the shop -----------------------------------------------------------------------------------------------------


def _find_shop() -> Path:
    """The example shop of this checkout.

    Raises:
        InvalidInput: Mainstay was installed without its examples.
    """
    for root in (Path(mainstay.__file__).parents[2], Path.cwd()):
        if (root / "examples" / "shop" / "__main__.py").exists():
            return root / "examples" / "shop"
    raise InvalidInput("the demonstration needs the folder examples/shop, which an installed package does not hold",
                       "run it in a clone of the repository: make demo")


@contextmanager
def _run_folder(given: str) -> Iterator[Path]:
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
        yield Path(given).resolve()
        return
    with tempfile.TemporaryDirectory(prefix="mainstay-demo-") as folder:
        yield Path(folder)


@contextmanager
def _running(shop: Path, run: Path, request: DemoRequest) -> Iterator[Callable[..., None]]:
    """The shop and its customers, as processes of their own; they end with this block, and with us if we are killed.

    Gives what starts one more of the shop's commands.
    """
    processes: list[subprocess.Popen[bytes]] = []
    with open(run / "shop.out", "ab") as said:
        def start(*words: str) -> None:
            processes.append(subprocess.Popen(
                [sys.executable, "-m", "shop", *words, "--run", str(run), "--die-with", str(os.getpid())],
                env={**os.environ, "PYTHONPATH": str(shop.parent)}, stdout=said, stderr=said, start_new_session=True))

        try:
            start("up")
            _wait_until_ready(processes[0], run)
            start("traffic", "--rate", request.rate, "--for", "30d", "--seed", str(request.seed))
            yield start
        finally:
            for process in reversed(processes):
                _end(process)


def _wait_until_ready(up: subprocess.Popen[bytes], run: Path) -> None:
    until = time.monotonic() + _READY_WITHIN
    while time.monotonic() < until:
        if up.poll() is not None:
            break
        if (run / "targets.json").exists() and (run / "web.json").exists():
            return
        time.sleep(0.05)
    said = (run / "shop.out").read_text(errors="replace")[-500:]
    raise MainstayError(f"the shop did not start: {said.strip()}", f"look at {run}/shop.out")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# -- Mainstay on it -----------------------------------------------------------------------------------------------


def _world_of(run: Path, world: World) -> World:
    """Mainstay's world for this run: the shop's catalog beside its logs, a store of its own."""
    catalog = run / "catalog"
    shutil.copytree(_find_shop() / "catalog", catalog, dirs_exist_ok=True)
    return build_world(Settings(str(catalog), f"sqlite:///{run}/mainstay.db", "checked", None, "demo", world.progress))


def _fill_history(world: World, shop: Path, run: Path, seed: int) -> None:
    """Back-fill the ledger with the simulated month, and the journal with what happened in it."""
    now = world.clock.now()
    end = datetime.fromtimestamp(floor_slot(now), UTC)
    folder = run / "history"
    subprocess.run([sys.executable, "-m", "shop", "history", "--run", str(run), "--days", "31", "--seed", str(seed)],
                   env={**os.environ, "PYTHONPATH": str(shop.parent)}, check=True, capture_output=True)
    start = end - timedelta(days=31)
    facts = [NewFact("slo.history-simulated", key, now, {"until": end.isoformat()}, key=f"simulated:{key}")
             for key in _write_history(world, folder, Span(start, end), now)]
    for line in (folder / "facts.jsonl").read_text().splitlines():
        told = json.loads(line)
        facts.append(NewFact(f"{told['kind']}.recorded", told["subject"], _moment(told["from"]),
                             {"text": told["text"] + " (simulated)", "until": _moment(told["to"]).isoformat(),
                              "services": told.get("services", [])}, key=f"simulated:{told['from']}:{told['subject']}"))
    world.journal.commit(Batch(facts))


def _write_history(world: World, folder: Path, span: Span, now: datetime) -> list[str]:
    """The ledger keys that were filled."""
    from mainstay.adapters.events import EventSource  # noqa: PLC0415  (a lazy start: help needs no DuckDB)

    entries = {}
    for objective in world.catalog.of(Objective):
        indicator = resolved(objective, world.catalog)
        column = "slow" if indicator.type is IndicatorType.LATENCY else "bad"
        source = EventSource(FileSet((str(folder / "*.csv"),), "csv", {**_HISTORY_FIELDS, "bad": column}))
        step = step_of(objective.method)
        assert step == SLOT, "the simulated history is counted in whole slots"
        asked = EventQuery(_of_history(indicator))
        reading = source.count([CountRequest(asked, span, bad=asked, step=step)])[0]
        entries[ledger_key(indicator, objective.method)] = counted(reading.series, objective.method)
    world.ledger.write(entries, now)
    return list(entries)


def _of_history(indicator: Indicator) -> tuple[Condition, ...]:
    """Which rows of the history an indicator counts: its service and route; what is bad stands in a column."""
    assert isinstance(indicator.total, EventQuery), "the shop's objectives count events"
    return tuple(one for one in indicator.total.where if one.field in ("service", "route"))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _traffic_seen(run: Path) -> tuple[int, int]:
    """Requests that the shop's front logged, and how many of them failed."""
    seen = failed = 0
    with open(run / "logs" / "web.jsonl", encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                seen += 1
                failed += json.loads(line)["status"] >= 500
    return seen, failed


def demo_view(found: Demonstration) -> View:
    """The last report, and what was seen."""
    last = report_view(found.report)
    said = (f"The demonstration saw {found.requests:,} requests, {found.failed_requests:,} of them failed, and "
            f"evaluated {found.evaluations} {'time' if found.evaluations == 1 else 'times'}.")
    return replace(last, blocks=(Text(said, "quiet"), *last.blocks))


DEMO = Operation(
    "", "demo", DemoRequest, demo, demo_view, scope="write", catalog="unused", doors=("cli",),
    exit_codes=((0, "ended as asked"), (2, "the shop or the server could not be started")),
    examples=("mainstay demo", "mainstay demo --for 60s --json", "mainstay demo --port 0 --rate 50/s"))

OPERATIONS = (DEMO,)
