"""Results as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from mainstay.doors.as_json import encode


@dataclass(frozen=True, slots=True)
class Row:
    b: float | None
    a: object


@pytest.mark.parametrize(("value", "text"), [
    (0.1 + 0.2, "0.30000000000000004"),
    (float("nan"), "null"),
    (float("inf"), "null"),
    (Decimal("0.99900000000000000001"), "0.99900000000000000001"),
    (datetime(2026, 5, 1, tzinfo=UTC), '"2026-05-01T00:00:00Z"'),
    (np.float64(1.5), "1.5"),
    (np.int64(3), "3"),
    (np.bool_(True), "true"),
])
def test_a_value_has_one_form(value, text):
    assert encode(value) == f"{text}\n".encode()


def test_keys_keep_the_order_of_the_fields():
    assert encode(Row(1.0, [1])) == b'{\n  "b": 1.0,\n  "a": [\n    1\n  ]\n}\n'


def test_what_has_no_form_is_our_bug():
    with pytest.raises(TypeError, match="object has no JSON form"):
        encode(Row(None, object()))
