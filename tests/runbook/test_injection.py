"""Nothing that an alert or a person says is ever read as more than a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from mainstay.adapters.actuators import HostActuator
from mainstay.adapters.clock import SystemClock
from mainstay.adapters.memory import MemoryActuator
from mainstay.kernel.actuation import Http, Metric, Sql
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import FactQuery
from mainstay.runbook.operations.desk import Order, plan_for
from mainstay.runbook.variables import Misplaced, Value, argument, promql, url
from runbook.books import acts, catalog, findings, ordered, run, world

HOSTILE = ("x; touch pwned", "$(touch pwned)", "`touch pwned`", "x\ntouch pwned", "| touch pwned", "&& touch pwned",
           "'; touch pwned; '", '"; touch pwned; "', "${secrets.token}", "${steps.a.output}", "$HOME", "*", "~",
           "> pwned", "x\rtouch pwned", "{{ 7*7 }}", "%0a touch pwned", "\x1b]0;pwned\x07", "x" * 16_000)

SPEC = """\
  steps:
    - name: plain
      command: [printf, '%s', "${labels.service}"]
    - name: within
      command: [printf, '%s', "--service=${labels.service}"]
    - name: through-a-shell
      command: [sh, -c, 'printf "%s" "$1"', sh, "${labels.service}"]
    - name: of-a-step
      command: [printf, '%s', "${steps.plain.output}"]
