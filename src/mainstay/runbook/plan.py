"""The plan: all that a run will do, as data, with one hash over it. What is shown, approved and done is this. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import timedelta
from posixpath import join
from typing import Any

from mainstay.kernel.actuation import (
    Act,
    Ask,
    Command,
    Flag,
    Http,
    Kubernetes,
    Metric,
    Python,
    Sql,
    Systemd,
    Wait,
    act_data,
    act_of,
)
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position, did_you_mean
from mainstay.kernel.journal import Data
from mainstay.runbook.spec import (
    Approval,
    Given,
    Retry,
    Runbook,
    SecretPlace,
    Step,
    Test,
    digest,
    step_data,
)
from mainstay.runbook.variables import (
    Lookup,
    Misplaced,
    Value,
    Variable,
    argument,
    json_value,
    one_line,
    plain,
    promql,
    url,
    variables,
)

Refs = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do.

    Args:
        version: of the runbook.
        inputs: by name, every input, as read.
        labels: by name: what the alert, the incident or whoever asks said about what is broken.
        options: names of inputs that may begin with `-`; trusted: those that may say which host is called.
        targets: what the run acts on, with the values in.
        by_hand: people do every step and say so; nothing is done by a program.
    """

    runbook: str
    version: str
    steps: tuple[Step, ...]
    inputs: Mapping[str, Given] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()
    paths: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretPlace] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    approval: Approval = field(default_factory=Approval)
    by_hand: bool = False

    @property
    def hash(self) -> str:
        """SHA-256 over everything that will happen; what is approved, and what is done."""
        return digest(self.data())

    def data(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {
            "runbook": self.runbook, "version": self.version, "steps": [step_data(step) for step in self.steps],
            "inputs": dict(self.inputs), "labels": dict(self.labels), "options": sorted(self.options),
            "trusted": sorted(self.trusted), "paths": dict(self.paths),
            "secrets": {name: {"env": at.env, "file": at.file} for name, at in self.secrets.items()},
            "targets": list(self.targets),
            "approval": {"needed": self.approval.needed, "by": sorted(self.approval.by),
                         "expires": self.approval.expires.total_seconds()}, "by_hand": self.by_hand}

    def step(self, name: str) -> Step:
        """The step of that name."""
        return next(one for one in self.steps if one.name == name)

    def lookup(self, outputs: Mapping[str, str], secrets: Mapping[str, str] | None = None) -> Lookup:
        """Where the values of variables come from.

        Args:
            outputs: of the steps that have ended, by name; a step without one has no value yet.
            secrets: their values, or None to leave them as they are written.
        """
        def find(variable: Variable) -> Value:
            match variable.space:
                case "inputs":
                    return Value(self.inputs.get(variable.name, ""), variable.name in self.options,
                                 variable.name in self.trusted)
                case "labels":
                    return Value(self.labels.get(variable.name, ""))
                case "secrets":
                    return Value(None if secrets is None else secrets.get(variable.name, ""))
            return Value(outputs.get(variable.name))

        return find


def made(book: Runbook, inputs: Mapping[str, Given], labels: Mapping[str, str], *, by_hand: bool = False,
         approvals: int = 0) -> Plan:
    """The plan of the runbook for these inputs and labels.

    Args:
        by_hand: people do every step; nobody needs to approve what they would do anyway.
        approvals: people who must agree at the least, where the runbook asks for fewer.

    Raises:
        InvalidInput: an input is missing, unknown or not what it must be, a label that is used is missing, or a value
            must not stand where it would stand.
    """
    known = {one.name: one for one in book.inputs}
    for name in inputs:
        if name not in known:
            raise InvalidInput(f'{book.name} has no input "{name}"{did_you_mean(name, known)}',
                               "its inputs: " + (", ".join(known) or "none"))
    values: dict[str, Given] = {}
    for one in book.inputs:
        if one.name in inputs:
            values[one.name] = one.read(inputs[one.name])
        elif one.default is not None:
            values[one.name] = one.read(one.default)
        elif one.required:
            raise InvalidInput(f"{book.name} needs the input {one.name}"
                               + (f": {one.description}" if one.description else ""),
                               f"add --input {one.name}=…")
        else:
            values[one.name] = ""
    plan = Plan(
        book.name, book.version, book.steps, values,
        {name: labels[name] for name in sorted(_labels_used(book, labels))},
        tuple(one.name for one in book.inputs if one.option_like),
        tuple(one.name for one in book.inputs if one.allowed),
        {one.name: one.within for one in book.inputs if one.type == "path"}, book.secrets, (),
        replace(book.approval, needed=max(book.approval.needed, approvals)))
    lookup = plan.lookup({})
    try:
        plan = replace(plan, targets=tuple(dict.fromkeys(one_line(one, lookup) for one in book.targets)))
        for step in book.steps:
            for act in (step.act, step.verify, step.undo):
                if act is not None:
                    resolved(act, lookup)
    except Misplaced as refused:
        raise InvalidInput(f"{book.name} cannot be run so: {refused.message}", refused.way_out) from refused
    return replace(plan, by_hand=True, approval=Approval(), steps=tuple(_as_asked(step) for step in book.steps)) \
        if by_hand else plan


def _as_asked(step: Step) -> Step:
    """The step as a question to whoever does it."""
    if isinstance(step.act, Ask):
        return step
    return replace(step, act=Ask(step.title or step.name, ("done", "skip", "stop"), ("stop",)), idempotent=True,
                   undo=None, verify=None, when=(), confirm=False, changes=False, retry=Retry())


def _labels_used(book: Runbook, labels: Mapping[str, str]) -> set[str]:
    used = {one.name for one in variables([definition_texts(step) for step in book.steps] + list(book.targets))
            if one.space == "labels"}
    missing = sorted(used - labels.keys())
    if missing:
        raise InvalidInput(f"{book.name} needs the label {missing[0]}", f"add --label {missing[0]}=…, or name an "
                           "incident whose alerts carry it with --incident")
    return used


def definition_texts(step: Step) -> list[Any]:
    """All that may hold variables in a step."""
    return [act_data(step.act), act_data(step.undo) if step.undo is not None else None,
            act_data(step.verify) if step.verify is not None else None, [one.value for one in step.when]]


def resolved(act: Act, lookup: Lookup) -> Act:
    """The act with the values in; what has no value yet stays as it is written.

    Raises:
        Misplaced: a value must not stand where it would stand.
    """
    match act:
        case Command():
            return replace(act, argv=(act.argv[0], *(argument(one, lookup) for one in act.argv[1:])),
                           env={name: plain(text, lookup) for name, text in act.env.items()},
                           stdin=plain(act.stdin, lookup))
        case Http():
            return replace(act, url=url(act.url, lookup), body=json_value(act.body, lookup),
                           headers={name: one_line(text, lookup) for name, text in act.headers.items()})
        case Metric():
            return replace(act, query=promql(act.query, lookup))
        case Sql():
            return replace(act, database=one_line(act.database, lookup), parameters={
                name: json_value(value, lookup) for name, value in act.parameters.items()})
        case Kubernetes():
            return replace(act, object=_name(act.object, lookup), namespace=_name(act.namespace, lookup),
                           replicas=_name(act.replicas, lookup), context=_name(act.context, lookup))
        case Systemd():
            return replace(act, unit=_name(act.unit, lookup))
        case Flag():
            return replace(act, flag=one_line(act.flag, lookup), variant=one_line(act.variant, lookup))
        case Python():
            return replace(act, arguments={name: json_value(value, lookup) for name, value in act.arguments.items()})
        case Wait():
            return act if act.metric is None else replace(act, metric=replace(
                act.metric, query=promql(act.metric.query, lookup)))
        case Ask():
            return replace(act, question=plain(act.question, lookup))


def _name(text: str, lookup: Lookup) -> str:
    """A name of an object or unit: one word, and no option."""
    whole = argument(one_line(text, lookup), lookup) if "${" in text else text
    if any(sign.isspace() for sign in whole):
        raise Misplaced(f'"{whole}" is no name', "give one word", code="unsafe-value")
    return whole


def placed(act: Act, home: str) -> Act:
    """The act with its paths below the folder of the file that declares the runbook.

    Only who does it does this: where a catalog lies differs from host to host, and is no part of what is approved.
    """
    match act:
        case Command():
            return replace(act, folder=join(home, act.folder))
        case Python():
            return replace(act, folder=join(home, act.folder))
        case Flag():
            return replace(act, file=join(home, act.file))
        case Sql() if act.database.startswith("sqlite:///"):
            return replace(act, database="sqlite:///" + join(home, act.database.removeprefix("sqlite:///")))
    return act


# -- back from a fact ----------------------------------------------------------------------------------------------


def plan_of(data: Data) -> Plan:
    """The plan that a fact carries.

    Raises:
        InvalidInput: it is of a shape that this version does not know.
    """
    rule = data["approval"]
    return Plan(
        data["runbook"], data["version"], tuple(_step(one) for one in data["steps"]), data["inputs"], data["labels"],
        tuple(data["options"]), tuple(data["trusted"]), data["paths"],
        {name: SecretPlace(at["env"], at["file"]) for name, at in data["secrets"].items()}, tuple(data["targets"]),
        Approval(rule["needed"], tuple(rule["by"]), timedelta(seconds=rule["expires"])), data["by_hand"])


_NOWHERE = Position("")


def _step(data: Data) -> Step:
    retry = data["retry"]
    return Step(
        data["name"], act_of(data["act"]), _NOWHERE, data["title"], timedelta(seconds=data["timeout"]),
        Retry(retry["times"], timedelta(seconds=retry["wait"])), data["required"], data["idempotent"],
        act_of(data["undo"]) if data["undo"] else None, data["undo_idempotent"], data["irreversible"],
        data["changes"], act_of(data["verify"]) if data["verify"] else None,
        tuple(Test(one["value"], one["operator"], tuple(one["against"])) for one in data["when"]), data["confirm"],
        (), data["only_people"])
