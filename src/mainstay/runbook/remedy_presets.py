"""Rules that come with Mainstay, by name: what they need is said under `with:`, all else can be written over. Pure.

    auto-healer      memory or processor of this host, or of a workload's process, is beyond a bound: restart it
    auto-scaler      a figure is beyond a bound: twice the replicas; far below it: half of them; both within bounds
    auto-remediator  names of alerts with the runbook of each
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Literal, NamedTuple

from mainstay.kernel.actuation import Command, Kubernetes, Metric, Python, Systemd
from mainstay.kernel.matcher import Matcher
from mainstay.kernel.metadata import Metadata
from mainstay.kernel.reader import Reader
from mainstay.runbook.act_forms import comparison
from mainstay.runbook.remedy import (
    ActCheck,
    Circumstances,
    HostCheck,
    Limits,
    OnAlert,
    OnSchedule,
    Remediation,
    Verification,
)
from mainstay.runbook.scaling import KEEP
from mainstay.runbook.spec import Runbook, Step, Test


class Preset(NamedTuple):
    """What a preset brings: rules, and the runbooks that they run."""

    rules: tuple[Remediation, ...]
    runbooks: tuple[Runbook, ...] = ()


_MINUTE = timedelta(minutes=1)


def auto_healer(meta: Metadata, given: Reader) -> Preset:
    """Restart what takes too much memory or processor."""
    measure: Literal["memory", "cpu"] = "cpu" if given.has("cpu") else "memory"
    operator, threshold = given.parsed(measure, comparison) or (">", 0.8)
    given.ignore("memory", "cpu")
    unit, argv, of = given.text("unit", default=""), given.texts("command"), given.text("of", default="")
    if bool(unit) == bool(argv):
        given.report("one-of", f"{given.path} needs unit or command, to restart by",
                     "write unit: checkout.service, or command: [PROGRAM, ARGUMENT, …]")
    act = Command(argv) if argv else Systemd(unit, "restart", given.flag("user"))
    given.ignore("user")
    name = f"{meta.name}-restart"
    rule = Remediation(
        meta.name, meta.origin, OnSchedule(_MINUTE), of or unit or meta.name, name, meta.service, meta.title,
        condition=Circumstances(checks=(HostCheck(measure, operator, threshold, of),)),
        verify=Verification(within=5 * _MINUTE, hold=2 * _MINUTE))
    step = Step("restart", act, meta.origin, irreversible="what ran before the restart is gone")
    return Preset((rule,), (Runbook(name, meta.origin, "preset auto-healer", (step,),
                                    f"Restart {unit or of or meta.name}", service=meta.service,
                                    targets=(rule.target,), manual_minutes=10),))


_ALERT_NAME = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


def auto_remediator(meta: Metadata, given: Reader) -> Preset:
    """Each alert's runbook, by the alert's name."""
    rules = []
    for alert, runbook in given.labels("alerts").items():
        name = f"{meta.name}-{_ALERT_NAME.sub('-', alert).strip('-').lower()}"
        rules.append(Remediation(name, meta.origin, OnAlert((Matcher("alertname", "=", alert),)), "${labels.service}",
                                 runbook, meta.service, meta.title))
    if not rules:
        given.report("missing-field", f"{given.field('alerts')} is missing or empty",
                     "write alerts: {ServiceDown: RUNBOOK}")
    return Preset(tuple(rules))


# -- scaling -------------------------------------------------------------------------------------------------------


class _Scaled(NamedTuple):
    """What is scaled: a deployment of a cluster, or whatever two commands tell and set."""

    deployment: str
    namespace: str
    context: str
    counted_by: tuple[str, ...]
    set_by: tuple[str, ...]

    @property
    def name(self) -> str:
        """As people call it, and as it is locked."""
        return f"deployment/{self.deployment}" if self.deployment else " ".join(self.set_by)

    def how_many(self) -> Kubernetes | Command:
        """Answers with the number of replicas there are."""
        return Command(self.counted_by) if self.counted_by else \
            Kubernetes("count", self.name, self.namespace, context=self.context)

    def scale(self) -> Kubernetes | Command:
        """Sets the number of replicas that was worked out."""
        wanted = "${steps.decide.output}"
        return Command((*self.set_by, wanted)) if self.set_by else \
            Kubernetes("scale", self.name, self.namespace, wanted, self.context)

    def back(self) -> Command | None:
        """Sets the number that there was; a cluster's scale takes itself back."""
        return Command((*self.set_by, "${steps.count.output}")) if self.set_by else None


