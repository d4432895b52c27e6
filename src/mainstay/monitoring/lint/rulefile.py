"""Rule files as what they declare, every part with its place, and what is wrong with their form.

Read are plain Prometheus rule files, PrometheusRule objects and lists of them, and the namespaces of Mimir and Loki
(`namespace:` beside `groups:`). Loki's expressions are LogQL and are not checked.

Source: Prometheus documentation, "Defining recording rules"; rulefmt.go; prometheus-operator API reference; Mimir
documentation, `mimirtool rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import field

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document, Node
from mainstay.kernel.finding import did_you_mean
from mainstay.monitoring.lint.flaw import Edit, Flaw
from mainstay.monitoring.lint.promql import NotPromql, parse, seconds_of
from mainstay.monitoring.lint.tree import Expr
from mainstay.monitoring.lint.written import Source, Written


@dataclass(frozen=True)
class Rule:
    """One rule.

    Args:
        name: of the series it records, or of the alert.
        tree: the expression; None where it cannot be read.
        hold, keep: seconds of `for` and `keep_firing_for`; None where they are not written.
        node: the rule's mapping; `lines` are the first and last line of the file that it takes.
    """

    alert: bool
    name: Written
    expr: Written
    tree: Expr | None
    labels: dict[str, Written]
    annotations: dict[str, Written]
    hold: float | None
    hold_at: Written | None
    node: Node
    group: str
    interval: float | None
    lines: tuple[int, int] = (0, 0)

    @property
    def series(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What tells it apart from other rules: its name and labels."""
        return self.name.text, tuple(sorted((key, one.text) for key, one in self.labels.items()))


@dataclass(frozen=True)
class RuleFile:
    """What one file declares."""

    source: Source
    rules: tuple[Rule, ...]
    groups: int
    flaws: tuple[Flaw, ...] = field(default=())


def is_rule_document(document: Document) -> bool:
    """Whether the document declares rules."""
    root = document.root.value
    if not isinstance(root, dict):
        return False
    if _text(root.get("kind")) in ("PrometheusRule", "List", "PrometheusRuleList") and "apiVersion" in root:
        return _text(root.get("kind")) == "PrometheusRule" or "items" in root
    return "groups" in root and "apiVersion" not in root and "kind" not in root


def read_rules(source: Source, documents: Sequence[Document]) -> RuleFile:
    """The rules of a file's documents, and what is wrong with their form."""
    reader = _Reader(source)
    plain = 0
    for document in documents:
        root = document.root
        kind = _text(root.value.get("kind")) if isinstance(root.value, dict) else ""
        if kind.endswith("List"):
            for item in _items(root, "items"):
                reader.object(item)
        elif kind == "PrometheusRule":
            reader.object(root)
        else:
            plain += 1
            reader.plain(root)
            # promtool and Prometheus decode one document and do not look for another.
            if plain > 1 or document is not documents[0]:
                reader.flaw("second-document", root, "Prometheus reads only the first document of a rule file: "
                            f"{_many(reader.last, 'rule')} of this one {'is' if reader.last == 1 else 'are'} dropped "
                            "without a word", "put its groups under the first document's groups:, or into a file of "
                            "their own")
    return RuleFile(source, tuple(reader.rules), len(reader.groups), tuple(reader.flaws))


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


_DURATION = re.compile(r"(?:\d+y)?(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?(?:\d+ms)?")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_GROUP_FIELDS = ("name", "interval", "query_offset", "limit", "labels", "rules", "partial_response_strategy",
                 "source_tenants", "evaluation_delay", "align_evaluation_time_on_interval", "remote_write")
_RULE_FIELDS = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")


