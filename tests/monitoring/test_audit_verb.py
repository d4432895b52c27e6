"""`monitoring audit`: where it reads, what it says when it cannot, the report for the review."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mainstay.app import open_alerts
from mainstay.kernel.alert_history import AlertPlace, AlertsRead
from mainstay.kernel.errors import InvalidInput, NoData, NotFound, SourceUnavailable
from mainstay.kernel.journal import Batch, NewFact
from mainstay.kernel.quantity import Span
from mainstay.kernel.view import Code
from mainstay.monitoring.operations.alerts import Watch, record_alerts
from mainstay.monitoring.operations.audit import AuditRequest, audit, view_of
from mainstay.slo.operations.standings import ReportRequest, report
from shared_data import shared
from slo.worlds import NOW, Room, busy_month, objective, room

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def quiet() -> Room:
    """A team whose budgets are whole; it can read any history of alerts."""
    it = room(busy_month(), objective(target=99))
    report(it.world, ReportRequest())
    it.world = replace(it.world, alerts=lambda place: open_alerts(it.world.catalog, place, it.world.clock))
    return it


def _line(start: datetime, end: datetime, **labels: str) -> str:
    return json.dumps({"version": "4", "alerts": [{
        "status": "resolved", "labels": {"alertname": "HighCpu", "severity": "page", **labels},
        "startsAt": start.isoformat(), "endsAt": end.isoformat()}]}) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Ten mornings, four short pages each."""
    path = tmp_path / "sent.jsonl"
    path.write_text("".join(_line(at, at + 3 * MINUTE, service="web") for day in range(10) for n in range(4)
                            for at in (NOW - timedelta(days=day + 1) + n * 10 * MINUTE,)))
    return str(path)


def test_a_log_of_payloads_is_audited(quiet: Room, log: str) -> None:
    found = audit(quiet.world, AuditRequest(payloads=log))
    assert (found.firings, found.flapping, found.short, found.unacted) == (40, 40, 40, None)
    assert [(one.kind, one.write) for one in found.suggestions] == [
        ("demote", "severity: ticket"), ("for", "for: +5m"), ("keep_firing_for", "keep_firing_for: 10m")]
    assert found.would_save == 40


def test_what_a_person_recorded_counts_as_acting_and_what_the_machinery_did_does_not(quiet: Room, log: str) -> None:
    when = NOW - timedelta(days=1)
    facts = [NewFact("incident.recorded", f"INC-{day}", when - timedelta(days=day), {"service": "web"}, actor="ann")
             for day in range(3)]
    facts.append(NewFact("incident.opened", "INC-9", when - timedelta(days=9), {"service": "web"}))
    quiet.journal.commit(Batch(facts))
    found = audit(quiet.world, AuditRequest(payloads=log))
    assert (found.unacted, [(one.person, one.acts) for one in found.people]) == (37, [("ann", 3)])


def test_one_act_alone_does_not_make_the_rest_ignored(quiet: Room, log: str) -> None:
    quiet.journal.commit(Batch([NewFact("incident.recorded", "INC-1", NOW - timedelta(days=1), {"service": "db"},
                                        actor="ann")]))
    found = audit(quiet.world, AuditRequest(payloads=log))
    assert found.unacted is None
    assert "delete" not in [one.kind for one in found.suggestions]


def test_what_a_server_recorded_is_audited_without_asking_anybody() -> None:
    events = busy_month().add("errors", NOW - 5 * HOUR, 50, slots=12)
    it = room(events, objective(target=99))
    report(it.world, ReportRequest())
    record_alerts(it.world, Watch())
    found = audit(it.world, AuditRequest(recorded_only=True))
    assert [(one.name, one.firings, one.hold_seconds) for one in found.alerts] == [
        ("web page-1h", 1, 120.0), ("web page-6h", 1, 900.0)]
    assert found.rules_known
    assert found.never_fired == (), "a burn-rate alert that is quiet does its work"


def test_without_any_history_it_says_what_would_make_one(quiet: Room) -> None:
    with pytest.raises(NoData, match="no alert is known of the last 30 days") as caught:
        audit(quiet.world, AuditRequest(recorded_only=True))
    assert caught.value.exit_code == 3
    assert "--from FILE" in caught.value.way_out


def test_a_log_that_ended_before_the_span_says_when_it_was(quiet: Room, log: str) -> None:
    quiet.clock.set(NOW + timedelta(days=200))
    with pytest.raises(NoData, match="10 Mar 2026 – 19 Mar 2026") as caught:
        audit(quiet.world, AuditRequest(payloads=log))
    assert "--as-of" in caught.value.way_out


class _Down:
    def read(self, _: Span) -> AlertsRead:
        raise SourceUnavailable("nothing answers at http://x")


def test_a_declared_source_that_is_down_is_said_and_one_that_was_named_ends_the_run() -> None:
    it = room(busy_month().add("errors", NOW - 5 * HOUR, 50, slots=12), objective(target=99))
    report(it.world, ReportRequest())
    record_alerts(it.world, Watch())
    world = replace(it.world, alerts=lambda _: _Down())
    assert audit(world, AuditRequest()).problems == {"counts": "nothing answers at http://x"}
    with pytest.raises(SourceUnavailable):
        audit(world, AuditRequest(source=("counts",)))


@pytest.mark.parametrize(("request_", "says"), [
    (AuditRequest(days=0), "--days 0"), (AuditRequest(days=401), "--days 401"),
    (AuditRequest(zone=("Mars/Olympus",)), "Mars/Olympus"), (AuditRequest(hours="17-9"), "17-9"),
    (AuditRequest(short="soon"), "soon")])
def test_what_was_written_wrongly_is_said(quiet: Room, request_: AuditRequest, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        audit(quiet.world, request_)


def test_a_source_that_keeps_no_alerts_is_refused(quiet: Room) -> None:
    with pytest.raises(NotFound):
        quiet.world.alerts(AlertPlace("source", "nothing"))


def test_the_report_for_the_review_is_markdown_and_nothing_else(quiet: Room, log: str) -> None:
    found = audit(quiet.world, AuditRequest(payloads=log, markdown=True))
    assert found.markdown is not None
    assert found.markdown.startswith("# Alert review, 10 Mar – 20 Mar 2026\n")
    assert "- [ ] **HighCpu**: wait longer (`for: +5m`)." in found.markdown
    assert "| HighCpu | page | 40 | 2 h |" in found.markdown
    (block,) = view_of(found).blocks
    assert block == Code(found.markdown, "markdown")


def test_labels_of_a_real_rule_set_make_a_readable_audit(quiet: Room, tmp_path: Path) -> None:
    """The Prometheus alerts that keephq/keep makes its demonstration of: its labels and severities, our times."""
    templates = json.loads(shared("oncall/keep_vendor_alert_payloads.json").read_text())["prometheus"]
    lines = []
    for index, (name, one) in enumerate(templates.items()):
        for day in range(1, 8):
            at = NOW - timedelta(days=day) + index * MINUTE
            lines.append(_line(at, at + 20 * MINUTE, **{**one["payload"]["labels"], "alertname": name}))
    (tmp_path / "sent.jsonl").write_text("".join(lines))
    found = audit(quiet.world, AuditRequest(payloads=str(tmp_path / "sent.jsonl")))
    assert (found.firings, found.rejections) == (7 * len(templates), 0)
    assert {one.name for one in found.alerts} == set(templates)
    assert any(one.kind == "group" for one in found.suggestions)
