"""Bytes that are not the HTTP this shop understands cost their sender an error, and nobody else anything."""

from __future__ import annotations

import socket

import pytest

from running_shop import RunningShop


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"hello\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET http://elsewhere/ HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET /a\nb HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 40_000, b"HTTP/1.1 431"),
        (b"POST /cart HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n", b"HTTP/1.1 413"),
        (b"POST /cart HTTP/1.1\r\ncontent-length: -1\r\n\r\n", b"HTTP/1.1 400"),
        (b"POST /cart HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", b"HTTP/1.1 501"),
        (b"\x16\x03\x01\x02\x00\x01", b"HTTP/1.1 400"),
    ],
)
def test_nonsense_is_refused_and_the_service_lives_on(calm_shop: RunningShop, sent: bytes, answered: bytes) -> None:
    with socket.create_connection(("127.0.0.1", calm_shop.record("web")["port"]), timeout=5) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000).startswith(answered)
    assert calm_shop.ask("GET", "/").status == 200


def test_who_leaves_without_a_word_is_forgotten(calm_shop: RunningShop) -> None:
    socket.create_connection(("127.0.0.1", calm_shop.record("web")["port"])).close()
    assert calm_shop.ask("GET", "/").status == 200
    assert (calm_shop.folder / "logs" / "web.out").read_text() == ""
