"""The doors that senders come through: who may, how large, how much at once, and what is answered."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from catalogs import PAGED, faultless
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.doors.alertmanager_api import AlertmanagerApi
from mainstay.doors.front import Front, Hooks, ServerSettings
from mainstay.doors.guard import AsgiApp, ShortWay
from mainstay.doors.http import build_app
from mainstay.doors.intake import IntakeDoor
from mainstay.doors.security import TokenStore
from mainstay.incident.alertmanager import read_alerts
from mainstay.incident.engine import Beat, MakeSilence, Sweep
from mainstay.incident.forms import FORMS
from mainstay.incident.operations import inbox
from mainstay.incident.operations.desk import Desk, desk_of
from mainstay.incident.operations.inbox import Inbox
from mainstay.incident.received import Sender
from mainstay.kernel.catalog import Grammar
from mainstay.kernel.errors import StoreUnavailable
from mainstay.kernel.journal import Batch, Fact, FactQuery
from mainstay.kernel.matcher import parse_matcher
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span
from memory_world import memory_world
from toy_server import PATIENCE, T0, Client

CATALOG = PAGED + """\
---
apiVersion: mainstay/v1
kind: Heartbeat
metadata: {name: backup, service: db}
spec: {every: 1h}
---
apiVersion: mainstay/v1
kind: Intake
metadata: {name: web-pd, service: web}
spec: {format: pagerduty, key_env: WEB_KEY}
---
apiVersion: mainstay/v1
kind: Intake
metadata: {name: db-pd, service: db}
spec: {format: pagerduty, key_env: DB_KEY}
---
apiVersion: mainstay/v1
kind: Intake
metadata: {name: checks, service: shop}
spec: {format: json, map: {key: /id, status: /status, summary: /what}}
"""
ALERT = [{"labels": {"alertname": "Slow", "severity": "page", "service": "web"}, "annotations": {"summary": "slow"}}]


class Held(MemoryJournal):
    """A journal that can be held up, or be down."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.open, self.reached, self.down = threading.Event(), threading.Event(), False
        self.open.set()

    def commit(self, batch: Batch) -> tuple[Fact, ...]:
        self.reached.set()
        assert self.open.wait(PATIENCE)
        if self.down:
            raise StoreUnavailable("the disk is full", "make room")
        return super().commit(batch)


@dataclass
class Served:
    app: AsgiApp
    journal: Held
    inbox: Inbox
    world: World
    door: IntakeDoor

    @property
    def desk(self) -> Desk:
        return desk_of(self.world)

    def has_patience(self) -> None:
        """From now on nobody is told that it takes too long."""
        self.door._waiting._time_out = PATIENCE
        self.door._front.settings = replace(self.door._front.settings, time_out=PATIENCE)

    def client(self, address: str = "127.0.0.1") -> Client:
        return Client(self.app, address)

    def post(self, path: str, body: Any, **options: Any) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client().post(path, content=content, **options)


@contextlib.contextmanager
def served(folder: Path, *, tokens: Path | None = None, capacity: int = 1_000,
           time_out: float = PATIENCE) -> Iterator[Served]:
    clock = FakeClock(T0)
    journal = Held(clock)
    world = memory_world(clock, faultless(CATALOG, Grammar(FORMS), folder), journal)
    inbox = Inbox(lambda: desk_of(world), capacity=capacity)
    doors: list[IntakeDoor] = []

    def raw(front: Front) -> tuple[dict[str, AsgiApp], dict[str, ShortWay]]:
        door = IntakeDoor(front, inbox, lambda: desk_of(world), {"WEB_KEY": "w" * 32, "DB_KEY": "d" * 32})
        doors.append(door)
        api = AlertmanagerApi(front, door, lambda: desk_of(world))
        return {**door.routes(), **api.routes()}, {**door.short_ways(), **api.short_ways()}

    settings = ServerSettings(token_file=tokens, time_out=time_out)
    app = build_app((), lambda actor: replace(world, actor=actor), settings, hooks=Hooks(raw=raw))
    inbox.start()
    try:
        yield Served(app, journal, inbox, world, doors[0])
    finally:
        journal.open.set()
        inbox.end()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as one:
        yield one


