"""Two small model checkers.

`reachable` explores everything that can happen when several threads use an object whose operations are each one step
(its decisions run under a lock): every order of the steps, every way a call can end. States that look the same are
explored once.

`schedules` goes below that: it runs real threads and stops each at every *line* of the library, so that locks and the
ways without a lock are in it too. It tries every schedule with at most so many preemptions: nearly all concurrency bugs
show with two (M. Musuvathi, S. Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded Programs",
PLDI 2007).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import mainstay.resilience

_STEPPED = {str(Path(mainstay.resilience.__file__).parent / name) for name in ("breaker.py", "window.py")}
Move = Hashable


class World(Protocol):
    """An object under test with those who use it; a fresh one is the same every time."""

    def moves(self) -> list[Move]:
        """What can happen now."""
        ...

    def make(self, move: Move) -> None:
        """Let it happen, and check what must always be true."""
        ...

    def key(self) -> Hashable:
        """All that the future depends on."""
        ...


def reachable(fresh: Callable[[], World]) -> Iterator[tuple[World, tuple[Move, ...]]]:
    """Every state that can be reached, once, with a way that leads there. The world handed out may be used up."""
    seen: set[Hashable] = {fresh().key()}
    todo: list[tuple[Move, ...]] = [()]
    while todo:
        path = todo.pop()
        yield _played(fresh, path), path
        for move in _played(fresh, path).moves():
            world = _played(fresh, path)
            world.make(move)
            if world.key() not in seen:
                seen.add(world.key())
                todo.append((*path, move))


def _played(fresh: Callable[[], World], path: tuple[Move, ...]) -> World:
    world = fresh()
    for move in path:
        world.make(move)
    return world


# -- real threads, line by line -------------------------------------------------------------------------------------


class _Runner:
    """One thread that goes on only when it is told to, and then to the next line."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self.blocked_by: SteppedLock | None = None
        self.ended = False
        self.error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._stopped.acquire()

    def step(self) -> None:
        self._go.release()
        assert self._stopped.acquire(timeout=60), "a thread did not come back"

    def stop(self) -> None:
        """Called in the thread itself: wait to be told to go on."""
        self._stopped.release()
        self._go.acquire()

    @property
    def can_go(self) -> bool:
        return not self.ended and (self.blocked_by is None or not self.blocked_by.held)

    def _run(self) -> None:
        _HERE.runner = self
        self.stop()
        sys.settrace(self._trace)
        try:
            self._work()
        except BaseException as error:
            self.error = error
        finally:
            sys.settrace(None)
            self.ended = True
            self._stopped.release()

    def _trace(self, frame: FrameType, event: str, _arg: Any) -> Any:
        if frame.f_code.co_filename not in _STEPPED:
            return None
        if event == "line":
            self.stop()
        return self._trace


_HERE = threading.local()


class SteppedLock:
    """A lock for threads that run line by line: who finds it held stops, and is not run until it is free."""

    def __init__(self) -> None:
        self.held = False

    def __enter__(self) -> None:
        runner = getattr(_HERE, "runner", None)
        while self.held:
            assert runner is not None
            runner.blocked_by = self
            runner.stop()
        if runner is not None:
            runner.blocked_by = None
        self.held = True

    def __exit__(self, *_error: object) -> None:
        self.held = False


def schedules(fresh: Callable[[], tuple[list[Callable[[], object]], Callable[[], None]]],
              preemptions: int) -> Iterator[tuple[int, ...]]:
    """Run every schedule with at most so many preemptions; after each, the check that `fresh` gave with its threads.

    Yields:
        at which step, and to which thread, it was switched.
    """
    todo: list[tuple[tuple[int, int], ...]] = [()]
    while todo:
        switches = todo.pop()
        trace = _run(fresh, dict(switches))
        yield tuple(number for switch in switches for number in switch)
        if len(switches) < preemptions:
            first = switches[-1][0] + 1 if switches else 0
            todo += [(*switches, (at, other)) for at, (running, able) in enumerate(trace) if at >= first
                     for other in able if other != running]


def _run(fresh: Callable[[], tuple[list[Callable[[], object]], Callable[[], None]]],
         switches: dict[int, int]) -> list[tuple[int, list[int]]]:
    """One schedule; which thread ran at each step, and which could have."""
    works, check = fresh()
    runners = [_Runner(work) for work in works]
    trace: list[tuple[int, list[int]]] = []
    running = 0
    while able := [number for number, runner in enumerate(runners) if runner.can_go]:
        running = switches.get(len(trace), running)
        if running not in able:
            running = able[0]
        trace.append((running, able))
        runners[running].step()
    assert all(runner.ended for runner in runners), "threads wait for each other"
    for runner in runners:
        if runner.error is not None:
            raise runner.error
    check()
    return trace
