"""`mainstay/v1 Runbook` as it is written. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from mainstay.kernel.actuation import Act, Ask, Flag, Http, Kubernetes, Metric, Sql, Systemd, Wait
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.metadata import read_metadata
from mainstay.kernel.reader import Reader
from mainstay.runbook.act_forms import KEYS, Scope, check_names, read_act
from mainstay.runbook.spec import (
    APPROVAL_EXPIRES,
    LONGEST_INPUT,
    OPERATORS,
    TIME_OUT,
    TYPES,
    Approval,
    Escalation,
    Given,
    Input,
    Retry,
    Runbook,
    SecretPlace,
    Step,
    Test,
    Trigger,
)

FORM = "mainstay/v1 Runbook"
_STEP_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")
_INPUT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_UNDO_KEYS = ("command", "http", "kubernetes", "systemd", "flag", "python")
_VERIFY_KEYS = ("command", "http", "query", "wait-until", "python")
MOST_STEPS = 200


def read_runbook(reader: Reader) -> Iterator[Runbook]:
    """mainstay/v1 Runbook."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    before = len(spec.findings)
    inputs, secrets = _inputs(spec), _secrets(spec)
    steps = _steps(spec, inputs, secrets)
    scope = _scope(inputs, secrets, (), ())
    book = Runbook(
        meta.name, meta.origin, FORM, steps, meta.title, spec.text("description", default=""), meta.service, meta.owner,
        spec.text("severity", default=""), _triggers(spec), inputs, secrets, _approval(spec), _targets(spec, scope),
        escalation(spec), spec.number("manual_minutes", minimum=0), labels=meta.labels)
    spec.done()
    if meta.name and len(spec.findings) == before:
        yield book


# -- what it is told -----------------------------------------------------------------------------------------------


def _inputs(spec: Reader) -> tuple[Input, ...]:
    out: list[Input] = []
    for entry in spec.children("inputs"):
        name = entry.text("name", required=True, default="")
        kind = entry.text("type", one_of=TYPES, default="text")
        pattern = entry.parsed("pattern", _pattern) or ""
        within = entry.text("within", default="")
        required = entry.flag("required", default=True)
        one = Input(name, kind, entry.text("description", default=""), None, required, pattern,
                    _values(entry, "allowed"), within, entry.flag("multiline"), entry.flag("option_like"),
                    entry.whole("longest", minimum=1, maximum=16_384) or LONGEST_INPUT)
        if name and not _INPUT_NAME.fullmatch(name):
            entry.report("invalid-name", f'"{name}" cannot be an input\'s name', "use letters, digits, _ and -", "name")
        if name in {known.name for known in out}:
            entry.report("duplicate-name", f'the input "{name}" is declared twice', "keep one", "name")
        if entry.has("allowed") and not one.allowed:
            entry.report("invalid-value", f"{entry.field('allowed')} names no value, so none would be refused",
                         "name what may be given, or take allowed: away", "allowed")
        if kind == "path" and not within.startswith("/"):
            entry.report("missing-field", f"{entry.field('within')} is missing",
                         "add within: /FOLDER, below which the path must lie")
        default = _values(entry, "default")
        entry.done()
        out.append(_with_default(entry, one, default))
    return tuple(out)


def _with_default(entry: Reader, one: Input, default: tuple[Given, ...]) -> Input:
    if not default:
        return one
    try:
        value = one.read(default[0])
    except InvalidInput as wrong:
        entry.report("invalid-value", f"its default does not fit: {wrong.message}", wrong.way_out, "default")
        return one
    return Input(one.name, one.type, one.description, value, one.required, one.pattern, one.allowed, one.within,
                 one.multiline, one.option_like, one.longest)


def _values(entry: Reader, key: str) -> tuple[Given, ...]:
    """Plain values as they are written: a list of them, or one."""
    node = entry.raw(key)
    if node is None:
        return ()
    out: list[Given] = []
    for item in node.value if isinstance(node.value, list) else [node]:
        if isinstance(item.value, str | int | float | bool):
            out.append(item.value)
        else:
            entry.report("wrong-type", f"{entry.field(key)} holds what is no plain value", "write texts or numbers",
                         key)
    return tuple(out)


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise InvalidInput(f'"{text}" is not a regular expression: {error}', "check brackets and stars") from None
    return text


def _secrets(spec: Reader) -> dict[str, SecretPlace]:
    out: dict[str, SecretPlace] = {}
    for entry in spec.children("secrets"):
        name = entry.text("name", required=True, default="")
        at = SecretPlace(entry.text("env", default=""), entry.text("file", default=""))
        if bool(at.env) == bool(at.file):
            entry.report("missing-field", f"the secret {name} says not where it is kept, or says it twice",
                         "add env: VARIABLE or file: PATH")
        entry.done()
        out[name] = at
    return out


