"""Experiments of the Chaos Toolkit as they are: reading them with every mistake at its line, and their own rules.

Source: the Chaos Toolkit's open API, "Experiment", "Journal", "Experiment run flow"; chaostoolkit-lib 1.44 decides
where that says nothing.
"""

from __future__ import annotations

import re
import shlex
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from string import Template
from typing import Any
from urllib.parse import urlencode

from mainstay.chaos.hypothesis import Asked, Tolerance, tolerance_of
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document, Node
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Finding, Position, Severity, did_you_mean
from mainstay.kernel.probing import Ask, CallAsk, HttpAsk, ProcessAsk

PROVIDERS = ("python", "http", "process")
HTTP_SECONDS, PROGRAM_SECONDS = 60.0, 3600.0
"""Seconds that an activity may take which says nothing; the Chaos Toolkit waits for ever."""


@dataclass(frozen=True, slots=True)
class Activity:
    """A probe or an action. `raw` is as written; a reference has a name and nothing else.

    Args:
        kind: `probe`, `action`, or `ref`.
    """

    name: str
    kind: str
    where: Position
    raw: Mapping[str, Any]

    @property
    def provider(self) -> Mapping[str, Any]:
        """Who carries it out."""
        found: Mapping[str, Any] = self.raw.get("provider") or {}
        return found

    @property
    def background(self) -> bool:
        """Whether the method goes on while it works."""
        return self.raw.get("background") is True


@dataclass(frozen=True, slots=True)
class ToolkitExperiment:
    """An experiment of the Chaos Toolkit. `raw` is the whole document."""

    title: str
    origin: Position
    raw: Mapping[str, Any]
    probes: tuple[Activity, ...] = ()
    method: tuple[Activity, ...] = ()
    rollbacks: tuple[Activity, ...] = ()
    places: Mapping[str, Position] = field(default_factory=dict)

    @property
    def activities(self) -> tuple[Activity, ...]:
        """All of them, in the order in which they are written."""
        return (*self.probes, *self.method, *self.rollbacks)

    def named(self, name: str) -> Activity | None:
        """What a `ref` means."""
        return next((one for one in self.activities if one.kind != "ref" and one.name == name), None)


def recognised(root: Node) -> bool:
    """Whether a document is an experiment of the Chaos Toolkit."""
    return isinstance(root.value, dict) and "apiVersion" not in root.value and \
        ("method" in root.value or "steady-state-hypothesis" in root.value)


def read(document: Document) -> tuple[ToolkitExperiment, list[Finding]]:
    """The experiment, and everything that is wrong with its form. What is wrong is left out of it."""
    findings: list[Finding] = []
    root = document.root
    raw = root.plain()
    assert isinstance(raw, dict), "it was recognised"
    values = root.value if isinstance(root.value, dict) else {}
    for key in ("title", "description", "method"):
        if raw.get(key) in (None, ""):
            findings.append(document.finding("missing-field", values.get(key, root), f"{key} is missing",
                                             f"add {key}:" + (" [] where only the hypothesis is to be checked"
                                                              if key == "method" else " …")))
    reading = _Reading(document, findings)
    steady = values.get("steady-state-hypothesis")
    probes: tuple[Activity, ...] = ()
    if steady is not None and isinstance(steady.value, dict):
        if not steady.value.get("title"):
            findings.append(document.finding("missing-field", steady, "the hypothesis has no title", "add title: …"))
        probes = reading.activities(steady.value.get("probes"), "steady-state-hypothesis.probes", tolerated=True)
    found = ToolkitExperiment(
        str(raw.get("title") or ""), Position(document.file, root.line, root.column), raw, probes,
        reading.activities(values.get("method"), "method"), reading.activities(values.get("rollbacks"), "rollbacks"),
        dict(_places(document, values)))
    for one in found.activities:
        if one.kind == "ref" and found.named(one.name) is None:
            names = [each.name for each in found.activities if each.kind != "ref"]
            findings.append(Finding("unknown-reference", one.where, f'no activity is named "{one.name}"'
                                    + did_you_mean(one.name, names),
                                    "known: " + ", ".join(names) if names else "name an activity"))
    findings += (*_runtime_wrong(document, values), *_not_played(document, values))
    return found, findings


STRATEGIES = ("default", "before-method-only", "after-method-only", "during-method-only", "continuously", "skip")
"""When the steady state is looked at."""

ROLLBACKS = ("safe", "default", "always", "never", "deviated")
"""When rollbacks are played; `safe` is ours: always, once the experiment was begun."""

_RUNTIME = {"hypothesis": STRATEGIES, "rollbacks": ROLLBACKS[1:]}


