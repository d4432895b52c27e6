"""Giving out slots: the exact optimum against every possibility, the bound of the relaxed problem, and large cases."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.stats.sharing import NOBODY, QUARTERS, Sharing, share, total_cost

_CLASS = st.sampled_from((None, 0, 1, 0, 1))


@st.composite
def _tasks(draw: st.DrawFn, people: int = 4, slots: int = 6) -> Sharing:
    count = draw(st.integers(2, people))
    classes = draw(st.lists(st.tuples(*[_CLASS] * count), min_size=1, max_size=slots))
    already = draw(st.lists(st.integers(0, 3 * QUARTERS), min_size=count, max_size=count))
    return Sharing(classes, already, draw(st.sampled_from(((64, 8, 1), (1, 1, 1), (5, 0, 3)))))


@settings(max_examples=150, deadline=None)
@given(_tasks())
def test_nothing_that_could_be_given_out_otherwise_costs_less(task: Sharing):
    found = share(task)
    choices = [[person for person, kind in enumerate(kinds) if kind is not None] or [NOBODY] for kinds in task.classes]
    assert all(person in able for person, able in zip(found, choices, strict=True))
    assert total_cost(task, found) == min(total_cost(task, other) for other in itertools.product(*choices))


@settings(max_examples=60, deadline=None)
@given(_tasks(people=7, slots=24))
def test_the_greatest_total_is_what_the_relaxed_problem_allows_rounded_up(task: Sharing):
    # By duality the relaxed minimum of the greatest total is max over groups P of |slots only P may have| / |P|.
    plain = Sharing(task.classes, [0] * len(task.already), (1, *[0] * (len(task.weights) - 1)))
    totals = Counter(person for person in share(plain) if person != NOBODY)
    able = [frozenset(person for person, kind in enumerate(kinds) if kind is not None) for kinds in plain.classes]
    people = range(len(plain.already))
    bound = max((sum(bool(who) and who <= set(group) for who in able) / size for size in range(1, len(people) + 1)
                 for group in itertools.combinations(people, size)), default=0)
    assert max(totals.values(), default=0) == math.ceil(bound)


def test_past_load_is_made_up_for():
    # Eight slots for four people of whom one already carried four: the others have them, and hers is the least.
    found = Counter(share(Sharing([(0,) * 4] * 8, [4 * QUARTERS, 0, 0, 0], (1, 0))))
    assert sorted(found[person] for person in range(4)) == [0, 2, 3, 3]
    assert found[0] == 0


def test_the_same_task_has_the_same_answer():
    task = Sharing([(0, 1, None), (1, 1, 0), (0, None, 0)] * 5, [0, 1, 2], (64, 8, 1))
    assert share(task) == share(task)


def test_a_year_of_days_for_thirty_people_is_given_out_in_seconds_and_evenly():
    classes = [tuple(None if (day * 7 + person * 13) % 11 == 0 else 2 if day % 7 > 4 else (person + day) % 2
                     for person in range(30)) for day in range(365)]
    begun = time.process_time()  # others may use this machine, too
    found = share(Sharing(classes, [person % 5 for person in range(30)], (64, 4, 4, 8)))
    assert time.process_time() - begun < 30
    totals = Counter(found)
    assert max(totals.values()) - min(totals.values()) <= 2
    weekends = Counter(person for day, person in enumerate(found) if day % 7 > 4)
    assert max(weekends.values()) - min(weekends.values()) <= 1
