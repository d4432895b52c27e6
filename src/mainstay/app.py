"""The room that knows all others: which words there are, and how a world is built for an operation.

Importing it loads no word and no adapter, so that `mainstay --help` stays light.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any, Literal, Protocol, assert_never

from mainstay.kernel.actuation import Actuator
from mainstay.kernel.alert_history import AlertHistory, AlertPlace
from mainstay.kernel.catalog import Catalog, Grammar, gather, understood
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.faults import Injector, Relayed, Relaying
from mainstay.kernel.finding import Finding, InvalidFiles, Severity, did_you_mean, errors_of
from mainstay.kernel.journal import Journal
from mainstay.kernel.operation import Operation
from mainstay.kernel.people import Notifier, Responders
from mainstay.kernel.ports import (
    Begun,
    Clock,
    FileSet,
    Ledger,
    PlannedWork,
    Probed,
    ServiceStanding,
    Source,
    Spending,
    Survey,
    Surveyed,
    TextFile,
    World,
)
from mainstay.kernel.probing import Prober
from mainstay.kernel.quantity import Span
from mainstay.kernel.workload import Workload


@dataclass(frozen=True, slots=True)
class WordEntry:
    """A word of Mainstay, or a command of the house such as `check`, known before anything of it is loaded.

    Args:
        name: the word (`slo`), or for the house the command itself (`check`).
        summary: one line: for a word the first line of its card, for a command its operation's summary.
        module: dotted path of the module that offers the operations: a word's has a table VERBS that says where each
            is, so that one verb does not pay for the others; a command of the house has OPERATIONS.
    """

    name: str
    summary: str
    module: str

    def operations(self) -> tuple[Operation[Any, Any], ...]:
        """The verbs of the word, or the one operation of a house command; loads them all."""
        module = importlib.import_module(self.module)
        if (verbs := self._verbs(module)) is not None:
            return tuple(self._load(*where) for where in verbs.values())
        offered: tuple[Operation[Any, Any], ...] = module.OPERATIONS
        return offered

    def operation(self, verb: str) -> Operation[Any, Any] | None:
        """The verb of that name, None where there is none; of a word nothing else is loaded."""
        if (verbs := self._verbs(importlib.import_module(self.module))) is not None:
            return self._load(*verbs[verb]) if verb in verbs else None
        return next((operation for operation in self.operations() if operation.verb == verb), None)

    @staticmethod
    def _verbs(module: ModuleType) -> Mapping[str, tuple[str, str]] | None:
        return getattr(module, "VERBS", None)

    def _load(self, room: str, name: str) -> Operation[Any, Any]:
        found: Operation[Any, Any] = getattr(importlib.import_module(f"{self.module}.{room}"), name)
        return found


@dataclass(frozen=True, slots=True)
class Settings:
    """What a door knows before a world is built.

    Args:
        catalog: the folder that declares; None when nobody said: `mainstay` below the current folder, else the folder.
        catalog_use: whether the operation reads it, and whether mistakes in it stop the run.
        store: where facts and slots are kept: `sqlite:///path` or `postgresql://…`.
        as_of: the moment the world's clock shows, for reports in the past; None is the present.
        actor: who asks.
        progress: told a sentence during long work.
        tell: told lines during long work that stay, such as a command's output; None where nobody waits for the end.
    """

    catalog: str | None
    store: str
    catalog_use: Literal["unused", "named", "checked", "any"] = "checked"
    as_of: datetime | None = None
    actor: str = "system"
    progress: Callable[[str], None] = lambda _: None
    tell: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class Application:
    """What the doors offer.

    Args:
        words: each a command group, a route and a guide.
        house: commands that belong to no word, such as `check` and `serve`.
        build_world: called once an operation is about to run.
        react: called after a word's operation that records something, so that what follows from it follows at once.
    """

    words: tuple[WordEntry, ...]
    house: tuple[WordEntry, ...]
    build_world: Callable[[Settings], World]
    react: Callable[[World], object] = lambda _: None


def follow(world: World) -> int:
    """Follow the facts that were not followed yet; how many were."""
    from mainstay.followed import anything_to_follow  # noqa: PLC0415  (a lazy start: reading needs no reactions)

    if not anything_to_follow(world.journal):
        return 0
    from mainstay.reactions import react  # noqa: PLC0415  (a lazy start: it loads every word it wires)

    return react(world)


def build_world(settings: Settings) -> World:
    """The world of one run. The catalog is read now; the store, the sources and their libraries when first used.

    Raises:
        InvalidFiles: the catalog holds mistakes and the operation asked for one without.
    """
    from mainstay.adapters.clock import FixedClock, SystemClock  # noqa: PLC0415  (a lazy start, like all below)

    clock: Clock = SystemClock() if settings.as_of is None else FixedClock(settings.as_of)
    catalog, findings = read_catalog(settings)
    opened = _OnFirstUse(lambda: _open_store(settings.store, clock))
    journal = _Part(opened, "journal")
    return World(clock=clock, catalog=catalog, journal=journal, ledger=_Part(opened, "ledger"),
                 source=Sources(catalog, clock), survey=_survey, responders=_OnDuty(catalog, journal),
                 channels=lambda: channels_of(catalog, os.environ), spent=_spent,
                 planned=_planned, standing=_standing, probe=_probe, findings=tuple(findings),
                 alerts=lambda place: open_alerts(catalog, place, clock), actor=settings.actor,
                 progress=settings.progress, catalog_at=lambda place: other_catalog(place, catalog_folder(settings)),
                 under=lambda world, other: declared_anew(world, other, ()),
                 texts=_Texts(), scopes=_ALL_SCOPES, injector=_injector, relays=_relays,
                 prober=_OnceAsked(catalog, clock), actuator=lambda: open_actuator(catalog, clock), usage=_usage,
                 command=lambda words: _begin(settings, words), tell=settings.tell)


_ALL_SCOPES = frozenset({"read", "write", "approve"})
"""Whoever can open the store's file can read and write all of it; the server narrows this to each caller's token."""


def declared_anew(world: World, catalog: Catalog, findings: Sequence[Finding]) -> World:
    """The same world under another catalog, whose sources are asked from now on."""
    # A world that was put together by hand brings sources of its own, which no catalog declares.
    source = world.source.under(catalog) if isinstance(world.source, Sources) else world.source
    return replace(world, catalog=catalog, findings=tuple(findings), source=source,
                   responders=_OnDuty(catalog, world.journal), channels=lambda: channels_of(catalog, os.environ),
                   alerts=lambda place: open_alerts(catalog, place, world.clock),
                   prober=_OnceAsked(catalog, world.clock), actuator=lambda: open_actuator(catalog, world.clock))


def read_catalog(settings: Settings) -> tuple[Catalog, list[Finding]]:
    """The catalog as an operation may see it, with what is worth saying about its files."""
    if settings.catalog_use == "unused" or (settings.catalog_use == "named" and settings.catalog is None):
        return Catalog(), []
    gathered = gather([catalog_folder(settings)])
    # Where nothing is declared nobody need understand it; a test holds the grammar to that.
    catalog, findings = understood(gathered, grammar() if gathered.documents else Grammar(()))
    if settings.catalog_use in ("checked", "named") and errors_of(findings):
        raise InvalidFiles(errors_of(findings))
    return catalog, findings


def other_catalog(place: str, folder: str) -> Catalog:
    """The catalog of another folder, or of the folder as it was at a git revision.

    Raises:
        InvalidInput: neither a folder nor a revision; InvalidFiles: it holds mistakes.
    """
    from mainstay.adapters.revisions import at_revision  # noqa: PLC0415  (a lazy start, like below)
    from mainstay.kernel.catalog import load  # noqa: PLC0415  (a lazy start)

    if os.path.exists(place):
        catalog, findings = load([place], grammar())
    else:
        with at_revision(folder, place) as (path, shown):
            catalog, found = load([path], grammar())
            findings = [replace(one, where=replace(one.where, file=one.where.file.replace(str(path), shown)))
                        for one in found]
    if errors_of(findings):
        raise InvalidFiles(errors_of(findings))
    return catalog


def catalog_folder(settings: Settings) -> str:
    """The folder that declares: as said, or `mainstay` below the current one, or the current one."""
    return settings.catalog or ("mainstay" if os.path.isdir("mainstay") else ".")


def grammar() -> Grammar:
    """What all words can read."""
    from mainstay.chaos.grammar import GRAMMAR as CHAOS  # noqa: PLC0415  (a lazy start, like all below)
    from mainstay.incident.grammar import GRAMMAR as INCIDENT  # noqa: PLC0415  (a lazy start)
    from mainstay.monitoring.grammar import GRAMMAR as MONITORING  # noqa: PLC0415  (a lazy start)
    from mainstay.oncall.grammar import GRAMMAR as ONCALL  # noqa: PLC0415  (a lazy start)
    from mainstay.runbook.grammar import GRAMMAR as RUNBOOK  # noqa: PLC0415  (a lazy start)
    from mainstay.slo.grammar import GRAMMAR as SLO  # noqa: PLC0415  (a lazy start)
    from mainstay.toil.spec import GRAMMAR as TOIL  # noqa: PLC0415  (a lazy start)

    return SLO + MONITORING + INCIDENT + ONCALL + RUNBOOK + TOIL + CHAOS + Grammar((), (), (_whom_policies_page,))


def _whom_policies_page(catalog: Catalog) -> Iterator[Finding]:
    """Whom escalation policies page is declared; here, since it takes two words to check."""
    from mainstay.incident.spec import EscalationPolicy  # noqa: PLC0415  (a lazy start)
    from mainstay.oncall.spec import Person, Rotation, Schedule  # noqa: PLC0415  (a lazy start)

    pagers = {one.name for one in catalog.of(Rotation)} | {one.name for one in catalog.of(Schedule)}
    people = {one.name for one in catalog.of(Person)}
    for policy in catalog.of(EscalationPolicy):
        for to in dict.fromkeys((*(one for step in policy.steps for one in step.addressees), *policy.fallback)):
            if to.kind == "rotation" and to.name not in pagers | catalog.doubtful:
                yield Finding("unknown-reference", policy.origin, f'"{policy.name}" pages {to}, and no rotation or '
                              f"schedule of that name is declared{did_you_mean(to.name, pagers)}",
                              "declare it" + (f", or write one of: {', '.join(sorted(pagers))}" if pagers else ""))
            elif to.kind == "person" and people and to.name not in people | catalog.doubtful:
                yield Finding("unknown-person", policy.origin, f'"{policy.name}" pages {to}, and no person of that '
                              f"name is declared{did_you_mean(to.name, people)}",
                              "declare the person: a page to somebody unknown reaches nobody", "", Severity.WARNING)


def open_source(catalog: Catalog, name: str, clock: Clock) -> Source:
    """The declared source of that name, ready to be asked; what is not over by the clock it does not know yet.

    Raises:
        NotFound: the catalog declares none of that name.
        InvalidInput: its type is not one that can be asked.
    """
    from mainstay.kernel.objective import DataSource, PrometheusDetails  # noqa: PLC0415  (a lazy start)

    declared = catalog.get(DataSource, name)
    match declared.details:
        case FileSet() as files:
            from mainstay.adapters.events import EventSource  # noqa: PLC0415  (a lazy start)

            return EventSource(files)
        case PrometheusDetails() as details:
            from mainstay.adapters.prometheus import declared_source  # noqa: PLC0415  (a lazy start)

            return declared_source(details, clock)
        case _:
            raise InvalidInput(f'source "{name}" is of type {declared.type}, which cannot be asked',
                               "use type Prometheus or events")


def open_alerts(catalog: Catalog, place: AlertPlace, clock: Clock) -> AlertHistory:
    """The history of alerts at that place, ready to be read.

    Raises:
        NotFound: the catalog declares no source of that name.
        InvalidInput: the source is no Prometheus, which alone keeps what alerts did.
    """
    from mainstay.adapters.alert_payloads import Alertmanager, PayloadLog  # noqa: PLC0415  (a lazy start)
    from mainstay.adapters.prometheus_alerts import PrometheusAlerts  # noqa: PLC0415  (a lazy start)
    from mainstay.adapters.prometheus_api import settings_of  # noqa: PLC0415  (a lazy start)
    from mainstay.kernel.objective import DataSource, PrometheusDetails  # noqa: PLC0415  (a lazy start)

    match place.kind:
        case "payloads":
            return PayloadLog(place.address)
        case "alertmanager":
            return Alertmanager(place.address)
        case "prometheus":
            return PrometheusAlerts(settings_of(PrometheusDetails(place.address)), clock)
        case "source":
            details = catalog.get(DataSource, place.address).details
            if isinstance(details, PrometheusDetails):
                return PrometheusAlerts(settings_of(details), clock)
            raise InvalidInput(f'source "{place.address}" keeps no alerts', "name a source of type Prometheus")
        case other:
            assert_never(other)


def open_actuator(catalog: Catalog, clock: Clock) -> Actuator:
    """Everything that can be done from this host."""
    from mainstay.adapters.actuators import HostActuator  # noqa: PLC0415  (a lazy start)

    return HostActuator(catalog, clock, os.environ)


def _spent(world: World, services: Sequence[str], span: Span, offline: bool) -> tuple[Spending, ...]:
    from mainstay.slo.operations.spending import spent_between  # noqa: PLC0415  (a lazy start)

    return spent_between(world, services, span, offline)


def _planned(world: World, span: Span) -> tuple[PlannedWork, ...]:
    from mainstay.slo.operations.exclusion import work_within  # noqa: PLC0415  (a lazy start)

    return work_within(world, span)


def _standing(world: World, services: Sequence[str], *, fresh: bool = False) -> tuple[ServiceStanding, ...]:
    from mainstay.slo.operations.standings import standing_of_services  # noqa: PLC0415  (a lazy start)

    return standing_of_services(world, services, fresh=fresh)


def _usage(measure: str, workload: Workload | None) -> float:
    from mainstay.adapters.host_usage import usage  # noqa: PLC0415  (a lazy start)

    return usage(measure, workload)


def _probe(url: str, time_out: timedelta) -> Probed:
    from mainstay.adapters.health import probe  # noqa: PLC0415  (a lazy start)

    return probe(url, time_out)


def _relays(asked: Relaying, told: Callable[[str], None]) -> tuple[Relayed, ...]:
    from pathlib import Path  # noqa: PLC0415  (a lazy start, like all below)

    from mainstay.adapters.proxy import ProxyServer, serve  # noqa: PLC0415  (a lazy start)
    from mainstay.adapters.told_to_stop import told_to_stop  # noqa: PLC0415  (a lazy start)

    with told_to_stop() as stop:
        found = serve(asked.listen, Path(asked.config) if asked.config else None, stop, told=told,
                      server=ProxyServer(asked.listen, asked.seed, anywhere=asked.anywhere))
    return tuple(Relayed(name, one.connections, one.victims, one.bytes_upstream, one.bytes_downstream)
                 for name, one in sorted(found.items()))


def _begin(settings: Settings, words: Sequence[str]) -> Begun:
    from mainstay.adapters.apart import begin  # noqa: PLC0415  (a lazy start)

    return begin(words, {"MAINSTAY_CATALOG": catalog_folder(settings), "MAINSTAY_STORE": settings.store})


def _injector() -> Injector:
    from mainstay.adapters.faults.injector import HostInjector  # noqa: PLC0415  (a lazy start)

    return HostInjector()


class _OnceAsked:
    """What asks running systems under a catalog; the same one for the whole run, so that it can be told to give up."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog, self._clock = catalog, clock
        self._prober: Prober | None = None

    def __call__(self) -> Prober:
        if self._prober is None:
            from mainstay.adapters.probes import Probes  # noqa: PLC0415  (a lazy start)

            self._prober = Probes(self._catalog, self._clock)
        return self._prober


