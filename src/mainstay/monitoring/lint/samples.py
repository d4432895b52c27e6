"""Families and samples of metric pages, and which names a family's samples have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from mainstay.kernel.dataclass import dataclass

SUFFIXES: dict[str, tuple[str, ...]] = {
    "counter": ("_total", "_created"), "summary": ("_count", "_sum", "", "_created"),
    "histogram": ("_count", "_sum", "_bucket", "_created"), "gaugehistogram": ("_gcount", "_gsum", "_bucket"),
    "info": ("_info",), "gauge": ("",), "unknown": ("",), "untyped": ("",), "stateset": ("",),
}
"""What stands behind the family's name in the names of its samples, by type: OpenMetrics 1.0, "Metric types"."""
_TEXT_SUFFIXES = {"histogram": ("_count", "_sum", "_bucket"), "summary": ("_count", "_sum", "")}
"""The same in the text format, where a counter's samples have the family's own name."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: a value, perhaps with a time in epoch seconds."""

    name: str
    labels: Mapping[str, str]
    value: float
    line: int
    stamp: float | None = None


@dataclass(slots=True)
class Family:
    """A metric while its page is being read.

    Args:
        line: where it is first named; `typed_line` and `help_line` are 0 where nothing is said.
        said: which of HELP, TYPE, UNIT stood there.
    """

    name: str
    line: int
    type: str = "unknown"
    help: str = ""
    unit: str = ""
    typed_line: int = 0
    help_line: int = 0
    said: set[str] = field(default_factory=set)
    samples: list[Sample] = field(default_factory=list)


def split_name(name: str, family: Family, labels: Mapping[str, str], *, strict: bool) -> str | None:
    """What stands behind the family's name in the sample's; None where the sample is not of this family."""
    if not name.startswith(family.name):
        return None
    suffix = name[len(family.name):]
    allowed = SUFFIXES.get(family.type, ("",)) if strict else _TEXT_SUFFIXES.get(family.type, ("",))
    if suffix not in allowed:
        return None
    if family.type == "summary" and suffix == "" and strict and "quantile" not in labels:
        return None
    return suffix
