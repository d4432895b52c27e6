"""A made-up command of the house: `mainstay kettle`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mainstay.kernel.operation import Operation
from mainstay.kernel.ports import World
from mainstay.kernel.view import Text, View


@dataclass(frozen=True, slots=True)
class Boil:
    """Nothing to say."""


def boil(world: World, request: Boil) -> str:
    """Puts the kettle on."""
    return "the kettle is on"


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation("", "kettle", Boil, boil, lambda result: View("", (Text(result),)), catalog="unused"),
)
