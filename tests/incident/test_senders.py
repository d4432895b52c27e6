"""What senders send, read: Alertmanager, its webhook, Grafana, PagerDuty, and the payloads of seventeen vendors."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident.plans import T0
from mainstay.incident import pagerduty
from mainstay.incident.alertmanager import fingerprint, key_of, read_alerts, read_silence, read_webhook
from mainstay.incident.forms import FORMS
from mainstay.incident.grafana import read_grafana
from mainstay.incident.intake import AlertEvent
from mainstay.incident.mapping import at, parse_pointer, read_mapped, shown
from mainstay.incident.received import BadPayload, Sender, parse_time
from mainstay.incident.spec import Intake, Mapped
from mainstay.kernel.catalog import Grammar, load
from mainstay.kernel.errors import InvalidInput
from shared_data import shared

SENDER = Sender("test", "fallback", "warning")
LABELS = {"alertname": "Slow", "instance": "web-1:9100", "severity": "page"}


def _posted(**more: Any) -> bytes:
    return json.dumps([{"labels": LABELS, **more}]).encode()


# -- Alertmanager's API -------------------------------------------------------------------------------------------


def test_an_alert_that_ends_later_fires_and_one_that_ended_is_over():
    ends = T0 + timedelta(minutes=4)
    [fires] = read_alerts(_posted(startsAt="2026-03-02T08:00:00Z", endsAt=ends.isoformat()), SENDER, T0).events
    assert (fires.firing, fires.at, fires.until) == (True, T0 - timedelta(hours=1), ends)
    [over] = read_alerts(_posted(startsAt="2026-03-02T08:00:00Z", endsAt="2026-03-02T08:59:59.123456789Z"), SENDER,
                         T0).events
    assert (over.firing, over.at, over.until) == (False, datetime(2026, 3, 2, 8, 59, 59, 123457, UTC), None)


def test_the_year_one_means_that_no_end_is_set():
    [event] = read_alerts(_posted(endsAt="0001-01-01T00:00:00Z"), SENDER, T0).events
    assert (event.firing, event.until, event.at) == (True, None, T0)


def test_service_severity_and_summary_come_from_labels_and_annotations_else_from_the_sender():
    body = json.dumps([{"labels": {**LABELS, "service": "web"}, "annotations": {"summary": "p99 is 2 s\nmore"}},
                       {"labels": {"alertname": "Slow", "instance": "web-1"}, "generatorURL": "http://prom/g"}]).encode()
    first, second = read_alerts(body, SENDER, T0).events
    assert (first.service, first.severity, first.summary) == ("web", "page", "p99 is 2 s")
    assert (second.service, second.severity, second.summary, second.url) == (
        "fallback", "warning", "Slow on web-1", "http://prom/g")


def test_an_alert_is_the_same_when_its_labels_are_whatever_their_order_and_way():
    turned = dict(reversed(LABELS.items()))
    assert key_of(LABELS) == key_of(turned)
    assert key_of(LABELS) != key_of({**LABELS, "instance": "web-2:9100"})
    assert key_of({"a": "b\x01c"}) != key_of({"a": "b", "c": ""})
    hook = json.dumps({"version": "4", "alerts": [{"status": "firing", "labels": turned}]}).encode()
    assert read_webhook(hook, SENDER, T0).events[0].key == read_alerts(_posted(), SENDER, T0).events[0].key


def test_the_fingerprint_is_prometheus_own():
    # Origin: prometheus/common model/signature_test.go, TestLabelsToSignature and TestMetricToFingerprint.
    assert fingerprint({}) == f"{14695981039346656037:016x}"
    assert fingerprint({"name": "garland, briggs", "fear": "love is not enough"}) == f"{5799056148416392346:016x}"


@pytest.mark.parametrize(("body", "says"), [
    (b"", "not JSON"), (b"[{", "not JSON"), (b"\xff\xfe", "not JSON"), (b"[" * 100_000, "another shape"),
    (b"{}", "another shape"), (b"[1]", "another shape"), (b'[{"labels": {"a": 1}}]', "another shape"),
    (b'[{"labels": {}}]', "no labels"), (b'[{"labels": {"alertname": ""}}]', "no labels"),
    (b'[{"labels": {"a": "b"}}, {"labels": {"a-b": "c"}}]', "alert 2"),
    (b'[{"labels": {"a": "b"}, "startsAt": "yesterday"}]', "another shape"),
])
def test_what_is_no_list_of_alerts_is_refused_whole_with_the_reason(body: bytes, says: str):
    with pytest.raises(BadPayload, match=says):
        read_alerts(body, SENDER, T0)


def test_a_start_ahead_of_our_clock_or_ages_ago_is_taken_as_now_and_said():
    ahead = read_alerts(_posted(startsAt="2026-03-02T11:00:00Z"), SENDER, T0)
    assert ahead.events[0].at == T0
    assert "2 h ahead" in ahead.notes[0]
    a_little = read_alerts(_posted(startsAt="2026-03-02T09:04:59Z"), SENDER, T0)
    assert (a_little.events[0].at, a_little.notes) == (T0, ())
    ancient = read_alerts(_posted(startsAt="1970-01-02T00:00:00Z"), SENDER, T0)
    assert ancient.events[0].at == T0
    assert "more than a year back" in ancient.notes[0]
    weeks = read_alerts(_posted(startsAt="2026-01-02T00:00:00Z"), SENDER, T0)
    assert weeks.events[0].at == datetime(2026, 1, 2, tzinfo=UTC), "alerts do fire for weeks"


def test_text_that_no_store_keeps_is_replaced():
    [event] = read_alerts(json.dumps([{"labels": {"alertname": "a\0b"}, "annotations": {"x": "y" * 9_000}}]).encode(),
                          SENDER, T0).events
    assert event.labels["alertname"] == "a�b"
    assert len(event.annotations["x"]) == 4_000


def test_a_silence_is_read_with_all_four_operators_and_begins_now_at_the_earliest():
    body = json.dumps({"matchers": [
        {"name": "a", "value": "1", "isRegex": False}, {"name": "b", "value": "2", "isRegex": True},
        {"name": "c", "value": "3", "isRegex": False, "isEqual": False},
        {"name": "d", "value": "4", "isRegex": True, "isEqual": False}], "startsAt": "2026-03-02T08:00:00Z",
        "endsAt": "2026-03-02T10:00:00Z", "createdBy": "ana", "comment": "why", "id": ""}).encode()
    instead, made = read_silence(body, "someone", T0)
    assert (instead, made.by, made.span.start) == ("", "ana", T0)
    assert [str(one) for one in made.matchers] == ['a="1"', 'b=~"2"', 'c!="3"', 'd!~"4"']
    with pytest.raises(BadPayload, match="regular expression"):
        read_silence(body.replace(b'"2"', b'"("'), "someone", T0)
    with pytest.raises(BadPayload, match="over before it begins"):
        read_silence(body.replace(b"T10:", b"T08:"), "someone", T0)


# -- its webhook --------------------------------------------------------------------------------------------------


def test_a_webhook_with_one_firing_and_one_resolved_alert_unknown_fields_and_a_cut():
    received = read_webhook(json.dumps({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 3, "notification_reason": "group changed", "alerts": [
            {"status": "firing", "labels": LABELS, "startsAt": "2026-03-02T08:59:00Z",
             "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "x", "new": {}},
            {"status": "resolved", "labels": {**LABELS, "instance": "web-2"}, "startsAt": "2026-03-02T08:00:00Z",
             "endsAt": "2026-03-02T08:58:00Z"}]}).encode(), SENDER, T0)
    assert [(event.firing, event.at.minute) for event in received.events] == [(True, 59), (False, 58)]
    assert "3 alerts were cut off" in received.notes[0]
    with pytest.raises(BadPayload, match="status is"):
        read_webhook(b'{"alerts": [{"status": "on", "labels": {"a": "b"}}]}', SENDER, T0)


def test_the_webhook_payloads_that_iris_is_tested_with_are_read():
    payloads = json.loads(shared("oncall/iris_alertmanager_webhook_payloads.json").read_text())
    assert len(payloads) == 2
    for payload in payloads.values():
        [event] = read_webhook(json.dumps(payload).encode(), SENDER, T0).events
        assert (event.firing, event.severity) == (True, "page")
        assert event.labels["alertname"] == "InstanceDown"


# -- Grafana ------------------------------------------------------------------------------------------------------


def test_both_kinds_of_grafana_are_read():
    unified = {"receiver": "mainstay", "status": "firing", "orgId": 1, "title": "[FIRING:1]", "state": "alerting",
               "alerts": [{"status": "firing", "labels": {"alertname": "High memory", "grafana_folder": "shop"},
                           "annotations": {"summary": "memory is over 80 %"}, "startsAt": "2026-03-02T08:59:00Z",
                           "endsAt": "0001-01-01T00:00:00Z", "values": {"B": 1}, "fingerprint": "c6eadffa33fcdf37",
                           "silenceURL": "https://g/s", "dashboardURL": "", "panelURL": "https://g/p"}]}
    [event] = read_grafana(json.dumps(unified).encode(), SENDER, T0).events
    assert (event.firing, event.summary, event.url) == (True, "memory is over 80 %", "https://g/p")
    older = {"ruleId": 7, "ruleName": "High memory", "state": "alerting", "message": "look", "title": "[Alerting]",
             "ruleUrl": "https://g/r", "evalMatches": [{"value": 1}], "tags": {"service": "shop"}}
    [event] = read_grafana(json.dumps(older).encode(), SENDER, T0).events
    assert (event.firing, event.key, event.service, event.summary) == (True, "grafana-rule:7", "shop", "High memory")
    [event] = read_grafana(json.dumps({**older, "state": "ok"}).encode(), SENDER, T0).events
    assert not event.firing
    assert read_grafana(json.dumps({**older, "state": "paused"}).encode(), SENDER, T0).events == ()
    for wrong in ({}, {"ruleId": 7, "state": "odd"}, {"ruleId": 7}, {"alerts": 1}):
        with pytest.raises(BadPayload):
            read_grafana(json.dumps(wrong).encode(), SENDER, T0)


# -- PagerDuty ----------------------------------------------------------------------------------------------------

TRIGGER: dict[str, Any] = {
    "routing_key": "r", "event_action": "trigger", "dedup_key": "k",
    "payload": {"summary": "Disk is full", "source": "db-1", "severity": "critical", "component": "postgres",
                "class": "disk", "custom_details": {"free": "1 %", "deep": {"a": 1}}},
    "client": "Checker", "client_url": "https://c", "links": [{"href": "https://l", "text": "graph"}], "images": []}


def test_a_trigger_is_an_alert_with_its_details_for_people():
    event = pagerduty.read_event(json.dumps(TRIGGER).encode())
    taken, notes = pagerduty.happening(event, "k", Sender("pd", "web"), T0)
    assert isinstance(taken, AlertEvent)
    assert (taken.firing, taken.key, taken.service, taken.severity) == (True, "k", "web", "critical")
    assert taken.labels == {"source": "db-1", "component": "postgres", "class": "disk"}
    assert taken.annotations == {"free": "1 %", "client": "Checker", "link_1": "graph: https://l"}
    assert (taken.url, notes) == ("https://c", ())


@pytest.mark.parametrize(("change", "wrong"), [
    ({"dedup_key": "k" * 256}, "dedup_key"), ({"event_action": "page"}, "event_action"), ({"payload": None}, "payload"),
    ({"routing_key": ""}, "routing_key"), ({"event_action": "resolve", "dedup_key": ""}, "dedup_key"),
    ({"payload": {**TRIGGER["payload"], "severity": "bad"}}, "payload.severity"),
    ({"payload": {**TRIGGER["payload"], "summary": " "}}, "payload.summary"),
    ({"payload": {**TRIGGER["payload"], "timestamp": "noon"}}, "payload.timestamp"),
])
def test_what_is_wrong_with_an_event_is_said(change: dict[str, Any], wrong: str):
    with pytest.raises(pagerduty.InvalidEvent) as refused:
        pagerduty.read_event(json.dumps({**TRIGGER, **change}).encode())
    assert [error for error in refused.value.errors if f"'{wrong}'" in error]


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(pagerduty.InvalidEvent) as refused:
        pagerduty.read_event(b'{"event_action": "trigger"}')
    assert len(refused.value.errors) == 2
    with pytest.raises(pagerduty.InvalidEvent) as refused:
        pagerduty.read_event(b'{"event_action": "trigger", "payload": {}}')
    assert len(refused.value.errors) == 4


def test_a_key_of_255_characters_is_taken_and_a_long_summary_is_cut_and_said():
    event = pagerduty.read_event(json.dumps({
        **TRIGGER, "dedup_key": "k" * 255, "payload": {**TRIGGER["payload"], "summary": "s" * 1_025}}).encode())
    assert event.dedup_key == "k" * 255
    taken, notes = pagerduty.happening(event, event.dedup_key, SENDER, T0)
    assert isinstance(taken, AlertEvent)
    assert len(taken.summary) == 1_024
    assert notes == ("the summary was cut at 1024 characters",)


def test_a_change_event_is_read():
    change = pagerduty.read_change(json.dumps({
        "routing_key": "r", "payload": {"summary": "v2.4.1", "source": "ci", "timestamp": "2026-03-02T08:00:00Z",
                                        "custom_details": {"build": 4711}}}).encode(), T0)
    assert (change.summary, change.source, change.details) == ("v2.4.1", "ci", {"build": "4711"})
    assert change.at == T0 - timedelta(hours=1)
    with pytest.raises(pagerduty.InvalidEvent):
        pagerduty.read_change(b'{"routing_key": "r", "payload": {}}', T0)


# -- any JSON -----------------------------------------------------------------------------------------------------


def test_json_pointers_are_those_of_the_standard():
    # Origin: RFC 6901, section 5.
    document = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "m~n": 8, " ": 7}
    for text, value in (("", document), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1),
                        ("/m~0n", 8), ("/ ", 7), ("/foo/7", None), ("/foo/x", None), ("/no/where", None)):
        assert at(document, parse_pointer(text)) == value
        assert shown(parse_pointer(text)) == text
    with pytest.raises(InvalidInput, match="not a JSON pointer"):
        parse_pointer("a.b")


VENDORS: dict[str, tuple[dict[str, Any], bool, str, str]] = {
    # vendor: (mapping, firing, key, summary), read off the vendor's own sample
    "checkly": ({"key": "/check_id", "status": "/alert_type", "resolved": ["ALERT_RECOVERY"], "summary": "/event",
                 "time": "/started_at"}, False, "927a2982-1007-4b81-b383-eae8bf717e61", "API Check #1 has recovered"),
    "checkmk": ({"key": ["/host", "/what"], "status": "/status", "resolved": ["UP", "OK"], "summary": "/summary"},
                False, "server1/HOST", "CheckMK server1 - DOWN -> UP"),
    "libre_nms": ({"key": "/alert_id", "summary": "/title"}, True, "26",
                  "Device 10.10.1.147 recovered from Devices up/down"),
    "axiom": ({"key": "/event/monitorID", "status": "/action", "firing": ["Open"], "summary": "/event/title"}, True,
              "Rxg89nIwu9WwrOsJKA", "Triggered: New monitor"),
    "dash0": ({"key": "/data/issue/id", "status": "/data/issue/status", "summary": "/data/issue/summary",
               "time": "/data/issue/end"}, False, "b9a9da0b-7a79-4a1d-abf3-5cd07649e80a", "This is a summay"),
    "graylog": ({"key": "/event_definition_id", "summary": "/event_definition_title", "time": "/event/timestamp"},
                True, "671a28a03696bb3801a7a9f1", "Event - 1"),
    "coralogix": ({"key": "/alert_id", "status": "/alert_action", "firing": ["trigger"], "summary": "/name",
                   "url": "/alert_url"}, True, "49a4afb5-9231-418d-94ea-3a7546779658", "Keep"),
    "thousandeyes": ({"key": "/alert/alertId", "severity": "/alert/severity", "summary": "/alert/ruleName"}, True,
                     "562949955000593", "Default Agent Offline Notification"),
    "wazuh": ({"key": "/message", "summary": "/message", "severity": "/severity"}, True,
              "New dpkg (Debian Package) installed.", "New dpkg (Debian Package) installed."),
}


def _mapped(folder: Path, mapping: dict[str, Any]) -> Mapped:
    document = {"apiVersion": "mainstay/v1", "kind": "Intake", "metadata": {"name": "vendor"},
                "spec": {"format": "json", "map": mapping}}
    (folder / "intake.yaml").write_text(json.dumps(document))
    catalog, findings = load([folder], Grammar(FORMS))
    assert not findings, findings[0].render()
    mapped = catalog.get(Intake, "vendor").mapped
    assert mapped is not None
    return mapped


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendors_own_payload_is_read_by_a_mapping(vendor: str, tmp_path: Path):
    mapping, firing, key, summary = VENDORS[vendor]
    payload = json.loads(shared("oncall/keep_vendor_alert_payloads.json").read_text())[vendor]
    event = read_mapped(json.dumps(payload).encode(), _mapped(tmp_path, mapping), SENDER, T0).events[0]
    assert (event.firing, event.key, event.summary) == (firing, key, summary)


def test_the_samples_of_prometheus_that_a_vendor_kept_are_read_as_posted_alerts():
    samples = json.loads(shared("oncall/keep_vendor_alert_payloads.json").read_text())["prometheus"]
    for name, sample in samples.items():
        [event] = read_alerts(json.dumps([{"labels": {"alertname": "x", **sample["payload"]["labels"]}, "annotations": {
            "summary": sample["payload"]["summary"]}}]).encode(), SENDER, T0).events
        assert event.firing, name
        assert event.summary == sample["payload"]["summary"]


def test_a_list_of_alerts_is_found_and_a_status_that_says_neither_is_passed_over_and_said(tmp_path: Path):
    mapped = _mapped(tmp_path, {"items": "/list", "key": ["/id", "/host"], "status": "/s", "firing": ["bad"],
                                "resolved": ["good"], "time": "/t", "labels": {"deep": "/x/y"}})
    received = read_mapped(json.dumps({"list": [
        {"id": 1, "host": "a", "s": "bad", "t": 1772441940, "x": {"y": True}}, {"id": 1, "host": "b", "s": "good"},
        {"id": 2, "s": "perhaps"}]}).encode(), mapped, SENDER, T0)
    assert [(one.key, one.firing) for one in received.events] == [("1/a", True), ("1/b", False)]
    assert received.events[0].at == datetime(2026, 3, 2, 8, 59, tzinfo=UTC)
    assert received.events[0].labels == {"deep": "true"}
    assert "alert 3" in received.notes[0]
    with pytest.raises(BadPayload, match="alert 2 has nothing at /id or /host"):
        read_mapped(b'{"list": [{"id": 1}, {}]}', mapped, SENDER, T0)
    with pytest.raises(BadPayload, match="not JSON"):
        read_mapped(b'{"a":' * 100_000, mapped, SENDER, T0)
    with pytest.raises(BadPayload, match="no time"):
        read_mapped(b'{"list": [{"id": 1, "s": "bad", "t": "noon"}]}', mapped, SENDER, T0)


@pytest.mark.parametrize(("value", "moment"), [
    ("2026-03-02T09:00:00Z", T0), ("2026-03-02T10:00:00.000000001+01:00", T0), ("2026-03-02 09:00:00", T0),
    (1772442000, T0), (1772442000000, T0), ("1772442000", T0), ("", None), (None, None)])
def test_times_are_read_as_senders_write_them(value: object, moment: datetime | None):
    assert parse_time(value, "t") == moment


@pytest.mark.parametrize("value", [True, [], "soon", 1e300, float("1e18"), "9" * 40])
def test_what_is_no_time_is_said(value: object):
    with pytest.raises(BadPayload, match="no time"):
        parse_time(value, "t")


def test_mistakes_in_an_intake_are_found_all_at_once(tmp_path: Path):
    (tmp_path / "intake.yaml").write_text("""\
apiVersion: mainstay/v1
kind: Intake
metadata: {name: a}
spec: {format: xml}
---
apiVersion: mainstay/v1
kind: Intake
metadata: {name: b}
spec: {format: json}
---
apiVersion: mainstay/v1
kind: Intake
metadata: {name: c}
spec: {format: json, key_env: X, severity: terrible, map: {key: a.b, status: /s, colour: /c}}
---
apiVersion: mainstay/v1
kind: Intake
metadata: {name: d}
spec: {format: grafana, map: {key: /a}}
""")
    _, findings = load([tmp_path], Grammar(FORMS))
    found = [(finding.where.line, finding.code) for finding in findings]
    assert sorted(found) == sorted([(4, "unknown-value"), (9, "missing-field"), (14, "unknown-field"),
                                    (14, "unknown-value"), (14, "invalid-value"), (14, "unknown-field"),
                                    (19, "unknown-field")]), "\n".join(finding.render() for finding in findings)
