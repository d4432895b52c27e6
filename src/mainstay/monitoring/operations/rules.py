"""`monitoring rules`: the catalog's objectives as rules, alerts and routes."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Finding, InvalidFiles
from mainstay.kernel.objective import Objective
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Block, Code, Next, Text, View, table
from mainstay.kernel.wording import many
from mainstay.monitoring import alertmanager
from mainstay.monitoring.alerts import tier_name
from mainstay.monitoring.operations.folder import write_files
from mainstay.monitoring.operations.reachability import measured_traffic, source_faults
from mainstay.monitoring.reach import Fault, faults
from mainstay.monitoring.rulefile import GENERATED, Rule, RuleFile, number, prometheus_rule, rule_file
from mainstay.monitoring.rules import Plan, Style, plans
from mainstay.monitoring.rules import files as planned_files

STYLES = {"mainstay": ("mainstay.monitoring.rules", "mainstay_style"),
          "sloth": ("mainstay.monitoring.exchange.sloth_rules", "sloth_style"),
          "pyrra": ("mainstay.monitoring.exchange.pyrra_rules", "pyrra_style")}
"""Every style: the room and the name of its function. Another is one more line."""

TARGETS = ("files", "prometheusrule", "alertmanager")


@dataclass(frozen=True)
class RulesRequest:
    """Which objectives, and in which form."""

    names: tuple[str, ...] = arg("objectives; all when none is named", (), positional=True)
    out: str = arg("write files into this folder instead of printing them", "", short="o", local_only=True)
    to: str = arg("rule files, objects of the Prometheus operator, or routes of Alertmanager", "files", choices=TARGETS)
    style: str = arg("whose rules", "mainstay", choices=tuple(STYLES))
    namespace: str = arg("of the operator's objects", "")
    overwrite: bool = arg("also overwrite files that Mainstay did not write", False, local_only=True)
    traffic: bool = arg("also judge noise by the traffic that the ledger holds", False)
    check_source: bool = arg("also ask the source for traffic and for buckets at the thresholds", False)
    anyway: bool = arg("write rules although an alert can never trip, or fires while the promise is kept", False)


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file of rules: its name and text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Ruled:
    """An objective with rules.

    Args:
        tiers: its burn-rate alerts, as `page-1h > 14.4×`.
        evaluations: rules evaluated for it in one interval.
        notes: what rules cannot do for it.
    """

    name: str
    service: str
    alerting: str
    rules: int
    alerts: int
    tiers: tuple[str, ...]
    evaluations: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unruled:
    """An objective without rules, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules of a catalog.

    Args:
        written_to: the folder, empty when nothing was written.
        changed, removed: names of files that are new or different, or are gone, in that folder.
    """

    to: str
    style: str
    catalog: str
    files: tuple[WrittenFile, ...]
    objectives: tuple[Ruled, ...]
    without: tuple[Unruled, ...]
    warnings: tuple[str, ...]
    written_to: str
    changed: tuple[str, ...]
    removed: tuple[str, ...]


def rules(world: World, request: RulesRequest) -> Rules:
    """Write recording rules and alerts for the objectives of the catalog."""
    objectives = [world.catalog.get(Objective, name) for name in dict.fromkeys(request.names)] \
        or list(world.catalog.of(Objective))
    if not objectives:
        raise InvalidInput("the catalog declares no objective", "write one (docs/guides/slo.md), or name it: -c")
    made = plans(objectives, world.catalog)
    found = _faults(world, request, made)
    wrong = [fault for fault in found if fault.weight == "error"]
    if wrong and not request.anyway:
        by_name = {plan.objective.name: plan for plan in made}
        raise InvalidFiles([_finding(fault, by_name[fault.objective]) for fault in wrong])
    ruled = [plan for plan in made if plan.groups]
    if not ruled:
        reasons = "; ".join(f"{plan.objective.name}: {plan.without}" for plan in made[:5])
        raise InvalidInput(f"no rule can be written: {reasons}", "count an objective by PromQL (docs/guides/slo.md)")
    groups = _groups(world, request, ruled)
    about = _by_objective(groups)
    files = tuple(WrittenFile(name, text) for name, text in _texts(request, ruled, groups))
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    if request.out:
        changed, removed = write_files(request.out, {one.name: one.text for one in files},
                                       lambda text: text.startswith(GENERATED), overwrite=request.overwrite, sweep=True)
    return Rules(request.to, request.style, world.catalog.root, files,
                 tuple(_ruled(plan, rules, request.style) for plan in ruled
                       if (rules := about.get(plan.objective.name))),
                 tuple(Unruled(plan.objective.name, plan.without or f"{request.style} cannot say what it counts")
                       for plan in made if not plan.groups or plan.objective.name not in about),
                 tuple(f"{fault.message}; {fault.mend}" for fault in found), request.out, changed, removed)


def _faults(world: World, request: RulesRequest, made: Sequence[Plan]) -> list[Fault]:
    traffic = measured_traffic(world, made, ask=request.check_source) \
        if request.traffic or request.check_source else {}
    found = [fault for plan in made if plan.groups
             for fault in faults(plan.objective, plan.alerting, plan.indicator, traffic.get(plan.objective.name))]
    return found + (source_faults(world, made) if request.check_source else [])


def _finding(fault: Fault, plan: Plan) -> Finding:
    declared = plan.alerting.origin if plan.alerting.origin.file else plan.objective.origin
    return Finding(fault.code, declared, fault.message, fault.mend)


def _by_objective(files: Sequence[RuleFile]) -> dict[str, list[Rule]]:
    """The rules of the style by the objective that they are about."""
    out: dict[str, list[Rule]] = {}
    for rule in (rule for file in files for group in file.groups for rule in group.rules):
        out.setdefault(rule.about, []).append(rule)
    return out


def _ruled(plan: Plan, rules: Sequence[Rule], style: str) -> Ruled:
    tiers = tuple(f"{tier_name(burn)} > {number(burn.factor)}×" for burn in plan.burns if not burn.faults)
    alerts = sum(hasattr(rule, "alert") for rule in rules)
    own = style == "mainstay"
    if style == "pyrra":
        tiers = ()  # Pyrra's alerts are of its own making
    return Ruled(plan.objective.name, plan.objective.service, plan.alerting.name, len(rules), alerts, tiers,
                 plan.evaluations if own else float(len(rules)), plan.notes if own else ())


def style_named(name: str) -> Style:
    """The function of that style, which is one of STYLES."""
    room, function = STYLES[name]
    found: Style = getattr(importlib.import_module(room), function)
    return found


def _groups(world: World, request: RulesRequest, ruled: Sequence[Plan]) -> Sequence[RuleFile]:
    """The style's files of the objectives."""
    if request.style == "mainstay":
        return planned_files(ruled)
    return style_named(request.style)([(plan.objective, plan.alerting) for plan in ruled], world.catalog)


