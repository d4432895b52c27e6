"""Transcripts of the command line: what was typed and what came back, as a person would paste it.

    # Lines at the top that start with `#` say what the transcript is about.
    # needs shared: access_logs/x.gz          (skips where that shared data is absent)
    # needs program: prometheus               (skips where that program is absent)
    == slo.yaml ==
    apiVersion: openslo/v1
    ==
    $ mainstay check slo.yaml
    slo.yaml · 1 document
    $ mainstay slo gate nonsense
    error: …
    [exit 2]

Files between lines that start with `==` are written into an empty folder in which every command runs through bash, one
after the other,
with standard error mixed into the output. `$SHARED` is the folder of shared data and `$REPO` the repository. In what is
expected, `<time>`, `<number>`, `<path>`, `<any>` stand for what varies, and a line `<lines>` for any number of lines.
`pytest tests/scenarios --update` writes what is printed now, and keeps lines whose placeholders still fit.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

REPO = Path(__file__).parents[2]

_PLACEHOLDERS = {
    "<time>": (r"(?:\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?)?"
               r"|\d{1,2} [A-Z][a-z]{2}(?: \d\d:\d\d(?::\d\d)?)?)"),
    "<number>": r"-?[\d,]+(?:\.\d+)?",
    "<path>": r"[^\s:]+",
    "<any>": r".*",
}
_ANY_LINES = "<lines>"
_FILE = re.compile(r"== (\S+) ==")
_EXIT = re.compile(r"\[exit (\d+)\]")


@dataclass(frozen=True)
class Step:
    """A command, what it prints and how it ends."""

    command: str
    output: tuple[str, ...]
    exit_code: int = 0


@dataclass(frozen=True)
class Transcript:
    """A whole transcript. `head` is kept as written, file blocks included; `files` are those blocks."""

    head: tuple[str, ...]
    files: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]

    def needs(self, what: str) -> list[str]:
        """What `# needs WHAT:` lines name."""
        mark = f"# needs {what}:"
        return [line.removeprefix(mark).partition("(")[0].strip() for line in self.head if line.startswith(mark)]

    def text(self) -> str:
        """The transcript as its file."""
        lines = list(self.head)
        for step in self.steps:
            lines += [f"$ {step.command}", *step.output]
            lines += [f"[exit {step.exit_code}]"] if step.exit_code else []
        return "\n".join(lines) + "\n"


def parse(text: str) -> Transcript:
    """The transcript that a file holds."""
    lines = text.removesuffix("\n").split("\n")
    start = next((index for index, line in enumerate(lines) if line.startswith("$ ")), len(lines))
    steps: list[Step] = []
    for line in lines[start:]:
        ended = _EXIT.fullmatch(line)
        if line.startswith("$ "):
            steps.append(Step(line[2:], ()))
        elif ended:
            steps[-1] = replace(steps[-1], exit_code=int(ended[1]))
        else:
            steps[-1] = replace(steps[-1], output=(*steps[-1].output, line))
    return Transcript(tuple(lines[:start]), tuple(_files(lines[:start])), tuple(steps))


def _files(head: Sequence[str]) -> list[tuple[str, str]]:
    files: list[tuple[str, str]] = []
    name, body = "", []
    for line in head:
        opened = _FILE.fullmatch(line)
        if opened or line == "==":
            files += [(name, "".join(f"{part}\n" for part in body))] if name else []
            name, body = opened[1] if opened else "", []
        elif name:
            body.append(line)
    return files


def play(transcript: Transcript, folder: Path, shared: Path) -> tuple[Step, ...]:
    """What every command really printed, in that folder; paths that differ from run to run have their names."""
    for name, body in transcript.files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="utf-8")
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder), "TZ": "UTC",
        "COLUMNS": "100", "LANG": "C.UTF-8", "USER": "sam", "LOGNAME": "sam", "REPO": str(REPO), "SHARED": str(shared),
        "XDG_STATE_HOME": str(folder / ".state"), "TMPDIR": str(folder),
    }
    return tuple(_run(step.command, folder, environ) for step in transcript.steps)


def _run(command: str, folder: Path, environ: dict[str, str]) -> Step:
    ended = subprocess.run(["bash", "-c", command], cwd=folder, env=environ, stdin=subprocess.DEVNULL, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=120)
    output = ended.stdout.replace(str(folder), "<folder>").replace(str(REPO), "<repo>")
    return Step(command, tuple(output.removesuffix("\n").split("\n")) if output else (), ended.returncode)


def agrees(expected: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether the lines are those expected, placeholders filled."""
    pattern = "".join("(?:.*\n)*?" if line == _ANY_LINES else _pattern(line) + "\n" for line in expected)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None


def _pattern(line: str) -> str:
    parts = re.split("(" + "|".join(_PLACEHOLDERS) + ")", line)
    return "".join(_PLACEHOLDERS.get(part) or re.escape(part) for part in parts)


def renewed(expected: Step, printed: Step) -> Step:
    """The printed step, with every expected line that has placeholders and still fits."""
    if agrees(expected.output, printed.output):
        return replace(printed, output=expected.output)
    patterns = {line: re.compile(_pattern(line)) for line in expected.output if any(p in line for p in _PLACEHOLDERS)}
    return replace(printed, output=tuple(
        next((line for line, pattern in patterns.items() if pattern.fullmatch(text)), text) for text in printed.output))
