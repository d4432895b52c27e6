"""A runbook as a document for people: Markdown with check boxes, from the same file that is executed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mainstay.kernel.actuation import Act, Command, Http, Metric, Sql, Wait
from mainstay.kernel.quantity import format_duration
from mainstay.runbook.reading import said
from mainstay.runbook.spec import Runbook, Section, Step, takes_itself_back


def sections(book: Runbook) -> tuple[Section, ...]:
    """The headings of a runbook; one that has none is one section."""
    return book.sections or (Section("Steps", tuple(step.name for step in book.steps)),)


def markdown(book: Runbook) -> str:
    """The runbook as Markdown."""
    return "\n".join(_lines(book)).rstrip("\n") + "\n"


def _lines(book: Runbook) -> Iterator[str]:
    yield f"# {book.title or book.name}"
    yield ""
    if book.description:
        yield from (book.description.strip(), "")
    facts = [(name, value) for name, value in (
        ("Service", book.service), ("Owner", book.owner), ("Severity", book.severity),
        ("By hand", f"about {book.manual_minutes:g} minutes" if book.manual_minutes else "")) if value]
    if book.approval.needed:
        who = f" of {', '.join(book.approval.by)}" if book.approval.by else ""
        facts.append(("Needs", f"{book.approval.needed} approvals{who}"))
    yield from (f"- **{name}:** {value}" for name, value in facts)
    if facts:
        yield ""
    if book.triggers:
        yield from ("## When", "")
        yield from (f"- {_when(one.alert, one.threshold, one.runbook, one.ended)}" for one in book.triggers)
        yield ""
    if book.inputs:
        yield from ("## What you need to know", "")
        for one in book.inputs:
            usual = f" (usually `{one.default}`)" if one.default is not None else ""
            allowed = f", one of {', '.join(f'`{value}`' for value in one.allowed)}" if one.allowed else ""
            yield f"- `{one.name}`: {one.description or one.type}{allowed}{usual}"
        yield ""
    for section in sections(book):
        yield from (f"## {section.title}", "")
        for name in section.steps:
            yield from _step(book.step(name))
        yield ""
    if book.escalation:
        yield from ("## When it goes on", "")
        yield from (f"- after {format_duration(one.after)}: {one.to}" for one in book.escalation)
        yield ""
    yield from ("---", f"Run it: `mainstay runbook run {book.name}{_inputs(book)}`")


def _when(alert: str, threshold: str, runbook: str, ended: str) -> str:
    if alert:
        return f"alert `{alert}`" + (f": {threshold}" if threshold else "")
    return f"runbook `{runbook}` {ended or 'ended'}"


def _inputs(book: Runbook) -> str:
    return "".join(f" --input {one.name}=…" for one in book.inputs if one.required and one.default is None)


def _step(step: Step) -> Iterator[str]:
    yield f"- [ ] **{step.title or step.name}**" + ("" if step.required else " (optional)")
    for test in step.when:
        yield f"  - only when `{test.value}` {test.operator.replace('_', ' ')} {', '.join(test.against)}"
    for text, address in step.links:
        yield f"  - [{text}]({address})"
    shown = shown_act(step)
    if shown:
        yield from _block(*shown)
    if step.verify is not None:
        yield f"  - then check: `{said(step.verify)}`"
    if step.undo is not None:
        yield f"  - taken back by: `{said(step.undo)}`"
    elif takes_itself_back(step.act):
        yield "  - taken back by: what was there before"
    elif step.irreversible:
        yield f"  - cannot be taken back: {step.irreversible}"


def shown_act(step: Step) -> tuple[str, str] | None:
    """What people type or look at for a step, and its language; None for a question alone."""
    if step.only_people:
        return step.only_people, ""
    language, text = _of_act(step.act)
    return (text, language) if text else None


def _of_act(act: Act) -> tuple[str, str]:
    match act:
        case Command():
            return "sh", said(act)
        case Sql():
            return "sql", act.statement.strip()
        case Metric():
            return "promql", act.query
        case Wait():
            return ("promql", f"{act.metric.query} {act.metric.operator} {act.metric.threshold:g}") if act.metric else \
                ("", said(act))
        case Http():
            return "", said(act)
        case _:
            return "", "" if act.kind == "ask" else said(act)


def _block(text: str, language: str) -> Iterator[str]:
    yield f"  ```{language}"
    yield from (f"  {line}" for line in _lines_of(text))
    yield "  ```"


def _lines_of(text: str) -> Sequence[str]:
    return text.rstrip("\n").replace("```", "`\u200b``").split("\n")
