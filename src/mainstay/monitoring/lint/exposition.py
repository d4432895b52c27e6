"""Metric pages as families of samples, each with its line, and every place at which a page is none.

Read are the Prometheus text format 0.0.4 and OpenMetrics 1.0, which is told by its last line `# EOF` and is stricter. A
line that cannot be read is a flaw and reading goes on behind it.

Sources: Prometheus documentation, "Exposition formats"; OpenMetrics 1.0.0 (its test cases are in `tests`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import field

from mainstay.kernel.dataclass import dataclass
from mainstay.monitoring.lint.families import check_family
from mainstay.monitoring.lint.flaw import Flaw
from mainstay.monitoring.lint.samples import SUFFIXES, Family, Sample, split_name
from mainstay.monitoring.lint.written import Source

_TYPES = frozenset({"counter", "gauge", "histogram", "summary", "untyped"})
_OPEN_TYPES = frozenset({"unknown", "gauge", "counter", "stateset", "info", "histogram", "gaugehistogram", "summary"})
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)(?P<eq>\s*=\s*)"(?P<value>(?:[^"\\]|\\.)*)"')
_OPEN_LABEL = re.compile(r'(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)(?P<eq>=)"(?P<value>(?:[^"\\]|\\.)*)"')
_FLOAT = re.compile(r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?|inf(?:inity)?|nan)", re.IGNORECASE)
_HEX = re.compile(r"[-+]?0[xX][0-9a-fA-F.]+(?:[pP][-+]?\d+)?")
_MOST_EXEMPLAR = 128
"""Letters of an exemplar's labels, names and values together: OpenMetrics 1.0, "Exemplars"."""


@dataclass(frozen=True)
class MetricPage:
    """What a page holds."""

    source: Source
    families: tuple[Family, ...]
    samples: int
    flaws: tuple[Flaw, ...] = field(default=())


def is_open_metrics(text: str) -> bool:
    """Whether the page is OpenMetrics: it ends in # EOF, and no counter or type is written as the text format does."""
    return re.search(r"^# (?:EOF\s*\Z|UNIT )", text, re.MULTILINE) is not None \
        and re.search(r"^# TYPE (?:\S+_total counter|\S+ untyped)\s*$", text, re.MULTILINE) is None


def looks_like_page(text: str) -> bool:
    """Whether the text is a metric page, not YAML: its first line that says something is a sample or metadata."""
    for line in text.splitlines():
        if re.match(r"# (?:HELP|TYPE|UNIT|EOF)\b", line):
            return True
        if line.strip() and not line.startswith("#"):
            return re.match(r"[a-zA-Z_:][\w:]*(?:\{.*\})?\s+[-+.\dINin]", line) is not None and \
                not re.match(r"[\w-]+:(?:\s|$)", line)
    return False


def read_page(source: Source, *, open_metrics: bool | None = None) -> MetricPage:
    """The families of a page, and everything that makes it none."""
    strict = is_open_metrics(source.text) if open_metrics is None else open_metrics
    reader = _Reader(source, strict)
    reader.read()
    families = tuple(reader.families.values())
    flaws = reader.flaws
    for family in families:
        flaws += check_family(source, family, strict=strict)
    if strict:
        flaws += _clashes(source, families)
    return MetricPage(source, families, sum(len(family.samples) for family in families), tuple(flaws))


def _clashes(source: Source, families: tuple[Family, ...]) -> Iterator[Flaw]:
    """Families whose samples would bear another family's name."""
    taken: dict[str, Family] = {}
    for family in families:
        for suffix in SUFFIXES.get(family.type, ("",)):
            taken.setdefault(family.name + suffix, family)
    for family in families:
        names = {family.name} | {family.name + suffix for suffix in SUFFIXES.get(family.type, ())}
        other = next((taken[name] for name in sorted(names) if name in taken and taken[name] is not family), None)
        if other is not None:
            yield Flaw("exposition-form", source, (family.line, 1), f"{family.name} clashes with the {other.type} "
                       f"{other.name} of line {other.line}: their samples have one name", "rename one of the two")


