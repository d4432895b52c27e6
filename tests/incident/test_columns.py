"""What is written field by field is read as it was, and is shared where it was the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from incident.plans import at
from mainstay.incident.checkpoint import COLUMNS
from mainstay.incident.columns import Columns
from mainstay.incident.lifecycle import Phase, Status
from mainstay.incident.ongoing import Alert, Incident, Key
from mainstay.incident.severity import Severity


def _again(columns: Columns[Any], things: Sequence[Any]) -> list[Any]:
    written = msgspec.json.decode(msgspec.json.encode(columns.write(things)), type=columns.form)
    share: dict[str, str] = {}
    return columns.read(written, len(things), share.setdefault)


def _alert(number: int, draw: random.Random) -> Alert:
    opened = at("0") + timedelta(seconds=draw.randrange(9_000), microseconds=draw.randrange(10**6))
    labels = {name: draw.choice(("", "a", "b", f"text {number} ü\n\"")) for name in ("x", "y", "z", "w")
              if draw.random() < 0.7}
    return Alert(
        f"A-{number}", Key(draw.choice(("", "web", "api")), f"k{number}"), draw.choice(list(Severity)),
        draw.choice(("slow", f"slow {number}")), labels, opened,
        opened if draw.random() < 0.8 else opened + timedelta(seconds=5), draw.choice(("", "g", f"g{number}")),
        draw.choice(("", "INC-1", f"INC-{number}")), draw.choice(("", "inhibited")), draw.randrange(1, 3),
        draw.choice((None, opened)), draw.randrange(1, 4),
        draw.choice(({}, {"summary": "slow"}, {"summary": f"slow {number}"})), draw.choice(("", "http://x")),
        draw.choice((None, opened + timedelta(minutes=4))))


def _incident(number: int, draw: random.Random) -> Incident:
    policy: dict[str, Any] = draw.choice(({}, {"name": "web", "version": "1", "steps": [{"page": ["person:ana"]}]},
                                          {"name": "web", "version": "2", "steps": [{"page": [], "wait": 1.5}]}))
    return Incident(
        f"INC-{number}", number, "slow", "web", draw.choice((("web",), (), ("web", f"s{number}"))), Severity.SEV2,
        draw.choice(("", f"g{number}")), at("0"), policy, draw.choice(list(Status)), draw.choice(list(Phase)),
        roles=draw.choice(({}, {"commander": "ana"})), resolved=draw.choice((None, at("1h"))), version=number,
        reaching=draw.choice(((), ("a", "b"))), interval=draw.choice((None, 60.0)), hushed=draw.random() < 0.5)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 200])
@pytest.mark.parametrize("seed", range(5))
def test_any_alerts_and_incidents_are_read_as_they_were_in_their_order(seed: int, count: int) -> None:
    draw = random.Random(seed)
    for columns, make in ((COLUMNS["alerts"], _alert), (COLUMNS["incidents"], _incident)):
        things = [make(number, draw) for number in range(count)]
        found = _again(columns, things)
        assert found == things
        assert [list(one.labels) for one in found if isinstance(one, Alert)] == \
            [list(one.labels) for one in things if isinstance(one, Alert)], "labels are shown in their sender's order"


def test_alerts_that_have_something_in_common_share_it_afterwards() -> None:
    draw, told = random.Random(1), {"summary": "slow"}
    alerts = [msgspec.structs.replace(_alert(number, draw), annotations=told, group=f"g{number % 9}",
                                      labels={"service": f"s{number % 9}", "pod": f"p{number}"},
                                      last=at("1h"), opened=at("1h")) for number in range(100)]
    found = _again(COLUMNS["alerts"], alerts)
    assert found == alerts
    assert found[0].group is found[9].group
    assert found[0].annotations is found[99].annotations
    assert found[0].labels["service"] is found[90].labels["service"]
    assert found[5].last is found[5].opened
    assert isinstance(found[0].key, Key)
