"""The analyser as its users run it, on a bare Python (`-I -S`: no site packages, no environment)."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "analyze_toil.py"
TODAY = datetime.now(UTC).date()


def run(*arguments: str, code: int = 0, stdin: str = "") -> str:
    """What it printed, on stdout when it answered and on stderr when it refused."""
    done = subprocess.run([sys.executable, "-I", "-S", str(SCRIPT), *arguments], capture_output=True, text=True,
                          check=False, encoding="utf-8", input=stdin)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code:
        assert done.stdout == ""
        return done.stderr
    assert done.stderr == ""
    return done.stdout


def answer(*arguments: str) -> dict[str, Any]:
    return json.loads(run(*arguments, "--json"), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def log(folder: Path, *lines: dict[str, Any] | str) -> str:
    path = folder / "work.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines),
                    encoding="utf-8")
    return str(path)


def work(days_ago: int = 0, **more: Any) -> dict[str, Any]:
    return {"date": (TODAY - timedelta(days=days_ago)).isoformat(), "duration_hours": 1.0, "type": "toil",
            "category": "deployment", "engineer": "ana", "description": "deploy", "automatable": True} | more


# -- the five examples of the resource pack


def test_k9_fifty_half_hours_a_month_for_forty_hours_of_effort():
    """Field note K9: 25 h/month, payback 1.6 months, AUTOMATE_NOW, 3-year net 900 - 40 = 860 h."""
    flags = ("--calculate-roi", "--task", "Manual deployments", "--frequency", "50", "--duration", "0.5", "--effort",
             "40")
    found = answer(*flags)
    assert (found["monthly_hours"], found["annual_hours"], found["payback_months"], found["three_year_net_hours"],
            found["decision"]) == (25, 300, 1.6, 860, "AUTOMATE_NOW")
    text = run(*flags)
    assert "25 h a month, 300 h a year" in text
    assert "1.6 months" in text
    assert "860 h" in text


def test_seed_defect_12_a_month_is_counted_in_days_and_not_in_lines(tmp_path):
    """60 entries of 0.5 h in 30 days: 30 h/month, payback 1.33; the seed said 15 and 2.67."""
    lines = [work(day, duration_hours=0.5) for day in range(30) for _ in range(2)]
    (found,) = answer("--work-logs", log(tmp_path, *lines), "--automation-candidates", "--top", "10")["candidates"]
    assert found["occurrences"] == 60
    assert found["monthly_hours"] == pytest.approx(30)
    assert found["payback_months"] == pytest.approx(4 / 3)


def test_the_share_of_toil_and_the_keys_of_the_seed(tmp_path):
    lines = [work(1), work(2, category="tickets", automatable=False), work(3, type="engineering", duration_hours=2.0)]
    found = answer("--work-logs", log(tmp_path, *lines), "--analyze", "--days", "30")
    assert found["toil_percentage"] == pytest.approx(50)
    assert (found["total_toil_hours"], found["automatable_hours"], found["automation_opportunity"],
            found["estimated_savings"]) == (2, 1, 50, 150)
    assert found["by_category"] == {"deployment": 1, "tickets": 1}
    assert found["top_automation_targets"] == [["deployment", 1]]


def test_work_before_the_days_asked_for_is_left_out(tmp_path):
    found = answer("--work-logs", log(tmp_path, work(0), work(29), work(30)), "--analyze", "--days", "30")
    assert found["total_toil_hours"] == 2


def test_a_log_that_ended_is_looked_at_from_its_last_day(tmp_path):
    found = answer("--work-logs", log(tmp_path, work(400), work(410)), "--analyze", "--days", "30")
    assert (found["total_toil_hours"], found["last"]) == (2, (TODAY - timedelta(days=400)).isoformat())


def test_the_trend_rises_where_toil_grows_and_names_the_change(tmp_path):
    lines = [work(day, type=kind, duration_hours=hours) for day in range(84)
             for kind, hours in (("toil", 5.0 if day < 35 else 2.0), ("engineering", 3.0 if day < 35 else 6.0))]
    found = answer("--work-logs", log(tmp_path, *lines), "--track-toil", "--period", "7")
    assert found["trend"] == "degrading"
    assert len(found["periods"]) == 12
    (change,) = found["changes"]
    assert change["start"] == (TODAY - timedelta(days=34)).isoformat()
    assert (change["before_percentage"], change["after_percentage"]) == (pytest.approx(25), pytest.approx(62.5))


def test_a_sample_is_the_same_for_the_same_seed_and_can_be_analysed(tmp_path):
    one, two, other = (tmp_path / name for name in "abc")
    for path, seed in ((one, "7"), (two, "7"), (other, "8")):
        run("--generate-sample", "--output", str(path), "--seed", seed)
    assert one.read_text() == two.read_text() != other.read_text()
    assert run("--generate-sample", "--output", "-", "--seed", "7") == one.read_text()
    found = answer("--work-logs", str(one), "--analyze", "--days", "90")
    assert found["log"]["rejected"] == 0
    assert 20 < found["toil_percentage"] < 80
    assert answer("--work-logs", str(one), "--automation-candidates", "--top", "3")["candidates"]


# -- what cannot be used


def test_rejected_lines_are_counted_and_shown(tmp_path):
    path = log(tmp_path, work(), work(duration_hours=-1), work(duration_hours=99), work(date="03/04/2026"), "{",
               work(type="fun"), work(colour="red"), "", work(duration_minutes=5))
    found = answer("--work-logs", path, "--analyze")["log"]
    assert (found["lines"], found["parsed"], found["rejected"]) == (8, 1, 7)
    text = run("--work-logs", path, "--analyze")
    assert "8 lines: 1 read, 7 rejected" in text
    assert "line 2: duration_hours -1 is not above zero" in text
    assert 'line 4: date "03/04/2026" could mean two days' in text


@pytest.mark.parametrize(("arguments", "said"), [
    ((), "nothing was asked"),
    (("--analyze", "--track-toil"), "one question at a time"),
    (("--analyze",), "--work-logs is missing"),
    (("--work-logs", "no-such-file", "--analyze"), "cannot be read"),
    (("--calculate-roi", "--task", "x"), "--frequency and --duration and --effort missing"),
    (("--calculate-roi", "--task", "x", "--frequency", "-1", "--duration", "1", "--effort", "1"), "cannot be used"),
    (("--calculate-roi", "--task", "x", "--frequency", "nan", "--duration", "1", "--effort", "1"), "cannot be used"),
    (("--generate-sample",), "--output is missing"),
    (("--generate-sample", "--output", "/no/such/folder/x"), "cannot be written"),
])
def test_what_cannot_be_answered_ends_with_2_and_a_way_out(arguments, said):
    text = run(*arguments, code=2)
    assert said in text
    assert len(text.splitlines()) == 2


@pytest.mark.parametrize("number", ["0", "-3", "5000"])
def test_days_that_make_no_sense_are_refused(tmp_path, number):
    assert "cannot be looked at" in run("--work-logs", log(tmp_path, work()), "--analyze", "--days", number, code=2)


def test_a_log_without_any_work_ends_with_3_and_says_why(tmp_path):
    assert "is empty" in run("--work-logs", log(tmp_path), "--analyze", code=3)
    assert "line 1: the line is not JSON" in run("--work-logs", log(tmp_path, "nonsense"), "--analyze", code=3)


def test_help_shows_the_examples_of_the_pack():
    text = run("--help")
    for flag in ("--work-logs work.jsonl --analyze --days 30", "--automation-candidates --top 10", "--calculate-roi",
                 "--track-toil --period 7 --json", "--generate-sample --output work.jsonl"):
        assert flag in text
