"""The probe of an edge: asks a dependency as a client of its own and says how it went.

It knows nothing of proxies. It answers each line of JSON with one, so that it can be counted among the workload's own
processes before a rule that leads those elsewhere is made: then what it sees is what the workload sees.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_MOST = 1 << 20


def main() -> int:
    """Answer until standard input ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(requests(json.loads(line))) + "\n")
        sys.stdout.flush()
    return 0


def requests(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """`count` requests, each on a connection of its own.

    Args:
        asked: host, port, path, count, at_once, seconds (of patience for each), padding (bytes of a header).
    Returns:
        for each: `how` (answered, refused, reset, silent, closed), `took` seconds to its end, `status`, `body` (hex).
    """
    with ThreadPoolExecutor(asked["at_once"]) as pool:
        return list(pool.map(lambda _: _request(asked), range(asked["count"])))


def _request(asked: dict[str, Any]) -> dict[str, Any]:
    padding = f"X-Padding: {'x' * asked['padding']}\r\n" if asked.get("padding") else ""
    head = (f"GET {asked['path']} HTTP/1.1\r\nHost: {asked['host']}:{asked['port']}\r\nAccept: */*\r\n{padding}"
            "Connection: close\r\n\r\n")
    began = time.perf_counter()
    found = b""
    how = "answered"
    one = socket.socket(socket.AF_INET6 if ":" in asked["host"] else socket.AF_INET)
    one.settimeout(asked["seconds"])
    try:
        one.connect((asked["host"], asked["port"]))
        one.sendall(head.encode())
        while not _complete(found):
            one.settimeout(max(0.001, began + asked["seconds"] - time.perf_counter()))
            data = one.recv(1 << 16)
            if not data:
                break
            found += data
        if not found:
            how = "closed"
    except TimeoutError:
        how = "silent"
    except ConnectionRefusedError:
        how = "refused"
    except OSError:
        how = "reset"
    took = time.perf_counter() - began
    one.close()
    status, body = _parts(found)
    return {"how": how, "took": took, "status": status, "body": body.hex()}


def _complete(found: bytes) -> bool:
    """Whether an answer that says its length is there as a whole."""
    head, split, body = found.partition(b"\r\n\r\n")
    if len(found) > _MOST:
        return True
    for line in head.lower().split(b"\r\n") if split else []:
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return False


def _parts(found: bytes) -> tuple[int, bytes]:
    head, _, body = found.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    status = int(words[1]) if words[0].startswith(b"HTTP/") and len(words) > 1 and words[1].isdigit() else 0
    return status, body


if __name__ == "__main__":
    sys.exit(main())
