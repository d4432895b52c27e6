"""Whole texts from files, folders, standard input and web addresses, and back into files."""

from __future__ import annotations

import codecs
import gzip
import os
import stat
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from mainstay.kernel.errors import InvalidInput, SourceUnavailable
from mainstay.kernel.ports import TextFile

MOST_BYTES = 256 * 1024 * 1024
"""A larger text is a dump: refused rather than held in memory several times over."""
_PIECE = 1 << 17
_TIMEOUT = 30.0
_RETRIES = 2
_FIRST_WAIT = 0.2
_PACKED = b"\x1f\x8b"
_NOT_OURS = frozenset({"node_modules", "site-packages", "__pycache__"})


def read_texts(path: str, endings: Sequence[str]) -> list[TextFile]:
    """The text behind a path (`-` is standard input) or address; of a folder, every file with one of the endings.

    Raises:
        InvalidInput: nothing is there, or it is no text.
        SourceUnavailable: the address does not answer.
    """
    if path.startswith(("http://", "https://")):
        return [TextFile(_bare(path), _text(_fetched(path), _bare(path)))]
    if path == "-":
        return [TextFile("standard input", _text(sys.stdin.buffer.read(MOST_BYTES + 1), "standard input"))]
    file = Path(path)
    if file.is_dir():
        return [TextFile(str(one), _of_file(one), named=False, writable=one.suffix != ".gz")
                for one in _below(file, endings)]
    if not file.exists():
        raise InvalidInput(f"there is no file or folder {path}",
                           "name a file or a folder that is there, or - for standard input")
    return [TextFile(path, _of_file(file), writable=file.is_file() and file.suffix != ".gz")]


def _below(root: Path, endings: Sequence[str]) -> list[Path]:
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _NOT_OURS
                            and not Path(folder, name, "pyvenv.cfg").exists())
        found += [path for name in sorted(names) if not name.startswith(".")
                  and name.removesuffix(".gz").endswith(tuple(endings)) and (path := Path(folder, name)).is_file()]
    return found


def _of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", "check the path and its rights") from error
    return _text(data, str(path))


def _text(data: bytes, name: str) -> str:
    if data.startswith(_PACKED):
        try:
            unpacker = zlib.decompressobj(wbits=31)
            data = unpacker.decompress(data, MOST_BYTES + 1)
            if not unpacker.eof and len(data) <= MOST_BYTES:
                raise InvalidInput(f"{name} is packed and ends too early", "copy it again; it was cut off")
        except (zlib.error, gzip.BadGzipFile) as error:
            raise InvalidInput(f"{name} is packed and damaged: {error}", "copy it again") from error
    if len(data) > MOST_BYTES:
        raise InvalidInput(f"{name} has more than {MOST_BYTES // 2**20} MiB", "split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is not UTF-8 text (byte {error.start})", "save it as UTF-8") from error


def read_pieces(path: str) -> Iterator[str]:
    """The text of a file (`-` is standard input), a piece at a time; gzip is recognised by content.

    Raises:
        InvalidInput: nothing is there, or it is no text.
    """
    if path == "-":
        yield from _decoded(sys.stdin.buffer, "standard input")
        return
    try:
        with Path(path).open("rb") as file:
            yield from _decoded(file, path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", "check the path and its rights") from error


def _decoded(file: BinaryIO, name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    data = file.read(_PIECE)
    unpacker = zlib.decompressobj(wbits=31) if data.startswith(_PACKED) else None
    try:
        while data:
            yield decoder.decode(unpacker.decompress(data) if unpacker is not None else data)
            data = file.read(_PIECE)
        if unpacker is not None and not unpacker.eof:
            raise InvalidInput(f"{name} is packed and ends too early", "copy it again; it was cut off")
        yield decoder.decode(b"", final=True)
    except zlib.error as error:
        raise InvalidInput(f"{name} is packed and damaged: {error}", "copy it again") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is not UTF-8 text", "save it as UTF-8") from error


def _kept(file: Path) -> tuple[bytes, int]:
    """The byte order mark and the rights of a file that is there; what a new one gets."""
    try:
        with file.open("rb") as opened:
            begins = opened.read(3)
    except FileNotFoundError:
        return b"", 0o644
    return begins if begins == b"\xef\xbb\xbf" else b"", stat.S_IMODE(file.stat().st_mode)


def write_text(path: str, text: str) -> None:
    """Put the text in the file's place, whole or not at all; a file that is not there is made. Rights and a byte order
    mark stay, links are followed.

    Raises:
        InvalidInput: it cannot be written.
    """
    file = Path(path).resolve()
    made = ""
    try:
        mark, mode = _kept(file)
        handle, made = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(handle, "wb") as out:
            out.write(mark + text.encode())
            out.flush()
            os.fsync(out.fileno())
        Path(made).chmod(mode)
        Path(made).replace(file)
    except OSError as error:
        if made:
            with suppress(OSError):
                Path(made).unlink()
        raise InvalidInput(f"{path} cannot be written: {error.strerror}", "check the file's rights; it is unchanged") \
            from error


# -- addresses -------------------------------------------------------------------------------------------------------


def _fetched(address: str) -> bytes:
    """The body at an address; tried again when nothing answered or the server failed."""
    deadline, wait = time.monotonic() + _TIMEOUT, _FIRST_WAIT
    for attempt in range(_RETRIES + 1):
        try:
            return _once(address, deadline)
        except _Passing as passing:
            if attempt == _RETRIES or time.monotonic() + wait > deadline:
                raise passing.error from passing.__cause__
        time.sleep(wait)
        wait *= 2
    raise AssertionError("the last try either returned or raised")


class _Passing(Exception):
    """A failure that may be gone at the next try."""

    def __init__(self, error: SourceUnavailable) -> None:
        super().__init__(error.message)
        self.error = error


def _once(address: str, deadline: float) -> bytes:
    import httpx  # noqa: PLC0415  (a lazy start: a file needs no web client)

    shown = _bare(address)
    body = bytearray()
    try:
        with httpx.stream("GET", address, timeout=max(0.01, deadline - time.monotonic()), headers={
                "Accept": "text/plain;version=0.0.4, application/openmetrics-text;q=0.5, */*;q=0.1"}) as response:
            for piece in response.iter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    raise SourceUnavailable(f"{shown} sends more than {MOST_BYTES // 2**20} MiB", "is this a metric "
                                            "page?")
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("too slow")
    except httpx.InvalidURL as error:
        raise InvalidInput(f"the address cannot be read: {error}", "write http://host:port/metrics") from error
    except httpx.TimeoutException as error:
        raise SourceUnavailable(f"{shown} did not answer within {_TIMEOUT:g} s", "look at the server's load") from error
    except httpx.TransportError as error:
        raise _Passing(SourceUnavailable(f"nothing answers at {shown}: {error}",
                                         "is the server running, and is the port right?")) from error
    if response.status_code >= 500:
        raise _Passing(SourceUnavailable(f"{shown} failed with {response.status_code}", "look at the server's log"))
    if response.status_code != 200:
        raise SourceUnavailable(f"{shown} answered {response.status_code}", "give the address of the page itself, "
                                "such as http://host:port/metrics")
    return bytes(body)


def _bare(address: str) -> str:
    """An address as it may be shown: without userinfo and query."""
    import httpx  # noqa: PLC0415  (a lazy start: a file needs no web client)

    try:
        return str(httpx.URL(address).copy_with(username=None, password=None, query=None, fragment=None))
    except httpx.InvalidURL:
        return "an address that cannot be read"
