"""What a person writes of themselves and gets wrong is a finding, never a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from mainstay.kernel.catalog import load
from mainstay.oncall.grammar import GRAMMAR


@pytest.mark.parametrize(("spec", "message"), [
    ("{notify: [{channel: email}]}", "spec.notify[0].channel is email, and no contact is declared"),
    ("{notify: [{channel: pigeon}]}", 'spec.notify[0].channel is "pigeon"'),
    ("{contacts: {email: a@x.org}, notify: [{channel: slack}]}", 'spec.notify[0].channel is "slack"'),
    ("{contacts: {email: a@x.org}, notify: [{after: 3m}]}", "spec.notify[0].channel is missing")])
def test_a_rule_that_names_no_contact_of_the_person_is_a_finding(tmp_path: Path, spec: str, message: str):
    (tmp_path / "ana.yaml").write_text(
        f"apiVersion: mainstay/v1\nkind: Person\nmetadata: {{name: ana}}\nspec: {spec}\n")
    _, findings = load([tmp_path], GRAMMAR)
    assert [one.message for one in findings if one.code != "unreachable"][:1] == [message]
