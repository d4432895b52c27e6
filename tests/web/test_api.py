"""Operations over HTTP: what is taken, what is refused and how, what comes back."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.doors.front import Act, Hooks, ServerSettings
from toy_server import Client, error_code, toy_app

REPORT = "/api/v1/slo/report"
FREEZE = "/api/v1/slo/freeze"


@pytest.fixture
def client() -> Client:
    return Client(toy_app())


def act(client: Client, path: str, body: object) -> httpx.Response:
    return client.post(path, json=body, headers={"X-CSRF-Token": client.form_token()})


def test_a_read_operation_answers_its_typed_result(client: Client) -> None:
    response = client.get(REPORT, params={"name": "checkout", "window": "7", "label": ["a", "b"]})
    assert response.status_code == 200
    assert response.json() == {"name": "checkout", "window": 7, "labels": ["a", "b"], "sli": 0.9997,
                               "status": "healthy"}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-mainstay-exit"] == "0"


def test_the_exit_code_of_the_command_is_in_a_header(client: Client) -> None:
    assert client.get(REPORT, params={"name": "bad"}).headers["x-mainstay-exit"] == "1"
    assert client.get(REPORT, params={"name": "silent"}).headers["x-mainstay-exit"] == "3"


def test_a_write_operation_takes_a_json_body(client: Client) -> None:
    response = act(client, FREEZE, {"service": "web", "reason": "spent"})
    assert response.status_code == 200
    assert response.json() == {"service": "web", "by": "local"}


def test_an_operation_without_the_http_door_has_no_route(client: Client) -> None:
    assert client.get("/api/v1/slo/try").status_code == 404


@pytest.mark.parametrize(("query", "words"), [
    ("windw=3", 'did you mean "window"'),
    ("window=soon", '"window"'),
    ("window=3.5", '"window"'),
    ("window=1&window=2", "given twice"),
    ("share=nan", "finite"),
    ("share=inf", "finite"),
    ("order=best", "cannot be"),
    ("config=/etc/passwd", "command line only"),
    ("whole=perhaps", '"whole"'),
    ("name=%ff", "cannot be read"),
])
def test_a_request_that_cannot_be_used_says_why(client: Client, query: str, words: str) -> None:
    response = client.get(f"{REPORT}?{query}")
    assert (response.status_code, error_code(response)) == (400, "invalid-input")
    assert words in response.json()["error"]["message"]
    assert response.headers["x-mainstay-exit"] == "2"


@pytest.mark.parametrize("body", ["", "{", "[]", '"x"', "null", '{"service": 3}', '{"service": "a", "servce": "b"}',
                                  "{}", "[" * 100_000, '{"service": "\ud800"}'.encode("utf-8", "surrogatepass")])
def test_a_body_that_cannot_be_used_is_refused(client: Client, body: str | bytes) -> None:
    headers = {"X-CSRF-Token": client.form_token(), "Content-Type": "application/json"}
    response = client.post(FREEZE, content=body, headers=headers)
    assert (response.status_code, error_code(response)) == (400, "invalid-input")


def test_a_body_of_another_type_is_refused(client: Client) -> None:
    response = client.post(FREEZE, content="service=web", headers={
        "X-CSRF-Token": client.form_token(), "Content-Type": "application/x-www-form-urlencoded"})
    assert response.status_code == 415


def test_reading_by_post_and_acting_by_get_are_refused(client: Client) -> None:
    assert client.post(REPORT, json={}).status_code == 405
    assert client.get(f"{FREEZE}?service=web").status_code == 405


@pytest.mark.parametrize(("name", "status", "code"), [
    ("missing", 404, "not-found"), ("silent", 404, "no-data"), ("broken", 400, "invalid-files"),
])
def test_an_error_keeps_its_code_status_and_way_out(client: Client, name: str, status: int, code: str) -> None:
    response = client.get(REPORT, params={"name": name})
    assert (response.status_code, error_code(response)) == (status, code)
    assert set(response.json()["error"]) >= {"code", "message", "way_out"}


def test_mistakes_in_files_come_with_their_places(client: Client) -> None:
    findings = client.get(REPORT, params={"name": "broken"}).json()["error"]["findings"]
    assert [(one["file"], one["line"], one["column"], one["mend"]) for one in findings] == [
        ("slo.yaml", 3, 5, 'write "target"')]


def test_our_own_mistake_tells_a_number_and_nothing_else(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    response = client.get(REPORT, params={"name": "bug"})
    assert (response.status_code, error_code(response)) == (500, "internal")
    assert "hunter2" not in response.text
    number = response.json()["error"]["message"].rsplit(" ", 1)[1]
    assert number in caplog.text


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    response = Client(toy_app(ServerSettings(time_out=0.05))).get(REPORT, params={"name": "slow"})
    assert (response.status_code, error_code(response)) == (504, "took-too-long")


def test_what_acts_is_recorded_before_and_after_and_reading_is_not() -> None:
    acts: list[Act] = []
    client = Client(toy_app(hooks=Hooks(audit=acts.append)))
    client.get(REPORT)
    act(client, FREEZE, {"service": "web", "api_token": "s3cret"})
    act(client, FREEZE, {"service": "missing"})
    assert [(one.actor, one.operation, one.outcome) for one in acts] == [
        ("local", "slo freeze", "begun"), ("local", "slo freeze", "done (exit 0)"),
        ("local", "slo freeze", "begun"), ("local", "slo freeze", "failed: not-found")]
    assert acts[0].summary == '{"service":"web","reason":"","api_token":"***"}'


def test_an_act_that_cannot_be_recorded_is_not_done() -> None:
    tried: list[Act] = []

    def full(one: Act) -> None:
        tried.append(one)
        raise OSError("disk full")

    assert act(Client(toy_app(hooks=Hooks(audit=full))), FREEZE, {"service": "web"}).status_code == 500
    assert [one.outcome for one in tried] == ["begun"]


def test_metrics_are_what_the_hook_says() -> None:
    client = Client(toy_app(hooks=Hooks(metrics=lambda: "mainstay_up 1\n")))
    response = client.get("/metrics")
    assert response.text == "mainstay_up 1\n"
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_readiness_tells_its_problems_and_health_does_not_ask() -> None:
    client = Client(toy_app(hooks=Hooks(problems=lambda: ["the journal cannot be written"])))
    assert (client.get("/readyz").status_code, client.get("/readyz").text) == (503, "the journal cannot be written\n")
    assert client.get("/healthz").status_code == 200
    assert Client(toy_app()).get("/readyz").status_code == 200


FUZZED = toy_app(ServerSettings(per_second=1e9, burst=1e9))
BROWSER = Client(FUZZED)
FORM_TOKEN = BROWSER.form_token()


PATHS = st.sampled_from([REPORT, FREEZE, "/slo/report", "/slo/freeze", "/search", "/login", "/static/a", "/"])
QUERIES = st.sampled_from([b"window=1e9", b"q=%00", b"range=%ff", b"next=%0d%0a"])
JSON_BODIES = st.binary(max_size=40).map(lambda inside: b'{"service": "' + inside + b'"}')
FORM_BODIES = st.binary(max_size=40).map(lambda value: b"csrf=" + FORM_TOKEN.encode() + b"&service=" + value)
KINDS = st.sampled_from([b"application/json", b"multipart/form-data; boundary=x", b"application/x-www-form-urlencoded",
                         b"x", b""])


@given(method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "X"]),
       path=PATHS | st.text(max_size=30).map(lambda text: "/" + text), query=QUERIES | st.binary(max_size=60),
       body=JSON_BODIES | FORM_BODIES | st.binary(max_size=60), kind=KINDS)
@settings(max_examples=300, deadline=None)
def test_whatever_is_sent_is_answered_without_a_mistake_of_ours(method: str, path: str, query: bytes, body: bytes,
                                                                kind: bytes) -> None:
    status = asyncio.run(raw(method, path, query, body, kind))
    assert 200 <= status < 500


async def raw(method: str, path: str, query: bytes, body: bytes, kind: bytes) -> int:
    statuses = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"host", b"localhost"), (b"content-type", kind), (b"content-length", str(len(body)).encode()),
               (b"x-csrf-token", FORM_TOKEN.encode()),
               (b"cookie", f"mainstay_session={BROWSER.cookies['mainstay_session']}".encode())]
    await FUZZED({"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
                  "raw_path": quote(path).encode(), "query_string": query, "headers": headers, "root_path": "",
                  "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "scheme": "http", "extensions": {}},
                 receive, send)
    assert len(statuses) == 1
    return int(statuses[0])
