"""Simulated history: what the shop would have counted in the weeks before it was started.

Windows of 30 days are empty on the first day, so a demonstration needs a past. It is made up, and says so in the
first column of every row; `README.md` explains the columns. What one service passes to another is counted on both
sides: the api answers as many requests as web was asked, and no answer is bad there that is good at web.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from shop.run_folder import rfc3339

SLOT = timedelta(minutes=5)
COLUMNS = ("simulated", "time", "service", "route", "code", "total", "bad", "slow")

_WEEKDAYS = (0.95, 0.95, 1.0, 1.0, 1.1, 1.05, 0.95)  # Monday to Sunday, as shares of an average day
_SWING = 0.6  # the quietest hour, 03:00 UTC, has 1 - 0.6 of the average and the busiest, 15:00, has 1 + 0.6


class Errand(NamedTuple):
    """A request that web passes to the api: its two routes, requests per second, and its slow share without trouble."""

    web: str
    api: str
    rate: float
    slow: float


_PASSED_ON = (
    Errand("/", "/products", 6.3, 0.002),
    Errand("/products/{id}", "/products/{id}", 7.9, 0.001),
    Errand("/login", "/sessions", 1.9, 0.004),
    Errand("/cart", "/cart", 1.9, 0.006),
    Errand("/checkout", "/orders", 1.0, 0.010),
    Errand("/orders/{id}", "/orders/{id}", 1.0, 0.003),
)
_READS = frozenset({"/products", "/products/{id}", "/orders/{id}"})  # routes of the api that ask the cache
_WITH_AUTH = frozenset({"/sessions", "/cart", "/orders", "/orders/{id}"})
_ALL = frozenset(path.api for path in _PASSED_ON)
_MISSES = 0.03  # the share of reads that the cache does not have
_BAD = 0.00015  # the share of requests that fail at the api, and half as many again at web, without any trouble


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that happened, and what it did to requests that pass the api while it lasted.

    `bad` and `slow` are shares of the requests to the routes named. A `silent` service answered nothing, and so has
    no rows for that time: no data, which is not the same as no errors.
    """

    kind: str
    subject: str
    minutes: int
    text: str
    routes: frozenset[str] = frozenset()
    code: int = 500
    bad: float = 0.0
    slow: float = 0.0
    at_web: bool = False  # it happened in web, and the api saw nothing of it
    silent: bool = False


_TROUBLES = (
    Trouble("deployment", "web", 5, "v1.6.0: rolled out without trouble"),
    Trouble("incident", "cache", 45, "the cache was out of memory and killed; reads went to orders",
            _READS, 503, bad=0.003, slow=0.05, silent=True),
    Trouble("deployment", "orders", 5, "v1.2.0: rolled out without trouble"),
    Trouble("deployment", "api", 40, "v1.4.0: a bad query plan broke every fourth request; rolled back",
            _ALL, 500, bad=0.25, slow=0.05),
    Trouble("incident", "orders", 120, "a slow disk under the database of orders", _ALL, 503, bad=0.04, slow=0.35),
    Trouble("deployment", "auth", 5, "v1.1.0: rolled out without trouble"),
    Trouble("incident", "auth", 14, "an expired certificate stopped auth; nobody could log in or pay",
            _WITH_AUTH, 503, bad=1.0, silent=True),
    Trouble("deployment", "web", 180, "v1.7.0: pictures that were not compressed made pages slow; rolled back",
            _ALL, 500, bad=0.005, slow=0.40, at_web=True),
    Trouble("incident", "network", 90, "a failing switch lost packets between web and the api",
            _ALL, 504, bad=0.03, slow=0.10, at_web=True),
)


class Happening(NamedTuple):
    """A trouble with its place in time, [start, end)."""

    start: datetime
    end: datetime
    trouble: Trouble

    def share_of(self, slot: datetime) -> float:
        """How much of the slot it covers, 0..1."""
        covered = min(self.end, slot + SLOT) - max(self.start, slot)
        return max(0.0, covered / SLOT)


class Count(NamedTuple):
    """Requests to one route in one slot: bad ones by code, and the good ones that took over 300 ms."""

    total: int
    bad: dict[int, int]
    slow: int


