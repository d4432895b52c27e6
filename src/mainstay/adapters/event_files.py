"""The files behind a FileSet, made safe to read: named, unpacked, checked, and mended where their bytes are awkward.

DuckDB reads plain files at the speed of the disk, but guesses by name, expands `*` and `[` in names, does not check
the sum of a gzip file and stops (or, when told to go on, loses lines) at bytes that are not UTF-8. So nothing of the
user's reaches it directly: every file gets a plain name in a folder of our own, a packed one is unpacked and checked
there, and one that DuckDB cannot read line by line is copied there with the awkward bytes replaced.
"""

from __future__ import annotations

import csv
import glob
import gzip
import shutil
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from mainstay.kernel.errors import InvalidInput

LONGEST_LINE = 2_000_000
"""Bytes in a line; longer ones are cut and thereby rejected. DuckDB's own limit (`max_line_size`)."""
DELIMITER = "\x01\x02\x03"
"""What DuckDB is told separates columns when it reads whole lines; replaced where a line holds it."""

_HEAD = 1 << 18
_GZIP = b"\x1f\x8b"
_OTHER_PACKERS = {b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"PK\x03\x04": "zip",
                  b"\x04\x22\x4d\x18": "lz4"}
# A quoted field of a CSV may hold line ends; a stray quote would swallow the rest of the file.
_LONGEST_RECORD_LINES = 50


class Opened:
    """Plain files with safe names, in the order they were asked for.

    Args:
        names: what the user calls each, for messages.
        files: where each can be read.
        folder: where more files may be written; whoever made it removes it.
    """

    def __init__(self, names: Sequence[str], files: Sequence[Path], folder: Path) -> None:
        self.names = tuple(names)
        self.files = tuple(files)
        self.folder = folder

    def head(self) -> bytes:
        """The first bytes of the first file that has any."""
        for file in self.files:
            with file.open("rb") as stream:
                if head := stream.read(_HEAD):
                    return head
        return b""

    def replaced(self, files: Sequence[Path]) -> Opened:
        """The same names over other files."""
        return Opened(self.names, files, self.folder)


def opened(paths: Sequence[str], folder: Path) -> Opened:
    """Every file that the paths mean, each once, ready to be read from `folder`.

    Args:
        paths: files, globs, or `-` for standard input.
        folder: an empty folder of our own; unpacked copies go there, so it needs room for them.
    Raises:
        InvalidInput: a path that is not there, is a folder, cannot be read, or is packed in a damaged or unknown way.
    """
    names = named(paths)
    files: list[Path] = []
    for name in names:
        files.append(folder / f"input-{len(files):05}")
        _place(name, files[-1])
    return Opened(["standard input" if name == "-" else name for name in names], files, folder)


def named(paths: Sequence[str]) -> list[str]:
    """Every file that the paths mean, each once, and `-` as often as it was said.

    Raises:
        InvalidInput: no file is meant, or a path is not there or a folder.
    """
    names: list[str] = []
    seen: set[Path] = set()
    for name in (found for path in paths for found in _expanded(path)):
        if name != "-":
            _refuse_unreadable(Path(name))
            real = Path(name).resolve()
            if real in seen:
                continue
            seen.add(real)
        names.append(name)
    if not names:
        raise InvalidInput("no file was named", "name one or more files, or - for standard input")
    return names


def _expanded(path: str) -> list[str]:
    if path == "-" or Path(path).exists() or not glob.has_magic(path):
        return [path]
    found = sorted(name for name in glob.glob(path, recursive=True) if not Path(name).is_dir())
    if not found:
        raise InvalidInput(f"no file matches {path}", "check the pattern; quote it so that the shell leaves it alone")
    return found


