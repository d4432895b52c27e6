"""`monitoring backtest` over ledgers, sources and files."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from mainstay.app import Settings, build_world
from mainstay.doors.as_json import encode
from mainstay.kernel.errors import InvalidInput, NoData, NotFound
from mainstay.kernel.finding import InvalidFiles
from mainstay.kernel.journal import Batch, NewFact
from mainstay.kernel.method import Occurrences, Timeslices
from mainstay.kernel.objective import ledger_key
from mainstay.kernel.ports import Survey, Surveyed
from mainstay.kernel.quantity import Target
from mainstay.kernel.series import Series
from mainstay.monitoring.backtest_view import Backtested, backtest_view
from mainstay.monitoring.operations.backtest import BACKTEST, BacktestRequest
from mainstay.monitoring.policies import PRESETS
from mainstay.monitoring.spec import Alerting
from mainstay.stats.budget import TIERS
from shared_data import shared
from slo.worlds import DAYS, HERE, HOURS, MINUTES, NOW, Events, Room, indicator, objective, room

TROUBLE = NOW - 3 * DAYS


def events(step: int = 300) -> Events:
    """Forty days at 60 requests a minute, and one outage of forty minutes three days ago."""
    found = Events(NOW - 40 * DAYS, NOW, step).steady("requests", step).steady("errors", 0)
    return found.add("errors", TROUBLE, step, slots=40 * 60 // step)


def measured(*more: object, target: object = 99, fill: bool = True) -> Room:
    """A world whose ledger holds the history."""
    one, counts = objective("web", target=target), events()
    world = room(counts, one, *more)
    if fill:
        series = counts.series()
        requests = series["requests"]
        world.ledger.write({ledger_key(indicator("web"), Occurrences()): Series(
            requests.start, requests.step, series["errors"].total, requests.total, requests.known)}, NOW)
    return world


def backtested(world: Room, **given: object) -> Backtested:
    return BACKTEST.run(world.world, BacktestRequest(**{"name": "web", **given}))


def test_the_ledger_is_judged_by_the_own_alerting_beside_all_presets() -> None:
    found = backtested(measured())
    assert [one.name for one in found.policies] == ["default", *PRESETS]
    assert found.truth_kind == "bursts"
    (burst,) = found.episodes
    assert (burst.start, burst.end) == (TROUBLE, TROUBLE + 40 * MINUTES)
    workbook = found.policies[1]
    # 14.4 % of an hour is 8.64 minutes of an outage: the second slot is the first evaluation behind it.
    assert burst.paged_after_seconds["workbook"] == 600
    assert (workbook.pages.alerts, workbook.pages.precision, workbook.pages.recall) == (1, 1.0, 1.0)
    assert workbook.pages.spent is not None
    assert workbook.pages.spent.median == pytest.approx(600 * 300 / 300 / (30 * 86_400 * 0.01), rel=1e-6)
    assert found.unexplained_pages == ()


def test_incidents_of_the_journal_are_the_truth_where_there_are_any() -> None:
    world = measured()
    world.journal.commit(Batch([NewFact("incident.recorded", "INC-7", NOW - 10 * DAYS, {
        "service": "shop", "until": (NOW - 10 * DAYS + 1 * HOURS).isoformat()})]))
    found = backtested(world)
    assert found.truth_kind == "incidents"
    assert [one.name for one in found.episodes] == ["INC-7"]
    assert found.episodes[0].paged_after_seconds["workbook"] is None
    (page,) = found.unexplained_pages
    assert page.bad == pytest.approx(40 * 60)
    assert backtested(world, truth="threshold:2").truth_kind == "bursts"


def test_finer_slots_are_asked_of_the_source() -> None:
    world = room(events(step=30), objective("web", target=99))
    found = backtested(world, step="30s")
    assert found.step_seconds == 30
    assert found.episodes[0].paged_after_seconds["workbook"] == 540  # 8.64 minutes, seen at the next half minute
    assert world.source.asked[0].step == 30


def test_a_method_of_slices_is_judged_by_its_slices() -> None:
    one = replace(objective("web", target=99), method=Timeslices(5 * MINUTES, Target.percent(50)))
    found = backtested(room(events(step=30), one), step="30s")
    assert found.step_seconds == 300
    assert found.bad == 8


def test_a_stretch_may_be_chosen() -> None:
    found = backtested(measured(), since=(NOW - 4 * DAYS).isoformat(), until=(NOW - 2 * DAYS).isoformat())
    assert (found.start, found.end) == (NOW - 4 * DAYS, NOW - 2 * DAYS)
    assert len(found.episodes) == 1
    with pytest.raises(NoData):
        backtested(measured(), since=(NOW - 100 * DAYS).isoformat(), until=(NOW - 90 * DAYS).isoformat())


def test_policies_are_chosen_by_name() -> None:
    quiet = Alerting("quiet", HERE, objectives=("web",), tiers=TIERS[:1])
    world = measured(quiet)
    assert [one.name for one in backtested(world, policy=("own", "pyrra")).policies] == ["quiet", "pyrra"]
    assert [tier.tier for tier in backtested(world, policy=("quiet",)).policies[0].tiers] == ["page-1h"]
    with pytest.raises(NotFound, match="did you mean"):
        backtested(world, policy=("pyra",))
    with pytest.raises(InvalidInput, match="two policies"):
        backtested(world, policy=("own", "quiet"))


def test_without_history_there_is_no_answer() -> None:
    with pytest.raises(NoData) as refused:
        backtested(measured(fill=False))
    assert refused.value.exit_code == 3
    assert "--step" in refused.value.way_out
    with pytest.raises(NoData):
        backtested(room(Events(NOW - 1 * DAYS, NOW, 30).steady("requests", 0).steady("errors", 0), objective("web")),
                   step="30s")


@pytest.mark.parametrize("given", [
    {"name": ""}, {"files": ("a.log",)}, {"truth": "luck"}, {"truth": "threshold:0"}, {"truth": "threshold:lots"},
    {"truth": "incidents:3"}, {"step": "7s"}, {"step": "10m"}, {"step": "fine"},
    {"since": "2026-03-02", "until": "2026-03-01"}])
def test_what_cannot_be_used_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        backtested(measured(), **given)
    with pytest.raises(NotFound):
        backtested(measured(), name="wob")


def test_a_result_is_stable_json_and_a_page_of_text() -> None:
    found = backtested(measured())
    told = json.loads(encode(found))
    assert set(told) >= {"name", "truth_rule", "episodes", "policies", "burn_over_time", "unexplained_pages", "notes"}
    score = told["policies"][1]["pages"]
    assert score["detection_seconds"] == {"median": 600.0, "p95": 600.0}
    assert max(point["burn"] for point in told["burn_over_time"]) == pytest.approx(40 / 60 / 0.01)
    assert backtest_view(found).blocks


# -- files --------------------------------------------------------------------------------------------------------


def of_files(text: str, tmp_path, **given: object) -> Backtested:
    log = tmp_path / "events.csv"
    log.write_text(text)
    world = build_world(Settings(str(tmp_path), f"sqlite:///{tmp_path}/store.db", "any"))
    return BACKTEST.run(world, BacktestRequest(files=(str(log),), **given))


def rows(minutes: int, bad: range) -> str:
    lines = [f"2026-03-0{1 + m // 1440}T{m // 60 % 24:02}:{m % 60:02}:{s:02}Z,{500 if m in bad else 200}"
             for m in range(minutes) for s in range(0, 60, 10)]
    return "\n".join(["time,status", *lines, ""])


def test_a_log_is_history_too(tmp_path) -> None:
    found = of_files(rows(600, range(300, 320)), tmp_path, target="99", window="7d", policy=("workbook",))
    assert found.step_seconds == 30
    assert (found.events, found.bad) == (3600, 120)
    assert found.episodes[0].spent == pytest.approx(20 / (7 * 1440 * 0.01))
    assert found.episodes[0].paged_after_seconds["workbook"] == pytest.approx(3.36 * 0.01 * 3600, abs=60)


def test_a_policy_of_a_file_is_compared(tmp_path) -> None:
    plan = tmp_path / "alerting.yaml"
    plan.write_text("apiVersion: mainstay/v1\nkind: Alerting\nmetadata: {name: designed}\nspec:\n  tiers:\n"
                    "    - {severity: page, long: 1h, spends: 4%, for: 0s}\n")
    text = rows(600, range(300, 320))
    found = of_files(text, tmp_path, target="99", window="7d", policy_file=(str(plan),))
    assert [one.name for one in found.policies] == ["default", "designed"]
    assert found.policies[1].tiers[0].factor == pytest.approx(0.04 * 7 * 24)
    plan.write_text("apiVersion: mainstay/v1\nkind: Alerting\nmetadata: {name: designed}\nspec: {tears: []}\n")
    with pytest.raises(InvalidFiles):
        of_files(text, tmp_path, policy_file=(str(plan),))


def test_a_real_log_stays_quiet() -> None:
    """9,999 requests with three failures, far apart (shared data, elastic/examples)."""
    log = shared("access_logs/semicomplete_apache_combined_2015-05.log.gz")
    world = build_world(Settings(None, "sqlite://", "unused"))
    found = BACKTEST.run(world, BacktestRequest(files=(str(log),)))
    assert (found.events, found.bad, found.episodes) == (9999, 3, ())
    assert [one.pages.alerts for one in found.policies] == [0] * 6


def test_finer_slots_of_a_survey_hold_the_same_events() -> None:
    log = shared("access_logs/semicomplete_apache_combined_2015-05.log.gz")
    world = build_world(Settings(None, "sqlite://", "unused"))
    from mainstay.kernel.ports import FileSet

    coarse: Surveyed = world.survey(Survey(FileSet((str(log),))))
    fine: Surveyed = world.survey(Survey(FileSet((str(log),)), step=30))
    again = fine.series.coarser(300)
    assert fine.series.step == 30
    assert np.array_equal(again.total, coarse.series.total)
    assert np.array_equal(again.bad, coarse.series.bad)
    assert timedelta(seconds=fine.series.step) < timedelta(minutes=5)
