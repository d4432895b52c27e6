"""Asking a running system how it is: the questions, and the port that asks them.

Every question carries the time it may take in all. What is asked may hang for ever all the same; whoever must not
wait asks in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Protocol

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.workload import Workload


@dataclass(frozen=True, slots=True)
class HttpAsk:
    """One request. It is heard as `{status, headers, body, seconds}`.

    Args:
        url: whole, or a path such as `/healthz` at the address of `workload`.
        seconds: for all of it.
        verify: whether the server's certificate has to be a good one.
        parsed: whether a body that is declared as JSON is heard as its value; else it is heard as text.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    workload: Workload | None = None
    seconds: float = 5.0
    verify: bool = True
    parsed: bool = True


@dataclass(frozen=True, slots=True)
class ProcessAsk:
    """A program that is run to its end, without a shell; heard as `{status, stdout, stderr}`.

    Args:
        command: argv.
        environment: on top of this process's own.
        folder: where it runs; empty is here.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class TcpAsk:
    """Whether something takes connections at `host:port`, or at the workload's address; heard as true or false."""

    address: str = ""
    workload: Workload | None = None
    seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class QueryAsk:
    """A PromQL expression asked of a declared source, now; heard as its one value, or as a list of several."""

    source: str
    text: str
    seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class CallAsk:
    """A function of a Python module, as drivers of the Chaos Toolkit have them; heard as what it returns."""

    module: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 60.0


Ask = HttpAsk | ProcessAsk | TcpAsk | QueryAsk | CallAsk


@dataclass(frozen=True, slots=True)
class Heard:
    """What was answered.

    Args:
        value: JSON; None when nothing was, and `problem` says why.
        problem: empty when it was answered.
    """

    value: Any = None
    problem: str = ""
    seconds: float = 0.0


class Prober(Protocol):
    """Asks. Whatever goes wrong outside is an answer with a problem, not an exception."""

    def ask(self, question: Ask) -> Heard:
        """The answer, within the question's time in all."""
        ...

    def lacks(self, question: Ask) -> tuple[str, str]:
        """What is missing here to ask it, and what would mend that; both empty when nothing is. Nothing is asked."""
        ...

    def give_up(self) -> None:
        """End every program that was asked and still runs."""
        ...


class NoProber:
    """A world that can ask nothing."""

    def ask(self, question: Ask) -> Heard:
        """Never.

        Raises:
            AssertionError: always.
        """
        raise AssertionError(f"this world was made without a way to ask {question}")

    def lacks(self, question: Ask) -> tuple[str, str]:  # noqa: ARG002  (the port's signature)
        """Everything."""
        return "this world asks nothing", ""

    def give_up(self) -> None:
        """Nothing runs."""
