"""Rules as Pyrra 0.10 records them: the same names, labels and expressions, so that a team switches with its history.

Source: Pyrra 0.10's documentation and the rules it publishes for its examples (Apache-2.0); facts, no code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.objective import Objective, resolved
from mainstay.kernel.quantity import plain
from mainstay.monitoring.exchange.promql import Matcher, Selector, go_duration
from mainstay.monitoring.exchange.pyrra_model import PyrraSlo, absent_after, burn_windows, pyrra_slos
from mainstay.monitoring.rulefile import AlertRule, RecordingRule, Rule, RuleFile, RuleGroup, object_name
from mainstay.monitoring.spec import Alerting

_HALF_MINUTE = timedelta(seconds=30)
_FIVE = timedelta(minutes=5)
_SUFFIXES = ("_total", "_count")


def pyrra_style(pairs: Sequence[tuple[Objective, Alerting]], catalog: Catalog) -> Sequence[RuleFile]:
    """Pyrra's rules with its generic ones, a file for each objective; one that Pyrra cannot say has none."""
    inline = [(replace(one, indicator=resolved(one, catalog)), alerting) for one, alerting in pairs]
    return tuple(RuleFile(object_name(slo.name), slo_groups(slo)) for slo in pyrra_slos(inline)[0])


def slo_groups(slo: PyrraSlo) -> tuple[RuleGroup, ...]:
    """Increases over the window, burn rates with their alerts, and what is said about the objective; an objective that
    is told apart by labels has no such summary.
    """
    made = _Maker(slo)
    groups = [RuleGroup(f"{slo.name}-increase", tuple(made.increases()), _increase_interval(slo.window)),
              RuleGroup(slo.name, (*made.burn_rates(), *made.burn_alerts()), _HALF_MINUTE)]
    if not slo.grouping or slo.kind == "latencyNative":
        groups.append(RuleGroup(f"{slo.name}-generic", tuple(made.summary()), _HALF_MINUTE))
    return tuple(groups)