def _survey(asked: Survey) -> Surveyed:
    from mainstay.adapters.access_scan import scan  # noqa: PLC0415  (a lazy start)

    found = scan(asked)
    if found is None:
        from mainstay.adapters.events import survey  # noqa: PLC0415  (a lazy start: DuckDB, which a plain log can spare)

        found = survey(asked)
    return found


class _Texts:
    """Files and addresses, whose adapter is loaded when one is asked for."""

    def read(self, path: str, endings: Sequence[str]) -> list[TextFile]:
        from mainstay.adapters.texts import read_texts  # noqa: PLC0415  (a lazy start)

        return read_texts(path, endings)

    def pieces(self, path: str) -> Iterator[str]:
        from mainstay.adapters.texts import read_pieces  # noqa: PLC0415  (a lazy start)

        return read_pieces(path)

    def write(self, path: str, text: str) -> None:
        from mainstay.adapters.texts import write_text  # noqa: PLC0415  (a lazy start)

        write_text(path, text)


def channels_of(catalog: Catalog, environ: Mapping[str, str]) -> Mapping[str, Notifier]:
    """Everything that can be sent to under the catalog, by the channel's name.

    A channel that is not declared is there too: it refuses, so that a page to it goes the next way at once.

    Args:
        environ: where the secrets are that the catalog names by environment variables; they are read when one is sent.
    Raises:
        MissingExtra: Slack is declared, and slack_sdk is not installed.
    """
    from mainstay.adapters.mail import EmailNotifier  # noqa: PLC0415  (a lazy start, like all below)
    from mainstay.adapters.notifiers import HookNotifier, NotDeclared, TerminalNotifier  # noqa: PLC0415  (a lazy start)
    from mainstay.adapters.pagerduty import PagerDutyNotifier  # noqa: PLC0415  (a lazy start)
    from mainstay.adapters.slack import SlackNotifier  # noqa: PLC0415  (a lazy start)
    from mainstay.kernel.channels import CHANNELS, Channels, WebhookChannel  # noqa: PLC0415  (a lazy start)

    declared = next(iter(catalog.of(Channels)), None)
    found: dict[str, Notifier] = {one: NotDeclared(one) for one in CHANNELS}
    found["terminal"] = TerminalNotifier()
    found["webhook"] = HookNotifier(declared.webhook if declared is not None else WebhookChannel(), environ)
    if declared is not None and declared.slack is not None:
        found["slack"] = SlackNotifier(declared.slack, environ)
    if declared is not None and declared.email is not None:
        found["email"] = EmailNotifier(declared.email, environ)
    if declared is not None and declared.pagerduty is not None:
        found["pagerduty"] = PagerDutyNotifier(declared.pagerduty, environ)
    return found


