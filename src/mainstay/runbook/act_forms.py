"""How an act is written in a runbook, and what must not stand in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from os.path import basename
from typing import Any

from mainstay.kernel.actuation import (
    ACTS,
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
)
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Node
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.reader import Reader
from mainstay.runbook.plan import resolved
from mainstay.runbook.variables import Misplaced, Value, Variable, literal, parts

KEYS = ("command", "http", "query", "kubernetes", "systemd", "flag", "wait-until", "ask", "python")
"""The kinds of steps as they are written; a query asks Prometheus or a database."""

_COMPARISON = re.compile(r"(<=|>=|==|!=|<|>)\s*(-?[0-9.]+(?:e-?[0-9]+)?)\s*(%|ms|s)?")
_SCALES = {"%": 0.01, "ms": 0.001, "s": 1.0, None: 1.0}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_VERBS = {"systemd": ("start", "stop", "restart", "reload", "try-restart", "reset-failed"),
          "kubernetes": ("scale", "restart", "rollout-undo", "count")}
_CANNOT = {"daemonset": ("scale", "count"), "replicaset": ("restart", "rollout-undo")}
"""What Kubernetes cannot do with a kind: one has no number of replicas, the other no revisions."""
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish", "ash", "busybox"})
_EVALUATE = {"python": "-c", "python3": "-c", "perl": "-e", "ruby": "-e", "node": "-e", "awk": "", "gawk": "",
             "ssh": "", "eval": "", "su": "-c"}
"""Programs that read arguments as a language: a variable in those would be read again by what they start."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What texts may refer to where they stand.

    Args:
        trusted: inputs with a declared list of values.
        before: steps that have run by then.
        steps: all steps.
    """

    inputs: frozenset[str]
    trusted: frozenset[str]
    secrets: frozenset[str]
    before: frozenset[str]
    steps: frozenset[str]


def read_act(step: Reader, scope: Scope, keys: tuple[str, ...] = KEYS) -> Act | None:
    """The one act that a step, an undo or a verification names; None when it names none, which is reported."""
    named = [key for key in keys if step.has(key)]
    if len(named) != 1:
        step.ignore(*keys)
        if named:
            step.report("two-acts", f"{step.path} says several things to do: {' and '.join(named)}", "make them two")
        elif not any(did_you_mean(key, keys) for key in step.node.keys):
            # A slip of the pen is reported as the unknown field it is.
            step.report("no-act", f"{step.path} says not what to do", "write one of: " + ", ".join(keys))
        return None
    key = named[0]
    before = len(step.findings)
    act = _READERS[key](step, key)
    step.ignore(*keys)
    if act is None or len(step.findings) > before:
        return None
    return act if _checked(step, key, act, scope) else None


# -- the kinds -----------------------------------------------------------------------------------------------------


def _command(step: Reader, key: str) -> Act | None:
    node = _node(step, key)
    if isinstance(node.value, dict):
        inner = _inner(step, key)
        argv = inner.texts("argv", required=True)
        made = Command(argv, inner.text("folder", default=""), inner.labels("env"),
                       inner.text("stdin", default=""), _codes(inner, "exits") or (0,))
        inner.done()
    else:
        if not isinstance(node.value, list):
            step.report("command-not-a-list", f"{step.field(key)} is one text; no shell reads it",
                        "write a list: [systemctl, restart, checkout]", key)
            return None
        made = Command(step.texts(key))
    if not made.argv or not made.argv[0]:
        step.report("missing-field", f"{step.field(key)} names no program", "write [PROGRAM, ARGUMENT, …]", key)
        return None
    return made


def _http(step: Reader, key: str) -> Act:
    inner = _inner(step, key)
    method = inner.text("method", one_of=_METHODS, default="GET")
    address = inner.text("url", required=True, default="")
    if address and not re.match(r"https?://", address):
        inner.report("invalid-value", f"{inner.field('url')} is no web address", "write http:// or https://", "url")
    body = inner.raw("body")
    made = Http(method, address, inner.labels("headers"), body.plain() if body is not None else None,
                _codes(inner, "status"))
    inner.done()
    return made


def _query(step: Reader, key: str) -> Act | None:
    inner = _inner(step, key)
    if inner.has("sql"):
        made: Act = Sql(_database(inner), inner.text("sql", required=True, default=""), _values(inner, "parameters"),
                        inner.whole("rows", minimum=1, maximum=10_000) or 100)
    else:
        made = _metric(inner)
    inner.done()
    return made


def _metric(inner: Reader) -> Metric:
    operator, threshold = _compared(inner)
    return Metric(inner.text("source", default=""), inner.text("promql", required=True, default=""), operator,
                  threshold)


def _compared(inner: Reader) -> tuple[str, float]:
    found = inner.parsed("is", comparison)
    return ("", 0.0) if found is None else found


def comparison(text: str) -> tuple[str, float]:
    """`< 0.01`, `>= 99 %`, `< 300ms` as an operator and a number; percent is a share, time is seconds.

    Raises:
        InvalidInput: none of these.
    """
    found = _COMPARISON.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(f'"{text}" compares with nothing', "write an operator and a number: < 0.01")
    # Through text, so that 0.1 % is 0.001 and not a little beside it.
    number = float(found[2])
    return found[1], round(number * _SCALES[found[3]], 12)


def _database(inner: Reader) -> str:
    text = inner.text("database", required=True, default="")
    if text and not text.startswith(("sqlite:///", "postgresql://", "${secrets.")):
        inner.report("invalid-value", f"{inner.field('database')} is no database that can be asked",
                     "write sqlite:///FILE, postgresql://… or ${secrets.NAME}", "database")
    return text


def _kubernetes(step: Reader, key: str) -> Act:
    inner = _inner(step, key)
    verb = inner.text("do", required=True, one_of=_VERBS[key], default="restart")
    thing = inner.text("object", required=True, default="")
    if thing and not re.fullmatch(r"(deployment|statefulset|daemonset|replicaset)/\S+", thing):
        inner.report("invalid-value", f"{inner.field('object')} is no object that can be acted on",
                     "write deployment/NAME, statefulset/NAME, daemonset/NAME or replicaset/NAME", "object")
    if verb in _CANNOT.get(kind := thing.partition("/")[0], ()):
        inner.report("invalid-value", f"a {kind} has no {'revisions' if kind == 'replicaset' else 'replicas'}: "
                     f"do: {verb} is not for it", "name a deployment or a statefulset", "object")
    made = Kubernetes(verb, thing, inner.text("namespace", default=""), inner.text("replicas", default=""),
                      inner.text("context", default=""))
    if (verb == "scale") != bool(made.replicas):
        inner.report("invalid-value", "replicas go with do: scale, and with it alone",
                     "write do: scale and replicas: 3")
    inner.done()
    return made


def _systemd(step: Reader, key: str) -> Act:
    inner = _inner(step, key)
    unit = inner.text("unit", required=True, default="")
    if unit and "${" not in unit and not _UNIT.fullmatch(unit):
        inner.report("invalid-value", f'"{unit}" is no unit', "write checkout.service", "unit")
    made = Systemd(unit, inner.text("do", required=True, one_of=_VERBS[key], default="restart"), inner.flag("user"))
    inner.done()
    return made


def _flag(step: Reader, key: str) -> Act:
    inner = _inner(step, key)
    made = Flag(inner.text("file", required=True, default=""), inner.text("flag", required=True, default=""),
                inner.text("variant", default=""),
                inner.text("state", one_of=("ENABLED", "DISABLED"), default=""))
    if not made.variant and not made.state:
        inner.report("missing-field", f"{inner.path} says not what the flag becomes", "add variant: or state:")
    inner.done()
    return made


def _wait(step: Reader, key: str) -> Act:
    inner = _inner(step, key)
    every = inner.duration("every") or timedelta(seconds=10)
    if inner.has("objective"):
        made = _objective(inner, every.total_seconds())
    else:
        metric = _metric(inner)
        if not metric.operator:
            inner.report("missing-field", f"{inner.path} compares with nothing", 'add is: "< 0.01"')
        made = Wait(metric, every=every.total_seconds())
    if every < timedelta(seconds=0.05):
        inner.report("out-of-range", f"{inner.field('every')} is too often", "write 1s or more", "every")
    inner.ignore("until-met-within")  # the step's time-out; the step reads it
    inner.done()
    return made


def _objective(inner: Reader, every: float) -> Wait:
    named = [one for one in ("state", "burn", "left") if inner.has(one)]
    if len(named) > 1:
        inner.report("one-of", f"{inner.path} waits for {' and '.join(named)}", "write one of: state, burn, left")
        inner.ignore("state", "burn", "left")
        named = []
    name = inner.text("objective", required=True, default="")
    if named in ([], ["state"]):
        return Wait(None, name, inner.text("state", one_of=("healthy", "at_risk"), default="healthy"), every)
    operator, threshold = inner.parsed(named[0], comparison) or ("<", 0.0)
    return Wait(None, name, every=every, measure=named[0], operator=operator, threshold=threshold)


def _ask(step: Reader, key: str) -> Act:
    if not isinstance(_node(step, key).value, dict):
        return Ask(step.text(key, required=True, default=""))
    inner = _inner(step, key)
    question = inner.text("question", required=True, default="")
    choices, stops = inner.texts("choices"), inner.texts("stops")
    if not choices:
        made = Ask(question)
    else:
        for one in stops:
            if one not in choices:
                inner.report("unknown-value", f'"{one}" is no choice{did_you_mean(one, choices)}',
                             "write one of: " + ", ".join(choices), "stops")
        made = Ask(question, choices, stops)
    inner.done()
    return made


def _python(step: Reader, key: str) -> Act:
    inner = _inner(step, key)
    function = inner.text("function", required=True, default="")
    if function and not _FUNCTION.fullmatch(function):
        inner.report("invalid-value", f'"{function}" names no function', "write package.module:function", "function")
    made = Python(function, _values(inner, "arguments"), inner.text("folder", default=""))
    inner.done()
    return made


_READERS: Mapping[str, Callable[[Reader, str], Act | None]] = {
    "command": _command, "http": _http, "query": _query, "kubernetes": _kubernetes, "systemd": _systemd, "flag": _flag,
    "wait-until": _wait, "ask": _ask, "python": _python}
assert set(_READERS) == set(KEYS)
assert {"metric", "sql"} | set(KEYS) - {"query"} == set(ACTS)


def _node(step: Reader, key: str) -> Node:
    assert isinstance(step.node.value, dict)
    return step.node.value[key]


def _inner(step: Reader, key: str) -> Reader:
    """The act's mapping; an empty one where something else is written, which is reported."""
    found = step.child(key, required=True)
    return found or Reader(step.document, Node({}, *_place(_node(step, key))), step.field(key), step.findings)


