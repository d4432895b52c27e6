"""How many replicas there should be: doubled or halved, within bounds. Called by the runbooks of the preset
`auto-scaler` in a process of their own. Standard library only."""

from __future__ import annotations


def doubled(current: str | int, most: int) -> int:
    """Twice as many replicas, and not more than the bound; never fewer than there are."""
    now = _count(current)
    return max(now, min(now * 2, most))


def halved(current: str | int, least: int) -> int:
    """Half as many replicas, rounded down, and not fewer than the bound; never more than there are."""
    now = _count(current)
    return min(now, max(now // 2, least))


def _count(written: str | int) -> int:
    number = int(str(written).strip())
    if number < 0:
        raise ValueError(f"{number} is no number of replicas")
    return number
