"""`mainstay chaos check` and `run` beside the Chaos Toolkit's `validate` and `run`: same journals, how long they take.

The Chaos Toolkit is installed into an environment of its own, once. Both are given the same experiments; journals are
held against each other apart from times, and whole processes are timed in turns so that a busy moment hits both.
With folders of experiments as arguments, all of these are checked, and those that both accept are run by both, each in
a fresh copy of its folder, and compared (they may do anything that they say: read them first!).
Goal: `check` and a trivial `run` in half of the Chaos Toolkit's time.
"""

from __future__ import annotations

import compileall
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = ("chaostoolkit==1.19.0", "chaostoolkit-lib[jsonpath]==1.44.0")
ROUNDS = 15
GOAL = 0.5


def rival(folder: Path) -> str:
    """The program `chaos` of the Chaos Toolkit, installed there."""
    program = folder / "bin" / "chaos"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *PACKAGES], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return str(program)


# -- experiments ---------------------------------------------------------------------------------------------------


def _process(name: str, *words: str, kind: str = "action", **more: Any) -> dict[str, Any]:
    return {"type": kind, "name": name, "provider": {"type": "process", "path": words[0],
                                                     "arguments": list(words[1:])}, **more}


def _probe(name: str, tolerance: Any, *words: str) -> dict[str, Any]:
    return _process(name, *words, kind="probe", tolerance=tolerance)


def _get(name: str, url: str, tolerance: Any, **provider: Any) -> dict[str, Any]:
    return {"type": "probe", "name": name, "tolerance": tolerance,
            "provider": {"type": "http", "url": url, "timeout": 3, **provider}}


def _experiment(title: str, probes: list[Any], method: list[Any], **more: Any) -> dict[str, Any]:
    steady = {"steady-state-hypothesis": {"title": title, "probes": probes}} if probes else {}
    return {"version": "1.0.0", "title": title, "description": title, **steady, "method": method, "rollbacks": [],
            **more}


def experiments(url: str) -> dict[str, dict[str, Any]]:
    """Experiments that need no driver, each for some of the rules."""
    true = _probe("true", 0, "true")
    hello = _process("hello", "echo", "hello")
    return {
        "trivial": _experiment("trivial", [true], [hello]),
        "no hypothesis": _experiment("no hypothesis", [], [hello]),
        "not met before": _experiment("not met", [_probe("false", 0, "false")], [hello],
                                      rollbacks=[_process("back", "echo", "back")]),
        "the second is not met": _experiment("second", [true, _probe("false", 0, "false"), true], [hello]),
        "tolerances": _experiment("tolerances", [
            _probe("list", [0, 1, 2], "false"), _probe("pair", [0, 5], "false"),
            _probe("regex", {"type": "regex", "pattern": "he..o", "target": "stdout"}, "echo", "hello"),
            _probe("path", {"type": "jsonpath", "path": "$.a[*].b", "target": "stdout", "expect": [1, 2]},
                   "echo", '{"a": [{"b": 1}, {"b": 2}]}'),
            _probe("count", {"type": "jsonpath", "path": "$.a[?(@.b>1)]", "target": "stdout", "count": 1},
                   "echo", '{"a": [{"b": 1}, {"b": 2}]}'),
            _probe("range", {"type": "range", "range": [1, 3], "target": "stdout"}, "printf", "2"),
        ], [hello]),
        "out of range": _experiment("range", [
            _probe("range", {"type": "range", "range": [1, 3], "target": "stdout"}, "printf", "7")], [hello]),
        "http": _experiment("http", [
            _get("ok", f"{url}/ok", 200), _get("either", f"{url}/missing", [200, 404]),
            _get("json", f"{url}/json", {"type": "jsonpath", "path": "$.state", "target": "body", "expect": ["up"]}),
            _get("text", f"{url}/ok", {"type": "regex", "pattern": "^fine", "target": "body"})], [hello]),
        "nobody listens": _experiment("nobody", [_get("gone", "http://127.0.0.1:9/", 200)], [hello]),
        "an action fails": _experiment("fails", [true], [_process("fails", "false"), hello]),
        "variables": _experiment(
            "variables ${who}", [_probe("${who}", {"type": "regex", "pattern": "${who}", "target": "stdout"},
                                        "echo", "${who}")],
            [_process("say", "echo", "${who} and ${token}")], configuration={
                "who": "ada", "where": {"type": "env", "key": "CHAOS_BENCH_UNSET", "default": "here"}},
            secrets={"group": {"token": "secret"}}),
        "references": _experiment("references", [true], [{"ref": "true"}, hello]),
        "background": _experiment("background", [true], [
            _process("slow", "sleep", "0.3", background=True), hello]),
        "pauses": _experiment("pauses", [true], [
            _process("hello", "echo", "hi", pauses={"before": 0.2, "after": 0.1})]),
        "rollbacks": _experiment("rollbacks", [true], [hello], rollbacks=[_process("fails", "false"), hello]),
        "too slow": _experiment("too slow", [true], [{
            "type": "action", "name": "slow", "provider": {"type": "process", "path": "sleep", "arguments": ["5"],
                                                           "timeout": 0.3}}]),
        "words in one": _experiment("words", [true], [{
            "type": "action", "name": "words", "provider": {"type": "process", "path": "echo",
                                                            "arguments": "'a b' c"}}]),
    }


