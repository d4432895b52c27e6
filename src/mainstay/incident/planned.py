"""Planned work as silences: what it concerns is not heard of meanwhile. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mainstay.incident.engine import MakeSilence
from mainstay.kernel.matcher import Matcher
from mainstay.kernel.ports import PlannedWork

BY = "planned work"


def silences_of(work: PlannedWork, key: str) -> Iterator[MakeSilence]:
    """One silence for its services and one for its objectives, or one for everything.

    Args:
        key: names this time of the work, so that each silence is made once.
    """
    concerned = {"service": work.services, "slo": work.objectives} if work.services or work.objectives else \
        {"service": None}
    for label, names in concerned.items():
        if names is None or names:
            value = ".*" if names is None else "|".join(map(re.escape, names))
            yield MakeSilence((Matcher(label, "=~", value),), work.span, BY, f"{work.name}: {work.reason}",
                              f"{key}:{label}")