def _approval(spec: Reader) -> Approval:
    entry = spec.child("approval")
    if entry is None:
        return Approval()
    needed, by = entry.whole("needed", minimum=0, maximum=20), entry.texts("by")
    expires = entry.duration("expires") or APPROVAL_EXPIRES
    needed = 1 if needed is None else needed
    if by and len(set(by)) < needed:
        entry.report("too-few-approvers", f"{needed} must approve, and only {len(set(by))} may",
                     "name more people under by:, or lower needed:", "by")
    if expires <= timedelta(0):
        entry.report("out-of-range", f"{entry.field('expires')} is not above zero", "write 1h or more", "expires")
    entry.done()
    return Approval(needed, by, expires)


def _triggers(spec: Reader) -> tuple[Trigger, ...]:
    out = []
    for entry in spec.children("triggers"):
        one = Trigger(entry.where, entry.text("alert", default=""), entry.text("threshold", default=""),
                      entry.labels("labels"), entry.text("runbook", default=""),
                      entry.text("ended", one_of=("succeeded", "failed"), default=""))
        if bool(one.alert) == bool(one.runbook):
            entry.report("missing-field", "a trigger names an alert or a runbook", "add alert: NAME")
        entry.done()
        out.append(one)
    return tuple(out)


def _targets(spec: Reader, scope: Scope) -> tuple[str, ...]:
    targets = spec.texts("targets")
    if targets:
        node = spec.raw("targets")
        named = node is not None and check_names(spec, node, scope)
        if named and any("${secrets." in one for one in targets):
            spec.report("misplaced-variable", "a target is known before the run begins",
                        "use inputs and labels", "targets")
    return targets


def escalation(spec: Reader) -> tuple[Escalation, ...]:
    """Who is told when it still goes on: `- after: 30m, to: senior-sre`."""
    out = []
    for entry in spec.children("escalation"):
        after, to = entry.duration("after", required=True), entry.text("to", required=True, default="")
        entry.done()
        if after is not None and to:
            out.append(Escalation(after, to))
    return tuple(out)


# -- steps ---------------------------------------------------------------------------------------------------------


def _scope(inputs: tuple[Input, ...], secrets: dict[str, SecretPlace], before: Any, steps: Any) -> Scope:
    return Scope(frozenset(one.name for one in inputs), frozenset(one.name for one in inputs if one.allowed),
                 frozenset(secrets), frozenset(before), frozenset(steps))


def _steps(spec: Reader, inputs: tuple[Input, ...], secrets: dict[str, SecretPlace]) -> tuple[Step, ...]:
    entries = spec.children("steps", required=True)
    if len(entries) > MOST_STEPS:
        spec.report("too-many", f"{len(entries)} steps are more than {MOST_STEPS}", "split the runbook", "steps")
    names = [entry.text("name", required=True, default="") for entry in entries]
    for at, name in enumerate(names):
        if name and not _STEP_NAME.fullmatch(name):
            entries[at].report("invalid-name", f'"{name}" cannot be a step\'s name', "use a-z, 0-9 and -", "name")
        if name and name in names[:at]:
            # Two steps of one name would share what takes them back.
            entries[at].report("duplicate-name", f'the step "{name}" is declared twice', "rename one of the two",
                               "name")
    steps, undo_from = [], {}
    for at, entry in enumerate(entries):
        scope = _scope(inputs, secrets, names[:at], names)
        step = _step(entry, names[at], scope)
        if (other := _undo_from(entry)) is not None:
            undo_from[names[at]] = other, entry
        entry.done()
        if step is not None:
            steps.append(step)
    if not entries and spec.has("steps"):
        spec.report("missing-field", "the runbook has no step", "add steps: - name: …", "steps")
    return _undone_as(steps, undo_from)


def _step(entry: Reader, name: str, scope: Scope) -> Step | None:
    act = read_act(entry, scope, KEYS)
    timeout = entry.duration("timeout") or _met_within(entry) or TIME_OUT
    retry, undo, undo_twice = _retry(entry), None, False
    child = entry.child("undo")
    after = Scope(scope.inputs, scope.trusted, scope.secrets, scope.before | {name}, scope.steps)
    if child is not None and not child.has("as"):
        undo = read_act(child, after, _UNDO_KEYS)
        undo_twice = child.flag("idempotent", default=_idempotent(undo))
        child.done()
    verify = entry.child("verify")
    proof = None
    if verify is not None:
        proof = read_act(verify, after, _VERIFY_KEYS)
        verify.done()
    when = _when(entry, scope)
    idempotent = entry.flag("idempotent", default=_idempotent(act))
    irreversible = entry.text("irreversible", default="")
    changes = entry.flag("changes", default=not _looks(act))
    links = tuple((one.text("text", default="") or "look", one.text("url", required=True, default=""))
                  for one in entry.children("links"))
    title, required, confirm = entry.text("title", default=""), entry.flag("required", default=True), \
        entry.flag("confirm")
    if irreversible and (undo is not None or entry.has("undo")):
        entry.report("undo-of-irreversible", f"{name} is said to be irreversible, and how it is undone", "keep one",
                     "irreversible")
    if retry.times and not idempotent:
        entry.report("retry-not-idempotent", f"{name} would be done again although doing it twice is not doing it once",
                     "add idempotent: true where that is so, or take retry away", "retry")
    if act is None or not name:
        return None
    return Step(name, act, entry.where, title, timeout, retry, required, idempotent, undo, undo_twice, irreversible,
                changes, proof, when, confirm, links)


