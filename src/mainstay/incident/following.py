"""What channels that show an incident are told as it changes: its war room, and the pages that were answered.

A message says only which incident changed. What is shown is made when it is sent, from what is known then, so that of
many changes the last one is told and the others need nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mainstay.incident.act import Act, Plan
from mainstay.incident.engine import ROLES
from mainstay.incident.lifecycle import Phase, Status
from mainstay.incident.ongoing import Incident
from mainstay.kernel.channels import Channels, RoomRule
from mainstay.kernel.journal import Fact
from mainstay.kernel.people import Responders

ANSWERED = ("slack", "pagerduty")
"""Channels whose pages change once they are answered: buttons go away, PagerDuty is told."""

_ANSWERS = {"incident.acknowledged", "incident.lapsed", "incident.resolved", "incident.reopened"}
_LONGEST_NAME = 80
"""Characters of a Slack channel's name: lower case, digits, hyphens and underscores (conversations.create)."""


def follow(act: Act) -> None:
    """Put into the outbox what follows for channels from what was decided."""
    channels = act.plan.channels
    if channels is None:
        return
    for incident, kinds in act.changed().items():
        one = act.state.incidents.get(incident)
        if one is None:
            continue
        if has_room(one, room_rule(channels)):
            act.send(f"room:{incident}:{one.version}", "slack", about(incident, "room"))
        if kinds & _ANSWERS:
            for channel in ANSWERED:
                if channels.has(channel):
                    act.send(f"answer:{incident}:{one.version}:{channel}", channel, about(incident, "answer"))


def about(incident: str, what: str) -> Mapping[str, Any]:
    """A message that says only which incident changed."""
    return {"what": what, "incident": incident, "to": f"the {what}", "address": ""}


def room_rule(channels: Channels | None) -> RoomRule | None:
    """How war rooms are opened; None opens none."""
    return channels.slack.room if channels is not None and channels.slack is not None else None


def has_room(one: Incident, rule: RoomRule | None) -> bool:
    """Whether the incident has a war room, or is to have one."""
    if rule is None or one.room:
        return rule is not None
    return str(one.severity) in rule.severities and one.status is not Status.RESOLVED and not one.test


def room_name(one: Incident) -> str:
    """`inc-12-checkout-answers-500`: what the room is called before anybody has taken the name."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{one.id} {one.title}".lower()).strip("-")
    return words[:_LONGEST_NAME].rstrip("-")


def shown(one: Incident, link: str) -> dict[str, Any]:
    """The incident as a channel is handed it: JSON values only."""
    return {
        "incident": one.id, "number": one.number, "title": one.title, "severity": str(one.severity),
        "status": str(one.status), "phase": str(one.phase), "service": one.service, "services": list(one.services),
        "opened": one.opened.isoformat(), "resolved": one.resolved.isoformat() if one.resolved else "",
        "acknowledged_by": one.acknowledged_by, "roles": {role: one.roles.get(role, "") for role in ROLES},
        "firing": one.firing, "version": one.version, "link": link, "test": one.test}


def answered(one: Incident) -> bool:
    """Whether somebody has it, or it is over."""
    return one.phase in (Phase.ACKNOWLEDGED, Phase.DONE)


def invited(plan: Plan, responders: Responders, one: Incident, paged: Iterable[str]) -> list[str]:
    """The Slack addresses of those who belong into the room: roles, whoever has it, those paged, those always there."""
    rule = room_rule(plan.channels)
    people = dict.fromkeys([*one.roles.values(), one.acknowledged_by, *paged, *(rule.invite if rule else ())])
    found = dict.fromkeys(how.contact.address for person in people if person for how in responders.reach(person)
                          if how.contact.channel == "slack")
    return [address for address in found if re.fullmatch(r"[UW][A-Z0-9]+", address)]


def people_paged(facts: Iterable[Fact]) -> list[str]:
    """Everybody whom these facts of paging name, once each."""
    return list(dict.fromkeys(str(fact.data["to"]) for fact in facts if fact.data.get("is") != "channel"))
