"""Dashboards in Grafana's own JSON (the classic model, as Grafana 11.6 has it), through Grafana's own builders.

The only room that knows the grafana-foundation-sdk; whoever imports it must be ready for an ImportError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models import prometheus as asked

from mainstay.monitoring.dashboards.board import (
    Board,
    Column,
    Link,
    Mark,
    Panel,
    Place,
    Query,
    Step,
    Variable,
    Word,
    places,
)

_SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
"""Signs that JSON lets stand and a YAML block does not: escaped, so that one text serves both."""
_Panel = (timeseries.Panel | stat.Panel | bargauge.Panel | table.Panel | statetimeline.Panel | heatmap.Panel)


def drawn(board: Board) -> dict[str, Any]:
    """The dashboard as Grafana's JSON model; the same board always gives the same."""
    out = build.Dashboard(board.title).uid(board.uid).description(board.about).tags(_tags(board)) \
        .refresh(board.refresh).time(board.since, "now").timezone("browser").readonly() \
        .tooltip(model.DashboardCursorSync.CROSSHAIR) \
        .with_variable(build.DatasourceVariable("datasource").label("data source").type("prometheus"))
    for variable in board.variables:
        out.with_variable(_variable(variable))
    out.link(build.DashboardLink("Other dashboards of Mainstay").type(model.DashboardLinkType.DASHBOARDS)
             .tags(["mainstay"]).as_dropdown(True).include_vars(False).keep_time(True))
    for link in board.links:
        out.link(_link(link).keep_time(link.url.startswith("/")))
    for mark in board.marks:
        out.annotation(build.AnnotationQuery().name(mark.name).datasource(_SOURCE).enable(True).icon_color(mark.colour)
                       .expr(mark.expr))
    number = 0
    for section, (heading, inside) in zip(board.sections, places(board), strict=True):
        number += 1
        out.with_row(build.Row(section.title).id(number).grid_pos(_grid(heading)))
        for panel, place in zip(section.panels, inside, strict=True):
            number += 1
            out.with_panel(_panel(panel).id(number).grid_pos(_grid(place)))
    plain: dict[str, Any] = _plain(out.build())
    for written, mark in zip(plain.get("annotations", {}).get("list", []), board.marks, strict=True):
        written.update(_wording(mark))
    return plain


def text(board: Board) -> str:
    """The JSON of a dashboard as a file: two spaces, one line feed at the end, the same bytes every time."""
    written = json.dumps(drawn(board), indent=2, ensure_ascii=False)
    return _UNSAFE.sub(lambda sign: f"\\u{ord(sign[0]):04x}", written) + "\n"


def _wording(mark: Mark) -> dict[str, str]:
    """How a mark is told: Grafana's model knows these fields, the pinned builders do not yet."""
    return {"titleFormat": mark.heading, "textFormat": mark.text, "tagKeys": mark.tags}


def _tags(board: Board) -> list[str]:
    return ["mainstay", board.kind, *([board.subject] if board.subject else [])]


def _grid(place: Place) -> model.GridPos:
    return model.GridPos(h=place.height, w=place.width, x=place.x, y=place.y)


def _link(link: Link) -> build.DashboardLink:
    return build.DashboardLink(link.title).type(model.DashboardLinkType.LINK).url(link.url).icon("external link")


# -- variables --------------------------------------------------------------------------------------------------------

_Variable = build.QueryVariable | build.CustomVariable | build.TextBoxVariable


