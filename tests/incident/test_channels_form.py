"""Channels as they are written: what loads, what is a mistake, what a check warns of before anybody is paged."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from mainstay.adapters.notifiers import HookNotifier, NotDeclared, TerminalNotifier
from mainstay.app import channels_of, grammar
from mainstay.incident.operations.outbox import LEASE
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.channels import CHANNELS, TOGETHER, Channels, RoomRule, SecretAt
from mainstay.kernel.finding import Finding, Severity

WHOLE = """
apiVersion: mainstay/v1
kind: Channels
metadata: {name: channels}
spec:
  url: https://mainstay.example.com/
  slack:
    token_env: SLACK_BOT_TOKEN
    signing_secret_file: /run/secrets/slack
    base_url: http://127.0.0.1:9/api
    timeout: 5s
    room: {severities: [critical, SEV2], invite: [ana], private: true, archive: false}
  email: {host: smtp.example.com, from: "Mainstay <pager@example.com>", user: pager, password_env: SMTP_PASSWORD}
  webhook:
    secret_env: HOOK_SECRET
    hooks: [{name: team, url_env: TEAM_HOOK}]
  pagerduty:
    services: [{name: web, routing_key_env: PD_WEB}]
"""


def read(folder: Path, text: str) -> tuple[Catalog, list[Finding]]:
    (folder / "channels.yaml").write_text(text)
    return load([folder], grammar())


def test_every_channel_can_be_declared(tmp_path: Path):
    catalog, findings = read(tmp_path, WHOLE)
    assert findings == []
    [found] = catalog.of(Channels)
    assert found.slack is not None
    assert found.slack.base_url == "http://127.0.0.1:9/api/"
    assert found.slack.signing_secret == SecretAt(file="/run/secrets/slack")
    assert found.slack.room == RoomRule(frozenset({"SEV1", "SEV2"}), ("ana",), True, False)
    assert found.slack.timeout == timedelta(seconds=5)
    assert found.email is not None
    assert (found.email.port, found.email.tls) == (587, "starttls")
    assert found.link("INC-1") == "https://mainstay.example.com/incident/show?name=INC-1"
    assert set(channels_of(catalog, {})) == set(CHANNELS)


def test_without_channels_there_are_the_terminal_and_webhooks_and_the_others_refuse():
    found = channels_of(Catalog(), {})
    assert {name: type(one) for name, one in found.items()} == {
        "slack": NotDeclared, "email": NotDeclared, "pagerduty": NotDeclared, "webhook": HookNotifier,
        "terminal": TerminalNotifier}


def test_a_secret_in_the_file_is_a_mistake_that_is_not_shown(tmp_path: Path):
    _, findings = read(tmp_path, WHOLE.replace("token_env: SLACK_BOT_TOKEN", "token: xoxb-s3cret")
                       .replace("password_env: SMTP_PASSWORD", "password: hunter2"))
    assert [finding.code for finding in findings] == ["secret-in-file", "secret-in-file"]
    said = "".join(finding.render() for finding in findings)
    assert "s3cret" not in said
    assert "hunter2" not in said


def test_every_mistake_is_found_at_once(tmp_path: Path):
    _, findings = read(tmp_path, """
apiVersion: mainstay/v1
kind: Channels
metadata: {name: channels}
spec:
  url: mainstay.example.com
  slack: {base_url: ftp://x, timeout: 90s, room: {severities: [dreadful]}, colour: red}
  email: {host: smtp.example.com, from: nobody, tls: maybe, user: pager}
  pagerduty: {services: [{name: web}, {name: web, routing_key_env: A}, {name: web, routing_key_env: B}]}
""")
    assert sorted(finding.code for finding in findings) == sorted([
        "invalid-value", "missing-field", "invalid-value", "out-of-range", "unknown-value", "unknown-field",
        "unknown-value", "missing-field", "invalid-value", "missing-field", "duplicate-name"])


def test_a_password_in_the_clear_is_refused(tmp_path: Path):
    _, findings = read(tmp_path, WHOLE.replace("user: pager,", "user: pager, tls: none,"))
    assert [finding.code for finding in findings] == ["invalid-value"]


def test_people_who_cannot_be_reached_and_channels_that_are_not_there_are_warned_of(tmp_path: Path):
    _, findings = read(tmp_path, """
apiVersion: mainstay/v1
kind: Channels
metadata: {name: channels}
spec: {email: {host: localhost, from: pager@example.com, tls: none}}
---
apiVersion: mainstay/v1
kind: Person
metadata: {name: ana}
spec: {contacts: {slack: UANA, email: ana@example.com, webhook: team}}
---
apiVersion: mainstay/v1
kind: Person
metadata: {name: ben}
spec: {timezone: Europe/Berlin}
---
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana, "channel:slack:#ops"]}], fallback: [channel:fax:1]}
""")
    assert {finding.severity for finding in findings} == {Severity.WARNING}
    assert sorted((finding.code, finding.message) for finding in findings) == [
        ("no-such-channel", '"ana" is reached by slack, and no Channels document declares slack'),
        ("no-such-channel", '"ana" is reached by webhook, and the webhook is neither an address nor the name of a '
         "declared hook"),
        ("no-such-channel", '"web" pages channel:fax:1, and there is no channel "fax"'),
        ("no-such-channel", '"web" pages channel:slack:#ops, and no Channels document declares slack'),
        ("unreachable", 'nothing says how to reach "ben": a page would only show on the server\'s terminal')]


def test_channels_twice_are_a_mistake(tmp_path: Path):
    _, findings = read(tmp_path, WHOLE + "---" + WHOLE.replace("name: channels", "name: others"))
    assert [finding.code for finding in findings] == ["duplicate-channels"]


def test_a_message_is_done_well_before_another_sender_may_take_it():
    assert TOGETHER < LEASE


def test_the_example_has_no_mistake_and_declares_every_channel():
    catalog, findings = load([Path(__file__).parents[2] / "examples" / "05-on-call" / "channels.yaml"], grammar())
    assert findings == []
    [found] = catalog.of(Channels)
    assert all(found.has(channel) for channel in CHANNELS)
