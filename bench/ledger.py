"""The ledger behind a report: 1,000 objectives × 90 days of sums, and the last four days slot by slot.

The rival is the plain way to keep a day: both columns as raw float64, compressed by zlib at level 1.
Run: python bench/ledger.py [keys]
"""

from __future__ import annotations

import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from mainstay.adapters.clock import SystemClock
from mainstay.adapters.store import open_store
from mainstay.adapters.store_ledger import SLOTS, pack, unpack
from mainstay.kernel.quantity import SLOT, Span
from mainstay.kernel.series import Series

GOAL = 0.7
DAYS = 90
START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=DAYS)


def synthetic(seed: int) -> Series:
    """A service's 90 days: a daily wave of requests, some errors, every 500th slot not measured."""
    chance = np.random.default_rng(seed)
    slots = np.arange(DAYS * SLOTS)
    total = chance.poisson(2_000 + 1_500 * np.sin(slots * 2 * np.pi / SLOTS)).astype(np.float64)
    bad = chance.binomial(total.astype(np.int64), 0.0005).astype(np.float64)
    known = slots % 500 != 7
    return Series(int(START.timestamp()), SLOT, np.where(known, bad, 0), np.where(known, total, 0), known)


def best(work: object, times: int = 3) -> float:
    found = []
    for _ in range(times):
        before = time.perf_counter()
        work()  # type: ignore[operator]
        found.append(time.perf_counter() - before)
    return min(found)


def compare_packings(series: Series) -> None:
    shape = (-1, SLOTS)
    bad, total, known = series.bad.reshape(shape), series.total.reshape(shape), series.known.reshape(shape)
    many = 40
    packed = pack(bad, total, known) * many
    squeezed = [zlib.compress(b.tobytes() + t.tobytes() + np.packbits(k).tobytes(), 1)
                for b, t, k in zip(bad, total, known, strict=True)] * many

    def unsqueeze(contents: Sequence[bytes]) -> None:
        for content in contents:
            raw = zlib.decompress(content)
            np.frombuffer(raw, np.float64, 2 * SLOTS)
            np.unpackbits(np.frombuffer(raw, np.uint8, offset=16 * SLOTS))

    ours, theirs = best(lambda: unpack(packed)), best(lambda: unsqueeze(squeezed))
    size, other = (sum(map(len, contents)) / len(contents) for contents in (packed, squeezed))
    print(f"a day packed {size:,.0f} B, read in {ours / len(packed) * 1e6:.1f} µs; zlib-1 {other:,.0f} B in "
          f"{theirs / len(squeezed) * 1e6:.1f} µs: {theirs / ours:.1f}× faster to read")


def main() -> None:
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    compare_packings(synthetic(0))
    kinds = [synthetic(seed) for seed in range(10)]
    names = [f"slo/{i % 40}/objective-{i}/availability" for i in range(keys)]
    with tempfile.TemporaryDirectory() as folder, open_store(f"sqlite:///{folder}/store.db", SystemClock()) as store:
        before = time.perf_counter()
        for start in range(0, keys, 100):  # as a back-fill does: some keys at a time, so that facts get their turn
            store.ledger.write({name: kinds[i % 10] for i, name in enumerate(names[start:start + 100])}, END)
        wrote = time.perf_counter() - before
        size = Path(folder, "store.db").stat().st_size + Path(folder, "store.db-wal").stat().st_size
        print(f"write {keys:,} keys × {DAYS} days: {wrote:.1f} s, "
              f"{keys * DAYS / wrote:,.0f} days/s, {size / 1e6:.0f} MB")
        sums = best(lambda: store.ledger.day_sums(names, Span(START, END)))
        recent = best(lambda: store.ledger.read(names, Span(END - timedelta(days=4), END)))
        year = best(lambda: store.ledger.read(names[:1], Span(START, END)))
        extent = best(lambda: store.ledger.extent(names))
        refreshed = {name: kinds[(i + 1) % 10].cut(int(END.timestamp()) - 3600, int(END.timestamp()))
                     for i, name in enumerate(names)}
        refresh = best(lambda: store.ledger.write(refreshed, END), 1)
    print(f"day sums {sums:.3f} s, four days of slots {recent:.3f} s, extents {extent:.3f} s; "
          f"one key's 90 days of slots {year * 1e3:.1f} ms; an hour anew for all keys {refresh:.2f} s")
    print(f"goal {GOAL} s for sums and slots of 1,000 keys: {sums + recent:.3f} s, "
          f"{'reached' if sums + recent <= GOAL else 'MISSED'}")


if __name__ == "__main__":
    main()
