"""Post-mortems: there at once, made of facts line by line, never half when they leave draft (D3)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident import story
from incident.plans import T0, People, desk_of, fires, plan_of, stops
from mainstay.adapters.memory import MemoryJournal
from mainstay.incident.action_items import Progress
from mainstay.incident.aftermath import AddItem, Details, MovePostmortem, WriteSection
from mainstay.incident.document import written_html
from mainstay.incident.engine import GiveRole, Merge, Open, Resolve
from mainstay.incident.intake import AlertEvent, Opening
from mainstay.incident.layouts import LAYOUTS, lay_out, read_template
from mainstay.incident.operations import desk as desks
from mainstay.incident.operations.actions import ActionRequest, action
from mainstay.incident.operations.postmortem import (
    PostmortemRequest,
    PostmortemsRequest,
    keep_measured,
    post_mortem_of,
    postmortem,
    postmortems,
    rendered,
)
from mainstay.incident.operations.simulate import play
from mainstay.incident.rehearsal import Rehearsal
from mainstay.incident.review import SECTIONS, STAGES, CannotLeaveDraft, ChangedMeanwhile, Stage
from mainstay.incident.severity import Severity
from mainstay.incident.state import Happened
from mainstay.kernel.errors import Conflict, InvalidInput, NotFound
from mainstay.kernel.journal import Batch, Fact, FactQuery, NewFact
from mainstay.kernel.ports import World
from mainstay.reactions import react

MARKDOWN = story.EXAMPLE.with_suffix(".md")
TEXTS = {
    "summary": "For 40 minutes, up to one in ten requests to checkout answered 500. Orders that failed could be placed "
               "again; none was lost. Going back to the version of the morning ended it.",
    "users": "About 1,500 people saw an error while paying; 221 requests failed.",
    "cause": "Version v2.4.1 asks the database once for each item of a cart instead of once for the cart. A pool of 40 "
             "connections is enough for that with usual traffic, and not with three times as much.",
    "trigger": "A campaign by mail that began at 14:20, at the same time as the deployment.",
    "whys": "- Why did requests fail? They waited for a connection and timed out.\n"
            "- Why was none free? Each request asked the database 12 times instead of once.\n"
            "- Why was that not seen before? The test data has carts of one item.\n"
            "- Why does no test have larger ones? Load tests are written by hand and none is required.\n"
            "- Why is none required? The release checklist was made before there was a database.",
    "factors": "- Going back took 6 minutes, most of it waiting for an approval.\n"
               "- Nothing alerts on the use of the pool before it is full.\n"
               "- Campaigns are planned without a word to the people who are on call.",
    "detection": "The alert on the error rate. The use of the pool would have shown it four minutes sooner.",
    "resolution": "Going back to `v2.4.0`. The change comes again when it has been under load.",
    "went-well": "- The first page was answered within a minute.\n- It was clear who decides; going back was decided "
                 "without a long search.",
    "went-poorly": "- Going back needs an approval that nobody in the room could give.\n- The first update came 13 "
                   "minutes after the first page.",
    "lucky": "- It was in the afternoon, with everybody there.\n- The pool recovered without a restart.",
    "links": "- [Dashboard](https://grafana.example.com/d/checkout)\n- Ticket ENG-1200",
}
ITEMS = (
    ("Refuse a release that was not under load with carts of twenty items", "prevent", "P0", "ben", "2026-03-24",
     "ENG-1234"),
    ("Alert when three quarters of the pool are in use", "detect", "P1", "ana", "2026-03-17", "ENG-1235"),
    ("Let whoever is on call go back to the last version without an approval", "mitigate", "P0", "dora", "2026-03-20",
     "ENG-1240"),
)


@pytest.fixture
def world() -> World:
    """The recorded incident, at six in the evening of that day."""
    return story.world(story.recorded())


def written(world: World, texts: dict[str, str] = TEXTS) -> None:
    """Everything a post-mortem needs."""
    postmortem(world, PostmortemRequest("INC-1", set=tuple(f"{key}={text}" for key, text in texts.items())))
    for text, kind, priority, owner, due, link in ITEMS:
        action(world, ActionRequest("add", "INC-1", text, kind, priority, owner, due, link))


def text_of(world: World, layout: str = "mainstay") -> str:
    return rendered(lay_out(post_mortem_of(world, "INC-1"), layout), "markdown", "")


# -- the example -------------------------------------------------------------------------------------------------------


def test_the_recorded_incident_is_what_the_engine_gives_now():
    assert story.RECORDED.read_text(encoding="utf-8") == story.lines(story.record()), "python -m incident.story"


def test_the_example_is_made_of_the_recorded_incident(world: World, request: pytest.FixtureRequest):
    written(world)
    postmortem(world, PostmortemRequest("INC-1", state="in-review"))
    postmortem(replace(world, actor="ben"), PostmortemRequest("INC-1", state="published"))
    if request.config.getoption("--update"):
        MARKDOWN.write_text(text_of(world), encoding="utf-8")
    assert MARKDOWN.read_text(encoding="utf-8") == text_of(world), "pytest --update writes what is made now"
    assert not postmortem(world, PostmortemRequest("INC-1")).findings, "and it blames nobody"


# -- drafting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("severity", "drafted"), [("SEV1", True), ("SEV2", True), ("SEV3", False), ("SEV4", False)])
def test_a_severe_incident_that_is_resolved_has_its_draft_in_the_same_commit(tmp_path: Path, severity: str,
                                                                             drafted: bool):
    desk, clock = desk_of(plan_of(tmp_path, ""), People({}))
    clock.set(datetime(2026, 7, 1, 9, 0, tzinfo=UTC))
    desk.do(Open(Opening("x", Severity(severity), page=False)))
    clock.set(datetime(2026, 7, 1, 10, 0, tzinfo=UTC))
    desk.do(Resolve("INC-1", "ana"))
    found = desk.state.reviews.get("INC-1")
    assert (found is not None) == drafted
    if found is not None:
        assert found.due == datetime(2026, 7, 3, 10, 0, tzinfo=UTC)
        assert found.stage is Stage.DRAFT


def test_one_that_was_merged_has_none_and_one_that_broke_again_goes_back_to_draft(tmp_path: Path):
    plan = plan_of(tmp_path, "apiVersion: mainstay/v1\nkind: Routing\nmetadata: {name: all}\n"
                             "spec: {route: {reopen: 1h}}\n")
    desk, clock = desk_of(plan, People({}))
    desk.do(Open(Opening("x", Severity.SEV1, page=False)))
    desk.do(AlertEvent(clock.now(), True, "k", severity="page"))
    desk.do(Merge("INC-1", "INC-2", "ana"))
    assert desk.state.reviews.get("INC-1") is None
    desk.do(AlertEvent(clock.now(), False, "k"))
    desk.do(WriteSection("INC-2", "summary", "it broke", "ana"))
    first = desk.state.reviews["INC-2"].due
    clock.set(clock.now() + timedelta(minutes=10))
    desk.do(AlertEvent(clock.now(), True, "k", severity="page"))
    clock.set(clock.now() + timedelta(minutes=10))
    desk.do(AlertEvent(clock.now(), False, "k"))
    found = desk.state.reviews["INC-2"]
    assert found.due == first + timedelta(minutes=20)
    assert found.filled == ("summary",)


def test_what_is_not_over_has_no_post_mortem_and_a_minor_one_is_drafted_when_asked_for(world: World):
    desk = desks.desk_of(world)
    desk.do(Open(Opening("slow", Severity.SEV3, ("checkout",), page=False)))
    with pytest.raises(Conflict, match="INC-2 is open"):
        postmortem(world, PostmortemRequest("INC-2"))
    desk.do(Resolve("INC-2", "ana"))
    with pytest.raises(NotFound, match="has no post-mortem"):
        postmortems(world, PostmortemsRequest("INC-2"))
    found = postmortem(world, PostmortemRequest("INC-2")).document
    assert found is not None
    assert found.due - (found.resolved or found.due) == timedelta(days=7)
    assert postmortem(world, PostmortemRequest("INC-2")).document == found, "drafting it again changes nothing"


# -- what it says ------------------------------------------------------------------------------------------------------


def test_it_lasts_from_the_first_alert_to_the_end_in_utc(world: World):
    found = post_mortem_of(world, "INC-1")
    assert found.first_impact == story.at("14:22:30"), "the sender's clock, not when the incident was opened"
    assert found.seconds == (45 * 60 + 30)
    assert found.detected == story.at("14:23:10")
    assert found.acknowledged == story.at("14:24:02")
    assert found.mitigated == story.at("14:46")


def test_the_first_impact_that_somebody_wrote_counts_and_must_be_a_moment(world: World):
    postmortem(world, PostmortemRequest("INC-1", set=("first-impact=2026-03-10T14:20:00Z",)))
    found = post_mortem_of(world, "INC-1")
    assert found.seconds == 48 * 60
    assert found.spending[0].bad == 221
    with pytest.raises(InvalidInput, match="first-impact"):
        postmortem(world, PostmortemRequest("INC-1", set=("first-impact=a little earlier",)))


def test_the_budget_spent_is_computed_from_the_ledger(world: World):
    (spent,) = post_mortem_of(world, "INC-1").spending
    # By hand: the slots from 14:20 to 15:10 lost 221; 30 days have 8,640 slots, of which 34 end later than 15:10 and so
    # were counted before: 8,606 slots of 400 requests at 99.9 % allow 3,442.4.
    assert spent.bad == 221
    assert spent.allowed == pytest.approx(400 * 8606 * 0.001)
    assert spent.share == pytest.approx(221 / 3442.4)
    assert spent.until == story.at("15:10")


def test_where_nothing_was_measured_it_says_so_and_not_zero():
    found = post_mortem_of(story.world(story.recorded(), measured=False), "INC-1")
    assert found.spending[0].share is None
    assert "no data was measured in this time" in rendered(lay_out(found), "markdown", "")


def test_every_line_of_the_timeline_names_its_event_and_no_change_of_state_is_left_out(world: World):
    facts = list(world.journal.facts(FactQuery(kinds=("incident.", "alert."))))
    timeline = text_of(world).partition("## Timeline")[2].partition("\n## ")[0]
    lines = re.findall(r"^- \d\d:\d\d:\d\d .*\(event (\d+)\)$", timeline, re.MULTILINE)
    assert len(lines) == len(timeline.strip().splitlines()) - 2
    told = {int(number) for number in lines}
    assert {fact.seq for fact in facts if fact.kind != "alert.changed"} <= told
    assert told <= {fact.seq for fact in world.journal.facts(FactQuery())}


def test_people_are_called_by_their_roles(world: World):
    text = text_of(world)
    assert "acknowledged by the commander (ana)" in text
    assert "operations (ben): errors are time-outs" in text
    found = post_mortem_of(world, "INC-1")
    assert [(part.role, part.who) for part in found.people] == [
        ("commander", "ana"), ("operations", "ben"), ("communications", "chloe")]


def test_what_changed_shortly_before_is_named(world: World):
    assert [(one.kind, one.near) for one in post_mortem_of(world, "INC-1").changes] == [
        ("flag", True), ("deployment", True)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("full", [False, True])
def test_no_heading_of_any_layout_is_bare(world: World, layout: str, full: bool):
    if full:
        written(world)
    text = text_of(world, layout)
    blocks = text.strip().split("\n\n")
    for block, following in zip(blocks, [*blocks[1:], "# end"], strict=True):
        if block.startswith("#"):
            deeper = re.match("#+", following)
            assert deeper is None or len(deeper[0]) > len(re.match("#+", block)[0]), f"{block} is bare"  # type: ignore[index]
    assert ("*Missing:*" in text) != full
    levels = [len(found) for found in re.findall(r"^(#+) ", text, re.MULTILINE)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_layouts_are_the_seven_public_ones_and_our_own():
    assert list(LAYOUTS) == [
        "mainstay", "google", "azure", "elastic", "kehoe", "google-api", "cloud-book", "real-world"]
    with pytest.raises(InvalidInput, match='did you mean "azure"'):
        lay_out(post_mortem_of(story.world(story.recorded()), "INC-1"), "azur")


class _Tags(HTMLParser):
    """Whether tags close in order, and which there are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_page_is_whole_and_lets_nothing_through(world: World, layout: str):
    postmortem(world, PostmortemRequest("INC-1", set=(
        "summary=<script>alert(1)</script> [x](javascript:alert(1)) [y](https://e.org/\"onmouseover=x) **b** `a<b`",)))
    desks.desk_of(world).do(AddItem("INC-1", Details("<img src=x onerror=1>"), "ana"))
    text = rendered(lay_out(post_mortem_of(world, "INC-1"), layout), "html", "INC-1 <b>")
    tags = _Tags(text)
    assert tags.open == []
    assert not {"script", "img", "b"} & set(tags.seen)
    assert 'href="javascript' not in text
    assert "onmouseover=" not in re.sub(r'"[^"]*"', "", " ".join(re.findall(r"<a [^>]*>", text)))


