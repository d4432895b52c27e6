"""The facts of a run as a chain: each is sealed over what it says and the seal before it. Pure.

Who edits a fact, takes one away or puts one between breaks every seal from there on. Who also makes all later seals
anew leaves another last seal: compared with one that was kept elsewhere, it shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Data, Fact, NewFact

START = "0" * 32
"""The seal before the first fact."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened in a run, before it has its place in the chain."""

    kind: str
    at: datetime
    data: Mapping[str, Any]
    actor: str = "system"


@dataclass(frozen=True, slots=True)
class Broken:
    """A fact that does not stand where the chain says; `seq` is its place in the journal, 0 for one that is missing."""

    run: str
    number: int
    seq: int
    why: str


def key_of(run: str, number: int) -> str:
    """The key of the number-th fact of a run: of two who append at once, one is refused."""
    return f"runbook:{run}:{number}"


def linked(run: str, entries: Iterable[Entry], number: int, before: str) -> list[NewFact]:
    """The entries as facts that follow the number-th fact, whose seal is `before`."""
    out = []
    for place, entry in enumerate(entries, number):
        data = {**entry.data, "n": place}
        before = seal(run, entry.kind, entry.at, entry.actor, data, before)
        out.append(NewFact(entry.kind, run, entry.at, {**data, "seal": before}, key_of(run, place), entry.actor))
    return out


def seal(run: str, kind: str, at: datetime, actor: str, data: Data, before: str) -> str:
    """32 hex digits over what a fact says and the seal before it."""
    said = {name: value for name, value in data.items() if name != "seal"}
    text = json.dumps([run, kind, at.isoformat(), actor, said, before], sort_keys=True, separators=(",", ":"),
                      ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def broken(run: str, facts: Iterable[Fact]) -> tuple[Broken, ...]:
    """What does not hold in the facts of a run, each once; empty when every seal holds."""
    before, number, out = START, 0, []
    for fact in facts:
        found, written = fact.data.get("n"), str(fact.data.get("seal", ""))
        if found != number or fact.key != key_of(run, number):
            out.append(Broken(run, number, fact.seq, f"fact {number} is missing, or not in its place"))
            number = found if isinstance(found, int) else number
        elif written != seal(run, fact.kind, fact.at, fact.actor, fact.data, before):
            out.append(Broken(run, number, fact.seq, f"fact {number} ({fact.kind}) does not say what it said"))
        # Compared with the seal as written, so that one edited fact is one finding.
        before, number = written, number + 1
    return tuple(out)
