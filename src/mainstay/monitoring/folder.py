"""A folder of written files, replaced as a whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mainstay.kernel.errors import Conflict, InvalidInput
from mainstay.monitoring.rulefile import GENERATED


def write_folder(folder: Path, files: Mapping[str, str], *, overwrite: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The folder holds these files; those that Mainstay wrote there before and that are no longer wanted are gone, and
    everybody else's are as they were.

    Everything is laid out beside the folder first and put in its place with a rename: a run that fails, or a disk that
    is full, leaves what was there.

    Args:
        files: text by name; no folders below.
        overwrite: also files of that name which Mainstay did not write.
    Returns:
        The names whose content is new or changed, and the names that were removed.
    Raises:
        Conflict: a file of that name is there that Mainstay did not write.
        InvalidInput: the folder cannot be written.
    """
    target = folder.resolve()
    try:
        there = {path.name: path for path in sorted(target.iterdir())} if target.exists() else {}
        ours = {name for name, path in there.items() if path.is_file() and _is_ours(path)}
        foreign = [name for name in files if name in there and name not in ours]
        if foreign and not overwrite:
            raise Conflict(f"{folder} already has {', '.join(foreign)}, which Mainstay did not write",
                           "choose another folder with -o, or say --overwrite")
        changed = tuple(name for name, text in files.items()
                        if name not in there or there[name].read_text(encoding="utf-8", errors="replace") != text)
        gone = tuple(sorted(ours - set(files)))
        if changed or gone or not target.exists():
            kept = [path for name, path in there.items() if name not in ours and name not in files]
            _replace(target, files, kept)
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be written: {error.strerror}", "check the path and its rights") from None
    return changed, gone


def _is_ours(path: Path) -> bool:
    mark = GENERATED.encode()
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


def _replace(target: Path, files: Mapping[str, str], kept: list[Path]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for name, text in files.items():
            (beside / name).write_text(text, encoding="utf-8")
        for path in kept:
            if path.is_dir() and not path.is_symlink():
                shutil.copytree(path, beside / path.name, symlinks=True)
            else:
                shutil.copy2(path, beside / path.name, follow_symlinks=False)
        beside.chmod(target.stat().st_mode if target.exists() else 0o777 & ~_umask())
        _swap(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _swap(made: Path, target: Path) -> None:
    if not target.exists():
        made.rename(target)
        return
    before = made.with_name(made.name + ".before")
    target.rename(before)
    try:
        made.rename(target)
    except OSError:
        before.rename(target)
        raise
    shutil.rmtree(before)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