@given(st.text(max_size=200))
def test_whatever_somebody_writes_is_whole_html(text: str):
    tags = _Tags(written_html(text))
    assert tags.open == []
    assert set(tags.seen) <= {"p", "ul", "ol", "li", "code", "strong", "a"}


# -- the same facts, the same text -------------------------------------------------------------------------------------

_NOTES = [fact.seq for fact in story.recorded() if fact.kind == "incident.noted"]
_WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=80).filter(
    lambda text: text.strip())


@settings(max_examples=40, deadline=None)
@given(number=st.sampled_from(_NOTES), text=_WORDS)
def test_the_same_facts_give_the_same_text_and_one_changed_text_changes_exactly_its_line(number: int, text: str):
    facts = story.recorded()
    first, again = text_of(story.world(facts)), text_of(story.world(facts))
    assert first == again
    changed = text_of(story.world(story.edited(facts, number, text)))
    was, now = first.splitlines(), changed.splitlines()
    assert len(was) == len(now)
    differing = [(one, other) for one, other in zip(was, now, strict=True) if one != other]
    assert len(differing) <= 1
    for one, other in differing:
        assert one.endswith(f"(event {number})")
        assert other.endswith(f"(event {number})")


# -- evidence ----------------------------------------------------------------------------------------------------------


