"""Fault kinds: names of other tools are understood, settings are read in their units, nonsense is refused."""

from __future__ import annotations

from collections import Counter

import pytest

from mainstay.chaos.kinds import KINDS, kind_named
from mainstay.kernel.errors import InvalidInput, NotFound


def test_no_two_kinds_share_a_name():
    names = Counter(name for kind in KINDS for name in (kind.name, *kind.aliases))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(("kind", "given", "wanted"), [
    ("network-latency", {"latency": "200ms"}, {"latency": 0.2, "jitter": 0.0}),
    ("packet-loss", {"loss": "5%"}, {"loss": 0.05}),
    ("memory-stress", {"size": "64MiB"}, {"size": 2.0**26, "over": 0.0}),
    ("bandwidth-limit", {"rate": "1mbit"}, {"rate": 125_000.0}),
    ("bandwidth-limit", {"rate": "1MB/s"}, {"rate": 1e6}),
    ("clock-skew", {"offset": "-1h"}, {"offset": -3600.0}),
    ("dependency-error", {"status": 500}, {"status": 500.0, "rate": 1.0, "body": ""}),
])
def test_settings_are_read_in_their_units(kind: str, given: dict[str, str | float], wanted: dict[str, object]):
    assert kind_named(kind).settings(given) == wanted


@pytest.mark.parametrize(("kind", "given", "said"), [
    ("network-latency", {}, "needs latency"),
    ("network-latency", {"latncy": "1s"}, 'no parameter "latncy" .did you mean "latency"'),
    ("network-latency", {"latency": "-1s"}, "latency is -1s"),
    ("packet-loss", {"loss": "120%"}, "loss is 120%"),
    ("packet-loss", {"loss": "much"}, 'loss is "much"'),
    ("io-error", {"error": "EWHAT"}, 'error is "EWHAT"'),
    ("memory-stress", {"size": "lots"}, 'size is "lots"'),
])
def test_settings_that_make_no_sense_are_refused(kind: str, given: dict[str, str | float], said: str):
    with pytest.raises(InvalidInput, match=said):
        kind_named(kind).settings(given)


def test_other_tools_names_are_understood_and_unknown_ones_are_told_what_is_close():
    assert kind_named("kill_pod").name == "pod-failure"
    with pytest.raises(NotFound, match="cpu-stress"):
        kind_named("cpu-stres")