def _variable(variable: Variable) -> _Variable:
    if variable.text:
        return build.TextBoxVariable(variable.name).label(variable.title).default_value(variable.text) \
            .current(model.VariableOption(text=variable.text, value=variable.text))
    everything = model.VariableOption(selected=True, text=["All"], value=["$__all"])
    if variable.query:
        return build.QueryVariable(variable.name).label(variable.title).datasource(_SOURCE).query(variable.query) \
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC) \
            .multi(variable.several).include_all(True).all_value(".*").current(everything)
    first = variable.choices[0]
    current = everything if variable.all_at_first else model.VariableOption(selected=True, text=[first], value=[first])
    options = [model.VariableOption(selected=one == first and not variable.all_at_first, text=one, value=one)
               for one in variable.choices]
    # A comma separates choices, and a colon a choice's title from its value.
    values = ",".join(one.replace("\\", "\\\\").replace(",", "\\,") for one in variable.choices)
    return build.CustomVariable(variable.name).label(variable.title).values(values).multi(variable.several) \
        .include_all(True).all_value(".*").options(options).current(current)


# -- panels -----------------------------------------------------------------------------------------------------------


def _panel(panel: Panel) -> _Panel:
    made = _of_type(panel)
    made.title(panel.title).description(panel.about).datasource(_SOURCE)
    for nth, query in enumerate(panel.queries):
        made.with_target(_query(query, _ref(nth), panel))
    if panel.type != "table":
        made.unit(panel.unit)
        if panel.empty:
            made.no_value(panel.empty)
        if panel.decimals is not None:
            made.decimals(panel.decimals)
        if panel.least is not None:
            made.min(panel.least)
        if panel.most is not None:
            made.max(panel.most)
        if panel.words:
            made.mappings(_mappings(panel.words))
    if panel.points:
        made.max_data_points(panel.points)
    if panel.type != "heatmap":
        made.thresholds(_thresholds(panel.steps))
    return made


def _of_type(panel: Panel) -> _Panel:
    match panel.type:
        case "stat":
            return stat.Panel().reduce_options(_last()).graph_mode(shared.BigValueGraphMode.AREA) \
                .color_mode(shared.BigValueColorMode.BACKGROUND if panel.steps else shared.BigValueColorMode.VALUE) \
                .text_mode(shared.BigValueTextMode.AUTO).color_scheme(_by_threshold())
        case "timeseries":
            return _lines(panel)
        case "bargauge":
            return bargauge.Panel().reduce_options(_last()).orientation(shared.VizOrientation.HORIZONTAL) \
                .display_mode(shared.BarGaugeDisplayMode.BASIC).color_scheme(_by_threshold())
        case "table":
            return _table(panel)
        case "state-timeline":
            return statetimeline.Panel().show_value(shared.VisibilityMode.NEVER).row_height(0.8).merge_values(True) \
                .fill_opacity(80).line_width(0).color_scheme(_by_threshold()) \
                .legend(_legend(shared.LegendDisplayMode.LIST))
        case "heatmap":
            return heatmap.Panel().calculate(False).color(
                heatmap.HeatmapColorOptions().mode(heat.HeatmapColorMode.SCHEME).scheme("Blues").steps(32)) \
                .y_axis(heatmap.YAxisConfig().unit(panel.unit)).show_legend()


