"""Dashboards as values and as Grafana's JSON: layout, names, what is said, and what may never be in them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from mainstay.app import grammar
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import Position
from mainstay.kernel.objective import Objective
from mainstay.kernel.quantity import Target
from mainstay.monitoring.chain import INFO
from mainstay.monitoring.dashboards import drawing
from mainstay.monitoring.dashboards.board import COLUMNS, KINDS, Board, places, uid_of
from mainstay.monitoring.dashboards.files import MOST_CONFIGMAP, files_of
from mainstay.monitoring.dashboards.readings import Gauges, Readings, Recorded, Scope, exhaustion
from mainstay.monitoring.dashboards.signals import signals_of
from mainstay.monitoring.dashboards.slo import slo_board, widths
from mainstay.monitoring.dashboards.watched import Watched, watch
from mainstay.monitoring.operations.dashboards import boards_of, kinds_of, named
from mainstay.monitoring.spec import Alerting
from mainstay.slo.operations.upkeep import _FAMILIES
from mainstay.stats.budget import TIERS
from mainstay.stats.compliance import BURN_WINDOWS
from monitoring.grafana_variables import filled, values_of

ROOT = Path(__file__).parents[2]
CATALOG, _ = load([ROOT / "examples" / "shop" / "monitoring"], grammar())
GROUPED = replace(CATALOG, resources={**CATALOG.resources, Alerting: {
    "by-cluster": Alerting("by-cluster", Position(""), group_by=("cluster", "region"),
                           runbook="https://runbooks.example.com/$service/$slo")}})
REFUSED_TYPES = {"graph", "singlestat", "table-old", "grafana-worldmap-panel", "heatmap-old"}


def every_board(catalog: Catalog = GROUPED) -> list[Board]:
    found = []
    for readings in (Recorded(), Gauges()):
        watched = watched_of(catalog, readings)
        found += boards_of(watched, {one.service for one in watched}, KINDS, readings, "https://mainstay.example.com")[0]
    return found


def watched_of(catalog: Catalog, readings: Readings) -> tuple[Watched, ...]:
    return watch(catalog.of(Objective), catalog, recorded=readings.grouped)[0]


BOARDS = every_board()
boards = pytest.mark.parametrize("board", BOARDS, ids=[f"{nth}-{board.file}" for nth, board in enumerate(BOARDS)])


# -- layout ----------------------------------------------------------------------------------------------------------


@boards
def test_panels_fill_the_grid_without_overlap_or_gap(board: Board):
    taken: dict[tuple[int, int], str] = {}
    lowest = 0
    for panel in drawing.drawn(board)["panels"]:
        at = panel["gridPos"]
        assert 0 <= at["x"] < at["x"] + at["w"] <= COLUMNS
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            assert cell not in taken, f"{panel['title']} lies on {taken[cell]}"
            taken[cell] = panel["title"]
        lowest = max(lowest, at["y"] + at["h"])
    assert len(taken) == lowest * COLUMNS, "nothing is left empty"


@boards
def test_ids_are_unique_and_references_of_queries_too(board: Board):
    panels = drawing.drawn(board)["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    for panel in panels:
        refs = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(refs)) == len(refs)


@pytest.mark.parametrize("count", range(1, 12))
def test_lines_of_panels_are_full(count):
    assert len(widths(count)) == count
    assert sum(widths(count)) == COLUMNS * -(-count // 4)


def test_a_wide_panel_starts_a_new_line():
    (heading, inside), *_ = places(slo_board("web", watched_of(CATALOG, Recorded()), Recorded()))
    assert (heading.y, heading.width, [place.x for place in inside]) == (0, COLUMNS, [0, 0])


# -- the JSON --------------------------------------------------------------------------------------------------------


@boards
def test_the_json_is_what_grafanas_own_types_say(board: Board):
    # The schema is not in the package. What its types read and write again unchanged has no field they do not know,
    # but for the wording of marks, which Grafana's newer types have and the pinned ones do not.
    register_default_plugins()
    model = drawing.drawn(board)
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(json.loads(json.dumps(model)))))
    for panel in again["panels"]:
        if panel.get("fieldConfig", {}).get("defaults", {}).get("custom") == {}:
            del panel["fieldConfig"]["defaults"]["custom"]
    for mark in model.get("annotations", {}).get("list", []):
        for field in ("titleFormat", "textFormat", "tagKeys"):
            del mark[field]
    assert again == model


@boards
def test_no_panel_is_of_a_type_that_grafana_gave_up(board: Board):
    for panel in drawing.drawn(board)["panels"]:
        assert panel["type"] in {"row", "stat", "timeseries", "bargauge", "table", "state-timeline", "heatmap"}
        assert panel["type"] not in REFUSED_TYPES


@boards
def test_every_panel_says_what_it_shows_in_which_unit_and_asks_the_chosen_source(board: Board):
    for panel in drawing.drawn(board)["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"]
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_the_same_catalog_gives_the_same_bytes_in_every_process():
    code = ("from monitoring.test_dashboards import BOARDS; import hashlib; "
            "from mainstay.monitoring.dashboards.drawing import text; "
            "print(hashlib.sha256(''.join(map(text, BOARDS)).encode()).hexdigest())")
    hashes = {subprocess.run([sys.executable, "-c", code], cwd=ROOT / "tests", text=True, capture_output=True,
                             check=True, env={"PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")}
    assert len(hashes) == 1


# -- queries ---------------------------------------------------------------------------------------------------------


def expressions(board: Board) -> list[str]:
    return [query.expr for panel in board.panels() for query in panel.queries] + [mark.expr for mark in board.marks]


@boards
@pytest.mark.parametrize("choose", ["all", "several"])
def test_every_expression_is_promql(board: Board, choose):
    values = values_of(drawing.drawn(board), choose)
    for expr in expressions(board):
        promql_parser.parse(filled(expr, values))


@boards
def test_the_faults_of_the_dashboards_people_copy_are_in_none(board: Board):
    for expr in expressions(board):
        plain = re.sub(r"\s+", " ", expr)
        assert not re.search(r"rate\([^()]*\) ?/ ?rate\(", plain), "a ratio without sum matches each series with itself"
        assert not re.search(r"histogram_quantile\([^,]*, ?rate\(", plain), "quantiles of copies are no quantile"
        assert not re.search(r"(rate|increase)\([^()]*\[(\d+d)\]", plain) or "work_hours" in plain, "a raw long range"
        assert not re.search(r"\d\.\d{12,}", plain), "a decimal that is no longer exact"


def test_numbers_in_expressions_are_exact():
    (one,) = [one for one in watched_of(CATALOG, Recorded()) if one.name == "web-availability"]
    odd = replace(one, target=Target.percent("99.97"), groups=("cluster",))
    assert Recorded().left([odd], Scope({})).endswith("/ 0.0003")


def test_a_service_of_one_kind_of_promise_is_asked_without_names():
    web = [one for one in watched_of(CATALOG, Recorded()) if one.name == "web-availability"]
    assert "web-availability" not in Recorded().burn(web, Scope({"slo": "$slo"}), timedelta(hours=1))


def test_names_are_told_apart_where_promises_differ_and_their_signs_are_escaped():
    web = [one for one in watched_of(CATALOG, Recorded()) if one.service == "web"]
    odd = [replace(web[0], name="a.b|c"), web[1]]
    expr = Recorded().burn(odd, Scope({"service": "web"}), timedelta(hours=1))
    assert r'slo=~"a\\.b\\|c"' in expr
    assert "or" in expr
    promql_parser.parse(expr)


def test_a_full_budget_at_burn_one_lasts_one_window():
    # The seed document's remaining / burn says one hour where it is 720.
    (one,) = [one for one in watched_of(CATALOG, Recorded()) if one.name == "web-availability"]
    assert "* 2592000\n/ (" in exhaustion(Recorded(), [one], Scope({}))


def test_what_rules_record_is_read_and_what_they_do_not_is_worked_out():
    by_name = {one.name: one for one in watched_of(CATALOG, Recorded())}
    assert "slo:budget_left:ratio" in Recorded().left([by_name["web-availability"]], Scope({}))
    assert "slo:budget_left:ratio" not in Recorded().left([by_name["orders-placed"]], Scope({}))
    grouped = replace(by_name["web-availability"], groups=("cluster",))
    assert "slo:budget_left:ratio" not in Recorded().left([grouped], Scope({}))
    assert "by (service, slo, cluster) (slo:budget_left:ratio" in Recorded().left([grouped], Scope({}), ("cluster",))


# -- signals ---------------------------------------------------------------------------------------------------------


def test_latency_is_read_from_the_histogram_that_the_objective_names():
    signals = signals_of([one for one in watched_of(CATALOG, Recorded()) if one.service == "web"])
    assert [one.buckets for one in signals.histograms] == ['http_request_duration_seconds_bucket{service="web"}']
    assert signals.histograms[0].quantile("0.95") == ('histogram_quantile(0.95, sum by (le) (rate('
                                                      'http_request_duration_seconds_bucket{service="web"}'
                                                      '[$__rate_interval])))')


def test_good_events_alone_still_show_an_outage():
    signals = signals_of([one for one in watched_of(CATALOG, Recorded()) if one.name == "api-availability"])
    assert " or 0 * sum(rate(" in signals.flows[0].error_share()


# -- what is said ----------------------------------------------------------------------------------------------------


def test_tiers_are_drawn_with_their_own_factor():
    (board,) = [one for one in BOARDS if one.uid == "mainstay-slo-web"][:1]
    titles = [panel.title for section in board.sections if section.title == "Burn against the alerts"
              for panel in section.panels]
    assert titles == ["1h and 5m: pages above 14.4", "6h and 30m: pages above 6", "1d and 2h: tickets above 3",
                      "3d and 6h: tickets above 1"]


def test_a_tier_that_can_never_trip_is_not_drawn():
    lax = Alerting("lax", Position(""), tiers=(TIERS[0], TIERS[0]._replace(spends=Decimal("0.9"))))
    catalog = replace(CATALOG, resources={**CATALOG.resources, Alerting: {"lax": lax}})
    (web,) = [one for one in watched_of(catalog, Recorded()) if one.name == "web-latency"]
    assert [alert.tier for alert in web.tiers] == [TIERS[0]]


def test_the_runbook_is_linked_with_its_variables():
    board = slo_board("web", [one for one in watched_of(GROUPED, Recorded()) if one.service == "web"], Recorded(),
                      "https://mainstay.example.com")
    assert [link.url for link in board.links] == ["https://mainstay.example.com/slo/show?name=${slo}",
                                                  "https://runbooks.example.com/web/${slo}"]


def test_a_calendar_window_is_said_to_be_only_near():
    (board,) = [one for one in BOARDS if one.uid == "mainstay-slo-api"][:1]
    assert "orders-placed (30d)" in next(board.panels()).about


def test_bounds_of_states_belong_to_the_better_one():
    (board,) = [one for one in BOARDS if one.uid == "mainstay-slo-web"][:1]
    timeline = next(panel for panel in drawing.drawn(board)["panels"] if panel["type"] == "state-timeline")
    mappings = timeline["fieldConfig"]["defaults"]["mappings"]

    def word(value: float) -> str:  # as Grafana: the first range that holds the value, both ends included
        return next(one["options"]["result"]["text"] for one in mappings
                    if (one["options"].get("from") is None or value >= one["options"]["from"])
                    and (one["options"].get("to") is None or value <= one["options"]["to"]))

    assert [word(value) for value in (-0.01, 0, 0.24, 0.25, 1)] == ["○ violated", "◐ at risk", "◐ at risk", "● healthy",
                                                                    "● healthy"]


def test_objectives_over_files_are_left_out_and_shown_from_metrics():
    catalog, _ = load([ROOT / "examples" / "shop" / "catalog"], grammar())
    watched, left = watch(catalog.of(Objective), catalog, recorded=True)
    assert (watched, len(left)) == ((), 4)
    assert all("files" in one.why for one in left)
    assert len(watch(catalog.of(Objective), catalog, recorded=False)[0]) == 4


# -- names and files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", ["web", "a b", "ünï", "x" * 80, "", "a/b", "a-b"])
def test_uids_are_short_plain_and_told_apart(subject):
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", uid_of("debugging", subject))


def test_names_that_look_alike_have_uids_of_their_own():
    names = ["a b", "a-b", "a/b", "x" * 60, "x" * 61]
    assert len({uid_of("slo", name) for name in names}) == len(names)


def test_a_configmap_holds_the_dashboard_and_is_picked_by_the_sidecar():
    for file in files_of(BOARDS[:3], "configmap", drawing.text):
        found: dict[str, Any] = yaml.safe_load(file.text)
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        ((name, body),) = found["data"].items()
        assert name.endswith(".json")
        assert json.loads(body)["uid"] == file.uid


def test_signs_that_yaml_does_not_bear_survive_in_a_configmap():
    odd = replace(BOARDS[0], title="a\x85b\u2028c\x7fd")
    (file,) = files_of([odd], "configmap", drawing.text)
    ((_, body),) = yaml.safe_load(file.text)["data"].items()
    assert json.loads(body)["title"] == odd.title


def test_a_dashboard_too_large_for_a_configmap_is_refused():
    with pytest.raises(InvalidInput, match="1,048,576"):
        files_of(BOARDS[:1], "configmap", lambda _: "x" * MOST_CONFIGMAP)


def test_a_provisioning_folder_has_a_provider_and_a_folder_a_kind():
    provider, *rest = files_of(BOARDS[:2], "provisioning", drawing.text)
    assert yaml.safe_load(provider.text)["providers"][0]["options"]["foldersFromFilesStructure"] is True
    assert [file.path.split("/")[:2] for file in rest] == [["dashboards", board.kind] for board in BOARDS[:2]]


@pytest.mark.parametrize(("asked", "kinds"), [
    ((), ("slo", "operations", "service", "debugging")), (("toil,slo",), ("slo", "toil")),
    (("service", "slo"), ("slo", "service"))])
def test_kinds_are_taken_in_their_order(asked, kinds):
    assert kinds_of(asked) == kinds


def test_an_unknown_kind_or_name_says_what_is_close():
    with pytest.raises(InvalidInput, match='did you mean "slo"'):
        kinds_of(["sol"])
    with pytest.raises(NotFound, match='did you mean "web"'):
        named(CATALOG, ["wbe"])


def test_a_service_may_be_named_for_its_objectives():
    assert {one.name for one in named(CATALOG, ["web"])} == {"web-availability", "web-latency"}


def test_gauges_are_those_that_mainstay_exports_with_the_labels_it_gives_them():
    asked = {found for board in BOARDS for expr in expressions(board)
             for found in re.findall(r"(mainstay_slo_\w+)\{([^}]*)\}", expr) if found[0] != INFO}
    assert asked
    exported = {name for name, _ in _FAMILIES}
    assert {name for name, _ in asked} <= exported
    windows = {window for _, labels in asked for window in re.findall(r'window="(\w+)"', labels)}
    assert windows <= set(BURN_WINDOWS)
    labelled = {label for _, labels in asked for label in re.findall(r"(\w+)=", labels)}
    assert labelled <= {"objective", "service", "window"}
