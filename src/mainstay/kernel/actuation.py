"""Acts: what can be done to a running system, one at a time, with what takes it back; and who does it.

An act is data: it can be shown before it is done, hashed, approved, written down and done by another process. Texts in
an act that was declared may hold variables; an act that is handed to an actuator holds none.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import Data


@dataclass(frozen=True, slots=True)
class Command:
    """A program is run with these arguments; no shell reads them.

    Args:
        argv: the program first.
        folder: where it runs; the actuator's folder when empty.
        env: set beside the few variables that are passed on (PATH, HOME, LANG …).
        exits: exit codes that mean success.
    """

    argv: tuple[str, ...]
    folder: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    exits: tuple[int, ...] = (0,)
    kind: ClassVar[str] = "command"


@dataclass(frozen=True, slots=True)
class Http:
    """A request is sent, and its answer must have one of the statuses; without any, one of 200 to 299.

    Args:
        body: a JSON value, or None.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    statuses: tuple[int, ...] = ()
    kind: ClassVar[str] = "http"


@dataclass(frozen=True, slots=True)
class Metric:
    """A PromQL query is asked now; with an operator its one value must compare so.

    Args:
        source: a declared source of type Prometheus; empty when the catalog has one alone.
        operator: `<`, `<=`, `>`, `>=`, `==`, `!=`, or empty.
        threshold: in the query's unit.
    """

    source: str
    query: str
    operator: str = ""
    threshold: float = 0.0
    kind: ClassVar[str] = "metric"


@dataclass(frozen=True, slots=True)
class Sql:
    """A statement is asked of a database in a transaction that may only read. Values are bound, never pasted in.

    Args:
        database: `sqlite:///file` or `postgresql://…`.
        parameters: by the names that stand in the statement as `:name`.
        rows: the most that are shown.
    """

    database: str
    statement: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 100
    kind: ClassVar[str] = "sql"


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """An object of a cluster is scaled, restarted or rolled back, and the cluster has done it; or is counted.

    Args:
        verb: `scale`, `restart`, `rollout-undo`; `count` answers with how many replicas are wanted.
        namespace: that of the context when empty.
        object: `deployment/checkout`.
        replicas: for `scale`, as text so that a variable may stand there.
    """

    verb: str
    object: str
    namespace: str = ""
    replicas: str = ""
    context: str = ""
    kind: ClassVar[str] = "kubernetes"


