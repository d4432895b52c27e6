"""Killed at any line, a run leaves nothing behind. This is the short form; `crash.faults` by hand is the long one."""

from __future__ import annotations

from crash.faults import WHO, abilities, every, matrix, named
from mainstay.kernel.faults import Healing

_KILLS = 42
_SEED = 20261128


def test_whoever_is_killed_at_whatever_line_the_host_is_as_it_was_within_two_seconds(tmp_path):
    kills = every(_KILLS, _SEED, tmp_path)
    assert [f"{kill}: {kill.wrong}" for kill in kills if kill.wrong] == [], "\n".join(matrix(kills))
    assert {named(kill.ability) for kill in kills} == {named(one) for one in abilities()}
    assert {kill.who for kill in kills} == set(WHO)
    assert any(kill.who == "all three" and kill.ability.healing is Healing.KERNEL for kill in kills)