class _Unreadable(Exception):
    def __init__(self, column: int, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.column, self.message, self.mend = column, message, mend


class _Reader:
    """One page being read."""

    def __init__(self, source: Source, strict: bool) -> None:
        self.source = source
        self.strict = strict
        self.families: dict[str, Family] = {}
        self.flaws: list[Flaw] = []
        self.current = ""
        self.closed: set[str] = set()

    def flaw(self, code: str, line: int, column: int, message: str, mend: str = "") -> None:
        self.flaws.append(Flaw(code, self.source, (line, column), message, mend))

    def read(self) -> None:
        lines = self.source.text.split("\n")
        if lines and not lines[-1]:
            lines.pop()
        ended = False
        for number, line in enumerate(lines, 1):
            if ended:
                self.flaw("exposition-syntax", number, 1, "nothing may follow # EOF", "remove it")
                return
            try:
                ended = self.line(number, line)
            except _Unreadable as error:
                self.flaw("exposition-syntax", number, error.column, error.message, error.mend)
        if self.strict and not ended:
            self.flaw("exposition-syntax", len(lines) or 1, 1, "the page does not end in # EOF: it may have been cut "
                      "off",
                      "end it with # EOF")

    def line(self, number: int, line: str) -> bool:
        """Reads one line; whether it is the end."""
        if self.strict:
            if line == "# EOF":
                return True
            if not line.strip():
                raise _Unreadable(1, "OpenMetrics has no empty lines", "remove it")
            if line.startswith("#"):
                self.metadata(number, line)
                return False
        else:
            line = line.rstrip("\r")
            if not line.strip():
                return False
            if line.lstrip().startswith("#"):
                if re.match(r"\s*#\s*(?:HELP|TYPE)\b", line):
                    self.metadata(number, line)
                return False
        self.sample(number, line)
        return False

    # -- metadata ----------------------------------------------------------------------------------------------------

    def metadata(self, number: int, line: str) -> None:
        parts = line.split(" ", 3) if self.strict else line.split(None, 3)
        keyword = parts[1] if len(parts) > 1 else ""
        if parts[0] != "#" or keyword not in ("HELP", "TYPE", "UNIT"):
            raise _Unreadable(1, "only # HELP, # TYPE, # UNIT and # EOF may stand here", "remove the comment")
        name = parts[2] if len(parts) > 2 else ""
        if not _NAME.fullmatch(name):
            raise _Unreadable(line.find(keyword) + len(keyword) + 2, f'"{name}" cannot be the name of a metric')
        if len(parts) < 4 and (self.strict or keyword == "TYPE"):
            raise _Unreadable(len(line) + 1, f"# {keyword} {name} says nothing")
        rest = parts[3] if len(parts) > 3 else ""
        family = self.family(number, name)
        if family.samples:
            raise _Unreadable(1, f"# {keyword} {name} stands behind samples of {name}", "put it above them")
        column = line.find(rest, line.find(name) + len(name)) + 1 if rest else len(line)
        if keyword in family.said:
            raise _Unreadable(1, f"a second # {keyword} for {name}", "keep one of the two")
        family.said.add(keyword)
        match keyword:
            case "HELP":
                family.help = rest
                family.help_line = number
            case "TYPE":
                self.type(family, rest if self.strict else rest.strip(), column)
            case _:
                family.unit = rest
                if rest and not name.endswith(f"_{rest}"):
                    raise _Unreadable(column, f"the unit {rest} is not the end of the name {name}",
                                      f"rename it to {name}_{rest}")
        if family.unit and family.type in ("info", "stateset"):
            raise _Unreadable(1, f"a {family.type} has no unit", "remove # UNIT")

    def type(self, family: Family, text: str, column: int) -> None:
        known = _OPEN_TYPES if self.strict else _TYPES
        if text not in known:
            raise _Unreadable(column, f'"{text}" is no type', "write one of: " + ", ".join(sorted(known)))
        family.type = text
        family.typed_line = family.line

    def family(self, number: int, name: str) -> Family:
        """The family of that name, which must not have been left before."""
        if self.current and self.current != name:
            self.closed.add(self.current)
        if name in self.closed and self.strict:
            raise _Unreadable(1, f"{name} goes on after other metrics stood in between",
                              "keep all lines of a metric together")
        self.current = name
        return self.families.setdefault(name, Family(name, number))

    # -- samples -----------------------------------------------------------------------------------------------------

    def sample(self, number: int, line: str) -> None:
        found = _NAME.match(line) if self.strict else _NAME.match(line.lstrip(" \t"))
        indent = 0 if self.strict else len(line) - len(line.lstrip(" \t"))
        if found is None:
            raise _Unreadable(indent + 1, "a metric's name must stand here")
        name, at = found[0], indent + found.end()
        labels: dict[str, str] = {}
        if line[at:].lstrip()[:1] == "{" and (line[at] == "{" or not self.strict):
            labels, at = self.labels(line, line.index("{", at))
        blank = re.compile(r" " if self.strict else r"[ \t]*").match(line, at)
        if blank is None:
            raise _Unreadable(at + 1, "a blank must stand between name and value")
        rest, exemplar = line[blank.end():], ""
        if self.strict and " # " in rest:
            rest, _, exemplar = rest.partition(" # ")
        fields = rest.split(" ") if self.strict else rest.split()
        if not fields or not fields[0] or len(fields) > 2 or (self.strict and "" in fields):
            raise _Unreadable(blank.end() + 1, "one value, and perhaps a time, must stand behind the name")
        value = self.number(fields[0], blank.end() + 1)
        stamp = self.stamp(fields[1], blank.end() + len(fields[0]) + 2) if len(fields) > 1 else None
        family = self.owner(number, name, labels)
        if exemplar:
            self.exemplar(line, len(line) - len(exemplar), name, family)
        family.samples.append(Sample(name, labels, value, number, stamp))

    def owner(self, number: int, name: str, labels: dict[str, str]) -> Family:
        """The family that a sample of that name belongs to."""
        if self.current in self.families and (suffix := split_name(name, self.families[self.current], labels,
                                                                   strict=self.strict)) is not None:
            return self.families[name.removesuffix(suffix) if suffix else name]
        if not self.strict:
            for family in (self.families.get(name.rpartition("_")[0]),):
                if family is not None and split_name(name, family, labels, strict=False) is not None:
                    return family
        if self.strict and (known := self.families.get(self.current)) is not None and known.type != "unknown" \
                and name.startswith(known.name) and name[len(known.name):] in ("", *_ALL_SUFFIXES) \
                and not known.samples:
            raise _Unreadable(1, f"{name} is no sample of the {known.type} {known.name}",
                              "write " + " or ".join(known.name + one for one in SUFFIXES[known.type]))
        return self.family(number, name)

    def labels(self, line: str, at: int) -> tuple[dict[str, str], int]:
        out: dict[str, str] = {}
        at += 1
        blanks = re.compile(r"" if self.strict else r"[ \t]*")
        while True:
            at = blanks.match(line, at).end()  # type: ignore[union-attr]  # it matches the empty text
            if line[at:at + 1] == "}":
                if self.strict and line[at - 1] == ",":
                    raise _Unreadable(at, "a comma too many")
                return out, at + 1
            found = (_OPEN_LABEL if self.strict else _LABEL).match(line, at)
            if found is None:
                raise _Unreadable(at + 1, 'a label must be written name="value"', "check quotes, commas and the "
                                  "bracket")
            if found["name"] in out:
                raise _Unreadable(at + 1, f'the label {found["name"]} stands twice', "keep one of the two")
            out[found["name"]] = self.unescaped(found["value"], found.start("value"))
            at = blanks.match(line, found.end()).end()  # type: ignore[union-attr]
            if line[at:at + 1] == ",":
                at += 1
            elif line[at:at + 1] != "}":
                raise _Unreadable(at + 1, "a comma or } must stand between labels")

    def unescaped(self, text: str, at: int) -> str:
        if "\\" not in text:
            return text
        bad = re.search(r'(?:^|[^\\])(?:\\\\)*\\([^\\n"])', text)
        if bad is not None and not self.strict:
            raise _Unreadable(at + bad.start(1), f"\\{bad[1]} is no escape", 'only \\\\, \\" and \\n are')
        return re.sub(r'\\([\\n"])', lambda one: "\n" if one[1] == "n" else one[1], text)

    def number(self, text: str, column: int) -> float:
        if _FLOAT.fullmatch(text):
            return float(text)
        if not self.strict and _HEX.fullmatch(text):
            return float.fromhex(text)
        raise _Unreadable(column, f'"{text}" is no number')

    def stamp(self, text: str, column: int) -> float:
        if not self.strict:
            if not re.fullmatch(r"[-+]?\d+", text):
                raise _Unreadable(column, f'"{text}" is no time in milliseconds')
            return int(text) / 1000
        value = self.number(text, column)
        if math.isnan(value) or math.isinf(value):
            raise _Unreadable(column, f'"{text}" is no time')
        return value

    def exemplar(self, line: str, at: int, name: str, family: Family) -> None:
        suffix = name[len(family.name):]
        allowed = (family.type in ("histogram", "gaugehistogram") and suffix == "_bucket") or \
            (family.type == "counter" and suffix == "_total")
        if not allowed:
            raise _Unreadable(at + 1, f"{name} cannot have an exemplar", "only buckets and counters can")
        if line[at:at + 1] != "{":
            raise _Unreadable(at + 1, "an exemplar begins with its labels")
        labels, behind = self.labels(line, at)
        if sum(len(key) + len(value) for key, value in labels.items()) > _MOST_EXEMPLAR:
            raise _Unreadable(at + 1, f"the exemplar's labels have more than {_MOST_EXEMPLAR} letters")
        fields = line[behind + 1:].split(" ")
        if line[behind:behind + 1] != " " or not 1 <= len(fields) <= 2 or "" in fields:
            raise _Unreadable(behind + 1, "an exemplar is labels, a value and perhaps a time")
        self.number(fields[0], behind + 2)
        if len(fields) > 1:
            self.stamp(fields[1], behind + 3 + len(fields[0]))


_ALL_SUFFIXES = ("_total", "_created", "_count", "_sum", "_bucket", "_gcount", "_gsum", "_info")
