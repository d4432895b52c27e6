"""Whether the samples of a family are one: labels, values, order, buckets.

Source: OpenMetrics 1.0.0, "Metric types" and "Text format"; what the text format leaves open is not demanded of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from mainstay.monitoring.lint.flaw import Flaw
from mainstay.monitoring.lint.samples import Family, Sample
from mainstay.monitoring.lint.written import Source

_APART = {"histogram": "le", "gaugehistogram": "le", "summary": "quantile"}


def check_family(source: Source, family: Family, *, strict: bool) -> Iterator[Flaw]:
    """Everything that makes the family none."""
    def flaw(sample: Sample, message: str, mend: str = "") -> Flaw:
        return Flaw("exposition-form", source, (sample.line, 1), message, mend)

    seen: dict[object, Sample] = {}
    for sample in family.samples:
        key = sample.name, tuple(sorted(sample.labels.items())), sample.stamp
        first = seen.setdefault(key, sample)
        if first is not sample and not (strict and sample.stamp is not None):
            yield flaw(sample, f"the same series stands on line {first.line}: Prometheus drops one of the two",
                       "keep one, or tell them apart by a label")
        message = _value(family, sample, strict=strict) or (_labels(family, sample) if strict or family.type in
                                                            ("histogram", "summary") else "")
        if message:
            yield flaw(sample, message)
    if strict:
        yield from _order(source, family)
    if family.type in ("histogram", "gaugehistogram"):
        for group in _groups(family).values():
            found = _buckets(family, group, strict=strict)
            if found is not None:
                yield flaw(*found)


def _value(family: Family, sample: Sample, *, strict: bool) -> str:
    suffix, value = sample.name[len(family.name):], sample.value
    counting = (family.type == "counter" and suffix != "_created") or \
        (family.type in ("histogram", "summary") and suffix in ("_count", "_bucket")) or \
        (family.type == "summary" and suffix == "_sum" and strict) or \
        (family.type == "gaugehistogram" and suffix in ("_gcount", "_bucket") and strict)
    if counting and (math.isnan(value) or value < 0):
        return f"{sample.name} counts, and cannot be {value:g}"
    if not strict:
        return ""
    if suffix in ("_count", "_bucket", "_gcount") and family.type in SHAPED and value != math.floor(value):
        return f"{sample.name} counts events, and cannot be {value:g}"
    if family.type == "stateset" and value not in (0, 1):
        return f"a state is 0 or 1, not {value:g}"
    if family.type == "info" and value != 1:
        return f"an info is 1, not {value:g}"
    if family.type == "summary" and suffix == "" and value < 0:
        return f"a quantile of a summary cannot be {value:g}"
    return ""


SHAPED = frozenset({"histogram", "gaugehistogram", "summary"})


def _labels(family: Family, sample: Sample) -> str:
    suffix = sample.name[len(family.name):]
    if suffix == "_bucket" and family.type in ("histogram", "gaugehistogram"):
        bound = sample.labels.get("le")
        if bound is None:
            return "a bucket needs the label le"
        if not _is_float(bound) or math.isnan(float(bound)):
            return f'le="{bound}" is no number'
        if math.isinf(float(bound)) and bound != "+Inf":
            return f'le="{bound}" must be written +Inf'
    if family.type == "summary" and suffix == "":
        share = sample.labels.get("quantile")
        if share is None:
            return "a summary's quantile needs the label quantile"
        if not _is_float(share) or not 0 <= float(share) <= 1:
            return f'quantile="{share}" is not between 0 and 1'
    if family.type == "stateset" and family.name not in sample.labels:
        return f"a state needs the label {family.name}"
    return ""


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _groups(family: Family) -> dict[tuple[tuple[str, str], ...], list[Sample]]:
    """The samples by series, buckets and quantiles of one series together."""
    out: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in family.samples:
        out.setdefault(_series(family, sample), []).append(sample)
    return out


def _series(family: Family, sample: Sample) -> tuple[tuple[str, str], ...]:
    apart = family.name if family.type == "stateset" else _APART.get(family.type, "")
    return tuple(sorted((key, value) for key, value in sample.labels.items() if key != apart))


def _order(source: Source, family: Family) -> Iterator[Flaw]:
    """OpenMetrics keeps the samples of a series together, and their times ascending."""
    before: tuple[tuple[str, str], ...] | None = None
    done: set[tuple[tuple[str, str], ...]] = set()
    stamps: dict[tuple[tuple[str, str], ...], float | None] = {}
    for sample in family.samples:
        series = _series(family, sample)
        if before is not None and series != before:
            done.add(before)
        if series in done:
            yield Flaw("exposition-form", source, (sample.line, 1), "samples of one series must stand together",
                       "keep all lines of a series together")
            return
        if series in stamps:
            last = stamps[series]
            if (last is None) != (sample.stamp is None):
                yield Flaw("exposition-form", source, (sample.line, 1), "some samples of this series have a time and "
                           "some have none", "give a time to all or none")
                return
            if last is not None and sample.stamp is not None and sample.stamp < last:
                yield Flaw("exposition-form", source, (sample.line, 1), "the times of a series must ascend")
                return
        stamps[series], before = sample.stamp, series


def _buckets(family: Family, group: list[Sample], *, strict: bool) -> tuple[Sample, str, str] | None:
    """What is wrong with one series' buckets: at which sample, what, and the mend."""
    by_stamp: dict[float | None, list[Sample]] = {}
    for sample in group:
        by_stamp.setdefault(sample.stamp, []).append(sample)
    for samples in by_stamp.values():
        found = _one_histogram(family, samples, strict=strict)
        if found is not None:
            return found
    return None


