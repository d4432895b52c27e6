"""The timeline of an incident: every fact about it as one line, in the order of the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Fact
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import Tone
from mainstay.kernel.wording import many


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `event` is the number of the fact that it tells of.

    Args:
        kind: of the fact, without the word: `paged`.
    """

    event: int
    at: datetime
    kind: str
    by: str
    text: str
    tone: Tone = "plain"


def _paged(data: Mapping[str, Any], _: str) -> str:
    return f"paged {data['to']} by {data['channel']}: {data['reason']}"


def _sent(data: Mapping[str, Any], _: str) -> str:
    again = f", at the {data['attempts']}. try" if data["attempts"] > 1 else ""
    return f"the {data.get('what', 'page')} to {data['to']} arrived by {data['channel']}{again}"


def _failed(data: Mapping[str, Any], _: str) -> str:
    match data.get("what", "page"):
        case "room":
            return f"the war room cannot be kept: {data['why']}"
        case "answer":
            return f"{data['channel']} cannot be told how it stands: {data['why']}"
        case what:
            return f"the {what} to {data['to']} by {data['channel']} did not arrive: {data['why']}"


def _stepped(data: Mapping[str, Any], _: str) -> str:
    late = f", {format_duration(data['late_seconds'])} late" if data["late_seconds"] else ""
    again = f", loop {data['loop']}" if data["loop"] else ""
    return f"step {data['step'] + 1}{again}: {data['reason']}{late}"


def _joined(data: Mapping[str, Any], _: str) -> str:
    if not data["alerts"]:
        return f"{data['from']} was merged into it"
    return f"{', '.join(data['alerts'])} joined" + (f" from {data['from']}" if data.get("from") else "")


def _close_asked(data: Mapping[str, Any], _: str) -> str:
    waited = format_duration(data["seconds"])
    if data["firing"]:
        return f"still not over after {waited} of monitoring: {data['firing']} of its alerts fire"
    return f"quiet for {waited}, twice as long as it lasted: time to resolve it"


def _waits(data: Mapping[str, Any], _: str) -> str:
    if "until" in data:
        until = datetime.fromisoformat(data["until"])
        return f"{data['to']} may sleep: it can wait until it is day there, {until:%-d %b %H:%M} UTC"
    return f"{data['to']} is paged later, by their own rules"


def _role(data: Mapping[str, Any], by: str) -> str:
    if not data["who"]:
        return f"nobody is {data['role']} any more, was {data['before']}"
    before = f", was {data['before']}" if data["before"] else ""
    return f"{data['who']} is {data['role']}{before}" + (f", says {by}" if by not in (data["who"], "system") else "")


_SAYS: Mapping[str, tuple[Callable[[Mapping[str, Any], str], str], Tone]] = {
    "opened": (lambda d, by: f"opened: {d.get('title', d.get('text', ''))}" + ("" if by == "system" else f", by {by}"),
               "strong"),
    "joined": (_joined, "quiet"),
    "cleared": (lambda d, _: f"{d['alert']} is over, {d['firing']} still fire", "quiet"),
    "diagnosed": (lambda d, _: f"{d['part']}: {d['text']}", "plain"),
    "close-asked": (_close_asked, "warn"),
    "stepped": (_stepped, "quiet"),
    "paged": (_paged, "plain"),
    "waits": (_waits, "quiet"),
    "held": (lambda d, _: f"the page to {d['to']} waits: {d['until']}", "quiet"),
    "unreached": (lambda d, _: d["why"], "bad"),
    "hushed": (lambda d, _: f"nobody is paged: {d['why']}", "quiet"),
    "grown": (lambda d, _: f"{many(d['alerts'], 'alert')} joined lately", "quiet"),
    "repeated": (lambda d, _: f"still open after {format_duration(d['seconds'])}: paged anew", "quiet"),
    "exhausted": (lambda d, _: f"nobody answered in {d['loops']} rounds", "bad"),
    "acknowledged": (lambda d, _: f"acknowledged by {d['by']}"
                     + (f", who takes it over from {d['before']}" if d.get("before") else ""), "good"),
    "lapsed": (lambda d, _: f"the acknowledgement of {d['by']} lapsed", "warn"),
    "severity-changed": (lambda d, by: f"{d['from']} → {d['to']}: {d['why']}"
                         + ("" if by == "system" or by in d["why"] else f", by {by}"), "warn"),
    "status-changed": (lambda d, by: f"{d['from']} → {d['to']}, by {by}", "plain"),
    "role-given": (_role, "plain"),
    "noted": (lambda d, by: f"{by}: {d['text']}", "plain"),
    "update-posted": (lambda d, by: f"stakeholders were told by {by}: {d['text']}", "plain"),
    "update-missed": (lambda _, __: "stakeholders wait for an update", "warn"),
    "tested": (lambda d, _: f"sent to {d['to']} by {d['channel']}, to see whether it arrives", "plain"),
    "failed": (_failed, "bad"),
    "dropped": (lambda d, _: f"the page to {d['to']} by {d['channel']} was not needed any more: {d['why']}", "quiet"),
    "sent": (_sent, "quiet"),
    "room-opened": (lambda d, _: f"war room {d['room']} opened", "plain"),
    "room-archived": (lambda d, _: f"war room {d['room']} archived", "quiet"),
    "merged": (lambda d, by: f"merged into {d['into']} by {by}", "plain"),
    "reopened": (lambda d, _: f"reopened by {d['alert']}", "warn"),
    "recurred": (lambda d, _: d["text"], "warn"),
    "resolved": (lambda d, by: f"resolved after {format_duration(d.get('seconds', 0.0))}: {d.get('how', '')}"
                 + ("" if by == "system" else f", by {by}"), "good"),
}
"""Kind of fact → how it is told. A kind that is not here is told by its text, if it has one."""


def timeline(facts: Iterable[Fact]) -> list[Line]:
    """The lines of the facts, in their order."""
    return [line(fact) for fact in facts]


def line(fact: Fact) -> Line:
    """The fact as a line."""
    kind = fact.kind.partition(".")[2]
    says, tone = _SAYS.get(kind, (lambda data, _: str(data.get("text", kind)), "plain"))
    # What was found out speaks as loudly as what was found.
    return Line(fact.seq, fact.at, kind, fact.actor, says(fact.data, fact.actor), fact.data.get("tone", tone))