def _place(node: Node) -> tuple[int, int]:
    return node.line, node.column


def _values(inner: Reader, key: str) -> dict[str, Any]:
    """A mapping of names to any JSON values."""
    node = inner.raw(key)
    plain = {} if node is None else node.plain()
    if not isinstance(plain, dict):
        inner.report("wrong-type", f"{inner.field(key)} must be a mapping", "write name: value", key)
        return {}
    return plain


def _codes(inner: Reader, key: str) -> tuple[int, ...]:
    out = []
    for text in inner.texts(key):
        if not text.isdigit() or int(text) > 999:
            inner.report("wrong-type", f'{inner.field(key)} has "{text}", which is no code', "write numbers", key)
        else:
            out.append(int(text))
    return tuple(out)


# -- variables -----------------------------------------------------------------------------------------------------


def texts_below(node: Node) -> Iterator[tuple[str, Node]]:
    """Every text below the node, with where it stands."""
    if isinstance(node.value, str):
        yield node.value, node
    elif isinstance(node.value, list):
        for item in node.value:
            yield from texts_below(item)
    elif isinstance(node.value, dict):
        for item in node.value.values():
            yield from texts_below(item)


def check_names(step: Reader, node: Node, scope: Scope) -> bool:
    """Report every variable below the node that nothing declares; whether there was none."""
    count = len(step.findings)
    for text, at in texts_below(node):
        try:
            split = parts(text)
        except Misplaced as wrong:
            _report(step, at, wrong)
            continue
        for one in split:
            undeclared = _undeclared(one, scope) if isinstance(one, Variable) else None
            if undeclared is not None:
                _report(step, at, undeclared)
    return len(step.findings) == count


