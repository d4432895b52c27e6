"""Answers to questions for names that say there is no such name, or that the server failed (RFC 1035)."""

from __future__ import annotations

import struct

CODES = {"NXDOMAIN": 3, "SERVFAIL": 2}


def answer(question: bytes, error: str) -> bytes:
    """The answer to a question, with that error; empty when it is no question."""
    if len(question) < 12 or question[2] & 0x80:
        return b""
    number, flags, questions = struct.unpack_from(">HHH", question)
    end = 12
    if questions != 1:
        return b""
    while end < len(question) and question[end]:
        end += question[end] + 1
    end += 5  # the empty label, the type, the class
    if end > len(question):
        return b""
    kept = flags & 0x7910  # what was asked for, and what checking the asker wants
    return struct.pack(">HHHHHH", number, 0x8080 | kept | CODES[error], 1, 0, 0, 0) + question[12:end]
