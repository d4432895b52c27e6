"""Documents with anything in any field: findings or losses, never a traceback, never a catalog with a mistake."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.app import grammar
from mainstay.kernel.catalog import load
from mainstay.kernel.document import read_documents
from mainstay.kernel.finding import errors_of
from mainstay.monitoring.exchange import FORMATS
from mainstay.monitoring.exchange.catalog_writer import catalog_files
from monitoring.taken import format_named
from monitoring.test_pyrra import ALL
from monitoring.test_slo_generator import CONFIG, ONE
from monitoring.test_sloth import SHOP, WINDOWS

_WHOLE = {"sloth": (SHOP, WINDOWS), "pyrra": tuple(ALL.values()), "slo-generator": (ONE, CONFIG)}
_ODD = st.sampled_from([None, "", 0, -1, 1e9, True, [], {}, "x", "$window", "99.9", "a{", "sum(rate(x[{{.window}}]))",
                        ["a"], {"a": "b"}, "0.3", "7m", [{}], [[1]], "é", "\x07", "(", "a-b/c", "1" * 400])


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in the tree, as the keys that lead there."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return ([at] if at else []) + [place for key, item in inside for place in places(item, (*at, key))]


def spoilt(draw: Any, tree: Any) -> Any:
    """The tree with one to three of its values replaced, renamed or gone."""
    out = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        known = places(out)
        if not known:
            return out
        *path, last = draw(st.sampled_from(known))
        parent = out
        for key in path:
            parent = parent[key]
        what = draw(st.sampled_from(("value", "value", "gone", "renamed"))) if isinstance(parent, dict) else "value"
        if what == "value":
            parent[last] = copy.deepcopy(draw(_ODD))
        else:
            kept = parent.pop(last)
            if what == "renamed":
                parent[f"{last}x"] = kept
    return out


@pytest.mark.parametrize("name", _WHOLE)
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_anything_in_any_field_ends_in_findings_or_in_a_sound_catalog(name, data):
    known = format_named(name)
    assert known.read is not None
    trees = [spoilt(data.draw, yaml.safe_load(text)) for text in _WHOLE[name]]
    documents, _ = read_documents("\n---\n".join(json.dumps(tree) for tree in trees), "given.yaml")
    taken = known.read([one for one in documents if known.fits(one)])
    names = [one.name for one in taken.bundle.objectives]
    budgets = [window.target.budget for one in taken.bundle.objectives for window in one.windows]
    if errors_of(taken.findings) or len(set(names)) < len(names) or 0 in budgets:
        return  # import refuses these
    with tempfile.TemporaryDirectory() as folder:
        for file, text in catalog_files(taken.bundle).files:
            Path(folder, file).write_text(text, encoding="utf-8")
        _, findings = load([folder], grammar())
    assert [one.render() for one in errors_of(findings)] == []
    for one in FORMATS:
        if one.write is not None:
            one.write(taken.bundle)


@pytest.mark.parametrize(("name", "field"), [("sloth", "sloPeriod"), ("pyrra", "window")])
def test_a_window_of_broken_slots_is_refused_where_it_stands(name, field):
    trees = [yaml.safe_load(text) for text in _WHOLE[name]]
    spec = next(tree["spec"] for tree in trees if field in tree.get("spec", {}))
    spec[field] = "7m"
    known = format_named(name)
    documents, _ = read_documents("\n---\n".join(json.dumps(tree) for tree in trees), "given.yaml")

    found = errors_of(known.read([one for one in documents if known.fits(one)]).findings)

    assert any("five-minute slots" in one.message for one in found)
