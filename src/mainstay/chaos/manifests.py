"""Experiments of other tools, translated: what a manifest asks for, as faults of the table of kinds.

A host has no pods, so a translation says what it could not carry over, by name and with the reason; nothing is made
stronger than it was asked for, and nothing is left out in silence. Pure: documents in, translations out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from mainstay.chaos.kinds import kind_named
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.faults import Setting

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One fault of a translated experiment.

    Args:
        kind: of the table of kinds.
        settings: every parameter of the kind, in its unit.
        target: what it is aimed at, as the other tool says it: `app=nginx`, `nginx`; empty when it does not say.
        share: of processes or requests that are hit, 0..1.
        start: seconds after the experiment's begin.
        seconds: how long; None when it does not say.
        notes: in what the translation differs, a sentence each.
        towards: whose traffic alone is meant, as the other tool says it; empty is all of the target's.
    """

    kind: str
    settings: Mapping[str, Setting]
    target: str = ""
    share: float = 1.0
    start: float = 0.0
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    towards: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that was not carried over, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Check:
    """A probe of the other tool: a URL and the status that it must answer with, from `low` to `high`."""

    name: str
    url: str
    method: str = "GET"
    low: int = 200
    high: int = 299


@dataclass(frozen=True, slots=True)
class Translation:
    """What became of one manifest.

    Args:
        tool: whose: `chaos-mesh`, `litmus`, `pumba`, `powerfulseal`.
        kind, name: as the manifest says them.
        schedule: when it would be repeated, as the manifest says it.
    """

    tool: str
    kind: str
    name: str
    steps: tuple[Step, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    checks: tuple[Check, ...] = ()
    schedule: str = ""

    @property
    def whole(self) -> bool:
        """Whether all of it was carried over."""
        return bool(self.steps) and not self.left_out


@dataclass(slots=True)
class Collected:
    """Steps and what was left out, while a manifest is read."""

    steps: list[Step] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    def take(self, step: Step, given: Mapping[str, str | float], asked: str) -> None:
        """The step with settings checked against the table; one that cannot be is left out.

        Args:
            asked: what the manifest calls it.
        """
        try:
            self.steps.append(replace(step, settings=kind_named(step.kind).settings(given)))
        except InvalidInput as error:
            self.leave(asked, error.message)

    def leave(self, what: str, why: str) -> None:
        """Say that this was not carried over."""
        self.left_out.append(LeftOut(what, why))

    def done(self, tool: str, kind: str, name: str, schedule: str = "") -> Translation:
        """What was collected."""
        return Translation(tool, kind, name, tuple(self.steps), tuple(self.left_out), tuple(self.checks), schedule)


# -- reading what others wrote ---------------------------------------------------------------------------------------


def part(document: object, *keys: str) -> Document:
    """The mapping below these keys; an empty one where there is none."""
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document if isinstance(document, Mapping) else {}


def items(document: Document, key: str) -> Sequence[Any]:
    """The list below the key; an empty one where there is none."""
    found = document.get(key)
    return found if isinstance(found, list | tuple) else ()


def text(document: Document, key: str) -> str:
    """The scalar below the key as text; empty where there is none."""
    found = document.get(key)
    return "" if found is None or isinstance(found, Mapping | list) else str(found).strip()


def number(written: str) -> float | None:
    """A finite number, or None."""
    return float(written) if re.fullmatch(r"[+-]?\d+(\.\d*)?", written) else None


_GO = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def go_seconds(written: str) -> float | None:
    """A duration as Go writes it, `-1h30m`, `10m100ns`, as seconds; None when it is none.

    Source: time.ParseDuration of Go's standard library.
    """
    sign, rest = (-1.0, written[1:]) if written[:1] == "-" else (1.0, written.lstrip("+"))
    if rest == "0":
        return 0.0
    found = re.findall(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", rest)
    if not found or "".join(amount + unit for amount, unit in found) != rest:
        return None
    return sign * sum(float(amount) * _GO[unit] for amount, unit in found)


def percent(written: str) -> float | None:
    """`40`, `40%` as 0.4; None when it is no share."""
    found = number(written.removesuffix("%").strip())
    return found / 100 if found is not None and 0 <= found <= 100 else None


_TC = {"bit": 1 / 8, "kbit": 1e3 / 8, "mbit": 1e6 / 8, "gbit": 1e9 / 8,
       "bps": 1.0, "kbps": 1e3, "mbps": 1e6, "gbps": 1e9}


def tc_rate(written: str) -> float | None:
    """A rate as tc writes it, in bytes a second: `1mbit` is 125000, and `100kbps` 100000, for tc's bps are bytes.

    Source: tc(8), "Parameters", RATES.
    """
    found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([a-zA-Z]+)", written.strip())
    unit = _TC.get(found[2].lower()) if found else None
    return float(found[1]) * unit if found is not None and unit is not None else None


def byte_size(written: str) -> float | None:
    """`256MB`, `1Gi`, `500` as bytes; None when it is none, such as a share."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([kKmMgGtT]?)(i?)[bB]?", written.strip())
    if found is None:
        return None
    # stress-ng and Chaos Mesh read MB as MiB too; a little more than asked would be worse than a little less.
    step = 1024.0 if found[3] else 1000.0
    return float(found[1]) * math.pow(step, " kmgt".index((found[2] or " ").lower()))


def flat(found: Iterable[Iterator[Translation] | Sequence[Translation]]) -> tuple[Translation, ...]:
    """All of them in one row."""
    return tuple(one for several in found for one in several)


# -- which reader reads what ------------------------------------------------------------------------------------------

Reader = Callable[[Document], Sequence[Translation]]


def totals(translations: Iterable[Translation]) -> dict[str, int]:
    """How many manifests were carried over wholly, in part, and not at all."""
    counted = {"wholly": 0, "in part": 0, "not at all": 0}
    for one in translations:
        counted["wholly" if one.whole else "in part" if one.steps else "not at all"] += 1
    return counted
