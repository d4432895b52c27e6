"""What a run proved. A run passes only when every fault was proven to be there and to be gone, and the hypothesis was
measured, and held, before, during and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mainstay.chaos.lifecycle import Stage, Status
from mainstay.chaos.state import FaultRun, Happening, Run
from mainstay.kernel.faults import Measured
from mainstay.stats.budget import binomial_tail


class Verdict(NamedTuple):
    """How a run ended, and why, a sentence each; the first is the one that counts."""

    status: Status
    reasons: tuple[str, ...]


BREACH = "breach"
"""The kind of a stop that the hypothesis caused."""

FAULT = ("unproven", "stuck")
"""Kinds of stops that a fault caused: the fault says itself why. Any other came from outside."""


def verdict(run: Run) -> Verdict:
    """What the run proved.

    From the worst: a fault that is not proven to be gone fails it, whatever else happened. What was not proven to
    happen proves nothing. Then what the hypothesis said during and after counts, then what stopped it from outside.
    """
    stuck = [f"{fault.kind} on {fault.workload} was not taken out: {fault.stuck or 'nothing proved that it is gone'}"
             for fault in run.faults if fault.removed is None]
    unproven = [f"{fault.kind} on {fault.workload} was not proven to be in effect: {fault.problem}"
                for fault in run.faults if fault.problem]
    before = [one for one in run.breaches if one.stage == Stage.BEFORE]
    later = [_said(one) for one in run.breaches if one.stage != Stage.BEFORE]
    outside = [one.text for one in run.stops if one.what not in (BREACH, *FAULT)]
    reasons = (*stuck, *unproven, *later, *outside)
    if stuck:
        return Verdict(Status.FAILED, reasons)
    if before:
        return Verdict(Status.INVALID, ("the steady state was not there before anything was put in: "
                                        + before[0].text, *outside))
    if unproven:
        return Verdict(Status.INVALID, reasons)
    if later:
        return Verdict(Status.FAILED, reasons)
    if outside:
        return Verdict(Status.ABORTED, reasons)
    if missing := _unmeasured(run):
        return Verdict(Status.INVALID, missing)
    return Verdict(Status.PASSED, ())


def _said(one: Happening) -> str:
    return f"{one.stage}: {one.text}"


def _unmeasured(run: Run) -> tuple[str, ...]:
    """Stages in which a probe was never answered, and faults that were never there: such a run proves nothing."""
    if not run.faults:
        return ("no fault was put in",)
    late = [f"{fault.kind} on {fault.workload} was never proven to be in effect"
            for fault in run.faults if fault.applied is None]
    seen = {(sample.stage, sample.probe) for sample in run.samples}
    out = [f"{probe['name']} was not measured {stage}" for stage in (Stage.BEFORE, Stage.DURING, Stage.AFTER)
           for index, probe in enumerate(run.probes) if (str(stage), index) not in seen]
    return (*late, *out)


_MEASURED_IN_FULL = frozenset({"network-latency", "dependency-slow", "disk-slow"})
"""Kinds whose effect is a length of time that everybody sees in full: less than that is another fault."""

_LEAST_OF_ASKED = 0.8


def accepted(kind: str, measured: Measured) -> str:
    """Why a measurement does not prove the fault; empty when it does.

    That a mechanism calls its own fault good is not enough: a measurement that saw nothing proves nothing, and a
    latency that is far from what was ordered is not the fault that was ordered.
    """
    if not measured.in_effect:
        return measured.note or f"{measured.what} shows no trace of it"
    if measured.seen is None and measured.asked is not None:
        return f"{measured.what} could not be measured" + (f": {measured.note}" if measured.note else "")
    if kind in _MEASURED_IN_FULL and measured.asked and measured.seen is not None \
            and measured.seen < measured.asked * _LEAST_OF_ASKED:
        return (f"{measured.what} shows {measured.seen:g} {measured.unit} of the "
                f"{measured.asked:g} {measured.unit} that were ordered").replace("  ", " ")
    return ""


_SURE = 1e-4
"""A count this unlikely under the ordered share is taken for another share; asked once or twice a run."""


def radius_broken(victims: Mapping[str, float], share: float) -> tuple[str, str]:
    """Whether who was hit contradicts the ordered share: (why it is too many, why it is too few), each empty if not.

    Args:
        victims: `connections`, `requests`, `processes`, each with `…_hit`.
    """
    for unit in ("requests", "connections"):
        total, hit = int(victims.get(unit, 0)), int(victims.get(f"{unit}_hit", 0))
        if not total:
            continue
        words = f"{hit:,} of {total:,} {unit} were hit, and {share:.1%} were ordered"
        if share < 1 and binomial_tail(total, hit, share) < _SURE:
            return words, ""
        # With all of them ordered some may still have begun before; nine of ten must be hit.
        least = min(share, 0.9)
        if 1 - binomial_tail(total, hit + 1, least) < _SURE:
            return "", words
        return "", ""
    total, hit = int(victims.get("processes", 0)), int(victims.get("processes_hit", 0))
    if total:
        most = max(1, -int(-share * total // 1))
        words = f"{hit} of {total} processes were hit, and {share:.1%} were ordered"
        if hit > most:
            return words, ""
        if hit < max(1, int(share * total)):
            return "", words
    return "", ""


def removal_accepted(fault: FaultRun, measured: Measured) -> str:
    """Why a measurement does not prove that the fault is gone; empty when it does."""
    if measured.in_effect:
        return f"{measured.what} still shows it" + (f" ({measured.seen:g} {measured.unit})".replace(" )", ")")
                                                    if measured.seen is not None else "")
    proof = fault.proof
    if proof is not None and proof.seen is not None and proof.asked and measured.seen is not None \
            and fault.kind in _MEASURED_IN_FULL and measured.seen > proof.asked * _LEAST_OF_ASKED:
        return f"{measured.what} is said to be well, and shows {measured.seen:g} {measured.unit}"
    return ""
