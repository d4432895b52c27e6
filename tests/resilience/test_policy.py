"""Strategies together, the ways to use them, their figures, and that the package stands alone."""

from __future__ import annotations

import ast
import asyncio
import functools
import inspect
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mainstay.resilience
from mainstay.resilience import (
    USUAL_ORDER,
    AdaptiveLimit,
    Aimd,
    Breaker,
    BreakerOpen,
    BreakerRule,
    Budget,
    Bulkhead,
    Fallback,
    Hedge,
    LastGood,
    ManualTime,
    Policy,
    RateLimit,
    Retry,
    RetryRule,
    Strategy,
    Timeout,
    exposition,
    fixed,
)
from programs import need

PACKAGE = Path(mainstay.resilience.__file__).parent
ALL = (Fallback.value("x", "other"), LastGood("x", 9), Retry("x", budget=Budget()), Hedge("x", 5), Breaker("x"),
       RateLimit("x", 1e6, burst=100), AdaptiveLimit("x", Aimd()), Bulkhead("x", 9), Timeout("x", 5))
every_strategy = pytest.mark.parametrize("strategy", [*ALL, Policy("all", *ALL)], ids=lambda strategy: strategy.kind)


class Thing:
    """Has a method of each colour."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def times(self, number: int, *, plus: int = 0) -> int:
        """Multiplies."""
        return self.factor * number + plus

    async def times_async(self, number: int, *, plus: int = 0) -> int:
        """Multiplies, later."""
        await asyncio.sleep(0)
        return self.factor * number + plus


# -- ways to use them -------------------------------------------------------------------------------------------------


@every_strategy
def test_one_object_decorates_and_calls_functions_methods_and_coroutines(strategy: Strategy):
    class Protected(Thing):
        times = strategy(Thing.times)
        times_async = strategy(Thing.times_async)

    thing = Protected(3)
    assert thing.times(2, plus=1) == 7
    assert asyncio.run(thing.times_async(2, plus=1)) == 7
    assert strategy.call(Thing(3).times, 2, plus=1) == 7
    assert asyncio.run(strategy.call(Thing(3).times_async, 2, plus=1)) == 7
    assert asyncio.run(strategy.call(functools.partial(Thing(3).times_async, 2), plus=1)) == 7
    assert (Protected.times.__name__, Protected.times.__doc__) == ("times", "Multiplies.")
    assert inspect.signature(Protected.times) == inspect.signature(Thing.times)
    assert inspect.iscoroutinefunction(Protected.times_async)
    assert not inspect.iscoroutinefunction(Protected.times)


@every_strategy
def test_a_cancelled_coroutine_stays_cancelled(strategy: Strategy):
    async def main() -> None:
        task = asyncio.create_task(strategy.call(asyncio.sleep, 10))
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@every_strategy
def test_generators_and_hidden_coroutines_are_refused(strategy: Strategy):
    async def later() -> int:
        return 1

    def hidden() -> object:
        return later()

    def generator() -> object:
        yield 1

    with pytest.raises(TypeError, match="generator"):
        strategy(generator)
    with pytest.raises(TypeError, match="above the protection"):
        strategy(staticmethod(later))
    with pytest.raises(TypeError, match="pass that function"):
        strategy.call(hidden)


@pytest.mark.parametrize("strategy", [Fallback.value("x", 1), LastGood("x", 1), Retry("x"), Hedge("x", 1)])
def test_what_would_have_to_run_a_block_again_refuses_one(strategy: Strategy):
    with pytest.raises(TypeError, match="cannot protect a block"):
        strategy.guard()
    with pytest.raises(TypeError, match="cannot protect a block"):
        Policy("x", Breaker("x"), strategy).guard()


def test_a_block_counts_as_a_call():
    breaker = Breaker("x", BreakerRule(minimum_calls=2, failure_rate=0.5))
    with breaker.guard():
        pass

    async def block() -> None:
        async with breaker.guard():
            raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        asyncio.run(block())
    with pytest.raises(BreakerOpen), breaker.guard():
        pytest.fail("the block of a refused call does not run")


# -- together ---------------------------------------------------------------------------------------------------------


def test_a_policy_is_applied_as_it_is_written():
    down, time = [], ManualTime()
    breaker = Breaker("x", BreakerRule(minimum_calls=3), time.runtime)
    retry = Retry("x", RetryRule(wait=fixed(1)), runtime=time.runtime)

    def fails() -> str:
        down.append(1)
        raise ConnectionError

    tries_counted = Policy("x", Fallback.value("x", "other"), retry, breaker)
    assert str(tries_counted) == "x: fallback > retry > breaker"
    assert tries_counted.call(fails) == "other"
    assert breaker.state == "open", "the breaker inside sees each of the three tries"

    breaker.close()
    calls_counted = Policy("x", Fallback.value("x", "other"), breaker, retry)
    assert calls_counted.call(fails) == "other"
    assert (breaker.state, breaker.tally().calls) == ("closed", 1), "outside, it sees the call once"


def test_the_usual_order_is_kept_however_they_are_written():
    policy = Policy.in_usual_order("x", *reversed(ALL))
    assert [type(part) for part in policy.parts()] == list(USUAL_ORDER)
    assert Policy.in_usual_order("x", policy).parts() == policy.parts()


def test_a_policy_in_a_policy_is_opened_up_and_a_strategy_twice_is_refused():
    breaker = Breaker("x")
    inner = Policy("inner", breaker)
    assert Policy("x", Retry("x"), inner).parts()[1] is breaker
    with pytest.raises(ValueError, match="twice"):
        Policy("x", inner, breaker)
    with pytest.raises(ValueError, match="at least one"):
        Policy("x")


def test_a_block_under_a_policy_leaves_what_it_entered_when_a_later_part_refuses():
    bulkhead, breaker = Bulkhead("x", 1), Breaker("x")
    policy = Policy("x", bulkhead, breaker)

    async def block() -> None:
        async with policy.guard():
            pass

    breaker.force_open()
    with pytest.raises(BreakerOpen), policy.guard():
        pass
    with pytest.raises(BreakerOpen):
        asyncio.run(block())
    assert bulkhead.running == 0
    breaker.close()
    with policy.guard():
        assert bulkhead.running == 1
    asyncio.run(block())
    assert breaker.tally().calls == 2


# -- figures ----------------------------------------------------------------------------------------------------------


def test_the_metrics_page_is_what_prometheus_expects():
    promtool = need("promtool")
    for strategy in ALL:
        strategy.call(lambda: 1)
    ALL[4].force_open()
    page = exposition([Policy("all", *ALL), ALL[0], Breaker('quote " and\nline \\')])
    ALL[4].close()
    checked = subprocess.run([promtool, "check", "metrics"], input=page, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert 'resilience_breaker_state{strategy="x",kind="breaker",state="forced_open"} 1\n' in page
    assert 'resilience_events_total{strategy="x",kind="breaker",event="forced_open"} 1\n' in page
    assert page.count("# TYPE resilience_events_total counter\n") == 1


def test_figures_survive_the_changes_of_state():
    time = ManualTime()
    breaker = Breaker("x", BreakerRule(minimum_calls=1, trials=1, pause=1), time.runtime)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            breaker.call(lambda: 1 // 0)
        time.advance(1)
        breaker.call(lambda: 1)  # the trial
    figures = {sample.metric: sample.value for sample in breaker.samples() if not sample.labels}
    assert figures["resilience_breaker_failed_calls_total"] == 3
    assert figures["resilience_breaker_calls_total"] == 6  # the trials too


def test_a_refusal_can_be_sent_to_another_process():
    refusal = BreakerOpen("x", "calls are held back", retry_after=2.5)
    again = pickle.loads(pickle.dumps(refusal))
    assert (type(again), str(again), again.retry_after) == (BreakerOpen, str(refusal), 2.5)


# -- standing alone ---------------------------------------------------------------------------------------------------


def test_it_imports_the_standard_library_and_itself_only():
    imported = {name for path in PACKAGE.glob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import)
                             else [node.module] if isinstance(node, ast.ImportFrom) and node.module else [])}
    assert "threading" in imported
    assert [name for name in imported if name.split(".")[0] not in sys.stdlib_module_names
            and not name.startswith("mainstay.resilience")] == []


def test_it_works_on_a_bare_python_with_nothing_else_there_and_without_loading_asyncio(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "mainstay" / "resilience", ignore=shutil.ignore_patterns("__pycache__"))
    code = ("import sys; sys.path.insert(0, sys.argv[1]); from mainstay.resilience import Breaker, Policy, Retry; "
            "print(Policy('x', Retry('x'), Breaker('x')).call(lambda: 7), 'asyncio' in sys.modules)")
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", code, str(tmp_path)], capture_output=True, text=True,
                         check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert (ran.stdout, ran.stderr) == ("7 False\n", "")


TYPED = '''
import asyncio
from typing import assert_type
from mainstay.resilience import Breaker, Bulkhead, Fallback, Policy, Retry, Timeout

policy = Policy("x", Fallback.value("x", 1), Retry("x"), Breaker("x"), Timeout("x", 1.0))

@policy
def plain(name: str, /, count: int = 1, *, loud: bool = False) -> list[str]:
    return [name] * count

@Breaker("x")
async def later(name: str) -> bytes:
    return name.encode()

class Client:
    @Bulkhead("x", 3)
    def fetch(self, url: str) -> int:
        return len(url)

assert_type(plain("a", 2, loud=True), list[str])
assert_type(Client().fetch("a"), int)
assert_type(Retry("x").call(plain, "a", count=3), list[str])

async def main() -> None:
    assert_type(await later("a"), bytes)
    assert_type(await policy.call(later, "a"), bytes)
    async with Breaker("x").guard():
        pass

with Breaker("x").guard():
    pass
'''
WRONG = {"plain(1)": "arg-type", "plain('a', loud=3)": "arg-type", "plain()": "call-arg",
         "later('a') + b'b'": "operator", "policy.call(plain, 'a', size=3)": "call-arg",
         "Client().fetch(3)": "arg-type", "plain('a').upper()": "attr-defined"}


def test_a_decorated_function_keeps_its_signature_for_the_type_checker(tmp_path):
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(TYPED, encoding="utf-8")
    bad.write_text("from good import Client, later, plain, policy\n" + "\n".join(WRONG) + "\n", encoding="utf-8")
    ran = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--cache-dir",
                          str(tmp_path / "cache"), "good.py", "bad.py"], cwd=tmp_path, text=True, capture_output=True,
                         check=False, env={**os.environ, "MYPYPATH": str(PACKAGE.parents[1])})
    lines = ran.stdout.splitlines()
    assert [line for line in lines if "good.py" in line and "error" in line] == [], ran.stdout
    found = {int(line.split(":")[1]): line.rpartition("[")[2].rstrip("]") for line in lines if line.startswith("bad.py")
             and ": error:" in line}
    assert found == dict(enumerate(WRONG.values(), start=2)), ran.stdout + ran.stderr