def _undeclared(one: Variable, scope: Scope) -> Misplaced | None:
    written = f"${{{one}}}"
    match one.space:
        case "inputs" if one.name not in scope.inputs:
            return Misplaced(f"no input is declared as {one.name}{did_you_mean(one.name, scope.inputs)}",
                             f"add it to inputs: - name: {one.name}", written, "undeclared-variable")
        case "secrets" if one.name not in scope.secrets:
            return Misplaced(f"no secret is declared as {one.name}{did_you_mean(one.name, scope.secrets)}",
                             f"add it to secrets: - {{name: {one.name}, env: …}}", written, "undeclared-variable")
        case "steps" if one.name not in scope.steps:
            return Misplaced(f"no step is named {one.name}{did_you_mean(one.name, scope.steps)}",
                             "name a step that comes before", written, "undeclared-variable")
        case "steps" if one.name not in scope.before:
            return Misplaced(f"the step {one.name} has not run by then", "name a step that comes before", written,
                             "later-step")
    return None


def _report(step: Reader, node: Node, wrong: Misplaced) -> None:
    """A finding whose caret stands at the variable where the line shows it."""
    line = step.document.lines[node.line - 1] if node.line <= len(step.document.lines) else ""
    at = line.find(wrong.variable, node.column - 1) if wrong.variable else -1
    place: Node | tuple[int, int] = (node.line, at + 1) if at >= 0 else node
    step.findings.append(step.document.finding(wrong.finding, place, wrong.message, wrong.way_out))


