"""A runbook drafted from what people did in an incident: facts of other words, read by their kind. Pure.

A draft is a beginning. What people wrote down as a command becomes a step that asks before it is done; what they looked
at becomes a question; how long it took by hand is measured from the first acknowledgement to the end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from datetime import datetime

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Fact
from mainstay.runbook.older_form import arguments

_IN_TICKS = re.compile(r"`([^`\n]{2,500})`")
_PROMPT = re.compile(r"^\s*[$#] (.{2,500})$", re.MULTILINE)
_LINK = re.compile(r"https?://[^\s)>\]]+")


@dataclass(slots=True)
class Story:
    """What an incident's facts tell.

    Args:
        did: (what was done or seen, its command's arguments or none, links), in order.
    """

    incident: str
    title: str = ""
    service: str = ""
    severity: str = ""
    alerts: list[str] = field(default_factory=list)
    did: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = field(default_factory=list)
    opened: datetime | None = None
    taken: datetime | None = None
    resolved: datetime | None = None

    @property
    def minutes(self) -> float | None:
        """From when somebody took it to its end."""
        since = self.taken or self.opened
        return None if since is None or self.resolved is None else (self.resolved - since).total_seconds() / 60


def story(incident: str, facts: Iterable[Fact], alerts: Iterable[Fact]) -> Story:
    """What the facts of an incident and of its alerts tell."""
    found = Story(incident)
    for fact in facts:
        data = fact.data
        match fact.kind:
            case "incident.opened":
                found.title, found.severity = str(data.get("title", "")), str(data.get("severity", ""))
                found.service, found.opened = str((data.get("services") or [""])[0]), fact.at
            case "incident.acknowledged":
                found.taken = found.taken or fact.at
            case "incident.resolved":
                found.resolved = fact.at
            case "incident.noted":
                found.did += _noted(str(data.get("text", "")))
    for fact in alerts:
        name = str((fact.data.get("labels") or {}).get("alertname", "")) or str(fact.data.get("key", ""))
        if name and name not in found.alerts:
            found.alerts.append(name)
    return found


def _noted(text: str) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    links = tuple(_LINK.findall(text))
    commands = [argv for one in [*_PROMPT.findall(text), *_IN_TICKS.findall(text)]
                if (argv := arguments(one)) is not None and len(argv) > 1]
    said = " ".join(text.split())
    if not commands:
        yield said, (), links
    for argv in commands:
        yield said, argv, links


def draft(told: Story) -> str:
    """The runbook as YAML, ready to be edited."""
    name = re.sub(r"[^a-z0-9]+", "-", (told.title or told.incident).lower()).strip("-")[:50] or "draft"
    return "\n".join(_lines(told, name)) + "\n"


def _lines(told: Story, name: str) -> Iterator[str]:
    yield f"# Drafted from {told.incident}. Look at every step: add undo:, verify:, inputs: and targets:, and take out"
    yield "# what did not help. Then: mainstay runbook check"
    yield from ("apiVersion: mainstay/v1", "kind: Runbook", "metadata:", f"  name: {name}")
    if told.title:
        yield f"  displayName: {_text(told.title)}"
    if told.service:
        yield f"  service: {_text(told.service)}"
    yield "spec:"
    if told.severity:
        yield f"  severity: {_text(told.severity)}"
    if told.alerts:
        yield "  triggers:"
        yield from (f"    - alert: {_text(one)}" for one in told.alerts)
    if told.service:
        yield f"  targets: [{_text(told.service)}]"
    if told.minutes is not None:
        yield f"  manual_minutes: {max(1, round(told.minutes))}"
    yield "  steps:"
    for at, (said, argv, links) in enumerate(told.did, 1):
        yield from _step(f"step-{at}", said, argv, links)
    if not told.did:
        yield from _step("look", f"Nobody noted what was done in {told.incident}; what is to be done?", (), ())


def _step(name: str, said: str, argv: Sequence[str], links: Sequence[str]) -> Iterator[str]:
    yield f"    - name: {name}"
    if argv:
        yield f"      title: {_text(said)}"
        yield f"      command: [{', '.join(_text(one) for one in argv)}]"
        yield "      confirm: true"
    else:
        yield f"      ask: {{question: {_text(said)}, choices: [done, skip, stop], stops: [stop]}}"
    if links:
        yield "      links:"
        yield from (f"        - {{text: look, url: {_text(one)}}}" for one in links)


def _text(value: str) -> str:
    """A text as YAML 1.2 takes it: JSON; what people wrote holds no variable."""
    return json.dumps(re.sub(r"\$+\{", "$${", value), ensure_ascii=False)