def _met_within(entry: Reader) -> timedelta | None:
    node = entry.raw("wait-until")
    if node is None or not isinstance(node.value, dict):
        return None
    inner = Reader(entry.document, node, entry.field("wait-until"), entry.findings)
    return inner.duration("until-met-within")


def _retry(entry: Reader) -> Retry:
    child = entry.child("retry")
    if child is None:
        return Retry()
    times, wait = child.whole("times", required=True, minimum=1, maximum=20), child.duration("wait")
    child.done()
    return Retry(times or 0, Retry().wait if wait is None else wait)


def _idempotent(act: Act | None) -> bool:
    """What can be done twice without harm where nobody said so."""
    match act:
        case Ask() | Metric() | Sql() | Wait() | Flag():
            return True
        case Http(method=method):
            return method in ("GET", "HEAD")
        case Kubernetes(verb=verb):
            return verb in ("scale", "count")
        case Systemd(verb=verb):
            return verb in ("start", "stop", "reset-failed")
    return False


def _looks(act: Act | None) -> bool:
    """Whether the act only looks."""
    return isinstance(act, Ask | Metric | Sql | Wait) or (isinstance(act, Http) and act.method in ("GET", "HEAD")) or \
        (isinstance(act, Kubernetes) and act.verb == "count")


def _when(entry: Reader, scope: Scope) -> tuple[Test, ...]:
    out = []
    node = entry.raw("when")
    if node is None:
        return ()
    many = entry.children("when") if isinstance(node.value, list) else \
        [one for one in (entry.child("when"),) if one is not None]
    check_names(entry, node, scope)
    for one in many:
        value = one.text("value", required=True, default="")
        said = [operator for operator in OPERATORS if one.has(operator)]
        if len(said) != 1:
            one.report("missing-field", f"{one.path} compares with nothing, or twice",
                       "write one of: " + ", ".join(OPERATORS))
            one.ignore(*OPERATORS)
        else:
            out.append(Test(value, said[0], one.texts(said[0])))
            _check_test(one, said[0], out[-1])
        one.done()
    return tuple(out)


def _check_test(one: Reader, operator: str, test: Test) -> None:
    try:
        if operator == "matches":
            re.compile(test.against[0])
        elif operator in ("above", "below"):
            float(test.against[0])
        elif not test.against:
            raise ValueError
    except (ValueError, IndexError, re.error):
        one.report("invalid-value", f"{one.field(operator)} cannot be compared with", "write a value that fits",
                   operator)


def _undo_from(entry: Reader) -> str | None:
    """`undo: {as: STEP}`: the undo is what another step does."""
    child = entry.child("undo")
    if child is None or not child.has("as"):
        return None
    name = child.text("as", default="")
    child.done()
    return name


def _undone_as(steps: list[Step], undo_from: dict[str, tuple[str, Reader]]) -> tuple[Step, ...]:
    """The steps, each with the act that undoes it; what refers to nothing or to itself in a ring is reported."""
    by_name = {one.name: one for one in steps}
    out = []
    for step in steps:
        if step.name not in undo_from:
            out.append(step)
            continue
        other, entry = undo_from[step.name]
        if ring := _ring(step.name, undo_from):
            if step.name != min(ring, key=list(by_name).index):
                continue  # said once, at the first of them
            entry.report("undo-ring", f"what undoes {step.name} is undone by {step.name} itself",
                         "write out what one of them does", "undo")
        elif other not in by_name:
            entry.report("undeclared-variable", f"no step is named {other}{did_you_mean(other, by_name)}",
                         "name a step of this runbook", "undo")
        elif by_name[other].act.kind not in _UNDO_KEYS:
            entry.report("invalid-value", f"the step {other} changes nothing, so it undoes nothing",
                         "name a step that acts", "undo")
        else:
            used = by_name[other]
            out.append(Step(step.name, step.act, step.where, step.title, step.timeout, step.retry, step.required,
                            step.idempotent, used.act, used.idempotent, step.irreversible, step.changes, step.verify,
                            step.when, step.confirm, step.links))
    return tuple(out)


def _ring(name: str, undo_from: dict[str, tuple[str, Reader]]) -> list[str]:
    """The steps that undo each other in a ring with this one; none where it is in no ring."""
    seen, at = [name], name
    while at in undo_from:
        at = undo_from[at][0]
        if at in seen:
            return seen if at == name else []
        seen.append(at)
    return []
