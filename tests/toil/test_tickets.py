"""Ticket exports: the readings of a real ServiceNow event log, and the ways other systems write theirs."""

from __future__ import annotations

import gzip

import pytest

from mainstay.kernel.errors import InvalidInput
from mainstay.toil.tickets import entries_of, read_export, reading_of
from shared_data import shared

UCI = "itsm_toil/uci_servicenow_incident_event_log_first5998.csv.gz"


def uci():
    return read_export(gzip.decompress(shared(UCI).read_bytes()).decode(), UCI)


def test_the_readings_of_the_uci_event_log():
    """SOURCES.md of the shared data: worked out there by hand from the same file."""
    export = uci()
    found = reading_of(export, 10)
    assert (found.rows, found.tickets, export.read.rejected) == (5998, 890, 0)
    assert f"{found.first:%Y-%m-%d %H:%M} {found.last:%Y-%m-%d %H:%M}" == "2016-02-29 01:16 2016-03-02 15:33"
    assert (found.kept, found.missed) == (495, 395)
    assert (found.handed_over, found.hand_overs, found.reopened) == (391, 877, 10)
    assert found.resolution is not None
    assert found.resolution.resolved == 861
    assert (found.resolution.mean_hours, found.resolution.median_hours, found.resolution.p90_hours) == \
        (pytest.approx(315.867, abs=1e-3), pytest.approx(54.467, abs=1e-3), pytest.approx(762.05, abs=1e-3))
    assert {one.priority: one.tickets for one in found.by_priority} == {"1": 15, "2": 33, "3": 757, "4": 85}


def test_where_the_toil_of_the_uci_log_sits():
    found = reading_of(uci(), 10)
    assert (found.by_group[0].name, found.by_group[0].tickets) == ("Group 70", 175)
    assert (found.by_category[0].name, found.by_category[0].tickets) == ("Category 45", 204)
    for places in (found.by_category, found.by_group):
        assert sum(one.tickets for one in places) == 890
        assert sum(one.touches for one in places) == 5998
        assert sum(one.hand_overs for one in places) == 877
        assert sum(one.hours for one in places) == pytest.approx(found.hours)


def test_the_work_of_a_ticket_is_its_touches_and_marked_as_estimated():
    found = list(entries_of(uci(), 10, automatable=False))
    assert len(found) == 890
    assert all(entry.estimated and entry.interrupt and entry.type == "toil" for _, entry in found)
    ticket, entry = found[0]
    assert (ticket.number, entry.day.isoformat(), entry.team, entry.category) == \
        ("INC0000045", "2016-02-29", "Group 56", "Category 55")


JIRA = """Issue key,Issue Type,Summary,Assignee,Priority,Created,Resolved,Time Spent
OPS-1,Task,Rotate certs,ana,High,03/Nov/26 9:15 AM,03/Nov/26 5:15 PM,5400
OPS-2,Task,Grant access,,Low,04/Nov/26 10:00 AM,,
"""
GITHUB = """number,title,created_at,closed_at,labels,assignees,comments
7,Restart the runner,2026-11-02T10:00:00Z,2026-11-02T12:00:00Z,"toil,ci",ben,3
"""


def test_jira_knows_the_time_that_was_logged():
    one, two = read_export(JIRA, "jira.csv").tickets
    assert (one.worked, one.engineer, one.group, one.description) == (1.5, "ana", "OPS", "Rotate certs")
    assert f"{one.opened:%Y-%m-%d %H:%M} {one.resolved:%H:%M}" == "2026-11-03 09:15 17:15"
    assert (two.worked, two.resolved, two.engineer) == (None, None, "unknown")


def test_github_counts_its_comments_as_touches():
    (one,) = read_export(GITHUB, "issues.csv").tickets
    assert (one.touches, one.category, one.engineer) == (4, "toil", "ben")


def jira(worked, resolved=""):
    head = "Issue key,Issue Type,Summary,Assignee,Priority,Created,Resolved,Time Spent\n"
    return read_export(f"{head}OPS-1,Task,Rotate certs,ana,High,26/Nov/26 9:15 AM,{resolved},{worked}\n", "jira.csv")


