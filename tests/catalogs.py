"""A catalog from text, for tests that are about what a document means and not about where it lies."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TypeVar

from mainstay.kernel.catalog import Catalog, Grammar, load
from mainstay.kernel.finding import Finding, errors_of
from mainstay.slo.grammar import GRAMMAR

R = TypeVar("R")

PAGED = """\
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana], wait: 5m}]}
---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec: {route: {policy: web}}
"""
"""Every alert is an incident of its own, and pages ana."""


def declared(text: str, grammar: Grammar = GRAMMAR, folder: Path | None = None) -> tuple[Catalog, list[Finding]]:
    """What the text declares and what is wrong with it, read as a file that was named.

    Args:
        folder: where the file is, where it is to stay; programs are run there.
    """
    with tempfile.TemporaryDirectory() as passing:
        file = (folder or Path(passing)) / "catalog.yaml"
        file.write_text(text, encoding="utf-8")
        return load([file], grammar)


def faultless(text: str, grammar: Grammar = GRAMMAR, folder: Path | None = None) -> Catalog:
    """What the text declares; fails when it holds an error."""
    catalog, findings = declared(text, grammar, folder)
    assert not errors_of(findings), "\n".join(one.render() for one in findings)
    return catalog


def codes(text: str) -> list[str]:
    """The codes of the errors, in the order of their places."""
    return [finding.code for finding in errors_of(declared(text)[1])]


def warnings(text: str) -> list[str]:
    """The codes of what is not an error."""
    return [finding.code for finding in declared(text)[1] if finding.severity != "error"]


def the(kind: type[R], text: str) -> R:
    """The only resource of that type; fails when the text holds an error."""
    (one,) = faultless(text).of(kind)
    return one
