"""Pure rooms read no clock, draw no random numbers and touch nothing outside: these are arguments, so that a year can
be simulated in seconds and every answer can be had again. Import contracts keep libraries out; this looks at names."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from house.repository import ROOT, python_files, shown, tree_of
from mainstay.app import MAINSTAY

_IMPURE = ("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
           "time", "random", "secrets", "uuid", "numpy.random", "os", "sys", "pathlib.Path", "io.open", "glob",
           "shutil", "tempfile", "subprocess", "socket", "getpass", "platform", "threading", "asyncio", "logging",
           "urllib.request", "builtins.open", "builtins.input", "builtins.print")
"""Names that reach outside, with all that is below them."""
_PURE = ("os.path.join", "os.path.dirname", "os.path.basename", "os.path.normpath", "os.path.splitext", "os.PathLike",
         "os.fspath", "sys.maxsize", "sys.float_info", "sys.version_info", "sys.intern",
         "numpy.random.Generator")
"""Names below those that only compute: on names of files, or with a generator that was handed in."""

REACHES_OUT: dict[str, tuple[set[str], str]] = {
    "src/mainstay/kernel/catalog.py": ({"os.walk", "pathlib.Path"}, "reads the folder that declares, for every door"),
}
"""Pure rooms that are not, the names they use, and the reason."""


def test_pure_rooms_read_no_clock_draw_no_numbers_and_touch_nothing_outside():
    words = {entry.name for entry in MAINSTAY.words}
    found = {shown(path): set(_reaching(tree_of(path))) for path in python_files("src")
             if (room := shown(path).split("/")[2:])[0] in {"kernel", "stats", *words} and room[1] != "operations"}
    assert len(found) > 30
    assert {name: names for name, names in found.items() if names - REACHES_OUT.get(name, (set(), ""))[0]} == {}


def test_every_exception_is_still_needed_and_says_why():
    for name, (names, reason) in REACHES_OUT.items():
        assert set(_reaching(tree_of(ROOT / name))) == names
        assert reason


@pytest.mark.parametrize("text", [
    "import time\nx = time.time()", "from time import monotonic\nmonotonic()", "import datetime\ndatetime.date.today()",
    "from datetime import datetime as d, UTC\nd.now(UTC)", "from datetime import date\ndate.today()", "open('x')",
    "import os\nos.environ['A']", "from os import environ as e\ne.get('A')", "import os.path\nos.path.exists('x')",
    "from pathlib import Path\nPath('x').read_text()", "import random\nrandom.random()", "print(1)",
    "import numpy as np\nnp.random.rand()", "import numpy as np\nnp.random.default_rng()",
    "from numpy.random import default_rng\ndefault_rng(None)", "import uuid\nuuid.uuid4()", "import sys\nsys.argv",
    "def f():\n    import time\n    return time.time()"])
def test_what_reaches_outside_is_seen(text):
    assert list(_reaching(ast.parse(text)))


@pytest.mark.parametrize("text", [
    "import os\nos.path.join('a', 'b')", "import numpy as np\nnp.random.default_rng(seed)", "now.time()",
    "from datetime import datetime\ndatetime.fromtimestamp(3)", "random = default_rng(7)\nrandom.integers(3)",
    "import numpy as np\ndef f(g: np.random.Generator): return g.random()", "reader.open('x')"])
def test_what_only_computes_is_left_alone(text):
    assert list(_reaching(ast.parse(text))) == []


def _reaching(tree: ast.Module) -> Iterator[str]:
    """The impure names that the module uses, by the modules they come from."""
    known = _imported(tree)
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    seeded = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args
              and not (isinstance(node.args[0], ast.Constant) and node.args[0].value is None)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Name | ast.Attribute) or id(node) in inner:
            continue
        name = _whole_name(node, known)
        if name == "numpy.random.default_rng" and id(node) in seeded:
            continue
        if any(_below(name, impure) for impure in _IMPURE) and not any(_below(name, pure) for pure in _PURE):
            yield name


def _imported(tree: ast.Module) -> dict[str, str]:
    """What each name that is imported, or built in, stands for."""
    known = {name: f"builtins.{name}" for name in ("open", "input", "print")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known[alias.asname or alias.name.partition(".")[0]] = \
                    alias.name if alias.asname else alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module:
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return known


def _whole_name(node: ast.expr, known: dict[str, str]) -> str:
    """`datetime.datetime.now` for `d.now`; empty for what is no name of a module."""
    match node:
        case ast.Name(id=name, ctx=ast.Load()):
            return known.get(name, "")
        case ast.Attribute(value=value, attr=attr):
            before = _whole_name(value, known)
            return f"{before}.{attr}" if before else ""
        case _:
            return ""


def _below(name: str, above: str) -> bool:
    return name == above or name.startswith(above + ".")
