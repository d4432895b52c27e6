"""Acts on real things: HTTP servers, databases, flag files, metrics."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest

from mainstay.adapters.actuators import HostActuator
from mainstay.adapters.clock import SystemClock
from mainstay.kernel.actuation import Act, Ending, Flag, Http, Metric, Outcome, Sql, act_data, act_of
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import Position
from mainstay.kernel.objective import DataSource, PrometheusDetails
from mainstay.runbook.operations.watching import Watching
from runbook.books import book, catalog, run, states, undos, world
from servers.fake_prometheus import FakeAnswer, fake_prometheus, matrix
from servers.postgres import Postgres, postgres

__all__ = ["postgres"]


def host(*sources: DataSource, **environ: str) -> HostActuator:
    return HostActuator(Catalog({DataSource: {one.name: one for one in sources}}), SystemClock(),
                        {"PATH": "/usr/bin:/bin", **environ})


def done(act: Act, seconds: float = 10.0, watch: Watching | None = None) -> Outcome:
    return host().carry_out(act, watch or Watching(seconds, SystemClock()))


# -- HTTP ----------------------------------------------------------------------------------------------------------


given_up = threading.Event()
"""That nobody waits any longer for the answer that is late."""


class Balancer(BaseHTTPRequestHandler):
    """A load balancer's API: what it was asked stands in `asked`."""

    asked: ClassVar[list[tuple[str, str, dict[str, str], Any]]] = []

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        self.asked.append((self.command, self.path, dict(self.headers.items()), json.loads(body) if body else None))
        match self.path:
            case "/slow":
                given_up.wait(60)
                status, answer = 200, b"late"
            case "/moved":
                status, answer = 302, b""
            case "/refused":
                status, answer = 403, b"not yours"
            case "/large":
                status, answer = 200, b"x" * 1_000_000
            case _:
                status, answer = 202, b'{"drained": true}'
        try:
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        except ConnectionError:
            return  # whoever asked has given up, as it should

    do_GET = do_POST = do_PUT = _answer  # noqa: N815  (the names http.server calls)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def balancer() -> Iterator[str]:
    Balancer.asked.clear()
    given_up.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Balancer)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    given_up.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_request_carries_its_headers_and_body_and_its_answer_is_the_output(balancer: str):
    watch = Watching(10, SystemClock())
    found = done(Http("POST", f"{balancer}/zones/a", {"X-Who": "ana"}, {"n": 3, "on": True}), watch=watch)
    assert (found.ending, found.code, found.output) == (Ending.SUCCEEDED, 202, '{"drained": true}')
    ((method, path, headers, body),) = Balancer.asked
    assert (method, path, headers["X-Who"], body) == ("POST", "/zones/a", "ana", {"n": 3, "on": True})
    assert watch.taken() == 'POST 202 Accepted\n{"drained": true}\n'


@pytest.mark.parametrize(("path", "statuses", "ending", "code"), [
    ("/refused", (), Ending.FAILED, 403), ("/refused", (403,), Ending.SUCCEEDED, 403),
    ("/zones", (200,), Ending.FAILED, 202), ("/moved", (), Ending.FAILED, 302)])
def test_the_status_says_whether_it_succeeded_and_no_redirect_is_followed(balancer: str, path: str,
                                                                         statuses: tuple[int, ...], ending: Ending,
                                                                         code: int):
    found = done(Http("GET", balancer + path, statuses=statuses))
    assert (found.ending, found.code) == (ending, code)
    assert len(Balancer.asked) == 1


def test_an_answer_that_is_late_times_out_and_a_large_one_is_cut(balancer: str):
    began = time.monotonic()
    assert done(Http("GET", f"{balancer}/slow"), seconds=0.4).ending is Ending.TIMED_OUT
    assert time.monotonic() - began < 30
    assert len(done(Http("GET", f"{balancer}/large")).output) == 65_536


def test_what_cannot_be_reached_failed():
    found = done(Http("GET", "http://127.0.0.1:9/"))
    assert found.ending is Ending.FAILED
    assert "cannot be reached" in found.error


# -- SQL -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> str:
    connection = sqlite3.connect(tmp_path / "shop.db")
    with connection:
        connection.execute("CREATE TABLE orders (id INTEGER, service TEXT)")
        connection.executemany("INSERT INTO orders VALUES (?, ?)", [(n, "web" if n % 2 else "db") for n in range(10)])
    connection.close()
    return f"sqlite:///{tmp_path}/shop.db"


def test_a_statement_is_asked_with_bound_values_and_its_rows_are_the_output(shop: str):
    found = done(Sql(shop, "SELECT id, service FROM orders WHERE service = :s ORDER BY id", {"s": "web"}, rows=2))
    assert json.loads(found.output) == [{"id": 1, "service": "web"}, {"id": 3, "service": "web"}]
    assert json.loads(done(Sql(shop, "SELECT count(*) AS n FROM orders WHERE service = :s",
                               {"s": "x' OR '1'='1"})).output) == [{"n": 0}]


