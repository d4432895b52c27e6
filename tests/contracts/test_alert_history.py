"""One history of alerts, read from a Prometheus' own series and from a log of what an Alertmanager sent: one answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from e2e.live import until
from mainstay.adapters.alert_payloads import Alertmanager, PayloadLog
from mainstay.adapters.clock import SystemClock
from mainstay.adapters.prometheus_alerts import PrometheusAlerts
from mainstay.adapters.prometheus_api import PrometheusSettings
from mainstay.kernel.alert_history import Activation, AlertHistory
from mainstay.kernel.errors import InvalidInput, SourceUnavailable
from mainstay.kernel.quantity import Span
from programs import need
from servers.alerts import Stretch, series
from servers.prometheus import Server, prometheus, running, victoria_metrics
from shared_data import shared

START = 1_772_409_600
"""2026-03-02T00:00:00Z."""
SPAN = Span(datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(START + 3 * 86_400, UTC))
LABELS = {"severity": "page", "instance": 'a "quoted" one'.replace('"', "")}
STRETCHES = (
    Stretch("Down", START + 3600, START + 7200, 0, LABELS),
    Stretch("Down", START + 7500, START + 7560, 0, LABELS),  # one evaluation long, five minutes later
    Stretch("Slow", START + 86_400, START + 86_400 + 1800, 600, {"severity": "ticket"}),
    Stretch("Slow", START + 90_000, START + 90_300, 600, {"severity": "ticket"}),  # never fires
    Stretch("Down", START + 100_000 // 60 * 60, START + 2 * 86_400 + 600, 0, LABELS),  # over midnight
)


def _at(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def payloads(stretches: Sequence[Stretch]) -> str:
    """What an Alertmanager sends of them: firing, again after an hour, and resolved (webhook version 4)."""
    lines = []
    for one in stretches:
        fired = one.began + one.hold
        if fired >= one.ended:
            continue
        for status, ends in (("firing", "0001-01-01T00:00:00Z"), ("firing", "0001-01-01T00:00:00Z"),
                             ("resolved", _at(one.ended))):
            labels = {"alertname": one.alertname, **one.labels}
            alert = {"status": status, "labels": labels, "annotations": {}, "startsAt": _at(fired), "endsAt": ends}
            lines.append(json.dumps({"version": "4", "status": status, "receiver": "team", "alerts": [alert]}))
    return "\n".join(lines) + "\n"


@pytest.fixture(params=[pytest.param("prometheus", marks=pytest.mark.server("prometheus")),
                        pytest.param("victoria", marks=pytest.mark.server("victoria-metrics")), "payloads"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AlertHistory]:
    if request.param == "payloads":
        (tmp_path / "sent.jsonl").write_text(payloads(STRETCHES))
        yield PayloadLog(str(tmp_path / "*.jsonl"))
    elif request.param == "prometheus":
        with prometheus(tmp_path / "p", backfill=series(STRETCHES)) as server:
            yield PrometheusAlerts(PrometheusSettings(server.url), SystemClock())
    else:
        lines = (line.rpartition(" ") for line in series(STRETCHES).splitlines() if not line.startswith("#"))
        text = "\n".join(f"{name} {int(at) * 1000}" for name, _, at in lines) + "\n"
        with victoria_metrics(tmp_path / "v", backfill=text) as server:
            yield PrometheusAlerts(PrometheusSettings(server.url), SystemClock())


def test_every_place_tells_the_same_firings(history: AlertHistory) -> None:
    found = history.read(SPAN)
    fired = [(one.labels["alertname"], int(one.fired.timestamp()), int(one.ended.timestamp()), dict(one.labels))
             for one in found.activations if one.fired and one.ended]
    assert sorted(fired, key=lambda one: one[1]) == [
        (one.alertname, one.began + one.hold, one.ended, {"alertname": one.alertname, **one.labels})
        for one in STRETCHES if one.began + one.hold < one.ended]
    assert found.rejections == 0
    assert all("alertstate" not in one.labels for one in found.activations)


def test_a_span_in_which_nothing_happened_holds_nothing(history: AlertHistory) -> None:
    quiet = Span(SPAN.start - timedelta(days=9), SPAN.start - timedelta(days=8))
    assert history.read(quiet).activations == ()


def test_only_what_touches_the_span_is_told(history: AlertHistory) -> None:
    middle = Span(SPAN.start + timedelta(seconds=5400), SPAN.start + timedelta(seconds=7400))
    (one,) = history.read(middle).activations
    assert one.labels["alertname"] == "Down"
    assert one.ended == SPAN.start + timedelta(seconds=7200)


# -- Prometheus ---------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with prometheus(tmp_path / "p", backfill=series(STRETCHES)) as running_one:
        yield running_one


def read(server: Server, span: Span = SPAN) -> tuple[Activation, ...]:
    return PrometheusAlerts(PrometheusSettings(server.url), SystemClock()).read(span).activations


@pytest.mark.server("prometheus")
def test_a_prometheus_also_tells_since_when_a_condition_held_and_what_stayed_pending(server: Server) -> None:
    slow = [one for one in read(server) if one.labels["alertname"] == "Slow"]
    assert [(int(one.began.timestamp()), one.fired is not None) for one in slow] == [
        (START + 86_400, True), (START + 90_000, False)]
    assert slow[0].last_seen - slow[0].began == timedelta(seconds=1740)


@pytest.mark.server("prometheus")
def test_an_alert_that_named_one_beginning_goes_on_over_a_gap_of_the_server(tmp_path: Path) -> None:
    labels = '{alertname="Down",severity="page"}'
    lines = ["# TYPE ALERTS gauge"]
    instants = [*range(START, START + 1200, 60), *range(START + 3000, START + 4200, 60)]
    lines += [f'ALERTS{{alertname="Down",severity="page",alertstate="firing"}} 1 {at}' for at in instants]
    lines += ["# TYPE ALERTS_FOR_STATE gauge", *(f"ALERTS_FOR_STATE{labels} {START} {at}" for at in instants)]
    with prometheus(tmp_path / "p", backfill="\n".join(lines) + "\n# EOF\n") as server:
        (one,) = read(server)
    assert one.ended is not None
    assert one.ended - one.began == timedelta(seconds=4200)


@pytest.mark.server("prometheus")
def test_rules_in_force_are_told_with_for_and_labels_and_live_alerts_as_on(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text("""groups:
- name: g
  rules:
  - {alert: Always, expr: vector(1), labels: {severity: page}}
  - {alert: Never, expr: 'vector(0) > 1', for: 90s, labels: {severity: ticket}}
  - {record: a:b, expr: vector(1)}