class _Reader:
    """One file being read."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.rules: list[Rule] = []
        self.groups: dict[str, int] = {}
        self.flaws: list[Flaw] = []
        self.last = 0

    def flaw(self, code: str, at: Node | tuple[int, int], message: str, mend: str = "") -> None:
        place = at if isinstance(at, tuple) else (at.line, at.column)
        self.flaws.append(Flaw(code, self.source, place, message, mend))

    def object(self, node: Node) -> None:
        """A PrometheusRule; its groups are of its own, so names may stand in another object too."""
        self.groups = {}
        spec = node.value.get("spec") if isinstance(node.value, dict) else None
        if spec is None or not isinstance(spec.value, dict):
            self.flaw("missing-field", node, "the PrometheusRule has no spec", "add spec: {groups: […]}")
            return
        self.plain(spec)

    def plain(self, node: Node) -> None:
        """A mapping with `groups`."""
        before = len(self.rules)
        root = node.value if isinstance(node.value, dict) else {}
        self.unknown(node, ("groups", "namespace"), "a rule file")
        groups = root.get("groups")
        if groups is None or not isinstance(groups.value, list):
            if groups is None or groups.value is not None:
                self.flaw("missing-field", groups or node, "groups must be a list", "write groups: [{name: …}]")
            return
        for group in groups.value:
            self.group(group)
        self.last = len(self.rules) - before

    def group(self, node: Node) -> None:
        if not isinstance(node.value, dict):
            self.flaw("wrong-type", node, "a group must be a mapping", "write - name: … and rules: […]")
            return
        name = _text(node.value.get("name"))
        if not name:
            self.flaw("missing-field", node, "the group has no name", "add name: …")
        elif name in self.groups:
            self.flaw("duplicate-group", node.value["name"], f'two groups are called "{name}", the first on line '
                      f"{self.groups[name]}: Prometheus refuses the file", "rename one of the two")
        else:
            self.groups[name] = node.line
        self.unknown(node, _GROUP_FIELDS, "a group")
        interval, _ = self.duration(node, "interval")
        for item in _items(node, "rules"):
            self.rule(item, name, interval)

    def rule(self, node: Node, group: str, interval: float | None) -> None:
        if not isinstance(node.value, dict):
            self.flaw("wrong-type", node, "a rule must be a mapping", "write - alert: … or - record: …")
            return
        self.unknown(node, _RULE_FIELDS, "a rule")
        named = [key for key in ("record", "alert") if _text(node.value.get(key))]
        expr = node.value.get("expr")
        if len(named) != 1:
            both = len(named) == 2
            self.flaw("one-of" if both else "missing-field", node,
                      "a rule either records or alerts, not both" if both else "the rule has neither record nor alert",
                      "make two rules of it" if both else "add alert: NAME or record: NAME")
        if expr is None or not _written(expr):
            self.flaw("missing-field", expr or node, "the rule has no expr", "add expr: …")
        if len(named) != 1 or expr is None or not _written(expr):
            return
        self.add(node, named[0], group, interval)

    def add(self, node: Node, kind: str, group: str, interval: float | None) -> None:
        assert isinstance(node.value, dict), "only a mapping is a rule"
        name, expr = self.written(node.value[kind]), self.written(node.value["expr"])
        hold, hold_at = self.duration(node, "for")
        self.duration(node, "keep_firing_for")
        if kind == "record":
            if not _METRIC.fullmatch(name.text):
                self.flaw("invalid-value", node.value["record"], f'"{name.text}" cannot be the name of a series',
                          "write letters, digits, _ and : only")
            for key in ("for", "keep_firing_for", "annotations"):
                if key in node.value:
                    self.flaw("unknown-field", node.keys[key], f"a recording rule has no {key}: Prometheus refuses "
                              "the file", f"remove {key}, or write alert: in place of record:")
        self.rules.append(Rule(kind == "alert", name, expr, self.tree(expr), self.texts(node, "labels", labels=True),
                               self.texts(node, "annotations"), hold, hold_at, node, group, interval,
                               (node.line, _last_line(node))))

    def tree(self, expr: Written) -> Expr | None:
        try:
            return parse(expr.text)
        except NotPromql as error:
            if expr.text[error.start:error.start + 1] == "|":
                # No operator of PromQL begins with a bar; Loki's filters and parsers do.
                self.flaws.append(Flaw("logql", self.source, (expr, error.start), "this looks like LogQL, which is not "
                                       "checked", "check it with `lokitool rules lint`"))
                return None
            edits = (Edit(expr, *error.change),) if error.change and expr.mendable else ()
            self.flaws.append(Flaw("promql-syntax", self.source, (expr, error.start), error.message,
                                   "double the backslash" if error.change else
                                   "promtool check rules refuses the file for it", edits))
            return None

    def written(self, node: Node) -> Written:
        return Written(self.source, node, node.value if isinstance(node.value, str) else node.written)

    def texts(self, node: Node, key: str, *, labels: bool = False) -> dict[str, Written]:
        assert isinstance(node.value, dict), "only a mapping is a rule"
        child = node.value.get(key)
        if child is None or child.value is None:
            return {}
        if not isinstance(child.value, dict):
            self.flaw("wrong-type", child, f"{key} must be a mapping", f"write {key}: {{name: value}}")
            return {}
        out: dict[str, Written] = {}
        for name, item in child.value.items():
            if labels and (not _LABEL.fullmatch(name) or name == "__name__"):
                self.flaw("invalid-value", child.keys[name], f'"{name}" cannot be a label',
                          "write letters, digits and _ only")
            if isinstance(item.value, dict | list):
                self.flaw("wrong-type", item, f"{key}.{name} must be text", "put it in quotes")
            else:
                out[name] = self.written(item)
        return out

    def duration(self, node: Node, key: str) -> tuple[float | None, Written | None]:
        assert isinstance(node.value, dict), "only a mapping has fields"
        item = node.value.get(key)
        if item is None or item.value is None:
            return None, None
        text = item.value if isinstance(item.value, str) else item.written
        if not text or (text != "0" and not _DURATION.fullmatch(text)):
            self.flaw("invalid-value", item, f'{key} is "{text}", which is not a duration',
                      "write a number and a unit, such as 30s, 5m or 1h30m")
            return None, None
        return seconds_of(text), self.written(item)

    def unknown(self, node: Node, known: tuple[str, ...], what: str) -> None:
        for key in node.value if isinstance(node.value, dict) else ():
            if key not in known:
                self.flaw("unknown-field", node.keys[key], f"{key} is not a field of {what}{did_you_mean(key, known)}: "
                          "Prometheus refuses the file", "known fields: " + ", ".join(known))


def _items(node: Node, key: str) -> Iterator[Node]:
    child = node.value.get(key) if isinstance(node.value, dict) else None
    if child is not None and isinstance(child.value, list):
        yield from child.value


def _text(node: Node | None) -> str:
    if node is None or isinstance(node.value, dict | list) or node.value is None:
        return ""
    return node.value if isinstance(node.value, str) else node.written


def _written(node: Node) -> bool:
    return not isinstance(node.value, dict | list) and bool(_text(node).strip())


def _last_line(node: Node) -> int:
    if isinstance(node.value, dict):
        return max((_last_line(one) for one in node.value.values()), default=node.line)
    if isinstance(node.value, list):
        return max((_last_line(one) for one in node.value), default=node.line)
    return node.line + (node.value.count("\n") if isinstance(node.value, str) else 0)

