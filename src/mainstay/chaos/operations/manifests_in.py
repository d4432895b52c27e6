"""Manifests of Chaos Mesh and Litmus, command lines of pumba and policies of PowerfulSeal as experiments of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from mainstay.chaos import chaos_mesh, litmus, powerfulseal
from mainstay.chaos.manifests import Check, Step, Translation, part
from mainstay.chaos.operations.formats import Said
from mainstay.chaos.written import as_yaml, duration, settings_document
from mainstay.kernel.document import Document
from mainstay.kernel.finding import Finding, Position, Severity
from mainstay.kernel.ports import World
from mainstay.kernel.workload import Workload

_SECONDS = 60.0


def said_by_chaos_mesh(world: World, document: Document) -> Said:
    """A manifest of Chaos Mesh."""
    return _said(world, document, chaos_mesh.translations(part(document.root.plain())))


def said_by_litmus(world: World, document: Document) -> Said:
    """An engine or experiment of Litmus."""
    return _said(world, document, litmus.translations(part(document.root.plain())))


def said_by_powerfulseal(world: World, document: Document) -> Said:
    """A policy of PowerfulSeal."""
    return _said(world, document, powerfulseal.translations(part(document.root.plain())))


def said_by_pumba(world: World, document: Document) -> Said:
    """A command line of pumba."""
    found = powerfulseal.pumba(document.root.written)
    # Its target alone names many: what one command line does is part of its name.
    return _said(world, document, [found], _slug(f"{found.kind} {found.name}"))


def _said(world: World, document: Document, found: Sequence[Translation], name: str = "") -> Said:
    where = Position(document.file, document.root.line, document.root.column)
    name = name or _slug(next((one.name for one in found if one.name), "") or "experiment")
    title = f"{found[0].kind} {found[0].name}".strip() if found else ""
    steps = [step for one in found for step in one.steps]
    findings = list(_findings(found, where, steps))
    if not steps:
        left = "; ".join(f"{left.what}: {left.why}" for one in found for left in one.left_out) \
            or f"{title or 'it'} puts no fault in"
        findings.append(Finding("not-translated", where, f"nothing of it can be done here: {left}",
                                "write an experiment of your own; mainstay chaos list --kinds says what can be done"))
        return Said(name, title, "", tuple(findings))
    document_ = experiment_document(world, name, title, found)
    return Said(name, title, as_yaml(document_, "\n".join(_comment(found))), tuple(findings))


def _findings(found: Sequence[Translation], where: Position, steps: Sequence[Step]) -> Iterator[Finding]:
    if steps:
        for one in found:
            for left in one.left_out:
                yield Finding("left-out", where, f"{left.what} is left out: {left.why}", severity=Severity.WARNING)
            if one.schedule:
                yield Finding("left-out", where, f"its schedule {one.schedule} is left out: one run is one run",
                              "let cron, or a ChaosMonkey, begin it", severity=Severity.WARNING)
    for note in dict.fromkeys(note for step in steps for note in step.notes):
        yield Finding("translated-freely", where, note, severity=Severity.HINT)


def _comment(found: Sequence[Translation]) -> Iterator[str]:
    yield f"Translated from {found[0].tool}: {', '.join(f'{one.kind} {one.name}'.strip() for one in found)}."
    for one in found:
        yield from (f"left out: {left.what}: {left.why}" for left in one.left_out)
        yield from (f"{step.kind}: {note}" for step in one.steps for note in step.notes)


def experiment_document(world: World, name: str, title: str, found: Sequence[Translation]) -> dict[str, Any]:
    """The translations as one experiment of ours: each stretch of time in which the same faults are in is a phase."""
    steps = [step for one in found for step in one.steps]
    checks = [check for one in found for check in one.checks]
    target = _target(world, steps)
    spec: dict[str, Any] = {"target": target, "hypothesis": {"probes": _probes(checks)}}
    if len({(step.start, step.seconds) for step in steps}) == 1:
        spec |= {"duration": duration(steps[0].seconds or _SECONDS), "faults": [_fault(one) for one in steps]}
    else:
        spec["phases"] = list(_phases(steps))
    metadata: dict[str, Any] = {"name": name, **({"displayName": title} if title else {})}
    return {"apiVersion": "mainstay/v1", "kind": "Experiment", "metadata": metadata, "spec": spec}


def _target(world: World, steps: Sequence[Step]) -> str:
    """The workload that carries the name the selector says; else that name itself, for somebody to declare."""
    words = [part.partition("=")[2] or part for step in steps for part in step.target.split(",") if part]
    known = {one.name for one in world.catalog.of(Workload)}
    return next((word for word in words if word in known), _slug(words[0]) if words else "target")


def _probes(checks: Iterable[Check]) -> list[dict[str, Any]]:
    probes = [{"name": one.name or "status", "type": "http", "url": one.url,
               **({"method": one.method} if one.method != "GET" else {}),
               "tolerance": one.low if one.low == one.high else {
                   "type": "range", "range": [one.low, one.high], "target": "status"}} for one in checks]
    # A manifest without a check expects nothing; ours then expects what everybody does: that the target is well.
    return probes or [{"name": "the target is well", "type": "health"}]


def _fault(step: Step) -> dict[str, Any]:
    settings = settings_document(step.kind, step.settings)
    # Without it all traffic of the target would be hit: more than was asked for.
    aim = step.towards or (step.target or "dependency"
                           if step.kind.startswith("dependency-") or step.kind == "corrupt-data" else "")
    dependency = {"dependency": _slug(aim.partition("=")[2] or aim)} if aim else {}
    return {"kind": step.kind, **dependency, **({"settings": settings} if settings else {}),
            **({"share": f"{step.share * 100:g}%"} if step.share < 1 else {})}


def _phases(steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    """From one moment at which anything begins or ends to the next; what lies between two as a pause."""
    ends = sorted({step.start for step in steps} | {step.start + (step.seconds or _SECONDS) for step in steps})
    pause = ends[0]
    for begin, end in pairwise(ends):
        active = [one for one in steps if one.start <= begin < one.start + (one.seconds or _SECONDS)]
        if not active:
            pause += end - begin
            continue
        yield {**({"pause": duration(pause)} if pause else {}), "duration": duration(end - begin),
               "faults": [_fault(one) for one in active]}
        pause = 0.0


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "experiment"
