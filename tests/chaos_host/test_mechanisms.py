"""Every mechanism that this host has: put in, proven, taken out, proven again, and nothing is left."""

from __future__ import annotations

import pytest

from chaos_host.place import groups_left, place_for
from mainstay.adapters.faults.injector import HostInjector, mechanisms

ABLE = [(way, ability) for way in mechanisms() for ability in way.abilities() if ability.state != "unavailable"]
UNABLE = [ability for way in mechanisms() for ability in way.abilities() if ability.state == "unavailable"]


@pytest.mark.parametrize(("way", "ability"), ABLE, ids=[f"{one.kind} by {one.mechanism}" for _, one in ABLE])
def test_a_fault_is_put_in_proven_taken_out_and_nothing_of_it_is_left(tmp_path, way, ability):
    place = place_for(tmp_path / "place", ability.kind, ability.mechanism)
    try:
        before = place.snapshot()
        order = place.order(ability.kind)
        injector = HostInjector(place.state, [way])
        means = injector.means(order)
        assert (means.mechanism, means.healing) == (ability.mechanism, ability.healing)
        assert means.does
        with injector.guard("run") as guarded:
            injection = guarded.inject(order)
            seen = injection.proof()
            assert seen.in_effect, seen
            assert injection.victims().get("processes_hit", 1) == 1
            injection.remove()
            gone = injection.proof()
            assert not gone.in_effect, gone
            place.now()
            assert place.snapshot() == before
            injection.remove()
            assert guarded.clear() == ()
        assert place.snapshot() == before
        assert place.helpers() == []
        assert groups_left(place.state) == []
        assert injector.recover() == ()
    finally:
        place.close()


def test_what_is_not_possible_here_is_counted():
    assert all(ability.why and ability.enable for ability in UNABLE)
    if UNABLE:
        pytest.skip("; ".join(f"{one.kind} by {one.mechanism}: {one.why}" for one in UNABLE))
