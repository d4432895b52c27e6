"""Histories of alerts that are known exactly, and the series that a Prometheus' rules would have written of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stretch:
    """One time an alert was on, in epoch seconds on the grid of evaluations.

    Args:
        began: the first evaluation that found its condition true.
        ended: the first that found it false again.
        hold: seconds of `for`; a stretch that is shorter stays pending.
    """

    alertname: str
    began: int
    ended: int
    hold: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


def series(stretches: Iterable[Stretch], every: int = 60) -> str:
    """`ALERTS` and `ALERTS_FOR_STATE` as OpenMetrics text, one sample an evaluation (Prometheus, rules/alerting.go)."""
    samples: dict[str, list[tuple[int, float]]] = {}
    for one in stretches:
        said = ",".join(f'{name}="{value}"' for name, value in {"alertname": one.alertname, **one.labels}.items())
        for at in range(one.began, one.ended, every):
            state = "firing" if at - one.began >= one.hold else "pending"
            samples.setdefault(f'ALERTS{{{said},alertstate="{state}"}}', []).append((at, 1))
            samples.setdefault(f"ALERTS_FOR_STATE{{{said}}}", []).append((at, one.began))
    lines = []
    for metric in ("ALERTS", "ALERTS_FOR_STATE"):
        lines.append(f"# TYPE {metric} gauge")
        for name in sorted(samples):
            if name.startswith(metric + "{"):
                lines += [f"{name} {value} {at}" for at, value in sorted(samples[name])]
    return "\n".join(lines) + "\n# EOF\n"
