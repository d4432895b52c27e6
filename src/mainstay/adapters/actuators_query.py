"""Acts that only ask: a PromQL query for its value now, a statement of SQL in a transaction that may only read."""

from __future__ import annotations

import contextlib
import json
import math
import operator
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from mainstay.adapters.prometheus_api import PrometheusApi, settings_of
from mainstay.kernel.actuation import Ending, Metric, Outcome, Sql, Watch
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import InvalidInput
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
    with _reading(act.database) as connection:
        cancel = _canceller(connection)
        timer = threading.Timer(max(watch.left(), 0.001), cancel)
        timer.start()
        try:
            found = connection.execute(sa.text(act.statement), dict(act.parameters))
            rows = [dict(row._mapping) for row in found.fetchmany(act.rows)] if found.returns_rows else []
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            said = str(getattr(error, "orig", error)).strip().splitlines()[0]
            over = watch.over()
            return Outcome(over or Ending.FAILED, error=f"the database says: {said}")
        finally:
            timer.cancel()
    for row in rows:
        watch.output("  ".join(f"{name}={_cell(value)}" for name, value in row.items()) + "\n")
    return Outcome(Ending.SUCCEEDED, json.dumps(rows, default=str, ensure_ascii=False))


def _cell(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _WIDEST else text[:_WIDEST - 1] + "…"


@contextlib.contextmanager
def _reading(url: str) -> Iterator[sa.Connection]:
    """A connection on which nothing can be changed."""
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        if not path.is_file():
            raise InvalidInput(f"there is no database {path}", "name an SQLite file")
        engine = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro", uri=True, check_same_thread=False), poolclass=sa.pool.NullPool)
        first = "PRAGMA query_only = ON"
    elif url.startswith("postgresql://"):
        address = sa.engine.make_url(url.replace("postgresql://", "postgresql+psycopg://", 1))
        # Beside what the address itself says, such as its search path.
        said = address.query.get("options", ())
        options = " ".join([*((said,) if isinstance(said, str) else said), "-c default_transaction_read_only=on"])
        engine = sa.create_engine(address.difference_update_query(["options"]), connect_args={"options": options},
                                  poolclass=sa.pool.NullPool)
        first = "SET TRANSACTION READ ONLY"
    else:
        raise InvalidInput("this is no database that can be asked", "write sqlite:///FILE or postgresql://…")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(first)
            yield connection
    except sa.exc.OperationalError as error:
        raise InvalidInput(f"the database cannot be reached: {str(error.orig).strip().splitlines()[0]}",
                           "check its address and rights") from error
    finally:
        engine.dispose()


def _canceller(connection: sa.Connection) -> Callable[[], None]:
    """Ends the statement under way, from another thread."""
    raw = connection.connection.dbapi_connection
    stop: Callable[[], None] | None = getattr(raw, "interrupt", None) or getattr(raw, "cancel", None)
    assert stop is not None, "both drivers have one"
    return stop
