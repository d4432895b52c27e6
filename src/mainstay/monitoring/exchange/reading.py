"""What readers of other tools' files share: queries checked with a caret, alertings named, labels that stay whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document, Node
from mainstay.kernel.finding import Position, Severity
from mainstay.kernel.objective import Indicator, IndicatorType
from mainstay.kernel.ports import GaugeQuery, PromQuery
from mainstay.kernel.quantity import SLOT
from mainstay.kernel.reader import Reader
from mainstay.monitoring.alerts import unknown_variables
from mainstay.monitoring.exchange.form import Loss, Taken
from mainstay.monitoring.exchange.promql import mistake_in, names_window, windowed
from mainstay.monitoring.exchange.taking import Taking
from mainstay.monitoring.spec import Alerting
from mainstay.stats.budget import Tier


def node_of(reader: Reader, key: str) -> Node | None:
    """The field's node, if it is written."""
    return reader.node.value.get(key) if isinstance(reader.node.value, dict) else None


def passed_over(taken: Taken, tool: str) -> Taken:
    """The same with unknown fields as losses and warnings: the tool passes over them too, and a newer one may not."""
    findings = tuple(replace(one, severity=Severity.WARNING) if one.code == "unknown-field" else one
                     for one in taken.findings)
    lost = tuple(Loss(one.message.partition(" is not a field")[0], f"{tool} has no such field", one.where)
                 for one in findings if one.code == "unknown-field")
    return replace(taken, findings=findings, losses=(*taken.losses, *lost))


def read_query(reader: Reader, key: str, *, window: bool = True, checked: bool = True) -> str | None:
    """A PromQL field with `$window` for its window; a mistake in it is reported where it stands.

    Args:
        window: the query must name the window.
        checked: whether it must be PromQL; MetricsQL is more.
    """
    text = reader.text(key, required=True)
    node = node_of(reader, key)
    if text is None or node is None:
        return None
    if checked and (wrong := mistake_in(text)):
        place = _place(reader.document, node, wrong)
        message = f"{reader.field(key)} is not PromQL: {wrong}"
        reader.findings.append(reader.document.finding("not-promql", place, message, "write it as Prometheus reads it"))
        return None
    if window and not names_window(text):
        reader.report("no-window", f"{reader.field(key)} does not name its window",
                      "write [{{.window}}] in place of the range", key)
        return None
    return windowed(text)


_QUOTED = re.compile(r"['\"]([^'\"]+)['\"]")


def _place(document: Document, node: Node, wrong: str) -> tuple[int, int]:
    """Where in the text the parser's complaint stands, when it names a word of it; else where the text starts."""
    lines = document.lines
    here = lines[node.line - 1][node.column - 1:] if node.line <= len(lines) else ""
    block = here[:1] in ("|", ">")
    first = node.line if block else node.line - 1
    extent = range(first, min(len(lines), first + max(1, node.written.count("\n") + 1)))
    for word in _QUOTED.findall(wrong):
        for row in extent:
            start = 0 if block or row > first else node.column - 1
            found = lines[row].find(word, start)
            if found >= 0:
                return row + 1, found + 1
    if block and first < len(lines):
        return first + 1, len(lines[first]) - len(lines[first].lstrip()) + 1
    return node.line, node.column


OURS = frozenset({"slo", "service", "severity", "tier", "alertname"})
"""Labels that Mainstay's own rules set; an alerting cannot give them to all its alerts, nor group by them."""
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def take_annotations(taking: Taking, reader: Reader, key: str, *, named: Mapping[str, str] | None = None,
                     ) -> dict[str, str]:
    """Annotations that an alerting can carry as they are; one that would be filled in otherwise is lost.

    Args:
        named: their names in the catalog, where the file has others.
    """
    out = {}
    child = reader.child(key)
    for written, text in reader.labels(key).items():
        assert child is not None, "there are some, so there is a mapping"
        name = written if named is None else named.get(written, "")
        if named is not None and not name:
            continue
        if not _NAME.fullmatch(name):
            taking.note(child.field(written), "Prometheus' names are letters, digits and _", child.where_of(written))
        elif any(unknown_variables(text)) or "$slo" in text or "$service" in text:
            taking.note(child.field(written), "$ begins a variable in a catalog's annotations", child.where_of(written))
        else:
            out[name] = text
    return out


def take_groups(taking: Taking, reader: Reader, key: str, groups: Sequence[str]) -> tuple[str, ...]:
    """The labels to tell groups apart by; one that the rules set themselves is lost."""
    for group in groups:
        if not _NAME.fullmatch(group):
            reader.report("invalid-name", f'{reader.field(key)}: "{group}" is no label of Prometheus',
                          "use letters, digits and _", key)
        elif group in OURS:
            taking.note(f"{reader.field(key)}: {group}", "the rules set this label themselves", reader.where_of(key))
    return tuple(group for group in groups if group not in OURS)


def takes_tier(taking: Taking, reader: Reader, tier: Tier) -> bool:
    """Whether an alerting can have the tier; one that it cannot is lost."""
    slot = timedelta(seconds=SLOT)
    if tier.long <= slot or tier.long % slot:
        taking.note(reader.path, "a window is made of whole five minutes, two at least", reader.where)
        return False
    if not 0 < tier.spends <= 1:
        taking.note(reader.path, "this would spend more than the whole budget before it tells", reader.where)
        return False
    return True


@dataclass(frozen=True, slots=True)
class Queries:
    """What an indicator counts, and the labels it keeps apart."""

    total: PromQuery | GaugeQuery
    bad: PromQuery | None = None
    good: PromQuery | None = None
    groups: tuple[str, ...] = ()

    def indicator(self, name: str, where: Position) -> Indicator:
        """The same as an indicator whose source is not known."""
        return Indicator(name, where, IndicatorType.CUSTOM, "", self.total, self.bad, self.good)


# -- alertings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """How one objective's alerts are set, before alertings that are set alike become one."""

    objective: str
    service: str
    settings: Alerting


_NOWHERE = Position("")


def grouped(wanted: Iterable[Wanted]) -> tuple[Alerting, ...]:
    """One alerting for all objectives that are set alike, named after the one objective, or their service."""
    found: dict[str, list[Wanted]] = {}
    for one in wanted:
        found.setdefault(repr(replace(one.settings, name="", origin=_NOWHERE)), []).append(one)
    out: list[Alerting] = []
    taken: set[str] = set()
    for some in found.values():
        settings = some[0].settings
        services = {one.service for one in some}
        name = some[0].objective if len(some) == 1 or len(services) > 1 or not some[0].service else some[0].service
        name = name if name not in taken else some[0].objective
        taken.add(name)
        out.append(replace(settings, name=name, objectives=tuple(one.objective for one in some)))
    return tuple(out)



def merged(*maps: Mapping[str, str]) -> dict[str, str]:
    """Labels of several levels, the later one winning."""
    out: dict[str, str] = {}
    for one in maps:
        out |= one
    return out
