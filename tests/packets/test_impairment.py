"""What becomes of a packet, without any packet: draws follow from the seed alone."""

from __future__ import annotations

import itertools

import pytest

from mainstay.adapters.faults.packets.impairment import CREDIT, LIMIT, Fates, Impairment
from mainstay.adapters.faults.packets.name_answers import answer
from mainstay.adapters.faults.packets.task import DROP, QUEUE, Lead, Place, Task, Way, read, written


def fates(what: Impairment, count: int, seed: int = 1, gap: float = 0.0, length: int = 1000, waiting: int = 0):
    ones = Fates(what, seed)
    return [(at * gap, ones.of(at * gap, length, waiting)) for at in range(count)]


def test_the_same_seed_gives_the_same_fates_and_another_seed_others():
    what = Impairment(latency=0.1, jitter=0.05, loss=0.3, duplication=0.2, corruption=0.1)
    assert fates(what, 200) == fates(what, 200)
    assert fates(what, 200) != fates(what, 200, seed=2)


def test_without_an_impairment_every_packet_goes_on_at_once_and_whole():
    for now, fate in fates(Impairment(), 10, gap=0.1):
        assert (fate.due, fate.twice, fate.damaged) == (now, False, None)


def test_nothing_goes_on_faster_than_the_rate_over_any_stretch():
    what = Impairment(rate=10_000.0)
    due = [fate.due for _, fate in fates(what, 50, gap=0.01)]
    assert all(later - earlier == pytest.approx(0.1) for earlier, later in itertools.pairwise(due))


def test_a_link_that_stood_idle_makes_up_for_no_more_than_its_credit():
    ones = Fates(Impairment(rate=10_000.0), 0)
    ones.of(0.0, 1000, 0)
    late = ones.of(0.1 + CREDIT / 2, 1000, 0)
    assert late.due == pytest.approx(0.2)
    idle = ones.of(100.0, 1000, 0)
    assert idle.due == pytest.approx(100.1)


def test_a_full_queue_drops_what_comes_then():
    assert Fates(Impairment(rate=1.0), 0).of(0.0, 10, LIMIT).due is None
    assert Fates(Impairment(latency=1.0), 0).of(0.0, 10, 10 * LIMIT).due == 1.0


def test_a_task_is_read_as_it_was_written():
    task = Task("mainstay-1", (Place(2, 6, "127.0.0.1", 80), Place(10, 17, "", 53)), 4711,
                Way(QUEUE, Impairment(loss=0.25)), Way(DROP), Lead((1, 2), 8080, (3,), "NXDOMAIN"), 0.5, 7, 3.5, True)
    assert read(written(task)) == task
    assert written(task).count("\n") == 1


QUESTION = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01"


@pytest.mark.parametrize(("error", "code"), [("NXDOMAIN", 3), ("SERVFAIL", 2)])
def test_a_question_gets_its_own_question_back_with_the_error(error: str, code: int):
    said = answer(QUESTION, error)
    assert said[:2] == QUESTION[:2]
    assert said[2] & 0x80
    assert said[3] & 0xF == code
    assert said[12:] == QUESTION[12:]
    assert said[4:12] == b"\x00\x01" + bytes(6)


@pytest.mark.parametrize("data", [b"", b"\x00" * 11, QUESTION[:-1], QUESTION[:20], b"\x12\x34\x81" + QUESTION[3:],
                                  QUESTION[:4] + b"\x00\x02" + QUESTION[6:]])
def test_what_is_no_question_gets_no_answer(data: bytes):
    assert answer(data, "NXDOMAIN") == b""
