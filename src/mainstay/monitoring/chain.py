"""PromQL chained from two sums: the names that the rules record, and every window as Σbad / Σtotal over them.

Rules, dashboards, queries and the live page all speak through this room, so that they name the same series.

`BAD` and `TOTAL` are recorded every half minute and hold five minutes each, so neighbours overlap. A window is made of
those that do not: every fifth minute. For the hour, in which a page must not wait for the next fifth minute, the rules
put twelve of them together backwards from now (`HOUR_BAD`, `HOUR_TOTAL`); see docs/decisions/0014.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from mainstay.kernel.quantity import SLOT, Target, plain, short_duration

BAD = "slo:bad:sum5m"
"""Bad events of the last five minutes, by `slo`, `service` and the groups of the alerting."""
TOTAL = "slo:total:sum5m"
"""Events of the last five minutes; present whenever the objective has data."""
HOUR_BAD = "slo:bad:sum1h"
"""Bad events of the last hour, to the second."""
HOUR_TOTAL = "slo:total:sum1h"
"""Events of the last hour, to the second."""
LEFT = "slo:budget_left:ratio"
"""Share of the budget left in the rolling window that the label `window` names; negative where overspent."""
INFO = "mainstay_slo_info"
"""1, with what the objective is as labels: slo, service, target, window, owner."""
SLO_LABEL, SERVICE_LABEL, TIER_LABEL, SEVERITY_LABEL = "slo", "service", "tier", "severity"

SLOT_LENGTH = timedelta(seconds=SLOT)
_HOUR = timedelta(hours=1)
_MOST_PIECES = 12


def selector(labels: Mapping[str, str]) -> str:
    """`{slo="checkout"}`: matchers in the given order, values escaped; a value that starts with `$` is a variable of a
    dashboard and is matched as a regular expression.
    """
    return "{" + ",".join(f'{name}{"=~" if value.startswith("$") else "="}{_escaped(value)}'
                          for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def slots(window: timedelta, step: timedelta = SLOT_LENGTH) -> str:
    """The range of a sub-query that sees the window in steps, each step once: `29d23h59m59s999ms:5m`.

    A millisecond shorter than the window: ranges of Prometheus 2 include their left end, so that `[30d:5m]` asked at a
    full five minutes would see 8,641 steps there and 8,640 in Prometheus 3.
    """
    seconds = int(window.total_seconds()) - 1
    parts = [f"{seconds // 86400}d", f"{seconds // 3600 % 24}h", f"{seconds // 60 % 60}m", f"{seconds % 60}s"]
    return "".join(part for part in parts if part[:-1] != "0") + f"999ms:{short_duration(step)}"


def _summed(series: str, hour: str, labels: Mapping[str, str], window: timedelta) -> str:
    if window <= SLOT_LENGTH:
        return f"{series}{selector(labels)}"
    if window == _HOUR:
        return f"{hour}{selector(labels)}"
    return f"sum_over_time({series}{selector(labels)}[{slots(window)}])"


def bad_sum(labels: Mapping[str, str], window: timedelta) -> str:
    """Bad events of the window, one value per group; of windows other than five minutes and an hour, up to the last
    full five minutes.
    """
    return _summed(BAD, HOUR_BAD, labels, window)


def total_sum(labels: Mapping[str, str], window: timedelta) -> str:
    """Events of the window, as `bad_sum`."""
    return _summed(TOTAL, HOUR_TOTAL, labels, window)


def sums(labels: Mapping[str, str], window: timedelta) -> tuple[str, str]:
    """`bad_sum` and `total_sum`."""
    return bad_sum(labels, window), total_sum(labels, window)


def bad_share(labels: Mapping[str, str], window: timedelta) -> str:
    """Share of bad events in the window that ends now, one value per group; absent where nothing was counted."""
    return f"({bad_sum(labels, window)} / ({total_sum(labels, window)} > 0))"


def burn(labels: Mapping[str, str], window: timedelta, target: Target) -> str:
    """Burn rate of the window that ends now: 1 spends the budget in exactly the objective's window."""
    return f"{bad_share(labels, window)} / {plain(target.budget)}"


def remaining(labels: Mapping[str, str], window: timedelta, target: Target) -> str:
    """Share of the budget left in the window that ends now; negative where overspent."""
    return f"1 - {burn(labels, window, target)}"


# -- windows to the second, for alerts ------------------------------------------------------------------------------


def put_together(series: str, labels: Mapping[str, str], piece: timedelta, count: int) -> str:
    """The sum of `count` neighbouring pieces backwards from now, whichever of them are there.

    A plain sum would be empty as soon as one is missing, and a sub-query would start at the last full five minutes,
    up to five minutes after a trouble began.
    """
    chosen = f"{series}{selector(labels)}"
    if count == 1:
        return chosen
    lines = [chosen]
    lines += (f'or label_replace({chosen} offset {short_duration(piece * back)}, "back", "{back}", "", "")'
              for back in range(1, count))
    return "sum without (back) (\n  " + "\n  ".join(lines) + "\n)"


def exact(labels: Mapping[str, str], window: timedelta) -> tuple[str, str]:
    """Bad and total of the window that ends now, to the second where it is put together of at most twelve pieces."""
    for piece, bad, total in ((SLOT_LENGTH, BAD, TOTAL), (_HOUR, HOUR_BAD, HOUR_TOTAL)):
        count, rest = divmod(window, piece)
        if not rest and count <= (_MOST_PIECES - 1 if piece is SLOT_LENGTH else _MOST_PIECES):
            return put_together(bad, labels, piece, count), put_together(total, labels, piece, count)
    return sums(labels, window)
