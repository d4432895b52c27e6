"""The degradation matrix of the shop, measured for real: requests are sent, dependencies are broken, answers judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from chaos_world import World, shop_world
from mainstay.chaos.catalogue import Row
from mainstay.chaos.operations.matrix import Matrix, MatrixRequest, latest, matrix
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.locks import take
from mainstay.kernel.workload import MODES
from running_shop import RunningShop, eventually, running_shop

pytestmark = pytest.mark.alone

REQUEST = MatrixRequest(duration="2s", baseline="4s", settle="3s", rate=25.0)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    with running_shop(tmp_path_factory.mktemp("matrix") / "shop") as shop:
        yield shop


@pytest.fixture(scope="module")
def world(shop: RunningShop) -> World:
    return shop_world(shop)


@pytest.fixture(scope="module")
def measured(world: World) -> Matrix:
    return matrix(world, replace(REQUEST, workload=("api",), dependency=("auth", "cache"), modes=("down",),
                                 pairs=True, most=1))


def rows(found: Matrix, workload: str, probe: str) -> dict[str, Row]:
    assert found.measured is not None
    return {one.case: one for one in found.measured.rows if (one.workload, one.probe) == (workload, probe)}


def test_what_the_shop_says_of_its_cache_is_what_is_measured(measured: Matrix) -> None:
    browse = rows(measured, "api", "browse")
    cell = browse["cache down"]
    assert cell.verdict == "degraded", cell
    assert cell.contract in ("kept", "undecided"), cell
    assert cell.errors is not None
    assert cell.errors.value == 0


def test_without_auth_nobody_logs_in_and_everybody_browses(measured: Matrix) -> None:
    assert rows(measured, "api", "login")["auth down"].verdict == "fails-fast"
    assert rows(measured, "api", "login")["auth down"].contract == "kept"
    assert rows(measured, "api", "browse")["auth down"].verdict == "unaffected"


def test_who_calls_through_another_and_fails_too_is_in_a_cascade(measured: Matrix) -> None:
    login = rows(measured, "web", "login")["auth down"]
    assert (login.verdict, login.direct) == ("cascades", False)
    assert login.state == "violated"


def test_two_dependencies_are_really_down_at_once_and_what_that_adds_is_told(measured: Matrix) -> None:
    found = measured.measured
    assert found is not None
    assert (found.paired, found.pairs) == (1, 1)
    browse, login = (rows(measured, "api", probe)["auth down + cache down"] for probe in ("browse", "login"))
    assert browse.dependencies == ("auth", "cache")
    assert (browse.verdict, login.verdict) == ("degraded", "fails-fast")
    assert not [one for one in found.worse if one.workload == "api"], "each hurts requests of its own"


def test_every_case_is_a_run_of_the_engine_and_the_shop_is_well_afterwards(measured: Matrix, shop: RunningShop) -> None:
    assert measured.measured is not None
    assert len({one.run for one in measured.measured.rows}) == 3
    login = {"user": "ada", "password": "let-me-in"}
    eventually(lambda: shop.ask("POST", "/login", login).status == 200)
    eventually(lambda: "x-degraded" not in shop.ask("GET", "/products/1").headers)


def test_settings_are_worked_out_from_the_healthy_requests(measured: Matrix) -> None:
    assert measured.measured is not None
    advice = {one.what: one for one in measured.measured.advice}
    limit = advice["time-out of api for auth"]
    assert limit.value > 0.001
    assert "are needed to be sure" in limit.how
    assert "breaker of api for auth" in advice


def test_the_last_matrix_is_kept(world: World, measured: Matrix) -> None:
    assert latest(world) == measured.measured
    assert matrix(world, MatrixRequest(last=True)).measured == measured.measured


def test_a_dry_run_says_what_would_be_put_in_and_touches_nothing(world: World) -> None:
    head = world.journal.head()
    found = matrix(world, MatrixRequest(dry_run=True))
    assert found.measured is None
    assert len(found.planned) == 4 * len(MODES)
    assert found.planned[0].faults == ("dependency-failure between web and api (relay of the tests)",)
    assert world.journal.head() == head


def test_pairs_are_bounded_by_their_number_and_all_by_a_time(world: World) -> None:
    found = matrix(world, replace(REQUEST, pairs=True, most=3, within="1m", dry_run=True))
    assert len(found.planned) == 4 * len(MODES) + 3
    assert (found.pairs, found.seconds) == (6 * len(MODES) ** 2, 60.0)
    again = matrix(world, replace(REQUEST, pairs=True, most=3, seed=1, dry_run=True))
    assert found.planned[-3:] != again.planned[-3:]


def test_when_the_time_is_up_the_rest_is_left_and_said(shop: RunningShop) -> None:
    short = replace(REQUEST, workload=("api",), dependency=("auth", "cache"), modes=("down",), duration="1s",
                    baseline="1s", settle="500ms", within="4s")
    found = matrix(shop_world(shop), short).measured
    assert found is not None
    assert {one.case for one in found.rows} == {"auth down"}
    assert "the time of 4s was up: cache down and what follows, 1 case, were not measured" in found.stopped


def test_a_target_that_something_else_acts_on_is_left_alone(world: World, shop: RunningShop) -> None:
    fresh = shop_world(shop)
    take(fresh.journal, ["api"], "runbook run-1", fresh.clock.now(), timedelta(hours=1))
    refused = matrix(fresh, replace(REQUEST, workload=("api",), modes=("down",), dry_run=True))
    assert all("runbook run-1 acts on api" in one.refusals[0] for one in refused.planned)


@pytest.mark.parametrize(("changed", "says"), [
    ({"duration": "100ms"}, "too few requests"), ({"rate": 0.0}, "no low rate"), ({"errors": 2.0}, "no share"),
    ({"most": 0}, "no number of pairs"), ({"within": "3s"}, "too short for one case"),
    ({"pairs": True, "dependency": ("auth",)}, "no two dependencies"), ({"modes": ("donw",)}, "no mode"),
    ({"patience": "soon"}, "soon")])
def test_what_cannot_be_measured_is_refused(world: World, changed: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        matrix(world, replace(REQUEST, **changed))  # type: ignore[arg-type]


def test_without_a_measurement_the_way_to_one_is_said(shop: RunningShop) -> None:
    with pytest.raises(NotFound, match="no degradation matrix"):
        latest(shop_world(shop))
