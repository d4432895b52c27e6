"""Every transcript below this folder still holds, and the rules of transcripts themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from programs import need
from scenarios.transcript import Step, agrees, parse, play, renewed
from shared_data import shared

_HERE = Path(__file__).parent
_ALL = sorted(path.relative_to(_HERE).as_posix() for path in _HERE.rglob("*.txt"))


@pytest.mark.parametrize("name", _ALL)
def test_the_transcript_holds(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = _HERE / name
    transcript = parse(path.read_text(encoding="utf-8"))
    for program in transcript.needs("program"):
        need(program)
    data = [shared(wanted) for wanted in transcript.needs("shared")]
    folder = data[0].parents[transcript.needs("shared")[0].count("/")] if data else tmp_path
    printed = play(transcript, tmp_path, folder)
    if request.config.getoption("--update"):
        steps = tuple(renewed(*pair) for pair in zip(transcript.steps, printed, strict=True))
        path.write_text(replace(transcript, steps=steps).text(), encoding="utf-8")
        return
    for expected, step in zip(transcript.steps, printed, strict=True):
        if not agrees(expected.output, step.output) or expected.exit_code != step.exit_code:
            assert expected == step, "pytest tests/scenarios --update writes what is printed now"


def test_a_transcript_is_its_own_text():
    text = "# about\n== a/b.yaml ==\nx: 1\n\n==\n$ one\n$ two\nout\n\nmore\n[exit 2]\n"
    transcript = parse(text)
    assert transcript.text() == text
    assert transcript.files == (("a/b.yaml", "x: 1\n\n"),)
    assert transcript.steps == (Step("one", ()), Step("two", ("out", "", "more"), 2))


@pytest.mark.parametrize(("expected", "printed", "same"), [
    (["a <time> b"], ["a 2026-05-01T12:00:00Z b"], True),
    (["a <time> b"], ["a soon b"], False),
    (["<number> rows (x)"], ["1,234.5 rows (x)"], True),
    (["one", "<lines>", "end"], ["one", "two", "three", "end"], True),
    (["one", "<lines>", "end"], ["one", "end"], True),
    (["one", "<lines>", "end"], ["one", "two"], False),
    (["one"], ["one", "two"], False),
])
def test_placeholders_stand_for_what_varies(expected, printed, same):
    assert agrees(expected, printed) is same


def test_an_update_keeps_the_placeholders_that_still_fit():
    old = Step("x", ("at <time>", "old"))
    assert renewed(old, Step("x", ("at 2026-05-01", "new"), 1)) == Step("x", ("at <time>", "new"), 1)


def test_commands_run_beside_the_files_of_the_transcript(tmp_path):
    transcript = parse("== in/a.txt ==\nhello\n==\n$ cat in/a.txt; pwd; exit 3\n")
    assert play(transcript, tmp_path, tmp_path)[0] == Step(transcript.steps[0].command, ("hello", "<folder>"), 3)
