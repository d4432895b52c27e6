"""OpenSLO's alert kinds as alerting: a condition on the burn rate is a tier of the objectives that refer to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.objective import Objective
from mainstay.kernel.quantity import parse_duration
from mainstay.kernel.reader import Reader
from mainstay.monitoring.exchange.alert_groups import Policy, Rung, Severity, alertings_of
from mainstay.monitoring.exchange.form import Loss
from mainstay.monitoring.exchange.taking import Taking
from mainstay.monitoring.spec import DEFAULT, Alerting

PAGES = ("page", "critical", "high", "sev1", "p1", "fatal", "emergency")
"""Words for severities that wake somebody; every other is a ticket."""


@dataclass(slots=True)
class Policies:
    """The alert kinds of one reading, by kind and name, and who refers to which."""

    declared: dict[tuple[str, str], Reader] = field(default_factory=dict)
    read: dict[tuple[str, str], object] = field(default_factory=dict)
    used: dict[str, tuple[Policy, ...]] = field(default_factory=dict)

    def declare(self, kind: str, name: str, reader: Reader) -> None:
        """An object with a name of its own."""
        self.declared[kind, name] = reader

    def of(self, spec: Reader, owner: str, taking: Taking) -> tuple[Policy, ...]:
        """`alertPolicies` of an SLO."""
        out: list[object] = []
        for one in spec.children("alertPolicies"):
            reference = one.text("alertPolicyRef")
            if reference is None:
                one.text("kind", one_of=("AlertPolicy",))
                one.ignore("apiVersion")
                out.append(self._policy(one, f"{owner}-alerts", taking))
                continue
            one.done()
            out.append(self._by_name(one, "alertPolicyRef", "AlertPolicy", reference, taking))
        return tuple(one for one in out if isinstance(one, Policy))

    def attach(self, objectives: Sequence[str], policies: tuple[Policy, ...]) -> None:
        """The objectives are alerted by those policies."""
        if policies:
            self.used |= dict.fromkeys(objectives, policies)

    def _by_name(self, by: Reader, key: str, kind: str, name: str, taking: Taking) -> object:
        if (kind, name) in self.read:
            return self.read[kind, name]
        reader = self.declared.get((kind, name))
        if reader is None:
            taking.note(by.field(key), f'no {kind} is named "{name}" in the files that were named', by.where_of(key))
            return None
        made: object = None
        match kind:
            case "AlertPolicy":
                made = self._policy(reader, name, taking)
            case "AlertCondition":
                made = self._condition(reader, taking)
            case _:
                self._target(reader, taking)
        self.read[kind, name] = made
        return made

    def _inner(self, reader: Reader, taking: Taking, fallback: str = "") -> tuple[str, Reader | None]:
        meta = reader.child("metadata", required=True)
        name = fallback
        if meta is not None:
            name = meta.text("name", required=True, default=fallback)
            taking.lose_all(meta, ("displayName", "labels", "annotations"), "an alerting has a name alone")
            meta.done()
        spec = reader.child("spec", required=True)
        reader.done()
        return name, spec

    def _policy(self, reader: Reader, fallback: str, taking: Taking) -> Policy | None:
        name, spec = self._inner(reader, taking, fallback)
        if spec is None:
            return None
        taking.lose(spec, "description", "an alerting has no description")
        no_data, breaching = spec.flag("alertWhenNoData"), spec.flag("alertWhenBreaching", default=True)
        if spec.flag("alertWhenResolved"):
            taking.note(spec.field("alertWhenResolved"), "that an alert is over is Alertmanager's to send",
                        spec.where_of("alertWhenResolved"))
        conditions = spec.children("conditions", required=True)
        if spec.has("conditions") and len(conditions) != 1:
            spec.report("out-of-range", f"{spec.path}.conditions holds {len(conditions)}; OpenSLO takes exactly one",
                        "write one condition a policy, and a policy for each", "conditions")
        condition = [one for reader in conditions
                     if isinstance(one := self._one(reader, "conditionRef", "AlertCondition", taking), Rung)]
        for target in spec.children("notificationTargets", required=True):
            self._one(target, "targetRef", "AlertNotificationTarget", taking)
            said = target.has("targetRef") and target.text("targetRef") in ("page", "ticket")
            if not said:
                taking.note(target.path, "whom an alert is told to is Alertmanager's to route, by severity",
                            target.where)
        spec.done()
        if condition and not breaching:
            taking.note(spec.field("alertWhenBreaching"), "the condition is not alerted, so it is no tier",
                        spec.where_of("alertWhenBreaching"))
        return Policy(name, reader.where, tuple(condition) if breaching else (), (),
                      DEFAULT.absent_for if no_data else None)

    def _one(self, reader: Reader, reference: str, kind: str, taking: Taking) -> object:
        name = reader.text(reference)
        if name is not None:
            reader.done()
            return None if name in ("page", "ticket") and kind == "AlertNotificationTarget" else \
                self._by_name(reader, reference, kind, name, taking)
        reader.text("kind", one_of=(kind,))
        reader.ignore("apiVersion")
        if kind == "AlertCondition":
            return self._condition(reader, taking)
        self._target(reader, taking)
        return None

    def _target(self, reader: Reader, taking: Taking) -> None:
        _, spec = self._inner(reader, taking)
        if spec is not None:
            spec.text("target", required=True)
            spec.text("description")
            spec.done()

    def _condition(self, reader: Reader, taking: Taking) -> Rung | None:
        _, spec = self._inner(reader, taking)
        if spec is None:
            return None
        taking.lose(spec, "description", "an alerting has no description")
        severity = severity_of(spec, "severity", taking)
        inner = spec.child("condition", required=True)
        spec.done()
        if inner is None:
            return None
        inner.text("kind", one_of=("burnrate",))
        operator = inner.text("op", one_of=("lte", "gte", "lt", "gt"), required=True)
        factor = inner.parsed("threshold", Decimal) if inner.number("threshold", required=True, minimum=0) else None
        if inner.number("threshold") == 0:
            inner.report("out-of-range", f"{inner.field('threshold')} is 0: any failure at all would alert",
                         "write a burn rate above 0", "threshold")
        long = inner.duration("lookbackWindow", required=True)
        hold = inner.parsed("alertAfter", _delay) or timedelta()
        inner.done()
        if operator in ("lt", "lte"):
            inner.warn("alert-below", f"op: {operator} alerts while the budget burns slowly or not at all",
                       "write op: gt (or gte) to alert when the burn rate exceeds the threshold", "op")
            taking.note(inner.field("op"), "an alert while nothing burns is no tier", inner.where_of("op"))
            return None
        if operator == "gte":
            taking.note(inner.field("op"), "a tier trips above its factor, not at it", inner.where_of("op"))
        if operator is None or factor is None or long is None:
            return None
        return Rung(severity, long, hold, factor)

    def alertings(self, objectives: Sequence[Objective], taking: Taking) -> tuple[Alerting, ...]:
        """What they mean for the objectives they are attached to."""
        return alertings_of(objectives, self.used, taking)

    def leftover(self, taking: Taking) -> None:
        """Policies, conditions and targets that nothing referred to: read for their mistakes, and lost."""
        for (kind, name), reader in self.declared.items():
            if (kind, name) in self.read:
                continue
            match kind:
                case "AlertPolicy":
                    self._policy(reader, name, taking)
                case "AlertCondition":
                    self._condition(reader, taking)
                case _:
                    self._target(reader, taking)
            self.read[kind, name] = None
            taking.losses.append(Loss(f"{kind} {name}", "nothing that was read refers to it", reader.where))


def severity_of(reader: Reader, key: str, taking: Taking) -> Severity:
    """The severity as `page` or `ticket`; any other word for one of the two is a loss."""
    written = reader.text(key, required=True, default="ticket")
    severity: Severity = "page" if written.lower() in PAGES else "ticket"
    if severity != written:
        taking.note(reader.field(key), f'"{written}" is read as {severity}', reader.where_of(key))
    return severity


def _delay(text: str) -> timedelta:
    return timedelta() if text.strip().rstrip("smhdw") == "0" else parse_duration(text)
