"""`mainstay token`: who may use the server."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from mainstay.doors.house.tokens import TokenRequest, Tokens, token
from mainstay.kernel.errors import MainstayError
from slo.worlds import DAYS, Room, busy_month, room


@pytest.fixture
def here() -> Room:
    return room(busy_month())


def do(here: Room, folder: Path, act: str, name: str = "", **more: object) -> Tokens:
    return token(here.world, TokenRequest(act, name, file=str(folder / "tokens.json"), **more))  # type: ignore[arg-type]


def test_a_secret_is_shown_once_and_only_its_hash_is_kept(here: Room, tmp_path: Path) -> None:
    made = do(here, tmp_path, "create", "grafana")

    listed = do(here, tmp_path, "list")

    assert len(made.secret) >= 32
    assert (listed.secret, [one.name for one in listed.tokens]) == ("", ["grafana"])
    file = tmp_path / "tokens.json"
    assert made.secret not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_token_opens_reading_unless_more_is_said(here: Room, tmp_path: Path) -> None:
    do(here, tmp_path, "create", "reader")
    found = do(here, tmp_path, "create", "writer", scope=("read", "write"))

    assert {one.name: one.scopes for one in found.tokens} == {"reader": ("read",), "writer": ("read", "write")}


def test_a_revoked_token_holds_no_longer(here: Room, tmp_path: Path) -> None:
    do(here, tmp_path, "create", "grafana")

    assert [one.holds for one in do(here, tmp_path, "revoke", "grafana").tokens] == [False]


def test_a_token_holds_until_it_expires(here: Room, tmp_path: Path) -> None:
    do(here, tmp_path, "create", "bot", expires="90d")
    here.clock.advance(90 * DAYS - timedelta(seconds=1))
    assert do(here, tmp_path, "list").tokens[0].holds
    here.clock.advance(timedelta(seconds=1))

    assert not do(here, tmp_path, "list").tokens[0].holds


@pytest.mark.parametrize(("act", "name", "more"), [
    ("create", "", {}), ("revoke", "", {}), ("revoke", "nobody", {}), ("create", "bot", {"scope": ("everything",)}),
    ("create", "bot", {"expires": "never"})])
def test_what_cannot_be_done_is_refused(here: Room, tmp_path: Path, act: str, name: str,
                                        more: dict[str, object]) -> None:
    with pytest.raises(MainstayError):
        do(here, tmp_path, act, name, **more)
