"""Metric pages: names, units, types, labels without bound, buckets that no objective can be read from.

The rules about names are promlint's (`promtool check metrics`); a test holds both to the same findings on real pages.
Sources: Prometheus documentation, "Metric and label naming" and "Instrumentation"; promlint's list of units.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from mainstay.kernel.dataclass import dataclass
from mainstay.monitoring.lint.exposition import MetricPage
from mainstay.monitoring.lint.flaw import Flaw
from mainstay.monitoring.lint.samples import Family
from mainstay.monitoring.lint.written import Source

_UNITS = {"amperes": "amperes", "bytes": "bytes", "celsius": "celsius", "grams": "grams", "joules": "joules",
          "kelvin": "kelvin", "meters": "meters", "metres": "metres", "seconds": "seconds", "volts": "volts",
          "minutes": "seconds", "hours": "seconds", "days": "seconds", "weeks": "seconds", "kelvins": "kelvin",
          "fahrenheit": "celsius", "rankine": "celsius", "inches": "meters", "yards": "meters", "miles": "meters",
          "bits": "bytes", "calories": "joules", "pounds": "grams", "ounces": "grams"}
_PREFIXES = ("pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi", "giga",
             "gibi", "tera", "tebi", "peta", "pebi")
_SHORT_UNITS = frozenset({"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"})
_TYPE_NAMES = ("counter", "gauge", "summary", "histogram", "gauge_histogram")
_CAMEL = re.compile(r"[a-z][A-Z]")


@dataclass(frozen=True, slots=True)
class Threshold:
    """An objective that is read from a histogram.

    Args:
        seconds: the boundary it needs, in the histogram's unit.
    """

    objective: str
    histogram: str
    seconds: float


def judge_page(page: MetricPage, thresholds: Sequence[Threshold], most_values: int) -> Iterator[Flaw]:
    """Every flaw of a page that can be read."""
    yield from page.flaws
    for family in page.families:
        if not family.samples:
            continue
        yield from _names(page.source, family)
        yield from _cardinality(page.source, family, most_values)
        yield from _histogram(page.source, family, thresholds)
        yield from _info(page.source, family)


def _at(source: Source, family: Family) -> tuple[Source, tuple[int, int]]:
    """Where the family's name stands first."""
    line = source.text.split("\n", family.line)[family.line - 1] if family.line > 1 else source.text.split("\n", 1)[0]
    return source, (family.line, max(line.find(family.name), 0) + 1)


def _names(source: Source, family: Family) -> Iterator[Flaw]:
    for code, message, mend in (*_promlint_name(family), *_promlint_type(family)):
        yield Flaw(code, *_at(source, family), message, mend)


def _promlint_name(family: Family) -> Iterator[tuple[str, str, str]]:
    name, low = family.name, family.name.lower()
    if not family.help:
        yield "metric-help", f"{name} has no help text", f"add # HELP {name} …"
    unit = _unit_of(name)
    if unit is not None and unit[0] != unit[1]:
        yield "metric-unit", f'{name}: use base unit "{unit[1]}" instead of "{unit[0]}"', \
            f"convert it and write {name.replace(unit[0], unit[1])}"
    if any(f"_{short}_" in low or low.endswith(f"_{short}") for short in _SHORT_UNITS):
        yield "metric-unit-short", f"{name}: metric names should not contain abbreviated units", "write the unit out"
    for kind in _TYPE_NAMES:
        if f"_{kind}_" in low or low.endswith(f"_{kind}"):
            yield "metric-type-in-name", f"{name}: metric name should not include type '{kind}'", "leave it out"
    if ":" in name:
        yield "metric-colon", f"{name}: metric names should not contain ':'", "colons are for recording rules; write _"
    if _CAMEL.search(name):
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        yield "metric-camel-case", f"{name}: metric names should be written in 'snake_case' not 'camelCase'", \
            f"write {snake}"
    for label in sorted({key for sample in family.samples for key in sample.labels}):
        if _CAMEL.search(label):
            yield "metric-camel-case", f"{name}: label names should be written in 'snake_case' not 'camelCase'", \
                f"rename {label}"


