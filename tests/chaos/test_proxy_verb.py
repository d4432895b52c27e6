"""`mainstay chaos proxy`: runs until it is told to stop, and says what passed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from command import command_line, environment, mainstay


@pytest.fixture
def proxies(tmp_path: Path) -> Path:
    file = tmp_path / "proxies.json"
    file.write_text(json.dumps([{"name": "db", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}]))
    return file


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_answers_until_it_is_told_to_stop_and_says_what_passed(tmp_path: Path, proxies: Path, number: int):
    process = subprocess.Popen(command_line("chaos", "proxy", "--listen", "127.0.0.1:0", "--config", str(proxies),
                                            "--json"), cwd=tmp_path, env=environment(tmp_path), text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert process.stdout is not None
    with process:
        said = process.stderr.readline()
        address = re.search(r"http://[\d.:]+", said)
        assert address is not None, said
        with urllib.request.urlopen(f"{address[0]}/proxies", timeout=60) as answer:
            assert list(json.load(answer)) == ["db"]
        process.send_signal(number)
        found = json.loads(process.stdout.read())
    assert process.returncode == 0
    assert found["proxies"] == [{"proxy": "db", "connections": 0, "victims": 0, "bytes_up": 0, "bytes_down": 0}]


def test_an_api_that_others_could_reach_is_refused_until_that_is_allowed(tmp_path: Path):
    done = mainstay(tmp_path, "chaos", "proxy", "--listen", "0.0.0.0:0")
    assert (done.code, "--beyond-loopback" in done.err) == (2, True)


def test_a_config_that_is_no_list_of_proxies_is_refused(tmp_path: Path):
    (tmp_path / "wrong.json").write_text('{"proxies": 1}')
    done = mainstay(tmp_path, "chaos", "proxy", "--config", "wrong.json")
    assert (done.code, "wrong.json" in done.err) == (2, True)
