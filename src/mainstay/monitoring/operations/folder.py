"""Files written together: all of them or none, and never over what is there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mainstay.kernel.errors import InvalidInput


def refuse_what_is_there(folder: str) -> None:
    """Return when the folder is not there or is empty.

    Raises:
        InvalidInput: it holds something, or is no folder.
    """
    path = Path(folder)
    if path.is_dir() and any(path.iterdir()):
        raise InvalidInput(f"{folder} is there and holds files, which are not overwritten",
                           "name a new folder, or move the old one away")
    if path.exists() and not path.is_dir():
        raise InvalidInput(f"{folder} is a file", "name a folder")


def write_folder(folder: str, files: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Write the files below a folder that is new or empty, all or none; their paths as people read them.

    Raises:
        InvalidInput: the folder cannot be written.
    """
    refuse_what_is_there(folder)
    target = Path(folder)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be written: {error.strerror}", "name a folder you may write") from None
    try:
        for name, text in files:
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        # mkdtemp makes a folder for its owner alone; this one is as any other.
        made.chmod(0o777 & ~_umask())
        os.replace(made, target)
    except OSError as error:
        shutil.rmtree(made, ignore_errors=True)
        raise InvalidInput(f"{folder} cannot be written: {error.strerror}", "name a folder you may write") from None
    return tuple(os.path.join(folder, name) for name, _ in files)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
