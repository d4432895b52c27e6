"""The dashboard of toil, from the counter `work_hours_total{type,category,engineer,automatable}` of the toil ledger."""

from __future__ import annotations

from mainstay.monitoring.dashboards.board import COLUMNS, Board, Column, Panel, Query, Section, Step, Variable

HOURS = "work_hours_total"
"""Hours worked, a counter by type (toil, engineering, incident, meeting, oncall), category, engineer, automatable."""
_TOIL = f'{HOURS}{{type="toil",engineer=~"$engineer"}}'
_ALL = f'{HOURS}{{engineer=~"$engineer"}}'
_AUTOMATABLE = f'{HOURS}{{type="toil",automatable="true",engineer=~"$engineer"}}'
_CEILING = 0.5
"""At most half of an engineer's time is toil: Google SRE Book, ch. 5 "Eliminating Toil"."""
_MONTH = "30d"


def toil_board() -> Board:
    """The one dashboard of toil."""
    return Board(
        "toil", "", "Toil", "How much of the work is toil, of which kind, whose, and what automating it would save. "
        f"Filled by the counter {HOURS}.", (_share(), _kinds(), _automation()),
        (Variable("engineer", "engineer", f"label_values({HOURS}, engineer)"),
         Variable("hourly_cost", "cost of an hour", text="150")), since="now-90d", refresh="5m")


def _hours(selector: str, window: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (increase({selector}[{window}]))"


def _ratio(window: str, by: str = "") -> str:
    # Somebody without any toil has no such series, and a share of 0, not none.
    total = _hours(_ALL, window, by)
    return f"({_hours(_TOIL, window, by)} or 0 * {total}) / {total}"


def _share() -> Section:
    steps = (Step(None, "green"), Step(0.3, "orange"), Step(_CEILING, "red"))
    return Section("How much", (
        Panel("stat", "Share of toil", "Toil as a share of all hours worked in the time shown. Half is the most an "
              "engineer should bear.", (Query(_ratio("$__range"), "toil", instant=True),), 6, 6, "percentunit", steps,
              decimals=1, empty="no work recorded"),
        Panel("stat", "Hours of toil", "In the time shown.",
              (Query(_hours(_TOIL, "$__range"), "hours", instant=True),), 6, 6, "short", decimals=0,
              empty="no toil recorded"),
        Panel("timeseries", "Share of toil, 30 days", "Toil as a share of all hours of the 30 days that end at each "
              "moment; the dashed line is one half.",
              (Query(_ratio(_MONTH), "toil"), Query(f"vector({_CEILING})", "ceiling", dashed=True)), 12, 6,
              "percentunit", least=0, most=1, decimals=1)))


def _kinds() -> Section:
    return Section("Of which kind, and whose", (
        Panel("bargauge", "By category", "Hours of toil in the time shown.",
              (Query(f"sort_desc({_hours(_TOIL, '$__range', 'category')})", "{{category}}", instant=True),), 8, 9,
              "short", least=0, decimals=0),
        Panel("timeseries", "By category, a week", "Hours of toil of the week that ends at each moment.",
              (Query(_hours(_TOIL, "7d", "category"), "{{category}}"),), 8, 9, "short", least=0, stacked=True),
        Panel("bargauge", "By engineer", "Share of each engineer's hours that was toil in the time shown: whose half "
              "is spent.", (Query(_ratio("$__range", "engineer"), "{{engineer}}", instant=True),), 8, 9, "percentunit",
              (Step(None, "green"), Step(0.3, "orange"), Step(_CEILING, "red")), least=0, most=1, decimals=0)))


def _automation() -> Section:
    hours = _hours(_AUTOMATABLE, "$__range", "category")
    yearly = f"{hours} * 31536000 / $__range_s"
    return Section("What automation would save", (
        Panel("table", "Candidates", "Toil that could be automated, by category: hours in the time shown, and what "
              "they come to in a year: what building the automation may cost.",
              (Query(f"topk(20, {hours})", "hours", instant=True), Query(f"topk(20, {yearly})", "hours a year",
                                                                         instant=True),
               Query(f"topk(20, {yearly} * $hourly_cost)", "cost a year", instant=True)), COLUMNS // 2, 9,
              falling="hours", columns=(Column("category"), Column("hours", "short", decimals=1),
                                       Column("hours a year", "short", decimals=0),
                                       Column("cost a year", "short", decimals=0))),
        Panel("timeseries", "Automatable toil, 30 days", "Hours of the 30 days that end at each moment: falling means "
              "that automation works.",
              (Query(_hours(_AUTOMATABLE, _MONTH), "automatable"), Query(_hours(_TOIL, _MONTH), "all toil")),
              COLUMNS // 2, 9, "short", least=0)))
