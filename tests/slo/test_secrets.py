"""A secret in a catalog is a mistake, and telling of it does not tell it."""

from __future__ import annotations

import pytest

from catalogs import declared

SOURCE = """\
apiVersion: openslo/v1
kind: DataSource
metadata: {{name: prom}}
spec:
  type: Prometheus
  connectionDetails:
    {line}
"""


@pytest.mark.parametrize("line", [
    'url: "http://scraper:hunter2@prom:9090"', '{url: "http://prom:9090", password: hunter2}',
    '{url: "http://prom:9090", token: hunter2}'])
def test_a_secret_in_a_file_is_refused_without_being_shown(line: str) -> None:
    _, findings = declared(SOURCE.format(line=line))

    assert [finding.code for finding in findings] == ["secret-in-file"]
    assert "hunter2" not in findings[0].render()
    assert "_env" in findings[0].mend
