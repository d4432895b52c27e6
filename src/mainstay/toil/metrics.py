"""Hours of work as a counter in the Prometheus text format. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mainstay.toil.tally import Tally

HOURS, WITHDRAWN_HOURS = "work_hours_total", "work_hours_withdrawn_total"
HIDDEN = "everyone"
"""The engineer of every sample where people are not named."""


def metrics_text(kept: Tally, gone: Tally, named: Callable[[str], bool]) -> str:
    """The hours logged so far, by type, category, engineer and whether they could be automated.

    A counter must not fall, or Prometheus takes it for one that began anew. So what was withdrawn stays in it and is
    counted in one of its own: what counts is the difference.

    Args:
        kept: of every row that counts.
        gone: of every row that was withdrawn, or whose ticket took another's place.
        named: whether a person's own figures may be seen by whoever reads this.
    """
    withdrawn = _sums(gone, named)
    logged = _sums(kept, named)
    for key, hours in withdrawn.items():
        logged[key] = logged.get(key, 0.0) + hours
    return (_family(HOURS, "Hours of work logged, by type, category, who did it, and whether it could be automated.",
                    logged)
            + _family(WITHDRAWN_HOURS, f"Hours in {HOURS} that were taken back or written anew.", withdrawn))


_Labels = tuple[str, str, str, bool]


def _sums(tally: Tally, named: Callable[[str], bool]) -> dict[_Labels, float]:
    sums: dict[_Labels, float] = {}
    for cell, amount in tally.cells.items():
        key = (cell.type, cell.category, cell.engineer if named(cell.engineer) else HIDDEN, cell.automatable)
        sums[key] = sums.get(key, 0.0) + amount.hours
    return sums


def _family(name: str, help_: str, sums: Mapping[_Labels, float]) -> str:
    if not sums:
        return ""
    out = [f"# HELP {name} {help_}", f"# TYPE {name} counter"]
    out += [f'{name}{{type="{kind}",category="{_escaped(category)}",engineer="{_escaped(engineer)}",'
            f'automatable="{str(automatable).lower()}"}} {hours!r}'
            for (kind, category, engineer, automatable), hours in sorted(sums.items())]
    return "\n".join(out) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
