"""All that the word chaos reads out of a catalog."""

from __future__ import annotations

from mainstay.chaos.practice_forms import GRAMMAR as PRACTICE
from mainstay.chaos.spec import GRAMMAR as EXPERIMENTS

GRAMMAR = EXPERIMENTS + PRACTICE
"""Experiments, workloads, chaos monkeys, game days."""
