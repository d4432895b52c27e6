"""What follows an incident: its post-mortem, the action items, and whether what happened now happened before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from datetime import date, timedelta

from mainstay.incident.act import Act
from mainstay.incident.action_items import (
    KINDS,
    PRIORITIES,
    Item,
    Progress,
    Sign,
    end_of,
    marks_of,
    next_progress,
    next_reminder,
    overdue_first,
)
from mainstay.incident.lifecycle import Status
from mainstay.incident.ongoing import Incident
from mainstay.incident.review import ChangedMeanwhile, Review, Stage, due_after, next_stage, section_named
from mainstay.incident.severity import DEMANDS
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput, NotFound
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.journal import Timer
from mainstay.kernel.people import Contact, Reach
from mainstay.kernel.quantity import format_duration


@dataclass(frozen=True, slots=True)
class DraftPostmortem:
    """Somebody wants a post-mortem of an incident that needs none by its severity."""

    incident: str
    by: str


@dataclass(frozen=True, slots=True)
class WriteSection:
    """Somebody writes a section.

    Args:
        seen: how often it had been written when it was read; None to write in any case.
    """

    incident: str
    section: str
    text: str
    by: str
    seen: int | None = None


@dataclass(frozen=True, slots=True)
class MovePostmortem:
    """It goes to another stage."""

    incident: str
    to: Stage
    by: str


@dataclass(frozen=True, slots=True)
class Details:
    """What an action item says; None leaves it as it is."""

    text: str | None = None
    kind: str | None = None
    priority: str | None = None
    owner: str | None = None
    due: date | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class AddItem:
    """Something is to be done.

    Args:
        signs: the incident's alerts, for telling whether a later one is alike.
    """

    incident: str
    details: Details
    by: str
    signs: tuple[Sign, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class ChangeItem:
    """It gets an owner, a date, other words."""

    item: str
    details: Details
    by: str


@dataclass(frozen=True, slots=True)
class MoveItem:
    """It is `done`, `verified`, `reopened` or `dropped`."""

    item: str
    event: str
    by: str
    why: str = ""


Follow = DraftPostmortem | WriteSection | MovePostmortem | AddItem | ChangeItem | MoveItem


def follow(act: Act, happening: Follow) -> str:
    """Decide on it; the incident or action item it was about.

    Raises:
        NotFound: there is no such incident, post-mortem or action item.
        Conflict: it cannot go there; somebody wrote meanwhile; the incident is not over.
        NotAllowed: somebody would verify their own work.
        InvalidInput: what was asked makes no sense.
    """
    match happening:
        case DraftPostmortem(incident, by):
            _draft_by_hand(act, incident, by)
            return incident
        case WriteSection():
            _write(act, happening)
            return happening.incident
        case MovePostmortem():
            _move(act, happening)
            return happening.incident
        case AddItem():
            return _add(act, happening)
        case ChangeItem():
            _change(act, happening)
            return happening.item
        case MoveItem():
            _move_item(act, happening)
            return happening.item


# -- the post-mortem ----------------------------------------------------------------------------------------------


def draft_if_due(act: Act, incident: str) -> None:
    """An incident was resolved: its post-mortem is there at once where its severity asks for one."""
    one = act.state.incidents[incident]
    if not act.plan.rehearsal and DEMANDS[one.severity].review is not None and not one.merged_into:
        _draft(act, one, "system")


def _draft(act: Act, one: Incident, by: str) -> None:
    review = act.state.reviews.get(one.id)
    due = due_after(one.severity, one.resolved or act.now)
    _say(act, "drafted", one.id, review, {"due": due.isoformat(), "severity": one.severity}, by)
    act.set_timer(f"postmortem:{one.id}", due - act.now, one.id)


def _draft_by_hand(act: Act, incident: str, by: str) -> None:
    one = act.state.incidents.get(incident)
    if one is None:
        raise NotFound(f'no incident is named "{incident}"', "mainstay incident list --last 30d shows older ones")
    if one.merged_into:
        raise Conflict(f"{one.id} was merged into {one.merged_into}",
                       f"mainstay incident postmortem {one.merged_into}")
    if one.status is not Status.RESOLVED:
        raise Conflict(f"{one.id} is {one.status}: a post-mortem is written when it is over",
                       f"mainstay incident resolve {one.id}")
    if act.state.reviews.get(incident) is None:
        _draft(act, one, by)


def _review(act: Act, incident: str) -> Review:
    found = act.state.reviews.get(incident)
    if found is None:
        raise NotFound(f"{incident} has no post-mortem", f"mainstay incident postmortem {incident} drafts it")
    return found


def _say(act: Act, kind: str, incident: str, review: Review | None, data: dict[str, object], by: str) -> None:
    # The key counts what was said of it, so that nobody decides on what has changed since.
    number = review.version + 1 if review is not None else 1
    act.say(f"postmortem.{kind}", incident, data, f"postmortem:{incident}:{number}", actor=by)


def _write(act: Act, asked: WriteSection) -> None:
    review, section = _review(act, asked.incident), section_named(asked.section)
    seen = review.written.get(section, 0)
    if asked.seen is not None and asked.seen != seen:
        raise ChangedMeanwhile(f'section "{section}" of {asked.incident} was written by somebody else meanwhile',
                               "read what it says now, then write it again")
    if review.stage is Stage.PUBLISHED:
        raise Conflict(f"the post-mortem of {asked.incident} is published",
                       f"mainstay incident postmortem {asked.incident} --state in-review opens it again")
    _say(act, "written", asked.incident, review, {"section": section, "text": asked.text.strip()}, asked.by)


def _move(act: Act, asked: MovePostmortem) -> None:
    review = _review(act, asked.incident)
    items = [one for one in act.state.actions.values() if one.incident == asked.incident]
    next_stage(review, asked.to, items)
    _say(act, "moved", asked.incident, review, {"from": review.stage, "to": asked.to}, asked.by)
    if asked.to is Stage.PUBLISHED:
        act.clear_timers(f"postmortem:{asked.incident}")
    elif review.stage is Stage.PUBLISHED:
        act.set_timer(f"postmortem:{asked.incident}", max(review.due - act.now, timedelta(days=1)), asked.incident)


def overdue(act: Act, timer: Timer) -> None:
    """A post-mortem is due and not published: whoever led the incident hears of it."""
    review, one = act.state.reviews.get(timer.subject), act.state.incidents.get(timer.subject)
    if review is None or one is None or review.stage is Stage.PUBLISHED or one.status is not Status.RESOLVED \
            or one.merged_into:
        return  # one that was reopened gets a new date when it is over again; of two in one, the other is reviewed
    act.say("postmortem.overdue", one.id, {"due": review.due.isoformat(), "stage": review.stage},
            f"postmortem-overdue:{one.id}:{timer.due.isoformat()}")
    to = one.roles.get("commander") or one.acknowledged_by
    if to:
        _tell(act, one, to, f"remind:{one.id}:postmortem:{timer.due.isoformat()}",
              f"the post-mortem of {one.id} was due and is {review.stage}")


# -- action items -------------------------------------------------------------------------------------------------


def _add(act: Act, asked: AddItem) -> str:
    one = act.state.incidents.get(asked.incident)
    if one is None:
        raise NotFound(f'no incident is named "{asked.incident}"', "mainstay incident list --last 30d shows older ones")
    number = act.state.counts["action"] + 1
    name = f"AI-{number}"
    details = asked.details
    data = {"incident": one.id, **_said(details.text or "", details.kind or KINDS[0], details.priority or "P1"),
            "owner": details.owner or "", "due": details.due.isoformat() if details.due else "",
            "link": details.link or "", "marks": list(marks_of(one.service, one.title, asked.signs))}
    act.say("action.added", name, data, f"{name}:1", actor=asked.by)
    _remind_later(act, act.state.actions[name])
    return name


def _said(text: str, kind: str, priority: str) -> dict[str, str]:
    if not text.strip():
        raise InvalidInput("the action item says nothing", "write what is to be done")
    if kind not in KINDS:
        raise InvalidInput(f'"{kind}" is no kind of action item', "write one of: " + ", ".join(KINDS))
    if priority not in PRIORITIES:
        raise InvalidInput(f'"{priority}" is no priority', "write one of: " + ", ".join(PRIORITIES))
    return {"text": " ".join(text.split()), "kind": kind, "priority": priority}


def _item(act: Act, name: str) -> Item:
    found = act.state.actions.get(name)
    if found is None:
        known = [one.id for one in act.state.actions.values() if not one.closed]
        raise NotFound(f'no action item is named "{name}"{did_you_mean(name, known)}',
                       "mainstay incident actions lists them")
    return found


def _change(act: Act, asked: ChangeItem) -> None:
    one, new = _item(act, asked.item), asked.details
    if one.closed:
        raise Conflict(f"{one.id} is {one.state}", f"mainstay incident action reopen {one.id}")
    due = new.due if new.due is not None else one.due
    act.say("action.changed", one.id, {
        **_said(one.text if new.text is None else new.text, new.kind or one.kind, new.priority or one.priority),
        "owner": one.owner if new.owner is None else new.owner, "due": due.isoformat() if due else "",
        "link": one.link if new.link is None else new.link}, f"{one.id}:{one.version + 1}", actor=asked.by)
    _remind_later(act, act.state.actions[one.id])


def _move_item(act: Act, asked: MoveItem) -> None:
    one = _item(act, asked.item)
    next_progress(one, asked.event, asked.by)
    if asked.event == "dropped" and not asked.why.strip():
        raise InvalidInput(f"{one.id} is dropped without a reason", "--why says why it is not worth doing")
    act.say(f"action.{asked.event}", one.id, {"why": asked.why.strip()}, f"{one.id}:{one.version + 1}", actor=asked.by)
    _remind_later(act, act.state.actions[one.id])


def _remind_later(act: Act, one: Item) -> None:
    moment = next_reminder(one.due, act.now) if one.state is Progress.OPEN else None
    if moment is None:
        act.clear_timers(f"action:{one.id}")
    else:
        act.set_timer(f"action:{one.id}", moment - act.now, one.id)


def remind_owner(act: Act, timer: Timer) -> None:
    """An open action item comes due, or is overdue: its owner hears of it, or whoever led the incident."""
    one = act.state.actions.get(timer.subject)
    incident = act.state.incidents.get(one.incident) if one is not None else None
    if one is None or incident is None or one.state is not Progress.OPEN or one.due is None:
        return
    to = one.owner or incident.roles.get("commander", "")
    late = one.overdue(act.now)
    left = max(end_of(one.due) - act.now, timedelta(0))
    when = f"{format_duration(late)} overdue" if late else f"due on {one.due:%-d %b}, in {format_duration(left)}"
    act.say("action.reminded", one.id, {"to": to, "when": when, "due": one.due.isoformat()},
            f"{one.id}:reminded:{timer.due.isoformat()}")
    _remind_later(act, one)
    if to:
        _tell(act, incident, to, f"remind:{one.id}:{timer.due.isoformat()}", f"{one.id} is {when}: {one.text}")


def _tell(act: Act, one: Incident, to: str, key: str, title: str) -> None:
    """A reminder waits for the morning where the person said how they are reached quietly."""
    rungs = act.responders.reach(to)
    how = next((rung for rung in rungs if rung.urgency == "low"), next(iter(rungs), None)) \
        or Reach(timedelta(0), Contact("terminal", to))
    act.send(f"{key}:{to}", how.contact.channel, {
        "what": "reminder", "incident": one.id, "to": to, "address": how.contact.address, "severity": one.severity,
        "title": title, "service": one.service, "urgency": "low", "opened": one.opened.isoformat(),
        "reason": "action due" if title.startswith("AI-") else "post-mortem due"})


# -- what happened before -----------------------------------------------------------------------------------------


def note_recurrence(act: Act, incident: str, alerts: Iterable[str]) -> None:
    """Say on a new incident's timeline which open action items of earlier ones like it there are."""
    one = act.state.incidents[incident]
    if not act.state.counts["action"]:
        return
    signs = [Sign(alert.key.service, alert.key.key, alert.labels) for name in alerts
             if (alert := act.state.alerts.get(name)) is not None]
    found = dict.fromkeys(name for mark in marks_of(one.service, one.title, signs)
                          for name in act.state.marks.get(mark) or ())
    items = overdue_first([item for name in found if (item := act.state.actions.get(name)) is not None], act.now)
    if not items:
        return
    told = ", ".join(f"{item.id} ({_standing(act, item)}): {item.text}" for item in items[:_TOLD])
    more = f" and {len(items) - _TOLD} more" if len(items) > _TOLD else ""
    like = list(dict.fromkeys(item.incident for item in items))
    act.record("incident.recurred", incident, {
        "like": like, "actions": [item.id for item in items],
        "text": f"like {', '.join(like[:_TOLD])}, which left unfinished: {told}{more}"})


_TOLD = 3


def _standing(act: Act, item: Item) -> str:
    late = item.overdue(act.now)
    owner = item.owner or "nobody's"
    if item.state is Progress.DONE:
        return f"{owner}, done, not verified"
    return f"{owner}, {format_duration(late)} overdue" if late else f"{owner}, open"
