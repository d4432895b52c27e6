"""The documents that say where they run (tutorial, guide, examples) show what really happens there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from docs.markdown import REPO, documents, folder_of, session, with_printed
from scenarios.transcript import agrees, play

_RUN = [path.relative_to(REPO).as_posix() for path in documents() if folder_of(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("name", _RUN)
def test_the_document_shows_what_happens(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    text = (REPO / name).read_text(encoding="utf-8")
    folder = folder_of(text)
    assert folder is not None
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    shown = session(text)
    printed = [replace(step, exit_code=0) for step in play(shown, tmp_path, tmp_path)]
    if request.config.getoption("--update"):
        (REPO / name).write_text(with_printed(text, printed), encoding="utf-8")
        return
    for expected, step in zip(shown.steps, printed, strict=True):
        assert agrees(expected.output, step.output), \
            f"{name}: $ {step.command}\n" + "\n".join(step.output) + "\npytest tests/docs --update writes it"


def test_the_tutorial_and_the_first_example_are_run():
    assert {"docs/tutorial.md", "examples/01-first-slo/README.md", "examples/02-alerts/README.md"} <= set(_RUN)
