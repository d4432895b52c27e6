"""What is written wrong in a policy or a route: the finding names every field that there is."""

from __future__ import annotations

from pathlib import Path

from mainstay.incident.forms import FORMS
from mainstay.kernel.catalog import Grammar, load


def test_a_misspelt_field_of_a_route_is_told_all_that_there_are(tmp_path: Path):
    (tmp_path / "routing.yaml").write_text(
        "apiVersion: mainstay/v1\nkind: Routing\nmetadata: {name: all}\nspec: {route: {grouped: [team]}}\n")
    _, (finding,) = load([tmp_path], Grammar(FORMS))
    assert finding.code == "unknown-field"
    assert finding.mend.startswith("known fields: group_by, interval, match, page, policy, reopen, repeat, routes, ")
