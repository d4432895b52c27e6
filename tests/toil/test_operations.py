"""The verbs over a journal: what is recorded once, what a timer measures, who may see whom."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import Conflict, InvalidInput, NoData, NotAllowed, NotFound
from mainstay.kernel.finding import Position
from mainstay.toil.operations.deciding import (
    CandidatesRequest,
    DecideRequest,
    RoiRequest,
    candidates_,
    decide,
    roi,
)
from mainstay.toil.operations.importing import ImportRequest, import_
from mainstay.toil.operations.logging import (
    GroupRequest,
    LogRequest,
    StartRequest,
    StopRequest,
    group,
    log,
    start,
    stop,
)
from mainstay.toil.operations.publishing import Counter, DigestRequest, MetricsRequest, digest, export_metrics
from mainstay.toil.operations.reporting import ReportRequest, TrendRequest, report, trend
from mainstay.toil.operations.rows import EntriesRequest, WithdrawRequest, entries, withdraw
from mainstay.toil.spec import ToilPolicy
from overtaking import Between
from toil.ledgers import NOW, TODAY, TOIL, facts, weeks_of, work, world

READ = frozenset({"read"})
POLICY = ToilPolicy("team", Position("t.yaml"), team_of={"ana": "platform", "ben": "orders"}, leads=("mia",))


# -- into the ledger


def test_work_that_is_logged_is_in_the_report():
    made = world(actor="ana", policy=POLICY)
    found = log(made, LogRequest("90m", "Deploy by hand", category="deployment", automatable=True))
    assert (found.hours, found.engineer, found.team, found.day, found.new) == (1.5, "ana", "platform", TODAY, True)
    assert report(made, ReportRequest()).summary.total_toil_hours == 1.5
    (fact,) = facts(made, "toil.logged")
    assert (fact.subject, fact.actor) == ("ana", "ana")


def test_a_key_is_logged_once():
    made = world()
    first, second = (log(made, LogRequest("5m", "x", key="build-7")) for _ in range(2))
    assert (first.new, second.new, first.seq) == (True, False, second.seq)


@pytest.mark.parametrize("request_", [
    LogRequest("90h", "x"), LogRequest("x", "x"), LogRequest("1h", "  "), LogRequest("1h", "x", date="03/04/2026"),
    LogRequest("1h", "x", date="2026-12-24")])
def test_absurd_work_is_refused(request_):
    made = world()
    with pytest.raises(InvalidInput):
        log(made, request_)
    assert facts(made, "toil.") == []


def test_a_key_that_was_used_answers_with_what_is_in_the_ledger():
    made = world()
    first = log(made, LogRequest("30m", "x", key="build-7"))
    assert log(made, LogRequest("45m", "y", type="meeting", key="build-7")) == replace(first, new=False)


def test_a_timer_logs_what_it_measured_once():
    made = world(actor="ana")
    start(made, StartRequest("Rotate certs", category="certificates"))
    with pytest.raises(Conflict, match="Rotate certs"):
        start(made, StartRequest("something else"))
    start(replace(made, actor="ben"), StartRequest("his own"))
    made.clock.sleep(1800)
    found = stop(made, StopRequest())
    assert (found.hours, found.category, found.description) == (0.5, "certificates", "Rotate certs")
    with pytest.raises(NotFound, match="no timer of ana runs"):
        stop(made, StopRequest())
    assert len(facts(made, "toil.logged")) == 1


def test_a_timer_that_ran_over_night_asks_how_long_it_was():
    made = world()
    start(made, StartRequest("x"))
    made.clock.sleep(30 * 3600)
    with pytest.raises(InvalidInput, match="is more than 24 h"):
        stop(made, StopRequest())
    assert stop(made, StopRequest(duration="45m")).hours == 0.75


def test_a_discarded_timer_logs_nothing():
    made = world()
    start(made, StartRequest("x"))
    stop(made, StopRequest(discard=True))
    assert facts(made, "toil.logged") == []
    start(made, StartRequest("y"))


# -- the rows, and taking one back


def test_rows_open_a_figure_by_type_category_and_task():
    made = world([work(1, 2.0, description="Restart api workers"), work(2, description="restarted api worker 3"),
                  work(3, 3.0, category="access", description="Grant access"), work(40)])
    found = entries(made, EntriesRequest(category="deployment"))
    assert (found.matching, found.hours) == (2, 3.0)
    assert [row.number for row in found.rows] == [1, 2]
    assert entries(made, EntriesRequest(task="Restart api workers")).matching == 2
    assert entries(made, EntriesRequest(top=1)).rows[0].hours == 2.0


def test_rows_name_people_only_to_those_who_may_see_them():
    made = world([work(1), work(2, engineer="ben")], actor="ana", scopes=READ, policy=POLICY)
    assert {row.engineer for row in entries(made, EntriesRequest()).rows} == {"ana", "everyone else"}
    with pytest.raises(NotAllowed):
        entries(made, EntriesRequest(engineer="ben"))


def test_a_withdrawn_row_counts_no_longer_and_is_withdrawn_once():
    made = world([work(1, 2.0), work(2)], actor="ana")
    assert withdraw(made, WithdrawRequest(1, "logged twice")).new
    assert not withdraw(made, WithdrawRequest(1, "logged twice")).new
    assert report(made, ReportRequest()).summary.total_toil_hours == 1.0
    assert [fact.data["why"] for fact in facts(made, "toil.withdrawn")] == ["logged twice"]
    with pytest.raises(NotFound, match="no row 99"):
        withdraw(made, WithdrawRequest(99, "x"))


def test_the_row_of_somebody_else_is_withdrawn_by_leads_alone():
    made = world([work(1, engineer="ben")], actor="ana", scopes=READ, policy=POLICY)
    with pytest.raises(NotAllowed, match="somebody else"):
        withdraw(made, WithdrawRequest(1, "wrong"))
    assert withdraw(replace(made, actor="mia"), WithdrawRequest(1, "wrong")).new


def test_the_counter_never_falls_when_work_is_withdrawn():
    made = world([work(1, 2.0), work(2)], actor="ana")
    withdraw(made, WithdrawRequest(1, "logged twice"))
    lines = export_metrics(made, MetricsRequest()).text.splitlines()
    assert [line.split(" ")[-1] for line in lines if not line.startswith("#")] == ["3.0", "2.0"]


# -- import

LINES = "\n".join(json.dumps({"date": "2026-11-26", "duration_hours": 0.5, "type": "toil", "engineer": "ana",
                              "description": "Deploy"}) for _ in range(2))


def test_the_same_file_twice_adds_nothing_and_equal_lines_are_two():
    made = world(texts={"w.jsonl": LINES + "\nnonsense\n"})
    first, second = (import_(made, ImportRequest(("w.jsonl",))) for _ in range(2))
    assert (first.new, first.known, second.new, second.known) == (2, 0, 0, 2)
    assert (first.read.lines, first.read.parsed, first.read.rejected) == (3, 2, 1)
    assert report(made, ReportRequest()).summary.total_hours == 1


def test_a_file_that_has_grown_adds_what_is_new():
    made = world(texts={"w.jsonl": LINES})
    import_(made, ImportRequest(("w.jsonl",)))
    made.texts.texts["w.jsonl"] = LINES + "\n" + LINES.split("\n")[0]
    assert (import_(made, ImportRequest(("w.jsonl",)))).new == 1


def test_a_key_that_stands_twice_in_a_file_counts_once():
    line = LINES.split("\n")[0].replace("}", ', "key": "k"}')
    found = import_(world(), ImportRequest(text=f"{line}\n{line}\n"))
    assert (found.read.parsed, found.new, found.known) == (2, 1, 1)


def test_a_dry_run_records_nothing():
    made = world()
    assert import_(made, ImportRequest(text=LINES, dry_run=True)).new == 2
    assert facts(made, "toil.") == []


def test_a_csv_log_is_read_as_its_lines():
    text = ("date,duration_minutes,type,engineer,key\n2026-11-26,30,toil,ana,k1\n2026-11-26,-3,toil,ana,k2\n"
            "2026-11-26,1\n")
    made = world()
    found = import_(made, ImportRequest(text=text))
    assert (found.read.parsed, found.read.rejected, found.new) == (1, 2, 1)
    assert import_(made, ImportRequest(text=text)).known == 1


def test_a_ticket_that_was_worked_on_more_takes_its_own_place():
    head = "number,assignment_group,opened_at,sys_mod_count\n"
    made = world()
    import_(made, ImportRequest(text=head + "INC1,ops,2026-11-20 10:00:00,3\n"))
    assert import_(made, ImportRequest(text=head + "INC1,ops,2026-11-20 10:00:00,6\n")).new == 1
    assert report(made, ReportRequest()).summary.total_toil_hours == pytest.approx(1.0)


def test_a_long_ticket_counts_whole_also_when_it_grows_and_when_it_was_said_to_be_longer_than_it_was():
    head = "Issue key,Issue Type,Created,Resolved,Time Spent\n"
    made = world()
    for worked, hours in ((36_000, 10), (144_000, 40), (108_000, 30), (7_200, 2)):
        import_(made, ImportRequest(text=f"{head}OPS-1,Task,20/Nov/26 9:15 AM,20/Nov/26 9:15 PM,{worked}\n"))
        assert report(made, ReportRequest()).summary.total_toil_hours == pytest.approx(hours)


@pytest.mark.parametrize("text", ["", "nonsense,x\n", '{"a": 1}\n', "\ufeff"])
def test_what_holds_no_work_is_refused(text):
    with pytest.raises((InvalidInput, NoData)):
        import_(world(texts={"f": text}), ImportRequest(("f",)))


# -- report


def test_a_log_can_be_reported_without_the_ledger():
    made = world(texts={"w.jsonl": LINES + "\n{\n"})
    found = report(made, ReportRequest(logs="w.jsonl"))
    assert (found.summary.total_hours, found.origin.log.rejected) == (1, 1)


def test_nothing_in_these_days_says_where_there_is_something():
    with pytest.raises(NoData, match=r"the log ends on 2026-08-19"):
        report(world([work(100)]), ReportRequest())
    with pytest.raises(NoData, match="no work is logged"):
        report(world(), ReportRequest())


def test_a_week_before_the_log_begins_is_sent_to_a_later_one():
    with pytest.raises(NoData, match=f"the log begins on {TODAY}") as refused:
        digest(world([work(0)]), DigestRequest())
    assert refused.value.way_out == f"look at a later time, from {TODAY} to {TODAY}"


def test_the_report_ends_with_1_at_the_line():
    operation = TOIL.operation("report")
    assert operation is not None
    below, at = (report(world(weeks_of([share] * 4)), ReportRequest()) for share in (0.49, 0.5))
    assert (operation.exit_code(below), operation.exit_code(at)) == (0, 1)


# -- privacy

TEAM = [work(1, engineer="ana"), work(1, engineer="ben", team="orders"), work(1, engineer="cy", team="orders"),
        work(2, engineer="dee", team="solo", type="engineering")]


def names(found, by):
    return {one.name for group in found.groups if group.by == by for one in group.rows}


@pytest.mark.parametrize(("actor", "scopes", "everyone", "seen"), [
    ("ana", READ, False, {"ana", "everyone else"}),
    ("zoe", READ, False, {"everyone else"}),
    ("mia", READ, False, {"everyone else"}),
    ("mia", READ, True, {"ana", "ben", "cy", "dee"}),
    ("zoe", frozenset({"read", "approve"}), True, {"ana", "ben", "cy", "dee"}),
])
def test_single_people_are_shown_to_themselves_and_to_leads(actor, scopes, everyone, seen):
    made = world(TEAM, actor=actor, scopes=scopes, policy=POLICY)
    assert names(report(made, ReportRequest(by=("engineer",), everyone=everyone)), "engineer") == seen


@pytest.mark.parametrize("ask", [
    ReportRequest(everyone=True), ReportRequest(engineer="ben"), ReportRequest(team="solo"),
    ReportRequest(engineer="ben", everyone=True)])
def test_who_may_not_see_a_person_is_refused(ask):
    made = world(TEAM, actor="ana", scopes=READ, policy=POLICY)
    with pytest.raises(NotAllowed):
        report(made, ask)


def test_a_team_of_one_is_not_named_to_others():
    found = report(world(TEAM, actor="ana", scopes=READ, policy=POLICY), ReportRequest(by=("team",)))
    assert names(found, "team") == {"platform", "orders", "teams of one"}


def test_the_digest_and_the_rows_of_a_team_of_one_are_for_its_person_and_leads():
    made = world(TEAM, actor="ana", scopes=READ, policy=POLICY)
    (alone,) = (one for one in TEAM if one.team == "solo")
    week = f"{alone.day:%G-W%V}"
    for ask in (lambda: digest(made, DigestRequest(week, team="solo")),
                lambda: entries(made, EntriesRequest(team="solo")),
                lambda: report(made, ReportRequest(team="solo"))):
        with pytest.raises(NotAllowed) as refused:
            ask()
        assert alone.engineer not in refused.value.message
    for actor in (alone.engineer, POLICY.leads[0]):
        assert digest(replace(made, actor=actor), DigestRequest(week, team="solo")).text


def test_a_row_names_a_team_of_one_to_its_person_alone():
    made = world(TEAM, actor="ana", scopes=READ, policy=POLICY)
    assert {one.team for one in entries(made, EntriesRequest()).rows} == {"platform", "orders", "teams of one"}
    (alone,) = (one.engineer for one in TEAM if one.team == "solo")
    assert "solo" in {one.team for one in entries(replace(made, actor=alone), EntriesRequest()).rows}


def test_a_trend_of_one_person_is_theirs():
    made = world(weeks_of([0.4] * 8), actor="ben", scopes=READ)
    with pytest.raises(NotAllowed):
        trend(made, TrendRequest(engineer="ana"))
    assert trend(replace(made, actor="ana"), TrendRequest(engineer="ana")).trend.periods


def test_of_two_timers_that_one_person_starts_at_the_same_moment_one_runs():
    made = world()
    between = Between(made.journal)
    between.before_commit = lambda: start(made, StartRequest("Rotate certs"))
    with pytest.raises(Conflict, match="Rotate certs"):
        start(replace(made, journal=between), StartRequest("Rotate certificates"))
    stop(made, StopRequest(discard=True))
    with pytest.raises(NotFound):
        stop(made, StopRequest(discard=True))
    start(made, StartRequest("Rotate certificates"))


def test_metrics_name_nobody_unless_the_policy_or_a_lead_asks_for_it():
    made = world(TEAM, actor="ana", scopes=READ, policy=POLICY)
    assert 'engineer="everyone"' in export_metrics(made, MetricsRequest()).text
    assert "ben" not in export_metrics(made, MetricsRequest()).text
    named = world(TEAM, scopes=READ, policy=replace(POLICY, name_engineers=True))
    assert 'engineer="ben"' in export_metrics(named, MetricsRequest()).text
    with pytest.raises(NotAllowed):
        export_metrics(made, MetricsRequest(everyone=True))


def test_the_counter_of_a_server_names_nobody_any_more_once_the_policy_says_so():
    named = world(TEAM, scopes=READ, policy=replace(POLICY, name_engineers=True))
    counter = Counter()
    assert 'engineer="ben"' in counter.text(named)
    assert 'engineer="ben"' not in counter.text(replace(named, catalog=Catalog({ToilPolicy: {POLICY.name: POLICY}})))


def test_the_counter_of_a_server_grows_with_the_ledger():
    made, counter = world([work(1)]), Counter()
    assert counter.text(made) == counter.text(made)
    assert counter.text(made).rstrip().endswith(" 1.0")
    log(made, LogRequest("30m", "Deploy", category="deployment", automatable=True))
    assert counter.text(made).rstrip().endswith(" 1.5")


def test_labels_that_would_break_the_format_are_escaped():
    text = export_metrics(world([work(1, category='a"b\\c\nd')]), MetricsRequest()).text
    assert 'category="a\\"b\\\\c\\nd"' in text


# -- candidates, group, roi, decide


def test_a_correction_of_the_grouping_moves_a_wording():
    made = world([work(1, 2.0, description="Restart api workers"), work(2, description="bounce the api"),
                  work(3, description="restarted api worker 3")])
    before = candidates_(made, CandidatesRequest())
    assert [one.task for one in before.candidates] == ["Restart api workers", "bounce the api"]
    found = group(made, GroupRequest(("bounce the api",), into="Restart api workers"))
    assert found.wordings == ("Restart api workers", "bounce the api", "restarted api worker 3")
    (after,) = candidates_(made, CandidatesRequest(wordings=True)).candidates
    assert (after.hours, after.corrected) == (4, True)
    group(made, GroupRequest(("restarted api worker 3",), apart=True))
    assert len(candidates_(made, CandidatesRequest()).candidates) == 2


@pytest.mark.parametrize("ask", [GroupRequest(("nobody wrote this",), into="x"), GroupRequest(("Deploy by hand",)),
                                 GroupRequest(("Deploy by hand",), into="x", apart=True)])
def test_a_grouping_that_makes_no_sense_is_refused(ask):
    with pytest.raises((NotFound, InvalidInput)):
        group(world([work(1)]), ask)


def test_a_return_is_worked_out_from_the_ledger_or_from_what_is_said():
    made = world(weeks_of([0.5] * 8))
    said = roi(made, RoiRequest("X", frequency=50, duration=0.5, effort=40))
    assert (said.value.three_year_net, said.measured) == (860, False)
    measured = roi(made, RoiRequest("manual deploys"))
    assert (measured.task, measured.measured) == ("Deploy by hand", True)


def test_the_ledger_knows_a_task_by_any_of_its_wordings():
    made = world([*weeks_of([0.4, 0.6] * 4), work(1, 1.0, description="deploying by hand")])
    found = roi(made, RoiRequest("deploying by hand"))
    assert (found.task, found.measured) == ("Deploy by hand", True)
    assert found.value.monthly_low < found.value.monthly_hours < found.value.monthly_high


def test_a_task_that_nobody_logged_needs_its_numbers():
    with pytest.raises(NotFound) as said:
        roi(world([work(1)]), RoiRequest("Fly to the moon"))
    assert "--frequency" in said.value.way_out


def test_what_speaks_for_a_task_changes_the_decision():
    made = world()
    ask = DecideRequest("X", frequency=12, duration=0.1, effort=60)
    assert decide(made, ask).decided.decision == "DONT_AUTOMATE"
    assert decide(made, replace(ask, error_prone=True)).decided.decision == "AUTOMATE_NOW"


# -- digest


def test_a_digest_tells_the_last_whole_week_and_what_changed():
    made = world(weeks_of([0.2] * 8 + [0.5] * 8))
    found = digest(made, DigestRequest())
    assert found.week == "2026-W47"
    assert "# Toil in 2026\\-W47".replace("\\-", "-") in found.text
    assert "50.0 % ○ violated; 0.0 points less than the week before" in found.text
    assert "from 20.0 % to 50.0 %" in found.text
    assert "| Deploy by hand |" in found.text


def test_what_people_typed_is_no_markup_in_a_digest():
    nasty = [work(ago, description="<script>alert(1)</script> | [x](javascript:y)", category="`a`|b")
             for ago in range(5, 12)]
    made = world(nasty)
    assert "<script>" not in digest(made, DigestRequest(html=True)).text
    markdown = digest(made, DigestRequest()).text
    assert "\\<script\\>" in markdown
    assert "\\[x\\](javascript" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") in (4, 6) for line in rows)


@pytest.mark.parametrize("week", ["47", "2026-W60", "2027-W01", "1999-W01", "last"])
def test_a_week_that_is_none_is_refused(week):
    with pytest.raises(InvalidInput):
        digest(world([work(1)]), DigestRequest(week=week))


def test_nothing_of_the_ledger_is_lost_at_its_clock():
    made = world([work(0)])
    made.clock.advance(timedelta(days=40))
    with pytest.raises(NoData):
        report(made, ReportRequest())
    assert report(made, ReportRequest(days=60)).summary.total_hours == 1
    assert NOW.date() == TODAY
