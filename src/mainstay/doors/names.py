"""What an operation is called and where it stands; a command of the house has no word, only a verb."""

from __future__ import annotations

from typing import Any, Literal

from mainstay.kernel.operation import Operation

PREFIX = "/api/v1"
READING: list[Literal["GET", "HEAD"]] = ["GET", "HEAD"]
"""Who may GET may HEAD, which is the same without its body (RFC 9110, 9.3.2); health probes and link checkers do."""


def name_of(operation: Operation[Any, Any]) -> str:
    """`slo report`, or `check` for a command of the house."""
    return f"{operation.word} {operation.verb}".strip()


def page_path(operation: Operation[Any, Any]) -> str:
    """The operation's page: `/slo/report`, `/check`."""
    return "/" + name_of(operation).replace(" ", "/")


def api_path(operation: Operation[Any, Any]) -> str:
    """The operation's route: `/api/v1/slo/report`."""
    return PREFIX + page_path(operation)
