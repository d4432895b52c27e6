"""What a policy asks for follows from the command itself; no server has to run for it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from command import mainstay
from mainstay import reactions
from mainstay.adapters.clock import FakeClock, SystemClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.adapters.store import open_store
from mainstay.app import grammar
from mainstay.chaos.price import open_incidents
from mainstay.followed import KINDS, anything_to_follow, followed_through
from mainstay.incident.engine import Resolve
from mainstay.incident.intake import AlertEvent
from mainstay.incident.operations.desk import desk_of
from mainstay.kernel.catalog import load
from mainstay.kernel.journal import Batch, FactQuery, NewFact
from mainstay.kernel.ports import World
from mainstay.reactions import REACTIONS, react
from mainstay.slo.operations.exclusion import announce_work
from overtaking import Between

CATALOG = """\
apiVersion: openslo/v1
kind: DataSource
metadata: {name: log}
spec: {type: events, connectionDetails: {paths: [events.csv], format: csv}}
---
apiVersion: mainstay/v1
kind: Objective
metadata: {name: shop, service: shop}
spec: {indicator: {type: availability, source: log}, target: 99, window: 1d, policy: template}
"""


ROUTED = CATALOG + """\
---
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana], wait: 5m}]}
"""


def test_an_enforced_policy_opens_its_incident_at_once_and_pages(tmp_path: Path) -> None:
    now = datetime.now(UTC).timestamp()
    rows = [f"{now - 60 * minute:.0f},{500 if minute % 2 else 200}" for minute in range(1, 120)]
    (tmp_path / "events.csv").write_text("time,status\n" + "\n".join(rows) + "\n")
    (tmp_path / "catalog.yaml").write_text(ROUTED)

    answer = mainstay(tmp_path, "slo", "enforce", "-c", ".", "--store", f"sqlite:///{tmp_path}/store.db")

    assert answer.code == 0, answer.err
    with open_store(f"sqlite:///{tmp_path}/store.db", SystemClock()) as store:
        [opened] = store.journal.facts(FactQuery(kinds=("incident.opened",)))
        [entered] = store.journal.facts(FactQuery(kinds=("slo.zone-entered",)))
        [alert] = store.journal.facts(FactQuery(kinds=("alert.opened",)))
        [paged] = store.journal.facts(FactQuery(kinds=("incident.paged",)))
    assert (alert.data["labels"]["slo"], alert.data["service"]) == ("shop", "shop")
    assert (opened.subject, opened.data["alerts"], paged.data["to"]) == ("INC-1", ["A-1"], "ana")
    assert entered.actor != "system", "the audit names who ran it"


WORK = """\
apiVersion: mainstay/v1
kind: Maintenance
metadata: {name: upgrade}
spec: {start: "2026-03-02T09:30:00Z", duration: 1h, reason: a new database, services: [db, web]}
---
apiVersion: mainstay/v1
kind: Maintenance
metadata: {name: move}
spec: {start: "2026-03-02T12:00:00Z", duration: 1h, reason: the data centre moves}
"""


def _rehearsed(folder: Path, text: str) -> tuple[World, FakeClock]:
    (folder / "catalog.yaml").write_text(text)
    catalog, findings = load([folder], grammar())
    assert not findings, findings[0].render()
    clock = FakeClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    nothing: Any = None
    return World(clock, catalog, MemoryJournal(clock), nothing, nothing, nothing), clock


def _silences(world: World) -> list[str]:
    react(world)
    return [f"{' '.join(map(str, one.matchers))} {one.comment}" for one in desk_of(world).caught_up().silences.values()]


def test_planned_work_silences_what_it_concerns_once_while_it_lasts(tmp_path: Path) -> None:
    world, clock = _rehearsed(tmp_path, WORK)
    assert announce_work(world) == 1, "half an hour before it begins; the other is three hours off"
    assert _silences(world) == ['service=~"db|web" upgrade: a new database']
    assert announce_work(world) == 0
    assert len(_silences(world)) == 1
    desk = desk_of(world)
    assert not desk.state.silenced({"service": "db"}, clock.now()), "not yet"
    clock.set(datetime(2026, 3, 2, 9, 30, tzinfo=UTC))
    assert desk.do(AlertEvent(clock.now(), True, "k", "db")).outcome == "muted"
    assert desk.do(AlertEvent(clock.now(), True, "k", "dbx")).outcome == "opened"
    clock.set(datetime(2026, 3, 2, 10, 30, tzinfo=UTC))
    desk.ring("test")
    assert desk.state.alerts["A-1"].incident, "still firing when the work is over: heard"


def test_work_that_names_nothing_silences_everything(tmp_path: Path) -> None:
    world, clock = _rehearsed(tmp_path, WORK)
    clock.set(datetime(2026, 3, 2, 12, 1, tzinfo=UTC))
    announce_work(world)
    assert _silences(world) == ['service=~".*" move: the data centre moves']
    assert desk_of(world).do(AlertEvent(clock.now(), True, "k")).outcome == "muted"


def test_following_a_fact_twice_makes_nothing_twice(tmp_path: Path) -> None:
    world, clock = _rehearsed(tmp_path, WORK)
    announce_work(world)
    world.journal.commit(Batch([NewFact("slo.incident-due", "shop", clock.now(),
                                        {"priority": "P1", "title": "spent"})]))
    [work] = world.journal.facts(FactQuery(kinds=("slo.maintenance-planned",)))
    [due] = world.journal.facts(FactQuery(kinds=("slo.incident-due",)))
    for reaction in (*REACTIONS, *REACTIONS):
        for fact in (work, due):
            if reaction.when == fact.kind:
                reaction.then(world, fact)
    state = desk_of(world).state
    assert (len(state.silences), len(state.alerts), state.counts["incident"]) == (1, 1, 1)


def test_what_is_followed_is_known_without_loading_the_table():
    assert sorted(KINDS) == sorted({reaction.when for reaction in REACTIONS})


def test_a_weakness_that_was_found_is_kept_by_one_incident_that_wakes_nobody(tmp_path: Path) -> None:
    world, clock = _rehearsed(tmp_path, WORK)

    def found(run: str) -> None:
        world.journal.commit(Batch([NewFact("weakness.found", "checkout-stress", clock.now(), {
            "title": "customers can pay", "faults": ["dependency-slow api → auth: latency 0.6"], "services": ["shop"],
            "confidence": 0.94, "runs": ["EXP-1", run], "regression": "regression.yaml"}, actor="ana")]))
        react(world)

    found("EXP-9")
    found("EXP-12")
    [one] = desk_of(world).caught_up().incidents.values()
    assert (one.title, str(one.severity), one.services) == ("does not hold: customers can pay", "SEV4", ("shop",))
    noted = [fact.data["text"] for fact in world.journal.facts(FactQuery(kinds=("incident.noted",)))]
    assert [("latency 0.6 is enough" in text, run in text) for text, run in zip(noted, ("EXP-9", "EXP-12"), strict=True)
            ] == [(True, True), (True, True)]
    assert not list(world.journal.facts(FactQuery(kinds=("incident.paged",))))
    # It is no trouble on the service: what proves that it is mended is an experiment.
    assert open_incidents(world.journal.facts(FactQuery(kinds=("incident.",))), ["shop"]) == ()
    desk_of(world).do(Resolve(one.id, "ana"))
    found("EXP-20")
    assert len(desk_of(world).caught_up().incidents) == 2, "it is back"


# -- two servers, or a server and a command, follow at once ---------------------------------------------------------


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own lock for its own threads, which stands in nobody else's way."""
    monkeypatch.setattr(reactions, "_following", contextlib.nullcontext())


