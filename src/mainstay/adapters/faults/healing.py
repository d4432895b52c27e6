"""Taking out what a record says is in: by the run itself, by a guardian, or at the next start.

Standard library only: guardians load it.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from mainstay.adapters.faults import undo
from mainstay.adapters.faults.restarting import NotStarted
from mainstay.adapters.faults.wal import Record, Step, Wal
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import StoreUnavailable

SECOND_LOOK = 0.2
"""Seconds after which a killed run is healed once more: a program that it had called may have ended only then."""


@dataclass(frozen=True, slots=True)
class Healed:
    """One step that was looked after.

    Args:
        problem: why it is not undone; empty when it is.
    """

    step: Step
    problem: str = ""


def heal(wal: Wal, only: Collection[str] = (), *, again: bool = False) -> list[Healed]:
    """Undo what is open, the last first; one that does not work keeps none of the others back.

    Args:
        only: names of faults; all when empty.
        again: what is undone too: it costs little, and whoever was killed may have acted after it was.
    """
    out: list[Healed] = []
    with wal.alone("undo"):
        record = wal.read()
        for fault in reversed(record.faults()):
            if only and fault.name not in only:
                continue
            for step in list(reversed(fault.steps)) if again else fault.open:
                problem = _undo(wal, record, step)
                said = {"fault": fault.name, "step": step.name}
                # A record that cannot be written, on a full disk say, keeps nothing from being undone.
                if problem:
                    problem = _written(wal, "failed", {**said, "problem": problem}) or problem
                elif step.name not in fault.undone:
                    problem = _written(wal, "undone", said)
                out.append(Healed(step, problem))
    return out


def _written(wal: Wal, kind: str, data: dict[str, str]) -> str:
    try:
        wal.append(kind, data)
    except StoreUnavailable as problem:
        return problem.message
    return ""


def _undo(wal: Wal, record: Record, step: Step) -> str:
    if not record.of_this_boot and step.act not in undo.SURVIVES_THE_BOOT:
        return ""
    try:
        undo.perform(step.act, step.data, wal, step.name)
    except (undo.NotUndone, NotStarted) as problem:
        return f"{problem.message}; {problem.way_out}" if problem.way_out else problem.message
    return ""


def heal_what_was_left(wal: Wal) -> list[Healed]:
    """Everything of a run whose process is gone: undone, looked at once more, and said to be over."""
    record = wal.read()
    if record.ended:
        return []
    # What the run itself took out is out; what it was doing when it was killed may go on for a moment.
    late = [fault.name for fault in record.faults() if fault.open or set(fault.undone.values()) - {"run"}]
    out = heal(wal)
    if late and record.of_this_boot:
        time.sleep(SECOND_LOOK)
        out += [one for one in heal(wal, late, again=True) if one.problem and one not in out]
    with wal.alone("undo"):
        if not wal.read().ended and not any(fault.open for fault in wal.read().faults()):
            wal.append("end", {})
    return out
