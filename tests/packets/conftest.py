from __future__ import annotations

from collections.abc import Iterator

import pytest

from packets.town import Town, town


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    """A network of its own with a workload and a neighbour in it, for the tests of one file."""
    with town() as one:
        yield one