def _one_histogram(family: Family, samples: list[Sample], *, strict: bool) -> tuple[Sample, str, str] | None:
    buckets = [one for one in samples if one.name.endswith("_bucket") and _is_float(one.labels.get("le", ""))]
    suffixes = {one.name[len(family.name):]: one for one in samples}
    if not buckets:
        return (samples[0], "a histogram without buckets", 'add at least the bucket le="+Inf"') if strict else None
    bounds = [float(one.labels["le"]) for one in buckets]
    for before, one in pairwise(buckets):
        if strict and float(one.labels["le"]) <= float(before.labels["le"]):
            return one, "buckets must stand in the order of le", "sort them"
    ordered = sorted(buckets, key=lambda one: float(one.labels["le"]))
    for before, one in pairwise(ordered):
        if one.value < before.value:
            return one, (f'le="{one.labels["le"]}" counts less than le="{before.labels["le"]}": buckets count '
                         "everything below them"), "make them cumulative"
    if math.inf not in bounds:
        return ordered[-1], 'the bucket le="+Inf" is missing', "add it: it counts everything"
    count = suffixes.get("_count") or suffixes.get("_gcount")
    if count is not None and count.value != ordered[-1].value:
        return count, f'{count.name} is {count.value:g} and le="+Inf" is {ordered[-1].value:g}', "they are one number"
    total = suffixes.get("_sum") or suffixes.get("_gsum")
    if strict:
        return _sums(bounds, count, total)
    return None


def _sums(bounds: list[float], count: Sample | None,
          total: Sample | None) -> tuple[Sample, str, str] | None:
    negative = min(bounds) < 0
    if total is not None and count is None:
        return total, "a sum without a count", "add the count"
    if count is not None and total is None and not negative:
        return count, "a count without a sum", "add the sum"
    if total is not None and negative and total.name.endswith("_sum"):
        return total, "a histogram with buckets below zero has no sum", "remove it"
    if total is not None and not negative and (total.value < 0 or math.isnan(total.value)):
        return total, f"the sum of what is above zero cannot be {total.value:g}", ""
    return None
