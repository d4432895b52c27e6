"""A real systemd, as a user's manager in a mount namespace that looks booted with it, and in its own control groups."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from programs import need

_PROGRAM = Path("/usr/lib/systemd/systemd")
_STARTS_WITHIN = 60.0
# systemd refuses where nothing was booted with it, and takes along whatever is in its control group.
_START = """\
mount -t tmpfs tmpfs /run/systemd && mkdir /run/systemd/system || exit
for group in "$@"; do echo $$ > "$group/cgroup.procs" || exit; done
exec /usr/lib/systemd/systemd --user --log-target=console
"""


class Systemd:
    """A running manager; its units are files in `units`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.units = folder, folder / ".config" / "systemd" / "user"
        self.units.mkdir(parents=True)
        (folder / "run").mkdir(mode=0o700)

    @property
    def environ(self) -> Mapping[str, str]:
        """With which systemctl finds it."""
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder / "run")}

    def ctl(self, *words: str) -> str:
        """What systemctl says."""
        return subprocess.run(["systemctl", "--user", *words], env=dict(self.environ), text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout.strip()

    def unit(self, name: str, service: str) -> str:
        """Declare a service; its lines below [Service]."""
        (self.units / name).write_text(f"[Unit]\nStartLimitIntervalSec=0\n[Service]\n{service}\n")
        self.ctl("daemon-reload")
        return name

    def pid(self, unit: str) -> int:
        """The main process; 0 when there is none."""
        return int(self.ctl("show", "--value", "--property=MainPID", unit))


@pytest.fixture(scope="module")
def systemd() -> Iterator[Systemd]:
    """A real manager; skips where none can be started."""
    need("systemctl")
    need("unshare")
    if not _PROGRAM.exists():
        pytest.skip("program is absent: systemd")
    if os.geteuid() != 0:
        pytest.skip("rights are absent: a mount namespace and control groups of its own for systemd")
    # Not pytest's: a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="mainstay-sd-", ignore_cleanup_errors=True) as folder, _groups() as groups:
        here = Systemd(Path(folder))
        with open(here.folder / "said", "w+", encoding="utf-8") as said:
            process = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", _START, "sh",
                                        *map(str, groups)], env=dict(here.environ), stdout=said, stderr=said)
        try:
            until = time.monotonic() + _STARTS_WITHIN
            while not (here.folder / "run" / "systemd" / "private").exists():
                if process.poll() is not None or time.monotonic() > until:
                    pytest.skip("systemd does not start here: " + (here.folder / "said").read_text()[-200:])
                time.sleep(0.05)
            yield here
        finally:
            here.ctl("stop", "--no-block", "*.service")
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


@contextlib.contextmanager
def _groups() -> Iterator[list[Path]]:
    """Empty control groups below our own, one in each hierarchy that systemd uses; gone afterwards."""
    made = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        roots = {"name=systemd": ("systemd",), "": ("unified", "")}.get(controllers, ())
        root = next((one for name in roots if (one := Path("/sys/fs/cgroup", name) / path.lstrip("/"))
                     .joinpath("cgroup.procs").exists()), None)
        if root is not None:
            made.append(root / f"mainstay-tests-{os.getpid()}")
            made[-1].mkdir()
    try:
        yield made
    finally:
        for group in made:
            _remove(group)


def _remove(group: Path) -> None:
    """Whatever is left in it is killed: it was started for this test alone."""
    for below in sorted((one for one in group.rglob("*") if one.is_dir()), key=lambda one: -len(one.parts)):
        _remove_one(below)
    _remove_one(group)


def _remove_one(group: Path) -> None:
    until = time.monotonic() + 5
    while True:
        for pid in group.joinpath("cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
