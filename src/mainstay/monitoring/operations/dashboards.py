"""`monitoring dashboards`: Grafana dashboards of what the catalog declares."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MissingExtra, NotFound
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.objective import Objective
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Block, Column, Next, Table, Text, View, cells, table
from mainstay.kernel.wording import many
from mainstay.monitoring.dashboards.board import KINDS, Board, Kind
from mainstay.monitoring.dashboards.debugging import debugging_board
from mainstay.monitoring.dashboards.files import SHAPES, DashboardFile, Shape, files_of, is_ours
from mainstay.monitoring.dashboards.overview import overview_board
from mainstay.monitoring.dashboards.readings import Gauges, Readings, Recorded
from mainstay.monitoring.dashboards.service import service_board
from mainstay.monitoring.dashboards.slo import slo_board
from mainstay.monitoring.dashboards.toil import toil_board
from mainstay.monitoring.dashboards.watched import LeftOut, Watched, services_of, watch
from mainstay.monitoring.operations.folder import write_files

_USUAL = ("slo", "operations", "service", "debugging")
"""Toil is drawn when it is asked for: without a toil ledger its dashboard would be empty."""


@dataclass(frozen=True)
class DashboardsRequest:
    """Which dashboards, filled from what, as which files."""

    names: tuple[str, ...] = arg("services, or objectives whose services are meant; all when none is named", (),
                                 positional=True)
    kind: tuple[str, ...] = arg("slo, operations, service, debugging, toil; all but toil when none is named", ())
    filled: str = arg("what fills the panels: series that Mainstay's rules record, or Mainstay's own /metrics", "rules",
                      flag="from", choices=("rules", "metrics"))
    to: str = arg("plain JSON, ConfigMaps for Grafana's sidecar, or a provisioning folder", "json", choices=SHAPES)
    page: str = arg("address of Mainstay's pages, to which panels then link", "", env="MAINSTAY_PAGE")
    out: str = arg("write the files below this folder", "", short="o", local_only=True)
    overwrite: bool = arg("also overwrite files that Mainstay did not write", False, local_only=True)


@dataclass(frozen=True, slots=True)
class DrawnDashboard:
    """One dashboard.

    Args:
        path: of its file, below the folder named.
        text: the file; empty when it was written.
    """

    kind: Kind
    service: str
    uid: str
    title: str
    panels: int
    queries: int
    bytes: int
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Dashboards:
    """What was drawn, what could not be, and where it was written.

    Args:
        written_to: the folder; empty when nothing was written.
        changed, removed: files that are new or different, or are gone, in that folder.
    """

    objectives: int
    services: int
    filled: str
    to: Shape
    dashboards: tuple[DrawnDashboard, ...]
    other_files: tuple[DashboardFile, ...]
    left_out: tuple[LeftOut, ...]
    written_to: str
    changed: tuple[str, ...]
    removed: tuple[str, ...]


def draw_dashboards(world: World, request: DashboardsRequest) -> Dashboards:
    """Draw Grafana dashboards of the objectives, each panel filled by series that are declared."""
    try:
        from mainstay.monitoring.dashboards.drawing import text  # noqa: PLC0415  (a lazy start, and an optional extra)
    except ImportError:
        raise MissingExtra("drawing dashboards", "monitoring") from None
    kinds = kinds_of(request.kind)
    readings: Readings = Recorded() if request.filled == "rules" else Gauges()
    chosen = () if kinds == ("toil",) else named(world.catalog, request.names)
    services = {one.service for one in chosen}
    # A dashboard is always that of a whole service: one of a part of it would take the place of the whole.
    everyone, left = watch(world.catalog.of(Objective) if chosen else (), world.catalog, recorded=readings.grouped)
    watched = tuple(one for one in everyone if one.service in services)
    if chosen and not watched:
        raise NotFound("no objective named here can be shown from recorded series: " + left[0].why,
                       "use --from metrics, which shows what Mainstay measured itself")
    if request.names and not request.kind:
        kinds = tuple(kind for kind in kinds if kind != "operations")
    world.progress(f"drawing dashboards of {many(len(watched), 'objective')}")
    boards, more = boards_of(everyone, services, kinds, readings, request.page.rstrip("/"))
    left = tuple(one for one in left if world.catalog.get(Objective, one.name).service in services)
    shape = next(one for one in SHAPES if one == request.to)
    files = files_of(boards, shape, text)
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    if request.out:
        # Only a run over everything knows which files nobody wants any longer.
        whole = not request.names and not request.kind
        changed, removed = write_files(request.out, {file.path: file.text for file in files}, is_ours,
                                       overwrite=request.overwrite, sweep=whole)
    by_uid = {board.uid: board for board in boards}
    drawn = tuple(_told(by_uid[file.uid], file, written=bool(request.out)) for file in files if file.uid)
    others = tuple(replace(file, text="") if request.out else file for file in files if not file.uid)
    return Dashboards(len(watched), len(services_of(watched)), request.filled, shape, drawn, others, (*left, *more),
                      request.out, changed, removed)


def _told(board: Board, file: DashboardFile, *, written: bool) -> DrawnDashboard:
    panels = list(board.panels())
    return DrawnDashboard(board.kind, board.subject, board.uid, board.title, len(panels),
                          sum(len(panel.queries) for panel in panels), len(file.text.encode()), file.path,
                          "" if written else file.text)


def kinds_of(asked: Sequence[str]) -> tuple[Kind, ...]:
    """The kinds in their order; several may stand in one word, with commas.

    Raises:
        InvalidInput: there is no such kind.
    """
    wanted = [kind.strip() for text in asked for kind in text.split(",")] or list(_USUAL)
    for kind in wanted:
        if kind not in KINDS:
            raise InvalidInput(f'no dashboard is of kind "{kind}"{did_you_mean(kind, KINDS)}',
                               "known: " + ", ".join(KINDS))
    return tuple(kind for kind in KINDS if kind in wanted)


def named(catalog: Catalog, names: Sequence[str]) -> tuple[Objective, ...]:
    """The objectives of these names, and of services of these names; all when none is given.

    Raises:
        NotFound: a name that neither carries, or a catalog without objectives.
    """
    declared = catalog.of(Objective)
    if not declared:
        raise NotFound("the catalog declares no objective",
                       "write one (docs/guides/slo.md shows how), or name its folder: -c DIR")
    services = {one.service for one in declared if one.service}
    chosen: dict[str, Objective] = {}
    for name in names:
        found = [one for one in declared if one.name == name] or [one for one in declared if one.service == name]
        if not found:
            known = {one.name for one in declared} | services
            raise NotFound(f'no objective and no service is named "{name}"{did_you_mean(name, known)}',
                           "known: " + ", ".join(sorted(known)))
        chosen |= {one.name: one for one in found}
    return tuple(chosen.values()) if names else declared


def boards_of(watched: Sequence[Watched], services: Container[str], kinds: Sequence[Kind], readings: Readings,
              page: str) -> tuple[list[Board], list[LeftOut]]:
    """The dashboards of these kinds: one for each of these services, one of all services, one of toil.

    Args:
        watched: all objectives: of other services too, which these may depend on.
    """
    boards: list[Board] = []
    left: list[LeftOut] = []
    for service in (one for one in services_of(watched) if one in services):
        own = [one for one in watched if one.service == service]
        if "slo" in kinds:
            boards.append(slo_board(service, own, readings, page))
        deeper = (("service", service_board(service, watched, readings, page) if "service" in kinds else None),
                  ("debugging", debugging_board(service, own, readings) if "debugging" in kinds else None))
        boards += [board for _, board in deeper if board is not None]
        left += [LeftOut(f"dashboard {kind} {service}".strip(), "no objective names a counter of Prometheus")
                 for kind, board in deeper if board is None and kind in kinds]
    if "operations" in kinds and watched:
        boards.append(overview_board(watched, readings, page))
    if "toil" in kinds:
        boards.append(toil_board())
    return sorted(boards, key=lambda board: (KINDS.index(board.kind), board.subject)), left



# -- view -------------------------------------------------------------------------------------------------------------


def dashboards_view(found: Dashboards) -> View:
    """What was read, what was drawn, what could not be, and what to do with it."""
    read = f"{many(found.objectives, 'objective')} of {many(found.services, 'service')} · panels filled from " \
        + ("recorded rules" if found.filled == "rules" else "Mainstay's /metrics")
    count = many(len(found.dashboards), "dashboard")
    verdict = f"{count} drawn, nothing written."
    if found.written_to:
        verdict = f"{count} below {found.written_to}: " \
            + (f"{many(len(found.changed), 'file')} written" if found.changed else "nothing changed") \
            + (f", {', '.join(found.removed)} removed." if found.removed else ".")
    blocks: list[Block] = [Text(read, "quiet"), Text(verdict, "good" if found.written_to else "plain")]
    headings = (Column("kind"), Column("dashboard"), Column("panels", right=True, gives_way=2),
                Column("queries", right=True, gives_way=1), Column("KiB", right=True, gives_way=3), Column("file"))
    blocks.append(Table(headings, tuple(
        cells(one.kind, one.title, f"{one.panels}", f"{one.queries:,}", f"{one.bytes / 1024:,.0f}", one.path)
        for one in found.dashboards)))
    if found.left_out:
        blocks.append(table("Left out", ("what", "why"), [(one.name, one.why) for one in found.left_out]))
    blocks.append(Next(_next(found)))
    return View("Dashboards", tuple(blocks))


def _next(found: Dashboards) -> tuple[str, ...]:
    out = [] if found.written_to else ["mainstay monitoring dashboards -o dashboards"]
    if found.filled == "rules":
        out += ["mainstay monitoring rules -o rules"]
        if any("files" in one.why for one in found.left_out):
            out.append("mainstay monitoring dashboards --from metrics")
    else:
        out.append("mainstay slo export-metrics")
    return tuple(out)


DASHBOARDS = Operation(
    "monitoring", "dashboards", DashboardsRequest, draw_dashboards, dashboards_view,
    exit_codes=((0, "drawn"), (2, "the catalog or a flag is wrong, or the folder cannot be written")),
    examples=("mainstay monitoring dashboards",
              "mainstay monitoring dashboards -o dashboards",
              "mainstay monitoring dashboards checkout --kind slo,service --to configmap -o manifests",
              "mainstay monitoring dashboards --from metrics --page https://mainstay.example.com -o dashboards",
              "mainstay monitoring dashboards --kind toil --json"))
