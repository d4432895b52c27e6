"""The shape of the house: arrows, names, sizes. The plan is a test."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from house.repository import ROOT, committed, python_files, shown, text_of, tree_of

_OURS = python_files("src", "scripts")
_NAMELESS = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "base", "core", "misc", "shared"}
_LONGEST_FUNCTION = 60
_LONGEST_FILE = 600

LONGER: dict[str, str] = {}
"""Files, or functions as `file::name`, that are longer than the house allows, each with the reason why."""


def test_the_import_contracts_are_kept():
    ended = subprocess.run([str(Path(sys.executable).parent / "lint-imports"), "--no-cache"], cwd=ROOT, text=True,
                           capture_output=True, check=False)
    assert ended.returncode == 0, ended.stdout


def test_no_module_has_a_name_that_says_nothing():
    assert [shown(path) for path in committed() if path.suffix == ".py" and path.stem in _NAMELESS] == []


def test_no_import_is_for_the_type_checker_only():
    # Where one seems needed, the arrow is wrong.
    assert [shown(path) for path in _OURS
            if any(isinstance(node, ast.Name | ast.Attribute) and "TYPE_CHECKING" in ast.unparse(node)
                   for node in ast.walk(tree_of(path)))] == []


def test_every_import_inside_a_function_is_a_lazy_start_and_says_why():
    lines = {path: text_of(path).splitlines() for path in _OURS}
    bare = [f"{shown(path)}:{node.lineno}" for path in _OURS for function in _functions(tree_of(path))
            for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)
            and "lazy start" not in lines[path][node.lineno - 1]]
    assert sorted(set(bare)) == []


def test_every_dataclass_is_made_by_the_kernel():
    # The standard library takes ten times as long for each, which was a third of a small command (decision 0013).
    # The library for other people's programs imports nothing of Mainstay.
    slow = [f"{shown(path)}:{node.lineno}: write `from mainstay.kernel.dataclass import dataclass`"
            for path in _OURS if "resilience" not in path.parts and path.name != "dataclass.py"
            for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom) and node.module == "dataclasses"
            and "dataclass" in [one.name for one in node.names]]
    assert slow == []


def test_no_function_is_longer_than_the_house_allows():
    long = {f"{shown(path)}::{function.name}": _length(function) for path in _OURS
            for function in _functions(tree_of(path)) if _length(function) > _LONGEST_FUNCTION}
    assert {name: length for name, length in long.items() if name not in LONGER} == {}


def test_no_file_is_longer_than_the_house_allows():
    long = {shown(path): len(text_of(path).splitlines()) for path in _OURS}
    assert {name: length for name, length in long.items() if length > _LONGEST_FILE and name not in LONGER} == {}


def test_every_exception_names_something_that_is_there_and_its_reason():
    for name, reason in LONGER.items():
        path, _, function = name.partition("::")
        assert reason
        assert not function or function in [f.name for f in _functions(tree_of(ROOT / path))]
        assert (ROOT / path).exists()


def test_nothing_committed_names_an_index_host_or_the_place_it_was_made():
    # Put together here, so that this file does not name them either.
    forbidden = [".".join(parts) for parts in (("pypi", "org"), ("files", "pythonhosted", "org"))]
    forbidden += ["/".join(("", place, "")) for place in ("work", "tmp/wt")]
    assert [f"{shown(path)}: {word}" for path in committed() for word in forbidden if word in text_of(path)] == []


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end; a docstring is not counted against a function."""
    assert function.end_lineno is not None
    length = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        first = function.body[0]
        assert first.end_lineno is not None
        length -= first.end_lineno - first.lineno + 1
    return length
