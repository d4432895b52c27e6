"""Asking the checks of rules: whether something is so now. What cannot be told is told apart from no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import dirname

from mainstay.kernel.actuation import COMPARE, Ending, Metric
from mainstay.kernel.errors import MainstayError
from mainstay.kernel.objective import Objective
from mainstay.kernel.ports import World
from mainstay.kernel.workload import Workload
from mainstay.runbook.operations.watching import Watching
from mainstay.runbook.plan import placed, resolved
from mainstay.runbook.remedy import ActCheck, BudgetCheck, Check, HostCheck, Remediation, lookup
from mainstay.runbook.remedy_decision import Judged

PATIENCE = 10.0
"""Seconds that one check may take."""


def judged(world: World, rule: Remediation, checks: Sequence[Check], labels: Mapping[str, str]) -> Judged:
    """Whether all the checks hold now: the first that does not says so; none is asked behind it."""
    said = []
    for check in checks:
        try:
            found = _one(world, rule, check, labels)
        except MainstayError as error:
            # A source that is down, a label that is absent, a workload without a process.
            return Judged(None, f"{check}: {error.message}")
        if not found.holds:
            return found
        said.append(found.said)
    return Judged(True, "; ".join(said))


def _one(world: World, rule: Remediation, check: Check, labels: Mapping[str, str]) -> Judged:
    match check:
        case ActCheck():
            return _act(world, rule, check, labels)
        case HostCheck(measure, compare, threshold, workload):
            of = world.catalog.get(Workload, workload) if workload else None
            share = world.usage(measure, of)
            return Judged(COMPARE[compare](share, threshold), f"{measure} is {share:.1%}")
        case BudgetCheck():
            return _budget(world, check)


def _act(world: World, rule: Remediation, check: ActCheck, labels: Mapping[str, str]) -> Judged:
    act = placed(resolved(check.act, lookup(labels)), dirname(rule.origin.file))
    watch = Watching(PATIENCE, world.clock)
    outcome = world.actuator().carry_out(act, watch)
    if outcome.ending is Ending.SUCCEEDED:
        return Judged(True, f"{check}: {outcome.output.strip()[:100]}" if outcome.output.strip() else str(check))
    # A query without a value, and a look that did not end, say neither yes nor no.
    untold = outcome.ending is not Ending.FAILED or (isinstance(act, Metric) and not outcome.output)
    return Judged(None if untold else False, f"{check}: {outcome.error or outcome.ending}")


def _budget(world: World, check: BudgetCheck) -> Judged:
    service = world.catalog.get(Objective, check.objective).service
    found = next((one for one in world.standing(world, (service,)) if one.objective == check.objective), None)
    if found is None or found.spent is None:
        return Judged(None, f"nobody knows how much of the budget of {check.objective} is left")
    left = 1 - found.spent
    return Judged(left >= check.least, f"{check.objective} has {left:.1%} of its budget left")