def _place(name: str, target: Path) -> None:
    if name == "-":
        with target.open("wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out, 1 << 20)
        source = target
    else:
        source = Path(name)
    try:
        if not source.is_file():
            # A pipe can be read once only (`slo try <(zcat x.gz)`).
            with source.open("rb") as pipe, target.open("wb") as out:
                shutil.copyfileobj(pipe, out, 1 << 20)
            source = target
        with source.open("rb") as stream:
            magic = stream.read(8)
    except OSError as error:
        raise InvalidInput(f"{name} cannot be read: {error.strerror}", "check its permissions") from error
    if is_gzip(name, magic):
        _unpack(name, source, target)
        return
    if source != target:
        target.symlink_to(source.resolve())


def is_gzip(name: str, magic: bytes) -> bool:
    """Whether the file that begins so is packed with gzip, the one packer that is read.

    Raises:
        InvalidInput: it is packed with another.
    """
    for mark, packer in _OTHER_PACKERS.items():
        if magic.startswith(mark):
            raise InvalidInput(f"{name} is packed with {packer}, which is not read here",
                               "unpack it and pipe it in, with - as the file")
    return magic.startswith(_GZIP)


def _refuse_unreadable(path: Path) -> None:
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
    if is_folder:
        raise InvalidInput(f"{path} is a folder", f'name the files in it, such as "{path}/*.log"')
    if not exists:
        raise InvalidInput(f"there is no file {path}", "check the path")


def _unpack(name: str, source: Path, target: Path) -> None:
    plain = target.with_suffix(".plain")
    try:
        with gzip.open(source, "rb") as packed, plain.open("wb") as out:
            shutil.copyfileobj(packed, out, 1 << 20)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        plain.unlink(missing_ok=True)
        raise InvalidInput(f"{name} is a damaged gzip file: {error}",
                           "copy it again from where it came; what is readable can be piped in: "
                           f"zcat {name} | … -") from error
    except OSError as error:
        plain.unlink(missing_ok=True)
        raise InvalidInput(f"{name} could not be unpacked: {error.strerror}",
                           "set TMPDIR to a folder with room for the unpacked file") from error
    plain.replace(target)


# -- lines that DuckDB cannot read as they are --------------------------------------------------------------------

_REPLACED = str.maketrans(dict.fromkeys("\r" + DELIMITER, "\ufffd"))


def lines_mended(source: Path, target: Path) -> None:
    """`target` has the same lines, every one of them readable.

    Bytes that are not UTF-8, carriage returns inside a line and our delimiter become U+FFFD; a line end of CR LF
    becomes LF; a line longer than LONGEST_LINE is cut and ends in U+FFFD, which no format accepts.
    """
    with source.open("rb") as stream, target.open("wb") as out:
        for piece, cut in _pieces(stream):
            text = piece.decode("utf-8", "replace").translate(_REPLACED)
            line = text.encode()
            if cut or len(line) > LONGEST_LINE:
                line = line[:1000].decode("utf-8", "ignore").encode() + "\ufffd".encode()
            out.write(line + b"\n")


def _pieces(stream: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    while piece := stream.readline(LONGEST_LINE):
        cut = False
        if not piece.endswith(b"\n") and len(piece) == LONGEST_LINE:
            while rest := stream.readline(LONGEST_LINE):
                cut = True
                if rest.endswith(b"\n"):
                    break
        yield piece.removesuffix(b"\n").removesuffix(b"\r"), cut


def table_header(file: Path, delimiter: str) -> tuple[str, ...]:
    """The column names of a CSV; unnamed columns are numbered, repeated names get `_2`, `_3` …

    Raises:
        InvalidInput: the first row is not one.
    """
    with file.open("rb") as stream:
        first = next((text for text in _texts(stream) if text), "")
    row = _fields([first], delimiter)
    if row is None:
        raise InvalidInput("the first row of the table is not a row of column names", "mend its quotes")
    names: list[str] = []
    for index, cell in enumerate(row):
        wanted = cell.strip() or f"column {index + 1}"
        name, copy = wanted, 2
        while name in names:
            name, copy = f"{wanted}_{copy}", copy + 1
        names.append(name)
    return tuple(names)


def table_mended(source: Path, target: Path, columns: int, delimiter: str) -> None:
    """`target` is a CSV with the same rows in the same order and two columns more: why a row is none, and its text.

    A row is rejected when it has another number of fields than `columns` or its quotes do not close within fifty lines.
    """
    with source.open("rb") as stream, target.open("w", encoding="utf-8", newline="") as out:
        write = csv.writer(out, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow
        rows = _records(_texts(stream), columns, delimiter)
        next(rows, None)
        write([""] * (columns + 2))
        for fields, text in rows:
            if fields is None:
                write([""] * columns + ["not a row of this table", text])
            else:
                write([*fields, "", ""])


def _texts(stream: BinaryIO) -> Iterator[str]:
    for index, (piece, cut) in enumerate(_pieces(stream)):
        text = piece.decode("utf-8", "replace").replace("\r", "\ufffd")
        if index == 0:
            text = text.removeprefix("\ufeff")
        # An open quote at its end keeps a line that was cut from passing for a row.
        yield text[:1000] + '"' if cut else text


def _records(texts: Iterable[str], columns: int, delimiter: str) -> Iterator[tuple[list[str] | None, str]]:
    source = iter(texts)
    waiting: list[str] = []
    while True:
        if not waiting:
            text = next(source, None)
            if text is None:
                return
            waiting.append(text)
        if not waiting[0]:
            waiting.pop(0)
            continue
        taken, fields = 1, _fields(waiting[:1], delimiter)
        while fields is None and waiting[0].count('"') and taken < _LONGEST_RECORD_LINES:
            if taken == len(waiting):
                text = next(source, None)
                if text is None:
                    break
                waiting.append(text)
            taken += 1
            fields = _fields(waiting[:taken], delimiter)
        if fields is not None and len(fields) == columns + 1 and not fields[-1]:
            fields.pop()
        if fields is None or len(fields) != columns:
            yield None, waiting.pop(0)
            continue
        yield fields, "\n".join(waiting[:taken])
        del waiting[:taken]


def _fields(lines: Sequence[str], delimiter: str) -> list[str] | None:
    try:
        rows = list(csv.reader(["\n".join(lines)], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None
