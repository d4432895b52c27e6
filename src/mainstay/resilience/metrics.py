"""The figures of strategies as a page for Prometheus, without a client library.

Source: Prometheus documentation, "Exposition formats", text format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable

from mainstay.resilience.strategy import Sample, Strategy

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HELP = {
    "resilience_events_total": "What strategies did, by event.",
    "resilience_breaker_state": "1 for the state that a breaker is in.",
    "resilience_breaker_calls_total": "Calls whose end a breaker counted.",
    "resilience_breaker_failed_calls_total": "Of them, those that failed.",
    "resilience_breaker_slow_calls_total": "Of them, those that were slow.",
    "resilience_breaker_window_calls": "Calls in the window of a breaker.",
    "resilience_breaker_window_failed_calls": "Of them, those that failed.",
    "resilience_breaker_window_slow_calls": "Of them, those that were slow.",
    "resilience_abandoned_calls": "Calls that still run in a thread though nobody waits for them.",
    "resilience_retry_budget_saved": "Retries that the budget would allow at once.",
    "resilience_bulkhead_running_calls": "Calls in a bulkhead.",
    "resilience_bulkhead_waiting_calls": "Calls that wait for a place.",
    "resilience_bulkhead_places": "Calls that may run at once.",
    "resilience_rate_limit_calls_per_second": "The rate that is allowed.",
    "resilience_adaptive_limit_calls": "Calls that may run at once at present.",
    "resilience_adaptive_limit_running_calls": "Calls that run under an adaptive limit.",
    "resilience_last_good_kept_answers": "Answers kept for when a call fails.",
}


def exposition(strategies: Iterable[Strategy]) -> str:
    """The metrics page of these strategies and of the parts of policies among them; each is shown once."""
    parts = {id(part): part for strategy in strategies for part in strategy.parts()}
    lines: dict[str, list[str]] = {}
    for part in parts.values():
        for sample in part.samples():
            lines.setdefault(sample.metric, []).append(_line(part, sample))
    page = []
    for metric, samples in sorted(lines.items()):
        kind = "counter" if metric.endswith("_total") else "gauge"
        meaning = _HELP.get(metric, "A figure of a strategy of this program's own.")
        page += [f"# HELP {metric} {meaning}", f"# TYPE {metric} {kind}", *samples]
    return "".join(f"{line}\n" for line in page)


def _line(part: Strategy, sample: Sample) -> str:
    labels = {"strategy": part.name, "kind": part.kind, **sample.labels}
    shown = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{sample.metric}{{{shown}}} {sample.value:.17g}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