def _texts(request: RulesRequest, ruled: Sequence[Plan], made: Sequence[RuleFile]) -> list[tuple[str, str]]:
    """The files by name, as asked for."""
    if request.to == "alertmanager":
        return [("alertmanager.yaml", alertmanager.configuration(ruled))]
    if request.to == "prometheusrule":
        labels = {"app.kubernetes.io/managed-by": "mainstay"}
        return [(f"{file.name}.yaml", prometheus_rule(f"slo-{file.name}", file.groups, labels, request.namespace))
                for file in made]
    if not request.out:
        # Printed, they are one file: a second YAML document in a rule file is silently not read.
        return [("rules.yaml", rule_file([group for file in made for group in file.groups]))]
    return [(f"{file.name}.yaml", rule_file(file.groups)) for file in made]


def rules_view(found: Rules) -> View:
    """The files as they are; or, when they were written, what they do."""
    if not found.written_to:
        comments = "".join(f"# no rules for {one.name}: {one.reason}\n" for one in found.without) \
            + "".join(f"# {one.name}: {note}\n" for one in found.objectives for note in one.notes) \
            + "".join(f"# warning: {warning}\n" for warning in found.warnings)
        return View("Rules", (Code("---\n".join(one.text for one in found.files) + comments, "yaml"),))
    rules = sum(one.rules for one in found.objectives)
    head = (f"{found.catalog}: {many(len(found.objectives), 'objective')} · {many(rules, 'rule')} in "
            f"{many(len(found.files), 'file')} below {found.written_to}")
    done = f"{many(len(found.changed), 'file')} written" if found.changed else "nothing changed"
    done += f", {', '.join(found.removed)} removed" if found.removed else ""
    blocks: list[Block] = [Text(head), Text(done, "good")]
    blocks.append(table("", ("objective", "alerting", "rules>", "alerts>", "evaluations an interval>", "tiers"), [
        (one.name, one.alerting, str(one.rules), str(one.alerts), f"{one.evaluations:.1f}", ", ".join(one.tiers) or "–")
        for one in found.objectives]))
    if found.without:
        blocks.append(table("Without rules", ("objective", "because"), [(one.name, one.reason)
                                                                        for one in found.without]))
    blocks += [Text(f"{one.name}: {note}", "quiet") for one in found.objectives for note in one.notes]
    blocks += [Text(warning, "warn") for warning in found.warnings]
    check = f"promtool check rules {found.written_to}/*.yaml" if found.to == "files" else \
        f"amtool check-config {found.written_to}/alertmanager.yaml" if found.to == "alertmanager" else \
        f"kubectl apply --dry-run=server -f {found.written_to}"
    return View("Rules", (*blocks, Next((check, f"mainstay monitoring diff HEAD -c {found.catalog}"))))


RULES = Operation(
    "monitoring", "rules", RulesRequest, rules, rules_view,
    exit_codes=((0, "printed or written"),
                (2, "a mistake in the catalog, an alert that cannot work, or files that are not Mainstay's")),
    examples=("mainstay monitoring rules > rules.yaml", "mainstay monitoring rules -o rules",
              "mainstay monitoring rules checkout-availability --to prometheusrule --namespace monitoring",
              "mainstay monitoring rules --to alertmanager", "mainstay monitoring rules -o rules --check-source"))
