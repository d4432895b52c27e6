"""`runbook/v1 IncidentRunbook` as it is written: for people first, and done with their consent. Pure.

Its actions are sentences with a condition in them ("scale up if CPU > 80 %"), so each that acts is asked for before. A
command is split into arguments as a shell would; what only a shell could do is left to people.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from mainstay.kernel.actuation import Act, Ask, Command, Metric, Wait
from mainstay.kernel.finding import errors_of
from mainstay.kernel.metadata import read_metadata
from mainstay.kernel.quantity import parse_duration
from mainstay.kernel.reader import Reader
from mainstay.runbook.act_forms import comparison
from mainstay.runbook.forms import escalation
from mainstay.runbook.spec import Approval, Runbook, Section, Step, Trigger

FORM = "runbook/v1 IncidentRunbook"
_WHATS = ("link", "command", "query", "metric")
_METRIC = re.compile(r"(.+?)\s*((?:<=|>=|==|!=|<|>)\s*-?[0-9.]+\s*(?:%|ms|s)?)")
_OF_A_SHELL = re.compile(r"[|&;<>()`$*?\[\]~#!]|\n")
_MET_WITHIN = parse_duration("5m")


def read_incident_runbook(reader: Reader) -> Iterator[Runbook]:
    """runbook/v1 IncidentRunbook."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    before = len(errors_of(spec.findings))
    triggers, sections, steps = [], [], list[Step]()
    for entry in spec.children("triggers"):
        triggers.append(Trigger(entry.where, entry.text("alert", required=True, default=""),
                                entry.text("threshold", default=""), entry.labels("labels")))
        entry.done()
    for entry in spec.children("steps", required=True):
        title = entry.text("name", required=True, default="")
        found = [_step(action, _name(title, at)) for at, action in enumerate(entry.children("actions"), 1)]
        entry.done()
        made = [step for step in found if step is not None]
        sections.append(Section(title, tuple(step.name for step in made)))
        steps += made
    book = Runbook(
        meta.name, meta.origin, FORM, tuple(_told_apart(steps)), meta.title, spec.text("description", default=""),
        meta.service, meta.owner, spec.text("severity", default=""), tuple(triggers), approval=Approval(),
        targets=(meta.service,) if meta.service else (), escalation=escalation(spec),
        manual_minutes=spec.number("manual_minutes", minimum=0), sections=tuple(sections), labels=meta.labels)
    spec.done()
    if meta.name and len(errors_of(spec.findings)) == before:
        yield book


def _name(title: str, at: int) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:50] or "step"
    return f"{words}-{at}"


def _told_apart(steps: list[Step]) -> Iterator[Step]:
    """Two sections of one title are told apart by nothing, so their steps get a number more."""
    seen: dict[str, int] = {}
    for step in steps:
        seen[step.name] = seen.get(step.name, 0) + 1
        yield step if seen[step.name] == 1 else Step(
            f"{step.name}-{seen[step.name]}", step.act, step.where, step.title, step.timeout, step.retry,
            step.required, step.idempotent, changes=step.changes, confirm=step.confirm, links=step.links,
            only_people=step.only_people)


def _step(action: Reader, name: str) -> Step | None:
    title = action.text("description", default="")
    said = [what for what in _WHATS if action.has(what)]
    text = action.text(said[0], default="") if said else ""
    action.ignore(*_WHATS)
    where = action.where
    action.done()
    if len(said) > 1:
        action.report("two-acts", f"{action.path} says several things to do: {' and '.join(said)}", "make them two")
        return None
    if not said and not title:
        action.report("missing-field", f"{action.path} says nothing", "add description:, and link:, command:, query: "
                      "or metric:")
        return None
    title = title or text
    match said[0] if said else "":
        case "command":
            return _command(action, name, title, text)
        case "metric":
            act = _waited(text)
            if act is not None:
                return Step(name, act, where, title, timeout=_MET_WITHIN, idempotent=True, changes=False,
                            required=False)
            return _by_hand(name, title, action, f"look at {text}")
        case "link":
            return _by_hand(name, title, action, "", (("look", text),))
        case "query":
            return _by_hand(name, title, action, text)
        case _:
            return _by_hand(name, title, action, "")


def _by_hand(name: str, title: str, action: Reader, why: str, links: tuple[tuple[str, str], ...] = ()) -> Step:
    """A person does it, and says so."""
    link = links[0][1] if links else ""
    return Step(name, Ask(title, ("done", "skip", "stop"), ("stop",), link), action.where, title, idempotent=True,
                changes=False, links=links, only_people=why)


def _command(action: Reader, name: str, title: str, text: str) -> Step:
    argv = arguments(text)
    if argv is None:
        action.warn("needs-a-shell", "only a shell could run this command, and no shell is started",
                    "write it as steps of a mainstay/v1 Runbook; until then a person runs it", "command")
        return _by_hand(name, title, action, text)
    return Step(name, Command(argv), action.where, title, confirm=True)


def arguments(text: str) -> tuple[str, ...] | None:
    """The command as arguments; None where it holds what only a shell can do."""
    joined = re.sub(r"\\\n\s*", " ", text.strip())
    try:
        bare = shlex.split(re.sub(r"'[^']*'", "Q", joined))
        argv = shlex.split(joined)
    except ValueError:
        return None
    if "\n" in re.sub(r"'[^']*'|\"(\\.|[^\"\\])*\"", "Q", joined):
        return None  # several commands, one a line
    if not argv or any(_OF_A_SHELL.search(one) for one in bare):
        return None
    if re.fullmatch(r"[A-Za-z_]\w*=.*", argv[0]):
        return None
    # `${` in a text of this form is a shell's, not ours: it has no inputs.
    return tuple(one.replace("${", "$${") for one in argv)


def _waited(text: str) -> Act | None:
    """`error_rate < 0.1%` as a query of the catalog's Prometheus that must compare so."""
    found = _METRIC.fullmatch(text.strip())
    if found is None:
        return None
    operator, threshold = comparison(found[2])
    return Wait(Metric("", found[1], operator, threshold))
