"""Files written together: all of them or none was changed, and what others keep there is left alone.

Everything is laid out beside its place first, under a hidden name, and put there by renaming, so that a full disk or a
run that is killed leaves whole files, the old or the new.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from mainstay.kernel.errors import Conflict, InvalidInput


class Written(NamedTuple):
    """What a run changed below a folder: names of files that are new or different, and of those that were removed."""

    changed: tuple[str, ...]
    removed: tuple[str, ...]


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


def write_files(folder: str, files: Mapping[str, str], is_ours: Callable[[str], bool], *, overwrite: bool = False,
                sweep: bool = False) -> Written:
    """The folder holds these files.

    Args:
        files: text by name; a name may hold folders.
        is_ours: whether a text was written by a run like this one, which may be replaced without asking.
        overwrite: also replace files of these names that were not.
        sweep: remove files of ours below the folder that are no longer wanted.
    Raises:
        Conflict: a file of that name is there that is not ours.
        InvalidInput: the folder cannot be written.
    """
    root = Path(folder)
    drafts: list[tuple[Path, Path]] = []
    try:
        there = {name: _held(root / name) for name in files}
        foreign = [name for name, text in there.items() if text is not None and not is_ours(text)]
        if foreign and not overwrite:
            raise Conflict(f"{folder} already has {', '.join(foreign)}, which Mainstay did not write",
                           "choose another folder with -o, or say --overwrite")
        root.mkdir(parents=True, exist_ok=True)
        changed = tuple(name for name, text in files.items() if there[name] != text)
        for name in changed:
            drafts.append((_empty_draft(root / name), root / name))
            drafts[-1][0].write_text(files[name], encoding="utf-8")
        for draft, path in drafts:
            draft.replace(path)
        removed = [path for path in sorted(root.rglob("*")) if sweep and path.is_file() and not path.is_symlink()
                   and path.relative_to(root).as_posix() not in files and is_ours(_held(path) or "")]
        for path in removed:
            path.unlink()
    except OSError as error:
        raise InvalidInput(f"{error.filename or folder} cannot be written: {error.strerror}",
                           "name a folder you may write") from None
    finally:
        for draft, _ in drafts:
            draft.unlink(missing_ok=True)
    return Written(changed, tuple(path.relative_to(root).as_posix() for path in removed))


def _held(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else None


def _empty_draft(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    os.close(handle)
    # mkstemp makes a file for its owner alone; this one is as any other.
    Path(draft).chmod(0o666 & ~_umask())
    return Path(draft)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