@dataclass(frozen=True, slots=True)
class Systemd:
    """A unit is started, stopped, restarted or told to reload."""

    unit: str
    verb: str
    user: bool = False
    kind: ClassVar[str] = "systemd"


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag in a flagd-format JSON file gets another default variant, another state, or both.

    Args:
        variant: becomes `defaultVariant`; must be one of the flag's variants.
        state: `ENABLED` or `DISABLED`.
    """

    file: str
    flag: str
    variant: str = ""
    state: str = ""
    kind: ClassVar[str] = "flag"


@dataclass(frozen=True, slots=True)
class Python:
    """A function of the team's package is called in a process of its own; it succeeds when it returns.

    Args:
        function: `package.module:name`.
        arguments: JSON values, handed over as keywords.
        folder: put before the places where Python looks for packages.
    """

    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    folder: str = ""
    kind: ClassVar[str] = "python"


@dataclass(frozen=True, slots=True)
class Wait:
    """Asked again and again until it holds; whoever waits gives up when its time is over.

    Args:
        metric: what must compare, or None when an objective is waited for.
        objective: a declared objective.
        state: what it must be: `healthy`, `at_risk`; what is better will do.
        every: seconds between two looks.
        measure: instead of the state, what of the objective must compare: `burn`, how many times faster than allowed
            the budget was spent in the last hour, or `left`, the share of the window's budget that is left.
        operator, threshold: as of a metric; they go with `measure`.
    """

    metric: Metric | None = None
    objective: str = ""
    state: str = "healthy"
    every: float = 10.0
    measure: str = ""
    operator: str = ""
    threshold: float = 0.0
    kind: ClassVar[str] = "wait-until"


@dataclass(frozen=True, slots=True)
class Ask:
    """A person decides."""

    question: str
    choices: tuple[str, ...] = ("yes", "no")
    stops: tuple[str, ...] = ("no",)
    link: str = ""
    kind: ClassVar[str] = "ask"


COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}
"""What the operators of metrics and waits mean."""

Act = Command | Http | Metric | Sql | Kubernetes | Systemd | Flag | Python | Wait | Ask
ACTS: Mapping[str, type[Act]] = {one.kind: one for one in (
    Command, Http, Metric, Sql, Kubernetes, Systemd, Flag, Python, Wait, Ask)}
"""Every kind of act, by the name it has in files and facts."""


def act_data(act: Act) -> dict[str, Any]:
    """The act as JSON values; what is as usual is left out."""
    out: dict[str, Any] = {"do": act.kind}
    for one in dataclasses.fields(act):
        value = getattr(act, one.name)
        usual = one.default if one.default is not dataclasses.MISSING else \
            one.default_factory() if one.default_factory is not dataclasses.MISSING else None
        if isinstance(value, Metric):
            out[one.name] = act_data(value)
        elif value != usual or (usual is None and value is not None):
            out[one.name] = list(value) if isinstance(value, tuple) else value
    return out


def act_of(data: Data) -> Act:
    """The act that those JSON values are.

    Raises:
        InvalidInput: there is no such act, as from a newer version.
    """
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) and name in _TUPLES else value
        for name, value in data.items() if name != "do"}
    made: type[Any] | None = ACTS.get(str(data.get("do")))
    if made is None or not fields.keys() <= {one.name for one in dataclasses.fields(made)}:
        raise InvalidInput(f'this version knows no act "{data.get("do")}" of that shape',
                           "use the version that wrote it")
    if isinstance(fields.get("metric"), Mapping):
        fields["metric"] = act_of(fields["metric"])
    act: Act = made(**fields)
    return act


_TUPLES = ("argv", "exits", "statuses", "choices", "stops")


class Ending(StrEnum):
    """How an act ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an act.

    Args:
        output: what it answers with, for later acts: standard output, a body, a value, rows; may be cut.
        code: exit code or HTTP status, where there is one.
        error: why it did not succeed, in a sentence.
    """

    ending: Ending
    output: str = ""
    code: int | None = None
    error: str = ""


class Watch(Protocol):
    """Whoever had the act done looks on meanwhile."""

    def output(self, text: str) -> None:
        """Some more output, in pieces of any length. From any thread."""
        ...

    def over(self) -> Ending | None:
        """TIMED_OUT or CANCELLED when the act must end now, whatever it has done; None while it may go on."""
        ...

    def left(self) -> float:
        """Seconds until it must end."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is there before the act.

    Args:
        undo: takes exactly this act back, where only what is there now tells how: the variant a flag had.
        note: what was found, for people: `3 replicas`.
    """

    undo: Act | None = None
    note: str = ""


class Actuator(Protocol):
    """Does acts."""

    def prepare(self, act: Act) -> Prepared:
        """What is there now; nothing is changed.

        Raises:
            MainstayError: the act cannot be done: no such flag, no such object.
        """
        ...

    def carry_out(self, act: Act, watch: Watch) -> Outcome:
        """Do it and return when it has ended, with all that it started when it had to end early.

        Never raises for what the system answers: that is an outcome.
        """
        ...

    def secret(self, env: str, file: str) -> str:
        """The secret that an environment variable, or the first line of a file, holds.

        Raises:
            InvalidInput: there is none.
        """
        ...


class NoActuator:
    """A world in which nothing can be done: whoever wants to is told so."""

    def prepare(self, act: Act) -> Prepared:
        """Never.

        Raises:
            AssertionError: always.
        """
        raise AssertionError(f"this world was made without an actuator; asked for {act.kind}")

    def carry_out(self, act: Act, watch: Watch) -> Outcome:  # noqa: ARG002  (the port's signature)
        """Never.

        Raises:
            AssertionError: always.
        """
        raise AssertionError(f"this world was made without an actuator; asked for {act.kind}")

    def secret(self, env: str, file: str) -> str:
        """Never.

        Raises:
            AssertionError: always.
        """
        raise AssertionError(f"this world was made without an actuator; asked for the secret {env or file}")


Acting = Callable[[], Actuator]
"""How a world gives its actuator: opened when the first act asks."""
