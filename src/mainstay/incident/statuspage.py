"""The public status page: what stakeholders were told, and nothing else.

An incident is on it once an update was posted. Titles, alerts, notes and names of people stay inside; what is shown are
the services it concerns, how it stands, and the updates. Pure: the page is text, made from facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import escape

from mainstay.incident.lifecycle import Status
from mainstay.incident.ongoing import Incident
from mainstay.incident.severity import DEMANDS, Severity
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Fact
from mainstay.kernel.quantity import State, format_duration
from mainstay.kernel.view import SIGNS
from mainstay.kernel.wording import many

DAYS = 90
"""How far back the page goes."""

STATES: Mapping[Severity, State] = {Severity.SEV1: "violated", Severity.SEV2: "at_risk", Severity.SEV3: "at_risk",
                                    Severity.SEV4: "healthy"}
"""What an incident makes of a component: a SEV4 concerns nobody outside."""

_ORDER: tuple[State, ...] = ("healthy", "no_data", "at_risk", "violated")


@dataclass(frozen=True, slots=True)
class Update:
    """What stakeholders were told, and how far the work was then."""

    at: datetime
    status: Status
    text: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """An incident as it is public; the field names are its stable JSON."""

    id: str
    services: tuple[str, ...]
    state: State
    status: Status
    opened: datetime
    resolved: datetime | None
    updates: tuple[Update, ...]


@dataclass(frozen=True, slots=True)
class Component:
    """A service as the public sees it.

    Args:
        days: the worst state of each of the last days, the oldest first; no_data where nothing was recorded yet.
    """

    name: str
    title: str
    state: State
    days: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class StatusPage:
    """The whole page; the field names are its stable JSON.

    Args:
        verdict: one sentence: is it bad, and where.
    """

    generated_at: datetime
    title: str
    verdict: str
    state: State
    components: tuple[Component, ...]
    open: tuple[Trouble, ...]
    past: tuple[Trouble, ...]


def unpublished(one: Incident) -> bool:
    """Whether the status page is silent about an incident that its severity says people should hear of."""
    return (one.resolved is None and one.updated is None and not (one.test or one.merged_into)
            and DEMANDS[one.severity].update is not None)


def public(one: Incident, facts: Iterable[Fact]) -> Trouble | None:
    """The incident as it is public, from its facts; None while nothing was posted."""
    updates = tuple(Update(fact.at, Status(fact.data["status"]), str(fact.data["text"])) for fact in facts
                    if fact.kind == "incident.update-posted")
    if not updates:
        return None
    return Trouble(one.id, one.services, STATES[one.severity], one.status, one.opened, one.resolved, updates)


def compose(services: Mapping[str, str], troubles: Sequence[Trouble], now: datetime, *, title: str,
            since: datetime | None) -> StatusPage:
    """The page.

    Args:
        services: name → title of the components, in the order of the page.
        since: when the journal began; days before it say that nothing was recorded.
    """
    open_ones = sorted((one for one in troubles if one.resolved is None), key=lambda one: one.opened, reverse=True)
    past = sorted((one for one in troubles if one.resolved is not None and one.resolved > now - timedelta(days=DAYS)),
                  key=lambda one: one.opened, reverse=True)
    components = tuple(_component(name, shown, (*open_ones, *past), now, since) for name, shown in services.items())
    bad = [one for one in components if one.state != "healthy"]
    worst = _worst(one.state for one in bad)
    if bad:
        verdict = f"{', '.join(one.title for one in bad)}: {'trouble' if worst == 'at_risk' else 'outage'}."
    elif open_ones:
        verdict, worst = f"{many(len(open_ones), 'incident')} open.", "at_risk"
    else:
        verdict = "All components are healthy." if components else "No component is declared."
    return StatusPage(now, title, verdict, worst, components, tuple(open_ones), tuple(past))


def _component(name: str, title: str, troubles: Sequence[Trouble], now: datetime, since: datetime | None) -> Component:
    own = [one for one in troubles if name in one.services]
    state = _worst(one.state for one in own if one.resolved is None)
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = tuple(_day(own, today - timedelta(days=ago), now, since) for ago in reversed(range(DAYS)))
    return Component(name, title, state, days)


def _day(troubles: Sequence[Trouble], start: datetime, now: datetime, since: datetime | None) -> State:
    end = start + timedelta(days=1)
    if since is None or end <= since:
        return "no_data"
    return _worst(one.state for one in troubles if one.opened < end and (one.resolved or now) > start)


def _worst(states: Iterable[State]) -> State:
    return max(states, key=_ORDER.index, default=_ORDER[0])


# -- as HTML ------------------------------------------------------------------------------------------------------


def document(page: StatusPage, style: str, icon: str = "") -> str:
    """The page as a whole HTML document that loads nothing but its style, and itself again every minute.

    Args:
        style: the address of `status.css`.
        icon: the address of an icon, where there is one.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="60">
