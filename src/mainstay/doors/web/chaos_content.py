"""The pages of experiments, of one run and of the failure modes, filled from what the operations found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from urllib.parse import quote

from mainstay.chaos.catalogue import Measurement, Row, covered_by, meaning, mitigations
from mainstay.chaos.gameday import GameDay, state_of
from mainstay.chaos.lifecycle import Stage, Status
from mainstay.chaos.matrix import FAULT_OF, Trouble
from mainstay.chaos.matrix_view import TONES as STATE_TONES
from mainstay.chaos.matrix_view import WORDS, advice_table, pairs_words, share_words, time_words, verdict
from mainstay.chaos.monkey import ChaosMonkey
from mainstay.chaos.operations.finding import lost, run_named, runs_of
from mainstay.chaos.operations.matrix import latest
from mainstay.chaos.operations.monkey import Past, ahead, told
from mainstay.chaos.operations.planning import Options, prepare
from mainstay.chaos.operations.starting import START
from mainstay.chaos.operations.stopping import ABORT
from mainstay.chaos.operations.telling import plan_tables
from mainstay.chaos.price import Price
from mainstay.chaos.spec import Experiment
from mainstay.chaos.state import HALTED, LIFTED, Run, Sample, halted
from mainstay.chaos.view import MEANINGS, SIGNS, TONES, faults_table, figures_table, timeline
from mainstay.chaos.view import share_words as radius_words
from mainstay.doors.web.chaos_pages import (
    ExperimentRow,
    ExperimentsPage,
    FailureMode,
    GoingOn,
    MatrixBox,
    MatrixPage,
    ModeCell,
    ModeGrid,
    ModeRow,
    RunPage,
    StartPage,
    Verdict,
)
from mainstay.doors.web.incident_pages import Ticking
from mainstay.doors.web.pages import Page, PageQuery
from mainstay.doors.web.slo_pages import Choice
from mainstay.kernel.errors import NotFound
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import State, format_duration
from mainstay.kernel.view import SIGNS as STATE_SIGNS
from mainstay.kernel.view import Cell, Chart, Line, Mark, Table, Timeline, Tone, table
from mainstay.kernel.wording import many
from mainstay.kernel.workload import Workload

_STATES: Mapping[Status, State] = {
    Status.PASSED: "healthy", Status.FAILED: "violated", Status.ABORTED: "at_risk", Status.INVALID: "no_data",
    Status.RUNNING: "at_risk", Status.PENDING: "no_data"}
_PAST = 8
_AHEAD, _LOOKS = timedelta(days=14), 1000
_WAY = (("before", Stage.BEFORE), ("putting in", Stage.INJECTING), ("during", Stage.DURING),
        ("taking out", Stage.REMOVING), ("after", Stage.AFTER), ("ended", Stage.ENDED))


def link_to(run: str) -> str:
    """The address of a run's page."""
    return f"chaos/show?name={quote(run)}"


def chaos_pages() -> tuple[Page, ...]:
    """The hand-made pages of the word."""
    return (Page("/chaos", "Experiments", "chaos.html", experiments_page, word="chaos", forms={"abort": ABORT}),
            Page("/chaos/matrix", "Failure modes", "failure_modes.html", matrix_page, word="chaos"),
            Page("/chaos/start", "Begin", "chaos_start.html", start_page, word="chaos", listed=False,
                 forms={"start": START}, leads=lambda started: link_to(started.run)),
            Page("/chaos/show", "Run", "chaos_run.html", run_page, word="chaos", listed=False, forms={"abort": ABORT}))


def link_to_start(experiment: str) -> str:
    """The address of the page on which an experiment is begun."""
    return f"chaos/start?name={quote(experiment)}"


def _verdict(status: Status) -> Verdict:
    return Verdict(SIGNS[status], str(status), TONES[status])


# -- experiments -----------------------------------------------------------------------------------------------------