def _second(world: World) -> tuple[World, Between]:
    """Another process on the same journal."""
    between = Between(world.journal)
    return replace(world, journal=between), between


def _notice_due(world: World, number: int) -> None:
    world.journal.commit(Batch([NewFact("slo.notice-due", f"shop-{number}", world.clock.now(),
                                        {"whom": "team", "message": "half is spent"})]))


@pytest.mark.usefixtures("two_processes")
def test_a_server_that_followed_less_than_another_does_not_take_back_how_far_that_came(tmp_path: Path) -> None:
    quick, _ = _rehearsed(tmp_path, WORK)
    slow, between = _second(quick)
    _notice_due(quick, 1)

    def meanwhile() -> None:
        _notice_due(quick, 2)
        react(quick)

    between.before_commit = meanwhile
    react(slow)
    [*marks] = quick.journal.facts(FactQuery(kinds=("house.reacted",)))
    assert followed_through(quick.journal) == max(fact.data["through"] for fact in marks)
    assert not anything_to_follow(quick.journal)
    _notice_due(quick, 3)
    assert react(slow) == 1


def _weakness_found(world: World) -> None:
    world.journal.commit(Batch([NewFact("weakness.found", "checkout-stress", world.clock.now(), {
        "title": "customers can pay", "faults": ["latency"], "services": ["shop"], "confidence": 0.94,
        "runs": ["EXP-1"], "regression": ""}, actor="ana")]))


@pytest.mark.usefixtures("two_processes")
@pytest.mark.parametrize("overtaken_at", ["opening", "noting", "looking"])
def test_two_that_follow_a_weakness_at_once_keep_it_in_one_incident_and_say_it_once(
        tmp_path: Path, overtaken_at: str) -> None:
    quick, _ = _rehearsed(tmp_path, WORK)
    slow, between = _second(quick)
    desk_of(slow)
    _weakness_found(quick)
    if overtaken_at == "opening":
        between.before_commit = lambda: react(quick)
    else:
        commit = between.commit

        def second(batch: Batch) -> Any:
            # Its first commit opens the incident; the other is quicker with what is said there.
            recorded = commit(batch)
            hook = "before_commit" if overtaken_at == "noting" else "after_reading"
            setattr(between, hook, lambda: react(quick))
            between.commit = commit  # type: ignore[method-assign]
            return recorded

        between.commit = second  # type: ignore[method-assign]
    react(slow)
    react(quick)
    assert [one.title for one in desk_of(quick).caught_up().incidents.values()] == ["does not hold: customers can pay"]
    assert len(list(quick.journal.facts(FactQuery(kinds=("incident.noted",))))) == 1
