"""Wordings into tasks: what belongs together, what does not, and that people have the last word."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.toil.tasks import ALIKE, group, likeness, words_of
from mainstay.toil.tickets import entries_of, read_export
from shared_data import shared

UCI = "itsm_toil/uci_servicenow_incident_event_log_first5998.csv.gz"


@pytest.mark.parametrize(("one", "other"), [
    ("Restarted api worker 3", "restart the api workers"),
    ("rotate tls certs", "Rotate TLS certificates on web03"),
    ("Manual deployments", "deploy manually"),
    ("resetting stuck batch jobs", "Reset stuck batch job"),
    ("Password reset for user 4711", "reset user password"),
    ("Stopping hung processes", "stop hung process"),
    ("Grant db access INC0012345", "grant DB access"),
    ("Clear disk on 2026-03-02", "clear disks"),
])
def test_near_duplicates_are_one_task(one, other):
    assert set(group({one: 2, other: 1}).task_of.values()) <= {one, other}
    assert len(set(group({one: 2, other: 1}).task_of.values())) == 1


@pytest.mark.parametrize(("one", "other"), [
    ("restart api", "restart web"), ("restore database", "restart database"), ("grow disk", "shrink disk"),
    ("upgrade k8s", "upgrade s3"), ("deploy checkout", "deploy search"), ("rotate certs", "revoke certs"),
])
def test_different_tasks_stay_apart(one, other):
    assert len(set(group({one: 2, other: 1}).task_of.values())) == 2


@pytest.mark.parametrize(("one", "other"), [
    ("Category 26 / Subcategory 175", "Category 13 / Subcategory 302"),
    ("Category 26 / Subcategory 17", "Category 26 / Subcategory 175"),
    ("Category 26, no description", "Category 55, no description"),
])
def test_places_of_a_classification_are_told_apart_by_their_numbers_too(one, other):
    grouping = group({one: 2, other: 1})
    assert grouping.task_of == {one: one, other: other}
    assert grouping.like(other.upper()) in (other.upper(), other)


def test_the_tickets_of_a_real_event_log_are_as_many_tasks_as_it_has_subcategories_of_categories():
    """Its tickets have no descriptions; 28 categories once came out as one task of 886 tickets."""
    tickets = [entry.description for _, entry in entries_of(
        read_export(gzip.decompress(shared(UCI).read_bytes()).decode(), UCI), 10, automatable=False)]
    named = {one for one in tickets if one}
    assert len(named) > 100
    assert set(group(dict.fromkeys(named, 1.0)).task_of.values()) == named


def test_a_task_is_named_by_its_heaviest_wording_without_a_number():
    grouping = group({"restart worker 3": 9, "Restart worker": 2, "restarted worker": 1})
    assert set(grouping.task_of.values()) == {"Restart worker"}


def test_a_correction_wins_and_is_shown():
    weights = {"bounce the api": 3.0, "restart api workers": 5.0, "restarting api workers": 1.0}
    grouping = group(weights, {"bounce the api": "restart api workers"})
    assert grouping.wordings() == {"restart api workers": tuple(sorted(weights))}
    assert grouping.corrected == {"bounce the api"}


def test_a_wording_set_apart_stays_alone():
    weights = {"restart api workers": 5.0, "restarting api workers": 1.0}
    grouping = group(weights, {"restarting api workers": "restarting api workers"})
    assert grouping.task_of == {"restart api workers": "restart api workers",
                                "restarting api workers": "restarting api workers"}


WORDING = st.lists(st.sampled_from(["restart", "api", "web", "worker", "deploy", "cert", "3", "disk", "the"]),
                   min_size=1, max_size=5).map(" ".join)


@given(st.dictionaries(WORDING, st.floats(0.1, 100), max_size=20))
def test_grouping_loses_nothing_and_is_the_same_in_any_order(weights):
    grouping = group(weights)
    assert set(grouping.task_of) == set(weights)
    assert set(grouping.task_of.values()) <= set(weights)
    assert grouping == group(dict(reversed(weights.items())))


@given(WORDING, WORDING)
def test_likeness_is_a_share_and_knows_no_direction(one, other):
    value = likeness(words_of(one), words_of(other))
    assert 0 <= value <= 1
    assert value == likeness(words_of(other), words_of(one))
    assert likeness(words_of(one), words_of(one)) == 1


def test_the_threshold_is_two_words_of_three():
    assert ALIKE <= 2 / 3
    assert ALIKE > 1 / 2