def _checked(step: Reader, key: str, act: Act, scope: Scope) -> bool:
    """Whether every variable of the act is declared and stands where it may."""
    node = _node(step, key)
    if not check_names(step, node, scope):
        return False
    try:
        _literals(act)
        _never_read_again(act)
        _secrets(act)
        resolved(act, lambda one: Value("1", True, one.space == "inputs" and one.name in scope.trusted))
    except Misplaced as wrong:
        at = next((found for text, found in texts_below(node) if wrong.variable and wrong.variable in text), node)
        _report(step, at, wrong)
        return False
    return True


def _literals(act: Act) -> None:
    match act:
        case Command():
            literal(act.argv[0], "a program's name")
            literal(act.folder, "a folder")
        case Sql():
            literal(act.statement, "a statement; values go into parameters, which")
            if "${" in act.database and not re.fullmatch(r"\$\{secrets\.[^}]*\}", act.database):
                literal(act.database, "a database that is no secret")
        case Flag():
            literal(act.file, "a file")
        case Kubernetes():
            literal(act.context, "a context")


def _never_read_again(act: Act) -> None:
    """Raises Misplaced where what is started would read a variable's value as a language."""
    if not isinstance(act, Command):
        return
    names = [basename(one) for one in act.argv]
    for at, name in enumerate(names):
        rest = act.argv[at + 1:]
        flag = "-c" if name in _SHELLS else _EVALUATE.get(name)
        if flag is None or (at and name not in _SHELLS and name not in _EVALUATE):
            continue
        if name in _SHELLS and any(re.fullmatch(r"-[a-z]*c[a-z]*", one) for one in rest):
            after = [one for one in rest if not one.startswith("-")][:1]
        elif flag and flag in rest:
            after = [rest[rest.index(flag) + 1]] if rest.index(flag) + 1 < len(rest) else []
        elif not flag:
            after = list(rest) if name in ("ssh", "eval") else [one for one in rest if not one.startswith("-")][:1]
        else:
            continue
        for text in after:
            if "${" in text and (inside := [one for one in parts(text) if isinstance(one, Variable)]):
                raise Misplaced(f"{name} would read the value of {inside[0]} as a program",
                                "hand the value over as an argument of its own: [sh, -c, 'echo \"$1\"', sh, "
                                f"\"${{{inside[0]}}}\"]", f"${{{inside[0]}}}", "variable-read-again")


def _secrets(act: Act) -> None:
    """Raises Misplaced where a secret would be seen: in arguments, which every process on the host can list."""
    match act:
        case Command():
            shown: tuple[str, ...] = act.argv
        case Http():
            shown = (act.url,)
        case Sql() | Python():
            shown = ()
        case Metric():
            shown = (act.query,)
        case Wait():
            shown = (act.metric.query,) if act.metric is not None else ()
        case Kubernetes():
            shown = (act.object, act.namespace, act.replicas)
        case Systemd():
            shown = (act.unit,)
        case Flag():
            shown = (act.flag, act.variant)
        case Ask():
            shown = (act.question,)
    for part in (one for text in shown for one in parts(text)):
        if isinstance(part, Variable) and part.space == "secrets":
            raise Misplaced(f"the secret {part.name} would be seen there",
                            "put it into env, stdin, a header, a body or an argument of python",
                            f"${{{part}}}", "secret-not-here")
