"""What a token may see of people: the server hands each caller's scopes to the operation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mainstay.doors.front import ServerSettings
from mainstay.doors.http import build_app
from mainstay.doors.security import TokenStore
from mainstay.doors.web.toil_content import toil_pages
from toil.ledgers import NOW, TOIL, work, world
from toy_server import Client

TEAM = [work(1, 1.0), work(1, 2.0, engineer="ben"), work(1, 4.0, engineer="cy")]


def asked(folder: Path, name: str, scopes: list[str], query: str, path: str = "/api/v1/toil/report"):
    token = TokenStore(folder / "tokens.json").create(name, scopes, now=NOW)
    made = world(TEAM, scopes=frozenset({"read", "write", "approve"}))  # as the server's own world is built
    client = Client(build_app(TOIL.operations(), lambda actor: replace(made, actor=actor),
                              ServerSettings(catalog="shop", token_file=folder / "tokens.json"), toil_pages()))
    return client.get(f"{path}?{query}", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(("scopes", "query", "status"), [
    (["read"], "by=engineer", 200), (["read"], "by=engineer&everyone=true", 403), (["read"], "engineer=ben", 403),
    (["read", "write"], "everyone=true", 403), (["read", "approve"], "by=engineer&everyone=true", 200),
    (["read"], "engineer=ana", 200)])
def test_everybodys_figures_need_the_scope_approve(tmp_path, scopes, query, status):
    assert asked(tmp_path, "ana", scopes, query).status_code == status


def test_a_reader_sees_herself_and_the_others_together(tmp_path):
    rows = asked(tmp_path, "ana", ["read"], "by=engineer").json()["groups"][0]["rows"]
    assert {one["name"]: one["hours"] for one in rows} == {"ana": 1, "everyone else": 6}


def test_the_metrics_of_the_api_name_nobody_to_a_reader(tmp_path):
    found = asked(tmp_path, "scraper", ["read"], "", "/api/v1/toil/export-metrics").json()["text"]
    assert 'engineer="everyone"' in found
    assert "ben" not in found


def test_the_page_of_a_reader_has_no_buttons_to_press(tmp_path):
    text = asked(tmp_path, "ana", ["read"], "", "/toil").text
    assert "Your token lacks the scope write." in text