def write_history(folder: Path, *, days: int, end: datetime, seed: int) -> int:
    """Write one CSV file per service and `facts.jsonl`, for the days before `end`; the number of rows.

    The same days, end and seed give the same bytes. `end` is rounded down to a whole slot.

    Raises:
        ValueError: days are not 1..400.
    """
    if not 1 <= days <= 400:
        raise ValueError("days have to be 1 to 400")
    end = end.astimezone(UTC)
    end = end.replace(minute=end.minute // 5 * 5, second=0, microsecond=0)
    start = end - timedelta(days=days)
    chance = random.Random(f"history {seed}")
    happenings = _place(start, end, chance)
    lines: dict[str, list[str]] = {service: [] for service in ("web", "api", "auth", "cache", "orders")}
    slot = start
    while slot < end:
        now = [(happening.trouble, share) for happening in happenings if (share := happening.share_of(slot))]
        time = rfc3339(slot)
        for service, counts in _one_slot(slot, now, chance).items():
            rows = lines[service]
            for route, count in counts.items():
                rows.extend(f"true,{time},{service},{route},{tail}" for tail in _tails(count))
        slot += SLOT
    folder.mkdir(parents=True, exist_ok=True)
    for service, rows in lines.items():
        _replace(folder / f"{service}.csv", [",".join(COLUMNS), *rows])
    _replace(folder / "facts.jsonl", [json.dumps(_fact(happening)) for happening in happenings])
    return sum(map(len, lines.values()))


def _place(start: datetime, end: datetime, chance: random.Random) -> list[Happening]:
    """Each trouble somewhere in its own equal part of the time, so that no two overlap."""
    part = (end - start) / len(_TROUBLES)
    happenings = []
    for number, trouble in enumerate(_TROUBLES):
        lasts = timedelta(minutes=min(trouble.minutes, part // timedelta(minutes=1)))
        free = (part - lasts) // timedelta(minutes=1)
        began = start + number * part + timedelta(minutes=chance.randint(0, free))
        began = began.replace(second=0, microsecond=0)
        happenings.append(Happening(began, began + lasts, trouble))
    return happenings


def _one_slot(
    slot: datetime, now: Sequence[tuple[Trouble, float]], chance: random.Random
) -> dict[str, dict[str, Count]]:
    """Everything the five services counted in one slot."""
    busy = _busyness(slot) * SLOT.total_seconds()
    web, api = dict[str, Count](), dict[str, Count]()
    for path in _PASSED_ON:
        total = _draw(chance, path.rate * busy)
        inner = [pair for pair in now if path.api in pair[0].routes and not pair[0].at_web]
        outer = [pair for pair in now if path.api in pair[0].routes and pair[0].at_web]
        api[path.api] = _spoil(Count(total, {}, 0), _BAD, path.slow, inner, chance)
        web[path.web] = _spoil(api[path.api], _BAD / 2, path.slow / 10, outer, chance)
    return {"web": web, "api": api, **_behind(api, now, chance)}


def _spoil(
    count: Count, bad: float, slow: float, troubles: Sequence[tuple[Trouble, float]], chance: random.Random
) -> Count:
    """The count with some of its good requests made bad, and some of the rest made slow."""
    codes, good = dict(count.bad), count.total - sum(count.bad.values())
    for code, share in ((500, bad), *((trouble.code, trouble.bad * part) for trouble, part in troubles)):
        spoilt = good if share >= 1 else min(good, _draw(chance, good * share))
        if spoilt:
            codes[code] = codes.get(code, 0) + spoilt
            good -= spoilt
    slow += sum(trouble.slow * part for trouble, part in troubles)
    return Count(count.total, codes, min(good, count.slow + _draw(chance, good * slow)))


def _behind(
    api: dict[str, Count], now: Sequence[tuple[Trouble, float]], chance: random.Random
) -> dict[str, dict[str, Count]]:
    """What the services behind the api counted, from what the api asked of them."""
    asked = {route: count.total for route, count in api.items()}
    reads = sum(asked[route] for route in _READS)
    down = {trouble.subject: share for trouble, share in now if trouble.silent}
    # Of a service that was down for a part of the slot, the rest of the slot is counted.
    up = {service: 1.0 - down.get(service, 0.0) for service in ("auth", "cache")}
    missed = {route: round(asked[route] * (_MISSES + (1 - _MISSES) * (1 - up["cache"]))) for route in sorted(_READS)}
    sessions = asked["/cart"] + asked["/orders"] + asked["/orders/{id}"]
    totals: dict[str, dict[str, float]] = {
        "auth": {"/sessions": asked["/sessions"] * up["auth"], "/sessions/current": sessions * up["auth"]},
        "cache": {"/entries/{key}": (reads + sum(missed.values()) + asked["/orders"]) * up["cache"]},
        "orders": {"/products": missed["/products"], "/products/{id}": missed["/products/{id}"],
                   "/carts/{user}": asked["/cart"], "/orders": asked["/orders"],
                   "/orders/{id}": missed["/orders/{id}"]},
    }
    slow_disk = [pair for pair in now if pair[0].kind == "incident" and pair[0].subject == "orders"]
    counts: dict[str, dict[str, Count]] = {}
    for service, routes in totals.items():
        troubles = slow_disk if service == "orders" else ()
        counts[service] = {
            route: _spoil(Count(round(total), {}, 0), _BAD / 3, 0.0005, troubles, chance)
            for route, total in routes.items()
        }
    return counts


def _busyness(slot: datetime) -> float:
    """The load at a time, as a share of the average."""
    hour = slot.hour + slot.minute / 60
    return _WEEKDAYS[slot.weekday()] * (1 - _SWING * math.cos(2 * math.pi * (hour - 3) / 24))


def _draw(chance: random.Random, mean: float) -> int:
    """A number of independent events: Poisson, and from 30 up its normal approximation, which is quicker."""
    if mean <= 0:
        return 0
    if mean >= 30:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    point, number = chance.random(), 0
    probability = reached = math.exp(-mean)
    while point > reached and probability > 1e-18:
        number += 1
        probability *= mean / number
        reached += probability
    return number


def _tails(count: Count) -> Iterator[str]:
    """`code,total,bad,slow` for every code that occurred."""
    good = count.total - sum(count.bad.values())
    if good:
        yield f"200,{good},0,{count.slow}"
    for code, bad in sorted(count.bad.items()):
        yield f"{code},{bad},{bad},0"


def _fact(happening: Happening) -> dict[str, object]:
    start, end, trouble = happening
    return {"simulated": True, "kind": trouble.kind, "subject": trouble.subject,
            "from": rfc3339(start), "to": rfc3339(end), "text": trouble.text}


def _replace(file: Path, lines: Sequence[str]) -> None:
    """Put the file in place whole."""
    draft = file.with_name(f".{file.name}")
    draft.write_text("\n".join(lines) + "\n")
    draft.replace(file)