def experiments_page(world: World, query: PageQuery) -> ExperimentsPage:  # noqa: ARG001  (it takes no fields)
    """Every experiment, what goes on first."""
    runs = list(runs_of(world).values())
    now, declared = world.clock.now(), world.catalog.of(Experiment)
    open_ones = [run for run in runs if run.ended is None]
    gone = [run.id for run in open_ones if lost(world, run)]
    rows = sorted((_row(one, [run for run in runs if run.experiment == one.name]) for one in declared), key=_worst)
    switch = halted(world.journal.facts(FactQuery(kinds=(HALTED, LIFTED))))
    words, tone = _sum(rows)
    return ExperimentsPage(
        words, tone, "" if switch is None else f"{switch.actor} stopped all experiments"
        + (f": {switch.data['why']}" if switch.data.get("why") else "") + ". None begins until that is lifted.",
        tuple(_going_on(run, now) for run in open_ones if run.id not in gone), tuple(gone), tuple(rows), _box(world),
        _monkeys(world), _days(world),
        "" if rows else "The catalog declares no experiment. docs/guides/chaos.md shows how one is written, and "
                        "mainstay chaos import FILE -o DIR takes them over from other tools.")


def _worst(row: ExperimentRow) -> tuple[int, str]:
    order: Mapping[Tone, int] = {"bad": 0, "warn": 1, "strong": 1, "quiet": 2, "good": 3}
    return (2 if row.verdict is None else order.get(row.verdict.tone, 2)), row.name


def _sum(rows: Sequence[ExperimentRow]) -> tuple[str, Tone]:
    count: dict[str, int] = {}
    for row in rows:
        word = "never run" if row.verdict is None else row.verdict.word
        count[word] = count.get(word, 0) + 1
    if not rows:
        return "No experiment is declared.", "quiet"
    parts = [f"{count[word]} {word}" for word in ("failed", "aborted", "invalid", "running", "never run", "passed")
             if word in count]
    return f"{many(len(rows), 'experiment')}: {', '.join(parts)}.", \
        "bad" if "failed" in count else "good" if count.get("passed") == len(rows) else "warn"


def _row(one: Experiment, runs: Sequence[Run]) -> ExperimentRow:
    last = runs[-1] if runs else None
    faults = ", ".join(dict.fromkeys(fault.kind for phase in one.phases for fault in phase.faults))
    shown = ExperimentRow(one.name, one.title or one.hypothesis.title, one.target, faults, radius_words(one.share),
                          format_duration(one.seconds), None, "", "", None, "", (), link_to_start(one.name))
    if last is None:
        return shown
    past = tuple((_verdict(run.status), link_to(run.id)) for run in reversed(runs[-_PAST - 1:-1]))
    return ExperimentRow(shown.name, shown.title, shown.target, shown.faults, shown.radius, shown.lasts,
                         _verdict(last.status), last.id, link_to(last.id), last.started or last.asked,
                         last.reasons[0] if last.reasons else "", past, shown.start)


def _going_on(run: Run, now: datetime) -> GoingOn:
    faults = ", ".join(f"{one.kind} on {one.workload}" for one in run.faults if one.removed is None)
    return GoingOn(run.id, link_to(run.id), run.experiment, run.target, str(run.stage), _up(run.started, now), faults)


def _up(since: datetime | None, now: datetime) -> Ticking | None:
    if since is None:
        return None
    return Ticking(format_duration(now - since), (now - since).total_seconds(), "up")


def _measured(world: World) -> Measurement | None:
    try:
        return latest(world)
    except NotFound:
        return None  # the page then says how one is measured


def _box(world: World) -> MatrixBox | None:
    found = _measured(world)
    return None if found is None else MatrixBox(*verdict(found), found.at)


def _monkeys(world: World) -> Table | None:
    declared = world.catalog.of(ChaosMonkey)
    if not declared:
        return None
    rows = []
    for one in declared:
        # One that looks every minute is not played through for weeks each time that somebody opens the page.
        length = min(_AHEAD, one.every * _LOOKS)
        coming = [choice for choice in ahead(world, one, length) if choice.outcome == "strikes"]
        first = coming[0] if coming else None
        last = next(iter(reversed(told(world, one))), None)
        rows.append((one.name, Cell(f"{first.at:%a %-d %b %H:%M}", at=first.at) if first else "–",
                     first.experiment if first else "–", f"{len(coming)} in {format_duration(length)}",
                     "only writes it down" if one.dry_run else "begins it", _last(last)))
    return table("Chaos monkeys, if things stay as they are",
                 ("monkey", "next", "experiment", "ahead>", "this server", "last"), rows)


