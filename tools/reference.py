"""Writes docs/reference from the code: `tools/reference.py`; with `--check` it only says what is stale, exit 1.

cli.md       every command with its arguments, as its --help says
findings.md  every code a mistake in the user's files can have
errors.md    every way a run can end early, with exit code and HTTP status
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from mainstay.app import MAINSTAY, Application
from mainstay.doors import cli_help
from mainstay.doors.commands import only_operation
from mainstay.kernel import errors

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
_GENERATED = "<!-- Made by tools/reference.py from the code; a test keeps it current. Do not edit. -->\n"


def pages(application: Application = MAINSTAY) -> dict[Path, str]:
    """Every generated page, by its path."""
    return {
        FOLDER / "cli.md": _cli_page(application),
        FOLDER / "findings.md": _findings_page(),
        FOLDER / "errors.md": _errors_page(),
    }


def _cli_page(application: Application) -> str:
    parts = [_GENERATED, "# Command line", _console(cli_help.main_help(application))]
    for entry in application.words:
        operations = [operation for operation in entry.operations() if "cli" in operation.doors]
        parts += [f"## {entry.name}", entry.summary]
        for operation in operations:
            parts += [f"### mainstay {entry.name} {operation.verb}", _console(cli_help.operation_help(operation))]
    if application.house:
        parts.append("## Commands of the house")
        for entry in application.house:
            parts += [f"### mainstay {entry.name}", _console(cli_help.operation_help(only_operation(entry)))]
    parts += ["### mainstay completion", _console(cli_help.completion_help())]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _console(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


def _findings_page() -> str:
    found: dict[str, set[tuple[str, str]]] = {}
    for path in sorted((ROOT / "src" / "mainstay").rglob("*.py")):
        room = path.relative_to(ROOT / "src" / "mainstay").with_suffix("").as_posix()
        for code, message in _codes(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(code, set()).add((message, room))
    rows = [f"| `{code}` | {message} | {room} |" for code in sorted(found) for message, room in sorted(found[code])]
    return "\n".join([
        _GENERATED, "# Findings", "",
        "What `mainstay check` can say of a file. A code stays the same for ever; `…` stands for what varies.", "",
        "| code | message | said by |", "|---|---|---|", *rows]) + "\n"


def _codes(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(code, message) of every finding made in a module: `Finding(…)`, `document.finding(…)`, `reader.report(…)`,
    and `Misplaced(…)`, whose code is its last argument."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name == "Misplaced":
            given = {one.arg: one.value for one in node.keywords} | dict(zip(("code",), node.args[3:], strict=False))
            code = given.get("code")
            yield code.value if isinstance(code, ast.Constant) else "misplaced-variable", _said(node.args[0])
            continue
        place = {"Finding": 2, "finding": 2, "report": 1, "warn": 1}.get(name)
        first = node.args[0]
        if place is not None and isinstance(first, ast.Constant) and isinstance(first.value, str) \
                and len(node.args) > place:
            yield first.value, _said(node.args[place])


def _said(message: ast.expr) -> str:
    match message:
        case ast.Constant(value=str(text)):
            return text.replace("|", "\\|")
        case ast.JoinedStr(values=values):
            return "".join(_said(value) if isinstance(value, ast.Constant) else "…" for value in values)
        case ast.BinOp(left=left, right=right):
            return _said(left) + _said(right)
        case _:
            return "…"


def _errors_page() -> str:
    rows = []
    for error in sorted(_tree(errors.MainstayError), key=lambda error: error.code):
        if error.__module__.startswith("mainstay.kernel"):
            meaning = (error.__doc__ or "").strip().splitlines()[0]
            rows.append(f"| `{error.code}` | {meaning} | {error.exit_code} | {error.http_status} |")
    return "\n".join([
        _GENERATED, "# Errors", "",
        "Why a run can end early: the `code` of an error in JSON, the process's exit code, the HTTP status.", "",
        "| code | meaning | exit code | HTTP |", "|---|---|---|---|", *rows, "",
        "A bug of Mainstay is code `bug`, exit code 70. An interrupt is exit code 130; 141 when the reader of the",
        "output went away. With `--json` an error is one document on standard error:",
        '`{"error": {"code", "message", "way_out"}}`, with `findings` when files hold mistakes.']) + "\n"


def _tree(error: type[errors.MainstayError]) -> Iterator[type[errors.MainstayError]]:
    yield error
    for below in error.__subclasses__():
        yield from _tree(below)


def main() -> int:
    """Write the pages, or with --check name those that are stale."""
    stale = [path for path, text in pages().items()
             if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            sys.stdout.write(f"stale: {path.relative_to(ROOT)}; run tools/reference.py\n")
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
