"""The simulated past."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from running_shop import run_shop

END = "2026-11-21T00:02:13Z"  # inside a slot: history ends where the slot begins


def _write(folder: Path, *, days: int = 30, seed: int = 0) -> dict[str, bytes]:
    done = run_shop("history", "--run", str(folder), "--days", str(days), "--seed", str(seed), "--end", END)
    assert done.returncode == 0, done.stderr
    return {file.name: file.read_bytes() for file in (folder / "history").iterdir()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return _write(tmp_path_factory.mktemp("history") / "run")


@pytest.fixture(scope="module")
def rows(written: dict[str, bytes]) -> dict[str, list[dict[str, str]]]:
    tables = {name.removesuffix(".csv"): text.decode() for name, text in written.items() if name.endswith(".csv")}
    return {service: list(csv.DictReader(text.splitlines())) for service, text in tables.items()}


@pytest.fixture(scope="module")
def facts(written: dict[str, bytes]) -> list[dict[str, str]]:
    return [json.loads(line) for line in written["facts.jsonl"].splitlines()]


def test_the_same_seed_and_end_give_the_same_bytes(tmp_path: Path) -> None:
    assert _write(tmp_path / "a", days=2) == _write(tmp_path / "b", days=2)


def test_another_seed_gives_another_past(tmp_path: Path) -> None:
    assert _write(tmp_path / "a", days=1) != _write(tmp_path / "b", days=1, seed=1)


def test_every_row_says_that_it_is_simulated(
    rows: dict[str, list[dict[str, str]]], facts: list[dict[str, str]]
) -> None:
    assert {row["simulated"] for table in rows.values() for row in table} == {"true"}
    assert all(fact["simulated"] is True for fact in facts)


def test_bad_and_slow_are_separate_parts_of_the_total(rows: dict[str, list[dict[str, str]]]) -> None:
    for row in (row for table in rows.values() for row in table):
        total, bad, slow = int(row["total"]), int(row["bad"]), int(row["slow"])
        assert 0 <= bad <= bad + slow <= total
        assert bad == (total if int(row["code"]) >= 500 else 0)


def test_there_are_thirty_days_of_slots_and_each_row_is_there_once(rows: dict[str, list[dict[str, str]]]) -> None:
    times = sorted({row["time"] for row in rows["web"]})
    assert (times[0], times[-1], len(times)) == ("2026-10-22T00:00:00.000Z", "2026-11-20T23:55:00.000Z", 30 * 288)
    for table in rows.values():
        assert max(Counter((row["time"], row["route"], row["code"]) for row in table).values()) == 1


def test_the_api_was_asked_as_often_as_web(rows: dict[str, list[dict[str, str]]]) -> None:
    web, api = (sum(int(row["total"]) for row in rows[service]) for service in ("web", "api"))
    assert web == api


def test_the_afternoon_is_busier_than_the_night(rows: dict[str, list[dict[str, str]]]) -> None:
    by_hour: Counter[int] = Counter()
    for row in rows["web"]:
        by_hour[int(row["time"][11:13])] += int(row["total"])
    assert by_hour[15] > 3 * by_hour[3]


def test_the_facts_explain_most_of_what_was_bad(
    rows: dict[str, list[dict[str, str]]], facts: list[dict[str, str]]
) -> None:
    spans = [(fact["from"][:15], fact["to"]) for fact in facts]  # a slot begins up to five minutes before the fact
    bad = Counter(
        any(begin <= row["time"] < end or row["time"][:15] == begin for begin, end in spans)
        for row in rows["web"]
        for _ in range(int(row["bad"]))
    )
    assert bad[True] / bad.total() > 0.6
    assert [fact["kind"] for fact in facts].count("incident") >= 4


def test_the_past_leaves_a_budget_that_is_strained_but_not_spent(rows: dict[str, list[dict[str, str]]]) -> None:
    total, bad = (sum(int(row[column]) for row in rows["web"]) for column in ("total", "bad"))
    assert 0.4 < bad / total / 0.001 < 0.9  # of the budget of 99.9 %


def test_a_service_that_was_down_has_no_rows_rather_than_zeros(
    rows: dict[str, list[dict[str, str]]], facts: list[dict[str, str]]
) -> None:
    outage = next(fact for fact in facts if fact["subject"] == "cache")
    begin, end = (datetime.fromisoformat(outage[edge]) for edge in ("from", "to"))
    inside = [row for row in rows["cache"] if begin <= datetime.fromisoformat(row["time"]) <= end]
    assert len({row["time"] for row in inside}) <= 1  # the slot in which it came back


@pytest.mark.parametrize("words", [("--days", "0"), ("--days", "500"), ("--end", "2026-11-21"), ("--end", "soon")])
def test_an_impossible_span_is_refused(tmp_path: Path, words: tuple[str, str]) -> None:
    assert run_shop("history", "--run", str(tmp_path / "run"), *words).returncode == 2
