"""What a runbook says: frozen types. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from posixpath import isabs, join, normpath
from typing import Any

from mainstay.kernel.actuation import Act, act_data
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position
from mainstay.kernel.quantity import parse_duration

TYPES = ("text", "integer", "number", "boolean", "name", "path", "url", "duration")
"""What an input can be."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._@-]{0,251}[A-Za-z0-9])?")
TIME_OUT = timedelta(seconds=300)
"""Of a step that says none."""

APPROVAL_EXPIRES = timedelta(hours=24)
LONGEST_INPUT = 4096

Given = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Input:
    """Something a run is told.

    Args:
        pattern: a regular expression that the whole value must fit.
        allowed: the only values there are; of these one may say which host is called.
        within: the folder in which a path must lie.
        multiline: a text may have several lines.
        option_like: the value may begin with `-` where a program looks for options.
        default: None means that it must be given.
    """

    name: str
    type: str = "text"
    description: str = ""
    default: Given | None = None
    required: bool = True
    pattern: str = ""
    allowed: tuple[Given, ...] = ()
    within: str = ""
    multiline: bool = False
    option_like: bool = False
    longest: int = LONGEST_INPUT

    def read(self, given: Given) -> Given:
        """The value, if the input takes it.

        Raises:
            InvalidInput: it does not, and why.
        """
        if not str(given).strip() and (self.allowed or self.type != "text"):
            raise InvalidInput(f"{self.name} is empty", "give one of: " + ", ".join(str(one) for one in self.allowed)
                               if self.allowed else self.description or f"give a {self.type}")
        value = self._typed(given)
        if isinstance(value, str):
            value = self._sound(value)
        if self.pattern and not re.fullmatch(self.pattern, str(value)):
            raise InvalidInput(f'{self.name} is "{_short(value)}", which does not fit {self.pattern}',
                               self.description or "give one that fits")
        if self.allowed and value not in self.allowed:
            raise InvalidInput(f'{self.name} is "{_short(value)}"',
                               "give one of: " + ", ".join(str(one) for one in self.allowed))
        return value

    def _typed(self, given: Given) -> Given:
        text = str(given).strip() if self.type != "text" else str(given)
        try:
            match self.type:
                case "integer":
                    return int(text)
                case "number":
                    return float(text)
                case "boolean":
                    return {"true": True, "false": False, "yes": True, "no": False}[text.lower()]
                case "duration":
                    parse_duration(text)
                case "name":
                    if not _NAME.fullmatch(text):
                        raise ValueError
                case "url":
                    if not re.fullmatch(r"https?://[^\s/?#@\\]+([/?#]\S*)?", text):
                        raise ValueError
        except (ValueError, KeyError, OverflowError, InvalidInput):
            raise InvalidInput(f'{self.name} is "{_short(given)}", which is no {self.type}', self.description
                               or f"give {'an' if self.type == 'integer' else 'a'} {self.type}") from None
        return text

    def _sound(self, value: str) -> str:
        if len(value) > self.longest:
            raise InvalidInput(f"{self.name} has {len(value):,} characters", f"give at most {self.longest:,}")
        bad = [sign for sign in value if (ord(sign) < 32 or ord(sign) == 127)
               and not (self.multiline and sign in "\n\t")]
        if bad:
            raise InvalidInput(f"{self.name} holds a line break or a control character ({bad[0]!r})",
                               "give one line of text" if not self.multiline else "give text alone")
        return _inside(self, value) if self.type == "path" else value


def _inside(one: Input, value: str) -> str:
    """The path, normalised, if it lies within the folder of the input."""
    if ".." in value.split("/"):
        raise InvalidInput(f'{one.name} is "{_short(value)}", which climbs up', f"give a path below {one.within}")
    whole = normpath(value if isabs(value) else join(one.within, value))
    root = normpath(one.within)
    if whole != root and not whole.startswith(root.rstrip("/") + "/"):
        raise InvalidInput(f'{one.name} is "{_short(value)}", which is not below {one.within}',
                           f"give a path below {one.within}")
    return whole


def _short(value: object) -> str:
    text = str(value).replace("\n", "⏎").replace("\0", "␀")
    return text if len(text) <= 60 else text[:59] + "…"


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """Where a secret is kept: an environment variable, or a file whose first line it is."""

    env: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Test:
    """A condition on a value: `equals`, `not`, `one_of`, `matches`, `above`, `below`."""

    value: str
    operator: str
    against: tuple[str, ...]

    def holds(self, value: str) -> bool:
        """Whether the value, with its variables put in, fits."""
        match self.operator:
            case "equals":
                return value == self.against[0]
            case "not":
                return value != self.against[0]
            case "one_of":
                return value in self.against
            case "matches":
                return re.search(self.against[0], value) is not None
        try:
            number = float(value)
        except ValueError:
            return False
        return number > float(self.against[0]) if self.operator == "above" else number < float(self.against[0])


