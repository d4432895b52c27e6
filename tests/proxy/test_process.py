"""The proxies as a process: it starts quickly, answers as the thread does, and never outlives who started it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mainstay.adapters.proxy import Proxy, ProxyProcess, ProxyServer, Toxic, serve
from mainstay.kernel.errors import Conflict, InvalidInput, NotFound, SourceUnavailable
from proxy.lines import PATIENCE, ask, dial, echo, eventually, nobody, on_a_good_try, took

ARGV = [sys.executable, "-m", "mainstay.adapters.proxy", "--listen", "127.0.0.1:0"]


@pytest.fixture
def upstream():
    with echo() as written:
        yield written


def alive(pid: int) -> bool:
    """Whether it runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_thread_and_process_answer_alike(upstream):
    def walk(server) -> list[object]:
        said: list[object] = []
        address = server.open(Proxy("p", "127.0.0.1:0", upstream), [Toxic("latency", attributes={"latency": 1})])
        with dial(address) as line:
            ask(line, b"x" * 100)
            said.append(server.add("p", Toxic("corrupt", "c", "upstream", 0.5, {"rate": 0.5})))
            said.append(server.change("p", "latency_downstream", toxicity=0.5, jitter=1))
            server.remove("p", "c")
            for error, act in ((Conflict, lambda: server.open(Proxy("p", "127.0.0.1:0", upstream))),
                               (NotFound, lambda: server.remove("p", "c")),
                               (NotFound, lambda: server.statistics("q")),
                               (InvalidInput, lambda: server.add("p", Toxic("nonsense"))),
                               (InvalidInput, lambda: server.open(Proxy("q", "127.0.0.1:0", "nowhere")))):
                with pytest.raises(error) as raised:
                    act()
                said.append((raised.value.message, raised.value.way_out))
            said.append(server.statistics("p"))
            said.append({name: toxics for name, (_, toxics) in server.proxies().items()})
        server.enable("p", on=False)
        with pytest.raises(ConnectionRefusedError):
            dial(address)
        server.enable("p", on=True)
        server.reset()
        said.append(server.proxies()["p"][1])
        server.close("p")
        said.append(dict(server.proxies()))
        return said

    with ProxyServer(seed=5) as thread, ProxyProcess(seed=5) as process:
        assert walk(thread) == walk(process)


def test_the_process_starts_within_a_few_bare_starts_of_python():
    def start() -> None:
        with ProxyProcess():
            pass

    def soon() -> None:
        # Both beside each other: a machine that is busy now need not have been so a moment ago.
        bare = took(lambda: subprocess.run([sys.executable, "-c", "import asyncio"], check=True))
        assert took(start) < 4 * bare + 0.05

    on_a_good_try(soon)


def test_nothing_heavy_is_loaded():
    heavy = ("httpx", "http.client", "email", "numpy", "yaml", "msgspec", "sqlite3", "multiprocessing")
    code = f"import sys, mainstay.adapters.proxy.__main__; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_of_mainstay_only_the_errors_and_how_value_types_are_made_are_loaded():
    code = "import sys, mainstay.adapters.proxy.__main__; print(*(m for m in sys.modules if m.startswith('mainstay.')))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {name for name in loaded if not name.startswith("mainstay.adapters")} == {
        "mainstay.kernel", "mainstay.kernel.dataclass", "mainstay.kernel.errors"}


def test_leaving_the_context_ends_the_process_and_frees_the_port(upstream):
    with ProxyProcess() as server:
        pid = server.pid
        address = server.open(Proxy("p", "127.0.0.1:0", upstream))
        assert alive(pid)
    assert not alive(pid)
    with pytest.raises(ConnectionRefusedError):
        dial(address)


def test_a_killed_process_is_said_and_does_not_hang():
    with ProxyProcess() as server:
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(SourceUnavailable) as raised:
            server.proxies()
        assert raised.value.way_out


def test_a_port_in_use_is_said_before_anything_runs():
    with socket.create_server(("127.0.0.1", 0)) as taken, \
            pytest.raises(InvalidInput, match="already in use"), \
            ProxyProcess(listen=f"127.0.0.1:{taken.getsockname()[1]}"):
        pass


_PARENT = """
import os, signal, sys
from mainstay.adapters.proxy import ProxyProcess
with ProxyProcess() as server:
    print(server.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_the_process_that_started_it(number):
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.send_signal(number)
        eventually(lambda: not alive(child))


def test_it_dies_with_the_named_process_when_its_pipe_stays_open():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        child = subprocess.Popen([*ARGV, "--die-with", str(other.pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with child:
            assert json.loads(child.stdout.readline())["pid"] == child.pid
            other.kill()
            other.wait()
            assert child.wait(PATIENCE) == 0


def test_it_outlives_the_thread_that_started_it(upstream):
    made = []

    def start() -> None:
        made.append(ProxyProcess().__enter__())

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    time.sleep(0.2)
    (server,) = made
    try:
        with dial(server.open(Proxy("p", "127.0.0.1:0", upstream))) as line:
            assert ask(line, b"x") == b"x"
    finally:
        server.__exit__(None, None, None)


def test_a_terminated_process_ends_well():
    with subprocess.Popen(ARGV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.readline()
        child.terminate()
        assert child.wait(PATIENCE) == 0
        assert child.stderr.read() == b""


def test_a_config_that_cannot_be_is_said_on_one_line(tmp_path):
    config = tmp_path / "proxies.json"
    config.write_text('[{"name": "x"}]')
    done = subprocess.run([*ARGV, "--config", str(config)], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert "missing required field: upstream at proxy 1" in json.loads(done.stdout)["error"]


# -- serve -------------------------------------------------------------------------------------------------------------


def test_serve_runs_a_config_until_it_is_told_to_stop(tmp_path, upstream):
    config = tmp_path / "proxies.json"
    listen = nobody()
    config.write_text(json.dumps([{"name": "p", "listen": listen, "upstream": upstream,
                                   "toxics": [{"type": "latency"}]}]))
    stop, told, ended = threading.Event(), threading.Event(), []
    addresses: list[str] = []

    def ready(address: str) -> None:
        addresses.append(address)
        told.set()

    thread = threading.Thread(target=lambda: ended.append(serve("127.0.0.1:0", config, stop, told=ready)))
    thread.start()
    assert told.wait(PATIENCE)
    with dial(listen) as line, dial(addresses[0]):
        assert ask(line, b"hello") == b"hello"
    stop.set()
    thread.join(PATIENCE)
    assert ended[0]["p"].victims == 1
    assert ended[0]["p"].bytes_upstream == 5


@pytest.mark.parametrize("text", ["{", "{}", '[{"name": "x"}]', '[{"name": "x", "upstream": "y"}]', None])
def test_serve_refuses_a_config_with_a_way_out(tmp_path, text):
    config = tmp_path / "proxies.json"
    if text is not None:
        config.write_text(text)
    with pytest.raises(InvalidInput) as raised:
        serve("127.0.0.1:0", config, threading.Event())
    assert raised.value.message