@pytest.mark.parametrize("statement", [
    "DELETE FROM orders", "INSERT INTO orders VALUES (1, 'x')", "DROP TABLE orders", "UPDATE orders SET service = 'x'",
    "CREATE TABLE t (x)", "SELECT 1; DELETE FROM orders", "PRAGMA query_only = OFF; DELETE FROM orders"])
def test_a_statement_cannot_change_anything(shop: str, statement: str):
    found = done(Sql(shop, statement))
    assert found.ending is Ending.FAILED
    assert json.loads(done(Sql(shop, "SELECT count(*) AS n FROM orders")).output) == [{"n": 10}]


def test_a_statement_that_takes_too_long_is_ended(shop: str):
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    began = time.monotonic()
    found = done(Sql(shop, endless), seconds=0.5)
    assert found.ending is Ending.TIMED_OUT
    assert time.monotonic() - began < 30


def test_a_database_that_is_not_there_is_said(tmp_path: Path):
    found = done(Sql(f"sqlite:///{tmp_path}/none.db", "SELECT 1"))
    assert (found.ending, "there is no database" in found.error) == (Ending.FAILED, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.server("postgresql")
@pytest.mark.parametrize("statement", [
    "CREATE TABLE t (x int)", "INSERT INTO kept VALUES (1)", "SELECT 1; COMMIT; INSERT INTO kept VALUES (1)"])
def test_postgresql_is_only_read(postgres: Postgres, statement: str):
    url = postgres.fresh_url()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (x int)")
    assert done(Sql(url, statement)).ending is Ending.FAILED
    found = done(Sql(url, "SELECT count(*) AS n FROM kept WHERE x = :x", {"x": 1}))
    assert (found.ending, found.error, found.output) == (Ending.SUCCEEDED, "", '[{"n": 0}]')


# -- flags ---------------------------------------------------------------------------------------------------------

FLAGS = {"$schema": "https://flagd.dev/schema/v0/flags.json", "flags": {
    "checkout": {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on",
                 "targeting": {"if": [{"==": [{"var": "zone"}, "ä"]}, "off"]}},
    "other": {"state": "DISABLED", "variants": {"a": 1}, "defaultVariant": "a"}}}


@pytest.fixture
def flags(tmp_path: Path) -> Path:
    file = tmp_path / "flags.json"
    file.write_text(json.dumps(FLAGS))
    file.chmod(0o640)
    return file


def test_a_flag_is_flipped_and_nothing_else_in_its_file_changes(flags: Path):
    act = Flag(str(flags), "checkout", "off", "DISABLED")
    ready = host().prepare(act)
    assert (ready.undo, ready.note) == (Flag(str(flags), "checkout", "on", "ENABLED"), "variant on, ENABLED")
    assert done(act).output == "off DISABLED"
    now = json.loads(flags.read_text())
    assert now["flags"]["checkout"] == {**FLAGS["flags"]["checkout"], "defaultVariant": "off",  # type: ignore[index,dict-item]
                                        "state": "DISABLED"}
    assert now["flags"]["other"] == FLAGS["flags"]["other"]  # type: ignore[index]
    assert flags.stat().st_mode & 0o777 == 0o640
    assert ready.undo is not None
    assert done(ready.undo).ending is Ending.SUCCEEDED
    assert json.loads(flags.read_text()) == FLAGS
    assert [path.name for path in flags.parent.iterdir()] == ["flags.json"], "nothing is left beside it"


@pytest.mark.parametrize(("act", "error"), [
    (Flag("flags.json", "chekout", "off"), NotFound), (Flag("flags.json", "checkout", "sideways"), NotFound),
    (Flag("none.json", "checkout", "off"), InvalidInput)])
def test_a_flag_or_variant_that_is_not_there_is_said_before_anything_is_done(
        flags: Path, act: Flag, error: type[Exception], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(flags.parent)
    with pytest.raises(error):
        host().prepare(act)
    assert done(act).ending is Ending.FAILED
    assert json.loads(flags.read_text()) == FLAGS


def test_two_who_flip_at_once_lose_nothing(flags: Path):
    threads = [threading.Thread(target=lambda n=n: done(Flag(str(flags), "checkout" if n % 2 else "other", "",
                                                             "DISABLED" if n % 2 else "ENABLED")))
               for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = json.loads(flags.read_text())["flags"]
    assert (now["checkout"]["state"], now["other"]["state"]) == ("DISABLED", "ENABLED")


def test_a_runbook_flips_a_flag_and_puts_it_back_when_a_later_step_fails(flags: Path):
    spec = ("  steps:\n    - {name: down, flag: {file: flags.json, flag: checkout, variant: 'off'}}\n"
            "    - {name: look, command: [grep, -c, '\"defaultVariant\": \"off\"', flags.json]}\n"
            "    - {name: fail, command: ['false']}\n")
    one = run(world(catalog(spec, folder=flags.parent), host()))
    assert states(one) == {"down": "succeeded", "look": "succeeded", "fail": "failed"}
    assert undos(one) == {"down": "undone", "look": "not_reversible"}
    assert json.loads(flags.read_text()) == FLAGS


# -- metrics -------------------------------------------------------------------------------------------------------


def prometheus(url: str, name: str = "prom") -> DataSource:
    return DataSource(name, Position(""), "prometheus", PrometheusDetails(url))


@pytest.mark.parametrize(("values", "operator", "ending"), [
    ([0.5], "<", Ending.SUCCEEDED), ([1.5], "<", Ending.FAILED), ([0.5, 1.5], "<", Ending.FAILED),
    ([0.5, 0.7], "<", Ending.SUCCEEDED), ([1.0], ">=", Ending.SUCCEEDED), ([1.0], "!=", Ending.FAILED),
    ([7.0], "", Ending.SUCCEEDED)])
def test_every_series_of_a_query_must_compare(values: list[float], operator: str, ending: Ending):
    lines = [({"zone": str(at)}, [(time.time(), str(value))]) for at, value in enumerate(values)]
    with fake_prometheus(FakeAnswer(matrix(*lines))) as fake:
        found = host(prometheus(fake.url)).carry_out(Metric("prom", "up", operator, 1.0),
                                                     Watching(10, SystemClock()))
    assert found.ending is ending
    assert found.output == "\n".join(f"{value:g}" for value in values)


def test_no_data_is_no_success():
    with fake_prometheus(FakeAnswer(matrix())) as fake:
        found = host(prometheus(fake.url)).carry_out(Metric("", "up", "<", 1.0), Watching(10, SystemClock()))
    assert (found.ending, found.error) == (Ending.FAILED, "no data")


def test_a_source_must_be_named_where_there_are_several():
    two = host(prometheus("http://127.0.0.1:9", "a"), prometheus("http://127.0.0.1:9", "b"))
    found = two.carry_out(Metric("", "up"), Watching(10, SystemClock()))
    assert "declares 2 sources" in found.error


def test_a_step_waits_until_a_metric_compares():
    values = [matrix(({}, [(time.time(), value)])) for value in ("5", "3", "0.5")]
    with fake_prometheus(*(FakeAnswer(value) for value in values)) as fake:
        made = world("  steps:\n    - {name: calm, wait-until: {promql: errors, is: '< 1', every: 10s, "
                     "until-met-within: 5m}}\n", host(prometheus(fake.url)))
        one = run(made)
    assert one.state == "succeeded"
    assert one.steps["calm"].log == "5 is not < 1\n3 is not < 1\n0.5: it holds\n"


def test_a_step_that_waits_in_vain_times_out():
    with fake_prometheus(FakeAnswer(matrix(({}, [(time.time(), "5")])))) as fake:
        made = world("  steps:\n    - {name: calm, wait-until: {promql: errors, is: '< 1', every: 30s, "
                     "until-met-within: 2m}}\n", host(prometheus(fake.url)))
        one = run(made)
    assert (one.state, one.steps["calm"].state) == ("failed", "timed_out")
    assert one.steps["calm"].error == "it did not hold in time: 5 is not < 1"


# -- acts as data --------------------------------------------------------------------------------------------------


def test_every_act_comes_back_from_its_data_as_it_was():
    one = book("""\
  inputs: [{name: x}]
  steps:
    - {name: a, command: {argv: [x, y], folder: f, env: {A: b}, stdin: s, exits: [0, 3]}}
    - {name: b, http: {method: PUT, url: 'http://a/b', headers: {A: b}, body: {c: [1, 2]}, status: [200, 204]}}
    - {name: c, query: {promql: up, is: '> 3'}}
    - {name: d, query: {sql: 'select 1', database: 'sqlite:///x', parameters: {a: 1}, rows: 5}}
    - {name: e, kubernetes: {do: scale, object: deployment/x, namespace: n, replicas: 3, context: c}}
    - {name: f, systemd: {do: restart, unit: a.service, user: true}}
    - {name: g, flag: {file: f.json, flag: x, variant: 'on', state: ENABLED}}
    - {name: h, wait-until: {promql: up, is: '== 1', every: 3s}}
    - {name: i, ask: {question: q, choices: [a, b], stops: [b]}}
    - {name: j, python: {function: 'a.b:c', arguments: {x: [1], y: {z: null}}, folder: lib}}
""")
    for step in one.steps:
        data = json.loads(json.dumps(act_data(step.act)))
        assert act_of(data) == step.act
    with pytest.raises(InvalidInput):
        act_of({"do": "telepathy"})
    with pytest.raises(InvalidInput):
        act_of({"do": "command", "argv": ["x"], "shell": True})
