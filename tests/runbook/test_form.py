"""Both forms of a runbook as they are written, and what is wrong with one, with its line and column."""

from __future__ import annotations

import pytest

from mainstay.kernel.actuation import Ask, Command, Http, Metric, Wait
from mainstay.kernel.finding import errors_of
from mainstay.runbook.plan import made
from mainstay.runbook.rendering import markdown
from mainstay.runbook.spec import Runbook
from runbook.books import HEAD, book, declared, findings, steps

SEED = """\
apiVersion: runbook/v1
kind: IncidentRunbook
metadata:
  name: high-latency-response
  service: user-api
spec:
  triggers:
    - alert: HighLatency
      threshold: "p95 > 500ms for 5 minutes"

  severity: P2

  steps:
    - name: Initial Assessment
      actions:
        - description: "Check dashboard for traffic patterns"
          link: "https://grafana.example.com/d/api-overview"
        - description: "Verify upstream dependencies"
          command: "kubectl get pods -n dependencies"

    - name: Immediate Mitigation
      actions:
        - description: "Enable rate limiting if traffic spike"
          command: |
            kubectl patch configmap api-config \\
              -p '{"data":{"rate_limit":"1000"}}'
        - description: "Scale up if CPU > 80%"
          command: "kubectl scale deployment user-api --replicas=10"

    - name: Investigation
      actions:
        - description: "Analyze slow queries"
          query: |
            SELECT query, avg_duration, count
            FROM pg_stat_statements
            WHERE avg_duration > 100
            ORDER BY avg_duration DESC
            LIMIT 10;

    - name: Verification
      actions:
        - description: "Confirm latency back to normal"
          metric: "p95_latency < 300ms"
        - description: "Check error rates"
          metric: "error_rate < 0.1%"

  escalation:
    - after: 30m
      to: senior-sre
    - after: 60m
      to: engineering-manager
"""
"""The form of the seed document 002."""


def the_seed() -> Runbook:
    found, wrong = declared(SEED)
    assert list(wrong) == []
    return found.of(Runbook)[0]


def test_the_form_of_the_seed_document_is_read_as_it_is():
    one = the_seed()
    assert (one.name, one.service, one.severity) == ("high-latency-response", "user-api", "P2")
    assert (one.triggers[0].alert, one.triggers[0].threshold) == ("HighLatency", "p95 > 500ms for 5 minutes")
    assert [(each.after.total_seconds(), each.to) for each in one.escalation] == [
        (1800, "senior-sre"), (3600, "engineering-manager")]
    assert [section.title for section in one.sections] == [
        "Initial Assessment", "Immediate Mitigation", "Investigation", "Verification"]


def test_its_commands_are_split_as_a_shell_would_and_are_asked_for_before():
    step = the_seed().step("immediate-mitigation-1")
    assert step.act == Command(("kubectl", "patch", "configmap", "api-config", "-p", '{"data":{"rate_limit":"1000"}}'))
    assert step.confirm


def test_its_metrics_are_waited_for_and_its_links_and_queries_are_for_people():
    one = the_seed()
    assert one.step("verification-1").act == Wait(Metric("", "p95_latency", "<", 0.3))
    assert one.step("verification-2").act == Wait(Metric("", "error_rate", "<", 0.001))
    assert isinstance(one.step("initial-assessment-1").act, Ask)
    assert one.step("investigation-1").only_people.startswith("SELECT query")


@pytest.mark.parametrize("command", [
    "kubectl get pods | grep x", "echo $(date)", "echo `date`", "a && b", "a; b", "cat < x", "ls *.log", "A=1 b",
    "echo $HOME", "a\nb", "echo 'unclosed"])
def test_what_only_a_shell_can_do_is_left_to_people(command: str):
    indented = "|\n            " + command.replace("\n", "\n            ")
    text = SEED.replace('"kubectl get pods -n dependencies"', indented)
    found, wrong = declared(text)
    assert errors_of(wrong) == ()
    assert [one.code for one in wrong] == ["needs-a-shell"]
    step = found.of(Runbook)[0].step("initial-assessment-2")
    assert isinstance(step.act, Ask)
    assert step.only_people.strip() == command


