"""`mainstay runbook approve | reject`: people agree to a plan, or do not."""

from __future__ import annotations

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.runbook.operations.desk import approve, reject
from mainstay.runbook.reading import RunReading, read_run
from mainstay.runbook.view import run_view

_CODES = ((0, "recorded"), (2, "the plan is another, it is too late, or you may not"))


@dataclass(frozen=True)
class ApproveRequest:
    """Which run, and which plan was seen."""

    name: str = arg("the run", positional=True)
    plan: str = arg("the plan that you saw: its hash, or the first 8 digits or more", value="HASH")


def agree(world: World, request: ApproveRequest) -> RunReading:
    """Approve the plan of a run; who asked for the run cannot."""
    return read_run(approve(world, request.name, request.plan))


APPROVE = Operation(
    "runbook", "approve", ApproveRequest, agree, run_view, scope="approve", exit_codes=_CODES,
    examples=("mainstay runbook approve RB-7 --plan 5f2d8c1a9e03",))


@dataclass(frozen=True)
class RejectRequest:
    """Which run, and why."""

    name: str = arg("the run", positional=True)
    why: str = arg("why not, in a few words", "")


def refuse(world: World, request: RejectRequest) -> RunReading:
    """Reject a run: it will not be done."""
    return read_run(reject(world, request.name, request.why))


REJECT = Operation(
    "runbook", "reject", RejectRequest, refuse, run_view, scope="approve", exit_codes=_CODES,
    examples=("mainstay runbook reject RB-7 --why 'zone b is down as well'",))
