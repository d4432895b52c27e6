"""`toil export-metrics` and `toil digest`: the ledger for Prometheus, and a week for people."""

from __future__ import annotations

import threading
from datetime import date, timedelta

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.toil.answers import Digest, Metrics
from mainstay.toil.candidates import Asked, candidates, grouped, week_name
from mainstay.toil.digest import Week, as_html, as_markdown
from mainstay.toil.ledger import KINDS
from mainstay.toil.metrics import metrics_text
from mainstay.toil.operations.book import WHOLE, book_of
from mainstay.toil.privacy import Viewer, check_team, may_see_everyone, viewer
from mainstay.toil.share import by_dimension, summary
from mainstay.toil.spec import policy_of
from mainstay.toil.tally import Stretch, demand_work, tally
from mainstay.toil.trend import trend_of, weekly
from mainstay.toil.view import digest_view, metrics_view

# -- export-metrics ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MetricsRequest:
    """Whether people are named."""

    everyone: bool = arg("name single people; leads may, and tokens with the scope approve", False)


def export_metrics(world: World, request: MetricsRequest) -> Metrics:
    """Print the hours of the ledger as a Prometheus counter, as the server has it."""
    policy = policy_of(world.catalog)
    who = viewer(world.actor, world.scopes, policy.leads, everyone=request.everyone)
    book = book_of(world)
    kept, gone = tally(book.entries, WHOLE), tally(book.gone, WHOLE)
    return Metrics(metrics_text(kept, gone, lambda _: policy.name_engineers or who.everyone))


class Counter:
    """The counter as a server has it, worked out again only when the ledger has grown or the catalog was changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: tuple[int, Catalog | None, str] = (-1, None, "")

    def text(self, world: World) -> str:
        """The text of now."""
        last = next(iter(world.journal.facts(FactQuery(kinds=KINDS, newest_first=True, limit=1))), None)
        through = last.seq if last is not None else 0
        with self._lock:
            if self._seen[0] != through or self._seen[1] is not world.catalog:
                self._seen = through, world.catalog, export_metrics(world, MetricsRequest()).text
            return self._seen[2]


EXPORT_METRICS = Operation(
    "toil", "export-metrics", MetricsRequest, export_metrics, metrics_view, numbers=False,
    exit_codes=((0, "printed"), (2, "not allowed to name people")),
    examples=("mainstay toil export-metrics", "mainstay toil export-metrics > toil.prom"))


# -- digest --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DigestRequest:
    """Which week, and how it is written."""

    week: str = arg("such as 2026-W47; the last whole one", "")
    html: bool = arg("as HTML, for a mail; Markdown otherwise", False)
    team: str = arg("the work of one team", "", value="NAME")


def digest(world: World, request: DigestRequest) -> Digest:
    """Write a week's toil as one page: the share, what changed, what to automate next."""
    policy, book = policy_of(world.catalog), book_of(world)
    monday = _monday(request.week, world.clock.now().date())
    stretch = Stretch(monday, monday + timedelta(days=6))
    mine = [one for one in book.entries if not request.team or one.team == request.team]
    this = tally(mine, stretch)
    demand_work(this)
    if request.team:
        who = Viewer(world.actor, may_see_everyone(world.actor, world.scopes, policy.leads))
        check_team(who, request.team, {cell.engineer for cell in this.cells})
    before = tally(mine, Stretch(monday - timedelta(days=7), monday - timedelta(days=1)))
    year = tally(mine, Stretch(monday - timedelta(days=7 * 25), stretch.last))
    best = candidates(year, grouped(year, book.task_of),
                      Asked(3, efforts=policy.efforts, hourly_cost=policy.hourly_cost))
    week = Week(week_name(monday), request.team, summary(this, policy.rules),
                summary(before, policy.rules) if before.cells else None, by_dimension(this, "category", policy.rules),
                trend_of(weekly(year), 7), best, policy.hourly_cost)
    text = as_html(week) if request.html else as_markdown(week)
    return Digest(week.name, "html" if request.html else "markdown", text)


def _monday(text: str, today: date) -> date:
    if not text:
        return today - timedelta(days=today.weekday() + 7)
    try:
        year, _, week = text.partition("-W")
        monday = date.fromisocalendar(int(year), int(week), 1)
    except ValueError:
        raise InvalidInput(f'"{text}" is not a week', "write 2026-W47") from None
    if not date(2000, 1, 1) <= monday <= today:
        raise InvalidInput(f"{text} is not a week that has begun since 2000", "write a week such as 2026-W47")
    return monday


DIGEST = Operation(
    "toil", "digest", DigestRequest, digest, digest_view, numbers=False,
    exit_codes=((0, "written"), (2, "the input cannot be used"), (3, "no work is logged in that week")),
    examples=("mainstay toil digest", "mainstay toil digest --week 2026-W47 --html > week.html",
              "mainstay toil digest --team platform --json"))