class Page(http.server.BaseHTTPRequestHandler):
    """What the HTTP probes ask."""

    def do_GET(self) -> None:
        """Fine, JSON, or missing."""
        found = {"/ok": ("text/plain", b"fine"), "/json": ("application/json", b'{"state": "up"}')}.get(self.path)
        kind, body = found or ("text/plain", b"missing")
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""


# -- comparing -----------------------------------------------------------------------------------------------------


def essence(journal: Mapping[str, Any]) -> dict[str, Any]:
    """A journal without what differs from run to run."""
    states = journal["steady_states"]
    return {"status": journal["status"], "deviated": journal["deviated"],
            "steady_states": {"before": _state(states["before"]), "after": _state(states["after"]),
                              "during": [_state(one) for one in states["during"]]},
            "run": [_activity(one) for one in journal["run"]],
            "rollbacks": [_activity(one) for one in journal["rollbacks"]]}


def _state(state: Mapping[str, Any] | None) -> Any:
    return None if state is None else {"met": state["steady_state_met"],
                                       "probes": [_activity(one) for one in state["probes"]]}


def _activity(one: Mapping[str, Any]) -> dict[str, Any]:
    output = one.get("output")
    if isinstance(output, dict) and "headers" in output:
        output = {"status": output["status"], "body": output["body"]}
    return {"activity": one["activity"], "output": output, "status": one["status"],
            "tolerance_met": one.get("tolerance_met"), "failed": "exception" in one}


def journals(chaos: str, file: Path, folder: Path, places: tuple[Path, Path] | None = None) -> tuple[Any, Any]:
    """What both make of it: theirs, and ours under their strategy for rollbacks.

    Args:
        places: where each is run; in `folder` when left out.
    """
    theirs_file = folder / "theirs.json"
    theirs_file.unlink(missing_ok=True)
    one, other = places or (folder, folder)
    subprocess.run([chaos, "run", "--journal-path", str(theirs_file), str(file)], cwd=one, capture_output=True,
                   check=False, timeout=300)
    # Without a word of its own, an experiment's rollbacks are played more often by ours.
    says = () if '"rollbacks": {' in file.read_text() else ("--rollbacks", "default")
    ours = subprocess.run([*mainstay(), "run", str(file), "--json", "--allow-python", *says],
                          cwd=other, capture_output=True, text=True, check=False, timeout=300)
    return (json.loads(theirs_file.read_text()) if theirs_file.exists() else None,
            json.loads(ours.stdout) if ours.stdout else ours.stderr)


def mainstay() -> list[str]:
    """Mainstay as it is installed here."""
    return [str(Path(sys.executable).parent / "mainstay"), "chaos"]


def compare(chaos: str, folder: Path, url: str) -> int:
    """How many journals differ."""
    differ = 0
    for name, content in experiments(url).items():
        file = folder / "experiment.json"
        file.write_text(json.dumps(content))
        theirs, ours = journals(chaos, file, folder)
        same = theirs is not None and isinstance(ours, dict) and essence(theirs) == essence(ours)
        differ += not same
        print(f"  {name:24} {'same journal' if same else 'DIFFERENT'}")
        if not same:
            print(f"    theirs: {essence(theirs) if theirs else None}\n    ours:   "
                  f"{essence(ours) if isinstance(ours, dict) else ours}")
    return differ


