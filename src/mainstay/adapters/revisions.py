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


class Unknown(InvalidInput):
    """Git knows nothing of what was asked for; the message is git's own."""


PATIENCE = 60.0
"""Seconds after which git is hanging: on a lock, or on a prompt of a remote."""


@contextmanager
def at_revision(folder: str, revision: str) -> Iterator[tuple[Path, str]]:
    """The folder's files at that revision: where they lie, and how to name that place to people (`main~1:slos`).

    Raises:
        InvalidInput: git is not installed, the folder is in no repository, or nothing of it is known at that revision.
    """
    try:
        commit, top, inside = _found(folder, revision)
    except Unknown as error:
        raise InvalidInput(f'"{revision}" is no folder, and no revision of {folder} either: {error.message}',
                           "name a folder, or a revision that git log shows") from None
    with tempfile.TemporaryDirectory(prefix="mainstay-") as laid_out:
        packed = _git(str(top), "archive", "--format=tar", commit, "--", inside)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(laid_out, filter="data")
        yield Path(laid_out, inside), f"{revision}:{inside}"


def _found(folder: str, revision: str) -> tuple[str, Path, str]:
    """The commit, the repository's folder, and the catalog's place in it."""
    top = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
    inside = os.path.relpath(os.path.realpath(folder), os.path.realpath(top))
    # `--end-of-options` keeps a revision that starts with a dash from being read as an option.
    named = ("rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
    return _git(folder, *named).decode().strip(), top, inside


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
        raise Unknown(said[-1].removeprefix("fatal: ") if said else "there is no such revision")
    return done.stdout
