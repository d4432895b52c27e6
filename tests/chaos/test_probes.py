"""What asks running systems: real answers, and problems instead of exceptions, always within the time."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.played import SLOW, Played
from mainstay.adapters.clock import SystemClock
from mainstay.adapters.probes import Probes
from mainstay.chaos.hypothesis import Exactly, Probe, Standing
from mainstay.chaos.operations.asking import ask, bound, time_of
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position
from mainstay.kernel.probing import CallAsk, HttpAsk, ProcessAsk, QueryAsk, TcpAsk
from mainstay.kernel.workload import At, Workload
from running_shop import eventually


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        with contextlib.suppress(ConnectionError):  # who asked has given up
            self._answer()

    def _answer(self) -> None:
        if self.path == "/slow":
            self.server.over.wait(60)
        body = json.dumps({"method": self.command, "x": self.headers.get("X-Ask", "")}).encode()
        self.send_response(204 if self.path == "/empty" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "0" if self.path == "/empty" else str(len(body)))
        self.end_headers()
        if self.path == "/drops":
            for byte in body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.3)
                if self.server.over.is_set():
                    break
        elif self.path != "/empty":
            self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    server.daemon_threads = True
    server.over = threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def probes() -> Probes:
    return Probes(Catalog(), SystemClock())


def test_http_is_heard_with_status_headers_and_the_body_as_its_value(probes: Probes, port: int):
    heard = probes.ask(HttpAsk(f"http://127.0.0.1:{port}/", "POST", {"X-Ask": "me"}, "body"))
    assert heard.value["status"] == 200
    assert heard.value["body"] == {"method": "POST", "x": "me"}
    assert heard.value["seconds"] == heard.seconds
    text = probes.ask(HttpAsk(f"http://127.0.0.1:{port}/", parsed=False)).value["body"]
    assert json.loads(text)["method"] == "GET"


@pytest.mark.parametrize("path", ["/slow", "/drops"])
def test_http_ends_within_its_time_however_the_server_dawdles(probes: Probes, port: int, path: str):
    heard = probes.ask(HttpAsk(f"http://127.0.0.1:{port}{path}", seconds=0.4))
    assert "within 0.4 s" in heard.problem
    assert heard.seconds < 5, "both take far longer"


def test_nobody_there_is_a_problem_or_false(probes: Probes):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = free.getsockname()[1]
        assert "cannot be reached" in probes.ask(HttpAsk(f"http://127.0.0.1:{gone}/")).problem
        assert probes.ask(TcpAsk(f"127.0.0.1:{gone}")).value is False
    assert '"nowhere" is no address' in probes.ask(TcpAsk("nowhere")).problem


def test_an_address_is_read_from_the_run_file_each_time(probes: Probes, port: int, tmp_path: Path):
    file = tmp_path / "api.json"
    workload = Workload("api", Position(str(tmp_path / "catalog.yaml")), address=At(file="api.json", key="address"))
    assert "cannot be read" in probes.ask(HttpAsk("/", workload=workload)).problem
    file.write_text('{"port": ')
    assert "half written" in probes.ask(HttpAsk("/", workload=workload)).problem
    file.write_text(json.dumps({"port": port}))
    assert probes.ask(HttpAsk("/empty", workload=workload)).value["status"] == 204
    assert probes.ask(TcpAsk(workload=workload)).value is True


def test_a_program_is_heard_and_no_shell_reads_its_words(probes: Probes):
    heard = probes.ask(ProcessAsk(("printf", "%s", "a; echo b > c $HOME"), {"LANG": "C"}))
    assert heard.value == {"status": 0, "stdout": "a; echo b > c $HOME", "stderr": ""}
    assert "cannot be run" in probes.ask(ProcessAsk(("no-such-program-here",))).problem


def test_a_program_that_takes_too_long_ends_with_all_that_it_started(probes: Probes, tmp_path: Path):
    child = f"98.{os.getpid()}"  # seconds that nobody else on this machine sleeps for
    script = f": > up; sleep {child} & wait"
    heard = probes.ask(ProcessAsk(("sh", "-c", script), folder=str(tmp_path), seconds=3))
    assert "did not end within 3 s" in heard.problem
    assert (tmp_path / "up").exists()
    assert not _running(child.encode())


def test_giving_up_ends_programs_that_still_run(probes: Probes):
    heard: list[object] = []
    long = f"97.{os.getpid()}"
    thread = threading.Thread(target=lambda: heard.append(probes.ask(ProcessAsk(("sleep", long), seconds=200))))
    thread.start()
    eventually(lambda: _running(long.encode()))
    probes.give_up()
    thread.join(60)
    assert heard
    assert not _running(long.encode())


def _running(word: bytes) -> bool:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if word in Path("/proc", pid, "cmdline").read_bytes().split(b"\0") and \
                    Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                return True
        except OSError:
            continue
    return False


def test_a_function_is_heard_and_whatever_it_raises_is_a_problem(probes: Probes):
    assert probes.ask(CallAsk("operator", "add", {})).problem.startswith("operator.add failed: TypeError")
    assert probes.ask(CallAsk("json", "loads", {"s": "[1]", "configuration": {}})).value == [1]
    assert probes.ask(CallAsk("time", "time", {})).value > 1e9, "a function of C that does not tell what it takes"
    assert 'has no function "nope"' in probes.ask(CallAsk("json", "nope")).problem
    assert "is not installed" in probes.ask(CallAsk("chaosk8s.pod", "x")).problem


@pytest.mark.parametrize(("question", "why"), [
    (ProcessAsk(("no-such-program-here",)), "no program"), (CallAsk("chaosk8s.pod", "x"), "not installed"),
    (QueryAsk("prom", "up"), "no source"), (ProcessAsk(("true",)), ""), (CallAsk("json", "loads"), ""),
    (HttpAsk("http://127.0.0.1:1/"), "")])
def test_what_is_missing_is_known_without_asking(probes: Probes, question: HttpAsk, why: str):
    assert (why in probes.lacks(question)[0]) is (why != "" or probes.lacks(question)[0] == "")


# -- a probe, bound and asked ------------------------------------------------------------------------------------------


def test_a_probe_without_an_address_to_ask_is_refused_before_anything_runs():
    played = Played(SLOW)
    bare = Workload("bare", Position("catalog.yaml"))
    with pytest.raises(InvalidInput, match="bare has no health check"):
        bound(Probe("health", HttpAsk(""), Exactly(200)), played.catalog, bare)
    with pytest.raises(InvalidInput, match="bare has no address"):
        bound(Probe("port", TcpAsk(), Exactly(True)), played.catalog, bare)


def test_an_answer_that_is_right_and_slow_is_a_miss():
    played = Played(SLOW)
    probe = bound(Probe("health", HttpAsk(""), Exactly(200), faster=0.001), played.catalog,
                  played.catalog.get(Workload, "api"))
    assert ask(played.world, probe).why == "it took 0.005 s, and 0.001 s are allowed"
    assert time_of(probe) > 5


def test_an_objective_is_looked_up_in_the_ledger():
    played = Played(SLOW)
    assert "no objective" in ask(played.world, Probe("budget", Standing("answers"), Exactly(True))).why
