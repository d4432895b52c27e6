"""Small operations and a small world, enough to see every door of the server open and close."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx

from mainstay.doors.front import Hooks, ServerSettings
from mainstay.doors.guard import AsgiApp
from mainstay.doors.http import Server, build_app
from mainstay.doors.web.pages import Page
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import InvalidInput, NoData, NotFound
from mainstay.kernel.finding import Finding, InvalidFiles, Position
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import (
    Cell,
    Chart,
    Code,
    Entry,
    Line,
    Mark,
    Next,
    Pairs,
    Text,
    Timeline,
    View,
    cells,
    state_cell,
    table,
)

T0 = datetime(2026, 5, 17, 10, 5, tzinfo=UTC)
PATIENCE = 60.0
"""Seconds after which what is waited for will not come any more, on a busy machine too."""


class SetClock:
    """A clock that a test sets."""

    def __init__(self, now: datetime = T0) -> None:
        self.at, self.ticks = now, 1000.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.ticks

    def sleep(self, seconds: float) -> None:
        self.forward(seconds)

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.ticks += seconds


@dataclass(frozen=True, slots=True)
class ReportRequest:
    name: str = arg("the objective's name", "")
    window: int = arg("days to look at", 30)
    share: float | None = arg("a share between 0 and 1", None)
    label: tuple[str, ...] = arg("only events with this label; may stand several times", ())
    order: str = arg("how to sort", "worst", choices=("worst", "name"))
    whole: bool = arg("with every row", False)
    config: str = arg("a file on this machine", "", local_only=True)


@dataclass(frozen=True, slots=True)
class Report:
    name: str
    window: int
    labels: tuple[str, ...]
    sli: float | None
    status: Literal["healthy", "violated", "no_data"]


def report(world: World, request: ReportRequest) -> Report:
    """The budget of an objective, as far as anything was measured."""
    if request.name == "missing":
        raise NotFound('no objective is named "missing"', "known: checkout")
    if request.name == "silent":
        raise NoData("nothing was measured for silent", "look whether the source is up")
    if request.name == "broken":
        raise InvalidFiles([Finding("unknown-field", Position("slo.yaml", 3, 5), 'unknown field "tagret"',
                                    'write "target"', "    tagret: 99.9")])
    if request.name == "bug":
        raise AssertionError("our own mistake with password=hunter2")
    if request.name == "slow":
        time.sleep(0.5)
    status: Literal["healthy", "violated"] = "violated" if request.name == "bad" else "healthy"
    return Report(request.name or world.actor, request.window, request.label, 0.9997, status)


def show_report(result: Report) -> View:
    times = tuple(T0 + timedelta(hours=i) for i in range(48))
    values = tuple(None if 20 <= i < 24 else 100.0 - i * 1.2 for i in range(48))
    return View(f"Budget of {result.name}", (
        Text(f"{result.window} days", "quiet"),
        Pairs((("availability", cells("99.970 %", "target 99.9 %", state_cell("healthy"))),)),
        table("Spent by", ("key", "bad>"), [(Cell("GET /a", link="slo/report?name=<b>"), "2"),
                                            (Cell("off site", link="javascript:alert(1)"), "1")]),
        table("Nothing here", ("key", "bad>"), [], empty="run: mainstay slo try LOG"),
        table("", ("", "bad>"), [("▸", "2")]),
        Chart("Budget left, 2 d: 43 % and falling", times, (Line("budget left", values),), "%",
              bounds=((25.0, "freeze below 25 %"),), query='sum(rate(x{path="</svg>"}[5m]))',
              marks=(Mark(times[5], "deployed checkout 1.4", link="rollout/show?id=7"),
                     Mark(times[30], "incident 12", "bad", until=times[34]))),
        Timeline((Entry(T0, "paged <ana>", "strong"),), "What happened"),
        Code("slo: {}", "yaml", "The document"),
        Next(("mainstay slo show checkout",)),
    ))


@dataclass(frozen=True, slots=True)
class SuggestRequest:
    name: str = arg("an objective", "")
    log: str = arg("or a log", "")


def suggest(world: World, request: SuggestRequest) -> Report:
    """A target that history supports."""
    if not request.name and not request.log:
        raise InvalidInput("nothing to suggest from", "name an objective or a log")
    return Report(request.name, 30, (), None, "no_data")


@dataclass(frozen=True, slots=True)
class FreezeRequest:
    service: str = arg("the service to freeze", positional=True)
    reason: str = arg("why", "")
    api_token: str = arg("for the deployment tool", "")


@dataclass(frozen=True, slots=True)
class Frozen:
    service: str
    by: str


def freeze(world: World, request: FreezeRequest) -> Frozen:
    """Deployments of a service stop until they are allowed again."""
    if request.service == "missing":
        raise NotFound('no service is named "missing"')
    return Frozen(request.service, world.actor)


def thaw(world: World, request: FreezeRequest) -> Frozen:
    """Deployments of a service may go on."""
    return Frozen(request.service, world.actor)


def show_frozen(result: Frozen) -> View:
    return View(f"{result.service}: frozen", (Text(f"frozen by {result.by}"),))


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation("slo", "report", ReportRequest, report, show_report,
              exit_code=lambda result: 1 if result.status == "violated" else 0,
              exit_codes=((0, "fine"), (1, "violated"), (3, "no data"))),
    Operation("slo", "freeze", FreezeRequest, freeze, show_frozen, scope="write"),
    Operation("slo", "thaw", FreezeRequest, thaw, show_frozen, scope="approve"),
    Operation("slo", "suggest", SuggestRequest, suggest, show_report),
    Operation("", "check", ReportRequest, report, show_report),
    Operation("slo", "try", ReportRequest, report, show_report, doors=("cli",)),
)


def toy_world(clock: Any = None) -> World:
    nothing: Any = None
    return World(clock=clock or SetClock(), catalog=Catalog(), journal=nothing, ledger=nothing, source=nothing,
                 survey=nothing)


def toy_app(settings: ServerSettings | None = None, *, clock: Any = None, hooks: Hooks | None = None,
            pages: Sequence[Page] = (), operations: Sequence[Operation[Any, Any]] = OPERATIONS) -> AsgiApp:
    world = toy_world(clock)
    return build_app(operations, lambda actor: replace(world, actor=actor), settings or ServerSettings(), pages, hooks)


@contextlib.contextmanager
def running(app: AsgiApp, settings: ServerSettings, hooks: Hooks) -> Iterator[str]:
    """The app on a free port; yields its URL."""
    up = threading.Event()
    server = Server(app, settings, hooks.feed, lambda _: up.set())
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        if not up.wait(PATIENCE):
            raise AssertionError("the server did not start")
        yield server.url
    finally:
        server.stop()
        thread.join(PATIENCE)
        if thread.is_alive():
            raise AssertionError("the server did not stop")


class Client:
    """A browser or a program in front of the app, without a network: keeps its cookies, follows nothing."""

    def __init__(self, app: AsgiApp, address: str = "127.0.0.1", base: str = "http://localhost:8700") -> None:
        self._app, self._address, self._base = app, address, base
        self.cookies = httpx.Cookies()

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, path, options))

    async def _ask(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, client=(self._address, 4000))
        async with httpx.AsyncClient(transport=transport, base_url=self._base, cookies=self.cookies) as client:
            response = await client.request(method, path, **options)
            self.cookies = client.cookies
            return response

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("POST", path, **options)

    def form_token(self, path: str = "/slo/freeze") -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.get(path).text)
        assert found, "the page carries no form token"
        return found[1]


def error_code(response: httpx.Response) -> str:
    return str(response.json()["error"]["code"])