def public(chaos: str, folders: list[str], scratch: Path) -> None:
    """Every experiment of these folders: checked by both, and run by both where both accept it."""
    counts = {"experiments": 0, "theirs accepts": 0, "ours accepts": 0, "run by both": 0, "same": 0}
    for root, file in ((Path(folder).resolve(), one.resolve()) for folder in folders for one in _files(folder)):
        counts["experiments"] += 1
        theirs = subprocess.run([chaos, "validate", str(file)], cwd=root, capture_output=True, check=False)
        ours = subprocess.run([*mainstay(), "check", str(file), "--json", "--allow-python"], cwd=root,
                              capture_output=True, check=False)
        assert ours.returncode in (0, 1), ours.stderr.decode()
        counts["theirs accepts"] += theirs.returncode == 0
        counts["ours accepts"] += ours.returncode == 0
        if theirs.returncode or ours.returncode:
            continue
        # What the first does to the files beside it must not be what the second finds.
        places = scratch / "theirs", scratch / "ours"
        for place in places:
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(root, place)
        one, other = journals(chaos, file, scratch, places)
        if one is not None and isinstance(other, dict):
            counts["run by both"] += 1
            counts["same"] += essence(one) == essence(other)
            if essence(one) != essence(other):
                print(f"  differs: {file}")
    print("  " + ", ".join(f"{name} {count}" for name, count in counts.items()))


def _files(folder: str) -> Iterator[Path]:
    for file in sorted(Path(folder).rglob("*")):
        if file.suffix in (".json", ".yaml", ".yml") and file.is_file():
            text = file.read_text(errors="replace")
            if "method" in text and "provider" in text and "chaoslib-version" not in text:
                yield file


# -- timing --------------------------------------------------------------------------------------------------------


def seconds(command: list[str], folder: Path) -> float:
    """Wall-clock seconds of the whole process."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, command
    return time.perf_counter() - began


def timed(chaos: str, folder: Path, url: str) -> bool:
    """Print medians and ratios; whether a goal is missed."""
    file = folder / "trivial.json"
    file.write_text(json.dumps(experiments(url)["trivial"]))
    pairs = {"check | validate": ([*mainstay(), "check", str(file)], [chaos, "validate", str(file)]),
             "run | run": ([*mainstay(), "run", str(file)], [chaos, "run", str(file)])}
    taken: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in pairs}
    for _ in range(ROUNDS):
        for name, (ours, theirs) in pairs.items():
            taken[name][0].append(seconds(ours, folder))
            taken[name][1].append(seconds(theirs, folder))
    missed = False
    for name, (ours_taken, theirs_taken) in taken.items():
        ratio = median(ours_taken) / median(theirs_taken)
        missed |= ratio > GOAL
        print(f"  {name:18} ours {median(ours_taken) * 1000:.0f} ms (least {min(ours_taken) * 1000:.0f}), theirs "
              f"{median(theirs_taken) * 1000:.0f} ms (least {min(theirs_taken) * 1000:.0f}): {ratio:.2f} of theirs, "
              f"goal {GOAL} {'met' if ratio <= GOAL else 'MISSED'}")
    return missed


def main() -> int:
    """1 when a journal differs or a goal is missed."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(ROOT / "src", quiet=1)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["MAINSTAY_STORE"] = f"sqlite:///{folder}/mainstay.db"
        chaos = rival(Path(os.environ.get("CHAOSTOOLKIT", folder / "rival")))
        print(f"Load {os.getloadavg()[0]:.1f}")
        print("Journals")
        differ = compare(chaos, folder, url)
        if sys.argv[1:]:
            print("Experiments of others")
            public(chaos, sys.argv[1:], folder)
        print(f"Whole processes, medians of {ROUNDS} in turns")
        missed = timed(chaos, folder, url)
    server.shutdown()
    return 1 if differ or missed else 0


if __name__ == "__main__":
    sys.exit(main())
