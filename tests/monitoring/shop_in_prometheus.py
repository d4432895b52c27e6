"""The shop's own /metrics over some hours, as a Prometheus would have scraped them, with the rules of a catalog on top.

The pages are those of the shop's code; only the requests in them are made up, so that it is known what was bad. Two
copies of the api run, in two clusters; web and one of them start again in between.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.objective import Objective
from mainstay.monitoring.chain import BAD, HOUR_BAD, HOUR_TOTAL, INFO, LEFT, TOTAL
from mainstay.monitoring.rulefile import RecordingRule, RuleGroup, rule_file
from mainstay.monitoring.rules import plans
from programs import need
from servers.prometheus import Server, fill_blocks, running

START = 1_740_787_200
"""2025-03-01T00:00:00Z."""
HOURS = 4
END = START + HOURS * 3600
LAST = END + 900
"""A quarter of an hour later, in which nobody asks anything: by then every slot with requests is recorded."""
SCRAPE = 30
TROUBLE = range(END - 3600, END + 1)
"""The hour in which something is wrong everywhere, so that every budget is being spent."""
RESTART = END - 1800

_STAGES = ((BAD, TOTAL, INFO), (HOUR_BAD, HOUR_TOTAL), (LEFT,))
"""promtool evaluates every rule on what is stored: what rests on another recording comes after it."""


@dataclass
class Copy:
    """One process of the shop. Its requests are counted by the shop's own code."""

    service: str
    instance: str
    cluster: str
    folder: Path
    truth: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.start(START)

    def start(self, now: int) -> None:
        """A new process, its counters at zero."""
        from shop.knobs import Knobs
        from shop.run_folder import RunFolder
        from shop.service import Service, Settings
        from shop.services.api import Api
        from shop.services.web import Web

        folder = RunFolder(self.folder)
        self.process = Service(Settings(self.service, self.instance, "v1", Knobs(), {}),
                               {"web": Web, "api": Api}[self.service], folder)
        self.born = now

    def serve(self, now: int) -> None:
        """The requests of one scrape interval, some of them bad or slow while there is trouble."""
        trouble = now in TROUBLE
        for route, code, seconds, many in (
                ("/products/{id}", "200", 0.02, 20), ("/cart", "200", 0.2, 6), ("/cart", "200", 0.7, 1),
                ("/products/{id}", "503", 0.01, 3 if trouble else 0), ("/cart", "200", 1.2, 6 if trouble else 0)):
            method = "POST" if route == "/cart" else "GET"
            if many:
                self.process._requests.add(self.service, method, route, code, by=many)
            for _ in range(many):
                self.process._durations.observe(seconds, self.service, method, route)
            self._note("requests", many)
            self._note("failed", many if code == "503" else 0)
            self._note("slow", many if seconds > 0.3 else 0)
        if self.service == "api":
            for outcome, many in (("ok", 9), ("timeout", 1 if trouble else 0)):
                self.process._calls.add("api", "orders", outcome, by=many)
                self._note("calls", many)
                self._note("lost", many if outcome != "ok" else 0)
            self.process._in_hand = 250 if trouble else 4

    def _note(self, what: str, many: float) -> None:
        self.truth[what] = self.truth.get(what, 0.0) + many

    def page(self, now: int) -> Iterator[str]:
        """One scrape as lines with their time, labelled as Prometheus labels targets."""
        target = f'job="shop",instance="{self.instance}",cluster="{self.cluster}"'
        for line in self.process._metrics_page().body.decode().splitlines():
            if line.startswith("#"):
                continue
            series, _, value = line.rpartition(" ")
            name, brace, inside = series.partition("{")
            if name == "process_start_time_seconds":
                value = str(self.born)
            if name == "process_cpu_seconds_total":
                value = str((now - self.born) * 0.25)
            labels = f"{target},{inside}" if brace else f"{target}}}"
            yield f"{name}{{{labels} {value} {now}"
        yield f"up{{{target}}} 1 {now}"