def _last(one: Past | None) -> Cell:
    if one is None:
        return Cell("nothing yet", "quiet")
    became = f", {one.run} {one.status}" if one.run else f": {one.why}" if one.why else ""
    return Cell(f"{one.experiment} {one.what} {one.at:%a %-d %b %H:%M}{became}",
                link=link_to(one.run) if one.run else "")


def _days(world: World) -> Table | None:
    declared = world.catalog.of(GameDay)
    if not declared:
        return None
    facts = list(world.journal.facts(FactQuery(kinds=("gameday.",))))
    rows: list[tuple[str | Cell, ...]] = []
    for one in declared:
        state = state_of(one, facts)
        done = sum(step.state in ("ran", "no-go") for step in state.steps)
        stands = "closed" if state.closed else "goes on" if state.begun else "not begun"
        rows.append((one.name, Cell(f"{one.on:%-d %b %H:%M}", at=one.on) if one.on else "–", stands,
                     f"{done} of {len(state.steps)}"))
    return table("Game days", ("game day", "on", "stands", "steps done>"), rows)


# -- before a run ----------------------------------------------------------------------------------------------------


_HEALERS = {"kernel-owned": "the kernel", "expiring": "their own end", "guardian": "a guardian",
            "manual": "nobody but people"}


def start_page(world: World, query: PageQuery) -> StartPage:
    """What a run would do, what it may cost and what forbids it; nothing is touched.

    Raises:
        NotFound: the catalog declares no such experiment.
    """
    experiment = world.catalog.get(Experiment, query.get("name"))
    plan = prepare(world, experiment, Options()).plan
    on = next((run for run in runs_of(world).values() if run.experiment == experiment.name and run.ended is None
               and not lost(world, run)), None)
    healing = dict.fromkeys(_HEALERS[one.healing] for one in plan.faults if one.healing)
    hours = ", ".join(map(str, experiment.hours.weekly))
    return StartPage(
        experiment.name, experiment.title or experiment.hypothesis.title, plan.target, plan.refusals,
        radius_words(experiment.share), format_duration(plan.seconds), _budget(plan.prices),
        ", ".join(healing) or "nobody", f"{hours} {experiment.hours.zone}" if hours else "at any time",
        tuple(plan_tables(plan)), plan.notes, (on.id, link_to(on.id)) if on is not None else None)


def _budget(prices: Sequence[Price]) -> str:
    known = [one for one in prices if one.affordable is not None]
    if not known:
        return "not measured"
    dear = [one.objective for one in known if not one.affordable]
    return f"{', '.join(dear)} cannot pay" if dear else f"{many(len(known), 'objective')} can pay"


# -- one run ---------------------------------------------------------------------------------------------------------


def run_page(world: World, query: PageQuery) -> RunPage:
    """One run."""
    run = run_named(world, query.get("name") or "last")
    now, gone = world.clock.now(), lost(world, run)
    goes_on = run.ended is None and not gone
    declared = world.catalog.find(Experiment, run.experiment)
    stuck = run.ended is not None and any(fault.removed is None for fault in run.faults)
    sentence = "its process is gone; mainstay chaos recover takes out what it left" if gone else MEANINGS[run.status]
    state: State = "violated" if gone else _STATES[run.status]
    return RunPage(
        run.id, run.experiment, run.target, run.title, _verdict(run.status), state, sentence, run.reasons, goes_on,
        gone, run.by, run.started, run.ended, _up(run.started, now) if goes_on else None,
        format_duration(run.ended - run.started) if run.ended and run.started else "–",
        "–" if run.reaction is None else f"{run.reaction * 1000:.0f} ms", radius_words(run.reached), _way(run),
        tuple(_pictures(run)), faults_table(run.faults), figures_table(run), _told(run), run.notes,
        declared.rollback if stuck and declared is not None else (),
        f"mainstay chaos run {run.experiment}" if declared is not None else "",
        link_to_start(run.experiment) if declared is not None and not goes_on else "")


