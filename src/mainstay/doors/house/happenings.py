"""`mainstay record`: something happened; put it where lost budget can be explained by it."""

from __future__ import annotations

from datetime import datetime

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import Batch, NewFact
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import parse_moment
from mainstay.kernel.view import Next, Text, View

KINDS = ("incident", "deployment", "experiment", "flag")


@dataclass(frozen=True)
class RecordRequest:
    """What happened, to what, and when."""

    kind: str = arg("what it was", positional=True, choices=KINDS)
    service: str = arg("the service it happened to", positional=True)
    text: str = arg("what happened, in a few words", "")
    name: str = arg("what people call it, such as INC-12345 or v2.4.1", "", value="NAME")
    since: str = arg("when it began; now when left out", "", flag="from", value="MOMENT")
    until: str = arg("when it ended; an hour later when left out", "", flag="to", value="MOMENT")
    key: str = arg("recorded once for this key, so that a pipeline may repeat itself", "", value="KEY")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The fact as it is in the journal."""

    seq: int
    kind: str
    subject: str
    at: datetime
    text: str
    service: str


def record(world: World, request: RecordRequest) -> Recorded:
    """Record something that happened, so that lost budget can be explained."""
    if not request.service.strip():
        raise InvalidInput("the service is empty", "mainstay record deployment checkout --text v2.4.1")
    now = world.clock.now()
    at = parse_moment(request.since) if request.since else now
    data = {"service": request.service, "text": request.text}
    if request.until:
        until = parse_moment(request.until)
        if until <= at:
            raise InvalidInput("it ended before it began", "write --to after --from")
        data["until"] = until.isoformat()
    fact = world.journal.commit(Batch([NewFact(
        f"{request.kind}.recorded", request.name or request.service, at, data, key=request.key, actor=world.actor)]))[0]
    return Recorded(fact.seq, fact.kind, fact.subject, fact.at, str(fact.data.get("text", "")),
                    str(fact.data.get("service", "")))


RECORD = Operation(
    "", "record", RecordRequest, record,
    lambda found: View("Recorded", (Text(f"Recorded: {found.kind.split('.')[0]} {found.subject} at "
                                         f"{found.at:%Y-%m-%d %H:%M} UTC. {found.text}".rstrip(), "good"),
                                    Next(("mainstay slo attribute OBJECTIVE",)))),
    scope="write", catalog="unused", doors=("cli", "http"),
    exit_codes=((0, "recorded"), (2, "the input cannot be used")),
    examples=("mainstay record deployment checkout --name v2.4.1 --key build-4711",
              "mainstay record incident web --name INC-7 --from 2026-03-02T09:00:00Z --to 2026-03-02T09:40:00Z "
              "--text 'cache lost'"))

OPERATIONS = (RECORD,)
