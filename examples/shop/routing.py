"""What a service answers: its routes, the call in hand, and refusals."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shop.wire import Request, Response


class Refusal(Exception):
    """The request is answered with an error: a short word for programs and a sentence for people."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error, self.message = status, error, message


@dataclass(slots=True)
class Call:
    """One request on its way through a service."""

    request: Request
    request_id: str
    deadline: float  # when the caller stops waiting, in seconds of the event loop's clock
    parameters: dict[str, str] = field(default_factory=dict)
    degraded: set[str] = field(default_factory=set)  # dependencies that were down while the answer could still be given

    def seconds_left(self) -> float:
        """Time until the caller stops waiting; may be negative."""
        return self.deadline - asyncio.get_running_loop().time()

    def text(self, name: str) -> str:
        """A text field of the JSON body."""
        value = self._body().get(name)
        if not isinstance(value, str) or not value:
            raise Refusal(400, "bad_request", f"the body needs a text `{name}`")
        return value

    def whole_number(self, name: str) -> int:
        """A whole number, 0 or more, of the JSON body."""
        value = self._body().get(name)
        if type(value) is not int or value < 0:
            raise Refusal(400, "bad_request", f"the body needs a whole number `{name}`")
        return value

    def _body(self) -> dict[str, Any]:
        try:
            data = json.loads(self.request.body)
        except ValueError as error:
            raise Refusal(400, "bad_request", "the body is not JSON") from error
        if not isinstance(data, dict):
            raise Refusal(400, "bad_request", "the body is not a JSON object")
        return data


class Route(NamedTuple):
    """A method, a path with `{names}`, and what answers it."""

    method: str
    pattern: str
    answer: Callable[[Call], Awaitable[Response]]


def find_route(routes: Sequence[Route], request: Request) -> tuple[Route, dict[str, str]] | None:
    """The route a request belongs to, with the values of its `{names}`; None when there is none."""
    parts = request.path.split("/")
    for route in routes:
        names = route.pattern.split("/")
        if route.method != request.method or len(names) != len(parts):
            continue
        pairs = list(zip(names, parts, strict=True))
        if all(part if name.startswith("{") else name == part for name, part in pairs):
            return route, {name.strip("{}"): part for name, part in pairs if name.startswith("{")}
    return None
