"""Work that can wait waits for the morning of whoever is paged, by the clock where they live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.plans import People, fires, paged, plan_of, play, stops
from incident.rooms import House, Receiver, house, policy, reach
from mainstay.incident.engine import Acknowledge, SetSeverity
from mainstay.incident.severity import Severity
from mainstay.kernel.people import Reach
from mainstay.kernel.wallclock import daytime_from


def quiet_house(start: datetime, *ana: Reach, zone: str = "Europe/Berlin", **more: object) -> tuple[House, Receiver]:
    chat = Receiver()
    here = house({"chat": chat}, {"ana": ana or (reach("chat", "UANA", zone=zone),),
                                  "ben": (reach("chat", "UBEN", zone="America/New_York"),)},
                 steps=policy("rotation:first", "rotation:second"), start=start, **more)  # type: ignore[arg-type]
    chat.clock = here.clock
    return here, chat


def moments(chat: Receiver) -> list[str]:
    return [f"{notice.target} {moment:%d %H:%M}" for notice, moment in zip(chat.got, chat.at, strict=True)]


# Reference instants by zone data: Berlin is UTC+1 in winter and UTC+2 from 2026-03-29T01:00Z on.
@pytest.mark.parametrize(("now", "zone", "morning"), [
    ("2026-03-02T02:00:00+00:00", "Europe/Berlin", "2026-03-02T08:00:00+00:00"),
    ("2026-03-02T07:59:59+00:00", "Europe/Berlin", "2026-03-02T08:00:00+00:00"),
    ("2026-03-02T08:00:00+00:00", "Europe/Berlin", "2026-03-02T08:00:00+00:00"),
    ("2026-03-02T15:59:59+00:00", "Europe/Berlin", "2026-03-02T15:59:59+00:00"),
    ("2026-03-02T16:00:00+00:00", "Europe/Berlin", "2026-03-03T08:00:00+00:00"),
    ("2026-03-28T20:00:00+00:00", "Europe/Berlin", "2026-03-29T07:00:00+00:00"),
    ("2026-10-24T20:00:00+00:00", "Europe/Berlin", "2026-10-25T08:00:00+00:00"),
    ("2026-03-02T02:00:00+00:00", "Asia/Kolkata", "2026-03-02T03:30:00+00:00"),
    ("2026-03-02T02:00:00+00:00", "Pacific/Auckland", "2026-03-02T02:00:00+00:00")])
def test_a_morning_is_nine_by_the_wall_clock_of_the_zone(now: str, zone: str, morning: str):
    assert daytime_from(datetime.fromisoformat(now), ZoneInfo(zone)) == datetime.fromisoformat(morning)


@given(st.integers(946_684_800, 2_114_380_800), st.sampled_from(
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu",
     "Pacific/Apia", "America/Sao_Paulo"]))
def test_daytime_is_never_behind_and_at_most_a_night_away(epoch: int, zone: str):
    now = datetime.fromtimestamp(epoch, UTC)
    found = daytime_from(now, ZoneInfo(zone))
    # Apia left out a whole day in 2011.
    assert timedelta(0) <= found - now <= timedelta(hours=17 + (24 if zone == "Pacific/Apia" else 0))
    assert found.astimezone(ZoneInfo(zone)).hour >= 9


def test_a_page_that_can_wait_waits_for_the_morning_and_so_does_the_next_step():
    here, chat = quiet_house(datetime(2026, 3, 2, 2, 0, tzinfo=UTC))
    here.fires(severity="info")
    here.run(hours=14)
    # Ana's morning is 08:00 UTC. Her five minutes count from there; Ben's morning in New York is 14:00 UTC.
    assert moments(chat) == ["UANA 02 08:00", "UBEN 02 14:00"]


def test_a_page_that_can_wait_goes_out_at_once_by_day():
    here, chat = quiet_house(datetime(2026, 3, 2, 10, 0, tzinfo=UTC))
    here.fires(severity="info")
    here.run(seconds=1)
    assert moments(chat) == ["UANA 02 10:00"]


def test_a_page_that_cannot_wait_wakes_people():
    here, chat = quiet_house(datetime(2026, 3, 2, 2, 0, tzinfo=UTC))
    here.fires(severity="warning")
    here.run(seconds=1)
    assert moments(chat) == ["UANA 02 02:00"]


def test_who_was_left_to_sleep_is_woken_when_it_gets_worse():
    here, chat = quiet_house(datetime(2026, 3, 2, 2, 0, tzinfo=UTC))
    incident = here.fires(severity="info")
    here.run(minutes=30)
    here.desk.do(SetSeverity(incident, Severity.SEV1, "dora"))
    here.run(minutes=1)
    assert moments(chat) == ["UANA 02 02:30"]
    here.run(minutes=5)
    assert moments(chat) == ["UANA 02 02:30", "UBEN 02 02:35"], "steps take their usual time from then on"
    here.desk.do(Acknowledge(incident, "ben"))
    here.run(hours=8)
    assert [one.target for one in chat.got if one.data["what"] == "page"] == ["UANA", "UBEN"], \
        "nothing rings in the morning any more; only stakeholders wait for updates"


def test_an_acknowledgement_in_the_night_lets_them_sleep():
    here, chat = quiet_house(datetime(2026, 3, 2, 2, 0, tzinfo=UTC))
    incident = here.fires(severity="info")
    here.run(minutes=1)
    here.desk.do(Acknowledge(incident, "dora"))
    here.run(hours=8)
    assert chat.got == []


def test_rules_for_what_can_wait_count_from_the_morning():
    here, chat = quiet_house(datetime(2026, 3, 2, 2, 0, tzinfo=UTC), reach("chat", "now"), reach("chat", "UANA", "3m",
                             urgency="low", zone="Europe/Berlin"))
    here.fires(severity="info")
    here.run(hours=7)
    assert moments(chat)[0] == "UANA 02 08:03"


def test_a_rule_for_what_can_wait_that_would_come_after_five_waits_for_the_next_morning():
    here, chat = quiet_house(datetime(2026, 3, 2, 15, 55, tzinfo=UTC), reach("chat", "now"), reach("chat", "UANA", "9m",
                             urgency="low", zone="Europe/Berlin"))
    here.fires(severity="info")
    here.run(hours=17)
    assert moments(chat)[-1] == "UANA 03 08:00"


def test_who_could_sleep_before_it_was_over_is_woken_when_something_worse_reopens_it(tmp_path: Path):
    plan = plan_of(tmp_path, """
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana], wait: 5m}]}
---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec: {route: {policy: web, group_by: [service], reopen: 1h}}
""")
    # 18:00 UTC, which is after five where ana lives.
    outcome = play(plan, People({}), fires("9h", severity="info"), stops("9h1m"), fires("9h2m", severity="critical"),
                   until="10h")
    assert paged(outcome) == ["+542m S1 ana: reopened"]
    assert [change.data["to"] for change in outcome.changes if change.kind == "incident.severity-changed"] == ["SEV1"]


def test_a_night_of_small_things_is_told_together_in_the_morning():
    here, chat = quiet_house(datetime(2026, 3, 2, 2, 0, tzinfo=UTC))
    for number in range(30):
        here.fires(f"disk-{number}", "info")
    here.run(hours=6, minutes=4)
    assert len(chat.got) == 10, "the storm guard's ten"
    here.run(minutes=2)
    assert "20 more incidents" in chat.got[10].subject
