"""The proof that limits hold, and the proof of the proof: without a limit, the search finds how it breaks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.runbook import remedy_decision, remedy_state
from mainstay.runbook.remedy import HostCheck, Remediation, Verification
from mainstay.runbook.remedy_decision import GUARDS
from mainstay.runbook.remedy_search import Scope, search, walk
from mainstay.runbook.remedy_state import Track
from runbook.remedies import MINUTE, rule

HOUR = timedelta(hours=1)


def _rule(name: str = "restart", **changes: Any) -> Remediation:
    limits = {"attempts": 2, "within": 20 * MINUTE, "concurrent": 1, "share": 0.5, "fleet": 4, "stop_after": 2,
              "cool_down": 2 * MINUTE, "flaps": 1, "flap_within": HOUR, "run": 10 * MINUTE, "wait": 10 * MINUTE}
    verify = changes.pop("verify", Verification(hold=2 * MINUTE, within=4 * MINUTE))
    return rule(name, verify=verify, **{**limits, **changes})


CHECKED = Verification(checks=(HostCheck("cpu", "<", 0.5),), hold=2 * MINUTE, within=4 * MINUTE)


@pytest.mark.parametrize(("scope", "least"), [
    (Scope((_rule(),), 1, 8), 15_000), (Scope((_rule(),), 2, 6), 8_000), (Scope((_rule(concurrent=2),), 3, 5), 2_000),
    (Scope((_rule(concurrent=2),), 4, 5), 2_000), (Scope((_rule(), _rule("scale")), 1, 5), 500),
    (Scope((_rule(verify=CHECKED),), 1, 6), 2_000), (Scope((_rule(mode="observe"),), 4, 4), 100)])
def test_in_whatever_order_things_happen_no_limit_breaks(scope: Scope, least: int) -> None:
    proof = search(scope)
    assert proof.breach is None
    assert proof.complete
    assert proof.states > least, "it looked at something"


LONG = st.lists(st.integers(0, 1_000), min_size=20, max_size=80)


@settings(max_examples=60, deadline=None)
@given(LONG, st.integers(1, 4), st.sampled_from([
    (_rule(concurrent=2),), (_rule(verify=CHECKED, flaps=3),), (_rule(attempts=3), _rule("scale", locked="wait"))]))
def test_nor_does_one_break_on_long_ways(choices: list[int], targets: int, rules: tuple[Remediation, ...]) -> None:
    walk(Scope(rules, targets), choices)


WITHOUT: dict[str, tuple[str, Scope]] = {
    "stop_after": ("stop", Scope((_rule(concurrent=2, attempts=9),), 2, 5)),
    "flaps": ("flapping", Scope((_rule(),), 1, 7)),
    "attempts": ("attempts", Scope((_rule(attempts=1, stop_after=9, flaps=9),), 1, 4)),
    "share": ("fleet share", Scope((_rule(concurrent=4),), 3, 3)),
    "lock": ("lock", Scope((_rule(),), 1, 2)),
    "cool_down": ("cool-down", Scope((_rule(),), 1, 6)),
    "target": ("one per target", Scope((_rule(), _rule("scale")), 1, 1)),
    "concurrent": ("concurrency", Scope((_rule(),), 2, 2)),
}
"""Limit → what breaks without it, and how far one must look to see that."""


def test_every_limit_that_can_break_is_tried_without() -> None:
    assert {*WITHOUT, "hours", "condition"} == set(GUARDS), "conditions only ever forbid"


@pytest.mark.parametrize("limit", WITHOUT)
def test_the_search_finds_what_breaks_without_a_limit(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    invariant, scope = WITHOUT[limit]
    assert search(scope).breach is None
    monkeypatch.delitem(GUARDS, limit)
    breach = search(scope).breach
    assert breach is not None, f"nothing breaks without {limit}, as far as {scope.depth} events go"
    assert breach.invariant == invariant
    assert 0 < len(breach.path) <= scope.depth


def _no_counting_of_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    remember = remedy_state.Remedies._remember

    def forgetful(self: Any, case: Any, event: str, at: datetime) -> None:
        remember(self, case, event, at)
        if event == "failed":
            track = self.track(case.rule, case.target)
            self.tracks[case.rule, case.target] = replace_track(track, track.starts[:-1])

    monkeypatch.setattr(remedy_state.Remedies, "_remember", forgetful)


def replace_track(track: Track, starts: tuple[datetime, ...]) -> Track:
    return Track(starts, track.healed, track.rested)


def _verified_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remedy_decision, "_healthy", lambda desk, rule, case: remedy_decision._verified(
        desk, desk.say("healthy", case.id)))


def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remedy_decision, "_escalate",
                        lambda desk, case, why: desk.say("ended", case.id, why=why))


@pytest.mark.parametrize(("sabotage", "invariant"), [
    (_no_counting_of_crashes, "attempts"), (_verified_at_once, "verified"), (_forgotten, "nothing is lost")])
def test_the_search_finds_the_old_defects(sabotage: Callable[[pytest.MonkeyPatch], None], invariant: str,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    scope = Scope((_rule(attempts=1, stop_after=9),), 1, 6)
    assert search(scope).breach is None
    sabotage(monkeypatch)
    breach = search(scope).breach
    assert breach is not None
    assert breach.invariant == invariant


def test_a_search_that_is_not_finished_says_so() -> None:
    assert not search(Scope((_rule(),), 2, 6, most=100)).complete