def test_a_shells_variable_in_the_older_form_is_no_variable_of_ours():
    found, wrong = declared(SEED.replace("kubectl get pods -n dependencies", "echo '${inputs.x}'"))
    assert list(wrong) == []
    plan = made(found.of(Runbook)[0], {}, {})
    assert plan.hash


def test_a_whole_runbook_of_our_own_form_is_read():
    one = book("""\
  severity: P1
  triggers: [{alert: HighErrors, labels: {tier: "1"}}, {runbook: fix-more, ended: failed}]
  inputs:
    - {name: zone, type: name, allowed: [a, b], description: which zone}
    - {name: count, type: integer, default: 3}
  secrets: [{name: token, env: LB_TOKEN}]
  targets: ["${labels.service}", lb]
  approval: {needed: 2, by: [ana, ben, cleo], expires: 1h}
  manual_minutes: 25
  steps:
    - name: drain
      http:
        method: POST
        url: https://lb.example/zones/${inputs.zone}/drain
        headers: {Authorization: "Bearer ${secrets.token}"}
        body: {count: "${inputs.count}"}
      undo: {http: {method: POST, url: "https://lb.example/zones/${inputs.zone}/fill"}}
      timeout: 30s
    - name: settle
      wait-until: {promql: 'sum(rate(errors[1m]))', is: "< 0.1 %", every: 5s, until-met-within: 10m}
""".replace(", {runbook: fix-more, ended: failed}", ""))
    assert one.approval.needed == 2
    assert isinstance(one.step("drain").act, Http)
    assert one.step("settle").timeout.total_seconds() == 600
    assert one.step("settle").act == Wait(Metric("", "sum(rate(errors[1m]))", "<", 0.001), every=5.0)


@pytest.mark.parametrize(("spec", "code", "at"), [
    ("  steps:\n    - name: a\n      command: [x, '${inputs.zon}']\n", "undeclared-variable", "${inputs.zon}"),
    ("  steps:\n    - name: a\n      command: [x, '${secrets.t}']\n", "undeclared-variable", "${secrets.t}"),
    ("  steps:\n    - name: a\n      command: [x, '${steps.b.output}']\n    - {name: b, command: [x]}\n", "later-step",
     "${steps.b.output}"),
    ("  steps:\n    - name: a\n      command: [x, '${steps.c.output}']\n", "undeclared-variable", "${steps.c.output}"),
    ("  steps:\n    - name: a\n      command: [x, '${env.HOME}']\n", "unknown-variable", "${env.HOME}"),
    ("  steps:\n    - name: a\n      command: [x, '${inputs.a']\n", "unknown-variable", "${inputs.a"),
    ("  steps:\n    - name: a\n      command: echo hello\n", "command-not-a-list", "echo hello"),
    ("  steps:\n    - name: a\n      comand: [x]\n", "unknown-field", "comand"),
    ("  steps:\n    - name: a\n      title: x\n", "no-act", "name: a"),
    ("  steps:\n    - name: a\n      command: [x]\n      ask: well?\n", "two-acts", "name: a"),
    ("  steps:\n    - name: A B\n      command: [x]\n", "invalid-name", "A B"),
    ("  steps:\n    - {name: a, command: [x]}\n    - {name: a, command: [y]}\n", "duplicate-name", "a, command: [y]"),
    ("  steps:\n    - {name: a, command: [x], retry: {times: 2}}\n", "retry-not-idempotent", "{times: 2}"),
    ("  steps:\n    - {name: a, command: [x], undo: {as: b}}\n", "undeclared-variable", "{as: b}"),
    ("  steps:\n    - {name: a, command: [x], undo: {as: b}}\n    - {name: b, command: [y], undo: {as: a}}\n",
     "undo-ring", "{as: b}"),
    ("  steps:\n    - {name: a, command: [x], irreversible: why, undo: {command: [y]}}\n", "undo-of-irreversible",
     "why"),
    ("  inputs: [{name: a, type: thing}]\n" + steps("a"), "unknown-value", "thing"),
    ("  inputs: [{name: a, type: path}]\n" + steps("a"), "missing-field", "{name: a, type: path}"),
    ("  inputs: [{name: a, type: integer, default: x}]\n" + steps("a"), "invalid-value", "x}]"),
    ("  inputs: [{name: a, allowed: []}]\n" + steps("a"), "invalid-value", "[]}]"),
    ("  inputs: [{name: a, pattern: '['}]\n" + steps("a"), "invalid-value", "'['"),
    ("  secrets: [{name: a}]\n" + steps("a"), "missing-field", "{name: a}"),
    ("  approval: {needed: 3, by: [ana, ben]}\n" + steps("a"), "too-few-approvers", "[ana, ben]"),
    ("  triggers: [{labels: {a: b}}]\n" + steps("a"), "missing-field", "{labels"),
    ("  targets: ['${steps.a.output}']\n" + steps("a"), "undeclared-variable", "${steps.a.output}"),
    ("  steps: []\n", "missing-field", "[]"),
    ("  steps:\n    - {name: a, query: {promql: up, is: 'about 3'}}\n", "invalid-value", "'about 3'"),
    ("  steps:\n    - {name: a, query: {sql: 'select 1', database: 'mysql://x'}}\n", "invalid-value", "'mysql://x'"),
    ("  steps:\n    - {name: a, wait-until: {promql: up}}\n", "missing-field", "{promql: up}"),
    ("  steps:\n    - {name: a, kubernetes: {do: scale, object: deployment/x}}\n", "invalid-value", "{do: scale"),
    ("  steps:\n    - {name: a, kubernetes: {do: restart, object: pod/x}}\n", "invalid-value", "pod/x"),
    ("  steps:\n    - {name: a, systemd: {do: restart, unit: 'a b'}}\n", "invalid-value", "'a b'"),
    ("  steps:\n    - {name: a, flag: {file: f.json, flag: x}}\n", "missing-field", "{file"),
    ("  steps:\n    - {name: a, python: {function: os.system}}\n", "invalid-value", "os.system"),
    ("  steps:\n    - {name: a, command: [x], when: {value: b}}\n", "missing-field", "{value: b}"),
    ("  steps:\n    - {name: a, command: [x], when: {value: b, above: c}}\n", "invalid-value", "c}}"),
    ("  steps:\n    - {name: a, query: {promql: up, source: nowhere}}\n", "unknown-reference", "{name: a"),
])
def test_a_mistake_is_a_finding_at_its_place(spec: str, code: str, at: str):
    found = findings(spec)
    assert [one.code for one in found] == [code], [one.render() for one in found]
    lines = (HEAD + spec).splitlines()
    line = lines[found[0].where.line - 1]
    assert line[found[0].where.column - 1:].startswith(at), found[0].render()
    assert found[0].mend