""")
    with prometheus(tmp_path / "p", rules=[rules]) as server:
        def on() -> bool | None:
            answer = httpx.get(f"{server.url}/api/v1/query", params={"query": "ALERTS"}, trust_env=False).json()
            return bool(answer["data"]["result"]) or None

        until(on, 20, lambda: server.log)
        now = datetime.now(UTC) + timedelta(seconds=1)
        place = PrometheusAlerts(PrometheusSettings(server.url), SystemClock())
        found = place.read(Span(now - timedelta(minutes=10), now))
    assert found.rules is not None
    assert [(rule.name, rule.hold, rule.labels) for rule in found.rules] == [
        ("Always", timedelta(), {"severity": "page"}), ("Never", timedelta(seconds=90), {"severity": "ticket"})]
    assert [(one.labels["alertname"], one.ended) for one in found.activations] == [("Always", None)]


# -- payloads -----------------------------------------------------------------------------------------------------


def log(folder: Path, text: str) -> AlertHistory:
    (folder / "log.json").write_text(text)
    return PayloadLog(str(folder / "log.json"))


def test_what_is_no_alert_is_rejected_with_its_line_and_reason(tmp_path: Path) -> None:
    nameless = '{"alerts": [{"labels": {}, "startsAt": "2026-03-02T01:00:00Z"}]}'
    lines = payloads(STRETCHES[:1]) + f'not json\n{{"hello": 1}}\n{nameless}\n'
    found = log(tmp_path, lines).read(SPAN)
    assert len(found.activations) == 1
    assert found.rejections == 3
    assert [where.rpartition(":")[2] for where, _ in found.rejected] == ["4", "5", "6"]
    assert "labels" in found.rejected[1][1]


def test_one_document_over_many_lines_and_a_packed_log_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(json.dumps(json.loads(payloads(STRETCHES[:1]).splitlines()[0]), indent=2))
    (tmp_path / "log.json.gz").write_bytes(gzip.compress(payloads(STRETCHES[1:2]).encode()))
    assert len(PayloadLog(str(tmp_path / "log.json*")).read(SPAN).activations) == 2


def test_an_alert_that_nobody_resolved_has_no_end(tmp_path: Path) -> None:
    (one,) = log(tmp_path, payloads(STRETCHES[:1]).splitlines()[0]).read(SPAN).activations
    assert (one.ended, one.last_seen) == (None, one.fired)


def test_an_alert_that_a_later_list_no_longer_holds_has_ended(tmp_path: Path) -> None:
    def listed(name: str, updated: int) -> dict[str, object]:
        return {"labels": {"alertname": name}, "startsAt": _at(START + 60), "endsAt": _at(START + 9000),
                "updatedAt": _at(updated), "status": {"state": "active", "silencedBy": ["x"] if name == "B" else []}}

    lines = [[listed("A", START + 120), listed("B", START + 120)], [listed("B", START + 300)]]
    found = {one.labels["alertname"]: one
             for one in log(tmp_path, "\n".join(map(json.dumps, lines))).read(SPAN).activations}
    assert found["A"].ended == SPAN.start + timedelta(seconds=300)
    assert (found["B"].ended, found["B"].muted, found["A"].muted) == (None, True, False)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no file is at"):
        PayloadLog(str(tmp_path / "nothing.jsonl")).read(SPAN)


def test_real_webhook_payloads_are_read(tmp_path: Path) -> None:
    """The bodies that linkedin/iris tests its webhook with; it refuses one for want of its own `iris_plan`."""
    bodies = json.loads(shared("oncall/iris_alertmanager_webhook_payloads.json").read_text())
    day = Span(datetime(2017, 12, 4, tzinfo=UTC), datetime(2017, 12, 5, tzinfo=UTC))
    found = log(tmp_path, "\n".join(json.dumps(body) for body in bodies.values())).read(day)
    (one,) = found.activations
    assert (one.labels["alertname"], one.labels["severity"], one.ended) == ("InstanceDown", "page", None)
    assert found.rejections == 0


def test_payloads_of_other_tools_are_rejected_and_not_misread(tmp_path: Path) -> None:
    bodies = json.loads(shared("oncall/keep_vendor_alert_payloads.json").read_text())
    found = log(tmp_path, "\n".join(json.dumps(body) for body in bodies.values())).read(SPAN)
    assert found.activations == ()
    assert found.rejections >= len(bodies), "each alert of a body is counted, and every body has one at least"


# -- Alertmanager -------------------------------------------------------------------------------------------------


@pytest.mark.server("prometheus-alertmanager")
def test_a_running_alertmanager_tells_what_it_holds_and_what_is_silenced(tmp_path: Path) -> None:
    program = need("prometheus-alertmanager")
    (tmp_path / "am.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    command = [program, f"--config.file={tmp_path / 'am.yml'}", f"--storage.path={tmp_path / 'data'}",
               "--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    now = datetime.now(UTC)
    with running(command, tmp_path / "am", "/-/ready") as server, httpx.Client(base_url=server.url,
                                                                             trust_env=False) as client:
        client.post("/api/v2/silences", json={
            "matchers": [{"name": "alertname", "value": "Muted", "isRegex": False}], "createdBy": "ann", "comment": "x",
            "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}).raise_for_status()
        client.post("/api/v2/alerts", json=[
            {"labels": {"alertname": name, "severity": "page"}, "startsAt": (now - timedelta(hours=2)).isoformat()}
            for name in ("Loud", "Muted")]).raise_for_status()

        def held() -> dict[str, Activation]:
            read_now = Alertmanager(server.url).read(Span(now - timedelta(days=1), now + timedelta(minutes=1)))
            return {one.labels["alertname"]: one for one in read_now.activations}

        found = until(lambda: now_held if len(now_held := held()) == 2 and now_held["Muted"].muted else None, 20,
                      lambda: server.log)
    assert (found["Loud"].muted, found["Loud"].ended) == (False, None)
    assert abs((found["Loud"].began - (now - timedelta(hours=2))).total_seconds()) < 1


def test_an_alertmanager_that_is_not_there_is_said() -> None:
    with pytest.raises(SourceUnavailable, match="no Alertmanager answers"):
        Alertmanager("http://127.0.0.1:9").read(SPAN)