def auto_scaler(meta: Metadata, given: Reader) -> Preset:
    """Twice as many replicas above a bound, half as many far below it."""
    scaled = _Scaled(given.text("deployment", default=""), given.text("namespace", default=""),
                     given.text("context", default=""), given.texts("count"), given.texts("set"))
    if bool(scaled.deployment) == bool(scaled.counted_by and scaled.set_by):
        given.report("one-of", f"{given.path} needs deployment, or count and set, to scale by",
                     "write deployment: NAME, or count: [PROGRAM] and set: [PROGRAM]")
    source, query = given.text("source", default=""), given.text("promql", required=True, default="")
    above = given.number("above")
    above = 80.0 if above is None else above
    below = given.number("below")
    below = above * 0.5 if below is None else below
    most, least = given.whole("most", minimum=1) or 50, given.whole("least", minimum=1) or 2
    if least > most or below >= above:
        given.report("out-of-range", f"{given.path}: least is {least} and most {most}, below is {below:g} and above "
                     f"{above:g}", "write least up to most, and below under above")
    made = [_direction(meta, scaled, up, ActCheck(Metric(source, query, operator, bound)),
                       {"current": "${steps.count.output}", "most" if up else "least": most if up else least})
            for up, operator, bound in ((True, ">", above), (False, "<", below))]
    return Preset(tuple(rule for rule, _ in made), tuple(book for _, book in made))


def _direction(meta: Metadata, scaled: _Scaled, up: bool, check: ActCheck,
               arguments: Mapping[str, str | int]) -> tuple[Remediation, Runbook]:
    name = f"{meta.name}-{'up' if up else 'down'}"
    function = f"mainstay.runbook.scaling:{'doubled' if up else 'halved'}"
    steps = (
        Step("count", scaled.how_many(), meta.origin, idempotent=True, changes=False),
        Step("decide", Python(function, arguments), meta.origin, idempotent=True, changes=False),
        Step("scale", scaled.scale(), meta.origin, idempotent=True, undo=scaled.back(), undo_idempotent=True,
             when=(Test("${steps.decide.output}", "not", (KEEP,)),)))
    book = Runbook(name, meta.origin, "preset auto-scaler", steps, f"Scale {scaled.name} {'up' if up else 'down'}",
                   service=meta.service, targets=(scaled.name,), manual_minutes=5)
    # Load comes and goes, so that scaling again is no sign of something that does not heal. That load is still high at
    # the ceiling is a person's business; that it is still low at the floor is nobody's.
    limits = Limits(attempts=6, flaps=1_000, cool_down=5 * _MINUTE) if up else \
        Limits(attempts=1_000, flaps=1_000, stop_after=1_000, cool_down=10 * _MINUTE)
    rule = Remediation(name, meta.origin, OnSchedule(_MINUTE), scaled.name, name, meta.service, meta.title,
                       condition=Circumstances(checks=(check,)), limits=limits,
                       verify=Verification(over=up, within=10 * _MINUTE, hold=_MINUTE))
    return rule, book


PRESETS: Mapping[str, Callable[[Metadata, Reader], Preset]] = {
    "auto-healer": auto_healer, "auto-scaler": auto_scaler, "auto-remediator": auto_remediator}
"""Name → what reads its `with:`."""