def until(condition: Callable[[], object]) -> None:
    """Wait until it is so."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "it did not come about in time"
        time.sleep(0.01)


def trigger(**more: Any) -> dict[str, Any]:
    return {"routing_key": "w" * 32, "event_action": "trigger",
            "payload": {"summary": "down", "source": "s", "severity": "critical"}, **more}


# -- answers ------------------------------------------------------------------------------------------------------


def test_a_200_means_that_it_is_in_the_journal(server: Served) -> None:
    response = server.post("/api/v2/alerts", ALERT)
    assert (response.status_code, response.content) == (200, b"")
    [fact] = server.journal.facts(FactQuery(kinds=("alert.opened",)))
    assert fact.data["summary"] == "slow"


def test_nothing_is_answered_before_the_commit(server: Served) -> None:
    server.journal.open.clear()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.post, "/api/v2/alerts", ALERT)
        assert server.journal.reached.wait(PATIENCE)
        with pytest.raises(TimeoutError):
            answer.result(0.5)
        server.journal.open.set()
        assert answer.result(PATIENCE).status_code == 200


def test_a_store_that_is_down_is_503_with_when_to_come_back_and_nothing_is_half_known(server: Served) -> None:
    server.journal.down = True
    for path, body in (("/api/v2/alerts", ALERT), ("/v2/enqueue", trigger()),
                       ("/api/v1/intake/checks", {"id": 1, "status": "bad"})):
        response = server.post(path, body)
        assert response.status_code == 503, path
        assert response.headers["retry-after"] == "5"
    assert len(server.desk.state.alerts) == 0
    server.journal.down = False
    assert server.post("/api/v2/alerts", ALERT).status_code == 200


def test_when_too_much_waits_senders_are_told_when_to_come_back(tmp_path: Path) -> None:
    with served(tmp_path, capacity=10) as server, ThreadPoolExecutor(4) as pool:
        server.journal.open.clear()
        first = pool.submit(server.post, "/api/v2/alerts", [
            {"labels": {"alertname": f"a{number}"}} for number in range(50)])
        until(lambda: server.inbox.waiting)
        refused = server.post("/api/v2/alerts", ALERT)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        refused = server.post("/v2/enqueue", trigger())
        assert (refused.status_code, refused.json()["status"]) == (429, "throttle exceeded")
        assert refused.headers["retry-after"] == "1"
        server.journal.open.set()
        assert first.result(PATIENCE).status_code == 200
        assert len(server.desk.state.alerts) == 50
        assert server.inbox.outcomes["intake-full"] == 2


def test_an_inbox_takes_what_waits_before_it_ends_and_nothing_after(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        answers = [server.inbox.offer([Sweep()]) for _ in range(20)]
        server.inbox.end()
        assert all(answer.done() for answer in answers)
        with pytest.raises(StoreUnavailable):
            server.inbox.offer([Sweep()])
        assert server.post("/api/v2/alerts", ALERT).status_code == 503


def test_a_thousand_triggers_at_once_share_commits_and_are_one_alert_one_incident_one_page(server: Served) -> None:
    answers = [server.inbox.offer(_events(server)) for _ in range(1_000)]
    outcomes = [answer.result(PATIENCE)[0] for answer in answers]
    assert sum(one.outcome == "opened" for one in outcomes) == 1  # type: ignore[union-attr]
    assert sum(one.outcome == "repeated" for one in outcomes) == 999  # type: ignore[union-attr]
    server.desk.do(Sweep())
    [alert] = server.desk.state.alerts.values()
    assert alert.count == 1_000
    pages = list(server.journal.facts(FactQuery(kinds=("incident.paged",))))
    assert [page.data["to"] for page in pages] == ["ana"]


class Heard:
    """Somebody for whom many wait."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[object, Any]]] = []

    def told(self, answers: Sequence[tuple[Any, Any]]) -> None:
        self.calls.append(list(answers))


