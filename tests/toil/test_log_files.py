"""A log's text a piece at a time: plain, packed, with a byte order mark; what is no text says so."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import command
from mainstay.adapters.texts import read_pieces
from mainstay.kernel.errors import InvalidInput

LINE = '{"date": "2026-11-26", "duration_hours": 0.5, "type": "toil", "description": "Deploy – übung"}\n'
LONG = LINE * 4000


@pytest.mark.parametrize("data", [LONG.encode(), b"\xef\xbb\xbf" + LONG.encode(), gzip.compress(LONG.encode())],
                         ids=["plain", "marked", "packed"])
def test_the_pieces_are_the_text(tmp_path: Path, data: bytes):
    (tmp_path / "log").write_bytes(data)
    assert "".join(read_pieces(str(tmp_path / "log"))) == LONG


@pytest.mark.parametrize(("data", "said"), [
    (LONG.encode() + b"\xff\xfe", "is not UTF-8 text"), (LONG.encode()[:-90] + b"\xc3", "is not UTF-8 text"),
    (gzip.compress(LONG.encode())[:-20], "ends too early"), (b"\x1f\x8b" + b"x" * 50, "damaged")])
def test_what_is_no_text_says_so(tmp_path: Path, data: bytes, said: str):
    (tmp_path / "log").write_bytes(data)
    with pytest.raises(InvalidInput, match=said):
        list(read_pieces(str(tmp_path / "log")))


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_folder_or_nothing_is_refused(tmp_path: Path, name: str):
    with pytest.raises(InvalidInput, match="cannot be read"):
        list(read_pieces(str(tmp_path / name)))


def test_a_packed_log_and_standard_input_are_reported(tmp_path: Path):
    (tmp_path / "log.gz").write_bytes(gzip.compress(LONG.encode()))
    for words, stdin in ((("--logs", "log.gz"), None), (("--logs", "-"), LONG.encode())):
        told = command.mainstay(tmp_path, "toil", "report", *words, "--as-of", "2026-11-27", "--json", stdin=stdin)
        assert told.json["summary"]["total_toil_hours"] == 2000
