"""PowerfulSeal's policies and pumba's command lines as faults of a host.

Source: PowerfulSeal's policy schema 3.x; pumba's command line reference.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from mainstay.chaos.manifests import (
    Collected,
    Document,
    LeftOut,
    Step,
    Translation,
    go_seconds,
    items,
    number,
    part,
    percent,
    tc_rate,
    text,
)
from mainstay.kernel.errors import InvalidInput

TOOL, PUMBA = "powerfulseal", "pumba"


def recognised(document: Document) -> bool:
    """Whether the document is a policy of PowerfulSeal."""
    return "scenarios" in document and "apiVersion" not in document


def translations(document: Document) -> tuple[Translation, ...]:
    """Each scenario of the policy."""
    return tuple(_scenario(one) for one in items(document, "scenarios") if isinstance(one, Mapping)) or (
        Translation(TOOL, "policy", "", (), (LeftOut("policy", "it holds no scenario"),)),)


def _scenario(scenario: Document) -> Translation:
    found, start = Collected(), 0.0
    for one in items(scenario, "steps"):
        if not isinstance(one, Mapping):
            continue
        if isinstance(one.get("podAction"), Mapping):
            _pods(part(one, "podAction"), found, start)
        elif isinstance(one.get("wait"), int | float | Mapping):
            start += number(text(part(one, "wait"), "seconds") or text(one, "wait")) or 0.0
        else:
            for name in one:
                found.leave(str(name), "it acts on machines, asks a cluster or changes alerts")
    return found.done(TOOL, "scenario", text(scenario, "name"))


def _pods(action: Document, found: Collected, start: float) -> None:
    labels = [text(part(one, "labels"), "selector") for one in items(action, "matches") if isinstance(one, Mapping)]
    share = next((number(text(part(one, "randomSample"), "ratio")) for one in items(action, "filters")
                  if isinstance(one, Mapping)), None)
    step = Step("", {}, ",".join(filter(None, labels)), share if share is not None and 0 < share <= 1 else 1.0, start)
    for one in items(action, "actions"):
        if isinstance(one, Mapping) and isinstance(one.get("kill"), Mapping):
            force = text(part(one, "kill"), "force").lower() != "false"
            found.take(replace(step, kind="pod-failure"), {"grace": 0.0 if force else 30.0}, "podAction kill")
        elif isinstance(one, Mapping):
            for name in one:
                found.leave(f"podAction {name}", "it has no fault of the table of kinds")


# -- pumba -------------------------------------------------------------------------------------------------------------


def pumba(line: str) -> Translation:
    """A command line of pumba.

    Raises:
        InvalidInput: quotes are open, or it is no command line of pumba.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise InvalidInput(f"the command line cannot be read: {error}", "close its quotes") from None
    if words[:1] == ["sudo"]:
        words = words[1:]
    if not words or not words[0].rpartition("/")[2].startswith("pumba"):
        raise InvalidInput("it is no command line of pumba", "write pumba netem --duration 1m delay --time 100 api")
    flags, rest = _flags(words[1:])
    command, *rest = rest or [""]
    inner, rest = _flags(rest)
    flags |= inner
    found = Collected()
    seconds = go_seconds(flags.get("duration", flags.get("d", "")) or "")
    if command in ("netem", "iptables"):
        action, *rest = rest or [""]
        inner, rest = _flags(rest)
        flags |= inner
        command = f"{command} {action}"
    step = Step("", {}, ",".join(rest), 1.0, 0.0, seconds, tuple(_narrower(flags)), flags.get("target", ""))
    ports = [name for name in ("egress-port", "ingress-port") if flags.get(name)]
    read = _PUMBA.get(command.strip())
    if read is None:
        found.leave(command.strip() or "no command", "it has no fault of the table of kinds")
    elif ports:
        found.leave(command.strip(), f"only traffic of --{ports[0]} {flags[ports[0]]} is meant")
    else:
        read(flags, found, step)
    interval = flags.get("interval", "")
    return found.done(PUMBA, command.strip(), ",".join(rest), f"@every {interval}" if interval else "")


def _narrower(flags: Mapping[str, str]) -> Iterator[str]:
    """That not every container, or not all of its traffic, is meant."""
    if flags.get("target"):
        yield f"only on the way to {flags['target']}: declare it as a dependency of the target"
    if "random" in flags or "r" in flags or flags.get("limit"):
        yield f"{flags.get('limit') or 'one'} of the containers: name that many workloads or set the share"


_SWITCHES = frozenset({"random", "dry-run", "skip-error", "json", "all", "force", "f", "r", "h", "help"})


def _flags(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The flags before the first word that is none, and the words from there on."""
    flags: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        name, equals, value = rest.pop(0).lstrip("-").partition("=")
        if not equals and name not in _SWITCHES and rest:
            value = rest.pop(0)
        flags[name] = value
    return flags, rest[1:] if rest[:1] == ["--"] else rest


_Read = Callable[[Mapping[str, str], Collected, Step], None]


def _kill(flags: Mapping[str, str], found: Collected, step: Step) -> None:
    signal = (flags.get("signal") or flags.get("s") or "KILL").removeprefix("SIG")
    found.take(replace(step, kind="process-kill"), {"signal": signal}, "kill")


def _stop(_: Mapping[str, str], found: Collected, step: Step) -> None:
    found.take(replace(step, kind="process-kill", notes=(*step.notes, "told to end, and not started again")),
               {"signal": "TERM"}, "stop")


def _as(kind: str) -> _Read:
    def read(_: Mapping[str, str], found: Collected, step: Step) -> None:
        found.take(replace(step, kind=kind), {}, kind)
    return read


def _delay(flags: Mapping[str, str], found: Collected, step: Step) -> None:
    time, jitter = number(flags.get("time", flags.get("t", "100"))), number(flags.get("jitter", flags.get("j", "0")))
    if time is None or jitter is None:
        found.leave("netem delay", "its time is no number of milliseconds")
    else:
        found.take(replace(step, kind="network-latency"), {"latency": time / 1000, "jitter": jitter / 1000},
                   "netem delay")


def _share(kind: str, parameter: str, asked: str) -> _Read:
    def read(flags: Mapping[str, str], found: Collected, step: Step) -> None:
        value = flags.get("percent", flags.get("p", ""))
        share = percent(value)
        if share is None and "probability" in flags:
            bare = number(flags["probability"])
            share = bare if bare is not None and 0 <= bare <= 1 else None
        if share is None:
            found.leave(asked, f'"{value}" is no percentage')
        else:
            found.take(replace(step, kind=kind), {parameter: share}, asked)
    return read


def _rate(flags: Mapping[str, str], found: Collected, step: Step) -> None:
    rate = tc_rate(flags.get("rate", flags.get("r", "100kbit")))
    if rate is None:
        found.leave("netem rate", "it is no rate")
    else:
        found.take(replace(step, kind="bandwidth-limit"), {"rate": rate}, "netem rate")


_PUMBA: dict[str, _Read] = {
    "kill": _kill, "pause": _as("process-pause"), "restart": _as("process-restart"), "stop": _stop,
    "netem delay": _delay, "netem loss": _share("packet-loss", "loss", "netem loss"),
    "netem duplicate": _share("packet-duplication", "rate", "netem duplicate"),
    "netem corrupt": _share("packet-corruption", "rate", "netem corrupt"), "netem rate": _rate,
    "iptables loss": _share("packet-loss", "loss", "iptables loss")}
