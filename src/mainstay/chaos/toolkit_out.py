"""Ours in the Chaos Toolkit's shapes: an experiment that it can run, and the journal of a run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from mainstay.chaos.hypothesis import (
    AtPath,
    Between,
    Compared,
    Exactly,
    Listed,
    Matches,
    Probe,
    Tolerance,
)
from mainstay.chaos.lifecycle import Stage, Status
from mainstay.chaos.spec import Experiment
from mainstay.chaos.state import FaultRun, Run
from mainstay.kernel.probing import CallAsk, HttpAsk, ProcessAsk

_STATUS = {Status.PASSED: "completed", Status.FAILED: "completed", Status.INVALID: "failed",
           Status.ABORTED: "interrupted"}
"""Ours to theirs; that the steady state deviated is said beside it."""


def document_of(one: Experiment, folder: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The experiment for the Chaos Toolkit, and what it cannot say.

    Its method is one action: `mainstay chaos run`, which proves the faults and takes them out, as nothing that the
    Chaos Toolkit has would.
    """
    probes, notes = [], []
    for probe in one.hypothesis.probes:
        provider, tolerance = provider_of(probe), tolerance_out(probe.tolerance)
        if provider is None or tolerance is None:
            notes.append(f"the probe {probe.name} has no form there; mainstay chaos run asks it all the same")
            continue
        probes.append({"type": "probe", "name": probe.name, "tolerance": tolerance, "provider": provider})
    arguments = ["chaos", "run", one.name, *(["-c", folder] if folder else [])]
    return {
        "version": "1.0.0", "title": one.title or one.name, "description": one.description or one.name,
        "tags": ["mainstay"],
        "steady-state-hypothesis": {"title": one.hypothesis.title or one.name, "probes": probes},
        "method": [{"type": "action", "name": f"run {one.name}", "provider": {
            "type": "process", "path": "mainstay", "arguments": arguments, "timeout": one.seconds + 120}}],
        "rollbacks": [{"type": "action", "name": "take out what is left", "provider": {
            "type": "process", "path": "mainstay", "arguments": ["chaos", "recover"], "timeout": 60}}],
    }, tuple(notes)


def provider_of(probe: Probe) -> dict[str, Any] | None:
    """Who asks, there; None where nobody can."""
    match probe.ask:
        case HttpAsk(url=url, method=method, headers=headers, seconds=seconds) if url.startswith("http"):
            return {"type": "http", "url": url, "method": method, "timeout": seconds,
                    **({"headers": dict(headers)} if headers else {})}
        case ProcessAsk(command=command, seconds=seconds):
            return {"type": "process", "path": command[0], "arguments": list(command[1:]), "timeout": seconds}
        case CallAsk(module=module, function=function, arguments=arguments):
            return {"type": "python", "module": module, "func": function, "arguments": dict(arguments)}
    return None


def tolerance_out(tolerance: Tolerance) -> Any:
    """The tolerance as it is written there; None where it cannot be."""
    match tolerance:
        case Exactly(value):
            return value
        case Listed(values):
            return list(values)
        case Between(low, high, target):
            # Not [low, high]: where there is a status, the Chaos Toolkit looks for it in the list, not between the two.
            return {"type": "range", "range": [_whole(low), _whole(high)], **({"target": target} if target else {})}
        case Matches(pattern, target):
            return {"type": "regex", "pattern": pattern, **({"target": target} if target else {})}
        case AtPath(path, expect, count, target):
            return {"type": "jsonpath", "path": path, **({"expect": list(expect)} if expect is not None else {}),
                    **({"count": count} if count is not None else {}), **({"target": target} if target else {})}
        case Compared():
            return None
        case _:
            return None


def _whole(value: float) -> float | int:
    return int(value) if value == int(value) else value


def journal_of(run: Run) -> dict[str, Any]:
    """A run as a journal of the Chaos Toolkit."""
    start = run.started or run.asked
    assert start is not None, "it was asked for"
    end = run.ended or start
    by_stage = {stage: [sample for sample in run.samples if sample.stage == stage] for stage in Stage}
    states = {str(stage): _state(run, stage, start) if by_stage[stage] else None
              for stage in (Stage.BEFORE, Stage.AFTER)}
    return {
        "chaoslib-version": "mainstay", "platform": "", "node": "",
        "experiment": {"title": run.title or run.experiment, "description": run.experiment,
                       "configuration": {"target": run.target, "seed": run.seed}},
        "start": start.isoformat(), "end": end.isoformat(), "duration": (end - start).total_seconds(),
        "status": _STATUS.get(run.status, "interrupted"),
        "deviated": any(one.stage != Stage.BEFORE for one in run.breaches),
        "steady_states": {**states, "during": [_state(run, Stage.DURING, start)] if by_stage[Stage.DURING] else []},
        "run": [_activity(fault) for fault in run.faults],
        "rollbacks": [_rollback(fault) for fault in run.faults if fault.removed is not None or fault.stuck]}


def _state(run: Run, stage: Stage, start: datetime) -> dict[str, Any]:
    """The stage's answers; each probe by its worst, and of these the last."""
    probes = []
    for index, probe in enumerate(run.probes):
        found = [sample for sample in run.samples if sample.stage == stage and sample.probe == index]
        if not found:
            continue
        # After the faults a system may take a while to come back; there the last answer is the one that counts.
        shown = found[-1] if stage is Stage.AFTER else next((one for one in found if not one.ok), found[-1])
        begun = start + timedelta(seconds=shown.at)
        probes.append({"activity": {"type": "probe", "name": probe["name"], "tolerance": probe["tolerance"]},
                       "output": shown.value, "start": begun.isoformat(), "status": "succeeded",
                       "end": (begun + timedelta(seconds=shown.seconds)).isoformat(), "duration": shown.seconds,
                       "tolerance_met": shown.ok})
    return {"steady_state_met": all(probe["tolerance_met"] for probe in probes), "probes": probes}


def _activity(fault: FaultRun) -> dict[str, Any]:
    end = fault.applied or fault.intended
    return {"activity": {"type": "action", "name": f"{fault.kind} on {fault.workload}", "provider": {
                "type": "mainstay", "arguments": {**_arguments(fault)}}},
            "output": None if fault.proof is None else {"what": fault.proof.what, "seen": fault.proof.seen},
            "start": fault.intended.isoformat(), "end": end.isoformat(),
            "duration": (end - fault.intended).total_seconds(),
            "status": "succeeded" if fault.applied is not None and not fault.problem else "failed",
            **({"exception": [fault.problem]} if fault.problem else {})}


def _arguments(fault: FaultRun) -> Mapping[str, Any]:
    return {"kind": fault.kind, "workload": fault.workload, "dependency": fault.dependency, "share": fault.share,
            **fault.settings}


def _rollback(fault: FaultRun) -> dict[str, Any]:
    end = fault.removed or fault.intended
    return {"activity": {"type": "action", "name": f"take {fault.kind} on {fault.workload} out"},
            "output": None if fault.removal is None else {"what": fault.removal.what, "seen": fault.removal.seen},
            "start": end.isoformat(), "end": end.isoformat(), "duration": 0.0,
            "status": "failed" if fault.stuck else "succeeded",
            **({"exception": [fault.stuck]} if fault.stuck else {})}