def test_who_waits_for_many_answers_is_woken_once_for_all_that_were_decided_together(server: Served) -> None:
    server.journal.open.clear()
    heard, other = Heard(), Heard()
    first = server.inbox.offer(_events(server))
    assert server.journal.reached.wait(PATIENCE)  # the first is under way, and the others gather behind it
    for ticket in range(50):
        server.inbox.hand_in(_events(server), heard, ticket)
    server.inbox.hand_in([Beat("nobody")], other, "bad")
    server.journal.open.set()
    first.result(PATIENCE)
    server.inbox.end()
    assert [[ticket for ticket, _ in call] for call in heard.calls] == [list(range(50))]
    assert {answer[0].outcome for _, answer in heard.calls[0]} == {"repeated"}
    [[(ticket, answer)]] = other.calls
    assert (ticket, answer[0].code) == ("bad", "not-found")


def test_no_more_requests_share_a_commit_than_can_be_answered_while_the_next_is_on_its_way(
        server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "OFFERS", 10)
    server.journal.open.clear()
    heard = Heard()
    first = server.inbox.offer(_events(server))
    assert server.journal.reached.wait(PATIENCE)
    for ticket in range(25):
        server.inbox.hand_in(_events(server), heard, ticket)
    server.journal.open.set()
    first.result(PATIENCE)
    server.inbox.end()
    together = [[ticket for ticket, _ in call] for call in heard.calls]
    assert together == [[*range(10)], [*range(10, 20)], [*range(20, 25)]]


def test_an_answer_that_takes_too_long_is_a_refusal_and_coming_again_does_no_harm(tmp_path: Path) -> None:
    with served(tmp_path, time_out=0.2) as server:
        server.journal.open.clear()
        refused = server.post("/api/v2/alerts", ALERT)
        assert refused.status_code == 503
        assert "not recorded within 0.2 s" in refused.text
        server.journal.open.set()
        server.has_patience()
        until(lambda: server.inbox.waiting == 0)
        assert server.post("/api/v2/alerts", ALERT).status_code == 200
        assert len(server.desk.state.alerts) == 1


def _events(server: Served) -> list[Any]:
    return list(read_alerts(json.dumps(ALERT).encode(), Sender("x"), server.world.clock.now()).events)


# -- PagerDuty ----------------------------------------------------------------------------------------------------


def test_trigger_acknowledge_resolve_by_the_routing_keys_service(server: Served) -> None:
    made = server.post("/v2/enqueue", trigger())
    assert made.status_code == 202
    assert made.json()["status"] == "success"
    key = made.json()["dedup_key"]
    assert len(key) == 32
    assert server.post("/v2/enqueue", trigger()).json()["dedup_key"] != key, "two without a key are two alerts"
    [first, second] = server.desk.state.incidents.values()
    assert (first.service, first.severity) == ("web", "SEV1")
    for service in ("d", "w"):
        server.post("/v2/enqueue", {"routing_key": service * 32, "event_action": "acknowledge", "dedup_key": key})
        phase = server.desk.state.incidents[first.id].phase
        assert phase == ("triggered" if service == "d" else "acknowledged"), "by its own service alone"
    assert server.desk.state.incidents[first.id].acknowledged_by == "web-pd"
    done = server.post("/v2/enqueue", {"routing_key": "w" * 32, "event_action": "resolve", "dedup_key": key})
    assert done.json() == {"status": "success", "message": "Event processed", "dedup_key": key}
    assert server.desk.state.incidents[first.id].status == "resolved"
    assert server.desk.state.incidents[second.id].status == "open"


