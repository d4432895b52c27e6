"""Matchers hold alike for one set of labels and along thousands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pytest

from mainstay.kernel.matcher import Matcher, fitting, parse_matcher


class _Thing(NamedTuple):
    labels: Mapping[str, str]


_THINGS = [_Thing({"service": service, **({"env": env} if env else {})}) for service in ("web", "web2", "", "api")
           for env in ("", "test", "prod")]


@pytest.mark.parametrize("text", [
    "service=web", "service!=web", "service=~web.*", "service!~web.*", "env=", "env!=", "env=~|test", "env!~.+",
    'service=~"web|api"'])
def test_those_that_fit_are_those_that_the_matcher_holds_for_in_their_order(text: str) -> None:
    matcher = parse_matcher(text)
    assert list(fitting(_THINGS, [matcher])) == [one for one in _THINGS if matcher.holds(one.labels)]


def test_those_that_fit_several_matchers_fit_each() -> None:
    found = list(fitting(_THINGS, [Matcher("service", "=", "web"), Matcher("env", "!=", "test")]))
    assert [one.labels for one in found] == [{"service": "web"}, {"service": "web", "env": "prod"}]


def test_without_a_matcher_everything_fits() -> None:
    assert list(fitting(_THINGS, [])) == _THINGS


def test_nothing_is_looked_at_before_it_is_asked_for() -> None:
    looked = iter(_THINGS)
    next(fitting(looked, [Matcher("service", "=~", "web")]))
    assert next(looked) == _THINGS[1]
