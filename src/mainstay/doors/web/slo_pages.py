"""What the two hand-made pages of the word slo need, ready to be drawn: texts are formatted, nothing is computed."""

from __future__ import annotations

from datetime import datetime

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import State
from mainstay.kernel.view import Chart, Code, Pairs, Table, Tone


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several ways to look at the page; without a link it is only named."""

    text: str
    link: str
    current: bool = False


# -- overview ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObjectiveRow:
    """One objective on the overview.

    Args:
        promise: target and window in a few words: `99.9 % over 30 d`.
        measured: the share of good events as text, `99.970 %`; empty without data.
        left: the budget left as a share, negative when overspent, None without data; `left_text` says it: `41 %`.
        burn: the fastest window's burn: `14.2×`; `burn_note` says which: `last 1 h`.
        spark: the budget left as a share over the window, oldest first, drawn between 0 and 1; None is a gap.
        note: one thing worth knowing, such as `stale since 14:03` or `empty in 2 d 3 h`.
    """

    name: str
    service: str
    link: str
    state: State
    promise: str
    measured: str
    left: float | None
    left_text: str
    burn: str
    burn_note: str = ""
    burn_tone: Tone = "plain"
    spark: tuple[float | None, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many objectives are in a state, and where to see only them."""

    state: State
    count: int
    link: str
    current: bool = False


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Every objective, worst first.

    Args:
        verdict: one sentence: is it bad, and where.
        verdict_state: the worst state there is.
        counts: the states that occur; the current one filters the table.
        empty: what would fill the page and the command that does it; shown when there is no row.
        measured_at: when the figures were computed.
        stale: why the figures are old, when they are: `stale since 14:03: prometheus does not answer`.
        on_call, journeys, reviews: further tables, left out when None.
    """

    verdict: str
    verdict_state: State
    counts: tuple[StateCount, ...]
    rows: tuple[ObjectiveRow, ...]
    measured_at: datetime | None = None
    stale: str = ""
    empty: str = ""
    journeys: Table | None = None
    reviews: Table | None = None
    on_call: Table | None = None


# -- one objective -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fact:
    """A number that the page leads with: `Spent`, `59 %`, `25 m 29 s of 43 m 12 s`."""

    label: str
    value: str
    note: str = ""
    tone: Tone = "plain"
    bar: float | None = None


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """How fast the budget burned over one window, beside the threshold that wakes someone.

    Args:
        rate: as text, `14.2×`; `no data` when nothing was measured.
        share: rate / threshold, clamped when drawn; None without data.
        threshold: as text, `14.4×`; empty when this window has none.
        then: what happens at the threshold: `page`, `ticket`.
        alert: how its alert stands, where that is more than quiet: `▲ firing since 14 Mar 09:05 UTC`.
    """

    window: str
    rate: str
    share: float | None
    threshold: str = ""
    then: str = ""
    firing: bool = False
    alert: str = ""


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone of the error-budget policy, as the scale shows it: `50–25 % left`."""

    name: str
    range: str
    tone: Tone = "plain"
    current: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What the policy asks for now.

    Args:
        meaning: the current zone in a sentence.
        actions: what follows from it, each a sentence.
        since: when the zone was entered.
    """

    name: str
    zones: tuple[Zone, ...]
    meaning: str
    actions: tuple[str, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Todo:
    """Something to do now: a runbook, the gate, an incident. `command` is for the terminal."""

    text: str
    link: str = ""
    command: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ObjectivePage:
    """One objective, top to bottom: promise, state, budget, burn, spenders, policy, what to do, definition.

    Args:
        promise: one sentence: `99.9 % of requests to checkout succeed, over any 30 days.`
        verdict: one sentence: is it bad, since when.
        facts: spent, left, time to exhaustion.
        windows: the objective's other windows, when it has several.
        spenders: what spent the budget; sums to all of it, unexplained shown.
        worst: the worst slots.
        definition: indicator, source, method, file.
        source: the declaring document.
    """

    name: str
    service: str
    owner: str
    promise: str
    state: State
    verdict: str
    facts: tuple[Fact, ...]
    budget: Chart
    burn: tuple[BurnWindow, ...]
    spenders: Table
    policy: Policy | None
    todo: tuple[Todo, ...]
    definition: Pairs
    source: Code | None = None
    burn_chart: Chart | None = None
    worst: Table | None = None
    windows: tuple[Choice, ...] = ()
    measured_at: datetime | None = None
    stale: str = ""
