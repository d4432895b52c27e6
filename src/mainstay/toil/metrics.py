"""Hours of work as a counter in the Prometheus text format. Standard library only."""

from __future__ import annotations

from collections.abc import Callable

from mainstay.toil.tally import Tally

HOURS = "work_hours_total"
HIDDEN = "everyone"
"""The engineer of every sample where people are not named."""


def metrics_text(tally: Tally, named: Callable[[str], bool]) -> str:
    """The hours logged so far, by type, category, engineer and whether they could be automated.

    Args:
        tally: of everything ever logged, so that the counter never falls.
        named: whether a person's own figures may be seen by whoever reads this.
    """
    sums: dict[tuple[str, str, str, bool], float] = {}
    for cell, amount in tally.cells.items():
        key = (cell.type, cell.category, cell.engineer if named(cell.engineer) else HIDDEN, cell.automatable)
        sums[key] = sums.get(key, 0.0) + amount.hours
    if not sums:
        return ""
    out = [f"# HELP {HOURS} Hours of work logged, by type, category, who did it, and whether it could be automated.",
           f"# TYPE {HOURS} counter"]
    out += [f'{HOURS}{{type="{kind}",category="{_escaped(category)}",engineer="{_escaped(engineer)}",'
            f'automatable="{str(automatable).lower()}"}} {hours!r}'
            for (kind, category, engineer, automatable), hours in sorted(sums.items())]
    return "\n".join(out) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