class _Tampered(MemoryJournal):
    """A journal somebody has written in."""

    def __init__(self, under: MemoryJournal, change: dict[int, Fact | None]) -> None:
        self._under, self._change = under, change

    def head(self) -> int:
        return self._under.head()

    def facts(self, query: FactQuery):  # type: ignore[no-untyped-def]
        for fact in self._under.facts(query):
            changed = self._change.get(fact.seq, fact)
            if changed is not None:
                yield changed


@pytest.mark.parametrize("number", [1, 5, 9, -1])
def test_a_line_that_was_changed_or_taken_away_is_found_and_only_that_one(world: World, number: int):
    keep_measured(world, "INC-1", "x")
    assert postmortem(world, PostmortemRequest("INC-1", verify=True)).broken == ()
    sealed = list(world.journal.facts(FactQuery(kinds=("incident.",))))
    fact = sealed[number]
    for other in (replace(fact, data={**fact.data, "text": "it was not like that"}), replace(fact, actor="eve"),
                  replace(fact, at=fact.at + timedelta(seconds=1)), None):
        forged = replace(world, journal=_Tampered(world.journal, {fact.seq: other}))  # type: ignore[arg-type]
        if other is None and fact.kind == "incident.opened":
            continue  # then there is no incident at all
        found = postmortem(forged, PostmortemRequest("INC-1", verify=True))
        assert [one.event for one in found.broken] == [fact.seq]


