"""`monitoring dashboards` and `monitoring queries` as people run them: what is written, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command import mainstay

ROOT = Path(__file__).parents[2]
OPERATIONS_AND_TWO_SERVICES = {"slo-api.json", "slo-web.json", "operations.json", "service-api.json",
                               "service-web.json", "debugging-api.json", "debugging-web.json"}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "examples" / "shop" / "monitoring", tmp_path / "mainstay")
    return tmp_path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_dashboards_are_written_once_and_then_left_as_they_are(here):
    first = mainstay(here, "monitoring", "dashboards", "-o", "out")
    assert (first.code, names(here / "out")) == (0, OPERATIONS_AND_TWO_SERVICES)
    stamps = {path: path.stat().st_mtime_ns for path in (here / "out").iterdir()}
    second = mainstay(here, "monitoring", "dashboards", "-o", "out")
    assert "nothing changed" in second.out
    assert stamps == {path: path.stat().st_mtime_ns for path in (here / "out").iterdir()}


def test_a_file_of_somebody_else_is_not_overwritten_unless_asked(here):
    (here / "out").mkdir()
    (here / "out" / "slo-web.json").write_text('{"title": "mine"}')
    refused = mainstay(here, "monitoring", "dashboards", "-o", "out")
    assert refused.code == 2
    assert "slo-web.json, which Mainstay did not write" in refused.err
    assert names(here / "out") == {"slo-web.json"}
    assert mainstay(here, "monitoring", "dashboards", "-o", "out", "--overwrite").code == 0
    assert json.loads((here / "out" / "slo-web.json").read_text())["uid"] == "mainstay-slo-web"


def test_a_run_over_everything_removes_dashboards_of_services_that_are_gone(here):
    mainstay(here, "monitoring", "dashboards", "-o", "out")
    (here / "out" / "slo-gone.json").write_text((here / "out" / "slo-web.json").read_text())
    (here / "out" / "mine.json").write_text("{}")
    part = mainstay(here, "monitoring", "dashboards", "web", "-o", "out")
    assert part.code == 0
    assert "slo-gone.json" in names(here / "out")
    whole = mainstay(here, "monitoring", "dashboards", "-o", "out")
    assert "slo-gone.json removed" in whole.out
    assert names(here / "out") == OPERATIONS_AND_TWO_SERVICES | {"mine.json"}


def test_a_folder_that_cannot_be_written_is_left_without_a_part(here):
    (here / "out").write_text("a file")
    refused = mainstay(here, "monitoring", "dashboards", "-o", "out/below")
    assert (refused.code, "cannot be written" in refused.err) == (2, True)
    assert names(here) >= {"mainstay", "out"}


def test_naming_one_objective_draws_its_whole_service(here):
    # Another dashboard of the same uid, with a part of the service, would take the place of the whole one.
    found = json.loads(mainstay(here, "monitoring", "dashboards", "web-latency", "--json").out)
    assert {one["uid"] for one in found["dashboards"]} == {"mainstay-slo-web", "mainstay-service-web",
                                                           "mainstay-debugging-web"}
    assert "web-availability" in found["dashboards"][0]["text"]


def test_json_holds_the_dashboards_themselves(here):
    found = json.loads(mainstay(here, "monitoring", "dashboards", "--kind", "toil", "--json").out)
    ((one,),) = (found["dashboards"],)
    assert json.loads(one["text"])["uid"] == one["uid"] == "mainstay-toil"
    assert found["written_to"] == ""


def test_objectives_over_files_only_are_refused_with_the_way_out(here):
    shutil.rmtree(here / "mainstay")
    shutil.copytree(ROOT / "examples" / "shop" / "catalog", here / "mainstay")
    refused = mainstay(here, "monitoring", "dashboards")
    assert refused.code == 2
    assert "--from metrics" in refused.err
    assert mainstay(here, "monitoring", "dashboards", "--from", "metrics").code == 0
    assert mainstay(here, "monitoring", "queries").code == 2


def test_queries_are_a_file_that_can_be_written_and_printed(here):
    written = mainstay(here, "monitoring", "queries", "web", "-o", "sli.promql")
    assert written.code == 0
    printed = mainstay(here, "monitoring", "queries", "web")
    assert (here / "sli.promql").read_text().rstrip("\n") == printed.out.rstrip("\n")


def test_without_the_library_the_way_out_is_said(here):
    code = ("import sys; sys.modules['grafana_foundation_sdk'] = None; "
            "from mainstay.__main__ import main; sys.argv = ['mainstay', 'monitoring', 'dashboards']; sys.exit(main())")
    ended = subprocess.run([sys.executable, "-c", code], cwd=here, text=True, capture_output=True, check=False)
    assert ended.returncode == 2
    assert 'pip install "mainstay[monitoring]"' in ended.stdout + ended.stderr


def test_help_does_not_load_the_library(here):
    code = ("import sys; from mainstay.__main__ import main\n"
            "sys.argv = ['mainstay', 'monitoring', 'dashboards', '--help']\n"
            "try:\n    main()\nfinally:\n    print([name in sys.modules for name in ('grafana_foundation_sdk', "
            "'promql_parser')])")
    ended = subprocess.run([sys.executable, "-c", code], cwd=here, text=True, capture_output=True, check=False)
    assert ended.stdout.strip().endswith("[False, False]"), ended.stdout + ended.stderr