def test_runbooks_that_start_each_other_in_a_ring_are_found():
    def one(name: str, starts_after: str) -> str:
        return (HEAD.replace("name: fix", f"name: {name}") + f"  triggers: [{{runbook: {starts_after}}}]\n"
                + steps("a"))

    _, wrong = declared("---\n".join([one("a", "c"), one("b", "a"), one("c", "b")]))
    assert {each.code for each in wrong} == {"trigger-ring"}
    assert len(wrong) == 3
    _, wrong = declared("---\n".join([one("a", "b"), HEAD.replace("name: fix", "name: b") + steps("a")]))
    assert list(wrong) == []


def test_the_version_changes_with_what_is_done_and_not_with_prose():
    one = book("  description: x\n" + steps("a"))
    assert one.version == book("  description: y\n" + steps("a")).version
    assert one.version != book(steps("b")).version
    assert one.version != book("  targets: [x]\n" + steps("a")).version


def test_a_runbook_is_a_document_for_people():
    text = markdown(the_seed())
    assert text.startswith("# high-latency-response\n")
    assert "- [ ] **Scale up if CPU > 80%**\n  ```sh\n  kubectl scale deployment user-api --replicas=10\n  ```" in text
    assert "- after 30 m: senior-sre" in text
    assert "[look](https://grafana.example.com/d/api-overview)" in text
    assert "```promql\n  p95_latency < 0.3\n" in text


def test_the_undo_of_a_step_can_be_another_steps_act():
    one = book("  steps:\n    - {name: up, command: [scale, '10'], undo: {as: down}}\n"
               "    - {name: down, command: [scale, '3'], idempotent: true}\n")
    assert one.step("up").undo == Command(("scale", "3"))
    assert one.step("up").undo_idempotent