def test_what_follows_from_a_draft_is_measured_and_sealed_once(world: World):
    react(world)
    react(world)
    (kept,) = world.journal.facts(FactQuery(kinds=("postmortem.measured",)))
    assert kept.data["spending"][0]["bad"] == 221
    assert len(kept.data["seals"]) > 20


# -- review ------------------------------------------------------------------------------------------------------------


def test_a_draft_cannot_leave_while_anything_is_missing_and_each_thing_is_named(world: World):
    action(world, ActionRequest("add", "INC-1", "alert on the pool"))
    with pytest.raises(CannotLeaveDraft) as refused:
        postmortem(world, PostmortemRequest("INC-1", state="in-review"))
    said = refused.value.message
    assert all(f'section "{key}" is empty' in said for key in SECTIONS)
    assert "AI-1 has no owner: alert on the pool" in said
    assert "AI-1 has no due date: alert on the pool" in said


@pytest.mark.parametrize("lacks", ["owner", "due"])
def test_an_item_without_owner_or_date_holds_it_back_alone(world: World, lacks: str):
    written(world)
    given_ = {"owner": "ana", "due": "14d"}
    del given_[lacks]
    action(world, ActionRequest("add", "INC-1", "one more", **given_))
    with pytest.raises(CannotLeaveDraft, match=f"AI-4 has no {'due date' if lacks == 'due' else lacks}"):
        postmortem(world, PostmortemRequest("INC-1", state="in-review"))
    action(world, ActionRequest("assign", "AI-4", owner="ana", due="14d"))
    found = postmortem(world, PostmortemRequest("INC-1", state="in-review")).document
    assert found is not None
    assert found.state is Stage.IN_REVIEW


