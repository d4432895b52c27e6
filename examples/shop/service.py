"""One service as a process: its pages for operators, and around every request its deadline, knobs, metrics and log."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import re
import secrets
import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

from mainstay.resilience import exposition
from shop.client import Pool
from shop.dependency import MARGIN_SECONDS, OUTCOMES, Dependency, Need, Unavailable
from shop.knobs import Knobs
from shop.metrics import CONTENT_TYPE, Registry
from shop.routing import Call, Refusal, Route, find_route
from shop.run_folder import RunFolder, rfc3339
from shop.wire import Request, Response

SECRET_HEADER = "x-shop-secret"
_LONGEST_SECONDS = 2.0  # the deadline of a request that brings none
_MOST_AT_ONCE = 512  # beyond it a request is refused at once, instead of making all of them late
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ADDRESS = re.compile(r"([A-Za-z0-9.-]+:(?P<port>[0-9]{1,5}))?")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Backstage(NamedTuple):
    """What a service is given to do its work."""

    dependencies: Mapping[str, Dependency]
    folder: RunFolder


class Trade(Protocol):
    """What one service does, apart from being a process. `NEEDS` are the services it calls, by name."""

    NEEDS: ClassVar[Mapping[str, Need]]

    def __init__(self, backstage: Backstage, /) -> None: ...

    def routes(self) -> Sequence[Route]:
        """What it answers."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """How one process is started. `addresses` overrides where a dependency is found, as `host:port`."""

    service: str
    instance: str
    version: str
    knobs: Knobs
    addresses: Mapping[str, str]


class AccessLog:
    """One JSON line per request, appended with one write each, so that lines of a crash are whole."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, line: Mapping[str, object]) -> bool:
        """Whether the line could be written; a full disk must not stop the shop."""
        data = (json.dumps(line, separators=(",", ":")) + "\n").encode()
        try:
            return os.write(self._descriptor, data) == len(data)
        except OSError:
            return False


