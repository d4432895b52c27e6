"""The degradation matrix: what answers prove about a workload whose dependency is in trouble."""

from __future__ import annotations

import math

import pytest

from mainstay.chaos.matrix import (
    Answer,
    Asked,
    Cell,
    Seen,
    Standards,
    Trouble,
    cases,
    contract_of,
    interactions,
    judge,
    reach,
    some_of,
)
from mainstay.chaos.thresholds import breaker_threshold, places, time_out
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position
from mainstay.kernel.workload import Contract, Dependency, Workload
from mainstay.stats.budget import binomial_tail
from mainstay.stats.dice import Dice

HERE = Position("shop.yaml", 1, 1)
DOWN = (Trouble("cache", "down"),)


def workload(name: str, *needs: str, **contracts: Contract) -> Workload:
    return Workload(name, HERE, dependencies=tuple(Dependency(one, HERE, contracts=contracts) for one in needs))


def answers(count: int, seconds: float = 0.02, *, failed: int = 0, failing: float = 0.005, marked: bool = False,
            seed: int = 1) -> list[Answer]:
    dice = Dice(seed)
    return [Answer(one / 20, (failing if one < failed else seconds) * (0.9 + 0.2 * dice.share()), one < failed, marked)
            for one in range(count)]


def judged(during: list[Answer], after: list[Answer] | None = None, *, direct: bool = True,
           contract: Contract | None = None) -> Cell:
    return judge(Asked("api", "browse", DOWN, direct, contract),
                 Seen(answers(800), during, answers(60, seed=3) if after is None else after))


def test_as_many_errors_and_as_quick_is_unaffected() -> None:
    cell = judged(answers(80, seed=2))
    assert (cell.verdict, cell.recovered) == ("unaffected", True)
    assert cell.errors is not None
    assert cell.errors.high < 0.05


def test_what_fails_while_all_is_well_is_not_called_unaffected_nor_its_promise_kept() -> None:
    broken = answers(80, failed=80)
    cell = judge(Asked("api", "login", DOWN, True, Contract("fails-fast", 1.0)), Seen(broken, broken, broken))
    assert (cell.verdict, cell.contract) == ("unknown", "")
    assert cell.why == "80 of 80 requests fail while all is well, too"


def test_slower_beyond_doubt_is_degraded() -> None:
    cell = judged(answers(80, 0.06, seed=2))
    assert cell.verdict == "degraded"
    assert cell.slower is not None
    assert cell.slower.low > 2.5
    assert "times as long" in cell.why


def test_an_answer_that_says_something_is_missing_is_degraded() -> None:
    assert judged(answers(80, marked=True, seed=2)).verdict == "degraded"


def test_refusals_at_once_fail_fast() -> None:
    cell = judged(answers(80, failed=80))
    assert cell.verdict == "fails-fast"
    assert cell.errors is not None
    assert cell.errors.value == 1


def test_a_few_failures_among_many_answers_are_a_part_and_no_cascade() -> None:
    cell = judged(answers(80, failed=4), direct=False)
    assert cell.verdict == "degraded"
    assert "4 of 80 requests fail" in cell.why


def test_no_answer_while_the_caller_is_patient_hangs() -> None:
    cell = judged([Answer(one / 20, math.inf, failed=True) for one in range(80)])
    assert cell.verdict == "hangs"
    assert cell.p99 is not None
    assert cell.p99.value == math.inf


def test_a_few_callers_who_waited_until_the_breaker_opened_do_not_make_it_hang() -> None:
    waited = [Answer(one / 20, 0.9, failed=True) for one in range(5)]
    assert judged([*waited, *answers(75, failed=75)]).verdict == "fails-fast"


def test_failing_without_calling_the_dependency_itself_is_a_cascade() -> None:
    assert judged(answers(80, failed=80), direct=False).verdict == "cascades"
    assert judged(answers(80, seed=2), direct=False).verdict == "unaffected"


def test_failing_on_after_the_dependency_is_back_is_a_cascade() -> None:
    cell = judged(answers(80, failed=80), answers(60, failed=40))
    assert (cell.verdict, cell.recovered) == ("cascades", False)


def test_too_few_answers_prove_nothing() -> None:
    cell = judged(answers(19, failed=19))
    assert (cell.verdict, cell.errors) == ("unknown", None)
    assert "19 answers of at least 20" in cell.why


@pytest.mark.parametrize(("during", "contract", "kept"), [
    (answers(80, marked=True, seed=2), Contract("degraded", 0.0, 3.0), "kept"),
    (answers(200, 0.05, seed=2), Contract("degraded", 0.0, 3.0), "kept"),
    (answers(80, 0.3, seed=2), Contract("degraded", 0.0, 3.0), "broken"),
    (answers(80, failed=80), Contract("degraded", 0.0), "broken"),
    (answers(80, failed=80), Contract("fails-fast", 1.0), "kept"),
    (answers(80, failed=2), Contract("degraded", 0.05), "undecided"),
    (answers(80, failed=40), Contract("fails-fast", 0.1), "broken")])
def test_a_promise_is_kept_broken_or_not_yet_decided(during: list[Answer], contract: Contract, kept: str) -> None:
    cell = judged(during, contract=contract)
    assert cell.contract == kept, cell
    assert bool(cell.broken) == (kept == "broken")


