"""A catalog from text, for tests that are about what a document means and not about where it lies."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TypeVar

from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.finding import Finding, errors_of
from mainstay.slo.grammar import GRAMMAR

R = TypeVar("R")


def declared(text: str) -> tuple[Catalog, list[Finding]]:
    """What the text declares and what is wrong with it, read as a file that was named."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "catalog.yaml")
        file.write_text(text, encoding="utf-8")
        return load([file], GRAMMAR)


def codes(text: str) -> list[str]:
    """The codes of the errors, in the order of their places."""
    return [finding.code for finding in errors_of(declared(text)[1])]


def warnings(text: str) -> list[str]:
    """The codes of what is not an error."""
    return [finding.code for finding in declared(text)[1] if finding.severity != "error"]


def the(kind: type[R], text: str) -> R:
    """The only resource of that type; fails when the text holds an error."""
    catalog, findings = declared(text)
    assert not errors_of(findings), "\n".join(finding.render() for finding in findings)
    (one,) = catalog.of(kind)
    return one
