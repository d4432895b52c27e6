"""An objective as Sloth sees it: what its files and its rules are both written from.

Source: Sloth 0.16, pkg/common/model and the documentation of its specification (Apache-2.0); facts, no code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.objective import Indicator, Objective
from mainstay.kernel.ports import GaugeQuery, PromQuery
from mainstay.kernel.quantity import Target, plain
from mainstay.monitoring.alerts import filled_in
from mainstay.monitoring.exchange.form import Loss
from mainstay.monitoring.exchange.promql import WINDOW, counted, names_window, rates_as_counts
from mainstay.monitoring.exchange.said import rolling_length, unsaid, unsaid_alerting
from mainstay.monitoring.spec import Alerting, Extra
from mainstay.stats.budget import TIERS, Tier

TOOL = "Sloth"
SEVERITIES = ("page", "ticket")
PERIODS = (timedelta(days=28), timedelta(days=30))
"""Periods that Sloth knows without an AlertWindows file."""


@dataclass(frozen=True, slots=True)
class Events:
    """Errors and total; `$window` stands for the window."""

    error: str
    total: str


@dataclass(frozen=True, slots=True)
class Raw:
    """A share of errors."""

    ratio: str


@dataclass(frozen=True, slots=True)
class Alert:
    """The page or the ticket of an SLO, with all its labels and annotations."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SlothSlo:
    """One SLO.

    Args:
        objective: what it is called in the catalog.
        tiers: the windows of all four alerts; those of a severity that is off are still recorded.
        common: labels and annotations of both alerts.
        own: what the alert of a severity adds; a severity that is off is absent.
    """

    objective: str
    service: str
    name: str
    description: str
    target: Target
    period: timedelta
    sli: Events | Raw
    labels: Mapping[str, str]
    tiers: Mapping[str, tuple[Tier, ...]]
    alert_name: str
    common: Alert
    own: Mapping[str, Alert]

    @property
    def id(self) -> str:
        """`service-name`, by which Sloth's series are told apart."""
        return f"{self.service}-{self.name}"


def default_tiers(severity: str) -> tuple[Tier, ...]:
    """Sloth's own windows of that severity, which are the workbook's."""
    return tuple(tier for tier in TIERS if tier.severity == severity)


Pairs = Sequence[tuple[Objective, Alerting]]
"""Objectives, indicators inline, each with the alerting that is about it."""


def sloth_slos(pairs: Pairs) -> tuple[list[SlothSlo], list[Loss]]:
    """The objectives as Sloth's, and what of them Sloth cannot say."""
    slos: list[SlothSlo] = []
    losses: list[Loss] = []
    seen: set[str] = set()
    told: set[str] = set()
    for objective, alerting in pairs:
        sli = sloth_sli(objective, alerting.group_by)
        if isinstance(sli, str):
            losses.append(Loss(objective.name, f"not written: {sli}"))
            continue
        service = objective.service or "mainstay"
        name = _slo_name(objective, service)
        if f"{service}-{name}" in seen:
            name = objective.name
        seen.add(f"{service}-{name}")
        losses += unsaid(objective, TOOL, _SAID)
        if alerting.name not in told:
            told.add(alerting.name)
            losses += unsaid_alerting(alerting, TOOL, _SAID_OF_ALERTING)
            losses += _unsaid_tiers(alerting)
        if not objective.service:
            losses.append(Loss(f"{objective.name}: service", f'{TOOL} wants one; it is written as "{service}"'))
        slos.append(_slo(objective, alerting, service, name, sli))
    return slos, losses


_SAID = {"description", "labels", "service"}
_SAID_OF_ALERTING = {"group_by", "runbook", "labels", "annotations", "alert_name", "by_severity"}


