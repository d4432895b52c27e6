"""The degradation matrix as people see it. Pure: knows no terminal and no HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mainstay.chaos.catalogue import Bounds, Measurement, Row, mitigations
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import SIGNS, Block, Cell, Next, Table, Text, Tone, View, table
from mainstay.kernel.wording import many

WORDS = {"unaffected": "unaffected", "degraded": "degraded", "fails-fast": "fails fast", "hangs": "hangs",
         "cascades": "cascades", "unknown": "not known"}
"""The verdicts as people say them."""

TONES: dict[str, Tone] = {"healthy": "good", "at_risk": "warn", "violated": "bad", "no_data": "quiet"}


class Planned(Protocol):
    """A case that would be measured."""

    @property
    def case(self) -> str:
        """`cache down`."""
        ...

    @property
    def faults(self) -> tuple[str, ...]:
        """What would be put in."""
        ...

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why it would not be started."""
        ...


class Answered(Protocol):
    """The result of `chaos matrix`."""

    @property
    def measured(self) -> Measurement | None:
        """None for a dry run."""
        ...

    @property
    def planned(self) -> Sequence[Planned]:
        """Of a dry run."""
        ...

    @property
    def requests(self) -> tuple[str, ...]:
        """What would be sent."""
        ...

    @property
    def seconds(self) -> float:
        """How long it takes, about."""
        ...

    @property
    def pairs(self) -> int:
        """Of all pairs that there are."""
        ...


def matrix_view(found: Answered) -> View:
    """The matrix, or what measuring it would take."""
    return _planned_view(found) if found.measured is None else measured_view(found.measured)


def _planned_view(found: Answered) -> View:
    refused = sum(bool(one.refusals) for one in found.planned)
    verdict = f"{many(len(found.planned), 'case')} would be measured in about {format_duration(found.seconds)}." \
        if not refused else f"{refused} of {many(len(found.planned), 'case')} would be refused."
    paired = sum(" + " in one.case for one in found.planned)
    return View("Degradation matrix, dry run", (
        Text(f"requests: {', '.join(found.requests)}", "quiet"),
        *((Text(f"{paired} of {found.pairs} pairs, drawn by the seed; --most takes more", "quiet"),)
          if found.pairs else ()), Text(verdict, "bad" if refused else "strong"),
        table("", ("case", "what is put in", "refused because"), [
            (one.case, "; ".join(one.faults), Cell("; ".join(one.refusals), "bad")) for one in found.planned]),
        Next(("mainstay chaos matrix",) if not refused else ("mainstay chaos doctor",))))


def measured_view(found: Measurement) -> View:
    """What was read, the verdict, the matrix, what is broken, what is worse together, what to set."""
    blocks: list[Block] = [Text(
        f"measured {found.at:%-d %b %Y %H:%M} UTC · {format_duration(found.seconds)} each, {found.rate:g} requests a "
        f"second of each, callers wait {format_duration(found.patience)}", "quiet"), Text(*verdict(found))]
    if found.stopped:
        blocks.append(Text(found.stopped, "warn"))
    if found.pairs:
        blocks.append(Text(pairs_words(found), "quiet"))
    blocks.append(grid(found.rows))
    blocks += [Text(f"{one.workload} {one.probe}, {one.case}: {one.broken}", "bad") for one in found.broken]
    if found.worse or found.paired:
        blocks.append(table("Worse together", ("workload", "request", "case", "alone", "together"), [
            (one.workload, one.probe, one.case, WORDS[one.alone], WORDS[one.together]) for one in found.worse],
            empty="no two troubles are worse together than the worse of them alone"))
    if helps := _helps(found.rows):
        blocks.append(helps)
    blocks.append(advice_table(found))
    blocks.append(Next(("mainstay chaos matrix --last --json", "mainstay chaos list")))
    return View("Degradation matrix", tuple(blocks))


def pairs_words(found: Measurement) -> str:
    """How many of the pairs that there are were put in; nobody shall take those that were not for harmless."""
    return f"{found.paired} of {found.pairs} pairs of troubles, drawn by seed {found.seed}" + (
        "; the others were not looked at" if found.paired < found.pairs else "")


def verdict(found: Measurement) -> tuple[str, Tone]:
    """The finding in a sentence."""
    bad = [one for one in found.rows if one.verdict in ("hangs", "cascades")]
    broken, unknown = found.broken, [one for one in found.rows if one.verdict == "unknown"]
    parts = [f"{many(len(found.rows), 'cell')}"]
    parts += [f"{many(len(broken), 'promise')} broken"] if broken else []
    parts += [f"{len(bad)} hang or cascade"] if bad else []
    parts += [f"{len(unknown)} not known"] if unknown else []
    if not bad and not broken:
        parts.append("nothing hangs or cascades, and no promise is broken")
    return ": ".join((parts[0], ", ".join(parts[1:]))) + ".", "bad" if bad or broken else "strong"


def verdict_cell(one: Row) -> Cell:
    """The verdict with the sign and colour of its state, and what became of the promise."""
    sign, _ = SIGNS[one.state]
    promise = {"kept": ", as promised", "broken": ", not as promised", "undecided": ", promise undecided"}
    return Cell(f"{sign} {WORDS[one.verdict]}{promise.get(one.contract, '')}", TONES[one.state])


def grid(rows: Sequence[Row]) -> Table:
    """A row for each cell."""
    return table("", ("workload", "request", "when", "what becomes of it", "errors>", "p99>", "requests>", "why"), [
        (one.workload, one.probe, one.case, verdict_cell(one), share_words(one.errors), time_words(one.p99),
         f"{one.requests}", Cell(one.why, "quiet")) for one in rows], empty="nothing was measured")


def share_words(bounds: Bounds | None) -> str:
    """`12 % (8–17)`."""
    if bounds is None or bounds.value is None:
        return "–"
    high = 1.0 if bounds.high is None else bounds.high
    return f"{bounds.value * 100:.0f} % ({bounds.low * 100:.0f}–{high * 100:.0f})"


def time_words(bounds: Bounds | None) -> str:
    """`120 ms (100–…)`; a value that is not known was longer than anybody waited."""
    if bounds is None:
        return "–"
    value = "no answer" if bounds.value is None else format_duration(bounds.value)
    high = "…" if bounds.high is None else format_duration(bounds.high)
    return f"{value} ({format_duration(bounds.low)} to {high})"


def _helps(rows: Sequence[Row]) -> Table | None:
    found: dict[str, list[str]] = {}
    for one in rows:
        if one.state in ("violated", "at_risk"):
            for text in mitigations(one.modes, one.verdict):
                found.setdefault(text, []).append(f"{one.workload} {one.probe}, {one.case}")
    if not found:
        return None
    return table("What helps", ("mitigation", "against"), [
        (text, "; ".join(dict.fromkeys(where))) for text, where in found.items()])


def advice_table(found: Measurement) -> Table:
    """Settings with their arithmetic."""
    return table("Settings worked out from the healthy requests", ("setting", "value>", "how"), [
        (one.what + ("" if one.sure else " (too few requests to be sure)"), _value(one.value, one.unit), one.how)
        for one in found.advice], empty="no dependency was asked anything itself; give its Workload requests:")


def _value(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value * 100:g} %"
    return format_duration(value) if unit == "s" else f"{value:g} {unit}"