def test_an_event_that_is_none_is_400_with_every_error(server: Served) -> None:
    refused = server.post("/v2/enqueue", trigger(dedup_key="k" * 256, payload={}))
    assert refused.status_code == 400
    assert refused.json()["status"] == "invalid event"
    assert len(refused.json()["errors"]) == 4
    assert server.post("/v2/enqueue", trigger(dedup_key="k" * 255)).status_code == 202
    assert server.post("/v2/enqueue", b"{").status_code == 400
    assert server.client().get("/v2/enqueue").status_code == 405
    large = trigger()
    large["payload"]["custom_details"] = {"x": "y" * 512_000}
    assert server.post("/v2/enqueue", large).status_code == 413


def test_a_change_event_is_on_record_as_a_deployment_of_its_service(server: Served) -> None:
    taken = server.post("/v2/change/enqueue", {"routing_key": "w" * 32, "payload": {"summary": "v2.4.1"}})
    assert taken.json() == {"status": "success", "message": "Change event processed"}
    [fact] = server.journal.facts(FactQuery(kinds=("deployment.recorded",)))
    assert (fact.subject, fact.data["text"], fact.actor) == ("web", "v2.4.1", "web-pd")


# -- other senders ------------------------------------------------------------------------------------------------


def test_a_mapped_sender_is_told_what_became_of_its_alerts(server: Served) -> None:
    fired = server.post("/api/v1/intake/checks", {"id": "c1", "status": "down", "what": "shop is slow"})
    assert fired.status_code == 202
    assert fired.json() == {"accepted": 1, "outcomes": {"opened": 1}, "incidents": ["INC-1"], "notes": []}
    over = server.post("/api/v1/intake/checks", {"id": "c1", "status": "up"})
    assert over.json()["outcomes"] == {"closed": 1}
    nowhere = server.post("/api/v1/intake/check", {})
    assert nowhere.status_code == 404
    assert "did you mean" in nowhere.json()["error"]["message"]
    wrong_door = server.post("/api/v1/intake/web-pd", {})
    assert wrong_door.status_code == 400
    assert "/v2/enqueue" in wrong_door.json()["error"]["way_out"]