<title>{escape(page.title)} · {escape(page.verdict)}</title>
<link rel="stylesheet" href="{escape(style)}">{f'<link rel="icon" href="{escape(icon)}">' if icon else ""}
</head>
<body>
<main>
<h1>{escape(page.title)}</h1>
<p class="verdict {_class(page.state)}">{_sign(page.state)} {escape(page.verdict)}</p>
{"".join(_trouble(one, page) for one in page.open)}
<h2>Components</h2>
<ul class="components">
{"".join(_component_html(one, page) for one in page.components) or '<li class="quiet">No service is declared.</li>'}
</ul>
<h2>Last {DAYS} days</h2>
{"".join(_trouble(one, page) for one in page.past) or _nothing(page)}
<p class="quiet">As of {_time(page.generated_at)}. Times are UTC.</p>
</main>
</body>
</html>
"""


def _nothing(page: StatusPage) -> str:
    return f'<p class="quiet">No {"other " if page.open else ""}incident in the last {DAYS} days.</p>'


def _class(state: State) -> str:
    return state.replace("_", "-")


def _sign(state: State) -> str:
    return f'<span class="sign" aria-hidden="true">{SIGNS[state][0]}</span>'


def _time(at: datetime) -> str:
    moment = at.astimezone(UTC)
    return f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment:%-d %b %Y, %H:%M}</time>'


def _trouble(one: Trouble, page: StatusPage) -> str:
    names = {component.name: component.title for component in page.components}
    what = ", ".join(names.get(name, name) for name in one.services) or "Incident"
    minutes = ((one.resolved or page.generated_at) - one.opened) // timedelta(minutes=1)
    length = format_duration(timedelta(minutes=minutes)) if minutes else "less than a minute"
    stands = f"resolved after {length}" if one.resolved else f"{one.status}, for {length}"
    updates = "".join(f"<li>{_time(update.at)} <strong>{escape(str(update.status).capitalize())}</strong> "
                      f"{escape(update.text)}</li>\n" for update in reversed(one.updates))
    state = "healthy" if one.resolved else one.state
    return (f'<article class="{_class(state)}" id="{escape(one.id)}"><h3>{escape(what)} '
            f'<span class="quiet">{escape(stands)}</span></h3>\n'
            f'<p class="quiet">Since {_time(one.opened)}</p>\n<ol>{updates}</ol></article>\n')


def _component_html(one: Component, page: StatusPage) -> str:
    bad = [state for state in one.days if state in ("at_risk", "violated")]
    known = sum(state != "no_data" for state in one.days)
    within = f"the last {DAYS} days" if known == DAYS else f"the {many(known, 'day')} on record"
    says = f"trouble on {many(len(bad), 'day')} of {within}" if bad else f"no trouble in {within}"
    bars = "".join(f'<rect class="{_class(state)}" x="{place * 4}" width="3" height="{24 if state != "no_data" else 6}"'
                   f' y="{0 if state != "no_data" else 18}"><title>'
                   f"{(page.generated_at - timedelta(days=DAYS - 1 - place)).astimezone(UTC):%-d %b}: "
                   f"{SIGNS[state][1]}</title></rect>" for place, state in enumerate(one.days))
    return (f'<li><span class="name">{escape(one.title)}</span> <span class="state {_class(one.state)}">'
            f'{_sign(one.state)} {SIGNS[one.state][1]}</span>\n'
            f'<svg viewBox="0 0 {DAYS * 4} 24" role="img" preserveAspectRatio="none" '
            f'aria-label="{escape(one.title)}: {says}">{bars}</svg><span class="quiet">{says}</span></li>\n')