def _way(run: Run) -> tuple[Choice, ...]:
    return tuple(Choice(words, "", stage == run.stage) for words, stage in _WAY)


def _after(run: Run, at: datetime) -> str:
    """`+4.2 s`: a run is often over within a minute, which is all that a clock on the page tells apart."""
    return f"+{max(0.0, (at - run.started).total_seconds()):.1f} s" if run.started is not None else ""


def _told(run: Run) -> Timeline:
    found = timeline(run)
    return replace(found, entries=tuple(replace(one, text=f"{_after(run, one.at)}  {one.text}")
                                        for one in found.entries))


_POINTS = 300


def _pictures(run: Run) -> Iterable[Chart]:
    """A chart for each probe: how long its answers took, the faults as bands, breaches as marks."""
    started = run.started
    if started is None:
        return
    marks = tuple(_marks(run, started))
    for index, probe in enumerate(run.probes):
        mine = sorted((sample for sample in run.samples if sample.probe == index), key=lambda sample: sample.at)
        missed = sum(not sample.ok for sample in mine)
        finding = f"{probe['name']}: {missed} of {many(len(mine), 'answer')} not as they must be" if missed else \
            f"{probe['name']}: {many(len(mine), 'answer')}, each as it must be"
        times, values, bad = _slots(started, mine)
        lines = (Line("answer", values), Line("not as it must be", bad, "bad")) if missed else (Line("answer", values),)
        yield Chart(finding if mine else f"{probe['name']}: nothing measured yet", times, lines if mine else (), "ms",
                    marks=marks, query=f"{probe['name']}: {probe['tolerance']}",
                    empty="Answers are written down every few seconds while it runs.")


def _slots(started: datetime, samples: Sequence[Sample]) -> tuple[
        tuple[datetime, ...], tuple[float | None, ...], tuple[float | None, ...]]:
    """The slowest answer of each slot, in milliseconds: of all, and of those that were not as they must be."""
    if not samples:
        return (), (), ()
    width = max(samples[-1].at / _POINTS, 1e-3)
    times: list[datetime] = []
    values: list[float | None] = []
    bad: list[float | None] = []
    for _, group in groupby(samples, key=lambda sample: int(sample.at / width)):
        found = list(group)
        times.append(started + timedelta(seconds=found[0].at))
        values.append(max(one.seconds for one in found) * 1000)
        bad.append(max((one.seconds * 1000 for one in found if not one.ok), default=None))
    return tuple(times), tuple(values), tuple(bad)


def _marks(run: Run, started: datetime) -> Iterable[Mark]:
    end = run.ended or max([started + timedelta(seconds=one.at) for one in run.samples], default=started)
    for fault in run.faults:
        if fault.applied is not None:
            whose = f"{fault.workload} → {fault.dependency}" if fault.dependency else fault.workload
            yield Mark(fault.applied, f"{_after(run, fault.applied)}  {fault.kind} on {whose}, "
                       f"{radius_words(fault.share)}", "warn", until=fault.removed or end)
    for one in run.breaches:
        yield Mark(one.at, f"{_after(run, one.at)}  {one.text}", "bad")


# -- failure modes ---------------------------------------------------------------------------------------------------


def matrix_page(world: World, query: PageQuery) -> MatrixPage:
    """The degradation matrix and the catalogue of failure modes."""
    found = _measured(world)
    if found is None:
        return MatrixPage("", "quiet", None, "", "", (), (), None, (), None,
                          "No dependency was put into trouble yet. mainstay chaos matrix does it for real, "
                          "mainstay chaos matrix --dry-run says what it would do.")
    wanted = query.get("state")
    states = [one.state for one in found.rows]
    counts = tuple((state, states.count(state)) for state in ("violated", "at_risk", "healthy", "no_data")
                   if state in states)
    single = [one for one in found.rows if len(one.modes) == 1]
    shown = [one for one in found.rows if wanted in ("", one.state)]
    words, tone = verdict(found)
    return MatrixPage(
        words, tone, found.at, f"each trouble for {format_duration(found.seconds)}, {found.rate:g} requests a second, "
        f"callers wait {format_duration(found.patience)}" + (f", {pairs_words(found)}" if found.pairs else ""),
        found.stopped, counts,
        tuple(_grid(name, [one for one in single if one.dependencies == (name,)])
              for name in dict.fromkeys(one.dependencies[0] for one in single)),
        _pairs(found), tuple(_modes(world, shown)), advice_table(found) if found.advice else None)


