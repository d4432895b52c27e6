"""Chaos monkeys in `mainstay serve`: each looks at the moments that it declares.

The moments follow from the clock and the declaration, so nothing has to be kept for them: a server that begins, or a
second one on the same store, looks at the next. What is drawn is begun in a process of its own, by the rules of any
other run; a monkey that does not say `dry_run: false` only writes down what it would have begun.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from mainstay.chaos.monkey import ChaosMonkey, look_of, next_look
from mainstay.chaos.operations.monkey import look_around
from mainstay.doors.house.engine import Worker
from mainstay.kernel.ports import World

log = logging.getLogger("mainstay.monkeys")
_LONGEST = 2.0
"""Seconds between two looks at the clock: the catalog may have changed meanwhile."""


class Monkeys(Worker):
    """The thread. `world` is asked anew each round, for the catalog may have changed.

    What was begun goes on in its own process when the thread ends.
    """

    def __init__(self, world: Callable[[], World]) -> None:
        super().__init__("mainstay-monkeys", self.look)
        self._world = world
        self._looked: dict[str, datetime] = {}

    def look(self) -> float:
        """Each monkey's look that is due; seconds until the next round."""
        world = self._world()
        pause = _LONGEST
        for one in world.catalog.of(ChaosMonkey):
            now = world.clock.now()
            look = look_of(one, now)
            if self._looked.get(one.name) != look:
                # Noted first: a look that fails is not repeated, for its moment is over.
                self._looked[one.name] = look
                if said := look_around(world, one):
                    log.warning("%s", said)
            pause = min(pause, (next_look(one, now) - now).total_seconds())
        return max(pause, 0.01)