def _unsaid_tiers(alerting: Alerting) -> list[Loss]:
    if alerting.tiers is None:
        return []
    out = []
    for severity in SEVERITIES:
        tiers = [tier for tier in alerting.tiers if tier.severity == severity]
        if len(tiers) not in (0, 2):
            out.append(Loss(f'alerting "{alerting.name}": tiers', f"{TOOL} has a quick and a slow window for each "
                            f"{severity}, not {len(tiers)}; its own are written"))
        out += [Loss(f'alerting "{alerting.name}": hold of the {severity} tier over {tier.long}',
                     f"{TOOL}'s alerts have no `for`")
                for tier in tiers if tier.hold and tier not in TIERS]
    return out


def _slo(objective: Objective, alerting: Alerting, service: str, name: str, sli: Events | Raw) -> SlothSlo:
    given = alerting.tiers if alerting.tiers is not None else TIERS
    tiers, own = {}, {}
    for severity in SEVERITIES:
        some = tuple(tier for tier in given if tier.severity == severity)
        tiers[severity] = some if len(some) == 2 else default_tiers(severity)
        if some:
            extra = alerting.by_severity.get(severity, Extra())
            own[severity] = Alert(extra.labels, _filled(extra.annotations, objective))
    annotations = _filled(alerting.annotations, objective)
    if alerting.runbook:
        annotations.setdefault("runbook_url", filled_in(alerting.runbook, objective))
    return SlothSlo(objective.name, service, name, objective.description, objective.target, rolling_length(objective),
                    sli, objective.labels, tiers, alerting.alert_name or _camel(objective.name),
                    Alert(alerting.labels, annotations), own)


def _filled(annotations: Mapping[str, str], objective: Objective) -> dict[str, str]:
    return {name: filled_in(text, objective) for name, text in annotations.items()}


def _camel(name: str) -> str:
    """`checkout-availability` as `CheckoutAvailability`."""
    return "".join(part[:1].upper() + part[1:] for part in name.replace("_", "-").replace(".", "-").split("-"))


def _slo_name(objective: Objective, service: str) -> str:
    """The objective's name within its service: Sloth's own series are told apart by `service-name`."""
    return objective.name.removeprefix(f"{service}-") or objective.name


# -- queries ----------------------------------------------------------------------------------------------------------


def sloth_sli(objective: Objective, groups: Sequence[str] = ()) -> Events | Raw | str:
    """What Sloth asks Prometheus for this objective, or why it cannot."""
    indicator = objective.indicator
    assert isinstance(indicator, Indicator), "objectives come with their indicators inline"
    if indicator.derived is not None:
        return f"{TOOL} has no throughput and no freshness"
    match indicator.total:
        case GaugeQuery() as gauge:
            return Raw(_share(gauge))
        case PromQuery() as total:
            if isinstance(indicator.bad, PromQuery):
                return Events(rate_of(indicator.bad, groups), rate_of(total, groups))
            if isinstance(indicator.good, PromQuery):
                return Events(f"(\n  {rate_of(total, groups)}\n  -\n  {rate_of(indicator.good, groups)}\n)",
                              rate_of(total, groups))
            return "the indicator says neither good nor bad"
        case _:
            return "it is counted from events, and Prometheus has none"


def rate_of(query: PromQuery, groups: Sequence[str] = ()) -> str:
    """A counter, or an expression that counts, as a sum of rates where it can be written so."""
    if query.counter:
        total = f"sum by ({', '.join(groups)}) " if groups else "sum"
        return f"{total}(rate({query.text}[{WINDOW}]))"
    return rates_as_counts(query.text, back=True) or query.text


def _share(gauge: GaugeQuery) -> str:
    """The share of bad samples, each worth the same."""
    if gauge.share:
        text = gauge.text if names_window(gauge.text) else f"avg_over_time(({gauge.text})[{WINDOW}:])"
        return text if gauge.share == "bad" else f"1 - ({text})"
    return f"1 - avg_over_time(({gauge.text} {gauge.operator} bool {plain(Decimal(repr(gauge.threshold)))})[{WINDOW}:])"


def groups_of(sli: Events | Raw) -> tuple[str, ...]:
    """The labels that the SLI keeps apart."""
    found = counted(sli.total) if isinstance(sli, Events) else None
    return found.groups if found is not None else ()