def test_webhooks_need_no_declaration(server: Served) -> None:
    hook = {"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "Slow"}}]}
    assert server.post("/api/v1/intake/alertmanager", hook).json()["outcomes"] == {"opened": 1}
    assert server.post("/api/v1/intake/grafana", hook).json()["outcomes"] == {"repeated": 1}


def test_a_heartbeat_is_taken_by_any_method_a_sender_may_have(server: Served) -> None:
    assert server.client().get("/api/v1/heartbeat/backup").json() == {
        "heartbeat": "backup", "expected_within_seconds": 3_660.0}
    assert server.post("/api/v1/heartbeat/backup", b"").status_code == 202
    assert server.post("/api/v1/heartbeat/backups", b"").status_code == 404
    assert server.journal.next_due() == T0 + timedelta(hours=1, minutes=1)


# -- Alertmanager's reading side ----------------------------------------------------------------------------------


def test_alerts_are_listed_filtered_and_paged(server: Served) -> None:
    server.post("/api/v2/alerts", [{"labels": {"alertname": f"a{number}", "service": f"s{number % 2}"}}
                                   for number in range(25)])
    assert len(server.client().get("/api/v2/alerts").json()) == 25
    one = server.client().get("/api/v2/alerts", params={"filter": 'alertname="a7"'}).json()
    assert [alert["labels"]["alertname"] for alert in one] == ["a7"]
    seen, after = [], ""
    while True:
        page = server.client().get("/api/v2/alerts", params={"limit": 10, "after": after})
        seen += [alert["labels"]["alertname"] for alert in page.json()]
        after = page.headers.get("x-mainstay-next", "")
        if not after:
            break
    assert seen == [f"a{number}" for number in reversed(range(25))]
    groups = server.client().get("/api/v2/alerts/groups", params={"filter": "service=s1"}).json()
    assert len(groups) == 12
    assert [one["name"] for one in server.client().get("/api/v2/receivers").json()] == ["default", "web"]
    assert server.client().get("/api/v2/status").json()["cluster"]["status"] == "disabled"
    for wrong in ({"filter": "nonsense"}, {"filter": 'a=~"("'}, {"limit": "many"}, {"limit": "-1"}):
        assert server.client().get("/api/v2/alerts", params=wrong).status_code == 400


def test_a_silence_is_made_changed_listed_and_ended(server: Served) -> None:
    now = server.world.clock.now()
    silence = {"matchers": [{"name": "service", "value": "web", "isRegex": False}], "startsAt": now.isoformat(),
               "endsAt": (now + timedelta(hours=1)).isoformat(), "createdBy": "ana", "comment": "planned"}
    first = server.post("/api/v2/silences", silence).json()["silenceID"]
    server.post("/api/v2/alerts", ALERT)
    assert _states(server) == ["suppressed"]
    assert server.client().get("/api/v2/alerts", params={"silenced": "false"}).json() == []
    second = server.post("/api/v2/silences", {**silence, "id": first, "comment": "longer"}).json()["silenceID"]
    assert second != first
    listed = {one["id"]: one["status"]["state"] for one in server.client().get("/api/v2/silences").json()}
    assert listed == {first: "expired", second: "active"}
    assert server.client().get(f"/api/v2/silence/{first}").json()["status"]["state"] == "expired"
    ended = server.client().ask("DELETE", f"/api/v2/silence/{second}")
    assert (ended.status_code, ended.content) == (200, b"")
    assert _states(server) == ["active"]
    assert server.desk.state.incidents["INC-1"].phase == "triggered", "heard as soon as the silence is over"
    for path in (f"/api/v2/silence/{second}", "/api/v2/silence/none"):
        assert server.client().ask("DELETE", path).status_code == 404
    assert server.client().get("/api/v2/silence/none").status_code == 404
    everything = {**silence, "matchers": [{"name": "x", "value": ".*", "isRegex": True}]}
    assert server.post("/api/v2/silences", everything).status_code == 400


def test_a_silence_that_another_server_made_a_moment_ago_is_changed_and_ended_here(server: Served) -> None:
    assert server.desk.state.silences.get("S-1") is None
    other, now = Desk(server.journal, server.world.clock, server.desk.plan, server.world.responders), T0
    web = (parse_matcher("service=web"),)
    for name in ("S-1", "S-2"):
        assert other.do(MakeSilence(web, Span(now, now + timedelta(hours=1)), "ana", "known")).alert == name
    changed = {"matchers": [{"name": "service", "value": "web", "isRegex": False}], "startsAt": now.isoformat(),
               "endsAt": (now + timedelta(hours=2)).isoformat(), "createdBy": "ana", "comment": "longer", "id": "S-1"}
    assert server.post("/api/v2/silences", changed).json() == {"silenceID": "S-3"}
    other.do(MakeSilence(web, Span(now, now + timedelta(hours=1)), "ana", "more"))
    assert server.client().ask("DELETE", "/api/v2/silence/S-4").status_code == 200


def _states(server: Served) -> list[str]:
    return [one["status"]["state"] for one in server.client().get("/api/v2/alerts").json()]


# -- who may ------------------------------------------------------------------------------------------------------


def test_with_a_token_everybody_needs_one_with_the_scope_write(tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "tokens.json")
    writes = store.create("web-pd", ["read", "write"], now=T0)
    reads = store.create("wall", ["read"], now=T0)
    with served(tmp_path, tokens=tmp_path / "tokens.json") as server:
        basic = base64.b64encode(f"prometheus:{writes}".encode()).decode()
        for header, status in ((None, 401), ("Bearer nonsense", 401), ("Digest x", 401), ("Basic %%", 401),
                               (f"Bearer {reads}", 403), (f"Bearer {writes}", 200), (f"Basic {basic}", 200)):
            headers = {"Authorization": header} if header else {}
            assert server.post("/api/v2/alerts", ALERT, headers=headers).status_code == status, header
        assert server.client().get("/api/v2/alerts").status_code == 401
        assert server.client().get("/api/v2/alerts", headers={"Authorization": f"Bearer {reads}"}).status_code == 200
        assert server.client().get("/api/v1/heartbeat/backup").status_code == 401
        # PagerDuty's senders have no header: their routing key is an Intake's, or a token.
        assert server.post("/v2/enqueue", trigger()).status_code == 202
        assert server.post("/v2/enqueue", trigger(routing_key=writes)).status_code == 202
        assert server.desk.state.incidents["INC-3"].service == "web", "the token is named after the Intake"
        for wrong, status in (("x" * 32, 400), (reads, 403), ("", 400), ("mst_wrong_key", 400)):
            assert server.post("/v2/enqueue", trigger(routing_key=wrong)).status_code == status


def test_without_a_token_this_machine_alone_may_send_and_no_other_sites_page(server: Served) -> None:
    content = json.dumps(ALERT).encode()
    assert server.client("10.0.0.9").post("/api/v2/alerts", content=content).status_code == 401
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
        assert server.client().post("/api/v2/alerts", content=content, headers=headers).status_code in (403, 421)
    assert server.client().get("/api/v1/heartbeat/backup", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert len(server.desk.state.alerts) == 0


# -- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v2/alerts", "/v2/enqueue", "/api/v1/intake/alertmanager",
                                  "/api/v1/intake/grafana", "/api/v1/intake/checks", "/api/v2/silences"])