def _open_store(url: str, clock: Clock) -> Store:
    from mainstay.adapters.store import open_store  # noqa: PLC0415  (a lazy start)

    return open_store(url, clock)


class _OnDuty:
    """Who is there to be paged, worked out when the first one asks."""

    def __init__(self, catalog: Catalog, journal: Journal) -> None:
        self._catalog, self._journal = catalog, journal
        self._lock = threading.Lock()
        self._duty: Responders | None = None

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._duty is None:
                from mainstay.oncall.operations.duty import Duty  # noqa: PLC0415  (a lazy start)

                self._duty = Duty(self._catalog, self._journal)
        return getattr(self._duty, name)


class Sources:
    """The sources that a catalog declares, each opened once, by the first thread that asks for it."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: dict[str, tuple[object, Source]] = {}

    def __call__(self, name: str) -> Source:
        """The source of that name.

        Raises:
            NotFound: the catalog declares none of that name.
            InvalidInput: its type is not one that can be asked.
        """
        with self._lock:
            if name not in self._opened:
                self._opened[name] = _details(self._catalog, name), open_source(self._catalog, name, self._clock)
            return self._opened[name][1]

    def under(self, catalog: Catalog) -> Sources:
        """The sources of another catalog; one that it declares with the same details stays open."""
        others = Sources(catalog, self._clock)
        with self._lock:
            others._opened = {name: kept for name, kept in self._opened.items() if _details(catalog, name) == kept[0]}
        return others


def _details(catalog: Catalog, name: str) -> object:
    from mainstay.kernel.objective import DataSource  # noqa: PLC0415  (a lazy start)

    declared = catalog.find(DataSource, name)
    return declared.details if declared is not None else None


class Store(Protocol):
    """Where facts and slots are kept."""

    @property
    def journal(self) -> Journal:
        """The facts."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The slots."""
        ...


