"""The table of fault kinds: what each does, to what, and its parameters with their units, ranges and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.quantity import Setting, parse_duration

Hits = Literal["process", "address", "dependency", "folder", "host", "cluster"]
"""What of a workload a kind is about."""

Unit = Literal["seconds", "share", "bytes", "bytes/s", "count", "factor", "word"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a kind.

    Args:
        unit: seconds are written as `200ms`, shares as `5%`, bytes as `64MiB`.
        default: in the unit; None when it has to be given.
        choices: what a word may be; empty leaves it free.
    """

    name: str
    unit: Unit
    help: str
    default: Setting | None = None
    low: float = 0.0
    high: float = float("inf")
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    Args:
        title: what happens, as a sentence without its full stop.
        group: `resource`, `process`, `network`, `dependency`, `state`, `cluster`.
        aliases: what other tools and older documents call it.
        sudden: it is over when it has happened; removing it means bringing back what it broke.
    """

    name: str
    title: str
    group: str
    hits: Hits
    parameters: tuple[Parameter, ...] = ()
    aliases: tuple[str, ...] = ()
    sudden: bool = False

    def settings(self, given: Mapping[str, str | float]) -> dict[str, Setting]:
        """Every parameter in its unit, with defaults for those not given.

        Raises:
            InvalidInput: a parameter is unknown, missing, of another type or out of its range.
        """
        known = {one.name: one for one in self.parameters}
        for name in given:
            if name not in known:
                raise InvalidInput(f'{self.name} has no parameter "{name}"{did_you_mean(name, known)}',
                                   "known: " + ", ".join(known) if known else f"{self.name} takes no parameters")
        return {one.name: _value(self.name, one, given.get(one.name, one.default)) for one in self.parameters}


_BYTES = {"": 1, "B": 1, "k": 1e3, "kB": 1e3, "KB": 1e3, "M": 1e6, "MB": 1e6, "G": 1e9, "GB": 1e9,
          "Ki": 2**10, "KiB": 2**10, "Mi": 2**20, "MiB": 2**20, "Gi": 2**30, "GiB": 2**30,
          "bit": 1 / 8, "kbit": 1e3 / 8, "mbit": 1e6 / 8, "Mbit": 1e6 / 8, "gbit": 1e9 / 8, "Gbit": 1e9 / 8}


def _value(kind: str, parameter: Parameter, given: str | float | None) -> Setting:
    if given is None:
        raise InvalidInput(f"{kind} needs {parameter.name}: {parameter.help}",
                           f"write {parameter.name}: {_SAMPLES[parameter.unit]}")
    if parameter.unit == "word":
        text = str(given)
        if parameter.choices and text not in parameter.choices:
            raise InvalidInput(f'{kind}: {parameter.name} is "{text}"{did_you_mean(text, parameter.choices)}',
                               "write one of: " + ", ".join(parameter.choices))
        return text
    value = given if isinstance(given, float | int) else _number(kind, parameter, given.strip())
    if not parameter.low <= value <= parameter.high:
        raise InvalidInput(f"{kind}: {parameter.name} is {given}",
                           f"write at least {parameter.low:g} and at most {parameter.high:g} {parameter.unit}"
                           if parameter.high != float("inf") else
                           f"write at least {parameter.low:g} {parameter.unit}")
    return float(value)


def _number(kind: str, parameter: Parameter, text: str) -> float:
    try:
        if parameter.unit == "seconds":
            sign, length = (-1, text[1:]) if text.startswith("-") else (1, text)
            return sign * parse_duration(length).total_seconds()
        if parameter.unit == "share" and text.endswith("%"):
            return float(text[:-1]) / 100
        if parameter.unit in ("bytes", "bytes/s"):
            digits = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/ ")
            return float(digits) * _BYTES[text[len(digits):].strip().removesuffix("/s")]
        return float(text)
    except (ValueError, KeyError, InvalidInput):
        raise InvalidInput(f'{kind}: {parameter.name} is "{text}"',
                           f"write it in {parameter.unit}, such as {_SAMPLES[parameter.unit]}") from None


_SAMPLES = {"seconds": "200ms", "share": "5%", "bytes": "64MiB", "bytes/s": "1MB/s", "count": "2", "factor": "2",
            "word": "a word"}

_LATENCY = Parameter("latency", "seconds", "how much longer each packet or answer takes", low=0.0, high=600)
_JITTER = Parameter("jitter", "seconds", "how far the latency varies to both sides", 0.0, high=600)
_LOAD = Parameter("load", "share", "share of each processor that is taken", 1.0, 0.01, 1.0)

KINDS: tuple[Kind, ...] = (
    Kind("cpu-stress", "Processors are busy with something else", "resource", "host",
         (_LOAD, Parameter("cpus", "count", "how many processors; 0 is all", 0.0, high=4096)),
         ("cpu", "consume_cpu", "cpu-hog", "stress-cpu")),
    Kind("cpu-throttle", "The workload gets only a share of one processor", "resource", "process",
         (Parameter("quota", "share", "processor time it may use, 1 is one processor", None, 0.01, 64.0),),
         ("cpu-limit",)),
    Kind("memory-stress", "Memory is taken by something else", "resource", "host",
         (Parameter("size", "bytes", "how much is taken", None, 2**20, 2**44),
          Parameter("over", "seconds", "how long it takes to grow to that size: a leak", 0.0, high=86_400)),
         ("memory", "memory-hog", "memory-leak")),
    Kind("memory-limit", "The workload may use only so much memory", "resource", "process",
         (Parameter("size", "bytes", "the most it may use", None, 2**20, 2**44),), ("oom",)),
    Kind("disk-full", "The disk the workload writes to is full", "resource", "folder",
         (Parameter("left", "bytes", "what stays free", 0.0, high=2**50),), ("disk-fill",)),
    Kind("disk-slow", "Reading and writing files takes longer", "resource", "folder",
         (Parameter("latency", "seconds", "how much longer each call takes", None, 0.0, 600),),
         ("slow-disk", "io-delay")),
    Kind("io-error", "Reading and writing files fails", "resource", "folder",
         (Parameter("error", "word", "what the calls fail with", "EIO", choices=("EIO", "ENOSPC", "EROFS", "EACCES")),
          Parameter("rate", "share", "share of the calls that fail", 1.0, 0.0, 1.0)), ("io-fault",)),
    Kind("process-kill", "Processes are killed", "process", "process",
         (Parameter("signal", "word", "which signal", "KILL", choices=("KILL", "TERM", "INT", "HUP", "ABRT")),),
         ("kill", "process-stop"), sudden=True),
    Kind("process-pause", "Processes stand still and go on where they were", "process", "process", (),
         ("pause", "freeze")),
    Kind("process-restart", "Processes are restarted", "process", "process", (), ("restart",), sudden=True),
    Kind("network-latency", "Packets take longer", "network", "address", (_LATENCY, _JITTER),
         ("latency", "delay", "inject_latency")),
    Kind("packet-loss", "Packets are lost", "network", "address",
         (Parameter("loss", "share", "share of the packets", None, 0.0, 1.0),), ("loss",)),
    Kind("packet-duplication", "Packets arrive twice", "network", "address",
         (Parameter("rate", "share", "share of the packets", None, 0.0, 1.0),), ("duplicate",)),
    Kind("packet-corruption", "Packets arrive damaged", "network", "address",
         (Parameter("rate", "share", "share of the packets", None, 0.0, 1.0),), ("corrupt",)),
    Kind("packet-reordering", "Packets overtake each other", "network", "address",
         (Parameter("rate", "share", "share of the packets that are held back", None, 0.0, 1.0),
          Parameter("latency", "seconds", "for how long", 0.02, high=60)), ("reorder",)),
    Kind("bandwidth-limit", "The network carries only so much", "network", "address",
         (Parameter("rate", "bytes/s", "how much", None, 1.0, 1e12),), ("bandwidth", "rate-limit")),
    Kind("network-partition", "Nothing arrives any more, and nobody is told", "network", "address",
         (Parameter("direction", "word", "which way is cut", "both", choices=("both", "in", "out")),),
         ("partition", "blackhole", "isolate")),
    Kind("connection-reset", "Connections are reset", "network", "address", (), ("reset", "reset_peer")),
    Kind("dns-failure", "Names are not found", "network", "process",
         (Parameter("error", "word", "what a question gets", "NXDOMAIN", choices=("NXDOMAIN", "SERVFAIL", "timeout")),),
         ("dns-error",)),
    Kind("dependency-failure", "A dependency cannot be reached", "dependency", "dependency", (),
         ("dependency-down", "terminate-dependency")),
    Kind("dependency-slow", "A dependency takes longer", "dependency", "dependency", (_LATENCY, _JITTER),
         ("slow-dependency",)),
    Kind("dependency-error", "A dependency answers with errors", "dependency", "dependency",
         (Parameter("status", "count", "the HTTP status", 503.0, 100, 599),
          Parameter("rate", "share", "share of the requests", 1.0, 0.0, 1.0),
          Parameter("body", "word", "what the answer says", "")), ("error-rate", "http-abort")),
    Kind("dependency-reset", "A dependency's connections are reset", "dependency", "dependency", (), ()),
    Kind("corrupt-data", "A dependency's answers are damaged", "dependency", "dependency",
         (Parameter("rate", "share", "share of the answers", 1.0, 0.0, 1.0),
          Parameter("how", "word", "what is wrong with them", "format", choices=("format", "schema"))),
         ("data-corruption",)),
    Kind("clock-skew", "The workload's clock jumps", "state", "process",
         (Parameter("offset", "seconds", "how far; negative is into the past", None, -3.2e9, 3.2e9),),
         ("clock-jump", "time-shift")),
    Kind("clock-drift", "The workload's clock runs too fast or too slow", "state", "process",
         (Parameter("speed", "factor", "how many seconds pass in one", None, 0.01, 100),), ("drift",)),
    Kind("pod-failure", "Pods are deleted", "cluster", "cluster",
         (Parameter("grace", "seconds", "how long they may take to end", 0.0, high=3600),),
         ("pod-kill", "kill_pod", "pod-delete"), sudden=True),
    Kind("scale", "The number of replicas changes", "cluster", "cluster",
         (Parameter("replicas", "count", "how many there are meanwhile", None, 0, 10_000),), ("scale-down",)),
)
"""Every kind, in the order in which it is listed."""

_BY_NAME: dict[str, Kind] = {kind.name: kind for kind in KINDS} | {
    alias: kind for kind in KINDS for alias in kind.aliases}


def kind_named(name: str) -> Kind:
    """The kind of that name, or that other tools call so.

    Raises:
        NotFound: there is none; says what is close.
    """
    found = _BY_NAME.get(name) or _BY_NAME.get(name.replace("_", "-"))
    if found is None:
        raise NotFound(f'there is no fault "{name}"{did_you_mean(name, _BY_NAME)}',
                       "known: " + ", ".join(kind.name for kind in KINDS))
    return found
