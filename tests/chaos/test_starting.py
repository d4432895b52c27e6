"""`chaos start` and the monkeys of `mainstay serve`: what is begun apart, what is refused, and each look once.

The process that a run would be in is played: the words of the command are carried out here, on the clock of the world.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chaos.played import SLOW, WORKLOADS, Played
from mainstay.chaos.grammar import GRAMMAR
from mainstay.chaos.monkey import ChaosMonkey
from mainstay.chaos.operations.engine import execute
from mainstay.chaos.operations.finding import runs_of
from mainstay.chaos.operations.hands import PlayedHands
from mainstay.chaos.operations.monkey import MonkeyRequest, look_around, monkey
from mainstay.chaos.operations.planning import Options
from mainstay.chaos.operations.running import RUN, RunRequest
from mainstay.chaos.operations.starting import StartRequest, start
from mainstay.chaos.spec import Experiment
from mainstay.doors import flags
from mainstay.doors.house.monkeys import Monkeys
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.errors import Conflict, InvalidInput, MainstayError, NotAllowed, NotFound
from mainstay.kernel.finding import errors_of
from mainstay.kernel.journal import Batch, FactQuery, NewFact
from mainstay.kernel.locks import take
from mainstay.kernel.ports import ServiceStanding, World

FRIDAYS = """
apiVersion: mainstay/v1
kind: ChaosMonkey
metadata: {name: fridays}
spec:
  experiments: [{name: auth-slow, probability: 100%}]
  hours: {zone: UTC, days: [fri], from: "09:00", to: "15:00"}
  between: 2h
  seed: 11
"""
GOING = FRIDAYS.replace("seed: 11", "seed: 11\n  dry_run: false")
CALLING = SLOW.replace("{name: api answers, type: health}",
                       "{name: api answers, type: python, module: os, function: getpid, tolerance: 1}")


@dataclass
class PlayedCommand:
    """What became of a command that was played; its process is this one."""

    exit: int = 0
    words_said: str = ""
    told: bool = False

    @property
    def process(self) -> str:
        return f"{os.uname().nodename}:{os.getpid()}"

    def code(self) -> int | None:
        return self.exit

    def said(self) -> str:
        return self.words_said

    def end(self) -> None:
        self.told = True


class Room(Played):
    """A world in which commands that are begun are carried out at once."""

    def __init__(self, *texts: str) -> None:
        super().__init__(SLOW)
        if texts:
            self.catalog = _catalog(*texts)
        self.commands: list[Sequence[str]] = []
        self.world = replace(self.world, catalog=self.catalog, command=self.command)

    def command(self, words: Sequence[str]) -> PlayedCommand:
        self.commands.append(words)
        assert words[:2] == ["chaos", "run"]
        request, _ = flags.parse(RUN, words[2:])
        assert isinstance(request, RunRequest)
        try:
            execute(replace(self.world, actor=request.by), self.catalog.get(Experiment, request.experiment),
                    replace(request.options, reference=request.reference), PlayedHands(self.clock))
        except MainstayError as error:
            return PlayedCommand(2, f"error: {error.message}")
        return PlayedCommand()


def _catalog(*texts: str) -> Catalog:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "all.yaml")
        file.write_text("\n---\n".join((WORKLOADS, *texts)), encoding="utf-8")
        catalog, findings = load([file], GRAMMAR)
    assert not errors_of(findings), findings
    return catalog


# -- start ------------------------------------------------------------------------------------------------------------


def test_what_is_started_apart_is_a_run_of_whoever_asked_and_carries_what_for() -> None:
    room = Room()
    found = start(replace(room.world, actor="ben"), StartRequest("auth-slow", 7, "10s", "pipeline 12"))
    run = runs_of(room.world)[found.run]
    assert (found.run, found.by, run.by, run.seed, run.reference) == ("EXP-1", "ben", "ben", 7, "pipeline 12")
    assert (run.ended - run.started).total_seconds() < 25, "it lasts ten seconds, and not thirty"  # type: ignore[operator]


def test_what_forbids_it_is_said_and_no_process_is_begun() -> None:
    room = Room()
    room.journal.commit(Batch([NewFact("incident.opened", "INC-1", room.clock.now(), {"service": "api"})]))
    with pytest.raises(NotAllowed, match="INC-1 is open on api"):
        start(room.world, StartRequest("auth-slow"))
    assert room.commands == []


def test_a_python_probe_and_a_file_are_for_a_terminal() -> None:
    with pytest.raises(NotAllowed, match="only mainstay chaos run --allow-python"):
        start(Room(CALLING).world, StartRequest("auth-slow"))
    with pytest.raises(InvalidInput, match="is a file") as refused:
        start(Room().world, StartRequest("experiment.json"))
    assert "mainstay chaos run experiment.json" in refused.value.way_out
    with pytest.raises(NotFound):
        start(Room().world, StartRequest("auth-slwo"))


def test_a_command_that_ends_before_it_is_a_run_is_told_with_its_own_words() -> None:
    room = Room()
    world = replace(room.world, command=lambda words: PlayedCommand(2, "error: the store is gone"))
    with pytest.raises(Conflict, match="error: the store is gone"):
        start(world, StartRequest("auth-slow"))


def test_a_command_that_does_not_begin_in_time_is_told_to_end() -> None:
    class Hanging(PlayedCommand):
        def code(self) -> int | None:
            return None

    hanging = Hanging()
    with pytest.raises(Conflict, match="not begun within 20 s"):
        start(replace(Room().world, command=lambda words: hanging), StartRequest("auth-slow"))
    assert hanging.told


# -- the monkeys of a server ------------------------------------------------------------------------------------------


def looked(room: Room, server: Monkeys, hours: float) -> None:
    """The server's rounds over so many hours."""
    end = room.clock.now() + timedelta(hours=hours)
    while room.clock.now() < end:
        server.look()
        room.clock.advance(timedelta(seconds=20))