"""


@pytest.mark.parametrize("value", HOSTILE)
def test_a_label_is_one_argument_and_nothing_of_it_is_executed(value: str, tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    made = world(catalog(SPEC, folder=tmp_path), HostActuator(Catalog(), SystemClock(), {"PATH": "/usr/bin:/bin"}))
    one = run(made, labels={"service": value})
    assert one.state == "succeeded", one.why
    assert one.steps["plain"].output == value
    assert one.steps["through-a-shell"].output == value
    assert one.steps["of-a-step"].output == value
    assert one.steps["within"].output == f"--service={value}"
    assert [path.name for path in tmp_path.iterdir()] == ["catalog.yaml"]


@pytest.mark.parametrize("value", ["--help", "-rf", "-", "--output=/etc/passwd"])
def test_a_value_that_would_be_an_option_is_refused_before_anything_is_done(value: str):
    made = world(SPEC)
    with pytest.raises(InvalidInput, match="would be read as an option"):
        ordered(made, labels={"service": value})
    assert list(made.journal.facts(FactQuery())) == []


def test_an_output_that_would_be_an_option_fails_the_step_that_takes_it():
    from mainstay.kernel.actuation import Ending, Outcome

    made = world(SPEC, MemoryActuator(lambda act: Outcome(Ending.SUCCEEDED, "--help")))
    one = run(made, labels={"service": "x"})
    assert (one.state, one.steps["of-a-step"].state) == ("failed", "failed")
    assert len(acts(made)) == 3


def test_an_input_may_be_declared_to_look_like_an_option():
    made = world("  inputs: [{name: delta, option_like: true}]\n  steps:\n"
                 "    - {name: a, command: [nice, '${inputs.delta}']}\n")
    assert run(made, inputs={"delta": "-5"}).state == "succeeded"
    assert acts(made) == ["nice -5"]


def test_a_nul_is_refused_everywhere():
    with pytest.raises(InvalidInput, match="NUL"):
        ordered(world(SPEC), labels={"service": "a\0b"})


def test_a_very_long_value_is_refused():
    with pytest.raises(InvalidInput, match="characters"):
        ordered(world(SPEC), labels={"service": "x" * 20_000})


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\x07b", "a\0b"])
def test_an_input_is_one_line_unless_it_is_said_otherwise(value: str):
    made = world("  inputs: [{name: text}]\n  steps:\n    - {name: a, command: [echo, '${inputs.text}']}\n")
    with pytest.raises(InvalidInput, match="line break or a control character"):
        ordered(made, inputs={"text": value})


@pytest.mark.parametrize("value", ["../etc/passwd", "a/../../etc/passwd", "/etc/passwd", "/var/logs/x", "..",
                                   "/var/log/../log2", "/var/log/a/../../x"])
def test_a_path_stays_in_its_folder(value: str):
    made = world("  inputs: [{name: file, type: path, within: /var/log}]\n  steps:\n"
                 "    - {name: a, command: [cat, '${inputs.file}']}\n")
    with pytest.raises(InvalidInput, match=r"climbs up|not below"):
        ordered(made, inputs={"file": value})


def test_a_path_below_its_folder_is_taken_whole():
    made = world("  inputs: [{name: file, type: path, within: /var/log}]\n  steps:\n"
                 "    - {name: a, command: [cat, '${inputs.file}']}\n")
    run(made, inputs={"file": "app/x.log"})
    assert acts(made) == ["cat /var/log/app/x.log"]


def test_a_link_does_not_lead_a_path_out_of_its_folder(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "way-out").symlink_to("/etc")
    made = world(f"  inputs: [{{name: file, type: path, within: {tmp_path / 'in'}}}]\n  steps:\n"
                 "    - {name: a, command: [cat, '${inputs.file}']}\n")
    one = run(made, inputs={"file": "way-out/passwd"})
    assert one.steps["a"].error == f"file leads out of {tmp_path / 'in'}"
    assert acts(made) == []


@pytest.mark.parametrize("command", [
    "[sh, -c, 'echo ${inputs.x}']", "[/bin/bash, -ec, 'echo ${inputs.x}']", "[env, A=1, sh, -c, 'echo ${inputs.x}']",
    "[ssh, host, 'echo ${inputs.x}']", "[python3, -c, 'print(\"${inputs.x}\")']", "[sudo, bash, -c, '${inputs.x}']",
    "[perl, -e, '${inputs.x}']", "[ssh, '${inputs.x}', uptime]", "[timeout, '5', sh, -c, '${inputs.x}']"])
def test_a_variable_where_it_would_be_read_again_is_a_finding(command: str):
    found = findings(f"  inputs: [{{name: x}}]\n  steps:\n    - name: a\n      command: {command}\n")
    assert [one.code for one in found] == ["variable-read-again"]


def test_a_programs_name_takes_no_variable():
    found = findings("  inputs: [{name: x}]\n  steps:\n    - {name: a, command: ['${inputs.x}', b]}\n")
    assert [one.code for one in found] == ["variable-not-here"]


def test_a_secret_is_no_argument():
    found = findings("  secrets: [{name: t, env: T}]\n  steps:\n"
                     "    - {name: a, command: [curl, '-u', '${secrets.t}']}\n")
    assert [one.code for one in found] == ["secret-not-here"]


# -- addresses, queries, statements --------------------------------------------------------------------------------


def _is(value: str, **more: bool) -> object:
    return lambda _: Value(value, **more)


@pytest.mark.parametrize(("value", "sent"), [
    ("a b", "a%20b"), ("a/b", "a%2Fb"), ("a?b=c", "a%3Fb%3Dc"), ("a#b", "a%23b"), ("a&b", "a%26b"),
    ("a\r\nHost: evil", "a%0D%0AHost%3A%20evil"), ("%2e%2e", "%252e%252e"), ("@evil", "%40evil")])
def test_a_value_in_an_address_adds_no_part_to_it(value: str, sent: str):
    assert url("https://api.example/v1/${labels.x}/go", _is(value)) == f"https://api.example/v1/{sent}/go"  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["..", "."])
def test_a_value_in_an_address_does_not_climb(value: str):
    with pytest.raises(Misplaced, match="climbs"):
        url("https://api.example/v1/${labels.x}/go", _is(value))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["https://${labels.x}/a", "https://a.${labels.x}/a", "https://a:${labels.x}",
                                  "${labels.x}://a/b"])
def test_a_value_does_not_say_which_host_is_called(text: str):
    with pytest.raises(Misplaced, match="which host"):
        url(text, _is("evil.example"))  # type: ignore[arg-type]


def test_one_of_a_declared_list_may_say_which_host_is_called():
    made = world("  inputs: [{name: zone, allowed: [eu, us]}]\n  steps:\n"
                 "    - {name: a, http: {url: 'https://${inputs.zone}.lb.example/drain', method: POST}}\n")
    run(made, inputs={"zone": "eu"})
    assert made.actuator().done == [Http("POST", "https://eu.lb.example/drain")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", ['x"} or vector(1) #', "x\\", 'x\\"', "x\ny", "`x`", "'x'"])
def test_a_value_in_a_query_stays_in_its_quotes(value: str):
    found = promql('up{job="${labels.x}"}', _is(value))  # type: ignore[arg-type]
    inside = found.removeprefix('up{job="').removesuffix('"}')
    plain = inside.replace("\\\\", "").replace('\\"', "").replace("\\n", "")
    assert '"' not in plain
    assert "\\" not in plain
    assert "\n" not in plain


@pytest.mark.parametrize("query", ["up{job=${labels.x}}", "${labels.x}", "up{job='${labels.x}'}",
                                   "up{job=`${labels.x}`}", 'up{a="b"} == ${labels.x}', "up{a='\"${labels.x}'}",
                                   'up # "${labels.x}"'])
def test_a_value_outside_of_double_quotes_is_a_finding(query: str):
    with pytest.raises(Misplaced, match="double quotes"):
        promql(query, _is("x"))  # type: ignore[arg-type]


def test_values_of_a_statement_are_bound_and_stand_in_none():
    found = findings("  steps:\n    - {name: a, query: {database: 'sqlite:///x', "
                     "sql: \"select '${labels.service}'\"}}\n")
    assert [one.code for one in found] == ["variable-not-here"]
    made = world("  steps:\n    - {name: a, query: {database: 'sqlite:///x.db', sql: 'select :s', "
                 "parameters: {s: '${labels.service}'}}}\n")
    run(made, labels={"service": "x'; drop table t; --"})
    sent = made.actuator().done[0]  # type: ignore[attr-defined]
    assert isinstance(sent, Sql)
    assert (sent.statement, sent.parameters) == ("select :s", {"s": "x'; drop table t; --"})


def test_a_whole_value_of_json_keeps_its_type_and_a_part_is_text():
    made = world("  inputs: [{name: n, type: integer}, {name: on, type: boolean}]\n  steps:\n"
                 "    - {name: a, http: {method: PUT, url: 'http://a/b', "
                 "body: {n: '${inputs.n}', on: '${inputs.on}', text: 'n is ${inputs.n}'}}}\n")
    run(made, inputs={"n": "7", "on": "yes"})
    assert made.actuator().done[0].body == {"n": 7, "on": True, "text": "n is 7"}  # type: ignore[attr-defined]


def test_a_header_brings_no_line_of_its_own():
    made = world("  steps:\n    - {name: a, http: {url: 'http://a/b', headers: {X-Service: '${labels.service}'}}}\n")
    with pytest.raises(InvalidInput, match="line break"):
        ordered(made, labels={"service": "a\r\nX-Admin: 1"})


def test_a_variable_in_a_value_is_not_put_in_again():
    made = world("  inputs: [{name: a}, {name: b}]\n  steps:\n    - {name: s, command: [echo, '${inputs.a}']}\n")
    run(made, inputs={"a": "${inputs.b}", "b": "secret"})
    assert acts(made) == ["echo ${inputs.b}"]


@pytest.mark.parametrize(("kind", "value"), [
    ("integer", "7; reboot"), ("integer", "1e3"), ("number", "x"), ("boolean", "perhaps"), ("name", "a b"),
    ("name", "-a"), ("url", "javascript:alert(1)"), ("url", "http://a@b/"), ("duration", "soon"), ("name", "a/b")])
def test_an_input_is_of_its_type(kind: str, value: str):
    made = world(f"  inputs: [{{name: x, type: {kind}}}]\n  steps:\n"
                 "    - {name: a, command: [echo, '${inputs.x}']}\n")
    with pytest.raises(InvalidInput, match=f"no {kind}"):
        ordered(made, inputs={"x": value})


def test_an_input_fits_its_pattern_whole_and_its_list():
    spec = ("  inputs: [{name: x, pattern: 'v[0-9]+'}, {name: y, allowed: [a, b], default: a}]\n  steps:\n"
            "    - {name: a, command: [echo, '${inputs.x}']}\n")
    with pytest.raises(InvalidInput, match="does not fit"):
        ordered(world(spec), inputs={"x": "v1 ; reboot"})
    with pytest.raises(InvalidInput, match=r"y is \"c\""):
        ordered(world(spec), inputs={"x": "v1", "y": "c"})
    assert run(world(spec), inputs={"x": "v12"}).state == "succeeded"


def test_missing_and_unknown_inputs_and_labels_are_said():
    spec = "  inputs: [{name: zone}]\n  steps:\n    - {name: a, command: [x, '${inputs.zone}', '${labels.service}']}\n"
    for order, said in ((Order("fix"), "needs the input zone"), (Order("fix", {"zon": "a"}), 'did you mean "zone"'),
                        (Order("fix", {"zone": "a"}), "needs the label service")):
        with pytest.raises(InvalidInput, match=said):
            plan_for(world(spec), order)


def test_an_argument_of_words_and_values_is_one_argument():
    assert argument("a ${labels.x} b", _is("; c")) == "a ; c b"  # type: ignore[arg-type]
    assert argument("$${labels.x}", _is("v")) == "${labels.x}"  # type: ignore[arg-type]


def test_a_metric_of_a_wait_takes_values_as_a_query_does():
    made = world("  steps:\n    - {name: a, query: {promql: 'up{job=\"${labels.service}\"}', is: '== 1'}}\n")
    run(made, labels={"service": 'x"} or on() vector(1)'})
    sent = made.actuator().done[0]  # type: ignore[attr-defined]
    assert isinstance(sent, Metric)
    assert sent.query == 'up{job="x\\"} or on() vector(1)"}'
