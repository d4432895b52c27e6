"""What Slack shows of a page, an answered page and a war room, as Block Kit. Pure.

Whatever comes from outside (titles of alerts, names of services) is escaped, so that no alert can call a whole channel
together or pretend to be a link. Limits are Slack's: 150 characters of a header, 3,000 of a section.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mainstay.kernel.people import Notice

Block = dict[str, Any]
ACKNOWLEDGE, RESOLVE = "mainstay_acknowledge", "mainstay_resolve"
"""The names of the buttons, as they come back when somebody presses one."""

APPROVE, REJECT = "mainstay_approve", "mainstay_reject"
"""The same for a plan that waits for its approval; their value is the run and the hash of the plan that was shown."""

_HEADER, _SECTION, _TOPIC = 150, 3000, 250
_SIGNS = {"SEV1": "🔴", "SEV2": "🟠", "SEV3": "🟡", "SEV4": "⚪"}


def escape(text: str, most: int = _SECTION) -> str:
    """The text as it can stand in mrkdwn: Slack's three signs are written as entities, and it is cut where too long."""
    cut = text if len(text) <= most else text[:most - 1] + "…"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def page_blocks(notice: Notice, *, buttons: bool) -> list[Block]:
    """A page: what is broken, since when, and what to press."""
    data = notice.data
    if "incident" not in data:
        return [_section(f"*{escape(notice.subject, 500)}*\n{escape(notice.body, 2000)}")]
    where = f" in *{escape(data['service'], 200)}*" if data.get("service") else ""
    told = [_header(notice.subject), _section(f"{escape(data['title'], 1000)}{where}, since {_time(data['opened'])}.")]
    actions = _buttons(data["incident"], data.get("link", ""), pressable=buttons and not data.get("incidents"))
    since = f"a reminder, first paged {_time(data['since'])} · " if data.get("since") else ""
    return [*told, *actions, _context(f"{since}{escape(data.get('reason', ''), 300)} · `mainstay incident ack "
                                      f"{data['incident']}`")]


def approval_blocks(notice: Notice, *, buttons: bool) -> list[Block]:
    """A plan that waits for its approval: what would be done, and what to press."""
    data = notice.data
    steps = "\n".join(escape(one, 150) for one in data["steps"]) or "–"
    told = [_header(notice.subject), _section(f"{escape(data['reason'], 500)}\n{steps}".strip())]
    value = f"{data['run']} {data['plan']}"
    pressed = [{"type": "actions", "elements": [
        {"type": "button", "action_id": APPROVE, "value": value, "style": "primary",
         "text": {"type": "plain_text", "text": "Approve"},
         "confirm": {"title": {"type": "plain_text", "text": "Approve this plan?"},
                     "text": {"type": "plain_text", "text": f"{data['run']}, plan {data['plan'][:12]}"},
                     "confirm": {"type": "plain_text", "text": "Approve"},
                     "deny": {"type": "plain_text", "text": "No"}}},
        {"type": "button", "action_id": REJECT, "value": value, "style": "danger",
         "text": {"type": "plain_text", "text": "Reject"}}]}] if buttons else []
    until = f" · until {_time(data['expires'])}" if data["expires"] else ""
    return [*told, *pressed, _context(f"plan {data['plan'][:12]}{until} · `mainstay runbook approve {data['run']} "
                                      f"--plan {data['plan'][:12]}`")]


def answered_blocks(data: Mapping[str, Any]) -> list[Block]:
    """A page that needs no answer any more: nothing is left to press."""
    return [_header(_headline(data)), _section(escape(answer_text(data), 1000)),
            *_buttons(data["incident"], data["link"], pressable=False)]


def answer_text(data: Mapping[str, Any]) -> str:
    """Who has it, or that it is over."""
    by = data["acknowledged_by"]
    if data["status"] == "resolved":
        return f"{data['incident']} is resolved."
    return f"{by} has {data['incident']}." if by else f"{data['incident']} was acknowledged."


def room_blocks(data: Mapping[str, Any], *, buttons: bool) -> list[Block]:
    """The summary of a war room: how it stands, who does what; the roles that nobody has are said loudest."""
    roles = " · ".join(f"{role}: {escape(who, 100) if who else '*nobody*'}" for role, who in data["roles"].items())
    services = ", ".join(escape(one, 100) for one in data["services"]) or "–"
    over = data["status"] == "resolved"
    who = escape(data["acknowledged_by"], 100) or ("–" if over else "*nobody yet*")
    return [_header(_headline(data)),
            _section(f"*{data['severity']}* · *{data['status']}* · services: {services}\n"
                     f"since {_time(data['opened'])}" + (f", over at {_time(data['resolved'])}" if over else "")
                     + f" · who has it: {who} · alerts that fire: {data['firing']}"),
            _section(roles), *_buttons(data["incident"], data["link"], pressable=buttons and not over)]


def topic_of(data: Mapping[str, Any]) -> str:
    """The room's topic: Slack allows 250 characters."""
    commander = data["roles"].get("commander") or "nobody yet"
    text = f"{data['severity']} · {data['status']} · commander: {commander} · {data['title']}"
    return (text if len(text) <= _TOPIC else text[:_TOPIC - 1] + "…") if not data["link"] else \
        f"{text[:_TOPIC - len(data['link']) - 3]} · {data['link']}"


def _headline(data: Mapping[str, Any]) -> str:
    return f"{_SIGNS.get(data['severity'], '')} {data['severity']} {data['incident']}: {data['title']}".strip()


def _time(iso: str) -> str:
    return f"{iso[:10]} {iso[11:16]} UTC"


def _header(text: str) -> Block:
    return {"type": "header", "text": {"type": "plain_text", "text": text[:_HEADER], "emoji": False}}


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:_SECTION], "verbatim": True}}


def _context(text: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True}]}


def _buttons(incident: str, link: str, *, pressable: bool) -> Sequence[Block]:
    pressed: list[Block] = [
        {"type": "button", "action_id": ACKNOWLEDGE, "value": incident, "style": "primary",
         "text": {"type": "plain_text", "text": "Acknowledge"}},
        {"type": "button", "action_id": RESOLVE, "value": incident, "text": {"type": "plain_text", "text": "Resolve"}},
    ] if pressable else []
    if link:
        pressed.append({"type": "button", "action_id": "mainstay_open", "url": link,
                        "text": {"type": "plain_text", "text": "Open"}})
    return [{"type": "actions", "elements": pressed}] if pressed else []