def _lines(panel: Panel) -> timeseries.Panel:
    made = timeseries.Panel().draw_style(shared.GraphDrawStyle.LINE).line_width(1).fill_opacity(8) \
        .show_points(shared.VisibilityMode.NEVER).span_nulls(False).legend(_legend(shared.LegendDisplayMode.LIST)) \
        .tooltip(common.VizTooltipOptions().mode(shared.TooltipDisplayMode.MULTI).sort(shared.SortOrder.DESCENDING)) \
        .color_scheme(build.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    if panel.steps:
        made.thresholds_style(common.GraphThresholdsStyleConfig().mode(shared.GraphThresholdsStyleMode.DASHED))
    if panel.stacked:
        made.stacking(common.StackingConfig().mode(shared.StackingMode.NORMAL).group("A")).fill_opacity(30)
    for nth, query in enumerate(panel.queries):
        if query.dashed:
            made.override_by_query(_ref(nth), [
                model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
                model.DynamicConfigValue("custom.fillOpacity", 0)])
    return made


def _table(panel: Panel) -> table.Panel:
    made = table.Panel().show_header(True).cell_height(shared.TableCellHeight.SM).filterable(True)
    renamed = {f"Value #{_ref(nth)}": query.legend for nth, query in enumerate(panel.queries)}
    if len(panel.queries) == 1:
        renamed |= {"Value": panel.queries[0].legend}
    # Every answer is a table with the labels and one value; merged, one row holds all values of an objective.
    made.with_transformation(model.DataTransformerConfig("merge", options={}))
    named = {new: old for old, new in renamed.items()}
    made.with_transformation(model.DataTransformerConfig("organize", options={
        "excludeByName": dict.fromkeys(("Time", *panel.hidden), True),
        "indexByName": {named.get(column.name, column.name): nth for nth, column in enumerate(panel.columns)},
        "renameByName": renamed}))
    for column in panel.columns:
        made.override_by_name(column.name, _column(column))
    if sorted_by := panel.rising or panel.falling:
        made.sort_by([common.TableSortByFieldState().display_name(sorted_by).desc(bool(panel.falling))])
    return made


def _column(column: Column) -> list[model.DynamicConfigValue]:
    out = [model.DynamicConfigValue("unit", column.unit)] if column.unit else []
    if column.decimals is not None:
        out.append(model.DynamicConfigValue("decimals", column.decimals))
    if column.steps:
        out += [model.DynamicConfigValue("thresholds", _plain(_thresholds(column.steps).build())),
                model.DynamicConfigValue("color", {"mode": "thresholds"}),
                model.DynamicConfigValue("custom.cellOptions", {"type": "color-text"})]
    if column.words:
        out += [model.DynamicConfigValue("mappings", _plain(_mappings(column.words))),
                model.DynamicConfigValue("custom.cellOptions", {"type": "color-text"})]
    if column.link is not None:
        out.append(model.DynamicConfigValue("links", [{"title": column.link.title, "url": column.link.url}]))
    return out


def _plain(value: object) -> Any:
    return json.loads(JSONEncoder().encode(value))


def _query(query: Query, ref: str, panel: Panel) -> prometheus.Dataquery:
    made = prometheus.Dataquery().expr(query.expr).ref_id(ref).datasource(_SOURCE) \
        .editor_mode(asked.QueryEditorMode.CODE)
    if query.legend:
        made.legend_format(query.legend)
    if query.exemplars:
        made.exemplar(True)
    if panel.type == "table":
        return made.instant().format(asked.PromQueryFormat.TABLE)
    if panel.type == "heatmap":
        return made.range().format(asked.PromQueryFormat.HEATMAP)
    return made.instant() if query.instant else made.range()


def _ref(nth: int) -> str:
    """A, B … Z, AA, AB …: as Grafana names the queries of a panel."""
    letters = ""
    nth += 1
    while nth:
        nth, rest = divmod(nth - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().values(False).calcs(["lastNotNull"])


def _legend(mode: shared.LegendDisplayMode) -> common.VizLegendOptions:
    return common.VizLegendOptions().display_mode(mode).placement(shared.LegendPlacement.BOTTOM).show_legend(True) \
        .calcs([])


def _by_threshold() -> build.FieldColor:
    return build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS)


def _thresholds(steps: Sequence[Step]) -> build.ThresholdsConfig:
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(
        [model.Threshold(value=step.value, color=step.colour) for step in steps]
        or [model.Threshold(value=None, color="green")])


def _mappings(words: Sequence[Word]) -> list[model.ValueMapping]:
    """Texts for ranges. Grafana's ranges hold both ends; the first that fits is taken, so a bound belongs to the
    upper one when that comes first.
    """
    return [model.RangeMap(
        options=model.DashboardRangeMapOptions(from_val=word.low, to=word.high,
                                               result=model.ValueMappingResult(text=word.text, color=word.colour,
                                                                               index=nth)))
        for nth, word in enumerate(sorted(words, key=_height, reverse=True))]


def _height(word: Word) -> tuple[bool, float]:
    return word.low is not None, word.low or 0
