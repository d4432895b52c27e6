"""What a policy asks for follows from the command itself; no server has to run for it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from command import mainstay
from mainstay.adapters.clock import SystemClock
from mainstay.adapters.store import open_store
from mainstay.kernel.journal import FactQuery

CATALOG = """\
apiVersion: openslo/v1
kind: DataSource
metadata: {name: log}
spec: {type: events, connectionDetails: {paths: [events.csv], format: csv}}
---
apiVersion: mainstay/v1
kind: Objective
metadata: {name: shop, service: shop}
spec: {indicator: {type: availability, source: log}, target: 99, window: 1d, policy: template}
"""


def test_an_enforced_policy_opens_its_incident_at_once(tmp_path: Path) -> None:
    now = datetime.now(UTC).timestamp()
    rows = [f"{now - 60 * minute:.0f},{500 if minute % 2 else 200}" for minute in range(1, 120)]
    (tmp_path / "events.csv").write_text("time,status\n" + "\n".join(rows) + "\n")
    (tmp_path / "catalog.yaml").write_text(CATALOG)

    answer = mainstay(tmp_path, "slo", "enforce", "-c", ".", "--store", f"sqlite:///{tmp_path}/store.db")

    assert answer.code == 0, answer.err
    with open_store(f"sqlite:///{tmp_path}/store.db", SystemClock()) as store:
        [opened] = store.journal.facts(FactQuery(kinds=("incident.opened",)))
        [entered] = store.journal.facts(FactQuery(kinds=("slo.zone-entered",)))
    assert opened.data["objective"] == "shop"
    assert entered.actor != "system", "the audit names who ran it"
