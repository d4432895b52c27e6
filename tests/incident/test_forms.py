"""What is written wrong in a policy or a route: the finding names every field that there is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mainstay.incident.forms import FORMS
from mainstay.incident.spec import Routing
from mainstay.kernel.catalog import Grammar, load


def test_a_misspelt_field_of_a_route_is_told_all_that_there_are(tmp_path: Path):
    (tmp_path / "routing.yaml").write_text(
        "apiVersion: mainstay/v1\nkind: Routing\nmetadata: {name: all}\nspec: {route: {grouped: [team]}}\n")
    _, (finding,) = load([tmp_path], Grammar(FORMS))
    assert finding.code == "unknown-field"
    assert finding.mend.startswith("known fields: group_by, interval, match, page, policy, reopen, repeat, routes, ")


@pytest.mark.parametrize("nothing", ["0", "0s", "0m", "0h"])
def test_a_route_that_waits_for_nothing_says_so_in_any_unit(tmp_path: Path, nothing: str):
    (tmp_path / "routing.yaml").write_text(
        "apiVersion: mainstay/v1\nkind: Routing\nmetadata: {name: all}\n"
        f"spec: {{route: {{wait: 1m, routes: [{{match: [a=b], wait: {nothing}}}]}}}}\n")
    catalog, findings = load([tmp_path], Grammar(FORMS))
    (routing,) = catalog.of(Routing)
    assert (findings, routing.route.routes[0].wait) == ([], timedelta(0))