def _increase_interval(window: timedelta) -> timedelta:
    """Half a minute, and half a minute more for every week up to eight."""
    return min(7, max(0, window // timedelta(weeks=1))) * _HALF_MINUTE + _HALF_MINUTE


def _trimmed(metric: str, suffixes: Iterable[str]) -> str:
    for suffix in suffixes:
        metric = metric.removesuffix(suffix)
    return metric


def _increase_name(metric: str, window: timedelta) -> str:
    return f"{_trimmed(metric, (*_SUFFIXES, '_bucket'))}:increase{go_duration(window)}"


def _sum_by(groups: Iterable[str], inside: str) -> str:
    names = ", ".join(sorted(groups))
    return f"sum by ({names}) ({inside})" if names else f"sum({inside})"


def _sorted(labels: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(labels.items()))


def _le(selector: Selector) -> str:
    return next((one.value for one in selector.matchers if one.label == "le"), "")


@dataclass(frozen=True, slots=True)
class _Maker:
    """The rules of one objective."""

    slo: PyrraSlo

    # -- what all rules share ----------------------------------------------------------------------------------------

    def _labels(self, left_out: Iterable[str] = (), **more: str) -> dict[str, str]:
        """The objective's labels and those that the total is selected by, but for what the value itself carries."""
        slo = self.slo
        equal = {one.label: one.value for one in slo.total.matchers if one.operator == "="}
        kept = {name: value for name, value in {"slo": slo.name, **slo.labels, **equal}.items()
                if name not in set(left_out)}
        return _sorted(kept | more)

    @property
    def _seconds(self) -> str:
        assert self.slo.latency is not None, "a native histogram is judged at a latency"
        return plain(Decimal(self.slo.latency // timedelta(microseconds=1)).scaleb(-6))

    @property
    def _other(self) -> Selector:
        assert self.slo.other is not None, "a ratio has errors, a latency successes"
        return self.slo.other

    # -- increases ---------------------------------------------------------------------------------------------------

    def increases(self) -> Iterator[Rule]:
        """What was counted over the window, and the alerts on metrics that are absent."""
        slo = self.slo
        groups = self._increase_groups()
        labels = self._labels(groups)
        match slo.kind:
            case "ratio":
                yield self._increase(slo.total, groups, labels)
                yield from self._absent(slo.total, labels)
                if slo.total.metric != self._other.metric:
                    yield self._increase(self._other, groups, labels)
                    yield from self._absent(self._other, labels)
            case "latency":
                bucket = _sorted({"le": _le(self._other), **labels})
                yield self._increase(slo.total, groups, labels)
                yield self._increase(self._other, groups, bucket)
                yield from self._absent(slo.total, labels)
                yield from self._absent(self._other, bucket)
            case "latencyNative":
                counted = _sum_by(slo.grouping, f"increase({slo.total}[{go_duration(slo.window)}])")
                record = _increase_name(slo.total.metric, slo.window)
                own = self._labels()
                yield RecordingRule(record, f"histogram_count({counted})", own, slo.name)
                yield RecordingRule(record, f"histogram_fraction(0, {self._seconds}, {counted}) * "
                                    f"histogram_count({counted})", _sorted({**own, "le": self._seconds}), slo.name)
            case "bool_gauge":
                for what, function in (("count", "count_over_time"), ("sum", "sum_over_time")):
                    window = go_duration(slo.window)
                    yield RecordingRule(f"{slo.total.metric}:{what}{window}",
                                        _sum_by(groups, f"{function}({slo.total}[{window}])"), labels, slo.name)
                yield from self._absent(slo.total, labels)

    def _increase_groups(self) -> set[str]:
        """The labels that an increase keeps: those asked for, those that tell errors apart, those matched loosely."""
        slo = self.slo
        groups = set(slo.grouping)
        if slo.kind == "bool_gauge":
            return groups | {"__name__"} | {one.label for one in slo.total.matchers}
        if slo.other is not None:
            groups |= {one.label for one in slo.other.matchers} - {one.label for one in slo.total.matchers} - {"le"}
        return groups | {one.label for one in slo.total.matchers if one.operator in ("=~", "!~")}

    def _increase(self, selector: Selector, groups: Iterable[str], labels: Mapping[str, str]) -> RecordingRule:
        window = self.slo.window
        return RecordingRule(_increase_name(selector.metric, window),
                             _sum_by(groups, f"increase({selector}[{go_duration(window)}])"), labels, self.slo.name)

    def _absent(self, selector: Selector, labels: Mapping[str, str]) -> Iterator[AlertRule]:
        slo = self.slo
        if slo.absent_alert:
            yield AlertRule("SLOMetricAbsent", f"absent({selector}) == 1", absent_after(slo.window, slo.target),
                            _sorted({**labels, "severity": "critical"}), _sorted(slo.annotations), slo.name)

    # -- burn rates --------------------------------------------------------------------------------------------------

    def _burn_name(self, length: timedelta) -> str:
        return f"{_trimmed(self.slo.total.metric, _SUFFIXES)}:burnrate{go_duration(length)}"

    def burn_rates(self) -> Iterator[RecordingRule]:
        """The share of bad events over every window that an alert looks at."""
        windows = burn_windows(self.slo.window)
        for length in sorted({length for one in windows for length in (one.short, one.long)}):
            yield RecordingRule(self._burn_name(length), self._burn(go_duration(length)),
                                self._labels(self.slo.grouping), self.slo.name)

    def _burn(self, window: str) -> str:
        slo = self.slo

        def summed(function: str, selector: Selector) -> str:
            return _sum_by(slo.grouping, f"{function}({selector}[{window}])")

        match slo.kind:
            case "ratio":
                return f"{summed('rate', self._other)} / {summed('rate', slo.total)}"
            case "latency":
                total = summed("rate", slo.total)
                return f"({total} - {summed('rate', self._other)}) / {total}"
            case "latencyNative":
                return f"1 - histogram_fraction(0, {self._seconds}, {summed('rate', slo.total)})"
            case "bool_gauge":
                total = summed("count_over_time", slo.total)
                return f"({total} - {summed('sum_over_time', slo.total)}) / {total}"

    def burn_alerts(self) -> Iterator[AlertRule]:
        """Four alerts, each on a short and a long window."""
        slo = self.slo
        if not slo.burn_alerts:
            return
        selected = sorted([str(one) for one in slo.total.matchers
                           if one.label in slo.grouping or one.operator in ("=", "!=")]
                          + [str(Matcher("slo", "=", slo.name))])
        matchers, budget = ",".join(selected), f"(1-{plain(slo.target.ratio)})"
        for one in burn_windows(slo.window):
            both = [f"{self._burn_name(length)}{{{matchers}}} > ({one.factor} * {budget})"
                    for length in (one.short, one.long)]
            severity = slo.severities.get("page" if one.severity == "critical" else "ticket", one.severity)
            yield AlertRule(slo.alert_name or "ErrorBudgetBurn", " and ".join(both), one.hold, self._labels(
                slo.grouping, short=go_duration(one.short), long=go_duration(one.long), severity=severity,
                exhaustion=go_duration(timedelta(seconds=int(slo.window.total_seconds() / one.factor)))),
                _sorted(slo.annotations), slo.name)

    # -- summary -----------------------------------------------------------------------------------------------------

    def summary(self) -> Iterator[RecordingRule]:
        """Objective, window, availability, and what is asked and fails now, under names that all objectives share."""
        slo = self.slo
        labels = _sorted({"slo": slo.name, **slo.labels})
        records = {"pyrra_objective": plain(slo.target.ratio), "pyrra_window": str(slo.window // timedelta(seconds=1)),
                   **self._availability()}
        for record, expr in records.items():
            yield RecordingRule(record, expr, labels, slo.name)

    def _availability(self) -> dict[str, str]:
        slo = self.slo
        own = Matcher("slo", "=", slo.name)
        if slo.kind == "latencyNative":
            total = slo.total.named(_increase_name(slo.total.metric, slo.window), own)
            fast = total.named(total.metric, Matcher("le", "=", self._seconds))
            whole = total.named(total.metric, Matcher("le", "=", ""))
            return {"pyrra_availability": f"sum({fast} or vector(0)) / sum({whole})"}
        if slo.kind == "bool_gauge":
            window = go_duration(slo.window)
            total = slo.total.named(f"{slo.total.metric}:count{window}", own)
            good = slo.total.named(f"{slo.total.metric}:sum{window}", own)
            return {"pyrra_availability": f"sum({good}) / sum({total})", "pyrra_requests:rate5m": f"sum({total})",
                    "pyrra_errors:rate5m": f"sum({total}) - sum({good})"}
        other = self._other.named(_increase_name(self._other.metric, slo.window), own)
        now = f"sum(rate({slo.total}[{go_duration(_FIVE)}]))"
        rate = f"sum(rate({self._other}[{go_duration(_FIVE)}]))"
        name = _increase_name(slo.total.metric, slo.window)
        if slo.kind == "ratio":
            return {"pyrra_availability": f"1 - sum({other} or vector(0)) / sum({slo.total.named(name, own)})",
                    "pyrra_requests:rate5m": now, "pyrra_errors:rate5m": f"{rate} or vector(0)"}
        total = slo.total.named(name, Matcher("le", "=", ""), own)
        return {"pyrra_availability": f"sum({other} or vector(0)) / sum({total})",
                "pyrra_requests:rate5m": now, "pyrra_errors:rate5m": f"{now} - {rate}"}