def test_without_an_action_item_somebody_must_say_why(world: World):
    postmortem(world, PostmortemRequest("INC-1", set=tuple(f"{key}={text}" for key, text in TEXTS.items())))
    with pytest.raises(CannotLeaveDraft, match="there is no action item"):
        postmortem(world, PostmortemRequest("INC-1", state="in-review"))
    postmortem(world, PostmortemRequest("INC-1", set=("no-actions=the service is turned off next week",)))
    postmortem(world, PostmortemRequest("INC-1", state="in-review"))


@pytest.mark.parametrize(("start", "to"), [(start, to) for start in Stage for to in Stage])
def test_it_goes_where_the_table_says_and_nowhere_else(world: World, start: Stage, to: Stage):
    written(world)
    for stage in [Stage.IN_REVIEW, Stage.PUBLISHED][:list(Stage).index(start)]:
        desks.desk_of(world).do(MovePostmortem("INC-1", stage, "ana"))
    assert desks.desk_of(world).state.reviews["INC-1"].stage is start
    if to in STAGES[start]:
        desks.desk_of(world).do(MovePostmortem("INC-1", to, "ana"))
        return
    with pytest.raises(CannotLeaveDraft, match="cannot become"):
        desks.desk_of(world).do(MovePostmortem("INC-1", to, "ana"))


def test_what_left_draft_keeps_the_budget_as_it_was_measured_then(world: World):
    written(world)
    postmortem(world, PostmortemRequest("INC-1", state="in-review"))
    emptied = replace(world, spent=lambda *_: ())
    assert post_mortem_of(emptied, "INC-1").spending[0].bad == 221


def test_who_writes_over_what_they_have_not_seen_is_told(world: World):
    desk = desks.desk_of(world)
    desk.do(WriteSection("INC-1", "cause", "one", "ana", 0))
    with pytest.raises(ChangedMeanwhile, match="written by somebody else"):
        desk.do(WriteSection("INC-1", "cause", "two", "ben", 0))
    desk.do(WriteSection("INC-1", "cause", "three", "ben", 1))
    desk.do(WriteSection("INC-1", "cause", "four", "cy"))
    section = post_mortem_of(world, "INC-1").section("cause")
    assert (section.text, section.by, section.version) == ("four", "cy", 3)


def test_what_is_published_is_not_written_any_more(world: World):
    written(world)
    for state in ("in-review", "published"):
        postmortem(world, PostmortemRequest("INC-1", state=state))
    with pytest.raises(Conflict, match="is published"):
        postmortem(world, PostmortemRequest("INC-1", set=("cause=other",)))


def test_a_post_mortem_that_is_late_reminds_the_commander_and_the_list_says_so(world: World):
    clock = world.clock
    clock.set(story.at("15:08") + timedelta(hours=49))  # type: ignore[attr-defined]
    (row,) = postmortems(world, PostmortemsRequest()).postmortems
    assert row.overdue
    assert row.missing == len(SECTIONS) + 1