def strategy_of(experiment: ToolkitExperiment, what: str) -> str:
    """What the experiment's own `runtime` says of its `hypothesis` or `rollbacks`; empty where it says nothing."""
    runtime = experiment.raw.get("runtime")
    part = runtime.get(what) if isinstance(runtime, dict) else None
    return str(part.get("strategy") or "") if isinstance(part, dict) else ""


def _runtime_wrong(document: Document, values: Mapping[str, Node]) -> Iterator[Finding]:
    runtime = values.get("runtime")
    if runtime is None or not isinstance(runtime.value, dict):
        return
    for what, known in _RUNTIME.items():
        part = runtime.value.get(what)
        said = part.value.get("strategy") if part is not None and isinstance(part.value, dict) else None
        if said is not None and said.value not in known:
            yield document.finding("unknown-value", said, f'runtime.{what}.strategy is "{said.value}"'
                                   + did_you_mean(str(said.value), known), "write one of: " + ", ".join(known))


def _places(document: Document, values: Mapping[str, Node]) -> Iterator[tuple[str, Position]]:
    """Where each field of the document stands, and each name of its configuration and secrets."""
    for key, node in values.items():
        yield key, Position(document.file, node.line, node.column)
        if key in ("configuration", "secrets"):
            yield from ((name, Position(document.file, line, column)) for name, (line, column) in _names(node))


def _names(node: Node) -> Iterator[tuple[str, tuple[int, int]]]:
    if isinstance(node.value, dict) and "type" not in node.value:
        for name, inner in node.value.items():
            yield f"value {name}", node.keys[name]
            yield from _names(inner)


def _not_played(document: Document, values: Mapping[str, Node]) -> Iterator[Finding]:
    """What is read and has no effect here."""
    for key in ("controls", "extensions"):
        node = values.get(key)
        if node is not None and node.value:
            names = [str(one.get("name", "")) for one in _mappings(node.plain())]
            shown = ", ".join(filter(None, names)) or "some"
            yield replace(document.finding(f"{key}-not-played", node, f"{key} are not played: {shown}",
                                           "hypothesis and activities run without them"), severity=Severity.WARNING)


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


@dataclass(slots=True)
class _Reading:
    """Reads activities; what is wrong goes into the findings."""

    document: Document
    findings: list[Finding]

    def report(self, node: Node, code: str, message: str, mend: str = "") -> None:
        self.findings.append(self.document.finding(code, node, message, mend))

    def activities(self, node: Node | None, path: str, *, tolerated: bool = False) -> tuple[Activity, ...]:
        if node is None or node.value is None:
            return ()
        if not isinstance(node.value, list):
            self.report(node, "wrong-type", f"{path} must be a list", "write - type: probe …")
            return ()
        found = [self.activity(one, f"{path}[{index}]", tolerated) for index, one in enumerate(node.value)]
        return tuple(one for one in found if one is not None)

    def activity(self, node: Node, path: str, tolerated: bool) -> Activity | None:
        where = Position(self.document.file, node.line, node.column)
        if not isinstance(node.value, dict):
            self.report(node, "wrong-type", f"{path} must be a mapping", "write type, name and provider")
            return None
        raw = node.plain()
        assert isinstance(raw, dict), "a mapping"
        if "ref" in raw:
            if not isinstance(raw["ref"], str) or not raw["ref"]:
                self.report(node.value["ref"], "wrong-type", f"{path}.ref must be the name of an activity")
                return None
            return Activity(raw["ref"], "ref", where, raw)
        before = len(self.findings)
        if raw.get("type") not in ("probe", "action"):
            self.report(node.value.get("type", node), "unknown-value", f'{path}.type is "{raw.get("type")}"',
                        "write probe or action")
        if not raw.get("name"):
            self.report(node, "missing-field", f"{path}.name is missing", "add name: …")
        self.provider(node, path)
        self.pauses(node, path)
        if tolerated:
            self.tolerance(node, path)
        return Activity(str(raw["name"]), str(raw["type"]), where, raw) if len(self.findings) == before else None

    def provider(self, node: Node, path: str) -> None:
        assert isinstance(node.value, dict), "a mapping"
        found = node.value.get("provider")
        if found is None or not isinstance(found.value, dict):
            self.report(node, "missing-field", f"{path}.provider is missing", "add provider: {type: process, path: …}")
            return
        kind = str(found.value["type"].value) if "type" in found.value else ""
        if kind not in PROVIDERS:
            self.report(found.value.get("type", found), "unknown-value", f'{path}.provider.type is "{kind}"'
                        + did_you_mean(kind, PROVIDERS), "write one of: " + ", ".join(PROVIDERS))
            return
        for key in {"python": ("module", "func"), "http": ("url",), "process": ("path",)}[kind]:
            if key not in found.value or not found.value[key].value:
                self.report(found, "missing-field", f"{path}.provider.{key} is missing", f"add {key}: …")
        words = found.value.get("arguments")
        if kind == "process" and words is not None and isinstance(words.value, str) and needs_shell(words.value):
            self.report(words, "needs-a-shell", f"{path} uses a shell's own signs, and no shell is started",
                        "call a script, or write arguments as a list")

    def pauses(self, node: Node, path: str) -> None:
        assert isinstance(node.value, dict), "a mapping"
        found = node.value.get("pauses")
        if found is None or not isinstance(found.value, dict):
            return
        for key in ("before", "after"):
            one = found.value.get(key)
            if one is None or one.value is None:
                continue
            is_number = isinstance(one.value, int | float) and not isinstance(one.value, bool)
            if not is_number and not (isinstance(one.value, str) and re.fullmatch(r"\$\{.+\}", one.value)):
                self.report(one, "wrong-type", f"{path}.pauses.{key} must be a number of seconds, or ${{name}}",
                            "write 5")

    def tolerance(self, node: Node, path: str) -> None:
        assert isinstance(node.value, dict), "a mapping"
        found = node.value.get("tolerance")
        if found is None:
            self.report(node, "missing-field", f"{path}.tolerance is missing", "a probe of the hypothesis needs one")
            return
        raw = found.plain()
        try:
            if isinstance(raw, dict) and raw.get("type") == "probe":
                self.provider(found, f"{path}.tolerance")
            else:
                tolerance_of(_without_variables(raw))
        except InvalidInput as error:
            self.report(found, "invalid-value", f"{path}.tolerance: {error.message}", error.way_out)


