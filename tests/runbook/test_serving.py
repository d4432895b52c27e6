"""Runs that a real server drives: asked for over HTTP, approved in Slack, gone on with after the server was killed."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from command import command_line, environment, mainstay
from e2e.live import Serving, serving, until
from mainstay.adapters.slack_blocks import APPROVE, REJECT
from mainstay.doors.slack import signed
from servers.fake_slack import TOKEN, FakeSlack, fake_slack

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
_CATALOG = """
apiVersion: mainstay/v1
kind: Channels
metadata: {{name: channels}}
spec:
  slack: {{token_env: SLACK_TOKEN, signing_secret_env: SLACK_SIGNS, base_url: {url}, timeout: 5s}}
---
apiVersion: mainstay/v1
kind: Person
metadata: {{name: ana}}
spec: {{contacts: {{slack: UANA}}}}
---
apiVersion: mainstay/v1
kind: Person
metadata: {{name: ben}}
spec: {{contacts: {{slack: UBEN}}}}
---
apiVersion: mainstay/v1
kind: Runbook
metadata: {{name: failover, service: db}}
spec:
  approval: {{needed: 1, by: [ben, robot]}}
  steps:
    - {{name: switch, command: [sh, -c, "echo switched >> out; pwd"], undo: {{command: [sh, -c, "echo back >> out"]}}}}
---
apiVersion: mainstay/v1
kind: Runbook
metadata: {{name: slow, service: db}}
spec:
  steps:
    - {{name: wait, command: [sh, -c, "echo begun >> out; sleep 60"], irreversible: it waits}}
---
apiVersion: mainstay/v1
kind: Runbook
metadata: {{name: quick, service: db}}
spec:
  steps:
    - {{name: hello, command: [echo, hello], changes: false}}
---
apiVersion: mainstay/v1
kind: Runbook
metadata: {{name: markup, service: db}}
spec:
  steps:
    - {{name: hello, command: [echo, "<script>alert(1)</script>"], changes: false}}
