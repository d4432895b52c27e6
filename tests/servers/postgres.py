"""A PostgreSQL of the tests' own: a cluster in a temporary folder, reached by a Unix socket only, fsync on."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from programs import need

_USER = "mainstay"


class Postgres:
    """A running server. Made by the `postgres` fixture; one a test session, an empty schema a test."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="mainstay-pg-"))  # not pytest's: a socket's path must be short
        self._numbers = itertools.count(1)
        self._as = _unprivileged(self._folder)
        self._run("initdb", "-D", self._data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.start()

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([*self._as, str(self._programs / program), *arguments], cwd=self._folder, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self._folder}' -c shared_buffers=32MB"
        self._control("start", "-l", str(self._folder / "log"), "-o", options)

    def stop(self, mode: str = "fast") -> None:
        """`immediate` leaves as after a crash: the next start recovers from the write-ahead log."""
        self._control("stop", "-m", mode)

    def _control(self, *words: str) -> None:
        self._run("pg_ctl", "-w", "-t", "120", "-D", self._data, *words)

    def url(self, database: str = "postgres", schema: str = "public") -> str:
        return f"postgresql://{_USER}@/{database}?host={self._folder}&options=-csearch_path%3D{schema}"

    def fresh_url(self) -> str:
        """The URL of an empty schema of its own; a database of its own would take 0.12 s and 12 MB."""
        schema = f"test{next(self._numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        return self.url(schema=schema)

    def remove(self) -> None:
        if Path(self._data, "postmaster.pid").exists():  # a test may have failed between its stop and its start
            self.stop("immediate")
        shutil.rmtree(self._folder)


def _unprivileged(folder: Path) -> list[str]:
    """The words before a command that drop root's rights, which `initdb` refuses to have."""
    if os.geteuid() != 0:
        return []
    setpriv = need("setpriv")
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("user is absent: postgres (initdb refuses to run as root)")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL; skips where there is none."""
    server = Postgres(Path(need("initdb")).resolve().parent)  # a link may lie alone on the path
    yield server
    server.remove()