def _without_variables(raw: Any) -> Any:
    """A pattern or path that holds `${name}` can only be judged when it runs."""
    if isinstance(raw, dict):
        return {key: "$.x" if key == "path" and "${" in str(value) else "x" if key == "pattern" and "${" in str(value)
                else value for key, value in raw.items()}
    return raw


# -- variables ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Values:
    """Configuration and secrets as they are when it runs; configuration wins over secrets in `${name}`."""

    configuration: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict)

    def of(self, raw: Any) -> Any:
        """The value with every `${name}` replaced; a text that is nothing else takes the value's type."""
        groups = [one for one in self.secrets.values() if isinstance(one, dict)]
        return _replaced(raw, ChainMap(dict(self.configuration), *groups))


def _replaced(raw: Any, names: Mapping[str, Any]) -> Any:
    match raw:
        case str():
            whole = Template.pattern.fullmatch(raw)
            name = (whole.group("named") or whole.group("braced")) if whole is not None else None
            return names[name] if name is not None and name in names else Template(raw).safe_substitute(names)
        case dict():
            return {key: _replaced(value, names) for key, value in raw.items()}
        case list():
            return [_replaced(value, names) for value in raw]
    return raw


@dataclass(frozen=True, slots=True)
class Missing:
    """A value that cannot be had."""

    name: str
    why: str
    mend: str


def values_of(experiment: ToolkitExperiment, environ: Mapping[str, str]) -> tuple[Values, list[Missing]]:
    """Configuration and secrets from the document and the environment, and what is missing.

    A configuration that a probe gives is left out: it is asked for when the experiment runs.
    """
    missing: list[Missing] = []
    configuration = {name: _variable(name, raw, environ, missing)
                     for name, raw in _mapping(experiment.raw.get("configuration")).items()
                     if not (isinstance(raw, dict) and raw.get("type") == "probe")}
    secrets = _secrets(_mapping(experiment.raw.get("secrets")), environ, missing)
    return Values(configuration, secrets), missing


def _mapping(raw: Any) -> Mapping[str, Any]:
    return raw if isinstance(raw, dict) else {}


def dynamic(experiment: ToolkitExperiment) -> dict[str, Activity]:
    """The probes that give a configuration, by its name."""
    where = experiment.places.get("configuration", experiment.origin)
    return {name: Activity(str(raw.get("name", name)), "probe", where, raw)
            for name, raw in _mapping(experiment.raw.get("configuration")).items()
            if isinstance(raw, dict) and raw.get("type") == "probe"}


_KINDS: Mapping[str, Callable[[str], Any]] = {
    "int": int, "float": float, "str": str, "bytes": str.encode,
    "bool": lambda text: text.lower() in ("true", "1", "yes")}


def _variable(name: str, raw: Any, environ: Mapping[str, str], missing: list[Missing]) -> Any:
    if not isinstance(raw, dict) or "type" not in raw:
        return raw
    if raw["type"] != "env":
        return raw
    key = str(raw.get("key", name))
    if key not in environ and "default" not in raw:
        missing.append(Missing(name, f"the environment variable {key} is not set", f"set {key} before you run it"))
        return None
    value = environ.get(key, raw.get("default"))
    convert = _KINDS.get(str(raw.get("env_var_type", "")))
    if convert is None or not isinstance(value, str):
        return value
    try:
        return convert(value)
    except ValueError:
        missing.append(Missing(name, f"the environment variable {key} is no {raw['env_var_type']}", f"mend {key}"))
        return None


