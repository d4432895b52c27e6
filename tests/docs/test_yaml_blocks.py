"""Every YAML block that a document shows is a catalog without a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.markdown import REPO, blocks, documents
from mainstay.app import grammar
from mainstay.kernel.catalog import load
from mainstay.kernel.finding import errors_of

_SHOWN = [(path.relative_to(REPO).as_posix(), block) for path in documents()
          for block in blocks(path.read_text(encoding="utf-8"), "yaml")]


@pytest.mark.parametrize(("name", "block"), _SHOWN, ids=[f"{name}:{block.line}" for name, block in _SHOWN])
def test_a_yaml_block_can_be_copied(name, block, tmp_path):
    path = Path(tmp_path, "shown.yaml")
    path.write_text(block.text, encoding="utf-8")
    catalog, findings = load([path], grammar())
    assert [finding.render() for finding in errors_of(findings)] == [], f"{name}:{block.line}"
    assert catalog.resources
