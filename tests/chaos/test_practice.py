"""`chaos find`, `monkey` and `gameday` on a system in memory, through the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaos.played import WORKLOADS, Played
from mainstay.adapters.memory_faults import MemoryInjector
from mainstay.adapters.texts import write_text
from mainstay.chaos.grammar import GRAMMAR
from mainstay.chaos.operations import gameday as gameday_room
from mainstay.chaos.operations import minimal as minimal_room
from mainstay.chaos.operations import monkey as monkey_room
from mainstay.chaos.operations.engine import execute
from mainstay.chaos.operations.gameday import GameDayRequest, gameday
from mainstay.chaos.operations.hands import PlayedHands
from mainstay.chaos.operations.minimal import FindRequest, minimal
from mainstay.chaos.operations.monkey import MonkeyRequest, monkey
from mainstay.chaos.operations.planning import Options
from mainstay.chaos.spec import Experiment
from mainstay.chaos.state import Run
from mainstay.chaos.written import as_yaml, document_of
from mainstay.kernel.catalog import load
from mainstay.kernel.errors import Conflict, InvalidInput, NotAllowed
from mainstay.kernel.faults import Means, Order
from mainstay.kernel.finding import errors_of
from mainstay.kernel.journal import Batch, FactQuery, NewFact
from mainstay.kernel.ports import ServiceStanding, World

STRESS = """
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: api-under-stress, displayName: The api bears all of it, owner: team-api}
spec:
  target: api
  description: Everything at once.
  hypothesis: {title: it answers, probes: [{name: api answers, type: health, faster_than: 500ms, timeout: 3s}]}
  faults:
    - {kind: dependency-slow, dependency: auth, settings: {latency: 2s}}
    - {kind: cpu-stress}
    - {kind: packet-loss, settings: {loss: 5%}}
    - {kind: memory-stress, settings: {size: 64MiB}}
  duration: 10s
  stabilise: 10s
  rollback: [restart the api]
"""
CALM = """
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: auth-a-little-slow}
spec:
  target: api
  hypothesis: {probes: [{name: api answers, type: health}]}
  faults: [{kind: dependency-slow, dependency: auth, settings: {latency: 100ms}}]
  duration: 10s
  stabilise: 10s
"""
MONKEY = """
apiVersion: mainstay/v1
kind: ChaosMonkey
metadata: {name: weekdays}
spec:
  experiments: [{name: auth-a-little-slow, probability: 100%}]
  hours: {zone: UTC, days: [fri], from: "09:00", to: "15:00"}
"""
DAY = """
apiVersion: mainstay/v1
kind: GameDay
metadata: {name: november, displayName: A calm day}
spec:
  roles: {commander: [ana], network: [ben]}
  steps:
    - {experiment: auth-a-little-slow, starts: commander, expect: nothing}
    - {experiment: auth-a-little-slow, starts: network}
"""


class Practised(Played):
    """A world in memory whose catalog holds everything of the word; the engine plays on its clock."""

    def __init__(self, folder: Path, *texts: str) -> None:
        super().__init__()
        (folder / "all.yaml").write_text("\n---\n".join((WORKLOADS, *texts)))
        self.catalog, findings = load([folder / "all.yaml"], GRAMMAR)
        assert not errors_of(findings), findings
        self.world = replace(self.world, catalog=self.catalog)


@pytest.fixture(autouse=True)
def played_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's threads are played on the clock of the world, as in every test of the engine."""
    def on_the_clock(world: World, experiment: Experiment, options: Options | None = None) -> Run:
        return execute(world, experiment, options or Options(), PlayedHands(world.clock))  # type: ignore[arg-type]

    for room in (minimal_room, monkey_room, gameday_room):
        monkeypatch.setattr(room, "execute", on_the_clock)


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Practised]:
    return lambda *texts: Practised(tmp_path, *texts)


# -- find -------------------------------------------------------------------------------------------------------------


def test_of_four_faults_the_one_that_breaks_it_is_found_with_its_strength(made: Callable[..., Practised]) -> None:
    room = made(STRESS)
    found = minimal(room.world, FindRequest("api-under-stress", steady=True))
    assert list(found.strengths) == ["1.1 dependency-slow api → auth"]
    # The system answers in 5 ms and the latency on top; the ladder's first step at which that is above 500 ms.
    assert 0.495 < found.strengths["1.1 dependency-slow api → auth"] <= 0.63
    assert found.checked
    assert found.questions <= 16
    assert len(found.runs) == found.questions
    assert all(one.ended for one in _runs(room))


class OneProcess(MemoryInjector):
    """Of each workload there is one process, of which no part can be paused."""

    def means(self, order: Order) -> Means:
        if order.kind == "process-pause" and order.share < 1:
            raise InvalidInput(f"a share of {order.share:.3g} of 1 process is none")
        return super().means(order)


