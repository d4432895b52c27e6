"""Programs that tell a story and are killed in it, as the tests start and ask them; and the stores it is told on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from servers.postgres import Postgres

FULL = os.environ.get("MAINSTAY_CRASH") == "full"
"""Whether the story is killed at every boundary, as is done by hand; CI takes every few."""

KILLED = -9


class Teller:
    """A running program of `crash.boundaries`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def tell(self, folder: Path, **asked: object) -> int:
        """How the telling ended: KILLED, or 0 when it came to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"folder": str(folder), **asked}) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        assert code in (KILLED, 0), (folder / "errors").read_text()
        return code


@contextmanager
def telling(program: str) -> Iterator[Teller]:
    """The program beside this file, until the block ends."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen([sys.executable, str(Path(__file__).parent / program)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield Teller(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.server("postgresql"))])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of empty stores, without end."""
    def fresh() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            if request.param == "sqlite":
                (tmp_path / f"s{number}").mkdir()
                yield f"sqlite:///{tmp_path / f's{number}' / 'm.db'}"
            else:
                server: Postgres = request.getfixturevalue("postgres")
                yield server.fresh_url()

    return fresh()


def is_sqlite(url: str) -> bool:
    """Whether the store is a file, so that a kill costs little."""
    return url.startswith("sqlite")
