"""A word has one name everywhere, and everything that belongs to a word is there."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from typing import Any

import pytest

from house.repository import ROOT, committed, shown, text_of
from mainstay.app import MAINSTAY, WordEntry
from mainstay.doors import flags
from mainstay.doors.commands import EVERYWHERE, command_line
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.operation import Operation, arguments

_CARD = ("Declares:", "Measures:", "Decides:", "Records:", "Offers:")
_SHARED_WITH_ALL = {a.name for a in EVERYWHERE} | {a.short for a in EVERYWHERE if a.short} | {"h", "help", "version"}

words = pytest.mark.parametrize("entry", MAINSTAY.words, ids=lambda entry: entry.name)
operations = pytest.mark.parametrize(
    "operation", [operation for entry in (*MAINSTAY.words, *MAINSTAY.house) for operation in entry.operations()],
    ids=lambda operation: f"{operation.word} {operation.verb}".strip())


# -- words -----------------------------------------------------------------------------------------------------------


@words
def test_a_word_is_its_folder(entry: WordEntry):
    assert entry.module == f"mainstay.{entry.name}.operations"


@words
def test_a_word_has_a_card_of_five_lines(entry: WordEntry):
    card = (importlib.import_module(f"mainstay.{entry.name}").__doc__ or "").splitlines()
    starts = [line.split(" ")[0] for line in card if line.startswith(_CARD)]
    assert starts == list(_CARD)
    assert card[0].strip() == entry.summary


@words
def test_the_card_offers_every_verb(entry: WordEntry):
    card = importlib.import_module(f"mainstay.{entry.name}").__doc__ or ""
    offered = re.split(r"[,\s]+", card.partition("Offers:")[2].strip().rstrip("."))
    assert sorted(offered) == sorted(operation.verb for operation in entry.operations())


@words
def test_a_word_has_a_guide(entry: WordEntry):
    guide = ROOT / "docs" / "guides" / f"{entry.name}.md"
    assert guide.exists()
    missing = [o.verb for o in entry.operations() if f"{entry.name} {o.verb}" not in text_of(guide)]
    assert missing == [], "the guide shows every verb"


@words
def test_a_word_has_tests_and_a_scenario(entry: WordEntry):
    assert list((ROOT / "tests" / entry.name).glob("test_*.py"))
    assert list((ROOT / "tests" / "scenarios" / entry.name).glob("*.txt"))


@words
def test_a_word_has_an_example(entry: WordEntry):
    assert [path for path in committed() if shown(path).startswith("examples/")
            and f"mainstay {entry.name} " in text_of(path)], f"a file in examples that shows mainstay {entry.name}"


# -- operations ------------------------------------------------------------------------------------------------------


@words
def test_the_verbs_of_a_word_are_its_own_and_each_is_there_once(entry: WordEntry):
    verbs = [operation.verb for operation in entry.operations()]
    assert {operation.word for operation in entry.operations()} == {entry.name}
    assert len(set(verbs)) == len(verbs)


@pytest.mark.parametrize("entry", MAINSTAY.house, ids=lambda entry: entry.name)
def test_a_command_of_the_house_is_one_operation_with_that_summary(entry: WordEntry):
    (operation,) = entry.operations()
    assert operation.summary == entry.summary


@operations
def test_a_verb_is_one_name_and_its_summary_one_sentence(operation: Operation[Any, Any]):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", operation.verb)
    assert operation.summary.endswith(".")
    assert len(operation.summary) <= 90


@operations
def test_the_fields_of_a_request_are_explained_and_no_name_is_taken_twice(operation: Operation[Any, Any]):
    fields = arguments(operation.request)
    assert [field.name for field in fields if not field.help] == []
    names = [name for field in fields for name in (field.name, field.short) if name]
    assert len(set(names)) == len(names)
    assert set(names) & _SHARED_WITH_ALL == set()


@operations
def test_an_operation_of_the_command_line_has_examples_that_parse(operation: Operation[Any, Any]):
    if "cli" not in operation.doors:
        return
    assert operation.examples
    for example in operation.examples:
        command = re.split(r"\s+[|>]|\s+#|\s*&&", example)[0].strip()
        name = command_line(operation)
        assert command.startswith(name), example
        try:
            flags.parse(operation, shlex.split(command.removeprefix(name)))
        except InvalidInput as error:
            pytest.fail(f"{example}: {error.message}")


@operations
def test_exit_codes_are_documented(operation: Operation[Any, Any]):
    codes = [code for code, _ in operation.exit_codes]
    assert 0 in codes
    assert codes == sorted(set(codes))


# -- documents -------------------------------------------------------------------------------------------------------


def test_the_generated_reference_is_current():
    ended = subprocess.run([sys.executable, "tools/reference.py", "--check"], cwd=ROOT, text=True, capture_output=True,
                           check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_example_is_used_by_a_test():
    users = "\n".join(text_of(path) for path in committed() if shown(path).startswith("tests/")) \
        + text_of(ROOT / "Makefile")
    unused = [shown(path) for path in committed() if shown(path).startswith("examples/")
              and not _named(shown(path), users)]
    assert unused == []


def _named(path: str, users: str) -> bool:
    """Whether the file, or a folder of it below `examples`, is named: `examples/01-first-slo`, or a file's own name."""
    parts = path.split("/")
    return parts[-1] in users or any(part in users for part in parts[1:-1])


def test_links_between_documents_lead_somewhere():
    broken = []
    for path in committed():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(path)):
            if not re.match(r"[a-z]+:", target) and not (path.parent / target).exists():
                broken.append(f"{shown(path)} → {target}")
    assert broken == []