def kinds(room: Room) -> list[str]:
    return [fact.kind for fact in room.journal.facts(FactQuery(kinds=("monkey.",)))]


def test_a_monkey_only_writes_down_what_it_would_begin_until_it_says_otherwise() -> None:
    room = Room(SLOW, FRIDAYS)
    looked(room, Monkeys(lambda: room.world), 5)
    # At 12 and at 14: two hours lie between, as they would if it were in earnest; from 15 on it rests.
    assert [(fact.kind, fact.at.hour, fact.data["seed"]) for fact in room.journal.facts(FactQuery(kinds=("monkey.",)))
            ] == [("monkey.spared", 12, 11), ("monkey.spared", 14, 11)]
    assert (room.commands, runs_of(room.world)) == ([], {})
    found = monkey(room.world, MonkeyRequest())
    assert [one.what for one in found.past] == ["spared", "spared"]
    assert found.dry_run


def test_in_earnest_each_look_begins_a_run_apart_that_its_history_names() -> None:
    room = Room(SLOW, GOING)
    looked(room, Monkeys(lambda: replace(room.world, actor="system")), 2.5)
    assert [run.status for run in runs_of(room.world).values()] == ["passed", "passed"]
    past = monkey(room.world, MonkeyRequest()).past
    assert [(one.what, one.run, one.status, one.by, one.seed) for one in past] == [
        ("begun", "EXP-1", "passed", "system", 11), ("begun", "EXP-2", "passed", "system", 11)]
    simulated = [one.at.hour for one in monkey(Room(SLOW, GOING).world, MonkeyRequest(simulate="3h")).choices
                 if one.outcome == "strikes"]
    assert simulated == [one.at.hour for one in past] == [12, 14]


def test_of_two_servers_one_goes() -> None:
    room = Room(SLOW, GOING)
    for _ in range(2):
        Monkeys(lambda: room.world).look()
    assert len(runs_of(room.world)) == 1


def test_a_look_that_was_slept_through_is_not_made_up_for() -> None:
    room = Room(SLOW, GOING)
    room.clock.set(datetime(2026, 11, 27, 12, 30, tzinfo=UTC))
    Monkeys(lambda: room.world).look()
    assert kinds(room) == []


@pytest.mark.parametrize(("hindered", "says"), [
    ("budget", ""), ("incident", ""), ("halted", "has stopped all experiments"), ("locked", "acts on api")])
def test_what_forbids_a_run_forbids_the_monkeys(hindered: str, says: str) -> None:
    room = Room(SLOW, GOING)
    world: World = room.world
    match hindered:
        case "budget":
            world = replace(world, standing=lambda world, services: (
                ServiceStanding("api-up", "api", "at_risk", "30d", 0.9, 1.0),))
        case "incident":
            room.journal.commit(Batch([NewFact("incident.opened", "INC-1", room.clock.now(), {"service": "api"})]))
        case "halted":
            room.journal.commit(Batch([NewFact("chaos.halted", "all", room.clock.now(), {"why": ""})]))
        case "locked":
            take(room.journal, ["api"], "experiment EXP-9", room.clock.now(), timedelta(hours=1))
    (one,) = room.catalog.of(ChaosMonkey)
    assert says in look_around(world, one)
    assert (room.commands, kinds(room)) == ([], ["monkey.struck", "monkey.refused"] if says else [])
    if says:
        assert [(each.what, says in each.why) for each in monkey(world, MonkeyRequest()).past] == [("refused", True)]


def test_the_options_of_a_look_are_the_seed_that_was_drawn() -> None:
    room = Room(SLOW, GOING)
    Monkeys(lambda: room.world).look()
    (run,) = runs_of(room.world).values()
    again = Room(SLOW, GOING)
    Monkeys(lambda: again.world).look()
    (other,) = runs_of(again.world).values()
    assert (run.seed, run.reference) == (other.seed, "monkey:fridays:2026-11-27T12:00:00+00:00")
    assert run.seed != Options().seed
