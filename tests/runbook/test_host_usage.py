"""How busy this host is, held against what the kernel says another way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mainstay.adapters.host_usage import process_of, usage
from mainstay.kernel.errors import InvalidInput, NotFound, SourceUnavailable
from mainstay.kernel.finding import Position
from mainstay.kernel.workload import At, Workload
from running_shop import eventually


def _workload(folder: Path, **changes: object) -> Workload:
    return Workload("shop", Position(str(folder / "w.yaml")), **changes)  # type: ignore[arg-type]


def test_memory_in_use_is_what_free_says() -> None:
    def says() -> float:
        total, *_, available = map(int, subprocess.run(["free", "-b"], capture_output=True, text=True, check=True)
                                   .stdout.splitlines()[1].split()[1:])
        return 1 - available / total

    # Others take and give back memory meanwhile.
    before, found, after = says(), usage("memory", None), says()
    assert min(before, after) - 0.02 <= found <= max(before, after) + 0.02


def test_a_processs_memory_is_its_resident_set(tmp_path: Path) -> None:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    total = int(Path("/proc/meminfo").read_text().split()[1])
    share = usage("memory", _workload(tmp_path, pid=At(str(os.getpid()))))
    assert share * total == pytest.approx(int(status["VmRSS"].split()[0]), rel=0.05)


def test_a_process_that_works_takes_a_core_and_one_that_sleeps_none(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as works:
        try:
            # Others work on this machine too, so of its core it gets a part, and now and then none.
            eventually(lambda: usage("cpu", _workload(tmp_path, pid=At(str(works.pid)))) > 0.1 / (os.cpu_count() or 1),
                       seconds=60)
        finally:
            works.kill()
    with subprocess.Popen(["sleep", "20"]) as sleeps:
        try:
            assert usage("cpu", _workload(tmp_path, pid=At(str(sleeps.pid)))) < 0.02
        finally:
            sleeps.kill()


def test_a_process_is_found_by_its_file_by_its_words_and_not_where_it_is_gone(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(f'{{"pid": {os.getpid()}}}')
    assert process_of(_workload(tmp_path, pid=At("", "run.json", "pid"))) == os.getpid()
    with subprocess.Popen(["sleep", "20.125"]) as sleeps:
        try:
            # The kernel closes our pipe before it has the new words, so that for a moment there are none.
            eventually(lambda: Path(f"/proc/{sleeps.pid}/cmdline").read_bytes(), seconds=60)
            assert process_of(_workload(tmp_path, match=("sleep", "20.125"))) == sleeps.pid
        finally:
            sleeps.kill()
    for absent in ({"pid": At(str(sleeps.pid))}, {"match": ("no-such-program-runs",)}, {"pid": At("", "no.json")}):
        with pytest.raises(NotFound, match="shop has"):
            process_of(_workload(tmp_path, **absent))
    with pytest.raises(InvalidInput, match="does not say"):
        process_of(_workload(tmp_path))
    with pytest.raises(InvalidInput, match="no process id"):
        process_of(_workload(tmp_path, pid=At("web")))


def test_a_host_without_proc_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="cannot be measured"):
        usage("memory", None, proc=tmp_path)


def test_the_kernels_own_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 250 kB\nHugePages: 0\n")
    (tmp_path / "stat").write_text("cpu  100 0 100 700 100 0 0 0 0 0\n")
    assert usage("memory", None, proc=tmp_path) == 0.75

    def later(_: float) -> None:
        (tmp_path / "stat").write_text("cpu  150 0 125 720 105 0 0 0 0 0\n")

    assert usage("cpu", None, proc=tmp_path, sleep=later) == 0.75
