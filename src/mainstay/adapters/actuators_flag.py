"""Acts on flags in a file of flagd's format: `{"flags": {"name": {"state", "variants", "defaultVariant"}}}`.

The file is replaced whole, so that whoever watches it never reads half of one, and everything else in it stays as it
was, in its order. Two who write at once wait for each other at a lock on its folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mainstay.kernel.actuation import Ending, Flag, Outcome, Prepared, Watch
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import did_you_mean


def before(act: Flag) -> Prepared:
    """The act that brings back what the flag is now.

    Raises:
        NotFound: there is no such flag or variant. InvalidInput: the file is not one of flags.
    """
    flag = _flag(_read(act.file), act)
    variant, state = str(flag.get("defaultVariant", "")), str(flag.get("state", "ENABLED"))
    undo = Flag(act.file, act.flag, variant if act.variant else "", state if act.state else "")
    said = [text for text in (f"variant {variant}" if act.variant else "", state if act.state else "") if text]
    return Prepared(undo, ", ".join(said))


def flip(act: Flag, watch: Watch) -> Outcome:
    """The flag has the variant and the state; again is fine."""
    try:
        with _alone(act.file):
            whole = _read(act.file)
            flag = _flag(whole, act)
            was = f"{flag.get('defaultVariant', '')} {flag.get('state', '')}".strip()
            if act.variant:
                flag["defaultVariant"] = act.variant
            if act.state:
                flag["state"] = act.state
            _write(act.file, whole)
    except (InvalidInput, NotFound) as error:
        return Outcome(Ending.FAILED, error=error.message)
    except OSError as error:
        return Outcome(Ending.FAILED, error=f"{act.file} cannot be written: {error.strerror}")
    is_now = f"{flag.get('defaultVariant', '')} {flag.get('state', '')}".strip()
    watch.output(f"{act.flag}: {was} → {is_now}\n")
    return Outcome(Ending.SUCCEEDED, is_now)


def _read(path: str) -> dict[str, Any]:
    try:
        whole = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read as flags: {error}", "name a flagd file of JSON") from error
    if not isinstance(whole, dict) or not isinstance(whole.get("flags"), dict):
        raise InvalidInput(f"{path} holds no flags", 'write {"flags": {…}} as flagd reads it')
    return whole


def _flag(whole: dict[str, Any], act: Flag) -> dict[str, Any]:
    flags: dict[str, Any] = whole["flags"]
    found = flags.get(act.flag)
    if not isinstance(found, dict):
        raise NotFound(f'no flag is named "{act.flag}"{did_you_mean(act.flag, flags)}',
                       "its flags: " + ", ".join(sorted(flags)[:20]))
    variants = found.get("variants")
    if act.variant and (not isinstance(variants, dict) or act.variant not in variants):
        known = sorted(variants) if isinstance(variants, dict) else []
        raise NotFound(f'{act.flag} has no variant "{act.variant}"{did_you_mean(act.variant, known)}',
                       "its variants: " + ", ".join(known))
    return found


@contextmanager
def _alone(path: str) -> Iterator[None]:
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: str, whole: dict[str, Any]) -> None:
    folder = os.path.dirname(path) or "."
    mode = os.stat(path).st_mode & 0o777
    number, temporary = tempfile.mkstemp(dir=folder, prefix=".mainstay-", suffix=".json")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            json.dump(whole, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