@pytest.mark.parametrize("body", [b"", b"null", b"[", b'"\xff"', b"[[[[" * 20_000, b"{}", b"[]", b"[{}]", b"1e999",
                                  b'{"alerts": [{"labels": {"a": "b"}, "status": "\\ud800"}]}'])
def test_what_cannot_be_read_is_answered_and_changes_nothing(server: Served, path: str, body: bytes) -> None:
    response = server.post(path, body)
    allowed = (200, 202) if body == b"[]" and path in ("/api/v2/alerts", "/api/v1/intake/checks") else (400,)
    assert response.status_code in allowed
    assert server.journal.head() == 0


def test_a_body_over_a_megabyte_is_413_and_one_just_under_it_is_read(server: Served) -> None:
    one = '{"labels": {"alertname": "a%06d", "padding": "' + "x" * 500 + '"}},'
    many = "".join(one % number for number in range(1_048_576 // (len(one) + 4)))
    just_under = f"[{many[:-1]}]".encode()
    assert 1_040_000 < len(just_under) <= 1_048_576
    assert server.post("/api/v2/alerts", just_under).status_code == 200
    assert server.post("/api/v2/alerts", just_under + b" " * 10_000).status_code == 413


def test_one_bad_alert_among_good_ones_refuses_them_all(server: Served) -> None:
    response = server.post("/api/v2/alerts", [*ALERT, {"labels": {}}])
    assert response.status_code == 400
    assert "alert 2" in response.json()
    assert server.journal.head() == 0


def test_a_clock_that_is_wrong_loses_nothing_and_is_said(server: Served) -> None:
    ahead = (server.world.clock.now() + timedelta(hours=3)).isoformat()
    response = server.post("/api/v2/alerts", [{**ALERT[0], "startsAt": ahead}])
    assert response.status_code == 200
    assert "ahead of this server's clock" in response.headers["x-mainstay-note"]
    told = server.post("/v2/enqueue", trigger(payload={**trigger()["payload"], "timestamp": "1999-01-01T00:00:00Z"}))
    assert "more than a year back" in told.json()["message"]
    assert [one.opened for one in server.desk.state.alerts.values()] == [server.world.clock.now()] * 2
