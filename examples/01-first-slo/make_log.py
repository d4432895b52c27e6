"""Makes `access.log`, a synthetic week of a small web shop: `python make_log.py > access.log`.

Nobody's real requests are in it. On 5 March the cache was lost for twelve minutes and some checkouts failed; on 7 March
a few searches were slow. The same bytes come out on every machine.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

_MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
_REQUESTS_A_DAY = (58, 61, 60, 63, 66, 52, 48)
_ROUTES = (("GET", "/", 0.35), ("GET", "/search?q=tea", 0.25), ("GET", "/product/17", 0.22), ("POST", "/cart", 0.10),
           ("POST", "/checkout", 0.08))
_OUTAGE = (_MONDAY + timedelta(days=3, hours=9), _MONDAY + timedelta(days=3, hours=9, minutes=12))
_SLOW_DAY = 5


def lines() -> list[str]:
    """The log in Apache's combined format with the duration in microseconds (`%D`) at the end, oldest line first."""
    chance = random.Random(17)
    out = [_line(_at(day, chance.random()), _route(chance.random()), chance)
           for day, requests in enumerate(_REQUESTS_A_DAY) for _ in range(requests)]
    # Checkouts of the twelve minutes without a cache: four fail, two succeed slowly.
    start, end = _OUTAGE
    for number in range(6):
        at = start + (end - start) * (number + 0.5) / 6
        failed = number not in (2, 5)
        out.append(_entry(at, "POST", "/checkout", 503 if failed else 200, 5_000_000 if failed else 1_900_000))
    return [text for _, text in sorted(out)] + ['this line was cut off by a full disk: 192.0.2.1 - - [08/Mar']


def _at(day: int, share: float) -> datetime:
    """A moment of a shop's day: hardly anybody before seven."""
    return _MONDAY + timedelta(days=day, seconds=int(25_200 + share * 59_000))


def _route(share: float) -> tuple[str, str]:
    for method, path, weight in _ROUTES:
        share -= weight
        if share < 0:
            return method, path
    return _ROUTES[0][:2]


def _line(at: datetime, route: tuple[str, str], chance: random.Random) -> tuple[datetime, str]:
    method, path = route
    status = 404 if chance.random() < 0.02 else 200
    took = int(30_000 + 90_000 * chance.random() ** 3)
    if path.startswith("/search") and (at - _MONDAY).days == _SLOW_DAY:
        took += 400_000
    return _entry(at, method, path, status, took)


def _entry(at: datetime, method: str, path: str, status: int, microseconds: int) -> tuple[datetime, str]:
    client = f"192.0.2.{1 + int(at.timestamp()) % 250}"  # RFC 5737: addresses for documentation
    return at, (f'{client} - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "{method} {path} HTTP/1.1" {status} 1532 "-" "example" '
                f"{microseconds}")


if __name__ == "__main__":
    print("\n".join(lines()))
