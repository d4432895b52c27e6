"""Other tools' documents from text, for tests of the formats: what they become and what is written of it again."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import yaml

from mainstay.app import grammar
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.document import Document, read_documents
from mainstay.kernel.finding import Finding, Position, errors_of
from mainstay.monitoring.exchange import FORMATS
from mainstay.monitoring.exchange.catalog_writer import catalog_files
from mainstay.monitoring.exchange.form import Bundle, Format, Given, Taken

NOWHERE = Position("")


def format_named(name: str) -> Format:
    """The format that `--from` and `--to` know by the name."""
    return next(one for one in FORMATS if one.name == name)


def documents(text: str) -> list[Document]:
    """The documents of a YAML text, lists of documents taken apart."""
    read, findings = read_documents(text, "given.yaml")
    assert not findings, findings
    out: list[Document] = []
    for one in read:
        items = one.root.value
        out += [replace(one, root=item) for item in items] if isinstance(items, list) else [one]
    return out


def take(name: str, text: str) -> Taken:
    """What the format reads in the text, every document of which it must recognise."""
    known = format_named(name)
    some = documents(text)
    assert known.read is not None
    assert [known.fits(one) for one in some] == [True] * len(some)
    return known.read(some)


def bundle_of(name: str, text: str) -> Bundle:
    """The same, without a mistake."""
    taken = take(name, text)
    assert not errors_of(taken.findings), "\n".join(one.render() for one in taken.findings)
    return taken.bundle


def codes(name: str, text: str) -> list[str]:
    """The codes of the mistakes."""
    return [one.code for one in errors_of(take(name, text).findings)]


def lost(taken: Taken | Given) -> list[str]:
    """What is lost, by name."""
    return [one.what for one in taken.losses]


def given(name: str, bundle: Bundle) -> Given:
    """The bundle written in that format."""
    write = format_named(name).write
    assert write is not None
    return write(bundle)


def trees(files: Given | str) -> list[object]:
    """What was written, as plain values; or the same of a text."""
    texts = [files] if isinstance(files, str) else [text for _, text in files.files]
    found: list[object] = []
    for text in texts:
        for one in yaml.safe_load_all(text):
            found += one if isinstance(one, list) else [one]
    return found


def unplaced(bundle: Bundle) -> Bundle:
    """The bundle without the places it was read at, so that two readings compare."""
    objectives = []
    for one in bundle.objectives:
        assert not isinstance(one.indicator, str)
        objectives.append(replace(one, origin=NOWHERE, indicator=replace(one.indicator, origin=NOWHERE)))
    return Bundle(
        tuple(sorted(objectives, key=lambda one: one.name)),
        tuple(sorted((replace(one, origin=NOWHERE) for one in bundle.services), key=lambda one: one.name)),
        tuple(sorted((replace(one, origin=NOWHERE) for one in bundle.sources), key=lambda one: one.name)),
        tuple(sorted((replace(one, origin=NOWHERE) for one in bundle.alertings), key=lambda one: one.name)),
        tuple(sorted((replace(one, origin=NOWHERE) for one in bundle.compositions), key=lambda one: one.name)))


def again(name: str, bundle: Bundle) -> Bundle:
    """The bundle written in the format and read again."""
    text = "---\n".join(text for _, text in given(name, bundle).files)
    return bundle_of(name, text)


def in_catalog(bundle: Bundle) -> tuple[Catalog, list[Finding]]:
    """What the catalog reads of the files that import writes."""
    with tempfile.TemporaryDirectory() as folder:
        for file, text in catalog_files(bundle).files:
            Path(folder, file).write_text(text, encoding="utf-8")
        return load([folder], grammar())