def _anchor(case: str) -> str:
    return "mode-" + case.replace(" + ", "-and-").replace(" ", "-")


def _grid(dependency: str, rows: Sequence[Row]) -> ModeGrid:
    modes = tuple(dict.fromkeys(one.modes[0] for one in rows))
    by = {(one.workload, one.probe, one.modes[0]): one for one in rows}
    probes = dict.fromkeys((one.workload, one.probe) for one in rows)
    return ModeGrid(dependency, modes, tuple(
        ModeRow(workload, probe, tuple(_cell(one) if (one := by.get((workload, probe, mode))) is not None else None
                                       for mode in modes)) for workload, probe in probes))


def _cell(one: Row) -> ModeCell:
    promise = {"kept": "as promised", "broken": "not as promised", "undecided": "promise undecided"}
    figures = f"{share_words(one.errors)} fail, p99 {time_words(one.p99)}" if one.errors is not None else one.why
    return ModeCell(one.state, STATE_SIGNS[one.state][0], WORDS[one.verdict], promise.get(one.contract, ""), figures,
                    one.broken or one.why, _anchor(one.case))


def _pairs(found: Measurement) -> Table | None:
    if not any(len(one.modes) > 1 for one in found.rows):
        return None
    return table("Worse together", ("workload", "request", "case", "alone", "together"), [
        (one.workload, one.probe, Cell(one.case, link=f"chaos/matrix#{_anchor(one.case)}"), WORDS[one.alone],
         Cell(WORDS[one.together], "bad")) for one in found.worse],
        empty="No two troubles are worse together than the worse of them alone.")


def _modes(world: World, rows: Sequence[Row]) -> Iterable[FailureMode]:
    runs = {run.experiment: run for run in runs_of(world).values()}
    kinds = {one.name: frozenset((fault.kind, fault.dependency) for phase in one.phases for fault in phase.faults)
             for one in world.catalog.of(Experiment)}
    cases: dict[str, list[Row]] = {}
    for one in rows:
        cases.setdefault(one.case, []).append(one)
    for case, mine in sorted(cases.items(), key=lambda item: (_loudest(item[1])[0], item[0])):
        first = mine[0]
        troubles = [Trouble(*pair) for pair in zip(first.dependencies, first.modes, strict=True)]
        helps = dict.fromkeys(text for one in mine for text in mitigations(one.modes, one.verdict)
                              if one.state != "healthy")
        yield FailureMode(
            _anchor(case), case, _loudest(mine)[1], " ".join(meaning(mode) for mode in dict.fromkeys(first.modes)),
            tuple((one.state, f"{one.workload} {one.probe}: {WORDS[one.verdict]}; {one.broken or one.why}")
                  for one in mine), tuple(helps),
            tuple((name, link_to(runs[name].id) if name in runs else "", _verdict(runs[name].status)
                   if name in runs else None) for name in covered_by(troubles, kinds, FAULT_OF)),
            tuple(_runbooks(world, mine)), first.run, link_to(first.run) if first.run else "")


def _loudest(rows: Sequence[Row]) -> tuple[int, State]:
    order: tuple[State, ...] = ("violated", "at_risk", "no_data", "healthy")
    place = min(order.index(one.state) for one in rows)
    return place, order[place]


def _runbooks(world: World, rows: Sequence[Row]) -> Iterable[tuple[str, str]]:
    """Runbooks of the services concerned: whatever the catalog declares under that kind and of that service."""
    services = {one.service for row in rows if (one := world.catalog.find(Workload, row.workload)) is not None}
    services |= {name for row in rows for name in row.dependencies}
    for kind, declared in world.catalog.resources.items():
        if kind.__name__ == "Runbook":
            for name, runbook in declared.items():
                if getattr(runbook, "service", "") in services:
                    yield name, f"runbook/show?name={quote(name)}"


def tone_of(state: State) -> Tone:
    """The tone that a state is said in."""
    return STATE_TONES[state]
