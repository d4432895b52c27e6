"""Who may agree to a run, and to what exactly. Pure."""

from __future__ import annotations

from datetime import datetime

from mainstay.kernel.errors import Conflict, NotAllowed
from mainstay.kernel.wording import many
from mainstay.runbook.lifecycle import State
from mainstay.runbook.run import Run


class NotThisPlan(Conflict):
    """What is approved is another plan than the one that would be done."""

    code = "not-this-plan"


class Expired(Conflict):
    """Nobody can approve any more: its time is over."""

    code = "approval-expired"


def check_approval(run: Run, by: str, seen: str, now: datetime) -> None:
    """Nothing stands against this person approving the plan with the hash that they saw.

    Args:
        seen: the hash, or its first 8 digits or more; empty where whoever asks shows the plan of this very run.
    Raises:
        NotAllowed: they asked for the run, or are not among those who may.
        Conflict: they approved already, or nothing is to be approved.
        NotThisPlan: they saw another plan.
        Expired: it is too late.
    """
    _open(run, now)
    if by == run.by:
        raise NotAllowed(f"{by} asked for {run.id} and cannot approve it", "ask somebody else: " + _who(run))
    if run.plan.approval.by and by not in run.plan.approval.by:
        raise NotAllowed(f"{by} is not among those who may approve {run.id}", "ask " + _who(run))
    if any(one.by == by for one in run.approvals):
        raise Conflict(f"{by} approved {run.id} already", f"{many(run.missing, 'other approval')} still needed")
    if seen and (len(seen) < 8 or not run.hash.startswith(seen)):
        raise NotThisPlan(f"{run.id} would do the plan {run.hash[:12]}, not {seen[:12]}",
                          f"look at it: mainstay runbook status {run.id}")


def check_rejection(run: Run, by: str, now: datetime) -> None:
    """Nothing stands against this person rejecting the run; whoever asked for it may, too.

    Raises:
        NotAllowed: they are not among those who may approve.
        Conflict, Expired: nothing is to be rejected any more.
    """
    if run.state is not State.READY:
        _open(run, now)
    if by != run.by and run.plan.approval.by and by not in run.plan.approval.by:
        raise NotAllowed(f"{by} is not among those who may reject {run.id}", "ask " + _who(run))


def _open(run: Run, now: datetime) -> None:
    if run.expires is not None and now >= run.expires and run.state in (State.AWAITING, State.EXPIRED):
        raise Expired(f"{run.id} expired at {run.expires:%Y-%m-%d %H:%M} UTC", "plan it anew")
    if run.state is not State.AWAITING:
        raise Conflict(f"{run.id} awaits no approval: it is {run.state}", f"mainstay runbook status {run.id}")


def _who(run: Run) -> str:
    others = [one for one in run.plan.approval.by if one != run.by]
    return ", ".join(others) if others else "anybody who may approve"