def test_noise_alone_is_seldom_called_a_change() -> None:
    called = 0
    for seed in range(200):
        dice = Dice(seed)
        before = [Answer(one / 20, -0.02 * math.log(1 - dice.share()), dice.share() < 0.02) for one in range(400)]
        during = [Answer(one / 20, -0.02 * math.log(1 - dice.share()), dice.share() < 0.02) for one in range(80)]
        called += judge(Asked("api", "browse", DOWN, direct=True), Seen(before, during)).verdict != "unaffected"
    # Of one-sided 97.5 % intervals one in forty may be wrong; 200 draws exceed 14 of them once in a thousand times.
    assert called <= 14


def test_what_is_needed_is_followed_through_others_and_circles() -> None:
    found = reach([workload("web", "api"), workload("api", "auth", "cache"), workload("auth", "api")])
    assert found["web"] == {"api", "auth", "cache"}
    assert found["api"] == {"auth", "cache", "api"}


def test_every_dependency_is_in_every_trouble_once_and_pairs_are_of_different_ones() -> None:
    system = [workload("web", "api"), workload("api", "auth", "cache")]
    assert len(cases(system)) == 15
    paired = cases(system, ("down", "slow"), pairs=True)
    assert len(paired) == 6 + 12
    assert all(len({one.dependency for one in case}) == len(case) for case in paired)
    assert len(set(paired)) == len(paired)


def test_of_the_pairs_a_seed_draws_so_many_and_every_two_dependencies_come_before_any_two_again() -> None:
    todo = cases([workload("web", "api"), workload("api", "auth", "cache")], pairs=True)
    found = some_of(todo, 3, seed=4)
    assert found[:15] == tuple(case for case in todo if len(case) == 1)
    assert {tuple(one.dependency for one in case) for case in found[15:]} == {
        ("api", "auth"), ("api", "cache"), ("auth", "cache")}
    assert found == some_of(todo, 3, seed=4)
    assert found != some_of(todo, 3, seed=5)
    assert sorted(some_of(todo, 1000, seed=4)) == sorted(todo)


def test_an_unknown_mode_and_a_system_without_dependencies_are_refused() -> None:
    with pytest.raises(InvalidInput, match='no mode "donw"'):
        cases([workload("web", "api")], ("donw",))
    with pytest.raises(InvalidInput, match="declares a dependency"):
        cases([workload("web")])


def test_two_troubles_that_are_worse_together_are_told() -> None:
    def cell(verdict: str, *case: Trouble) -> Cell:
        return Cell("api", "browse", case, True, verdict, "", 80)

    one, other = Trouble("cache", "down"), Trouble("orders", "slow")
    found = interactions([cell("degraded", one), cell("degraded", other), cell("hangs", one, other)])
    assert [(each.alone, each.together) for each in found] == [("degraded", "hangs")]
    assert not interactions([cell("degraded", one), cell("hangs", other), cell("hangs", one, other)])


def test_the_promise_for_two_troubles_is_the_weaker_of_both_and_only_where_both_are_declared() -> None:
    api = Workload("api", HERE, dependencies=(
        Dependency("cache", HERE, contracts={"down": Contract("degraded", 0.01, 2.0)}),
        Dependency("auth", HERE, contracts={"down": Contract("fails-fast", 1.0)})))
    assert contract_of(api, DOWN) == Contract("degraded", 0.01, 2.0)
    assert contract_of(api, (*DOWN, Trouble("auth", "down"))) == Contract("fails-fast", 1.0)
    assert contract_of(api, (*DOWN, Trouble("auth", "slow"))) is None


def test_a_time_out_is_the_slowest_of_a_thousand_and_a_margin() -> None:
    sure = time_out("api", "auth", [Answer(0, 0.08, failed=False)] * 3000)
    assert sure is not None
    assert (sure.value, sure.sure) == (0.1, True)
    few = time_out("api", "auth", [Answer(0, 0.08, failed=False)] * 40)
    assert few is not None
    assert not few.sure
    assert "2995 are needed" in few.how
    assert time_out("api", "auth", [Answer(0, 0.08, failed=True)] * 40) is None


def test_a_breaker_opens_where_chance_alone_does_not_lead() -> None:
    healthy = [Answer(0, 0.01, failed=one < 10) for one in range(2000)]
    found = breaker_threshold("api", "auth", healthy)
    assert found is not None
    calls = round(found.value * 100)
    assert binomial_tail(100, calls, 0.0092) <= 1e-6 < binomial_tail(100, calls - 1, 0.0092)
    hopeless = breaker_threshold("api", "auth", [Answer(0, 0.01, failed=True)] * 100)
    assert hopeless is not None
    assert not hopeless.sure


def test_a_bulkhead_holds_what_arrives_during_one_time_out() -> None:
    found = places("api", "auth", [Answer(0, 0.08, failed=False)] * 3000, 50)
    assert found is not None
    assert found.value == 5


def test_standards_move_the_verdict() -> None:
    seen = Seen(answers(500), answers(80, 0.06, seed=2))
    assert judge(Asked("api", "browse", DOWN, True, standards=Standards(slowdown=5)), seen).verdict == "unaffected"