OPERATORS = ("equals", "not", "one_of", "matches", "above", "below")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a step is tried again, and how long it is waited before."""

    times: int = 0
    wait: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Args:
        act: what is done; texts in it may hold variables.
        required: where it fails, the run fails and what was done is undone.
        idempotent: doing it twice is doing it once, so that it may be done again when nobody knows how it ended.
        undo: takes it back; for a flag and a scale it is found out when the step begins.
        undo_idempotent: the undo does no harm where the step did nothing or half: a failed step is undone too.
        irreversible: why it cannot be taken back.
        changes: whether it changes anything; what only looks needs no undo.
        verify: must succeed after the act, and tells how an act ended that nobody saw end.
        confirm: a person is asked before.
        links: what people look at, (text, address).
        only_people: it cannot be done by a program: why.
    """

    name: str
    act: Act
    where: Position
    title: str = ""
    timeout: timedelta = TIME_OUT
    retry: Retry = Retry()
    required: bool = True
    idempotent: bool = False
    undo: Act | None = None
    undo_idempotent: bool = False
    irreversible: str = ""
    changes: bool = True
    verify: Act | None = None
    when: tuple[Test, ...] = ()
    confirm: bool = False
    links: tuple[tuple[str, str], ...] = ()
    only_people: str = ""

    @property
    def reversible(self) -> bool:
        """Whether what it changes can be taken back."""
        return not self.changes or self.undo is not None or takes_itself_back(self.act)


def takes_itself_back(act: Act) -> bool:
    """Whether what was there before tells how the act is taken back: a flag's variant, a number of replicas."""
    return act.kind == "flag" or (act.kind == "kubernetes" and getattr(act, "verb", "") == "scale")


@dataclass(frozen=True, slots=True)
class Approval:
    """Who must agree before anything is done.

    Args:
        needed: how many different people beside whoever asks.
        by: the only people who may; everybody who may approve when empty.
    """

    needed: int = 0
    by: tuple[str, ...] = ()
    expires: timedelta = APPROVAL_EXPIRES


@dataclass(frozen=True, slots=True)
class Trigger:
    """When the runbook is to be looked at: an alert, or the end of another runbook.

    Args:
        threshold: said for people: `p95 > 500ms for 5 minutes`.
        runbook, ended: another runbook that ended `succeeded`, `failed` or in any way (empty).
    """

    where: Position
    alert: str = ""
    threshold: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    runbook: str = ""
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Escalation:
    """Who is told when it still goes on after that long."""

    after: timedelta
    to: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the written runbook and the names of the steps below it."""

    title: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Runbook:
    """What to do when something breaks.

    Args:
        form: the form it was written in: `mainstay/v1 Runbook` or `runbook/v1 IncidentRunbook`.
        targets: what it acts on, with variables: one run at a time acts on a target.
        manual_minutes: how long a person needs for it by hand; None where nobody said.
    """

    name: str
    origin: Position
    form: str
    steps: tuple[Step, ...]
    title: str = ""
    description: str = ""
    service: str = ""
    owner: str = ""
    severity: str = ""
    triggers: tuple[Trigger, ...] = ()
    inputs: tuple[Input, ...] = ()
    secrets: Mapping[str, SecretPlace] = field(default_factory=dict)
    approval: Approval = Approval()
    targets: tuple[str, ...] = ()
    escalation: tuple[Escalation, ...] = ()
    manual_minutes: float | None = None
    sections: tuple[Section, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def step(self, name: str) -> Step:
        """The step of that name."""
        return next(one for one in self.steps if one.name == name)

    @property
    def version(self) -> str:
        """Twelve hex digits that change whenever anything that a run does changes."""
        return digest(definition(self))[:12]


def definition(book: Runbook) -> dict[str, Any]:
    """All that a run of the runbook depends on, as JSON values; neither places in files nor prose."""
    return {
        "name": book.name, "steps": [step_data(step) for step in book.steps],
        "inputs": [{"name": one.name, "type": one.type, "pattern": one.pattern, "allowed": list(one.allowed),
                    "within": one.within, "default": one.default, "multiline": one.multiline,
                    "option_like": one.option_like, "required": one.required, "longest": one.longest}
                   for one in book.inputs],
        "secrets": {name: {"env": at.env, "file": at.file} for name, at in sorted(book.secrets.items())},
        "approval": {"needed": book.approval.needed, "by": sorted(book.approval.by),
                     "expires": book.approval.expires.total_seconds()},
        "targets": list(book.targets)}


def step_data(step: Step) -> dict[str, Any]:
    """A step as JSON values, with all that decides what happens."""
    return {
        "name": step.name, "title": step.title, "act": act_data(step.act), "timeout": step.timeout.total_seconds(),
        "retry": {"times": step.retry.times, "wait": step.retry.wait.total_seconds()}, "required": step.required,
        "idempotent": step.idempotent, "undo": act_data(step.undo) if step.undo is not None else None,
        "undo_idempotent": step.undo_idempotent, "irreversible": step.irreversible, "changes": step.changes,
        "verify": act_data(step.verify) if step.verify is not None else None,
        "when": [{"value": one.value, "operator": one.operator, "against": list(one.against)} for one in step.when],
        "confirm": step.confirm, "only_people": step.only_people}


def digest(data: object) -> str:
    """SHA-256 of JSON values, in hex; the order of keys does not matter."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
