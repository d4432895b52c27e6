"""kill -9 at every boundary of a run: no step is silently done twice, none is lost, and the audit holds.

The matrix is printed with `-s`. CI kills at every few boundaries; MAINSTAY_CRASH=full kills at each of them, once and
twice in a row, on both stores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crash.telling import FULL, Teller, is_sqlite, telling, urls
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.store import open_store
from mainstay.kernel.journal import FactQuery
from mainstay.runbook.chain import broken
from mainstay.runbook.operations.desk import runs_of
from mainstay.runbook.run import KINDS, Run
from runbook.books import T0, steps, world

__all__ = ["urls"]


@pytest.fixture(scope="module")
def teller() -> Iterator[Teller]:
    with telling("runner.py") as process:
        yield process


@dataclass(frozen=True)
class Told:
    """How a story ended: what was really done, what a person was asked, and the runs as the journal has them."""

    done: Counter[str]
    order: list[str]
    asked: list[str]
    runs: dict[str, Run]


def told(teller: Teller, url: str, folder: Path, kills: tuple[int, ...]) -> Told:
    """Tell the story with these kills, one after the other, and to its end."""
    folder.mkdir()
    for times, kill in enumerate([*kills, 0]):
        if teller.tell(folder, url=url, kill=kill, times=times) == 0:
            break
    store = open_store(url, FakeClock())
    facts: dict[str, list[object]] = {}
    for fact in store.journal.facts(FactQuery(kinds=KINDS)):
        facts.setdefault(fact.subject, []).append(fact)
    for name, of_run in facts.items():
        assert broken(name, of_run) == (), "every fact says what it said"  # type: ignore[arg-type]
    runs = dict(runs_of(world(steps("a"), journal=store.journal, clock=FakeClock(T0))).caught_up())
    store.close()
    order = (folder / "done").read_text().splitlines()
    asked = (folder / "asked").read_text().splitlines() if (folder / "asked").exists() else []
    return Told(Counter(order), order, asked, runs)


def check(found: Told, kills: int) -> None:
    """What must hold whatever happened."""
    assert {name: str(run.state) for name, run in found.runs.items()} == {"RB-1": "succeeded", "RB-2": "failed"}
    for name, last in (("RB-1", "works"), ("RB-2", "fails")):
        for step in ("once", "seen", "optional", last):
            assert found.done[f"{name} act {step}"] == 1, f"{step} of {name} is done once"
        assert 1 <= found.done[f"{name} act often"] <= 1 + kills, "what may be done twice is done again once a kill"
        acts = [line.split()[2] for line in dict.fromkeys(found.order) if line.startswith(f"{name} act")]
        assert acts == ["once", "often", "seen", "optional", last], "in their order"
    assert [line for line in found.done if line.startswith("RB-1 back")] == [], "what succeeded is not taken back"
    backs = [line.split()[2] for line in dict.fromkeys(found.order) if line.startswith("RB-2 back")]
    assert backs == [name for name in ("seen", "often", "once") if name in backs], "taken back in reverse"
    for name in ("seen", "once", "often"):
        state, times = found.runs["RB-2"].steps[name].undo, found.done[f"RB-2 back {name}"]
        assert times <= 1 or name == "often", f"{name} is taken back once"
        assert (state == "undone" and times >= 1) or state == "unknown", f"{name} is taken back, or said to be unknown"
    unknown = sum(step.undo == "unknown" for step in found.runs["RB-2"].steps.values())
    assert unknown <= kills
    assert len(found.asked) <= kills, "a person is asked only where a kill made something unknown"


def test_a_kill_at_any_boundary_repeats_no_step_silently_and_loses_none(
        teller: Teller, urls: Iterator[str], tmp_path: Path):
    url = next(urls)
    undisturbed = told(teller, url, tmp_path / "calm", ())
    check(undisturbed, 0)
    boundaries = int((tmp_path / "calm" / "passed").read_text())
    assert boundaries >= 100
    asked = unknown = points = 0
    for kill in range(1, boundaries + 1, 1 if FULL else 7 if is_sqlite(url) else 17):
        found = told(teller, next(urls), tmp_path / f"kill{kill}", (kill,))
        check(found, 1)
        points, asked = points + 1, asked + len(found.asked)
        unknown += sum(step.undo == "unknown" for step in found.runs["RB-2"].steps.values())
    print(f"\n{points} kills over {boundaries} boundaries on {url.partition(':')[0]}: 0 repeated, 0 lost; a person was "
          f"asked {asked} times, {unknown} undos are said to be unknown")


def test_two_kills_in_a_row_do_no_harm_either(teller: Teller, urls: Iterator[str], tmp_path: Path):
    url = next(urls)
    points = 0
    for first in range(3, 120, 2 if FULL else 19 if is_sqlite(url) else 47):
        for second in (1, 4, 9) if FULL else (4,):
            check(told(teller, next(urls), tmp_path / f"kill{first}-{second}", (first, second)), 2)
            points += 1
    print(f"\n{points} pairs of kills on {url.partition(':')[0]}: 0 repeated, 0 lost")