def test_what_is_longer_than_one_entry_may_be_is_several_on_working_days_and_loses_nothing():
    """A Thursday's ticket of 40 h once counted as 24, and nothing said so."""
    entries = [entry for _, entry in entries_of(jira("144000", "04/Dec/26 9:15 AM"), 10, automatable=False)]
    assert [(f"{one.day:%a %d}", one.hours) for one in entries] == [
        ("Thu 26", 8), ("Fri 27", 8), ("Mon 30", 8), ("Tue 01", 8), ("Wed 02", 8)]
    assert reading_of(jira("144000"), 10).hours == 40
    assert [one.day.day for _, one in entries_of(jira("144000", "27/Nov/26 9:15 AM"), 10, automatable=False)] == [
        26, 27, 27, 27, 27]
    assert len(list(entries_of(jira("86400"), 10, automatable=False))) == 1


@pytest.mark.parametrize(("worked", "hours"), [
    ("5400", 1.5), ("5.4e3", 1.5), ("1:30:00", 1.5), ("2h 30m", 2.5), ("45m", 0.75), ("1970-01-01 00:45:00", 0.75),
    ("1970-01-02 02:00:00", 26), ("0", None), ("", None)])
def test_the_time_worked_on_a_ticket_is_read_as_systems_write_it(worked, hours):
    (one,) = jira(worked).tickets
    assert one.worked == hours


@pytest.mark.parametrize(("worked", "why"), [
    ("-5", 'the time "-5" worked on the ticket is not between 0 and 1,000 h'),
    ("1e12", 'the time "1e12" worked on the ticket is not between 0 and 1,000 h'),
    ("nan", 'the time "nan" worked on the ticket is not between 0 and 1,000 h'),
    ("a while", 'the time "a while" worked on the ticket is no length'),
    ("1970-13-01 00:45:00", 'the time "1970-13-01 00:45:00" worked on the ticket is no length')])
def test_an_absurd_time_worked_is_rejected_and_shown_and_not_taken_for_none(worked, why):
    export = jira(worked)
    assert (export.tickets, export.read.rejected, export.read.samples[0].why) == ([], 1, why)


def test_a_ticket_that_ends_before_it_begins_is_rejected_and_shown():
    export = jira("3600", "25/Nov/26 9:15 AM")
    assert export.read.samples[0].why == "the ticket was resolved at 25/Nov/26 9:15 AM, before it was opened"


HEAD = "number,assignment_group,opened_at\n"


@pytest.mark.parametrize(("dates", "order", "days"), [
    (["13-02-2026 10:00", "03-04-2026 10:00"], "auto", ["2026-02-13", "2026-04-03"]),
    (["02/13/2026", "03/04/2026 1:05 PM"], "auto", ["2026-02-13", "2026-03-04"]),
    (["03/04/2026"], "day-first", ["2026-04-03"]),
    (["03/04/2026"], "month-first", ["2026-03-04"]),
    (["2026-04-03 10:00:00"], "auto", ["2026-04-03"]),
])
def test_the_order_of_dates_is_found_out_from_all_of_them(dates, order, days):
    text = HEAD + "".join(f"T{place},ops,{date}\n" for place, date in enumerate(dates))
    assert [f"{one.opened:%Y-%m-%d}" for one in read_export(text, "x.csv", order).tickets] == days


def test_dates_that_could_mean_two_days_are_refused():
    with pytest.raises(InvalidInput, match="could be day-first or month-first"):
        read_export(HEAD + "T1,ops,03/04/2026\n", "x.csv")
    with pytest.raises(InvalidInput, match="mixes dates"):
        read_export(HEAD + "T1,ops,13/04/2026\nT2,ops,04/13/2026\n", "x.csv")


def test_mixed_dates_with_an_order_said_are_rejected_and_shown():
    export = read_export(HEAD + "T1,ops,13/04/2026\nT2,ops,04/13/2026\n,ops,01/01/2026\nT3,ops,?\nT4,ops\n", "x.csv",
                         "day-first")
    assert (export.read.lines, export.read.parsed, export.read.rejected) == (5, 1, 4)
    whys = {one.line: one.why for one in export.read.samples}
    assert whys[3] == '"04/13/2026" is not a date here'
    assert whys[4] == "the ticket has no number"
    assert whys[5] == "the ticket does not say when it was opened"
    assert whys[6] == "2 cells under 3 headings"


def test_an_unknown_table_is_refused_with_what_is_known():
    with pytest.raises(InvalidInput, match="no ticket export that is known"):
        read_export("a,b\n1,2\n", "x.csv")