class Service:
    """Answers everything that reaches the process."""

    def __init__(self, settings: Settings, trade: type[Trade], folder: RunFolder) -> None:
        self._settings, self._folder = settings, folder
        self._knobs = settings.knobs
        self._addresses = dict(settings.addresses)
        self._secret = folder.secret()
        self._log = AccessLog(folder.access_log(settings.instance))
        self._in_hand = 0
        self._declare_metrics()
        count = partial(self._calls.add, settings.service)
        self._dependencies = {
            name: Dependency(name, need, Pool(partial(self._address_of, name)), count)
            for name, need in trade.NEEDS.items()
        }
        self._routes = trade(Backstage(self._dependencies, folder)).routes()
        self._start_series()

    async def answer(self, request: Request) -> Response:
        """The answer to any request."""
        match request.method, request.path:
            case "GET", "/healthz":
                return Response.of(200, {"alive": True})
            case "GET", "/readyz":
                return await self._readiness()
            case "GET", "/metrics":
                return self._metrics_page()
            case _, path if path.startswith("/admin/"):
                return self._administer(request)
            case _:
                return await self._trade(request)

    def _address_of(self, dependency: str) -> str | None:
        if dependency in self._addresses:
            return self._addresses[dependency]
        record = self._folder.record(dependency)
        return record.address if record else None

    # -- requests of customers ------------------------------------------------------------------------------------

    async def _trade(self, request: Request) -> Response:
        """Answer a customer's request, and write it down in metrics and log before the answer leaves."""
        started = asyncio.get_running_loop().time()
        given = request.headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        call = Call(request, request_id, started + _seconds_given(request))
        found = find_route(self._routes, request)
        self._in_hand += 1
        try:
            response = await self._respond(call, found)
        finally:
            self._in_hand -= 1
        response.headers["x-request-id"] = request_id
        if call.degraded:
            response.headers["x-degraded"] = ",".join(sorted(call.degraded))
        self._note(call, found[0].pattern if found else "other", response, started)
        return response

    async def _respond(self, call: Call, found: tuple[Route, dict[str, str]] | None) -> Response:
        try:
            if found is None:
                raise Refusal(404, "not_found", "there is no such page")
            if self._in_hand > _MOST_AT_ONCE:
                raise Refusal(503, "overloaded", "too many requests at once")
            route, call.parameters = found
            async with asyncio.timeout(max(0.0, call.seconds_left())):
                return await self._turn_knobs_then(route, call)
        except Refusal as refusal:
            return _error(call, refusal.status, refusal.error, refusal.message)
        except Unavailable as lack:
            if call.seconds_left() <= MARGIN_SECONDS:
                return _deadline_exceeded(call)
            message = f"{lack.dependency} does not answer ({lack.outcome})"
            return _error(call, 503, f"{lack.dependency}_unavailable", message)
        except TimeoutError:
            return _deadline_exceeded(call)
        except Exception as error:  # the edge of the process: a mistake of ours costs one request, and is told
            print(f"{call.request.method} {call.request.path}: {error!r}", file=sys.stderr, flush=True)
            return _error(call, 500, "internal", "a mistake in the shop")

    async def _turn_knobs_then(self, route: Route, call: Call) -> Response:
        if delay := self._knobs.delay():
            await asyncio.sleep(delay)
        if self._knobs.fails():
            raise Refusal(self._knobs.error_status, "knob", "this service was asked to fail")
        return await route.answer(call)

    def _note(self, call: Call, route: str, response: Response, started: float) -> None:
        seconds = asyncio.get_running_loop().time() - started
        method = call.request.method if call.request.method in _METHODS else "OTHER"
        service, status = self._settings.service, str(response.status)
        self._requests.add(service, method, route, status)
        self._durations.observe(seconds, service, method, route)
        # The time is that of the answer, so that a log is in the order of its times.
        line: dict[str, object] = {"time": rfc3339(datetime.now(UTC)), "service": service, "method": method}
        line |= {"path": call.request.path[:256], "route": route, "status": response.status}
        line |= {"duration_ms": round(seconds * 1000, 3), "request_id": call.request_id}
        line |= {"version": self._settings.version}
        if "x-degraded" in response.headers:
            line["degraded"] = response.headers["x-degraded"]
        if not self._log.write(line):
            self._lost_lines.add(service)

    # -- pages for operators --------------------------------------------------------------------------------------

    async def _readiness(self) -> Response:
        """200 when every required dependency is alive; its own health does not ask theirs, so nothing cascades."""
        alive = dict(zip(self._dependencies, await asyncio.gather(*(d.alive() for d in self._dependencies.values())),
                         strict=True))
        ready = all(alive[name] for name, dependency in self._dependencies.items() if dependency.need.required)
        states = {name: "up" if up else "down" for name, up in alive.items()}
        return Response.of(200 if ready else 503, {"ready": ready, "dependencies": states})

    def _metrics_page(self) -> Response:
        service = self._settings.service
        self._in_hand_gauge.set(service, to=self._in_hand)
        for name, dependency in self._dependencies.items():
            self._breakers.set(service, name, to=float(dependency.held_back))
        breakers = exposition(dependency.breaker for dependency in self._dependencies.values())
        return Response(200, {"content-type": CONTENT_TYPE}, self._metrics.page() + breakers.encode())

    def _administer(self, request: Request) -> Response:
        if not knows_secret(request, self._secret):
            return Response.of(403, {"error": f"this page needs the run's secret in the header {SECRET_HEADER}"})
        try:
            changes = json.loads(request.body) if request.method == "POST" else {}
            if not isinstance(changes, dict):
                return Response.of(400, {"error": "the body is not a JSON object"})
            match request.path:
                case "/admin/knobs":
                    self._knobs = self._knobs.turned(changes)
                    return Response.of(200, self._knobs.as_dict())
                case "/admin/dependencies":
                    return self._redirect(changes)
        except ValueError as error:
            return Response.of(400, {"error": str(error)})
        return Response.of(404, {"error": "there is no such page"})

    def _redirect(self, changes: Mapping[str, object]) -> Response:
        """Call dependencies at other addresses from now on; an empty address goes back to the usual one."""
        self._addresses |= checked_addresses(changes, self._dependencies)
        self._addresses = {name: address for name, address in self._addresses.items() if address}
        return Response.of(200, {name: self._address_of(name) for name in self._dependencies})

    # -- metrics --------------------------------------------------------------------------------------------------

    def _declare_metrics(self) -> None:
        self._metrics = Registry()
        self._requests = self._metrics.counter(
            "http_requests_total", "Requests of customers answered.", "service", "method", "route", "code"
        )
        self._durations = self._metrics.histogram(
            "http_request_duration_seconds", "Time to answer a request.", "service", "method", "route"
        )
        self._calls = self._metrics.counter(
            "dependency_requests_total", "Calls to other services by their end.", "service", "dependency", "outcome"
        )
        self._breakers = self._metrics.gauge(
            "dependency_breaker_open", "1 while calls to a dependency are held back.", "service", "dependency"
        )
        self._in_hand_gauge = self._metrics.gauge("http_requests_in_flight", "Requests being answered.", "service")
        self._lost_lines = self._metrics.counter("access_log_lost_lines_total", "Log lines not written.", "service")
        build = self._metrics.gauge("build_info", "Always 1; its labels say what runs.", "service", "version")
        build.set(self._settings.service, self._settings.version, to=1)

    def _start_series(self) -> None:
        """Let every series that can be foreseen begin at 0."""
        service = self._settings.service
        self._lost_lines.add(service, by=0)
        for route in self._routes:
            self._durations.prepare(service, route.method, route.pattern)
            for code in ("200", "500", "503", "504"):
                self._requests.add(service, route.method, route.pattern, code, by=0)
        for name in self._dependencies:
            for outcome in OUTCOMES:
                self._calls.add(service, name, outcome, by=0)


def checked_addresses(addresses: Mapping[str, object], dependencies: Container[str]) -> dict[str, str]:
    """The addresses, each HOST:PORT or empty.

    Raises:
        ValueError: an address is neither, or there is no such dependency.
    """
    checked = {}
    for name, address in addresses.items():
        if name not in dependencies:
            raise ValueError(f"there is no dependency `{name}` here")
        found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if found is None or int(found["port"] or 0) > 65_535:
            raise ValueError(f"the address of {name} has to be HOST:PORT, or empty")
        checked[name] = found[0]
    return checked


def knows_secret(request: Request, secret: str) -> bool:
    """Whether the request carries the secret of the run."""
    return hmac.compare_digest(request.headers.get(SECRET_HEADER, "").encode(), secret.encode())


def _seconds_given(request: Request) -> float:
    """How long the caller waits: what its header says, but never longer than a request may take here."""
    given = request.headers.get("x-deadline-ms", "")
    return min(int(given) / 1000, _LONGEST_SECONDS) if given.isdecimal() else _LONGEST_SECONDS


def _deadline_exceeded(call: Call) -> Response:
    return _error(call, 504, "deadline_exceeded", "the time for this request is over")


def _error(call: Call, status: int, error: str, message: str) -> Response:
    body = {"error": error, "message": message, "request_id": call.request_id}
    return Response.of(status, body, **({"retry_after": "1"} if status == 503 else {}))
