"""PromQL that answers what objectives ask: from the two sums that rules record, or from Mainstay's own gauges.

Both answer with one series an objective, labelled `service` and the objective's name. Objectives of one target and
window share an expression, so a service with hundreds of them is still asked a handful of questions. Every number in
an expression is an exact decimal: budgets are known when the dashboard is made, not read back from a metric.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Protocol

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import plain, short_duration
from mainstay.monitoring.chain import LEFT, SERVICE_LABEL, SLO_LABEL, TOTAL, bad_sum, selector, total_sum
from mainstay.monitoring.dashboards.watched import Watched
from mainstay.stats.compliance import BURN_WINDOWS


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose series are asked for.

    Args:
        labels: matchers by label; a value that starts with `$` is a variable of the dashboard.
        names: only these objectives; empty leaves the choice to the labels.
    """

    labels: Mapping[str, str]
    names: tuple[str, ...] = ()


class Readings(Protocol):
    """Where an objective's figures are read. Every answer is PromQL, with one series an objective (or group)."""

    @property
    def label(self) -> str:
        """The label that names the objective."""
        ...

    @property
    def grouped(self) -> bool:
        """Whether groups of an objective are told apart."""
        ...

    def knows(self, window: timedelta) -> bool:
        """Whether burn over that window can be read."""
        ...

    def sli(self, watched: Sequence[Watched], scope: Scope) -> str:
        """Share of good events in the objective's window."""
        ...

    def target(self, watched: Sequence[Watched], scope: Scope) -> str:
        """What is promised."""
        ...

    def left(self, watched: Sequence[Watched], scope: Scope, by: Sequence[str] = ()) -> str:
        """Share of the budget left in the objective's window; negative when overspent."""
        ...

    def burn(self, watched: Sequence[Watched], scope: Scope, window: timedelta, by: Sequence[str] = ()) -> str:
        """Burn rate of the window that ends now."""
        ...

    def bound(self, scope: Scope, factor: Decimal) -> str:
        """The factor as a line, wherever the objective has data."""
        ...


def exhaustion(readings: Readings, watched: Sequence[Watched], scope: Scope) -> str:
    """Seconds until the budget is spent at the burn of the last hour; absent where that burn spends no more than
    allowed. Left x window / burn: a full budget of 30 days lasts 30 days at a burn of 1, and 50 hours at 14.4.
    """
    parts = []
    for window, members in _apart(watched, lambda one: one.window).items():
        burning = readings.burn(members, scope, timedelta(hours=1))
        parts.append(f"clamp_min({readings.left(members, scope)}, 0) * {_seconds(window)}\n/ ({burning} > 1)")
    return either(parts)


def either(parts: Sequence[str]) -> str:
    """Expressions that answer for different objectives as one."""
    return parts[0] if len(parts) == 1 else "\nor\n".join(f"({part})" for part in parts)