class _OnFirstUse:
    """A store that is opened by the first thing that needs it, so that a run that needs none costs nothing."""

    def __init__(self, make: Callable[[], Store]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self.store: Store | None = None

    def open(self) -> Store:
        with self._lock:
            if self.store is None:
                self.store = self._make()
            return self.store


class _Part:
    """The journal or the ledger of a store that may not be open yet; closing it then costs nothing either."""

    def __init__(self, opened: _OnFirstUse, part: str) -> None:
        self._opened = opened
        self._part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(self._opened.open(), self._part), name)

    def close(self) -> None:
        if self._opened.store is not None:
            getattr(self._opened.store, self._part).close()


_HOUSE = "mainstay.doors.house"

MAINSTAY = Application(
    words=(WordEntry("slo", "Objectives and error budgets.", "mainstay.slo.operations"),
           WordEntry("monitoring", "Rules, alerts and dashboards as code, proven before they run.",
                     "mainstay.monitoring.operations"),
           WordEntry("incident", "From an alert to the right person, through any crash, to a post-mortem that is done.",
                     "mainstay.incident.operations"),
           WordEntry("oncall", "Who is on call, right in every zone, and what the pager costs people.",
                     "mainstay.oncall.operations"),
           WordEntry("runbook", "What to do when something breaks, planned, approved, done and taken back.",
                     "mainstay.runbook.operations"),
           WordEntry("toil", "The ledger of manual work, what of it is toil, and what automating it is worth.",
                     "mainstay.toil.operations"),
           WordEntry("chaos", "Faults that always come out again, and verdicts that can be believed.",
                     "mainstay.chaos.operations")),
    house=(WordEntry("check", "Check the catalog: every mistake at once, with its line.", f"{_HOUSE}.catalog"),
           WordEntry("record", "Record something that happened, so that lost budget can be explained.",
                     f"{_HOUSE}.happenings"),
           WordEntry("serve", "Serve the page, the API and the metrics.", f"{_HOUSE}.serving"),
           WordEntry("token", "Create, list or revoke a token of the server.", f"{_HOUSE}.tokens"),
           WordEntry("demo", "Run a small real shop and show its budgets.", f"{_HOUSE}.demo")),
    build_world=build_world, react=follow)
"""Mainstay itself: its words in the order of the loop, then the commands of the house."""
