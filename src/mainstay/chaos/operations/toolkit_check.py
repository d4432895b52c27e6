"""Looking at experiments of the Chaos Toolkit: their mistakes, and what is missing here to run them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mainstay.chaos.operations.formats import Said, quickly
from mainstay.chaos.toolkit import (
    Activity,
    Missing,
    ToolkitExperiment,
    ask_of,
    calls,
    dynamic,
    read,
    recognised,
    values_of,
)
from mainstay.kernel.catalog import read_file
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document
from mainstay.kernel.errors import MainstayError
from mainstay.kernel.finding import Finding, InvalidFiles, Severity, errors_of
from mainstay.kernel.ports import World


@dataclass(frozen=True, slots=True)
class Taken:
    """An experiment, what is worth saying about it, and the lines of its file where they were read."""

    experiment: ToolkitExperiment
    findings: tuple[Finding, ...]
    lines: tuple[str, ...] = ()


def sourced(findings: Iterable[Finding], lines: Sequence[str]) -> Iterator[Finding]:
    """The findings, each with its line for the caret."""
    for one in findings:
        known = not one.source and 0 < one.where.line <= len(lines)
        yield replace(one, source=lines[one.where.line - 1]) if known else one


def taken(path: str, *, places: bool = False) -> Taken | None:
    """The experiment in the file, None when the file is of another kind.

    Args:
        places: read it with its places, which takes longer; what is said of it has a line then.

    Raises:
        InvalidFiles: it is no YAML and no JSON.
    """
    for document in () if places else quickly(path):
        if recognised(document.root):
            experiment, found = read(document)
            if not found:
                return Taken(experiment, ())
    documents, findings = read_file(Path(path), path)
    if not documents or not recognised(documents[0].root):
        if errors_of(findings):
            raise InvalidFiles(errors_of(findings))
        return None
    experiment, found = read(documents[0])
    return Taken(experiment, tuple(sourced((*findings, *found), documents[0].lines)), documents[0].lines)


def diagnosis(world: World, experiment: ToolkitExperiment, *, allowed: bool) -> list[Finding]:
    """What is missing here to run it: environment, programs, drivers; and what has to be allowed."""
    values, missing = values_of(experiment, os.environ)
    found = [_missing(experiment, one) for one in missing]
    prober = world.prober()
    for one in (*experiment.activities, *dynamic(experiment).values()):
        if one.kind == "ref":
            continue
        try:
            why, mend = prober.lacks(ask_of(one, values))
        except MainstayError as error:
            why, mend = error.message, error.way_out
        if why:
            found.append(Finding("cannot-be-asked", one.where, f"{one.name}: {why}", mend))
    called = calls(experiment)
    if called and not allowed:
        found.append(Finding("calls-python", called[0].where, calling(called), "allow that with --allow-python",
                             severity=Severity.WARNING))
    return found


def calling(called: Sequence[Activity]) -> str:
    """`2 activities call functions of Python modules, which may do anything: chaosk8s.pod.actions`."""
    modules = sorted({str(one.provider.get("module") or "a tolerance's") for one in called})
    verb = "1 activity calls" if len(called) == 1 else f"{len(called)} activities call"
    return f"{verb} functions of Python modules, which may do anything: {', '.join(modules)}"


def _missing(experiment: ToolkitExperiment, one: Missing) -> Finding:
    where = experiment.places.get(f"value {one.name}", experiment.origin)
    return Finding("value-missing", where, f"{one.name}: {one.why}", one.mend)


def said_by_toolkit(world: World, document: Document) -> Said:
    """An experiment of the Chaos Toolkit: it is run as it is, and this says what is missing here for that."""
    experiment, findings = read(document)
    missing = diagnosis(world, experiment, allowed=False)
    name = re.sub(r"[^a-z0-9]+", "-", experiment.title.lower()).strip("-")[:60] or "experiment"
    return Said(name, experiment.title, findings=tuple(sourced((*findings, *missing), document.lines)), runs=True)