def _promlint_type(family: Family) -> Iterator[tuple[str, str, str]]:
    name, kind = family.name, family.type
    if kind in ("unknown", "untyped"):
        return
    counted = any(sample.name.endswith("_total") for sample in family.samples)
    if kind == "counter" and not name.endswith("_total") and not counted:
        yield "metric-counter-name", f'{name}: counter metrics should have "_total" suffix', f"write {name}_total"
    if kind != "counter" and name.endswith("_total"):
        yield "metric-total-name", f'{name}: non-counter metrics should not have "_total" suffix: it is a {kind}', \
            f"write {name.removesuffix('_total')}, or make it a counter"
    shaped = kind in ("histogram", "gaugehistogram")
    if not shaped and name.endswith("_bucket"):
        yield "metric-reserved", f'{name}: non-histogram metrics should not have "_bucket" suffix', "rename it"
    for suffix in ("_count", "_sum"):
        if not shaped and kind != "summary" and name.endswith(suffix):
            what = "non-histogram and non-summary metrics"
            yield "metric-reserved", f'{name}: {what} should not have "{suffix}" suffix', "rename it"
    keys = {key for sample in family.samples for key in sample.labels}
    if not shaped and "le" in keys:
        yield "metric-reserved", f'{name}: non-histogram metrics should not have "le" label', "rename the label"
    if kind != "summary" and "quantile" in keys:
        yield "metric-reserved", f'{name}: non-summary metrics should not have "quantile" label', "rename the label"


def _unit_of(name: str) -> tuple[str, str] | None:
    """The first unit in the name, and its base unit."""
    for part in name.split("_"):
        if part in _UNITS:
            return part, _UNITS[part]
        for prefix in _PREFIXES:
            if part.startswith(prefix) and part[len(prefix):] in _UNITS:
                return part, _UNITS[part[len(prefix):]]
    return None


def _info(source: Source, family: Family) -> Iterator[Flaw]:
    if family.name.endswith("_info") and family.type in ("gauge", "unknown", "untyped"):
        odd = next((one for one in family.samples if one.value != 1), None)
        if odd is not None:
            yield Flaw("metric-info-value", source, (odd.line, 1), f"{family.name} carries labels and is "
                       f"{odd.value:g}: joins multiply by it", "let it be 1")


_IDENTITIES = (
    ("an e-mail address", re.compile(r"[^@\s/]+@[^@\s/]+\.[a-zA-Z]{2,}")),
    ("a UUID", re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")),
    ("a time", re.compile(r"1[5-9]\d{8}(?:\d{3})?(?:\.\d+)?|20[0-9]{2}-\d\d-\d\d[T ]\d\d:\d\d.*")),
    ("a random id", re.compile(r"(?=.*\d)(?=.*[a-f])[0-9a-f]{24,}")),
    ("a path with an id", re.compile(r"/(?:[^?\s]*/)?(?:\d{4,}|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27})(?:/\S*)?")),
)
_FEWEST_ALIKE = 3
"""One UUID may name a disk; three in one label are a label that grows with what it names."""
_KEPT_LABELS = frozenset({"le", "quantile", "instance", "version", "revision", "uuid", "serial", "device", "digest",
                          "image", "commit", "sha", "system_uuid", "machine_id", "boot_id"})
"""Labels that name machines, disks and builds: as many values as there are of these."""


def _cardinality(source: Source, family: Family, most: int) -> Iterator[Flaw]:
    values: dict[str, dict[str, int]] = {}
    for sample in family.samples:
        for key, value in sample.labels.items():
            values.setdefault(key, {}).setdefault(value, sample.line)
    for key in sorted(values):
        if key in ("le", "quantile"):
            continue
        for what, pattern in () if key in _KEPT_LABELS else _IDENTITIES:
            alike = [one for one in values[key] if pattern.fullmatch(one)]
            if len(alike) >= _FEWEST_ALIKE or (alike and what == "an e-mail address"):
                yield Flaw("label-unbounded", source, (values[key][alike[0]], 1), f"{family.name}: the label {key} "
                           "holds "
                           f'{what} ("{alike[0]}"): every new one is a new series for ever',
                           "leave it out; logs and traces are for single cases")
                break
        if len(values[key]) > most:
            yield Flaw("label-many-values", *_at(source, family), f"{family.name}: the label {key} has "
                       f"{len(values[key]):,} values, more than {most:,}", "aggregate before exporting, or raise "
                       "--most-values")


def _histogram(source: Source, family: Family, thresholds: Sequence[Threshold]) -> Iterator[Flaw]:
    if family.type != "histogram":
        return
    bounds = {float(one.labels["le"]) for one in family.samples if one.name.endswith("_bucket")
              and _is_float(one.labels.get("le", ""))}
    finite = sorted(bound for bound in bounds if math.isfinite(bound))
    if bounds and not finite:
        yield Flaw("histogram-without-buckets", *_at(source, family), f"{family.name} has only the bucket +Inf: "
                   "nothing can be read from it but its mean", "give it boundaries at the thresholds of its objectives")
        return
    for one in thresholds:
        if one.histogram == family.name and one.seconds not in bounds and finite:
            shown = ", ".join(f"{bound:g}" for bound in finite)
            yield Flaw("bucket-misses-objective", *_at(source, family), f'{family.name} has no boundary at '
                       f'{one.seconds:g}, which the objective "{one.objective}" needs: its buckets end at {shown}',
                       f"add a boundary at {one.seconds:g}")


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
