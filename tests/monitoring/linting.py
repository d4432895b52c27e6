"""Texts linted in a test: what is found in a rule file, a rule or an expression."""

from __future__ import annotations

from mainstay.kernel.document import read_documents
from mainstay.monitoring.lint.flaw import Flaw
from mainstay.monitoring.lint.judging import judge
from mainstay.monitoring.lint.query import Settings
from mainstay.monitoring.lint.rulefile import is_rule_document, read_rules
from mainstay.monitoring.lint.written import Source


def flaws_of(text: str, settings: Settings | None = None, name: str = "rules.yaml") -> list[Flaw]:
    """Everything found in a rule file; the text must be YAML."""
    source = Source(name, text)
    documents, wrong = read_documents(text, name)
    flaws = [Flaw(one.code, source, (one.where.line, one.where.column), one.message) for one in wrong]
    ours = [one for one in documents if is_rule_document(one)]
    return flaws + (judge([read_rules(source, ours)], settings or Settings()) if ours else [])


def of_rules(*rules: str) -> str:
    """A rule file of rules written as flow mappings."""
    return "groups:\n- name: tested\n  rules:\n" + "".join(f"  - {rule}\n" for rule in rules)


def of_alert(expr: str, more: str = "") -> str:
    """A rule file with one alert on that expression, in a literal block; `more` are lines of the rule."""
    lines = "".join(f"      {line}\n" for line in expr.splitlines())
    return f"groups:\n- name: tested\n  rules:\n  - alert: Tested\n    expr: |\n{lines}{more}"


def codes(text: str, settings: Settings | None = None) -> set[str]:
    """The codes found in a rule file."""
    return {flaw.code for flaw in flaws_of(text, settings)}
