"""Under which name history is kept: by what is counted, and by nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from mainstay.kernel.finding import Position
from mainstay.kernel.method import Method, Occurrences, RatioTimeslices, Timeslices
from mainstay.kernel.objective import FreshWithin, Indicator, IndicatorType, PerSecond, ledger_key
from mainstay.kernel.ports import Condition, EventQuery, GaugeQuery, PromQuery
from mainstay.kernel.quantity import Target

ONE = Indicator("a", Position("a.yaml", 3), IndicatorType.AVAILABILITY, "prom", PromQuery("t", True),
                bad=PromQuery("b", True))
MINUTE = timedelta(minutes=1)

_PRINT = """
from mainstay.kernel.finding import Position
from mainstay.kernel.ports import PromQuery
from mainstay.kernel.method import Occurrences
from mainstay.kernel.objective import Indicator, IndicatorType, ledger_key
print(ledger_key(Indicator("a", Position("a.yaml", 3), IndicatorType.AVAILABILITY, "prom", PromQuery("t", True),
                           bad=PromQuery("b", True)), Occurrences()))
"""


@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_every_process_makes_the_same_key(seed: str) -> None:
    done = subprocess.run([sys.executable, "-c", _PRINT], env={**os.environ, "PYTHONHASHSEED": seed},
                          capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ledger_key(ONE, Occurrences())


def test_the_key_is_the_one_that_ledgers_already_hold() -> None:
    # Changing it silently forgets everybody's history; a new key needs a migration.
    assert ledger_key(ONE, Occurrences()) == "300753804f1594d650ab3646"


@pytest.mark.parametrize("same", [
    replace(ONE, name="renamed"), replace(ONE, origin=Position("b.yaml", 9)), replace(ONE, description="words"),
    replace(ONE, type=IndicatorType.CUSTOM), replace(ONE, exclusions=("status != 429",)),
])
def test_what_only_names_or_describes_keeps_the_history(same: Indicator) -> None:
    assert ledger_key(same, Occurrences()) == ledger_key(ONE, Occurrences())


@pytest.mark.parametrize("other", [
    replace(ONE, source="other"), replace(ONE, total=PromQuery("t2", True)), replace(ONE, total=PromQuery("t", False)),
    replace(ONE, bad=None, good=PromQuery("b", True)), replace(ONE, bad=PromQuery("b2", True)),
    replace(ONE, total=EventQuery(), bad=EventQuery((Condition("s", ">=", (500.0,)),))),
    replace(ONE, total=EventQuery(), bad=EventQuery((Condition("s", ">", (500.0,)),))),
    replace(ONE, total=GaugeQuery("t", "<=", 1), bad=None), replace(ONE, total=GaugeQuery("t", "<=", 2), bad=None),
    replace(ONE, derived=PerSecond(1, MINUTE)), replace(ONE, derived=PerSecond(2, MINUTE)),
    replace(ONE, derived=FreshWithin(MINUTE, MINUTE)),
])
def test_counting_something_else_starts_a_new_history(other: Indicator) -> None:
    assert ledger_key(other, Occurrences()) != ledger_key(ONE, Occurrences())


@pytest.mark.parametrize("method", [
    RatioTimeslices(MINUTE), RatioTimeslices(MINUTE * 5), RatioTimeslices(MINUTE, "bad"),
    Timeslices(MINUTE, Target.percent(95)), Timeslices(MINUTE, Target.percent(99)),
])
def test_counting_in_another_way_starts_a_new_history(method: Method) -> None:
    assert ledger_key(ONE, method) != ledger_key(ONE, Occurrences())


def test_a_slice_target_written_otherwise_keeps_the_history() -> None:
    keys = {ledger_key(ONE, Timeslices(MINUTE, Target.percent(text))) for text in ("95", "95.0", "95%", "95.00 %")}
    assert len(keys) == 1
