"""A real Prometheus scrapes the hours of a real server, and every query of the toil dashboard has an answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from command import mainstay
from e2e.live import serving, until
from monitoring.grafana_variables import filled, values_of
from servers.prometheus import Scrape, prometheus

pytestmark = pytest.mark.server("prometheus")
ROOT = Path(__file__).parents[2]


def log_lines(today: str, more: int) -> str:
    return "".join(json.dumps({"date": today, "duration_hours": 0.5, "type": kind, "category": category,
                               "engineer": "ana", "automatable": able, "key": f"{category}{place}"}) + "\n"
                   for place in range(more) for kind, category, able in
                   (("toil", "deploys", True), ("toil", "tickets", False), ("engineering", "features", False)))


def test_a_real_prometheus_scrapes_the_hours_and_the_dashboard_answers(tmp_path: Path) -> None:
    (tmp_path / "slos").mkdir()
    today = datetime.now(UTC).date().isoformat()  # once: both imports are of one log, at midnight too
    (tmp_path / "w.jsonl").write_text(log_lines(today, 2))
    mainstay(tmp_path, "toil", "import", "w.jsonl")
    with serving(tmp_path, "-c", "slos", "--every", "2s") as server:
        host = server.url.removeprefix("http://")
        with prometheus(tmp_path / "prometheus", scrapes=[Scrape("mainstay", host)]) as prom:
            def ask(expr: str) -> list[dict]:
                answer = httpx.get(f"{prom.url}/api/v1/query", params={"query": expr}, trust_env=False, timeout=20)
                answer.raise_for_status()
                return answer.json()["data"]["result"]  # type: ignore[no-any-return]

            def value(expr: str) -> float | None:
                found = ask(expr)
                return float(found[0]["value"][1]) if found else None

            until(lambda: True if value("sum(work_hours_total)") == 3.0 else None, 60, lambda: prom.log[-500:])
            assert value('sum(work_hours_total{type="toil",automatable="true"})') == 1.0
            assert {one["metric"]["engineer"] for one in ask("work_hours_total")} == {"everyone"}
            (tmp_path / "w.jsonl").write_text(log_lines(today, 6))
            mainstay(tmp_path, "toil", "import", "w.jsonl")
            until(lambda: True if value("sum(work_hours_total)") == 9.0 else None, 60, lambda: prom.log[-500:])
            board = json.loads((ROOT / "examples" / "toil-tracking-dashboard.json").read_text())
            values = values_of(board, "all")
            for panel in board["panels"]:
                for target in panel.get("targets", []):
                    expr = filled(target["expr"], values)
                    # What grows is known once it was scraped twice.
                    until(lambda asked=expr: ask(asked) or None, 60, lambda said=f"{panel['title']}\n{expr}": said)
            share = value('sum(increase(work_hours_total{type="toil"}[1h])) / sum(increase(work_hours_total[1h]))')
            assert share == pytest.approx(2 / 3, rel=0.01)