@pytest.mark.parametrize("said", ["summary", "sumary=x", "=x"])
def test_a_section_that_is_not_one_is_said_and_nothing_is_written(world: World, said: str):
    with pytest.raises(InvalidInput):
        postmortem(world, PostmortemRequest("INC-1", set=("summary=it broke", said)))
    assert post_mortem_of(world, "INC-1").text("summary") == ""


def test_a_file_is_written_whole_or_not_at_all(world: World, tmp_path: Path):
    found = postmortem(world, PostmortemRequest("INC-1", out=str(tmp_path / "a.html")))
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert found.out
    with pytest.raises(InvalidInput, match="cannot be written"):
        postmortem(world, PostmortemRequest("INC-1", out=str(tmp_path / "none" / "a.md")))
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_an_incident_recorded_by_hand_has_none(world: World):
    world.journal.commit(Batch([NewFact("incident.recorded", "INC-9", story.at("12:00"), {"service": "checkout"})]))
    with pytest.raises(NotFound):
        postmortem(world, PostmortemRequest("INC-9"))


def test_dates_of_items_stand_in_the_document(world: World):
    written(world)
    assert [(one.due, one.state) for one in post_mortem_of(world, "INC-1").actions] == [
        (date(2026, 3, 24), Progress.OPEN), (date(2026, 3, 17), Progress.OPEN), (date(2026, 3, 20), Progress.OPEN)]


def test_the_diagram_in_the_guide_is_drawn_from_the_table():
    guide = (story.EXAMPLE.parents[1] / "docs" / "guides" / "incident.md").read_text(encoding="utf-8")
    section = guide.partition("## Post-mortems")[2].partition("\n## ")[0]
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)$", section, re.MULTILINE))
    assert drawn == {(str(start).replace(" ", "_"), str(to).replace(" ", "_")) for start, those in STAGES.items()
                     for to in those}


def test_a_simulation_of_pages_makes_no_post_mortems(tmp_path: Path):
    facts: list[Happened] = []
    engine = Rehearsal(replace(plan_of(tmp_path, ""), rehearsal=True), People({}), T0, facts.extend)
    play(engine, [fires("0", severity="page"), stops("1m")], T0 + timedelta(days=4))
    kinds = [fact.kind for fact in facts]
    assert "incident.resolved" in kinds
    assert [kind for kind in kinds if kind.startswith("postmortem.")] == []


TEMPLATE = """\
Internal.

{{facts}}
## What happened
{{ summary }}

All times are UTC.
Read upwards.

{{timeline}}
### To do ##
{{actions}}
{{impact?}}
"""


def test_headings_of_ones_own_keep_their_texts_and_get_their_parts(world: World, tmp_path: Path):
    written(world)
    (tmp_path / "ours.md").write_text(TEMPLATE)
    text = postmortem(world, PostmortemRequest("INC-1", template=str(tmp_path / "ours.md"))).text
    assert re.findall(r"^#+ .*", text, re.MULTILINE)[1:] == ["## What happened", "### To do"]
    assert text.index("Internal.") < text.index("- Incident: INC-1") < text.index("## What happened")
    assert f"{TEXTS['summary']}\n\nAll times are UTC.\nRead upwards.\n\n- " in text
    assert "Root cause" not in text


@pytest.mark.parametrize(("template", "says"), [
    ("## A\n{{timelin}}\n", r'ours.md:2: there is no part "timelin" \(did you mean "timeline"'),
    ("no heading\n", "has no heading"), ("", "has no heading")])
def test_a_template_that_cannot_be_filled_says_where(template: str, says: str):
    with pytest.raises(InvalidInput, match=says):
        read_template(template, "ours.md")


def test_whoever_had_a_role_before_it_was_handed_over_is_named_too(world: World):
    desk = desks.desk_of(world)
    first = next(one.who for one in post_mortem_of(world, "INC-1").people if one.role == "commander")
    desk.do(GiveRole("INC-1", "commander", "zoe", "ana"))
    assert f"Commander: {first}, then zoe" in text_of(world)