def test_a_fault_that_cannot_be_weaker_here_is_found_as_it_is(made: Callable[..., Practised]) -> None:
    room = made(STRESS.replace("- {kind: cpu-stress}", "- {kind: process-pause}").replace("2s", "20ms"))
    room.world = replace(room.world, injector=lambda: OneProcess(room.system))
    room.system.unbearable = {"process-pause": 0.0}
    found = minimal(room.world, FindRequest("api-under-stress", steady=True))
    assert (found.strengths, found.checked) == ({"1.2 process-pause api": 1.0}, True)


def test_the_smallest_cause_is_kept_as_an_experiment_that_breaks_again(made: Callable[..., Practised],
                                                                      tmp_path: Path) -> None:
    room = made(STRESS)
    found = minimal(room.world, FindRequest("api-under-stress", steady=True))
    assert "Found by mainstay chaos find api-under-stress" in found.yaml
    again = Practised(tmp_path, found.yaml)
    (kept,) = again.catalog.of(Experiment)
    assert (kept.name, len(kept.phases[0].faults), kept.rollback) == (
        "api-under-stress-minimal", 1, ("restart the api",))
    assert str(execute(again.world, kept, hands=PlayedHands(again.clock)).status) == "failed"


def test_what_is_to_be_filed_is_a_fact_that_names_what_is_enough(made: Callable[..., Practised]) -> None:
    room = made(STRESS)
    assert not minimal(room.world, FindRequest("api-under-stress", steady=True)).filed
    found = minimal(room.world, FindRequest("api-under-stress", steady=True, file=True))
    (fact,) = room.journal.facts(FactQuery(kinds=("weakness.",)))
    assert (found.filed, fact.subject, fact.actor, fact.data["services"]) == (True, "api-under-stress", "ana", ["api"])
    assert fact.data["faults"] == list(found.faults)
    assert fact.data["title"] == "it answers"


def test_what_holds_is_not_filed(made: Callable[..., Practised]) -> None:
    room = made(CALM)
    assert not minimal(room.world, FindRequest("auth-a-little-slow", steady=True, file=True)).filed
    assert not list(room.journal.facts(FactQuery(kinds=("weakness.",))))


def test_a_file_that_is_not_there_yet_is_made_and_one_that_is_keeps_its_rights(tmp_path: Path) -> None:
    file = tmp_path / "regression.yaml"
    write_text(str(file), "kind: Experiment\n")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("kind: Experiment\n", 0o644)
    file.chmod(0o600)
    write_text(str(file), "kind: Workload\n")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("kind: Workload\n", 0o600)
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_text(str(tmp_path / "nowhere" / "regression.yaml"), "")


def test_a_hypothesis_that_holds_has_no_cause(made: Callable[..., Practised]) -> None:
    found = minimal(made(CALM).world, FindRequest("auth-a-little-slow", steady=True))
    assert (found.faults, found.yaml, len(found.runs)) == ((), "", 1)


def test_runs_that_prove_nothing_end_the_search_with_the_reason(made: Callable[..., Practised]) -> None:
    room = made(CALM)
    room.system.failed_until = float("inf")
    with pytest.raises(Conflict, match="ended invalid: the steady state was not there"):
        minimal(room.world, FindRequest("auth-a-little-slow", steady=True))