def scraped(copies: Sequence[Copy]) -> Iterator[str]:
    """All scrapes of all copies."""
    for now in range(START, LAST + 1, SCRAPE):
        for copy in copies:
            if now == RESTART and copy.instance != "api-1":
                copy.start(now)
            if START < now <= END:
                copy.serve(now)
            yield from copy.page(now)


@dataclass(frozen=True)
class Shop:
    """A Prometheus that holds the shop's history and the catalog's recorded series, and what truly happened."""

    server: Server
    truth: Mapping[str, Mapping[str, float]]

    def instant(self, expr: str, at: int = END) -> list[dict]:
        """The result of an instant query."""
        return self._ask("query", {"query": expr, "time": str(at)})

    def range(self, expr: str, start: int, end: int, step: int) -> list[dict]:
        """The result of a range query."""
        return self._ask("query_range", {"query": expr, "start": str(start), "end": str(end), "step": str(step)})

    def label_values(self, selector: str, label: str) -> list[str]:
        """What Grafana's label_values gives."""
        with httpx.Client(trust_env=False, timeout=30) as client:
            answer = client.get(f"{self.server.url}/api/v1/label/{label}/values",
                                params={"match[]": selector, "start": str(START), "end": str(END)})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def _ask(self, path: str, form: Mapping[str, str]) -> list[dict]:
        with httpx.Client(trust_env=False, timeout=60) as client:
            answer = client.post(f"{self.server.url}/api/v1/{path}", data=form)
        assert answer.status_code == 200, f"{form['query']}\n{answer.text}"
        return answer.json()["data"]["result"]


@contextlib.contextmanager
def shop_in_prometheus(folder: Path, catalog: Catalog, more: str = "") -> Iterator[Shop]:
    """Serve the shop's history with what the catalog's rules would have recorded of it.

    Args:
        more: lines of other series, in OpenMetrics text.
    """
    need("prometheus")
    examples = str(Path(__file__).parents[2] / "examples")
    if examples not in sys.path:
        sys.path.insert(0, examples)
    copies = [Copy("web", "web-1", "north", folder / "run"), Copy("api", "api-1", "north", folder / "run"),
              Copy("api", "api-2", "south", folder / "run")]
    data = folder / "data"
    data.mkdir(parents=True)
    fill_blocks("\n".join((*scraped(copies), *more.splitlines(), "# EOF", "")), data)
    for nth, stage in enumerate(_STAGES):
        with _serving(folder / f"stage-{nth}", data) as server:
            _evaluate(server, _rules(catalog, stage), folder / f"stage-{nth}", data)
    truth: dict[str, dict[str, float]] = {}
    for copy in copies:
        for what, many in copy.truth.items():
            of = truth.setdefault(copy.service, {})
            of[what] = of.get(what, 0.0) + many
    with _serving(folder / "served", data) as server:
        yield Shop(server, truth)


def _rules(catalog: Catalog, records: Sequence[str]) -> str:
    groups = [RuleGroup(group.name, tuple(rule for rule in group.rules if isinstance(rule, RecordingRule)
                                          and rule.record in records))
              for made in plans(catalog.of(Objective), catalog) for group in made.groups]
    return rule_file([group for group in groups if group.rules])


def _evaluate(server: Server, rules: str, folder: Path, data: Path) -> None:
    path = folder / "rules.yml"
    path.write_text(rules)
    subprocess.run([need("promtool"), "tsdb", "create-blocks-from", "rules", f"--start={START}", f"--end={LAST}",
                    "--eval-interval=30s", f"--url={server.url}", f"--output-dir={data}", str(path)],
                   check=True, capture_output=True)


@contextlib.contextmanager
def _serving(folder: Path, data: Path) -> Iterator[Server]:
    folder.mkdir()
    config = folder / "prometheus.yml"
    config.write_text("global: {scrape_interval: 15s}\n")
    command = [need("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={data}", "--log.level=warn",
               "--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y"]
    with running(command, folder, "/-/ready") as server:
        yield server
