"""Acts that only ask: a PromQL query for its value now, a statement of SQL in a transaction that may only read."""

from __future__ import annotations

import json
import math
import operator
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mainstay.adapters.prometheus_api import PrometheusApi, settings_of
from mainstay.adapters.store_database import percent_named
from mainstay.kernel.actuation import Ending, Metric, Outcome, Sql, Watch
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MissingExtra
from mainstay.kernel.objective import DataSource, PrometheusDetails
from mainstay.kernel.ports import Clock

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}
_WIDEST = 200


def ask_metric(catalog: Catalog, clock: Clock, act: Metric, watch: Watch) -> Outcome:
    """The query's one value now; with several series every one of them must compare.

    Raises:
        InvalidInput, SourceUnavailable: it cannot be asked.
    """
    api = PrometheusApi(settings_of(_prometheus(catalog, act.source)), clock)
    try:
        now = int(clock.now().timestamp())
        lines = api.query_range(act.query, now, now, 1).data.result
    finally:
        api.close()
    values = [line.values[-1][1] for line in lines if line.values and not math.isnan(line.values[-1][1])]
    if not values:
        return Outcome(Ending.FAILED, error="no data")
    for line in lines[:_WIDEST]:
        labels = ", ".join(f"{name}={value}" for name, value in line.metric.items() if name != "__name__")
        watch.output(f"{line.values[-1][1]:g}" + (f"  {labels}" if labels else "") + "\n")
    output = f"{values[0]:g}" if len(values) == 1 else "\n".join(f"{value:g}" for value in values)
    if not act.operator:
        return Outcome(Ending.SUCCEEDED, output)
    wrong = [value for value in values if not _COMPARE[act.operator](value, act.threshold)]
    return Outcome(Ending.FAILED, output, error=f"{wrong[0]:g} is not {act.operator} {act.threshold:g}") if wrong else \
        Outcome(Ending.SUCCEEDED, output)


def _prometheus(catalog: Catalog, name: str) -> PrometheusDetails:
    if name:
        found = catalog.get(DataSource, name)
        if isinstance(found.details, PrometheusDetails):
            return found.details
        raise InvalidInput(f'source "{name}" is no Prometheus', "name a source of type Prometheus")
    all_of_them = [one.details for one in catalog.of(DataSource) if isinstance(one.details, PrometheusDetails)]
    if len(all_of_them) == 1:
        return all_of_them[0]
    raise InvalidInput(f"the catalog declares {len(all_of_them)} sources of type Prometheus",
                       "name one: source: NAME")


def ask_sql(act: Sql, watch: Watch) -> Outcome:
    """The rows as JSON, a list of objects.

    Raises:
        InvalidInput: the database is none that can be asked.
    """
    with _reading(act.database) as asked:
        timer = threading.Timer(max(watch.left(), 0.001), asked.stop)
        timer.start()
        try:
            found = asked.ask(act.statement, dict(act.parameters))
            names = [column[0] for column in found.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in found.fetchmany(act.rows)] if names else []
        except asked.faults as error:
            return Outcome(watch.over() or Ending.FAILED, error=f"the database says: {_first_line(error)}")
        finally:
            timer.cancel()
    for row in rows:
        watch.output("  ".join(f"{name}={_cell(value)}" for name, value in row.items()) + "\n")
    return Outcome(Ending.SUCCEEDED, json.dumps(rows, default=str, ensure_ascii=False))


def _cell(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _WIDEST else text[:_WIDEST - 1] + "…"


@dataclass(frozen=True, slots=True)
class _Reading:
    """A connection on which nothing can be changed.

    Args:
        ask: runs one statement with its `:name` parameters; what it gives is a cursor of the driver.
        stop: ends the statement under way, from another thread.
        faults: what the driver raises.
    """

    ask: Callable[[str, dict[str, Any]], Any]
    stop: Callable[[], None]
    faults: type[Exception]


@contextmanager
def _reading(url: str) -> Iterator[_Reading]:
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        if not path.is_file():
            raise InvalidInput(f"there is no database {path}", "name an SQLite file")
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)) as file:
            file.execute("PRAGMA query_only = ON")
            yield _Reading(file.execute, file.interrupt, sqlite3.Error)
    elif url.startswith("postgresql://"):
        with _postgres(url) as server:
            yield server
    else:
        raise InvalidInput("this is no database that can be asked", "write sqlite:///FILE or postgresql://…")


@contextmanager
def _postgres(url: str) -> Iterator[_Reading]:
    if find_spec("psycopg") is None:
        raise MissingExtra("a query of PostgreSQL", "postgres")
    import psycopg  # noqa: PLC0415  (a lazy start: an extra, absent unless PostgreSQL is used)

    try:
        # Beside what the address itself says, such as its search path.
        said = psycopg.conninfo.conninfo_to_dict(url).get("options") or ""
        server = psycopg.connect(url, options=f"{said} -c default_transaction_read_only=on".lstrip())
    except psycopg.Error as error:
        raise InvalidInput(f"the database cannot be reached: {_first_line(error)}",
                           "check its address and rights") from error

    def ask(statement: str, values: dict[str, Any]) -> Any:
        # `prepare`: only one statement can be prepared, so none can hide behind the first and end the transaction.
        asked = percent_named(statement, tuple(values)) if values else statement
        return server.execute(asked, values or None, prepare=True)

    with closing(server):
        server.execute("SET TRANSACTION READ ONLY")
        yield _Reading(ask, server.cancel, psycopg.Error)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
