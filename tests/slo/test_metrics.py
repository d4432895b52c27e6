"""Budgets as gauges: text that a Prometheus takes, and nothing in it that is not known."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace

import pytest

from mainstay.slo.operations.standings import ReportRequest, report
from mainstay.slo.operations.upkeep import MetricsRequest, export_metrics, metrics_text
from mainstay.slo.standing import Standing
from programs import need
from slo.worlds import DAYS, HOURS, NOW, Room, busy_month, objective, room

SAMPLE = re.compile(r'^[a-z_]+\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\} (?:[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|Inf))$')


def shop() -> Room:
    return room(busy_month(each=1000).add("errors", NOW - HOURS, 40, slots=3), objective("web", target=99.9),
                objective("api", target=99, window="7d"))


def one(here: Room) -> Standing:
    return report(here.world, ReportRequest()).objectives[0]


def samples(text: str) -> dict[str, float]:
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines()
            if not line.startswith("#")}


def test_every_line_is_a_comment_or_a_sample() -> None:
    text = export_metrics(shop().world, MetricsRequest()).text

    assert text.endswith("\n")
    for line in text.splitlines():
        assert re.match(r"# (HELP|TYPE) mainstay_slo_", line) or SAMPLE.match(line), line


def test_promtool_finds_no_fault() -> None:
    promtool = need("promtool")

    done = subprocess.run([promtool, "check", "metrics"], input=export_metrics(shop().world, MetricsRequest()).text,
                          text=True, capture_output=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_family_is_described_once_and_its_samples_stand_together() -> None:
    lines = export_metrics(shop().world, MetricsRequest()).text.splitlines()

    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families)) == 9
    names = [line.split("{")[0] for line in lines if not line.startswith("#")]
    assert [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name] == families


def test_the_gauges_say_what_the_report_says() -> None:
    here = room(busy_month(each=1000).add("errors", NOW - HOURS, 40, slots=3), objective("web", target=99.9))
    standing = one(here)

    found = samples(metrics_text([standing]))

    labels = '{objective="web",service="shop",window="30d rolling"}'
    assert found[f"mainstay_slo_error_budget_remaining_ratio{labels}"] == standing.remaining_percent / 100
    assert found[f"mainstay_slo_sli_ratio{labels}"] == standing.sli
    assert found[f"mainstay_slo_objective_ratio{labels}"] == 0.999
    assert found['mainstay_slo_burn_rate{objective="web",service="shop",window="1h"}'] == standing.burn_rates["1h"]
    assert found['mainstay_slo_status{objective="web",service="shop",status="healthy"}'] == 1
    assert found['mainstay_slo_measured_until_timestamp_seconds{objective="web",service="shop"}'] == NOW.timestamp()


def test_without_data_the_gauges_are_absent_and_never_nan() -> None:
    text = export_metrics(room(busy_month().forget(NOW - 40 * DAYS, NOW), objective()).world, MetricsRequest()).text

    assert "sli_ratio{" not in text
    assert "remaining_ratio{" not in text
    assert "burn_rate{" not in text
    assert "nan" not in text.lower()
    assert samples(text)['mainstay_slo_status{objective="web",service="shop",status="no_data"}'] == 1


def test_an_infinite_burn_is_written_as_prometheus_writes_it() -> None:
    here = room(busy_month().add("errors", NOW - HOURS, 1), objective(target=100))

    assert 'window="1h"} +Inf' in export_metrics(here.world, MetricsRequest()).text


@pytest.mark.parametrize("name", ['say "hi"', "back\\slash", "two\nlines", "ümlaut ● 日本"])
def test_labels_are_escaped(name: str) -> None:
    standing = replace(one(shop()), name=name)

    text = metrics_text([standing])

    written = next(line for line in text.splitlines() if line.startswith("mainstay_slo_objective_ratio"))
    shown = re.search(r'objective="((?:[^"\\]|\\.)*)"', written)
    assert shown is not None
    assert shown[1].replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\") == name


def test_a_source_that_is_down_leaves_the_old_figures() -> None:
    from mainstay.kernel.errors import SourceUnavailable

    here = shop()
    export_metrics(here.world, MetricsRequest())
    here.source.down = SourceUnavailable("down")

    assert samples(export_metrics(here.world, MetricsRequest()).text)
