"""How experiments, plans and runs look. Numbers are rounded here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from mainstay.chaos.lifecycle import Stage, Status
from mainstay.chaos.state import FaultRun, Run, Sample
from mainstay.chaos.verdict import BREACH, FAULT
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import Block, Cell, Chart, Entry, Line, Mark, Pairs, Table, Text, Timeline, Tone, table

TONES: Mapping[Status, Tone] = {
    Status.PASSED: "good", Status.FAILED: "bad", Status.ABORTED: "warn", Status.INVALID: "warn",
    Status.RUNNING: "strong", Status.PENDING: "quiet"}
SIGNS: Mapping[Status, str] = {
    Status.PASSED: "●", Status.FAILED: "○", Status.ABORTED: "◐", Status.INVALID: "–", Status.RUNNING: "…",
    Status.PENDING: "…"}
MEANINGS: Mapping[Status, str] = {
    Status.PASSED: "the hypothesis held before, during and after, and every fault was proven in and out",
    Status.FAILED: "the hypothesis did not hold, or a fault did not come out",
    Status.ABORTED: "it was stopped from outside, before its end",
    Status.INVALID: "it proves nothing, either way",
    Status.RUNNING: "it goes on", Status.PENDING: "it has not begun"}


def status_cell(status: Status) -> Cell:
    """The status as sign and word."""
    return Cell(f"{SIGNS[status]} {status}", tone=TONES[status])


def share_words(share: float) -> str:
    """`5 %`."""
    return f"{share * 100:.3g} %"


def settings_words(settings: Mapping[str, Any]) -> str:
    """`latency 0.2, jitter 0`."""
    return ", ".join(f"{name} {value:g}" if isinstance(value, float | int) else f"{name} {value}"
                     for name, value in settings.items() if value not in ("", 0.0))


def run_blocks(run: Run) -> Iterator[Block]:
    """A run: the verdict, why, the faults, the figures, the picture."""
    yield Text(f"{run.id} · {run.experiment} on {run.target}" + (f" · {run.started:%-d %b %H:%M:%S} UTC"
               if run.started else "") + (f", {format_duration(run.ended - run.started)}"
                                          if run.ended and run.started else "") + f" · by {run.by}"
               + (f" for {run.reference}" if run.reference else ""), "quiet")
    yield Text(f"{SIGNS[run.status]} {run.status}: {MEANINGS[run.status]}.", TONES[run.status])
    for reason in run.reasons:
        yield Text(reason)
    if run.reaction is not None:
        yield Text(f"From the first reason to stop until every fault was taken out: {_ms(run.reaction)}.", "quiet")
    yield faults_table(run.faults)
    yield figures_table(run)
    for one in run.widening:
        yield Text(f"At {share_words(one['share'])} {one['bad']} of {one['total']} answers missed: "
                   + {"small": "healthy, so it went on", "great": "not healthy, so it stopped",
                      "undecided": "nothing could be told, so it stopped"}[one["answer"]] + ".", "quiet")
    for note in run.notes:
        yield Text(note, "quiet")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def faults_table(faults: Sequence[FaultRun]) -> Table:
    """Each fault with its two proofs."""
    rows = [(fault.id, fault.kind, _whose(fault.workload, fault.dependency), share_words(fault.share),
             fault.mechanism, fault.healing, _proof(fault), _removal(fault)) for fault in faults]
    return table("Faults", ("", "fault", "on", "share>", "by", "healed by", "in", "out"), rows,
                 empty="nothing was put in")


def _whose(workload: str, dependency: str) -> str:
    return f"{workload} → {dependency}" if dependency else workload


def _proof(fault: FaultRun) -> Cell:
    if fault.applied is None:
        return Cell(fault.problem or "never proven", tone="warn")
    seen = fault.proof
    words = "" if seen is None or seen.seen is None else f", {seen.seen:.3g} {seen.unit}".rstrip() + (
        f" of {seen.asked:.3g}" if seen.asked is not None else "")
    return Cell(f"proven {fault.applied:%H:%M:%S}{words}" + (f"; {fault.problem}" if fault.problem else ""),
                tone="warn" if fault.problem else "plain")


def _removal(fault: FaultRun) -> Cell:
    if fault.removed is None:
        return Cell(fault.stuck or "not yet", tone="bad" if fault.stuck else "quiet")
    if fault.applied is None:
        return Cell("nothing to take out", tone="quiet")
    return Cell(f"proven {fault.removed:%H:%M:%S}")


STAGES = (Stage.BEFORE, Stage.DURING, Stage.AFTER)


def figures(run: Run) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """By probe and stage: answers, misses, median and slowest answer in seconds."""
    by: dict[tuple[int, str], list[Sample]] = {}
    for sample in run.samples:
        by.setdefault((sample.probe, sample.stage), []).append(sample)
    out: dict[str, dict[str, dict[str, float | int | None]]] = {}
    for index, probe in enumerate(run.probes):
        for stage in STAGES:
            found = by.get((index, str(stage)), [])
            seconds = sorted(sample.seconds for sample in found)
            out.setdefault(probe["name"], {})[str(stage)] = {
                "answers": len(found), "misses": sum(not sample.ok for sample in found),
                "median": seconds[(len(seconds) - 1) // 2] if seconds else None,
                "slowest": seconds[-1] if seconds else None}
    return out


def figures_table(run: Run) -> Table:
    """Before, during and after, a probe a row."""
    rows = []
    for name, stages in figures(run).items():
        cells: list[str | Cell] = [name]
        for stage in STAGES:
            one = stages[str(stage)]
            answers, misses, median = one["answers"], one["misses"], one["median"]
            cells.append(Cell("–", tone="quiet") if not answers else
                         Cell(f"{answers} answers" + (f", {misses} missed" if misses else "")
                              + (f", {_ms(median)}" if median is not None else ""), tone="warn" if misses else "plain"))
        rows.append(cells)
    return table("The hypothesis", ("probe", "before", "during", "after"), rows, empty="no probe was asked")


_MOST_POINTS = 240


def picture(run: Run) -> Chart:
    """How long the slowest probe took to answer, over the run, with the faults as marks. A gap is an answer missed."""
    started = run.started
    if started is None or len(run.samples) < 2:
        return Chart("Answers over time", (), (), "ms", empty="there are not enough answers to draw")
    end = max(sample.at for sample in run.samples)
    width = max(end / _MOST_POINTS, 1e-3)
    slots = {slot: list(found) for slot, found in groupby(
        sorted(run.samples, key=lambda sample: sample.at), key=lambda sample: int(sample.at / width))}
    times = tuple(started + timedelta(seconds=slot * width) for slot in slots)
    values = tuple(None if any(not sample.ok for sample in found) else max(sample.seconds for sample in found) * 1000
                   for found in slots.values())
    marks = [Mark(fault.applied, f"{fault.kind} {share_words(fault.share)}", "warn", until=fault.removed)
             for fault in run.faults if fault.applied is not None]
    marks += [Mark(one.at, one.text, "bad") for one in run.breaches]
    missed = sum(not sample.ok for sample in run.samples)
    title = f"Answers over time: {len(run.samples)} answers, {missed} missed"
    shown = any(value is not None for value in values)
    return Chart(title, times, (Line("slowest answer", values),) if shown else (), "ms", marks=tuple(marks),
                 empty="" if shown else "every answer was missed")


def timeline(run: Run) -> Timeline:
    """What happened, in order."""
    entries: list[tuple[datetime, str, Tone]] = []
    if run.started is not None:
        entries.append((run.started, "started", "quiet"))
    for fault in run.faults:
        on = f"{fault.kind} on {_whose(fault.workload, fault.dependency)}"
        entries.append((fault.intended, f"{on}: intent written down", "quiet"))
        if fault.applied is not None:
            entries.append((fault.applied, f"{on}: proven to be in effect", "warn"))
        if fault.removed is not None and fault.applied is not None:
            entries.append((fault.removed, f"{on}: proven to be gone", "plain"))
    entries += [(one.at, f"{one.stage}: {one.text}", "bad") for one in run.breaches]
    entries += [(one.at, f"stopped: {one.text}", "strong") for one in run.stops if one.what not in (BREACH, *FAULT)]
    if run.ended is not None:
        entries.append((run.ended, str(run.status), TONES[run.status]))
    order = {text: index for index, (_, text, _) in enumerate(entries)}
    entries.sort(key=lambda one: (one[0], order[one[1]]))
    return Timeline(tuple(Entry(at, text, tone) for at, text, tone in entries), "What happened")


def by_hand(run: Run, steps: Sequence[str]) -> Iterator[Block]:
    """What people do where a fault did not come out."""
    if any(fault.removed is None for fault in run.faults) and run.ended is not None:
        yield Text("Take out what is left: mainstay chaos recover" + ("" if not steps else ", then by hand:"), "bad")
        if steps:
            yield Pairs(tuple((f"{number}.", (Cell(step),)) for number, step in enumerate(steps, 1)))
