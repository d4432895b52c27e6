"""`slo export-metrics` and `slo recompute`: budgets as gauges, and the ledger held against its source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Batch, NewFact
from mainstay.kernel.objective import ledger_key, resolved
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span
from mainstay.kernel.series import floor_slot
from mainstay.kernel.view import Code, Next, Text, View, table
from mainstay.kernel.wording import many
from mainstay.slo.operations.measuring import request_for, slots_of, whole_slices
from mainstay.slo.operations.standings import choose, judge
from mainstay.slo.standing import Standing, windows_start

# -- export-metrics -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MetricsRequest:
    """Which objectives."""

    names: tuple[str, ...] = arg("objectives; all when none is named", (), positional=True)
    offline: bool = arg("answer from the ledger, without asking the sources", False)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Budgets in the Prometheus text format."""

    text: str


_STATES = ("healthy", "at_risk", "violated", "no_data")
_FAMILIES = (
    ("mainstay_slo_objective_ratio", "What is promised, as a share of good events."),
    ("mainstay_slo_sli_ratio", "Share of good events in the objective's window; absent without data."),
    ("mainstay_slo_error_budget_remaining_ratio", "Share of the error budget left; negative when overspent."),
    ("mainstay_slo_error_budget_consumed_ratio", "Share of the error budget spent."),
    ("mainstay_slo_burn_rate", "How many times faster than allowed the budget is spent, per window."),
    ("mainstay_slo_window_events", "Events counted in the objective's window."),
    ("mainstay_slo_status", "1 for the state the objective is in, 0 for the others."),
    ("mainstay_slo_changes_frozen", "1 while changes are frozen by the budget policy."),
    ("mainstay_slo_measured_until_timestamp_seconds", "End of the last measured slot."),
)


def metrics_text(standings: Sequence[Standing]) -> str:
    """Every budget as gauges, in the Prometheus text format. Unknown values are left out, never NaN."""
    samples: dict[str, list[str]] = {name: [] for name, _ in _FAMILIES}
    for one in standings:
        for name, labels, value in _samples(one):
            if value is None:
                continue
            shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in
                             (("objective", one.name), ("service", one.service), *labels))
            samples[name].append(f"{name}{{{shown}}} {_number(value)}")
    out = []
    for name, says in _FAMILIES:
        if samples[name]:
            out += [f"# HELP {name} {says}", f"# TYPE {name} gauge", *samples[name]]
    return "\n".join(out) + "\n" if out else ""


def _samples(one: Standing) -> Iterable[tuple[str, tuple[tuple[str, str], ...], float | None]]:
    window = (("window", one.window),)
    yield "mainstay_slo_objective_ratio", window, one.target
    yield "mainstay_slo_sli_ratio", window, one.sli
    spent = one.spent
    yield "mainstay_slo_error_budget_remaining_ratio", window, None if spent is None else 1 - spent
    yield "mainstay_slo_error_budget_consumed_ratio", window, spent
    for name, rate in one.burn_rates.items():
        yield "mainstay_slo_burn_rate", (("window", name),), rate
    yield "mainstay_slo_window_events", window, one.total
    for state in _STATES:
        yield "mainstay_slo_status", (("status", state),), float(one.status == state)
    yield "mainstay_slo_changes_frozen", (), float(one.frozen)
    until = one.measured_until
    yield "mainstay_slo_measured_until_timestamp_seconds", (), None if until is None else until.timestamp()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else "-Inf" if value == float("-inf") else repr(float(value))


def export_metrics(world: World, request: MetricsRequest) -> Metrics:
    """Print every budget as Prometheus gauges; the same text that the server has at /metrics."""
    judged = judge(world, choose(world, request.names), refresh=not request.offline, stale_ok=True)
    return Metrics(metrics_text([one.standing for one in judged]))


EXPORT_METRICS = Operation(
    "slo", "export-metrics", MetricsRequest, export_metrics, lambda found: View("Metrics", (Code(found.text),)),
    exit_codes=((0, "printed"), (2, "the catalog is wrong")),
    examples=("mainstay slo export-metrics", "mainstay slo export-metrics > /var/lib/node_exporter/mainstay.prom"))


# -- recompute ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecomputeRequest:
    """Which objectives, and whether to keep what differs."""

    names: tuple[str, ...] = arg("objectives; all when none is named", (), positional=True)
    dry_run: bool = arg("say what differs, and change nothing", False)


@dataclass(frozen=True, slots=True)
class Difference:
    """An objective read anew: slots compared, slots that differ, and the sums before and after."""

    name: str
    slots: int
    changed: int
    bad_before: float
    bad_after: float
    total_before: float
    total_after: float


@dataclass(frozen=True, slots=True)
class Recomputed:
    """The ledger held against its sources."""

    objectives: tuple[Difference, ...]
    kept: bool


def recompute(world: World, request: RecomputeRequest) -> Recomputed:
    """Read windows anew from their sources and correct the ledger where it differs."""
    now = world.clock.now()
    end = datetime.fromtimestamp(floor_slot(now), UTC)
    out = []
    for objective in choose(world, request.names):
        indicator = resolved(objective, world.catalog)
        if not indicator.source:
            continue
        key = ledger_key(indicator, objective.method)
        start = whole_slices(windows_start(objective, now), objective.method)
        world.progress(f"reading {objective.name} anew")
        reading = world.source(indicator.source).count([request_for(indicator, objective.method, Span(start, end))])[0]
        fresh = slots_of(indicator, objective.method, reading, Span(start, end))
        held = world.ledger.read([key], Span(start, end))[key]
        differs = fresh.known & ((fresh.bad != held.bad) | (fresh.total != held.total) | ~held.known)
        both = fresh.known
        out.append(Difference(objective.name, int(both.sum()), int(differs.sum()),
                              float(np.where(both, held.bad, 0).sum()), fresh.bad_sum,
                              float(np.where(both, held.total, 0).sum()), fresh.total_sum))
        if differs.any() and not request.dry_run:
            # The fact first: a run that ends in between is done again, and no figure ever changes unrecorded.
            world.journal.commit(Batch([NewFact(
                "slo.corrected", objective.name, now,
                {"slots": int(differs.sum()), "service": objective.service, "bad_before": out[-1].bad_before,
                 "bad_after": out[-1].bad_after, "since": start.isoformat(), "until": end.isoformat()},
                actor=world.actor)]))
            world.ledger.write({key: fresh}, now)
    return Recomputed(tuple(out), not request.dry_run)


def recomputed_view(found: Recomputed) -> View:
    """What differed."""
    changed = sum(one.changed for one in found.objectives)
    head = Text("The ledger equals its sources.", "good") if not changed else \
        Text(f"{many(changed, 'slot')} differed; "
             + ("corrected and recorded." if found.kept else "nothing was changed."), "warn")
    rows = [(one.name, f"{one.slots:,}", f"{one.changed:,}", f"{one.bad_before:,.0f} → {one.bad_after:,.0f}",
             f"{one.total_before:,.0f} → {one.total_after:,.0f}") for one in found.objectives]
    return View("Recomputed", (head, table("", ("objective", "slots>", "differ>", "bad>", "total>"), rows),
                               Next(("mainstay slo report",))))


RECOMPUTE = Operation(
    "slo", "recompute", RecomputeRequest, recompute, recomputed_view, scope="write",
    exit_codes=((0, "compared"), (2, "the catalog, a flag or a source is wrong")),
    examples=("mainstay slo recompute --dry-run", "mainstay slo recompute checkout-availability"))

