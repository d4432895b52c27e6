"""The frames of HTTP/1.1 are found however the bytes are cut, and no byte of them is changed."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.adapters.proxy.garble import garble
from mainstay.adapters.proxy.messages import Framing, Kind

_BODY = st.binary(max_size=300)
_ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\n"])


def chunked(body: bytes, sizes: list[int], trailer: bytes = b"") -> bytes:
    out, at = b"", 0
    for size in sizes:
        piece = body[at:at + size]
        if piece:
            out += b"%x;note=1\r\n" % len(piece) + piece + b"\r\n"
        at += size
    if body[at:]:
        out += b"%X\r\n" % len(body[at:]) + body[at:] + b"\r\n"
    return out + b"0\r\n" + trailer + b"\r\n"


@st.composite
def requests(draw):
    """The bytes of a request, and what it is."""
    method = draw(st.sampled_from(["GET", "POST", "HEAD", "DELETE", "PROPFIND"]))
    end, body, target = draw(_ENDS), draw(_BODY), draw(st.sampled_from(["/", "/a?b=c", "http://x/y", "*"]))
    head = f"{method} {target} HTTP/1.1".encode() + end + b"Host: x" + end
    form = draw(st.sampled_from(["none", "length", "chunked"]))
    if form == "none":
        return head + end, (method, target, b"")
    if form == "length":
        return head + b"content-length: %d" % len(body) + end + end + body, (method, target, body)
    sizes = draw(st.lists(st.integers(1, 50), max_size=5))
    trailer = draw(st.sampled_from([b"", b"x-sum: 1\r\n"]))
    return head + b"Transfer-Encoding: gzip, Chunked" + end + end + chunked(body, sizes, trailer), \
        (method, target, body)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[one:other] for one, other in pairwise(edges)]


def read(framing: Framing, pieces: list[bytes]):
    """What it found: all bytes again, heads with bodies."""
    out, found = b"", []
    for piece in pieces:
        for one in framing.feed(piece):
            out += one.data
            if one.head is not None:
                found.append([one.head, b"", False])
            elif one.kind is Kind.BODY:
                found[-1][1] += one.data
            elif one.kind is Kind.END:
                found[-1][2] = True
    return out + framing.rest(), found


@given(st.lists(requests(), min_size=1, max_size=5), st.lists(st.integers(0, 10_000), max_size=40))
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_pipelined_requests_are_found_however_they_are_cut(messages, places):
    data = b"".join(raw for raw, _ in messages)
    same, found = read(Framing(), cut(data, places))
    assert same == data
    assert [(head.method, head.target, body) for head, body, _ in found] == [one for _, one in messages]
    assert all(whole for _, _, whole in found)


@given(requests())
@settings(deadline=None)
def test_one_byte_at_a_time_is_the_same(message):
    raw, one = message
    same, found = read(Framing(), [raw[at:at + 1] for at in range(len(raw))])
    assert same == raw
    assert [(head.method, head.target, body) for head, body, _ in found] == [one]


@given(st.one_of(st.binary(max_size=400), st.text(alphabet="GETPOS /HTP1.\r\n:abc", max_size=200).map(str.encode)),
       st.lists(st.integers(0, 400), max_size=20), st.booleans())
@settings(deadline=None)
def test_whatever_comes_comes_out_again(data, places, response):
    same, _ = read(Framing((lambda: "GET") if response else None), cut(data, places))
    assert same == data


@pytest.mark.parametrize("start", [
    b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n", b"PING\r\n", b"PING", b"*1\r\n$4\r\nPING\r\n", b"EHLO there\r\n",
    b"get / HTTP/1.1\r\n", b"GET /\r\n", b"GET / HTTP/2", b"SSH-2.0-x\r\n", b"\x00\x00\x00\x08", b"SELECT 1", b"POSE",
    b"\r\x00"])
def test_what_cannot_become_a_request_is_not_held_back(start):
    framing = Framing()
    assert b"".join(piece.data for piece in framing.feed(start)) == start
    assert framing.raw


@pytest.mark.parametrize("start", [b"G", b"GET", b"GET ", b"GET /path", b"GET / HTTP/1.", b"OPTIONS * HTTP/1.1\r",
                                   b"POST /x HTTP/1.1\r\nhost: a\r\n"])
def test_what_may_become_a_request_is_waited_for(start):
    framing = Framing()
    assert list(framing.feed(start)) == []
    assert not framing.raw
    assert framing.rest() == start


@pytest.mark.parametrize("head", [
    b"POST / HTTP/1.1\r\ncontent-length: 5, 6\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", b"POST / HTTP/1.1\r\nno colon\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost : x\r\n\r\n", b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", b"GET /" + b"a" * 70_000])
def test_what_two_readers_could_read_differently_is_given_up_on(head):
    framing = Framing()
    assert b"".join(piece.data for piece in framing.feed(head)) == head
    assert framing.raw


@pytest.mark.parametrize(("method", "head", "body", "whole"), [
    ("GET", b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", b"abc", True),
    ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", b"", True),
    ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n", b"", True),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    ("GET", b"HTTP/1.0 200 OK\r\n\r\n", b"until the end", False),
    ("GET", b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", b"", True),
    ("CONNECT", b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", b"", True)])
def test_which_body_a_response_has_depends_on_its_status_and_its_request(method, head, body, whole):
    same, found = read(Framing(lambda: method), [head + body])
    assert same == head + body
    assert [(one[1], one[2]) for one in found] == [(body, whole)]


def test_early_responses_are_not_the_answer():
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    data += b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    same, found = read(Framing(lambda: "GET"), [data])
    assert same == data
    assert [one[0].status for one in found] == [100, 103, 200]


def test_a_hundred_thousand_chunks_of_one_byte_take_no_long_time():
    data = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n"
    same, found = read_at_once(data)
    assert same == len(data)
    assert found == 100_000


def read_at_once(data: bytes) -> tuple[int, int]:
    size = body = 0
    for piece in Framing().feed(data):
        size += len(piece.data)
        body += len(piece.data) if piece.kind is Kind.BODY else 0
    return size, body


# -- bodies that are wrong ---------------------------------------------------------------------------------------------

_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                     | st.text(max_size=8),
                     lambda inner: st.lists(inner, max_size=4)
                     | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=12)


def types(value):
    if isinstance(value, dict):
        return {key: types(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [types(inner) for inner in value]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


@given(_JSON, st.integers(), st.booleans())
@settings(deadline=None)
def test_invalid_json_is_invalid_and_as_long(value, seed, indented):
    body = json.dumps(value, indent=2 if indented else None, ensure_ascii=indented).encode()
    wrong = garble(body, "invalid", random.Random(seed), json_text=True)
    assert len(wrong) == len(body)
    with pytest.raises(ValueError, match=r"."):
        json.loads(wrong)


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.integers(10, 10**6) | st.text(min_size=1, max_size=9)
                       | st.booleans() | st.none(), min_size=1, max_size=5), st.integers())
@settings(deadline=None)
def test_a_field_of_another_type_leaves_the_json_valid_and_as_long(value, seed):
    body = json.dumps(value).encode()
    wrong = garble(body, "type", random.Random(seed), json_text=True)
    assert len(wrong) == len(body)
    assert types(json.loads(wrong)) != types(value)
    assert json.loads(wrong).keys() == value.keys()


@given(st.binary(min_size=1, max_size=300), st.integers())
@settings(deadline=None)
def test_other_bodies_have_bytes_flipped(body, seed):
    wrong = garble(body, "type", random.Random(seed), json_text=False)
    assert len(wrong) == len(body)
    assert wrong != body


def test_an_empty_body_stays():
    assert garble(b"", "invalid", random.Random(1), json_text=True) == b""
