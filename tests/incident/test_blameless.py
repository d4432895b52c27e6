"""Language that blames is found, with a reason and a way to say it; what machines do is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.incident.blameless import RULES, findings
from mainstay.kernel.finding import Severity

ROOT = Path(__file__).parents[2]
BLAMES = {
    "It was human error.": "human error", "Who caused this?": "Who caused this",
    "Why didn't you catch this?": "Why didn't you", "Who should we blame?": "should we blame",
    "Ben forgot to renew the certificate.": "forgot", "The engineer should have tested it.": "The engineer should have",
    "She ignored the alert.": "ignored the alert",
    "The on-call engineer failed to follow the runbook.": "The on-call engineer failed to",
    "He accidentally deleted the table.": "He accidentally deleted",
    "Root cause: the operator.": "Root cause: the operator",
    "We must be more careful.": "be more careful", "It was ana's fault.": "ana's fault",
    "The developer broke production.": "The developer broke production", "A careless deployment.": "careless",
    "They didn't bother to check.": "They didn't bother", "ana should have noticed.": "ana should have",
    "This was a rookie mistake.": "rookie mistake", "Sam is to blame.": "is to blame",
    "Nobody will be held accountable.": "held accountable", "Somebody messed up.": "messed up",
    "It was lazy.": "lazy", "Rebecca should have known better.": "should have known better",
}
INNOCENT = """\
The alert should have fired after 5 minutes.
A page fault in the kernel; fault injection is planned; fault tolerance was low.
The blameless review found three conditions.
git blame shows the change.
We use lazy loading and a lazy initializer.
The health check failed to respond.
Requests were ignored by the proxy because the queue was full.
The default timeout is 30 s.
The user error rate rose to 4 %.
The commander declared it over.
We would have to restart both.
A simple rollback was possible.
The probe could have caught it earlier.
The responder read the runbook and followed it.
The reminder went to a mailbox that nobody reads.
The load balancer never noticed that the backend was gone.
The deploy job fired at 10:00 and alerts fired.
Nobody was paged.
The responder restarted the wrong host: both are called db-1.
The migration broke the index.
See [the review](https://example.com/who-caused-this-human-error).
The command is `rm --human error`.
<!-- write here whose fault it was not: human error is no answer -->
"""


@pytest.mark.parametrize(("text", "what"), BLAMES.items())
def test_what_blames_is_found_where_it_stands(text: str, what: str):
    found = [one for one in findings(text, "x.md", ["ana"]) if one.code == "blameful"]
    assert [one.message.split('"')[1] for one in found] == [what]
    assert found[0].where.column == text.index(what) + 1
    assert found[0].severity is Severity.WARNING
    assert found[0].mend


@pytest.mark.parametrize("line", INNOCENT.splitlines())
def test_what_machines_do_and_what_is_not_prose_is_no_blame(line: str):
    assert findings(line, "x.md") == []


_DOCUMENTS = [*(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.name != "incident.md"
                and path.parent.name != "reference"),
              ROOT / "examples" / "blameless-postmortem.md"]
"""All but the guide that shows what is found."""


@pytest.mark.parametrize("path", _DOCUMENTS, ids=lambda path: path.name)
def test_the_documents_of_the_house_blame_nobody(path: Path):
    assert [one.render() for one in findings(path.read_text(encoding="utf-8"), path.name)] == []


def test_code_between_fences_is_not_read_and_lines_are_counted_through_it():
    text = "one\n```\nhuman error\n~~~\n```\nhuman error\n"
    assert [str(one.where) for one in findings(text, "x.md")] == ["x.md:6:1"]


def test_a_place_is_found_once_and_places_come_in_order():
    text = "She ignored the alert and he forgot; human error, human error."
    assert [one.where.column for one in findings(text, "x.md")] == [5, 30, 38, 51]


def test_a_name_in_prose_is_a_hint_and_a_part_of_a_word_is_none():
    text = "Ana went back; @ben agreed. banana, ana-service and ben.yaml are no people."
    assert [(one.code, one.where.column) for one in findings(text, "x.md", ["ana", "ben", ""])] == [
        ("names-a-person", 1), ("names-a-person", 16)]


def test_every_rule_has_a_reason_and_a_rewrite_that_does_not_blame():
    for rule in RULES:
        assert findings(f"{rule.instead}.", "x.md") == [], rule.instead


@given(st.text(max_size=300))
def test_any_text_is_read_and_places_lie_inside_it(text: str):
    lines = text.splitlines()
    for one in findings(text, "x.md", ["ana"]):
        assert 1 <= one.where.column <= len(lines[one.where.line - 1])
