"""The life of a post-mortem: draft, in review, published; what it still lacks; which version of each section there is.

What an engine must know of a post-mortem is small and kept here; its text is a fold over facts (`postmortem.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from mainstay.incident.action_items import Item
from mainstay.incident.severity import DEMANDS, Severity
from mainstay.kernel.errors import Conflict, InvalidInput
from mainstay.kernel.finding import did_you_mean


class Stage(StrEnum):
    """How far a post-mortem is."""

    DRAFT = "draft"
    IN_REVIEW = "in review"
    PUBLISHED = "published"


STAGES: Mapping[Stage, frozenset[Stage]] = {
    Stage.DRAFT: frozenset({Stage.IN_REVIEW}),
    Stage.IN_REVIEW: frozenset({Stage.DRAFT, Stage.PUBLISHED}),
    Stage.PUBLISHED: frozenset({Stage.IN_REVIEW}),
}
"""Stage → those that may follow it. What was published goes back through review before it says something else."""

SECTIONS: Mapping[str, tuple[str, str]] = {
    "summary": ("Summary", "what happened to whom, in one paragraph"),
    "users": ("Users affected", "how many users noticed, and what they noticed"),
    "cause": ("Root cause", "what made it possible, as a property of the system"),
    "trigger": ("Trigger", "what set it off just then"),
    "whys": ("Five whys", "a line for each why and its answer"),
    "factors": ("Contributing factors", "what made it likelier, longer or worse"),
    "detection": ("Detection", "how it was noticed, and what could have noticed it sooner"),
    "resolution": ("Resolution", "what ended it"),
    "went-well": ("What went well", "what helped"),
    "went-poorly": ("What went poorly", "what stood in the way"),
    "lucky": ("Where we got lucky", "what might as well have gone the other way"),
}
"""The sections that people write and that must not be empty: key → heading, and what belongs there."""

OPTIONAL: Mapping[str, tuple[str, str]] = {
    "impact": ("Impact", "what it cost beside users and budget: money, other teams, data"),
    "background": ("Background", "what a reader must know of the system beforehand"),
    "questions": ("Open questions", "what is not known yet, and who finds out"),
    "no-actions": ("Why nothing follows", "the reason, where there is no action item"),
    "links": ("Supporting information", "dashboards, changes, tickets, the channel"),
    "first-impact": ("First impact", "when users first noticed, where that was before the first alert"),
}
"""Sections that may be empty."""

REVIEW_OF_MINOR = timedelta(days=7)
"""When a post-mortem is due that nobody has to write: a week, so that somebody still remembers."""


class CannotLeaveDraft(Conflict):
    """The post-mortem lacks something, or it cannot go from where it is to where it was asked to go."""

    code = "postmortem-incomplete"


class ChangedMeanwhile(Conflict):
    """Somebody else wrote the section since it was read."""

    code = "changed-meanwhile"


class Review(Struct, frozen=True, gc=False):
    """How a post-mortem stands.

    Args:
        due: by when it is to be published.
        written: section → how often it was written; the latest text holds.
        filled: sections whose latest text is not empty.
    """

    incident: str
    stage: Stage
    drafted: datetime
    due: datetime
    written: Mapping[str, int] = field(default_factory=dict)
    filled: tuple[str, ...] = ()
    version: int = 1


def due_after(severity: Severity, resolved: datetime) -> datetime:
    """By when the post-mortem of an incident of that severity is due."""
    return resolved + (DEMANDS[severity].review or REVIEW_OF_MINOR)


def after(one: Review | None, kind: str, incident: str, at: datetime, data: Mapping[str, Any]) -> Review:
    """The review after a fact about it; `kind` is without the word: `drafted`, `written`, `moved`."""
    if one is None:
        assert kind == "drafted", "every post-mortem begins with its draft"
        return Review(incident, Stage.DRAFT, at, datetime.fromisoformat(data["due"]))
    match kind:
        case "drafted":  # it broke again: what was written stays, and is looked at anew
            return replace(one, stage=Stage.DRAFT, drafted=at, due=datetime.fromisoformat(data["due"]),
                           version=one.version + 1)
        case "written":
            section = data["section"]
            filled = [name for name in one.filled if name != section] + ([section] if data["text"].strip() else [])
            return replace(one, written={**one.written, section: one.written.get(section, 0) + 1},
                           filled=tuple(filled), version=one.version + 1)
        case "moved":
            return replace(one, stage=Stage(data["to"]), version=one.version + 1)
        case _:
            return one


def section_named(name: str) -> str:
    """The section of that name.

    Raises:
        InvalidInput: there is none.
    """
    known = {**SECTIONS, **OPTIONAL}
    if name not in known:
        raise InvalidInput(f'no section is called "{name}"{did_you_mean(name, known)}', "known: " + ", ".join(known))
    return name


def stage_named(word: str) -> Stage:
    """The stage of that name; `in-review` is written on a command line.

    Raises:
        InvalidInput: there is none.
    """
    found = {str(stage).replace(" ", "-"): stage for stage in Stage}.get(word.strip().lower().replace(" ", "-"))
    if found is None:
        raise InvalidInput(f'"{word}" is no state of a post-mortem', "write draft, in-review or published")
    return found


def missing(one: Review, items: list[Item]) -> tuple[str, ...]:
    """What stands between the draft and its review, each thing named."""
    out = [f'section "{name}" is empty: {asks}' for name, (_, asks) in SECTIONS.items() if name not in one.filled]
    if not items and "no-actions" not in one.filled:
        out.append('there is no action item; if nothing follows, section "no-actions" says why')
    for item in items:
        lacks = [name for name, there in (("owner", item.owner), ("due date", item.due)) if not there]
        out += [f"{item.id} has no {name}: {item.text}" for name in lacks if not item.closed]
    return tuple(out)


def _mend(one: Review, first: str) -> str:
    if first.startswith("section"):
        key = first.split('"')[1]
        return f"mainstay incident postmortem {one.incident} --set {key}='…'"
    name = first.partition(" ")[0]
    return f"mainstay incident action assign {name} --owner WHO --due 14d" if name.startswith("AI-") else \
        f"mainstay incident action add {one.incident} 'what is to be done' --owner WHO --due 14d"


def next_stage(one: Review, to: Stage, items: list[Item]) -> Stage:
    """The wanted stage, when the post-mortem may go there.

    Raises:
        CannotLeaveDraft: it may not; the message names each thing that is missing.
    """
    if to not in STAGES[one.stage]:
        can = " or ".join(sorted(STAGES[one.stage]))
        raise CannotLeaveDraft(f"the post-mortem of {one.incident} is {one.stage} and cannot become {to}",
                               f"from {one.stage} follows {can}")
    lacks = missing(one, items) if to is not Stage.DRAFT else ()
    if lacks:
        raise CannotLeaveDraft(f"the post-mortem of {one.incident} cannot leave {one.stage}:\n  " + "\n  ".join(lacks),
                               _mend(one, lacks[0]))
    return to
