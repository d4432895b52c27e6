"""Names of one process are not found; another process's are. A real resolver asks a real, if tiny, server."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from packets.town import HERE, lacking
from programs import need


@pytest.mark.parametrize(("error", "seen"), [("NXDOMAIN", "no name"), ("SERVFAIL", "again"), ("timeout", "")])
def test_a_name_is_not_found_by_the_workload_and_by_nobody_else(error: str, seen: str):
    need("ip")
    if lacking():
        pytest.skip(f"this kernel cannot lead questions elsewhere: {lacking()}")
    story = subprocess.run([sys.executable, str(HERE / "names_story.py"), error], capture_output=True, text=True,
                           timeout=60, check=False)
    if story.returncode == 3:
        pytest.skip("the host's server of names has an IPv6 address only")
    assert story.returncode == 0, story.stderr
    said = json.loads(story.stdout)
    assert said["before"] == said["after"] == "127.0.0.9"
    assert said["bystander"] == ["127.0.0.9"] * 20
    assert said["during"] == seen
    assert (said["proof"], said["proof after"]) == (True, False)
    assert said["victims"]["questions_hit"] > 0
    assert said["rules"] == ""
