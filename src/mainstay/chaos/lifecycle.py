"""What may follow what in a run: a table of stages, and how a run can end.

The hypothesis is asked in every stage but the first and the last; what its answers mean depends on the stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from mainstay.kernel.errors import Conflict


class Stage(StrEnum):
    """Where a run is."""

    PENDING = "pending"
    BEFORE = "before"
    INJECTING = "injecting"
    DURING = "during"
    REMOVING = "removing"
    AFTER = "after"
    ENDED = "ended"


class Status(StrEnum):
    """How a run stands, and in the end stood.

    `invalid` proves nothing, either way: the steady state was not there before, a fault was not proven to be in
    effect, or the hypothesis was not measured while it was.
    """

    PENDING = "pending"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    ABORTED = "aborted"
    INVALID = "invalid"


STEPS: Mapping[tuple[Stage, str], Stage] = {
    (Stage.PENDING, "started"): Stage.BEFORE,
    (Stage.BEFORE, "intended"): Stage.INJECTING,
    (Stage.INJECTING, "intended"): Stage.INJECTING,
    (Stage.INJECTING, "injected"): Stage.INJECTING,
    (Stage.INJECTING, "unproven"): Stage.INJECTING,
    (Stage.INJECTING, "watching"): Stage.DURING,
    (Stage.INJECTING, "withdrawing"): Stage.REMOVING,
    (Stage.DURING, "unproven"): Stage.DURING,
    (Stage.DURING, "withdrawing"): Stage.REMOVING,
    (Stage.REMOVING, "removed"): Stage.REMOVING,
    (Stage.REMOVING, "stuck"): Stage.REMOVING,
    (Stage.REMOVING, "settling"): Stage.AFTER,
    (Stage.AFTER, "intended"): Stage.INJECTING,
    **{(stage, "ended"): Stage.ENDED for stage in Stage if stage is not Stage.ENDED},
    **{(stage, kind): stage for kind in ("measured", "breached", "stopping", "widened", "noted")
       for stage in Stage if stage not in (Stage.PENDING, Stage.ENDED)},
}
"""Stage × what happened (`chaos.` left out) → stage; what is not here does not happen."""


class IllegalStep(Conflict):
    """A run cannot go from where it is to there."""

    code = "illegal-step"


def next_stage(now: Stage, event: str) -> Stage:
    """The stage after the event.

    Raises:
        IllegalStep: it does not happen in this stage.
    """
    found = STEPS.get((now, event))
    if found is None:
        raise IllegalStep(f"a run that is {now} cannot be {event}", "look at it with mainstay chaos status")
    return found
