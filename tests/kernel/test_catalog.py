"""The folder as one object: what is found, what is left alone, and where a mistake is shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mainstay.kernel.catalog import MAX_FILE_BYTES, Catalog, Form, Grammar, Reference, Resource, find_files, load
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import Finding, InvalidFiles, Position, Severity, did_you_mean
from mainstay.kernel.reader import Reader


@dataclass(frozen=True)
class Boat:
    """The toy that these catalogs declare."""

    name: str
    origin: Position
    tows: str = ""


def read_boat(reader: Reader) -> Iterator[Boat]:
    name, tows = reader.text("name", required=True), reader.text("tows", default="")
    where = reader.where_of("name")
    reader.done()
    if name is not None:
        yield Boat(name, where, tows)


def read_fleet(reader: Reader) -> Iterator[Boat]:
    for child in reader.children("boats"):
        yield from read_boat(child)
    reader.done()


def towed(resource: Resource) -> Iterator[Reference]:
    if isinstance(resource, Boat) and resource.tows:
        yield Reference(Boat, resource.tows, resource.origin)


def no_titanic(catalog: Catalog) -> Iterator[Finding]:
    for boat in catalog.of(Boat):
        if boat.name == "titanic":
            yield Finding("unlucky", boat.origin, "not that one", severity=Severity.WARNING)


GRAMMAR = Grammar((Form("sea/v1 Boat", read_boat, "sea/v1", "Boat"),
                   Form("port/v1 Boat", read_boat, "port/v1", "Boat", shared=True),
                   Form("boats: list", read_fleet, root_key="boats")), (towed,), (no_titanic,))


def boat(name: str, more: str = "") -> str:
    return f"apiVersion: sea/v1\nkind: Boat\nname: {name}\n{more}"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_folder_is_read_with_its_folders_in_order(tmp_path: Path) -> None:
    write(tmp_path, "b.yaml", boat("one"))
    write(tmp_path, "a/c.yml", boat("two"))
    catalog, findings = load([tmp_path], GRAMMAR)
    assert [one.name for one in catalog.of(Boat)] == ["one", "two"]
    assert catalog.files == (str(tmp_path / "b.yaml"), str(tmp_path / "a/c.yml"))
    assert not findings


@pytest.mark.parametrize("name", [".hidden.yaml", ".git/a.yaml", "node_modules/a.yaml", "notes.txt", "a.yaml.bak",
                                  "x/site-packages/a.yaml", "__pycache__/a.yaml"])
def test_what_is_hidden_installed_or_no_yaml_is_not_read(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, boat("one"))
    assert find_files(tmp_path) == []


def test_a_virtual_environment_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, "env/pyvenv.cfg", "")
    write(tmp_path, "env/lib/a.yaml", boat("one"))
    assert find_files(tmp_path) == []


def test_a_link_that_leaves_the_folder_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "outside/a.yaml", boat("one"))
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/a.yaml").symlink_to(tmp_path / "outside/a.yaml")
    (tmp_path / "inside/folder").symlink_to(tmp_path / "outside")
    assert find_files(tmp_path / "inside") == []


def test_a_link_to_a_file_of_the_folder_does_not_declare_it_twice(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", boat("one"))
    (tmp_path / "b.yaml").symlink_to(tmp_path / "a.yaml")
    catalog, findings = load([tmp_path, tmp_path / "a.yaml"], GRAMMAR)
    assert len(catalog.of(Boat)) == 1
    assert not findings


def test_a_pipe_of_that_name_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    assert find_files(tmp_path) == []


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no file or folder"):
        load([tmp_path / "nowhere"], GRAMMAR)


def test_a_file_that_is_not_utf_8_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"name: caf\xe9\n")
    _, (finding,) = load([tmp_path], GRAMMAR)
    assert finding.code == "not-text"


def test_a_file_above_16_mib_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    _, (finding,) = load([tmp_path], GRAMMAR)
    assert finding.code == "too-large"


def test_a_file_of_exactly_16_mib_is_read(tmp_path: Path) -> None:
    text = boat("one").encode()
    (tmp_path / "a.yaml").write_bytes(text + b"#" * (MAX_FILE_BYTES - len(text)))
    catalog, findings = load([tmp_path], GRAMMAR)
    assert len(catalog.of(Boat)) == 1
    assert not findings


def test_a_name_declared_twice_names_both_places(tmp_path: Path) -> None:
    first, second = write(tmp_path, "a.yaml", boat("one")), write(tmp_path, "b.yaml", "\n" + boat("one"))
    _, (finding,) = load([tmp_path], GRAMMAR)
    assert finding.code == "duplicate-name"
    assert finding.where == Position(str(second), 4, 7)
    assert f"{first}:3:7" in finding.message


def test_a_reference_to_nothing_says_what_was_meant_and_shows_the_line(tmp_path: Path) -> None:
    file = write(tmp_path, "a.yaml", boat("tanker") + "---\n" + boat("tug", "tows: tnaker\n"))
    _, (finding,) = load([tmp_path], GRAMMAR)
    assert finding.render() == (
        f'{file}:7:7: error: no boat is named "tnaker" (did you mean "tanker"?) [unknown-reference]\n'
        "  7 | name: tug\n"
        "    |       ^\n"
        "  mend: declare the boat, or write one of: tanker, tug")


def test_a_mistaken_document_is_not_told_again_where_it_is_referred_to(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", boat("[oops]") + "---\n" + boat("tug", "tows: tanker\n"))
    write(tmp_path, "b.yaml", "apiVersion: sea/v1\nkind: Baot\nname: tanker\n")
    _, findings = load([tmp_path], GRAMMAR)
    assert [one.code for one in findings] == ["wrong-type", "unknown-kind"]


def test_references_are_not_judged_while_a_file_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", boat("tug", "tows: tanker\n"))
    write(tmp_path, "b.yaml", "name: [\n")
    _, findings = load([tmp_path], GRAMMAR)
    assert [one.code for one in findings] == ["not-yaml"]


def test_checks_across_the_catalog_run_when_nothing_is_wrong(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", boat("titanic"))
    _, (finding,) = load([tmp_path], GRAMMAR)
    assert (finding.code, finding.source) == ("unlucky", "name: titanic")


def test_what_is_sound_is_checked_though_something_else_is_not(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", boat("titanic") + "---\n" + boat("[oops]") + "---\n" + boat("tug", "tows: tanker\n"))
    assert sorted(one.code for one in load([tmp_path], GRAMMAR)[1]) == ["unknown-reference", "unlucky", "wrong-type"]


@pytest.mark.parametrize("more", ["tows: tanker\n", "tows: tug\n", "sails: 3\n"])
def test_what_is_mistaken_or_needs_what_is_not_there_is_not_checked_too(tmp_path: Path, more: str) -> None:
    write(tmp_path, "a.yaml", boat("titanic", more) + "---\n" + boat("tug", "tows: tanker\n"))
    assert "unlucky" not in [one.code for one in load([tmp_path], GRAMMAR)[1]]


def test_a_check_knows_which_names_are_left_out_for_a_mistake(tmp_path: Path) -> None:
    seen: list[Catalog] = []

    def look(catalog: Catalog) -> Iterator[Finding]:
        seen.append(catalog)
        yield from ()

    write(tmp_path, "a.yaml", boat("raft") + "---\n" + boat("tug", "tows: tanker\n") + "---\n"
          + boat("tanker", "x: 1\n"))
    load([tmp_path], replace(GRAMMAR, checks=(look,)))
    assert [one.name for one in seen[0].of(Boat)] == ["raft"]
    assert seen[0].doubtful == {"tug", "tanker"}


def test_a_form_is_known_by_its_root_key_when_it_says_no_version(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "boats: [{name: one}, {name: two}]\n")
    assert [one.name for one in load([tmp_path], GRAMMAR)[0].of(Boat)] == ["one", "two"]


def test_a_list_of_documents_is_read_like_documents(tmp_path: Path) -> None:
    # OpenSLO's own Go tools write catalogs like this.
    write(tmp_path, "a.yaml", "- {apiVersion: sea/v1, kind: Boat, name: one}\n- {apiVersion: sea/v1, kind: Boat, "
                              "name: two}\n")
    catalog, findings = load([tmp_path], GRAMMAR)
    assert [one.name for one in catalog.of(Boat)] == ["one", "two"]
    assert not findings


COMPOSE = "services:\n  web: {image: nginx, ports: ['80:80']}\n"
RULES = "groups:\n- name: slo\n  rules: [{record: a, expr: b}]\n"
KUBERNETES = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
LIST = "- hosts: all\n  tasks: []\n"
BUDGET = "apiVersion: port/v1\nkind: PodDisruptionBudget\nname: x\n"


@pytest.mark.parametrize("text", [COMPOSE, RULES, KUBERNETES, LIST, BUDGET, "just a word\n"])
def test_other_tools_files_in_the_folder_are_left_alone_with_a_hint(tmp_path: Path, text: str) -> None:
    write(tmp_path, "a.yaml", text)
    _, (finding,) = load([tmp_path], GRAMMAR)
    assert (finding.code, finding.severity) == ("left-alone", Severity.HINT)


@pytest.mark.parametrize("text", [COMPOSE, RULES, KUBERNETES, LIST, BUDGET, "just a word\n"])
def test_other_tools_files_are_an_error_when_they_are_named(tmp_path: Path, text: str) -> None:
    _, (finding,) = load([write(tmp_path, "a.yaml", text)], GRAMMAR)
    assert finding.severity is Severity.ERROR


def test_an_unknown_kind_of_our_own_version_is_an_error_even_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "apiVersion: sea/v1\nkind: Baot\n")
    _, (finding,) = load([tmp_path], GRAMMAR)
    assert (finding.code, finding.where.line, finding.where.column) == ("unknown-kind", 2, 7)
    assert 'did you mean "Boat"?' in finding.message


def test_a_named_file_of_an_unknown_version_says_which_are_known(tmp_path: Path) -> None:
    _, (finding,) = load([write(tmp_path, "a.yaml", "apiVersion: sea/v2\nkind: Boat\n")], GRAMMAR)
    assert 'did you mean "sea/v1"?' in finding.message
    assert finding.mend == "known: port/v1, sea/v1, boats:"


def test_a_name_nothing_carries_is_answered_with_what_is_close(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", boat("tanker"))
    with pytest.raises(NotFound, match='did you mean "tanker"') as caught:
        load([tmp_path], GRAMMAR)[0].get(Boat, "tankr")
    assert caught.value.way_out == "known: tanker"


def test_a_tab_before_the_caret_stays_a_tab() -> None:
    finding = Finding("x", Position("a.yaml", 12, 4), "wrong", source="\t- oops")
    assert finding.render().splitlines()[1:] == ["  12 | \t- oops", "     | \t  ^"]


def test_findings_are_shown_in_the_order_of_their_places_and_counted() -> None:
    shown = InvalidFiles([Finding("b", Position("a", 9), "second"), Finding("a", Position("a", 2), "first")])
    assert shown.message.index("first") < shown.message.index("second")
    assert shown.message.endswith("2 findings")


def test_a_finding_in_json_has_its_place() -> None:
    assert Finding("x", Position("a.yaml", 3, 4), "wrong", "right").as_dict() == {
        "code": "x", "severity": "error", "file": "a.yaml", "line": 3, "column": 4, "message": "wrong",
        "mend": "right"}


def test_nothing_is_suggested_when_nothing_is_close() -> None:
    assert did_you_mean("zebra", ["availability"]) == ""