def _secrets(raw: Mapping[str, Any], environ: Mapping[str, str], missing: list[Missing]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in raw.items():
        match value:
            case {"type": "env"}:
                key = str(value.get("key", name))
                if key not in environ:
                    missing.append(Missing(name, f"the environment variable {key} is not set",
                                           f"set {key} before you run it"))
                found[name] = environ.get(key)
            case {"type": "vault"}:
                missing.append(Missing(name, f'the secret "{name}" is in Vault, which Mainstay does not ask',
                                       "let Vault's agent put it into the environment, and write type: env"))
            case dict():
                found[name] = _secrets(value, environ, missing)
            case _:
                found[name] = value
    return found


# -- questions ----------------------------------------------------------------------------------------------------


_SHELL = re.compile(r"[|&;<>`\n]|\$\(")


def needs_shell(text: str) -> bool:
    """Whether the words hold signs that only a shell understands, outside quotes."""
    try:
        parts = shlex.shlex(text, posix=True, punctuation_chars=True)
        parts.whitespace_split = True
        return any(set(part) <= set("|&;<>()") for part in parts) or "`" in text or "$(" in text
    except ValueError:
        return True


def ask_of(activity: Activity, values: Values) -> Ask:
    """The activity as a question, with every variable in its place.

    Raises:
        InvalidInput: a program's words cannot be told apart.
    """
    provider = activity.provider
    match provider.get("type"):
        case "http":
            return _http(provider, values)
        case "process":
            return _process(provider, values)
        case _:
            arguments = dict(values.of(provider.get("arguments") or {}))
            return CallAsk(str(provider["module"]), str(provider["func"]), arguments, PROGRAM_SECONDS)


def _http(provider: Mapping[str, Any], values: Values) -> HttpAsk:
    url, method = str(values.of(provider["url"])), str(provider.get("method", "GET")).upper()
    headers = {str(name): str(value) for name, value in (values.of(provider.get("headers")) or {}).items()}
    arguments = values.of(provider.get("arguments"))
    body = ""
    if arguments and method == "GET":
        url += ("&" if "?" in url else "?") + urlencode(arguments, doseq=True)
    elif isinstance(arguments, str):
        body = arguments
    elif arguments and headers.get("Content-Type") == "application/json":
        import json  # noqa: PLC0415  (a lazy start: few activities send a body)

        body = json.dumps(arguments)
    elif arguments:
        body = urlencode(arguments, doseq=True)
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    return HttpAsk(url, method, headers, body, seconds=_seconds(values.of(provider.get("timeout")), HTTP_SECONDS),
                   verify=provider.get("verify_tls", True) is not False, parsed=False)


def _process(provider: Mapping[str, Any], values: Values) -> ProcessAsk:
    path, arguments = str(provider["path"]), values.of(provider.get("arguments") or [])
    if isinstance(arguments, str):
        if needs_shell(arguments):
            raise InvalidInput(f"it uses a shell's own signs, and no shell is started: {arguments}",
                               "call a script, or write arguments as a list")
        words = shlex.split(arguments)
    elif isinstance(arguments, dict):
        words = [str(one) for pair in arguments.items() for one in pair if one not in (None, "")]
    else:
        words = [str(one) for one in arguments if one not in (None, "")]
    return ProcessAsk((path, *words), seconds=_seconds(values.of(provider.get("timeout")), PROGRAM_SECONDS))


def _seconds(raw: Any, usual: float) -> float:
    """A time-out; of HTTP's pair, for connecting and for reading, the sum."""
    if isinstance(raw, list):
        numbers = [float(one) for one in raw if isinstance(one, int | float)]
        return sum(numbers) or usual
    try:
        return float(raw) if raw else usual
    except (TypeError, ValueError):
        return usual


def tolerance_for(activity: Activity, values: Values) -> Tolerance:
    """What the probe's answer may be.

    Raises:
        InvalidInput: with its variables in their place it is no tolerance.
    """
    raw = activity.raw.get("tolerance")
    if isinstance(raw, dict) and raw.get("type") == "probe":
        return Asked(ask_of(replace(activity, raw=raw), values))
    # Only patterns and paths are replaced there; a number written as ${name} stays a text that nothing equals.
    return tolerance_of(values.of(raw) if isinstance(raw, dict) else raw)


def calls(experiment: ToolkitExperiment) -> Sequence[Activity]:
    """Activities that call a function of a Python module, those that decide on a tolerance too."""
    found = [one for one in (*experiment.activities, *dynamic(experiment).values()) if one.kind != "ref"]
    return [one for one in found if one.provider.get("type") == "python"
            or _mapping(_mapping(one.raw.get("tolerance")).get("provider")).get("type") == "python"]
