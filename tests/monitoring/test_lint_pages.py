"""Metric pages: the same verdicts as OpenMetrics' own cases and as promtool, and what neither of them says."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import tarfile

import pytest

from mainstay.monitoring.lint.exposition import is_open_metrics, looks_like_page, read_page
from mainstay.monitoring.lint.pages import judge_page
from mainstay.monitoring.lint.written import Source
from programs import need
from shared_data import shared


def _codes(text: str, most: int = 100) -> list[str]:
    return [flaw.code for flaw in judge_page(read_page(Source("page", text, yaml=False)), (), most)]


def test_openmetrics_own_cases_get_its_own_verdicts():
    # Origin: prometheus/OpenMetrics tests/testdata, 44 that must parse and 167 that must be refused.
    files: dict[str, bytes] = {}
    with tarfile.open(shared("prometheus/openmetrics_tests_testdata.tar.gz")) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                files[member.name] = file.read()
    cases = [name for name in files if name.endswith("/test.json")]
    wrong = []
    for name in cases:
        case = json.loads(files[name])
        text = files[name.replace("test.json", case["file"])].decode()
        page = read_page(Source("page", text, yaml=False), open_metrics=True)
        if (page.flaws == ()) != case["shouldParse"]:
            wrong.append(name)
    assert len(cases) == 211
    assert wrong == []


@pytest.mark.parametrize("name", ["alltypes.237mfs", "node_exporter_e2e-output"])
def test_names_and_units_get_promtools_verdicts(name):
    promtool = need("promtool")
    text = gzip.decompress(shared(f"prometheus/{name}.prom.txt.gz").read_bytes()).decode()
    ran = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    theirs = {line for line in (ran.stdout + ran.stderr).splitlines() if line}
    flaws = judge_page(read_page(Source(name, text, yaml=False)), (), 10**9)
    ours = {re.sub(r": it is a \w+$", "", flaw.message).replace(": ", " ", 1) for flaw in flaws
            if flaw.code.startswith("metric-")}
    assert ours == theirs
    assert theirs


@pytest.mark.parametrize(("line", "column"), [
    ("a{b=c} 1", 3), ('a{b="c" d="e"} 1', 9), ("a 1 2 3", 3), ("a one", 3), ('a{b="c"', 8), ("1a 2", 1),
    ('a{b="\\x"} 1', 6), ("a", 2), ('a{b="c",b="d"} 1', 9), ("a 1 now", 5)])
def test_a_line_that_is_no_sample_is_found_at_its_letter_and_reading_goes_on(line, column):
    page = read_page(Source("page", f"ok 1\n{line}\nlast 2\n", yaml=False))
    assert [flaw.place() for flaw in page.flaws] == [(2, column)]
    assert [family.name for family in page.families if family.samples] == ["ok", "last"]


def test_a_series_that_stands_twice_and_a_histogram_that_falls_are_found():
    text = ('# TYPE h histogram\nh_bucket{le="1"} 5\nh_bucket{le="2"} 3\nh_bucket{le="+Inf"} 6\nh_sum 1\nh_count 7\n'
            'a{b="c"} 1\na{b="c"} 2\n')
    flaws = read_page(Source("page", text, yaml=False)).flaws
    assert sorted(flaw.place()[0] for flaw in flaws) == [3, 8]


@pytest.mark.parametrize(("value", "kind"), [
    ("ann@example.org", "e-mail"), ("6b1d3f52-0c1e-4f6e-9c0b-0a1b2c3d4e5f", "UUID"), ("1700000000", "time"),
    ("/orders/123456/items", "path"), ("deadbeef0123456789abcdef01", "random")])
def test_labels_that_grow_without_end_are_found(value, kind):
    def one(number: int) -> str:
        return value[:-1] + str(number) if kind != "path" else f"/orders/12345{number}/items"

    text = "# HELP a A.\n# TYPE a gauge\n" + "".join(f'a{{x="{one(number)}"}} 1\n' for number in range(3))
    if kind == "e-mail":
        text = f'# HELP a A.\n# TYPE a gauge\na{{x="{value}"}} 1\n'
    flaws = list(judge_page(read_page(Source("page", text, yaml=False)), (), 100))
    assert [flaw.code for flaw in flaws] == ["label-unbounded"]
    assert kind in flaws[0].message


def test_many_values_of_a_label_are_found_above_the_limit():
    text = "# HELP a A.\n# TYPE a gauge\n" + "".join(f'a{{x="v{number}"}} 1\n' for number in range(11))
    assert _codes(text, 10) == ["label-many-values"]
    assert _codes(text, 11) == []


def test_a_page_is_told_from_yaml_and_openmetrics_from_the_text_format():
    assert looks_like_page("# a comment\n# TYPE a gauge\na 1\n")
    assert looks_like_page('up{job="x"} 1 1700000000000\n')
    assert not looks_like_page("groups:\n- name: a\n")
    assert not looks_like_page("# comment\ngroups: []\n")
    assert is_open_metrics("# TYPE a counter\na_total 1\n# EOF\n")
    assert not is_open_metrics("# TYPE a_total counter\na_total 1\n# EOF\n")


def test_openmetrics_that_is_cut_off_is_found():
    text = "# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n# HELP a_seconds A.\na_seconds 1\n"
    assert _codes(text) == ["exposition-syntax"]
