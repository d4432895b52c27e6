"""`mainstay serve`: the page, the API, the metrics, and the clockwork behind them."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mainstay.adapters.notifiers import TerminalNotifier, WebhookNotifier
from mainstay.app import MAINSTAY, declared_anew, grammar
from mainstay.doors.alertmanager_api import AlertmanagerApi
from mainstay.doors.front import Act, Front, Hooks, ServerSettings
from mainstay.doors.guard import AsgiApp, ShortWay
from mainstay.doors.house.crew import Crew
from mainstay.doors.house.engine import Engine, engine_metrics
from mainstay.doors.house.letters import Letters
from mainstay.doors.house.monkeys import Monkeys
from mainstay.doors.house.remedying import Remedying
from mainstay.doors.house.rounds import Rounds
from mainstay.doors.house.tokens import token_file
from mainstay.doors.http import Server, build_app
from mainstay.doors.intake import IntakeDoor
from mainstay.doors.slack import slack_routes
from mainstay.doors.sse import Feed
from mainstay.doors.web.chaos_content import chaos_pages
from mainstay.doors.web.incident_content import incident_pages
from mainstay.doors.web.monitoring_content import Seen, monitoring_pages, noise_of
from mainstay.doors.web.oncall_content import on_call_table
from mainstay.doors.web.oncall_content import pages as oncall_pages
from mainstay.doors.web.postmortem_pages import POSTMORTEM_PAGES
from mainstay.doors.web.remedy_content import remedy_pages
from mainstay.doors.web.runbook_content import link_to as runbook_link
from mainstay.doors.web.runbook_content import runbook_pages
from mainstay.doors.web.slo_content import pages, resource_link
from mainstay.doors.web.toil_content import toil_pages
from mainstay.kernel.catalog import Resource, find_files, load
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError, SourceUnavailable
from mainstay.kernel.finding import errors_of
from mainstay.kernel.journal import Batch, Claim, Message, NewFact, Retry, StaleClaim
from mainstay.kernel.objective import DataSource, Objective, resolved
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.people import Notice, Notifier
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span, parse_duration
from mainstay.kernel.view import Text, View
from mainstay.kernel.wording import many
from mainstay.monitoring.alerts_view import metrics_text as alerts_text
from mainstay.monitoring.operations.alerts import (
    HISTORY,
    AlertsRequest,
    Watch,
    alerts,
    elsewhere,
    readings,
    record_alerts,
)
from mainstay.reactions import react
from mainstay.runbook.spec import Runbook
from mainstay.slo.maintenance import excluded
from mainstay.slo.operations.exclusion import announce_work
from mainstay.slo.operations.policy import EnforceRequest, enforce
from mainstay.slo.operations.standings import Report, ReportRequest, report
from mainstay.slo.operations.upkeep import metrics_text
from mainstay.slo.spec import Maintenance
from mainstay.toil.operations.publishing import Counter

log = logging.getLogger("mainstay.server")
_FIRST_RETRY, _LAST_RETRY = timedelta(seconds=5), timedelta(minutes=10)
_SAVING = 0.2
"""Seconds that an editor may take between emptying a file and having written it."""


@dataclass(frozen=True)
class ServeRequest:
    """How to listen, and how often to look."""

    host: str = arg("the address to listen on", "127.0.0.1", env="MAINSTAY_HOST", value="ADDRESS")
    port: int = arg("the port; 0 takes a free one", 8700, env="MAINSTAY_PORT")
    every: str = arg("how often to ask the sources", "60s", value="DURATION")
    beyond_loopback: bool = arg("listen on an address that other machines reach; needs a token", False)
    allowed_host: tuple[str, ...] = arg("a name people reach the server by, besides this machine's own", (),
                                        value="NAME")
    certificate: str = arg("a TLS certificate file (PEM)", "", value="FILE")
    private_key: str = arg("its private key file", "", value="FILE")
    behind_tls: bool = arg("a proxy in front speaks TLS", False)
    tokens: str = arg("where tokens are kept", "", env="MAINSTAY_TOKENS", value="FILE")


@dataclass(frozen=True, slots=True)
class Served:
    """How the server ended."""

    url: str
    started: datetime
    stopped: datetime
    evaluations: int


class Clockwork(threading.Thread):
    """Every so often: read the catalog again if it changed, ask the sources, enforce policies, follow facts, notify.

    A failure is said and the next round tries again; a source that is down only marks its objectives stale.
    """

    def __init__(self, world: World, feed: Feed, every: timedelta, notifier: Notifier) -> None:
        super().__init__(name="mainstay-clockwork", daemon=True)
        self.world, self.feed, self.every, self.notifier = world, feed, every, notifier
        self.latest: Report | None = None
        self.seen = Seen((), (), "")
        self.problem = "the first evaluation is not done yet"
        self.evaluations = 0
        self._watch, self._noise = Watch(), (0, "")
        self._stop_asked = threading.Event()
        self._catalog_seen = _stamp(world.catalog.root)

    def run(self) -> None:
        """Until `end` is called."""
        while True:
            try:
                self.evaluate()
            except MainstayError as error:
                self.problem = error.message
                log.error("evaluation failed: %s", error.message)
            except Exception:
                self.problem = "the evaluation failed; the log says why"
                log.exception("evaluation failed")
            if self._stop_asked.wait(self.every.total_seconds()):
                return

    def end(self) -> None:
        """Stop after the round under way."""
        self._stop_asked.set()
        self.join(timeout=30)

    def evaluate(self) -> None:
        """One round."""
        self._reread_catalog()
        announce_work(self.world)
        enforced = enforce(replace(self.world, actor="system"), EnforceRequest(stale_ok=True)) \
            if self.world.catalog.of(Objective) else None
        problems = enforced.problems if enforced is not None else {}
        self._judge_alerts(problems)
        react(self.world)
        self._notify()
        if enforced is not None:
            found = report(self.world, ReportRequest(offline=True))
            # The report asks no source again, so it cannot know which of them did not answer a moment ago.
            self.latest = replace(found, objectives=tuple(
                replace(one, stale=True, warnings=(*one.warnings, problems[one.name]))
                if one.name in problems else one for one in found.objectives))
        else:
            self.latest = Report(self.world.clock.now(), ())
        self.problem, self.evaluations = "", self.evaluations + 1
        self.feed.publish("slo")

    def _judge_alerts(self, down: Mapping[str, str]) -> None:
        """Record which alerts began and ended, and how each Prometheus' own rules see them.

        Args:
            down: objectives whose source did not answer a moment ago; it is not waited for a second time.
        """
        world, objectives = self.world, self.world.catalog.of(Objective)
        judged, before = record_alerts(world, self._watch, planned_work(world)), self._noise[0]
        if self._watch.seq != before:
            self._noise = self._watch.seq, noise_of(world)
        silent = {resolved(one, world.catalog).source for one in objectives if one.name in down}
        asked = [one.name for one in world.catalog.of(DataSource)
                 if one.type == "prometheus" and one.name not in silent]
        theirs = elsewhere(world, asked)[0] if asked else {}
        now = world.clock.now()
        self.seen = Seen(readings(world, objectives, judged, theirs), self._watch.past(now - HISTORY, now),
                         self._noise[1])

    def _reread_catalog(self) -> None:
        stamp = _stamp(self.world.catalog.root)
        if stamp == self._catalog_seen:
            return
        # What is just being saved may be half there, or empty, which would be a catalog without anything.
        if any(0 <= time.time_ns() - changed < _SAVING * 1e9 for _, changed, _ in stamp):
            self._stop_asked.wait(_SAVING)
            stamp = _stamp(self.world.catalog.root)
        catalog, findings = load([self.world.catalog.root], grammar())
        self._catalog_seen = stamp
        if wrong := errors_of(findings):
            log.error("the catalog was changed and has %d mistakes; the old one stays in force\n%s", len(wrong),
                      wrong[0].render())
            return
        self.world, self._watch = declared_anew(self.world, catalog, findings), Watch()

    def _notify(self) -> None:
        # One at a time, so that each is sent well inside its lease; what one receiver refuses, it would refuse again.
        sent = True
        while sent and (taken := self.world.journal.take_messages(
                self.world.clock.now(), f"serve-{os.getpid()}", channel="notice", limit=1)):
            sent = self._send(taken[0])

    def _send(self, message: Message) -> bool:
        """Deliver it, or put it back; whether it was delivered."""
        now = self.world.clock.now()
        notice = Notice(message.data["target"], message.data["subject"], message.data["body"], message.key)
        try:
            self.notifier.send(notice)
        except SourceUnavailable as error:
            wait = min(_FIRST_RETRY * 2 ** min(message.attempts - 1, 10), _LAST_RETRY)
            log.warning("notice for %s not delivered (%s); again in %s", notice.target, error.message, wait)
            self._settle(message, Batch(messages_retry=[Retry(message.key, message.fence, now + wait)]))
            return False
        self._settle(message, Batch(
            [NewFact("notice.sent", notice.target, now, {"subject": notice.subject}, key=f"sent:{message.key}")],
            messages_done=[Claim(message.key, message.fence)]))
        return True

    def _settle(self, message: Message, batch: Batch) -> None:
        try:
            self.world.journal.commit(batch)
        except StaleClaim:
            # This process was stopped for longer than its lease: what another does with the notice is recorded there.
            log.warning("%s was taken over by another sender", message.key)


def planned_work(world: World) -> dict[str, list[Span]]:
    """Planned work of the last weeks by objective: the word slo leaves it out of budgets, and so do the alerts."""
    declared, now = world.catalog.of(Maintenance), world.clock.now()
    span = Span(now - HISTORY - timedelta(days=3), now)
    return {one.name: [each.span for each in excluded(one, declared, span)]
            for one in world.catalog.of(Objective)} if declared else {}


def _stamp(root: str) -> tuple[tuple[str, int, int], ...]:
    """Every file that the catalog would be read from, with when it was changed; nothing where there is no folder."""
    if not root:
        return ()
    out = []
    for file in find_files(Path(root)) if os.path.isdir(root) else [Path(root)]:
        with suppress(OSError):
            stat = os.stat(file)
            out.append((str(file), stat.st_mtime_ns, stat.st_size))
    return tuple(out)


def notifier_of(environ: dict[str, str] | os._Environ[str]) -> Notifier:
    """A webhook when MAINSTAY_NOTIFY_URL names one, else the terminal."""
    url = environ.get("MAINSTAY_NOTIFY_URL", "")
    return WebhookNotifier(url) if url else TerminalNotifier()


def operations_of_all() -> tuple[Operation[Any, Any], ...]:
    """Every operation of every word and of the house."""
    return tuple(one for entry in (*MAINSTAY.words, *MAINSTAY.house) for one in entry.operations())


def _link(resource: Resource) -> str:
    """The page of a declared thing; empty when it has none."""
    return runbook_link(resource.name) if isinstance(resource, Runbook) else resource_link(resource)


def _recorded(world: World) -> Callable[[Act], None]:
    """Every try to change something, as a fact."""
    def record(act: Act) -> None:
        world.journal.commit(Batch([NewFact("server.act", act.operation, world.clock.now(), {
            "summary": act.summary, "outcome": act.outcome}, actor=act.actor)]))

    return record


def run_server(world: World, settings: ServerSettings, every: timedelta, *,
               started: Callable[[str, Clockwork, Server], None] = lambda *_: None) -> Served:
    """Serve until told to stop; the clockwork and the engine run beside.

    Args:
        started: called once it answers, with its URL, the clockwork, and the server (to stop it).

    Raises:
        InvalidInput, StoreUnavailable: there is no store, so nothing could be kept that is taken.
    """
    world.journal.head()
    # Nobody waits at a terminal for what is asked for over HTTP.
    world, feed = replace(world, tell=None), Feed()
    clockwork = Clockwork(world, feed, every, notifier_of(os.environ))
    engine = Engine(lambda: clockwork.world)
    rounds = Rounds(lambda: clockwork.world, feed)
    crew = Crew(lambda: clockwork.world, feed)
    remedying = Remedying(lambda: replace(clockwork.world, actor="system"), feed)
    monkeys = Monkeys(lambda: replace(clockwork.world, actor="system"))
    letters = Letters(lambda: clockwork.world)
    beside = (engine, remedying, rounds, crew, letters, monkeys)

    def latest(asked: World) -> Report:
        return clockwork.latest or report(asked, ReportRequest(offline=True))

    def seen(asked: World) -> Seen:
        return clockwork.seen if clockwork.latest is not None else Seen(alerts(asked, AlertsRequest()).alerts, (), "")

    work = Counter()

    def metrics() -> str:
        budgets = "" if clockwork.latest is None else \
            metrics_text(clockwork.latest.objectives) + alerts_text(clockwork.seen.alerts)
        return budgets + engine_metrics(engine) + remedying.metrics() + work.text(clockwork.world)

    def raw(front: Front) -> tuple[dict[str, AsgiApp], dict[str, ShortWay]]:
        door = IntakeDoor(front, engine.inbox, engine.desk, os.environ)
        api = AlertmanagerApi(front, door, engine.desk)
        return {**door.routes(), **api.routes()}, {**door.short_ways(), **api.short_ways()}

    def problems() -> tuple[str, ...]:
        return tuple(filter(None, (clockwork.problem, *engine.problems, *(one.problem for one in beside[1:]))))

    def world_of(actor: str) -> World:
        return replace(clockwork.world, actor=actor)

    hooks = Hooks(metrics, problems, feed, _recorded(world), _link, raw, lambda front: slack_routes(front, world_of))
    app = build_app(operations_of_all(), world_of, settings,
                    (*pages(latest, lambda asked: seen(asked).alerts, on_call_table), *monitoring_pages(latest, seen),
                     *incident_pages(), *POSTMORTEM_PAGES, *oncall_pages(), *runbook_pages(), *remedy_pages(),
                     *chaos_pages(), *toil_pages()), hooks)
    begun = world.clock.now()

    def answering(url: str) -> None:
        for one in (clockwork, *beside):
            one.start()
        started(url, clockwork, server)

    server = Server(app, settings, feed, answering)
    try:
        server.run()
    finally:
        for one in reversed(beside):
            one.end()
        if clockwork.is_alive():
            clockwork.end()
    return Served(server.url, begun, world.clock.now(), clockwork.evaluations)


def serve(world: World, request: ServeRequest) -> Served:
    """Serve the page, the API and the metrics.

    Every objective is evaluated on a schedule and its policy enforced. Listens on this machine only unless told
    otherwise; reading is open on this machine until the first token is made.
    """
    every = parse_duration(request.every)
    if every < timedelta(seconds=1):
        raise InvalidInput(f"--every {request.every} is too often", "write 10s, 60s or more")
    if not 0 <= request.port <= 65_535:
        raise InvalidInput(f"{request.port} is not a port", "write a port up to 65535; 0 takes a free one")
    settings = ServerSettings(
        request.host, request.port, request.beyond_loopback, request.allowed_host, token_file(request.tokens),
        Path(request.certificate) if request.certificate else None,
        Path(request.private_key) if request.private_key else None, request.behind_tls, catalog=world.catalog.root)

    def started(url: str, *_: object) -> None:
        objectives = len(world.catalog.of(Objective))
        sys.stderr.write(f"serving {many(objectives, 'objective')} of {world.catalog.root} at {url} · Ctrl-C stops\n")
        sys.stderr.flush()

    return run_server(world, settings, every, started=started)


SERVE = Operation(
    "", "serve", ServeRequest, serve,
    lambda found: View("Stopped", (Text(f"Stopped after {many(found.evaluations, 'evaluation')}.", "quiet"),)),
    scope="write", doors=("cli",),
    exit_codes=((0, "stopped as asked"), (2, "the catalog, a flag or the address cannot be used")),
    examples=("mainstay serve", "mainstay serve -c slos --port 9000 --every 30s",
              "mainstay serve --host 10.0.0.5 --beyond-loopback --allowed-host slo.example.com"))

OPERATIONS = (SERVE,)
