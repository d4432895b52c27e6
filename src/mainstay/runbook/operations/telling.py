"""Telling those who may approve a plan that it waits for them: a message a person and way, durable before it goes."""

from __future__ import annotations

from datetime import timedelta

from mainstay.kernel.journal import Batch, NewMessage
from mainstay.kernel.ports import World
from mainstay.runbook.lifecycle import State
from mainstay.runbook.operations.desk import runs_of
from mainstay.runbook.reading import read_run
from mainstay.runbook.run import Run

APPROVALS = "approvals"
"""The channel of the outbox in which they wait."""


def say_expected(world: World, said: set[str]) -> None:
    """Write down a message for everybody who is named and may approve; again does nothing.

    Args:
        said: runs for which it was done by this process; those that are new are added.
    """
    awaiting = [run for run in runs_of(world).caught_up().values() if run.state is State.AWAITING
                and run.id not in said]
    messages = [message for run in awaiting for message in _messages(world, run)]
    if messages:
        world.journal.commit(Batch(messages=messages))
    said |= {run.id for run in awaiting}


def _messages(world: World, run: Run) -> list[NewMessage]:
    out = []
    steps = [f"{at}. {step.does}" for at, step in enumerate(read_run(run).steps, 1)]
    subject = f"{run.by} asks for approval: {run.id} {run.data.get('title') or run.runbook}"
    body = "\n".join([subject, *([f"because: {run.reason}"] if run.reason else []), *steps[:20],
                      f"mainstay runbook approve {run.id} --plan {run.hash[:12]}"])
    for person in run.plan.approval.by:
        if person == run.by or any(one.by == person for one in run.approvals):
            continue
        for reach in world.responders.reach(person):
            if reach.after == timedelta(0):
                out.append(NewMessage(
                    f"approval:{run.id}:{person}:{reach.contact.channel}", APPROVALS, {
                        "what": "approval", "run": run.id, "plan": run.hash, "to": person,
                        "channel": reach.contact.channel, "address": reach.contact.address, "subject": subject,
                        "body": body, "steps": steps[:20], "reason": run.reason,
                        "expires": run.expires.isoformat() if run.expires is not None else ""}, run.planned))
    return out
