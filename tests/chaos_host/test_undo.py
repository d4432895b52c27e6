"""Acts that take something back: again is fine, and never on another than the one that was meant."""

from __future__ import annotations

import ctypes
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mainstay.adapters.faults import restarting, undo
from mainstay.adapters.faults.processes import Process, alive, found, send, session_members, stat_of
from mainstay.adapters.faults.restarting import NotStarted, ourselves, who_runs


class Remembered:
    """Notes in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder, {}

    def noted(self, name):
        return self.notes.get(name)

    def note(self, name, value):
        self.notes[name] = dict(value)


@pytest.fixture
def notes(tmp_path):
    return Remembered(tmp_path)


@pytest.fixture
def child():
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield found(process.pid)
        process.kill()


def twice(act, data, notes):
    for _ in range(2):
        undo.perform(act, data, notes, "f1.0")


def test_every_act_survives_that_there_is_nothing_left_to_do(notes, tmp_path):
    gone = {"pid": 2**22 - 1, "ticks": 1}
    for act, data in {"signal": {**gone, "signal": "CONT"}, "kill": {**gone, "session": True}, "end-holder": gone,
                      "remove-file": {"path": str(tmp_path / "no")}, "remove-folder": {"path": str(tmp_path / "no")},
                      "write-value": {"path": str(tmp_path / "no"), "value": "1"},
                      "unmount": {"path": str(tmp_path / "no"), "source": "mainstay-x"},
                      "leave-group": {"root": str(tmp_path), "path": "/no", "back": "/"}}.items():
        twice(act, data, notes)


def test_a_pid_that_was_used_again_is_never_signalled(notes, child):
    reused = {"pid": child.pid, "ticks": child.ticks - 1}
    twice("kill", {**reused, "session": True}, notes)
    twice("end-holder", reused, notes)
    undo.perform("signal", {**reused, "signal": "STOP"}, notes, "f1.0")
    time.sleep(0.05)
    assert alive(child)
    assert stat_of(child.pid).state not in "TtZX"


def test_a_pid_of_a_thread_is_nobody():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, daemon=True)
    thread.start()
    assert not send(Process(thread.native_id, 0), signal.SIGCONT)
    stop.set()
    thread.join()


def test_stopped_goes_on_and_killed_ends_with_all_of_its_session(notes, tmp_path):
    with subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60"], start_new_session=True) as shell:
        leader = found(shell.pid)
        until = time.monotonic() + 60
        while len(session_members(leader)) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        members = session_members(leader)
        assert len(members) == 3
        send(leader, signal.SIGSTOP)
        twice("signal", {**leader.data, "signal": "CONT"}, notes)
        assert stat_of(leader.pid).state != "T"
        twice("kill", {**leader.data, "session": True}, notes)
        assert not any(alive(one) for one in members)


def test_a_file_gets_its_text_and_rights_again_in_one_step(notes, tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text("changed")
    twice("write-file", {"path": str(path), "text": "as it was\n", "mode": 0o640, "uid": os.getuid(),
                         "gid": os.getgid()}, notes)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("as it was\n", 0o640)
    assert [one.name for one in tmp_path.iterdir()] == ["resolv.conf"]


def test_a_file_is_removed_unless_it_is_another_by_now(notes, tmp_path):
    path = tmp_path / "ours"
    path.write_text("ours")
    twice("remove-file", {"path": str(path), "inode": path.stat().st_ino + 1}, notes)
    assert path.exists()
    twice("remove-file", {"path": str(path), "inode": path.stat().st_ino}, notes)
    assert not path.exists()


def test_a_mount_is_taken_out_and_another_at_that_place_is_left(notes, tmp_path):
    if os.geteuid():
        pytest.skip("mounting needs root")
    libc = ctypes.CDLL(None)
    place = tmp_path / "a place"
    place.mkdir()
    libc.mount(b"mainstay-ours", os.fsencode(place), b"tmpfs", 0, b"size=1m")
    try:
        twice("unmount", {"path": str(place), "source": "mainstay-other"}, notes)
        assert os.path.ismount(place)
        twice("unmount", {"path": str(place), "source": "mainstay-ours"}, notes)
        assert not os.path.ismount(place)
    finally:
        libc.umount2(os.fsencode(place), 2)


def test_only_known_programs_are_called_and_what_they_say_decides(notes):
    with pytest.raises(undo.NotUndone, match="touch is not there or is not among"):
        undo.perform("argv", {"argv": ["touch", "/x"]}, notes, "f1.0")
    with pytest.raises(undo.NotUndone, match="is not among"):
        undo.perform("argv", {"argv": ["/tmp/tc", "qdisc"]}, notes, "f1.0")


def test_an_act_that_no_version_knows_is_refused(notes):
    with pytest.raises(undo.NotUndone, match='no act is called "dance"'):
        undo.perform("dance", {}, notes, "f1.0")


def test_a_request_carries_a_secret_that_is_read_when_it_is_sent(notes, tmp_path):
    heard = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.path, body, self.headers["Authorization"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    secret = tmp_path / "token.json"
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        data = {"method": "PUT", "url": f"http://127.0.0.1:{server.server_port}/route", "body": '{"to": "a"}',
                "secret_headers": {"Authorization": {"file": str(secret), "key": "token"}}}
        secret.write_text('{"token": "s1"}')
        undo.perform("http", data, notes, "f1.0")
        secret.write_text('{"token": "s2"}')
        undo.perform("http", data, notes, "f1.0")
        server.shutdown()
        thread.join()
    assert heard == [("/route", b'{"to": "a"}', "s1"), ("/route", b'{"to": "a"}', "s2")]
    with pytest.raises(undo.NotUndone, match="http: PUT"):
        undo.perform("http", data, notes, "f1.0")


def program(tmp_path, *, writes):
    code = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)" if writes \
        else "import time; time.sleep(60)"
    return {"argv": [sys.executable, "-c", code], "cwd": str(tmp_path), "count": 1,
            "where": {"file": str(tmp_path / "pid"), "key": ""}}


@pytest.mark.parametrize("writes", [True, False], ids=["says who it is", "does not say who it is"])
def test_a_process_is_started_again_once_however_often_that_is_done(notes, tmp_path, writes):
    data = program(tmp_path, writes=writes)
    twice("start-again", data, notes)
    running = who_runs(data["where"])
    assert len(running) == 1
    status = Path(f"/proc/{running[0].pid}/status").read_text()
    assert stat_of(running[0].pid).session == running[0].pid, status
    undo.perform("start-again", data, Remembered(tmp_path), "f9.9")  # another who knows no notes
    assert who_runs(data["where"]) == running
    send(running[0], signal.SIGKILL)


def test_a_process_that_ends_at_once_is_not_started(notes, tmp_path):
    data = {**program(tmp_path, writes=False), "argv": ["/no/such/program"]}
    with pytest.raises(NotStarted, match="ended at once"):
        undo.perform("start-again", data, notes, "f1.0")
    assert "/no/such/program: No such file" in (tmp_path / "f1.0.log").read_text()


def test_without_a_way_to_start_it_somebody_else_is_waited_for(notes, tmp_path):
    data = {"where": {"file": str(tmp_path / "pid")}, "count": 1, "patience": 0.2}
    with pytest.raises(NotStarted, match="nobody started the process again"):
        undo.perform("start-again", data, notes, "f1.0")
    (tmp_path / "pid").write_text(str(os.getpid()))
    undo.perform("start-again", data, notes, "f1.0")


def test_words_of_a_command_line_never_mean_ourselves_or_what_we_run_under(tmp_path):
    marker = f"marker-{tmp_path.name}-{os.getpid()}"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", marker, "x"]) as process:
        until = time.monotonic() + 60
        while not who_runs({"match": [marker, "x"]}) and time.monotonic() < until:
            time.sleep(0.01)
        assert [one.pid for one in who_runs({"match": [marker, "x"]})] == [process.pid]
        assert who_runs({"match": ["x", marker]}) == []
        process.kill()
    own = Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode()
    assert {one.pid for one in who_runs({"match": [own]})} & ourselves() == set()
    assert {1, os.getpid(), os.getppid()} <= ourselves()


@pytest.mark.parametrize(("text", "key"), [
    ("{pid}", ""), ("{pid}\n", "pid"), ('{{"pid": {pid}}}', ""), ('{{"pid": {pid}, "ticks": {ticks}}}', "pid"),
    ('{{"main": {pid}}}', "main")])
def test_a_record_of_a_pid_is_its_text_or_a_field_and_is_brought_up_to_date_in_its_form(tmp_path, child, text, key):
    path = tmp_path / "record"
    where = {"file": str(path), "key": key}
    path.write_text(text.format(pid=child.pid, ticks=child.ticks))
    assert who_runs(where) == [child]
    path.write_text(text.format(pid=2**22 - 1, ticks=1))
    restarting._known(where, child)
    assert path.read_text().strip() == text.format(pid=child.pid, ticks=child.ticks).strip()


def test_a_record_whose_ticks_are_of_an_earlier_process_is_of_nobody(tmp_path, child):
    path = tmp_path / "record"
    path.write_text(f'{{"pid": {child.pid}, "ticks": {child.ticks - 1}}}')
    assert who_runs({"file": str(path), "key": "pid"}) == []
