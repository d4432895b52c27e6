"""How many replicas there should be: doubled or halved, within bounds. Called by the runbooks of the preset
`auto-scaler` in a process of their own. Standard library only."""

from __future__ import annotations

KEEP = "keep"
"""What is answered where there are as many already, so that nothing is set."""


def doubled(current: str | int, most: int) -> int | str:
    """Twice as many replicas, and not more than the bound; never fewer than there are."""
    now = _count(current)
    return max(now, min(now * 2, most)) if now < most else KEEP


def halved(current: str | int, least: int) -> int | str:
    """Half as many replicas, rounded down, and not fewer than the bound; never more than there are."""
    now = _count(current)
    return min(now, max(now // 2, least)) if now > least else KEEP


def _count(written: str | int) -> int:
    number = int(str(written).strip())
    if number < 0:
        raise ValueError(f"{number} is no number of replicas")
    return number
