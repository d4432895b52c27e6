"""The command line over a made-up word."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from command import PATIENCE
from doors import toy
from mainstay.doors.cli import default_store, run

_TESTS = Path(__file__).parents[1]
_TOY = _TESTS / "doors" / "toy_command.py"


@pytest.fixture
def tea(capsys: pytest.CaptureFixture[str]):
    """Runs a command line of the made-up word: (exit code, standard output, standard error)."""
    def call(*argv: str) -> tuple[int, str, str]:
        code = run(argv, toy.TEA)
        out, err = capsys.readouterr()
        return code, out, err
    return call


def brewed(tea, *argv: str) -> dict[str, object]:
    code, out, err = tea("tea", "brew", *argv, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def process(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_TESTS), "TZ": "UTC", **env}
    return subprocess.run([sys.executable, str(_TOY), *argv], env=environ, text=True,
                          capture_output=True, check=False, timeout=PATIENCE)


# -- what is asked ---------------------------------------------------------------------------------------------------


def test_every_field_of_a_request_is_a_flag_or_an_argument(tea):
    result = brewed(tea, "assam", "green", "-m", "4.5", "--cup", "bowl", "--sugar=3", "--milk", "--no-saucer",
                    "--note", "a", "--note", "b", "--since", "2026-05-01", "--cooled-for", "90s")
    assert result == {"leaves": ["assam", "green"], "minutes": 4.5, "cup": "bowl", "sugar": 3, "milk": True,
                      "saucer": False, "note": ["a", "b"], "since": "2026-05-01T00:00:00Z", "cooled_seconds": 90.0,
                      "now": "2026-05-01T12:00:00Z", "actor": "somebody"}


def test_what_is_not_said_has_its_default(tea):
    result = brewed(tea)
    assert (result["leaves"], result["minutes"], result["sugar"], result["saucer"]) == ([], 3.5, None, True)


def test_a_lone_dash_is_standard_input_and_no_flag(tea):
    assert brewed(tea, "assam", "-")["leaves"] == ["assam", "-"]


def test_arguments_and_flags_may_be_mixed(tea):
    result = brewed(tea, "assam", "--minutes", "-2", "green", "--milk", "oolong")
    assert (result["leaves"], result["minutes"], result["milk"]) == (["assam", "green", "oolong"], -2.0, True)


def test_several_arguments_are_counted(tea):
    assert tea("tea", "wash", "a", "b")[1] == "2 washed\n"


@pytest.mark.parametrize("written", [["-m", "4"], ["-m4"], ["-m=4"], ["--minutes", "4"], ["--minutes=4"]])
def test_a_value_stands_behind_its_flag_or_together_with_it(tea, written):
    assert brewed(tea, *written)["minutes"] == 4


@pytest.mark.parametrize(("written", "expected"), [
    (["--milk"], (True, True)), (["--milk=false"], (False, True)), (["--milk=true", "--saucer"], (True, True)),
    (["--no-saucer"], (False, False)), (["--saucer=false"], (False, False))])
def test_yes_and_no_need_no_value_and_may_have_one(tea, written, expected):
    result = brewed(tea, *written)
    assert (result["milk"], result["saucer"]) == expected


def test_a_value_may_be_empty_a_dash_or_begin_with_a_dash_when_it_is_written_together_with_its_flag(tea):
    result = brewed(tea, "--note", "", "--note", "-", "--note=--milk", "--note", "-5")
    assert result["note"] == ["", "-", "--milk", "-5"]


def test_after_two_dashes_nothing_is_a_flag(tea):
    code, out, _ = tea("tea", "brew", "--json", "--", "--help")
    assert code == 0
    assert json.loads(out)["leaves"] == ["--help"]


def test_the_environment_gives_a_default_that_a_flag_overrules(tea, monkeypatch):
    monkeypatch.setenv("TEA_SUGAR", "4")
    assert brewed(tea)["sugar"] == 4
    assert brewed(tea, "--sugar", "1")["sugar"] == 1


def test_a_slip_in_the_environment_is_called_by_its_name(tea, monkeypatch):
    monkeypatch.setenv("TEA_SUGAR", "lots")
    assert tea("tea", "brew")[2].startswith('error: invalid value for env TEA_SUGAR: "lots" is not a whole number\n')


def test_flags_of_every_command_may_stand_before_the_word(tea):
    code, out, _ = tea("--json", "--as-of", "2026-01-01T00:00+02:00", "tea", "brew")
    assert code == 0
    assert json.loads(out)["now"] == "2025-12-31T22:00:00Z"


def test_flags_of_every_command_may_stand_between_word_and_verb(tea):
    assert tea("tea", "--json", "brew") == tea("tea", "brew", "--json")


def test_a_command_of_the_house_has_no_word(tea):
    assert tea("kettle") == (0, "the kettle is on\n", "")
    assert tea("kettle", "--help")[1].startswith("mainstay kettle – Puts the kettle on.\n\nusage: mainstay kettle")
    assert "  kettle      Puts the kettle on." in tea("--help")[1]


def test_the_flags_of_every_command_become_the_settings_of_the_world(tea, monkeypatch):
    monkeypatch.setenv("MAINSTAY_STORE", "sqlite:////tmp/elsewhere.db")
    tea("tea", "drink", "spent", "-c", "specs", "--as-of", "2026-05-01")
    settings = toy.SEEN[-1]
    assert (settings.catalog, settings.store, settings.catalog_use, settings.as_of) == (
        "specs", "sqlite:////tmp/elsewhere.db", "checked", datetime(2026, 5, 1, tzinfo=UTC))


def test_an_operation_that_needs_no_catalog_says_so_to_the_world(tea):
    tea("tea", "brew")
    assert toy.SEEN[-1].catalog_use == "unused"
    assert toy.SEEN[-1].catalog is None


def test_the_store_lies_in_the_users_state_folder_when_nobody_said(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/srv/state")
    assert default_store() == "sqlite:////srv/state/mainstay/mainstay.db"


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("argv", "message", "way_out"), [
    (["tee"], 'there is no command "tee" (did you mean "tea"?)', "mainstay --help"),
    (["brew"], "did you mean mainstay tea brew?", "mainstay --help"),
    (["tea", "brw"], 'tea has no verb "brw" (did you mean "brew"?)', "mainstay tea --help"),
    (["tea", "steep"], 'tea has no verb "steep"', "mainstay tea --help"),
    (["tea", "brew", "--minuts", "3"], 'unknown option: --minuts (did you mean "--minutes"?)', "tea brew --help"),
    (["tea", "brew", "--minutes", "x"], 'invalid value for --minutes: "x" is not a number', "mainstay tea brew --help"),
    (["tea", "brew", "--minutes", "nan"], '"nan" is not a number', "mainstay tea brew --help"),
    (["tea", "brew", "--sugar", "2.6"], 'invalid value for --sugar: "2.6" is not a whole number', "tea brew --help"),
    (["tea", "brew", "--milk=maybe"], '"maybe" is not true or false', "mainstay tea brew --help"),
    (["tea", "brew", "--no-saucer=true"], "--no-saucer takes no value", "mainstay tea brew --help"),
    (["tea", "brew", "--no-milk"], 'unknown option: --no-milk (did you mean "--milk"?)', "mainstay tea brew --help"),
    (["tea", "brew", "-x"], "unknown option: -x", "mainstay tea brew --help"),
    (["tea", "brew", "--note"], "parameter --note requires an argument", "mainstay tea brew --help"),
    (["tea", "brew", "--note", "--milk"], "parameter --note requires an argument", "mainstay tea brew --help"),
    (["tea", "brew", "-m", "1", "--minutes", "2"], "parameter -m specified multiple times", "tea brew --help"),
    (["tea", "brew", "--milk", "--milk"], "parameter --milk specified multiple times", "mainstay tea brew --help"),
    (["tea", "drink", "hot", "cold"], '"cold" is one argument too many', "mainstay tea drink --help"),
    (["tea", "drink", "hut"], 'invalid value "hut" for HOW. Choose from: "empty", "hot"', "mainstay tea drink --help"),
    (["tea", "brew", "--cup", "mog"], '"glass" (did you mean "mug"?)', "mainstay tea brew --help"),
    (["tea", "brew", "--since", "soon"], '"soon" is not a time', "2026-03-02"),
    (["tea", "brew", "--cooled-for", "3 moons"], "is not a duration", "5m"),
    (["tea", "drink"], "parameter HOW requires an argument", "mainstay tea drink --help"),
    (["tea", "wash"], "parameter CUPS requires an argument", "mainstay tea wash --help"),
    (["tea", "drink", "--how", "hot"], "unknown option: --how", "mainstay tea drink --help"),
    (["tea", "--jsn"], "--jsn is a flag, but no command was given", "mainstay --help"),
    (["--jsn"], "--jsn is a flag, but no command was given", "mainstay --help"),
    (["completion", "bsh"], 'did you mean "bash"?', "bash, zsh, fish"),
])
def test_a_slip_is_answered_with_what_was_meant_and_exit_2(tea, argv, message, way_out):
    code, out, err = tea(*argv)
    assert (code, out) == (2, "")
    assert message in err
    assert f"→ {way_out}" in err or way_out in err.partition("→")[2]


def test_an_error_says_what_happened_and_the_way_out(tea):
    assert tea("tea", "drink", "hot") == (2, "", "error: the tea is too hot\n  → wait\n")


def test_no_data_is_exit_3(tea):
    assert tea("tea", "drink", "empty")[0] == 3


def test_mistakes_in_files_are_shown_with_their_line_and_a_caret(tea):
    code, _, err = tea("tea", "drink", "files")
    assert code == 2
    assert err.splitlines()[:3] == ["tea.yaml:2:8: error: sugar is too much [too-sweet]", "  2 | sugar: 12",
                                    "    |        ^"]


def test_with_json_an_error_is_json_on_standard_error_and_nothing_else(tea):
    code, out, err = tea("tea", "drink", "files", "--json")
    assert (code, out) == (2, "")
    error = json.loads(err)["error"]
    assert (error["code"], error["findings"][0]["line"]) == ("invalid-files", 2)


def test_a_result_decides_the_exit_code(tea):
    assert tea("tea", "drink", "spent")[0] == 1


def test_our_own_bug_is_one_sentence_and_exit_70(tea):
    code, _, err = tea("tea", "drink", "bug")
    assert code == 70
    assert err.count("\n") == 2
    assert "this is a bug of Mainstay; run again with --debug" in err


def test_debug_shows_the_traceback_of_a_bug(tea):
    code, _, err = tea("tea", "drink", "bug", "--debug")
    assert code == 70
    assert "Traceback" in err
    assert "KeyError: 'spoon'" in err


def test_an_interrupt_is_exit_130_without_a_traceback(tea):
    assert tea("tea", "drink", "interrupt") == (130, "", "\n")


def test_an_interrupt_that_a_library_turns_into_an_error_of_its_own_is_an_interrupt(tea):
    assert tea("tea", "drink", "muffled") == (130, "", "\n")


def test_a_reader_that_goes_away_is_met_with_silence():
    command = f"{sys.executable} {_TOY} tea drink flood | head -1; echo ${{PIPESTATUS[0]}}"
    # Unbuffered, Python 3.11 takes a write that the pipe cut short for a whole one and never meets the closed pipe.
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_TESTS)}
    ended = subprocess.run(["bash", "-c", command], env=environ, text=True, capture_output=True, check=True,
                           timeout=PATIENCE)
    assert (ended.stdout, ended.stderr) == ("drunk\n141\n", "")


def test_a_full_disk_behind_the_output_is_no_bug_of_ours():
    for more in ("", "--json"):
        command = f"{sys.executable} {_TOY} tea brew assam {more} > /dev/full"
        ended = subprocess.run(["bash", "-c", command], env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_TESTS)},
                               text=True, capture_output=True, check=False, timeout=PATIENCE)
        assert ended.returncode == 2
        assert "the output cannot be written: No space left on device" in ended.stderr
        assert "bug" not in ended.stderr


# -- help ------------------------------------------------------------------------------------------------------------


def test_help_of_a_verb_has_summary_options_examples_and_exit_codes(tea):
    code, out, _ = tea("tea", "drink", "--help")
    assert code == 0
    for part in ("Drinks, and fails as asked.", "usage: mainstay tea drink HOW", "arguments\n  HOW",
                 "on every command", "--as-of MOMENT", "exit codes\n  0  done\n  1  the pot is spent"):
        assert part in out


def test_help_shows_no_section_meant_for_programmers(tea):
    out = tea("tea", "brew", "--help")[1]
    assert "the cup is only described" in out
    assert "Args:" not in out


@pytest.mark.parametrize("argv", [["--help"], ["tea", "--help"], ["tea", "brew", "--help"], ["completion", "--help"]])
def test_help_fits_80_columns(tea, argv):
    assert max(map(len, tea(*argv)[1].splitlines())) <= 80


def test_help_calls_a_value_by_what_it_is(capsys):
    assert run(["slo", "try", "--help"]) == 0
    out = capsys.readouterr().out
    for shown in ("--bad CONDITION ", "--latency DURATION ", "--target PERCENT ", "--catalog FOLDER ", "--top N "):
        assert shown in out


@pytest.mark.parametrize("verb", ["try", "downtime", "suggest"])
def test_the_help_of_slo_fits_80_columns_and_shows_defaults_as_they_are_typed(capsys, verb):
    assert run(["slo", "--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    assert run(["slo", verb, "--help"]) == 0
    assert "default (" not in capsys.readouterr().out


def test_help_may_be_asked_in_front(tea):
    assert tea("help", "tea", "brew") == tea("tea", "brew", "--help") == tea("tea", "brew", "-h")


def test_no_command_at_all_shows_help(tea):
    assert tea() == tea("--help")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_knows_words_verbs_and_flags(tea, shell):
    code, out, err = tea("completion", shell)
    assert (code, err) == (0, "")
    for part in ("tea", "brew", "minutes"):
        assert part in out


def test_the_bash_completion_script_is_accepted_by_bash(tea):
    script = tea("completion", "bash")[1]
    subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=PATIENCE)


# -- how it is shown -------------------------------------------------------------------------------------------------


def test_output_that_is_no_terminal_has_no_colour(tea):
    assert "\x1b" not in tea("tea", "brew", "assam")[1]


def test_colour_can_be_forced_and_refused(tea, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[32m● healthy\x1b[0m" in tea("tea", "brew")[1]
    assert "\x1b" not in tea("tea", "brew", "--no-color")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in tea("tea", "brew")[1]


def test_an_output_without_utf_8_gets_ascii():
    ended = process("tea", "brew", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0
    assert ended.stdout.isascii()
    assert "* healthy" in ended.stdout
    assert "###......." in ended.stdout


def test_a_person_sees_progress_on_one_line_that_goes_away_again():
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, str(_TOY), "tea", "brew"], stdout=subprocess.PIPE, stderr=theirs,
                          env={**os.environ, "PYTHONPATH": str(_TESTS), "TERM": "xterm"}) as started:
        out, _ = started.communicate(timeout=PATIENCE)
        os.close(theirs)
    assert os.read(ours, 1000) == b"\r\x1b[Kbrewing\r\x1b[K"
    os.close(ours)
    assert out.startswith("tea · no leaves".encode())


def test_nothing_is_said_of_progress_when_standard_error_is_no_terminal(tea):
    assert tea("tea", "brew")[2] == ""


_HEAVY = ("numpy._core", "duckdb", "sqlite3", "httpx._client", "litestar", "jinja2", "uvicorn", "cyclopts", "rich")


@pytest.mark.parametrize("argv", [["--version"], ["--help"], ["tea", "--help"], ["tea", "brew", "--help"]])
def test_help_loads_nothing_heavy(argv):
    code = (f"import sys; sys.argv = ['mainstay', *{argv}]; import atexit; "
            f"atexit.register(lambda: print([m for m in {_HEAVY} if m in sys.modules], file=sys.stderr)); "
            f"import runpy; runpy.run_path({str(_TOY)!r}, run_name='__main__')")
    ended = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(_TESTS)}, text=True,
                           capture_output=True, check=True, timeout=PATIENCE)
    assert ended.stderr.strip() == "[]"


def test_deferred_numpy_is_the_real_one_once_it_is_used():
    code = ("from mainstay.doors import lazy_start; lazy_start.defer(); import sys, numpy; "
            "before = 'numpy._core' in sys.modules; from numpy.linalg import norm; "
            "print(before, norm([3, 4]), numpy.arange(3).sum()); lazy_start.load_now()")
    ended = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True, timeout=PATIENCE)
    assert ended.stdout == "False 5.0 3\n"


def test_a_deferred_module_that_many_threads_use_first_is_whole_for_each_of_them():
    code = ("from mainstay.doors import lazy_start; lazy_start.defer(); import inspect, sys, threading; "
            "started = threading.Barrier(8); found = []\n"
            "def first():\n"
            "    started.wait()\n"
            "    found.append(inspect.unwrap.__name__)\n"
            "sys.setswitchinterval(1e-6)\n"
            "threads = [threading.Thread(target=first) for _ in range(8)]\n"
            "for one in threads: one.start()\n"
            "for one in threads: one.join()\n"
            "print(len(found), set(found), 'dis' in sys.modules)")
    ended = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True, timeout=PATIENCE)
    assert (ended.stdout, ended.stderr) == ("8 {'unwrap'} True\n", "")
