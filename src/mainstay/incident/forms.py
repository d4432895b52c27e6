"""What can be read: `mainstay/v1` EscalationPolicy, Routing, Heartbeat, Intake and Channels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import cast, get_args

from mainstay.incident import channels
from mainstay.incident.mapping import parse_pointer
from mainstay.incident.severity import WORDS, Severity
from mainstay.incident.spec import (
    Addressee,
    Diagnostics,
    EscalationPolicy,
    Flapping,
    Format,
    Heartbeat,
    Inhibition,
    Intake,
    Kind,
    Mapped,
    Pointer,
    Route,
    Routing,
    Step,
    Storm,
)
from mainstay.kernel.catalog import Form
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.matcher import read_matchers
from mainstay.kernel.metadata import read_metadata
from mainstay.kernel.quantity import parse_duration
from mainstay.kernel.reader import Reader

_KINDS: dict[str, Kind] = {"rotation": "rotation", "schedule": "rotation", "person": "person", "channel": "channel"}
_MOST_LOOPS = 100


def parse_addressee(text: str) -> Addressee:
    """`rotation:web-primary`, `schedule:web`, `person:ana`, `channel:slack:#ops` as an addressee.

    Raises:
        InvalidInput: not of these kinds.
    """
    kind, _, name = text.partition(":")
    if kind.strip() not in _KINDS or not name.strip():
        raise InvalidInput(f'"{text}" is nobody to page', "write rotation:NAME, schedule:NAME, person:NAME or "
                           "channel:slack:#NAME")
    return Addressee(_KINDS[kind.strip()], name.strip())


# -- escalation ---------------------------------------------------------------------------------------------------


def read_escalation_policy(reader: Reader) -> Iterator[EscalationPolicy]:
    """mainstay/v1 EscalationPolicy."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    steps = tuple(filter(None, map(_step, spec.children("steps", required=True))))
    if spec.has("steps") and not spec.children("steps"):
        spec.report("missing-field", f"{spec.path}.steps is empty: nobody would be paged", "write at least one step",
                    "steps")
    loops = spec.whole("loops", minimum=0, maximum=_MOST_LOOPS)
    timeout = spec.duration("ack_timeout")
    fallback = _addressees(spec, "fallback")
    spec.done()
    if steps and meta.name:
        yield EscalationPolicy(meta.name, meta.origin, steps, loops or 0, timeout, fallback, meta.title)


def _step(reader: Reader) -> Step | None:
    addressees = _addressees(reader, "page", required=True)
    delay = reader.duration("wait")
    round_robin = reader.flag("round_robin")
    reader.done()
    return Step(addressees, delay or _WAIT, round_robin) if addressees else None


_WAIT = timedelta(minutes=15)
"""How long a step is given when it does not say: the secondary is paged after fifteen minutes."""


def _addressees(reader: Reader, key: str, *, required: bool = False) -> tuple[Addressee, ...]:
    out = []
    for text in reader.texts(key, required=required):
        try:
            out.append(parse_addressee(text))
        except InvalidInput as error:
            reader.report("invalid-value", f"{reader.field(key)}: {error.message}", error.way_out, key)
    return tuple(out)


# -- routing ------------------------------------------------------------------------------------------------------


def read_routing(reader: Reader) -> Iterator[Routing]:
    """mainstay/v1 Routing."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    tree = spec.child("route", required=True)
    route = _route(tree, Route()) if tree is not None else Route()
    inhibitions = tuple(map(_inhibition, spec.children("inhibit")))
    flapping, storm = _flapping(spec.child("flapping")), _storm(spec.child("storm"))
    spec.done()
    if meta.name:
        yield Routing(meta.name, meta.origin, route, inhibitions, flapping, storm)


def _route(reader: Reader, parent: Route) -> Route:
    matchers = read_matchers(reader, "match")
    policy = reader.text("policy", default=parent.policy)
    own_group = reader.texts("group_by")
    group_by = own_group if reader.has("group_by") else parent.group_by
    wait = _or(reader.parsed("wait", _wait), parent.wait)
    interval, repeat = reader.duration("interval") or parent.interval, reader.duration("repeat") or parent.repeat
    reopen = _or(reader.parsed("reopen", _wait), parent.reopen)
    severity = _severity(reader) or parent.severity
    page = reader.flag("page", default=parent.page)
    own = Route(matchers, policy, group_by, wait, interval, repeat, reopen, severity, page)
    children = tuple(_route(child, own) for child in reader.children("routes"))
    reader.done()
    return replace(own, routes=children)


def _wait(text: str) -> timedelta:
    return timedelta(0) if re.fullmatch("0(ms|s|m|h|d)?", text.strip()) else parse_duration(text)


def _or(value: timedelta | None, otherwise: timedelta) -> timedelta:
    return otherwise if value is None else value


def _severity(reader: Reader) -> Severity | None:
    word = reader.text("severity")
    if word is None:
        return None
    found = WORDS.get(word.lower())
    if found is None:
        reader.report("unknown-value", f'{reader.field("severity")} is "{word}"', "write SEV1, SEV2, SEV3 or SEV4",
                      "severity")
    return found


def _inhibition(reader: Reader) -> Inhibition:
    out = Inhibition(read_matchers(reader, "source"), read_matchers(reader, "target"), reader.texts("equal"))
    if not out.source or not out.target:
        reader.report("missing-field", f"{reader.path} needs source and target",
                      'write source: [severity="page"] and target: [severity="ticket"]')
    reader.done()
    return out


def _flapping(reader: Reader | None) -> Flapping:
    if reader is None:
        return Flapping()
    opens = reader.whole("opens", minimum=2)
    within, quiet = reader.duration("within"), reader.duration("quiet")
    reader.done()
    default = Flapping()
    return Flapping(opens or default.opens, within or default.within, quiet or default.quiet)


def _storm(reader: Reader | None) -> Storm:
    if reader is None:
        return Storm()
    pages, within = reader.whole("pages", minimum=1), reader.duration("within")
    reader.done()
    default = Storm()
    return Storm(pages or default.pages, within or default.within)


# -- heartbeats ---------------------------------------------------------------------------------------------------


def read_heartbeat(reader: Reader) -> Iterator[Heartbeat]:
    """mainstay/v1 Heartbeat."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    every, grace = spec.duration("every", required=True), spec.duration("grace")
    severity = _severity(spec) or Severity.SEV2
    service = spec.text("service", default=meta.service)
    spec.done()
    if every is not None and meta.name:
        yield Heartbeat(meta.name, meta.origin, every, grace or timedelta(minutes=1), severity, service, meta.labels)