@pytest.mark.parametrize("changed", [{"steps": 1}, {"error": 0.5}])
def test_a_search_that_makes_no_sense_is_refused(made: Callable[..., Practised], changed: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        minimal(made(CALM).world, replace(FindRequest("auth-a-little-slow"), **changed))  # type: ignore[arg-type]


def _runs(room: Practised) -> list[Run]:
    from mainstay.chaos.operations.finding import runs_of

    return list(runs_of(room.world).values())


# -- monkey -----------------------------------------------------------------------------------------------------------


def test_without_go_nothing_is_begun_and_with_it_what_was_drawn_is(made: Callable[..., Practised]) -> None:
    room = made(CALM, MONKEY)
    said = monkey(room.world, MonkeyRequest())
    assert ([one.outcome for one in said.choices], said.run) == (["strikes"], "")
    assert not _runs(room)
    went = monkey(room.world, MonkeyRequest(go=True))
    assert (went.status, went.run) == ("passed", "EXP-1")


def test_one_look_goes_once_and_the_next_day_again(made: Callable[..., Practised]) -> None:
    room = made(CALM, MONKEY)
    monkey(room.world, MonkeyRequest(go=True))
    assert monkey(room.world, MonkeyRequest(go=True)).choices[0].outcome == "too soon"
    room.clock.set(datetime(2026, 12, 4, 12, tzinfo=UTC))
    assert monkey(room.world, MonkeyRequest(go=True)).run == "EXP-2"


def test_a_month_is_simulated_without_touching_anything(made: Callable[..., Practised]) -> None:
    room = made(CALM, MONKEY)
    found = monkey(room.world, MonkeyRequest(simulate="28d"))
    struck = [one for one in found.choices if one.outcome == "strikes"]
    assert len(struck) == 5
    assert all(one.at.weekday() == 4 for one in struck)
    assert room.journal.head() == 0


def test_a_low_budget_and_an_open_incident_hold_it_back(made: Callable[..., Practised]) -> None:
    room = made(CALM, MONKEY)
    low = replace(room.world, standing=lambda world, services: (
        ServiceStanding("api-up", "api", "at_risk", "30d", 0.7, 1.0),))
    assert monkey(low, MonkeyRequest(go=True)).choices[0].outcome == "budget low"
    room.journal.commit(Batch([NewFact("incident.opened", "INC-1", room.clock.now(), {"service": "api"})]))
    assert monkey(room.world, MonkeyRequest(go=True)).choices[0].outcome == "incident open"
    assert not _runs(room)


def test_what_the_engine_refuses_is_said_and_recorded(made: Callable[..., Practised]) -> None:
    room = made(CALM.replace("stabilise: 10s", "stabilise: 10s\n  budget: {keep: 10%}"), MONKEY)
    went = monkey(room.world, MonkeyRequest(go=True))
    assert (went.run, "nothing was measured" in went.problem) == ("", True)
    assert [fact.kind for fact in room.journal.facts(FactQuery(kinds=("monkey.",)))] == [
        "monkey.struck", "monkey.refused"]


def test_simulate_and_go_exclude_each_other(made: Callable[..., Practised]) -> None:
    with pytest.raises(InvalidInput, match="exclude each other"):
        monkey(made(CALM, MONKEY).world, MonkeyRequest(go=True, simulate="1d"))


# -- game day ---------------------------------------------------------------------------------------------------------


def test_a_game_day_is_played_by_those_who_hold_the_roles(made: Callable[..., Practised]) -> None:
    room = made(CALM, DAY)
    with pytest.raises(Conflict, match="not begun"):
        gameday(room.world, GameDayRequest("november", step=1, go=True))
    gameday(room.world, GameDayRequest("november", begin=True))
    found = gameday(room.world, GameDayRequest("november", step=1, go=True))
    assert (found.day.steps[0].run, found.day.steps[0].status) == ("EXP-1", "passed")
    with pytest.raises(NotAllowed, match="does not hold the role network"):
        gameday(room.world, GameDayRequest("november", step=2, go=True))
    gameday(room.world, GameDayRequest("november", step=2, no_go="it is late", by="ben", note="next time"))
    done = gameday(room.world, GameDayRequest("november", close=True))
    assert (done.day.next_step, done.day.closed is not None) == (None, True)
    assert "Of 2 steps: 1 held, 0 broke, 1 skipped, 0 open." in done.text
    assert "ben: next time" in done.text


def test_a_game_day_that_goes_on_is_not_begun_twice(made: Callable[..., Practised]) -> None:
    room = made(CALM, DAY)
    gameday(room.world, GameDayRequest("november", begin=True))
    with pytest.raises(Conflict, match="goes on since"):
        gameday(room.world, GameDayRequest("november", begin=True))
    with pytest.raises(InvalidInput, match="exclude each other"):
        gameday(room.world, GameDayRequest("november", begin=True, close=True))


# -- written ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [STRESS, CALM, """
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: everything, service: shop}
spec:
  target: api
  hypothesis:
    title: all is well
    every: 250ms
    misses: 2
    probes:
      - {name: one, type: http, url: "http://127.0.0.1/x", method: POST, body: "{}", headers: {a: b}, verify: false,
         tolerance: {type: regex, pattern: "^ok", target: body}}
      - {name: two, type: tcp, address: "127.0.0.1:1"}
      - {name: three, type: process, command: [true], tolerance: [0, 1]}
      - {name: four, type: http, url: /x, tolerance: {type: jsonpath, path: $.a, expect: [1], count: 1}}
      - {name: five, type: http, url: /x, tolerance: {type: int, criteria: between, value: [1, 5], target: status}}
  phases:
    - {name: first, pause: 5s, duration: 1500ms, faults: [{kind: clock-skew, settings: {offset: -90m}}]}
    - {duration: 1h, faults: [{kind: packet-loss, settings: {loss: 0.5%}, share: 12.5%},
                              {kind: io-error, settings: {error: ENOSPC, rate: 10%}}]}
  abort_when: {burn_rate: 14.4, spent: 80%, incident: false}
  budget: {keep: 20%, impact: 50%}
  hours: {zone: Europe/Berlin, days: [mon, wed], from: "09:00", to: "15:30"}
  widen: {shares: [1%, 10%, 100%], healthy: 1%, unhealthy: 5%, longest: 2m}
  manual: true
"""])
def test_an_experiment_that_is_written_down_is_read_as_it_was(tmp_path: Path, text: str) -> None:
    def read(source: str) -> Experiment:
        (tmp_path / "one.yaml").write_text(WORKLOADS + "\n---\n" + source)
        catalog, findings = load([tmp_path / "one.yaml"], GRAMMAR)
        assert not errors_of(findings), findings
        (one,) = catalog.of(Experiment)
        return one

    before = read(text)
    after = read(as_yaml(document_of(before), "written down"))
    placed = {"origin": before.origin, "phases": tuple(replace(phase, name=old.name, faults=tuple(
        replace(fault, where=was.where) for fault, was in zip(phase.faults, old.faults, strict=True)))
        for phase, old in zip(after.phases, before.phases, strict=True))}
    assert replace(after, **placed) == before
