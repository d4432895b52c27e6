"""kill -9 around a real mail: it is never lost, and it comes twice only when nobody could know that it had arrived.

Then both have the same Message-ID, by which mail programs know a message that they show already.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from servers.smtp import mail_server

_LEASE = 61


def mailer(url: str, port: int, die: str, later: float = 0.0) -> int:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, str(Path(__file__).parent / "mailer.py"), url, str(port), die, str(later)],
                          env=environment, check=False, timeout=120).returncode


@pytest.mark.parametrize(("die", "mails"), [("before", 1), ("sent", 2), ("recorded", 1)])
def test_a_mail_comes_once_or_twice_under_one_id(tmp_path: Path, die: str, mails: int):
    url = f"sqlite:///{tmp_path}/m.db"
    with mail_server(tmp_path / "mail") as server:
        assert mailer(url, server.port, die) == -9
        assert mailer(url, server.port, "", 30) == 0, "what the dead one holds is not sent before its lease is over"
        early = len(server.mails)
        assert mailer(url, server.port, "", _LEASE) == 0
        found = server.mails
    assert early == (0 if die == "before" else 1)
    assert len(found) == mails
    assert len({mail["Message-ID"] for mail in found}) == 1
