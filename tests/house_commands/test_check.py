"""`mainstay check`: every mistake at once, and whether the sources answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mainstay.app import grammar
from mainstay.doors.house.catalog import CHECK, Checked, CheckRequest, check
from mainstay.kernel.catalog import load
from mainstay.kernel.errors import SourceUnavailable
from mainstay.kernel.view import Next
from slo.worlds import busy_month, objective, room

GOOD = """apiVersion: openslo/v1
kind: DataSource
metadata: {name: counts}
spec: {type: Prometheus, connectionDetails: {url: "http://127.0.0.1:9090"}}
---
apiVersion: mainstay/v1
kind: Objective
metadata: {name: web}
spec:
  indicator: {type: availability, source: counts, bad: errors, total: requests}
  target: 99.9
"""


def _checked(folder: Path, text: str, request: CheckRequest | None = None) -> Checked:
    (folder / "slos.yaml").write_text(text)
    catalog, findings = load([folder], grammar())
    here = room(busy_month())
    return check(replace(here.world, catalog=catalog, findings=tuple(findings)), request or CheckRequest())


def test_a_good_catalog_is_valid_and_counted_by_kind(tmp_path: Path) -> None:
    found = _checked(tmp_path, GOOD)

    assert (found.valid, found.findings, CHECK.exit_code(found)) == (True, (), 0)
    assert (found.declared["Objective"], found.declared["DataSource"]) == (1, 1)
    assert [Path(file).name for file in found.files] == ["slos.yaml"]


def test_a_folder_without_a_catalog_is_told_what_to_write_and_what_to_run(tmp_path: Path) -> None:
    view = CHECK.view(_checked(tmp_path, "# nothing yet\n"))

    assert view.blocks[-1] == Next(("mainstay slo try LOG",))


def test_every_mistake_is_found_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = _checked(tmp_path, GOOD.replace("target: 99.9", "target: 120\n  window: fortnight\n  colour: green"))

    errors = [one for one in found.findings if one.severity == "error"]
    assert [(one.line, one.column) for one in errors] == [(11, 11), (12, 11), (13, 3)]
    assert all(one.mend and one.shown and "^" in one.shown for one in errors)
    assert CHECK.exit_code(found) == 2


def test_a_name_that_nothing_carries_is_found(tmp_path: Path) -> None:
    found = _checked(tmp_path, GOOD.replace("source: counts", "source: count"))

    assert not found.valid
    assert any("count" in one.message for one in found.findings)


def test_a_warning_does_not_make_it_invalid(tmp_path: Path) -> None:
    found = _checked(tmp_path, GOOD.replace("  target: 99.9", "  target: 99.9\n  dependencies:\n"
                                            "    - {service: database, promise: 99}"))

    assert found.valid
    assert [one.severity for one in found.findings] == ["warning"]


def test_sources_are_asked_only_when_wanted() -> None:
    here = room(busy_month(), objective())
    here.source.down = SourceUnavailable("nobody answers at :9090", "start it")

    assert check(here.world, CheckRequest()).valid
    found = check(here.world, CheckRequest(sources=True))

    assert (found.valid, CHECK.exit_code(found)) == (False, 2)
    assert found.sources[0].says == "nobody answers at :9090; start it"
    here.source.down = None
    assert check(here.world, CheckRequest(sources=True)).sources[0].answers


def test_a_file_of_the_calculator_alone_is_answered_with_who_reads_it(tmp_path: Path) -> None:
    found = _checked(tmp_path, "slos:\n  - {name: checkout, slo: 99.95, current_availability: 99.97}\n")
    assert found.valid
    assert [one.severity for one in found.findings] == ["hint"]
    assert "calculate_slo_budget.py --config" in found.findings[0].shown


@pytest.mark.parametrize("hints", [True, False])
def test_files_that_are_left_alone_are_hints(tmp_path: Path, hints: bool) -> None:
    (tmp_path / "other.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")

    found = _checked(tmp_path, GOOD, CheckRequest(hints=hints))

    assert found.valid
    assert any(one.severity == "hint" for one in found.findings) is hints


ON_CALL = """apiVersion: mainstay/v1
kind: Rotation
metadata: {name: web-primary}
spec: {timezone: UTC, start: "2026-03-02T09:00", turn: 1w, members: [ana]}
---
apiVersion: mainstay/v1
kind: Person
metadata: {name: ana}
spec: {timezone: UTC, contacts: {email: ana@example.com}}
---
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec:
  steps: [{page: ["rotation:web-primary", "person:ana"]}]
  fallback: ["person:ana"]
"""


def test_a_policy_that_pages_a_rotation_nobody_declares_is_a_mistake(tmp_path: Path) -> None:
    assert _checked(tmp_path, ON_CALL).valid
    (finding,) = [one for one in _checked(tmp_path, ON_CALL.replace('"rotation:web-primary"', '"schedule:web-primry"'))
                  .findings if one.severity == "error"]

    assert finding.code == "unknown-reference"
    assert 'pages rotation:web-primry' in finding.message
    assert 'did you mean "web-primary"' in finding.message


def test_a_policy_that_pages_somebody_nobody_declares_is_warned_of_where_people_are_declared(tmp_path: Path) -> None:
    found = _checked(tmp_path, ON_CALL.replace('["person:ana"]', '["person:anna"]'))

    assert found.valid
    assert [one.code for one in found.findings if one.severity == "warning"] == ["unknown-person"]
    assert not [one for one in _checked(tmp_path, ON_CALL.replace("kind: Person", "kind: Holidays").replace(
        "{timezone: UTC, contacts: {email: ana@example.com}}", '{days: ["2026-12-25"]}')).findings
        if one.code == "unknown-person"]


def test_a_rotation_left_out_because_of_a_mistake_is_not_called_unknown_by_who_pages_it(tmp_path: Path) -> None:
    found = _checked(tmp_path, ON_CALL.replace("turn: 1w", "turn: 1y"))

    assert [one.code for one in found.findings if one.severity == "error"] == ["invalid-value"]
