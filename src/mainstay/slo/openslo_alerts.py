"""OpenSLO's alert kinds: AlertPolicy, AlertCondition and AlertNotificationTarget, checked and kept whole.

What they say is carried out by the word monitoring; here a mistake in them is found with its line.
Source: OpenSLO specification v1, `AlertPolicy`, `AlertCondition`, `AlertNotificationTarget`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.finding import Finding, Severity, did_you_mean
from mainstay.kernel.metadata import read_metadata
from mainstay.kernel.objective import AlertDeclaration, Objective
from mainstay.kernel.quantity import parse_duration
from mainstay.kernel.reader import Reader

OPERATORS = ("lte", "gte", "lt", "gt")

_Check = Callable[[Reader], None]


def read_alert_policy(reader: Reader) -> Iterator[AlertDeclaration]:
    """openslo/v1 AlertPolicy: one condition and where to tell, each inline or by reference."""
    return _declared("AlertPolicy", reader, _check_policy)


def read_alert_condition(reader: Reader) -> Iterator[AlertDeclaration]:
    """openslo/v1 AlertCondition: a burn rate over one window."""
    return _declared("AlertCondition", reader, _check_condition)


def read_alert_target(reader: Reader) -> Iterator[AlertDeclaration]:
    """openslo/v1 AlertNotificationTarget."""
    return _declared("AlertNotificationTarget", reader, _check_target)


def read_policies_of(spec: Reader, owner: str) -> tuple[tuple[str, ...], list[AlertDeclaration]]:
    """`alertPolicies` of an SLO: the names it refers to, and the policies it declares inline (their names included).

    Args:
        owner: the SLO's name. It stands before an inline policy's: two SLOs may each hold a policy of one name.
    """
    names: list[str] = []
    inline: list[AlertDeclaration] = []
    for one in spec.children("alertPolicies"):
        if _one_of(one, "alertPolicyRef"):
            names.append(one.text("alertPolicyRef", default=""))
            one.done()
            continue
        for policy in _inline(one, "AlertPolicy", _check_policy):
            names.append(f"{owner}/{policy.name.partition('/')[2]}")
            inline.append(replace(policy, name=f"AlertPolicy/{names[-1]}"))
    return tuple(name for name in names if name), inline


def _declared(kind: str, reader: Reader, check: _Check) -> Iterator[AlertDeclaration]:
    # The specification's own examples name alert kinds in capitals, so names are taken as they are.
    meta = read_metadata(reader, checked=False)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is not None and meta.name:
        check(spec)
        plain = spec.node.plain()
        assert isinstance(plain, dict)
        yield AlertDeclaration(f"{kind}/{meta.name}", meta.origin, kind, plain)


def _inline(reader: Reader, kind: str, check: _Check) -> Iterator[AlertDeclaration]:
    reader.text("kind", one_of=(kind,))
    reader.ignore("apiVersion")
    yield from _declared(kind, reader, check)


def _one_of(reader: Reader, reference: str) -> bool:
    """Whether it is a reference; both a reference and an inline object is a mistake."""
    if reader.has(reference) and reader.has("spec"):
        reader.report("one-of", f"{reader.path} has both {reference} and spec", "keep one of the two", reference)
        reader.ignore("kind", "metadata", "spec")
    return reader.has(reference)


def _check_policy(spec: Reader) -> None:
    spec.text("description")
    for key in ("alertWhenNoData", "alertWhenResolved", "alertWhenBreaching"):
        spec.flag(key)
    conditions = spec.children("conditions", required=True)
    if spec.has("conditions") and len(conditions) != 1:
        spec.report("out-of-range", f"{spec.path}.conditions holds {len(conditions)}; OpenSLO v1 takes exactly one",
                    "write one condition a policy, and a policy for each", "conditions")
    for one in conditions:
        if _one_of(one, "conditionRef"):
            one.text("conditionRef")
            one.done()
        else:
            list(_inline(one, "AlertCondition", _check_condition))
    targets = spec.children("notificationTargets", required=True)
    if spec.has("notificationTargets") and not targets:
        spec.report("missing-field", f"{spec.path}.notificationTargets is empty", "write [{targetRef: NAME}]",
                    "notificationTargets")
    for one in targets:
        if _one_of(one, "targetRef"):
            one.text("targetRef")
            one.done()
        else:
            list(_inline(one, "AlertNotificationTarget", _check_target))
    spec.done()


def _check_condition(spec: Reader) -> None:
    spec.text("description")
    spec.text("severity", required=True)
    condition = spec.child("condition", required=True)
    spec.done()
    if condition is None:
        return
    condition.text("kind", one_of=("burnrate",))
    operator = condition.text("op", one_of=OPERATORS, required=True)
    condition.number("threshold", required=True, minimum=0)
    condition.duration("lookbackWindow", required=True)
    condition.parsed("alertAfter", _delay)
    condition.done()
    if operator in ("lt", "lte"):
        condition.warn("alert-below", f"op: {operator} alerts while the budget burns slowly or not at all",
                       "write op: gt (or gte) to alert when the burn rate exceeds the threshold", "op")


def _delay(text: str) -> timedelta:
    """A duration that may be zero, as `alertAfter` is by default: `0m`."""
    if text.strip().rstrip("smhdw") == "0":
        return timedelta()
    return parse_duration(text)


def _check_target(spec: Reader) -> None:
    spec.text("description")
    spec.text("target", required=True)
    spec.done()


def check_references(catalog: Catalog) -> Iterator[Finding]:
    """Alert policies, conditions and targets that are referred to and declared nowhere."""
    for objective in catalog.of(Objective):
        for name in objective.alert_policies:
            yield from _missing(catalog, "AlertPolicy", name, objective)
    for policy in catalog.of(AlertDeclaration):
        for key, reference, kind in (("conditions", "conditionRef", "AlertCondition"),
                                     ("notificationTargets", "targetRef", "AlertNotificationTarget")):
            written = policy.spec.get(key)
            for one in written if policy.kind == "AlertPolicy" and isinstance(written, list) else ():
                referred = one.get(reference) if isinstance(one, dict) else None
                if isinstance(referred, str):
                    yield from _missing(catalog, kind, referred, policy)


def _missing(catalog: Catalog, kind: str, name: str, by: Objective | AlertDeclaration) -> Iterator[Finding]:
    if catalog.find(AlertDeclaration, f"{kind}/{name}") is not None:
        return
    known = [one.name.partition("/")[2] for one in catalog.of(AlertDeclaration) if one.kind == kind]
    yield Finding("unknown-reference", by.origin, f'no {kind} is named "{name}"{did_you_mean(name, known)}',
                  f"declare the {kind}" + (f", or write one of: {', '.join(sorted(known))}" if known else ""), "",
                  Severity.WARNING)
