"""The catalog that a server works by: files that come, and sources that change, while it runs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from mainstay.adapters.clock import SystemClock
from mainstay.adapters.notifiers import TerminalNotifier
from mainstay.app import Settings, Sources, build_world, read_catalog
from mainstay.doors.house.serving import Clockwork
from mainstay.doors.sse import Feed
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.objective import DataSource

_SOURCE = """\
apiVersion: openslo/v1
kind: DataSource
metadata: {{name: {name}}}
spec:
  type: Prometheus
  connectionDetails: {{url: "http://127.0.0.1:{port}"}}
"""


def _declare(folder: Path, name: str, port: int) -> None:
    (folder / f"{name}.yaml").write_text(_SOURCE.format(name=name, port=port))


def _catalog(folder: Path) -> Catalog:
    return read_catalog(Settings(str(folder), ""))[0]


def _clockwork(folder: Path, store: Path) -> Clockwork:
    world = build_world(Settings(str(folder), f"sqlite:///{store}"))
    return Clockwork(world, Feed(), timedelta(seconds=60), TerminalNotifier())


def test_a_file_that_comes_into_the_folder_is_read_in_the_next_round(tmp_path: Path) -> None:
    folder = tmp_path / "slos"
    folder.mkdir()
    _declare(folder, "first", 9090)
    work = _clockwork(folder, tmp_path / "store.db")
    _declare(folder, "second", 9090)

    work.evaluate()

    assert [one.name for one in work.world.catalog.of(DataSource)] == ["first", "second"]
    work.world.source("second")


def test_a_file_with_a_mistake_leaves_the_old_catalog_in_force(tmp_path: Path) -> None:
    folder = tmp_path / "slos"
    folder.mkdir()
    _declare(folder, "first", 9090)
    work = _clockwork(folder, tmp_path / "store.db")
    (folder / "second.yaml").write_text("apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: second}\n")

    work.evaluate()

    assert [one.name for one in work.world.catalog.of(DataSource)] == ["first"]


def test_a_file_that_is_just_being_saved_is_read_once_the_editor_has_written_it(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "slos"
    folder.mkdir()
    _declare(folder, "first", 9090)
    work = _clockwork(folder, tmp_path / "store.db")
    (folder / "first.yaml").write_text("")

    monkeypatch.setattr(work._stop_asked, "wait", lambda _: _declare(folder, "first", 9191))
    work.evaluate()

    assert [one.details.url for one in work.world.catalog.of(DataSource)] == ["http://127.0.0.1:9191"]


def test_a_source_is_opened_anew_only_when_its_details_changed(tmp_path: Path) -> None:
    _declare(tmp_path, "moved", 9090)
    _declare(tmp_path, "stays", 9090)
    sources = Sources(_catalog(tmp_path), SystemClock())
    moved, stays = sources("moved"), sources("stays")
    _declare(tmp_path, "moved", 9091)

    after = sources.under(_catalog(tmp_path))

    assert after("moved") is not moved
    assert after("stays") is stays


def test_threads_that_ask_at_once_share_one_source(tmp_path: Path) -> None:
    _declare(tmp_path, "one", 9090)
    sources, together = Sources(_catalog(tmp_path), SystemClock()), threading.Barrier(8)

    def ask(_: int) -> int:
        together.wait()
        return id(sources("one"))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
