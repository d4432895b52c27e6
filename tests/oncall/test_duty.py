"""Who is paged at a moment: what was worked out before never outlives the shift it was worked out for."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span
from mainstay.oncall.grammar import GRAMMAR
from mainstay.oncall.operations.changing import OverrideRequest, override
from mainstay.oncall.operations.duty import Duty
from oncall.rotations import utc

_CATALOG = """
apiVersion: mainstay/v1
kind: Rotation
metadata: {name: days}
spec:
  timezone: Europe/Berlin
  start: "2026-03-02T09:00"
  turn: 1d
  members: [ana, ben, cy]
  restrictions: [{days: [mon, tue, wed, thu, fri], from: "09:00", to: "17:00"}]
  overrides: [{from: "2026-03-28T20:00", to: "2026-03-29T03:30", who: dora}]
---
apiVersion: mainstay/v1
kind: Rotation
metadata: {name: minutes}
spec: {timezone: Asia/Kathmandu, start: "2026-03-20T00:00", turn: 45m, members: [ana, ben, eva]}
---
apiVersion: mainstay/v1
kind: Schedule
metadata: {name: both}
spec: {layers: [days, minutes]}
"""
_FIRST = utc("2026-03-19T00:00Z")
_MOMENTS = st.lists(st.integers(0, 14 * 86_400).map(lambda seconds: _FIRST + timedelta(seconds=seconds)), min_size=2,
                    max_size=12)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("duty")
    (folder / "rota.yaml").write_text(_CATALOG)
    found, findings = load([folder], GRAMMAR)
    assert not findings
    return found


def _by_the_shift(duty: Duty, name: str, at: datetime) -> tuple[str, ...]:
    who = duty.shifts(name, Span(at, at + timedelta(microseconds=1)))[0].who
    return () if who is None else (who,)


@given(moments=_MOMENTS)
def test_whenever_and_in_whatever_order_one_asks_the_answer_is_the_shift_of_that_moment(
        catalog: Catalog, moments: list[datetime]):
    asked = Duty(catalog, MemoryJournal(FakeClock(_FIRST)))
    for at in moments:
        for name in ("days", "minutes", "both"):
            assert asked.on_call(name, at) == _by_the_shift(asked, name, at)


def test_who_hands_over_is_no_longer_paged_from_that_instant_on(catalog: Catalog):
    duty = Duty(catalog, MemoryJournal(FakeClock(_FIRST)))
    last = utc("2026-03-20T00:14:59Z")
    assert duty.on_call("minutes", last - timedelta(minutes=5)) == duty.on_call("minutes", last)
    assert duty.on_call("minutes", last + timedelta(seconds=1)) != duty.on_call("minutes", last)


def test_an_override_that_another_made_meanwhile_holds_at_the_next_page(catalog: Catalog):
    at = utc("2026-03-20T10:00Z")
    clock = FakeClock(at)
    journal = MemoryJournal(clock)
    duty = Duty(catalog, journal)
    assert duty.on_call("days", at) == ("cy",)

    def nothing(_: object) -> object:
        raise AssertionError("not asked")

    world = World(clock, catalog, journal, nothing, nothing, nothing, actor="lead")  # type: ignore[arg-type]
    override(world, OverrideRequest("days", "ben", "2026-03-20T10:30", "2026-03-20T12:00"))
    assert duty.on_call("days", at) == ("ben",)
    override(world, OverrideRequest(remove="O-1"))
    assert duty.on_call("days", at) == ("cy",)
