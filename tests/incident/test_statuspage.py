"""The public status page: what was posted and nothing else, written whole or not at all."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from incident.plans import T0, People, desk_of, plan_of
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.app import Settings, build_world
from mainstay.doors.terminal import Style, render
from mainstay.doors.web.incident_content import incident_page
from mainstay.doors.web.pages import PageQuery
from mainstay.incident.engine import Note, Open, PostUpdate, Resolve, TryPage
from mainstay.incident.intake import Opening
from mainstay.incident.lifecycle import Status
from mainstay.incident.operations.desk import desk_of as desk_of_world
from mainstay.incident.operations.looking import ShowRequest, show, show_view
from mainstay.incident.operations.statuspage import StatuspageRequest, statuspage, statuspage_view
from mainstay.incident.severity import Severity
from mainstay.incident.statuspage import DAYS, Trouble, Update, compose, document, public
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.ports import World
from mainstay.kernel.view import View

SERVICES = {"checkout": "Checkout", "search": "Search"}


def trouble(days: float, hours: float | None = 1, *, state: str = "at_risk", text: str = "we work on it") -> Trouble:
    opened = T0 - timedelta(days=days)
    resolved = None if hours is None else opened + timedelta(hours=hours)
    status = Status.INVESTIGATING if hours is None else Status.RESOLVED
    return Trouble("INC-1", ("checkout",), state, status, opened, resolved,  # type: ignore[arg-type]
                   (Update(opened, Status.INVESTIGATING, text),))


def page(*troubles: Trouble, since_days: float = 200):  # type: ignore[no-untyped-def]
    return compose(SERVICES, troubles, T0, title="Shop", since=T0 - timedelta(days=since_days))


def test_an_incident_is_public_once_an_update_was_posted_and_not_before(tmp_path: Path):
    plan = plan_of(tmp_path, "apiVersion: mainstay/v1\nkind: Routing\nmetadata: {name: all}\nspec: {route: {}}\n")
    desk, _ = desk_of(plan, People({}))
    name = desk.do(Open(Opening("db-3 is full", Severity.SEV1, ("checkout",), by="ana"))).incident
    desk.do(Note(name, "ben forgot the backups", "ana"))

    def made() -> Trouble | None:
        return public(desk.state.incidents[name], desk._journal.facts(FactQuery(subject=name)))

    assert made() is None
    desk.do(PostUpdate(name, "Orders fail.", "ana"))
    shown = document(page(*filter(None, [made()])), "status.css")
    assert "Orders fail." in shown
    assert re.findall("db-3|ben|ana|backups", shown) == [], "titles, notes and people stay inside"


def test_a_component_is_as_bad_as_the_worst_that_is_open_and_its_days_remember():
    found = page(trouble(0.1, None, state="violated"), trouble(3))
    checkout, search = found.components
    assert (checkout.state, search.state) == ("violated", "healthy")
    assert [state for state in checkout.days if state != "healthy"] == ["at_risk", "violated"]
    assert checkout.days[DAYS - 1 - 3] == "at_risk"
    assert found.verdict == "Checkout: outage."


def test_an_incident_over_midnight_marks_both_days_and_one_older_than_the_page_is_left_out():
    found = page(trouble(2.4, 24), trouble(DAYS + 5))
    assert [place for place, state in enumerate(found.components[0].days) if state == "at_risk"] == [
        DAYS - 1 - 3, DAYS - 1 - 2]
    assert len(found.past) == 1


def test_days_before_the_record_began_are_unknown_and_not_good():
    assert page(since_days=2).components[1].days.count("no_data") == DAYS - 3
    assert "no trouble in the 3 days on record" in document(page(since_days=2), "status.css")


def test_what_people_write_is_text_and_never_markup():
    shown = document(page(trouble(1, text="<script>alert(1)</script> & more")), "status.css")
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in shown


def test_the_page_loads_nothing_but_its_style():
    assert re.findall(r'(?:src|href)="([^"]+)"', document(page(trouble(1)), "status.css")) == ["status.css"]


def test_the_files_are_written_whole_and_again_over_the_old_ones(tmp_path: Path):
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "s.yaml").write_text(
        "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: checkout}\nspec: {description: Takes orders}\n")
    world = build_world(Settings(str(tmp_path / "plan"), f"sqlite:///{tmp_path}/m.db", actor="ana"))
    desk = desk_of_world(world)
    name = desk.do(Open(Opening("x", Severity.SEV2, ("checkout",), page=False, by="ana"))).incident
    desk.do(PostUpdate(name, "It is slow.", "ana"))
    out = tmp_path / "public"
    for _ in range(2):
        written = statuspage(world, StatuspageRequest("Shop", str(out))).written
    assert sorted(file.name for file in out.iterdir()) == ["index.html", "status.css", "status.json"]
    assert sorted(Path(file).name for file in written) == ["index.html", "status.css", "status.json"]
    assert json.loads((out / "status.json").read_text())["open"][0]["updates"][0]["text"] == "It is slow."
    desk.do(Resolve(name, "ana"))
    statuspage(world, StatuspageRequest("Shop", str(out)))
    assert json.loads((out / "status.json").read_text())["verdict"] == "All components are healthy."


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    world = build_world(Settings(str(tmp_path), f"sqlite:///{tmp_path}/m.db"))
    with pytest.raises(InvalidInput, match="cannot be written"):
        statuspage(world, StatuspageRequest("Shop", str(tmp_path / "file" / "x")))




def plain(view: View) -> str:
    return render(view, Style(width=100))


def test_what_is_not_published_stays_off_the_page_and_is_said_to_whoever_works_on_it(tmp_path: Path):
    clock = FakeClock(T0)
    nothing: Any = None
    here = World(clock, Catalog(), MemoryJournal(clock), nothing, nothing, nothing, spent=lambda *_: ())
    desk = desk_of_world(here)
    for severity in (Severity.SEV1, Severity.SEV4):
        desk.do(Open(Opening("orders fail", severity, ("shop",), page=False)))
    desk.do(TryPage("ana", "sam"))
    told = statuspage(here, StatuspageRequest("Status", str(tmp_path)))
    assert told.page.state == "healthy"
    assert told.unpublished == ("INC-1",)
    shown = plain(statuspage_view(told))
    assert "Not on it: INC-1." in shown
    assert "mainstay incident update INC-1" in shown
    assert b"INC-1" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    one = show(here, ShowRequest("INC-1"))
    assert not one.incident.public
    assert "says nothing of it yet" in plain(show_view(one))
    assert incident_page(here, PageQuery({"name": "INC-1"}, "")).unpublished
    desk.do(PostUpdate("INC-1", "Some orders fail.", "ana"))
    one = show(here, ShowRequest("INC-1"))
    assert one.incident.public
    assert "says nothing" not in plain(show_view(one))
    assert not incident_page(here, PageQuery({"name": "INC-1"}, "")).unpublished
    assert statuspage(here, StatuspageRequest("Status")).unpublished == ()


def test_with_an_incident_that_is_open_the_page_does_not_say_that_there_was_none():
    assert "No incident in the last 90 days" in document(page(), "status.css")
    assert "No other incident in the last 90 days" in document(page(trouble(0.1, None)), "status.css")
