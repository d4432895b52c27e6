"""Templates in labels and annotations: functions and variables that are not there, labels that were lost on the way.

Source: Prometheus documentation, "Template reference"; Go's text/template.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mainstay.kernel.finding import did_you_mean
from mainstay.monitoring.lint.flaw import Edit, Flaw
from mainstay.monitoring.lint.query import Query
from mainstay.monitoring.lint.shape import Shape, shape_of
from mainstay.monitoring.lint.written import Written

FUNCTIONS = frozenset((
    "query", "first", "label", "value", "sortByLabel", "humanize", "humanize1024", "humanizeDuration",
    "humanizePercentage", "humanizeTimestamp", "toTime", "toDuration", "now", "strvalue", "title", "toUpper", "toLower",
    "match", "reReplaceAll", "graphLink", "tableLink", "parseDuration", "stripPort", "stripDomain", "args", "tmpl",
    "safeHtml", "externalURL", "pathPrefix", "urlQueryEscape", "and", "or", "not", "len", "index", "slice", "print",
    "printf", "println", "html", "js", "urlquery", "call", "eq", "ne", "lt", "le", "gt", "ge"))
_KEYWORDS = frozenset({"if", "else", "end", "range", "with", "template", "define", "block", "true", "false", "nil",
                       "break", "continue"})
_VARIABLES = frozenset({"$labels", "$value", "$externalLabels", "$externalURL"})
_ACTION = re.compile(r"\{\{-?(?P<inside>.*?)-?\}\}", re.DOTALL)
_PART = re.compile(r"""(?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`|'(?:[^'\\]|\\.)*')|(?P<comment>/\*.*?\*/)
    |(?P<field>(?:\$\w*|\)|\w)?(?:\.[A-Za-z_]\w*)+)|(?P<variable>\$\w*)|(?P<word>[A-Za-z_]\w*)""",
                   re.VERBOSE | re.DOTALL)


def check_templates(query: Query) -> Iterator[Flaw]:
    """Every template of the rule."""
    rule = query.rule
    if not rule.alert:
        return
    shape: Shape | None = None
    for place, texts in (("label", rule.labels), ("annotation", rule.annotations)):
        for key, text in texts.items():
            if "{{" not in text.text and "}}" not in text.text:
                if key not in ("runbook_url",) and (bare := _BARE.search(text.text)):
                    yield _unbraced(query, text, bare)
                continue
            shape = shape or _given(query)
            yield from _template(query, text, shape, place)


_BARE = re.compile(r"(?<![\w{$])\$(labels\.\w+|value)\b")


def _unbraced(query: Query, text: Written, found: re.Match[str]) -> Flaw:
    new = "{{ " + found[0] + " }}"
    edits = (Edit(text, found.start(), found.end(), new),) if text.mendable and _quoted(text) else ()
    return Flaw("template-text", query.rule.expr.source, (text, found.start()),
                f"{found[0]} without braces is shown as it stands", f"write {new}", edits)


def _quoted(text: Written) -> bool:
    """Whether braces may be written there: at the start of a plain YAML text they would open a mapping."""
    at = text.source.offset(text.node.line, text.node.column)
    return text.source.text[at:at + 1] in "\"'|>"


def _given(query: Query) -> Shape:
    """The labels that the alert's templates see: the series' and `alertname` is not among them."""
    return shape_of(query.tree)


def _template(query: Query, text: Written, shape: Shape, place: str) -> Iterator[Flaw]:
    source = query.rule.expr.source
    rest = text.text
    if rest.count("{{") != rest.count("}}"):
        at = rest.rfind("{{") if rest.count("{{") > rest.count("}}") else rest.find("}}")
        yield Flaw("template-syntax", source, (text, at), "the template's braces do not match: Prometheus refuses the "
                   "file",
                   "write {{ … }}")
        return
    own: set[str] = set()
    for action in _ACTION.finditer(rest):
        inside = action["inside"]
        if inside.strip() in ("", "/**/"):
            yield Flaw("template-syntax", source, (text, action.start()), "the template is empty: Prometheus refuses "
                       "the file", "write {{ $value }} or {{ $labels.NAME }}")
        own |= set(re.findall(r"(\$\w+)\s*(?::=|,)", inside)) | set(re.findall(r",\s*(\$\w+)\s*:=", inside))
        for part in _PART.finditer(inside):
            yield from _part(query, text, action.start("inside") + part.start(), part, (shape, place, own))


def _part(query: Query, text: Written, at: int, part: re.Match[str],
          known: tuple[Shape, str, set[str]]) -> Iterator[Flaw]:
    shape, place, own = known
    source = query.rule.expr.source
    match part.lastgroup:
        case "word" if part[0] not in FUNCTIONS and part[0] not in _KEYWORDS:
            yield Flaw("template-function", source, (text, at), f"templates have no function {part[0]}"
                       f"{did_you_mean(part[0], FUNCTIONS)}: Prometheus refuses the file", "see Prometheus's template "
                       "reference")
        case "variable":
            if part[0] != "$" and part[0] not in _VARIABLES | own:
                yield _variable(text, at, part[0])
            elif part[0] == "$value" and place == "label":
                yield Flaw("value-in-label", source, (text, at), "a label that changes with the value makes a new "
                           "alert at every evaluation", "put $value into an annotation")
        case "field" if part[0].startswith("$"):
            variable, _, name = part[0].partition(".")
            if variable == "$labels":
                yield from _label(query, text, at, name.partition(".")[0], shape)
            elif variable not in _VARIABLES | own and variable != "$":
                yield _variable(text, at, variable)
        case "field" if part[0].startswith((".Labels.", ".labels.")):
            yield from _label(query, text, at, part[0].split(".")[2], shape) if part[0].startswith(".Labels.") else ()
        case _:
            return


def _variable(text: Written, at: int, name: str) -> Flaw:
    return Flaw("template-variable", text.source, (text, at), f"templates have no variable {name}"
                f"{did_you_mean(name, _VARIABLES)}: Prometheus refuses the file",
                "write $labels, $value, $externalLabels or $externalURL")


def _label(query: Query, text: Written, at: int, name: str, shape: Shape) -> Iterator[Flaw]:
    if name == "alertname" or shape.may_have(name) or shape.scalar:
        return
    kept = ", ".join(sorted(shape.only)) if shape.only else ""
    have = f"the alert has only {kept}" if kept else \
        "the expression has no labels" if shape.only is not None else "the expression drops it"
    yield Flaw("template-label", query.rule.expr.source, (text, at), f"$labels.{name} is always empty: {have}",
               f"keep {name} in the grouping, or take it out of the text")
