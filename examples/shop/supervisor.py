"""Starts the services of a run, waits until they are ready, and takes them with it when it ends.

It restarts a dead service only when asked, so that whoever watches the shop has something to find and to mend.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from shop.client import Pool
from shop.process import STOPPING
from shop.routing import Call, Refusal, Route, find_route
from shop.run_folder import Record, RunFolder, describe_me
from shop.server import Server
from shop.service import knows_secret
from shop.services import TRADES
from shop.wire import BadMessage, Request, Response

NAME = "supervisor"
_READY_SECONDS = 20.0
_GRACE_SECONDS = 6.0  # a little longer than a service drains
_PAUSE_SECONDS = 1.0  # before a dead service is started again


class DidNotStart(Exception):
    """A service ended, or was not ready in time."""


@dataclass(slots=True)
class Child:
    """One service under the supervisor; `options` are the words for its command line."""

    service: str
    port: int
    version: str
    options: list[str] = field(default_factory=list)
    process: Process | None = None
    expected_to_end: bool = False
    restarting: asyncio.Lock = field(default_factory=asyncio.Lock)


class Supervisor:
    """Keeps the children of one run."""

    def __init__(self, folder: RunFolder, children: list[Child], *, restart: bool) -> None:
        self._folder, self._children, self._restart = folder, {child.service: child for child in children}, restart
        self._secret = folder.secret()
        self._watches: set[asyncio.Task[None]] = set()
        self._routes = (Route("POST", "/admin/restart/{service}", self._restart_one),)

    async def run(self) -> int:
        """Start all, serve until told to stop, stop all; the exit code."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in STOPPING:
            loop.add_signal_handler(number, stop.set)
        began = loop.time()
        self._folder.write_launcher()
        server = Server(self._answer)
        self._folder.write_record(describe_me(NAME, NAME, await server.start(0), "v1"))
        starting = asyncio.ensure_future(self._start_all())
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
        try:
            if starting.done():
                await starting
                print(f"ready in {loop.time() - began:.2f} s; the run folder is {self._folder.path}", flush=True)
            await stopped
        except DidNotStart as error:
            print(f"shop: {error}", file=sys.stderr, flush=True)
            return 1
        finally:
            starting.cancel()
            await server.drain(1.0)
            await asyncio.gather(*(self._stop(child) for child in self._children.values()))
        return 0

    async def _start_all(self) -> None:
        for child in self._children.values():
            await self._start(child)
        for child in self._children.values():
            await self._until_ready(child)
            self._announce(child)
        self._write_targets()

    async def _start_again(self, child: Child) -> None:
        """Start the service once more; it is enough that it lives, as what it needs may be down as well."""
        await self._start(child)
        await self._until(child, "/healthz")
        self._announce(child)
        self._write_targets()

    async def _start(self, child: Child) -> None:
        # -S: the shop needs no installed package, and starts sooner when none is looked for.
        command = [sys.executable, "-S", str(Path(__file__).parent), "serve", child.service]
        command += ["--run", str(self._folder.path), "--port", str(child.port), "--version-label", child.version]
        command += ["--die-with", str(os.getpid()), *child.options]
        with self._folder.output(child.service).open("ab") as output:
            # In a process group of its own, so that Ctrl-C at the terminal reaches the supervisor alone.
            child.process = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=output, stderr=STDOUT, process_group=0
            )
        child.expected_to_end = False
        watch = asyncio.ensure_future(self._watch(child, child.process))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    async def _watch(self, child: Child, process: Process) -> None:
        """Tell when a service dies unasked, and start it again if that is wanted."""
        code = await process.wait()
        if child.expected_to_end:
            return
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        print(f"died   {child.service:<7} {how}", flush=True)
        if not self._restart:
            return
        await asyncio.sleep(_PAUSE_SECONDS)
        if child.process is process and not child.expected_to_end:  # unless `shop restart` was quicker
            try:
                await self._start_again(child)
            except DidNotStart as error:
                print(f"shop: {error}", file=sys.stderr, flush=True)  # the watch over the new process tries again

    async def _until_ready(self, child: Child) -> None:
        """Wait for the service; without its required dependencies in this run, only for itself."""
        needed = {name for name, need in TRADES[child.service].NEEDS.items() if need.required}
        await self._until(child, "/readyz" if needed <= self._children.keys() else "/healthz")

    async def _until(self, child: Child, page: str) -> None:
        """Wait until a page of the service answers 200."""
        assert child.process is not None, "only a started service can answer"
        give_up = asyncio.get_running_loop().time() + _READY_SECONDS
        while asyncio.get_running_loop().time() < give_up:
            if child.process.returncode is not None:
                raise DidNotStart(f"{child.service} did not start: {self._last_words(child)}")
            if await self._answers(child, page):
                return
            await asyncio.sleep(0.02)
        raise DidNotStart(f"{child.service} is not ready after {_READY_SECONDS:.0f} s: {self._last_words(child)}")

    async def _answers(self, child: Child, page: str) -> bool:
        record = self._folder.record(child.service)
        if record is None or child.process is None or record.pid != child.process.pid:
            return False  # no record yet, or that of a forerunner
        pool = Pool(lambda: record.address)
        try:
            return (await pool.send(Request("GET", page), 1.0)).status == 200
        except (TimeoutError, ConnectionError, BadMessage):
            return False
        finally:
            pool.close()

    async def _stop(self, child: Child) -> None:
        """End the service in good order, or by force when it does not."""
        child.expected_to_end = True
        process = child.process
        if process is None or process.returncode is not None:
            await self._stop_successor(child)
            return
        process.terminate()
        process.send_signal(signal.SIGCONT)  # a paused process cannot hear the signal before
        try:
            await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _stop_successor(self, child: Child) -> None:
        """End what somebody else started in the place of a service that died, such as an experiment that killed it.

        It is asked once: its interpreter no longer listens while it ends, and a second signal would kill it there.
        """
        record = self._folder.record(child.service)
        give_up = asyncio.get_running_loop().time() + _GRACE_SECONDS
        if record is not None and record.alive():
            self._signal(record, signal.SIGTERM)
        while record is not None and record.alive():
            if asyncio.get_running_loop().time() > give_up:
                self._signal(record, signal.SIGKILL)
            await asyncio.sleep(0.05)

    @staticmethod
    def _signal(record: Record, number: signal.Signals) -> None:
        """Send the signal, also to a paused process, which hears it only when it goes on."""
        with suppress(ProcessLookupError):
            os.kill(record.pid, number)
            os.kill(record.pid, signal.SIGCONT)

    async def _answer(self, request: Request) -> Response:
        """The page through which `shop restart` asks; only our own child can be given our protection."""
        found = find_route(self._routes, request)
        if found is None:
            return Response.of(404, {"error": "there is no such page"})
        if not knows_secret(request, self._secret):
            return Response.of(403, {"error": "this page needs the run's secret"})
        try:
            deadline = asyncio.get_running_loop().time() + _READY_SECONDS
            return await found[0].answer(Call(request, "", deadline, found[1]))
        except Refusal as refusal:
            return Response.of(refusal.status, {"error": refusal.message})
        except DidNotStart as error:
            return Response.of(500, {"error": str(error)})

    async def _restart_one(self, call: Call) -> Response:
        child = self._children.get(call.parameters["service"])
        if child is None:
            raise Refusal(404, "not_found", f"this run has no service `{call.parameters['service']}`")
        version = call.text("version") if call.request.body else child.version
        async with child.restarting:
            await self._stop(child)
            child.version = version
            await self._start_again(child)
        return Response.of(200, {"service": child.service, "version": child.version})

    def _announce(self, child: Child) -> None:
        record = self._folder.record(child.service)
        assert record is not None, "a ready service has written its record"
        print(f"ready  {child.service:<7} http://{record.address}  pid {record.pid}  {record.version}", flush=True)

    def _write_targets(self) -> None:
        """Where to scrape, for `file_sd_configs`; the services label their own series."""
        records = [record for name in self._children if (record := self._folder.record(name))]
        targets = [{"targets": [record.address], "labels": {"job": "shop"}} for record in records]
        self._folder.write_json("targets.json", targets)

    def _last_words(self, child: Child) -> str:
        lines = self._folder.output(child.service).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"
