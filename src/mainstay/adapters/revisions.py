"""A folder as it was at a revision of git, laid out in a folder of its own for as long as it is read."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mainstay.kernel.errors import InvalidInput

PATIENCE = 60.0
"""Seconds after which git is hanging: on a lock, or on a prompt of a remote."""


@contextmanager
def at_revision(folder: str, revision: str) -> Iterator[tuple[Path, str]]:
    """The folder's files at that revision: where they lie, and how to name that place to people (`main~1:slos`).

    Raises:
        InvalidInput: git is not installed, the folder is in no repository, or nothing of it is known at that revision.
    """
    top = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
    inside = os.path.relpath(os.path.realpath(folder), os.path.realpath(top))
    # `--end-of-options` keeps a revision that starts with a dash from being read as an option.
    named = ("rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
    commit = _git(folder, *named).decode().strip()
    with tempfile.TemporaryDirectory(prefix="mainstay-") as laid_out:
        packed = _git(str(top), "archive", "--format=tar", commit, "--", inside)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(laid_out, filter="data")
        yield Path(laid_out, inside), f"{revision}:{inside}"


def _git(folder: str, *words: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", folder, *words], capture_output=True, timeout=PATIENCE, check=False,
                              env={**os.environ, "GIT_TERMINAL_PROMPT": "0"})
    except FileNotFoundError:
        raise InvalidInput("git is not installed, so no revision can be read", "name two folders instead") from None
    except subprocess.TimeoutExpired:
        raise InvalidInput(f"git did not answer within {PATIENCE:g} s", "see what git -C FOLDER status says") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise InvalidInput(f"git {words[0]} {words[-1]}: {said[-1] if said else 'there is no such revision'}",
                           "name a folder, or a revision that git log shows")
    return done.stdout
