"""How a trial looks: apart from the other views, which know what a catalog declares and a trial does not."""

from __future__ import annotations

import math
import shlex
from datetime import datetime

from mainstay.kernel.quantity import Target, format_share
from mainstay.kernel.view import Block, Cell, Next, Pairs, Text, View, cells, state_cell, table
from mainstay.kernel.wording import count, span_words, target_digits
from mainstay.slo.trial import Trial


def trial_view(trial: Trial, *, rejects: bool) -> View:
    """What `slo try` shows."""
    target = Target.percent(round(trial.target * 100, 9))
    name = trial.files[0] if len(trial.files) == 1 else f"{len(trial.files)} files"
    read = f"{name} · {trial.format} · {trial.lines:,} lines: {trial.parsed:,} read, {trial.rejected:,} rejected"
    if trial.rejected and not rejects:
        read += " (--rejects shows them)" if trial.rejected > 1 else " (--rejects shows it)"
    if trial.repeated:
        read += f", {trial.repeated:,} repeated"
    if trial.left_out:
        read += f", {trial.left_out:,} left out"
    allowed = trial.total * float(target.budget)
    left = allowed - trial.bad
    word = "failure" if _failures(allowed) == "1" else "failures"
    over = round(trial.bad - allowed, 1)
    says = f"{_failures(left)} of {_failures(allowed)} {word} left" if left >= 0 else \
        f"{count(over)} {'failure' if over == 1 else 'failures'} too many"
    rows: list[tuple[str, tuple[Cell, ...]]] = [
        ("availability", cells(format_share(trial.sli, digits=target_digits(target) + 1), f"target {target}",
                               state_cell(trial.status))),
        ("budget", cells(Cell(f"{trial.consumption_percent:,.1f} % spent, {says}",
                              bar=trial.consumption_percent / 100))),
    ]
    worst = max(trial.by_day, key=lambda day: day.bad / day.total)
    if worst.bad and len(trial.by_day) > 1:
        day = datetime.fromisoformat(worst.day)
        rows.append(("worst day", cells(f"{day:%-d %b}, {worst.bad / worst.total * 100:.3f} % "
                                        f"({count(worst.bad)} of {count(worst.total)})")))
    if trial.latency is not None:
        rows += _latency_rows(trial, target)
    blocks: list[Block] = [Text(f"{read}\n{span_words(trial.first, trial.last)}"), Pairs(tuple(rows))]
    if trial.top_spenders:
        width = max(len(count(one.bad)) for one in trial.top_spenders)
        blocks.append(Pairs(tuple(("spent by" if index == 0 else "", cells(f"{count(one.bad):>{width}}×  {one.key}"))
                                  for index, one in enumerate(trial.top_spenders))))
    if rejects and trial.rejected_samples:
        blocks.append(table("Rejected lines", ("line>", "why", "text"),
                            [(f"{one.line:,}", one.reason, one.text) for one in trial.rejected_samples]))
    if allowed < 1:
        needed = math.ceil(1 / float(target.budget) - 1e-9)
        blocks.append(Text(f"{count(trial.total)} events are few for {target}: "
                           f"{count(needed)} are needed for one failure to be allowed", "quiet"))
    blocks.append(Next(_next_of(trial)))
    return View("", tuple(blocks))


def _next_of(trial: Trial) -> tuple[str, ...]:
    """Commands on the same files that can be pasted as they are; nothing for standard input, which is used up."""
    if "-" in trial.files:
        return ("mainstay slo downtime",)
    files = [shlex.quote(file) for file in trial.files]
    hints = (f"mainstay slo try {' '.join(files)} --latency 300ms",) if one_needs_threshold(trial) else ()
    return (*hints, "mainstay slo suggest " + " ".join(f"--from {file}" for file in files))


def one_needs_threshold(trial: Trial) -> bool:
    """Whether the files hold durations that nobody asked to judge."""
    return trial.latency is not None and trial.latency.threshold_ms is None


def _failures(number: float) -> str:
    """Failures that may happen, whole; below one the tenth tells something."""
    return f"{number:,.0f}" if number >= 1 else f"{number:.1f}"


def _latency_rows(trial: Trial, target: Target) -> list[tuple[str, tuple[Cell, ...]]]:
    one = trial.latency
    assert one is not None
    percentiles = f"p50 {_ms(one.p50_ms)} · p95 {_ms(one.p95_ms)} · p99 {_ms(one.p99_ms)}"
    if one.sli is None or one.threshold_ms is None or one.good is None:
        return [("latency", cells(percentiles))]
    slow = one.total - one.good
    spent = slow / one.total / float(target.budget)
    return [("latency", cells(format_share(one.sli, target), f"within {_ms(one.threshold_ms)}", percentiles)),
            ("", cells(Cell(f"{count(slow)} of {count(one.total)} slower: {spent * 100:,.1f} % of the budget",
                            bar=spent)))]


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"
