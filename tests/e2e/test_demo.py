"""`mainstay demo`: a real shop, first budgets within a minute, and nothing left behind."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from command import command_line, environment, mainstay


def _alive(folder: Path) -> list[str]:
    """Command lines of processes that run in or for this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words:
            found.append(words)
    return found


def test_the_demonstration_ends_by_itself_with_a_summary_and_leaves_nothing_behind(tmp_path: Path) -> None:
    run = tmp_path / "run"
    begun = time.monotonic()

    done = mainstay(tmp_path, "demo", "--for", "12s", "--port", "0", "--run", str(run), "--json")

    assert done.code == 0, done.err
    found = done.json
    assert time.monotonic() - begun < 110
    assert found["seconds_to_first_budgets"] < 60
    assert found["requests"] > 0
    assert found["evaluations"] >= 1
    assert len(found["report"]["objectives"]) >= 4
    for one in found["report"]["objectives"]:
        assert one["status"] in ("healthy", "at_risk", "violated"), one
        assert one["simulated_until"] is not None, "the month before is labelled as made up"
    assert "first budgets after" in done.err
    assert "simulated" in done.err
    assert _alive(run) == []


@pytest.mark.parametrize(("how", "more"), [("terminate", ["--for", "10m"]), ("interrupt", [])])
def test_the_demonstration_serves_its_page_and_ends_when_told(tmp_path: Path, how: str, more: list[str]) -> None:
    import re
    import signal
    import threading

    run = tmp_path / "run"
    process = subprocess.Popen(command_line("demo", "--port", "0", "--run", str(run), *more), cwd=tmp_path,
                               text=True, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
    reader.start()
    try:
        until = time.monotonic() + 90
        url = None
        while url is None and time.monotonic() < until and process.poll() is None:
            url = next((one[1] for line in list(said) if (one := re.search(r"the page: (http://[\d.:]+)", line))), None)
            time.sleep(0.1)
        assert url is not None, "".join(said)
        with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
            assert "web-availability" in client.get("/").text
            assert "mainstay_slo_sli_ratio{" in _waited(client, "/metrics", "mainstay_slo_sli_ratio{")
    finally:
        process.send_signal(signal.SIGTERM if how == "terminate" else signal.SIGINT)
        try:
            process.wait(30)
        finally:
            process.kill()
            out, _ = process.stdout.read() if process.stdout else "", reader.join()
            process.stderr.close()
            if process.stdout:
                process.stdout.close()
    assert process.returncode == 0, "".join(said) + out
    assert _alive(run) == []


def _waited(client: httpx.Client, path: str, wanted: str) -> str:
    """The page's text, as soon as it holds what is wanted, or after half a minute."""
    until = time.monotonic() + 30
    while wanted not in (text := client.get(path).text) and time.monotonic() < until:
        time.sleep(0.2)
    return text


def test_a_demonstration_of_no_length_is_refused(tmp_path: Path) -> None:
    done = mainstay(tmp_path, "demo", "--for", "soon", "--json")

    assert done.code == 2
    assert "not a duration" in json.loads(done.err)["error"]["message"]
