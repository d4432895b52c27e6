"""Findings for other programs: GitHub's annotations and SARIF 2.1.0.

Sources: GitHub documentation, "Workflow commands"; OASIS SARIF 2.1.0.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from mainstay.kernel.finding import Finding, Severity
from mainstay.monitoring.lint.checks import CHECKS

_GITHUB = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.HINT: "notice"}
_SARIF = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.HINT: "note"}


def github(findings: Sequence[Finding]) -> str:
    """One workflow command a finding."""
    return "".join(
        f"::{_GITHUB[one.severity]} file={_property(one.where.file)},line={one.where.line},col={one.where.column},"
        f"title={_property(one.code)}::{_data(_sentence(one))}\n" for one in findings)


def _sentence(one: Finding) -> str:
    return f"{one.message}; {one.mend}" if one.mend else one.message


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def sarif(findings: Sequence[Finding], version: str) -> str:
    """A SARIF log with one run."""
    codes = sorted({one.code for one in findings})
    rules = [{"id": code, "shortDescription": {"text": CHECKS[code].why},
              "defaultConfiguration": {"level": _SARIF[CHECKS[code].severity]}} for code in codes]
    results = [{
        "ruleId": one.code, "ruleIndex": codes.index(one.code), "level": _SARIF[one.severity],
        "message": {"text": _sentence(one)},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": one.where.file.replace("\\", "/")},
            "region": {"startLine": one.where.line, "startColumn": one.where.column}}}],
    } for one in findings]
    driver = {"name": "mainstay monitoring lint", "version": version, "rules": rules}
    return json.dumps({"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
                       "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}]},
                      indent=2, ensure_ascii=False) + "\n"