def _seconds(length: timedelta) -> str:
    return plain(Decimal(length // timedelta(seconds=1)))


def _apart(watched: Sequence[Watched], by: Callable[[Watched], timedelta]) -> dict[timedelta, list[Watched]]:
    found: dict[timedelta, list[Watched]] = {}
    for one in watched:
        found.setdefault(by(one), []).append(one)
    return found


_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def _names(label: str, names: Sequence[str]) -> str:
    """`slo=~"a|b"`: a matcher for exactly these names."""
    pattern = "|".join(_SPECIAL.sub(lambda found: "\\" + found[0], name) for name in names)
    return f'{label}=~"{pattern}"'.replace("\\", "\\\\")


def chosen(scope: Scope, label: str, *more: str) -> str:
    """The matchers of the scope, and more of them."""
    matchers = [selector(scope.labels)[1:-1], _names(label, scope.names) if scope.names else "", *more]
    return "{" + ",".join(one for one in matchers if one) + "}"


@dataclass(frozen=True, slots=True)
class Recorded:
    """From the two sums that Mainstay's rules record (`monitoring rules`)."""

    label: str = SLO_LABEL
    grouped: bool = True

    def knows(self, window: timedelta) -> bool:
        """The sums answer for every window."""
        return window.total_seconds() >= 300

    def share(self, window: timedelta, matchers: str, by: Sequence[str] = ()) -> str:
        """Share of bad events in the window that ends now: Σbad / Σtotal, over all groups or each by itself."""
        kept = self._kept(by)
        bad, total = (one.replace("{}", matchers) for one in (bad_sum({}, window), total_sum({}, window)))
        return f"{kept} ({bad})\n/ ({kept} ({total}) > 0)"

    def _kept(self, by: Sequence[str]) -> str:
        return f"sum by ({', '.join((SERVICE_LABEL, SLO_LABEL, *by))})"

    def _each(self, watched: Sequence[Watched], scope: Scope, key: Callable[[Watched], Hashable],
              expression: Callable[[Watched, str], str]) -> str:
        """One expression for the objectives that are alike in the key; a single kind needs no names in its matchers."""
        kinds: dict[Hashable, list[Watched]] = {}
        for one in watched:
            kinds.setdefault(key(one), []).append(one)
        parts = []
        for members in kinds.values():
            names = tuple(one.name for one in members) if len(kinds) > 1 else scope.names
            parts.append(expression(members[0], chosen(Scope(scope.labels, names), self.label)))
        return either(parts)

    def sli(self, watched: Sequence[Watched], scope: Scope) -> str:
        """1 - Σbad / Σtotal: worked back from what the rules record of the budget, where they do."""
        def one_kind(one: Watched, matchers: str) -> str:
            if _is_recorded(one, ()):
                return f"1 - (1 - {self._recorded_left(one, matchers, ())}) * {plain(one.target.budget)}"
            return f"1 - {self.share(one.window, matchers)}"

        return self._each(watched, scope, lambda one: (one.window, one.target if _is_recorded(one, ()) else None),
                          one_kind)

    def target(self, watched: Sequence[Watched], scope: Scope) -> str:
        """The target as it was declared, wherever the objective has data."""
        return self._each(watched, scope, lambda one: one.target,
                          lambda one, matchers: self._present(matchers, one.target.ratio))

    def left(self, watched: Sequence[Watched], scope: Scope, by: Sequence[str] = ()) -> str:
        """What the rules record: 1 - burn over the whole window; worked out here for calendar windows, of which they
        record nothing, and for an objective as a whole whose rules speak of each group.
        """
        def one_kind(one: Watched, matchers: str) -> str:
            if _is_recorded(one, by):
                return self._recorded_left(one, matchers, by)
            return f"1 - {self.share(one.window, matchers, by)} / {plain(one.target.budget)}"

        return self._each(with_budget(watched), scope,
                          lambda one: (one.window, None if _is_recorded(one, by) else one.target), one_kind)

    def _recorded_left(self, one: Watched, matchers: str, by: Sequence[str]) -> str:
        inside = f'{matchers[:-1]}{"," if len(matchers) > 2 else ""}window="{short_duration(one.window)}"}}'
        return f"max by ({', '.join((SERVICE_LABEL, SLO_LABEL, *by))}) ({LEFT}{inside})"

    def burn(self, watched: Sequence[Watched], scope: Scope, window: timedelta, by: Sequence[str] = ()) -> str:
        """Σbad / Σtotal / (1 - target)."""
        return self._each(with_budget(watched), scope, lambda one: one.target, lambda one, matchers:
                          f"{self.share(window, matchers, by)} / {plain(one.target.budget)}")

    def bound(self, scope: Scope, factor: Decimal) -> str:
        """The factor wherever the total is there."""
        return self._present(chosen(scope, self.label), factor)

    def _present(self, matchers: str, value: Decimal) -> str:
        return f"group by ({SERVICE_LABEL}, {SLO_LABEL}) ({TOTAL}{matchers}) * {plain(value)}"


@dataclass(frozen=True, slots=True)
class Gauges:
    """From the gauges that Mainstay's server has at /metrics, also for what no Prometheus counts."""

    label: str = "objective"
    grouped: bool = False

    def knows(self, window: timedelta) -> bool:
        """Only the windows that Mainstay exports."""
        return window in BURN_WINDOWS.values()

    def read(self, name: str, scope: Scope, more: str = "") -> str:
        """A gauge by objective: `max`, since two Mainstays that are scraped say the same."""
        return f"max by ({SERVICE_LABEL}, {self.label}) (mainstay_slo_{name}{chosen(scope, self.label, more)})"

    def sli(self, watched: Sequence[Watched], scope: Scope) -> str:  # noqa: ARG002  (as the others)
        """As measured by Mainstay, in the objective's true window."""
        return self.read("sli_ratio", scope)

    def target(self, watched: Sequence[Watched], scope: Scope) -> str:  # noqa: ARG002
        """As declared."""
        return self.read("objective_ratio", scope)

    def left(self, watched: Sequence[Watched], scope: Scope, by: Sequence[str] = ()) -> str:  # noqa: ARG002
        """As measured by Mainstay, planned work left out."""
        return self.read("error_budget_remaining_ratio", scope)

    def burn(self, watched: Sequence[Watched], scope: Scope, window: timedelta,  # noqa: ARG002
             by: Sequence[str] = ()) -> str:  # noqa: ARG002
        """As measured by Mainstay."""
        name = next(name for name, length in BURN_WINDOWS.items() if length == window)
        return self.read("burn_rate", scope, f'window="{name}"')

    def bound(self, scope: Scope, factor: Decimal) -> str:
        """The factor wherever the objective is declared."""
        return f"{self.read('objective_ratio', scope)} * 0 + {plain(factor)}"


def with_budget(watched: Sequence[Watched]) -> Sequence[Watched]:
    """The objectives that leave a budget: those of 100 % have none to be spent."""
    return [one for one in watched if one.target.budget]


def _is_recorded(one: Watched, by: Sequence[str]) -> bool:
    """Whether the rules record what is left of it, by these labels."""
    return not one.trailing and set(one.groups) == set(by)
