"""The pages of experiments as they arrive, before any script runs."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from datetime import timedelta

import pytest

from chaos.played import SLOW, Played
from mainstay.app import MAINSTAY
from mainstay.chaos.catalogue import MEASURED, Measurement, as_data, row, worse
from mainstay.chaos.matrix import Answer, Asked, Interaction, Seen, Trouble, judge
from mainstay.chaos.operations.looking import StatusRequest, status
from mainstay.doors.front import ServerSettings
from mainstay.doors.http import build_app
from mainstay.doors.web.chaos_content import chaos_pages
from mainstay.kernel.journal import Batch, NewFact
from mainstay.kernel.locks import take
from mainstay.kernel.workload import Contract
from toy_server import Client
from web.test_pages import Outline

OPERATIONS = next(word for word in MAINSTAY.words if word.name == "chaos").operations()
NASTY = SLOW.replace("metadata: {name: auth-slow}",
                     'metadata: {name: auth-slow, displayName: "<script>alert(1)</script>"}')


def served(room: Played) -> Client:
    return Client(build_app(OPERATIONS, lambda actor: replace(room.world, actor=actor), ServerSettings(catalog="shop"),
                            chaos_pages()))


def ran() -> Played:
    room = Played(NASTY, unbearable={"dependency-slow": 5.0})
    room.run()
    return room


def measured(room: Played) -> Played:
    before = [Answer(one / 10, 0.02, failed=False) for one in range(800)]
    case = (Trouble("auth", "down"),)
    pair = (*case, Trouble("cache", "slow"))
    cells = [judge(Asked("api", "<b>login</b>", each, True, Contract("degraded") if each is case else None),
                   Seen(before, [Answer(one / 10, 0.004, failed=True) for one in range(60)], before[:60]))
             for each in (case, pair)]
    found = Measurement(room.clock.now(), 5.0, 10.0, 2.0, tuple(row(one, "EXP-1") for one in cells), worse(
        [Interaction("api", "<b>login</b>", pair, "degraded", "fails-fast")]), (), "stopped half-way")
    room.journal.commit(Batch([NewFact(MEASURED, "matrix", found.at, as_data(found))]))
    return room


@pytest.mark.parametrize("path", ["/chaos", "/chaos/show?name=EXP-1", "/chaos/matrix", "/chaos/matrix?state=violated"])
def test_a_page_is_well_formed_and_readable_by_ear(path: str) -> None:
    answer = served(measured(ran())).get(path)
    outline = Outline(answer.text)
    assert answer.status_code == 200, answer.text
    assert outline.open == []
    assert outline.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    identities = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    assert all("style" not in attributes for _, attributes in outline.tags)
    assert "<script>alert" not in answer.text
    assert "<b>login" not in answer.text


def test_pages_without_anything_say_what_fills_them() -> None:
    client = served(Played(SLOW))
    assert "mainstay chaos matrix" in client.get("/chaos/matrix").text
    assert "never run" in client.get("/chaos").text
    assert client.get("/chaos/show").status_code == 404


def test_a_state_filters_the_catalogue_and_keeps_the_table() -> None:
    text = served(measured(ran())).get("/chaos/matrix?state=no_data").text
    assert "No cell is in that state." in text
    assert "fails fast" in text


@pytest.mark.parametrize(("host", "gone"), [(os.uname().nodename, True), ("another-host", False)])
def test_a_process_that_was_killed_here_is_gone_at_once_and_one_elsewhere_when_its_lock_lapses(host: str, gone: bool):
    with subprocess.Popen(["true"]) as process:
        process.wait()
    room = Played(SLOW)
    now = room.clock.now()
    accepted = {"number": 9, "experiment": "auth-slow", "target": "api", "service": "api", "seed": 0, "title": "",
                "probes": [], "notes": [], "seconds": 5.0, "process": f"{host}:{process.pid}"}
    room.journal.commit(Batch([NewFact("chaos.accepted", "EXP-9", now, accepted)]))
    take(room.journal, ["workload:api"], "experiment EXP-9", now, timedelta(minutes=1))
    found = status(room.world, StatusRequest())
    assert found.lost == (("EXP-9",) if gone else ())


def test_the_kill_switch_and_a_run_whose_process_is_gone_are_shouted() -> None:
    room = Played(SLOW)
    now = room.clock.now()
    accepted = {"number": 9, "experiment": "auth-slow", "target": "api", "service": "api", "seed": 0, "title": "",
                "probes": [], "notes": [], "seconds": 5.0}
    room.journal.commit(Batch([NewFact("chaos.halted", "all", now, {"why": "launch day"}, actor="ben"),
                               NewFact("chaos.accepted", "EXP-9", now - timedelta(hours=1), accepted)]))
    text = served(room).get("/chaos").text
    assert "ben stopped all experiments: launch day." in text
    assert "mainstay chaos recover" in text
    assert "its process is gone" in served(room).get("/chaos/show?name=EXP-9").text
