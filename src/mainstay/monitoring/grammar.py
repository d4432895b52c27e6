"""All that the word reads, how its resources refer to each other, and what is checked across them."""

from __future__ import annotations

from mainstay.kernel.catalog import Grammar

GRAMMAR = Grammar(())
