"""What a command loads before it does anything: nobody waits for a library that answers another question."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from command import PATIENCE
from mainstay.app import MAINSTAY, WordEntry, grammar
from mainstay.kernel.catalog import Grammar, gather, load, understood

_HEAVY = ("numpy._core", "yaml.nodes", "duckdb", "sqlite3", "psycopg", "httpx._client", "litestar", "uvicorn",
          "jinja2", "cyclopts", "rich", "promql_parser", "grafana_foundation_sdk")
_WEB_SERVER = {"httpx._client", "litestar", "uvicorn", "jinja2", "rich"}
MAY_LOAD = {"serve": _WEB_SERVER, "demo": _WEB_SERVER}
"""Whose help may load what: those two are the web server, which brings its own, and there is no more to them."""

_PROBE = """
import contextlib, io, json, sys
from mainstay.doors import lazy_start
lazy_start.defer()
from mainstay.doors.cli import run
for argv in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = run(argv)
    assert code == 0 and "exit codes" in out.getvalue(), argv
print(json.dumps([name for name in json.loads(sys.argv[2]) if name in sys.modules]))
"""


@pytest.mark.parametrize("entry", [*MAINSTAY.words, *MAINSTAY.house], ids=lambda entry: entry.name)
def test_the_help_of_a_command_loads_nothing_heavy(entry: WordEntry):
    verbs = [[entry.name, operation.verb, "--help"] if operation.word else [entry.name, "--help"]
             for operation in entry.operations() if "cli" in operation.doors]
    done = subprocess.run([sys.executable, "-c", _PROBE, json.dumps(verbs), json.dumps(_HEAVY)], text=True,
                          capture_output=True, check=True, timeout=PATIENCE)
    assert set(json.loads(done.stdout)) <= MAY_LOAD.get(entry.name, set())


_EXPERIMENT = {"version": "1.0.0", "title": "t", "description": "t", "rollbacks": [], "method": [{
    "type": "action", "name": "hello", "provider": {"type": "process", "path": "echo", "arguments": ["hello"]}}]}
_SPARED = ("numpy._core", "yaml.nodes", "dis", "_hashlib", "_lzma", "socket", "httpx._client", "cyclopts", "duckdb",
           "psycopg", "mainstay.doors.cli_help", "mainstay.chaos.operations.engine", "mainstay.slo.spec",
           "mainstay.reactions", "mainstay.adapters.faults.places", "mainstay.chaos.view", "mainstay.stats.budget")
"""What an experiment of programs needs none of; `dis` is there once `inspect` was run, `_lzma` with `lzma`."""


@pytest.mark.parametrize(("verb", "more"), [
    ("check", ("sqlite3", "msgspec", "logging", "mainstay.adapters.store")),
    ("run", ("mainstay.adapters.faults.injector",))])
def test_an_experiment_of_the_chaos_toolkit_loads_nothing_that_it_does_not_use(verb: str, more: tuple[str, ...],
                                                                               tmp_path: Path):
    (tmp_path / "one.json").write_text(json.dumps(_EXPERIMENT))
    # A run is recorded, and what encodes the record looks into `inspect`.
    spared = (*(name for name in _SPARED if verb == "check" or name != "dis"), *more)
    code = ("import atexit, sys; from mainstay.__main__ import main; "
            f"atexit.register(lambda: print([m for m in {spared} if m in sys.modules], file=sys.stderr)); main()")
    done = subprocess.run([sys.executable, "-c", code, "chaos", verb, "one.json"], text=True, capture_output=True,
                          check=False, timeout=PATIENCE, cwd=tmp_path,
                          env={**os.environ, "MAINSTAY_STORE": f"sqlite:///{tmp_path}/mainstay.db"})
    assert (done.returncode, done.stderr) == (0, "[]\n"), done.stdout


def test_checking_a_catalog_loads_no_web_server_and_no_parser_of_others(tmp_path):
    heavy = ("duckdb", "sqlite3", "httpx._client", "litestar", "uvicorn", "jinja2", "cyclopts", "rich")
    code = ("import atexit, sys; from mainstay.__main__ import main; "
            f"atexit.register(lambda: print([m for m in {heavy} if m in sys.modules], file=sys.stderr)); main()")
    done = subprocess.run([sys.executable, "-c", code, "check", "-c", str(tmp_path)], text=True, capture_output=True,
                          check=False, timeout=PATIENCE)
    assert done.stderr == "[]\n", done.stdout


_RULES = ("mainstay.chaos.spec", "mainstay.incident.grammar", "mainstay.monitoring.grammar", "mainstay.oncall.grammar",
          "mainstay.runbook.spec", "mainstay.slo.grammar", "mainstay.doors.cli_help", "numpy._core", "duckdb",
          "httpx._client")


@pytest.mark.parametrize("verb", [("toil", "report"), ("incident", "list"), ("oncall", "who")], ids=" ".join)
def test_where_nothing_is_declared_no_word_learns_to_read(verb: tuple[str, str], tmp_path: Path):
    code = ("import atexit, sys; from mainstay.__main__ import main; "
            f"atexit.register(lambda: print([m for m in {_RULES} if m in sys.modules], file=sys.stderr)); main()")
    done = subprocess.run([sys.executable, "-c", code, *verb, "-c", str(tmp_path)], text=True, capture_output=True,
                          check=False, timeout=PATIENCE,
                          env={**os.environ, "MAINSTAY_STORE": f"sqlite:///{tmp_path}/mainstay.db"})
    assert done.stderr.splitlines()[-1] == "[]", done.stderr


def test_of_nothing_the_whole_grammar_says_what_none_says(tmp_path: Path):
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    gathered = gather([tmp_path])
    assert gathered.documents == ()
    assert understood(gathered, grammar()) == understood(gathered, Grammar(()))
    assert load([tmp_path], grammar()) == understood(gathered, Grammar(()))