"""


@dataclass
class Live:
    """A server, its folder, and the fake Slack it talks to."""

    folder: Path
    server: Serving
    slack: FakeSlack
    token: str

    def status(self, run: str) -> dict[str, Any]:
        answer = self.server.get(f"/api/v1/runbook/status?name={run}", Authorization=f"Bearer {self.token}")
        answer.raise_for_status()
        return answer.json()  # type: ignore[no-any-return]

    def ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        answer = self.post(verb, **fields)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()  # type: ignore[no-any-return]

    def post(self, verb: str, **fields: Any) -> httpx.Response:
        with self.server.client as client:
            return client.post(f"/api/v1/runbook/{verb}", json=fields, headers={
                "Authorization": f"Bearer {self.token}"})

    def ends(self, run: str, state: str) -> dict[str, Any]:
        return until(lambda: found if (found := self.status(run))["state"] == state else None, 60,
                     lambda: json.dumps(self.status(run), indent=1))

    def press(self, action: str, value: str, user: str) -> int:
        payload = {"type": "block_actions", "user": {"id": user}, "channel": {"id": "C1"},
                   "actions": [{"action_id": action, "value": value, "action_ts": "1.0"}]}
        body, stamp = urlencode({"payload": json.dumps(payload)}).encode(), str(int(time.time()))
        with self.server.client as client:
            return client.post("/api/v1/slack/interact", content=body, headers={
                "Content-Type": "application/x-www-form-urlencoded", "X-Slack-Request-Timestamp": stamp,
                "X-Slack-Signature": signed(SECRET, stamp, body)}).status_code


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    pytest.importorskip("slack_sdk", reason="slack_sdk is not installed")
    folder = tmp_path_factory.mktemp("runbooks")
    with fake_slack() as slack:
        (folder / "catalog").mkdir()
        (folder / "catalog" / "all.yaml").write_text(_CATALOG.format(url=slack.url))
        token = a_token(folder)
        with serving(folder, "-c", "catalog", "--every", "1h", SLACK_TOKEN=TOKEN, SLACK_SIGNS=SECRET) as server:
            yield Live(folder, server, slack, token)


def a_token(folder: Path) -> str:
    """For the program `robot`, which may do everything."""
    return str(mainstay(folder, "token", "create", "robot", "--scope", "read", "--scope", "write", "--scope", "approve",
                        "--json").json["secret"])


def asked_by_sam(live: Live, *words: str) -> str:
    found = mainstay(live.folder, "runbook", "run", *words, "--detach", "--json", "-c", "catalog")
    return str(json.loads(found.out)["id"])


def test_a_run_that_is_asked_for_over_http_is_driven_by_the_server(live: Live):
    one = live.ask("run", name="quick")
    found = live.ends(one["id"], "succeeded")
    assert found["steps"][0]["log"] == "hello\n"
    assert found["by"] == "robot"


def test_an_approver_is_told_in_slack_and_approves_with_the_button(live: Live):
    run = asked_by_sam(live, "failover", "--reason", "the disk is dying")
    message = until(lambda: next((one for one in live.slack.messages_to("UBEN") if run in one["text"]), None), 60,
                    lambda: "Ben was not told")
    assert live.slack.messages_to("UANA") == [], "who may not approve is not asked"
    assert "the disk is dying" in str(message["blocks"])
    button = next(one for block in message["blocks"] if block["type"] == "actions" for one in block["elements"]
                  if one["action_id"] == APPROVE)
    assert live.press(APPROVE, button["value"], "UANA") == 200
    assert live.status(run)["state"] == "awaiting_approval", "Ana is not among those who may"
    stale = f"{run} {'0' * 64}"
    assert live.press(APPROVE, stale, "UBEN") == 200
    assert live.status(run)["state"] == "awaiting_approval", "that is another plan"
    assert live.press(APPROVE, button["value"], "UBEN") == 200
    found = live.ends(run, "succeeded")
    assert [one["by"] for one in found["approvals"]] == ["ben"]
    assert found["steps"][0]["log"].strip() == str(live.folder / "catalog"), "in the folder of its file"
    verified = mainstay(live.folder, "runbook", "audit", "verify")
    assert verified.code == 0, verified.out


def test_a_plan_is_rejected_with_the_other_button(live: Live):
    run = asked_by_sam(live, "failover")
    plan = live.status(run)["plan"]
    assert live.press(REJECT, f"{run} {plan}", "UBEN") == 200
    assert live.status(run)["state"] == "rejected"


def test_a_run_is_not_approved_by_the_token_that_asked_for_it(live: Live):
    run = live.ask("run", name="failover")
    answer = live.post("approve", name=run["id"], plan=run["plan"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not-allowed")


def test_a_run_that_succeeded_is_taken_back_over_http(live: Live):
    run = asked_by_sam(live, "failover")
    live.ask("approve", name=run, plan=live.status(run)["plan"])
    live.ends(run, "succeeded")
    live.ask("undo", name=run)
    assert live.ends(run, "undone")["steps"][0]["undo"] == "undone"


def test_a_run_is_cancelled_while_a_step_goes_on(live: Live):
    run = live.ask("run", name="slow")["id"]
    until(lambda: True if live.status(run)["steps"][0]["state"] == "running" else None, 60, lambda: "it does not begin")
    began = time.monotonic()
    live.ask("undo", name=run)
    found = live.ends(run, "cancelled")
    assert time.monotonic() - began < 30, "the step itself takes a minute"
    assert found["steps"][0]["state"] == "cancelled"


def test_a_server_that_is_killed_in_a_step_leaves_it_unknown_and_a_person_decides(live: Live, tmp_path: Path):
    """D7, with a real server: kill -9 while a non-idempotent step runs."""
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "all.yaml").write_text(_CATALOG.format(url=live.slack.url))
    token = a_token(tmp_path)
    with serving(tmp_path, "-c", "catalog", "--every", "1h") as server:
        first = Live(tmp_path, server, live.slack, token)
        run = first.ask("run", name="slow")["id"]
        out = tmp_path / "catalog" / "out"
        until(lambda: True if out.exists() and out.read_text() else None, 60, lambda: "it does not begin")
        server.process.kill()
        server.process.wait()
    with serving(tmp_path, "-c", "catalog", "--every", "1h") as server:
        again = Live(tmp_path, server, live.slack, token)
        found = until(lambda: one if (one := again.status(run))["question"] else None, 60,
                      lambda: json.dumps(again.status(run)))
        assert (found["state"], found["steps"][0]["state"]) == ("waiting", "unknown")
        assert found["question"]["choices"] == ["succeeded", "failed", "again"]
        again.ask("answer", name=run, choice="succeeded")
        assert again.ends(run, "succeeded")["steps"][0]["attempts"] == 1
    assert (tmp_path / "catalog" / "out").read_text() == "begun\n", "it was not done again"


# -- on the command line -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def command(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command_line(*words), cwd=folder, text=True, env=environment(folder),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        yield process
        process.kill()


def test_ctrl_c_cancels_a_run_and_takes_back_what_it_did(tmp_path: Path):
    (tmp_path / "mainstay").mkdir()
    (tmp_path / "mainstay" / "a.yaml").write_text(
        "apiVersion: mainstay/v1\nkind: Runbook\nmetadata: {name: slow}\nspec:\n  steps:\n"
        "    - {name: a, command: [sh, -c, 'echo a >> out'], undo: {command: [sh, -c, 'echo undo-a >> out']}}\n"
        "    - {name: b, command: [sh, -c, 'echo b >> out; sleep 60'], irreversible: it waits}\n")
    out = tmp_path / "mainstay" / "out"
    with command(tmp_path, "runbook", "run", "slow") as process:
        until(lambda: True if out.exists() and "b" in out.read_text() else None, 60, lambda: "it does not begin")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "RB-1 slow cancelled: cancelled by" in said
    assert out.read_text().splitlines() == ["a", "b", "undo-a"]


def test_a_run_on_the_command_line_waits_for_its_approval_and_shows_output_as_it_comes(tmp_path: Path):
    (tmp_path / "mainstay").mkdir()
    (tmp_path / "mainstay" / "a.yaml").write_text(
        "apiVersion: mainstay/v1\nkind: Runbook\nmetadata: {name: switch}\nspec:\n  approval: {needed: 1}\n  steps:\n"
        "    - {name: a, command: [sh, -c, 'echo one; until [ -e seen ]; do sleep 0.1; done; echo two'],"
        " changes: false}\n")
    with command(tmp_path, "runbook", "run", "switch") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "awaits 1 approval" in line
        plan = line.split()[-1]
        said: list[str] = []
        stream = process.stdout
        reading = threading.Thread(target=lambda: said.extend(line.strip() for line in iter(stream.readline, "")))
        reading.start()
        approved = mainstay(tmp_path, "runbook", "approve", "RB-1", "--plan", plan, USER="ben", LOGNAME="ben")
        assert approved.code == 0, approved.err
        until(lambda: "│ one" in list(said) or None, 60, lambda: f"not all at once at the end: {said}")
        assert "│ two" not in said
        (tmp_path / "mainstay" / "seen").touch()
        process.wait(60)
        reading.join()
    assert process.returncode == 0
    assert "│ two" in said


def test_output_with_markup_is_shown_as_text(live: Live):
    run = live.ask("run", name="markup")["id"]
    live.ends(run, "succeeded")
    page = live.server.get(f"/runbook/status?name={run}", Authorization=f"Bearer {live.token}")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<script>alert" not in page.text