# -- intakes ------------------------------------------------------------------------------------------------------


def read_intake(reader: Reader) -> Iterator[Intake]:
    """mainstay/v1 Intake."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    form = spec.text("format", required=True, one_of=get_args(Format))
    service = spec.text("service", default=meta.service)
    severity = _severity(spec)
    key_env = spec.text("key_env", default="")
    if key_env and form != "pagerduty":
        spec.report("unknown-field", f"{spec.path}.key_env is for pagerduty alone", "other senders send a token",
                    "key_env")
    mapped = _mapped(spec, form == "json")
    spec.done()
    if form is not None and meta.name and (mapped is not None or form != "json"):
        yield Intake(meta.name, meta.origin, cast(Format, form), service, str(severity or ""), key_env, mapped)


def _mapped(spec: Reader, wanted: bool) -> Mapped | None:
    reader = spec.child("map", required=wanted)
    if reader is None:
        return None
    if not wanted:
        spec.report("unknown-field", f"{spec.path}.map is for the format json alone", "leave it out", "map")
    key = tuple(found for text in reader.texts("key", required=True)
                if (found := _pointer(reader, "key", text)) is not None)
    labels = reader.labels("labels")
    one = Mapped(key, _pointer(reader, "items") or (), _pointer(reader, "status"), reader.texts("firing"),
                 reader.texts("resolved"), _pointer(reader, "summary"), _pointer(reader, "service"),
                 _pointer(reader, "severity"), _pointer(reader, "time"), _pointer(reader, "url"),
                 {name: found for name, text in labels.items()
                  if (found := _pointer(reader, "labels", text)) is not None})
    reader.done()
    return one if key else None


def _pointer(reader: Reader, key: str, text: str | None = None) -> Pointer | None:
    """The JSON pointer in that field; None when there is none."""
    written = text if text is not None else reader.text(key)
    if written is None:
        return None
    try:
        return parse_pointer(written)
    except InvalidInput as error:
        reader.report("invalid-value", f"{reader.field(key)}: {error.message}", error.way_out, key)
        return None


# -- diagnostics --------------------------------------------------------------------------------------------------

_LONGEST_CHECK = timedelta(seconds=3)
"""What is found out is on the timeline within five seconds, so no check may take longer than this."""


def read_diagnostics(reader: Reader) -> Iterator[Diagnostics]:
    """mainstay/v1 Diagnostics."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    service = spec.text("service", default=meta.service or meta.name)
    links = {key: _links(spec, key) for key in ("health", "dashboards", "runbooks")}
    depends_on, time_out = spec.texts("depends_on"), spec.duration("time_out")
    if time_out is not None and time_out > _LONGEST_CHECK:
        spec.report("out-of-range", f"{spec.field('time_out')} is longer than three seconds",
                    "write 3s or less: an incident is diagnosed within five", "time_out")
    spec.done()
    if meta.name:
        yield Diagnostics(meta.name, meta.origin, service, links["health"], links["dashboards"], links["runbooks"],
                          depends_on, min(time_out or timedelta(seconds=2), _LONGEST_CHECK))


def _links(reader: Reader, key: str) -> tuple[str, ...]:
    urls = reader.texts(key)
    for url in urls:
        if not url.startswith(("http://", "https://")):
            reader.report("invalid-value", f'{reader.field(key)} holds "{url}"', "write http://… or https://…", key)
    return urls


FORMS = (
    Form("mainstay/v1 EscalationPolicy", read_escalation_policy, "mainstay/v1", "EscalationPolicy"),
    Form("mainstay/v1 Routing", read_routing, "mainstay/v1", "Routing"),
    Form("mainstay/v1 Heartbeat", read_heartbeat, "mainstay/v1", "Heartbeat"),
    Form("mainstay/v1 Diagnostics", read_diagnostics, "mainstay/v1", "Diagnostics"),
    Form("mainstay/v1 Intake", read_intake, "mainstay/v1", "Intake"),
    channels.FORM,
)
